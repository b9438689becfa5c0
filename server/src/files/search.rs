//! Looking for nodes: by mark, or by what they are called, how large or how old they are.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::TagFault;
use crate::files::error::at;
use crate::files::permissions::Located;
use crate::files::permissions::Rights;
use crate::files::permissions::joined;
use crate::identity::Caller;
use crate::store::metadata::marks::DeleteTag;
use crate::store::metadata::marks::FindMarked;
use crate::store::metadata::marks::ListTags;
use crate::store::metadata::marks::NameTag;
use crate::store::metadata::marks::Tag;
use crate::store::metadata::marks::TagNode;
use crate::store::metadata::mounts::Mount;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::search::DescribeNodes;
use crate::store::metadata::search::ListFavorites;
use crate::store::metadata::search::SCANNED_CHILDREN;
use crate::store::metadata::search::SCANNED_FOLDERS;
use crate::store::metadata::search::SCANNED_PAGE;
use crate::store::metadata::search::ScanFolders;
use crate::store::metadata::search::ScanSpace;
use crate::store::metadata::search::Test;
use crate::store::metadata::shares::Shown;

/// Nodes that one search returns at most, with those that it passes over.
pub const FOUND_MAX: usize = 10_000;
/// Nodes that are described in one question.
const DESCRIBED: usize = 500;

/// A text with `%` for any characters, compared without regard to case.
#[derive(Debug, Clone)]
pub struct Pattern {
    parts: Vec<String>,
}

impl Pattern {
    /// Understands a pattern.
    pub fn new(text: &str) -> Self {
        Self {
            parts: text.to_lowercase().split('%').map(str::to_owned).collect(),
        }
    }

    /// Returns whether a whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.iter().all(|whole| *whole == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        for part in middle {
            match rest.find(part.as_str()) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// How a number is compared with that of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// The node's is less.
    Less,
    /// The node's is less or the same.
    LessOrEqual,
    /// The node's is more.
    Greater,
    /// The node's is more or the same.
    GreaterOrEqual,
}

impl Comparison {
    fn holds<T: Ord>(self, of_node: &T, given: &T) -> bool {
        let order = of_node.cmp(given);
        match self {
            Self::Equal => order == Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// What is looked for.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Every one of these.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
    /// The name.
    Name(Pattern),
    /// The media type that the name of a file stands for; folders have none.
    MediaType(Pattern),
    /// When it was modified, in seconds since 1970.
    Modified(Comparison, i64),
    /// Bytes; of a folder, with everything below.
    Size(Comparison, u64),
    /// The number of the node.
    Id(i64),
    /// A folder.
    IsFolder,
    /// A favourite of the caller, or none.
    IsFavorite(bool),
    /// The sign-in name of the owner.
    Owner(String),
}

/// What the results are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKey {
    /// When it was modified.
    Modified,
    /// The name, without regard to case.
    Name,
    /// Bytes.
    Size,
    /// The number of the node.
    Id,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Query {
    /// The folder that is searched, with everything below.
    pub scope: NodePath,
    /// What is looked for.
    pub condition: Condition,
    /// The order, the first key first, each with whether it descends.
    pub order: Vec<(OrderKey, bool)>,
    /// Results that are passed over.
    pub offset: usize,
    /// The most results.
    pub limit: usize,
}

/// What is known while a condition is tested.
#[derive(Clone)]
struct Known {
    favorites: Arc<HashSet<NodeId>>,
    owner: String,
}

/// Something that was found.
#[derive(Debug)]
pub struct Found {
    /// Where the caller sees it.
    pub path: NodePath,
    /// What was asked for of it.
    pub entry: Entry,
    /// Of something that does not lie in the caller's home: what they may do with it, and whose it is.
    pub given: Option<(Rights, Shown)>,
}

/// Marked nodes that the caller can see.
#[derive(Debug)]
pub struct FoundPage {
    /// The nodes.
    pub found: Vec<Found>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<NodeId>,
}

impl Condition {
    fn holds(&self, node: &Node, known: &Known) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(node, known)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(node, known)),
            Self::Not(part) => !part.holds(node, known),
            Self::Name(pattern) => pattern.matches(&node.name),
            Self::MediaType(pattern) => {
                let guess = mime_guess::from_path(&node.name).first_raw();
                !node.is_folder() && pattern.matches(guess.unwrap_or("application/octet-stream"))
            }
            Self::Modified(comparison, given) => comparison.holds(&node.mtime.seconds(), given),
            Self::Size(comparison, given) => comparison.holds(&node.size_bytes, given),
            Self::Id(id) => node.id.0 == *id,
            Self::IsFolder => node.is_folder(),
            Self::IsFavorite(wanted) => known.favorites.contains(&node.id) == *wanted,
            Self::Owner(name) => known.owner == name.to_lowercase(),
        }
    }

    fn needs_favorites(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::needs_favorites),
            Self::Not(part) => part.needs_favorites(),
            Self::IsFavorite(_) => true,
            _ => false,
        }
    }
}

