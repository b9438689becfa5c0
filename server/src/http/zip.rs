//! The bytes of a ZIP file that is written from its beginning to its end (PKWARE's APPNOTE 6.3.10).
//!
//! Contents are stored as they are: most are compressed already. Names are UTF-8. A file whose check sum is known
//! when it begins has it in its header; for any other it follows the content (a data descriptor), with 64-bit sizes
//! where they are needed. Times stand twice: as DOS knows them, and in seconds since 1970.
//!
//! # Always true
//!
//! * What is kept of each member for the directory at the end is compressed, about 30 bytes; nothing else grows.
//! * A file is in the directory with the size and the check sum of the bytes that went out.

use crc32fast::Hasher;
use jiff::tz::TimeZone;

use crate::files::Timestamp;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

/// Bit 3: the check sum and the sizes follow the content. Bit 11: the name is UTF-8.
const FOLLOWED: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
/// Made by version 4.5, on Unix.
const MADE_BY: u16 = 3 * 256 + 45;
const NEEDS_FOLDERS: u16 = 20;
const NEEDS_64: u16 = 45;
/// What stands in place of a number of 32 bits that has 64 elsewhere.
const ELSEWHERE_32: u32 = u32::MAX;
const ELSEWHERE_16: u16 = u16::MAX;
const EXTRA_64: u16 = 0x0001;
const EXTRA_TIME: u16 = 0x5455;
const FILE_MODE: u32 = 0o100_644 << 16;
const PROGRAM_MODE: u32 = 0o100_755 << 16;
/// The bits of Unix, and the one by which DOS knows a folder.
const FOLDER_MODE: u32 = (0o040_755 << 16) | 0x10;
/// The directory is compressed in blocks of so many bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// No entry is longer: its numbers, its name and what is added.
const ENTRY_BYTES_MAX: usize = 128 << 10;
const BLOCK_LEVEL: i32 = 1;

/// What a header says of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// Names with slashes between them; a folder without one at its end.
    pub(crate) name: &'a str,
    /// Modified.
    pub(crate) modified: Timestamp,
    /// What it is.
    pub(crate) kind: HeadKind,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File {
        /// Its length.
        size_bytes: u64,
        /// CRC-32 of its bytes, when it is known before they go out.
        checksum: Option<u32>,
        /// Whether it may be run.
        is_program: bool,
    },
}

/// Why a content cannot be a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{written_bytes} bytes of {size_bytes} came")]
pub(crate) struct WrongSize {
    size_bytes: u64,
    written_bytes: u64,
}

impl WrongSize {
    /// Refuses a content that is not as long as was said.
    pub(crate) fn refuse(size_bytes: u64, written_bytes: u64) -> Result<(), Self> {
        if size_bytes == written_bytes {
            return Ok(());
        }
        Err(Self {
            size_bytes,
            written_bytes,
        })
    }
}

/// A file whose bytes are going out.
#[derive(Debug)]
struct Open {
    entry: Entry,
    hasher: Hasher,
    written_bytes: u64,
}

/// A line of the directory.
#[derive(Debug)]
struct Entry {
    name: String,
    modified: Timestamp,
    flags: u16,
    checksum: u32,
    size_bytes: u64,
    offset: u64,
    attributes: u32,
}

/// Writes a ZIP file; every method appends to `out`.
#[derive(Debug, Default)]
pub(crate) struct ZipWriter {
    /// Bytes written so far.
    offset: u64,
    open: Option<Open>,
    directory: Directory,
}

