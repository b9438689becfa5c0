//! Moves an installation out of its data folder: packs to S3, metadata to PostgreSQL.
//!
//! Packs go first, because nothing names an object that is not there yet: whoever stops
//! half-way still has the whole installation in the data folder. A journal keeps which
//! packs were copied and proved, so that a move that was cut off, at whatever moment, goes on
//! where it was. The metadata follow in one go ([`migrate_to_postgres`](crate::store::metadata::migrate::migrate_to_postgres)).
//!
//! ```text
//! DATA_DIR/move.journal
//!   nuage-move 1 TARGET HISTORY     one line: where to, and of which line of history
//!   UUID BYTES BLAKE3               one line for each pack whose copy was read back
//! ```
//!
//! # Always true
//!
//! * A line of the journal is written after the proof, and is durable before the pack counts. A line that
//!   was cut off does not count.
//! * A pack in the journal is looked for once more by name and length before it is believed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use nuage_shared::manifest::PackId;

use crate::jobs::backup::Progress;
use crate::store::chunks::ChunkError;
use crate::store::chunks::PackTransfer;
use crate::store::chunks::ProvenPack;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::packs::ListPacks;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::PackState;

/// Packs that are under way at once; each is in memory whole, some 64 MiB.
const UNDER_WAY: usize = 3;
const LISTED_AT_ONCE: i64 = 1_000;
/// Version of the journal's form.
const JOURNAL_HEAD: &str = "nuage-move 1";

/// Why packs were not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The journal could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pack could not be read, written or proved.
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    /// A segment could not be sealed.
    #[error("pack {0} is still open: start the server on this data once, stop it, and try again")]
    StillOpen(i64),
    /// A pack is not as long as its row says.
    #[error(
        "pack {pack} has {found_bytes} bytes, {sealed_bytes} were written: run nuage-server check"
    )]
    Cut {
        /// The pack's number.
        pack: i64,
        /// The length of its file.
        found_bytes: u64,
        /// Its length when it was sealed.
        sealed_bytes: u64,
    },
}

/// Copies every pack of an installation that this process alone has open, and proves each copy.
///
/// `head` tells this move from others: another target or another line of history begins a
/// new journal.
pub async fn move_packs(
    metadata: &MetadataStore,
    transfer: &PackTransfer,
    journal: &Path,
    head: &str,
    mut report: impl FnMut(Progress) + Send,
) -> Result<Progress, MoveError> {
    let packs = all_packs(metadata).await?;
    let (path, head) = (journal.to_owned(), format!("{JOURNAL_HEAD} {head}"));
    let (journal, proven) = blocking(move || Journal::open(path, &head)).await?;
    let journal = Arc::new(journal);
    let mut progress = Progress {
        packs_total: packs.len() as u64,
        bytes_total: packs.iter().map(|pack| pack.size_bytes).sum(),
        ..Progress::default()
    };
    report(progress);
    let moves = packs.iter().map(|pack| {
        let known = proven.get(&pack.uuid).copied();
        let journal = Arc::clone(&journal);
        async move { move_pack(transfer, pack, known, journal).await }
    });
    let mut under_way = stream::iter(moves).buffer_unordered(UNDER_WAY);
    while let Some(ended) = under_way.next().await {
        let pack = ended?;
        progress.packs += 1;
        progress.bytes += pack.size_bytes;
        progress.copied_bytes += if pack.is_new { pack.size_bytes } else { 0 };
        report(progress);
    }
    Ok(progress)
}

struct MovedPack {
    size_bytes: u64,
    is_new: bool,
}

async fn move_pack(
    transfer: &PackTransfer,
    pack: &PackRow,
    known: Option<ProvenPack>,
    journal: Arc<Journal>,
) -> Result<MovedPack, MoveError> {
    if let Some(known) = known
        && transfer.holds(&pack.uuid, known.size_bytes).await?
    {
        return Ok(MovedPack {
            size_bytes: known.size_bytes,
            is_new: false,
        });
    }
    let proven = transfer.copy(&pack.uuid).await?;
    if proven.size_bytes != pack.size_bytes {
        return Err(MoveError::Cut {
            pack: pack.id.0,
            found_bytes: proven.size_bytes,
            sealed_bytes: pack.size_bytes,
        });
    }
    let uuid = pack.uuid;
    blocking(move || journal.note(&uuid, &proven)).await?;
    Ok(MovedPack {
        size_bytes: proven.size_bytes,
        is_new: true,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MoveError> + Send + 'static,
) -> Result<T, MoveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(MoveError::Store(StoreError::Closed)))
}