/// A node that fits, where the caller sees it, and through which of the mounts.
type Fitting = (NodePath, Node, Option<usize>);

/// The best of what fits so far.
struct Best<'q> {
    query: &'q Query,
    keep: usize,
    fitting: Vec<Fitting>,
    /// Nodes that were looked at.
    scanned: usize,
}

impl Best<'_> {
    /// Adds what fits; what cannot be among the results any more goes.
    fn add(&mut self, fitting: impl IntoIterator<Item = Fitting>) {
        self.fitting.extend(fitting);
        if self.fitting.len() > 2 * self.keep + SCANNED_PAGE {
            self.cut();
        }
    }

    fn cut(&mut self) {
        // A node that changed during the search, or that is seen at two places, was found twice; the later
        // state counts.
        let fitting = &mut self.fitting;
        fitting.sort_by_key(|(_, node, _)| (node.id, -node.seq));
        fitting.dedup_by_key(|(_, node, _)| node.id);
        fitting.sort_by(|a, b| compare(&self.query.order, a, b));
        fitting.truncate(self.keep);
    }
}

/// A folder that is still to be searched: where it is shown, the last child that was looked at, and the mount.
type Unsearched = (NodeId, NodePath, NodeId, usize);

fn compare(order: &[(OrderKey, bool)], a: &Fitting, b: &Fitting) -> Ordering {
    for (key, descends) in order {
        let by = match key {
            OrderKey::Modified => a.1.mtime.cmp(&b.1.mtime),
            OrderKey::Name => a.1.name.to_lowercase().cmp(&b.1.name.to_lowercase()),
            OrderKey::Size => a.1.size_bytes.cmp(&b.1.size_bytes),
            OrderKey::Id => a.1.id.cmp(&b.1.id),
        };
        let by = if *descends { by.reverse() } else { by };
        if by != Ordering::Equal {
            return by;
        }
    }
    a.1.id.cmp(&b.1.id)
}

impl Known {
    /// Returns what is known of something that is seen through a mount.
    fn seen_through(&self, mount: &Mount) -> Self {
        Self {
            favorites: Arc::clone(&self.favorites),
            owner: mount.owner.name.to_lowercase(),
        }
    }
}

/// Returns a node that lies behind a mount, called as it is where it appears, if it fits.
fn fitting(
    condition: &Condition,
    (shown, known): (&NodePath, Known),
    (mut node, through): (Node, usize),
) -> Option<Fitting> {
    if let Some(name) = shown.name() {
        name.as_str().clone_into(&mut node.name);
    }
    let holds = condition.holds(&node, &known);
    holds.then(|| (shown.clone(), node, Some(through)))
}

/// Returns what was found as the caller sees it.
fn shown_through(
    caller: &Caller,
    mount: Option<&Mount>,
    path: NodePath,
    mut entry: Entry,
) -> Found {
    let given = mount.map(|mount| {
        if mount.path == path {
            if let Some(name) = path.name() {
                name.as_str().clone_into(&mut entry.node.name);
            }
            entry.mount = Some(Box::new(mount.clone()));
        }
        (Rights::of_mount(mount, caller), mount.owner.clone())
    });
    Found { path, entry, given }
}

