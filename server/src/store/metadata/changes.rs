//! Who waits for changes hears of them soon, whichever process made them.
//!
//! Somebody who waits registers for a space, for trees in other spaces, and for what they are given.
//! What this process writes wakes the look-out at once; what other processes write is found by asking for
//! the numbers of all watched spaces each second, in a few statements whatever their number. Where a space has
//! changed, it is asked which of its watched trees have. Nobody waits: nothing is asked.
//!
//! # Always true
//!
//! * A space's number only rises, so a change is never missed by asking seldom: two of
//!   them may be heard of as one.
//! * Whoever watches a tree hears nothing of what else changes in its space.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::sharing_news::FindTouched;
use crate::store::metadata::sharing_news::ReadNews;
use crate::store::metadata::sharing_news::Touched;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// How often other processes' changes are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long this process's own changes are gathered before their spaces are asked for.
const GATHER: Duration = Duration::from_millis(20);
/// Something that is watched has changed.
const FILES: u8 = 1;
/// What somebody was given may have changed.
const GIVEN: u8 = 2;

/// Everything that is watched.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    watched: Mutex<Watched>,
    watchers: AtomicUsize,
    last_ear: AtomicU64,
    noted: Mutex<Noted>,
    wake: Notify,
}

/// What this process wrote since the look-out last looked.
#[derive(Debug, Default)]
struct Noted {
    spaces: HashSet<SpaceId>,
    sharing: bool,
}

#[derive(Debug, Default)]
struct Watched {
    spaces: HashMap<SpaceId, WatchedSpace>,
    people: HashMap<UserId, Ears>,
    /// The last news of sharing that was told; `None`: none was asked for yet.
    news: Option<i64>,
}

#[derive(Debug, Default)]
struct WatchedSpace {
    /// The number of its last change that was told; `None`: it was not asked for yet.
    number: Option<i64>,
    ears: Ears,
    trees: HashMap<NodeId, WatchedTree>,
}

#[derive(Debug, Default)]
struct WatchedTree {
    number: Option<i64>,
    ears: Ears,
}

type Ears = HashMap<u64, Arc<Ear>>;

/// Where one watcher hears.
#[derive(Debug, Default)]
struct Ear {
    heard: AtomicU8,
    wake: Notify,
}

impl Ear {
    fn tell(&self, what: u8) {
        self.heard.fetch_or(what, Ordering::AcqRel);
        self.wake.notify_one();
    }
}

fn tell_all(ears: &Ears, what: u8) {
    for ear in ears.values() {
        ear.tell(what);
    }
}

/// What a watcher has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The space or one of the trees has changed.
    pub(crate) files: bool,
    /// What the person was given may be something else.
    pub(crate) given: bool,
}

/// Hears of the changes of one person's space, of trees elsewhere, and of what the person is given, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    number: u64,
    person: UserId,
    home: SpaceId,
    trees: HashSet<(SpaceId, NodeId)>,
    ear: Arc<Ear>,
    of: Arc<Changes>,
}

impl Watcher {
    /// Waits until there is something that was not heard before; nothing is lost by ending the wait.
    pub(crate) async fn changed(&mut self) -> Heard {
        loop {
            let heard = self.ear.heard.swap(0, Ordering::AcqRel);
            if heard != 0 {
                return Heard {
                    files: heard & FILES != 0,
                    given: heard & GIVEN != 0,
                };
            }
            self.ear.wake.notified().await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.of.watchers.fetch_sub(1, Ordering::Relaxed);
        let mut watched = lock(&self.of.watched);
        if let Some(ears) = watched.people.get_mut(&self.person) {
            ears.remove(&self.number);
            if ears.is_empty() {
                watched.people.remove(&self.person);
            }
        }
        if let Some(space) = watched.spaces.get_mut(&self.home) {
            space.ears.remove(&self.number);
            watched.forget_unwatched(self.home);
        }
        for tree in self.trees.drain() {
            watched.leave(tree, self.number);
        }
    }
}

impl Watched {
    /// Keeps numbers of trees, and tells those who watch one whose number was another.
    fn keep_trees(&mut self, numbers: &Numbers) {
        for ((space, top), number) in &numbers.trees {
            let entry = self.spaces.get_mut(space);
            let Some(tree) = entry.and_then(|entry| entry.trees.get_mut(top)) else {
                continue;
            };
            if tree.number.is_some_and(|known| known != *number) {
                tell_all(&tree.ears, FILES);
            }
            tree.number = Some(*number);
        }
    }

