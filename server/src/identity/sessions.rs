//! Sessions of browsers, and the marks that prove a form came from our own page.
//!
//! A session's text is 256 random bits; what is stored is its keyed hash. It slides: each
//! visit puts its end off, up to a limit that counts from its beginning. A form holds a
//! mark that only whoever reads our page can know: a keyed hash of what its browser holds.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngCore;

use crate::clock::Timestamp;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::AdminError;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::store::metadata::accounts::AccountState;
use crate::store::metadata::accounts::sessions::BeginSession;
use crate::store::metadata::accounts::sessions::EndSession;
use crate::store::metadata::accounts::sessions::EndSessionOf;
use crate::store::metadata::accounts::sessions::FindSession;
use crate::store::metadata::accounts::sessions::ListSessions;
use crate::store::metadata::accounts::sessions::SessionRow;
use crate::store::metadata::accounts::sessions::SweepSignIns;
use crate::store::metadata::accounts::sessions::TouchSession;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::notices::NoteLanguage;

const TEXT_BYTES: usize = 32;
const HASH_CONTEXT: &str = "nuage 2026-11 hash of a session";
const FORM_CONTEXT: &str = "nuage 2026-11 mark of a form";
/// The shortest time between two notes of "last used".
const TOUCH_STEP_SECONDS: i64 = 300;
/// What is kept of a browser's name, in characters.
const AGENT_CHARACTERS_MAX: usize = 200;

/// Sessions that somebody is shown.
const LISTED_MAX: i64 = 200;
/// The shortest password that somebody may choose for themselves, in characters.
pub const PASSWORD_CHARACTERS_MIN: usize = 12;

/// A browser with which somebody is signed in.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    /// By what it is ended.
    pub id: String,
    /// What the browser calls itself.
    pub agent: String,
    /// When it was signed in.
    pub created_at: Timestamp,
    /// When it was last used, to some minutes.
    pub used_at: Timestamp,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// Why somebody has no new password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFault {
    /// It has less than [`PASSWORD_CHARACTERS_MIN`] characters.
    #[error("the password is too short")]
    TooShort,
    /// The present one is another, or was guessed too often.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It cannot be used.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// How long a browser stays signed in.
#[derive(Debug, Clone, Copy)]
pub struct SessionLife {
    /// Without a visit.
    pub idle_seconds: i64,
    /// In any case.
    pub seconds_max: i64,
}

impl Default for SessionLife {
    fn default() -> Self {
        Self {
            idle_seconds: 24 * 3_600,
            seconds_max: 30 * 86_400,
        }
    }
}

impl SessionLife {
    fn end(self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        let last = created_at.plus_seconds(self.seconds_max);
        now.plus_seconds(self.idle_seconds).min(last)
    }
}

/// The keys of sessions and forms.
pub(super) struct SessionKeys {
    hash: [u8; 32],
    form: [u8; 32],
}

impl SessionKeys {
    /// Derives them from the installation's secret, so that every server has the same.
    pub(super) fn new(installation_secret: &[u8; 32]) -> Self {
        Self {
            hash: blake3::derive_key(HASH_CONTEXT, installation_secret),
            form: blake3::derive_key(FORM_CONTEXT, installation_secret),
        }
    }

    fn hash_of(&self, text: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.hash, text.as_bytes()).as_bytes()
    }
}

