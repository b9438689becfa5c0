//! What one client knows of its own files, against which the server is held.
//!
//! A [`Ledger`] changes files at random. An acknowledged change is certain; a
//! change without an answer (or refused by a failing disk) may have happened
//! or not, as a whole: [`Ledger::settle`] reads which, and anything between the
//! two is a fault. Paths of an unsettled change are left alone meanwhile. Where other servers
//! go on, [`Ledger::settle_older`] does the same for what no server can be doing any more.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::User;
use nuage_tests::data::Chance;
use nuage_tests::data::bytes;
use nuage_tests::http::Answer;
use nuage_tests::http::Broken;

/// The greatest length of a file, in bytes.
const LENGTH_MAX: u64 = 3 << 20;

/// A file's content: made from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    seed: u64,
    length: usize,
}

/// A file or its absence, before and after one change.
#[derive(Debug, Clone)]
struct Change {
    path: String,
    before: Option<Content>,
    after: Option<Content>,
}

/// What was asked by one request that got no whole answer.
#[derive(Debug)]
struct Unsettled {
    since: Instant,
    changes: Vec<Change>,
}

/// No server tells just now what a file is.
#[derive(Debug)]
struct NoTelling;

/// How one change went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged.
    Done,
    /// The server refused it, with this status.
    Refused(u16),
    /// No whole answer came.
    Unanswered,
    /// Every path waits for `settle`.
    Stuck,
}

/// One client's knowledge of its own folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    user: User,
    folder: String,
    files: BTreeMap<String, Content>,
    unsettled: Vec<Unsettled>,
    chance: Chance,
    /// The greatest length of a file, in bytes.
    length_max: u64,
    /// How many changes were acknowledged.
    pub(crate) acknowledged: u64,
}

impl Ledger {
    /// Makes the folder of a client, number `number`.
    pub(crate) fn new(user: &User, number: u64, chance: Chance) -> Self {
        let folder = format!("/client{number}");
        user.mkcol(&folder).send().expect(201);
        Self {
            user: user.clone(),
            folder,
            files: BTreeMap::new(),
            unsettled: Vec::new(),
            chance,
            length_max: LENGTH_MAX,
            acknowledged: 0,
        }
    }

    /// Bounds the length of its files, where reading them back is slow.
    #[must_use]
    pub(crate) fn with_length_max(mut self, bytes: u64) -> Self {
        self.length_max = bytes;
        self
    }

    /// Lets the ledger speak to another server that holds the same data.
    pub(crate) fn speak_as(&mut self, user: &User) {
        self.user = user.clone();
    }

    /// Makes one change, drawn at random.
    pub(crate) fn step(&mut self) -> Outcome {
        let Some(path) = self.free_path() else {
            return Outcome::Stuck;
        };
        let present = self.files.get(&path).copied();
        match self.chance.between(0, 9) {
            0 if present.is_some() => self.delete(path, present),
            1 if present.is_some() => self.arrange("MOVE", path, present),
            2 if present.is_some() => self.arrange("COPY", path, present),
            _ => self.put(path, present),
        }
    }

    fn put(&mut self, path: String, before: Option<Content>) -> Outcome {
        let length = match self.chance.between(0, 9) {
            0 => 0,
            1..=5 => self.chance.between(1, 20 << 10),
            6..=8 => self.chance.between(20 << 10, 400 << 10),
            _ => self.chance.between(1 << 20, LENGTH_MAX),
        };
        let length = length.min(self.length_max);
        let content = Content {
            seed: self.chance.number(),
            length: usize::try_from(length).unwrap(),
        };
        let call = self.user.put(&path, bytes(content.seed, content.length));
        let call = if self.chance.between(0, 3) == 0 {
            call.chunked()
        } else {
            call
        };
        let answer = call.try_send();
        let change = Change {
            path,
            before,
            after: Some(content),
        };
        self.note(answer, vec![change])
    }

    fn delete(&mut self, path: String, before: Option<Content>) -> Outcome {
        let answer = self.user.delete(&path).try_send();
        let change = Change {
            path,
            before,
            after: None,
        };
        self.note(answer, vec![change])
    }

    fn arrange(&mut self, method: &str, path: String, present: Option<Content>) -> Outcome {
        let Some(target) = self.free_path().filter(|target| *target != path) else {
            return Outcome::Stuck;
        };
        let answer = self
            .user
            .call(method, &path)
            .header("Destination", &self.user.target(&target))
            .try_send();
        let source = Change {
            before: present,
            after: if method == "COPY" { present } else { None },
            path,
        };
        let target = Change {
            before: self.files.get(&target).copied(),
            after: present,
            path: target,
        };
        self.note(answer, vec![source, target])
    }

