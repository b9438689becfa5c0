//! Reading a file: one content, whole, verified, whatever happens to the file meanwhile.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use nuage_shared::node_path::NodePath;

use crate::files::Files;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::identity::Caller;
use crate::store::chunks::ChecksumKind;
use crate::store::chunks::Checksums;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkStore;
use crate::store::metadata::contents::OpenFile;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::Content;
use crate::store::metadata::records::Node;

/// A file that is ready to be read.
#[derive(Debug, Clone)]
pub struct Download {
    /// The file.
    pub node: Node,
    /// Verified checksum of its content, when known.
    pub checksum: Option<String>,
    path: NodePath,
    content: Content,
    chunks: Arc<ChunkStore>,
}

impl Download {
    /// Returns what is the same for the same bytes in one space, and else differs.
    pub fn content_mark(&self) -> [u8; 32] {
        self.content.hash.0
    }

    /// Streams bytes of the content as it was when the download began; each chunk is verified first.
    ///
    /// `range` must lie within the size. An error ends the stream; nothing is padded.
    pub fn stream(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = FilesResult<Bytes>> + Send + 'static {
        let path = self.path;
        self.chunks.stream(self.content, range).map(move |piece| {
            piece.map_err(|error| match error {
                ChunkError::Unavailable(_) | ChunkError::Store(StoreError::Unavailable(_)) => {
                    at(&path)(error)
                }
                error => {
                    tracing::error!(%error, %path, "a stored content cannot be read");
                    FilesError::Unreadable { path: path.clone() }
                }
            })
        })
    }
}

impl Files {
    /// Reads the whole of a file and returns a checksum of it, as `TYPE:hex`, with the file.
    pub async fn recalculate(
        &self,
        caller: &Caller,
        path: &NodePath,
        kind: ChecksumKind,
    ) -> FilesResult<(Node, String)> {
        let Download { node, content, .. } = self.download(caller, path).await?;
        let sums = self.hash_content(content, Checksums::of([kind]), path);
        let hex = sums.await?.value(kind).unwrap_or_default();
        Ok((node, format!("{}:{hex}", kind.name())))
    }

    /// Opens a file for reading.
    pub async fn download(&self, caller: &Caller, path: &NodePath) -> FilesResult<Download> {
        let located = self.readable(caller, path).await?;
        if !located.rights.may_download {
            return Err(FilesError::NotPermitted { path: path.clone() });
        }
        let open = OpenFile {
            root: located.root,
            path: located.path.clone(),
        };
        let (mut node, content) = self.metadata.read(open).await.map_err(at(path))?;
        if let Some(name) = path.name().filter(|_| located.is_mount_itself()) {
            name.as_str().clone_into(&mut node.name);
        }
        Ok(self.download_of(node, content, path.clone()))
    }

    /// Makes a content that was found ready to be read.
    pub(crate) fn download_of(&self, node: Node, content: Content, path: NodePath) -> Download {
        Download {
            node,
            checksum: content.checksum.clone(),
            path,
            content,
            chunks: Arc::clone(&self.chunks),
        }
    }
}
