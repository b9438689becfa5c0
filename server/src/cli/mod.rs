//! The command line: what may be typed, and what each command does.
//!
//! A command reads the settings, opens what it needs of the data folder, and works
//! whether or not a server is running on the same data. What it prints to the standard
//! output is its result; everything else goes to the standard error.
//!
//! Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 the data was written by a
//! newer version. `check` has its own: 0 clean, 1 repaired, 2 damaged, 3 could not check.

mod activity;
mod backup;
mod check;
mod collect;
mod error;
mod group;
mod link;
mod mail;
mod meter;
mod migrate;
mod output;
mod packs;
mod password;
mod preview_worker;
mod quota;
mod reference;
mod serve;
mod token;
mod user;
mod values;
mod who;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use crate::app::Expectation;
use crate::app::Ground;
use crate::cli::error::CliError;
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::unknown_variables;
use crate::store::folder::DataFolder;
use crate::telemetry::begin_command_logging;

/// Names the file that moves the clock, in tests.
const CLOCK_FILE: &str = "NUAGE_TEST_CLOCK_FILE";

/// Threads of a command: one works, one says how far it is.
const COMMAND_THREADS: usize = 2;
/// With what `check` ends when it could not do its work.
const COULD_NOT_CHECK: u8 = 3;

/// Stores people's files and serves them over WebDAV.
#[derive(Debug, Parser)]
#[command(name = "nuage-server", version, propagate_version = true)]
struct Arguments {
    /// The data folder; made if it does not exist.
    #[arg(
        long,
        value_name = "DIR",
        env = "NUAGE_DATA_DIR",
        default_value = "./nuage-data",
        global = true
    )]
    data_dir: PathBuf,
    /// The settings; DATA_DIR/nuage.toml if not given.
    #[arg(long, value_name = "FILE", env = "NUAGE_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves files until it is told to stop (SIGTERM or Ctrl-C).
    Serve(serve::Serve),
    #[command(flatten)]
    OnGround(OnGround),
    /// Makes a data folder from a backup; it must not hold anything yet.
    ///
    /// With --new-history: makes a restored PostgreSQL database fit for clients that saw its lost future.
    Restore(backup::Restore),
    /// Tries whether the server can send mail.
    #[command(subcommand)]
    Mail(mail::Mail),
    /// Shows settings.
    #[command(subcommand)]
    Config(Config),
    /// Prints a page of docs/reference.
    #[command(subcommand, hide = true)]
    Reference(reference::Reference),
    /// Looks at somebody's bytes in the server's stead.
    #[command(subcommand, hide = true)]
    PreviewWorker(preview_worker::PreviewWorker),
}

/// Commands that work on accounts and metadata, beside a server or without one.
#[derive(Debug, Subcommand)]
enum OnGround {
    /// Manages people.
    #[command(subcommand)]
    User(user::User),
    /// Manages app passwords: what programs sign in with.
    #[command(subcommand)]
    Token(token::Token),
    /// Manages groups of people.
    #[command(subcommand)]
    Group(group::Group),
    /// Lists and ends links that people have made public.
    #[command(subcommand)]
    Link(link::Link),
    /// Says who can see a file or folder, and by which shares.
    Who(who::Who),
    /// Shows what people did: to files, to shares, through links.
    #[command(subcommand)]
    Activity(activity::Activity),
    /// Shows or sets how much a user or a group may store.
    #[command(subcommand)]
    Quota(quota::Quota),
    /// Copies the data into a folder, also while a server is running.
    ///
    /// The folder then holds the secret of the installation: keep it as safe as the data.
    Backup(backup::Backup),
    /// Reads and tests everything that is stored; exit code 0: clean, 1: repaired, 2: damaged.
    ///
    /// A running server does it while it serves.
    Check(check::Check),
    /// Deletes bytes that nothing names any more; the server does so by itself now and then.
    Gc(collect::Collect),
    /// Moves an installation from its data folder to PostgreSQL and S3, where several servers can share it.
    ///
    /// The server must be stopped. Every pack and every row is compared with its original. If the command is
    /// interrupted, the same command goes on where it was. At the end it prints the settings to write.
    Migrate(migrate::Migrate),
}

