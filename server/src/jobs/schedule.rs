//! The work that a server does by itself, each at its time.
//!
//! A job is due by the server's [`Clock`], which is looked at each second; so a
//! clock that is set forward brings forward what is due, and one that is set back makes
//! nothing wait longer than its period. A job that fails or panics is logged and tried
//! again at its next time.
//!
//! Of several servers on one database, one has the turn to run them ([`Duty::Jobs`]); the
//! others ask for it now and then, and get it when that one stops or dies.
//!
//! # Always true
//!
//! * A job never runs twice at the same time, on whatever servers; one that lost its turn without
//!   knowing writes nothing more.
//! * When the server stops, or loses its turn, jobs end at their next slice.

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::jobs::maintenance::Maintenance;
use crate::jobs::requests::answer_requests;
use crate::mail::Mailer;
use crate::mail::Notices;
use crate::store::chunks::ChunkError;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::history::WriteSetting;
use crate::store::metadata::turn::Duty;
use crate::store::metadata::turn::Turn;

/// How often it is asked what is due, and what other processes have changed.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often a server without the turn to run the jobs asks for it.
const ASK_FOR_TURN_EVERY: Duration = Duration::from_secs(3);
/// How long after the start the first housekeeping waits.
const HOUSEKEEPING_FIRST_SECONDS: i64 = 30;
/// How often locks are looked for whose time is over: as long may clients show them too long.
const END_LOCKS_SECONDS: i64 = 30;
/// How long after the start the first collection waits.
const COLLECT_FIRST_SECONDS: i64 = 600;
/// When every stored byte was last read by the schedule: the name of the setting.
const VERIFIED_AT: &str = "verified_at";
/// Between two looks for letters that are due.
const MAIL_SECONDS: i64 = 5;
const DAY_SECONDS: i64 = 86_400;

/// How often each job runs, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// Moves of small contents to packs.
    pub pack_seconds: i64,
    /// What time ends.
    pub housekeeping_seconds: i64,
    /// Bytes that nothing names any more.
    pub collect_seconds: i64,
    /// Reading every stored byte; `None`: never.
    pub verify_seconds: Option<i64>,
}

/// The jobs of a server.
pub struct Schedule {
    /// Who is told of changed accounts.
    pub identity: Arc<Identity>,
    /// Where asked jobs are.
    pub metadata: Arc<MetadataStore>,
    /// What is done.
    pub maintenance: Arc<Maintenance>,
    /// What sends letters, where there is a server of mail.
    pub mailer: Option<Arc<Mailer>>,
    /// What writes them of what people share.
    pub notices: Arc<Notices>,
    /// The source of time.
    pub clock: Clock,
    /// How often.
    pub periods: Periods,
}

impl Schedule {
    /// Begins all jobs; they end after `stop`, when the returned tracker is empty.
    pub fn start(self, stop: &CancellationToken) -> TaskTracker {
        let tracker = TaskTracker::new();
        let shared = Arc::new(self);
        tracker.spawn(watch_accounts(Arc::clone(&shared.identity), stop.clone()));
        let (metadata, until) = (Arc::clone(&shared.metadata), stop.clone());
        tracker.spawn(async move { metadata.look_out(until).await });
        tracker.spawn(shared.take_turns(stop.clone()));
        tracker.close();
        tracker
    }

    /// Runs the jobs whenever it is this server's turn, until `stop`.
    async fn take_turns(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.metadata.take_turn(Duty::Jobs).await {
                Ok(Some(turn)) => self.run_turn(Arc::new(turn), &stop).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the turn to run the jobs could not be asked for");
                }
            }
            let pause = tokio::time::sleep(ASK_FOR_TURN_EVERY);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Runs the jobs until `stop`, or until the turn is lost.
    async fn run_turn(self: &Arc<Self>, turn: Arc<Turn>, stop: &CancellationToken) {
        tracing::info!(turn = turn.number(), "this server runs the jobs");
        let over = stop.child_token();
        let jobs = TaskTracker::new();
        let spawn = |task: Task| {
            let (turn, shared, over) = (Arc::clone(&turn), Arc::clone(self), over.clone());
            jobs.spawn(async move { turn.within(shared.repeat(task, over)).await });
        };
        let periods = self.periods;
        spawn(Task::Pack(periods.pack_seconds));
        spawn(Task::Names(periods.housekeeping_seconds));
        spawn(Task::Housekeeping(periods.housekeeping_seconds));
        spawn(Task::EndLocks(END_LOCKS_SECONDS));
        spawn(Task::Collect(periods.collect_seconds));
        if let Some(seconds) = periods.verify_seconds {
            spawn(Task::Verify(seconds));
        }
        if self.mailer.is_some() {
            spawn(Task::Mail);
        }
        let asked = answer_requests(
            Arc::clone(&self.metadata),
            Arc::clone(&self.maintenance),
            self.clock.clone(),
            over.clone(),
        );
        let own_turn = Arc::clone(&turn);
        jobs.spawn(async move { own_turn.within(asked).await });
        jobs.close();
        if stop.run_until_cancelled(turn.lost()).await.is_some() {
            tracing::warn!(
                turn = turn.number(),
                "the turn to run the jobs is lost; they end"
            );
        }
        over.cancel();
        jobs.wait().await;
    }

