//! What was deleted: see it, read it, bring it back, let it go for good.

use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Download;
use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::metadata::browse::ListChildren;
use crate::store::metadata::browse::PAGE_NODES;
use crate::store::metadata::contents::FindContentById;
use crate::store::metadata::deleted::FindDeletedFile;
use crate::store::metadata::records::Entry;
use crate::store::metadata::records::ListingWants;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::trash::DiscardTrash;
use crate::store::metadata::trash::FindInTrash;
use crate::store::metadata::trash::ListNewestTrash;
use crate::store::metadata::trash::ListTrash;
use crate::store::metadata::trash::NameInTrash;
use crate::store::metadata::trash::PurgeDiscarded;
use crate::store::metadata::trash::RestoreFromTrash;
use crate::store::metadata::trash::TrashEntry;
use crate::store::metadata::tree::Delete;

/// Slices that are deleted for good before the answer; housekeeping does the rest.
const SLICES_AT_ONCE: usize = 20;

/// Which deleted thing is meant.
#[derive(Debug, Clone)]
pub struct InTrash {
    /// The name that the deleted tree had.
    pub name: String,
    /// The second of its deletion, since 1970.
    pub second: i64,
    /// The names that lead down from it; empty: itself.
    pub below: Vec<NodeName>,
}

impl InTrash {
    fn shown(&self) -> NodePath {
        NodePath::parse(&self.name).unwrap_or_default()
    }
}

