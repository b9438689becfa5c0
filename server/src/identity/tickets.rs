//! Tickets: a caller's permission for one purpose, for programs that cannot send credentials.

use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::store::metadata::accounts::AccountState;
use crate::store::metadata::accounts::ReadChangedAt;
use crate::store::metadata::accounts::tickets::CreateTicket;
use crate::store::metadata::accounts::tickets::TakeTicket;
use crate::store::metadata::accounts::tickets::TicketKind;
use crate::store::metadata::records::NodeId;

/// What of an account must stay as it is for somebody to stay signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing(i64);

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
            caller.token = Some(token);
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
        Ok(changed.first().map(|(_, at)| Standing(at.0)))
    }
}
