//! A WebDAV request, understood once: what is asked, where, and under which conditions.
//!
//! [`DavRequest::parse`] reads the request line and the headers into types; no handler looks
//! at a header afterwards. A header that is not understood refuses the request (400) where
//! passing it over could do harm: Depth, Destination, Overwrite, If, and the headers of an upload.

use http::HeaderMap;
use http::HeaderName;
use http::Method;
use http::Uri;
use http::header;
use nuage_shared::node_path::NodePath;

use crate::dav::if_header::IfFault;
use crate::dav::if_header::parse_if;
use crate::dav::mount::Mount;
use crate::dav::mount::UrlFault;
use crate::dav::pieces::PieceAsked;
use crate::files::Checksum;
use crate::files::ChecksumKind;
use crate::files::LockKind;
use crate::files::Timestamp;
use crate::files::precondition::Precondition;
use crate::http::conditions;

/// Client times before this are those of broken clocks and are raised to it (Nextcloud refuses them).
const MODIFIED_SECONDS_MIN: i64 = 86_400;

/// Why a request cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum RequestFault {
    /// The URL names no path.
    #[error(transparent)]
    Url(UrlFault),
    /// The URL lies outside the mount; only a fault of the routes leads here.
    #[error("the address is not under this mount")]
    Outside,
    /// A header does not have its form.
    #[error("the header {0} cannot be understood")]
    Header(&'static str),
    /// A header is missing.
    #[error("the header {0} is missing")]
    HeaderMissing(&'static str),
    /// The If header does not have its form.
    #[error(transparent)]
    If(#[from] IfFault),
    /// Destination is not under this mount.
    #[error("the destination is not under this mount")]
    DestinationElsewhere,
    /// Destination names no path.
    #[error(transparent)]
    Destination(UrlFault),
    /// A part of a file cannot be replaced.
    #[error("a part of a file cannot be replaced: Content-Range is not understood")]
    PartialPut,
    /// The body is a part of a file, sent as clients of long ago do.
    #[error("files in parts are taken below /remote.php/dav/uploads: OC-Chunked is not understood")]
    OldChunks,
    /// A part of an upload whose name is no number.
    #[error("the name of a part must be a decimal number")]
    PartName,
    /// The body of a PUT is stored as it comes, so it must not be encoded.
    #[error("Content-Encoding is not understood")]
    Encoded,
    /// The lengths that the headers announce differ.
    #[error("the announced lengths differ")]
    Lengths,
    /// A method that is not served.
    #[error("the method is not served here")]
    Method,
}

/// How far down a request reaches (RFC 4918 section 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The node itself.
    Zero,
    /// It and its children.
    One,
    /// It and all below.
    Infinity,
}

/// Where COPY and MOVE lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Destination.
    pub to: NodePath,
    /// Overwrite; `true` unless it says F.
    pub overwrite: bool,
    /// Depth.
    pub depth: Option<Depth>,
}

/// What the headers of a PUT say about the file.
#[derive(Debug)]
pub struct PutHead {
    /// X-Expected-Entity-Length (Finder, with a chunked body) or OC-Total-Length, in bytes.
    pub announced_bytes: Option<u64>,
    /// X-OC-MTime.
    pub modified_at: Option<Timestamp>,
    /// X-OC-CTime.
    pub created_at: Option<Timestamp>,
    /// OC-Checksum.
    pub checksum: Option<Checksum>,
    /// Expect: 100-continue.
    pub client_waits: bool,
    /// X-NC-WebDAV-Auto-Mkcol: make the folders above that are missing.
    pub makes_parents: bool,
}

/// What is asked.
#[derive(Debug)]
pub enum Verb {
    /// OPTIONS.
    Options,
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// PUT.
    Put(PutHead),
    /// PATCH with X-Recalculate-Hash: which sum of the file is to be computed.
    Recalculate(ChecksumKind),
    /// PROPFIND.
    Propfind(Depth),
    /// REPORT (RFC 3253 section 3.6).
    Report,
    /// SEARCH (RFC 5323).
    Search,
    /// PROPPATCH.
    Proppatch,
    /// MKCOL.
    Mkcol,
    /// DELETE.
    Delete(Option<Depth>),
    /// COPY.
    Copy(Transfer),
    /// MOVE.
    Move(Transfer),
    /// LOCK.
    Lock {
        /// Depth infinity, else 0.
        deep: bool,
        /// The seconds asked for; `None`: as long as allowed.
        timeout_seconds: Option<i64>,
    },
    /// LOCK with X-User-Lock: by hand, or by a program for itself.
    LockByHand(LockKind),
    /// UNLOCK with X-User-Lock.
    UnlockByHand,
    /// UNLOCK of a lock token.
    Unlock(String),
}

