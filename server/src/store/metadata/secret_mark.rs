//! The mark by which a database knows the secret that its installation was begun with.

use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// The name of the setting.
pub const SECRET_MARK: &str = "secret_mark";

/// Keeps the mark of the first secret; yields the one that is kept.
#[derive(Debug)]
pub struct MarkSecret {
    /// The mark of a server's secret.
    pub mark: String,
}

impl Operation for MarkSecret {
    type Output = String;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<String> {
        tx.perform(
            "INSERT INTO setting (name, value) VALUES ('secret_mark', $1) \
             ON CONFLICT (name) DO NOTHING",
            &[self.mark.as_str().into()],
        )
        .await?;
        let kept = tx
            .row(
                "SELECT value FROM setting WHERE name = 'secret_mark'",
                &[],
                |row| row.text(0),
            )
            .await?;
        kept.ok_or_else(|| StoreError::Corrupt("setting secret_mark".into()))
    }
}
