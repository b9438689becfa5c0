//! A device signs in without a password: it waits, its owner consents in a browser, it fetches an app password.
//!
//! The device holds one random text (`poll`), the page of consent is reached by another
//! (`page`); the database knows keyed hashes of both. The app password must wait in the
//! database, and nobody who reads that may use it: it is sealed under a key that `poll`
//! yields. Whoever consents has not `poll`, so that key waits in the row, sealed under
//! `page`, until it was used. Any server can do any of the steps.
//!
//! # Always true
//!
//! * An app password opens nothing before its device fetches it, and is handed out once.
//! * The rows alone, without what device or browser hold, yield no app password.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use moka::sync::Cache;
use rand::RngCore;
use ring::aead::Aad;
use ring::aead::CHACHA20_POLY1305;
use ring::aead::LessSafeKey;
use ring::aead::NONCE_LEN;
use ring::aead::Nonce;
use ring::aead::UnboundKey;

use crate::clock::Timestamp;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::store::metadata::accounts::device_logins::BeginDeviceLogin;
use crate::store::metadata::accounts::device_logins::DenyDevice;
use crate::store::metadata::accounts::device_logins::FindGrantedDevice;
use crate::store::metadata::accounts::device_logins::FindWaitingDevice;
use crate::store::metadata::accounts::device_logins::GrantDevice;
use crate::store::metadata::accounts::device_logins::TakeGrantedDevice;
use crate::store::metadata::accounts::tokens::CreateToken;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;

/// How long a device waits.
pub const DEVICE_LOGIN_SECONDS: i64 = 20 * 60;

/// 128 characters, as clients know such texts.
const TEXT_BYTES: usize = 96;
const KEY_BYTES: usize = 32;
const HASH_CONTEXT: &str = "nuage 2026-11 hash of a waiting device";
const POLL_KEY_CONTEXT: &str = "nuage 2026-11 key that seals an app password";
const PAGE_KEY_CONTEXT: &str = "nuage 2026-11 key that seals a key";
/// What is kept of a device's name, in characters.
const DEVICE_CHARACTERS_MAX: usize = 120;
/// Devices that one address may let wait within a minute: a school may sit behind one.
const BEGUN_PER_MINUTE_MAX: u32 = 120;
const MINUTE: Duration = Duration::from_mins(1);
/// Addresses that are counted.
const ADDRESSES_MAX: u64 = 10_000;

/// What a device is given to wait with.
#[derive(Debug)]
pub struct NewDeviceLogin {
    /// What it asks with.
    pub poll: Secret,
    /// What leads to the page where its owner consents.
    pub page: Secret,
}

/// A device that waits for consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDevice {
    /// What it calls itself.
    pub device: String,
    /// When it has waited long enough.
    pub until: Timestamp,
}

/// What a device may sign in with.
#[derive(Debug)]
pub struct GrantedDevice {
    /// The sign-in name.
    pub name: String,
    /// The app password.
    pub secret: Secret,
}

/// Keys of the texts, and who began lately.
pub(super) struct DeviceLogins {
    hash_key: [u8; 32],
    begun: Cache<IpAddr, Arc<AtomicU32>>,
}

impl DeviceLogins {
    /// Derives the key from the installation's secret, so that every server has the same.
    pub(super) fn new(installation_secret: &[u8; 32]) -> Self {
        Self {
            hash_key: blake3::derive_key(HASH_CONTEXT, installation_secret),
            begun: Cache::builder()
                .max_capacity(ADDRESSES_MAX)
                .time_to_live(MINUTE)
                .build(),
        }
    }

    fn hash(&self, text: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.hash_key, text.as_bytes()).as_bytes()
    }

    fn count(&self, client: IpAddr) -> Result<(), IdentityError> {
        let count = self.begun.get_with(client, Arc::default);
        if count.fetch_add(1, Ordering::Relaxed) >= BEGUN_PER_MINUTE_MAX {
            return Err(IdentityError::Throttled {
                retry_after_seconds: MINUTE.as_secs(),
            });
        }
        Ok(())
    }
}

/// Keeps what a program says of itself readable and short: what its app password is called.
pub fn device_name(text: &str) -> String {
    let visible = text.chars().filter(|character| !character.is_control());
    let name: String = visible.take(DEVICE_CHARACTERS_MAX).collect();
    match name.trim() {
        "" => "?".to_owned(),
        name => name.to_owned(),
    }
}

impl Identity {
    /// Lets a device wait for its owner; it is known by what it calls itself.
    pub async fn begin_device_login(
        &self,
        device: &str,
        client: IpAddr,
    ) -> Result<NewDeviceLogin, IdentityError> {
        self.device_logins.count(client)?;
        let (poll, page) = (draw(), draw());
        let now = self.clock.now();
        let sealed = seal(&page_key(&page), &poll_key(poll.reveal()))?;
        let begin = BeginDeviceLogin {
            poll_hash: self.device_logins.hash(poll.reveal()),
            page_hash: self.device_logins.hash(page.reveal()),
            device: device_name(device),
            sealed,
            now,
            until: now.plus_seconds(DEVICE_LOGIN_SECONDS),
        };
        self.store.write(begin).await?;
        Ok(NewDeviceLogin { poll, page })
    }