/// A request whose line and headers were understood.
#[derive(Debug)]
pub struct DavRequest {
    /// What is asked.
    pub verb: Verb,
    /// Of which node.
    pub path: NodePath,
    /// Under which conditions. For GET and HEAD only those of the If header: the others are
    /// evaluated on the version that is opened.
    pub precondition: Precondition,
    /// Brief or Prefer: return=minimal: leave out what is not there (RFC 8144).
    pub is_minimal: bool,
    /// Which piece of a listing is wanted; `None`: the whole.
    pub piece: Option<Box<PieceAsked>>,
}

impl DavRequest {
    /// Understands a request's line and headers.
    pub fn parse(
        mount: &Mount,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, RequestFault> {
        let path = mount
            .resolve(uri.path())
            .map_err(RequestFault::Url)?
            .ok_or(RequestFault::Outside)?;
        let verb = parse_verb(mount, method, headers)?;
        let mut precondition = match verb {
            Verb::Get | Verb::Head => Precondition::default(),
            _ => conditions::precondition_of(headers),
        };
        if let Some(text) = text_of(headers, HeaderName::from_static("if"), "If")? {
            precondition.lists = parse_if(&text, mount, &path)?;
        }
        Ok(Self {
            verb,
            path,
            precondition,
            is_minimal: is_minimal(headers),
            piece: PieceAsked::parse(headers).map(Box::new),
        })
    }
}

fn parse_verb(mount: &Mount, method: &Method, headers: &HeaderMap) -> Result<Verb, RequestFault> {
    Ok(match method.as_str() {
        "OPTIONS" => Verb::Options,
        "GET" => Verb::Get,
        "HEAD" => Verb::Head,
        "PUT" => Verb::Put(parse_put(headers)?),
        "PATCH" => Verb::Recalculate(parse_recalculate(headers)?),
        // RFC 4918 section 9.1: without the header, infinity.
        "PROPFIND" => Verb::Propfind(depth_of(headers)?.unwrap_or(Depth::Infinity)),
        "REPORT" => Verb::Report,
        "SEARCH" => Verb::Search,
        "PROPPATCH" => Verb::Proppatch,
        "MKCOL" => Verb::Mkcol,
        "DELETE" => Verb::Delete(depth_of(headers)?),
        "COPY" => Verb::Copy(parse_transfer(mount, headers)?),
        "MOVE" => Verb::Move(parse_transfer(mount, headers)?),
        "LOCK" if is_by_hand(headers) => Verb::LockByHand(lock_kind(headers)?),
        "UNLOCK" if is_by_hand(headers) => Verb::UnlockByHand,
        "LOCK" => Verb::Lock {
            deep: match depth_of(headers)? {
                Some(Depth::Zero) => false,
                Some(Depth::Infinity) | None => true,
                Some(Depth::One) => return Err(RequestFault::Header("Depth")),
            },
            timeout_seconds: headers
                .get("timeout")
                .and_then(|value| value.to_str().ok())
                .and_then(parse_timeout),
        },
        "UNLOCK" => Verb::Unlock(parse_lock_token(headers)?),
        _ => return Err(RequestFault::Method),
    })
}

/// Reads which checksum a client wants to hear; a PATCH for anything else is not served.
fn parse_recalculate(headers: &HeaderMap) -> Result<ChecksumKind, RequestFault> {
    const NAME: &str = "X-Recalculate-Hash";
    let name = HeaderName::from_static("x-recalculate-hash");
    let text = text_of(headers, name, NAME)?.ok_or(RequestFault::Method)?;
    ChecksumKind::of_name(text.trim()).ok_or(RequestFault::Header(NAME))
}

/// Returns a header's text, with all its lines joined by commas.
fn text_of(
    headers: &HeaderMap,
    name: HeaderName,
    shown: &'static str,
) -> Result<Option<String>, RequestFault> {
    let mut text: Option<String> = None;
    for value in headers.get_all(name) {
        let line = std::str::from_utf8(value.as_bytes())
            .map_err(|_not_utf8| RequestFault::Header(shown))?;
        text = Some(match text {
            Some(before) => format!("{before},{line}"),
            None => line.to_owned(),
        });
    }
    Ok(text)
}

/// Returns what Depth says, if it is there.
pub(crate) fn depth_of(headers: &HeaderMap) -> Result<Option<Depth>, RequestFault> {
    let text = text_of(headers, HeaderName::from_static("depth"), "Depth")?;
    text.map(|text| parse_depth(&text)).transpose()
}

/// Parses a Depth header.
pub fn parse_depth(text: &str) -> Result<Depth, RequestFault> {
    // Explorer adds `noroot`, and copes with the folder itself in the answer.
    let text = text.trim();
    let (text, rest) = text.split_once(',').unwrap_or((text, "noroot"));
    if !rest.trim().eq_ignore_ascii_case("noroot") {
        return Err(RequestFault::Header("Depth"));
    }
    match text.trim() {
        "0" => Ok(Depth::Zero),
        "1" => Ok(Depth::One),
        text if text.eq_ignore_ascii_case("infinity") => Ok(Depth::Infinity),
        _ => Err(RequestFault::Header("Depth")),
    }
}

fn is_by_hand(headers: &HeaderMap) -> bool {
    let value = headers.get("x-user-lock");
    value.is_some_and(|value| value.as_bytes() != b"0")
}

/// Understands X-User-Lock-Type; an application's lock is not made this way.
fn lock_kind(headers: &HeaderMap) -> Result<LockKind, RequestFault> {
    let name = HeaderName::from_static("x-user-lock-type");
    match text_of(headers, name, "X-User-Lock-Type")?
        .as_deref()
        .map(str::trim)
    {
        None | Some("" | "0") => Ok(LockKind::Hand),
        Some("2") => Ok(LockKind::Token),
        Some(_) => Err(RequestFault::Header("X-User-Lock-Type")),
    }
}

pub(crate) fn parse_transfer(mount: &Mount, headers: &HeaderMap) -> Result<Transfer, RequestFault> {
    let name = HeaderName::from_static("destination");
    let destination =
        text_of(headers, name, "Destination")?.ok_or(RequestFault::HeaderMissing("Destination"))?;
    let to = mount
        .resolve_uri(&destination)
        .map_err(RequestFault::Destination)?
        .ok_or(RequestFault::DestinationElsewhere)?;
    let overwrite = text_of(headers, HeaderName::from_static("overwrite"), "Overwrite")?;
    Ok(Transfer {
        to,
        overwrite: match overwrite.as_deref().map(str::trim) {
            None | Some("T" | "t") => true,
            Some("F" | "f") => false,
            Some(_) => return Err(RequestFault::Header("Overwrite")),
        },
        depth: depth_of(headers)?,
    })
}

/// Parses a Timeout header (RFC 4918 section 10.7): the first wish that is understood;
/// `None`: none, or Infinite.
pub fn parse_timeout(text: &str) -> Option<i64> {
    for wish in text.split(',').map(str::trim) {
        if wish.eq_ignore_ascii_case("infinite") {
            return None;
        }
        let (word, number) = wish.split_at_checked(7).unwrap_or(("", ""));
        let is_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if word.eq_ignore_ascii_case("second-") && is_digits {
            return Some(number.parse().unwrap_or(i64::MAX));
        }
    }
    None
}

fn parse_lock_token(headers: &HeaderMap) -> Result<String, RequestFault> {
    let text = text_of(headers, HeaderName::from_static("lock-token"), "Lock-Token")?
        .ok_or(RequestFault::HeaderMissing("Lock-Token"))?;
    let coded = text
        .trim()
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    let token = coded.ok_or(RequestFault::Header("Lock-Token"))?;
    Ok(token.trim().to_owned())
}

pub(crate) fn parse_put(headers: &HeaderMap) -> Result<PutHead, RequestFault> {
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(RequestFault::PartialPut);
    }
    if headers.contains_key("oc-chunked") {
        return Err(RequestFault::OldChunks);
    }
    let encoding = text_of(headers, header::CONTENT_ENCODING, "Content-Encoding")?;
    if encoding.is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity")) {
        return Err(RequestFault::Encoded);
    }
    let checksum = text_of(
        headers,
        HeaderName::from_static("oc-checksum"),
        "OC-Checksum",
    )?;
    let checksum = checksum
        .map(|text| Checksum::parse(&text))
        .transpose()
        .map_err(|_not_a_checksum| RequestFault::Header("OC-Checksum"))?
        .flatten();
    let expected = length_of(
        headers,
        "x-expected-entity-length",
        "X-Expected-Entity-Length",
    )?;
    let total = total_length(headers)?;
    if expected.zip(total).is_some_and(|(a, b)| a != b) {
        return Err(RequestFault::Lengths);
    }
    Ok(PutHead {
        announced_bytes: expected.or(total),
        modified_at: time_of(headers, "x-oc-mtime", "X-OC-MTime")?,
        created_at: time_of(headers, "x-oc-ctime", "X-OC-CTime")?,
        checksum,
        client_waits: headers.contains_key(header::EXPECT),
        makes_parents: makes_parents(headers),
    })
}

