//! What only one process of an installation may do at a time, and how a late one is stopped.
//!
//! A [`Turn`] is the right to a [`Duty`]. Where several servers share a PostgreSQL
//! database it is a lock of a session: it ends with the session, so a server that was
//! killed leaves nothing to clean up. But a session can end without its holder knowing, and
//! a process can sleep for a day. So each turn also has a number, greater than that of every
//! turn before, and every write that is made [`Turn::within`] a turn tests the number in
//! its own transaction.
//!
//! # Always true
//!
//! * Of the writes that are made within turns of one duty, none of an earlier turn is committed after the
//!   next one has begun: both lock the row of the number.
//!
//! # What surprises
//!
//! The number travels with the task, not with the call: a job reaches deep into both stores,
//! and a write that forgot it would be the one that does the harm. What a job hands
//! to other tasks is not covered.
//!
//! A SQLite database is used by one server, who holds the lock of its data folder; turns
//! are given to whoever asks.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;

use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// How often a session is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Every how many looks the database must answer.
const ASK_EVERY: u32 = 5;
/// How long it may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

tokio::task_local! {
    static FENCE: Fence;
}

/// What only one process may do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Running the jobs of the installation.
    Jobs,
    /// Writing to a folder of packs.
    Packs,
}

impl Duty {
    /// The row of `counter` with the number of the latest turn.
    fn counter(self) -> &'static str {
        match self {
            Self::Jobs => "turn_jobs",
            Self::Packs => "turn_packs",
        }
    }

    /// The advisory lock in PostgreSQL: arbitrary names, next to that of the migrations.
    pub(super) fn lock_number(self) -> i64 {
        match self {
            Self::Jobs => 474_349_627_238,
            Self::Packs => 474_349_627_239,
        }
    }
}

/// The right to a duty; it is given back when this is dropped.
#[derive(Debug)]
pub struct Turn {
    fence: Fence,
    /// The session with the lock; `None`: the holder of the data folder needs none.
    session: Option<ClientWrapper>,
}

impl Turn {
    pub(super) fn new(duty: Duty, number: i64, session: Option<ClientWrapper>) -> Self {
        Self {
            fence: Fence { duty, number },
            session,
        }
    }

    /// Returns its number: one more than that of the turn before.
    pub fn number(&self) -> i64 {
        self.fence.number
    }

    /// Does work whose writes fail once another turn has begun.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        FENCE.scope(self.fence, work)
    }

    /// Waits until the turn is over because its session is; never returns while it is not.
    pub async fn lost(&self) {
        let Some(session) = &self.session else {
            return std::future::pending().await;
        };
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            looks = looks.wrapping_add(1);
            if session.is_closed() {
                return;
            }
            if looks.is_multiple_of(ASK_EVERY) {
                let asked = session.batch_execute("SELECT 1");
                match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        }
    }
}

/// The number of a turn, as its writes carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    duty: Duty,
    number: i64,
}

impl Fence {
    /// Returns the one that the present task works within.
    pub(super) fn present() -> Option<Self> {
        FENCE.try_with(|fence| *fence).ok()
    }

    /// Fails unless its turn is the latest; keeps the next from beginning before the end of this transaction.
    async fn require<T: Tx>(self, tx: &mut T) -> StoreResult<()> {
        // An update that changes nothing is a lock of the row on every engine.
        let held = tx
            .execute(
                "UPDATE counter SET next = next WHERE name = $1 AND next = $2",
                &[self.duty.counter().into(), self.number.into()],
            )
            .await?;
        if held == 0 {
            return Err(StoreError::Superseded);
        }
        Ok(())
    }
}

/// An operation that happens only while its turn is the latest.
pub(super) struct Fenced<O> {
    pub(super) fence: Fence,
    pub(super) operation: O,
}

impl<O: Operation> Operation for Fenced<O> {
    type Output = O::Output;

    fn space(&self) -> Option<SpaceId> {
        self.operation.space()
    }

    fn changes_sharing(&self) -> bool {
        self.operation.changes_sharing()
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<O::Output> {
        self.fence.require(tx).await?;
        self.operation.run(tx).await
    }
}

/// Begins a turn; writes of every earlier one fail from now on.
#[derive(Debug)]
pub(super) struct BeginTurn(pub(super) Duty);

impl Operation for BeginTurn {
    /// The number of the turn.
    type Output = i64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        let counter = self.0.counter();
        let number = tx
            .row(
                "INSERT INTO counter (name, next) VALUES ($1, 1) \
                 ON CONFLICT (name) DO UPDATE SET next = counter.next + 1 RETURNING next",
                &[counter.into()],
                |row| row.int(0),
            )
            .await?;
        number.ok_or_else(|| StoreError::Corrupt(format!("counter {counter}")))
    }
}