impl Files {
    /// Searches the caller's files; returns where the results are, in the order that was asked for.
    ///
    /// What they were given is searched after their home. When as many nodes as the settings allow were looked at, the rest
    /// is not searched.
    pub async fn search(
        &self,
        caller: &Caller,
        query: &Query,
        wants: ListingWants,
    ) -> FilesResult<Vec<Found>> {
        let scope = &query.scope;
        Self::require_home(caller)?;
        let mounts = self.fresh_mounts(caller).await.map_err(at(scope))?;
        let located = Self::locate_among(caller, scope, Arc::clone(&mounts));
        if !located.rights.may(Permissions::READ) {
            return Err(FilesError::NotFound {
                path: scope.clone(),
            });
        }
        let node = self.find_at(&located).await?;
        let favorites = if query.condition.needs_favorites() {
            let list = ListFavorites(caller.user);
            self.metadata.read(list).await.map_err(at(scope))?
        } else {
            Vec::new()
        };
        let known = Known {
            favorites: Arc::new(favorites.into_iter().collect()),
            owner: caller.name.to_lowercase(),
        };
        let mut best = Best {
            query,
            keep: query.offset.saturating_add(query.limit).min(FOUND_MAX),
            fitting: Vec::new(),
            scanned: 0,
        };
        let mut unsearched = Vec::new();
        if let Some(mount) = &located.mount {
            let through = mounts.iter().position(|one| one.path == mount.path);
            if let (Some(through), true) = (through, node.is_folder()) {
                unsearched.push((node.id, scope.clone(), NodeId(0), through));
            }
        } else {
            self.search_home(&located, &known, &mut best).await?;
            for (through, mount) in mounts.iter().enumerate() {
                let is_meant =
                    mount.path.is_within(scope) && mount.permissions.has(Permissions::READ);
                if !is_meant {
                    continue;
                }
                let shown = (&mount.path, known.seen_through(mount));
                best.add(fitting(
                    &query.condition,
                    shown,
                    (mount.node.clone(), through),
                ));
                if mount.node.is_folder() {
                    unsearched.push((mount.node.id, mount.path.clone(), NodeId(0), through));
                }
            }
        }
        self.search_folders(unsearched, (&known, &mounts), &mut best)
            .await?;
        best.cut();
        let results = best.fitting.into_iter().skip(query.offset).collect();
        self.describe(caller, &mounts, results, wants).await
    }

    /// Searches the caller's home.
    async fn search_home(
        &self,
        located: &Located,
        known: &Known,
        best: &mut Best<'_>,
    ) -> FilesResult<()> {
        let scope = &located.asked;
        let (condition, known) = (best.query.condition.clone(), known.clone());
        let test = Test(Arc::new(move |node| condition.holds(node, &known)));
        let mut after = 0;
        while best.scanned < self.settings.search_nodes_max {
            let scan = ScanSpace {
                space: located.root.space,
                after,
                test: test.clone(),
                scope: scope.clone(),
            };
            let page = self.metadata.read(scan).await.map_err(at(scope))?;
            best.add(
                page.found
                    .into_iter()
                    .map(|(path, node)| (path, node, None)),
            );
            best.scanned += SCANNED_PAGE;
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        Ok(())
    }

    /// Searches folders that were given, with everything below; the deepest first, so that few wait.
    async fn search_folders(
        &self,
        mut unsearched: Vec<Unsearched>,
        (known, mounts): (&Known, &[Mount]),
        best: &mut Best<'_>,
    ) -> FilesResult<()> {
        while !unsearched.is_empty() && best.scanned < self.settings.search_nodes_max {
            let rest = unsearched.len().saturating_sub(SCANNED_FOLDERS);
            let now = unsearched.split_off(rest);
            let scan = ScanFolders {
                folders: now.iter().map(|(id, _, after, _)| (*id, *after)).collect(),
            };
            let scope = &best.query.scope;
            let pages = self.metadata.read(scan).await.map_err(at(scope))?;
            for ((folder, path, _, through), children) in now.into_iter().zip(pages) {
                let Some(mount) = mounts.get(through) else {
                    continue;
                };
                best.scanned += children.len();
                if let Some(last) = children.last()
                    && children.len() >= SCANNED_CHILDREN
                {
                    unsearched.push((folder, path.clone(), last.id, through));
                }
                for child in children {
                    let name = NodeName::parse(&child.name).ok();
                    let Some(shown) = name.and_then(|name| path.child(name).ok()) else {
                        continue;
                    };
                    if child.is_folder() {
                        unsearched.push((child.id, shown.clone(), NodeId(0), through));
                    }
                    let seen = (&shown, known.seen_through(mount));
                    best.add(fitting(&best.query.condition, seen, (child, through)));
                }
            }
        }
        Ok(())
    }

    async fn describe(
        &self,
        caller: &Caller,
        mounts: &[Mount],
        fitting: Vec<Fitting>,
        wants: ListingWants,
    ) -> FilesResult<Vec<Found>> {
        let mut described = Vec::with_capacity(fitting.len());
        for part in fitting.chunks(DESCRIBED) {
            let nodes = part.iter().map(|(_, node, _)| node.clone()).collect();
            let describe = DescribeNodes { nodes, wants };
            let entries = self.metadata.read(describe).await;
            let entries = entries.map_err(at(&NodePath::root()))?;
            for ((path, _, through), entry) in part.iter().zip(entries) {
                let mount = through.and_then(|through| mounts.get(through));
                described.push(shown_through(caller, mount, path.clone(), entry));
            }
        }
        Ok(described)
    }

    /// Finds the next of the nodes with these marks that the caller can see: favourites, or those with all these tags.
    pub async fn find_marked(
        &self,
        caller: &Caller,
        (favorites, tags): (bool, &[i64]),
        after: NodeId,
        wants: ListingWants,
    ) -> FilesResult<FoundPage> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        let mounts = self.mounts(caller).await.map_err(at(&root))?;
        let mut by_top: HashMap<NodeId, &Mount> = HashMap::new();
        for mount in mounts
            .iter()
            .filter(|mount| mount.permissions.has(Permissions::READ))
        {
            by_top.insert(mount.node.id, mount);
        }
        let find = FindMarked {
            space,
            tops: by_top.keys().copied().collect(),
            favorite_of: favorites.then_some(caller.user),
            tags: tags.to_vec(),
            after,
            wants,
        };
        let page = self.metadata.read(find).await.map_err(at(&root))?;
        let mut found = Vec::with_capacity(page.found.len());
        for (top, path, entry) in page.found {
            let mount = top.and_then(|top| by_top.get(&top).copied());
            let path = mount.map_or_else(|| path.clone(), |mount| joined(&mount.path, &path));
            found.push(shown_through(caller, mount, path, entry));
        }
        Ok(FoundPage {
            found,
            next: page.next,
        })
    }

