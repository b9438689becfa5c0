//! How values are written: the forms that settings of any section take, in the file and in variables.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::size::ByteSize;

/// A value as somebody may write it.
pub trait SettingValue: Sized {
    /// Says what may be written, for messages and the reference page.
    fn form() -> String;
    /// Reads it from the file; `None`: it has not the form.
    fn from_toml(value: &toml::Value) -> Option<Self>;
    /// Reads it from a variable of the environment.
    fn from_text(text: &str) -> Option<Self>;
    /// Writes it so that it reads back the same, but for a password in a URL.
    fn to_toml(&self) -> toml::Value;
    /// Returns what a message may show of a value that was refused.
    fn shown(written: String) -> String {
        written
    }
}

/// A whole number between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// Makes a number; what lies outside becomes the nearest bound.
    pub const fn new(number: u32) -> Self {
        match number {
            _ if number < MIN => Self(MIN),
            _ if number > MAX => Self(MAX),
            _ => Self(number),
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }

    fn within(number: i64) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }
}

impl<const MIN: u32, const MAX: u32> SettingValue for Number<MIN, MAX> {
    fn form() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        Self::within(value.as_integer()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::within(text.trim().parse().ok()?)
    }

    fn to_toml(&self) -> toml::Value {
        i64::from(self.0).into()
    }
}

impl SettingValue for bool {
    fn form() -> String {
        "true or false".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn to_toml(&self) -> toml::Value {
        (*self).into()
    }
}

impl SettingValue for ByteSize {
    fn form() -> String {
        "a size such as \"100GB\" (10⁹) or \"16MiB\" (2²⁰)".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        match value.as_integer() {
            Some(bytes) => u64::try_from(bytes).ok().map(ByteSize::from_bytes),
            None => Self::from_text(value.as_str()?),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_toml(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Defines a setting that is written as one string and parsed by `FromStr`.
macro_rules! string_setting {
    ($type:ty, $form:literal) => {
        impl SettingValue for $type {
            fn form() -> String {
                $form.to_owned()
            }

            fn from_toml(value: &toml::Value) -> Option<Self> {
                Self::from_text(value.as_str()?)
            }

            fn from_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }

            fn to_toml(&self) -> toml::Value {
                self.to_string().into()
            }
        }
    };
}

pub(super) use string_setting;

string_setting!(
    SocketAddr,
    "an address with a port, such as \"127.0.0.1:8080\" or \"[::]:80\""
);

/// A word that is none of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;

/// A path of the local disk; a relative one starts at the data folder.
impl SettingValue for PathBuf {
    fn form() -> String {
        "a path; a relative one starts at the data folder".to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }

    fn to_toml(&self) -> toml::Value {
        self.to_string_lossy().into_owned().into()
    }
}

/// A setting that may be left out; `""` leaves it out too.
impl<T: SettingValue> SettingValue for Option<T> {
    fn form() -> String {
        format!("{}, or \"\" for none", T::form())
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        if value.as_str().is_some_and(str::is_empty) {
            return Some(None);
        }
        T::from_toml(value).map(Some)
    }

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(None);
        }
        T::from_text(text).map(Some)
    }

    fn to_toml(&self) -> toml::Value {
        self.as_ref()
            .map_or_else(|| "".into(), SettingValue::to_toml)
    }

    fn shown(written: String) -> String {
        T::shown(written)
    }
}

/// Networks whose word about the client is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl SettingValue for Networks {
    fn form() -> String {
        "a list of networks or addresses, such as [\"127.0.0.1\", \"10.0.0.0/8\"]; \
         separated by commas in a variable"
            .to_owned()
    }

    fn from_toml(value: &toml::Value) -> Option<Self> {
        let networks = value.as_array()?.iter().map(|item| network(item.as_str()?));
        networks.collect::<Option<_>>().map(Self)
    }

    fn from_text(text: &str) -> Option<Self> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(network).collect::<Option<_>>().map(Self)
    }

    fn to_toml(&self) -> toml::Value {
        let texts = self.0.iter().map(|network| network.to_string().into());
        toml::Value::Array(texts.collect())
    }
}

fn network(text: &str) -> Option<IpNet> {
    match text.parse() {
        Ok(network) => Some(network),
        Err(_) => text.parse().ok().map(|address: IpAddr| address.into()),
    }
}
