//! Who letters come from: an address, with or without a name.

use std::fmt;
use std::str::FromStr;

use lettre::message::Mailbox;

/// Who letters come from, as `cloud@example.org` or `Nuage <cloud@example.org>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// A text that is no address of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address of mail")]
pub struct NotASender;

impl Sender {
    /// Returns it as the head of a letter wants it.
    pub(super) fn mailbox(&self) -> Mailbox {
        self.0.clone()
    }

    /// Returns what stands behind the `@`.
    pub(super) fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl FromStr for Sender {
    type Err = NotASender;

    fn from_str(text: &str) -> Result<Self, NotASender> {
        if text.chars().any(char::is_control) {
            return Err(NotASender);
        }
        text.parse().map(Self).map_err(|_fault| NotASender)
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
