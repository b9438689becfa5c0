//! The languages in which people read, English and French, and how they write days.

use crate::clock::Timestamp;

const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const FRENCH_MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// A language for what a person will read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// Returns its tag for Content-Language (RFC 5646).
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// Returns the language of such a tag.
    pub fn of_tag(tag: &str) -> Option<Self> {
        [Self::English, Self::French]
            .into_iter()
            .find(|language| language.tag() == tag)
    }

    /// Writes the day (UTC) of a moment as people do.
    pub fn day(self, at: Timestamp) -> String {
        let Ok(moment) = jiff::Timestamp::from_second(at.seconds()) else {
            return "?".to_owned();
        };
        self.date(moment.to_zoned(jiff::tz::TimeZone::UTC).date())
    }

    /// Writes a day as people do.
    pub fn date(self, date: jiff::civil::Date) -> String {
        let months = match self {
            Self::English => ENGLISH_MONTHS,
            Self::French => FRENCH_MONTHS,
        };
        let month = usize::try_from(date.month()).map_or(0, |month| month.saturating_sub(1));
        let month = months.get(month).copied().unwrap_or_default();
        match (self, date.day()) {
            (Self::French, 1) => format!("1er {month} {}", date.year()),
            (_, day) => format!("{day} {month} {}", date.year()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language;
    use crate::clock::Timestamp;

    #[test]
    fn a_day_is_written_as_people_do() {
        let at = Timestamp::from_seconds(1_764_547_200);
        assert_eq!(Language::French.day(at), "1er décembre 2025");
        assert_eq!(Language::English.day(at), "1 December 2025");
    }
}
