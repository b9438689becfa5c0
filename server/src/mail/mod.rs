//! Mail that the server sends: letters, the way to a server of mail, and the queue between.
//!
//! A request never waits for mail: it notes in its own transaction of which share people are to be told, and a job makes
//! letters of it ([`Notices::run`]), which enter the queue ([`enqueue`](crate::store::metadata::mail::enqueue)); a job sends what is due ([`Mailer::send_due`]). What cannot be
//! sent is tried again, after a minute at first and then ever later, until it is given up with a line in the log.
//!
//! # Always true
//!
//! * A letter that was enqueued goes out at least once if the server of mail takes it in time; after a crash perhaps twice, under
//!   the same Message-ID, by which the receiver's server can tell.
//! * No name that somebody chose can begin a line of a letter's head: each is one line before it comes there.
//! * Neither texts nor passwords are logged.

mod letters;
mod notices;
mod post;
mod sender;

use std::sync::Arc;

use crate::clock::Clock;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::mail::DueLetters;
use crate::store::metadata::mail::ForgetLetter;
use crate::store::metadata::mail::PostponeLetter;
use crate::store::metadata::mail::QueuedLetter;

pub use crate::mail::letters::Letters;
pub use crate::mail::letters::LinkEnds;
pub use crate::mail::letters::ShareEnds;
pub use crate::mail::letters::Shared;
pub use crate::mail::notices::NoticeSettings;
pub use crate::mail::notices::Notices;
pub use crate::mail::post::Encryption;
pub use crate::mail::post::Login;
pub use crate::mail::post::Password;
pub use crate::mail::post::Post;
pub use crate::mail::post::PostError;
pub use crate::mail::post::PostSettings;
pub use crate::mail::sender::NotASender;
pub use crate::mail::sender::Sender;

/// How long after the first failure a letter is tried again; each further one doubles it.
const RETRY_SECONDS: i64 = 60;
/// The longest time between two tries.
const RETRY_SECONDS_MAX: i64 = 3_600;

/// How the queue is worked off.
#[derive(Debug, Clone, Copy)]
pub struct MailerSettings {
    /// Letters that one run sends.
    pub batch_max: u64,
    /// How long a letter is tried.
    pub give_up_seconds: i64,
}

/// Sends what waits in the queue.
#[derive(Debug)]
pub struct Mailer {
    post: Post,
    metadata: Arc<MetadataStore>,
    clock: Clock,
    settings: MailerSettings,
}

impl Mailer {
    /// Builds it over an open way to a server of mail.
    pub fn new(
        post: Post,
        metadata: Arc<MetadataStore>,
        clock: Clock,
        settings: MailerSettings,
    ) -> Self {
        Self {
            post,
            metadata,
            clock,
            settings,
        }
    }

    /// Sends letters that are due, as many as one run may; ends early where no server of mail answers.
    pub async fn send_due(&self) -> StoreResult<()> {
        let due = DueLetters {
            now: self.clock.now(),
            limit: self.settings.batch_max,
        };
        for queued in self.metadata.read(due).await? {
            let (letter, id) = (&queued.letter, id_of(&queued));
            let sent = self.post.send(letter, &id, self.clock.now()).await;
            let is_away = sent.as_ref().is_err_and(PostError::is_away);
            let outcome = match sent {
                Ok(()) => self.note_success(&queued).await?,
                Err(error) => self.note_failure(&queued, &error).await?,
            };
            metrics::counter!("nuage_letters_total", "outcome" => outcome).increment(1);
            if is_away {
                break;
            }
        }
        Ok(())
    }

    async fn note_success(&self, queued: &QueuedLetter) -> StoreResult<&'static str> {
        let (letter, attempts) = (queued.id, queued.attempts + 1);
        self.metadata
            .write_in_background(ForgetLetter(letter))
            .await?;
        tracing::info!(letter, attempts, "a letter was sent");
        Ok("sent")
    }

    /// Puts a letter off, or gives it up.
    async fn note_failure(
        &self,
        queued: &QueuedLetter,
        error: &PostError,
    ) -> StoreResult<&'static str> {
        let (letter, attempts) = (queued.id, queued.attempts + 1);
        let now = self.clock.now();
        let end = queued
            .created_at
            .plus_seconds(self.settings.give_up_seconds);
        if error.is_final() || now >= end {
            let reason = error.reason();
            tracing::error!(
                letter,
                attempts,
                reason,
                "a letter could not be sent and is given up"
            );
            self.metadata
                .write_in_background(ForgetLetter(letter))
                .await?;
            return Ok("given up");
        }
        let reason = error.reason();
        tracing::warn!(letter, attempts, reason, "a letter could not be sent yet");
        let next_try = now.plus_seconds(pause_seconds(attempts)).min(end);
        let postpone = PostponeLetter {
            id: letter,
            next_try,
            error: reason,
        };
        self.metadata.write_in_background(postpone).await?;
        Ok("postponed")
    }
}

/// Returns how long a letter waits that failed so often.
fn pause_seconds(attempts: u32) -> i64 {
    let doublings = attempts.saturating_sub(1).min(16);
    RETRY_SECONDS_MAX.min(RETRY_SECONDS << doublings)
}

/// Returns the part of a letter's Message-ID before the `@`: the same however often it goes out.
fn id_of(letter: &QueuedLetter) -> String {
    format!("nuage.{:x}.{:x}", letter.id, letter.created_at.0)
}

#[cfg(test)]
mod tests {
    use super::pause_seconds;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let pauses: Vec<i64> = [0, 1, 2, 3, 6, 7, 8, u32::MAX].map(pause_seconds).into();
        assert_eq!(pauses, [60, 60, 120, 240, 1_920, 3_600, 3_600, 3_600]);
    }
}
