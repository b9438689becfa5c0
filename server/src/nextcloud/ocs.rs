//! The envelope of OCS (Open Collaboration Services): two dialects, two forms, one set of answers.
//!
//! Every address exists below `/ocs/v1.php`, where HTTP says 200 to nearly everything and the
//! envelope tells what happened, and below `/ocs/v2.php`, where HTTP tells it too. The form is JSON
//! where the query or Accept asks for it, else XML. Values are built once, as JSON.

use std::borrow::Cow;

use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;

use crate::http::body::Body;
use crate::http::body::full;
use crate::http::language::Language;

/// What a client of OCS hears when it does not get what it asked for.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nobody has signed in, or the sign-in is not good for this.
    NotSignedIn,
    /// Nothing is served at this address.
    UnknownRoute,
    /// What was asked for is not there; in both languages.
    NotFound(&'static str, &'static str),
    /// The caller may not do this; in both languages.
    Forbidden(&'static str, &'static str),
    /// The request cannot be understood; in both languages.
    BadRequest(&'static str, &'static str),
    /// The request came from a browser's page that may not be ours.
    NotOurPage,
    /// Too many wrong passwords; come back after so many seconds.
    Throttled(u64),
    /// What would decide is away for the moment.
    Unavailable,
}

impl Fault {
    /// Returns the status of HTTP and the number in the envelope.
    fn codes(&self) -> (StatusCode, u16) {
        match self {
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, 997),
            Self::UnknownRoute => (StatusCode::NOT_FOUND, 998),
            Self::NotFound(..) => (StatusCode::NOT_FOUND, 404),
            Self::Forbidden(..) => (StatusCode::FORBIDDEN, 403),
            Self::BadRequest(..) => (StatusCode::BAD_REQUEST, 400),
            Self::NotOurPage => (StatusCode::PRECONDITION_FAILED, 412),
            Self::Throttled(_) => (StatusCode::TOO_MANY_REQUESTS, 429),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 503),
        }
    }

    /// Returns whether HTTP tells it in the first dialect as well.
    fn is_told_by_http(&self) -> bool {
        matches!(
            self,
            Self::NotSignedIn | Self::NotOurPage | Self::Throttled(_) | Self::Unavailable
        )
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::NotSignedIn => (
                "Current user is not logged in",
                "L’utilisateur n’est pas connecté",
            ),
            Self::UnknownRoute => ("Invalid query", "Il n’y a rien à cette adresse."),
            Self::NotFound(english, french)
            | Self::Forbidden(english, french)
            | Self::BadRequest(english, french) => (english, french),
            Self::NotOurPage => (
                "CSRF check failed",
                "La requête ne vient pas d’une page du serveur.",
            ),
            Self::Throttled(_) => (
                "Too many attempts. Please try again later.",
                "Trop de tentatives. Veuillez réessayer plus tard.",
            ),
            Self::Unavailable => (
                "The server cannot answer this at the moment. Please try again.",
                "Le serveur ne peut pas répondre pour le moment. Veuillez réessayer.",
            ),
        }
    }
}

/// How one request wants to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Envelope {
    is_second: bool,
    is_json: bool,
    language: Language,
}

