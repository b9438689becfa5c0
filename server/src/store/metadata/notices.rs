//! Of which shares people are to be told by mail: that they were given something, or that it ends soon.
//!
//! The transaction that shares writes one row, however many people the share reaches; a job makes letters of it, some
//! at a time ([`NextNotice`], [`SendNotice`]). So no request writes a letter, and a group of thousands is one row.
//!
//! # Always true
//!
//! * Nobody is told twice: letters enter the queue in the transaction that notes how far the notice has come.
//! * Of the end of a share people are told once, unless its end is moved.

use crate::clock::Timestamp;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::mail::NewLetter;
use crate::store::metadata::mail::enqueue;
use crate::store::metadata::nodes::signed;
use crate::store::metadata::nodes::unsigned;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::Share;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::find_share;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Of what people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// They were given something.
    Given = 0,
    /// It ends soon.
    Ends = 1,
}

impl Notice {
    fn of_column(number: i64) -> StoreResult<Self> {
        match number {
            0 => Ok(Self::Given),
            1 => Ok(Self::Ends),
            other => Err(StoreError::Corrupt(format!("share_notice.kind {other}"))),
        }
    }
}

/// Notes that people are to be told of a share, as part of the transaction that gives them reason to.
pub(crate) async fn give_notice<T: Tx>(
    tx: &mut T,
    (share, notice): (ShareId, Notice),
    now: Timestamp,
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO share_notice (share_id, kind, at) VALUES ($1, $2, $3) \
         ON CONFLICT (share_id, kind) DO UPDATE SET after_id = 0, at = excluded.at",
        &[share.0.into(), (notice as i64).into(), now.0.into()],
    )
    .await
}

/// Notes of shares that end soon that people are to be told, once of each.
///
/// One that was made to last no longer than that anyway is passed over.
#[derive(Debug)]
pub struct RemindOfEnds {
    /// The present.
    pub now: Timestamp,
    /// How long before the end, in seconds.
    pub ahead_seconds: i64,
    /// The most that one transaction notes.
    pub limit: i64,
}

impl Operation for RemindOfEnds {
    /// How many were noted.
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        let until = self.now.plus_seconds(self.ahead_seconds);
        let due = tx
            .rows(
                "SELECT id FROM share WHERE expires_at > $1 AND expires_at <= $2 \
                 AND reminded_at IS NULL AND state = 0 AND expires_at - made_at > $3 \
                 ORDER BY expires_at LIMIT $4",
                &[
                    self.now.0.into(),
                    until.0.into(),
                    (until.0 - self.now.0).into(),
                    self.limit.into(),
                ],
                |row| Ok(ShareId(row.int(0)?)),
            )
            .await?;
        for share in &due {
            tx.perform(
                "UPDATE share SET reminded_at = $1 WHERE id = $2",
                &[self.now.0.into(), share.0.into()],
            )
            .await?;
            give_notice(tx, (*share, Notice::Ends), self.now).await?;
        }
        Ok(due.len() as u64)
    }
}

/// Somebody who is to be told.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Their account.
    pub account: UserId,
    /// Their address.
    pub email: String,
    /// The tag of the language in which they read; `None`: not known.
    pub language: Option<String>,
}

/// A notice, with the next people who are to be told.
#[derive(Debug)]
pub struct PendingNotice {
    /// The share's number.
    pub id: ShareId,
    /// Of what.
    pub notice: Notice,
    /// How far it has come.
    pub after: i64,
    /// Since when it waits.
    pub at: Timestamp,
    /// The share; `None`: it is over, and nobody is told.
    pub share: Option<Share>,
    /// Who is told: people who may sign in and have an address.
    pub readers: Vec<Reader>,
    /// How far it has come when these are told; `None`: then all are.
    pub next: Option<i64>,
}

/// Finds the notice that waits for longest, with its next readers.
#[derive(Debug)]
pub struct NextNotice {
    /// The present.
    pub now: Timestamp,
    /// Whether the members of a group are told of what the group was given.
    pub tells_groups: bool,
    /// The most members that are looked at.
    pub limit: i64,
}

/// An account, with what a letter to it needs.
struct Candidate {
    account: i64,
    is_active: bool,
    email: Option<String>,
    language: Option<String>,
}

fn read_candidate(row: &dyn Row) -> StoreResult<Candidate> {
    Ok(Candidate {
        account: row.int(0)?,
        is_active: row.int(1)? == 0,
        email: row.opt_text(2)?,
        language: row.opt_text(3)?,
    })
}

impl Candidate {
    fn reader(self) -> Option<Reader> {
        let email = self
            .email
            .filter(|email| !email.is_empty() && self.is_active)?;
        Some(Reader {
            account: UserId(self.account),
            email,
            language: self.language,
        })
    }
}

