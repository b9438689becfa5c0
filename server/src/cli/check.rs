//! `nuage-server check`: reads and tests everything that is stored.

use std::process::ExitCode;

use clap::Args;

use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::print_json;
use crate::cli::output::print_line;
use crate::cli::output::say;
use crate::cli::packs::Packs;
use crate::jobs::maintenance::CheckReport;
use crate::jobs::maintenance::HurtFile;
use crate::jobs::maintenance::Outcome;
use crate::jobs::requests::Work;
use crate::size::ByteSize;

const REPAIRED: u8 = 1;
const DAMAGED: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Mends what can be computed anew: sums, and which packs there are.
    #[arg(long)]
    repair: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(
        &self,
        context: &Context,
        ground: &Ground,
    ) -> Result<ExitCode, CliError> {
        let repair = self.repair;
        let mut report = |text: String| say(&text);
        let found: CheckReport = match Packs::take(context, ground).await? {
            Packs::Ours(own) => {
                own.work(async |maintenance| maintenance.check(repair, &mut report).await)
                    .await?
            }
            Packs::OfAServer => ground.follow(Work::Check { repair }, &mut report).await?,
        };
        if self.json {
            print_json(&found)?;
        } else {
            print_report(&found)?;
        }
        Ok(match found.outcome {
            Outcome::Clean => ExitCode::SUCCESS,
            Outcome::Repaired => ExitCode::from(REPAIRED),
            Outcome::Damaged => ExitCode::from(DAMAGED),
        })
    }
}

fn print_report(found: &CheckReport) -> Result<(), CliError> {
    for fault in &found.space_faults {
        let mended = if fault.is_repaired { " (repaired)" } else { "" };
        print_line(&format!("{}: {}{mended}", fault.owner, fault.fault))?;
    }
    for damage in &found.damaged {
        let place = damage
            .offset
            .map_or_else(String::new, |offset| format!(" at byte {offset}"));
        print_line(&format!("pack {}{place}: {}", damage.pack, damage.what))?;
    }
    if found.misnoted > 0 {
        print_line(&format!(
            "{} rows do not say what the packs say",
            found.misnoted
        ))?;
    }
    for file in &found.hurt_files {
        print_line(&hurt_in_words(file))?;
    }
    let unlisted = found.pack_faults.saturating_sub(found.damaged.len() as u64);
    if unlisted > 0 {
        print_line(&format!("and {unlisted} more faults in packs"))?;
    }
    let outcome = match found.outcome {
        Outcome::Clean => "clean",
        Outcome::Repaired => "repaired",
        Outcome::Damaged => "DAMAGED",
    };
    print_line(&format!(
        "{outcome}: {} spaces, {} contents, {} packs with {} frames ({})",
        found.spaces,
        found.contents,
        found.packs,
        found.frames,
        ByteSize::from_bytes(found.bytes).rounded(),
    ))?;
    Ok(())
}

fn hurt_in_words(file: &HurtFile) -> String {
    let former = if file.is_former {
        ", a former version"
    } else {
        ""
    };
    let path = file.path.as_deref().unwrap_or("in the trash or unnamed");
    format!("hurt: {}: {path}{former}: {}", file.owner, file.fault)
}
