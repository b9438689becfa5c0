//! `/api/v1`: what the web page asks of the server, as JSON.
//!
//! A thin adapter: it understands a call, asks the core, and writes what comes back. Its description is
//! generated from these very types ([`description`]) and checked in the tests.
//!
//! # Always true
//!
//! * Whoever calls is signed in with a browser (a cookie of ours), and a call that changes something carries the
//!   mark that only our own page can know. Nothing else is accepted here, no password and no app token.
//! * Every failure is a problem document (RFC 9457) in the language of the browser, with a code that does not change.
//! * Of a list of things to do each is done or refused by itself, and the answer says which.

mod account;
mod administration;
mod arrange;
mod browse;
mod call;
mod content;
pub mod description;
mod events;
mod history;
mod know;
mod problem;
mod shapes;
mod shares;
mod uploads;

use std::sync::Arc;

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;

use crate::api::arrange::Placing;
use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::files::Files;
use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::body::full;
use crate::http::body::refuse_while_sending;
use crate::http::compress::may_compress;
use crate::http::language::Language;
use crate::http::session::Cookie;
use crate::http::session::signed_in;
use crate::http::visit::Answered;
use crate::http::visit::Visit;
use crate::identity::Identity;
use crate::previews::Previews;
use crate::sharing::Sharing;

/// Where the calls begin.
pub const PREFIX: &str = "/api/v1";
/// Carries the mark of a page of ours.
const MARK: HeaderName = HeaderName::from_static("x-nuage-mark");

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The name of the installation.
    pub name: String,
    /// The colour of what is pressed, as `#rrggbb`.
    pub color: String,
    /// Size of the parts in which large files are sent, in bytes.
    pub part_bytes: u64,
    /// Open channels of one person on which changes are told.
    pub channels_per_person_max: u32,
    /// What spaces may hold that have no quota of their own, in bytes; `None`: no limit.
    pub quota_default_bytes: Option<u64>,
}

/// The service.
pub struct Api {
    identity: Arc<Identity>,
    files: Arc<Files>,
    sharing: Arc<Sharing>,
    previews: Arc<Previews>,
    settings: ApiSettings,
    channels: Arc<events::Channels>,
}

/// What a call yields.
type ApiResult = Result<Response<Body>, Problem>;

impl Api {
    /// Builds the service over the core.
    pub fn new(
        identity: Arc<Identity>,
        files: Arc<Files>,
        sharing: Arc<Sharing>,
        previews: Arc<Previews>,
        settings: ApiSettings,
    ) -> Self {
        Self {
            channels: events::Channels::new(settings.channels_per_person_max),
            identity,
            files,
            sharing,
            previews,
            settings,
        }
    }

