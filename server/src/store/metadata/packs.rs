//! Packs and leases: which pack files exist, and what protects their frames.

use crate::clock::Timestamp;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::ContentRef;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Takes a lease: while it lives, packs sealed after `begun` and the contents named are kept.
#[derive(Debug)]
pub struct BeginLease {
    /// Its name, random.
    pub id: [u8; 16],
    /// The space that the upload writes to; 0: none (a backup).
    pub space: SpaceId,
    /// When what it protects began.
    pub begun: Timestamp,
    /// When it ends without a sign of life.
    pub until: Timestamp,
    /// Contents that the upload copies from.
    pub contents: Vec<ContentRef>,
}

impl Operation for BeginLease {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.execute(
            "INSERT INTO lease (id, space_id, begun, until) VALUES ($1, $2, $3, $4)",
            &[
                self.id.as_slice().into(),
                self.space.0.into(),
                self.begun.0.into(),
                self.until.0.into(),
            ],
        )
        .await?;
        protect(tx, &self.id, &self.contents).await
    }
}

async fn protect<T: Tx>(tx: &mut T, id: &[u8; 16], contents: &[ContentRef]) -> StoreResult<()> {
    for content in contents {
        tx.execute(
            "INSERT INTO lease_content (lease_id, content_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[id.as_slice().into(), content.0.into()],
        )
        .await?;
    }
    Ok(())
}

/// Prolongs a lease; one that ended refuses with `SourceGone`.
#[derive(Debug)]
pub struct RenewLease {
    /// Its name.
    pub id: [u8; 16],
    /// When it ends without a further sign of life.
    pub until: Timestamp,
    /// Contents that the upload copies from.
    pub contents: Vec<ContentRef>,
}

impl Operation for RenewLease {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let renewed = tx
            .execute(
                "UPDATE lease SET until = $1 WHERE id = $2",
                &[self.until.0.into(), self.id.as_slice().into()],
            )
            .await?;
        if renewed == 0 {
            return Err(Refusal::SourceGone.into());
        }
        protect(tx, &self.id, &self.contents).await
    }
}

/// Ends a lease; one that is not there is no error.
#[derive(Debug)]
pub struct EndLease {
    /// Its name.
    pub id: [u8; 16],
}

impl Operation for EndLease {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.execute(
            "DELETE FROM lease_content WHERE lease_id = $1",
            &[self.id.as_slice().into()],
        )
        .await?;
        tx.execute(
            "DELETE FROM lease WHERE id = $1",
            &[self.id.as_slice().into()],
        )
        .await?;
        Ok(())
    }
}
