//! The form of app tokens: 160 random bits, written in 32 symbols that people can type.
//!
//! What is stored is a BLAKE3 hash keyed by a key that only this installation has, so
//! a stolen database opens nothing. A slow hash would add nothing: nobody guesses
//! 160 bits.

use rand::RngCore;

use crate::identity::secret::Secret;
use crate::identity::secret::decode;
use crate::identity::secret::encode;

const BYTES: usize = 20;
const KEY_CONTEXT: &str = "nuage 2026-01 hash of an app token";

/// Draws tokens and computes what is stored of them.
pub(super) struct TokenHasher {
    key: [u8; 32],
}

impl TokenHasher {
    /// Derives the key from the installation's secret.
    pub(super) fn new(installation_secret: &[u8; 32]) -> Self {
        Self {
            key: blake3::derive_key(KEY_CONTEXT, installation_secret),
        }
    }

    /// Draws a token: its text, and the hash to store.
    pub(super) fn draw(&self) -> (Secret, [u8; 32]) {
        let mut bytes = [0; BYTES];
        rand::rng().fill_bytes(&mut bytes);
        (Secret::new(encode(&bytes)), self.hash(&bytes))
    }

    /// Returns the hash of a token as somebody typed it, `None` if it has not the form of one.
    pub(super) fn hash_of_text(&self, text: &str) -> Option<[u8; 32]> {
        decode::<BYTES>(text).map(|bytes| self.hash(&bytes))
    }

    fn hash(&self, bytes: &[u8; BYTES]) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, bytes).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::TokenHasher;

    #[test]
    fn a_token_hashes_alike_however_it_is_typed() {
        let hasher = TokenHasher::new(&[1; 32]);
        let (text, hash) = hasher.draw();
        assert_eq!(text.reveal().len(), 39);
        let typed = text.reveal().to_uppercase().replace('-', " ");
        assert_eq!(hasher.hash_of_text(&typed), Some(hash));
        assert_ne!(hasher.draw().1, hash);
    }

    #[test]
    fn another_installation_hashes_otherwise() {
        let (text, hash) = TokenHasher::new(&[1; 32]).draw();
        let elsewhere = TokenHasher::new(&[2; 32]).hash_of_text(text.reveal());
        assert_ne!(elsewhere, Some(hash));
    }
}