impl ZipWriter {
    /// Begins a member; a file's bytes follow, whose check sum was not known.
    pub(crate) fn begin(&mut self, head: &Head<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        let mut name = head.name.to_owned();
        // A longer name has no place in the format; paths are bounded far below.
        truncate(&mut name, usize::from(u16::MAX) - 1);
        let (size_bytes, checksum, attributes) = match head.kind {
            HeadKind::Folder => {
                name.push('/');
                (0, Some(0), FOLDER_MODE)
            }
            HeadKind::File {
                size_bytes,
                checksum,
                is_program,
            } => {
                let mode = if is_program { PROGRAM_MODE } else { FILE_MODE };
                (size_bytes, checksum, mode)
            }
        };
        let flags = match checksum {
            Some(_) => UTF8,
            None => UTF8 | FOLLOWED,
        };
        let entry = Entry {
            name,
            modified: head.modified,
            flags,
            checksum: checksum.unwrap_or(0),
            size_bytes,
            offset: self.offset,
            attributes,
        };
        entry.push_local(out);
        self.offset += (out.len() - before) as u64;
        if checksum.is_some() {
            // The bytes that follow were counted by whoever knows their check sum.
            self.offset += size_bytes;
            self.directory.add(&entry);
        } else {
            self.open = Some(Open {
                entry,
                hasher: Hasher::new(),
                written_bytes: 0,
            });
        }
    }

    /// Notes bytes of the open file, which go out as they are.
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        if let Some(open) = &mut self.open {
            open.hasher.update(bytes);
            open.written_bytes += bytes.len() as u64;
            self.offset += bytes.len() as u64;
        }
    }

    /// Ends the open file; refuses where other than the announced bytes came.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), WrongSize> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let mut entry = open.entry;
        WrongSize::refuse(entry.size_bytes, open.written_bytes)?;
        entry.checksum = open.hasher.finalize();
        let before = out.len();
        put_u32(out, DESCRIPTOR);
        put_u32(out, entry.checksum);
        for _size in ["compressed", "plain"] {
            match small(entry.size_bytes) {
                Some(size) => put_u32(out, size),
                None => put_u64(out, entry.size_bytes),
            }
        }
        self.offset += (out.len() - before) as u64;
        self.directory.add(&entry);
        Ok(())
    }

    /// Writes the next part of the directory; `false`: that was the last.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let is_more = self.directory.take(out);
        if !is_more {
            self.push_end(out);
        }
        self.offset += (out.len() - before) as u64;
        is_more
    }

    fn push_end(&self, out: &mut Vec<u8>) {
        let (members, bytes) = (self.directory.members, self.directory.bytes);
        let begin = self.offset - bytes;
        let count = u16::try_from(members)
            .ok()
            .filter(|count| *count < ELSEWHERE_16);
        let numbers = (count, small(bytes), small(begin));
        if !matches!(numbers, (Some(_), Some(_), Some(_))) {
            put_u32(out, END_64);
            put_u64(out, 44);
            put_u16(out, MADE_BY);
            put_u16(out, NEEDS_64);
            put_u32(out, 0);
            put_u32(out, 0);
            for number in [members, members, bytes, begin] {
                put_u64(out, number);
            }
            put_u32(out, END_64_LOCATOR);
            put_u32(out, 0);
            put_u64(out, self.offset);
            put_u32(out, 1);
        }
        put_u32(out, END);
        put_u16(out, 0);
        put_u16(out, 0);
        put_u16(out, count.unwrap_or(ELSEWHERE_16));
        put_u16(out, count.unwrap_or(ELSEWHERE_16));
        put_u32(out, numbers.1.unwrap_or(ELSEWHERE_32));
        put_u32(out, numbers.2.unwrap_or(ELSEWHERE_32));
        put_u16(out, 0);
    }

    /// Returns whether the directory cannot be written as it must be.
    pub(crate) fn is_damaged(&self) -> bool {
        self.directory.is_damaged
    }
}

