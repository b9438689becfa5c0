//! Letters that wait to be sent by mail.
//!
//! Whoever changes something that somebody shall hear of puts the letter into the queue in the same
//! transaction ([`enqueue`]): it goes out if the change happened, and only then. A letter leaves the queue when
//! a server of mail has taken it, or when it was given up; the process that dies between the two lets it go out twice.
//!
//! # Always true
//!
//! * A letter names nobody's account and lives for days only, so nothing remains of a purged one.
//! * Only who has the turn to run the jobs sends.

use crate::clock::Timestamp;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Characters of a failure that are kept.
const ERROR_CHARS_MAX: usize = 500;

/// A letter to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLetter {
    /// The address, `somebody@example.org`.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text, its lines ended by `\n`.
    pub body: String,
    /// The same as HTML.
    pub html: Option<String>,
}

/// A letter that waits.
#[derive(Debug, Clone)]
pub struct QueuedLetter {
    /// Its number. Never used again.
    pub id: i64,
    /// What goes out.
    pub letter: NewLetter,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it could not be sent.
    pub attempts: u32,
}

/// Puts a letter into the queue, as part of the transaction that it tells of.
///
/// Returns whether there was room: of so many that wait, one more is not worth an error.
pub async fn enqueue<T: Tx>(
    tx: &mut T,
    letter: &NewLetter,
    now: Timestamp,
    letters_max: u64,
) -> StoreResult<bool> {
    let waiting = tx
        .row(
            "SELECT count(*) FROM (SELECT 1 FROM mail_queue LIMIT $1) w",
            &[signed(letters_max).into()],
            |row| row.int(0),
        )
        .await?;
    if waiting.map_or(0, unsigned) >= letters_max {
        return Ok(false);
    }
    let id = tx.reserve_ids("letter", 1).await?;
    tx.perform(
        "INSERT INTO mail_queue (id, recipient, subject, body, html, created_at, next_try) \
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        &[
            id.into(),
            letter.recipient.as_str().into(),
            letter.subject.as_str().into(),
            letter.body.as_str().into(),
            letter.html.as_deref().into(),
            now.0.into(),
        ],
    )
    .await?;
    Ok(true)
}

/// Puts a letter into the queue that tells of no change.
#[derive(Debug)]
pub struct EnqueueLetter {
    /// What goes out.
    pub letter: NewLetter,
    /// The present.
    pub now: Timestamp,
    /// Letters that may wait.
    pub letters_max: u64,
}

impl Operation for EnqueueLetter {
    /// Whether there was room.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        enqueue(tx, &self.letter, self.now, self.letters_max).await
    }
}

fn read_letter(row: &dyn Row) -> StoreResult<QueuedLetter> {
    Ok(QueuedLetter {
        id: row.int(0)?,
        letter: NewLetter {
            recipient: row.text(1)?,
            subject: row.text(2)?,
            body: row.text(3)?,
            html: row.opt_text(4)?,
        },
        created_at: Timestamp(row.int(5)?),
        attempts: u32::try_from(row.int(6)?).unwrap_or(u32::MAX),
    })
}

/// Lists letters whose time has come, the longest due first.
#[derive(Debug)]
pub struct DueLetters {
    /// The present.
    pub now: Timestamp,
    /// Most of them.
    pub limit: u64,
}

impl Operation for DueLetters {
    type Output = Vec<QueuedLetter>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<QueuedLetter>> {
        tx.rows(
            "SELECT id, recipient, subject, body, html, created_at, attempts FROM mail_queue \
             WHERE next_try <= $1 ORDER BY next_try, id LIMIT $2",
            &[self.now.0.into(), signed(self.limit).into()],
            read_letter,
        )
        .await
    }
}

/// Notes that a letter could not be sent, and when it is tried again.
#[derive(Debug)]
pub struct PostponeLetter {
    /// Which.
    pub id: i64,
    /// When.
    pub next_try: Timestamp,
    /// Why not now.
    pub error: String,
}

impl Operation for PostponeLetter {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let error: String = self.error.chars().take(ERROR_CHARS_MAX).collect();
        tx.perform(
            "UPDATE mail_queue SET attempts = attempts + 1, next_try = $1, last_error = $2 \
             WHERE id = $3",
            &[
                self.next_try.0.into(),
                error.as_str().into(),
                self.id.into(),
            ],
        )
        .await
    }
}

/// Takes a letter out of the queue that was sent, or is given up.
#[derive(Debug)]
pub struct ForgetLetter(pub i64);

impl Operation for ForgetLetter {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform("DELETE FROM mail_queue WHERE id = $1", &[self.0.into()])
            .await
    }
}
