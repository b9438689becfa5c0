//! What commands print: lines, tables, JSON; never through a panic when a pipe closes.

use std::io;
use std::io::IsTerminal;
use std::io::Write;

use jiff::Timestamp as RfcTime;
use serde::Serialize;

use crate::cli::error::CliError;
use crate::clock::Timestamp;

/// Prints text as it is to the standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // Whoever read our output has seen enough: `nuage-server user list | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints one line to the standard output.
pub(super) fn print_line(line: &str) -> io::Result<()> {
    print(&format!("{line}\n"))
}

/// Prints a value as JSON to the standard output.
pub(super) fn print_json<T: Serialize>(value: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    print_line(&text)
}

/// Prints columns of equal width, a heading above them.
pub(super) fn print_table<const N: usize>(
    heading: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = heading.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(&mut heading.into_iter());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    print(&text)
}

/// Says something to the person at the terminal, on the standard error.
pub(super) fn say(line: &str) {
    // If nobody listens, nothing is lost.
    drop(writeln!(io::stderr(), "{line}"));
}

/// Says why the command failed.
pub(super) fn complain(error: &CliError) {
    say(&format!("nuage-server: {error}"));
}

/// Returns a moment as people and programs read it, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    RfcTime::from_second(at.seconds())
        .map_or_else(|_| at.seconds().to_string(), |at| at.to_string())
}

/// Asks a question that is answered by typing a word; anything else is a no.
pub(super) fn confirm(question: &str, word: &str) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::NotConfirmable);
    }
    say(question);
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    if typed.trim() == word {
        Ok(())
    } else {
        Err(CliError::NotConfirmed)
    }
}
