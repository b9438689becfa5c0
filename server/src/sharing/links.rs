//! Opening a link: its token, its end, its password.
//!
//! A token that is unknown and one that ended take the same way and get the same answer. An address from which
//! many wrong tokens come is made to wait before the next one is looked up; who has a right one is never stopped.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::identity::Caller;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::sharing::Sharing;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::NoteVisit;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::shares::FindLink;
use crate::store::metadata::shares::NoteLinkUse;
use crate::store::metadata::shares::OpenedLink;
use crate::store::metadata::shares::ShareId;

/// How long they are counted, in seconds.
const WRONG_SECONDS: u64 = 10 * 60;
/// Addresses that are counted.
const ADDRESSES_MAX: u64 = 50_000;
/// Whatever one address does with a link within this time is one visit, in seconds.
const VISIT_SECONDS: i64 = 30 * 60;
/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 64;

/// Counts of wrong tokens, by address.
pub(super) struct WrongTokens(Cache<IpAddr, u32>);

impl WrongTokens {
    pub(super) fn new() -> Self {
        let counts = Cache::builder()
            .max_capacity(ADDRESSES_MAX)
            .time_to_live(Duration::from_secs(WRONG_SECONDS))
            .build();
        Self(counts)
    }

    /// Counts one more; returns how many there were.
    fn count(&self, address: IpAddr) -> u32 {
        let count = self.0.get(&address).unwrap_or(0).saturating_add(1);
        self.0.insert(address, count);
        count
    }
}

/// Visits that were noted, so that the next request of one costs nothing.
pub(super) struct Visits(Cache<(ShareId, Deed, IpAddr), ()>);

impl Visits {
    pub(super) fn new() -> Self {
        let noted = Cache::builder()
            .max_capacity(ADDRESSES_MAX)
            .time_to_live(Duration::from_secs(VISIT_SECONDS.unsigned_abs()))
            .build();
        Self(noted)
    }
}

/// What somebody shows who opens a link.
#[derive(Clone, Copy, Default)]
pub struct Entrance<'a> {
    /// A password.
    pub password: Option<&'a str>,
    /// Returns what a browser kept after it gave the password of the link with this number.
    pub pass: Option<&'a (dyn Fn(ShareId) -> Option<String> + Sync)>,
}

/// Why a link does not open.
#[derive(Debug, thiserror::Error)]
pub enum LinkRefusal {
    /// There is none, or not any more.
    #[error("there is no such link")]
    Unknown,
    /// Too many wrong tokens came from this address.
    #[error("too many wrong addresses")]
    TooManyWrong,
    /// It needs a password, and none was shown, or one that is not right.
    #[error("the link needs a password")]
    PasswordNeeded {
        /// Whether one was shown.
        was_wrong: bool,
    },
    /// The password could not be tested now.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database says no.
    #[error("the link could not be looked up")]
    Unavailable(#[from] StoreError),
}

impl Sharing {
    /// Opens a link; the caller that it yields sees what it leads to and nothing else.
    pub async fn open_link(
        &self,
        token: &str,
        entrance: Entrance<'_>,
        client: IpAddr,
    ) -> Result<Caller, LinkRefusal> {
        let link = self.find_link(token, client).await?;
        if let Some(hash) = &link.share.password_hash {
            let pass = entrance.pass.and_then(|pass| pass(link.share.id));
            let is_let_in = |pass: String| self.identity.is_link_pass(link.share.id.0, hash, &pass);
            if !pass.is_some_and(is_let_in) {
                self.test_password(&link, hash, entrance.password, client)
                    .await?;
            }
        }
        self.note_use(&link, (client, 0));
        Ok(Caller::of_link(link).from_address(client))
    }

    async fn test_password(
        &self,
        link: &OpenedLink,
        hash: &str,
        given: Option<&str>,
        client: IpAddr,
    ) -> Result<(), LinkRefusal> {
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            return Err(LinkRefusal::PasswordNeeded { was_wrong: false });
        };
        let id = link.share.id.0;
        match self
            .identity
            .verify_link_password(id, hash, given, client)
            .await
        {
            Ok(()) => Ok(()),
            Err(IdentityError::Unauthenticated) => {
                Err(LinkRefusal::PasswordNeeded { was_wrong: true })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn find_link(&self, token: &str, client: IpAddr) -> Result<OpenedLink, LinkRefusal> {
        let find = FindLink {
            token_hash: self.identity.link_token_hash(token).to_vec(),
            now: self.clock.now(),
        };
        let found = if token.len() <= TOKEN_BYTES_MAX {
            self.metadata.read(find).await?
        } else {
            None
        };
        match found {
            Some(link) => Ok(link),
            None if self.wrong_tokens.count(client) > self.settings.wrong_links_max => {
                Err(LinkRefusal::TooManyWrong)
            }
            None => Err(LinkRefusal::Unknown),
        }
    }

    /// Returns what a browser keeps so that it need not give the password of this link again.
    pub fn pass_of(&self, link: &OpenedLink) -> Option<Secret> {
        let hash = link.share.password_hash.as_deref()?;
        Some(self.identity.make_link_pass(link.share.id.0, hash))
    }

    /// Counts downloads through a link and notes the visit, without letting the request wait for it.
    pub fn note_use(&self, link: &OpenedLink, (client, downloads): (IpAddr, u64)) {
        let deed = match downloads {
            0 => Deed::LinkOpened,
            _ => Deed::LinkDownloaded,
        };
        self.note_visit(link, deed, client);
        let now = self.clock.now();
        let noted = link.share.opened_at.unwrap_or(Timestamp(0));
        if downloads == 0 && now < noted.plus_seconds(60) {
            return;
        }
        let store = Arc::clone(&self.metadata);
        let note = NoteLinkUse {
            share: link.share.id,
            opens: downloads,
            now,
        };
        tokio::spawn(async move {
            if let Err(error) = store.write_in_background(note).await {
                tracing::debug!(%error, "the use of a link was not noted");
            }
        });
    }

    /// Notes what a visitor does with a link, once for each visit.
    fn note_visit(&self, link: &OpenedLink, deed: Deed, client: IpAddr) {
        let key = (link.share.id, deed, client);
        if !self.files.settings().keeps_activity || self.visits.0.contains_key(&key) {
            return;
        }
        self.visits.0.insert(key, ());
        let now = self.clock.now();
        let visit = NoteVisit {
            deed,
            link: link.share.id,
            sharer: link.share.sharer,
            node: link.share.node.clone(),
            address: client,
            now,
            since: now.plus_seconds(-VISIT_SECONDS),
        };
        let store = Arc::clone(&self.metadata);
        tokio::spawn(async move {
            if let Err(error) = store.write_in_background(visit).await {
                tracing::debug!(%error, "the visit of a link was not noted");
            }
        });
    }
}
