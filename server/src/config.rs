//! Every setting: where it is written, what goes together, how it is printed. [`sections`] lists them all.
//!
//! Settings come from `nuage.toml`; a variable of the environment wins over it:
//! `NUAGE_QUOTA_DEFAULT` for the key `quota_default`, `NUAGE_HTTP__CONNECTIONS_MAX` for
//! `http.connections_max`. Reading has two steps: what was written is taken key by key,
//! then what it means is checked together. Every mistake is found in one run and
//! named by its key.
//!
//! # Always true
//!
//! * With no file and no variable, [`Settings::default`] is a server that runs.
//! * Keys end with their unit, or take sizes such as `100GB`.
//! * Settings may be printed and logged: a password in a database's URL is left out of every form of it.
//! * `docs/reference/settings.md` is printed from [`sections`] (a test compares).

mod places;
mod sections;
mod values;
mod words;
mod written;

use std::fmt;
use std::io;
use std::path::Path;

use crate::config::written::Written;
use crate::mail::Encryption;

pub use crate::config::places::BaseUrl;
pub use crate::config::places::ChunksPlace;
pub use crate::config::places::MetadataPlace;
pub use crate::config::places::NotABaseUrl;
pub use crate::config::places::Region;
pub use crate::config::sections::Activity;
pub use crate::config::sections::Downloads;
pub use crate::config::sections::General;
pub use crate::config::sections::History;
pub use crate::config::sections::Http;
pub use crate::config::sections::Jobs;
pub use crate::config::sections::Limits;
pub use crate::config::sections::Log;
pub use crate::config::sections::Mail;
pub use crate::config::sections::Metrics;
pub use crate::config::sections::Nextcloud;
pub use crate::config::sections::People;
pub use crate::config::sections::Postgres;
pub use crate::config::sections::Previews;
pub use crate::config::sections::Push;
pub use crate::config::sections::S3;
pub use crate::config::sections::Session;
pub use crate::config::sections::Settings;
pub use crate::config::sections::Sharing;
pub use crate::config::sections::Storage;
pub use crate::config::sections::Theme;
pub use crate::config::sections::Tls;
pub use crate::config::sections::Uploads;
pub use crate::config::values::Networks;
pub use crate::config::values::Number;
pub use crate::config::values::SettingValue;
pub use crate::config::values::UnknownWord;
pub use crate::config::words::Colour;
pub use crate::config::words::HostName;
pub use crate::config::words::LogFormat;
pub use crate::config::words::LogLevel;
pub use crate::config::words::MailLanguage;
pub use crate::config::words::MailTls;
pub use crate::config::words::PeopleSearch;
pub use crate::config::words::QuotaDefault;
pub use crate::config::words::ReleaseNumber;
pub use crate::config::words::Words;
pub use crate::config::words::Zone;
pub use crate::config::written::ConfigError;
pub use crate::config::written::Mistake;

/// What the variables of the environment begin with.
const ENVIRONMENT_PREFIX: &str = "NUAGE_";
/// Variables with that beginning that are no settings.
const OTHER_VARIABLES: [&str; 2] = ["DATA_DIR", "CONFIG"];
/// Beginnings of names that tests use.
const TEST_VARIABLES: [&str; 2] = ["TEST_", "SERVER_BIN"];

/// A setting with everything that people may want to know of it.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its key, with the section: `http.connections_max`.
    pub key: String,
    /// What it means and why its default is what it is.
    pub meaning: String,
    /// What may be written.
    pub form: String,
    /// Its default.
    pub default: toml::Value,
    /// What it is now.
    pub value: toml::Value,
}

impl Described {
    /// Returns the variable of the environment that wins over the file.
    pub fn variable(&self) -> String {
        variable_of(&self.key)
    }
}

fn variable_of(key: &str) -> String {
    let name = key.replace('.', "__").to_ascii_uppercase();
    format!("{ENVIRONMENT_PREFIX}{name}")
}

