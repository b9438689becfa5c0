//! What clients of the Nextcloud family ask besides WebDAV: status, OCS, sign-in of devices.
//!
//! # Always true
//!
//! * Nothing is decided here: who somebody is, `identity` says; what they may do, `files` says.
//! * What is not served is answered as those clients tolerate it.

mod activity;
mod browser;
mod capabilities;
mod device_flow;
mod devices;
mod file_calls;
mod ocs;
mod people;
mod picture;
mod previews;
mod private_link;
mod push;
mod sharees;
mod shares;
mod sign_in;
mod wipe;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::json;

use crate::files::Files;
use crate::http::authenticate::authenticate;
use crate::http::authenticate::refuse;
use crate::http::body::Body;
use crate::http::body::BodyFault;
use crate::http::body::empty;
use crate::http::body::full;
use crate::http::body::refuse_while_sending;
use crate::http::language::Language;
use crate::http::query::Query;
use crate::http::visit::Answered;
use crate::http::visit::Visit;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::nextcloud::browser::Browser;
use crate::nextcloud::browser::Trouble;
use crate::nextcloud::ocs::Clothes;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::Dialect;
use crate::nextcloud::ocs::OcsError;
use crate::nextcloud::push::Push;
use crate::previews::Previews;
use crate::sharing::Sharing;

pub use crate::nextcloud::push::PushSettings;

/// The largest form that is read, in bytes.
const FORM_BYTES_MAX: usize = 16 << 10;
/// The largest body of an OCS call, in bytes: a note to a receiver may be long.
const CALL_BYTES_MAX: usize = 64 << 10;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct NextcloudSettings {
    /// Ends every `oc:id`, the same for the life of an installation.
    pub instance: String,
    /// The version of Nextcloud that clients are told.
    pub version: [u16; 3],
    /// The largest part of a large file, in bytes.
    pub upload_part_bytes: u64,
    /// How long a link to one file holds, in seconds.
    pub direct_link_seconds: i64,
    /// Quota of spaces that have none of their own, in bytes; `None`: no limit.
    pub quota_default_bytes: Option<u64>,
    /// How the installation presents itself.
    pub theme: Theme,
    /// Who may listen for changes, and how often they are told.
    pub push: PushSettings,
    /// Whether it is noted who did what, so that people can read it.
    pub keeps_activity: bool,
}

impl NextcloudSettings {
    fn version_text(&self) -> String {
        let [major, minor, micro] = self.version;
        format!("{major}.{minor}.{micro}")
    }
}

/// How the installation presents itself.
#[derive(Debug, Clone)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// What stands below the name; may be empty.
    pub slogan: String,
    /// The colour of what is pressed, as `#rrggbb`.
    pub color: String,
}

/// The service.
pub struct Nextcloud {
    identity: Arc<Identity>,
    files: Arc<Files>,
    sharing: Arc<Sharing>,
    previews: Arc<Previews>,
    settings: NextcloudSettings,
    push: Arc<Push>,
}

impl Nextcloud {
    /// Builds the service over the core.
    pub fn new(
        identity: Arc<Identity>,
        files: Arc<Files>,
        sharing: Arc<Sharing>,
        previews: Arc<Previews>,
        settings: NextcloudSettings,
    ) -> Self {
        let push = Push::new(
            Arc::clone(&identity),
            Arc::clone(&files),
            settings.push.clone(),
        );
        Self {
            identity,
            files,
            sharing,
            previews,
            settings,
            push,
        }
    }

    /// Returns whether a path (without `/index.php`) belongs here.
    pub fn owns(path: &str) -> bool {
        const PLACES: [&str; 11] = [
            previews::OF_TRASH,
            previews::OF_VERSIONS,
            "/status.php",
            "/push/ws",
            "/apps/notify_push/pre_auth",
            "/204",
            "/login",
            "/logout",
            "/settings/devices",
            "/.well-known/webdav",
            "/.well-known/caldav",
        ];
        const BELOW: [&str; 11] = [
            private_link::PRIVATE,
            "/core/preview",
            previews::THUMBNAIL,
            previews::DIRECT,
            "/ocs/",
            "/login/",
            "/core/wipe/",
            "/avatar/",
            "/remote.php/dav/avatars/",
            "/apps/theming/",
            "/.well-known/carddav",
        ];
        PLACES.contains(&path) || BELOW.iter().any(|front| path.starts_with(front))
    }

