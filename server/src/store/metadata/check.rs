//! The audit of one space's metadata: what must always be true, tested; and the
//! repair of sums, which can be computed anew.

use std::collections::HashMap;

use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Faults of one kind that are reported by number; more are only counted.
const REPORTED_MAX: i64 = 100;

/// Something in the metadata that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFault {
    /// A folder's size or number of files is not the sum of its children's.
    #[error("folder {node} says {size_bytes} bytes in {files} files, its children have others")]
    FolderSum {
        /// The folder.
        node: i64,
        /// What it says.
        size_bytes: i64,
        /// What it says.
        files: i64,
    },
    /// A folder's greatest change is smaller than a child's.
    #[error("folder {node} does not show the changes below it")]
    FolderSeq {
        /// The folder.
        node: i64,
    },
    /// The space's own sums are not those of its tree.
    #[error("the space says {what} = {said}, its nodes say {found}")]
    SpaceSum {
        /// Which sum.
        what: &'static str,
        /// What the space's row says.
        said: i64,
        /// What its nodes say.
        found: i64,
    },
    /// A change is numbered higher than the space has ever counted.
    #[error("change {seq} lies behind the end of the feed, {end}")]
    FeedEnd {
        /// The change.
        seq: i64,
        /// The space's last number.
        end: i64,
    },
    /// A node or a former state names a content that does not exist in its space.
    #[error("node {node} names content {content}, which the space does not hold")]
    ContentGone {
        /// The node.
        node: i64,
        /// The missing content.
        content: i64,
    },
    /// A part of an upload in progress names a content that does not exist in its space.
    #[error("part {part} of upload {upload} names a content that the space does not hold")]
    PartGone {
        /// The upload.
        upload: i64,
        /// The part's number.
        part: i64,
    },
    /// An upload's sums are not those of its parts.
    #[error("upload {upload} does not say what its parts are together")]
    UploadSum {
        /// The upload.
        upload: i64,
    },
    /// A node's folder does not exist, is a file, or is in another space.
    #[error("node {node} lies in no folder")]
    Orphan {
        /// The node.
        node: i64,
    },
    /// Nodes that cannot be reached from the root or the trash.
    #[error("{nodes} nodes cannot be reached from the root")]
    Unreachable {
        /// How many.
        nodes: i64,
    },
    /// A content whose bytes should be in the database and are not.
    #[error("content {content} has lost its bytes")]
    BytesGone {
        /// The content.
        content: i64,
    },
}

impl MetadataFault {
    /// Returns whether the repair of sums mends it.
    pub fn is_repairable(&self) -> bool {
        matches!(
            self,
            Self::FolderSum { .. } | Self::FolderSeq { .. } | Self::SpaceSum { .. }
        )
    }
}

/// A space with whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedSpace {
    /// The space.
    pub space: SpaceId,
    /// The sign-in name of its owner, or `group:` and the name of a group.
    pub owner: String,
}

/// Lists spaces by number, archived ones included, a page at a time.
#[derive(Debug)]
pub struct ListSpaces {
    /// The last space of the page before; 0 to begin.
    pub past: SpaceId,
    /// Most rows.
    pub limit: i64,
}

impl Operation for ListSpaces {
    type Output = Vec<OwnedSpace>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<OwnedSpace>> {
        tx.rows(
            "SELECT s.id, CASE s.kind WHEN 1 THEN a.name ELSE 'group:' || t.name END \
             FROM space s LEFT JOIN account a ON a.id = s.owner_id \
             LEFT JOIN team t ON t.id = s.owner_id WHERE s.id > $1 ORDER BY s.id LIMIT $2",
            &[self.past.0.into(), self.limit.into()],
            |row| {
                let space = SpaceId(row.int(0)?);
                let owner = row.opt_text(1)?;
                Ok(OwnedSpace {
                    owner: owner.unwrap_or_else(|| format!("space {}", space.0)),
                    space,
                })
            },
        )
        .await
    }
}

/// Tests what must be true of one space, on one snapshot.
#[derive(Debug)]
pub struct CheckSpace(pub SpaceId);

