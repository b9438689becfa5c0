//! `nuage-server quota`: how much a user or a group may store.

use clap::Subcommand;

use crate::app::Ground;
use crate::app::quota_default_bytes;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::print_json;
use crate::cli::output::print_table;
use crate::cli::values::PrintedUse;
use crate::cli::values::TypedQuota;
use crate::store::metadata::records::SpaceId;

/// What the names of groups begin with, to tell them from users.
const GROUP: &str = "group:";

#[derive(Debug, Subcommand)]
pub(super) enum Quota {
    /// Shows what is stored and what may be.
    Show {
        /// A user, or a group as `group:NAME`.
        whose: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sets what may be stored; what is stored already stays.
    Set {
        /// A user, or a group as `group:NAME`.
        whose: String,
        /// A size such as 100GB or 100GiB, `none` or `default`.
        size: TypedQuota,
    },
}

impl Quota {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        match self {
            Self::Show { whose, json } => {
                let space = find_space(ground, whose).await?;
                let found = ground.identity.space_use(space).await?;
                let default = quota_default_bytes(&context.settings);
                let printed = PrintedUse::of(&found, default);
                if *json {
                    print_json(&printed)?;
                } else {
                    let row = [
                        printed.used(),
                        printed.files(),
                        printed.kept(),
                        printed.limit(),
                    ];
                    print_table(["USED", "FILES", "TRASH AND VERSIONS", "QUOTA"], &[row])?;
                }
            }
            Self::Set { whose, size } => {
                let space = find_space(ground, whose).await?;
                ground.identity.set_quota(space, size.0).await?;
            }
        }
        Ok(())
    }
}

async fn find_space(ground: &Ground, whose: &str) -> Result<SpaceId, CliError> {
    match whose.strip_prefix(GROUP) {
        Some(group) => Ok(ground.identity.find_team(group).await?.space),
        None => Ok(ground.identity.find_account(whose).await?.home),
    }
}
