//! Text that must not reach a log, and how random secrets are written for people.
//!
//! Random secrets use 32 letters and digits in groups of four. Letters that are easily
//! taken for digits are not among them and are understood as those digits when
//! somebody types them.

use std::fmt;

use rand::RngCore;

/// The 32 symbols, each worth five bits: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const GROUP: usize = 4;

/// Text that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed by accident.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Draws a password of 80 random bits, as `xxxx-xxxx-xxxx-xxxx`.
    pub fn random_password() -> Self {
        let mut bytes = [0; 10];
        rand::rng().fill_bytes(&mut bytes);
        Self(encode(&bytes))
    }

    /// Returns the text, to be given to its owner and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Writes bytes for people: five bits a symbol, a dash after each four symbols.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut symbols = 0;
    let mut bits: u32 = 0;
    let mut bit_count = 0;
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        bit_count += 8;
        while bit_count >= 5 {
            bit_count -= 5;
            if symbols > 0 && symbols % GROUP == 0 {
                text.push('-');
            }
            let symbol = ALPHABET.get(((bits >> bit_count) & 31) as usize);
            text.extend(symbol.map(|symbol| char::from(*symbol)));
            symbols += 1;
        }
    }
    text
}

/// Understands what `encode` wrote, however it was typed; `None` if it is anything else.
///
/// `N` must be a multiple of five.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    let mut bits: u32 = 0;
    let mut bit_count = 0;
    for character in text.chars().filter(|typed| !matches!(typed, '-' | ' ')) {
        bits = (bits << 5) | symbol_value(character)?;
        bit_count += 5;
        if bit_count >= 8 {
            bit_count -= 8;
            *bytes.get_mut(filled)? = u8::try_from((bits >> bit_count) & 255).ok()?;
            filled += 1;
        }
    }
    (filled == N && bit_count == 0).then_some(bytes)
}

fn symbol_value(character: char) -> Option<u32> {
    let symbol = match u8::try_from(character).ok()?.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    };
    let value = ALPHABET.iter().position(|known| *known == symbol)?;
    u32::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Secret;
    use super::decode;
    use super::encode;

    #[test]
    fn a_secret_survives_how_people_type_it() {
        let text = encode(&[0; 20]);
        assert_eq!(text, "0000-0000-0000-0000-0000-0000-0000-0000");
        let typed = "OOOO oooo 0000 0000 0000 0000 0000 0000";
        assert_eq!(decode::<20>(typed), Some([0; 20]));
    }

    #[test]
    fn what_is_too_short_too_long_or_foreign_is_no_secret() {
        let text = encode(&[7; 20]);
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replace('0', "u"),
            "é",
        ] {
            assert_eq!(decode::<20>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_random_password_is_never_taken_for_a_token() {
        let password = Secret::random_password();
        assert_eq!(password.reveal().len(), 19);
        assert_eq!(decode::<20>(password.reveal()), None);
        assert_ne!(password, Secret::random_password());
        assert_eq!(format!("{password:?}"), "Secret(…)");
    }

    proptest! {
        #[test]
        fn every_secret_reads_back(bytes in any::<[u8; 20]>()) {
            assert_eq!(decode::<20>(&encode(&bytes)), Some(bytes));
            assert_eq!(decode::<20>(&encode(&bytes).to_uppercase()), Some(bytes));
        }
    }
}