impl Operation for CheckSpace {
    type Output = Vec<MetadataFault>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<MetadataFault>> {
        let mut faults = Vec::new();
        self.check_folders(tx, &mut faults).await?;
        self.check_space_sums(tx, &mut faults).await?;
        self.check_tree(tx, &mut faults).await?;
        self.check_contents(tx, &mut faults).await?;
        self.check_uploads(tx, &mut faults).await?;
        Ok(faults)
    }
}

impl CheckSpace {
    /// Tests the folders below the root; a tree in the trash loses its members in
    /// slices and its sums mean nothing then.
    async fn check_folders<T: Tx>(
        &self,
        tx: &mut T,
        faults: &mut Vec<MetadataFault>,
    ) -> StoreResult<()> {
        let sums = tx
            .rows(
                "WITH RECURSIVE tree(id) AS (\
                 SELECT root_id FROM space WHERE id = $1 UNION ALL \
                 SELECT n.id FROM tree t JOIN node n ON n.parent_id = t.id AND n.kind = 0) \
                 SELECT p.id, p.size, p.tree_files FROM tree t JOIN node p ON p.id = t.id \
                 LEFT JOIN node c ON c.parent_id = p.id GROUP BY p.id \
                 HAVING p.size <> coalesce(sum(c.size), 0) OR p.tree_files <> \
                 coalesce(sum(CASE WHEN c.kind = 0 THEN c.tree_files ELSE 1 END), 0) \
                 - (CASE WHEN count(c.id) = 0 THEN 1 ELSE 0 END) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| {
                    Ok(MetadataFault::FolderSum {
                        node: row.int(0)?,
                        size_bytes: row.int(1)?,
                        files: row.int(2)?,
                    })
                },
            )
            .await?;
        faults.extend(sums);
        let seqs = tx
            .rows(
                "WITH RECURSIVE tree(id) AS (\
                 SELECT root_id FROM space WHERE id = $1 UNION ALL \
                 SELECT n.id FROM tree t JOIN node n ON n.parent_id = t.id AND n.kind = 0) \
                 SELECT p.id FROM tree t JOIN node p ON p.id = t.id \
                 JOIN node c ON c.parent_id = p.id GROUP BY p.id \
                 HAVING p.tree_seq < max(c.tree_seq) OR p.tree_seq < max(c.seq) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| Ok(MetadataFault::FolderSeq { node: row.int(0)? }),
            )
            .await?;
        faults.extend(seqs);
        Ok(())
    }

    async fn check_space_sums<T: Tx>(
        &self,
        tx: &mut T,
        faults: &mut Vec<MetadataFault>,
    ) -> StoreResult<()> {
        let row = tx
            .row(
                "SELECT s.used, n.size, s.files, n.tree_files, s.kept, \
                 (SELECT coalesce(sum(kept), 0) FROM hist WHERE space_id = $1) \
                 + (SELECT coalesce(sum(size), 0) FROM trash WHERE space_id = $1), s.seq, \
                 (SELECT coalesce(max(seq), 0) FROM node WHERE space_id = $1), \
                 (SELECT coalesce(max(seq), 0) FROM tomb WHERE space_id = $1) \
                 FROM space s JOIN node n ON n.id = s.root_id WHERE s.id = $1",
                &[self.0.0.into()],
                |row| {
                    (0..9)
                        .map(|column| row.int(column))
                        .collect::<StoreResult<Vec<_>>>()
                },
            )
            .await?
            .ok_or(Refusal::NotFound)?;
        let [
            used,
            root_size,
            files,
            root_files,
            kept,
            kept_rows,
            end,
            node_seq,
            tomb_seq,
        ] = row.as_slice()
        else {
            return Ok(());
        };
        for (what, said, found) in [
            ("used", used, root_size),
            ("files", files, root_files),
            ("kept", kept, kept_rows),
        ] {
            if said != found {
                faults.push(MetadataFault::SpaceSum {
                    what,
                    said: *said,
                    found: *found,
                });
            }
        }
        for seq in [node_seq, tomb_seq] {
            if seq > end {
                faults.push(MetadataFault::FeedEnd {
                    seq: *seq,
                    end: *end,
                });
            }
        }
        Ok(())
    }

    async fn check_tree<T: Tx>(
        &self,
        tx: &mut T,
        faults: &mut Vec<MetadataFault>,
    ) -> StoreResult<()> {
        let orphans = tx
            .rows(
                "SELECT c.id FROM node c LEFT JOIN node p ON p.id = c.parent_id \
                 WHERE c.space_id = $1 AND c.parent_id IS NOT NULL \
                 AND (p.id IS NULL OR p.kind <> 0 OR p.space_id <> c.space_id) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| Ok(MetadataFault::Orphan { node: row.int(0)? }),
            )
            .await?;
        faults.extend(orphans);
        let unreachable = tx
            .row(
                "WITH RECURSIVE tree(id) AS (\
                 SELECT root_id FROM space WHERE id = $1 UNION ALL \
                 SELECT trash_id FROM space WHERE id = $1 UNION ALL \
                 SELECT n.id FROM tree t JOIN node n ON n.parent_id = t.id) \
                 SELECT (SELECT count(*) FROM node WHERE space_id = $1) - (SELECT count(*) FROM tree)",
                &[self.0.0.into()],
                |row| row.int(0),
            )
            .await?
            .unwrap_or(0);
        if unreachable != 0 {
            faults.push(MetadataFault::Unreachable { nodes: unreachable });
        }
        Ok(())
    }

    async fn check_uploads<T: Tx>(
        &self,
        tx: &mut T,
        faults: &mut Vec<MetadataFault>,
    ) -> StoreResult<()> {
        let gone = tx
            .rows(
                "SELECT p.upload_id, p.number FROM upload u JOIN upload_part p ON p.upload_id = u.id \
                 LEFT JOIN content c ON c.id = p.content_id WHERE u.space_id = $1 \
                 AND (c.id IS NULL OR c.space_id <> u.space_id OR c.size <> p.size) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| {
                    Ok(MetadataFault::PartGone {
                        upload: row.int(0)?,
                        part: row.int(1)?,
                    })
                },
            )
            .await?;
        faults.extend(gone);
        let sums = tx
            .rows(
                "SELECT u.id FROM upload u LEFT JOIN upload_part p ON p.upload_id = u.id \
                 WHERE u.space_id = $1 GROUP BY u.id HAVING u.received <> coalesce(sum(p.size), 0) \
                 OR u.parts <> count(p.number) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| {
                    Ok(MetadataFault::UploadSum {
                        upload: row.int(0)?,
                    })
                },
            )
            .await?;
        faults.extend(sums);
        Ok(())
    }

    async fn check_contents<T: Tx>(
        &self,
        tx: &mut T,
        faults: &mut Vec<MetadataFault>,
    ) -> StoreResult<()> {
        let gone = tx
            .rows(
                "SELECT n.id, n.content_id FROM node n LEFT JOIN content c ON c.id = n.content_id \
                 WHERE n.space_id = $1 AND n.content_id IS NOT NULL \
                 AND (c.id IS NULL OR c.space_id <> n.space_id OR c.size <> n.size) UNION ALL \
                 SELECT h.node_id, h.content_id FROM hist h \
                 LEFT JOIN content c ON c.id = h.content_id \
                 WHERE h.space_id = $1 AND h.content_id IS NOT NULL \
                 AND (c.id IS NULL OR c.space_id <> h.space_id) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| {
                    Ok(MetadataFault::ContentGone {
                        node: row.int(0)?,
                        content: row.int(1)?,
                    })
                },
            )
            .await?;
        faults.extend(gone);
        let bare = tx
            .rows(
                "SELECT c.id FROM content c LEFT JOIN hot_chunk h ON h.content_id = c.id \
                 WHERE c.space_id = $1 AND c.pack IS NULL AND c.map IS NULL AND c.size > 0 \
                 AND (h.content_id IS NULL OR length(h.data) <> c.size) LIMIT $2",
                &[self.0.0.into(), REPORTED_MAX.into()],
                |row| {
                    Ok(MetadataFault::BytesGone {
                        content: row.int(0)?,
                    })
                },
            )
            .await?;
        faults.extend(bare);
        Ok(())
    }
}