impl Operation for NextNotice {
    type Output = Option<PendingNotice>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<PendingNotice>> {
        let first = tx
            .row(
                "SELECT share_id, kind, after_id, at FROM share_notice ORDER BY at LIMIT 1",
                &[],
                |row| Ok((ShareId(row.int(0)?), row.int(1)?, row.int(2)?, row.int(3)?)),
            )
            .await?;
        let Some((id, kind, after, at)) = first else {
            return Ok(None);
        };
        let notice = Notice::of_column(kind)?;
        let holds = |share: &Share| share.expires_at.is_none_or(|end| end > self.now);
        let share = find_share(tx, id).await?.filter(holds);
        let mut pending = PendingNotice {
            id,
            notice,
            after,
            at: Timestamp(at),
            share,
            readers: Vec::new(),
            next: None,
        };
        let Some(share) = &pending.share else {
            return Ok(Some(pending));
        };
        let mut found = Vec::new();
        if notice == Notice::Ends && after == 0 {
            found.extend(self.one(tx, share.sharer).await?);
        }
        match share.receiver {
            Receiver::Person(person) => found.extend(self.one(tx, person).await?),
            Receiver::Team(team) if self.tells_groups => {
                let members = self.members(tx, (team.0, after)).await?;
                if members.len() as u64 >= unsigned(self.limit) {
                    pending.next = members.last().map(|member| member.account);
                }
                let is_other = |member: &Candidate| member.account != share.sharer.0;
                found.extend(members.into_iter().filter(is_other));
            }
            Receiver::Team(_) | Receiver::Link => {}
        }
        pending.readers = found.into_iter().filter_map(Candidate::reader).collect();
        Ok(Some(pending))
    }
}

impl NextNotice {
    async fn one<T: Tx>(&self, tx: &mut T, account: UserId) -> StoreResult<Option<Candidate>> {
        tx.row(
            "SELECT id, state, email, language FROM account WHERE id = $1",
            &[account.0.into()],
            read_candidate,
        )
        .await
    }

    async fn members<T: Tx>(
        &self,
        tx: &mut T,
        (team, after): (i64, i64),
    ) -> StoreResult<Vec<Candidate>> {
        tx.rows(
            "SELECT a.id, a.state, a.email, a.language FROM member m \
             JOIN team g ON g.id = m.team_id AND g.state = 0 JOIN account a ON a.id = m.account_id \
             WHERE m.team_id = $1 AND m.account_id > $2 ORDER BY m.account_id LIMIT $3",
            &[team.into(), after.into(), self.limit.into()],
            read_candidate,
        )
        .await
    }
}

/// Puts the letters of a notice into the queue and notes how far it has come.
#[derive(Debug)]
pub struct SendNotice {
    /// The share's number.
    pub id: ShareId,
    /// Of what.
    pub notice: Notice,
    /// How far it had come when its readers were read.
    pub after: i64,
    /// How far it has come now; `None`: all are told.
    pub next: Option<i64>,
    /// The letters.
    pub letters: Vec<NewLetter>,
    /// The present.
    pub now: Timestamp,
    /// Letters that may wait.
    pub letters_max: u64,
}

impl Operation for SendNotice {
    /// `false`: there is no room in the queue now, and nothing was changed.
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let waiting = tx
            .row(
                "SELECT count(*) FROM (SELECT 1 FROM mail_queue LIMIT $1) w",
                &[signed(self.letters_max).into()],
                |row| row.int(0),
            )
            .await?;
        let waiting = waiting.map_or(0, unsigned);
        if !self.letters.is_empty()
            && waiting.saturating_add(self.letters.len() as u64) > self.letters_max
        {
            return Ok(false);
        }
        let which = [
            self.id.0.into(),
            (self.notice as i64).into(),
            self.after.into(),
        ];
        let [id, kind, after] = which;
        let moved = match self.next {
            None => {
                tx.execute(
                    "DELETE FROM share_notice WHERE share_id = $1 AND kind = $2 AND after_id = $3",
                    &which,
                )
                .await?
            }
            Some(next) => {
                tx.execute(
                    "UPDATE share_notice SET after_id = $1 \
                     WHERE share_id = $2 AND kind = $3 AND after_id = $4",
                    &[next.into(), id, kind, after],
                )
                .await?
            }
        };
        if moved > 0 {
            for letter in &self.letters {
                enqueue(tx, letter, self.now, self.letters_max).await?;
            }
        }
        Ok(true)
    }
}

/// Notes in which language somebody reads.
#[derive(Debug)]
pub struct NoteLanguage {
    /// Who.
    pub account: UserId,
    /// The language's tag.
    pub tag: &'static str,
}

impl Operation for NoteLanguage {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "UPDATE account SET language = $1 WHERE id = $2 \
             AND (language IS NULL OR language <> $1)",
            &[self.tag.into(), self.account.0.into()],
        )
        .await
    }
}
