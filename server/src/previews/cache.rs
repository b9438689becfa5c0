//! Previews on this server's disk: so many bytes, and what was used longest ago goes first.
//!
//! ```text
//! previews/3f/3fa9…-i-256    a picture, or the word `none`: this content has none
//! previews/work/             what is being made; emptied at the start
//! ```
//!
//! # Always true
//!
//! * A file appears whole: it is written beside and renamed. What a power cut left is no
//!   picture, is seen to be none when it is read, and is made again.
//! * Anything may vanish at any time.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use crate::clock::Clock;
use crate::previews::kinds::Kind;
use crate::previews::shape::Shape;

/// What is kept of a content that has no preview.
const NONE: &[u8] = b"none";
/// The least that a file takes on a disk, in bytes.
const FILE_BYTES: u64 = 4 << 10;
/// No preview is larger, in bytes.
pub(super) const PICTURE_BYTES_MAX: u64 = 8 << 20;
/// A use is noted on the disk when the last note is this old.
const NOTE_AFTER: Duration = Duration::from_hours(1);

/// The name of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    content: [u8; 32],
    kind: Kind,
    shape: Shape,
}

impl Key {
    /// Names the preview of a content in this shape.
    pub(super) fn new(content: &[u8; 32], kind: Kind, shape: Shape) -> Self {
        Self {
            content: *content,
            kind,
            shape,
        }
    }

    /// Names the preview from which all others of the content are made.
    pub(super) fn largest(&self) -> Self {
        Self {
            shape: Shape::largest(),
            ..self.clone()
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns it in letters that may stand in a file name and an ETag.
    pub(super) fn text(&self) -> String {
        // The mark names chunks of the store; nobody outside needs to learn it.
        let mark = blake3::hash(&self.content).to_hex();
        format!("{mark:.40}-{}-{}", self.kind.letter(), self.shape)
    }
}

/// What the cache says of a preview.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Here it is.
    Picture(Vec<u8>),
    /// The content has none.
    HasNone,
    /// It was not made yet.
    Nothing,
}

/// Returns the media type of a picture that a worker made; `None`: it is no such picture.
pub(super) fn media_type_of(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else {
        None
    }
}

/// The kept previews.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    bytes_max: u64,
    clock: Clock,
    index: Mutex<Index>,
}

/// What is kept, in the order of its last use.
#[derive(Debug, Default)]
struct Index {
    files: HashMap<String, Entry>,
    order: BTreeMap<u64, String>,
    next: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: u64,
    turn: u64,
    noted_at: SystemTime,
}