/// Computes the sums of one space anew and writes those that differ.
#[derive(Debug)]
pub struct RepairSums(pub SpaceId);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    size: i64,
    files: i64,
    tree_seq: i64,
}

impl Operation for RepairSums {
    /// Folders whose sums were wrong.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        lock_space_row(tx, self.0).await?;
        let trash = tx
            .row(
                "SELECT trash_id FROM space WHERE id = $1",
                &[self.0.0.into()],
                |row| row.int(0),
            )
            .await?
            .ok_or(Refusal::NotFound)?;
        let nodes = tx
            .rows(
                "WITH RECURSIVE tree(id, depth) AS (\
                 SELECT root_id, 0 FROM space WHERE id = $1 UNION ALL \
                          SELECT n.id, t.depth + 1 FROM tree t JOIN node n ON n.parent_id = t.id) \
                 SELECT n.id, n.parent_id, n.kind, n.size, n.tree_files, n.seq, n.tree_seq \
                 FROM tree t JOIN node n ON n.id = t.id ORDER BY t.depth DESC",
                &[self.0.0.into()],
                |row| {
                    let said = Sums {
                        size: row.int(3)?,
                        files: row.int(4)?,
                        tree_seq: row.int(6)?,
                    };
                    Ok((
                        row.int(0)?,
                        row.opt_int(1)?,
                        row.int(2)? == 0,
                        row.int(5)?,
                        said,
                    ))
                },
            )
            .await?;
        let mut sums: HashMap<i64, Sums> = HashMap::new();
        let mut mended = 0;
        for (id, parent, is_folder, seq, said) in nodes {
            let mut own = if is_folder {
                sums.remove(&id).unwrap_or_default()
            } else {
                Sums {
                    size: said.size,
                    files: 1,
                    tree_seq: seq,
                }
            };
            own.tree_seq = own.tree_seq.max(said.tree_seq).max(seq);
            if is_folder && own != said && id != trash {
                write_sums(tx, id, own).await?;
                mended += 1;
            }
            if let Some(parent) = parent {
                let above = sums.entry(parent).or_default();
                above.size += own.size;
                above.files += own.files;
                above.tree_seq = above.tree_seq.max(own.tree_seq);
            }
        }
        tx.perform(
            "UPDATE space SET used = (SELECT size FROM node WHERE id = space.root_id), \
             files = (SELECT tree_files FROM node WHERE id = space.root_id), \
             kept = (SELECT coalesce(sum(kept), 0) FROM hist WHERE space_id = $1) \
             + (SELECT coalesce(sum(size), 0) FROM trash WHERE space_id = $1) WHERE id = $1",
            &[self.0.0.into()],
        )
        .await?;
        Ok(mended)
    }
}

