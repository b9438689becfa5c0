//! The envelope of OCS: two dialects, two forms, one table of codes.
//!
//! An end point answers with a JSON value, or says why not; here it is wrapped. `/ocs/v1.php`
//! hides most failures behind status 200, `/ocs/v2.php` shows them. Some clients search the text for
//! `"statuscode":` and a number, so there is no space in it.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;

use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::body::full;
use crate::http::compress::may_compress;
use crate::http::escape::push_escaped;
use crate::http::language::Language;
use crate::http::query::Query;
use crate::identity::error::AdminError;
use crate::identity::error::IdentityError;

const NO_STORE: &str = "no-cache, no-store, must-revalidate";
/// When to come back after a failure that passes, in seconds.
const PASSING_SECONDS: u64 = 10;

/// What the address says: `v1.php` or `v2.php`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V1,
    V2,
}

impl Dialect {
    /// Splits an address below `/ocs/` into its dialect and the rest.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        for (front, dialect) in [("/ocs/v1.php", Self::V1), ("/ocs/v2.php", Self::V2)] {
            let rest = path.strip_prefix(front);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                return Some((dialect, rest));
            }
        }
        None
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Xml,
}

/// In which clothes somebody wants the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clothes {
    dialect: Dialect,
    form: Form,
    /// The language of messages.
    pub(super) language: Language,
}

impl Clothes {
    pub(super) fn of(dialect: Dialect, query: &Query, headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT);
        let accepted = accepted
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let wants_json = match query.get("format") {
            Some(format) => format == "json",
            None => accepted.contains("application/json"),
        };
        let form = if wants_json { Form::Json } else { Form::Xml };
        Self {
            dialect,
            form,
            language: Language::of(headers),
        }
    }
}

/// What an end point answers.
#[derive(Debug)]
pub(super) struct Data {
    value: Value,
    /// Whether a client may ask again only for what is new (`ETag`, RFC 9110 section 8.8.3).
    is_tagged: bool,
    /// Whether something in it opens something to whoever knows it.
    is_secret: bool,
    /// Where the next page is (RFC 8288).
    next: Option<String>,
    /// The number at which the next page of activities goes on.
    last_given: Option<i64>,
    /// Whether the client has everything already.
    is_old: bool,
}

impl Data {
    /// An answer with something in it that opens something: its length must tell nothing of it.
    pub(super) fn secret(value: Value) -> Self {
        Self {
            is_secret: true,
            ..value.into()
        }
    }

    /// An answer that is the same until something changes.
    pub(super) fn tagged(value: Value) -> Self {
        Self {
            is_tagged: true,
            ..value.into()
        }
    }

    /// An answer to somebody who has everything already.
    pub(super) fn nothing_new() -> Self {
        Self {
            is_old: true,
            ..json!([]).into()
        }
    }

    /// The same, with the number at which the next page goes on.
    pub(super) fn ending_at(self, last: i64) -> Self {
        Self {
            last_given: Some(last),
            ..self
        }
    }

    /// The same, with the address of the next page.
    pub(super) fn followed_by(self, address: &str) -> Self {
        Self {
            next: Some(format!("<{address}>; rel=\"next\"")),
            ..self
        }
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        Self {
            value,
            is_tagged: false,
            is_secret: false,
            next: None,
            last_given: None,
            is_old: false,
        }
    }
}

