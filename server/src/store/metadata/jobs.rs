//! Work asked of the process that runs the jobs, by one that does not.
//!
//! A command that finds a server at work writes a row here and follows it.
//! The server that has the turn to run the jobs takes the rows one after another, notes how far it is, and leaves its
//! result, which the command prints.
//!
//! # Always true
//!
//! * A row is taken once: what was being done when a turn ended is failed at the beginning of the next.
//! * A row that waits or runs shows a sign of life (`beat_at`) every few seconds.

use crate::clock::Timestamp;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// How long the row of an ended job is kept, in seconds.
const KEPT_SECONDS: i64 = 7 * 86_400;

const ASKED: i64 = 0;
const RUNNING: i64 = 1;
const DONE: i64 = 2;
const FAILED: i64 = 3;

/// The number of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobId(pub i64);

/// What has become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Nobody has begun it.
    Asked,
    /// A server is doing it.
    Running,
    /// It is done.
    Done,
    /// It could not be done.
    Failed,
}

/// A job that waits for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedJob {
    /// Its number.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// How, as JSON.
    pub argument: String,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// What has become of it.
    pub state: JobState,
    /// How far it is, in words.
    pub progress: String,
    /// Its result as JSON, or why it failed in words.
    pub result: Option<String>,
    /// The last sign of life.
    pub beat_at: Timestamp,
}

/// Asks for a job, and forgets those that ended long ago.
#[derive(Debug)]
pub struct AskJob {
    /// What is to be done.
    pub kind: &'static str,
    /// How, as JSON.
    pub argument: String,
    /// The present.
    pub now: Timestamp,
}

impl Operation for AskJob {
    type Output = JobId;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<JobId> {
        tx.perform(
            "DELETE FROM job WHERE state >= $1 AND at < $2",
            &[DONE.into(), self.now.plus_seconds(-KEPT_SECONDS).0.into()],
        )
        .await?;
        let id = tx.reserve_ids("job", 1).await?;
        tx.perform(
            "INSERT INTO job (id, kind, argument, state, at, beat_at) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                id.into(),
                self.kind.into(),
                self.argument.as_str().into(),
                ASKED.into(),
                self.now.0.into(),
                self.now.0.into(),
            ],
        )
        .await?;
        Ok(JobId(id))
    }
}

/// Tells whether any job waits or runs: cheaper than taking one.
#[derive(Debug)]
pub struct HasOpenJobs;

impl Operation for HasOpenJobs {
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let open = tx
            .row(
                "SELECT id FROM job WHERE state IN (0, 1) ORDER BY id LIMIT 1",
                &[],
                |row| row.int(0),
            )
            .await?;
        Ok(open.is_some())
    }
}

/// Takes the job that has waited longest, unless another server is quicker.
#[derive(Debug)]
pub struct TakeJob {
    /// The present.
    pub now: Timestamp,
}

impl Operation for TakeJob {
    type Output = Option<AskedJob>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<AskedJob>> {
        let asked = tx
            .row(
                "SELECT id, kind, argument FROM job WHERE state = 0 ORDER BY id LIMIT 1",
                &[],
                |row| {
                    Ok(AskedJob {
                        id: JobId(row.int(0)?),
                        kind: row.text(1)?,
                        argument: row.text(2)?,
                    })
                },
            )
            .await?;
        let Some(job) = asked else {
            return Ok(None);
        };
        // Another server may have taken it since it was read.
        let taken = tx
            .execute(
                "UPDATE job SET state = $1, beat_at = $2 WHERE id = $3 AND state = 0",
                &[RUNNING.into(), self.now.0.into(), job.id.0.into()],
            )
            .await?;
        Ok((taken > 0).then_some(job))
    }
}

/// Shows a sign of life of every job that waits or runs, and how far one of them is.
#[derive(Debug)]
pub struct BeatJobs {
    /// The job that runs, with how far it is in words.
    pub running: Option<(JobId, String)>,
    /// The present.
    pub now: Timestamp,
}