    /// Returns whether a path belongs here.
    pub fn owns(path: &str) -> bool {
        path.strip_prefix(PREFIX)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request.
    pub async fn serve(&self, visit: Visit) -> Answered {
        let (parts, mut body) = visit.request.into_parts();
        let language = Language::of(&parts.headers);
        let is_https = visit.base_url.starts_with("https://");
        let session = Cookie::Session.read(&parts.headers, is_https);
        let caller = match signed_in(&self.identity, &parts.headers, is_https).await {
            Ok(Some(caller)) => caller.from_address(visit.client),
            Ok(None) => {
                let refusal = Problem::unauthenticated().respond(language);
                return (refuse_while_sending(&parts, body, refusal), None);
            }
            Err(error) => {
                let refusal = Problem::from(error).respond(language);
                return (refuse_while_sending(&parts, body, refusal), None);
            }
        };
        let path = visit.path.strip_prefix(PREFIX).unwrap_or_default();
        let mut call = Call::new(&parts, &mut body, &caller, language);
        call.session = session.unwrap_or_default();
        call.base_url = &visit.base_url;
        call.client = visit.client;
        call.stop = visit.stop;
        let answer = match self.check_mark(&call, path) {
            Ok(()) => self.route(&mut call, path).await,
            Err(problem) => Err(problem),
        };
        let mut response = answer.unwrap_or_else(|problem| problem.respond(language));
        let headers = response.headers_mut();
        if !headers.contains_key(header::CACHE_CONTROL) {
            let private = HeaderValue::from_static("private, no-cache");
            headers.insert(header::CACHE_CONTROL, private);
        }
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        (refuse_while_sending(&parts, body, response), Some(caller))
    }

    /// Lets calls that change something pass only from a page of ours.
    fn check_mark(&self, call: &Call<'_>, path: &str) -> Result<(), Problem> {
        // An archive comes of a form, and its mark is tested where that is read.
        if matches!(call.parts.method, Method::GET | Method::HEAD) || path == "/archive" {
            return Ok(());
        }
        let mark = call.parts.headers.get(&MARK);
        let mark = mark.and_then(|mark| mark.to_str().ok()).unwrap_or_default();
        if self.identity.is_form_mark(call.session, mark) {
            Ok(())
        } else {
            Err(Problem::bad_mark())
        }
    }

    /// Which call is answered where: the table of this adapter.
    async fn route(&self, call: &mut Call<'_>, path: &str) -> ApiResult {
        let segments: Vec<String> = call::segments(path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = match call.parts.method.as_str() {
            "HEAD" => "GET",
            other => other,
        };
        match (method, segments.as_slice()) {
            ("GET", ["session"]) => self.show_session(call).await,
            ("DELETE", ["session"]) => self.sign_out(call).await,
            ("GET", ["sessions"]) => self.list_sessions(call).await,
            ("DELETE", ["sessions", id]) => self.end_session(call, id).await,
            ("GET", ["devices"]) => self.list_devices(call).await,
            ("POST", ["devices"]) => self.add_device(call).await,
            ("DELETE", ["devices", id]) => self.end_device(call, id).await,
            ("POST", ["password"]) => self.change_password(call).await,

            ("GET", ["list"]) => self.list(call).await,
            ("GET", ["node"]) => self.show_node(call).await,
            ("GET", ["search"]) => self.search(call).await,
            ("GET", ["recent"]) => self.recent(call).await,
            ("GET", ["favorites"]) => self.favorites(call).await,
            ("POST", ["favorites"]) => self.mark_favorites(call).await,
            ("GET", ["events"]) => self.tell_changes(call).await,

            ("GET", ["content"]) => self.download(call).await,
            ("PUT", ["content"]) => self.upload(call).await,
            ("GET", ["archive"]) => self.archive(call).await,
            ("POST", ["archive"]) => self.archive_selection(call).await,
            ("GET", ["preview"]) => self.preview(call).await,
            ("POST", ["uploads"]) => self.begin_parts(call).await,
            ("GET", ["uploads", id]) => self.list_parts(call, id).await,
            ("PUT", ["uploads", id, number]) => self.take_part(call, id, number).await,
            ("POST", ["uploads", id]) => self.join_parts(call, id).await,
            ("DELETE", ["uploads", id]) => self.drop_parts(call, id).await,

            ("POST", ["folders"]) => self.make_folder(call).await,
            ("POST", ["move"]) => self.place_nodes(call, Placing::Move).await,
            ("POST", ["copy"]) => self.place_nodes(call, Placing::Copy).await,
            ("POST", ["delete"]) => self.delete_nodes(call).await,

            ("GET", ["trash"]) => self.list_trash(call).await,
            ("POST", ["trash", "restore"]) => self.restore_trash(call).await,
            ("POST", ["trash", "discard"]) => self.discard_trash(call).await,
            ("POST", ["trash", "empty"]) => self.empty_trash(call).await,
            ("GET", ["versions"]) => self.list_versions(call).await,
            ("GET", ["versions", "content"]) => self.download_version(call).await,
            ("POST", ["versions", "restore"]) => self.restore_version(call).await,
            ("POST", ["versions", "label"]) => self.label_version(call).await,
            ("POST", ["versions", "discard"]) => self.discard_version(call).await,

            ("GET", ["shares"]) => self.list_shares(call).await,
            ("POST", ["shares"]) => self.make_share(call).await,
            ("PATCH", ["shares", id]) => self.change_share(call, id).await,
            ("DELETE", ["shares", id]) => self.end_share(call, id).await,
            ("GET", ["people"]) => self.find_people(call).await,
            ("GET", ["who"]) => self.who(call).await,
            ("GET", ["activity"]) => self.list_activity(call).await,

            (_, ["admin", rest @ ..]) if call.caller.is_admin => {
                self.administer(call, method, rest).await
            }
            (_, ["admin", ..]) => Err(Problem::not_permitted()),
            _ => Err(Problem::no_such_call()),
        }
    }
}

/// Answers with a value as JSON, which may be compressed: a list says nothing that its reader did not put there.
fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> ApiResult {
    let mut response = secret_json(status, value)?;
    may_compress(&mut response);
    Ok(response)
}

/// Answers with a value that holds a secret: never compressed, never kept.
fn secret_json<T: serde::Serialize>(status: StatusCode, value: &T) -> ApiResult {
    let text = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::unavailable()
    })?;
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let form = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, form);
    let vary = HeaderValue::from_static("Cookie, Accept-Language");
    headers.insert(header::VARY, vary);
    Ok(response)
}

/// Answers that it is done.
fn done() -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