    fn leave(&mut self, (space, top): (SpaceId, NodeId), ear: u64) {
        let Some(entry) = self.spaces.get_mut(&space) else {
            return;
        };
        if let Some(tree) = entry.trees.get_mut(&top) {
            tree.ears.remove(&ear);
            if tree.ears.is_empty() {
                entry.trees.remove(&top);
            }
        }
        self.forget_unwatched(space);
    }

    fn forget_unwatched(&mut self, space: SpaceId) {
        let is_unwatched = |entry: &WatchedSpace| entry.ears.is_empty() && entry.trees.is_empty();
        if self.spaces.get(&space).is_some_and(is_unwatched) {
            self.spaces.remove(&space);
        }
    }
}

impl Changes {
    fn watch(self: &Arc<Self>, person: UserId, home: SpaceId) -> Watcher {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        let number = self.last_ear.fetch_add(1, Ordering::Relaxed);
        let ear = Arc::new(Ear::default());
        let mut watched = lock(&self.watched);
        let people = watched.people.entry(person).or_default();
        people.insert(number, Arc::clone(&ear));
        let space = watched.spaces.entry(home).or_default();
        space.ears.insert(number, Arc::clone(&ear));
        Watcher {
            number,
            person,
            home,
            trees: HashSet::new(),
            ear,
            of: Arc::clone(self),
        }
    }

    /// Makes these the trees that a watcher watches.
    fn cover(&self, by: &mut Watcher, trees: HashSet<(SpaceId, NodeId)>) {
        let mut watched = lock(&self.watched);
        for tree in by.trees.difference(&trees) {
            watched.leave(*tree, by.number);
        }
        for (space, top) in trees.difference(&by.trees) {
            let space = watched.spaces.entry(*space).or_default();
            let tree = space.trees.entry(*top).or_default();
            tree.ears.insert(by.number, Arc::clone(&by.ear));
        }
        by.trees = trees;
    }

    /// Notes that this process has changed a space.
    pub(crate) fn note(&self, space: SpaceId) {
        if self.watchers.load(Ordering::Relaxed) == 0
            || !lock(&self.watched).spaces.contains_key(&space)
        {
            return;
        }
        if lock(&self.noted).spaces.insert(space) {
            self.wake.notify_one();
        }
    }

    /// Notes that this process may have changed who sees what.
    pub(crate) fn note_sharing(&self) {
        if self.watchers.load(Ordering::Relaxed) > 0 {
            lock(&self.noted).sharing = true;
            self.wake.notify_one();
        }
    }

    fn all(&self) -> Vec<SpaceId> {
        lock(&self.watched).spaces.keys().copied().collect()
    }

    /// Notes numbers of what was not asked for before: they are no news.
    fn begin(&self, numbers: &Numbers) {
        let mut watched = lock(&self.watched);
        for (space, number) in &numbers.spaces {
            if let Some(entry) = watched.spaces.get_mut(space) {
                entry.number.get_or_insert(*number);
            }
        }
        watched.keep_trees(numbers);
    }

