//! How far a long command is: a line that is written anew at a terminal, now and then a line elsewhere.

use std::io::IsTerminal;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use crate::cli::output::say;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often the line at a terminal is written anew.
const REWRITE_EVERY: Duration = Duration::from_millis(200);

/// Writes how far something is to the standard error.
pub(super) struct Meter {
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Meter {
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            shown: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Shows a line if it is time for one; `line` hears how long the work has taken.
    pub(super) fn show(&mut self, line: impl FnOnce(Duration) -> String) {
        if !self.is_due() {
            return;
        }
        let line = line(self.began.elapsed());
        if self.is_terminal {
            let mut out = std::io::stderr();
            // If nobody sees it, nothing is lost.
            drop(write!(out, "\r{line}\u{1b}[K").and_then(|()| out.flush()));
        } else {
            say(&line);
        }
    }

    /// Returns whether it is time for a line, and counts it as shown.
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let every = if self.is_terminal {
            REWRITE_EVERY
        } else {
            LINE_EVERY
        };
        if now.duration_since(self.shown.unwrap_or(self.began)) < every {
            return false;
        }
        self.shown = Some(now);
        true
    }

    /// Ends the line at the terminal.
    pub(super) fn end(self) {
        if self.is_terminal && self.shown.is_some() {
            say("");
        }
    }
}

/// Returns how much is done each second, and how many seconds are left at that rate.
pub(super) fn rate(done_now: u64, left: u64, took: Duration) -> (u64, Option<u64>) {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = done_now.saturating_mul(1_000) / millis;
    (per_second, left.checked_div(per_second))
}

/// Writes a span of time with its two largest units.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}
