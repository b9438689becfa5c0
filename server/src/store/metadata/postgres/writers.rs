//! Who commits when: queues of spaces, shared commits, and what runs again.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use rand::Rng;
use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::postgres::Shared;
use crate::store::metadata::postgres::connection;
use crate::store::metadata::postgres::transaction::CommitFault;
use crate::store::metadata::postgres::transaction::Fault;
use crate::store::metadata::postgres::transaction::PostgresTx;
use crate::store::metadata::postgres::transaction::swallowed;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::sqlite::Urgency;
use crate::store::metadata::tx::Operation;

/// How often an operation is tried in all before its caller is told to come back.
const ATTEMPTS_MAX: u32 = 10;
/// The longest pause before the second attempt, in milliseconds; it doubles with each further one.
const PAUSE_MILLIS: u64 = 4;
/// The longest pause of all, in milliseconds.
const PAUSE_MILLIS_MAX: u64 = 500;
/// How long a stop waits for operations that were begun.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs writes in tasks, which nobody can cancel.
#[derive(Debug)]
pub(super) struct Writers {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Connections that writes may hold.
    connections: Semaphore,
    /// The one of them that background work may hold.
    background: Semaphore,
    commit_operations: usize,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Operations that wait behind one that runs, by space.
    queues: HashMap<SpaceId, VecDeque<Box<dyn Job>>>,
    running: usize,
    is_closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("spaces", &self.queues.len())
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Writers {
    pub(super) fn new(
        shared: Arc<Shared>,
        connections: usize,
        commit_operations: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            runtime: Handle::current(),
            connections: Semaphore::new(connections),
            background: Semaphore::new(1),
            commit_operations,
            state: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    /// Hands an operation to a task at once; the future waits for its answer.
    pub(super) fn write<O: Operation>(
        self: &Arc<Self>,
        operation: O,
        urgency: Urgency,
    ) -> impl Future<Output = StoreResult<O::Output>> + Send + use<O> {
        let (reply, answer) = oneshot::channel();
        let space = operation.space();
        let job = OperationJob {
            operation,
            result: None,
            reply,
        };
        let begun = self.begin(Box::new(job), space, urgency);
        async move {
            begun?;
            answer.await.unwrap_or(Err(StoreError::Closed))
        }
    }

    fn begin(
        self: &Arc<Self>,
        job: Box<dyn Job>,
        space: Option<SpaceId>,
        urgency: Urgency,
    ) -> StoreResult<()> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(StoreError::Closed);
        }
        let space = space.filter(|_| urgency == Urgency::Foreground);
        if let Some(waiting) = space.and_then(|space| state.queues.get_mut(&space)) {
            waiting.push_back(job);
            return Ok(());
        }
        state.running += 1;
        let running = Running {
            writers: Arc::clone(self),
            space,
        };
        match space {
            Some(space) => {
                state.queues.insert(space, VecDeque::new());
                drop(self.runtime.spawn(running.serve(space, job)));
            }
            None => drop(self.runtime.spawn(running.run(job, urgency))),
        }
        Ok(())
    }

    /// Returns how many operations wait behind another of their space.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).queues.values().map(VecDeque::len).sum()
    }

    /// Begins nothing more and waits for what was begun. Blocks.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        // With one thread for everything, waiting would keep them from ending.
        if self.runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return;
        }
        drop(
            self.ended
                .wait_timeout_while(state, CLOSE_TIMEOUT, |state| state.running > 0)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Takes what waits for a space; `None`: nothing does, and its queue is gone.
    fn next_batch(&self, space: SpaceId) -> Option<Vec<Box<dyn Job>>> {
        let mut state = lock(&self.state);
        let waiting = state.queues.get_mut(&space)?;
        if waiting.is_empty() {
            state.queues.remove(&space);
            return None;
        }
        let count = waiting.len().min(self.commit_operations);
        Some(waiting.drain(..count).collect())
    }

    /// Runs operations in one transaction, or each in its own where that fails.
    async fn run_batch(&self, mut batch: Vec<Box<dyn Job>>) {
        if batch.len() > 1 {
            match self.attempt(&mut batch).await {
                Outcome::Answered => return batch.into_iter().for_each(Job::answer),
                Outcome::Unknown(text) => {
                    for job in batch {
                        job.fail(StoreError::Unknown(text.clone()));
                    }
                    return;
                }
                Outcome::Repeat(_) => {}
            }
        }
        for job in batch {
            self.run_alone(job).await;
        }
    }

    async fn run_alone(&self, mut job: Box<dyn Job>) {
        let mut attempts = 1;
        loop {
            match self.attempt(std::slice::from_mut(&mut job)).await {
                Outcome::Answered => return job.answer(),
                Outcome::Unknown(text) => return job.fail(StoreError::Unknown(text)),
                Outcome::Repeat(StoreError::Closed) => return job.fail(StoreError::Closed),
                Outcome::Repeat(error) if attempts >= ATTEMPTS_MAX => {
                    return job.fail(match error {
                        StoreError::Unavailable(_) => error,
                        other => StoreError::Unavailable(other.to_string()),
                    });
                }
                Outcome::Repeat(error) => {
                    tracing::debug!(%error, attempts, "a transaction runs again");
                    tokio::time::sleep(pause(attempts)).await;
                    attempts += 1;
                }
            }
        }
    }

    /// Runs operations in one transaction; each has its result afterwards, unless all must be repeated.
    async fn attempt(&self, jobs: &mut [Box<dyn Job>]) -> Outcome {
        let Ok(_permit) = self.connections.acquire().await else {
            return Outcome::Repeat(StoreError::Closed);
        };
        let client = match connection(&self.shared.pool).await {
            Ok(client) => client,
            Err(error) => return Outcome::Repeat(error),
        };
        let mut tx = PostgresTx::new(&client, &self.shared);
        tx.begin("BEGIN ISOLATION LEVEL READ COMMITTED");
        if let [job] = jobs {
            let succeeded = job.attempt(&mut tx).await;
            match tx.fault() {
                Some(Fault::Again | Fault::Lost) => return Outcome::Repeat(job.error()),
                Some(Fault::Own) | None if !succeeded => return Outcome::Answered,
                Some(Fault::Own) | None => {}
            }
        } else {
            for job in jobs.iter_mut() {
                if let Err(error) = attempt_under_savepoint(job.as_mut(), &mut tx).await {
                    return Outcome::Repeat(error);
                }
            }
        }
        match tx.commit().await {
            Ok(()) => Outcome::Answered,
            Err(CommitFault::Unknown(text)) => Outcome::Unknown(text),
            Err(CommitFault::RolledBack(error)) => match (jobs, tx.fault()) {
                ([job], Some(Fault::Own) | None) => {
                    job.set_error(error);
                    Outcome::Answered
                }
                _ => Outcome::Repeat(error),
            },
        }
    }
}

