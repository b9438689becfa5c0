//! Arranging: make folders, move, copy, delete, set times and properties.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::permissions::Located;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::metadata::copy::Copy;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::marks::MarkFavorite;
use crate::store::metadata::mounts::LeaveMount;
use crate::store::metadata::mounts::PlaceMount;
use crate::store::metadata::mounts::Source;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::PropertyPatch;
use crate::store::metadata::tree::Delete;
use crate::store::metadata::tree::MakeFolder;
use crate::store::metadata::tree::Move;
use crate::store::metadata::tree::PatchProperties;
use crate::store::metadata::tree::Touch;

/// What changes of a node's properties.
#[derive(Debug, Default)]
pub struct PropertyChange {
    /// Dead properties, in order.
    pub patches: Vec<PropertyPatch>,
    /// The new modification time.
    pub modified_at: Option<Timestamp>,
    /// Whether it is a favourite of the caller.
    pub favorite: Option<bool>,
}

impl Files {
    /// Makes a folder, with dead properties if there are any: all of it or nothing.
    pub async fn make_folder(
        &self,
        caller: &Caller,
        path: &NodePath,
        patches: Vec<PropertyPatch>,
        precondition: &Precondition,
    ) -> FilesResult<Node> {
        let (located, change) = self.changeable_or_mount(caller, path).await?;
        if located.is_mount_itself() {
            return Err(FilesError::AlreadyExists { path: path.clone() });
        }
        let make = MakeFolder {
            change,
            path: located.path.clone(),
            patches,
            bytes_max: self.settings.property_bytes_max,
            precondition: self.conditions(caller, &located, precondition).await?,
        };
        let written = self.metadata.write(make).await;
        let written = written.map_err(located.failure())?;
        written.ok_or_else(|| FilesError::PropertiesTooLarge { path: path.clone() })
    }

