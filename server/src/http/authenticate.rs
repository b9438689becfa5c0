//! From the headers of a request to its [`Caller`], and from a refusal to its answer.
//!
//! Nothing here decides: identity does. A request without credentials is asked for
//! them, whatever its method; clients begin with one such request and then send
//! name and password with each.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use http::header::WWW_AUTHENTICATE;

use crate::http::body::Body;
use crate::http::body::full;
use crate::http::language::Language;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::IdentityError;

/// What a client is asked for (RFC 7617 section 2.1: names and passwords are UTF-8).
const CHALLENGE: &str = "Basic realm=\"Nuage\", charset=\"UTF-8\"";
/// The same under a name that no browser knows, so that it asks nobody.
const SILENT_CHALLENGE: &str = "DummyBasic realm=\"Nuage\", charset=\"UTF-8\"";
/// The longest credentials that are looked at, in bytes of their encoded form.
const CREDENTIALS_BYTES_MAX: usize = 4 << 10;
/// When somebody may come back who found the server busy, in seconds.
const BUSY_SECONDS: u64 = 1;

/// Finds out who sends a request.
pub async fn authenticate(
    identity: &Identity,
    headers: &HeaderMap,
    client: IpAddr,
) -> Result<Caller, IdentityError> {
    if let Some(token) = bearer_token(headers) {
        let caller = identity.authenticate_bearer(token).await?;
        return Ok(caller.from_address(client));
    }
    let (name, secret) = basic_credentials(headers).ok_or(IdentityError::Unauthenticated)?;
    let caller = identity.authenticate_basic(&name, &secret, client).await?;
    Ok(caller.from_address(client))
}

/// Reads the token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Reads name and password of an `Authorization: Basic` header (RFC 7617).
pub fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.as_bytes();
    if text.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let (scheme, encoded) = text.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
    let credentials = String::from_utf8(decoded).ok()?;
    let (name, secret) = credentials.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

/// Makes the answer to somebody who was not let in to a DAV address.
///
/// Its body is the error element that sync clients show (RFC 4918 section 14.5, with the names of
/// exceptions by which those clients decide).
pub fn refuse(error: &IdentityError, headers: &HeaderMap) -> Response<Body> {
    let language = Language::of(headers);
    let status = match error {
        IdentityError::Unauthenticated => StatusCode::UNAUTHORIZED,
        IdentityError::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        IdentityError::Busy | IdentityError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    if let IdentityError::Unavailable(source) = error {
        tracing::error!(error = %source, "a sign-in could not be decided");
    }
    let mut response = Response::new(full(error_element(error, language)));
    *response.status_mut() = status;
    let set = response.headers_mut();
    let xml = HeaderValue::from_static("application/xml; charset=utf-8");
    set.insert(CONTENT_TYPE, xml);
    set.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match error {
        IdentityError::Unauthenticated => {
            let challenge = if is_from_a_script(headers) {
                SILENT_CHALLENGE
            } else {
                CHALLENGE
            };
            set.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        IdentityError::Throttled {
            retry_after_seconds,
        } => {
            set.insert(RETRY_AFTER, (*retry_after_seconds).into());
        }
        IdentityError::Busy | IdentityError::Unavailable(_) => {
            set.insert(RETRY_AFTER, BUSY_SECONDS.into());
        }
    }
    response
}

/// Returns whether a page's script asks: its browser is not to ask for a password itself.
fn is_from_a_script(headers: &HeaderMap) -> bool {
    headers
        .get("x-requested-with")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"))
}

fn error_element(error: &IdentityError, language: Language) -> String {
    let exception = match error {
        IdentityError::Unauthenticated => "NotAuthenticated",
        IdentityError::Throttled { .. } => "TooManyRequests",
        IdentityError::Busy | IdentityError::Unavailable(_) => "ServiceUnavailable",
    };
    let message = refusal_message(error, language);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">\
         <s:exception>Sabre\\DAV\\Exception\\{exception}</s:exception>\
         <s:message>{message}</s:message></d:error>\n"
    )
}

/// Says to a person why they were not let in; nothing in it needs escaping in markup.
pub fn refusal_message(error: &IdentityError, language: Language) -> String {
    match (error, language) {
        (IdentityError::Unauthenticated, Language::English) => {
            "The name or the password is wrong.".to_owned()
        }
        (IdentityError::Unauthenticated, Language::French) => {
            "Le nom ou le mot de passe est incorrect.".to_owned()
        }
        (
            IdentityError::Throttled {
                retry_after_seconds,
            },
            Language::English,
        ) => format!("Too many wrong passwords. Try again in {retry_after_seconds} s."),
        (
            IdentityError::Throttled {
                retry_after_seconds,
            },
            Language::French,
        ) => format!("Trop de mots de passe incorrects. Réessayez dans {retry_after_seconds} s."),
        (IdentityError::Busy | IdentityError::Unavailable(_), Language::English) => {
            "The server is unavailable for the moment. Try again shortly.".to_owned()
        }
        (IdentityError::Busy | IdentityError::Unavailable(_), Language::French) => {
            "Le serveur est momentanément indisponible. Réessayez dans un instant.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::AUTHORIZATION;

    use super::basic_credentials;

    fn read(header: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        basic_credentials(&headers)
    }

    #[test]
    fn a_password_may_hold_colons_and_any_letter() {
        // ana:a:é
        let expected = Some(("ana".to_owned(), "a:é".to_owned()));
        assert_eq!(read("Basic YW5hOmE6w6k="), expected);
        assert_eq!(read("basic  YW5hOmE6w6k= "), expected);
    }

    #[test]
    fn what_is_no_basic_header_is_no_credentials() {
        let long = format!("Basic {}", "YW5h".repeat(2_000));
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic ???",
            "Basic YW5h",
            "Bearer YW5hOmE=",
            &long,
        ] {
            assert_eq!(read(header), None, "{header}");
        }
    }
}
