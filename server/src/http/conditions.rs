//! Conditional requests (RFC 9110 section 13), as every protocol here reads them.
//!
//! A request that changes something carries its conditions on as a
//! [`Precondition`], which the core tests inside the transaction. A request that
//! only reads is answered by [`evaluate`], against the very state that it reads.

use http::HeaderMap;
use http::HeaderName;
use http::header;

use crate::files::Timestamp;
use crate::files::precondition::EtagList;
use crate::files::precondition::Precondition;

/// What the conditions of a GET or HEAD make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The content goes out.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412.
    Failed,
}

/// Returns the conditions of the RFC 9110 headers for a request that changes something.
pub fn precondition_of(headers: &HeaderMap) -> Precondition {
    let if_match = etags(headers, header::IF_MATCH, Comparison::Strong);
    Precondition {
        // Section 13.1.4: ignored where If-Match is present.
        unmodified_since: match if_match {
            Some(_) => None,
            None => date(headers, header::IF_UNMODIFIED_SINCE),
        },
        if_match,
        if_none_match: etags(headers, header::IF_NONE_MATCH, Comparison::Weak),
        lists: Vec::new(),
    }
}

/// Evaluates the conditions of a GET or HEAD in the order of section 13.2.2.
pub fn evaluate(headers: &HeaderMap, etag: &str, modified: Timestamp) -> Outcome {
    let is_later_than = |since: Timestamp| modified.seconds() > since.seconds();
    if let Some(list) = etags(headers, header::IF_MATCH, Comparison::Strong) {
        if !list.matches(Some(etag)) {
            return Outcome::Failed;
        }
    } else if date(headers, header::IF_UNMODIFIED_SINCE).is_some_and(is_later_than) {
        return Outcome::Failed;
    }
    if let Some(list) = etags(headers, header::IF_NONE_MATCH, Comparison::Weak) {
        if list.matches(Some(etag)) {
            return Outcome::NotModified;
        }
    } else if date(headers, header::IF_MODIFIED_SINCE).is_some_and(|since| !is_later_than(since)) {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Returns whether If-Range allows a part (section 13.1.5); without the header it does.
pub fn if_range_holds(headers: &HeaderMap, etag: &str, modified: Timestamp) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    match parse_date(text) {
        Some(date) => date.seconds() == modified.seconds(),
        None => parse_etags(text, Comparison::Strong).matches(Some(etag)),
    }
}

/// How a weak tag compares (section 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It never matches, so it is left out.
    Strong,
    /// It matches by its opaque part.
    Weak,
}

fn etags(headers: &HeaderMap, name: HeaderName, comparison: Comparison) -> Option<EtagList> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let text: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    Some(parse_etags(&text.join(","), comparison))
}

/// Parses the value of If-Match or If-None-Match. Tags may lack their quotes: some clients forget them.
pub fn parse_etags(text: &str, comparison: Comparison) -> EtagList {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    if rest == "*" {
        return EtagList::Any;
    }
    while !rest.is_empty() {
        let (is_weak, after) = match rest.strip_prefix("W/") {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let (tag, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if comparison == Comparison::Weak || !is_weak {
            tags.push(tag.trim().to_owned());
        }
        rest = match after.split_once(',') {
            Some((_, next)) => next.trim_start(),
            None => "",
        };
    }
    EtagList::Tags(tags)
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    parse_date(headers.get(name)?.to_str().ok()?)
}

/// Parses an HTTP date in any of its three forms; what is not a date is as if it were not there.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    Some(Timestamp::from_system_time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Mon, 23 Nov 2026 16:28:16 GMT";

    fn outcome(pairs: &[(&'static str, &str)]) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        evaluate(&headers, "a-1", parse_date(MODIFIED).unwrap())
    }

    #[test]
    fn the_order_of_conditions_is_that_of_the_rfc() {
        let later = "Mon, 23 Nov 2026 16:28:17 GMT";
        let earlier = "Mon, 23 Nov 2026 16:28:15 GMT";
        let cases: [(&[(&str, &str)], Outcome); 11] = [
            (&[], Outcome::Proceed),
            (&[("if-match", "\"a-1\"")], Outcome::Proceed),
            (&[("if-match", "\"b\", \"a-1\"")], Outcome::Proceed),
            (&[("if-match", "W/\"a-1\"")], Outcome::Failed),
            (
                &[("if-match", "*"), ("if-unmodified-since", earlier)],
                Outcome::Proceed,
            ),
            (&[("if-unmodified-since", earlier)], Outcome::Failed),
            (&[("if-none-match", "W/\"a-1\"")], Outcome::NotModified),
            (
                &[("if-none-match", "\"b\""), ("if-modified-since", later)],
                Outcome::Proceed,
            ),
            (&[("if-modified-since", MODIFIED)], Outcome::NotModified),
            (&[("if-modified-since", earlier)], Outcome::Proceed),
            (&[("if-modified-since", "yesterday")], Outcome::Proceed),
        ];
        for (headers, expected) in cases {
            assert_eq!(outcome(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn etags_are_read_with_commas_inside_and_without_quotes() {
        let tags = |text| parse_etags(text, Comparison::Strong);
        let list = |tags: &[&str]| EtagList::Tags(tags.iter().map(|&t| t.to_owned()).collect());
        assert_eq!(tags(" * "), EtagList::Any);
        assert_eq!(tags(r#""a,b" , "c""#), list(&["a,b", "c"]));
        assert_eq!(tags("abc, def"), list(&["abc", "def"]));
        assert_eq!(tags(r#""never closed"#), list(&["never closed"]));
        assert_eq!(tags(r#"W/"weak""#), list(&[]));
    }
}
