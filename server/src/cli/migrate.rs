//! `nuage-server migrate`: moves an installation out of its data folder, to PostgreSQL and S3.
//!
//! No server may run meanwhile. What was done survives whatever ends the command; the same
//! command again goes on there. The settings to write are its result.

use std::time::Duration;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::app::AppError;
use crate::app::Ground;
use crate::app::pack_home;
use crate::app::postgres_settings;
use crate::cli::Context;
use crate::cli::backup::line as packs_in_words;
use crate::cli::error::CliError;
use crate::cli::meter::Meter;
use crate::cli::meter::rate;
use crate::cli::meter::span;
use crate::cli::output::print;
use crate::cli::output::print_line;
use crate::cli::output::say;
use crate::config::ChunksPlace;
use crate::config::MetadataPlace;
use crate::config::Settings;
use crate::jobs::backup::Progress;
use crate::jobs::moving::move_packs;
use crate::store::chunks::PackHome;
use crate::store::chunks::PackTransfer;
use crate::store::metadata::backup::NameHistory;
use crate::store::metadata::history::ReadSetting;
use crate::store::metadata::migrate::MOVED_TO;
use crate::store::metadata::migrate::Migrated;
use crate::store::metadata::migrate::MigrationPhase;
use crate::store::metadata::migrate::MigrationProgress;
use crate::store::metadata::migrate::migrate_to_postgres;
use crate::store::metadata::postgres::url::PostgresUrl;

/// How often a line of JSON says how far it is.
const JSON_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Where to, as the settings `metadata` and `chunks` say it: `postgres://…,s3://…`, or `postgres://…,folder`.
    ///
    /// The sections `postgres` and `s3` are taken from the settings; with `postgres.password_file` no password
    /// is seen among the processes.
    #[arg(long, value_name = "METADATA,CHUNKS")]
    to: String,
    /// Prints lines of JSON.
    #[arg(long)]
    json: bool,
}

/// What the lines of JSON say.
#[derive(Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
enum Told<'a> {
    Packs {
        packs: u64,
        packs_total: u64,
        bytes: u64,
        bytes_total: u64,
        copied_bytes: u64,
        bytes_per_second: u64,
        seconds_left: Option<u64>,
    },
    CopyingRows(RowsTold<'a>),
    ComparingRows(RowsTold<'a>),
    Done {
        metadata: &'a str,
        chunks: &'a str,
        settings: &'a str,
    },
}

#[derive(Serialize)]
struct RowsTold<'a> {
    table: &'a str,
    rows: u64,
    rows_total: u64,
    rows_per_second: u64,
    seconds_left: Option<u64>,
}

impl Migrate {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        let (url, chunks) = self.destination()?;
        let from = &context.settings.general;
        if from.metadata != MetadataPlace::Sqlite || from.chunks != ChunksPlace::Folder {
            return Err(CliError::MovesFromAFolder {
                metadata: from.metadata.to_string(),
                chunks: from.chunks.to_string(),
            });
        }
        let place = format!("{url} and {chunks}");
        if let Some(to) = ground.metadata.read(ReadSetting(MOVED_TO)).await? {
            if to != place {
                return Err(AppError::Moved { to }.into());
            }
            return self.print_settings(context, url, chunks);
        }
        let postgres = postgres_settings(&ground.folder, &context.settings)?;
        let home = pack_home(&ground.folder, &context.settings, &chunks)?;
        // Its lock keeps servers out until this is done; opening it seals what a crash left open.
        let packs = match tokio::task::block_in_place(|| ground.open_chunks(&context.settings)) {
            Err(AppError::InUse { .. }) => return Err(CliError::ServerRuns),
            opened => opened?,
        };
        tokio::task::block_in_place(|| packs.close());
        let history_id = hex::encode(rand::random::<[u8; 16]>());
        let history_id = ground.metadata.write(NameHistory { history_id }).await?;

        let mut teller = Teller::new(self.json);
        if let PackHome::S3(s3) = &home {
            let transfer = PackTransfer::new(ground.folder.chunks(), s3)?;
            transfer.refuse_foreign(&ground.metadata).await?;
            let endpoint = s3.endpoint.as_deref().unwrap_or("aws");
            let head = format!("{home} at {endpoint} {history_id}");
            let journal = ground.folder.move_journal();
            let moved = move_packs(&ground.metadata, &transfer, &journal, &head, |progress| {
                teller.packs(progress);
            });
            let moved = moved.await?;
            teller.end_of_packs(moved);
        }
        let database = ground.folder.database();
        let migrated = migrate_to_postgres(
            &database,
            (url.reveal(), &postgres),
            &place,
            &mut |progress: &MigrationProgress| teller.rows(progress),
        )
        .await?;
        teller.end_of_rows(migrated);
        drop(packs);
        self.print_settings(context, url, chunks)
    }

    fn destination(&self) -> Result<(PostgresUrl, ChunksPlace), CliError> {
        let places = self.to.rsplit_once(',').and_then(|(metadata, chunks)| {
            Some((metadata.trim().parse().ok()?, chunks.trim().parse().ok()?))
        });
        places.ok_or(CliError::BadDestination)
    }

    /// Prints what the settings must say from now on.
    fn print_settings(
        &self,
        context: &Context,
        url: PostgresUrl,
        chunks: ChunksPlace,
    ) -> Result<(), CliError> {
        let (metadata, chunks_text) = (url.to_string(), chunks.to_string());
        let mut settings = context.settings.clone();
        settings.general.metadata = MetadataPlace::Postgres(url);
        settings.general.chunks = chunks;
        let text = changed(&settings);
        if self.json {
            return tell_done(&metadata, &chunks_text, &text);
        }
        say(
            "moved and verified. Write these settings, with the password of the database if there is one:\n",
        );
        print(&text)?;
        say(
            "\nEvery server needs the same secret: copy secret.key, or name one file by secret_file.\n\
             The data folder is as it was, and marked as moved; keep it until you trust the new place.",
        );
        Ok(())
    }
}

