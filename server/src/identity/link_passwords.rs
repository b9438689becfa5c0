//! Secrets of links: tokens as they are stored, passwords, and what a browser shows once it gave one.
//!
//! A password of a link is guessed at by anybody who has the link, so wrong guesses delay the pair of link and
//! address, as they do for accounts. What a browser keeps afterwards opens that link alone, for as long as the
//! password stays the same, and says nothing about it.

use std::net::IpAddr;
use std::time::Duration;

use moka::sync::Cache;
use rand::RngCore;
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::identity::authenticate::SECRET_BYTES_MAX;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::identity::throttle::pair;
use crate::store::metadata::accounts::throttles::ClearThrottle;
use crate::store::metadata::accounts::throttles::FindThrottle;

const TOKEN_CONTEXT: &str = "nuage 2026-11 hash of the token of a link";
const PASS_CONTEXT: &str = "nuage 2026-11 pass to a link with a password";
/// Passwords that were right lately and are not hashed again.
const KNOWN_MAX: u64 = 10_000;
/// How long that is so.
const KNOWN_SECONDS: u64 = 5 * 60;
/// The symbols of tokens: none that people take for another.
const SYMBOLS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Symbols of a token: 130 random bits.
const TOKEN_SYMBOLS: usize = 26;
/// How long a browser that gave the password is let in, in seconds.
const PASS_SECONDS: i64 = 12 * 3_600;

/// The keys, and the passwords that were right lately.
pub(super) struct LinkSecrets {
    token_key: [u8; 32],
    pass_key: [u8; 32],
    known: Cache<[u8; 32], ()>,
}

impl LinkSecrets {
    pub(super) fn new(installation_secret: &[u8; 32]) -> Self {
        Self {
            token_key: blake3::derive_key(TOKEN_CONTEXT, installation_secret),
            pass_key: blake3::derive_key(PASS_CONTEXT, installation_secret),
            known: Cache::builder()
                .max_capacity(KNOWN_MAX)
                .time_to_live(Duration::from_secs(KNOWN_SECONDS))
                .build(),
        }
    }

    fn mac(&self, link: i64, password_hash: &str, text: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.pass_key);
        hasher.update(&link.to_le_bytes());
        for part in [password_hash, text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

impl Identity {
    /// Draws the token of a new link: 130 random bits.
    pub fn draw_link_token(&self) -> String {
        let mut random = [0; TOKEN_SYMBOLS];
        rand::rng().fill_bytes(&mut random);
        let symbol = |byte: &u8| {
            let index = usize::from(byte % 32);
            SYMBOLS.get(index).copied().map_or('a', char::from)
        };
        random.iter().map(symbol).collect()
    }

    /// Returns what is stored of a link's token, and by which it is found.
    pub fn link_token_hash(&self, token: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.links.token_key, token.as_bytes()).as_bytes()
    }

    /// Hashes the password of a link, as those of people are.
    pub async fn hash_link_password(&self, password: &Secret) -> Result<String, IdentityError> {
        let slot = self.passwords.slot().await?;
        Ok(slot.hash(password.reveal().to_owned()).await?)
    }

    /// Tests the password of a link; wrong guesses delay the next of the same address.
    pub async fn verify_link_password(
        &self,
        link: i64,
        password_hash: &str,
        given: &str,
        client_address: IpAddr,
    ) -> Result<(), IdentityError> {
        if given.is_empty() || given.len() > SECRET_BYTES_MAX {
            return Err(IdentityError::Unauthenticated);
        }
        let known = self.links.mac(link, password_hash, given);
        if self.links.known.contains_key(&known) {
            return Ok(());
        }
        // No account has a slash in its name.
        let pair = pair(&format!("link/{link}"), client_address);
        self.throttle.check(&pair, self.clock.now())?;
        let turn = self.throttle.turn(&pair)?;
        let _turn = turn.lock().await;
        let now = self.clock.now();
        self.throttle.check(&pair, now)?;
        let until = self.store.read(FindThrottle(pair.clone())).await?;
        if let Some(until) = until {
            self.throttle.note(&pair, until, now)?;
        }
        let slot = self.passwords.slot().await?;
        let hash = Some(password_hash.to_owned());
        if !slot.verify(hash, given.to_owned()).await? {
            return Err(self.count_failure(&pair).await?);
        }
        if until.is_some() {
            self.store.write(ClearThrottle(pair.clone())).await?;
            self.throttle.forget(&pair);
        }
        self.links.known.insert(known, ());
        Ok(())
    }

    /// Makes what a browser keeps that gave the right password; it ends after half a day.
    pub fn make_link_pass(&self, link: i64, password_hash: &str) -> Secret {
        let until = self.clock.now().plus_seconds(PASS_SECONDS).seconds();
        let mac = self
            .links
            .mac(link, password_hash, &format!("until {until}"));
        Secret::new(format!("{until}.{}", hex::encode(mac)))
    }

    /// Returns whether a browser shows that it gave the password of a link, and that is still the same.
    pub fn is_link_pass(&self, link: i64, password_hash: &str, shown: &str) -> bool {
        let Some((until, mac)) = shown.split_once('.') else {
            return false;
        };
        let Ok(until) = until.parse::<i64>() else {
            return false;
        };
        let expected = self
            .links
            .mac(link, password_hash, &format!("until {until}"));
        let is_same = hex::encode(expected).as_bytes().ct_eq(mac.as_bytes());
        bool::from(is_same) && self.clock.now() < Timestamp::from_seconds(until)
    }
}
