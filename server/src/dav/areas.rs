//! What lies below `/remote.php/dav/` beside people's files: trash, versions, tags, and
//! the collections that lead to them.
//!
//! Each area is a small tree of collections of its own, named after who asks. An address
//! that names somebody else's is not there.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;

use crate::dav::Dav;
use crate::dav::answer::Names;
use crate::dav::answer::multistatus;
use crate::dav::answer::write_collection;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::find;
use crate::dav::mount::Mount;
use crate::dav::mount::decode;
use crate::dav::mount::push_segment;
use crate::dav::properties::Place;
use crate::dav::request::Depth;
use crate::dav::request::RequestFault;
use crate::dav::request::depth_of;
use crate::dav::tags;
use crate::dav::trash;
use crate::dav::uploads;
use crate::dav::versions;
use crate::dav::xml::parse_propfind;
use crate::dav::xml::push_escaped;
use crate::http::address::BaseUrl;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::identity::Caller;
use crate::identity::names::AccountName;

/// Where every area lies.
pub(crate) const AREAS: &str = "/remote.php/dav";

/// Returns the methods that an address below `/remote.php/dav` serves.
///
/// Its names alone decide: whether something is there, and whose it is, is not told.
pub(crate) fn methods_of(names: &[&str]) -> &'static str {
    match names {
        [] => "OPTIONS, PROPFIND, SEARCH",
        ["systemtags"] => "OPTIONS, PROPFIND, POST",
        ["systemtags", _] => "OPTIONS, PROPFIND, PROPPATCH, DELETE",
        ["systemtags-relations", "files", _, _] => "OPTIONS, PUT, DELETE",
        ["trashbin", _, "trash"] => "OPTIONS, PROPFIND, DELETE",
        ["trashbin", _, "trash", ..] => "OPTIONS, GET, HEAD, PROPFIND, DELETE, MOVE",
        ["versions", _, "versions", _, _] => {
            "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, DELETE, MOVE"
        }
        ["uploads", _, _] => "OPTIONS, MKCOL, PROPFIND, DELETE",
        ["uploads", _, _, uploads::WHOLE] => "OPTIONS, PROPFIND, MOVE",
        ["uploads", _, _, _] => "OPTIONS, PUT, PROPFIND, DELETE",
        ["files" | "principals" | "trashbin" | "uploads" | "versions"]
        | ["trashbin" | "uploads" | "versions", _]
        | ["trashbin" | "versions", _, "restore"]
        | ["versions", _, "versions"]
        | ["versions", _, "versions", _]
        | ["principals", "users"]
        | ["principals", "users", _]
        | ["systemtags-relations", "files", _] => "OPTIONS, PROPFIND",
        _ => "OPTIONS",
    }
}

/// Names the methods of an address in an answer that refuses one of them (RFC 9110 section 15.5.6).
pub(crate) fn put_allowed(response: &mut Response<Body>, path: &str) {
    let Ok(Some(names)) = names_of(path) else {
        return;
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let methods = HeaderValue::from_static(methods_of(&names));
    response.headers_mut().insert(header::ALLOW, methods);
}

/// A request for an area, understood as far as all have in common.
#[derive(Debug)]
pub(crate) struct AreaRequest {
    /// Who asks.
    pub(crate) caller: Caller,
    /// What.
    pub(crate) method: String,
    /// Names of the path below `/remote.php/dav`, decoded.
    pub(crate) names: Vec<String>,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, where the method has a small one.
    pub(crate) body: Bytes,
}

impl AreaRequest {
    /// Returns how far down is asked; without the header, and for infinity, one level.
    pub(crate) fn has_children(&self) -> Result<bool, DavError> {
        Ok(depth_of(&self.headers)? != Some(Depth::Zero))
    }

    /// Returns the names of Destination below `/remote.php/dav`.
    pub(crate) fn destination(&self) -> Result<Vec<String>, DavError> {
        let text = self.headers.get("destination");
        let text = text.ok_or(RequestFault::HeaderMissing("Destination"))?;
        let text = std::str::from_utf8(text.as_bytes())
            .map_err(|_not_utf8| RequestFault::Header("Destination"))?;
        let path = match text.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => text,
        };
        names_of(path)
            .map_err(RequestFault::Destination)?
            .ok_or_else(|| RequestFault::DestinationElsewhere.into())
    }

    /// Returns whether a name in an address is that of who asks.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        let names = [name, &self.caller.name].map(AccountName::parse);
        matches!(names, [Ok(asked), Ok(own)] if asked.fold() == own.fold())
    }

    /// Returns the href of a place below `/remote.php/dav`.
    pub(crate) fn href(names: &[&str], is_folder: bool) -> String {
        let mut href = AREAS.to_owned();
        for name in names {
            href.push('/');
            push_segment(&mut href, name);
        }
        if is_folder {
            href.push('/');
        }
        href
    }
}