impl Entry {
    fn push_local(&self, out: &mut Vec<u8>) {
        let is_followed = self.flags & FOLLOWED != 0;
        let size = small(self.size_bytes);
        put_u32(out, LOCAL_HEADER);
        put_u16(out, Self::needs(size.is_none()));
        self.push_middle(out);
        let said = if is_followed { 0 } else { self.size_bytes };
        let shown = match size {
            None => ELSEWHERE_32,
            Some(_) if is_followed => 0,
            Some(size) => size,
        };
        put_u32(out, shown);
        put_u32(out, shown);
        put_u16(out, self.name_bytes());
        let mut extra = self.time_extra();
        if size.is_none() {
            put_u16(&mut extra, EXTRA_64);
            put_u16(&mut extra, 16);
            put_u64(&mut extra, said);
            put_u64(&mut extra, said);
        }
        put_u16(out, length(&extra));
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&extra);
    }

    fn push_directory(&self, out: &mut Vec<u8>) {
        let (size, offset) = (small(self.size_bytes), small(self.offset));
        put_u32(out, DIRECTORY_ENTRY);
        put_u16(out, MADE_BY);
        put_u16(out, Self::needs(size.is_none() || offset.is_none()));
        self.push_middle(out);
        put_u32(out, size.unwrap_or(ELSEWHERE_32));
        put_u32(out, size.unwrap_or(ELSEWHERE_32));
        put_u16(out, self.name_bytes());
        let mut large = Vec::new();
        if size.is_none() {
            put_u64(&mut large, self.size_bytes);
            put_u64(&mut large, self.size_bytes);
        }
        if offset.is_none() {
            put_u64(&mut large, self.offset);
        }
        let mut extra = self.time_extra();
        if !large.is_empty() {
            put_u16(&mut extra, EXTRA_64);
            put_u16(&mut extra, length(&large));
            extra.extend_from_slice(&large);
        }
        put_u16(out, length(&extra));
        // No comment, the first disk, no attributes of its own.
        for _field in ["comment", "disk", "internal attributes"] {
            put_u16(out, 0);
        }
        put_u32(out, self.attributes);
        put_u32(out, offset.unwrap_or(ELSEWHERE_32));
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&extra);
    }

    /// Writes what both headers have: flags, method, time, check sum.
    fn push_middle(&self, out: &mut Vec<u8>) {
        put_u16(out, self.flags);
        put_u16(out, 0);
        let (time, date) = dos_time(self.modified);
        put_u16(out, time);
        put_u16(out, date);
        put_u32(out, self.checksum);
    }

    fn needs(has_large_numbers: bool) -> u16 {
        if has_large_numbers {
            NEEDS_64
        } else {
            NEEDS_FOLDERS
        }
    }

    fn name_bytes(&self) -> u16 {
        u16::try_from(self.name.len()).unwrap_or(ELSEWHERE_16)
    }

    /// The time in seconds since 1970, where 32 bits can say it.
    fn time_extra(&self) -> Vec<u8> {
        let mut extra = Vec::new();
        if let Ok(seconds) = i32::try_from(self.modified.seconds()) {
            put_u16(&mut extra, EXTRA_TIME);
            put_u16(&mut extra, 5);
            extra.push(1);
            extra.extend_from_slice(&seconds.to_le_bytes());
        }
        extra
    }
}

/// The directory, as long as members are written.
#[derive(Debug, Default)]
struct Directory {
    members: u64,
    bytes: u64,
    /// Compressed, the first first.
    blocks: std::collections::VecDeque<Vec<u8>>,
    last: Vec<u8>,
    is_damaged: bool,
}

impl Directory {
    fn add(&mut self, entry: &Entry) {
        let before = self.last.len();
        entry.push_directory(&mut self.last);
        self.members += 1;
        self.bytes += (self.last.len() - before) as u64;
        if self.last.len() >= BLOCK_BYTES {
            match zstd::bulk::compress(&self.last, BLOCK_LEVEL) {
                Ok(block) => self.blocks.push_back(block),
                Err(_out_of_memory) => self.is_damaged = true,
            }
            self.last.clear();
        }
    }

    /// Writes the next block; `false`: there is none.
    fn take(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(block) = self.blocks.pop_front() else {
            out.extend_from_slice(&self.last);
            let was_some = !self.last.is_empty();
            self.last = Vec::new();
            return was_some;
        };
        // One entry more than fits may have been added.
        match zstd::bulk::decompress(&block, BLOCK_BYTES + ENTRY_BYTES_MAX) {
            Ok(plain) => out.extend_from_slice(&plain),
            Err(_out_of_memory) => self.is_damaged = true,
        }
        true
    }
}

