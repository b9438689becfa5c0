//! What time ends: the trash, old versions, tombstones, the log of activities, locks, abandoned uploads, archived accounts.
//!
//! Each function does all that is due, in slices that leave room for people's
//! writes between them. What loses its last name here is only noted; its bytes
//! go later, with the collector.

use std::sync::Arc;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::FinishPurge;
use crate::store::metadata::accounts::ListPurgeable;
use crate::store::metadata::activity::SLICE_ACTIVITIES;
use crate::store::metadata::activity::SweepActivity;
use crate::store::metadata::ended_locks::EndLocks;
use crate::store::metadata::ended_locks::SLICE_LOCKS;
use crate::store::metadata::ended_locks::SpacesWithEndedLocks;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::DropTombs;
use crate::store::metadata::history::PurgeSpace;
use crate::store::metadata::history::PurgeTrash;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::history::RelievePressure;
use crate::store::metadata::history::SLICE_ROWS;
use crate::store::metadata::history::SpacesUnderPressure;
use crate::store::metadata::history::SpacesWithHistory;
use crate::store::metadata::history::SpacesWithTombs;
use crate::store::metadata::history::ThinHistory;
use crate::store::metadata::history::WriteSetting;
use crate::store::metadata::parts::SweepParts;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::sharing_news::SweepNews;

const DAY_SECONDS: i64 = 86_400;
/// Until when history was thinned, in nanoseconds: the name of the setting.
const THINNED_UNTIL: &str = "history_thinned_until";

/// How long the past is kept, in days.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Deleted trees.
    pub trash_days: i64,
    /// Every former state.
    pub all_versions_days: i64,
    /// One version of each day.
    pub daily_versions_days: i64,
    /// Tombstones: a client that was away longer reads everything anew.
    pub tombs_days: i64,
    /// What people did.
    pub activity_days: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            trash_days: 30,
            all_versions_days: 30,
            daily_versions_days: 180,
            tombs_days: 180,
            activity_days: 365,
        }
    }
}

/// The jobs that end the past.
#[derive(Debug)]
pub struct Housekeeping {
    metadata: Arc<MetadataStore>,
    clock: Clock,
    retention: Retention,
    quota_default_bytes: Option<u64>,
}

impl Housekeeping {
    /// Builds the jobs over the metadata store.
    ///
    /// `quota_default_bytes` is the quota of spaces that have none of their own.
    pub fn new(
        metadata: Arc<MetadataStore>,
        clock: Clock,
        retention: Retention,
        quota_default_bytes: Option<u64>,
    ) -> Self {
        Self {
            metadata,
            clock,
            retention,
            quota_default_bytes,
        }
    }

    /// Does everything that is due.
    pub async fn run(&self) -> StoreResult<()> {
        self.purge_trash().await?;
        self.purge_archives().await?;
        self.thin_history().await?;
        self.relieve_pressure().await?;
        self.drop_tombs().await?;
        self.sweep_activity().await?;
        self.sweep_parts().await?;
        self.metadata.write_in_background(SweepNews).await?;
        self.end_locks().await
    }

    /// Ends the locks whose time is over, so that clients see it; without any it only reads.
    pub async fn end_locks(&self) -> StoreResult<()> {
        loop {
            let now = self.clock.now();
            let spaces = self.metadata.read(SpacesWithEndedLocks { now }).await?;
            if spaces.is_empty() {
                return Ok(());
            }
            for space in spaces {
                let mut ended = SLICE_LOCKS;
                while ended == SLICE_LOCKS {
                    let end = EndLocks { space, now };
                    ended = self.metadata.write_in_background(end).await?;
                }
            }
        }
    }

    fn days_ago(&self, days: i64) -> Timestamp {
        self.clock
            .now()
            .plus_seconds(-days.saturating_mul(DAY_SECONDS))
    }