    /// Tells watchers of spaces whose numbers have risen; returns the watched trees of these, which may have changed.
    fn tell(&self, numbers: &Numbers) -> Vec<(SpaceId, NodeId)> {
        let mut watched = lock(&self.watched);
        let mut trees = Vec::new();
        for (space, number) in &numbers.spaces {
            let Some(entry) = watched.spaces.get_mut(space) else {
                continue;
            };
            let known = entry.number;
            entry.number = known.max(Some(*number));
            if known.is_some_and(|known| known < *number) {
                tell_all(&entry.ears, FILES);
                trees.extend(entry.trees.keys().map(|top| (*space, *top)));
            }
        }
        trees
    }

    /// Tells watchers of trees whose numbers are other ones now.
    fn tell_trees(&self, numbers: &Numbers) {
        lock(&self.watched).keep_trees(numbers);
    }

    /// Tells people that what they were given may have changed: these, and whoever watches a tree in one of the spaces.
    fn tell_people(&self, people: &HashSet<UserId>, touched: &HashSet<Touched>) {
        let watched = lock(&self.watched);
        for ears in people.iter().filter_map(|one| watched.people.get(one)) {
            tell_all(ears, GIVEN);
        }
        for touched in touched {
            if let Touched::Space(space) = touched
                && let Some(entry) = watched.spaces.get(space)
            {
                for tree in entry.trees.values() {
                    tell_all(&tree.ears, GIVEN);
                }
            }
        }
    }

