//! Credentials that were verified a short while ago.
//!
//! A mounted drive sends name and password with every request; verifying them each
//! time would cost a core. What is remembered is a hash of both, keyed with a key that
//! lives as long as this process, and the caller that they yield.
//!
//! # Always true
//!
//! * What was verified against a state of the account that has changed since is not
//!   remembered. A verification notes the generation before it reads the account
//!   and gives it back with the result; whoever learns of a change begins a new generation
//!   before forgetting. Whichever comes first, the entry goes.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moka::sync::Cache;
use rand::RngCore;

use crate::clock::Timestamp;
use crate::identity::Caller;
use crate::store::metadata::records::UserId;

/// How many credentials of each kind are remembered (about 400 bytes each).
const CREDENTIALS_MAX: u64 = 20_000;
/// How long a password counts as verified.
const PASSWORD_SECONDS_MAX: u64 = 15 * 60;
/// How long a password counts as verified that nobody uses.
const PASSWORD_IDLE_SECONDS: u64 = 5 * 60;
/// How long a token counts as verified.
const TOKEN_SECONDS_MAX: u64 = 15;

/// What stands for a name and a secret.
pub(super) type CredentialKey = [u8; 32];

/// A number that rises with each change of accounts that this process learns of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Generation {
    /// Returns it as a number that rises.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// What a credential yields.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    /// Who it is.
    pub(super) caller: Caller,
    /// `changed_at` of the account when it was verified.
    pub(super) changed_at: Timestamp,
    /// When the token ends.
    pub(super) expires_at: Option<Timestamp>,
}

/// The memory of verified credentials.
pub(super) struct Verified {
    key: [u8; 32],
    passwords: Cache<CredentialKey, Arc<Proof>>,
    tokens: Cache<CredentialKey, Arc<Proof>>,
    generation: AtomicU64,
}

impl Verified {
    /// Knows nothing yet.
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self {
            key,
            passwords: Cache::builder()
                .max_capacity(CREDENTIALS_MAX)
                .time_to_live(Duration::from_secs(PASSWORD_SECONDS_MAX))
                .time_to_idle(Duration::from_secs(PASSWORD_IDLE_SECONDS))
                .build(),
            tokens: Cache::builder()
                .max_capacity(CREDENTIALS_MAX)
                .time_to_live(Duration::from_secs(TOKEN_SECONDS_MAX))
                .build(),
            generation: AtomicU64::new(0),
        }
    }

    /// Returns what stands for a name and a secret as they came.
    pub(super) fn key_of(&self, name: &str, secret: &str) -> CredentialKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&name.len().to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(secret.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Returns what a credential yields if it was verified lately and holds at `now`.
    pub(super) fn find(&self, key: &CredentialKey, now: Timestamp) -> Option<Arc<Proof>> {
        let proof = self.tokens.get(key).or_else(|| self.passwords.get(key))?;
        if proof.expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        Some(proof)
    }

    /// Returns the generation, to be noted before an account is read.
    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    /// Remembers a credential that was verified in `generation`.
    pub(super) fn remember(&self, key: CredentialKey, proof: Arc<Proof>, generation: Generation) {
        let cache = match proof.caller.token {
            Some(_) => &self.tokens,
            None => &self.passwords,
        };
        cache.insert(key, proof);
        if self.generation() != generation {
            cache.invalidate(&key);
        }
    }

    /// Returns every account with a remembered credential, each once.
    ///
    /// Begins a new generation: what is being verified meanwhile is not remembered.
    pub(super) fn begin_generation(&self) -> Vec<UserId> {
        self.generation.fetch_add(1, Ordering::SeqCst);
        let accounts: HashSet<UserId> = self
            .passwords
            .iter()
            .chain(self.tokens.iter())
            .map(|(_, proof)| proof.caller.user)
            .collect();
        accounts.into_iter().collect()
    }

    /// Forgets the credentials of those `accounts` that changed: all but those whose `changed_at` is still `current`.
    pub(super) fn retain_current(&self, accounts: &[UserId], current: &[(UserId, Timestamp)]) {
        let asked: HashSet<UserId> = accounts.iter().copied().collect();
        let current: HashMap<UserId, Timestamp> = current.iter().copied().collect();
        self.forget_if(|proof| {
            let user = proof.caller.user;
            asked.contains(&user) && current.get(&user) != Some(&proof.changed_at)
        });
    }

    /// Forgets the credentials of one account, because this process has changed it.
    pub(super) fn forget_account(&self, account: UserId) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.forget_if(|proof| proof.caller.user == account);
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.forget_if(|_| true);
    }

    fn forget_if(&self, is_over: impl Fn(&Proof) -> bool) {
        for cache in [&self.passwords, &self.tokens] {
            for (key, proof) in cache {
                if is_over(&proof) {
                    cache.invalidate(key.as_ref());
                }
            }
        }
    }
}
