//! Where a command has a password from: the standard input, the person at the terminal, or chance.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;

use crate::cli::error::CliError;
use crate::cli::output::print_line;
use crate::identity::secret::Secret;

/// No line that is longer is read, in bytes.
const LINE_BYTES_MAX: u64 = 8 << 10;

/// A password, and whether its owner has still to learn it.
pub(super) struct ChosenPassword {
    pub(super) secret: Secret,
    is_random: bool,
}

impl ChosenPassword {
    /// Prints a password that chance has chosen, alone on a line.
    pub(super) fn tell(&self) -> io::Result<()> {
        if self.is_random {
            print_line(self.secret.reveal())?;
        }
        Ok(())
    }
}

/// Reads the first line of the standard input, asks at a terminal, or draws a password.
pub(super) fn choose(from_stdin: bool) -> Result<ChosenPassword, CliError> {
    let chosen = |secret| ChosenPassword {
        secret,
        is_random: false,
    };
    if from_stdin {
        return read_line().map(chosen);
    }
    if io::stdin().is_terminal() {
        return ask().map(chosen);
    }
    Ok(ChosenPassword {
        secret: Secret::random_password(),
        is_random: true,
    })
}

fn read_line() -> Result<Secret, CliError> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CliError::NoPassword);
    }
    Ok(Secret::new(text.to_owned()))
}

fn ask() -> Result<Secret, CliError> {
    let first = rpassword::prompt_password("New password: ")?;
    let second = rpassword::prompt_password("Again: ")?;
    if first != second {
        return Err(CliError::PasswordsDiffer);
    }
    Ok(Secret::new(first))
}
