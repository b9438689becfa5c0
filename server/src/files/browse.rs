//! Looking: find a node, list a folder, read properties.

use std::collections::HashMap;
use std::sync::Arc;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::permissions::Located;
use crate::files::permissions::Rights;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::identity::Quota;
use crate::identity::Scope;
use crate::identity::SpaceUse;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::browse::CountChildren;
use crate::store::metadata::browse::FindChildAt;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::browse::ListChildren;
use crate::store::metadata::browse::ListProperties;
use crate::store::metadata::browse::OpenListing;
use crate::store::metadata::browse::PAGE_NODES;
use crate::store::metadata::locks::CheckPrecondition;
use crate::store::metadata::mounts::Mount;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::Property;
use crate::store::metadata::records::QuotaState;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::FindPaths;
use crate::store::metadata::shares::ListSharedBy;
use crate::store::metadata::shares::Shown;

/// A node and, page by page, its children.
#[derive(Debug)]
pub struct Listing {
    /// The node itself.
    pub entry: Entry,
    /// The quota of its space, where it was asked for.
    pub quota: Option<QuotaState>,
    /// What the caller may do with what is listed, and why; for mounts among it, they say it themselves.
    pub rights: Rights,
    /// Whose it is.
    pub owner: Shown,
    metadata: Arc<MetadataStore>,
    located: Located,
    wants: ListingWants,
    deep_locks: Vec<Lock>,
    /// Mounts among the children, in order.
    mounted: Vec<Entry>,
    /// For children that lead to mounts further down.
    marks: HashMap<String, u64>,
    /// Who lists.
    caller: UserId,
    /// How the caller shared nodes of this page.
    shared: HashMap<NodeId, Vec<u8>>,
    now: Timestamp,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// A page that was read together with the node.
    Ready(Vec<Entry>),
    /// What follows this child.
    After(NodeId),
    /// What is mounted there; it comes last.
    Mounts,
    /// Nothing.
    End,
}

