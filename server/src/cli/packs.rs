//! Commands that work on the packs: they take them, or ask the server that runs the jobs.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::app::AppError;
use crate::app::Claim;
use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::jobs::maintenance::Maintenance;
use crate::jobs::requests::RequestError;
use crate::jobs::requests::Work;
use crate::jobs::requests::follow;
use crate::jobs::schedule::JobFault;
use crate::store::chunks::ChunkStore;
use crate::store::metadata::turn::Duty;
use crate::store::metadata::turn::Turn;

/// Who works on the packs.
pub(super) enum Packs {
    /// This command, until it closes them.
    Ours(Box<OwnPacks>),
    /// A server, which does what is asked.
    OfAServer,
}

/// The packs and the jobs of the installation in the hands of this command.
pub(super) struct OwnPacks {
    maintenance: Maintenance,
    chunks: Arc<ChunkStore>,
    turn: Turn,
    _claim: Claim,
}

impl Packs {
    /// Takes the packs and the turn to work on them, if no server has them. Blocks for a moment.
    pub(super) async fn take(context: &Context, ground: &Ground) -> Result<Self, CliError> {
        let settings = &context.settings;
        let claim = match ground.claim(settings, Duration::ZERO).await {
            Ok(claim) => claim,
            Err(AppError::InUse { .. }) => return Ok(Self::OfAServer),
            Err(error) => return Err(error.into()),
        };
        // A folder beside its database: the lock of the folder tells, and until then no turn may begin,
        // because on SQLite it would end a server's.
        let early = match claim {
            Claim::OfPacks => None,
            Claim::Shared | Claim::OfFolder(_) | Claim::OfSession(_) => {
                match ground.metadata.take_turn(Duty::Jobs).await? {
                    Some(turn) => Some(turn),
                    None => return Ok(Self::OfAServer),
                }
            }
        };
        let chunks = match tokio::task::block_in_place(|| ground.open_chunks(settings)) {
            Ok(chunks) => chunks,
            Err(AppError::InUse { .. }) => return Ok(Self::OfAServer),
            Err(error) => return Err(error.into()),
        };
        let turn = match early {
            Some(turn) => Some(turn),
            None => ground.metadata.take_turn(Duty::Jobs).await?,
        };
        let Some(turn) = turn else {
            close(chunks).await;
            return Ok(Self::OfAServer);
        };
        Ok(Self::Ours(Box::new(OwnPacks {
            maintenance: ground.maintenance(Arc::clone(&chunks), settings),
            chunks,
            turn,
            _claim: claim,
        })))
    }
}

impl OwnPacks {
    /// Works on the packs, and leaves them in order.
    pub(super) async fn work<T>(
        self,
        work: impl AsyncFnOnce(&Maintenance) -> Result<T, JobFault>,
    ) -> Result<T, CliError> {
        let done = self.turn.within(work(&self.maintenance)).await;
        close(self.chunks).await;
        Ok(done?)
    }
}

async fn close(chunks: Arc<ChunkStore>) {
    let closed = tokio::task::spawn_blocking(move || chunks.close()).await;
    if let Err(error) = closed {
        tracing::error!(%error, "the packs could not be closed in order");
    }
}

impl Ground {
    /// Asks the server that runs the jobs for work, and waits for its result.
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
