//! Why a measurement could not be made.

use std::io;
use std::path::PathBuf;

/// Why a measurement could not be made, or does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchFault {
    /// The machine refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A program is not there.
    #[error("{} is missing: {remedy}", .program.display())]
    Missing {
        /// The program.
        program: PathBuf,
        /// How to get it.
        remedy: &'static str,
    },
    /// A server did not come up.
    #[error("the server did not come up; its log is {}", .log.display())]
    NotUp {
        /// What it wrote.
        log: PathBuf,
    },
    /// A command of the server failed.
    #[error("'{command}' failed: {said}")]
    Command {
        /// What was run.
        command: &'static str,
        /// What it said.
        said: String,
    },
    /// The answer is not HTTP/1.1.
    #[error("the answer is not HTTP/1.1: {what}")]
    Protocol {
        /// Which part.
        what: &'static str,
    },
    /// The answer has a status that the case does not allow.
    #[error("{method} {path} was answered with {status}")]
    Status {
        /// The request's method.
        method: &'static str,
        /// The request's path.
        path: String,
        /// The answer's status.
        status: u16,
    },
    /// The body is not what was stored.
    #[error("{path} reads back other bytes than were stored")]
    Content {
        /// The request's path.
        path: String,
    },
    /// A listing has too few or too many entries.
    #[error("{path} lists {found} entries instead of {expected}")]
    Entries {
        /// The request's path.
        path: String,
        /// Entries in it.
        found: usize,
        /// Entries that there are.
        expected: usize,
    },
}

/// What a measurement yields.
pub(crate) type BenchResult<T> = Result<T, BenchFault>;

/// Tells what was tried when the machine refuses it.
pub(crate) trait Doing<T> {
    /// Names what was tried.
    fn doing(self, doing: &'static str) -> BenchResult<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str) -> BenchResult<T> {
        self.map_err(|source| BenchFault::Io { doing, source })
    }
}
