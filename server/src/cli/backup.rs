//! `nuage-server backup` and `restore`, with how far they are on the standard error.

use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use clap::Args;

use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::print_line;
use crate::cli::output::say;
use crate::config::ChunksPlace;
use crate::config::MetadataPlace;
use crate::jobs::backup::Progress;
use crate::jobs::backup::backup;
use crate::jobs::backup::restore;
use crate::size::ByteSize;

/// How often a line about the progress is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often the line at a terminal is written anew.
const REWRITE_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The folder of the backup; a second backup into it copies only what is new.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The folder of the backup.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Backup {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        require_embedded(context)?;
        let mut meter = Meter::begin();
        let about = backup(
            &ground.metadata,
            &ground.folder,
            &self.folder,
            &ground.clock,
            |progress| meter.show(progress),
        )
        .await;
        let copied = meter.end();
        let about = about?;
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
        require_embedded(context)?;
        let mut meter = Meter::begin();
        let restored = restore(&self.folder, &context.folder, |progress| {
            meter.show(progress);
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
struct Meter {
    began: Instant,
    shown: Option<Instant>,
    last: Progress,
    is_terminal: bool,
}

impl Meter {
    fn begin() -> Self {
        Self {
            began: Instant::now(),
            shown: None,
            last: Progress::default(),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, progress: Progress) {
        self.last = progress;
        let now = Instant::now();
        let every = if self.is_terminal {
            REWRITE_EVERY
        } else {
            LINE_EVERY
        };
        let begun = self.shown.unwrap_or(self.began);
        if now.duration_since(begun) < every {
            return;
        }
        self.shown = Some(now);
        let line = line(progress, self.began.elapsed());
        if self.is_terminal {
            let mut out = std::io::stderr();
            // If nobody sees it, nothing is lost.
            drop(write!(out, "\r{line}\u{1b}[K").and_then(|()| out.flush()));
        } else {
            say(&line);
        }
    }

    /// Ends the line at the terminal and returns what was copied, for people.
    fn end(self) -> String {
        if self.is_terminal && self.shown.is_some() {
            say("");
        }
        ByteSize::from_bytes(self.last.copied_bytes).rounded()
    }
}

fn line(progress: Progress, took: Duration) -> String {
    let size = |bytes| ByteSize::from_bytes(bytes).rounded();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = progress.copied_bytes.saturating_mul(1_000) / millis;
    let left_bytes = progress.bytes_total.saturating_sub(progress.bytes);
    let left = match left_bytes.checked_div(per_second) {
        None => String::new(),
        Some(seconds) => format!(", {} left", span(seconds)),
    };
    format!(
        "{} of {}, {} of {} packs, {}/s{left}",
        size(progress.bytes),
        size(progress.bytes_total),
        progress.packs,
        progress.packs_total,
        size(per_second),
    )
}

/// Writes a span of time with its two largest units.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
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