/// Runs one of several operations of a transaction; an error means that the transaction is lost.
async fn attempt_under_savepoint(job: &mut dyn Job, tx: &mut PostgresTx<'_>) -> StoreResult<()> {
    tx.control("SAVEPOINT operation");
    let succeeded = job.attempt(tx).await;
    let settled = tx.settle().await;
    if let Some(Fault::Again | Fault::Lost) = tx.fault() {
        return settled.and_then(|()| Err(job.error()));
    }
    if succeeded && settled.is_ok() && tx.fault().is_none() {
        tx.control("RELEASE operation");
        return Ok(());
    }
    if succeeded {
        job.set_error(settled.err().unwrap_or_else(swallowed));
    }
    tx.forget_fault();
    tx.control("ROLLBACK TO operation; RELEASE operation");
    Ok(())
}

/// What became of a transaction.
enum Outcome {
    /// Every operation has its result, and those that succeeded are durable.
    Answered,
    /// It may have been committed.
    Unknown(String),
    /// Nothing of it remains, through no fault of an operation.
    Repeat(StoreError),
}

/// A random pause before another attempt, so that those who met do not meet again.
fn pause(attempts: u32) -> Duration {
    let longest = PAUSE_MILLIS
        .saturating_mul(1 << attempts.min(16))
        .min(PAUSE_MILLIS_MAX);
    Duration::from_micros(rand::rng().random_range(longest * 250..=longest * 1_000))
}

/// One task, counted while it lives.
struct Running {
    writers: Arc<Writers>,
    space: Option<SpaceId>,
}

impl Running {
    async fn serve(mut self, space: SpaceId, first: Box<dyn Job>) {
        let mut batch = vec![first];
        loop {
            self.writers.run_batch(batch).await;
            let Some(next) = self.writers.next_batch(space) else {
                break;
            };
            batch = next;
        }
        // Whoever comes from now on begins a queue of their own.
        self.space = None;
    }

    async fn run(self, job: Box<dyn Job>, urgency: Urgency) {
        let _turn = match urgency {
            Urgency::Background => self.writers.background.acquire().await.ok(),
            Urgency::Foreground => None,
        };
        self.writers.run_alone(job).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = lock(&self.writers.state);
        state.running -= 1;
        // Set only where the task was ended from outside: nobody will serve these.
        let left = self.space.and_then(|space| state.queues.remove(&space));
        drop(state);
        drop(left);
        self.writers.ended.notify_all();
    }
}

/// An operation that waits, whatever its type.
trait Job: Send {
    /// Runs the operation's statements; returns whether it succeeded.
    fn attempt<'a>(
        &'a mut self,
        tx: &'a mut PostgresTx<'_>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
    /// Takes the error that `attempt` found.
    fn error(&mut self) -> StoreError;
    /// Replaces what `attempt` found.
    fn set_error(&mut self, error: StoreError);
    /// Gives the waiting caller what `attempt` found.
    fn answer(self: Box<Self>);
    /// Gives the waiting caller an error in place of what `attempt` found.
    fn fail(self: Box<Self>, error: StoreError);
}

struct OperationJob<O: Operation> {
    operation: O,
    result: Option<StoreResult<O::Output>>,
    reply: oneshot::Sender<StoreResult<O::Output>>,
}

impl<O: Operation> Job for OperationJob<O> {
    fn attempt<'a>(
        &'a mut self,
        tx: &'a mut PostgresTx<'_>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let result = AssertUnwindSafe(self.operation.run(tx))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(StoreError::Database("an operation panicked".into())));
            let succeeded = result.is_ok();
            self.result = Some(result);
            succeeded
        })
    }

    fn error(&mut self) -> StoreError {
        match self.result.take() {
            Some(Err(error)) => error,
            Some(Ok(_)) | None => StoreError::Unavailable("the connection was lost".into()),
        }
    }

    fn set_error(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or(Err(StoreError::Closed));
        // The caller may have gone; the commit stands all the same.
        drop(self.reply.send(result));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        drop(self.reply.send(Err(error)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