/// Lists the packs that have files, by number; compacted ones too, until their grace is over.
async fn all_packs(metadata: &MetadataStore) -> Result<Vec<PackRow>, MoveError> {
    let mut packs = Vec::new();
    for state in [PackState::Open, PackState::Sealed, PackState::Moved] {
        let mut after = PackId(0);
        loop {
            let list = ListPacks {
                state,
                after,
                limit: LISTED_AT_ONCE,
            };
            let page = metadata.read(list).await?;
            let Some(end) = page.last() else { break };
            if state == PackState::Open {
                return Err(MoveError::StillOpen(end.id.0));
            }
            after = end.id;
            packs.extend(page);
        }
    }
    Ok(packs)
}

/// Which packs were copied and proved.
#[derive(Debug)]
struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of this move and returns what it holds; one of another move is begun anew.
    fn open(path: PathBuf, head: &str) -> Result<(Self, HashMap<[u8; 16], ProvenPack>), MoveError> {
        let fault = |source| MoveError::File {
            path: path.clone(),
            source,
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(fault(error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text.get(..whole).unwrap_or_default().lines();
        let is_ours = lines.next() == Some(head);
        let proven = if is_ours {
            lines.filter_map(read_line).collect()
        } else {
            HashMap::new()
        };
        let kept = if is_ours { whole as u64 } else { 0 };
        let open = || {
            let mut file = File::options()
                .create(true)
                .truncate(false)
                .append(true)
                .open(&path)?;
            file.set_len(kept)?;
            if kept == 0 {
                file.write_all(format!("{head}\n").as_bytes())?;
            }
            file.sync_all()?;
            File::open(path.parent().unwrap_or(&path))?.sync_all()?;
            Ok(file)
        };
        let file = open().map_err(fault)?;
        Ok((Self { file, path }, proven))
    }

    /// Notes a pack durably.
    fn note(&self, uuid: &[u8; 16], proven: &ProvenPack) -> Result<(), MoveError> {
        let uuid = hex::encode(uuid);
        let hash = hex::encode(proven.hash);
        let line = format!("{uuid} {} {hash}\n", proven.size_bytes);
        // One write of a short line at the end of the file: those of other packs do not mix with it.
        let mut file = &self.file;
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|source| MoveError::File {
                path: self.path.clone(),
                source,
            })
    }
}

/// Reads a line of the journal; `None`: it has not the form of one.
fn read_line(line: &str) -> Option<([u8; 16], ProvenPack)> {
    let mut words = line.split(' ');
    let mut uuid = [0; 16];
    hex::decode_to_slice(words.next()?, &mut uuid).ok()?;
    let size_bytes = words.next()?.parse().ok()?;
    let mut hash = [0; 32];
    hex::decode_to_slice(words.next()?, &mut hash).ok()?;
    if words.next().is_some() {
        return None;
    }
    Some((uuid, ProvenPack { size_bytes, hash }))
}

#[cfg(test)]
mod tests {
    use super::Journal;
    use super::ProvenPack;

    #[test]
    fn a_journal_keeps_whole_lines_of_its_own_move() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("move.journal");
        let proven = |number: u8| ProvenPack {
            size_bytes: number.into(),
            hash: [number; 32],
        };
        let open = |head: &str| Journal::open(path.clone(), head).unwrap();
        let (journal, held) = open("to a");
        assert!(held.is_empty());
        journal.note(&[1; 16], &proven(1)).unwrap();
        journal.note(&[2; 16], &proven(2)).unwrap();

        // Cut off in the middle of the second line.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        let (journal, held) = open("to a");
        assert_eq!(held.len(), 1);
        assert_eq!(held.get(&[1; 16]), Some(&proven(1)));
        journal.note(&[3; 16], &proven(3)).unwrap();
        let (_, held) = open("to a");
        assert_eq!(
            held.get(&[3; 16]),
            Some(&proven(3)),
            "the next line is whole"
        );
        assert_eq!(held.len(), 2);

        assert!(open("to b").1.is_empty());
        assert!(open("to a").1.is_empty(), "the former journal is gone");
    }
}