async fn write_sums<T: Tx>(tx: &mut T, folder: i64, sums: Sums) -> StoreResult<()> {
    tx.perform(
        "UPDATE node SET size = $1, tree_files = $2, tree_seq = $3 WHERE id = $4",
        &[
            sums.size.into(),
            sums.files.into(),
            sums.tree_seq.into(),
            folder.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Finds nodes that name a content now, with their spaces, to tell an administrator what is hurt.
#[derive(Debug)]
pub struct NodesOfContent(pub i64);

impl Operation for NodesOfContent {
    /// (space, node, path if it is not in the trash, is a former version)
    type Output = Vec<(i64, i64, Option<String>, bool)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let nodes = tx
            .rows(
                "SELECT space_id, id, 0 FROM node WHERE content_id = $1 UNION ALL \
                 SELECT space_id, node_id, 1 FROM hist WHERE content_id = $1",
                &[self.0.into()],
                |row| Ok((row.int(0)?, row.int(1)?, row.int(2)? == 1)),
            )
            .await?;
        let mut named = Vec::new();
        for (space, node, is_former) in nodes {
            let path = crate::store::metadata::nodes::path_of(
                tx,
                SpaceId(space),
                crate::store::metadata::records::NodeId(node),
            )
            .await?;
            named.push((space, node, path.map(|path| path.to_string()), is_former));
        }
        Ok(named)
    }
}
