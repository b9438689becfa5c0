//! `nuage-server user`: people.

use clap::Args;
use clap::Subcommand;
use serde::Serialize;

use crate::app::Ground;
use crate::app::quota_default_bytes;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::confirm;
use crate::cli::output::moment;
use crate::cli::output::print_json;
use crate::cli::output::print_table;
use crate::cli::output::say;
use crate::cli::password;
use crate::cli::values::PrintedUse;
use crate::cli::values::TypedQuota;
use crate::identity::Account;
use crate::identity::AccountState;
use crate::identity::NewAccount;
use crate::identity::Quota;
use crate::size::ByteSize;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Adds somebody.
    ///
    /// The password comes from the standard input, from a question at the terminal, or, where
    /// there is no terminal, from chance; then it is printed alone on a line.
    Add(Add),
    /// Lists everybody, those who were deleted and can come back included.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one user.
    Show {
        /// The sign-in name.
        name: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lets somebody no longer sign in; everything else stays.
    Disable {
        /// The sign-in name.
        name: String,
    },
    /// Lets somebody sign in again.
    Enable {
        /// The sign-in name.
        name: String,
    },
    /// Replaces a password; programs that use it must be told the new one.
    Passwd {
        /// The sign-in name.
        name: String,
        /// Reads the password from the first line of the standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Deletes somebody; their files can come back for 30 days.
    Delete(Delete),
    /// Brings somebody back who was deleted less than 30 days ago, with their files.
    ///
    /// App passwords stay revoked.
    Restore {
        /// The sign-in name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The sign-in name.
    name: String,
    /// Reads the password from the first line of the standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Lets them administer the server.
    #[arg(long)]
    admin: bool,
    /// How much they may store: a size such as 100GB, `none` or `default`.
    #[arg(long, value_name = "SIZE", default_value = "default")]
    quota: TypedQuota,
    /// The name that people see.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Where mail goes.
    #[arg(long)]
    email: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The sign-in name.
    name: String,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// Gives their files to somebody, as a folder.
    #[arg(long, value_name = "USER")]
    hand_to: Option<String>,
}

/// A user as it is printed.
#[derive(Debug, Serialize)]
struct PrintedUser<'a> {
    name: &'a str,
    display_name: &'a str,
    email: Option<&'a str>,
    is_admin: bool,
    state: &'static str,
    created_at: String,
    purge_at: Option<String>,
    #[serde(flatten)]
    home: PrintedUse,
}

impl<'a> PrintedUser<'a> {
    fn of(account: &'a Account, quota_default_bytes: Option<u64>) -> Self {
        Self {
            name: &account.name,
            display_name: &account.display_name,
            email: account.email.as_deref(),
            is_admin: account.is_admin,
            state: match account.state {
                AccountState::Active => "active",
                AccountState::Disabled => "disabled",
                AccountState::Deleted => "deleted",
            },
            created_at: moment(account.created_at),
            purge_at: account.purge_at.map(moment),
            home: PrintedUse::of(&account.home_use, quota_default_bytes),
        }
    }

    fn state_in_words(&self) -> String {
        let admin = if self.is_admin { ", admin" } else { "" };
        match &self.purge_at {
            None => format!("{}{admin}", self.state),
            Some(at) => format!("{}, gone on {at}", self.state),
        }
    }
}

impl User {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        let identity = &ground.identity;
        let default = quota_default_bytes(&context.settings);
        match self {
            Self::Add(add) => add.run(ground).await?,
            Self::List { json } => {
                let accounts = identity.list_accounts().await?;
                let users = accounts
                    .iter()
                    .map(|account| PrintedUser::of(account, default));
                print_users(&users.collect::<Vec<_>>(), *json)?;
            }
            Self::Show { name, json } => {
                let account = identity.find_account(name).await?;
                print_user(&PrintedUser::of(&account, default), *json)?;
            }
            Self::Disable { name } => identity.set_disabled(name, true).await?,
            Self::Enable { name } => identity.set_disabled(name, false).await?,
            Self::Passwd {
                name,
                password_stdin,
            } => {
                // A name that does not exist is no reason to ask for a password.
                identity.find_account(name).await?;
                let password = password::choose(*password_stdin)?;
                identity.set_password(name, &password.secret).await?;
                password.tell()?;
            }
            Self::Delete(delete) => delete.run(default, ground).await?,
            Self::Restore { name } => {
                identity.restore_account(name).await?;
            }
        }
        Ok(())
    }
}

impl Add {
    async fn run(&self, ground: &Ground) -> Result<(), CliError> {
        let password = password::choose(self.password_stdin)?;
        let account = NewAccount {
            name: &self.name,
            password: &password.secret,
            display_name: self.display_name.as_deref(),
            email: self.email.as_deref(),
            is_admin: self.admin,
            quota: self.quota.0,
        };
        ground.identity.create_account(&account).await?;
        password.tell()?;
        Ok(())
    }
}

impl Delete {
    async fn run(&self, default: Option<u64>, ground: &Ground) -> Result<(), CliError> {
        let account = ground.identity.find_account(&self.name).await?;
        if !self.yes {
            let files = account.home_use.files;
            let size = ByteSize::from_bytes(account.home_use.used_bytes).rounded();
            let question = format!(
                "This deletes {} with {files} files ({size}). Type the name to go on:",
                account.name
            );
            confirm(&question, &account.name)?;
        }
        let hand_to = self.hand_to.as_deref();
        let identity = &ground.identity;
        let purge_at = identity
            .delete_account(&self.name, hand_to, default)
            .await?;
        say(&format!(
            "{} is deleted; 'nuage-server user restore' brings it back until {}.",
            account.name,
            moment(purge_at)
        ));
        Ok(())
    }
}

fn print_users(users: &[PrintedUser<'_>], json: bool) -> Result<(), CliError> {
    if json {
        return Ok(print_json(&users)?);
    }
    let rows: Vec<[String; 5]> = users
        .iter()
        .map(|user| {
            [
                user.name.to_owned(),
                user.display_name.to_owned(),
                user.state_in_words(),
                user.home.used(),
                user.home.limit(),
            ]
        })
        .collect();
    print_table(["NAME", "DISPLAY NAME", "STATE", "USED", "QUOTA"], &rows)?;
    Ok(())
}

fn print_user(user: &PrintedUser<'_>, json: bool) -> Result<(), CliError> {
    if json {
        return Ok(print_json(user)?);
    }
    let rows = [
        ("display name", user.display_name.to_owned()),
        ("e-mail", user.email.unwrap_or("-").to_owned()),
        ("state", user.state_in_words()),
        ("created", user.created_at.clone()),
        ("used", user.home.used()),
        ("files", user.home.files()),
        ("trash and versions", user.home.kept()),
        ("quota", user.home.limit()),
    ];
    let rows = rows.map(|(what, value)| [what.to_owned(), value]);
    print_table(["name", user.name], &rows)?;
    Ok(())
}

/// Says which quota is meant when none is typed.
impl Default for TypedQuota {
    fn default() -> Self {
        Self(Quota::Default)
    }
}