/// Reads OC-Total-Length, in bytes.
pub(crate) fn total_length(headers: &HeaderMap) -> Result<Option<u64>, RequestFault> {
    length_of(headers, "oc-total-length", "OC-Total-Length")
}

/// Returns whether X-NC-WebDAV-Auto-Mkcol asks for the folders above.
pub(crate) fn makes_parents(headers: &HeaderMap) -> bool {
    let wish = headers.get("x-nc-webdav-auto-mkcol");
    wish.is_some_and(|wish| wish.as_bytes() == b"1")
}

/// Reads the conditions of a request for a path.
pub(crate) fn parse_conditions(
    mount: &Mount,
    path: &NodePath,
    headers: &HeaderMap,
) -> Result<Precondition, RequestFault> {
    let mut precondition = conditions::precondition_of(headers);
    if let Some(text) = text_of(headers, HeaderName::from_static("if"), "If")? {
        precondition.lists = parse_if(&text, mount, path)?;
    }
    Ok(precondition)
}

fn length_of(
    headers: &HeaderMap,
    name: &'static str,
    shown: &'static str,
) -> Result<Option<u64>, RequestFault> {
    let Some(text) = text_of(headers, HeaderName::from_static(name), shown)? else {
        return Ok(None);
    };
    let length = text.trim().parse();
    length
        .map(Some)
        .map_err(|_not_a_length| RequestFault::Header(shown))
}

