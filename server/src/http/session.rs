//! Cookies by which a browser is known: who is signed in, and which forms are ours.
//!
//! # Always true
//!
//! * Over https a cookie has the prefix `__Host-`: no other host and no plain connection can set it.
//!   Over plain http it has another name, which is never looked at over https.
//! * No script of a page reads it, and no other site's form or image sends it along.

use std::borrow::Cow;

use http::HeaderMap;
use http::HeaderValue;
use http::header::COOKIE;

use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;

/// No cookie of ours is longer, in bytes.
const COOKIE_BYTES_MAX: usize = 256;
/// What is looked at of all cookies, in bytes.
const COOKIES_BYTES_MAX: usize = 16 << 10;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Shows who is signed in.
    Session,
    /// Ties the forms that somebody sees who is not signed in yet to their browser.
    Form,
    /// Shows that the password of the link with this number was given.
    Link(i64),
}

impl Cookie {
    fn name(self, is_https: bool) -> Cow<'static, str> {
        match (self, is_https) {
            (Self::Session, true) => "__Host-nuage".into(),
            (Self::Session, false) => "nuage-session".into(),
            (Self::Form, true) => "__Host-nuage-form".into(),
            (Self::Form, false) => "nuage-form".into(),
            (Self::Link(number), true) => format!("__Host-nuage-link-{number}").into(),
            (Self::Link(number), false) => format!("nuage-link-{number}").into(),
        }
    }

    /// Reads its value; `None`: there is none that could be ours.
    pub fn read(self, headers: &HeaderMap, is_https: bool) -> Option<&str> {
        let name = self.name(is_https);
        headers
            .get_all(COOKIE)
            .iter()
            .filter(|value| value.len() <= COOKIES_BYTES_MAX)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(have, value)| {
                *have == name && !value.is_empty() && value.len() <= COOKIE_BYTES_MAX
            })
            .map(|(_, value)| value)
    }

    /// Returns the `Set-Cookie` that puts it (RFC 6265 section 4.1), until the browser is closed.
    pub fn put(self, value: &Secret, is_https: bool) -> Option<HeaderValue> {
        self.header(value.reveal(), is_https, "")
    }

    /// Returns the `Set-Cookie` that takes it away.
    pub fn drop(self, is_https: bool) -> Option<HeaderValue> {
        self.header("", is_https, "; Max-Age=0")
    }

    fn header(self, value: &str, is_https: bool, tail: &str) -> Option<HeaderValue> {
        let name = self.name(is_https);
        let secure = if is_https { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{tail}");
        let mut header = HeaderValue::try_from(text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// Finds out who is signed in with a browser; `None`: nobody.
pub async fn signed_in(
    identity: &Identity,
    headers: &HeaderMap,
    is_https: bool,
) -> Result<Option<Caller>, IdentityError> {
    match Cookie::Session.read(headers, is_https) {
        Some(text) => identity.find_session(text).await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::COOKIE;

    use super::Cookie;
    use crate::identity::secret::Secret;

    #[test]
    fn a_cookie_of_plain_http_is_not_looked_at_over_https() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; nuage-session=plain".parse().unwrap());
        headers.append(COOKIE, "__Host-nuage=secure;c".parse().unwrap());
        assert_eq!(Cookie::Session.read(&headers, false), Some("plain"));
        assert_eq!(Cookie::Session.read(&headers, true), Some("secure"));
        assert_eq!(Cookie::Form.read(&headers, true), None);
    }

    #[test]
    fn a_cookie_is_for_our_host_and_no_script() {
        let value = Secret::new("x".to_owned());
        assert_eq!(
            Cookie::Session.put(&value, true).unwrap().to_str().unwrap(),
            "__Host-nuage=x; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Cookie::Session.drop(false).unwrap().to_str().unwrap(),
            "nuage-session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }
}