    /// Runs one job whenever it is due, until `stop`.
    async fn repeat(self: Arc<Self>, task: Task, stop: CancellationToken) {
        let mut due = self.first_due(task).await;
        while stop
            .run_until_cancelled(tokio::time::sleep(TICK))
            .await
            .is_some()
        {
            let now = self.clock.now();
            let next = now.plus_seconds(task.period_seconds());
            if now < due && due <= next {
                continue;
            }
            let run = Box::pin(observe(task.name(), &self.clock, self.run(task)));
            if stop.run_until_cancelled(run).await.is_none() {
                return;
            }
            due = self.clock.now().plus_seconds(task.period_seconds());
        }
    }

    async fn first_due(&self, task: Task) -> Timestamp {
        let now = self.clock.now();
        match task {
            Task::Pack(seconds) | Task::EndLocks(seconds) => now.plus_seconds(seconds),
            Task::Housekeeping(_) => now.plus_seconds(HOUSEKEEPING_FIRST_SECONDS),
            Task::Collect(_) => now.plus_seconds(COLLECT_FIRST_SECONDS),
            Task::Names(_) | Task::Mail => now,
            // It is far between, so restarts must not put it off for ever.
            Task::Verify(seconds) => match self.metadata.read(ReadSetting(VERIFIED_AT)).await {
                Ok(Some(last)) => last.parse().map_or(now, Timestamp).plus_seconds(seconds),
                Ok(None) => now.plus_seconds(DAY_SECONDS.min(seconds)),
                Err(error) => {
                    tracing::error!(%error, "it is not known when the data was last verified");
                    now.plus_seconds(seconds)
                }
            },
        }
    }

    async fn run(&self, task: Task) -> Result<(), JobFault> {
        match task {
            Task::Pack(_) => {
                self.maintenance.pack().await?;
            }
            Task::Names(_) => self.identity.index_names().await?,
            Task::Housekeeping(_) => {
                self.maintenance.housekeeping().await?;
                self.identity.sweep_throttles().await?;
                self.identity.sweep_sign_ins().await?;
            }
            Task::EndLocks(_) => self.maintenance.end_locks().await?,
            Task::Collect(_) => {
                let collected = self.maintenance.collect(false, &mut |_| {}).await?;
                tracing::info!(?collected, "collected what nothing names any more");
            }
            Task::Mail => {
                if let Some(mailer) = &self.mailer {
                    self.notices.run().await?;
                    mailer.send_due().await?;
                }
            }
            Task::Verify(_) => {
                let report = self.maintenance.check(false, &mut |_| {}).await?;
                if report.is_clean() {
                    tracing::info!("every stored byte was read and is sound");
                } else {
                    tracing::error!(?report, "stored data is damaged: run nuage-server check");
                }
                let now = self.clock.now();
                let note = WriteSetting(VERIFIED_AT, now.0.to_string());
                self.metadata.write_in_background(note).await?;
            }
        }
        Ok(())
    }
}

/// A job with its period in seconds.
#[derive(Debug, Clone, Copy)]
enum Task {
    Pack(i64),
    Names(i64),
    Housekeeping(i64),
    EndLocks(i64),
    Collect(i64),
    Verify(i64),
    Mail,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Pack(_) => "pack",
            Self::Names(_) => "names",
            Self::Housekeeping(_) => "housekeeping",
            Self::EndLocks(_) => "end-locks",
            Self::Collect(_) => "collect",
            Self::Verify(_) => "verify",
            Self::Mail => "mail",
        }
    }

    fn period_seconds(self) -> i64 {
        match self {
            Self::Pack(seconds)
            | Self::Names(seconds)
            | Self::Housekeeping(seconds)
            | Self::EndLocks(seconds)
            | Self::Collect(seconds)
            | Self::Verify(seconds) => seconds,
            Self::Mail => MAIL_SECONDS,
        }
    }
}

/// Notices each second what other processes changed of accounts.
async fn watch_accounts(identity: Arc<Identity>, stop: CancellationToken) {
    let mut is_blind = false;
    while stop
        .run_until_cancelled(tokio::time::sleep(TICK))
        .await
        .is_some()
    {
        let watched: StoreResult<()> = identity.forget_changed().await;
        match &watched {
            Ok(()) if is_blind => tracing::info!("changed accounts are looked for again"),
            Err(error) if !is_blind => {
                tracing::error!(%error, "changed accounts could not be looked for; all credentials are forgotten");
            }
            Ok(()) | Err(_) => {}
        }
        is_blind = watched.is_err();
    }
}

/// Why a job did not end well.
#[derive(Debug, thiserror::Error)]
pub enum JobFault {
    /// A store failed.
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    /// The metadata store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs a job, survives its panic, and counts how it ended.
pub(crate) async fn observe<T, E: Display>(
    name: &'static str,
    clock: &Clock,
    job: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    let began = Instant::now();
    let ended = AssertUnwindSafe(job).catch_unwind().await;
    let (outcome, result) = match ended {
        Ok(Ok(value)) => ("done", Ok(value)),
        Ok(Err(error)) => ("failed", Err(error.to_string())),
        Err(panic) => ("panicked", Err(panic_text(panic.as_ref()).to_owned())),
    };
    if let Err(reason) = &result {
        tracing::error!(job = name, outcome, reason, "a job did not end well");
    }
    metrics::counter!("nuage_job_runs_total", "job" => name, "outcome" => outcome).increment(1);
    metrics::histogram!("nuage_job_seconds", "job" => name).record(began.elapsed().as_secs_f64());
    let now = clock.now().seconds();
    metrics::gauge!("nuage_job_last_run_seconds", "job" => name, "outcome" => outcome)
        .set(i32::try_from(now).map_or(f64::INFINITY, f64::from));
    result
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the program panicked")
}
