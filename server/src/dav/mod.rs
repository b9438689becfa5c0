//! WebDAV (RFC 4918, classes 1, 2 and 3; RFC 4331 quota; RFC 5689 extended MKCOL), with the
//! habits of the sync clients of the ownCloud family.
//!
//! [`request`] understands a request's line and headers once; a handler for each method reads
//! the body if there is one, asks [`Files`] one question, and writes the answer. Every rule is
//! the core's: conditions, locks, quota and rights are tested inside the transaction that
//! changes something, so no handler tests anything before it.
//!
//! # Always true
//!
//! * A change is one call of the core: it happens as a whole or not at all.
//! * An answer that began ends whole or visibly broken.
//! * Nothing a client sends is held in memory beyond [`DavSettings::xml_bytes_max`];
//!   bodies of files stream.
//! * Paths come from URLs in one place ([`mount`]); nothing outside the mount is ever named.
//!
//! # What surprises
//!
//! OPTIONS, LOCK, UNLOCK and plain MKCOL go through the library dav-server ([`library`]),
//! the rest does not; decisions 3 and 5 in `docs/decisions` say why.

mod answer;
mod archive;
mod areas;
mod arrange;
mod drop;
mod error;
mod find;
mod get;
pub mod if_header;
mod library;
pub mod mount;
pub mod pieces;
mod properties;
mod propfind;
mod proppatch;
mod put;
pub mod request;
mod tags;
mod trash;
mod uploads;
mod user_lock;
mod versions;
pub mod xml;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;

use crate::dav::error::DavError;
use crate::dav::properties::Place;
use crate::dav::request::DavRequest;
use crate::dav::request::RequestFault;
use crate::dav::request::Verb;
use crate::files::Files;
use crate::files::Node;
use crate::files::NodeId;
use crate::http::address::BaseUrl;
use crate::http::body;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::language::Language;
use crate::identity::Caller;
use crate::previews::Kinds;

pub use crate::dav::mount::Mount;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct DavSettings {
    /// Ends every `oc:id`, the same for the life of an installation: `oc` and ten letters or digits.
    pub instance: String,
    /// What sync clients compare to see that data was restored from a backup; empty: it never was.
    pub fingerprint: String,
    /// Which files have a preview.
    pub previewed: Arc<Kinds>,
    /// The largest XML body, in bytes.
    pub xml_bytes_max: usize,
    /// Whether PROPFIND with Depth: infinity lists a whole tree (streamed), or is refused.
    pub may_list_everything: bool,
}

impl Default for DavSettings {
    fn default() -> Self {
        Self {
            instance: "ocnuage00000".to_owned(),
            fingerprint: String::new(),
            previewed: Arc::default(),
            xml_bytes_max: 1 << 20,
            may_list_everything: true,
        }
    }
}

/// The WebDAV service.
#[derive(Debug)]
pub struct Dav {
    files: Arc<Files>,
    settings: DavSettings,
}

/// A request that was understood, with who asks and where their home is.
#[derive(Debug)]
struct Asked {
    mount: Mount,
    base_url: BaseUrl,
    caller: Caller,
    request: DavRequest,
}

impl Asked {
    /// Returns where the caller's files appear.
    fn place(&self) -> Place<'_> {
        Place {
            mount: &self.mount,
            base_url: &self.base_url,
        }
    }
}

impl Dav {
    /// Builds the service over the core.
    pub fn new(files: Arc<Files>, settings: DavSettings) -> Self {
        Self { files, settings }
    }

    /// Answers a request of an authenticated caller, whose home appears under `mount`.
    pub async fn serve(
        &self,
        mount: Mount,
        caller: Caller,
        request: Request<RequestBody>,
    ) -> Response<Body> {
        let mount = mount.normalized();
        let (parts, mut body) = request.into_parts();
        let parsed = DavRequest::parse(&mount, &parts.method, &parts.uri, &parts.headers);
        let answer = match parsed {
            Ok(request) => {
                let asked = Asked {
                    mount: mount.clone(),
                    base_url: BaseUrl::of(&parts),
                    caller,
                    request,
                };
                self.answer(asked, &parts, &mut body).await
            }
            Err(fault) => Err(fault.into()),
        };
        conclude(answer, &mount, &parts, body)
    }

