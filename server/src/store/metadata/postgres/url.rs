//! The address of a PostgreSQL database: it may hold a password, so it is shown without.

use std::fmt;
use std::str::FromStr;

use crate::store::metadata::postgres::connect::Server;

/// `postgres://[user[:password]@]host[:port]/database[?option=value&…]`.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// A text that is no address of a PostgreSQL database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of a PostgreSQL database")]
pub struct NotAPostgresUrl;

impl PostgresUrl {
    /// Returns it whole, for connecting.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for PostgresUrl {
    type Err = NotAPostgresUrl;

    /// Refuses a password among the options: only one before the `@` is known to be one when the URL is shown.
    fn from_str(text: &str) -> Result<Self, NotAPostgresUrl> {
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or(NotAPostgresUrl)?;
        let options = rest.split_once('?').map_or("", |(_, options)| options);
        if options.to_ascii_lowercase().contains("password") {
            return Err(NotAPostgresUrl);
        }
        Server::understand(text).map_err(|_cause| NotAPostgresUrl)?;
        Ok(Self(text.to_owned()))
    }
}

/// Without the password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("postgres", ""));
        // The last @, because a password that was not encoded may hold one.
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, rest),
        };
        write!(f, "{scheme}://")?;
        if let Some(credentials) = credentials {
            let user = credentials.split(':').next().unwrap_or_default();
            write!(f, "{user}@")?;
        }
        f.write_str(place)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A password that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabasePassword(String);

impl DatabasePassword {
    /// Takes the text of a file; line breaks at its end do not belong to it.
    pub fn from_file_text(text: &str) -> Self {
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabasePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabasePassword(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::PostgresUrl;

    fn shown(text: &str) -> Option<String> {
        text.parse()
            .ok()
            .map(|url: PostgresUrl| format!("{url} {url:?}"))
    }

    #[test]
    fn a_password_is_not_shown() {
        for (url, expected) in [
            ("postgres://nuage:geheim@db/x", "postgres://nuage@db/x"),
            ("postgres://nuage@db:5433/x", "postgres://nuage@db:5433/x"),
            (
                "postgres://db/x?sslmode=require",
                "postgres://db/x?sslmode=require",
            ),
            (
                "postgresql://n:a%40b@%2Frun%2Fpg/x",
                "postgresql://n@%2Frun%2Fpg/x",
            ),
            ("postgres://nuage:ge@heim@db/x", "postgres://nuage@db/x"),
        ] {
            let Some(shown) = shown(url) else { continue };
            assert_eq!(shown, format!("{expected} {expected}"));
        }
        assert!(shown("postgres://nuage:geheim@db/x").is_some());
    }

    #[test]
    fn what_is_no_url_or_hides_a_password_is_refused() {
        for text in [
            "sqlite",
            "mysql://db/x",
            "postgres://db:port/x",
            "postgres://db/x?password=geheim",
            "postgres://db/x?nonsense=1",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
