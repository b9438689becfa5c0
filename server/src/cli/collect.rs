//! `nuage-server gc`: deletes bytes that nothing names any more.

use clap::Args;

use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::print_json;
use crate::cli::output::print_line;
use crate::cli::output::say;
use crate::cli::packs::Packs;
use crate::jobs::requests::Work;
use crate::size::ByteSize;
use crate::store::chunks::Collected;

#[derive(Debug, Args)]
pub(super) struct Collect {
    /// Counts every grace as over; uploads and backups that run are still respected.
    ///
    /// A backup that was taken before can then no longer be completed from this data.
    #[arg(long)]
    now: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Collect {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        let work = Work::Collect { now: self.now };
        let mut report = |text: String| say(&text);
        let collected: Collected = match Packs::take(context, ground).await? {
            Packs::Ours(own) => {
                own.work(async |maintenance| maintenance.collect(self.now, &mut report).await)
                    .await?
            }
            Packs::OfAServer => ground.follow(work, &mut report).await?,
        };
        if self.json {
            print_json(&collected)?;
        } else {
            print_line(&in_words(&collected))?;
        }
        Ok(())
    }
}

fn in_words(collected: &Collected) -> String {
    let size = |bytes| ByteSize::from_bytes(bytes).rounded();
    let held_back = if collected.is_held_back {
        "; the clock jumped, so nothing is deleted by age for two days"
    } else {
        ""
    };
    format!(
        "{} contents deleted ({}); {} packs compacted, {} files deleted, {} freed; {} packs wait{held_back}",
        collected.contents_deleted,
        size(collected.content_bytes),
        collected.packs_compacted,
        collected.files_deleted,
        size(collected.freed_bytes),
        collected.packs_waiting,
    )
}