fn join(section: &str, field: &str) -> String {
    match section {
        "" => field.to_owned(),
        section => format!("{section}.{field}"),
    }
}

impl Settings {
    /// Reads a file, if there is one, and the environment.
    ///
    /// `must_exist`: somebody named the file, so that it is a mistake if it is missing.
    pub fn load(
        path: &Path,
        must_exist: bool,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => String::new(),
            Err(source) => {
                let path = path.to_owned();
                return Err(ConfigError::File { path, source });
            }
        };
        Self::parse(&text, environment).map_err(ConfigError::Mistakes)
    }

    /// Understands the text of a file and the variables of an environment.
    pub fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut written = Written::of(text, environment);
        let settings = Self::take(&mut written);
        written.note_unknown();
        settings.check_together(&mut written.mistakes);
        if written.mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(written.mistakes)
        }
    }

    /// Notes values that do not go together.
    fn check_together(&self, mistakes: &mut Vec<Mistake>) {
        let missing = match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => Some(("tls.key", "is needed where there is a tls.certificate")),
            (None, Some(_)) => Some(("tls.certificate", "is needed where there is a tls.key")),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let thinned_early =
            self.history.daily_versions_days.get() < self.history.all_versions_days.get();
        let order = thinned_early.then_some((
            "history.daily_versions_days",
            "must not be less than history.all_versions_days",
        ));
        let same_address = (self.metrics.listen == Some(self.general.listen)
            && self.general.listen.port() != 0)
            .then_some(("metrics.listen", "must differ from listen"));
        let window = self.http.upload_window.bytes();
        let narrow = (!((64 << 10)..=(64 << 20)).contains(&window))
            .then_some(("http.upload_window", "must be from 64KiB to 64MiB"));
        let faults = [missing, order, same_address, narrow];
        for (key, reason) in faults.into_iter().chain(self.check_mail()).flatten() {
            mistakes.push(Mistake::Contradiction { key, reason });
        }
    }

    /// Returns what does not go together in `[mail]`.
    fn check_mail(&self) -> [Option<(&'static str, &'static str)>; 4] {
        let mail = &self.mail;
        let has_password = mail.password.is_some() || mail.password_file.is_some();
        let is_away = mail.host.as_ref().is_some_and(|host| !host.is_local());
        let is_plain = mail.tls.0 == Encryption::None;
        [
            (mail.host.is_some() && mail.from.is_none())
                .then_some(("mail.from", "is needed where there is a mail.host")),
            (mail.password.is_some() && mail.password_file.is_some())
                .then_some(("mail.password", "must not stand beside mail.password_file")),
            (mail.user.is_some() != has_password)
                .then_some(("mail.user", "goes together with a password, and needs one")),
            (has_password && is_away && is_plain).then_some((
                "mail.tls",
                "must not be none where a password goes to another machine",
            )),
        ]
    }

    /// Writes them as a file that reads back to the same settings, each with its meaning.
    pub fn to_file(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        let all = self.describe();
        for setting in &all {
            let (own_section, field) = setting
                .key
                .split_once('.')
                .unwrap_or(("", setting.key.as_str()));
            if own_section != section {
                section = own_section;
                append(&mut text, format_args!("[{section}]\n"));
            }
            for line in wrap(&setting.meaning, 98) {
                append(&mut text, format_args!("# {line}\n"));
            }
            append(&mut text, format_args!("{field} = {}\n\n", setting.value));
        }
        text
    }

    /// Writes the reference page of all settings, in Markdown.
    pub fn reference() -> String {
        let mut text = REFERENCE_HEAD.to_owned();
        let mut section = String::new();
        for setting in Self::default().describe() {
            if let Some((own_section, _)) = setting.key.split_once('.')
                && own_section != section
            {
                own_section.clone_into(&mut section);
                append(&mut text, format_args!("\n## `[{section}]`\n"));
            }
            append(&mut text, format_args!("\n### `{}`\n\n", setting.key));
            for line in wrap(&setting.meaning, 118) {
                append(&mut text, format_args!("{line}\n"));
            }
            append(
                &mut text,
                format_args!(
                    "\n* default `{}`\n* {}\n* variable `{}`\n",
                    setting.default,
                    setting.form,
                    setting.variable()
                ),
            );
        }
        text
    }
}