fn tell_done(metadata: &str, chunks: &str, settings: &str) -> Result<(), CliError> {
    let done = Told::Done {
        metadata,
        chunks,
        settings,
    };
    let text = serde_json::to_string(&done).map_err(std::io::Error::other)?;
    print_line(&text)?;
    Ok(())
}

/// Writes the settings that differ from the defaults, as a file.
fn changed(settings: &Settings) -> String {
    let mut lines = Vec::new();
    let mut section = String::new();
    for setting in settings.describe() {
        if setting.value == setting.default {
            continue;
        }
        let (own, field) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        if own != section {
            own.clone_into(&mut section);
            lines.push(format!("\n[{section}]\n"));
        }
        lines.push(format!("{field} = {}\n", setting.value));
    }
    lines.concat()
}

/// Says how far it is: to a person on the standard error, or as JSON on the standard output.
struct Teller {
    json: bool,
    meter: Meter,
    began: Instant,
    told: Option<Instant>,
    /// Rows that were there when the phase began.
    rows_before: Option<(MigrationPhase, u64)>,
}

impl Teller {
    fn new(json: bool) -> Self {
        Self {
            json,
            meter: Meter::begin(),
            began: Instant::now(),
            told: None,
            rows_before: None,
        }
    }

    /// Begins to measure anew.
    fn begin(&mut self) {
        std::mem::replace(&mut self.meter, Meter::begin()).end();
        self.began = Instant::now();
        self.told = None;
    }

    fn packs(&mut self, progress: Progress) {
        if self.json {
            if self.is_due() {
                self.tell_packs(progress);
            }
        } else {
            self.meter.show(|took| packs_in_words(progress, took));
        }
    }

    fn tell_packs(&self, progress: Progress) {
        let left = progress.bytes_total.saturating_sub(progress.bytes);
        let (bytes_per_second, seconds_left) =
            rate(progress.copied_bytes, left, self.began.elapsed());
        tell(&Told::Packs {
            packs: progress.packs,
            packs_total: progress.packs_total,
            bytes: progress.bytes,
            bytes_total: progress.bytes_total,
            copied_bytes: progress.copied_bytes,
            bytes_per_second,
            seconds_left,
        });
    }

    fn end_of_packs(&mut self, progress: Progress) {
        if self.json {
            self.tell_packs(progress);
        }
        self.begin();
        if !self.json {
            say(&format!("{} packs are copied and verified", progress.packs));
        }
    }

    fn rows(&mut self, progress: &MigrationProgress) {
        let before = match self.rows_before {
            Some((phase, before)) if phase == progress.phase => before,
            Some(_) | None => {
                self.begin();
                self.rows_before = Some((progress.phase, progress.rows_done));
                progress.rows_done
            }
        };
        let left = progress.rows_total.saturating_sub(progress.rows_done);
        let done_now = progress.rows_done.saturating_sub(before);
        if self.json {
            if self.is_due() {
                let (rows_per_second, seconds_left) = rate(done_now, left, self.began.elapsed());
                let rows = RowsTold {
                    table: &progress.table,
                    rows: progress.rows_done,
                    rows_total: progress.rows_total,
                    rows_per_second,
                    seconds_left,
                };
                tell(&match progress.phase {
                    MigrationPhase::Copying => Told::CopyingRows(rows),
                    MigrationPhase::Comparing => Told::ComparingRows(rows),
                });
            }
            return;
        }
        self.meter.show(|took| {
            let (per_second, seconds_left) = rate(done_now, left, took);
            let what = match progress.phase {
                MigrationPhase::Copying => "copied",
                MigrationPhase::Comparing => "compared",
            };
            let left =
                seconds_left.map_or_else(String::new, |left| format!(", {} left", span(left)));
            format!(
                "{} of {} rows {what}, {per_second}/s{left}",
                progress.rows_done, progress.rows_total
            )
        });
    }

    fn end_of_rows(&mut self, migrated: Migrated) {
        self.begin();
        if self.json {
            return;
        }
        match migrated {
            Migrated::Now { rows } => say(&format!("{rows} rows are copied and compared")),
            Migrated::Before => say("the metadata were moved before"),
        }
    }

    fn is_due(&mut self) -> bool {
        let is_due = self.told.is_none_or(|told| told.elapsed() >= JSON_EVERY);
        if is_due {
            self.told = Some(Instant::now());
        }
        is_due
    }
}

fn tell(told: &Told<'_>) {
    // If nobody reads it, nothing is lost.
    if let Ok(text) = serde_json::to_string(told) {
        drop(print_line(&text));
    }
}