impl Envelope {
    /// Reads the dialect from the address and the form from query and headers; with the rest of the path.
    pub(crate) fn of<'p>(
        path: &'p str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<(Self, &'p str)> {
        let (is_second, rest) = if let Some(rest) = path.strip_prefix("/ocs/v2.php") {
            (true, rest)
        } else {
            (false, path.strip_prefix("/ocs/v1.php")?)
        };
        let mut is_json = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("application/json"));
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name == "format" {
                is_json = value == "json";
            }
        }
        let envelope = Self {
            is_second,
            is_json,
            language: Language::of(headers),
        };
        Some((envelope, rest))
    }

    /// Puts an outcome into the envelope.
    pub(crate) fn wrap(self, outcome: Result<Value, Fault>) -> Response<Body> {
        let (status, code, message, data, retry_after) = match outcome {
            Ok(data) => {
                let code = if self.is_second { 200 } else { 100 };
                (StatusCode::OK, code, "OK", data, None)
            }
            Err(fault) => {
                let (status, code) = fault.codes();
                let status = if self.is_second || fault.is_told_by_http() {
                    status
                } else {
                    StatusCode::OK
                };
                let (english, french) = fault.words();
                let message = match self.language {
                    Language::English => english,
                    Language::French => french,
                };
                let retry_after = match fault {
                    Fault::Throttled(seconds) => Some(seconds),
                    Fault::Unavailable => Some(10),
                    _ => None,
                };
                (status, code, message, json!([]), retry_after)
            }
        };
        let is_ok = code == 100 || code == 200;
        let text = if self.is_json {
            self.json(is_ok, code, message, &data)
        } else {
            self.xml(is_ok, code, message, &data)
        };
        let mut response = Response::new(full(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let form = if self.is_json {
            "application/json; charset=utf-8"
        } else {
            "application/xml; charset=utf-8"
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
        let never = HeaderValue::from_static("no-cache, no-store, must-revalidate");
        headers.insert(header::CACHE_CONTROL, never);
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// Puts an answer that seldom changes into the envelope: with an ETag, and 304 for who has it.
    pub(crate) fn wrap_cached(self, data: Value, headers: &HeaderMap) -> Response<Body> {
        let digest = blake3::hash(data.to_string().as_bytes()).to_hex();
        let tag = format!("\"{}\"", digest.get(..32).unwrap_or_default());
        let has_it = headers
            .get(header::IF_NONE_MATCH)
            .and_then(|known| known.to_str().ok())
            .is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
        let mut response = self.wrap(Ok(data));
        if has_it {
            *response.body_mut() = crate::http::body::empty();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }

    fn json(self, is_ok: bool, code: u16, message: &str, data: &Value) -> String {
        // In this order, and without a space after the colon: clients look for the text.
        let status = if is_ok { "ok" } else { "failure" };
        let message = Value::from(message);
        let paging = if self.is_second {
            ""
        } else {
            ",\"totalitems\":\"\",\"itemsperpage\":\"\""
        };
        format!(
            "{{\"ocs\":{{\"meta\":{{\"status\":\"{status}\",\"statuscode\":{code},\
             \"message\":{message}{paging}}},\"data\":{data}}}}}"
        )
    }

    fn xml(self, is_ok: bool, code: u16, message: &str, data: &Value) -> String {
        let status = if is_ok { "ok" } else { "failure" };
        let mut text = format!(
            "<?xml version=\"1.0\"?>\n<ocs>\n <meta>\n  <status>{status}</status>\n  \
             <statuscode>{code}</statuscode>\n  <message>{}</message>\n",
            escaped(message)
        );
        if !self.is_second {
            text.push_str("  <totalitems></totalitems>\n  <itemsperpage></itemsperpage>\n");
        }
        text.push_str(" </meta>\n <data>");
        push_xml(&mut text, data);
        text.push_str("</data>\n</ocs>\n");
        text
    }
}

/// Writes a value as XML: members as elements of their names, list entries as `element`,
/// true as `1`, false and null as nothing.
fn push_xml(out: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => out.push('1'),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(&escaped(text)),
        Value::Array(entries) => {
            for entry in entries {
                push_element(out, "element", entry);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                push_element(out, name, member);
            }
        }
    }
}

fn push_element(out: &mut String, name: &str, value: &Value) {
    // Names come from this adapter and from people's own: only what XML allows is written.
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_name = starts_well
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let name = if is_name { name } else { "element" };
    out.push('<');
    out.push_str(name);
    out.push('>');
    push_xml(out, value);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain =
        |c: char| !matches!(c, '<' | '>' | '&' | '"') && (c >= ' ' || c == '\n' || c == '\t');
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            character if is_plain(character) => safe.push(character),
            // Control characters cannot be written in XML 1.0.
            _ => safe.push('\u{fffd}'),
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(path: &str, query: &str) -> Envelope {
        Envelope::of(path, Some(query), &HeaderMap::new())
            .unwrap()
            .0
    }

    #[test]
    fn the_dialect_decides_what_http_says() {
        let missing = || Err(Fault::NotFound("gone", "parti"));
        let first = envelope("/ocs/v1.php/x", "format=json").wrap(missing());
        assert_eq!(first.status(), StatusCode::OK);
        let second = envelope("/ocs/v2.php/x", "format=json").wrap(missing());
        assert_eq!(second.status(), StatusCode::NOT_FOUND);
        for path in ["/ocs/v1.php/x", "/ocs/v2.php/x"] {
            let refused = envelope(path, "").wrap(Err(Fault::NotSignedIn));
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            assert!(!refused.headers().contains_key(header::WWW_AUTHENTICATE));
        }
    }

    #[test]
    fn the_code_stands_right_behind_its_colon() {
        let text = envelope("/ocs/v1.php/x", "format=json").json(true, 100, "OK", &json!({"a": 1}));
        assert_eq!(
            text,
            "{\"ocs\":{\"meta\":{\"status\":\"ok\",\"statuscode\":100,\"message\":\"OK\",\
             \"totalitems\":\"\",\"itemsperpage\":\"\"},\"data\":{\"a\":1}}}"
        );
        let _: Value = serde_json::from_str(&text).unwrap();
    }

    #[test]
    fn values_become_elements() {
        let mut text = String::new();
        push_xml(
            &mut text,
            &json!({"a": [1, "x<y"], "b": true, "c": false, "d": null, "1/2": "strange"}),
        );
        assert_eq!(
            text,
            "<element>strange</element><a><element>1</element><element>x&lt;y</element></a>\
             <b>1</b><c></c><d></d>"
        );
    }
}
