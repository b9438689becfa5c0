//! `nuage-server token`: app passwords.

use clap::Subcommand;
use serde::Serialize;

use crate::app::Ground;
use crate::cli::error::CliError;
use crate::cli::output::moment;
use crate::cli::output::print_json;
use crate::cli::output::print_line;
use crate::cli::output::print_table;
use crate::cli::values::Span;
use crate::clock::Timestamp;
use crate::identity::NewToken;
use crate::store::metadata::records::TokenId;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Creates an app password and prints it alone on a line; it cannot be shown again.
    Create {
        /// Whose it is.
        user: String,
        /// What it is for, such as "laptop".
        #[arg(long)]
        label: String,
        /// Lets it only read.
        #[arg(long)]
        read_only: bool,
        /// Ends it after this time, such as 90d, 12h or 1y.
        #[arg(long, value_name = "SPAN")]
        expires: Option<Span>,
    },
    /// Lists the app passwords of somebody.
    List {
        /// Whose they are.
        user: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ends an app password; holds from the next request.
    Revoke {
        /// Whose it is.
        user: String,
        /// Its number, as `token list` shows it.
        id: i64,
    },
    /// Ends an app password and asks its device, when it comes back, to delete the files that it holds.
    Wipe {
        /// Whose it is.
        user: String,
        /// Its number, as `token list` shows it.
        id: i64,
    },
}

/// An app password as it is printed.
#[derive(Debug, Serialize)]
struct PrintedToken {
    id: i64,
    label: String,
    read_only: bool,
    is_valid: bool,
    created_at: String,
    used_at: Option<String>,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    wipe_at: Option<String>,
    wiped_at: Option<String>,
}

impl PrintedToken {
    fn of(token: crate::identity::Token, now: Timestamp) -> Self {
        Self {
            id: token.id.0,
            is_valid: token.is_valid(now),
            label: token.label,
            read_only: token.is_read_only,
            created_at: moment(token.created_at),
            used_at: token.used_at.map(moment),
            expires_at: token.expires_at.map(moment),
            revoked_at: token.revoked_at.map(moment),
            wipe_at: token.wipe_at.map(moment),
            wiped_at: token.wiped_at.map(moment),
        }
    }

    fn row(self) -> [String; 6] {
        let ended = (&self.wiped_at, &self.wipe_at, &self.revoked_at);
        let state = match (ended, &self.expires_at) {
            ((Some(at), _, _), _) => format!("its files were deleted {at}"),
            ((None, Some(at), _), _) => format!("to delete its files since {at}"),
            ((None, None, Some(at)), _) => format!("revoked {at}"),
            ((None, None, None), None) => "valid".to_owned(),
            ((None, None, None), Some(at)) if self.is_valid => format!("valid until {at}"),
            ((None, None, None), Some(at)) => format!("expired {at}"),
        };
        let rights = if self.read_only {
            "reads"
        } else {
            "reads and writes"
        };
        [
            self.id.to_string(),
            self.label,
            rights.to_owned(),
            self.created_at,
            self.used_at.unwrap_or_else(|| "never".to_owned()),
            state,
        ]
    }
}

impl Token {
    pub(super) async fn run(&self, ground: &Ground) -> Result<(), CliError> {
        let identity = &ground.identity;
        match self {
            Self::Create {
                user,
                label,
                read_only,
                expires,
            } => {
                let new = NewToken {
                    account: user,
                    label,
                    is_read_only: *read_only,
                    valid_seconds: expires.map(|span| span.seconds),
                };
                let (_, secret) = identity.create_token(&new).await?;
                print_line(secret.reveal())?;
            }
            Self::List { user, json } => {
                let now = ground.clock.now();
                let tokens = identity.list_tokens(user).await?.into_iter();
                let tokens = tokens.map(|token| PrintedToken::of(token, now));
                if *json {
                    print_json(&tokens.collect::<Vec<_>>())?;
                } else {
                    let rows: Vec<[String; 6]> = tokens.map(PrintedToken::row).collect();
                    print_table(["ID", "LABEL", "RIGHTS", "CREATED", "USED", "STATE"], &rows)?;
                }
            }
            Self::Revoke { user, id } => identity.revoke_token(user, TokenId(*id)).await?,
            Self::Wipe { user, id } => identity.wipe_token(user, TokenId(*id)).await?,
        }
        Ok(())
    }
}
