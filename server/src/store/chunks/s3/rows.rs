//! Rows of packs: some are prepared ahead, so that no object waits for the database, and
//! objects that are there are noted as sealed behind the uploads' backs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nuage_shared::manifest::PackId;
use tokio::sync::Mutex;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::store::chunks::segment::AppendFault;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::packs::DropPack;
use crate::store::metadata::packs::OpenPacks;
use crate::store::metadata::packs::SealPack;
use crate::store::metadata::packs::SealPacks;

/// Rows that one transaction prepares.
const PREPARED: usize = 8;
/// A row that waited longer is given back: other servers soon take it for one that was left behind.
const PREPARED_FOR: Duration = Duration::from_hours(12);
/// Packs that one transaction notes as sealed.
const SEALED_MAX: usize = 64;
/// How long the database is given a rest when it could not note what is sealed.
const REST: Duration = Duration::from_secs(2);

/// A pack that has a row and no object.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewPack {
    pub(super) pack: PackId,
    pub(super) uuid: [u8; 16],
    /// By the monotonic clock, and by the one that the row was dated with.
    prepared: (Instant, Timestamp),
}

/// The rows that are prepared.
#[derive(Debug)]
pub(super) struct PackRows {
    metadata: Arc<MetadataStore>,
    clock: Clock,
    prepared: Mutex<VecDeque<NewPack>>,
}

impl PackRows {
    pub(super) fn new(metadata: Arc<MetadataStore>, clock: Clock) -> Self {
        Self {
            metadata,
            clock,
            prepared: Mutex::default(),
        }
    }

    /// Returns a pack whose row is committed.
    pub(super) async fn take(self: &Arc<Self>) -> Result<NewPack, AppendFault> {
        let mut prepared = self.prepared.lock().await;
        while let Some(oldest) = prepared.pop_front() {
            if !self.is_old(&oldest) {
                if prepared.len() < PREPARED / 2 {
                    let rows = Arc::clone(self);
                    // Whoever finds none prepared meets the database's fault himself.
                    drop(tokio::spawn(async move { rows.prepare_ahead().await }));
                }
                return Ok(oldest);
            }
            // One that cannot be given back now is dropped by the collector.
            drop(
                self.metadata
                    .write_in_background(DropPack(oldest.pack))
                    .await,
            );
        }
        self.prepare(&mut prepared).await?;
        prepared.pop_front().ok_or(AppendFault::Closed)
    }

    fn is_old(&self, new: &NewPack) -> bool {
        let (instant, at) = new.prepared;
        let hours = i64::try_from(PREPARED_FOR.as_secs()).unwrap_or(i64::MAX);
        instant.elapsed() > PREPARED_FOR || self.clock.now() > at.plus_seconds(hours)
    }

    async fn prepare_ahead(&self) {
        let mut prepared = self.prepared.lock().await;
        if prepared.len() < PREPARED / 2
            && let Err(fault) = self.prepare(&mut prepared).await
        {
            tracing::warn!(?fault, "rows of packs could not be prepared");
        }
    }

    async fn prepare(&self, prepared: &mut VecDeque<NewPack>) -> Result<(), AppendFault> {
        let at = self.clock.now();
        let uuids: Vec<[u8; 16]> = (0..PREPARED).map(|_| rand::random()).collect();
        let opening = OpenPacks {
            uuids: uuids.clone(),
            at,
        };
        let first = self.metadata.write(opening).await?;
        let numbered = (first.0..).map(PackId).zip(uuids);
        prepared.extend(numbered.map(|(pack, uuid)| NewPack {
            pack,
            uuid,
            prepared: (Instant::now(), at),
        }));
        Ok(())
    }

    /// Gives back what nobody needed.
    pub(super) async fn give_back(&self) {
        let unused: Vec<NewPack> = self.prepared.lock().await.drain(..).collect();
        for new in unused {
            if let Err(error) = self.metadata.write_in_background(DropPack(new.pack)).await {
                tracing::warn!(%error, "rows of packs that were not used stay for the collector");
                return;
            }
        }
    }

    /// Notes packs as sealed until nobody sends any more.
    ///
    /// Until then their rows say "open", which hinders no reader; one that never can be
    /// noted is found by the collector of any server.
    pub(super) async fn note_sealed(&self, mut sealed: mpsc::UnboundedReceiver<(PackId, u64)>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() && sealed.recv_many(&mut waiting, SEALED_MAX).await == 0 {
                return;
            }
            let at = self.clock.now();
            let packs = waiting.iter().map(|(pack, size_bytes)| SealPack {
                pack: *pack,
                size_bytes: *size_bytes,
                at,
            });
            let sealing = SealPacks(packs.collect());
            match self.metadata.write(sealing).await {
                Ok(()) => waiting.clear(),
                Err(error) if sealed.is_closed() => {
                    let packs = waiting.len() + sealed.len();
                    tracing::warn!(%error, packs, "sealed packs are left to the collector");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "sealed packs could not be noted, which is tried again");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}
