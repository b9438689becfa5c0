//! Nodes as the page reads them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::call::shown;
use crate::files::Entry;
use crate::files::Mount;
use crate::files::Node;
use crate::files::Permissions;
use crate::files::QuotaState;
use crate::files::Source;
use crate::files::Timestamp;
use nuage_shared::node_path::NodePath;

/// A moment, in milliseconds since 1970.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// The moment of a number of milliseconds since 1970, as far as a moment can be said.
pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp(millis.saturating_mul(1_000_000))
}

/// 0: a file, 1: a folder.
pub(super) fn kind_of(node: &Node) -> u8 {
    u8::from(node.is_folder())
}

/// The numbers of the OCS sharing API that the page knows.
const KINDS: [(u8, u8); 3] = [(0, 1), (1, 2), (3, 4)];

/// Returns how something is shared: 1 with people, 2 with groups, 4 by link.
pub(super) fn shared_bits(kinds: &[u8]) -> u8 {
    let bits = KINDS.iter().filter(|(kind, _)| kinds.contains(kind));
    bits.fold(0, |all, (_, bit)| all | bit)
}

/// Somebody, or a group.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Named {
    /// The name by which they are known.
    pub(super) name: String,
    /// The name that people see.
    pub(super) display_name: String,
}

impl From<crate::files::Shown> for Named {
    fn from(shown: crate::files::Shown) -> Self {
        Self {
            name: shown.name,
            display_name: shown.display_name,
        }
    }
}

/// Room of a space.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Quota {
    /// What it holds, in bytes.
    used_bytes: u64,
    /// What it may hold, in bytes; null: no limit.
    quota_bytes: Option<u64>,
}

impl From<QuotaState> for Quota {
    fn from(state: QuotaState) -> Self {
        Self {
            used_bytes: state.used_bytes,
            quota_bytes: state.quota_bytes,
        }
    }
}

/// What something is that lies in the caller's home and is not theirs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct MountShape {
    /// `share` or `group`.
    kind: &'static str,
    /// Whose it is.
    owner: Named,
    /// Who gave it.
    from: Named,
}

impl MountShape {
    pub(super) fn of(mount: &Mount) -> Self {
        Self {
            kind: match mount.source {
                Source::Shares(_) => "share",
                Source::Team(..) => "group",
            },
            owner: mount.owner.clone().into(),
            from: mount.sharer.clone().into(),
        }
    }
}

/// A file or folder.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct NodeShape {
    /// Its number for life.
    id: i64,
    /// Where it is.
    path: String,
    /// Its name.
    name: String,
    /// 0: file, 1: folder.
    kind: u8,
    /// Bytes; of a folder, of everything below.
    size: u64,
    /// When it was modified, in milliseconds since 1970.
    modified: i64,
    /// When it was made, in milliseconds since 1970.
    created: i64,
    /// Changes when it does.
    etag: String,
    /// What the caller may do: 1 read, 2 update, 4 create in it, 8 delete, 16 share.
    permissions: i64,
    /// Whether the caller marked it.
    favorite: bool,
    /// How the caller shared it: 1 with people, 2 with groups, 4 by link.
    shared: u8,
    /// What it is, where it was given.
    mount: Option<MountShape>,
    /// Whose it is.
    owner: Named,
    /// Of a folder: files below.
    files: u64,
}

impl NodeShape {
    /// A node as a listing brings it; `around` is what may be done in the folder it is in.
    pub(super) fn of_entry(
        entry: &Entry,
        path: &NodePath,
        around: Permissions,
        owner: &Named,
    ) -> Self {
        let mount = entry.mount.as_deref();
        let permissions = mount.map_or(around, |mount| mount.permissions);
        let owner = mount.map_or_else(|| owner.clone(), |mount| mount.owner.clone().into());
        Self {
            favorite: entry.is_favorite,
            shared: shared_bits(&entry.share_kinds),
            mount: mount.map(MountShape::of),
            ..Self::of_node(&entry.node, path, permissions, owner)
        }
    }

    /// A node of which nothing else is known.
    pub(super) fn of_node(
        node: &Node,
        path: &NodePath,
        permissions: Permissions,
        owner: Named,
    ) -> Self {
        let name = path.name().map(|name| name.as_str().to_owned());
        Self {
            id: node.id.0,
            path: shown(path),
            name: name.unwrap_or_default(),
            kind: kind_of(node),
            size: node.size_bytes,
            modified: millis(node.mtime),
            created: millis(node.ctime),
            etag: node.etag(),
            permissions: permissions.bits(),
            favorite: false,
            shared: 0,
            mount: None,
            owner,
            files: node.tree_files,
        }
    }
}

/// Files and folders, wherever they are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nodes {
    /// They.
    pub(super) items: Vec<NodeShape>,
    /// What the next page is asked for with; null: there is none.
    pub(super) next: Option<String>,
}
