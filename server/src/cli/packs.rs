//! Commands that need the packs: they take them, or ask the server that has them.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::jobs::maintenance::Maintenance;
use crate::jobs::requests::RequestError;
use crate::jobs::requests::Work;
use crate::jobs::requests::follow;
use crate::store::chunks::ChunkError;
use crate::store::chunks::ChunkStore;

/// Who has the packs.
pub(super) enum Packs {
    /// This command, until it closes them.
    Ours(OwnPacks),
    /// A server, which does what is asked.
    OfAServer,
}

/// The packs in the hands of this command.
pub(super) struct OwnPacks {
    pub(super) maintenance: Maintenance,
    chunks: Arc<ChunkStore>,
}

impl Packs {
    /// Takes the packs if nobody has them. Blocks for a moment.
    pub(super) fn take(context: &Context, ground: &Ground) -> Result<Self, CliError> {
        match tokio::task::block_in_place(|| ground.open_chunks(&context.settings)) {
            Ok(chunks) => Ok(Self::Ours(OwnPacks {
                maintenance: ground.maintenance(Arc::clone(&chunks), &context.settings),
                chunks,
            })),
            Err(ChunkError::InUse { .. }) => Ok(Self::OfAServer),
            Err(error) => Err(error.into()),
        }
    }
}

impl OwnPacks {
    /// Leaves the packs in order.
    pub(super) async fn close(self) {
        let chunks = self.chunks;
        let closed = tokio::task::spawn_blocking(move || chunks.close()).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the packs could not be closed in order");
        }
    }
}

impl Ground {
    /// Asks the server that has the packs for work, and waits for its result.
    pub(super) async fn follow<T: DeserializeOwned>(
        &self,
        work: Work,
        report: &mut (dyn FnMut(String) + Send),
    ) -> Result<T, CliError> {
        let told = |text: &str| report(text.to_owned());
        let json = follow(&self.metadata, &self.clock, work, told).await?;
        Ok(serde_json::from_str(&json).map_err(RequestError::from)?)
    }
}
