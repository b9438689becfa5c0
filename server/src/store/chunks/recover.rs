//! Order after a crash: segments that were still open are read forward and sealed.
//!
//! # Always true
//!
//! * Bytes behind the last whole frame are cut only if no content names them. They
//!   never are: a frame is named only after the sync that covers it. A frame that
//!   cannot be read in front of a named one is damage to report, never a reason to cut.
//! * A segment without a frame is deleted, with its row.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use nuage_shared::frame::FRAME_HEADER_BYTES;
use nuage_shared::frame::FRAME_OVERHEAD_BYTES;
use nuage_shared::frame::Footer;
use nuage_shared::frame::FooterEntry;
use nuage_shared::frame::FrameHeader;
use nuage_shared::frame::PACK_HEADER_BYTES;
use nuage_shared::frame::PackHeader;
use nuage_shared::frame::decode_frame;
use nuage_shared::manifest::PackId;

use crate::clock::Clock;
use crate::store::chunks::ChunkError;
use crate::store::chunks::file_error;
use crate::store::chunks::pack_location;
use crate::store::chunks::wait::wait_for;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::packs::DropPack;
use crate::store::metadata::packs::LastNamedByte;
use crate::store::metadata::packs::ListPacks;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::PackState;
use crate::store::metadata::packs::SealPack;

/// Packs that one question returns.
const PAGE: i64 = 1_000;

/// Brings every open segment of the folder to order. Blocks.
pub(super) fn recover(
    folder: &Path,
    metadata: &Arc<MetadataStore>,
    clock: &Clock,
) -> Result<(), ChunkError> {
    let mut after = PackId(0);
    loop {
        let list = ListPacks {
            state: PackState::Open,
            after,
            limit: PAGE,
        };
        let page = wait_for(metadata.write(list))?;
        let Some(newest) = page.last() else {
            return Ok(());
        };
        after = newest.id;
        for row in page {
            recover_segment(folder, &row, metadata, clock)?;
        }
    }
}

fn recover_segment(
    folder: &Path,
    row: &PackRow,
    metadata: &Arc<MetadataStore>,
    clock: &Clock,
) -> Result<(), ChunkError> {
    let pack = row.id;
    let path = folder.join(pack_location(&row.uuid));
    let named_bytes = wait_for(metadata.write(LastNamedByte(pack)))?;
    let mut file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !wait_for(metadata.write(DropPack(pack)))? {
                tracing::error!(pack = pack.0, "the file of a pack that is named is missing");
            }
            return Ok(());
        }
        Err(error) => return Err(file_error(&path)(error)),
    };
    let scan = scan_segment(&mut file, pack).map_err(file_error(&path))?;
    if scan.entries.is_empty() && named_bytes == 0 {
        drop(file);
        if wait_for(metadata.write(DropPack(pack)))? {
            std::fs::remove_file(&path).map_err(file_error(&path))?;
        }
        return Ok(());
    }
    let size_bytes = if let Some(size_bytes) = scan.sealed_bytes {
        size_bytes
    } else {
        let mut end = scan.end;
        if scan.has_hole || named_bytes > scan.end {
            // Nothing is cut: the footer goes behind everything and lists what was found.
            tracing::error!(pack = pack.0, at = scan.end, "a segment is damaged");
            end = file.seek(SeekFrom::End(0)).map_err(file_error(&path))?;
        }
        append_footer(&mut file, end, scan.entries).map_err(file_error(&path))?
    };
    let seal = SealPack {
        pack,
        size_bytes,
        at: clock.now(),
    };
    wait_for(metadata.write(seal))?;
    tracing::info!(pack = pack.0, size_bytes, "an open segment was sealed");
    Ok(())
}

/// What a segment's file holds.
#[derive(Debug, Default)]
struct Scan {
    entries: Vec<FooterEntry>,
    /// Where the last whole frame ends.
    end: u64,
    /// The length of the file, if a footer ends it.
    sealed_bytes: Option<u64>,
    /// Whether something unreadable lies in front of a whole frame.
    has_hole: bool,
}

