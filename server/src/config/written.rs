//! What somebody wrote in the file and in variables, and what is wrong with it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::config::join;
use crate::config::values::SettingValue;
use crate::config::variable_of;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The file is not TOML.
    #[error("the file is not TOML: {reason}")]
    NotToml {
        /// What the parser says, with the line.
        reason: String,
    },
    /// No setting has this key.
    #[error("{key}: there is no such setting")]
    UnknownKey {
        /// What was written.
        key: String,
    },
    /// The value has not the form that the setting wants.
    #[error("{key}: {written} is not {form}")]
    WrongForm {
        /// The key, or the name of the variable.
        key: String,
        /// What was written.
        written: String,
        /// What may be written.
        form: String,
    },
    /// A value does not go together with another one.
    #[error("{key}: {reason}")]
    Contradiction {
        /// The key.
        key: &'static str,
        /// Why not.
        reason: &'static str,
    },
}

impl Mistake {
    /// Says where the file is not TOML, without showing the line: it may hold a password.
    fn not_toml(text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = before.map_or_else(String::new, |before| {
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        let reason = format!("{place}{}", error.message());
        Self::NotToml { reason }
    }
}

/// Why there are no settings to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is wrong with what was written.
    #[error("{}", list_mistakes(.0))]
    Mistakes(Vec<Mistake>),
}

pub(super) fn list_mistakes(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("  {mistake}"))
        .collect();
    format!("the settings cannot be used:\n{}", lines.join("\n"))
}

/// What somebody wrote, taken away key by key.
pub(super) struct Written {
    table: toml::Table,
    environment: BTreeMap<String, String>,
    /// The sections that settings were taken from.
    sections: BTreeSet<String>,
    /// What is wrong so far.
    pub(super) mistakes: Vec<Mistake>,
}

impl Written {
    /// Understands the text of a file and the variables of an environment as far as needed to take from them.
    pub(super) fn of(text: &str, environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut mistakes = Vec::new();
        let table = text.parse().unwrap_or_else(|error: toml::de::Error| {
            mistakes.push(Mistake::not_toml(text, &error));
            toml::Table::new()
        });
        Self {
            table,
            environment: environment.collect(),
            sections: BTreeSet::new(),
            mistakes,
        }
    }

    /// Takes a setting: what a variable says, else the file, else the default.
    pub(super) fn take<T: SettingValue>(&mut self, section: &str, field: &str, default: T) -> T {
        let key = join(section, field);
        self.sections.insert(section.to_owned());
        let in_file = match section {
            "" => self.table.remove(field),
            section => self
                .table
                .get_mut(section)
                .and_then(toml::Value::as_table_mut)
                .and_then(|table| table.remove(field)),
        };
        let from_file = in_file.map(|value| {
            let parsed = T::from_toml(&value);
            parsed.ok_or_else(|| (key.clone(), T::shown(value.to_string())))
        });
        let variable = variable_of(&key);
        let from_environment = self.environment.remove(&variable).map(|text| {
            let parsed = T::from_text(&text);
            parsed.ok_or_else(|| (variable, T::shown(format!("\"{text}\""))))
        });
        let mut chosen = default;
        for read in [from_file, from_environment].into_iter().flatten() {
            match read {
                Ok(value) => chosen = value,
                Err((key, written)) => self.mistakes.push(Mistake::WrongForm {
                    key,
                    written,
                    form: T::form(),
                }),
            }
        }
        chosen
    }

    /// Notes what is left in the file after every setting was taken.
    pub(super) fn note_unknown(&mut self) {
        for (key, value) in &self.table {
            match value.as_table() {
                Some(table) if self.sections.contains(key) => {
                    let unknown = table.keys().map(|field| Mistake::UnknownKey {
                        key: join(key, field),
                    });
                    self.mistakes.extend(unknown);
                }
                _ => self.mistakes.push(Mistake::UnknownKey { key: key.clone() }),
            }
        }
    }
}
