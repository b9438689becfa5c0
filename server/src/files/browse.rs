//! Looking: find a node, list a folder, read properties.

use std::sync::Arc;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::identity::Quota;
use crate::identity::SpaceUse;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::browse::FindPath;
use crate::store::metadata::browse::ListChildren;
use crate::store::metadata::browse::ListProperties;
use crate::store::metadata::browse::OpenListing;
use crate::store::metadata::browse::PAGE_NODES;
use crate::store::metadata::changes::Watcher;
use crate::store::metadata::locks::CheckPrecondition;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Property;
use crate::store::metadata::records::QuotaState;
use crate::store::metadata::records::SpaceId;

/// A node and, page by page, its children.
#[derive(Debug)]
pub struct Listing {
    /// The node itself.
    pub entry: Entry,
    /// The quota of its space, where it was asked for.
    pub quota: Option<QuotaState>,
    metadata: Arc<MetadataStore>,
    path: NodePath,
    space: SpaceId,
    wants: ListingWants,
    deep_locks: Vec<Lock>,
    now: Timestamp,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// A page that was read together with the node.
    Ready(Vec<Entry>),
    /// What follows this child.
    After(NodeId),
    /// Nothing.
    End,
}

impl Listing {
    /// Returns the next children (at most 1 000, in an order that renames do not disturb); empty: no more.
    ///
    /// An error must end the answer visibly: it never means "no more".
    pub async fn next_page(&mut self) -> FilesResult<Vec<Entry>> {
        let page = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return Ok(Vec::new()),
            Next::Ready(page) => page,
            Next::After(after) => {
                let list = ListChildren {
                    space: self.space,
                    folder: self.entry.node.id,
                    path: self.path.clone(),
                    after,
                    wants: self.wants,
                    deep_locks: self.deep_locks.clone(),
                    now: self.now,
                };
                self.metadata.read(list).await.map_err(at(&self.path))?
            }
        };
        if let Some(last) = page.last().filter(|_| page.len() >= PAGE_NODES) {
            self.next = Next::After(last.node.id);
        }
        Ok(page)
    }
}

impl Files {
    /// Returns the node at a path.
    pub async fn find(&self, caller: &Caller, path: &NodePath) -> FilesResult<Node> {
        let space = Self::permit_reading(caller, path)?;
        let found = self
            .metadata
            .read(FindNode {
                space,
                path: path.clone(),
            })
            .await;
        found
            .map_err(at(path))?
            .ok_or_else(|| FilesError::NotFound { path: path.clone() })
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
    /// without, the listing has no pages.
    pub async fn list(
        &self,
        caller: &Caller,
        path: &NodePath,
        wants: ListingWants,
        with_children: bool,
    ) -> FilesResult<Listing> {
        let space = Self::permit_reading(caller, path)?;
        let now = self.clock.now();
        let open = OpenListing {
            space,
            path: path.clone(),
            wants,
            with_children,
            now,
            quota_default_bytes: self.settings.quota_default_bytes,
        };
        let opened = self.metadata.read(open).await.map_err(at(path))?;
        Ok(Listing {
            entry: opened.entry,
            quota: opened.quota,
            metadata: Arc::clone(&self.metadata),
            path: path.clone(),
            space,
            wants,
            deep_locks: opened.deep_locks,
            now,
            next: if opened.page.is_empty() {
                Next::End
            } else {
                Next::Ready(opened.page)
            },
        })
    }

    /// Begins to watch everything that the caller can see: what changes after this returns is heard of.
    pub async fn watch(&self, caller: &Caller) -> FilesResult<Watcher> {
        let root = NodePath::root();
        let space = Self::permit_reading(caller, &root)?;
        self.metadata.watch(space).await.map_err(at(&root))
    }

    /// Returns the path of a node that the caller may see; not of one in the trash.
    pub async fn path_of(&self, caller: &Caller, node: NodeId) -> FilesResult<NodePath> {
        let root = NodePath::root();
        let space = Self::permit_reading(caller, &root)?;
        let find = FindPath { space, node };
        let found = self.metadata.read(find).await.map_err(at(&root))?;
        found.ok_or(FilesError::NotFound { path: root })
    }

    /// Tests a precondition as it stands now, for requests that change nothing.
    pub async fn check(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<()> {
        let space = Self::permit_reading(caller, path)?;
        if precondition.is_empty() {
            return Ok(());
        }
        let check = CheckPrecondition {
            change: self.change(caller, space),
            path: path.clone(),
            precondition: precondition.clone(),
        };
        self.metadata.read(check).await.map_err(at(path))
    }

    /// Returns the dead properties of a node.
    pub async fn properties(&self, caller: &Caller, path: &NodePath) -> FilesResult<Vec<Property>> {
        let space = Self::permit_reading(caller, path)?;
        self.metadata
            .read(ListProperties {
                space,
                path: path.clone(),
            })
            .await
            .map_err(at(path))
    }
}