impl Listing {
    /// Returns the next children (at most 1 000, in an order that renames do not disturb); empty: no more.
    ///
    /// An error must end the answer visibly: it never means "no more".
    pub async fn next_page(&mut self) -> FilesResult<Vec<Entry>> {
        let mut page = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return Ok(Vec::new()),
            Next::Ready(page) => page,
            Next::Mounts => return Ok(std::mem::take(&mut self.mounted)),
            Next::After(after) => {
                let page = self.children_after(after, PAGE_NODES).await?;
                if self.wants.share_kinds {
                    self.shared = self.shared_among(Vec::new(), &page).await?;
                }
                page
            }
        };
        self.next = match page.last().filter(|_| page.len() >= PAGE_NODES) {
            Some(last) => Next::After(last.node.id),
            None => Next::Mounts,
        };
        if page.is_empty() {
            return Ok(std::mem::take(&mut self.mounted));
        }
        self.dress(&mut page, &self.shared);
        Ok(page)
    }

    /// Returns at most `max` (and at most 1 000) children from a place on, and the place behind them.
    ///
    /// What was there when a listing began and is there still is found once, whatever comes and goes between two pieces.
    pub async fn slice(
        &self,
        from: ListingPlace,
        max: usize,
    ) -> FilesResult<(Vec<Entry>, ListingPlace)> {
        let max = max.min(PAGE_NODES);
        let (mut entries, seen) = match from {
            ListingPlace::Child(_) if max == 0 => return Ok((Vec::new(), from)),
            ListingPlace::Child(after) => (self.children_after(after, max).await?, 0),
            ListingPlace::Mount(seen) => (Vec::new(), seen),
        };
        let shared = if self.wants.share_kinds && !entries.is_empty() {
            self.shared_among(Vec::new(), &entries).await?
        } else {
            HashMap::new()
        };
        self.dress(&mut entries, &shared);
        if let Some(last) = entries.last().filter(|_| entries.len() == max) {
            let place = ListingPlace::Child(last.node.id);
            return Ok((entries, place));
        }
        let room = max - entries.len();
        let mounts = self.mounted.iter().skip(seen).take(room);
        let before = entries.len();
        entries.extend(mounts.cloned());
        let place = ListingPlace::Mount(seen.saturating_add(entries.len() - before));
        Ok((entries, place))
    }

    /// Returns the place behind the first `skipped` children.
    pub async fn place_behind(&self, skipped: u64) -> FilesResult<ListingPlace> {
        let Some(index) = skipped.checked_sub(1) else {
            return Ok(ListingPlace::Child(NodeId(0)));
        };
        let folder = self.entry.node.id;
        let find = FindChildAt { folder, index };
        let found = self.metadata.read(find).await;
        if let Some(child) = found.map_err(self.located.failure())? {
            return Ok(ListingPlace::Child(child));
        }
        let count = CountChildren { folder };
        let count = self.metadata.read(count).await;
        let count = count.map_err(self.located.failure())?;
        let seen = usize::try_from(skipped - count.min(skipped));
        Ok(ListingPlace::Mount(seen.unwrap_or(usize::MAX)))
    }

    /// Returns how many children there are, what is mounted included.
    pub async fn count(&self) -> FilesResult<u64> {
        let folder = self.entry.node.id;
        let count = self.metadata.read(CountChildren { folder }).await;
        let count = count.map_err(self.located.failure())?;
        Ok(count + self.mounted.len() as u64)
    }

    async fn children_after(&self, after: NodeId, max: usize) -> FilesResult<Vec<Entry>> {
        let list = ListChildren {
            space: self.located.root.space,
            folder: self.entry.node.id,
            path: self.located.path.clone(),
            after,
            max,
            wants: self.wants,
            deep_locks: self.deep_locks.clone(),
            now: self.now,
        };
        let page = self.metadata.read(list).await;
        page.map_err(self.located.failure())
    }

    /// Adds to children what the caller's own place among them says.
    fn dress(&self, page: &mut [Entry], shared: &HashMap<NodeId, Vec<u8>>) {
        for entry in page {
            self.located.show_locks(&mut entry.locks);
            if entry.node.is_folder() {
                entry.mounts_mark = self.marks.get(&entry.node.name).copied();
            }
            if let Some(kinds) = shared.get(&entry.node.id) {
                entry.share_kinds.clone_from(kinds);
            }
        }
    }
}

/// A place in the children of a folder, from which a listing can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingPlace {
    /// Behind this child; 0: before the first.
    Child(NodeId),
    /// Behind all children and so many mounts.
    Mount(usize),
}

/// Returns what stands for mounts in the ETag of a folder above them.
pub(crate) fn mark_of<'m>(mounts: impl Iterator<Item = &'m Mount>) -> Option<u64> {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    for mount in mounts {
        any = true;
        let node = &mount.node;
        let permissions = mount.permissions.bits();
        for number in [
            node.id.0,
            node.space.0,
            node.tree_seq,
            node.rev,
            permissions,
        ] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(mount.path.to_string().as_bytes());
        hasher.update(b"/");
    }
    let mut mark = [0; 8];
    hasher.finalize_xof().fill(&mut mark);
    any.then(|| u64::from_le_bytes(mark))
}

impl Files {
    /// Returns the node at a path; a mount is called as it is where it appears.
    pub async fn find(&self, caller: &Caller, path: &NodePath) -> FilesResult<Node> {
        let located = self.readable(caller, path).await?;
        self.find_at(&located).await
    }

    /// Returns the node that a path led to.
    pub(crate) async fn find_at(&self, located: &Located) -> FilesResult<Node> {
        let find = FindNode {
            root: located.root,
            path: located.path.clone(),
        };
        let found = self.metadata.read(find).await;
        let found = found.map_err(located.failure())?;
        let mut node = found.ok_or_else(|| FilesError::NotFound {
            path: located.asked.clone(),
        })?;
        if let Some(name) = located.asked.name().filter(|_| located.is_mount_itself()) {
            name.as_str().clone_into(&mut node.name);
        }
        Ok(node)
    }

    /// Returns what the caller may do with what is at a path, why, and whose it is.
    pub async fn rights(&self, caller: &Caller, path: &NodePath) -> FilesResult<(Rights, Shown)> {
        let located = self.locate(caller, path).await?;
        let owner = owner_of(caller, &located);
        Ok((located.rights, owner))
    }

