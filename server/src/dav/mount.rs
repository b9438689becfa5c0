//! Where a caller's home appears in URLs: paths from URLs, and hrefs from paths.
//!
//! A client may write the same URL in many ways (`%61` for `a`, upper or lower hexadecimal
//! digits, NFD for NFC), so URLs are compared by what they name, segment by segment. The
//! host of an absolute URL is not compared: proxies rewrite it, clients keep the outer one.

use nuage_shared::node_path::NodePath;
use nuage_shared::node_path::PathFault;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;

/// Characters that stand for themselves in an href: those of RFC 3986's pchar that no
/// client unescapes wrongly and XML need not escape.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'=')
    .remove(b'$');

/// The place in the URL space under which the caller's home appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// As in a URL (percent-encoded), without the last slash: `/dav`, `/remote.php/dav/files/alice`.
    pub prefix: String,
}

/// Why a URL names no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Percent-decoding does not give UTF-8.
    #[error("the URL is not UTF-8")]
    NotUtf8,
    /// A `%` without two hexadecimal digits after it.
    #[error("the URL has a % that encodes nothing")]
    BadEscape,
    /// `%2F`: a name with a slash in it, or a path written to deceive.
    #[error("the URL has an encoded slash")]
    EncodedSlash,
    /// A name that cannot exist.
    #[error(transparent)]
    Path(#[from] PathFault),
}

impl Mount {
    /// Returns the path that a URL's path names; `None`: it lies outside this mount.
    pub fn resolve(&self, url_path: &str) -> Result<Option<NodePath>, UrlFault> {
        let mut segments = url_path.split('/').filter(|segment| !segment.is_empty());
        for expected in self.prefix.split('/').filter(|part| !part.is_empty()) {
            let Some(segment) = segments.next() else {
                return Ok(None);
            };
            if fold(&decode(segment)?) != fold(&decode(expected)?) {
                return Ok(None);
            }
        }
        let mut text = String::with_capacity(url_path.len());
        for segment in segments {
            text.push('/');
            text.push_str(&decode(segment)?);
        }
        Ok(Some(NodePath::parse(&text)?))
    }

    /// Returns the path that a URI (absolute, or a path alone) names; `None`: outside this mount.
    pub fn resolve_uri(&self, uri: &str) -> Result<Option<NodePath>, UrlFault> {
        let uri = uri.trim();
        let end = uri.find(['?', '#']).unwrap_or(uri.len());
        let (uri, _) = uri.split_at(end);
        match uri.split_once("://") {
            _ if uri.starts_with('/') => self.resolve(uri),
            Some((_, rest)) => {
                let start = rest.find('/').unwrap_or(rest.len());
                let (_, path) = rest.split_at(start);
                self.resolve(path)
            }
            None => Ok(None),
        }
    }

    /// Returns the href of a path; a folder's ends with a slash.
    pub fn href(&self, path: &NodePath, is_folder: bool) -> String {
        let mut href = self.prefix.clone();
        for name in path.names() {
            href.push('/');
            push_segment(&mut href, name.as_str());
        }
        if is_folder {
            href.push('/');
        }
        href
    }
}

impl Mount {
    /// Returns the same place written so that it can stand in XML and HTML.
    ///
    /// A prefix comes from a client's URL, where characters may stand that an href must not have.
    pub(crate) fn normalized(&self) -> Self {
        let mut prefix = String::with_capacity(self.prefix.len());
        for segment in self.prefix.split('/').filter(|part| !part.is_empty()) {
            prefix.push('/');
            push_segment(
                &mut prefix,
                &percent_decode_str(segment).decode_utf8_lossy(),
            );
        }
        Self { prefix }
    }
}

/// Writes one name into an href.
pub(crate) fn push_segment(href: &mut String, name: &str) {
    href.extend(utf8_percent_encode(name, SEGMENT));
}

