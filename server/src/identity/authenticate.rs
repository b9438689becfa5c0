//! From a name and a secret to a caller.
//!
//! Tried in this order: what was verified lately; an app token; a password, slowly and
//! under the throttle. A credential that is verified already is served while its
//! (account, address) pair is refused: whoever guesses does not lock out a mounted drive.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::administer::EMAIL_CHARACTERS_MAX;
use crate::identity::error::IdentityError;
use crate::identity::names::AccountName;
use crate::identity::passwords::Crowded;
use crate::identity::throttle::pair;
use crate::identity::verified::CredentialKey;
use crate::identity::verified::Proof;
use crate::store::metadata::accounts::AccountState;
use crate::store::metadata::accounts::FindLogin;
use crate::store::metadata::accounts::FindPassword;
use crate::store::metadata::accounts::ReadChangedAt;
use crate::store::metadata::accounts::throttles::ClearThrottle;
use crate::store::metadata::accounts::throttles::FindThrottle;
use crate::store::metadata::accounts::throttles::Pair;
use crate::store::metadata::accounts::throttles::RecordFailure;
use crate::store::metadata::accounts::throttles::SweepThrottles;
use crate::store::metadata::accounts::tokens::FindToken;
use crate::store::metadata::accounts::tokens::Token;
use crate::store::metadata::accounts::tokens::TouchToken;
use crate::store::metadata::error::StoreResult;

/// No password and no token is longer, in bytes.
pub(super) const SECRET_BYTES_MAX: usize = 1024;

/// How many accounts are compared in one read.
const COMPARED_AT_ONCE: usize = 500;

impl From<Crowded> for IdentityError {
    fn from(_: Crowded) -> Self {
        Self::Busy
    }
}

impl Identity {
    /// Verifies a name and a secret (password or app token) that came with a request.
    ///
    /// Costs a hash of the two where they were verified lately, a read for a token, and
    /// tens of milliseconds of a core for a password.
    pub async fn authenticate_basic(
        &self,
        name: &str,
        secret: &str,
        client_address: IpAddr,
    ) -> Result<Caller, IdentityError> {
        let key = self.verified.key_of(name, secret);
        if let Some(proof) = self.verified.find(&key, self.clock.now()) {
            return Ok(proof.caller.clone());
        }
        if secret.len() > SECRET_BYTES_MAX {
            return Err(IdentityError::Unauthenticated);
        }
        let fold = self.fold_of_login(name).await?;
        if let Some(hash) = self.tokens.hash_of_text(secret)
            && let Some(caller) = self.try_token(Some(&fold), hash, key).await?
        {
            return Ok(caller);
        }
        let pair = pair(&fold, client_address);
        let proof = self.try_password(&pair, secret, Some(key)).await?;
        Ok(proof.caller.clone())
    }

    /// Verifies a person's password, which must be right at this moment: nothing remembered counts.
    ///
    /// What it yields is as old as the account that was read, so that whoever goes on from it can
    /// test that the account has not changed since.
    pub(super) async fn authenticate_person(
        &self,
        name: &str,
        password: &str,
        client_address: IpAddr,
    ) -> Result<Arc<Proof>, IdentityError> {
        if password.len() > SECRET_BYTES_MAX {
            return Err(IdentityError::Unauthenticated);
        }
        let fold = self.fold_of_login(name).await?;
        let pair = pair(&fold, client_address);
        self.try_password(&pair, password, None).await
    }

    /// Verifies an app token that came without a name.
    pub async fn authenticate_bearer(&self, secret: &str) -> Result<Caller, IdentityError> {
        // No name of Basic authentication holds a colon.
        let key = self.verified.key_of(":", secret);
        if let Some(proof) = self.verified.find(&key, self.clock.now()) {
            return Ok(proof.caller.clone());
        }
        if secret.len() <= SECRET_BYTES_MAX
            && let Some(hash) = self.tokens.hash_of_text(secret)
            && let Some(caller) = self.try_token(None, hash, key).await?
        {
            return Ok(caller);
        }
        Err(IdentityError::Unauthenticated)
    }

    /// Returns the folded name of whom a typed name means: an account's name, or its address of mail.
    ///
    /// Whoever guesses at an account is counted as one, by whichever of the two.
    async fn fold_of_login(&self, typed: &str) -> Result<String, IdentityError> {
        let name = AccountName::parse(typed).ok();
        if !typed.contains('@') || typed.chars().count() > EMAIL_CHARACTERS_MAX {
            let name = name.ok_or(IdentityError::Unauthenticated)?;
            return Ok(name.fold().to_owned());
        }
        let email = typed.to_lowercase();
        let fold = name.map_or_else(|| email.clone(), |name| name.fold().to_owned());
        let login = FindLogin {
            fold: fold.clone(),
            email,
        };
        Ok(self.store.read(login).await?.unwrap_or(fold))
    }