    /// Returns what the caller may do with a node, by whatever way they see it.
    pub async fn rights_on(&self, caller: &Caller, node: NodeId) -> FilesResult<Rights> {
        Ok(self.locate_node(caller, node).await?.rights)
    }

    /// Returns what a space holds and may hold, with the default of the settings where it has no quota of its own.
    pub fn quota_of(&self, held: SpaceUse) -> QuotaState {
        QuotaState {
            used_bytes: held.used_bytes,
            quota_bytes: match held.quota {
                Quota::Default => self.settings.quota_default_bytes,
                Quota::Unlimited => None,
                Quota::Bytes(bytes) => Some(bytes),
            },
        }
    }

    /// Returns the node at a path and the means to list its children.
    ///
    /// With `with_children` the first page is read on the same snapshot as the node;
    /// without, the listing has no pages. What is mounted in or below a folder is read before, so that its
    /// ETag is never newer than what is told of them.
    pub async fn list(
        &self,
        caller: &Caller,
        path: &NodePath,
        wants: ListingWants,
        with_children: bool,
    ) -> FilesResult<Listing> {
        let mut located = self.readable(caller, path).await?;
        let leads_to_mounts = |mounts: &[Mount]| mounts.iter().any(|m| m.path.is_within(path));
        if located.mount.is_none() && leads_to_mounts(&located.mounts) {
            let present = self.with_present_nodes(caller, &located.mounts).await;
            located.mounts = present.map_err(at(path))?;
        }
        let now = self.clock.now();
        let open = OpenListing {
            root: located.root,
            path: located.path.clone(),
            wants,
            with_children,
            now,
            quota_default_bytes: self.settings.quota_default_bytes,
        };
        let opened = self.metadata.read(open).await.map_err(located.failure())?;
        let size_bytes = opened.entry.node.size_bytes;
        let mut listing = Listing {
            entry: opened.entry,
            quota: located.shown_quota(opened.quota, size_bytes),
            rights: located.rights.clone(),
            owner: owner_of(caller, &located),
            metadata: Arc::clone(&self.metadata),
            wants,
            deep_locks: opened.deep_locks,
            mounted: Vec::new(),
            marks: HashMap::new(),
            caller: caller.user,
            shared: HashMap::new(),
            now,
            next: match opened.page.is_empty() {
                true if with_children => Next::Mounts,
                true => Next::End,
                false => Next::Ready(opened.page),
            },
            located,
        };
        listing.note_mounts(path);
        if wants.share_kinds {
            listing.note_shared().await?;
        }
        Ok(listing)
    }
}

/// Returns whose something is that a path led to.
fn owner_of(caller: &Caller, located: &Located) -> Shown {
    match (&located.mount, &caller.scope) {
        (Some(mount), _) => mount.owner.clone(),
        (None, Scope::Link(link)) => link.share.owner_shown.clone(),
        (None, Scope::Account) => Shown {
            name: caller.name.to_string(),
            display_name: caller.display_name.to_string(),
        },
    }
}

impl Listing {
    /// Notes how the caller shared the node, what is mounted in it, and the first page.
    async fn note_shared(&mut self) -> FilesResult<()> {
        let mounted = self.mounted.iter().map(|entry| entry.node.id);
        let nodes = [self.entry.node.id].into_iter().chain(mounted).collect();
        let page: &[Entry] = match &self.next {
            Next::Ready(page) => page,
            Next::After(_) | Next::Mounts | Next::End => &[],
        };
        self.shared = self.shared_among(nodes, page).await?;
        for entry in [&mut self.entry].into_iter().chain(&mut self.mounted) {
            if let Some(kinds) = self.shared.get(&entry.node.id) {
                entry.share_kinds.clone_from(kinds);
            }
        }
        Ok(())
    }

