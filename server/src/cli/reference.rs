//! Pages of `docs/reference` that are written by the program itself.
//!
//! `make reference` writes them; a test of the whole compares them with the program.

use std::fmt;

use clap::Arg;
use clap::CommandFactory;
use clap::Subcommand;

use crate::cli::Arguments;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Reference {
    /// docs/reference/settings.md
    Settings,
    /// docs/reference/commands.md
    Commands,
    /// docs/reference/openapi.json
    Openapi,
}

impl Reference {
    pub(super) fn run(&self) -> Result<(), CliError> {
        print(&self.page())?;
        Ok(())
    }

    fn page(&self) -> String {
        match self {
            Self::Settings => Settings::reference(),
            Self::Commands => commands(),
            Self::Openapi => crate::api::description::openapi(),
        }
    }
}

const COMMANDS_HEAD: &str = "\
# Commands

Written by `nuage-server reference commands`; a test compares this page with the program.

Every command works whether or not a server is running on the same data. What a command prints to the standard output is its
result; everything else goes to the standard error. Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 the data was
written by a newer version. `check` has its own: 0 clean, 1 repaired, 2 damaged, 3 could not check.
";

fn commands() -> String {
    let mut text = COMMANDS_HEAD.to_owned();
    let mut root = Arguments::command();
    root.build();
    text.push_str("\nOptions of every command:\n\n");
    for option in root
        .get_arguments()
        .filter(|argument| !is_built_in(argument))
    {
        describe(option, &mut text);
    }
    for command in root
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        describe_command(command, "nuage-server", &mut text);
    }
    text
}

fn is_built_in(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version")
}

fn describe_command(command: &clap::Command, above: &str, text: &mut String) {
    if command.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    let about = command
        .get_long_about()
        .or_else(|| command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let below: Vec<&clap::Command> = command.get_subcommands().collect();
    if below.is_empty() {
        let own: Vec<&Arg> = command
            .get_arguments()
            .filter(|argument| !is_built_in(argument) && !argument.is_global_set())
            .collect();
        let mut usage = name.clone();
        for argument in &own {
            usage.push(' ');
            usage.push_str(&written(argument));
        }
        append(text, format_args!("\n### `{usage}`\n\n{about}\n\n"));
        for argument in own {
            describe(argument, text);
        }
    } else {
        append(text, format_args!("\n## `{name}`\n\n{about}\n"));
        for command in below {
            describe_command(command, &name, text);
        }
    }
}

fn append(text: &mut String, piece: fmt::Arguments<'_>) {
    text.push_str(&piece.to_string());
}

/// Returns an argument as it stands in a line of usage.
fn written(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        names
            .first()
            .map_or("VALUE", |name| name.as_str())
            .to_owned()
    };
    let bare = match argument.get_long() {
        None => value(),
        Some(long) if argument.get_action().takes_values() => format!("--{long} {}", value()),
        Some(long) => format!("--{long}"),
    };
    if argument.is_required_set() {
        bare
    } else {
        format!("[{bare}]")
    }
}

fn describe(argument: &Arg, text: &mut String) {
    let about = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let shown = written(argument);
    let shown = shown.trim_matches(['[', ']']);
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let choice = match possible.len() {
        0 => String::new(),
        _ if !argument.get_action().takes_values() => String::new(),
        _ => format!(" One of {}.", possible.join(", ")),
    };
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let default = match defaults.first() {
        Some(default) if argument.get_action().takes_values() => format!(" Default `{default}`."),
        _ => String::new(),
    };
    let variable = argument
        .get_env()
        .map(|name| format!(" Variable `{}`.", name.to_string_lossy()))
        .unwrap_or_default();
    let about = about.trim_end_matches('.');
    append(
        text,
        format_args!("* `{shown}`: {about}.{choice}{default}{variable}\n"),
    );
}
