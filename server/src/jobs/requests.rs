//! Work that a command asks of the server that runs the jobs, and how both talk.
//!
//! The command writes a row and follows it with [`follow`]; the server looks for rows each
//! second ([`answer_requests`]), does one after another, and shows signs of life. Both may
//! be on different machines: all that they share is the database.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::jobs::maintenance::Maintenance;
use crate::jobs::schedule::JobFault;
use crate::jobs::schedule::TICK;
use crate::jobs::schedule::observe;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::jobs::AskJob;
use crate::store::metadata::jobs::AskedJob;
use crate::store::metadata::jobs::BeatJobs;
use crate::store::metadata::jobs::EndJob;
use crate::store::metadata::jobs::FailAbandonedJobs;
use crate::store::metadata::jobs::FindJob;
use crate::store::metadata::jobs::HasOpenJobs;
use crate::store::metadata::jobs::JobId;
use crate::store::metadata::jobs::JobState;
use crate::store::metadata::jobs::JobStatus;
use crate::store::metadata::jobs::TakeJob;

/// How often a command looks how far its job is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A server that shows no sign of life for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Deletes what nothing names any more.
    Collect {
        /// Counts every grace as over.
        now: bool,
    },
    /// Tests everything.
    Check {
        /// Mends what can be computed anew.
        repair: bool,
    },
}

impl Work {
    fn kind(self) -> &'static str {
        match self {
            Self::Collect { .. } => "collect",
            Self::Check { .. } => "check",
        }
    }
}

/// Why asked work brought no result.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server tried and failed.
    #[error("the server could not do it: {reason}")]
    Failed {
        /// What it says.
        reason: String,
    },
    /// The server that holds the data shows no sign of life.
    #[error("the server that holds the data does not answer")]
    Silent,
    /// The result is of another version of this program.
    #[error("the server's result cannot be understood: {0}")]
    Foreign(#[from] serde_json::Error),
}

/// Asks the server for work and follows it; returns the result as JSON.
///
/// `report` hears how far it is, whenever that changes.
pub async fn follow(
    metadata: &MetadataStore,
    clock: &Clock,
    work: Work,
    mut report: impl FnMut(&str) + Send,
) -> Result<String, RequestError> {
    let ask = AskJob {
        kind: work.kind(),
        argument: serde_json::to_string(&work)?,
        now: clock.now(),
    };
    let id = metadata.write(ask).await?;
    let mut seen = None;
    let mut seen_at = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let status = metadata.read(FindJob(id)).await?;
        let status = status.ok_or(RequestError::Silent)?;
        let result = status.result.clone().unwrap_or_default();
        match status.state {
            JobState::Done => return Ok(result),
            JobState::Failed => return Err(RequestError::Failed { reason: result }),
            JobState::Asked | JobState::Running => {}
        }
        if seen.as_ref() == Some(&status) {
            if seen_at.elapsed() > SILENCE_MAX {
                return Err(RequestError::Silent);
            }
            continue;
        }
        let former = seen
            .as_ref()
            .map(|former: &JobStatus| former.progress.as_str());
        if former != Some(status.progress.as_str()) && !status.progress.is_empty() {
            report(&status.progress);
        }
        seen = Some(status);
        seen_at = Instant::now();
    }
}

/// Does what commands ask, one after another, until `stop`; to be run within the turn to run the jobs.
///
/// What is marked as running then was begun in an earlier turn, whose server is gone or late.
pub(crate) async fn answer_requests(
    metadata: Arc<MetadataStore>,
    maintenance: Arc<Maintenance>,
    clock: Clock,
    stop: CancellationToken,
) {
    let now = clock.now();
    if let Err(error) = metadata.write(FailAbandonedJobs { now }).await {
        tracing::error!(%error, "jobs of the former server could not be ended");
    }
    let desk = Desk {
        metadata,
        maintenance,
        clock,
    };
    while stop
        .run_until_cancelled(tokio::time::sleep(TICK))
        .await
        .is_some()
    {
        if let Err(error) = desk.answer_all(&stop).await {
            tracing::error!(%error, "asked jobs could not be looked for");
        }
    }
}

struct Desk {
    metadata: Arc<MetadataStore>,
    maintenance: Arc<Maintenance>,
    clock: Clock,
}

impl Desk {
    async fn answer_all(&self, stop: &CancellationToken) -> StoreResult<()> {
        while !stop.is_cancelled() && self.metadata.read(HasOpenJobs).await? {
            let now = self.clock.now();
            let Some(job) = self.metadata.write(TakeJob { now }).await? else {
                return Ok(());
            };
            let result = self.answer(&job, stop).await;
            let end = EndJob {
                id: job.id,
                result,
                now: self.clock.now(),
            };
            self.metadata.write(end).await?;
        }
        Ok(())
    }

    /// Does one job and shows signs of life meanwhile.
    async fn answer(&self, job: &AskedJob, stop: &CancellationToken) -> Result<String, String> {
        let work: Work = serde_json::from_str(&job.argument)
            .map_err(|error| format!("this server does not know such work: {error}"))?;
        let progress = Mutex::new(String::new());
        let note = |text: String| {
            *progress.lock().unwrap_or_else(PoisonError::into_inner) = text;
        };
        let run = observe(work.kind(), &self.clock, self.run(work, note));
        tokio::select! {
            result = run => result,
            () = self.beat(job.id, &progress) => Err("the server cannot show how far it is".to_owned()),
            () = stop.cancelled() => Err("the server stopped".to_owned()),
        }
    }

    async fn run(
        &self,
        work: Work,
        note: impl Fn(String) + Send + Sync,
    ) -> Result<String, JobFault> {
        let mut report = |text: String| note(text);
        let json = match work {
            Work::Collect { now } => {
                let collected = self.maintenance.collect(now, &mut report).await?;
                serde_json::to_string(&collected)
            }
            Work::Check { repair } => {
                let report = self.maintenance.check(repair, &mut report).await?;
                serde_json::to_string(&report)
            }
        };
        Ok(json.map_err(|error| StoreError::Corrupt(error.to_string()))?)
    }

    /// Shows a sign of life each second; returns only when that is impossible.
    async fn beat(&self, id: JobId, progress: &Mutex<String>) {
        loop {
            tokio::time::sleep(TICK).await;
            let text = progress
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let beat = BeatJobs {
                running: Some((id, text)),
                now: self.clock.now(),
            };
            if let Err(error) = self.metadata.write(beat).await {
                tracing::error!(%error, "no sign of life could be shown");
                return;
            }
        }
    }
}
