//! Sizes and days as people write them, in their language.

use jiff::civil::Date;

use crate::http::language::Language;

/// Returns a number of bytes as people say it: `1.2 MB`, `1,2 Mo`.
pub fn size_text(bytes: u64, language: Language) -> String {
    let units = match language {
        Language::English => ["bytes", "KB", "MB", "GB", "TB", "PB"],
        Language::French => ["octets", "Ko", "Mo", "Go", "To", "Po"],
    };
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10);
    // Rounded, 999 950 bytes are a megabyte.
    while tenths >= 9_995 && unit + 1 < units.len() {
        tenths = tenths.saturating_add(500) / 1_000;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        return format!("{bytes}\u{a0}{name}");
    }
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if whole >= 10 {
        let whole = (tenths + 5) / 10;
        return format!("{whole}\u{a0}{name}");
    }
    let point = match language {
        Language::English => '.',
        Language::French => ',',
    };
    format!("{whole}{point}{tenth}\u{a0}{name}")
}

/// Returns a day as people write it: `30 November 2026`, `30 novembre 2026`.
pub fn day_text(day: Date, language: Language) -> String {
    let names = match language {
        Language::English => [
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
        ],
        Language::French => [
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
        ],
    };
    let index = usize::from(day.month().unsigned_abs()) - 1;
    let month = names.get(index).copied().unwrap_or_default();
    let number = match (day.day(), language) {
        (1, Language::French) => "1er".to_owned(),
        (number, _) => number.to_string(),
    };
    format!("{number} {month} {}", day.year())
}

#[cfg(test)]
mod tests {
    use super::day_text;
    use super::size_text;
    use crate::http::language::Language;

    #[test]
    fn sizes_read_as_people_say_them() {
        for (bytes, english, french) in [
            (0, "0 bytes", "0 octets"),
            (999, "999 bytes", "999 octets"),
            (1_000, "1.0 KB", "1,0 Ko"),
            (1_249, "1.2 KB", "1,2 Ko"),
            (84_400, "84 KB", "84 Ko"),
            (999_960, "1.0 MB", "1,0 Mo"),
            (1_200_000_000, "1.2 GB", "1,2 Go"),
        ] {
            let plain = |language| size_text(bytes, language).replace('\u{a0}', " ");
            assert_eq!(plain(Language::English), english);
            assert_eq!(plain(Language::French), french);
        }
        assert!(size_text(u64::MAX, Language::English).ends_with("PB"));
    }

    #[test]
    fn days_read_as_people_write_them() {
        let day = jiff::civil::date(2026, 11, 1);
        assert_eq!(day_text(day, Language::English), "1 November 2026");
        assert_eq!(day_text(day, Language::French), "1er novembre 2026");
    }
}
