//! Rows of the metadata store, as the rest of the server sees them.

use bytes::Bytes;
use nuage_shared::chunk_id::ContentId;
use nuage_shared::chunker::Profile;
use nuage_shared::manifest::PackId;
use nuage_shared::manifest::Place;
use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::mounts::Mount;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);
    )*};
}

ids! {
    /// A person's account. Never used again.
    UserId
    /// A tree with one owner of quota. Never used again.
    SpaceId
    /// A file or folder; kept when renamed or moved. Never used again. Also `oc:fileid`.
    NodeId
    /// A row of `content`: an immutable sequence of bytes, of one space.
    ContentRef
    /// An app token. Never used again.
    TokenId
}

/// Where paths begin: the root of a space, or a node in it that somebody was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root {
    /// The space.
    pub space: SpaceId,
    /// The node; `None`: the space's own root.
    pub top: Option<NodeId>,
}

impl From<SpaceId> for Root {
    fn from(space: SpaceId) -> Self {
        Self { space, top: None }
    }
}

/// A set of things that somebody may do with nodes, numbered as the OCS sharing API does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Permissions(u8);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// See, list, read.
    pub const READ: Self = Self(1);
    /// Change contents, names and properties.
    pub const UPDATE: Self = Self(2);
    /// Make files and folders.
    pub const CREATE: Self = Self(4);
    /// Delete, and move away.
    pub const DELETE: Self = Self(8);
    /// Give to others.
    pub const SHARE: Self = Self(16);
    /// Everything.
    pub const ALL: Self = Self(31);
    /// Take contents away as they are; reckoned beside the others, and never part of what a protocol tells.
    pub(crate) const DOWNLOAD: Self = Self(32);

    /// Returns the set of these bits; unknown ones are left out.
    pub const fn of_bits(bits: i64) -> Self {
        let [low, ..] = bits.to_le_bytes();
        Self(low & 0b1_1111)
    }

    /// Returns the bits.
    pub fn bits(self) -> i64 {
        self.0.into()
    }

    /// Returns whether all of `other` is allowed.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns what either allows.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns this with or without [`Self::DOWNLOAD`].
    pub(crate) const fn with_download(self, may_download: bool) -> Self {
        let rest = self.without(Self::DOWNLOAD);
        if may_download {
            rest.or(Self::DOWNLOAD)
        } else {
            rest
        }
    }

    /// Returns this without what `other` allows.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Holds other nodes.
    Folder,
    /// Holds content.
    File,
}

/// A file or folder as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number for life.
    pub id: NodeId,
    /// The space it lives in.
    pub space: SpaceId,
    /// The folder that holds it; `None` for a root.
    pub parent: Option<NodeId>,
    /// Its name in NFC; empty for a root.
    pub name: String,
    /// File or folder.
    pub kind: NodeKind,
    /// The change that produced this state.
    pub seq: i64,
    /// Folders: the greatest change at or below.
    pub tree_seq: i64,
    /// Files: the content.
    pub content: Option<ContentRef>,
    /// Files: bytes; folders: bytes of all files below.
    pub size_bytes: u64,
    /// Folders: number of files below.
    pub tree_files: u64,
    /// Files: rises with each change of content or mtime.
    pub rev: i64,
    /// Modified, as the client set it.
    pub mtime: Timestamp,
    /// Created.
    pub ctime: Timestamp,
    /// 1 executable, 2 symbolic link.
    pub flags: i64,
}

impl Node {
    /// Returns whether this is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == NodeKind::Folder
    }

    /// Returns the ETag without quotes that a file has with a revision.
    pub fn etag_of_file(id: NodeId, rev: i64) -> String {
        format!("{:x}-{rev:x}", id.0)
    }

    /// Returns the ETag without quotes: it changes when the content or mtime of a
    /// file does, or anything below a folder, and never with a rename or move.
    pub fn etag(&self) -> String {
        match self.kind {
            NodeKind::File => Self::etag_of_file(self.id, self.rev),
            NodeKind::Folder => {
                format!("{:x}-{:x}-{:x}", self.id.0, self.space.0, self.tree_seq)
            }
        }
    }
}

/// A stored content, enough to read it.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its row.
    pub id: ContentRef,
    /// The space it belongs to.
    pub space: SpaceId,
    /// Keyed BLAKE3 over size and chunk ids.
    pub hash: ContentId,
    /// Plain bytes.
    pub size_bytes: u64,
    /// How it was cut.
    pub profile: Profile,
    /// Number of chunks (0 for the empty content).
    pub chunks: u32,
    /// Where its bytes are.
    pub body: ContentBody,
    /// As the client sent it, verified: `SHA1:…`.
    pub checksum: Option<String>,
}

/// Where the bytes of a content are.
#[derive(Debug, Clone)]
pub enum ContentBody {
    /// In the database itself (not compressed); also the empty content.
    Hot(Bytes),
    /// One frame of a pack.
    One(Place),
    /// The encoded map of many frames (nuage_shared::manifest).
    Map(Bytes),
}

