//! What keeps the stores in order: packing, housekeeping, collection, audit.
//!
//! The same work for a server's schedule, for a command that asks a server, and for a
//! command that has the packs to itself.
//!
//! # Always true
//!
//! * Collection and audit never run at the same time: an audit sees no pack half moved.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::jobs::housekeeping::Housekeeping;
use crate::jobs::schedule::JobFault;
use crate::size::ByteSize;
use crate::store::chunks::ChunkStore;
use crate::store::chunks::CollectProgress;
use crate::store::chunks::Collected;
use crate::store::chunks::Graces;
use crate::store::chunks::HurtContent;
use crate::store::chunks::PackDamage;
use crate::store::chunks::RepairReport;
use crate::store::chunks::VerifyProgress;
use crate::store::chunks::VerifyReport;
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
    chunks: Arc<ChunkStore>,
    housekeeping: Housekeeping,
    graces: Graces,
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

/// A file that cannot be read whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HurtFile {
    /// Whose it is: a sign-in name, or `group:` and the name of a group.
    pub owner: String,
    /// Where it is; `None`: in the trash, or nothing names the content any more.
    pub path: Option<String>,
    /// Whether only a former version is hurt.
    pub is_former: bool,
    /// What is wrong, in words.
    pub fault: String,
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
    /// Contents that were compared with the packs.
    pub contents: u64,
    /// Packs that were read.
    pub packs: u64,
    /// Their frames, each of which was hashed.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is or was wrong with spaces.
    pub space_faults: Vec<SpaceFault>,
    /// What is wrong in packs, in all.
    pub pack_faults: u64,
    /// The first of them.
    pub damaged: Vec<PackDamage>,
    /// Contents that cannot be read whole, in all.
    pub hurt_contents: u64,
    /// The files that have, or had, the first of them.
    pub hurt_files: Vec<HurtFile>,
    /// Contents and packs whose rows do not say what the packs say.
    pub misnoted: u64,
    /// Rows that were written anew from packs and maps.
    pub repaired: RepairReport,
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
        graces: Graces,
    ) -> Self {
        Self {
            metadata,
            chunks,
            housekeeping,
            graces,
            turn: Mutex::default(),
        }
    }

    /// Moves small bodies from the database into packs; returns how many.
    pub async fn pack(&self) -> Result<u64, JobFault> {
        Ok(self.chunks.pack_hot().await?)
    }

    /// Does what time ends and is due.
    pub async fn housekeeping(&self) -> Result<(), JobFault> {
        Ok(self.housekeeping.run().await?)
    }

    /// Ends the locks whose time is over.
    pub async fn end_locks(&self) -> Result<(), JobFault> {
        Ok(self.housekeeping.end_locks().await?)
    }

    /// Deletes the bytes that nothing names any more; `now` counts every grace as over.
    ///
    /// What time ends comes first, because it takes names away.
    pub async fn collect(&self, now: bool, report: &mut Report<'_>) -> Result<Collected, JobFault> {
        let _turn = self.turn.lock().await;
        report("ending what is due".to_owned());
        self.housekeeping().await?;
        self.pack().await?;
        let graces = if now { Graces::over() } else { self.graces };
        let mut in_words = |progress| report(collect_in_words(progress));
        Ok(self.chunks.collect(graces, &mut in_words).await?)
    }

    /// Tests everything; with `repair`, mends what can be computed anew.
    pub async fn check(
        &self,
        repair: bool,
        report: &mut Report<'_>,
    ) -> Result<CheckReport, JobFault> {
        let _turn = self.turn.lock().await;
        let spaces = self.check_spaces(repair, report).await?;
        let found = self.verify(report).await?;
        let mut left = found.clone();
        let mut repaired = RepairReport::default();
        if repair && !found.is_clean() {
            report("writing rows anew from packs and maps".to_owned());
            repaired = self.chunks.repair().await?;
            left = self.verify(report).await?;
        }
        let was_clean = found.is_clean() && spaces.faults.is_empty();
        let is_clean = left.is_clean() && spaces.faults.iter().all(|fault| fault.is_repaired);
        let outcome = match (was_clean, is_clean) {
            (true, _) => Outcome::Clean,
            (false, true) => Outcome::Repaired,
            (false, false) => Outcome::Damaged,
        };
        Ok(CheckReport {
            outcome,
            spaces: spaces.owners.len() as u64,
            contents: left.contents,
            packs: left.packs,
            frames: left.frames,
            bytes: left.bytes,
            hurt_files: spaces.hurt_files(&left.hurt),
            space_faults: spaces.faults,
            pack_faults: left.damages,
            damaged: left.damaged,
            hurt_contents: left.hurts,
            misnoted: left.misfiled + left.misnoted,
            repaired,
        })
    }

    async fn verify(&self, report: &mut Report<'_>) -> Result<VerifyReport, JobFault> {
        let mut in_words = |progress| report(verify_in_words(progress));
        Ok(self.chunks.verify(&mut in_words).await?)
    }

    async fn check_spaces(
        &self,
        repair: bool,
        report: &mut Report<'_>,
    ) -> Result<CheckedSpaces, JobFault> {
        let mut checked = CheckedSpaces::default();
        let mut past = SpaceId(0);
        loop {
            let list = ListSpaces {
                past,
                limit: SPACES_AT_ONCE,
            };
            let page = self.metadata.read(list).await?;
            let Some(end) = page.last() else {
                return Ok(checked);
            };
            past = end.space;
            for space in page {
                self.check_space(&space, repair, &mut checked.faults)
                    .await?;
                checked.owners.insert(space.space.0, space.owner);
            }
            report(format!("{} spaces tested", checked.owners.len()));
        }
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

/// What the audit of the metadata found.
#[derive(Debug, Default)]
struct CheckedSpaces {
    owners: HashMap<i64, String>,
    faults: Vec<SpaceFault>,
}

impl CheckedSpaces {
    /// Names the files of hurt contents by owner and path.
    fn hurt_files(&self, hurt: &[HurtContent]) -> Vec<HurtFile> {
        let mut files = Vec::new();
        for content in hurt {
            let owner = self.owners.get(&content.space);
            let owner = owner.map_or_else(|| format!("space {}", content.space), Clone::clone);
            let hurt_file = |path, is_former| HurtFile {
                owner: owner.clone(),
                path,
                is_former,
                fault: content.what.clone(),
            };
            if content.files.is_empty() {
                files.push(hurt_file(None, true));
            }
            for file in &content.files {
                files.push(hurt_file(file.path.clone(), file.is_former));
            }
        }
        files
    }
}

fn collect_in_words(progress: CollectProgress) -> String {
    let size = |bytes| ByteSize::from_bytes(bytes).rounded();
    match progress {
        CollectProgress::Contents { deleted } => format!("{deleted} contents deleted"),
        CollectProgress::Compacted {
            pack,
            live_bytes,
            size_bytes,
        } => format!(
            "pack {pack} compacted: {} of {} alive",
            size(live_bytes),
            size(size_bytes)
        ),
        CollectProgress::Deleted { pack, size_bytes } => {
            format!("the file of pack {pack} deleted: {}", size(size_bytes))
        }
    }
}

fn verify_in_words(progress: VerifyProgress) -> String {
    match progress {
        VerifyProgress::Packs { packs, bytes } => {
            format!(
                "{packs} packs read, {}",
                ByteSize::from_bytes(bytes).rounded()
            )
        }
        VerifyProgress::Contents { contents } => format!("{contents} contents compared"),
    }
}
