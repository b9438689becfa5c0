//! GET and HEAD: a file's bytes, or a plain page for a person who opens a folder in a browser.
//!
//! The page is written as it is read, like a PROPFIND's answer; each page of children is
//! sorted in itself. It has no script and may run none.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::archive;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::mount::push_segment;
use crate::dav::xml::push_escaped;
use crate::files::ChecksumKind;
use crate::files::Listing;
use crate::files::ListingWants;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::http::body;
use crate::http::body::Body;
use crate::http::download;

/// Answers a GET or HEAD.
pub(crate) async fn get(
    dav: &Dav,
    asked: &Asked,
    parts: &Parts,
    is_head: bool,
) -> Result<Response<Body>, DavError> {
    let (files, caller, path) = (&dav.files, &asked.caller, &asked.request.path);
    let (headers, query) = (&parts.headers, parts.uri.query());
    files
        .check(caller, path, &asked.request.precondition)
        .await?;
    match files.download(caller, path).await {
        Ok(download) => Ok(download::respond(headers, is_head, download)),
        Err(FilesError::IsAFolder { .. }) if archive::is_asked_for(headers, query) => {
            archive::get(dav, asked, headers, query, is_head).await
        }
        Err(FilesError::IsAFolder { .. }) => {
            let wants = ListingWants::default();
            let listing = files.list(caller, path, wants, !is_head).await?;
            Ok(page(asked, listing, is_head))
        }
        Err(error) => Err(error.into()),
    }
}

/// Answers a PATCH that asks for a checksum of the file as it is stored.
pub(crate) async fn recalculate(
    dav: &Dav,
    asked: &Asked,
    kind: ChecksumKind,
) -> Result<Response<Body>, DavError> {
    let (files, caller, path) = (&dav.files, &asked.caller, &asked.request.path);
    files
        .check(caller, path, &asked.request.precondition)
        .await?;
    let (node, checksum) = files.recalculate(caller, path, kind).await?;
    let mut response = bare(StatusCode::NO_CONTENT);
    dav.put_identity(&mut response, &node);
    if let Ok(value) = HeaderValue::try_from(checksum) {
        let name = HeaderName::from_static("oc-checksum");
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

fn page(asked: &Asked, listing: Listing, is_head: bool) -> Response<Body> {
    let mut response = Response::new(if is_head {
        body::empty()
    } else {
        let href = asked.mount.href(&asked.request.path, true);
        let head = stream::iter([Ok(head_of(asked).into())]);
        let children = stream::try_unfold(Some((listing, href)), |state| async move {
            match state {
                Some((listing, href)) => rows(listing, href).await.map(Some),
                None => Ok(None),
            }
        });
        body::stream(head.chain(children))
    });
    let mut set = |name: HeaderName, value: &'static str| {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    };
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(header::CACHE_CONTROL, "no-store");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    );
    response
}

fn head_of(asked: &Asked) -> String {
    let mut title = String::new();
    push_escaped(&mut title, &asked.request.path.to_string());
    let mut head = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1rem system-ui;margin:2rem}}td{{padding:.1rem 1rem}}\
         td+td{{text-align:right}}</style></head>\n<body><h1>{title}</h1><table>\n"
    );
    if let Some(above) = asked.request.path.parent() {
        let href = asked.mount.href(&above, true);
        for part in [
            "<tr><td><a href=\"",
            &href,
            "\">..</a></td><td></td></tr>\n",
        ] {
            head.push_str(part);
        }
    }
    head
}

/// Writes the next rows of the page; without a state beside them, they are the last.
async fn rows(
    mut listing: Listing,
    href: String,
) -> FilesResult<(Bytes, Option<(Listing, String)>)> {
    let mut page = listing.next_page().await?;
    if page.is_empty() {
        return Ok((Bytes::from_static(b"</table></body></html>\n"), None));
    }
    page.sort_by(|a, b| {
        let key = |folder: bool, name: &str| (!folder, name.to_lowercase());
        key(a.node.is_folder(), &a.node.name).cmp(&key(b.node.is_folder(), &b.node.name))
    });
    let mut out = String::new();
    for entry in &page {
        let slash = if entry.node.is_folder() { "/" } else { "" };
        out.push_str("<tr><td><a href=\"");
        out.push_str(&href);
        push_segment(&mut out, &entry.node.name);
        out.push_str(slash);
        out.push_str("\">");
        push_escaped(&mut out, &entry.node.name);
        out.push_str(slash);
        out.push_str("</a></td><td>");
        if !entry.node.is_folder() {
            out.push_str(&entry.node.size_bytes.to_string());
        }
        out.push_str("</td></tr>\n");
    }
    Ok((out.into(), Some((listing, href))))
}