    fn tell_everybody(&self) {
        for ears in lock(&self.watched).people.values() {
            tell_all(ears, GIVEN);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MetadataStore {
    /// Begins to watch a person's home and what is given to them: what is committed after this returns will be heard of.
    pub(crate) async fn watch(&self, person: UserId, home: SpaceId) -> StoreResult<Watcher> {
        let changes = self.changes();
        let watcher = changes.watch(person, home);
        let numbers = ReadNumbers {
            spaces: vec![home],
            trees: Vec::new(),
        };
        changes.begin(&self.read(numbers).await?);
        if lock(&changes.watched).news.is_none() {
            let news = self.read(ReadNews { after: None }).await?;
            lock(&changes.watched).news.get_or_insert(news.last);
        }
        Ok(watcher)
    }

    /// Makes these the trees that a watcher watches besides the home; of what is new, changes from now on are heard of.
    pub(crate) async fn cover(
        &self,
        watcher: &mut Watcher,
        trees: HashSet<(SpaceId, NodeId)>,
    ) -> StoreResult<()> {
        let mut new: Vec<_> = trees.difference(&watcher.trees).copied().collect();
        new.sort();
        let mut spaces: Vec<_> = new.iter().map(|(space, _)| *space).collect();
        spaces.dedup();
        self.changes().cover(watcher, trees);
        if new.is_empty() {
            return Ok(());
        }
        let numbers = ReadNumbers { spaces, trees: new };
        self.changes().begin(&self.read(numbers).await?);
        Ok(())
    }

    /// Looks out for changes of what is watched, until `stop`.
    pub async fn look_out(&self, stop: CancellationToken) {
        let changes = Arc::clone(self.changes());
        let mut ask_at = Instant::now() + ASK_EVERY;
        loop {
            let noted = tokio::select! {
                () = stop.cancelled() => return,
                () = changes.wake.notified() => {
                    tokio::time::sleep(GATHER).await;
                    std::mem::take(&mut *lock(&changes.noted))
                }
                () = tokio::time::sleep_until(ask_at) => {
                    ask_at = Instant::now() + ASK_EVERY;
                    Noted {
                        spaces: changes.all().into_iter().collect(),
                        sharing: changes.watchers.load(Ordering::Relaxed) > 0,
                    }
                }
            };
            if noted.sharing
                && let Err(error) = self.hear_of_sharing().await
            {
                tracing::debug!(%error, "changes of what people see could not be asked for");
            }
            if let Err(error) = self.hear_of_files(noted.spaces).await {
                // The next second asks again.
                tracing::debug!(%error, "changes of spaces could not be asked for");
            }
        }
    }

    async fn hear_of_files(&self, spaces: HashSet<SpaceId>) -> StoreResult<()> {
        if spaces.is_empty() {
            return Ok(());
        }
        let numbers = ReadNumbers {
            spaces: spaces.into_iter().collect(),
            trees: Vec::new(),
        };
        let trees = self.changes().tell(&self.read(numbers).await?);
        if trees.is_empty() {
            return Ok(());
        }
        let numbers = ReadNumbers {
            spaces: Vec::new(),
            trees: trees.clone(),
        };
        match self.read(numbers).await {
            Ok(numbers) => self.changes().tell_trees(&numbers),
            Err(error) => {
                // Whether they have changed is not known, and will not be asked again.
                let watched = lock(&self.changes().watched);
                for (space, top) in trees {
                    let entry = watched.spaces.get(&space);
                    if let Some(tree) = entry.and_then(|entry| entry.trees.get(&top)) {
                        tell_all(&tree.ears, FILES);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn hear_of_sharing(&self) -> StoreResult<()> {
        let changes = self.changes();
        let Some(after) = lock(&changes.watched).news else {
            return Ok(());
        };
        let news = self.read(ReadNews { after: Some(after) }).await?;
        if news.is_anybodys {
            changes.tell_everybody();
        } else if !news.touched.is_empty() {
            let touched: HashSet<Touched> = news.touched.into_iter().collect();
            let among = lock(&changes.watched).people.keys().copied().collect();
            let find = FindTouched {
                touched: touched.clone(),
                among,
            };
            let people = self.read(find).await?;
            changes.tell_people(&people, &touched);
        }
        lock(&changes.watched).news = Some(news.last);
        Ok(())
    }
}

/// Reads the numbers of the last changes of spaces, and of trees.
#[derive(Debug)]
struct ReadNumbers {
    spaces: Vec<SpaceId>,
    trees: Vec<(SpaceId, NodeId)>,
}

#[derive(Debug, Default)]
struct Numbers {
    spaces: Vec<(SpaceId, i64)>,
    trees: Vec<((SpaceId, NodeId), i64)>,
}

impl Operation for ReadNumbers {
    type Output = Numbers;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Numbers> {
        let mut asked: Vec<Asked<(SpaceId, i64)>> = Vec::with_capacity(self.spaces.len() / 8 + 1);
        for spaces in self.spaces.chunks(8) {
            let nth = |n: usize| spaces.get(n).map_or(-1, |space| space.0).into();
            asked.push(
                tx.ask(
                    "SELECT id, seq FROM space WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8)",
                    &[0, 1, 2, 3, 4, 5, 6, 7].map(nth),
                    |row| Ok((SpaceId(row.int(0)?), row.int(1)?)),
                )
                .await?,
            );
        }
        let mut asked_trees: Vec<Asked<(NodeId, i64)>> = Vec::new();
        for trees in self.trees.chunks(8) {
            let nth = |n: usize| trees.get(n).map_or(-1, |(_, top)| top.0).into();
            asked_trees.push(
                tx.ask(
                    "SELECT id, CASE WHEN tree_seq > seq THEN tree_seq ELSE seq END FROM node \
                     WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8)",
                    &[0, 1, 2, 3, 4, 5, 6, 7].map(nth),
                    |row| Ok((NodeId(row.int(0)?), row.int(1)?)),
                )
                .await?,
            );
        }
        let mut numbers = Numbers::default();
        for asked in asked {
            numbers.spaces.extend(tx.answer(asked).await?);
        }
        let space_of: HashMap<NodeId, SpaceId> = self
            .trees
            .iter()
            .map(|(space, top)| (*top, *space))
            .collect();
        for asked in asked_trees {
            for (top, number) in tx.answer(asked).await? {
                if let Some(space) = space_of.get(&top) {
                    numbers.trees.push(((*space, top), number));
                }
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: SpaceId = SpaceId(1);
    const OTHER: SpaceId = SpaceId(2);

    fn spaces(numbers: &[(SpaceId, i64)]) -> Numbers {
        Numbers {
            spaces: numbers.to_vec(),
            trees: Vec::new(),
        }
    }

    fn tree(top: i64, number: i64) -> Numbers {
        Numbers {
            spaces: Vec::new(),
            trees: vec![((OTHER, NodeId(top)), number)],
        }
    }

    fn heard(watcher: &Watcher) -> u8 {
        watcher.ear.heard.swap(0, Ordering::AcqRel)
    }

    #[tokio::test]
    async fn two_watchers_of_a_space_hear_of_a_change_once_each() {
        let changes = Arc::new(Changes::default());
        let mut one = changes.watch(UserId(1), HOME);
        let mut two = changes.watch(UserId(1), HOME);
        changes.tell(&spaces(&[(HOME, 5), (OTHER, 9)]));
        assert_eq!(heard(&one), 0, "the first number is no news");
        changes.tell(&spaces(&[(HOME, 6)]));
        changes.tell(&spaces(&[(HOME, 4)]));
        changes.tell(&spaces(&[(HOME, 7)]));
        assert!(one.changed().await.files);
        assert!(two.changed().await.files);
        assert_eq!(heard(&one), 0);
    }

    #[test]
    fn who_watches_a_tree_hears_of_that_tree_alone() {
        let changes = Arc::new(Changes::default());
        let mut one = changes.watch(UserId(1), HOME);
        let mut two = changes.watch(UserId(2), SpaceId(3));
        changes.cover(&mut one, HashSet::from([(OTHER, NodeId(7))]));
        changes.cover(&mut two, HashSet::from([(OTHER, NodeId(8))]));
        changes.begin(&spaces(&[(HOME, 1), (OTHER, 10)]));
        changes.begin(&tree(7, 4));
        changes.begin(&tree(8, 5));
        let mut asked = changes.tell(&spaces(&[(OTHER, 11)]));
        asked.sort();
        assert_eq!(asked, [(OTHER, NodeId(7)), (OTHER, NodeId(8))]);
        changes.tell_trees(&tree(7, 11));
        changes.tell_trees(&tree(8, 5));
        assert_eq!((heard(&one), heard(&two)), (FILES, 0));
        assert!(changes.tell(&spaces(&[(OTHER, 11)])).is_empty());

        // Somebody else who begins later does not hide what the first have not been told.
        let mut late = changes.watch(UserId(3), SpaceId(4));
        changes.cover(&mut late, HashSet::from([(OTHER, NodeId(9))]));
        changes.begin(&spaces(&[(OTHER, 12)]));
        assert_eq!(changes.tell(&spaces(&[(OTHER, 12)])).len(), 3);

        let touched = HashSet::from([Touched::Space(OTHER)]);
        changes.tell_people(&HashSet::from([UserId(2)]), &touched);
        assert_eq!(
            [heard(&one), heard(&two), heard(&late)],
            [GIVEN, GIVEN, GIVEN]
        );
        changes.cover(&mut one, HashSet::new());
        changes.tell_people(&HashSet::new(), &touched);
        assert_eq!([heard(&one), heard(&two)], [0, GIVEN]);
    }

    #[test]
    fn what_nobody_watches_any_more_is_forgotten() {
        let changes = Arc::new(Changes::default());
        let one = changes.watch(UserId(1), HOME);
        let mut two = changes.watch(UserId(1), HOME);
        drop(one);
        assert_eq!(changes.all(), [HOME]);
        changes.cover(&mut two, HashSet::from([(OTHER, NodeId(7))]));
        changes.note(HOME);
        changes.note(SpaceId(3));
        assert_eq!(lock(&changes.noted).spaces.len(), 1);
        drop(two);
        assert!(changes.all().is_empty());
        assert!(lock(&changes.watched).people.is_empty());
        assert_eq!(changes.watchers.load(Ordering::Relaxed), 0);
    }
}
