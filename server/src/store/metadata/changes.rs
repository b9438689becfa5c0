//! Who waits for changes of a space hears of them soon, whichever process made them.
//!
//! Somebody who waits registers for a space. What this process writes wakes the look-out at
//! once; what other processes write is found by asking for the numbers of all watched spaces
//! each second, in a few statements whatever their number. Nobody waits: nothing is asked.
//!
//! # Always true
//!
//! * A space's number only rises, so a change is never missed by asking seldom: two of
//!   them may be heard of as one.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// How often other processes' changes are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long this process's own changes are gathered before their spaces are asked for.
const GATHER: Duration = Duration::from_millis(20);
/// The number of a space that was not asked for yet.
const UNKNOWN: i64 = i64::MIN;

/// The spaces that somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    watched: Mutex<HashMap<SpaceId, Watched>>,
    watchers: AtomicUsize,
    changed: Mutex<HashSet<SpaceId>>,
    wake: Notify,
}

#[derive(Debug)]
struct Watched {
    number: watch::Sender<i64>,
    watchers: usize,
}

/// Hears of the changes of one space, until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    space: SpaceId,
    number: watch::Receiver<i64>,
    of: Arc<Changes>,
}

impl Watcher {
    /// Waits until the space has changed since the last time.
    pub async fn changed(&mut self) {
        if self.number.changed().await.is_err() {
            // The look-out is gone, as when the server stops: nothing will be heard any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.of.watchers.fetch_sub(1, Ordering::Relaxed);
        let mut watched = lock(&self.of.watched);
        if let Some(entry) = watched.get_mut(&self.space) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                watched.remove(&self.space);
            }
        }
    }
}

impl Changes {
    fn watch(self: &Arc<Self>, space: SpaceId) -> Watcher {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        let mut watched = lock(&self.watched);
        let entry = watched.entry(space).or_insert_with(|| Watched {
            number: watch::channel(UNKNOWN).0,
            watchers: 0,
        });
        entry.watchers += 1;
        Watcher {
            space,
            number: entry.number.subscribe(),
            of: Arc::clone(self),
        }
    }

    /// Notes that this process has changed a space.
    pub(crate) fn note(&self, space: SpaceId) {
        if self.watchers.load(Ordering::Relaxed) == 0 || !lock(&self.watched).contains_key(&space) {
            return;
        }
        if lock(&self.changed).insert(space) {
            self.wake.notify_one();
        }
    }

    fn all(&self) -> Vec<SpaceId> {
        lock(&self.watched).keys().copied().collect()
    }

    /// Tells watchers of numbers that have risen; the first number of a space is no news.
    fn tell(&self, numbers: &[(SpaceId, i64)]) {
        let watched = lock(&self.watched);
        for (space, number) in numbers {
            if let Some(entry) = watched.get(space) {
                entry.number.send_if_modified(|known| {
                    let is_news = *known != UNKNOWN && *known < *number;
                    *known = (*known).max(*number);
                    is_news
                });
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MetadataStore {
    /// Begins to watch a space: what is committed after this returns will be heard of.
    pub async fn watch(&self, space: SpaceId) -> StoreResult<Watcher> {
        let watcher = self.changes().watch(space);
        let numbers = self.read(ReadNumbers(vec![space])).await?;
        self.changes().tell(&numbers);
        Ok(watcher)
    }

    /// Looks out for changes of watched spaces, until `stop`.
    pub async fn look_out(&self, stop: CancellationToken) {
        let changes = Arc::clone(self.changes());
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = changes.wake.notified() => {
                    tokio::time::sleep(GATHER).await;
                    lock(&changes.changed).drain().collect()
                }
                () = tokio::time::sleep(ASK_EVERY) => changes.all(),
            };
            if asked.is_empty() {
                continue;
            }
            match self.read(ReadNumbers(asked)).await {
                Ok(numbers) => changes.tell(&numbers),
                // The next second asks again.
                Err(error) => tracing::debug!(%error, "changes of spaces could not be asked for"),
            }
        }
    }
}

/// Reads the numbers of the last changes of spaces.
#[derive(Debug)]
struct ReadNumbers(Vec<SpaceId>);

impl Operation for ReadNumbers {
    type Output = Vec<(SpaceId, i64)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let mut asked = Vec::with_capacity(self.0.len().div_ceil(8));
        for spaces in self.0.chunks(8) {
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
        let mut numbers = Vec::with_capacity(self.0.len());
        for asked in asked {
            numbers.extend(tx.answer(asked).await?);
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_watchers_of_a_space_hear_of_a_change_once_each() {
        let changes = Arc::new(Changes::default());
        let mut one = changes.watch(SpaceId(1));
        let mut two = changes.watch(SpaceId(1));
        changes.tell(&[(SpaceId(1), 5), (SpaceId(2), 9)]);
        assert!(
            !one.number.has_changed().unwrap(),
            "the first number is no news"
        );
        changes.tell(&[(SpaceId(1), 6)]);
        changes.tell(&[(SpaceId(1), 4)]);
        changes.tell(&[(SpaceId(1), 7)]);
        one.changed().await;
        two.changed().await;
        assert!(!one.number.has_changed().unwrap());
    }

    #[test]
    fn a_space_that_nobody_watches_any_more_is_forgotten() {
        let changes = Arc::new(Changes::default());
        let (one, two) = (changes.watch(SpaceId(1)), changes.watch(SpaceId(1)));
        drop(one);
        assert_eq!(changes.all(), [SpaceId(1)]);
        changes.note(SpaceId(1));
        changes.note(SpaceId(2));
        assert_eq!(lock(&changes.changed).len(), 1);
        drop(two);
        assert!(changes.all().is_empty());
        assert_eq!(changes.watchers.load(Ordering::Relaxed), 0);
    }
}