    /// Makes the folders above a path that are missing, each in a change of its own.
    pub async fn make_folders_above(&self, caller: &Caller, path: &NodePath) -> FilesResult<()> {
        let Some(above) = path.parent() else {
            return Ok(());
        };
        match self.find(caller, &above).await {
            Err(FilesError::NotFound { .. }) => {}
            found => return found.map(drop),
        }
        let mut folder = NodePath::root();
        for name in above.names() {
            folder = folder
                .child(name.clone())
                .map_err(|_too_long| FilesError::ParentMissing { path: path.clone() })?;
            let unconditional = Precondition::default();
            let made = self.make_folder(caller, &folder, Vec::new(), &unconditional);
            match made.await {
                Ok(_) | Err(FilesError::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves or renames a node in one step, replacing the target if `overwrite`.
    ///
    /// A file that replaces a file takes over its versions, locks and shares; in another space, the target
    /// keeps them and takes the content. A mount is moved within the caller's home alone.
    pub async fn move_node(
        &self,
        caller: &Caller,
        from: &NodePath,
        to: &NodePath,
        overwrite: bool,
        precondition: &Precondition,
    ) -> FilesResult<Committed> {
        let (source, left) = self.changeable_or_mount(caller, from).await?;
        if source.is_mount_itself() {
            return self
                .move_mount(caller, (&source, to), overwrite, precondition)
                .await;
        }
        if source.is_given_itself() {
            return Err(FilesError::NotPermitted { path: from.clone() });
        }
        let (target, change) = self.changeable(caller, to).await?;
        if !source.rights.may_download && source.root != target.root {
            // Elsewhere its content could be read.
            return Err(FilesError::NotPermitted { path: from.clone() });
        }
        if target.is_mount_itself() {
            return self
                .move_onto_mount(caller, (from, to), overwrite, precondition)
                .await;
        }
        let operation = Move {
            source: left,
            change,
            from: source.path.clone(),
            to: target.path.clone(),
            overwrite,
            precondition: self.conditions(caller, &source, precondition).await?,
        };
        let moved = self.metadata.write(operation).await;
        moved.map_err(both(&source, &target))
    }

    /// Returns where something lies that may be moved: the caller may change it, or it is a mount.
    async fn changeable_or_mount(
        &self,
        caller: &Caller,
        path: &NodePath,
    ) -> FilesResult<(Located, Change)> {
        let located = self.locate(caller, path).await?;
        if located.is_mount_itself() && !caller.is_read_only {
            let change = self.change(caller, &located);
            return Ok((located, change));
        }
        self.changeable(caller, path).await
    }

    /// Gives a mount another place in its receiver's home; nobody else sees that.
    async fn move_mount(
        &self,
        caller: &Caller,
        (source, to): (&Located, &NodePath),
        overwrite: bool,
        precondition: &Precondition,
    ) -> FilesResult<Committed> {
        let target = self.locate(caller, to).await?;
        if target.mount.is_some() {
            return Err(FilesError::NotPermitted { path: to.clone() });
        }
        let from = &source.asked;
        self.check(caller, from, precondition).await?;
        let old = match self.find_at(&target).await {
            Ok(old) => Some(old),
            Err(FilesError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if old.is_some() && !overwrite {
            return Err(FilesError::PreconditionFailed { path: to.clone() });
        }
        let mut conditions = Precondition::default();
        conditions.lists.clone_from(&precondition.lists);
        if old.is_some() {
            self.delete(caller, to, &conditions).await?;
        }
        let mut node = self.find_at(source).await?;
        let place = PlaceMount {
            account: caller.user,
            home: caller.home,
            node: node.id,
            path: to.clone(),
        };
        self.metadata.write(place).await.map_err(at(to))?;
        if let Some(name) = to.name() {
            name.as_str().clone_into(&mut node.name);
        }
        Ok(Committed {
            node,
            created: old.is_none(),
        })
    }

    /// Makes a file the content of a file that the caller was given, which stays where it is.
    async fn move_onto_mount(
        &self,
        caller: &Caller,
        (from, to): (&NodePath, &NodePath),
        overwrite: bool,
        precondition: &Precondition,
    ) -> FilesResult<Committed> {
        let (source, left) = self.changeable(caller, from).await?;
        let may_leave = source.rights.may(Permissions::DELETE);
        if self.find(caller, from).await?.is_folder() || !may_leave {
            return Err(FilesError::NotPermitted { path: to.clone() });
        }
        let copied = self
            .copy_node(caller, from, to, overwrite, false, precondition)
            .await?;
        let delete = Delete {
            change: left,
            path: source.path.clone(),
            for_good: false,
            precondition: self.conditions(caller, &source, precondition).await?,
        };
        let deleted = self.metadata.write(delete).await;
        deleted.map_err(source.failure())?;
        Ok(copied)
    }

    /// Copies a node (with everything below unless `shallow`) without copying content.
    pub async fn copy_node(
        &self,
        caller: &Caller,
        from: &NodePath,
        to: &NodePath,
        overwrite: bool,
        shallow: bool,
        precondition: &Precondition,
    ) -> FilesResult<Committed> {
        let source = self.readable(caller, from).await?;
        if !source.rights.may_download {
            return Err(FilesError::NotPermitted { path: from.clone() });
        }
        let (target, change) = self.changeable(caller, to).await?;
        let operation = Copy {
            source: self.change(caller, &source),
            change,
            from: source.path.clone(),
            to: target.path.clone(),
            overwrite,
            shallow,
            precondition: self.conditions(caller, &source, precondition).await?,
        };
        let copied = self.metadata.write(operation).await;
        copied.map_err(both(&source, &target))
    }

    /// Moves a node, with everything below, to the trash of its space; a mount is left.
    ///
    /// Returns by which number the caller finds it in their trash, if it is there.
    pub async fn delete(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<Option<NodeId>> {
        let (located, change) = self.changeable_or_mount(caller, path).await?;
        if located.is_mount_itself() {
            self.check(caller, path, precondition).await?;
            self.leave(caller, &located).await?;
            return Ok(None);
        }
        if located.is_given_itself() {
            return Err(FilesError::NotPermitted { path: path.clone() });
        }
        let delete = Delete {
            change,
            path: located.path.clone(),
            for_good: false,
            precondition: self.conditions(caller, &located, precondition).await?,
        };
        let deleted = self.metadata.write(delete).await;
        let node = deleted.map_err(located.failure())?;
        Ok(Some(node).filter(|_| located.root.top.is_none()))
    }

    /// Leaves what the caller was given. The space of a group is not left while one belongs to the group.
    pub(crate) async fn leave(&self, caller: &Caller, located: &Located) -> FilesResult<()> {
        let path = &located.asked;
        let refused = || FilesError::NotPermitted { path: path.clone() };
        let mount = located.mount.as_ref().ok_or_else(refused)?;
        if matches!(mount.source, Source::Team(..)) {
            return Err(refused());
        }
        let leave = LeaveMount {
            account: caller.user,
            node: mount.node.id,
            name: mount
                .path
                .name()
                .map_or_else(String::new, |name| name.as_str().to_owned()),
            now: self.clock.now(),
        };
        self.metadata.write(leave).await.map_err(at(path))
    }

    /// Changes properties: all or none.
    ///
    /// A favourite is the caller's own mark: setting it alone needs no right to change the node, meets no
    /// lock and changes no ETag. With an app password that only reads it is not set.
    pub async fn patch_properties(
        &self,
        caller: &Caller,
        path: &NodePath,
        change: PropertyChange,
        precondition: &Precondition,
    ) -> FilesResult<()> {
        if let (Some(is_favorite), None, []) = (
            change.favorite,
            change.modified_at,
            change.patches.as_slice(),
        ) {
            let located = self.readable(caller, path).await?;
            Self::home_of(caller)?;
            if caller.is_read_only {
                return Err(FilesError::NotPermitted { path: path.clone() });
            }
            let mark = MarkFavorite {
                change: self.change(caller, &located),
                path: located.path.clone(),
                is_favorite,
                precondition: self.conditions(caller, &located, precondition).await?,
            };
            return self.metadata.write(mark).await.map_err(at(path));
        }
        let (located, made) = self.changeable(caller, path).await?;
        let operation = PatchProperties {
            change: made,
            path: located.path.clone(),
            patches: change.patches,
            modified_at: change.modified_at,
            favorite: change.favorite,
            bytes_max: self.settings.property_bytes_max,
            precondition: self.conditions(caller, &located, precondition).await?,
        };
        let patched = self.metadata.write(operation).await;
        if patched.map_err(located.failure())? {
            Ok(())
        } else {
            Err(FilesError::PropertiesTooLarge { path: path.clone() })
        }
    }

    /// Sets the modification time of a node.
    pub async fn touch(
        &self,
        caller: &Caller,
        path: &NodePath,
        modified_at: Timestamp,
        precondition: &Precondition,
    ) -> FilesResult<Node> {
        let (located, change) = self.changeable(caller, path).await?;
        let touch = Touch {
            change,
            path: located.path.clone(),
            modified_at,
            precondition: self.conditions(caller, &located, precondition).await?,
        };
        let touched = self.metadata.write(touch).await;
        touched.map_err(located.failure())
    }
}

/// Turns what the store says of a move or copy into what the caller is told: a lock is at the target, unless its
/// path can only be one of the source.
fn both<E: Into<StoreError>>(source: &Located, target: &Located) -> impl FnOnce(E) -> FilesError {
    let at_source = source.failure();
    let at_target = target.failure();
    let place = (source.path.clone(), target.path.clone());
    move |error| {
        let error = error.into();
        let is_at_target = match &error {
            StoreError::Refused(Refusal::Locked { path, .. }) => {
                path.is_within(&place.1) || !path.is_within(&place.0)
            }
            _ => false,
        };
        if is_at_target {
            at_target(error)
        } else {
            at_source(error)
        }
    }
}