    async fn shared_among(
        &self,
        nodes: Vec<NodeId>,
        page: &[Entry],
    ) -> FilesResult<HashMap<NodeId, Vec<u8>>> {
        let ids = || page.iter().map(|entry| entry.node.id);
        let ends = ids().min().zip(ids().max());
        let list = ListSharedBy {
            sharer: self.caller,
            nodes,
            children: ends.map(|(first, last)| (self.entry.node.id, first, last)),
            now: self.now,
        };
        let found = self.metadata.read(list).await;
        found.map_err(self.located.failure())
    }

    /// Notes what is mounted at, in and below the node.
    fn note_mounts(&mut self, path: &NodePath) {
        let entry = &mut self.entry;
        self.located.show_locks(&mut entry.locks);
        if let Some(mount) = &self.located.mount {
            if self.located.path.is_root() {
                if let Some(name) = path.name() {
                    name.as_str().clone_into(&mut entry.node.name);
                }
                entry.mount = Some(Box::new(mount.clone()));
            }
            return;
        }
        let mounts = &self.located.mounts;
        let depth = path.names().len();
        let below = |mount: &&Mount| mount.path.is_within(path);
        entry.mounts_mark = mark_of(mounts.iter().filter(below));
        let mut further: HashMap<String, Vec<&Mount>> = HashMap::new();
        for mount in mounts.iter().filter(below) {
            let Some(name) = mount.path.names().get(depth) else {
                continue;
            };
            if mount.path.names().len() > depth + 1 {
                let name = name.as_str().to_owned();
                further.entry(name).or_default().push(mount);
                continue;
            }
            let mut node = mount.node.clone();
            name.as_str().clone_into(&mut node.name);
            let mut mounted = Entry::bare(node);
            mounted.mount = Some(Box::new(mount.clone()));
            self.mounted.push(mounted);
        }
        let marks = further.into_iter().filter_map(|(name, mounts)| {
            let mark = mark_of(mounts.into_iter())?;
            Some((name, mark))
        });
        self.marks = marks.collect();
    }
}

impl Files {
    /// Returns the path of a node that the caller may see; not of one in the trash.
    pub async fn path_of(&self, caller: &Caller, node: NodeId) -> FilesResult<NodePath> {
        let located = self.locate_node(caller, node).await?;
        if located.rights.may(Permissions::READ) {
            Ok(located.asked)
        } else {
            Err(FilesError::NotFound {
                path: NodePath::root(),
            })
        }
    }

    /// Returns where the caller sees each of some nodes, and what they may do there; `None`: they do not.
    pub async fn places_of(
        &self,
        caller: &Caller,
        nodes: &[NodeId],
    ) -> FilesResult<Vec<Option<(NodePath, Permissions)>>> {
        let home = Self::home_of(caller)?;
        let find = FindPaths {
            space: home.root.space,
            nodes: nodes.to_vec(),
        };
        let at_home = self.metadata.read(find).await;
        let at_home = at_home.map_err(at(&NodePath::root()))?;
        let mut places = Vec::with_capacity(nodes.len());
        for (node, path) in nodes.iter().zip(at_home) {
            if let Some(path) = path {
                places.push(Some((path, home.rights.permissions)));
                continue;
            }
            match self.locate_node(caller, *node).await {
                Ok(located) => places.push(Some((located.asked, located.rights.permissions))),
                Err(FilesError::NotFound { .. }) => places.push(None),
                Err(error) => return Err(error),
            }
        }
        Ok(places)
    }

    /// Tests a precondition as it stands now, for requests that change nothing.
    pub async fn check(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<()> {
        let located = self.readable(caller, path).await?;
        if precondition.is_empty() {
            return Ok(());
        }
        let check = CheckPrecondition {
            change: self.change(caller, &located),
            path: located.path.clone(),
            precondition: self.conditions(caller, &located, precondition).await?,
        };
        self.metadata.read(check).await.map_err(at(path))
    }

    /// Returns the dead properties of a node.
    pub async fn properties(&self, caller: &Caller, path: &NodePath) -> FilesResult<Vec<Property>> {
        let located = self.readable(caller, path).await?;
        let list = ListProperties {
            root: located.root,
            path: located.path.clone(),
        };
        self.metadata.read(list).await.map_err(at(path))
    }
}
