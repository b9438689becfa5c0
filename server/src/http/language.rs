//! The language in which somebody wants to read, by what their browser says.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

pub use crate::language::Language;

impl Language {
    /// Chooses by `Accept-Language` (RFC 9110 section 12.5.4); English where nothing is said.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let quality_of = |wanted: &str| {
            let mut best = 0.0_f32;
            for range in text.split(',').take(32) {
                let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
                let primary = tag.trim().split('-').next().unwrap_or_default();
                let weight: f32 = weight
                    .trim()
                    .strip_prefix("q=")
                    .and_then(|digits| digits.parse().ok())
                    .unwrap_or(0.0);
                if primary.eq_ignore_ascii_case(wanted) {
                    best = best.max(weight);
                }
            }
            best
        };
        if quality_of("fr") > quality_of("en") {
            Self::French
        } else {
            Self::English
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::ACCEPT_LANGUAGE;

    use super::Language;

    #[test]
    fn the_language_that_is_wanted_most_is_spoken() {
        let speaks = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, text.parse().unwrap());
            Language::of(&headers)
        };
        assert_eq!(speaks("fr-FR,fr;q=0.9,en;q=0.8"), Language::French);
        assert_eq!(speaks("en;q=0.9, fr;q=0.8"), Language::English);
        assert_eq!(speaks("de"), Language::English);
        assert_eq!(speaks(";;q=,,"), Language::English);
        assert_eq!(speaks("fr;q=0"), Language::English);
    }
}
