//! What letters say, in English and French.

use jiff::civil::Date;

use crate::language::Language;
use crate::store::metadata::mail::NewLetter;

/// Lines of a note in a letter.
const NOTE_LINES_MAX: usize = 50;
/// Characters of a name in a letter.
const NAME_CHARS_MAX: usize = 200;

/// Writes letters in the name of an installation.
#[derive(Debug, Clone)]
pub struct Letters {
    /// The name of the installation.
    pub site: String,
}

/// Somebody shared something with somebody.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// Who, as people see them.
    pub sharer: &'a str,
    /// The name of the file or folder.
    pub name: &'a str,
    /// Where it can be seen; `None`: it is not known under which address people reach the server.
    pub url: Option<&'a str>,
    /// What the sharer says to it; may be empty.
    pub note: &'a str,
}

/// A link will end.
#[derive(Debug, Clone, Copy)]
pub struct LinkEnds<'a> {
    /// The name of the file or folder that it leads to.
    pub name: &'a str,
    /// The last day on which it works.
    pub last_day: Date,
    /// Where its owner can change that; `None`: not known.
    pub url: Option<&'a str>,
}

/// A share with people will end.
#[derive(Debug, Clone, Copy)]
pub struct ShareEnds<'a> {
    /// Who gave it, as people see them; `None`: the recipient of the letter.
    pub sharer: Option<&'a str>,
    /// Who was given it, as people see them.
    pub receiver: &'a str,
    /// The name of the file or folder.
    pub name: &'a str,
    /// The last day on which it holds.
    pub last_day: Date,
    /// Where it can be seen; `None`: not known.
    pub url: Option<&'a str>,
}

impl Letters {
    /// Writes that somebody shared something with the recipient.
    pub fn shared(&self, language: Language, recipient: &str, what: Shared<'_>) -> NewLetter {
        let (sharer, name) = (one_line(what.sharer), one_line(what.name));
        let site = self.site();
        let note = match quoted(what.note) {
            note if note.is_empty() => note,
            note => format!("\n{note}"),
        };
        let (subject, body) = match language {
            Language::English => (
                format!("{sharer} shared “{name}” with you"),
                format!(
                    "Hello,\n\n{sharer} shared “{name}” with you on {site}.\n{note}{}",
                    place("You find it here:", what.url)
                ),
            ),
            Language::French => (
                format!("{sharer} a partagé « {name} » avec vous"),
                format!(
                    "Bonjour,\n\n{sharer} a partagé « {name} » avec vous sur {site}.\n{note}{}",
                    place("Vous y accédez ici :", what.url)
                ),
            ),
        };
        letter(recipient, subject, body)
    }

    /// Writes that a link of the recipient will end.
    pub fn link_ends(&self, language: Language, recipient: &str, ends: LinkEnds<'_>) -> NewLetter {
        let (name, on) = (one_line(ends.name), language.date(ends.last_day));
        let site = self.site();
        let (subject, body) = match language {
            Language::English => (
                format!("Your link to “{name}” ends on {on}"),
                format!(
                    "Hello,\n\nYour link to “{name}” on {site} ends on {on}. After that, nobody can open it any more.\n{}",
                    place("You can change this here:", ends.url)
                ),
            ),
            Language::French => (
                format!("Votre lien vers « {name} » expire le {on}"),
                format!(
                    "Bonjour,\n\nVotre lien vers « {name} » sur {site} expire le {on}. \
                     Ensuite, plus personne ne pourra l'ouvrir.\n{}",
                    place("Vous pouvez le modifier ici :", ends.url)
                ),
            ),
        };
        letter(recipient, subject, body)
    }

    /// Writes that what the recipient gave, or was given, will end.
    pub fn share_ends(
        &self,
        language: Language,
        recipient: &str,
        ends: ShareEnds<'_>,
    ) -> NewLetter {
        let (name, on) = (one_line(ends.name), language.date(ends.last_day));
        let (site, receiver) = (self.site(), one_line(ends.receiver));
        let sharer = ends.sharer.map(one_line);
        let (subject, body) = match (language, sharer) {
            (Language::English, None) => (
                format!("Your share of “{name}” ends on {on}"),
                format!(
                    "Hello,\n\nYou shared “{name}” with {receiver} on {site}. This ends on {on}.\n{}",
                    place("You can change this here:", ends.url)
                ),
            ),
            (Language::French, None) => (
                format!("Votre partage de « {name} » expire le {on}"),
                format!(
                    "Bonjour,\n\nVous avez partagé « {name} » avec {receiver} sur {site}. \
                     Ce partage expire le {on}.\n{}",
                    place("Vous pouvez le modifier ici :", ends.url)
                ),
            ),
            (Language::English, Some(sharer)) => (
                format!("“{name}” is shared with you until {on}"),
                format!(
                    "Hello,\n\nWhat {sharer} shared with you on {site}, “{name}”, ends on {on}. \
                     After that, you cannot open it any more.\n{}",
                    place("You find it here:", ends.url)
                ),
            ),
            (Language::French, Some(sharer)) => (
                format!("« {name} » est partagé avec vous jusqu'au {on}"),
                format!(
                    "Bonjour,\n\nLe partage de « {name} » par {sharer} sur {site} expire le {on}. \
                     Ensuite, vous ne pourrez plus l'ouvrir.\n{}",
                    place("Vous y accédez ici :", ends.url)
                ),
            ),
        };
        letter(recipient, subject, body)
    }

