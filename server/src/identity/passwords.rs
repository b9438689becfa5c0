//! Hashing and verifying people's passwords with argon2id.
//!
//! Each hash takes 19 MiB and tens of milliseconds, on a blocking thread. No more of
//! them run than there are cores, and a bounded number waits: beyond that, callers
//! are told to come back rather than queued without end.

use std::sync::Arc;

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use argon2::password_hash::PasswordHash;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::SaltString;
use rand::RngCore;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// How many may wait for a core; at 30 ms each, on two cores, the last waits a second.
const WAITING_MAX: usize = 64;

/// A hash of nothing, with the parameters of all others: what an unknown name is verified against.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Too many passwords wait to be hashed.
#[derive(Debug)]
pub(super) struct Crowded;

/// Hashes and verifies, a few at a time.
pub(super) struct Passwords {
    cores: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The right to hash one password.
pub(super) struct Slot {
    core: OwnedSemaphorePermit,
    place: OwnedSemaphorePermit,
}

impl Passwords {
    /// Allows as many at a time as there are cores.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + WAITING_MAX)),
        }
    }

    /// Waits for a core; fails at once when too many wait.
    pub(super) async fn slot(&self) -> Result<Slot, Crowded> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.ok().ok_or(Crowded)?;
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let core = core.ok().ok_or(Crowded)?;
        Ok(Slot { core, place })
    }
}

impl Slot {
    /// Hashes a password to a PHC string with a salt of its own.
    pub(super) async fn hash(self, password: String) -> Result<String, Crowded> {
        self.run(move || {
            let mut salt = [0; 16];
            rand::rng().fill_bytes(&mut salt);
            let salt = SaltString::encode_b64(&salt).ok()?;
            let hash = argon2id().hash_password(password.as_bytes(), &salt).ok()?;
            Some(hash.to_string())
        })
        .await?
        .ok_or(Crowded)
    }

    /// Tells whether a password matches; without a hash, it takes as long and never does.
    pub(super) async fn verify(
        self,
        hash: Option<String>,
        password: String,
    ) -> Result<bool, Crowded> {
        self.run(move || {
            let is_known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let matches = PasswordHash::new(&hash)
                .and_then(|hash| argon2id().verify_password(password.as_bytes(), &hash))
                .is_ok();
            matches && is_known
        })
        .await
    }

    /// Runs on a blocking thread; the right is given back when it ends, even if nobody waits any more.
    async fn run<R: Send + 'static>(
        self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Crowded> {
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((self.core, self.place));
            result
        });
        done.await.ok().ok_or(Crowded)
    }
}

/// 19 MiB, two passes, one lane: OWASP's first choice.
fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHash;

    use super::NOBODY;
    use super::Passwords;
    use super::WAITING_MAX;

    #[tokio::test]
    async fn a_password_opens_what_it_was_hashed_to_and_nothing_else() {
        let passwords = Passwords::new();
        let hash = passwords.slot().await.unwrap();
        let hash = hash.hash("pässword".to_owned()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );

        let right = passwords.slot().await.unwrap();
        assert!(
            right
                .verify(Some(hash.clone()), "pässword".to_owned())
                .await
                .unwrap()
        );
        let wrong = passwords.slot().await.unwrap();
        assert!(
            !wrong
                .verify(Some(hash), "password".to_owned())
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody_and_never_matches() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(parsed.params.to_string(), "m=19456,t=2,p=1");
        assert_eq!(parsed.hash.unwrap().len(), 32);
        assert!(parsed.salt.is_some());

        let slot = Passwords::new().slot().await.unwrap();
        assert!(!slot.verify(None, "nobody".to_owned()).await.unwrap());
    }

    #[tokio::test]
    async fn a_flood_is_turned_away_rather_than_queued() {
        let passwords = Passwords::new();
        let cores = passwords.cores.available_permits();
        let mut held = Vec::new();
        for _ in 0..cores {
            held.push(passwords.slot().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| Box::pin(passwords.slot()))
            .collect();
        for slot in &mut waiting {
            assert!(futures_util::poll!(slot.as_mut()).is_pending());
        }
        assert!(passwords.slot().await.is_err());
        drop(waiting);
        assert!(futures_util::poll!(Box::pin(passwords.slot())).is_pending());
    }
}
