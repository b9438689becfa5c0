//! What keeps the stores in order: packing, housekeeping, collection, audit.
//!
//! The same work for a server's schedule, for a command that asks a server, and for a
//! command that has the packs to itself.
//!
//! # Always true
//!
//! * Collection and audit never run at the same time: an audit sees no pack half moved.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::jobs::housekeeping::Housekeeping;
use crate::jobs::schedule::JobFault;
use crate::store::chunks::ChunkStore;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::check::CheckSpace;
use crate::store::metadata::check::ListSpaces;
use crate::store::metadata::check::MetadataFault;
use crate::store::metadata::check::OwnedSpace;
use crate::store::metadata::check::RepairSums;
use crate::store::metadata::records::SpaceId;

const SPACES_AT_ONCE: i64 = 500;

/// Hears how far a long work is, in words.
pub type Report<'a> = dyn FnMut(String) + Send + 'a;

/// The work itself, over both stores.
pub struct Maintenance {
    metadata: Arc<MetadataStore>,
    #[expect(dead_code, reason = "packing, collection and audit of packs follow")]
    chunks: Arc<ChunkStore>,
    housekeeping: Housekeeping,
    turn: Mutex<()>,
}

/// Something in one space that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceFault {
    /// Whose space it is: a sign-in name, or `group:` and the name of a group.
    pub owner: String,
    /// What is wrong, in words.
    pub fault: String,
    /// Whether it was mended.
    pub is_repaired: bool,
}

/// How an audit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing was wrong.
    Clean,
    /// Everything that was wrong is mended.
    Repaired,
    /// Something is wrong.
    Damaged,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// How it ended.
    pub outcome: Outcome,
    /// Spaces that were tested.
    pub spaces: u64,
    /// What is or was wrong with them.
    pub space_faults: Vec<SpaceFault>,
}

impl CheckReport {
    /// Returns whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.outcome == Outcome::Clean
    }
}

impl Maintenance {
    /// Builds the work over both stores.
    pub fn new(
        metadata: Arc<MetadataStore>,
        chunks: Arc<ChunkStore>,
        housekeeping: Housekeeping,
    ) -> Self {
        Self {
            metadata,
            chunks,
            housekeeping,
            turn: Mutex::default(),
        }
    }

    /// Does what time ends and is due.
    pub async fn housekeeping(&self) -> Result<(), JobFault> {
        Ok(self.housekeeping.run().await?)
    }

    /// Tests everything; with `repair`, mends what can be computed anew.
    pub async fn check(
        &self,
        repair: bool,
        report: &mut Report<'_>,
    ) -> Result<CheckReport, JobFault> {
        let _turn = self.turn.lock().await;
        let mut spaces = 0;
        let mut space_faults = Vec::new();
        let mut past = SpaceId(0);
        loop {
            let list = ListSpaces {
                past,
                limit: SPACES_AT_ONCE,
            };
            let page = self.metadata.read(list).await?;
            let Some(end) = page.last() else { break };
            past = end.space;
            for space in &page {
                self.check_space(space, repair, &mut space_faults).await?;
                spaces += 1;
            }
            report(format!("{spaces} spaces tested"));
        }
        let is_mended = space_faults
            .iter()
            .all(|fault: &SpaceFault| fault.is_repaired);
        let outcome = match (space_faults.is_empty(), is_mended) {
            (true, _) => Outcome::Clean,
            (false, true) => Outcome::Repaired,
            (false, false) => Outcome::Damaged,
        };
        Ok(CheckReport {
            outcome,
            spaces,
            space_faults,
        })
    }

    async fn check_space(
        &self,
        space: &OwnedSpace,
        repair: bool,
        into: &mut Vec<SpaceFault>,
    ) -> Result<(), JobFault> {
        let found = self.metadata.read(CheckSpace(space.space)).await?;
        let mut left = None;
        if repair && found.iter().any(MetadataFault::is_repairable) {
            let mend = RepairSums(space.space);
            self.metadata.write_in_background(mend).await?;
            left = Some(self.metadata.read(CheckSpace(space.space)).await?);
        }
        for fault in found {
            into.push(SpaceFault {
                owner: space.owner.clone(),
                fault: fault.to_string(),
                is_repaired: left.as_ref().is_some_and(|left| !left.contains(&fault)),
            });
        }
        Ok(())
    }
}