/// Returns the decoded names of a path below `/remote.php/dav`; `None`: it lies elsewhere.
fn names_of(path: &str) -> Result<Option<Vec<String>>, crate::dav::mount::UrlFault> {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (path, _) = path.split_at(end);
    let mut segments = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .peekable();
    segments.next_if_eq(&"index.php");
    if segments.next() != Some("remote.php") || segments.next() != Some("dav") {
        return Ok(None);
    }
    segments.map(decode).collect::<Result<_, _>>().map(Some)
}

/// Answers a request below `/remote.php/dav/` that is not for a tree of files.
pub(crate) async fn serve(
    dav: &Dav,
    caller: Caller,
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Response<Body>, DavError> {
    let names = names_of(parts.uri.path()).map_err(RequestFault::Url)?;
    let names = names.ok_or(RequestFault::Outside)?;
    let mut request = AreaRequest {
        caller,
        method: parts.method.as_str().to_owned(),
        names,
        headers: parts.headers.clone(),
        body: Bytes::new(),
    };
    if request.method == "OPTIONS" {
        let names: Vec<&str> = request.names.iter().map(String::as_str).collect();
        return Ok(options(&names));
    }
    if let [area, owner, ..] = request.names.as_slice()
        && area == "uploads"
        && request.is_own(owner)
    {
        // The one area that takes large bodies.
        let path = parts.uri.path();
        let mut written = path.split('/').filter(|segment| !segment.is_empty());
        let user = written.nth(3).unwrap_or_default();
        return uploads::serve(dav, &request.caller, user, (parts, body)).await;
    }
    request.body = dav.read_xml(body).await?;
    let names: Vec<&str> = request.names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] if request.method == "SEARCH" => {
            let mount = Mount {
                prefix: AreaRequest::href(&["files", &request.caller.name], false),
            };
            let place = Place {
                mount: &mount,
                base_url: &BaseUrl::of(parts),
            };
            find::search(dav, &request.caller, place, &request.body).await
        }
        ["systemtags", rest @ ..] => tags::serve(dav, &request, rest).await,
        ["systemtags-relations", "files", rest @ ..] => {
            tags::serve_relations(dav, &request, rest).await
        }
        ["trashbin", owner, rest @ ..] if request.is_own(owner) => {
            trash::serve(dav, &request, rest).await
        }
        ["versions", owner, rest @ ..] if request.is_own(owner) => {
            versions::serve(dav, &request, rest).await
        }
        _ => collections(&request, &names),
    }
}

fn options(names: &[&str]) -> Response<Body> {
    let mut response = bare(StatusCode::OK);
    let mut set = |name: HeaderName, value: &'static str| {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    };
    set(header::ALLOW, methods_of(names));
    set(HeaderName::from_static("dav"), "1, 3, extended-mkcol");
    if names.is_empty() {
        set(HeaderName::from_static("dasl"), "<DAV:basicsearch>");
    }
    set(HeaderName::from_static("ms-author-via"), "DAV");
    response
}

/// Answers for the collections that only lead somewhere.
fn collections(request: &AreaRequest, names: &[&str]) -> Result<Response<Body>, DavError> {
    let own = request.caller.name.as_ref();
    let members: &[&str] = match names {
        [] => &[
            "files",
            "principals",
            "systemtags",
            "trashbin",
            "uploads",
            "versions",
        ],
        ["files" | "trashbin" | "uploads" | "versions"] | ["principals", "users"] => &[own],
        ["principals"] => &["users"],
        ["principals", "users", name] if request.is_own(name) => &[],
        _ => return Err(RequestFault::Outside.into()),
    };
    if request.method != "PROPFIND" {
        return Err(RequestFault::Method.into());
    }
    let wanted = parse_propfind(&request.body)?;
    let asked = Names::of(&wanted, &["d:resourcetype", "d:displayname"]);
    let mut out = String::new();
    let mut write = |place: &[&str]| {
        let name = place.last().copied().unwrap_or_default();
        asked.write(&mut out, &AreaRequest::href(place, true), |tag, out| {
            if let ["principals", "users", name] = place {
                return write_principal(tag, out, name, &request.caller);
            }
            write_collection(tag, out, name)
        });
    };
    write(names);
    if request.has_children()? {
        for member in members {
            let place: Vec<&str> = names.iter().chain([member]).copied().collect();
            write(&place);
        }
    }
    Ok(multistatus(&out))
}

/// Writes what a person's principal has (RFC 3744 section 4).
fn write_principal(tag: &str, out: &mut String, name: &str, caller: &Caller) -> bool {
    match tag {
        "d:resourcetype" => out.push_str("<d:collection/><d:principal/>"),
        "d:displayname" => push_escaped(out, &caller.display_name),
        "d:principal-URL" | "d:current-user-principal" => {
            out.push_str("<d:href>");
            out.push_str(&AreaRequest::href(&["principals", "users", name], true));
            out.push_str("</d:href>");
        }
        _ => return false,
    }
    true
}