fn time_of(
    headers: &HeaderMap,
    name: &'static str,
    shown: &'static str,
) -> Result<Option<Timestamp>, RequestFault> {
    let Some(text) = text_of(headers, HeaderName::from_static(name), shown)? else {
        return Ok(None);
    };
    let time = parse_unix_time(&text).ok_or(RequestFault::Header(shown))?;
    Ok(Some(time))
}

/// Parses decimal seconds since 1970, of which a fraction is cut off; a time that only a
/// broken clock gives becomes the second day of 1970.
pub fn parse_unix_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(digits) || !is_number(fraction) {
        return None;
    }
    let limit = if whole.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    let seconds: i64 = whole.parse().unwrap_or(limit);
    Some(Timestamp::from_seconds(seconds.max(MODIFIED_SECONDS_MIN)))
}

fn is_minimal(headers: &HeaderMap) -> bool {
    let says = |name: &str, wish: fn(&str) -> bool| {
        let mut lines = headers.get_all(name).iter();
        lines.any(|line| {
            line.to_str()
                .is_ok_and(|text| text.split(',').any(|part| wish(part.trim())))
        })
    };
    says("prefer", |wish| wish.eq_ignore_ascii_case("return=minimal"))
        || says("brief", |wish| wish.eq_ignore_ascii_case("t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount() -> Mount {
        Mount {
            prefix: "/dav".to_owned(),
        }
    }

    fn parse(
        method: &str,
        uri: &str,
        pairs: &[(&'static str, &str)],
    ) -> Result<DavRequest, RequestFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        DavRequest::parse(&mount(), &method, &uri.parse().unwrap(), &headers)
    }

    #[test]
    fn a_move_names_its_destination() {
        let request = parse(
            "MOVE",
            "/dav/a%20b",
            &[("destination", "http://proxy/dav/c/"), ("overwrite", "F")],
        )
        .unwrap();
        assert_eq!(request.path, NodePath::parse("a b").unwrap());
        let Verb::Move(transfer) = request.verb else {
            panic!("{request:?}");
        };
        assert_eq!(transfer.to, NodePath::parse("c").unwrap());
        assert!(!transfer.overwrite);
    }

    #[test]
    fn a_transfer_without_a_usable_destination_is_refused() {
        let fault = |pairs: &[(&'static str, &str)]| parse("COPY", "/dav/a", pairs).unwrap_err();
        assert!(matches!(
            fault(&[]),
            RequestFault::HeaderMissing("Destination")
        ));
        assert!(matches!(
            fault(&[("destination", "http://h/elsewhere/x")]),
            RequestFault::DestinationElsewhere
        ));
        assert!(matches!(
            fault(&[("destination", "/dav/../x")]),
            RequestFault::Destination(_)
        ));
        assert!(matches!(
            fault(&[("destination", "/dav/x"), ("overwrite", "maybe")]),
            RequestFault::Header("Overwrite")
        ));
    }

    #[test]
    fn depth_is_one_of_three() {
        let depths = ["0", "1", "infinity", "Infinity"].map(|text| parse_depth(text).ok());
        assert_eq!(
            depths,
            [Depth::Zero, Depth::One, Depth::Infinity, Depth::Infinity].map(Some)
        );
        for text in ["", "2", "-1", "infinite", "0,1"] {
            assert!(parse_depth(text).is_err(), "{text}");
        }
        let without = parse("PROPFIND", "/dav/", &[]).unwrap();
        assert!(matches!(without.verb, Verb::Propfind(Depth::Infinity)));
    }

    #[test]
    fn the_first_timeout_that_is_understood_counts() {
        assert_eq!(parse_timeout("Second-600"), Some(600));
        assert_eq!(parse_timeout("Extend, second-5, Infinite"), Some(5));
        assert_eq!(parse_timeout("Infinite, Second-5"), None);
        assert_eq!(parse_timeout("Second-99999999999999999999"), Some(i64::MAX));
        assert_eq!(parse_timeout("Second-, é, Second--1"), None);
    }

    #[test]
    fn client_times_are_clamped_and_must_be_numbers() {
        assert_eq!(
            parse_unix_time("1795451296"),
            Some(Timestamp::from_seconds(1_795_451_296))
        );
        assert_eq!(
            parse_unix_time("1795451296.75"),
            Some(Timestamp::from_seconds(1_795_451_296))
        );
        for early in ["0", "-5", "5", "-99999999999999999999"] {
            assert_eq!(
                parse_unix_time(early),
                Some(Timestamp::from_seconds(86_400)),
                "{early}"
            );
        }
        for text in ["", "soon", "1e9", "1.", ".5", "+1", "0x10", "--1"] {
            assert_eq!(parse_unix_time(text), None, "{text}");
        }
    }

    #[test]
    fn an_upload_that_would_be_misunderstood_is_refused() {
        let fault = |name, value| parse("PUT", "/dav/a", &[(name, value)]).unwrap_err();
        assert!(matches!(
            fault("content-range", "bytes 0-1/2"),
            RequestFault::PartialPut
        ));
        assert!(matches!(
            fault("content-encoding", "gzip"),
            RequestFault::Encoded
        ));
        assert!(matches!(
            fault("x-oc-mtime", "soon"),
            RequestFault::Header("X-OC-MTime")
        ));
        assert!(matches!(
            fault("oc-checksum", "SHA1:12"),
            RequestFault::Header("OC-Checksum")
        ));
        assert!(matches!(
            fault("oc-total-length", "-1"),
            RequestFault::Header("OC-Total-Length")
        ));
    }

    #[test]
    fn a_lock_token_stands_in_angle_brackets() {
        let token = |text| parse("UNLOCK", "/dav/a", &[("lock-token", text)]);
        assert!(
            matches!(token("<urn:uuid:1>").unwrap().verb, Verb::Unlock(t) if t == "urn:uuid:1")
        );
        assert!(token("urn:uuid:1").is_err());
    }

    #[test]
    fn a_long_if_header_may_come_on_several_lines() {
        let lines = [("if", "(<urn:1>)"), ("if", "(<urn:2>)")];
        let request = parse("PUT", "/dav/a", &lines).unwrap();
        let tokens: Vec<_> = request.precondition.tokens().collect();
        assert_eq!(tokens, ["urn:1", "urn:2"]);
        assert!(parse("PUT", "/dav/a", &[("if", "nonsense")]).is_err());
    }
}