/// Why an end point does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum OcsError {
    /// Nobody is served at this address, or not to this caller.
    #[error("there is nothing at this address")]
    UnknownRoute,
    /// What was asked for is not there.
    #[error("not found")]
    NotFound,
    /// The request cannot be understood, or makes no sense.
    #[error("bad request")]
    BadRequest,
    /// Somebody holds it.
    #[error("locked")]
    Locked,
    /// A condition does not hold.
    #[error("a condition does not hold")]
    ConditionFailed,
    /// What would decide is away for the moment.
    #[error("unavailable")]
    Unavailable,
    /// The caller may not.
    #[error("forbidden")]
    Forbidden,
    /// Something that people are told in words of its own.
    #[error("{english}")]
    Told {
        /// The status.
        status: StatusCode,
        /// The sentence in French.
        french: String,
        /// The sentence in English.
        english: String,
    },
    /// Who calls is not known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Accounts say no.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl OcsError {
    /// Returns the status of HTTP in the second dialect, and the code in the envelope.
    fn codes(&self) -> (StatusCode, u16) {
        let same = |status: StatusCode| (status, status.as_u16());
        match self {
            Self::UnknownRoute => (StatusCode::NOT_FOUND, 998),
            Self::NotFound => same(StatusCode::NOT_FOUND),
            Self::BadRequest => same(StatusCode::BAD_REQUEST),
            Self::Locked => same(StatusCode::LOCKED),
            Self::ConditionFailed => same(StatusCode::PRECONDITION_FAILED),
            Self::Unavailable => same(StatusCode::SERVICE_UNAVAILABLE),
            Self::Forbidden => same(StatusCode::FORBIDDEN),
            Self::Told { status, .. } => same(*status),
            Self::Identity(error) => match error {
                IdentityError::Unauthenticated => (StatusCode::UNAUTHORIZED, 997),
                IdentityError::Throttled { .. } => same(StatusCode::TOO_MANY_REQUESTS),
                IdentityError::Busy | IdentityError::Unavailable(_) => {
                    same(StatusCode::SERVICE_UNAVAILABLE)
                }
            },
            Self::Admin(error) => match error {
                AdminError::NoSuchAccount { .. } => (StatusCode::NOT_FOUND, 998),
                AdminError::NoSuchTeam { .. }
                | AdminError::NoSuchToken { .. }
                | AdminError::NotAMember { .. }
                | AdminError::NotRestorable { .. } => same(StatusCode::NOT_FOUND),
                AdminError::BadName { .. }
                | AdminError::BadText { .. }
                | AdminError::AccountExists { .. }
                | AdminError::TeamExists { .. }
                | AdminError::HandedToItself
                | AdminError::HandOverExceedsQuota { .. } => same(StatusCode::BAD_REQUEST),
                AdminError::Busy | AdminError::Unavailable(_) => {
                    same(StatusCode::SERVICE_UNAVAILABLE)
                }
            },
        }
    }

    fn retry_after_seconds(&self, status: StatusCode) -> Option<u64> {
        match self {
            Self::Identity(IdentityError::Throttled {
                retry_after_seconds,
            }) => Some(*retry_after_seconds),
            _ => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(PASSING_SECONDS),
        }
    }
}

/// Returns a sentence for people about a code; clients show it as it is.
fn message_of(status: StatusCode, language: Language) -> &'static str {
    let french = language == Language::French;
    let pick = |fr, en| if french { fr } else { en };
    match status {
        StatusCode::UNAUTHORIZED => pick(
            "Le nom ou le mot de passe est incorrect.",
            "The name or the password is wrong.",
        ),
        StatusCode::FORBIDDEN => pick("Vous n’en avez pas le droit.", "You may not do this."),
        StatusCode::NOT_FOUND => pick("Cela n’existe pas.", "This does not exist."),
        StatusCode::TOO_MANY_REQUESTS => pick(
            "Trop de mots de passe incorrects. Réessayez dans quelques minutes.",
            "Too many wrong passwords. Try again in a few minutes.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => pick(
            "Le serveur est momentanément indisponible. Réessayez dans un instant.",
            "The server is unavailable for the moment. Try again shortly.",
        ),
        StatusCode::INTERNAL_SERVER_ERROR => pick(
            "Le serveur a rencontré une erreur.",
            "The server met an error.",
        ),
        StatusCode::LOCKED => pick("Ce fichier est verrouillé.", "This file is locked."),
        StatusCode::PRECONDITION_FAILED => pick(
            "Cela a changé entre-temps.",
            "This has changed in the meantime.",
        ),
        _ => pick(
            "La demande n’a pas été comprise.",
            "The request was not understood.",
        ),
    }
}

/// Wraps what an end point answered.
pub(super) fn respond(
    clothes: Clothes,
    headers: &HeaderMap,
    answer: Result<Data, OcsError>,
) -> Response<Body> {
    match answer {
        Ok(data) => {
            let mut response = succeed(clothes, headers, &data);
            // No form and no picture of a foreign page can send this header.
            if !data.is_secret && headers.contains_key("ocs-apirequest") {
                may_compress(&mut response);
            }
            response
        }
        Err(error) => fail(clothes, &error),
    }
}