/// Reads a segment forward to its last whole frame.
fn scan_segment(file: &mut File, pack: PackId) -> io::Result<Scan> {
    let length = file.metadata()?.len();
    let mut reader = io::BufReader::with_capacity(1 << 20, &mut *file);
    let mut header = [0; PACK_HEADER_BYTES];
    if length < PACK_HEADER_BYTES as u64 {
        return Ok(Scan {
            end: PACK_HEADER_BYTES as u64,
            ..Scan::default()
        });
    }
    reader.read_exact(&mut header)?;
    let mut scan = Scan {
        end: PACK_HEADER_BYTES as u64,
        ..Scan::default()
    };
    if !PackHeader::decode(&header).is_ok_and(|header| header.pack == pack) {
        return Ok(scan);
    }
    let mut frame = Vec::new();
    while let Some(entry) = read_frame(&mut reader, &mut frame, (scan.end, length))? {
        scan.end = entry.offset + FRAME_OVERHEAD_BYTES as u64 + u64::from(entry.stored_bytes);
        scan.entries.push(entry);
    }
    drop(reader);
    if scan.end < length {
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(scan.end))?;
        file.take(length - scan.end).read_to_end(&mut tail)?;
        if Footer::decode(&tail).is_ok_and(|footer| footer.entries.len() == scan.entries.len()) {
            scan.sealed_bytes = Some(length);
        } else {
            scan.look_behind(&tail);
        }
    }
    Ok(scan)
}

impl Scan {
    /// Looks for whole frames behind one that cannot be read: a power cut may have
    /// kept later pages and lost earlier ones, and a disk may be damaged.
    fn look_behind(&mut self, tail: &[u8]) {
        let start = self.end;
        let mut at = 0;
        while let Some(rest) = tail.get(at..)
            && let Some(step) = rest.iter().position(|byte| *byte == b'F')
        {
            at += step;
            let found = tail.get(at..).map(decode_frame);
            let Some(Ok((header, _))) = found else {
                at += 1;
                continue;
            };
            self.has_hole = true;
            self.entries.push(FooterEntry {
                id: header.id,
                offset: start + at as u64,
                stored_bytes: header.stored_bytes,
                plain_bytes: header.plain_bytes,
            });
            at += FRAME_OVERHEAD_BYTES + header.stored_bytes as usize;
        }
    }
}

/// Reads the frame at an offset; `None`: no whole frame is there.
fn read_frame(
    reader: &mut impl Read,
    frame: &mut Vec<u8>,
    (offset, length): (u64, u64),
) -> io::Result<Option<FooterEntry>> {
    if length - offset < FRAME_OVERHEAD_BYTES as u64 {
        return Ok(None);
    }
    frame.resize(FRAME_HEADER_BYTES, 0);
    reader.read_exact(frame)?;
    let Ok(header) = FrameHeader::decode(frame) else {
        return Ok(None);
    };
    let frame_bytes = FRAME_OVERHEAD_BYTES as u64 + u64::from(header.stored_bytes);
    if length - offset < frame_bytes {
        return Ok(None);
    }
    let rest = frame_bytes - FRAME_HEADER_BYTES as u64;
    reader.take(rest).read_to_end(frame)?;
    Ok(decode_frame(frame).ok().map(|(header, _)| FooterEntry {
        id: header.id,
        offset,
        stored_bytes: header.stored_bytes,
        plain_bytes: header.plain_bytes,
    }))
}

/// Cuts the file at `end`, writes the footer there and makes it durable; returns the new length.
fn append_footer(file: &mut File, end: u64, entries: Vec<FooterEntry>) -> io::Result<u64> {
    let footer = Footer { entries }.encode();
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(&footer)?;
    file.sync_all()?;
    Ok(end + footer.len() as u64)
}