    /// Answers a request below `/remote.php/dav/` that is not for a tree of files.
    pub async fn serve_area(
        &self,
        caller: Caller,
        request: Request<RequestBody>,
    ) -> Response<Body> {
        let (parts, mut body) = request.into_parts();
        let mount = Mount {
            prefix: "/remote.php/dav".to_owned(),
        };
        let answer = areas::serve(self, caller, &parts, &mut body).await;
        let mut response = conclude(answer, &mount, &parts, body);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            areas::put_allowed(&mut response, parts.uri.path());
        }
        response
    }

    async fn answer(
        &self,
        asked: Asked,
        parts: &Parts,
        body: &mut RequestBody,
    ) -> Result<Response<Body>, DavError> {
        let headers = &parts.headers;
        if drop::is_for(&asked.caller) {
            return drop::serve(self, asked, headers, body).await;
        }
        match &asked.request.verb {
            Verb::Options => library::options(self, &asked).await,
            Verb::Get => get::get(self, &asked, parts, false).await,
            Verb::Head => get::get(self, &asked, parts, true).await,
            Verb::Put(head) => put::put(self, &asked, head, body).await,
            Verb::Recalculate(kind) => get::recalculate(self, &asked, *kind).await,
            Verb::Propfind(depth) => {
                let xml = self.read_xml(body).await?;
                propfind::propfind(self, &asked, *depth, xml).await
            }
            Verb::Report => {
                let xml = self.read_xml(body).await?;
                find::report(self, &asked, &xml).await
            }
            Verb::Search => {
                let xml = self.read_xml(body).await?;
                find::search(self, &asked.caller, asked.place(), &xml).await
            }
            Verb::Proppatch => {
                let xml = self.read_xml(body).await?;
                proppatch::proppatch(self, &asked, &xml).await
            }
            Verb::Mkcol => {
                let xml = self.read_xml(body).await?;
                proppatch::mkcol(self, &asked, headers, &xml).await
            }
            Verb::Delete(depth) => {
                let for_good = says_true(headers, "x-nc-skip-trashbin");
                arrange::delete(self, &asked, *depth, for_good).await
            }
            Verb::Copy(transfer) => arrange::copy(self, &asked, transfer).await,
            Verb::Move(transfer) => arrange::move_node(self, &asked, transfer).await,
            Verb::Lock {
                deep,
                timeout_seconds,
            } => {
                let xml = self.read_xml(body).await?;
                library::lock(self, &asked, (*deep, *timeout_seconds), &xml).await
            }
            Verb::LockByHand(kind) => user_lock::lock(self, &asked, *kind).await,
            Verb::UnlockByHand => user_lock::unlock(self, &asked).await,
            Verb::Unlock(token) => library::unlock(self, &asked, token).await,
        }
    }

    async fn read_xml(&self, body: &mut RequestBody) -> Result<Bytes, DavError> {
        Ok(body.read_limited(self.settings.xml_bytes_max).await?)
    }

    /// Puts the headers by which sync clients know a node: OC-FileId, and a file's ETag.
    fn put_identity(&self, response: &mut Response<Body>, node: &Node) {
        let etag = (!node.is_folder()).then(|| node.etag());
        self.put_identity_of(response, node.id, etag);
    }

    /// Puts OC-FileId, and the ETag if there is one.
    fn put_identity_of(&self, response: &mut Response<Body>, node: NodeId, etag: Option<String>) {
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, value);
            }
        };
        let instance = &self.settings.instance;
        set("oc-fileid", format!("{:08}{instance}", node.0));
        if let Some(etag) = etag {
            let etag = format!("\"{etag}\"");
            set("etag", etag.clone());
            set("oc-etag", etag);
        }
    }
}

/// Returns whether a header says yes.
fn says_true(headers: &HeaderMap, name: &str) -> bool {
    let value = headers.get(name).map(HeaderValue::as_bytes);
    value.is_some_and(|value| value.eq_ignore_ascii_case(b"true") || value == b"1")
}

/// Returns an answer without a body.
fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    response
}

/// Returns 201 where something was made, 204 where something was replaced.
fn created_or_replaced(created: bool) -> Response<Body> {
    bare(if created {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    })
}

/// Returns an XML answer.
fn xml(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The fault of a Depth that a method does not know.
fn wrong_depth() -> DavError {
    RequestFault::Header("Depth").into()
}

/// Makes what goes out of what became of a request: a refusal in its language, after the rest of its body.
fn conclude(
    answer: Result<Response<Body>, DavError>,
    mount: &Mount,
    parts: &Parts,
    body: RequestBody,
) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|error| {
        tracing::debug!(%error, method = %parts.method, "a WebDAV request was refused");
        let refusal = error.respond(mount, Language::of(&parts.headers));
        body::refuse_while_sending(parts, body, refusal)
    });
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
