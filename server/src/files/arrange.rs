//! Arranging: make folders, move, copy, delete, set times and properties.

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::metadata::copy::Copy;
use crate::store::metadata::marks::MarkFavorite;
use crate::store::metadata::records::Committed;
use crate::store::metadata::records::Node;
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
        let change = self.permit_change(caller, path)?;
        let make = MakeFolder {
            change,
            path: path.clone(),
            patches,
            bytes_max: self.settings.property_bytes_max,
            precondition: precondition.clone(),
        };
        let written = self.metadata.write(make).await.map_err(at(path))?;
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
    /// A file that replaces a file takes over its versions, locks and shares.
    pub async fn move_node(
        &self,
        caller: &Caller,
        from: &NodePath,
        to: &NodePath,
        overwrite: bool,
        precondition: &Precondition,
    ) -> FilesResult<Committed> {
        let change = self.permit_change(caller, from)?;
        self.permit_change(caller, to)?;
        let (from, to) = (from.clone(), to.clone());
        let precondition = precondition.clone();
        let operation = Move {
            change,
            from: from.clone(),
            to,
            overwrite,
            precondition,
        };
        self.metadata.write(operation).await.map_err(at(&from))
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
        Self::permit_reading(caller, from)?;
        let change = self.permit_change(caller, to)?;
        let (from, to) = (from.clone(), to.clone());
        let precondition = precondition.clone();
        let operation = Copy {
            change,
            from: from.clone(),
            to,
            overwrite,
            shallow,
            precondition,
        };
        self.metadata.write(operation).await.map_err(at(&from))
    }

    /// Moves a node, with everything below, to the trash.
    pub async fn delete(
        &self,
        caller: &Caller,
        path: &NodePath,
        precondition: &Precondition,
    ) -> FilesResult<()> {
        let change = self.permit_change(caller, path)?;
        let (path, precondition) = (path.clone(), precondition.clone());
        let delete = Delete {
            change,
            path: path.clone(),
            for_good: false,
            precondition,
        };
        self.metadata.write(delete).await.map_err(at(&path))
    }

    /// Changes properties: all or none.
    ///
    /// A favourite is the caller's own mark: setting it alone needs no right to change the node, meets no
    /// lock and changes no ETag.
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
            let space = Self::permit_reading(caller, path)?;
            let mark = MarkFavorite {
                change: self.change(caller, space),
                path: path.clone(),
                is_favorite,
                precondition: precondition.clone(),
            };
            return self.metadata.write(mark).await.map_err(at(path));
        }
        let operation = PatchProperties {
            change: self.permit_change(caller, path)?,
            path: path.clone(),
            patches: change.patches,
            modified_at: change.modified_at,
            favorite: change.favorite,
            bytes_max: self.settings.property_bytes_max,
            precondition: precondition.clone(),
        };
        if self.metadata.write(operation).await.map_err(at(path))? {
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
        let change = self.permit_change(caller, path)?;
        let (path, precondition) = (path.clone(), precondition.clone());
        let touch = Touch {
            change,
            path: path.clone(),
            modified_at,
            precondition,
        };
        self.metadata.write(touch).await.map_err(at(&path))
    }
}
