//! Tickets: a caller's permission for one purpose, for programs that cannot send credentials.

use crate::clock::Timestamp;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::store::metadata::accounts::AccountState;
use crate::store::metadata::accounts::ReadChangedAt;
use crate::store::metadata::accounts::tickets::CreateTicket;
use crate::store::metadata::accounts::tickets::TakeTicket;
use crate::store::metadata::accounts::tickets::TicketKind;
use crate::store::metadata::accounts::tokens::FindTokenEnd;
use crate::store::metadata::records::NodeId;

/// What of an account must stay as it is for somebody to stay signed in, and until when they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    changed_at: Timestamp,
    /// When the app token ends that they came with.
    until: Option<Timestamp>,
}

impl Identity {
    /// Gives out a ticket of a caller; it ends after `valid_seconds`.
    pub async fn issue_ticket(
        &self,
        caller: &Caller,
        kind: TicketKind,
        node: Option<NodeId>,
        valid_seconds: i64,
    ) -> Result<Secret, IdentityError> {
        let (text, hash) = self.tokens.draw();
        let now = self.clock.now();
        let create = CreateTicket {
            hash,
            kind,
            account: caller.user,
            token: caller.token,
            node,
            until: now.plus_seconds(valid_seconds),
            now,
        };
        self.store.write(create).await?;
        Ok(text)
    }

    /// Returns whose permission a ticket carries, and the file that it opens.
    ///
    /// A ticket for push is used up by that.
    pub async fn redeem_ticket(
        &self,
        kind: TicketKind,
        text: &str,
    ) -> Result<(Caller, Option<NodeId>), IdentityError> {
        let hash = self.tokens.hash_of_text(text);
        let hash = hash.ok_or(IdentityError::Unauthenticated)?;
        let take = TakeTicket {
            hash,
            kind,
            now: self.clock.now(),
        };
        let ticket = match kind {
            TicketKind::Push => self.store.write(take).await?,
            TicketKind::Download => self.store.read(take).await?,
        };
        let ticket = ticket.filter(|ticket| ticket.account.state == AccountState::Active);
        let ticket = ticket.ok_or(IdentityError::Unauthenticated)?;
        let mut caller = Caller::of_account(&ticket.account);
        if let Some((token, is_read_only)) = ticket.token {
            caller = caller.on_device(token);
            caller.is_read_only = is_read_only;
        }
        Ok((caller, ticket.node))
    }

    /// Returns a number that rises whenever this process learns that accounts have changed.
    pub fn account_changes(&self) -> u64 {
        self.verified.generation().number()
    }

    /// Returns what must stay as it is for a caller to stay signed in; `None`: it may not sign in any more.
    pub async fn standing(&self, caller: &Caller) -> Result<Option<Standing>, IdentityError> {
        let changed = self.store.read(ReadChangedAt(vec![caller.user])).await?;
        let Some((_, changed_at)) = changed.first().copied() else {
            return Ok(None);
        };
        let until = match caller.token {
            None => None,
            Some(token) => match self.store.read(FindTokenEnd(token)).await? {
                Some(until) => until,
                None => return Ok(None),
            },
        };
        let standing = Standing { changed_at, until };
        Ok(Some(standing).filter(|standing| !self.is_over(standing)))
    }

    /// Returns whether the app token that somebody came with has ended by itself.
    pub fn is_over(&self, standing: &Standing) -> bool {
        standing.until.is_some_and(|at| at <= self.clock.now())
    }
}