impl OnGround {
    /// Only what puts something into an installation may begin one.
    fn expectation(&self) -> Expectation {
        match self {
            Self::User(user::User::Add(_)) | Self::Group(group::Group::Add { .. }) => {
                Expectation::MayBegin
            }
            Self::User(_)
            | Self::Token(_)
            | Self::Group(_)
            | Self::Link(_)
            | Self::Who(_)
            | Self::Activity(_)
            | Self::Quota(_)
            | Self::Backup(_)
            | Self::Check(_)
            | Self::Gc(_) => Expectation::Exists,
            Self::Migrate(_) => Expectation::MayHaveMoved,
        }
    }

    async fn run(&self, context: &Context, ground: &Ground) -> Result<ExitCode, CliError> {
        match self {
            Self::User(command) => command.run(context, ground).await?,
            Self::Token(command) => command.run(ground).await?,
            Self::Group(command) => command.run(context, ground).await?,
            Self::Link(command) => command.run(context, ground).await?,
            Self::Activity(command) => command.run(ground).await?,
            Self::Who(command) => command.run(ground).await?,
            Self::Quota(command) => command.run(context, ground).await?,
            Self::Backup(command) => command.run(context, ground).await?,
            Self::Gc(command) => command.run(context, ground).await?,
            Self::Migrate(command) => command.run(context, ground).await?,
            Self::Check(command) => return command.run(context, ground).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Prints the settings that a server would use, as a file that can be edited.
    Print,
}

/// What every command works with.
struct Context {
    folder: DataFolder,
    settings: Settings,
    clock: Clock,
}

impl Context {
    fn of(arguments: &Arguments) -> Result<Self, CliError> {
        let folder = DataFolder::new(arguments.data_dir.clone());
        let file = arguments.config.clone();
        let path = file.clone().unwrap_or_else(|| folder.settings());
        let settings = Settings::load(&path, file.is_some(), environment())?;
        let clock = match std::env::var_os(CLOCK_FILE) {
            None => Clock::system(),
            Some(file) => Clock::moved_by_file(file.into()),
        };
        Ok(Self {
            folder,
            settings,
            clock,
        })
    }

    /// Opens accounts and metadata; goes together with running servers. Blocks for a moment.
    async fn ground(&self, expectation: Expectation) -> Result<Ground, CliError> {
        let (folder, clock) = (self.folder.clone(), self.clock.clone());
        Ok(Ground::open(folder, &self.settings, clock, expectation).await?)
    }
}

/// Returns the variables of the environment that are text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string(), value.into_string());
        name.ok().zip(value.ok())
    })
}

/// Does what the arguments of the process say.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            match arguments.command {
                // Its lower codes say what it found.
                Command::OnGround(OnGround::Check(_)) => ExitCode::from(COULD_NOT_CHECK),
                _ => error.exit_code(),
            }
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<ExitCode, CliError> {
    if let Command::Reference(page) = &arguments.command {
        page.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::PreviewWorker(worker) = &arguments.command {
        return Ok(worker.run());
    }
    let context = Context::of(arguments)?;
    match &arguments.command {
        Command::Serve(command) => return command.run(context),
        Command::OnGround(command) => {
            return command_runtime()?.block_on(async {
                let ground = context.ground(command.expectation()).await?;
                let done = command.run(&context, &ground).await;
                tokio::task::block_in_place(|| ground.metadata.close());
                done
            });
        }
        Command::Restore(command) => command_runtime()?.block_on(command.run(&context))?,
        Command::Mail(command) => command_runtime()?.block_on(command.run(&context))?,
        Command::Config(Config::Print) => output::print(&context.settings.to_file())?,
        Command::Reference(_) | Command::PreviewWorker(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes what the asynchronous part of a command runs on; its warnings go to the standard error.
fn command_runtime() -> Result<Runtime, CliError> {
    begin_command_logging();
    warn_of_unknown_variables();
    Builder::new_multi_thread()
        .worker_threads(COMMAND_THREADS)
        .enable_all()
        .build()
        .map_err(CliError::Runtime)
}

fn warn_of_unknown_variables() {
    for name in unknown_variables(environment()) {
        tracing::warn!("{name} is not a setting and has no effect");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
