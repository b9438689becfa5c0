//! GET and HEAD of one file, for every protocol: conditions, ranges and safe headers.
//!
//! Conditions are evaluated against the version that was opened, so the headers,
//! the parts and the bytes of one answer always belong together.
//!
//! # What surprises
//!
//! People upload HTML, SVG and XML with scripts inside. Nothing that a browser
//! would run in our name is shown in place: only the kinds of [`is_shown_in_place`]
//! are, everything else is a download, and a sandbox covers both.

use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::files::Download;
use crate::files::error::FilesResult;
use crate::http::body;
use crate::http::body::Body;
use crate::http::conditions;
use crate::http::conditions::Outcome;

/// Ranges that one request may ask for; a request for more gets the whole file.
pub const RANGES_MAX: usize = 64;

/// Separates the parts of a multipart answer; random enough not to occur by accident.
const BOUNDARY: &str = "nuage-part-5f1d0a7c3be94e62";

/// Characters of a file name that RFC 8187 lets stand.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a Range header asks of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// Everything: no range, or one that is not understood or not worth it.
    Whole,
    /// These, sorted, without overlap, none empty.
    Ranges(Vec<Range<u64>>),
    /// Nothing of it exists: 416.
    None,
}

/// Understands a Range header (RFC 9110 section 14.1.2) for a content of `size` bytes.
pub fn parse_range(text: &str, size: u64) -> Parts {
    let Some(specs) = text.trim().strip_prefix("bytes=") else {
        return Parts::Whole;
    };
    let mut ranges = Vec::new();
    for (index, spec) in specs.split(',').map(str::trim).enumerate() {
        match parse_one(spec, size) {
            Some(range) if index < RANGES_MAX => ranges.push(range),
            Some(_) | None => return Parts::Whole,
        }
    }
    ranges.retain(|range| range.start < range.end);
    if ranges.is_empty() {
        return Parts::None;
    }
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => joined.push(range),
        }
    }
    Parts::Ranges(joined)
}

/// Returns what exists of one range, possibly nothing; `None`: not a range.
fn parse_one(spec: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large to count is beyond every end.
        is_digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    Some(match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    })
}