/// Returns a number that 32 bits can say, without the one that means "elsewhere".
fn small(number: u64) -> Option<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| *number < ELSEWHERE_32)
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(ELSEWHERE_16)
}

/// Cuts a text to so many bytes, between two characters.
fn truncate(text: &mut String, bytes_max: usize) {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Returns time and date as DOS writes them, in UTC; years from 1980 to 2107.
fn dos_time(moment: Timestamp) -> (u16, u16) {
    const FIRST: (u16, u16) = (0, 33);
    let Ok(moment) = jiff::Timestamp::from_second(moment.seconds()) else {
        return FIRST;
    };
    let at = moment.to_zoned(TimeZone::UTC);
    let number = |value: i8| u16::from(value.unsigned_abs());
    let time = |hour: u16, minute: u16, second: u16| hour * 2048 + minute * 32 + second / 2;
    let date = |years: u16, month: u16, day: u16| years * 512 + month * 32 + day;
    match u16::try_from(i32::from(at.year()) - 1980) {
        Err(_before) => FIRST,
        Ok(128..) => (time(23, 59, 58), date(127, 12, 31)),
        Ok(years) => (
            time(number(at.hour()), number(at.minute()), number(at.second())),
            date(years, number(at.month()), number(at.day())),
        ),
    }
}

fn put_u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::Head;
    use super::HeadKind;
    use super::WrongSize;
    use super::ZipWriter;
    use super::dos_time;
    use crate::files::Timestamp;

    fn file(size_bytes: u64, checksum: Option<u32>) -> Head<'static> {
        Head {
            name: "a",
            modified: Timestamp::from_seconds(1_000_000_000),
            kind: HeadKind::File {
                size_bytes,
                checksum,
                is_program: false,
            },
        }
    }

    #[test]
    fn times_outside_of_what_dos_knows_become_the_nearest() {
        let at = |seconds| dos_time(Timestamp::from_seconds(seconds));
        // 2001-09-09 01:46:40
        let (time, date) = (2048 + 46 * 32 + 20, 21 * 512 + 9 * 32 + 9);
        assert_eq!(at(1_000_000_000), (time, date));
        assert_eq!(at(0), (0, 33));
        assert_eq!(at(-5_000_000_000), (0, 33));
        assert_eq!(at(9_000_000_000).1 >> 9, 127);
    }

    #[test]
    fn a_content_of_another_length_than_announced_is_refused() {
        let mut zip = ZipWriter::default();
        let mut out = Vec::new();
        zip.begin(&file(3, None), &mut out);
        zip.note(b"ab");
        let expected = WrongSize {
            size_bytes: 3,
            written_bytes: 2,
        };
        assert_eq!(zip.end(&mut out), Err(expected));
    }

    #[test]
    fn every_offset_is_where_its_member_begins() {
        let mut zip = ZipWriter::default();
        let mut out = Vec::new();
        let mut begins = Vec::new();
        for round in 0..5_000_u32 {
            begins.push(u32::try_from(out.len()).unwrap());
            if round % 2 == 0 {
                zip.begin(&file(2, None), &mut out);
                zip.note(b"xy");
                out.extend_from_slice(b"xy");
                zip.end(&mut out).unwrap();
            } else {
                zip.begin(&file(2, Some(round)), &mut out);
                out.extend_from_slice(b"xy");
            }
        }
        let directory = out.len();
        while zip.finish(&mut out) {}
        assert!(!zip.is_damaged());
        let mut at = directory;
        for begin in begins {
            assert_eq!(out[at..at + 4], *b"PK\x01\x02");
            assert_eq!(out[at + 42..at + 46], begin.to_le_bytes());
            // One letter of a name, and an extra field of nine bytes.
            at += 46 + 1 + 9;
        }
        assert_eq!(out[at..at + 4], *b"PK\x05\x06");
        assert_eq!(out.len(), at + 22);
    }
}
