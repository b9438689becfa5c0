//! Sizes as people write them, in their language.

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

#[cfg(test)]
mod tests {
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
}