/// How the reference page begins.
const REFERENCE_HEAD: &str = "\
# Settings

Written by `nuage-server reference settings`; a test compares this page with the program.

The server reads `nuage.toml` in its data folder, or the file that `--config` names. A variable of the environment wins
over the file. Keys without a section stand at the top of the file. Every mistake is reported at once, by its key;
`nuage-server config print` shows what the server would use.
";

/// Returns the variables that look like settings and are none.
pub fn unknown_variables(environment: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let known: Vec<String> = Settings::default()
        .describe()
        .iter()
        .map(Described::variable)
        .collect();
    environment
        .map(|(name, _)| name)
        .filter(|name| {
            name.strip_prefix(ENVIRONMENT_PREFIX).is_some_and(|rest| {
                !known.contains(name)
                    && !OTHER_VARIABLES.contains(&rest)
                    && !TEST_VARIABLES.iter().any(|first| rest.starts_with(first))
            })
        })
        .collect()
}

fn append(text: &mut String, piece: fmt::Arguments<'_>) {
    text.push_str(&piece.to_string());
}

/// Breaks a text into lines at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::ChunksPlace;
    use super::Mistake;
    use super::Number;
    use super::QuotaDefault;
    use super::Settings;
    use super::unknown_variables;

    fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let owned: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        owned.into_iter()
    }

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<Mistake>> {
        Settings::parse(text, environment(variables))
    }

    #[test]
    fn nothing_written_is_a_server_that_runs() {
        assert_eq!(parse("", &[]).unwrap(), Settings::default());
    }

    #[test]
    fn a_variable_wins_over_the_file() {
        let file = "quota_default = \"1GB\"\n[http]\nconnections_max = 20\n";
        let variables = [
            ("NUAGE_QUOTA_DEFAULT", "none"),
            ("NUAGE_HTTP__CONNECTIONS_MAX", "30"),
            ("NUAGE_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
        ];
        let settings = parse(file, &variables).unwrap();
        assert_eq!(settings.general.quota_default, QuotaDefault(None));
        assert_eq!(settings.http.connections_max.get(), 30);
        assert_eq!(settings.general.trusted_proxies.0.len(), 2);
    }

    #[test]
    fn every_mistake_is_reported_at_once_by_its_key() {
        let file = "\
            listen = \"everywhere\"\n\
            public_url = \"https://user@cloud.example.org\"\n\
            quota = 7\n\
            [http]\n\
            connections_max = 1\n\
            [tls]\n\
            key = \"key.pem\"\n\
            [nonsense]\n\
            key = 1\n";
        let mistakes = parse(file, &[("NUAGE_LOG__LEVEL", "loud")]).unwrap_err();
        let text: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let text = text.join("\n");
        for key in [
            "listen:",
            "public_url:",
            "quota:",
            "http.connections_max:",
            "tls.certificate:",
            "nonsense:",
            "NUAGE_LOG__LEVEL:",
        ] {
            assert!(text.contains(key), "{key} is not in:\n{text}");
        }
        assert_eq!(mistakes.len(), 7, "{text}");
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let url = "postgres://nuage:geheim@db:5433/nuage?sslmode=require";
        let settings = parse(&format!("metadata = \"{url}\""), &[]).unwrap();
        let shown = format!("{settings:?} {}", settings.to_file());
        assert!(!shown.contains("geheim"), "{shown}");
        assert!(shown.contains("postgres://nuage@db:5433/nuage?sslmode=require"));

        for (file, variable) in [
            ("metadata = \"postgres//nuage:geheim@db/nuage\"", ""),
            ("metadata = [\"postgres://nuage:geheim@db/nuage\"]", ""),
            ("metadata = \"postgres://nuage:geheim@db/nuage", ""),
            ("", "postgres://nuage:geheim@db:port/nuage"),
        ] {
            let mistakes = parse(file, &[("NUAGE_METADATA", variable)]).unwrap_err();
            let text = format!("{mistakes:?} {}", super::written::list_mistakes(&mistakes));
            assert!(!text.contains("geheim"), "{text}");
        }
    }

    #[test]
    fn mail_has_a_sender_and_no_password_goes_out_in_the_clear() {
        let with = |lines: &str| {
            parse(
                &format!("[mail]\nhost = \"mail.example.org\"\n{lines}"),
                &[],
            )
        };
        let from = "from = \"Nuage <cloud@example.org>\"\n";
        let login = "user = \"u\"\npassword = \"geheim\"\n";
        let settings = with(&format!("{from}{login}")).unwrap();
        let shown = format!("{settings:?} {}", settings.to_file());
        assert!(!shown.contains("geheim"), "{shown}");
        for (lines, key) in [
            (String::new(), "mail.from:"),
            (format!("{from}user = \"u\"\n"), "mail.user:"),
            (format!("{from}password = \"geheim\"\n"), "mail.user:"),
            (
                format!("{from}{login}password_file = \"f\"\n"),
                "mail.password:",
            ),
            (format!("{from}{login}tls = \"none\"\n"), "mail.tls:"),
            (
                format!("{from}user = \"u\"\npassword = [\"geheim\"]\n"),
                "mail.password:",
            ),
        ] {
            let mistakes = with(&lines).unwrap_err();
            let text = super::written::list_mistakes(&mistakes);
            assert!(text.contains(key) && !text.contains("geheim"), "{text}");
        }
    }

    #[test]
    fn a_bucket_may_have_a_prefix_of_plain_names() {
        for (written, bucket_and_prefix) in [
            ("s3://b", Some(("b", ""))),
            ("s3://b/", Some(("b", ""))),
            ("s3://my-bucket.x/a/b_c/", Some(("my-bucket.x", "a/b_c"))),
            ("s3:///a", None),
            ("s3://b/a//c", None),
            ("s3://b/../c", None),
            ("s3://b/a?x", None),
            ("S3://b", None),
        ] {
            let expected = bucket_and_prefix.map(|(bucket, prefix)| ChunksPlace::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            });
            assert_eq!(written.parse().ok(), expected, "{written}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_one_mistake_with_its_line() {
        let mistakes = parse("listen = \n", &[]).unwrap_err();
        assert!(
            matches!(mistakes.as_slice(), [Mistake::NotToml { reason }] if reason.contains("line 1"))
        );
    }

    #[test]
    fn what_is_printed_reads_back_to_the_same_settings() {
        let mut settings = Settings::default();
        settings.http.connections_max = Number::new(99);
        settings.general.quota_default = QuotaDefault(None);
        settings.tls.certificate = Some("certificate.pem".into());
        settings.tls.key = Some("key.pem".into());
        settings.general.public_url = "https://cloud.example.org/".parse().ok();
        settings.general.metadata = "postgres://nuage@db/nuage?sslmode=require".parse().unwrap();
        settings.general.chunks = "s3://bucket/a/b".parse().unwrap();
        settings.s3.endpoint = "http://127.0.0.1:9000".parse().ok();
        settings.s3.region = "eu-west-3".parse().ok();
        settings.postgres.password_file = Some("password".into());
        assert_eq!(parse(&settings.to_file(), &[]).unwrap(), settings);
    }

    #[test]
    fn a_variable_that_is_no_setting_is_named() {
        let variables = environment(&[
            ("NUAGE_QUOTA", "1GB"),
            ("NUAGE_QUOTA_DEFAULT", "1GB"),
            ("NUAGE_DATA_DIR", "/x"),
            ("NUAGE_TEST_CLOCK_FILE", "/x"),
            ("HOME", "/x"),
        ]);
        assert_eq!(unknown_variables(variables), ["NUAGE_QUOTA"]);
    }
}