impl Files {
    /// Lists the next deleted trees (at most 1 000, the oldest first); empty: no more.
    ///
    /// `after` is moment and number of the last one of the page before; zeros to begin.
    pub async fn list_trash(
        &self,
        caller: &Caller,
        after: (Timestamp, NodeId),
    ) -> FilesResult<Vec<TrashEntry>> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        let list = ListTrash { space, after };
        self.metadata.read(list).await.map_err(at(&root))
    }

    /// Lists the next deleted trees (at most 1 000, the newest first); empty: no more.
    ///
    /// `before` is moment and number of the last one of the page before; `None` to begin.
    pub async fn list_newest_trash(
        &self,
        caller: &Caller,
        before: Option<(Timestamp, NodeId)>,
    ) -> FilesResult<Vec<TrashEntry>> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        let list = ListNewestTrash { space, before };
        self.metadata.read(list).await.map_err(at(&root))
    }

    /// Says by which name and second a deleted tree is found that is known by its number.
    pub async fn name_in_trash(&self, caller: &Caller, node: NodeId) -> FilesResult<InTrash> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        let find = NameInTrash { space, node };
        let found = self.metadata.read(find).await.map_err(at(&root))?;
        let (name, at) = found.ok_or(FilesError::NotFound { path: root })?;
        Ok(InTrash {
            name,
            second: at.seconds(),
            below: Vec::new(),
        })
    }

    /// Finds a deleted tree, and the node in it that is meant.
    pub async fn find_in_trash(
        &self,
        caller: &Caller,
        meant: &InTrash,
    ) -> FilesResult<(TrashEntry, Node)> {
        let path = meant.shown();
        let space = Self::home_of(caller)?.root.space;
        let find = FindInTrash {
            space,
            name: meant.name.clone(),
            second: meant.second,
            below: meant.below.clone(),
        };
        let found = self.metadata.read(find).await.map_err(at(&path))?;
        found.ok_or(FilesError::NotFound { path })
    }

    /// Lists the next members (at most 1 000) of a deleted folder that was found; empty: no more.
    pub async fn list_deleted_folder(
        &self,
        caller: &Caller,
        folder: &Node,
        after: NodeId,
    ) -> FilesResult<Vec<Entry>> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        if folder.space != space {
            return Err(FilesError::NotFound { path: root });
        }
        let list = ListChildren {
            space,
            folder: folder.id,
            path: NodePath::root(),
            after,
            max: PAGE_NODES,
            wants: ListingWants::default(),
            deep_locks: Vec::new(),
            now: self.clock.now(),
        };
        self.metadata.read(list).await.map_err(at(&root))
    }

    /// Opens a deleted file for reading; its name is the one that it had.
    pub async fn open_deleted(&self, caller: &Caller, meant: &InTrash) -> FilesResult<Download> {
        let (entry, mut node) = self.find_in_trash(caller, meant).await?;
        let path = meant.shown();
        if meant.below.is_empty() {
            node.name = entry.name;
        }
        let Some(content) = node.content else {
            return Err(FilesError::IsAFolder { path });
        };
        let found = self.metadata.read(FindContentById(content)).await;
        let content = found.map_err(at(&path))?;
        let content = content.ok_or_else(|| FilesError::NotFound { path: path.clone() })?;
        Ok(self.download_of(node, content, path))
    }

    /// Opens a deleted file, which is known by its number, for reading.
    pub async fn open_deleted_number(
        &self,
        caller: &Caller,
        node: NodeId,
    ) -> FilesResult<Download> {
        let root = NodePath::root();
        let space = Self::home_of(caller)?.root.space;
        let find = FindDeletedFile { space, node };
        let found = self.metadata.read(find).await.map_err(at(&root))?;
        let (node, content) = found.ok_or(FilesError::NotFound { path: root })?;
        let path = NodePath::parse(&node.name).unwrap_or_default();
        Ok(self.download_of(node, content, path))
    }

    /// Brings a deleted tree back, with its number, versions and properties; returns it and where it is.
    ///
    /// It goes to the folder that held it, wherever that is now; to the root, where that is gone. A
    /// name that is taken gets ` (restored)`.
    pub async fn restore(&self, caller: &Caller, meant: &InTrash) -> FilesResult<(Node, NodePath)> {
        let path = meant.shown();
        let (_, change) = self.changeable_home(caller)?;
        if !meant.below.is_empty() {
            return Err(FilesError::NotPermitted { path });
        }
        let restore = RestoreFromTrash {
            change,
            name: meant.name.clone(),
            second: meant.second,
        };
        self.metadata.write(restore).await.map_err(at(&path))
    }

    /// Deletes a deleted tree for good.
    pub async fn discard(&self, caller: &Caller, meant: &InTrash) -> FilesResult<()> {
        let path = meant.shown();
        let (_, change) = self.changeable_home(caller)?;
        if !meant.below.is_empty() {
            return Err(FilesError::NotPermitted { path });
        }
        let (entry, _) = self.find_in_trash(caller, meant).await?;
        let discard = DiscardTrash {
            space: change.space,
            only: Some(entry.node.id),
        };
        let gone = self.metadata.write(discard).await.map_err(at(&path))?;
        if gone == 0 {
            return Err(FilesError::NotFound { path });
        }
        self.purge_discarded(change.space).await;
        Ok(())
    }

    /// Empties the trash: at once nothing of it is seen, and soon nothing is left.
    pub async fn empty_trash(&self, caller: &Caller) -> FilesResult<()> {
        let root = NodePath::root();
        let (_, change) = self.changeable_home(caller)?;
        let discard = DiscardTrash {
            space: change.space,
            only: None,
        };
        self.metadata.write(discard).await.map_err(at(&root))?;
        self.purge_discarded(change.space).await;
        Ok(())
    }

    /// Deletes a node of the caller's own, with everything below, for good.
    pub async fn delete_for_good(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<()> {
        let (located, change) = self.changeable(caller, path).await?;
        if located.root.top.is_some() {
            // What belongs to others goes to their trash, however it is deleted.
            return self.delete(caller, path, precondition).await.map(drop);
        }
        let space = change.space;
        let delete = Delete {
            change,
            path: located.path.clone(),
            for_good: true,
            precondition: located.conditions(precondition),
        };
        let deleted = self.metadata.write(delete).await;
        deleted.map_err(located.failure())?;
        self.purge_discarded(space).await;
        Ok(())
    }

    /// Does some of housekeeping's work at once. What fails is done by it later.
    async fn purge_discarded(&self, space: SpaceId) {
        for _slice in 0..SLICES_AT_ONCE {
            let now = self.clock.now();
            let purge = PurgeDiscarded { space, now };
            match self.metadata.write_in_background(purge).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "what was let go stays until housekeeping comes");
                    return;
                }
            }
        }
    }
}