impl Index {
    fn add(&mut self, name: String, bytes: u64, noted_at: SystemTime) {
        self.remove(&name);
        let turn = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.order.insert(turn, name.clone());
        let entry = Entry {
            bytes,
            turn,
            noted_at,
        };
        self.files.insert(name, entry);
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.files.remove(name) {
            self.order.remove(&entry.turn);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    /// Notes a use; returns whether it is to be noted on the disk as well.
    fn touch(&mut self, name: &str, now: SystemTime) -> bool {
        let Some(entry) = self.files.get_mut(name) else {
            return false;
        };
        let turn = self.next;
        self.next += 1;
        self.order.remove(&entry.turn);
        self.order.insert(turn, name.to_owned());
        entry.turn = turn;
        let is_due = now
            .duration_since(entry.noted_at)
            .is_ok_and(|age| age >= NOTE_AFTER);
        if is_due {
            entry.noted_at = now;
        }
        is_due
    }

    /// Takes out what was used longest ago until the rest fits.
    fn shrink(&mut self, bytes_max: u64) -> Vec<String> {
        let mut gone = Vec::new();
        while self.bytes > bytes_max
            && let Some((_, name)) = self.order.pop_first()
        {
            self.remove(&name);
            gone.push(name);
        }
        gone
    }
}

impl Cache {
    /// Opens the cache and reads what it holds.
    pub(super) fn open(folder: PathBuf, bytes_max: u64, clock: Clock) -> io::Result<Self> {
        let work = folder.join("work");
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir_all(&work)?;
        let mut found = Vec::new();
        for shelf in fs::read_dir(&folder)?.flatten() {
            // Anything else than a folder holds nothing.
            for file in fs::read_dir(shelf.path()).into_iter().flatten().flatten() {
                if let (Ok(name), Ok(about)) = (file.file_name().into_string(), file.metadata()) {
                    let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((used, name, about.len()));
                }
            }
        }
        found.sort();
        let mut index = Index::default();
        for (used, name, bytes) in found {
            index.add(name, bytes.max(FILE_BYTES), used);
        }
        let cache = Self {
            folder,
            bytes_max,
            clock,
            index: Mutex::new(index),
        };
        cache.make_room();
        Ok(cache)
    }

    fn now(&self) -> SystemTime {
        self.clock.now().system_time()
    }

    /// Returns the folder for what is being made.
    pub(super) fn work_folder(&self) -> PathBuf {
        self.folder.join("work")
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> PathBuf {
        let front = name.get(..2).unwrap_or("00");
        self.folder.join(front).join(name)
    }

    /// Finds a preview. Blocks.
    pub(super) fn find(&self, key: &Key) -> Found {
        let name = key.text();
        let path = self.path(&name);
        let Ok(bytes) = fs::read(&path) else {
            self.index().remove(&name);
            return Found::Nothing;
        };
        let found = if bytes == NONE {
            Found::HasNone
        } else if media_type_of(&bytes).is_some() {
            Found::Picture(bytes)
        } else {
            Found::Nothing
        };
        if found == Found::Nothing {
            self.index().remove(&name);
            drop(fs::remove_file(&path));
            return found;
        }
        let is_due = self.index().touch(&name, self.now());
        if is_due {
            note_use(&path, self.now());
        }
        found
    }

    /// Keeps a preview, or that there is none. Blocks.
    pub(super) fn put(&self, key: &Key, picture: Option<&[u8]>) -> io::Result<()> {
        let name = key.text();
        let path = self.path(&name);
        let bytes = picture.unwrap_or(NONE);
        let beside = self
            .work_folder()
            .join(format!("{:032x}", rand::random::<u128>()));
        let written = write(&beside, &path, bytes);
        if written.is_err() {
            drop(fs::remove_file(&beside));
        }
        written?;
        let size = (bytes.len() as u64).max(FILE_BYTES);
        self.index().add(name, size, self.now());
        self.make_room();
        Ok(())
    }

    fn make_room(&self) {
        let gone = self.index().shrink(self.bytes_max);
        for name in gone {
            drop(fs::remove_file(self.path(&name)));
        }
    }
}

fn write(beside: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(beside, bytes)?;
    if let Some(shelf) = path.parent() {
        fs::create_dir_all(shelf)?;
    }
    fs::rename(beside, path)
}

/// Notes on the disk that a preview was used; whether that succeeds matters little.
fn note_use(path: &Path, now: SystemTime) {
    if let Ok(file) = fs::File::options().write(true).open(path) {
        drop(file.set_modified(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::previews::shape::Fit;

    fn key(number: u8) -> Key {
        Key::new(
            &[number; 32],
            Kind::Picture,
            Shape::new(64, 64, Fit::Within),
        )
    }

    fn picture(length: usize) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff".to_vec();
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn what_was_used_longest_ago_goes_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Cache::open(folder.path().into(), 30_000, Clock::system()).unwrap();
        let cache = open();
        for number in 0..3 {
            cache.put(&key(number), Some(&picture(10_000))).unwrap();
        }
        assert_ne!(cache.find(&key(0)), Found::Nothing);
        cache.put(&key(3), None).unwrap();
        assert_eq!(cache.find(&key(1)), Found::Nothing);
        assert_eq!(cache.find(&key(3)), Found::HasNone);
        assert_eq!(cache.find(&key(0)), Found::Picture(picture(10_000)));

        drop(cache);
        let cache = open();
        assert_ne!(cache.find(&key(2)), Found::Nothing);
        for number in 10..20 {
            cache.put(&key(number), Some(&picture(10_000))).unwrap();
        }
        let kept = (10..20).filter(|number| cache.find(&key(*number)) != Found::Nothing);
        assert_eq!(kept.count(), 3);
        let files = walk(folder.path());
        assert_eq!(files, 3, "nothing else is left on the disk");
    }

    fn walk(folder: &Path) -> usize {
        let shelves = fs::read_dir(folder).unwrap().flatten();
        shelves
            .map(|shelf| fs::read_dir(shelf.path()).unwrap().count())
            .sum()
    }

    #[test]
    fn what_is_damaged_or_gone_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().into(), 1 << 20, Clock::system()).unwrap();
        cache.put(&key(1), Some(&picture(100))).unwrap();
        let path = cache.path(&key(1).text());
        fs::write(&path, b"").unwrap();
        assert_eq!(cache.find(&key(1)), Found::Nothing);
        assert!(!path.exists());
        cache.put(&key(1), Some(&picture(100))).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(cache.find(&key(1)), Found::Nothing);
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(cache.put(&key(2), None).is_err());
    }
}
