//! Previews as clients of the Nextcloud family ask for them, and links that open one file for hours.
//!
//! # Always true
//!
//! * A file is opened in the name of whoever asks, each time; a preview tells nothing to others.
//! * Where there is none, or none yet, the answer is 404: every client shows an icon then.
//! * A link opens no more than the sign-in that it was made with, and ends with it.

use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use nuage_shared::node_path::NodePath;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::json;

use crate::files::Download;
use crate::files::NodeId;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::http::authenticate::authenticate;
use crate::http::authenticate::refuse;
use crate::http::body::Body;
use crate::http::body::full;
use crate::http::download::respond;
use crate::identity::Caller;
use crate::identity::TicketKind;
use crate::identity::error::IdentityError;
use crate::nextcloud::Answered;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::Visit;
use crate::nextcloud::bare;
use crate::nextcloud::is_reading;
use crate::nextcloud::nothing;
use crate::nextcloud::ocs::Envelope;
use crate::nextcloud::ocs::Fault;
use crate::previews::Preview;

/// Where a link is asked for, below the addresses of OCS.
const GIVE_LINK: &str = "/apps/dav/api/v1/direct";
/// Below this, one segment more is a link.
pub(crate) const DIRECT: &str = "/remote.php/direct/";
/// Previews by number and by path.
const BY_NUMBER: &str = "/core/preview";
const BY_PATH: &str = "/core/preview.png";
/// Previews by path, with the sides in front of it.
const THUMBNAIL: &str = "/apps/files/api/v1/thumbnail/";
/// The longest side when a client names none.
const SIDE_DEFAULT: u32 = 32;
/// The longest form that asks for a link, in bytes.
const FORM_BYTES_MAX: usize = 4 << 10;

/// A file, as a request names it.
enum Named {
    Number(NodeId),
    Path(NodePath),
}

/// Returns whether a path is one of previews.
pub(crate) fn is_preview(path: &str) -> bool {
    matches!(path, BY_NUMBER | BY_PATH) || path.starts_with(THUMBNAIL)
}

/// Returns whether a path is where links are asked for.
pub(crate) fn asks_for_link(path: &str) -> bool {
    let route = path.strip_prefix("/ocs/v");
    route.is_some_and(|route| route.get(5..) == Some(GIVE_LINK))
}

/// Returns the number of a file; what follows its digits is the installation's name.
fn node_number(text: &str) -> Option<NodeId> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let digits = text.get(..end.unwrap_or(text.len()))?;
    digits.parse().ok().map(NodeId)
}

/// Understands which file's preview is asked for, and how large.
fn asked(visit: &Visit) -> Option<(Named, u32)> {
    let number = |text: &str| text.parse::<u32>().ok();
    if let Some(rest) = visit.path.strip_prefix(THUMBNAIL) {
        let mut parts = rest.splitn(3, '/');
        let (x, y) = (number(parts.next()?)?, number(parts.next()?)?);
        let path = percent_decode_str(parts.next()?).decode_utf8().ok()?;
        return Some((Named::Path(path_of(&path)?), x.max(y)));
    }
    let side = |name: &str| visit.parameter(name).as_deref().and_then(number);
    let side = side("x").max(side("y")).unwrap_or(SIDE_DEFAULT);
    let named = if visit.path == BY_NUMBER {
        Named::Number(node_number(&visit.parameter("fileId")?)?)
    } else {
        Named::Path(path_of(&visit.parameter("file")?)?)
    };
    Some((named, side))
}

fn path_of(text: &str) -> Option<NodePath> {
    NodePath::parse(text.trim_start_matches('/')).ok()
}

impl Nextcloud {
    async fn open_named(&self, caller: &Caller, named: Named) -> FilesResult<Download> {
        let path = match named {
            Named::Path(path) => path,
            Named::Number(node) => self.files.path_of(caller, node).await?,
        };
        self.files.download(caller, &path).await
    }

    /// Answers a request for a preview.
    pub(crate) async fn serve_preview(&self, visit: &Visit) -> Answered {
        let caller = match authenticate(&self.identity, visit.headers(), visit.client).await {
            Ok(caller) => caller,
            Err(error) => return (refuse(&error), None),
        };
        if !is_reading(visit) {
            return (bare(StatusCode::METHOD_NOT_ALLOWED), Some(caller));
        }
        let Some((named, side)) = asked(visit) else {
            return (bare(StatusCode::BAD_REQUEST), Some(caller));
        };
        let response = match self.open_named(&caller, named).await {
            Ok(file) => match self.previews.find(file, side).await {
                Some(preview) => show(visit, preview),
                None => nothing(),
            },
            Err(error) => unopened(&error),
        };
        (response, Some(caller))
    }