    async fn purge_trash(&self) -> StoreResult<()> {
        let deleted_until = self.days_ago(self.retention.trash_days);
        loop {
            let purge = PurgeTrash {
                deleted_until,
                now: self.clock.now(),
            };
            if self.metadata.write_in_background(purge).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn purge_archives(&self) -> StoreResult<()> {
        let now = self.clock.now();
        loop {
            let due = self
                .metadata
                .read(ListPurgeable { now, limit: 100 })
                .await?;
            if due.is_empty() {
                return Ok(());
            }
            for space in due {
                while !self
                    .metadata
                    .write_in_background(PurgeSpace { space, now })
                    .await?
                {}
                self.metadata
                    .write_in_background(FinishPurge { space, now })
                    .await?;
            }
        }
    }

    /// Thins what has passed an age limit since the last run.
    async fn thin_history(&self) -> StoreResult<()> {
        let now = self.clock.now();
        let last = self.metadata.read(ReadSetting(THINNED_UNTIL)).await?;
        let last = last
            .and_then(|text| text.parse().ok())
            .map_or(Timestamp(0), Timestamp);
        if now < last.plus_seconds(DAY_SECONDS) {
            return Ok(());
        }
        for (age_days, period_days) in [
            (self.retention.all_versions_days, 1),
            (self.retention.daily_versions_days, 7),
        ] {
            let age_seconds = age_days.saturating_mul(DAY_SECONDS);
            // A day's states are compared with each other, so stretches end with a period.
            let period_seconds = period_days * DAY_SECONDS;
            let whole = |moment: Timestamp| {
                let seconds = moment.plus_seconds(-age_seconds).seconds();
                Timestamp::from_seconds(seconds - seconds.rem_euclid(period_seconds))
            };
            let (after, until) = (whole(last), whole(now));
            if until > after {
                self.thin_stretch(after, until, period_days).await?;
            }
        }
        let done = WriteSetting(THINNED_UNTIL, now.0.to_string());
        self.metadata.write_in_background(done).await
    }

    async fn thin_stretch(
        &self,
        after: Timestamp,
        until: Timestamp,
        period_days: i64,
    ) -> StoreResult<()> {
        let mut past = SpaceId(0);
        loop {
            let spaces = self
                .metadata
                .read(SpacesWithHistory { past, after, until })
                .await?;
            let Some(last) = spaces.last().copied() else {
                return Ok(());
            };
            for space in spaces {
                loop {
                    let now = self.clock.now();
                    let thin = ThinHistory {
                        space,
                        after,
                        until,
                        period_days,
                        now,
                    };
                    let gone = self.metadata.write_in_background(thin).await?;
                    if gone < SLICE_ROWS.unsigned_abs() {
                        break;
                    }
                }
            }
            past = last;
        }
    }

    /// Ends the past of spaces that hold more than their quota with it.
    async fn relieve_pressure(&self) -> StoreResult<()> {
        let quota_default_bytes = self.quota_default_bytes;
        let mut past = SpaceId(0);
        loop {
            let spaces = self
                .metadata
                .read(SpacesUnderPressure {
                    past,
                    quota_default_bytes,
                })
                .await?;
            let Some(last) = spaces.last().copied() else {
                return Ok(());
            };
            for space in spaces {
                loop {
                    let relieve = RelievePressure {
                        space,
                        quota_default_bytes,
                        now: self.clock.now(),
                    };
                    if !self.metadata.write_in_background(relieve).await? {
                        break;
                    }
                }
            }
            past = last;
        }
    }

    /// Ends uploads in parts that were abandoned, and forgets what others became.
    async fn sweep_parts(&self) -> StoreResult<()> {
        let now = self.clock.now();
        while self
            .metadata
            .write_in_background(SweepParts { now })
            .await?
        {}
        Ok(())
    }

    async fn sweep_activity(&self) -> StoreResult<()> {
        let before = self.days_ago(self.retention.activity_days);
        loop {
            let sweep = SweepActivity { before };
            if self.metadata.write_in_background(sweep).await? < SLICE_ACTIVITIES {
                return Ok(());
            }
        }
    }

    async fn drop_tombs(&self) -> StoreResult<()> {
        let until = self.days_ago(self.retention.tombs_days);
        let mut past = SpaceId(0);
        loop {
            let spaces = self.metadata.read(SpacesWithTombs { past, until }).await?;
            let Some(last) = spaces.last().copied() else {
                return Ok(());
            };
            for space in spaces {
                loop {
                    let drop = DropTombs { space, until };
                    let gone = self.metadata.write_in_background(drop).await?;
                    if gone < SLICE_ROWS.unsigned_abs() {
                        break;
                    }
                }
            }
            past = last;
        }
    }
}