    /// Writes a letter by which an administrator sees that letters arrive, in both languages.
    pub fn test(&self, recipient: &str) -> NewLetter {
        let site = self.site();
        let subject = format!("{site}: test / essai");
        let body = format!(
            "{site} can send mail.\n\n{site} peut envoyer du courrier électronique : é à ç œ €.\n"
        );
        letter(recipient, subject, body)
    }

    fn site(&self) -> String {
        one_line(&self.site)
    }
}

fn letter(recipient: &str, subject: String, body: String) -> NewLetter {
    NewLetter {
        recipient: recipient.to_owned(),
        subject,
        body,
        html: None,
    }
}

/// Returns the lines that say where something is; without an address, none.
fn place(words: &str, url: Option<&str>) -> String {
    url.map_or_else(String::new, |url| format!("\n{words}\n{}\n", one_link(url)))
}

/// Returns what somebody wrote, each line marked as theirs.
fn quoted(text: &str) -> String {
    let lines = text.lines().take(NOTE_LINES_MAX).map(one_line);
    let lines = lines.filter(|line| !line.is_empty());
    lines.fold(String::new(), |text, line| text + "> " + &line + "\n")
}

/// Returns what somebody chose as one line: no breaks, nothing that changes the direction of what follows, and
/// not endless.
pub(super) fn one_line(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control()
            && !matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            )
    };
    let mut line: String = text
        .chars()
        .map(|c| if is_plain(c) { c } else { ' ' })
        .take(NAME_CHARS_MAX)
        .collect();
    if text.chars().nth(NAME_CHARS_MAX).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

/// Returns an address of the web without what no address holds.
fn one_link(url: &str) -> String {
    let is_plain = |c: &char| !c.is_control() && !c.is_whitespace();
    url.chars().filter(is_plain).collect()
}

#[cfg(test)]
mod tests {
    use super::Letters;
    use super::LinkEnds;
    use super::Shared;
    use crate::language::Language;

    const TO: &str = "zoe@example.org";

    fn letters() -> Letters {
        Letters {
            site: "Nuage".to_owned(),
        }
    }

    #[test]
    fn people_read_their_language() {
        let shared = Shared {
            sharer: "Élodie Lefèvre",
            name: "Comptes-rendus d'été",
            url: Some("https://cloud.example.org/f/7"),
            note: "",
        };
        let french = letters().shared(Language::French, TO, shared);
        assert_eq!(
            french.subject,
            "Élodie Lefèvre a partagé « Comptes-rendus d'été » avec vous"
        );
        assert!(french.body.contains("\nhttps://cloud.example.org/f/7\n"));
        let english = letters().shared(Language::English, TO, shared);
        assert_eq!(
            english.subject,
            "Élodie Lefèvre shared “Comptes-rendus d'été” with you"
        );
        let ends = |language, last_day: &str| {
            let (name, url) = ("plan", Some("https://cloud.example.org/"));
            let last_day = last_day.parse().unwrap();
            let ends = LinkEnds {
                name,
                last_day,
                url,
            };
            letters().link_ends(language, TO, ends).subject
        };
        assert_eq!(
            ends(Language::French, "2026-08-01"),
            "Votre lien vers « plan » expire le 1er août 2026"
        );
        assert_eq!(
            ends(Language::English, "2026-12-03"),
            "Your link to “plan” ends on 3 December 2026"
        );
    }

    #[test]
    fn a_name_stays_within_its_line() {
        let endless = "x".repeat(10_000);
        for name in [
            "a\r\nBcc: x@example.org\r\n\r\nbuy this",
            "a\u{2028}b\u{202e}c",
            &endless,
        ] {
            let shared = Shared {
                sharer: name,
                name,
                url: Some("https://cloud.example.org/\r\nx"),
                note: "a\r\n\nb",
            };
            for language in [Language::English, Language::French] {
                let plain = Shared {
                    sharer: "s",
                    name: "n",
                    ..shared
                };
                let lines = |shared| letters().shared(language, TO, shared).body.lines().count();
                assert_eq!(lines(shared), lines(plain));
                let subject = letters().shared(language, TO, shared).subject;
                assert!(!subject.contains(['\r', '\n', '\u{2028}', '\u{202e}']));
                assert!(subject.chars().count() < 500);
            }
        }
    }
}