    /// Answers a request.
    pub async fn serve(&self, mut visit: Visit) -> Answered {
        if previews::asks_for_link(&visit.path) {
            return self.give_link(visit).await;
        }
        if let Some((dialect, rest)) = Dialect::of(&visit.path) {
            let segments = segments_of(rest);
            return self.serve_ocs(dialect, &segments, visit).await;
        }
        let segments = segments_of(&visit.path);
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let response = match words.as_slice() {
            ["status.php"] => {
                let mut response = json_answer(StatusCode::OK, &status_of(&self.settings));
                let anybody = HeaderValue::from_static("*");
                let headers = response.headers_mut();
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody);
                response
            }
            ["204"] => {
                let mut response = Response::new(empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            ["push", "ws"] => self.push.open(&mut visit),
            ["apps", "notify_push", "pre_auth"] => return self.pre_authenticate(&visit).await,
            [".well-known", "webdav"] => moved(&format!("{}/remote.php/dav/", visit.base_url)),
            ["apps", "theming", rest @ ..] => {
                picture::theme_file(&self.settings, &visit.base_url, rest)
            }
            ["avatar", name, size, ..] | ["remote.php", "dav", "avatars", name, size] => {
                return self.show_avatar(&visit, name, size).await;
            }
            ["core", "preview" | "preview.png"]
            | ["apps", "files_trashbin" | "files_versions", "preview"]
            | ["apps", "files", "api", "v1", "thumbnail", ..] => {
                return self.serve_preview(&visit).await;
            }
            ["remote.php", "direct", ticket] => return self.serve_link(&visit, ticket).await,
            ["login" | "logout" | "settings" | "core" | "f", ..] => {
                return (self.serve_browser(visit, &words).await, None);
            }
            _ => nothing(),
        };
        (response, None)
    }

    /// Gives a ticket to listen.
    async fn pre_authenticate(&self, visit: &Visit) -> Answered {
        let headers = visit.request.headers();
        if visit.request.method() != Method::POST {
            let mut response = nothing();
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return (response, None);
        }
        match authenticate(&self.identity, headers, visit.client).await {
            Ok(caller) => match self.push.pre_authenticate(&caller).await {
                Ok(response) => (response, Some(caller)),
                Err(error) => (refuse(&error, headers), Some(caller)),
            },
            Err(error) => (refuse(&error, headers), None),
        }
    }

    async fn show_avatar(&self, visit: &Visit, name: &str, size: &str) -> Answered {
        let headers = visit.request.headers();
        match authenticate(&self.identity, headers, visit.client).await {
            Ok(caller) => (picture::avatar(headers, name, size), Some(caller)),
            Err(error) => (refuse(&error, headers), None),
        }
    }

    /// Answers what browsers ask, and what programs ask in the form that browsers send.
    async fn serve_browser(&self, visit: Visit, words: &[&str]) -> Response<Body> {
        let (parts, mut body) = visit.request.into_parts();
        let form = match parts.method {
            Method::POST => body.read_limited(FORM_BYTES_MAX).await,
            _ => Ok(Bytes::new()),
        };
        let Ok(form) = form else {
            let mut response = json_answer(StatusCode::PAYLOAD_TOO_LARGE, &json!([]));
            if !matches!(form, Err(BodyFault::TooLarge { .. })) {
                *response.status_mut() = StatusCode::BAD_REQUEST;
            }
            return refuse_while_sending(&parts, body, response);
        };
        let browser = Browser {
            parts: &parts,
            base_url: &visit.base_url,
            client: visit.client,
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            form: Query::parse(&String::from_utf8_lossy(&form)),
            language: Language::of(&parts.headers),
        };
        let answer = self.answer_browser(&browser, words).await;
        let response = answer.unwrap_or_else(|trouble| self.show_trouble(&browser, &trouble));
        refuse_while_sending(&parts, body, response)
    }

    async fn answer_browser(
        &self,
        browser: &Browser<'_>,
        words: &[&str],
    ) -> Result<Response<Body>, Trouble> {
        let method = match browser.parts.method {
            Method::HEAD => "GET",
            ref method => method.as_str(),
        };
        match (method, words) {
            ("GET", ["login"]) => self.show_sign_in(browser).await,
            ("POST", ["login"]) => self.sign_in(browser).await,
            ("POST", ["logout"]) => self.sign_out(browser).await,
            ("POST", ["login", "v2"]) => self.begin_flow(browser).await,
            ("POST", ["login", "v2", "poll"]) => self.poll_flow(browser).await,
            ("GET" | "POST", ["login", "v2", "flow", token]) => self.consent(browser, token).await,
            ("GET" | "POST", ["login", "flow"]) => self.consent_v1(browser).await,
            ("GET" | "POST", ["settings", "devices"]) => self.devices(browser).await,
            ("GET", ["f", number]) => self.lead_to_node(browser, number).await,
            ("POST", ["core", "wipe", "check"]) => self.check_wipe(browser).await,
            ("POST", ["core", "wipe", "success"]) => self.note_wiped(browser).await,
            (_, ["login" | "logout"] | ["login", "v2" | "flow"] | ["login", "v2", "poll"]) => {
                let mut response = nothing();
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allowed = HeaderValue::from_static("GET, HEAD, POST");
                response.headers_mut().insert(header::ALLOW, allowed);
                Ok(response)
            }
            _ => Ok(nothing()),
        }
    }

    /// Answers an OCS request, whose path was split below its dialect.
    async fn serve_ocs(&self, dialect: Dialect, segments: &[String], visit: Visit) -> Answered {
        let (parts, mut body) = visit.request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let clothes = Clothes::of(dialect, &query, &parts.headers);
        let query = match parts.method {
            Method::POST | Method::PUT => {
                let kind = parts.headers.get(header::CONTENT_TYPE);
                let kind = kind.map(HeaderValue::as_bytes).unwrap_or_default();
                let is_json = kind.starts_with(b"application/json");
                let Ok(form) = body.read_limited(CALL_BYTES_MAX).await else {
                    let refusal = Err(OcsError::BadRequest);
                    let response = ocs::respond(clothes, &parts.headers, refusal);
                    return (refuse_while_sending(&parts, body, response), None);
                };
                Query::of_body(&form, is_json, query)
            }
            _ => query,
        };
        let asked = OcsRequest {
            base_url: &visit.base_url,
            path: &visit.path,
            client: visit.client,
            headers: &parts.headers,
            query: &query,
        };
        let mut caller = None;
        let answer = self
            .answer_ocs(&parts.method, segments, &asked, &mut caller)
            .await;
        if let Err(error) = &answer {
            tracing::debug!(%error, "an OCS request was refused");
        }
        let response = ocs::respond(clothes, &parts.headers, answer);
        (refuse_while_sending(&parts, body, response), caller)
    }

    fn describe_capabilities(&self, base_url: &str, is_signed_in: bool) -> Value {
        let sharing = self.sharing.settings();
        capabilities::describe((&self.settings, sharing), base_url, is_signed_in)
    }

    async fn answer_ocs(
        &self,
        method: &Method,
        segments: &[String],
        asked: &OcsRequest<'_>,
        known: &mut Option<Caller>,
    ) -> Result<Data, OcsError> {
        let route = Route::of(method, segments).ok_or(OcsError::UnknownRoute)?;
        if route == Route::Capabilities && !asked.headers.contains_key(header::AUTHORIZATION) {
            let value = self.describe_capabilities(asked.base_url, false);
            return Ok(Data::tagged(value));
        }
        let caller = authenticate(&self.identity, asked.headers, asked.client).await?;
        let caller = known.insert(caller);
        match route {
            Route::Capabilities => {
                let value = self.describe_capabilities(asked.base_url, true);
                Ok(Data::tagged(value))
            }
            Route::Me => self.show_user(caller, &caller.name).await,
            Route::Users => self.list_users(caller, asked.query, false).await,
            Route::UsersWithDetails => self.list_users(caller, asked.query, true).await,
            Route::User(name) => self.show_user(caller, name).await,
            Route::GroupsOf(name) => self.list_groups_of(caller, name).await,
            Route::Groups => self.list_groups(caller, asked.query).await,
            Route::Members(group) => self.list_members(caller, group).await,
            Route::GetAppPassword => self.give_app_password(caller, asked.headers).await,
            Route::EndAppPassword => self.end_app_password(caller).await,
            Route::LockFile(number) => self.lock_file(caller, number, true).await,
            Route::UnlockFile(number) => self.lock_file(caller, number, false).await,
            Route::SearchProviders => Ok(file_calls::search_providers()),
            Route::SearchFiles => self.search_files(caller, asked.query).await,
            Route::Shares => {
                self.list_shares(caller, (asked.query, asked.base_url))
                    .await
            }
            Route::InheritedShares => {
                let what = (asked.query, asked.base_url);
                self.list_inherited_shares(caller, what).await
            }
            Route::Share(id) => self.show_share(caller, (id, asked.base_url)).await,
            Route::CreateShare => {
                self.create_share(caller, (asked.query, asked.base_url))
                    .await
            }
            Route::ChangeShare(id) => {
                let what = (id, asked.query, asked.base_url);
                self.change_share(caller, what).await
            }
            Route::EndShare(id) => self.end_share(caller, id).await,
            Route::Activity(filter) => Box::pin(self.list_activity(caller, filter, asked)).await,
            Route::Sharees => self.find_sharees(caller, asked).await,
            Route::RecommendedSharees => self.recommend_sharees(caller, asked.query).await,
            Route::Nothing => Ok(Data::tagged(json!([]))),
        }
    }
}

/// The end points of OCS.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Capabilities,
    Me,
    Users,
    UsersWithDetails,
    User(&'a str),
    GroupsOf(&'a str),
    Groups,
    Members(&'a str),
    GetAppPassword,
    EndAppPassword,
    LockFile(&'a str),
    UnlockFile(&'a str),
    SearchProviders,
    SearchFiles,
    Shares,
    InheritedShares,
    Share(&'a str),
    CreateShare,
    ChangeShare(&'a str),
    EndShare(&'a str),
    /// What happened, of a kind.
    Activity(&'a str),
    Sharees,
    RecommendedSharees,
    /// No application beside the files: an empty list.
    Nothing,
}

impl<'a> Route<'a> {
    fn of(method: &Method, segments: &'a [String]) -> Option<Self> {
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = match *method {
            Method::HEAD => "GET",
            _ => method.as_str(),
        };
        match (method, words.as_slice()) {
            ("GET", ["cloud", "capabilities"]) => Some(Self::Capabilities),
            ("GET", ["cloud", "user"]) => Some(Self::Me),
            ("GET", ["cloud", "users"]) => Some(Self::Users),
            ("GET", ["cloud", "users", "details"]) => Some(Self::UsersWithDetails),
            ("GET", ["cloud", "users", name]) => Some(Self::User(name)),
            ("GET", ["cloud", "users", name, "groups"]) => Some(Self::GroupsOf(name)),
            ("GET", ["cloud", "groups"]) => Some(Self::Groups),
            ("GET", ["cloud", "groups", name] | ["cloud", "groups", name, "users"]) => {
                Some(Self::Members(name))
            }
            ("GET", ["core", "getapppassword"]) => Some(Self::GetAppPassword),
            ("DELETE", ["core", "apppassword"]) => Some(Self::EndAppPassword),
            ("PUT", ["apps", "files_lock", "lock", number]) => Some(Self::LockFile(number)),
            ("DELETE", ["apps", "files_lock", "lock", number]) => Some(Self::UnlockFile(number)),
            ("GET", ["search", "providers"]) => Some(Self::SearchProviders),
            ("GET", ["search", "providers", "files", "search"]) => Some(Self::SearchFiles),
            ("GET", ["apps", "files_sharing", "api", "v1", "sharees"]) => Some(Self::Sharees),
            ("GET", ["apps", "files_sharing", "api", "v1", "sharees_recommended"]) => {
                Some(Self::RecommendedSharees)
            }
            ("GET", ["apps", "activity", "api", "v2", "activity"]) => Some(Self::Activity("all")),
            ("GET", ["apps", "activity", "api", "v2", "activity", filter]) => {
                Some(Self::Activity(filter))
            }
            ("GET", ["core", "navigation", "apps"]) => Some(Self::Nothing),
            (method, ["apps", "files_sharing", "api", "v1", rest @ ..]) => {
                Self::of_sharing(method, rest)
            }
            _ => None,
        }
    }

    /// The end points of shares, by what stands behind their common front.
    fn of_sharing(method: &str, words: &[&'a str]) -> Option<Self> {
        match (method, words) {
            ("GET", ["shares"]) => Some(Self::Shares),
            ("POST", ["shares"]) => Some(Self::CreateShare),
            ("GET", ["shares", "inherited"]) => Some(Self::InheritedShares),
            // What is given is there at once: nothing waits for consent, nothing comes from other servers.
            (
                "GET",
                ["shares" | "remote_shares", "pending"] | ["deletedshares" | "remote_shares"],
            ) => Some(Self::Nothing),
            ("GET", ["shares", id]) => Some(Self::Share(id)),
            ("PUT", ["shares", id]) => Some(Self::ChangeShare(id)),
            ("DELETE", ["shares", id]) => Some(Self::EndShare(id)),
            _ => None,
        }
    }
}

impl Nextcloud {
    /// Exchanges the password of a person for an app password of the program that they use.
    async fn give_app_password(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Data, OcsError> {
        if caller.token.is_some() {
            return Err(OcsError::Forbidden);
        }
        let device = device_flow::device_of(headers);
        let password = self.new_app_password(&caller.name, &device).await?;
        Ok(Data::secret(json!({"apppassword": password})))
    }

    /// Ends the app password with which the caller came.
    async fn end_app_password(&self, caller: &Caller) -> Result<Data, OcsError> {
        let token = caller.token.ok_or(OcsError::Forbidden)?;
        self.identity.revoke_token(&caller.name, token).await?;
        Ok(json!([]).into())
    }
}

/// What end points of OCS look at.
struct OcsRequest<'a> {
    base_url: &'a str,
    path: &'a str,
    client: IpAddr,
    headers: &'a HeaderMap,
    query: &'a Query,
}

/// Returns the decoded segments of a path, empty ones left out.
fn segments_of(path: &str) -> Vec<String> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

/// What the server says of itself to whoever looks for one.
fn status_of(settings: &NextcloudSettings) -> Value {
    let version = settings.version_text();
    json!({
        "installed": true,
        "maintenance": false,
        "needsDbUpgrade": false,
        "version": format!("{version}.0"),
        "versionstring": version,
        "edition": "",
        "productname": settings.theme.name,
        "extendedSupport": false,
    })
}

/// Returns a JSON answer that nobody keeps.
fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    let mut set = |name, value| {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    };
    set(header::CONTENT_TYPE, "application/json; charset=utf-8");
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Leads a client elsewhere for good.
fn moved(place: &str) -> Response<Body> {
    let mut response = nothing();
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// Returns what clients take for "this server does not have it": never a page.
fn nothing() -> Response<Body> {
    json_answer(StatusCode::NOT_FOUND, &json!([]))
}
