//! The command line: what may be typed, and what each command does.
//!
//! A command reads the settings, opens what it needs of the data folder, and works
//! whether or not a server is running on the same data. What it prints to the standard
//! output is its result; everything else goes to the standard error.
//!
//! Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 the data was written by a
//! newer version. `check` has its own: 0 clean, 1 repaired, 2 damaged, 3 could not check.

mod error;
mod group;
mod output;
mod password;
mod quota;
mod reference;
mod serve;
mod token;
mod user;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::app::Ground;
use crate::cli::error::CliError;
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::unknown_variables;
use crate::store::folder::DataFolder;
use crate::telemetry::begin_command_logging;

/// Names the file that moves the clock, in tests.
const CLOCK_FILE: &str = "NUAGE_TEST_CLOCK_FILE";

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
    /// Manages people.
    #[command(subcommand)]
    User(user::User),
    /// Manages app passwords: what programs sign in with.
    #[command(subcommand)]
    Token(token::Token),
    /// Manages groups of people.
    #[command(subcommand)]
    Group(group::Group),
    /// Shows or sets how much a user or a group may store.
    #[command(subcommand)]
    Quota(quota::Quota),
    /// Shows settings.
    #[command(subcommand)]
    Config(Config),
    /// Prints a page of docs/reference.
    #[command(subcommand, hide = true)]
    Reference(reference::Reference),
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

    /// Opens accounts and metadata; goes together with a running server. Blocks for a moment.
    fn ground(&self) -> Result<Ground, CliError> {
        let ground = Ground::open(self.folder.clone(), &self.settings, self.clock.clone())?;
        Ok(ground)
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
            error.exit_code()
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let context = || Context::of(arguments);
    match &arguments.command {
        Command::Serve(command) => return command.run(context()?),
        Command::User(command) => with_ground(&context()?, async |c, g| command.run(c, g).await)?,
        Command::Token(command) => with_ground(&context()?, async |_, g| command.run(g).await)?,
        Command::Group(command) => with_ground(&context()?, async |c, g| command.run(c, g).await)?,
        Command::Quota(command) => with_ground(&context()?, async |c, g| command.run(c, g).await)?,
        Command::Config(Config::Print) => output::print(&context()?.settings.to_file())?,
        Command::Reference(page) => page.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that touches accounts and metadata only.
fn with_ground(
    context: &Context,
    command: impl AsyncFnOnce(&Context, &Ground) -> Result<(), CliError>,
) -> Result<(), CliError> {
    begin_command_logging();
    warn_of_unknown_variables();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Runtime)?;
    let ground = context.ground()?;
    let done = runtime.block_on(command(context, &ground));
    ground.metadata.close();
    done
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
