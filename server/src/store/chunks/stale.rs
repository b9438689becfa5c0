//! Rows of packs that a server left open: it was killed, or could not reach the database.
//!
//! A folder's segments are brought to order when it is opened, by the one process that may use it. An
//! S3 store has no such moment: other servers live. So whoever collects looks at rows
//! that have been open for longer than any server keeps one open.

use crate::clock::Timestamp;
use crate::store::chunks::ChunkError;
use crate::store::chunks::collect::Round;
use crate::store::chunks::verify::read_footer;
use crate::store::metadata::packs::DropPack;
use crate::store::metadata::packs::PackRow;
use crate::store::metadata::packs::SealPack;
use crate::store::metadata::packs::StalePacks;
use nuage_shared::manifest::PackId;

/// A live server notes what it made within hours, and gives back what it did not use.
const STALE_SECONDS: i64 = 24 * 3_600;
/// A row without an object is kept this long: a request may still be on its way, and a clock be wrong.
const EMPTY_SECONDS: i64 = 7 * 86_400;
/// Packs that one question returns.
const PAGE: i64 = 100;

impl Round<'_> {
    /// Notes what is there as sealed, and forgets what never came to be.
    pub(super) async fn settle_stale_packs(&mut self) -> Result<(), ChunkError> {
        let mut after = PackId(0);
        loop {
            let page = StalePacks {
                opened_until: self.now.plus_seconds(-STALE_SECONDS),
                after,
                limit: PAGE,
            };
            let page = self.shared.metadata.read(page).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for (row, opened_at) in page {
                self.settle_stale_pack(&row, opened_at).await?;
            }
        }
    }

    async fn settle_stale_pack(
        &mut self,
        row: &PackRow,
        opened_at: Timestamp,
    ) -> Result<(), ChunkError> {
        let pack = row.id.0;
        let Some(size_bytes) = self.shared.objects.size(&row.uuid).await? else {
            if self.now < opened_at.plus_seconds(EMPTY_SECONDS) {
                return Ok(());
            }
            let dropped = self.shared.metadata.write_in_background(DropPack(row.id));
            if dropped.await? {
                tracing::info!(pack, "a pack that never came to be is forgotten");
            } else {
                tracing::error!(pack, "the object of a pack that files name is missing");
            }
            return Ok(());
        };
        match read_footer(self.shared, &row.uuid, size_bytes).await {
            Ok(_) => {}
            Err(ChunkError::Damaged(what)) => {
                tracing::error!(pack, what, "a pack that was left behind is damaged");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let sealing = SealPack {
            pack: row.id,
            size_bytes,
            at: self.now,
        };
        self.shared.metadata.write_in_background(sealing).await?;
        tracing::info!(pack, "a pack that a server left behind is noted as sealed");
        Ok(())
    }
}