/// Returns what a segment of a URL names.
pub(crate) fn decode(segment: &str) -> Result<String, UrlFault> {
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !segment.split('%').skip(1).all(is_escape) {
        return Err(UrlFault::BadEscape);
    }
    let text = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_not_utf8| UrlFault::NotUtf8)?;
    if text.contains('/') {
        return Err(UrlFault::EncodedSlash);
    }
    Ok(text.into_owned())
}

/// Sign-in names are compared without case, so the segment that holds one is too.
fn fold(segment: &str) -> String {
    segment.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount() -> Mount {
        Mount {
            prefix: "/remote.php/dav/files/ann%20e".to_owned(),
        }
    }

    fn path(text: &str) -> NodePath {
        NodePath::parse(text).unwrap()
    }

    #[test]
    fn a_path_is_found_however_its_url_is_written() {
        for url in [
            "/remote.php/dav/files/ann%20e/a/b%C3%A9",
            "/remote.php/dav/files/ann e/a/b\u{e9}",
            "/remote.php//dav/files/Ann%20E//%61/be%CC%81/",
        ] {
            assert_eq!(mount().resolve(url), Ok(Some(path("a/b\u{e9}"))), "{url}");
        }
        let root = mount().resolve("/remote.php/dav/files/ann%20e");
        assert_eq!(root, Ok(Some(NodePath::root())));
    }

    #[test]
    fn nothing_outside_the_mount_is_found() {
        for url in [
            "/remote.php/dav/files/bob/a",
            "/remote.php/dav/files",
            "/",
            "",
            "/dav/a",
        ] {
            assert_eq!(mount().resolve(url), Ok(None), "{url}");
        }
    }

    #[test]
    fn paths_written_to_deceive_are_faults() {
        let below = |rest: &str| mount().resolve(&format!("/remote.php/dav/files/ann%20e/{rest}"));
        assert_eq!(below("a%2Fb"), Err(UrlFault::EncodedSlash));
        assert_eq!(below("%2e%2e/bob"), Err(UrlFault::Path(PathFault::Dots)));
        assert_eq!(below("../bob"), Err(UrlFault::Path(PathFault::Dots)));
        assert_eq!(below("%ff"), Err(UrlFault::NotUtf8));
        for text in ["%", "50%", "%4", "%4g", "%%41"] {
            assert_eq!(below(text), Err(UrlFault::BadEscape), "{text}");
        }
        assert!(below("a%00b").is_err());
        assert!(below(&"x".repeat(256)).is_err());
        assert!(below(&"x/".repeat(100_000)).is_err());
    }

    #[test]
    fn a_destination_is_a_uri_or_a_path() {
        let expected = Ok(Some(path("x")));
        for uri in [
            "https://elsewhere.example:8443/remote.php/dav/files/ann%20e/x",
            "/remote.php/dav/files/ann%20e/x",
            "http://h/remote.php/dav/files/ann%20e/x?query#fragment",
        ] {
            assert_eq!(mount().resolve_uri(uri), expected, "{uri}");
        }
        assert_eq!(mount().resolve_uri("x"), Ok(None));
        assert_eq!(mount().resolve_uri("http://host"), Ok(None));
    }

    #[test]
    fn a_prefix_from_a_url_cannot_carry_markup() {
        let mount = Mount {
            prefix: "/remote.php/dav/files/<&%22e%CC%81".to_owned(),
        };
        let prefix = "/remote.php/dav/files/%3C%26%22e%CC%81";
        assert_eq!(mount.normalized().prefix, prefix);
    }

    #[test]
    fn an_href_leads_back_to_its_path() {
        let strange = path("a b/#1 & 'é'/50%/+;=?<\">");
        let href = mount().href(&strange, false);
        assert!(!href.contains(['<', '&', '"', ' ', '#', '?']), "{href}");
        assert_eq!(mount().resolve(&href), Ok(Some(strange)));
        assert_eq!(
            mount().href(&NodePath::root(), true),
            "/remote.php/dav/files/ann%20e/"
        );
    }
}
