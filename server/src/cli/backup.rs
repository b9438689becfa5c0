//! `nuage-server backup` and `restore`, with how far they are on the standard error.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::app::Expectation;
use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::meter::Meter;
use crate::cli::meter::rate;
use crate::cli::meter::span;
use crate::cli::output::print_line;
use crate::config::ChunksPlace;
use crate::config::MetadataPlace;
use crate::jobs::backup::Progress;
use crate::jobs::backup::backup;
use crate::jobs::backup::restore;
use crate::size::ByteSize;
use crate::store::metadata::backup::BeginNewHistory;
use crate::store::metadata::turn::Duty;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The folder of the backup; a second backup into it copies only what is new.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The folder of the backup.
    #[arg(value_name = "DIR", required_unless_present = "new_history")]
    folder: Option<PathBuf>,
    /// Only voids what clients know of the time that was lost: for a PostgreSQL database that its own tools
    /// have restored. No server may run.
    #[arg(long, conflicts_with = "folder")]
    new_history: bool,
}

impl Backup {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        require_embedded(context)?;
        let mut meter = Meter::begin();
        let mut last = Progress::default();
        let about = backup(
            &ground.metadata,
            &ground.folder,
            &self.folder,
            &ground.clock,
            |progress| {
                last = progress;
                meter.show(|took| line(progress, took));
            },
        )
        .await;
        meter.end();
        let about = about?;
        let copied = ByteSize::from_bytes(last.copied_bytes).rounded();
        print_line(&format!(
            "{}: {} packs, {}, of which {copied} were copied now",
            self.folder.display(),
            about.packs,
            ByteSize::from_bytes(about.pack_bytes).rounded(),
        ))?;
        Ok(())
    }
}

impl Restore {
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let Some(folder) = &self.folder else {
            return begin_new_history(context).await;
        };
        require_embedded(context)?;
        let mut meter = Meter::begin();
        let restored = restore(folder, &context.folder, |progress| {
            meter.show(|took| line(progress, took));
        })
        .await;
        meter.end();
        let about = restored?;
        print_line(&format!(
            "{}: restored {} packs, {}",
            context.folder.path().display(),
            about.packs,
            ByteSize::from_bytes(about.pack_bytes).rounded(),
        ))?;
        Ok(())
    }
}

/// Begins a new line of history in a database that was restored without this program.
async fn begin_new_history(context: &Context) -> Result<(), CliError> {
    let MetadataPlace::Postgres(url) = &context.settings.general.metadata else {
        return Err(CliError::RestoresItself);
    };
    let ground = context.ground(Expectation::Exists).await?;
    // Any server would have one of the two, or ask for it within seconds.
    let jobs = ground.metadata.take_turn(Duty::Jobs).await?;
    let packs = ground.metadata.take_turn(Duty::Packs).await?;
    let (Some(_jobs), Some(_packs)) = (jobs, packs) else {
        return Err(CliError::ServerRuns);
    };
    let history_id = hex::encode(rand::random::<[u8; 16]>());
    ground
        .metadata
        .write(BeginNewHistory { history_id })
        .await?;
    tokio::task::block_in_place(|| ground.metadata.close());
    print_line(&format!("{url}: a new line of history begins"))?;
    Ok(())
}

/// Refuses an installation of which only a part lies in the data folder.
fn require_embedded(context: &Context) -> Result<(), CliError> {
    let general = &context.settings.general;
    match (&general.metadata, &general.chunks) {
        (MetadataPlace::Sqlite, ChunksPlace::Folder) => Ok(()),
        (metadata, chunks) => Err(CliError::NotEmbedded {
            metadata: metadata.to_string(),
            chunks: chunks.to_string(),
        }),
    }
}

/// Says how far a copy is, how fast, and how long it will still take.
pub(super) fn line(progress: Progress, took: Duration) -> String {
    let size = |bytes| ByteSize::from_bytes(bytes).rounded();
    let left_bytes = progress.bytes_total.saturating_sub(progress.bytes);
    let (per_second, seconds_left) = rate(progress.copied_bytes, left_bytes, took);
    let left = seconds_left.map_or_else(String::new, |seconds| format!(", {} left", span(seconds)));
    format!(
        "{} of {}, {} of {} packs, {}/s{left}",
        size(progress.bytes),
        size(progress.bytes_total),
        progress.packs,
        progress.packs_total,
        size(per_second),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Progress;
    use super::line;

    #[test]
    fn the_rest_is_estimated_from_what_was_copied_not_from_what_was_there() {
        let progress = Progress {
            packs: 3,
            packs_total: 4,
            bytes: 3_000_000,
            bytes_total: 4_000_000,
            copied_bytes: 1_000_000,
        };
        let text = line(progress, Duration::from_secs(100));
        assert_eq!(
            text,
            "3.0 MB of 4.0 MB, 3 of 4 packs, 10.0 kB/s, 1 min 40 s left"
        );
        let nothing_copied = line(Progress::default(), Duration::from_secs(1));
        assert_eq!(nothing_copied, "0 B of 0 B, 0 of 0 packs, 0 B/s");
    }
}