/// Returns the media type of a file, by its name.
pub fn content_type_of(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_raw();
    match guess.unwrap_or("application/octet-stream") {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

/// Returns whether a browser may show this media type itself: nothing that can run.
fn is_shown_in_place(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    let is_picture = kind.starts_with("image/") && !kind.contains("svg");
    is_picture
        || kind.starts_with("audio/")
        || kind.starts_with("video/")
        || matches!(kind, "text/plain" | "text/csv" | "text/markdown")
}

/// Answers a GET or HEAD of an opened file.
pub fn respond(headers: &HeaderMap, is_head: bool, download: Download) -> Response<Body> {
    let (etag, modified) = (download.node.etag(), download.node.mtime);
    let size = download.node.size_bytes;
    let mut response = Response::new(body::empty());
    put_validators(&mut response, &download, &etag);
    match conditions::evaluate(headers, &etag, modified) {
        Outcome::Proceed => {}
        Outcome::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        Outcome::Failed => {
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
            return response;
        }
    }
    let content_type = content_type_of(&download.node.name);
    put_safety(&mut response, &download.node.name, &content_type);
    let parts = match headers.get(header::RANGE).map(HeaderValue::to_str) {
        Some(Ok(range)) if !is_head && conditions::if_range_holds(headers, &etag, modified) => {
            parse_range(range, size)
        }
        _ => Parts::Whole,
    };
    match parts {
        Parts::None => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            put(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
        }
        Parts::Whole => {
            put(&mut response, header::CONTENT_TYPE, &content_type);
            put(&mut response, header::CONTENT_LENGTH, &size.to_string());
            if !is_head {
                *response.body_mut() = body::sized_stream(download.stream(0..size), size);
            }
        }
        Parts::Ranges(ranges) => match &ranges[..] {
            [range] => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                put(&mut response, header::CONTENT_TYPE, &content_type);
                put(
                    &mut response,
                    header::CONTENT_RANGE,
                    &content_range(range, size),
                );
                let length = range.end - range.start;
                put(&mut response, header::CONTENT_LENGTH, &length.to_string());
                *response.body_mut() = body::sized_stream(download.stream(range.clone()), length);
            }
            _ => put_parts(&mut response, download, ranges, &content_type),
        },
    }
    response
}

fn put(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn put_validators(response: &mut Response<Body>, download: &Download, etag: &str) {
    let quoted = format!("\"{etag}\"");
    put(response, header::ETAG, &quoted);
    put(
        response,
        header::HeaderName::from_static("oc-etag"),
        &quoted,
    );
    let modified = httpdate::fmt_http_date(download.node.mtime.system_time());
    put(response, header::LAST_MODIFIED, &modified);
    put(response, header::ACCEPT_RANGES, "bytes");
    put(response, header::CACHE_CONTROL, "private, no-cache");
    if let Some(checksum) = &download.checksum {
        put(
            response,
            header::HeaderName::from_static("oc-checksum"),
            checksum,
        );
    }
}

fn put_safety(response: &mut Response<Body>, name: &str, content_type: &str) {
    let how = if is_shown_in_place(content_type) {
        "inline"
    } else {
        "attachment"
    };
    let disposition = disposition(how, name);
    put(response, header::CONTENT_DISPOSITION, &disposition);
    put(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
    put(response, header::CONTENT_SECURITY_POLICY, policy);
}

/// Returns a Content-Disposition: `how`, and a file name in both forms of RFC 6266.
pub(crate) fn disposition(how: &str, name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| match c {
            ' '..='~' if !matches!(c, '"' | '\\' | '%') => c,
            _ => '_',
        })
        .collect();
    let exact = utf8_percent_encode(name, NAME);
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Answers several ranges as multipart/byteranges (RFC 9110 section 14.6).
fn put_parts(
    response: &mut Response<Body>,
    download: Download,
    ranges: Vec<Range<u64>>,
    content_type: &str,
) {
    let size = download.node.size_bytes;
    let parts: Vec<_> = ranges
        .into_iter()
        .map(|range| {
            let place = content_range(&range, size);
            let head = format!(
                "\r\n--{BOUNDARY}\r\nContent-Type: {content_type}\r\nContent-Range: {place}\r\n\r\n"
            );
            (head, range)
        })
        .collect();
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let length: u64 = parts
        .iter()
        .map(|(head, range)| head.len() as u64 + (range.end - range.start))
        .sum();
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let kind = format!("multipart/byteranges; boundary={BOUNDARY}");
    put(response, header::CONTENT_TYPE, &kind);
    let length = length + end.len() as u64;
    put(response, header::CONTENT_LENGTH, &length.to_string());
    *response.body_mut() = body::sized_stream(multipart(download, parts, end), length);
}

fn multipart(
    download: Download,
    parts: Vec<(String, Range<u64>)>,
    end: String,
) -> impl Stream<Item = FilesResult<Bytes>> + Send + 'static {
    let text = |text: String| stream::once(async { Ok(Bytes::from(text)) });
    stream::iter(parts)
        .flat_map(move |(head, range)| text(head).chain(download.clone().stream(range)))
        .chain(text(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::single_range_in_vec_init, reason = "one range is the point")]
    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            ("bytes=0-0", Parts::Ranges(vec![0..1])),
            ("bytes=5-", Parts::Ranges(vec![5..10])),
            ("bytes=-3", Parts::Ranges(vec![7..10])),
            ("bytes=-30", Parts::Ranges(vec![0..10])),
            ("bytes=5-99", Parts::Ranges(vec![5..10])),
            ("bytes=0-1, 8-9", Parts::Ranges(vec![0..2, 8..10])),
            ("bytes=8-9,0-1", Parts::Ranges(vec![0..2, 8..10])),
            ("bytes=0-5,3-7,8-8", Parts::Ranges(vec![0..9])),
            ("bytes=10-", Parts::None),
            ("bytes=-0", Parts::None),
            ("bytes=99999999999999999999999-", Parts::None),
            ("bytes=3-2", Parts::Whole),
            ("bytes=a-b", Parts::Whole),
            ("bytes=", Parts::Whole),
            ("bytes=+1-2", Parts::Whole),
            ("lines=1-2", Parts::Whole),
            ("bytes=1-18446744073709551615", Parts::Ranges(vec![1..10])),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
    }

    #[test]
    fn nothing_of_an_empty_file_can_be_asked_for() {
        for text in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            assert_eq!(parse_range(text, 0), Parts::None, "{text}");
        }
    }

    #[test]
    fn too_many_ranges_get_the_whole_file() {
        let many = vec!["1-1"; RANGES_MAX + 1].join(",");
        assert_eq!(parse_range(&format!("bytes={many}"), 10), Parts::Whole);
    }

    #[test]
    fn what_could_run_is_never_shown_in_place() {
        for name in [
            "a.html", "a.svg", "a.xml", "a.xhtml", "a.js", "a.pdf", "a", "a.svgz", "a.mht",
        ] {
            assert!(!is_shown_in_place(&content_type_of(name)), "{name}");
        }
        for name in ["a.png", "a.jpg", "a.txt", "a.mp4", "a.mp3"] {
            assert!(is_shown_in_place(&content_type_of(name)), "{name}");
        }
    }
}