/// A content that ingest has made durable (or holds, if hot) and a commit will name.
#[derive(Debug, Clone)]
pub struct NewContent {
    /// Keyed BLAKE3 over size and chunk ids.
    pub hash: ContentId,
    /// Plain bytes.
    pub size_bytes: u64,
    /// How it was cut.
    pub profile: Profile,
    /// Number of chunks.
    pub chunks: u32,
    /// Where its bytes are; `None`: the space held this content already, by `hash`.
    pub body: Option<ContentBody>,
    /// Packs that hold its frames and leaves: sorted, each once.
    pub packs: Vec<PackId>,
    /// Chunk id prefixes by which later uploads find it.
    pub hooks: Vec<i64>,
    /// Contents of the space whose frames it names; the commit tests that they still exist.
    pub sources: Vec<ContentRef>,
    /// Verified checksum, to be given back as it came.
    pub checksum: Option<String>,
    /// Stored bytes are known to be damaged: if the space holds this content, its row takes this body.
    pub heals: bool,
}

/// A dead property (RFC 4918 section 15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Namespace URI; may be empty.
    pub namespace: String,
    /// Local name.
    pub name: String,
    /// The whole element as XML that stands alone (declares its namespaces).
    pub xml: String,
}

/// A change of a dead property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyPatch {
    /// Sets it.
    Set(Property),
    /// Removes it; removing one that is not there is no error.
    Remove {
        /// Namespace URI.
        namespace: String,
        /// Local name.
        name: String,
    },
}

/// How a lock was made, which says who may pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// By WebDAV LOCK: who submits its token passes.
    Dav,
    /// By hand: its owner passes with any program.
    Hand,
    /// By an application in which the file is open: who submits its token passes.
    Application,
    /// By a program for itself: who submits its token passes.
    Token,
}

impl LockKind {
    pub(crate) fn column(self) -> Option<i64> {
        match self {
            Self::Dav => None,
            Self::Hand => Some(0),
            Self::Application => Some(1),
            Self::Token => Some(2),
        }
    }

    pub(crate) fn of_column(column: Option<i64>) -> Self {
        match column {
            Some(0) => Self::Hand,
            Some(1) => Self::Application,
            Some(2) => Self::Token,
            Some(_) | None => Self::Dav,
        }
    }
}

/// A lock in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// `urn:uuid:…`.
    pub token: String,
    /// Where the locked node is now (the lock's root).
    pub path: NodePath,
    /// Sign-in name of who holds it.
    pub owner_name: String,
    /// That person's name as people see it.
    pub owner_shown: String,
    /// How it was made.
    pub kind: LockKind,
    /// When it was made; `None`: before that was kept.
    pub made_at: Option<Timestamp>,
    /// The application in which the file is open.
    pub editor: Option<String>,
    /// Shared, else exclusive.
    pub shared: bool,
    /// Depth infinity, else 0.
    pub deep: bool,
    /// When it ends by itself.
    pub until: Timestamp,
    /// What was granted at the last LOCK.
    pub timeout_seconds: i64,
    /// The owner element of the LOCK request as XML.
    pub info: Option<String>,
}

/// What a listing shall bring beside the nodes.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is wanted or not, independently"
)]
pub struct ListingWants {
    /// Dead properties.
    pub properties: bool,
    /// Active locks that cover each node.
    pub locks: bool,
    /// Checksums of contents.
    pub checksums: bool,
    /// What the space holds and may hold.
    pub quota: bool,
    /// Which nodes this person marked as favourites.
    pub favorites_of: Option<UserId>,
    /// Tags.
    pub tags: bool,
    /// How the caller shared them.
    pub share_kinds: bool,
    /// When the bytes of files came.
    pub uploaded: bool,
    /// How many children folders have.
    pub children: bool,
}

/// What a folder holds itself, not what is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Children {
    /// Folders.
    pub folders: u64,
    /// Files.
    pub files: u64,
}

/// A node with what a listing brings.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The node.
    pub node: Node,
    /// Checksum of its content, if wanted and known.
    pub checksum: Option<String>,
    /// Its dead properties, if wanted.
    pub properties: Vec<Property>,
    /// Locks that cover it, if wanted.
    pub locks: Vec<Lock>,
    /// Whether the person marked it as a favourite, if wanted.
    pub is_favorite: bool,
    /// Names of its tags, if wanted.
    pub tags: Vec<String>,
    /// What it is the root of, where it was given and appears in the caller's home.
    pub mount: Option<Box<Mount>>,
    /// Folders of a home: stands for all mounts at and below, and changes when they do.
    pub mounts_mark: Option<u64>,
    /// How the caller shared it, by the numbers of the OCS sharing API, if wanted.
    pub share_kinds: Vec<u8>,
    /// Files: when its bytes came, if wanted.
    pub uploaded_at: Option<Timestamp>,
    /// Folders: what it holds, if wanted.
    pub children: Option<Children>,
}

impl Entry {
    /// A node and nothing beside it.
    pub fn bare(node: Node) -> Self {
        Self {
            node,
            checksum: None,
            properties: Vec::new(),
            locks: Vec::new(),
            is_favorite: false,
            tags: Vec::new(),
            uploaded_at: None,
            children: None,
            mount: None,
            mounts_mark: None,
            share_kinds: Vec::new(),
        }
    }

    /// Returns the node's ETag without quotes; that of a folder changes with what is mounted below as well.
    pub fn etag(&self) -> String {
        match self.mounts_mark {
            None => self.node.etag(),
            Some(mark) => format!("{}-{mark:x}", self.node.etag()),
        }
    }
}

/// What a finished change made.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The node as it is now.
    pub node: Node,
    /// Whether it did not exist before.
    pub created: bool,
}

/// What a space may hold and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaState {
    /// Bytes of its current files.
    pub used_bytes: u64,
    /// What it may hold; `None`: no limit.
    pub quota_bytes: Option<u64>,
}
