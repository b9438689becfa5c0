//! Serves the web page that the build put into the program: its files under names that change with their content, and the page
//! itself at each of the addresses that it draws by itself.
//!
//! The page holds nothing of anybody: what it shows it asks for, so that everybody gets the same bytes.

use std::sync::LazyLock;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;

use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::body::full;

/// What the page may do: run its own scripts and talk to its own server. Frames show what others uploaded, which the
/// server sends locked up.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self'; frame-src 'self' blob:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// Where the page draws by itself what is asked for; each with all below it, but for the root.
const PAGE_ROUTES: &[&str] = &[
    "/files",
    "/shared",
    "/recent",
    "/favorites",
    "/trash",
    "/versions",
    "/search",
    "/account",
    "/admin",
];

/// A file of the page.
struct File {
    /// Its address.
    path: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// The mark of the version of the page itself.
static INDEX_ETAG: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let index = find("/index.html")?;
    let hash = blake3::hash(index.plain).to_hex();
    HeaderValue::try_from(format!("W/\"{}\"", hash.get(..20)?)).ok()
});

/// Returns whether the page draws this address by itself.
pub fn is_page(path: &str) -> bool {
    path == "/"
        || PAGE_ROUTES.iter().any(|route| {
            let rest = path.strip_prefix(route);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Answers with the page or one of its files; `None`: the address is neither.
pub fn serve(path: &str, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    let is_page = is_page(path);
    let file = if is_page {
        find("/index.html")
    } else {
        find(path).filter(|file| file.path != "/index.html")
    }?;
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        put(&mut response, header::ALLOW, "GET, HEAD");
        return Some(response);
    }
    let mut response = if is_page && is_known(headers) {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        send(file, headers)
    };
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(&mut response, header::REFERRER_POLICY, "same-origin");
    put(&mut response, header::CONTENT_SECURITY_POLICY, POLICY);
    put(&mut response, header::VARY, "Accept-Encoding");
    let keeping = if path.starts_with("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    put(&mut response, header::CACHE_CONTROL, keeping);
    if let Some(etag) = INDEX_ETAG.clone().filter(|_| is_page) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Some(response)
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

fn put(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

/// Returns whether the browser has this version of the page.
fn is_known(headers: &HeaderMap) -> bool {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|tags| tags.to_str().ok());
    let own = INDEX_ETAG.as_ref().and_then(|tag| tag.to_str().ok());
    match (known, own) {
        (Some(known), Some(own)) => known.split(',').any(|tag| tag.trim() == own),
        _ => false,
    }
}

/// Sends a file in the smallest form that the browser takes.
fn send(file: &'static File, headers: &HeaderMap) -> Response<Body> {
    let forms = [("br", file.brotli), ("gzip", file.gzip)];
    let fits = forms
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?)))
        .find(|(name, _)| takes(headers, name));
    let mut response = Response::new(full(fits.map_or(file.plain, |(_, bytes)| bytes)));
    if let Some((name, _)) = fits {
        put(&mut response, header::CONTENT_ENCODING, name);
    }
    put(&mut response, header::CONTENT_TYPE, media_type(file.path));
    response
}

/// Returns whether the browser takes a coding without reserve (RFC 9110 section 12.5.3).
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|taken| taken.trim().eq_ignore_ascii_case(coding))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "wasm" => "application/wasm",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;
    use http::Method;
    use http::StatusCode;
    use http::header;

    use super::FILES;
    use super::is_page;
    use super::serve;

    #[test]
    fn the_page_answers_its_own_addresses_alone() {
        assert!(is_page("/") && is_page("/files") && is_page("/files/a/b.txt"));
        assert!(is_page("/shared/links") && is_page("/admin/users"));
        assert!(!is_page("/filesystem") && !is_page("/dav/") && !is_page("/s/token"));
        assert!(serve("/index.html", &Method::GET, &HeaderMap::new()).is_none());
        assert!(serve("/.vite/manifest.json", &Method::GET, &HeaderMap::new()).is_none());
    }

    #[test]
    fn the_page_is_asked_for_again_and_not_sent_again() {
        let first = serve("/files/a", &Method::GET, &HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CACHE_CONTROL], "no-cache");
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let second = serve("/", &Method::GET, &headers).unwrap();
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        let other = serve("/", &Method::POST, &headers).unwrap();
        assert_eq!(other.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn no_script_of_others_may_run_beside_the_page() {
        for path in FILES.iter().map(|file| file.path).chain(["/"]) {
            let Some(answer) = serve(path, &Method::GET, &HeaderMap::new()) else {
                continue;
            };
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap();
            assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe-inline"));
        }
    }

    #[test]
    fn the_smallest_form_that_the_browser_takes_is_sent() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("gzip, deflate, br"),
        );
        for file in FILES.iter().filter(|file| {
            std::path::Path::new(file.path)
                .extension()
                .is_some_and(|kind| kind == "js")
        }) {
            let answer = serve(file.path, &Method::GET, &headers).unwrap();
            let has_brotli = file.brotli.is_some();
            let coding = answer.headers().get(header::CONTENT_ENCODING);
            assert_eq!(coding.is_some_and(|coding| coding == "br"), has_brotli);
        }
    }
}