    /// Lists the tags of the caller's home and of their groups' spaces, or those of one node that they can see.
    pub async fn tags(&self, caller: &Caller, node: Option<NodeId>) -> FilesResult<Vec<Tag>> {
        let root = NodePath::root();
        let home = Self::home_of(caller)?.root.space;
        if let Some(node) = node {
            let located = self.locate_node(caller, node).await?;
            if !located.rights.may(Permissions::READ) {
                return Err(FilesError::NotFound { path: root });
            }
            let list = ListTags {
                space: located.root.space,
                node: Some(node),
            };
            return self.metadata.read(list).await.map_err(at(&root));
        }
        let mounts = self.mounts(caller).await.map_err(at(&root))?;
        // Who sees all of a space may know all of its tags.
        let whole = mounts.iter().filter(|mount| mount.node.parent.is_none());
        let spaces = whole.map(|mount| mount.node.space);
        let mut tags = Vec::new();
        for space in [home].into_iter().chain(spaces) {
            let list = ListTags { space, node: None };
            tags.extend(self.metadata.read(list).await.map_err(at(&root))?);
        }
        Ok(tags)
    }

    /// Makes a tag, or gives one another name; returns its number.
    pub async fn name_tag(
        &self,
        caller: &Caller,
        tag: Option<i64>,
        name: &str,
    ) -> FilesResult<i64> {
        let root = NodePath::root();
        let (_, change) = self.changeable_home(caller)?;
        // What can be the name of a file can be that of a tag.
        let Ok(name) = NodeName::parse(name.trim()) else {
            return Err(TagFault::BadName.into());
        };
        let max = self.settings.tags_max;
        let operation = NameTag {
            space: change.space,
            tag,
            name: name.as_str().to_owned(),
            fold: name.fold(),
            tags_max: max,
        };
        let named = self.metadata.write(operation).await.map_err(at(&root));
        let named = named.map_err(|error| match error {
            FilesError::AlreadyExists { .. } => TagFault::Taken.into(),
            error => error,
        })?;
        named.ok_or_else(|| TagFault::TooMany { max }.into())
    }

    /// Deletes a tag from the caller's space and from every node.
    pub async fn delete_tag(&self, caller: &Caller, tag: i64) -> FilesResult<()> {
        let root = NodePath::root();
        let (_, change) = self.changeable_home(caller)?;
        let space = change.space;
        let delete = DeleteTag { space, tag };
        self.metadata.write(delete).await.map_err(at(&root))
    }

    /// Puts a tag on a node, or takes it off; returns whether anything changed.
    pub async fn tag_node(
        &self,
        caller: &Caller,
        node: NodeId,
        tag: i64,
        on: bool,
    ) -> FilesResult<bool> {
        let root = NodePath::root();
        Self::require_home(caller)?;
        let located = self.locate_node(caller, node).await?;
        if !located.rights.may(Permissions::UPDATE) {
            return Err(FilesError::NotPermitted { path: root });
        }
        let operation = TagNode {
            space: located.root.space,
            node,
            tag,
            on,
        };
        self.metadata.write(operation).await.map_err(at(&root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_texts_without_regard_to_case() {
        for (pattern, text, fits) in [
            ("%plan%", "My PLAN.odt", true),
            ("plan", "plan.odt", false),
            ("image/%", "image/png", true),
            ("image/%", "text/image/", false),
            ("%.odt", "a.odt.txt", false),
            ("a%b%c", "aXbYbc", true),
            ("ab%ab", "ab", false),
            ("%", "", true),
            ("", "x", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                fits,
                "{pattern} {text}"
            );
        }
    }
}
