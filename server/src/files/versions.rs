//! Former versions of a file: list, read, bring back, name, delete.

use nuage_shared::node_path::NodePath;

use crate::files::Download;
use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::permissions::Located;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::versions::DeleteVersion;
use crate::store::metadata::versions::LabelVersion;
use crate::store::metadata::versions::ListVersions;
use crate::store::metadata::versions::OpenVersion;
use crate::store::metadata::versions::RestoreVersion;
use crate::store::metadata::versions::Version;

/// The longest label, in bytes.
const LABEL_BYTES_MAX: usize = 1_024;

impl Files {
    /// Returns where a node lies that the caller may read as it was.
    async fn node_to_read(&self, caller: &Caller, node: NodeId) -> FilesResult<Located> {
        let located = self.locate_node(caller, node).await?;
        if located.rights.may(Permissions::READ) && located.rights.may_download {
            Ok(located)
        } else {
            Err(FilesError::NotFound { path: shown(node) })
        }
    }

    /// Returns the change that the caller may make of a node.
    async fn node_to_change(&self, caller: &Caller, node: NodeId) -> FilesResult<Change> {
        let located = self.node_to_read(caller, node).await?;
        if located.rights.may(Permissions::UPDATE) {
            Ok(self.change(caller, &located))
        } else {
            Err(FilesError::NotPermitted { path: shown(node) })
        }
    }

    /// Lists the former versions of a file, the newest first, and the file.
    pub async fn versions(
        &self,
        caller: &Caller,
        node: NodeId,
    ) -> FilesResult<(Node, Vec<Version>)> {
        let path = shown(node);
        let space = self.node_to_read(caller, node).await?.root.space;
        let list = ListVersions { space, node };
        self.metadata.read(list).await.map_err(at(&path))
    }

    /// Opens a former version for reading.
    pub async fn open_version(
        &self,
        caller: &Caller,
        node: NodeId,
        number: i64,
    ) -> FilesResult<Download> {
        let path = shown(node);
        let space = self.node_to_read(caller, node).await?.root.space;
        let open = OpenVersion {
            space,
            node,
            number,
        };
        let (node, content) = self.metadata.read(open).await.map_err(at(&path))?;
        Ok(self.download_of(node, content, path))
    }

    /// Makes a former version the current one, without copying; what was current becomes a version.
    pub async fn restore_version(
        &self,
        caller: &Caller,
        node: NodeId,
        number: i64,
        precondition: &Precondition,
    ) -> FilesResult<Node> {
        let path = shown(node);
        let restore = RestoreVersion {
            change: self.node_to_change(caller, node).await?,
            node,
            number,
            precondition: precondition.clone(),
        };
        self.metadata.write(restore).await.map_err(at(&path))
    }

    /// Gives a former version a label, which keeps it from being thinned out; an empty one takes it away.
    pub async fn label_version(
        &self,
        caller: &Caller,
        node: NodeId,
        number: i64,
        label: &str,
    ) -> FilesResult<()> {
        let path = shown(node);
        let change = self.node_to_change(caller, node).await?;
        if label.len() > LABEL_BYTES_MAX {
            return Err(FilesError::PropertiesTooLarge { path });
        }
        let label = LabelVersion {
            space: change.space,
            node,
            number,
            label: Some(label.to_owned()).filter(|label| !label.is_empty()),
        };
        self.metadata.write(label).await.map_err(at(&path))
    }

    /// Deletes a former version for good.
    pub async fn delete_version(
        &self,
        caller: &Caller,
        node: NodeId,
        number: i64,
    ) -> FilesResult<()> {
        let path = shown(node);
        let change = self.node_to_change(caller, node).await?;
        let delete = DeleteVersion {
            space: change.space,
            node,
            number,
            now: change.now,
        };
        self.metadata.write(delete).await.map_err(at(&path))
    }
}

/// What is said of a file that is known by its number alone.
fn shown(node: NodeId) -> NodePath {
    NodePath::parse(&node.0.to_string()).unwrap_or_default()
}
