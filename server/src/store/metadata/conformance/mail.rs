//! The queue of letters: what waits, for how long, and what is never written at all.

use super::Fixture;
use crate::clock::Timestamp;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::mail::DueLetters;
use crate::store::metadata::mail::EnqueueLetter;
use crate::store::metadata::mail::ForgetLetter;
use crate::store::metadata::mail::NewLetter;
use crate::store::metadata::mail::PostponeLetter;
use crate::store::metadata::mail::QueuedLetter;
use crate::store::metadata::mail::enqueue;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

fn letter(subject: &str) -> NewLetter {
    NewLetter {
        recipient: "zoe@example.org".to_owned(),
        subject: subject.to_owned(),
        body: "été\n".to_owned(),
        html: None,
    }
}

/// A change that tells somebody, and may then be refused.
struct Tell {
    subject: &'static str,
    now: Timestamp,
    is_refused: bool,
}

impl Operation for Tell {
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let is_queued = enqueue(tx, &letter(self.subject), self.now, 10).await?;
        if self.is_refused {
            return Err(Refusal::NotFound.into());
        }
        Ok(is_queued)
    }
}

impl Fixture {
    pub(super) async fn due(&self, at_seconds: i64, limit: u64) -> Vec<QueuedLetter> {
        let now = self.change(at_seconds).now;
        self.store.read(DueLetters { now, limit }).await.unwrap()
    }

    async fn due_subjects(&self, at_seconds: i64, limit: u64) -> Vec<String> {
        let due = self.due(at_seconds, limit).await;
        due.into_iter()
            .map(|queued| queued.letter.subject)
            .collect()
    }
}

#[tokio::test]
async fn a_letter_waits_until_it_is_sent_and_only_if_its_change_happened() {
    let on = Fixture::new().await;
    let tell = |subject, at_seconds, is_refused| Tell {
        subject,
        now: on.change(at_seconds).now,
        is_refused,
    };
    assert!(on.store.write(tell("second", 2, false)).await.unwrap());
    assert!(on.store.write(tell("first", 1, false)).await.unwrap());
    on.store.write(tell("never", 1, true)).await.unwrap_err();

    assert!(on.due(0, 10).await.is_empty());
    assert_eq!(on.due_subjects(1, 10).await, ["first"]);
    assert_eq!(on.due_subjects(2, 10).await, ["first", "second"]);
    assert_eq!(on.due_subjects(2, 1).await, ["first"]);
    let first = on.due(2, 1).await.remove(0);
    assert_eq!((first.letter, first.attempts), (letter("first"), 0));
    assert_eq!(first.created_at, on.change(1).now);

    let postpone = PostponeLetter {
        id: first.id,
        next_try: on.change(60).now,
        error: "é".repeat(10_000),
    };
    on.store.write(postpone).await.unwrap();
    assert_eq!(on.due_subjects(59, 10).await, ["second"]);
    assert_eq!(on.due_subjects(60, 10).await, ["second", "first"]);
    let again = on.due(60, 10).await.remove(1);
    assert_eq!((again.attempts, again.created_at), (1, first.created_at));
    on.store.write(ForgetLetter(first.id)).await.unwrap();
    on.store.write(ForgetLetter(first.id)).await.unwrap();
    assert_eq!(on.due_subjects(60, 10).await, ["second"]);
}

#[tokio::test]
async fn no_more_letters_wait_than_may() {
    let on = Fixture::new().await;
    let enqueue = || EnqueueLetter {
        letter: letter("s"),
        now: on.change(0).now,
        letters_max: 2,
    };
    assert!(on.store.write(enqueue()).await.unwrap());
    assert!(on.store.write(enqueue()).await.unwrap());
    assert!(!on.store.write(enqueue()).await.unwrap());
    let due = on.due(0, 10).await;
    assert_eq!(due.len(), 2);
    on.store.write(ForgetLetter(due[0].id)).await.unwrap();
    assert!(on.store.write(enqueue()).await.unwrap());
}
