//! Looking for nodes: by mark, or by what they are called, how large or how old they are.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::TagFault;
use crate::files::error::at;
use crate::identity::Caller;
use crate::store::metadata::marks::DeleteTag;
use crate::store::metadata::marks::FindMarked;
use crate::store::metadata::marks::ListTags;
use crate::store::metadata::marks::MarkedPage;
use crate::store::metadata::marks::NameTag;
use crate::store::metadata::marks::Tag;
use crate::store::metadata::marks::TagNode;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::search::DescribeNodes;
use crate::store::metadata::search::ListFavorites;
use crate::store::metadata::search::SCANNED_PAGE;
use crate::store::metadata::search::ScanSpace;
use crate::store::metadata::search::Test;

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
struct Known {
    favorites: HashSet<NodeId>,
    owner: String,
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

type Found = (NodePath, Node);

fn compare(order: &[(OrderKey, bool)], a: &Found, b: &Found) -> Ordering {
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

impl Files {
    /// Searches the caller's files; returns where the results are, in the order that was asked for.
    ///
    /// Of a space with more nodes than the settings allow to look at, the rest is not searched.
    pub async fn search(
        &self,
        caller: &Caller,
        query: &Query,
        wants: ListingWants,
    ) -> FilesResult<Vec<(NodePath, Entry)>> {
        let scope = &query.scope;
        let space = Self::home_of(caller)?.root.space;
        self.find(caller, scope).await?;
        let favorites = if query.condition.needs_favorites() {
            let list = ListFavorites(caller.user);
            self.metadata.read(list).await.map_err(at(scope))?
        } else {
            Vec::new()
        };
        let known = Known {
            favorites: favorites.into_iter().collect(),
            owner: caller.name.to_lowercase(),
        };
        let condition = query.condition.clone();
        let test = Test(Arc::new(move |node| condition.holds(node, &known)));
        let keep = query.offset.saturating_add(query.limit).min(FOUND_MAX);
        let mut best: Vec<Found> = Vec::new();
        let mut after = 0;
        let mut scanned = 0;
        loop {
            let scan = ScanSpace {
                space,
                after,
                test: test.clone(),
                scope: scope.clone(),
            };
            let page = self.metadata.read(scan).await.map_err(at(scope))?;
            best.extend(page.found);
            scanned += SCANNED_PAGE;
            let is_last = page.next.is_none() || scanned >= self.settings.search_nodes_max;
            if is_last || best.len() > 2 * keep + SCANNED_PAGE {
                // A node that changed during the search was found twice; the later state counts.
                best.sort_by_key(|(_, node)| (node.id, -node.seq));
                best.dedup_by_key(|(_, node)| node.id);
                best.sort_by(|a, b| compare(&query.order, a, b));
                best.truncate(keep);
            }
            match page.next {
                Some(next) if !is_last => after = next,
                Some(_) | None => break,
            }
        }
        let results: Vec<Found> = best.into_iter().skip(query.offset).collect();
        self.describe(scope, results, wants).await
    }

    async fn describe(
        &self,
        scope: &NodePath,
        found: Vec<Found>,
        wants: ListingWants,
    ) -> FilesResult<Vec<(NodePath, Entry)>> {
        let mut described = Vec::with_capacity(found.len());
        for part in found.chunks(DESCRIBED) {
            let nodes = part.iter().map(|(_, node)| node.clone()).collect();
            let describe = DescribeNodes { nodes, wants };
            let entries = self.metadata.read(describe).await.map_err(at(scope))?;
            let paths = part.iter().map(|(path, _)| path.clone());
            described.extend(paths.zip(entries));
        }
        Ok(described)
    }

    /// Finds the next of the caller's nodes with these marks: favourites, or those with all these tags.
    pub async fn find_marked(
        &self,
        caller: &Caller,
        (favorites, tags): (bool, &[i64]),
        after: NodeId,
        wants: ListingWants,
    ) -> FilesResult<MarkedPage> {
        let root = NodePath::root();
        let find = FindMarked {
            space: Self::home_of(caller)?.root.space,
            favorite_of: favorites.then_some(caller.user),
            tags: tags.to_vec(),
            after,
            wants,
        };
        self.metadata.read(find).await.map_err(at(&root))
    }

    /// Lists the tags of the caller's space, or those of one node of it.
    pub async fn tags(&self, caller: &Caller, node: Option<NodeId>) -> FilesResult<Vec<Tag>> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        let list = ListTags { space, node };
        self.metadata.read(list).await.map_err(at(&root))
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
        let operation = TagNode {
            space: self.changeable_home(caller)?.0.root.space,
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
