//! Tickets: permissions for one purpose and a short time, known by a keyed hash.

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::find_by_id;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketKind {
    /// To hear of changes, once.
    Push = 1,
    /// To read one file, until it ends.
    Download = 2,
}

/// Stores a ticket, and forgets those that are over.
#[derive(Debug, Clone)]
pub struct CreateTicket {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
    /// What it is good for.
    pub kind: TicketKind,
    /// Whose permission it carries.
    pub account: UserId,
    /// The app token that it was asked for with.
    pub token: Option<TokenId>,
    /// The file that it opens.
    pub node: Option<NodeId>,
    /// When it ends.
    pub until: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for CreateTicket {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform("DELETE FROM ticket WHERE until <= $1", &[self.now.0.into()])
            .await?;
        tx.perform(
            "INSERT INTO ticket (hash, kind, account_id, token_id, node_id, until) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                self.hash.as_slice().into(),
                (self.kind as i64).into(),
                self.account.0.into(),
                self.token.map(|token| token.0).into(),
                self.node.map(|node| node.0).into(),
                self.until.0.into(),
            ],
        )
        .await
    }
}

/// What a ticket carries.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Whose permission, whatever the state of the account.
    pub account: Account,
    /// The app token that it was asked for with, if that still opens anything, and whether it only reads.
    pub token: Option<(TokenId, bool)>,
    /// The file that it opens.
    pub node: Option<NodeId>,
}

/// Finds a ticket that is not over; one of a kind that counts once is gone afterwards.
#[derive(Debug, Clone)]
pub struct TakeTicket {
    /// The keyed hash of its text.
    pub hash: [u8; 32],
    /// What it must be good for.
    pub kind: TicketKind,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for TakeTicket {
    type Output = Option<Ticket>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Ticket>> {
        let found = tx
            .row(
                "SELECT account_id, token_id, node_id FROM ticket \
                 WHERE hash = $1 AND kind = $2 AND until > $3",
                &[
                    self.hash.as_slice().into(),
                    (self.kind as i64).into(),
                    self.now.0.into(),
                ],
                |row| Ok((row.int(0)?, row.opt_int(1)?, row.opt_int(2)?)),
            )
            .await?;
        let Some((account, token, node)) = found else {
            return Ok(None);
        };
        if self.kind == TicketKind::Push {
            let sql = "DELETE FROM ticket WHERE hash = $1";
            // Of two who come with the same ticket at once, one gets it.
            if tx.execute(sql, &[self.hash.as_slice().into()]).await? == 0 {
                return Ok(None);
            }
        }
        let token = match token {
            None => None,
            Some(id) => {
                let lives = tx
                    .row(
                        "SELECT read_only FROM token WHERE id = $1 AND revoked_at IS NULL \
                         AND (expires_at IS NULL OR expires_at > $2)",
                        &[id.into(), self.now.0.into()],
                        |row| row.int(0),
                    )
                    .await?;
                let Some(read_only) = lives else {
                    return Ok(None);
                };
                Some((TokenId(id), read_only != 0))
            }
        };
        let Some(account) = find_by_id(tx, UserId(account)).await? else {
            return Ok(None);
        };
        Ok(Some(Ticket {
            account,
            token,
            node: node.map(NodeId),
        }))
    }
}