    /// Looks a token up; `None`: there is none, so the secret may be a password of its form.
    ///
    /// A token that ended is refused here: a forgotten device is not somebody guessing.
    async fn try_token(
        &self,
        fold: Option<&str>,
        hash: [u8; 32],
        key: CredentialKey,
    ) -> Result<Option<Caller>, IdentityError> {
        let generation = self.verified.generation();
        let Some((token, account)) = self.store.read(FindToken { hash }).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let may_sign_in =
            account.state == AccountState::Active && fold.is_none_or(|fold| fold == account.fold);
        if !may_sign_in || !token.is_valid(now) {
            return Err(IdentityError::Unauthenticated);
        }
        let proof = Proof {
            caller: Caller::of_token(&account, &token),
            changed_at: account.changed_at,
            expires_at: token.expires_at,
        };
        let caller = proof.caller.clone();
        self.verified.remember(key, Arc::new(proof), generation);
        self.note_use(&token, now);
        Ok(Some(caller))
    }

    /// Notes that a token is in use, without letting the request wait for it.
    fn note_use(&self, token: &Token, now: Timestamp) {
        if !token.is_use_worth_noting(now) {
            return;
        }
        let store = Arc::clone(&self.store);
        let touch = TouchToken {
            token: token.id,
            now,
        };
        tokio::spawn(async move {
            if let Err(error) = store.write_in_background(touch).await {
                tracing::debug!(%error, "the use of a token was not noted");
            }
        });
    }

    /// Tries a password under the throttle; with a key, what was verified lately counts and is remembered.
    async fn try_password(
        &self,
        pair: &Pair,
        secret: &str,
        key: Option<CredentialKey>,
    ) -> Result<Arc<Proof>, IdentityError> {
        self.throttle.check(pair, self.clock.now())?;
        let turn = self.throttle.turn(pair)?;
        let _turn = turn.lock().await;
        let now = self.clock.now();
        // The request before this one may have proved or refused the same.
        if let Some(proof) = key.and_then(|key| self.verified.find(&key, now)) {
            return Ok(proof);
        }
        self.throttle.check(pair, now)?;
        let known_until = self.store.read(FindThrottle(pair.clone())).await?;
        if let Some(until) = known_until {
            self.throttle.note(pair, until, now)?;
        }
        let Some(proof) = self.verify_password(pair, secret, key).await? else {
            return Err(self.count_failure(pair).await?);
        };
        if known_until.is_some() {
            self.store.write(ClearThrottle(pair.clone())).await?;
            self.throttle.forget(pair);
        }
        Ok(proof)
    }

    /// Tests a password and remembers that it was right; `None`: it was wrong, or opens nothing.
    async fn verify_password(
        &self,
        pair: &Pair,
        secret: &str,
        key: Option<CredentialKey>,
    ) -> Result<Option<Arc<Proof>>, IdentityError> {
        let slot = self.passwords.slot().await?;
        let generation = self.verified.generation();
        let fold = pair.account.clone();
        let row = self.store.read(FindPassword { fold }).await?;
        let (account, hash) =
            row.map_or((None, None), |row| (Some(row.account), row.password_hash));
        let matches = slot.verify(hash, secret.to_owned()).await?;
        let account = account.filter(|found| matches && found.state == AccountState::Active);
        Ok(account.map(|account| {
            let proof = Arc::new(Proof {
                caller: Caller::of_account(&account),
                changed_at: account.changed_at,
                expires_at: None,
            });
            if let Some(key) = key {
                self.verified.remember(key, Arc::clone(&proof), generation);
            }
            proof
        }))
    }

    /// Counts a wrong guess and returns what to answer to it.
    pub(super) async fn count_failure(&self, pair: &Pair) -> Result<IdentityError, IdentityError> {
        let now = self.clock.now();
        let failure = RecordFailure {
            pair: pair.clone(),
            now,
        };
        let until = self.store.write(failure).await?;
        // This guess was looked at, so its answer is the same as ever; the next is refused.
        if self.throttle.note(pair, until, now).is_err() {
            tracing::info!(address = %pair.address, "sign-in throttled");
        }
        Ok(IdentityError::Unauthenticated)
    }

    /// Forgets the credentials of accounts that another process has changed.
    ///
    /// To be called each second; costs one small statement unless somebody wrote.
    /// When the database cannot be asked, everything is forgotten.
    pub async fn forget_changed(&self) -> StoreResult<()> {
        let compared = self.compare_accounts().await;
        if compared.is_err() {
            self.verified.forget_all();
        }
        compared
    }

    async fn compare_accounts(&self) -> StoreResult<()> {
        let version = self.store.data_version().await?;
        if self.seen_version.swap(version, Ordering::SeqCst) == version {
            return Ok(());
        }
        self.throttle.forget_all();
        self.store.note_sharing();
        let accounts = self.verified.begin_generation();
        for slice in accounts.chunks(COMPARED_AT_ONCE) {
            let current = self.store.read(ReadChangedAt(slice.to_vec())).await?;
            self.verified.retain_current(slice, &current);
        }
        Ok(())
    }

    /// Deletes counts of wrong guesses that are over; a background job, each hour or so.
    pub async fn sweep_throttles(&self) -> StoreResult<u64> {
        let now = self.clock.now();
        self.store.write_in_background(SweepThrottles { now }).await
    }
}