    /// Answers a request for a link to a file, for a program that cannot sign in.
    pub(crate) async fn give_link(&self, mut visit: Visit) -> Answered {
        let body = visit.request.body_mut().read_limited(FORM_BYTES_MAX).await;
        let Some((envelope, _)) = Envelope::of(&visit.path, visit.query(), visit.headers()) else {
            return (nothing(), None);
        };
        let caller = match authenticate(&self.identity, visit.headers(), visit.client).await {
            Ok(caller) => caller,
            Err(error) => return (envelope.wrap(Err(error.into())), None),
        };
        let outcome = match (visit.request.method(), body) {
            (&Method::POST, Ok(body)) => self.make_link(&visit, &body, &caller).await,
            (&Method::POST, Err(_)) => Err(Fault::BadRequest(
                "The form cannot be read.",
                "Le formulaire est illisible.",
            )),
            _ => Err(Fault::UnknownRoute),
        };
        (envelope.wrap(outcome), Some(caller))
    }

    async fn make_link(&self, visit: &Visit, body: &[u8], caller: &Caller) -> Result<Value, Fault> {
        let unknown = Fault::NotFound("File not found", "Fichier introuvable");
        let mut fields = form_urlencoded::parse(body);
        let file = fields.find(|(name, _)| name == "fileId");
        let file = file.map(|(_, value)| value.into_owned());
        let file = file.or_else(|| visit.parameter("fileId"));
        let Some(node) = file.as_deref().and_then(node_number) else {
            return Err(unknown);
        };
        match self.open_named(caller, Named::Number(node)).await {
            Ok(_file) => {}
            Err(FilesError::IsAFolder { .. }) => {
                return Err(Fault::BadRequest(
                    "A link leads to a file, not to a folder.",
                    "Un lien mène à un fichier, pas à un dossier.",
                ));
            }
            Err(error) if is_unavailable(&error) => return Err(Fault::Unavailable),
            Err(_) => return Err(unknown),
        }
        let issued = self.identity.issue_ticket(
            caller,
            TicketKind::Download,
            Some(node),
            self.settings.direct_link_seconds,
        );
        let ticket = issued.await?;
        let url = format!("{}{DIRECT}{}", visit.base_url, ticket.reveal());
        Ok(json!({"url": url}))
    }

    /// Answers whoever comes with a link.
    pub(crate) async fn serve_link(&self, visit: &Visit) -> Answered {
        if !is_reading(visit) {
            return (bare(StatusCode::METHOD_NOT_ALLOWED), None);
        }
        let ticket = visit.path.strip_prefix(DIRECT).unwrap_or_default();
        let redeemed = self.identity.redeem_ticket(TicketKind::Download, ticket);
        let (caller, node) = match redeemed.await {
            Ok((caller, Some(node))) => (caller, node),
            Ok((_, None)) | Err(IdentityError::Unauthenticated) => return (nothing(), None),
            Err(error) => return (refuse(&error), None),
        };
        let is_head = visit.request.method() == Method::HEAD;
        let response = match self.open_named(&caller, Named::Number(node)).await {
            Ok(file) => respond(visit.headers(), is_head, file),
            Err(error) => unopened(&error),
        };
        (response, Some(caller))
    }
}

fn is_unavailable(error: &FilesError) -> bool {
    matches!(error, FilesError::Unavailable { .. })
}

/// Answers where a file could not be opened.
fn unopened(error: &FilesError) -> Response<Body> {
    if is_unavailable(error) {
        return bare(StatusCode::SERVICE_UNAVAILABLE);
    }
    nothing()
}

fn show(visit: &Visit, preview: Preview) -> Response<Body> {
    let etag = format!("\"{}\"", preview.etag);
    let known = visit.headers().get(header::IF_NONE_MATCH);
    let is_known = known
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| {
            known
                .split(',')
                .any(|one| one.trim().trim_start_matches("W/") == etag)
        });
    let mut response = if is_known {
        bare(StatusCode::NOT_MODIFIED)
    } else {
        Response::new(full(preview.bytes))
    };
    let headers = response.headers_mut();
    if !is_known {
        let form = HeaderValue::from_static(preview.media_type);
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("inline"),
        );
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    let private = HeaderValue::from_static("private, no-cache");
    headers.insert(header::CACHE_CONTROL, private);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