/// Draws a text of 256 random bits.
fn draw() -> Secret {
    let mut bytes = [0; TEXT_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl Identity {
    /// Signs a person in with a browser, by their password, and yields what it shows from now on.
    ///
    /// The password must be right now: one that was replaced a moment ago begins no session that
    /// outlives it. A device's app password opens none.
    pub async fn begin_session(
        &self,
        name: &str,
        password: &str,
        client: IpAddr,
        agent: &str,
    ) -> Result<Secret, IdentityError> {
        let proof = self.authenticate_person(name, password, client).await?;
        let text = draw();
        let now = self.clock.now();
        let begin = BeginSession {
            hash: self.session_keys.hash_of(text.reveal()),
            account: proof.caller.user,
            changed_at: proof.changed_at,
            agent: agent.chars().take(AGENT_CHARACTERS_MAX).collect(),
            now,
            until: self.session_life.end(now, now),
        };
        match self.store.write(begin).await {
            Ok(()) => Ok(text),
            Err(StoreError::Refused(Refusal::NotFound)) => Err(IdentityError::Unauthenticated),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds out whose session a text is; `None`: of nobody who is signed in.
    pub async fn find_session(&self, text: &str) -> Result<Option<Caller>, IdentityError> {
        let hash = self.session_keys.hash_of(text);
        let now = self.clock.now();
        let found = self.store.read(FindSession { hash }).await?;
        let found = found
            .filter(|session| session.until > now && session.account.state == AccountState::Active);
        let Some(session) = found else {
            return Ok(None);
        };
        self.slide(hash, &session, now).await?;
        Ok(Some(Caller::of_account(&session.account).by_page()))
    }

    /// Notes in which language somebody reads who has just signed in with a browser.
    pub async fn note_language(
        &self,
        session: &Secret,
        tag: &'static str,
    ) -> Result<(), IdentityError> {
        let hash = self.session_keys.hash_of(session.reveal());
        if let Some(session) = self.store.read(FindSession { hash }).await? {
            let account = session.account.id;
            self.store.write(NoteLanguage { account, tag }).await?;
        }
        Ok(())
    }

    async fn slide(
        &self,
        hash: [u8; 32],
        session: &SessionRow,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        if now < session.used_at.plus_seconds(TOUCH_STEP_SECONDS) {
            return Ok(());
        }
        let until = self.session_life.end(session.created_at, now);
        let touch = TouchSession { hash, now, until };
        Ok(self.store.write(touch).await?)
    }

    /// Returns whether a session holds. That somebody listens is no visit: it puts no end off.
    pub async fn is_session_valid(&self, text: &str) -> Result<bool, IdentityError> {
        let hash = self.session_keys.hash_of(text);
        let found = self.store.read(FindSession { hash }).await?;
        let now = self.clock.now();
        Ok(found.is_some_and(|session| {
            session.until > now && session.account.state == AccountState::Active
        }))
    }

    /// Lists the browsers with which somebody is signed in, the last used first.
    pub async fn list_sessions(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<Vec<BrowserSession>, IdentityError> {
        let list = ListSessions {
            account: caller.user,
            now: self.clock.now(),
            limit: LISTED_MAX,
        };
        let own = self.session_keys.hash_of(text);
        let listed = self.store.read(list).await?.into_iter();
        let sessions = listed.map(|session| BrowserSession {
            is_this: session.hash == own,
            id: hex::encode(session.hash),
            agent: session.agent,
            created_at: session.created_at,
            used_at: session.used_at,
        });
        Ok(sessions.collect())
    }

    /// Signs one of somebody's browsers out; returns whether it was signed in.
    pub async fn end_session_of(&self, caller: &Caller, id: &str) -> Result<bool, IdentityError> {
        let Ok(hash) = hex::decode(id) else {
            return Ok(false);
        };
        let account = caller.user;
        Ok(self.store.write(EndSessionOf { account, hash }).await?)
    }

    /// Gives somebody a new password who knows the present one, and begins a new session: all others end.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` where the present password is another.
    pub async fn change_own_password(
        &self,
        caller: &Caller,
        (old, new): (&Secret, &Secret),
        client: IpAddr,
        agent: &str,
    ) -> Result<Secret, PasswordFault> {
        if new.reveal().chars().count() < PASSWORD_CHARACTERS_MIN {
            return Err(PasswordFault::TooShort);
        }
        self.authenticate_person(&caller.name, old.reveal(), client)
            .await?;
        self.set_password(&caller.name, new).await?;
        let begun = self.begin_session(&caller.name, new.reveal(), client, agent);
        Ok(begun.await?)
    }

    /// Signs a browser out.
    pub async fn end_session(&self, text: &str) -> Result<(), IdentityError> {
        let hash = self.session_keys.hash_of(text);
        Ok(self.store.write(EndSession { hash }).await?)
    }

    /// Draws what a browser holds that is not signed in, for the marks of its forms.
    pub fn draw_form_basis(&self) -> Secret {
        draw()
    }

    /// Returns the mark of forms that go to a browser which holds `basis`.
    pub fn form_mark(&self, basis: &str) -> String {
        let hash = blake3::keyed_hash(&self.session_keys.form, basis.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(hash.as_bytes())
    }

    /// Returns whether a form that a browser sent was ours.
    pub fn is_form_mark(&self, basis: &str, mark: &str) -> bool {
        let mut bytes = [0; 32];
        let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(mark, &mut bytes);
        // Compared in constant time.
        decoded == Ok(32) && blake3::keyed_hash(&self.session_keys.form, basis.as_bytes()) == bytes
    }

    /// Forgets sessions and waiting devices whose time is over; a background job, each hour or so.
    pub async fn sweep_sign_ins(&self) -> StoreResult<()> {
        let now = self.clock.now();
        self.store.write_in_background(SweepSignIns { now }).await
    }
}