impl Operation for BeatJobs {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE job SET beat_at = $1 WHERE state IN (0, 1)",
            &[self.now.0.into()],
        )
        .await?;
        if let Some((id, progress)) = &self.running {
            tx.perform(
                "UPDATE job SET progress = $1 WHERE id = $2",
                &[progress.as_str().into(), id.0.into()],
            )
            .await?;
        }
        Ok(())
    }
}

/// Ends a job.
#[derive(Debug)]
pub struct EndJob {
    /// Which.
    pub id: JobId,
    /// Its result as JSON, or why it failed in words.
    pub result: Result<String, String>,
    /// The present.
    pub now: Timestamp,
}

impl Operation for EndJob {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let (state, text) = match &self.result {
            Ok(result) => (DONE, result),
            Err(reason) => (FAILED, reason),
        };
        tx.perform(
            "UPDATE job SET state = $1, result = $2, beat_at = $3 WHERE id = $4",
            &[
                state.into(),
                text.as_str().into(),
                self.now.0.into(),
                self.id.0.into(),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Fails what was being done when the former turn ended; to be written within the new one.
#[derive(Debug)]
pub struct FailAbandonedJobs {
    /// The present.
    pub now: Timestamp,
}

impl Operation for FailAbandonedJobs {
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        tx.execute(
            "UPDATE job SET state = $1, result = 'the server stopped', beat_at = $2 WHERE state = 1",
            &[FAILED.into(), self.now.0.into()],
        )
        .await
    }
}

/// Looks how far a job is.
#[derive(Debug)]
pub struct FindJob(pub JobId);

impl Operation for FindJob {
    type Output = Option<JobStatus>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<JobStatus>> {
        tx.row(
            "SELECT state, progress, result, beat_at FROM job WHERE id = $1",
            &[self.0.0.into()],
            |row| {
                Ok(JobStatus {
                    state: read_state(row.int(0)?)?,
                    progress: row.text(1)?,
                    result: row.opt_text(2)?,
                    beat_at: Timestamp(row.int(3)?),
                })
            },
        )
        .await
    }
}

fn read_state(number: i64) -> StoreResult<JobState> {
    match number {
        ASKED => Ok(JobState::Asked),
        RUNNING => Ok(JobState::Running),
        DONE => Ok(JobState::Done),
        FAILED => Ok(JobState::Failed),
        other => Err(StoreError::Corrupt(format!("job.state {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::AskJob;
    use super::EndJob;
    use super::FailAbandonedJobs;
    use super::FindJob;
    use super::JobState;
    use super::TakeJob;
    use crate::clock::Timestamp;
    use crate::store::metadata::MetadataStore;
    use crate::store::metadata::sqlite::SqliteSettings;

    fn ask(kind: &'static str) -> AskJob {
        AskJob {
            kind,
            argument: "{}".to_owned(),
            now: Timestamp(1),
        }
    }

    #[tokio::test]
    async fn a_job_is_taken_once_and_leaves_its_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metadata.db");
        let store = MetadataStore::open_sqlite(&path, SqliteSettings::default()).unwrap();
        let first = store.write(ask("collect")).await.unwrap();
        let second = store.write(ask("check")).await.unwrap();
        let now = Timestamp(2);
        let taken = store.write(TakeJob { now }).await.unwrap().unwrap();
        assert_eq!((taken.id, taken.kind.as_str()), (first, "collect"));
        let taken = store.write(TakeJob { now }).await.unwrap().unwrap();
        assert_eq!(taken.id, second);
        assert_eq!(store.write(TakeJob { now }).await.unwrap(), None);

        let end = EndJob {
            id: first,
            result: Ok("{}".to_owned()),
            now,
        };
        store.write(end).await.unwrap();
        assert_eq!(store.write(FailAbandonedJobs { now }).await.unwrap(), 1);
        let first = store.read(FindJob(first)).await.unwrap().unwrap();
        let second = store.read(FindJob(second)).await.unwrap().unwrap();
        assert_eq!(first.state, JobState::Done);
        assert_eq!(first.result.as_deref(), Some("{}"));
        assert_eq!(second.state, JobState::Failed);
    }
}
