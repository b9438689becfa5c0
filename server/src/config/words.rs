//! Settings that are a word, a number of a kind of its own, or a few words for people.

use std::fmt;
use std::net::IpAddr;

use crate::config::values::SettingValue;
use crate::config::values::UnknownWord;
use crate::config::values::string_setting;
use crate::language::Language;
use crate::mail::Encryption;
use crate::mail::Password;
use crate::mail::Sender;
use crate::size::ByteSize;

string_setting!(
    QuotaDefault,
    "a size such as \"100GB\" or \"100GiB\", or \"none\""
);
string_setting!(LogFormat, "\"text\" or \"json\"");
string_setting!(
    LogLevel,
    "\"error\", \"warn\", \"info\", \"debug\" or \"trace\""
);
string_setting!(Zone, "the name of a time zone, such as \"Europe/Paris\"");
string_setting!(PeopleSearch, "\"all\", \"groups\", \"exact\" or \"none\"");
string_setting!(ReleaseNumber, "three numbers, such as \"32.0.1\"");
string_setting!(
    Colour,
    "a colour as six hexadecimal digits, such as \"#0b5cad\""
);
string_setting!(Words, "1 to 100 characters");
string_setting!(
    HostName,
    "the name of a host or its address, such as \"mail.example.org\""
);
string_setting!(MailTls, "\"none\", \"starttls\" or \"tls\"");
string_setting!(MailLanguage, "\"en\" or \"fr\"");
string_setting!(
    Sender,
    "an address of mail, such as \"cloud@example.org\" or \"Nuage <cloud@example.org>\""
);

/// The quota of spaces that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaDefault(pub Option<ByteSize>);

impl std::str::FromStr for QuotaDefault {
    type Err = crate::size::SizeFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            size => size.parse().map(Some).map(Self),
        }
    }
}

impl fmt::Display for QuotaDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(size) => size.fmt(f),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The least important line that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLevel(pub tracing::Level);

impl std::str::FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = ["error", "warn", "info", "debug", "trace"];
        if !known.contains(&text) {
            return Err(UnknownWord);
        }
        text.parse()
            .map(Self)
            .map_err(|_fault: tracing::metadata::ParseLevelError| UnknownWord)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.as_str().to_ascii_lowercase())
    }
}

/// The number of a release, as `32.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseNumber(pub [u16; 3]);

impl std::str::FromStr for ReleaseNumber {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let numbers: Option<Vec<u16>> = text.split('.').map(|part| part.parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.map(Self).ok_or(UnknownWord)
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, micro]) = self;
        write!(f, "{major}.{minor}.{micro}")
    }
}

/// The name of a host, or its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it is this machine.
    pub fn is_local(&self) -> bool {
        match self.0.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.0 == "localhost",
        }
    }
}

impl std::str::FromStr for HostName {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
        if text.is_empty() || text.len() > 253 || !text.bytes().all(is_name_byte) {
            return Err(UnknownWord);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a connection to a server of mail is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailTls(pub Encryption);

impl std::str::FromStr for MailTls {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "none" => Ok(Self(Encryption::None)),
            "starttls" => Ok(Self(Encryption::StartTls)),
            "tls" => Ok(Self(Encryption::Tls)),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for MailTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Encryption::None => "none",
            Encryption::StartTls => "starttls",
            Encryption::Tls => "tls",
        })
    }
}

/// The language of letters to people of whom it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLanguage(pub Language);

impl std::str::FromStr for MailLanguage {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Language::of_tag(text).map(Self).ok_or(UnknownWord)
    }
}

impl fmt::Display for MailLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.tag())
    }
}

/// A password; it reads back as none, since it is never written.
impl SettingValue for Password {
    fn form() -> String {
        "a text, which is shown nowhere".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::new(text))
    }

    fn to_toml(&self) -> toml::Value {
        "".into()
    }

    fn shown(_written: String) -> String {
        "what is written".to_owned()
    }
}

/// Whom people find who look for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeopleSearch {
    /// Everybody.
    All,
    /// People with whom they share a group.
    Groups,
    /// Whoever has exactly the name or address that was typed.
    Exact,
    /// Nobody.
    None,
}

impl std::str::FromStr for PeopleSearch {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "all" => Ok(Self::All),
            "groups" => Ok(Self::Groups),
            "exact" => Ok(Self::Exact),
            "none" => Ok(Self::None),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for PeopleSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Groups => "groups",
            Self::Exact => "exact",
            Self::None => "none",
        })
    }
}

/// A time zone, by its name in the database of time zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(pub jiff::tz::TimeZone);

impl std::str::FromStr for Zone {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let zone = jiff::tz::TimeZone::get(text);
        zone.map(Self).map_err(|_unknown| UnknownWord)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// A colour of the web, red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

impl std::str::FromStr for Colour {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let mut parts = [0; 3];
        let digits = text.strip_prefix('#').ok_or(UnknownWord)?;
        match hex::decode_to_slice(digits, &mut parts) {
            Ok(()) => Ok(Self(parts)),
            Err(_) => Err(UnknownWord),
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex::encode(self.0))
    }
}

/// A few words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// Returns the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of this program.
    pub(super) fn nuage() -> Self {
        Self("Nuage".to_owned())
    }
}

impl std::str::FromStr for Words {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let is_valid =
            (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        is_valid.then(|| Self(text.to_owned())).ok_or(UnknownWord)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
