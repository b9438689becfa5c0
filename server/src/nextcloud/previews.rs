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
use serde_json::json;

use crate::files::Download;
use crate::files::NodeId;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::http::authenticate::authenticate;
use crate::http::authenticate::refuse;
use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::body::full;
use crate::http::body::refuse_while_sending;
use crate::http::download::respond;
use crate::http::query::Query;
use crate::http::visit::Answered;
use crate::http::visit::Visit;
use crate::identity::Caller;
use crate::identity::TicketKind;
use crate::identity::error::IdentityError;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::nothing;
use crate::nextcloud::ocs;
use crate::nextcloud::ocs::Clothes;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::Dialect;
use crate::nextcloud::ocs::OcsError;
use crate::previews::Fit;
use crate::previews::Preview;
use crate::previews::Shape;

/// Where a link is asked for, below the addresses of OCS.
const GIVE_LINK: &str = "/apps/dav/api/v1/direct";
/// Below this, one segment more is a link.
pub(crate) const DIRECT: &str = "/remote.php/direct/";
/// Previews by number; others are by path.
const BY_NUMBER: &str = "/core/preview";
/// Previews by path, with the sides in front of it.
pub(crate) const THUMBNAIL: &str = "/apps/files/api/v1/thumbnail/";
/// Previews of what lies in the trash.
pub(crate) const OF_TRASH: &str = "/apps/files_trashbin/preview";
/// Previews of former versions.
pub(crate) const OF_VERSIONS: &str = "/apps/files_versions/preview";
/// The sides when a client names none.
const SIDE_DEFAULT: u32 = 32;
/// The longest form that asks for a link, in bytes.
const FORM_BYTES_MAX: usize = 4 << 10;

/// A file, as a request names it.
enum Named {
    Number(NodeId),
    Path(NodePath),
    /// In the trash.
    Deleted(NodeId),
    /// A former version of the file at a path.
    Version(NodePath, i64),
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

/// Understands which file's preview is asked for, and what it shall look like.
fn asked(visit: &Visit) -> Option<(Named, Shape)> {
    let number = |text: &str| text.parse::<u32>().ok();
    if let Some(rest) = visit.path.strip_prefix(THUMBNAIL) {
        let mut parts = rest.splitn(3, '/');
        let (x, y) = (number(parts.next()?)?, number(parts.next()?)?);
        let path = percent_decode_str(parts.next()?).decode_utf8().ok()?;
        return Some((Named::Path(path_of(&path)?), Shape::new(x, y, Fit::Middle)));
    }
    let query = Query::parse(visit.request.uri().query().unwrap_or_default());
    let number_in = |name: &str| node_number(query.get(name)?);
    let named = match visit.path.as_str() {
        BY_NUMBER => Named::Number(number_in("fileId")?),
        OF_TRASH => Named::Deleted(number_in("fileId")?),
        OF_VERSIONS => Named::Version(path_of(query.get("file")?)?, number_in("version")?.0),
        _ => Named::Path(path_of(query.get("file")?)?),
    };
    Some((named, shape_of(&query)))
}

/// Returns the shape that a query asks for: `x` and `y`; with `a` the whole picture, within these sides or, with
/// `mode=cover`, so large that it reaches both; without it, its middle in their proportion.
fn shape_of(query: &Query) -> Shape {
    let side = |name: &str| query.get(name)?.parse().ok().filter(|side| *side > 0);
    let (x, y) = (side("x"), side("y"));
    let width = x.or(y).unwrap_or(SIDE_DEFAULT);
    let height = y.or(x).unwrap_or(SIDE_DEFAULT);
    let is_whole = query
        .get("a")
        .is_some_and(|a| !["", "0", "false"].contains(&a));
    let fit = match (is_whole, query.get("mode")) {
        (true, Some("cover")) => Fit::Cover,
        (true, _) => Fit::Within,
        (false, _) => Fit::Middle,
    };
    Shape::new(width, height, fit)
}

fn path_of(text: &str) -> Option<NodePath> {
    NodePath::parse(text.trim_start_matches('/')).ok()
}

impl Nextcloud {
    async fn open_named(&self, caller: &Caller, named: Named) -> FilesResult<Download> {
        let path = match named {
            Named::Path(path) => path,
            Named::Number(node) => self.files.path_of(caller, node).await?,
            Named::Deleted(node) => return self.files.open_deleted_number(caller, node).await,
            Named::Version(path, number) => {
                let file = self.files.find(caller, &path).await?;
                return self.files.open_version(caller, file.id, number).await;
            }
        };
        self.files.download(caller, &path).await
    }