    /// Finds the device that waits behind a page; `None`: none, or no more.
    pub async fn find_waiting_device(
        &self,
        page: &str,
    ) -> Result<Option<WaitingDevice>, IdentityError> {
        let find = FindWaitingDevice {
            page_hash: self.device_logins.hash(page),
            now: self.clock.now(),
        };
        let found = self.store.read(find).await?;
        Ok(found.map(|found| WaitingDevice {
            device: found.device,
            until: found.until,
        }))
    }

    /// Lets the device behind a page in, as the caller; yields whether it still waited.
    ///
    /// A caller with an app password may not: a device does not let others in.
    pub async fn grant_device(&self, caller: &Caller, page: &str) -> Result<bool, IdentityError> {
        if caller.token.is_some() {
            return Err(IdentityError::Unauthenticated);
        }
        let page_hash = self.device_logins.hash(page);
        let now = self.clock.now();
        let waiting = self
            .store
            .read(FindWaitingDevice { page_hash, now })
            .await?;
        let key = waiting
            .and_then(|waiting| open(&page_key(&Secret::new(page.to_owned())), waiting.sealed))
            .and_then(|key| <[u8; KEY_BYTES]>::try_from(key).ok());
        let Some(key) = key else {
            return Ok(false);
        };
        let (secret, _) = self.tokens.draw();
        let grant = GrantDevice {
            page_hash,
            account: caller.user,
            sealed: seal(&key, secret.reveal().as_bytes())?,
            now,
        };
        match self.store.write(grant).await {
            Ok(()) => Ok(true),
            Err(StoreError::Refused(Refusal::NotFound)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the device behind a page away.
    pub async fn deny_device(&self, page: &str) -> Result<(), IdentityError> {
        let page_hash = self.device_logins.hash(page);
        Ok(self.store.write(DenyDevice { page_hash }).await?)
    }

    /// Hands a device its app password, once; `None`: nobody consented yet, or it is too late.
    pub async fn poll_device_login(
        &self,
        poll: &str,
    ) -> Result<Option<GrantedDevice>, IdentityError> {
        let poll_hash = self.device_logins.hash(poll);
        let now = self.clock.now();
        let Some(found) = self
            .store
            .read(FindGrantedDevice { poll_hash, now })
            .await?
        else {
            return Ok(None);
        };
        let secret = open(&poll_key(poll), found.sealed)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Secret::new);
        let Some(secret) = secret else {
            tracing::error!("a sealed app password could not be opened");
            return Ok(None);
        };
        let Some(hash) = self.tokens.hash_of_text(secret.reveal()) else {
            return Ok(None);
        };
        let take = TakeGrantedDevice {
            poll_hash,
            token: CreateToken {
                account: found.account,
                hash,
                label: found.device,
                is_read_only: false,
                expires_at: None,
                now,
            },
        };
        match self.store.write(take).await {
            Ok(_) => Ok(Some(GrantedDevice {
                name: found.name,
                secret,
            })),
            Err(StoreError::Refused(Refusal::NotFound)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn draw() -> Secret {
    let mut bytes = [0; TEXT_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn poll_key(poll: &str) -> [u8; KEY_BYTES] {
    blake3::derive_key(POLL_KEY_CONTEXT, poll.as_bytes())
}

fn page_key(page: &Secret) -> [u8; KEY_BYTES] {
    blake3::derive_key(PAGE_KEY_CONTEXT, page.reveal().as_bytes())
}

/// Encrypts with ChaCha20-Poly1305 (RFC 8439): a random nonce, then what was sealed, then its tag.
fn seal(key: &[u8; KEY_BYTES], plain: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let mut nonce = [0; NONCE_LEN];
    rand::rng().fill_bytes(&mut nonce);
    let mut sealed = plain.to_vec();
    let done = cipher(key).and_then(|cipher| {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealing = cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed);
        sealing.ok()
    });
    // A key of the right length and a short text cannot fail.
    done.ok_or(IdentityError::Busy)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Decrypts what was sealed; `None`: with another key, or it is damaged.
fn open(key: &[u8; KEY_BYTES], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = cipher(key)?.open_in_place(nonce, Aad::empty(), rest).ok()?;
    Some(plain.to_vec())
}

fn cipher(key: &[u8; KEY_BYTES]) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok()?;
    Some(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::device_name;
    use super::draw;
    use super::open;
    use super::seal;

    #[test]
    fn what_was_sealed_opens_with_its_key_alone() {
        let sealed = seal(&[1; 32], b"secret").unwrap();
        assert_eq!(
            open(&[1; 32], sealed.clone()).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(open(&[2; 32], sealed.clone()), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(open(&[1; 32], damaged), None, "byte {at}");
        }
        assert_eq!(open(&[1; 32], Vec::new()), None);
        assert_ne!(sealed, seal(&[1; 32], b"secret").unwrap());
    }

    #[test]
    fn texts_are_long_and_names_short() {
        assert_eq!(draw().reveal().len(), 128);
        assert_eq!(device_name(&"x".repeat(500)).len(), 120);
        assert_eq!(device_name(" a\r\nb\u{1b} "), "ab");
        assert_eq!(device_name("\n"), "?");
    }
}