    fn note(&mut self, answer: Result<Answer, Broken>, changes: Vec<Change>) -> Outcome {
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.acknowledged += 1;
                for change in &changes {
                    self.set(&change.path, change.after);
                }
                Outcome::Done
            }
            Ok(answer) => {
                self.leave_open(changes);
                Outcome::Refused(answer.status)
            }
            Err(_) => {
                self.leave_open(changes);
                Outcome::Unanswered
            }
        }
    }

    fn leave_open(&mut self, changes: Vec<Change>) {
        self.unsettled.push(Unsettled {
            since: Instant::now(),
            changes,
        });
    }

    /// Reads which unacknowledged changes happened; each happened whole or not at all.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        self.settle_older(Duration::ZERO);
        assert!(self.unsettled.is_empty(), "a file cannot be read");
    }

    /// Settles what was asked longer ago than `age`; what cannot be read just now stays open.
    #[track_caller]
    pub(crate) fn settle_older(&mut self, age: Duration) {
        for open in std::mem::take(&mut self.unsettled) {
            let is_due = open.since.elapsed() >= age;
            let found: Result<Vec<Option<Vec<u8>>>, NoTelling> = if is_due {
                open.changes
                    .iter()
                    .map(|change| self.try_read(&change.path))
                    .collect()
            } else {
                Err(NoTelling)
            };
            match found {
                Ok(found) => self.settle_one(&open.changes, &found),
                Err(NoTelling) => self.unsettled.push(open),
            }
        }
    }

    #[track_caller]
    fn settle_one(&mut self, changes: &[Change], found: &[Option<Vec<u8>>]) {
        let is = |which: fn(&Change) -> Option<Content>| {
            changes
                .iter()
                .zip(found)
                .all(|(change, found)| same(which(change), found.as_deref()))
        };
        let happened = is(|change| change.after);
        assert!(
            happened || is(|change| change.before),
            "neither done nor undone: {changes:?}, found {:?} bytes",
            found
                .iter()
                .map(|found| found.as_ref().map(Vec::len))
                .collect::<Vec<_>>()
        );
        for change in changes {
            let now = if happened {
                change.after
            } else {
                change.before
            };
            self.set(&change.path, now);
        }
    }

    /// Returns whether it knows of every change whether it happened.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// Returns how many bytes its files have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files
            .values()
            .map(|content| content.length as u64)
            .sum()
    }

    /// Reads every file back and compares it byte for byte.
    #[track_caller]
    pub(crate) fn verify(&self) {
        assert!(self.unsettled.is_empty(), "settle first");
        for (path, content) in &self.files {
            let found = self.read(path);
            assert!(
                same(Some(*content), found.as_deref()),
                "{path} must be {content:?}, is {:?} bytes",
                found.map(|found| found.len())
            );
        }
        let mut names = self.user.names(&self.folder);
        names.sort();
        let mut expected: Vec<String> = self
            .files
            .keys()
            .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        expected.sort();
        assert_eq!(names, expected, "of {}", self.folder);
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.user.get(path).send();
        match answer.status {
            404 => None,
            _ => Some(answer.expect(200).body),
        }
    }

    /// Reads a file, if there is an answer that tells.
    fn try_read(&self, path: &str) -> Result<Option<Vec<u8>>, NoTelling> {
        match self.user.get(path).try_send() {
            Ok(answer) if answer.status == 404 => Ok(None),
            Ok(answer) if answer.status == 200 => Ok(Some(answer.body)),
            Ok(_) | Err(_) => Err(NoTelling),
        }
    }

    fn set(&mut self, path: &str, content: Option<Content>) {
        match content {
            Some(content) => self.files.insert(path.to_owned(), content),
            None => self.files.remove(path),
        };
    }

    /// Draws a path that no unsettled change concerns.
    fn free_path(&mut self) -> Option<String> {
        (0..20).find_map(|_| {
            let path = format!("{}/f{}", self.folder, self.chance.between(0, 15));
            let is_free = self
                .unsettled
                .iter()
                .flat_map(|open| &open.changes)
                .all(|change| change.path != path);
            is_free.then_some(path)
        })
    }
}

fn same(content: Option<Content>, found: Option<&[u8]>) -> bool {
    match (content, found) {
        (None, None) => true,
        (Some(content), Some(found)) => {
            found.len() == content.length && found == bytes(content.seed, content.length)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}