    /// Answers a request for a preview.
    pub(crate) async fn serve_preview(&self, visit: &Visit) -> Answered {
        let headers = visit.request.headers();
        let caller = match authenticate(&self.identity, headers, visit.client).await {
            Ok(caller) => caller,
            Err(error) => return (refuse(&error, headers), None),
        };
        if !is_reading(visit) {
            return (bare(StatusCode::METHOD_NOT_ALLOWED), Some(caller));
        }
        let Some((named, shape)) = asked(visit) else {
            return (bare(StatusCode::BAD_REQUEST), Some(caller));
        };
        let response = match self.open_named(&caller, named).await {
            Ok(file) => match self.previews.find(file, shape).await {
                Some(preview) => show(visit, preview),
                None => nothing(),
            },
            Err(error) => unopened(&error),
        };
        (response, Some(caller))
    }

    /// Answers a request for a link to a file, for a program that cannot sign in.
    pub(crate) async fn give_link(&self, visit: Visit) -> Answered {
        let (parts, mut body) = visit.request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let Some((dialect, _)) = Dialect::of(&visit.path) else {
            return (nothing(), None);
        };
        let clothes = Clothes::of(dialect, &query, &parts.headers);
        let (answer, caller) =
            match authenticate(&self.identity, &parts.headers, visit.client).await {
                Err(error) => (Err(error.into()), None),
                Ok(caller) if parts.method == Method::POST => {
                    let form = body.read_limited(FORM_BYTES_MAX).await;
                    let answer = match form {
                        Ok(form) => {
                            let form = Query::parse(&String::from_utf8_lossy(&form));
                            let number = form.get("fileId").or_else(|| query.get("fileId"));
                            self.make_link(&visit.base_url, number, &caller).await
                        }
                        Err(_) => Err(OcsError::BadRequest),
                    };
                    (answer, Some(caller))
                }
                Ok(caller) => (Err(OcsError::UnknownRoute), Some(caller)),
            };
        let response = ocs::respond(clothes, &parts.headers, answer);
        (refuse_while_sending(&parts, body, response), caller)
    }

    async fn make_link(
        &self,
        base_url: &str,
        number: Option<&str>,
        caller: &Caller,
    ) -> Result<Data, OcsError> {
        let node = number.and_then(node_number).ok_or(OcsError::NotFound)?;
        match self.open_named(caller, Named::Number(node)).await {
            Ok(_file) => {}
            Err(FilesError::IsAFolder { .. }) => return Err(OcsError::BadRequest),
            Err(FilesError::Unavailable(error)) => {
                tracing::error!(%error, "a link could not be made");
                return Err(IdentityError::Busy.into());
            }
            Err(_) => return Err(OcsError::NotFound),
        }
        let issued = self.identity.issue_ticket(
            caller,
            TicketKind::Download,
            Some(node),
            self.settings.direct_link_seconds,
        );
        let ticket = issued.await?;
        let url = format!("{base_url}{DIRECT}{}", ticket.reveal());
        Ok(Data::secret(json!({"url": url})))
    }

    /// Answers whoever comes with a link.
    pub(crate) async fn serve_link(&self, visit: &Visit, ticket: &str) -> Answered {
        let headers = visit.request.headers();
        if !is_reading(visit) {
            return (bare(StatusCode::METHOD_NOT_ALLOWED), None);
        }
        let redeemed = self.identity.redeem_ticket(TicketKind::Download, ticket);
        let (caller, node) = match redeemed.await {
            Ok((caller, Some(node))) => (caller, node),
            Ok((_, None)) | Err(IdentityError::Unauthenticated) => return (nothing(), None),
            Err(error) => return (refuse(&error, headers), None),
        };
        let is_head = visit.request.method() == Method::HEAD;
        let response = match self.open_named(&caller, Named::Number(node)).await {
            Ok(file) => respond(headers, is_head, file),
            Err(error) => unopened(&error),
        };
        (response, Some(caller))
    }
}

fn is_reading(visit: &Visit) -> bool {
    matches!(*visit.request.method(), Method::GET | Method::HEAD)
}

fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
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
    let known = visit.request.headers().get(header::IF_NONE_MATCH);
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