fn succeed(clothes: Clothes, headers: &HeaderMap, data: &Data) -> Response<Body> {
    let mut meta = json!({"status": "ok", "message": "OK"});
    match clothes.dialect {
        Dialect::V1 => {
            put(&mut meta, "statuscode", 100.into());
            put(&mut meta, "totalitems", "".into());
            put(&mut meta, "itemsperpage", "".into());
        }
        Dialect::V2 => put(&mut meta, "statuscode", 200.into()),
    }
    let text = wrap(clothes.form, &meta, &data.value);
    if data.is_old {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    if !data.is_tagged {
        let mut response = answer(clothes, StatusCode::OK, text);
        if let Some(last) = data.last_given {
            let name = HeaderName::from_static("x-activity-last-given");
            response.headers_mut().insert(name, last.into());
        }
        if let Some(Ok(link)) = data.next.as_deref().map(HeaderValue::try_from) {
            response.headers_mut().insert(header::LINK, link);
        }
        return response;
    }
    let hash = blake3::hash(text.as_bytes()).to_hex();
    let tag = format!("\"{}\"", hash.as_str().get(..32).unwrap_or_default());
    let mut response = if is_known(headers, &tag) {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        answer(clothes, StatusCode::OK, text)
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Returns whether a client has what the tag names (RFC 9110 section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    known
        .split(',')
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag)
}

fn fail(clothes: Clothes, error: &OcsError) -> Response<Body> {
    let (status, code) = error.codes();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(%error, "a request could not be decided");
    }
    let message = match (error, clothes.language) {
        (OcsError::Told { french, .. }, Language::French) => french,
        (OcsError::Told { english, .. }, Language::English) => english,
        _ => message_of(status, clothes.language),
    };
    let meta = json!({
        "status": "failure",
        "statuscode": code,
        "message": message,
    });
    let text = wrap(clothes.form, &meta, &json!([]));
    let shown = match clothes.dialect {
        Dialect::V2 => status,
        // What a client must act on, whatever is in the envelope.
        Dialect::V1
            if status.is_server_error()
                || [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status) =>
        {
            status
        }
        Dialect::V1 => StatusCode::OK,
    };
    let mut response = answer(clothes, shown, text);
    if let Some(seconds) = error.retry_after_seconds(status) {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

fn wrap(form: Form, meta: &Value, data: &Value) -> String {
    match form {
        Form::Json => json!({"ocs": {"meta": meta, "data": data}}).to_string(),
        Form::Xml => {
            let mut xml = String::from("<?xml version=\"1.0\"?>\n<ocs>\n");
            push_element(&mut xml, "meta", meta);
            push_element(&mut xml, "data", data);
            xml.push_str("</ocs>\n");
            xml
        }
    }
}

/// Writes a value as an element; its depth is that of our own answers.
fn push_element(xml: &mut String, name: &str, value: &Value) {
    for part in ["<", name, ">"] {
        xml.push_str(part);
    }
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => xml.push('1'),
        Value::Number(number) => xml.push_str(&number.to_string()),
        Value::String(text) => push_escaped(xml, text),
        Value::Array(items) => {
            for item in items {
                push_element(xml, "element", item);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                push_element(xml, key, field);
            }
        }
    }
    for part in ["</", name, ">\n"] {
        xml.push_str(part);
    }
}

fn answer(clothes: Clothes, status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let mut set = |name, value| {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    };
    set(
        header::CONTENT_TYPE,
        match clothes.form {
            Form::Json => "application/json; charset=utf-8",
            Form::Xml => "text/xml; charset=utf-8",
        },
    );
    set(header::CACHE_CONTROL, NO_STORE);
    set(header::CONTENT_LANGUAGE, clothes.language.tag());
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Dialect;
    use super::Form;
    use super::wrap;

    #[test]
    fn json_has_no_space_after_a_colon() {
        let text = wrap(Form::Json, &json!({"statuscode": 100}), &json!([]));
        assert_eq!(
            text,
            "{\"ocs\":{\"data\":[],\"meta\":{\"statuscode\":100}}}"
        );
    }

    #[test]
    fn xml_follows_the_rules_for_each_kind_of_value() {
        let data = json!({"a": [1, "<x>"], "b": true, "c": false, "d": null, "e": {"f": 2.5}});
        let text = wrap(Form::Xml, &json!({"status": "ok"}), &data);
        let flat: String = text.split('\n').collect();
        assert_eq!(
            flat,
            "<?xml version=\"1.0\"?><ocs><meta><status>ok</status></meta><data>\
             <a><element>1</element><element>&lt;x&gt;</element></a><b>1</b><c></c><d></d>\
             <e><f>2.5</f></e></data></ocs>"
        );
    }

    #[test]
    fn only_whole_names_are_a_dialect() {
        assert_eq!(Dialect::of("/ocs/v1.php/x"), Some((Dialect::V1, "/x")));
        assert_eq!(Dialect::of("/ocs/v2.php"), Some((Dialect::V2, "")));
        assert_eq!(Dialect::of("/ocs/v2.phpx"), None);
        assert_eq!(Dialect::of("/ocs/v3.php/x"), None);
    }
}
