//! What clients of the Nextcloud family ask besides WebDAV: status, OCS, sign-in of devices.
//!
//! # Always true
//!
//! * Nothing is decided here: who somebody is, `identity` says; what they may do, `files` says.
//! * What is not served is answered as those clients tolerate it: in the envelope of OCS, or
//!   404 with an empty list; never with a page.
//!
//! # Deliberately absent
//!
//! Cookies and sessions on these addresses: every request carries its own credentials. Only the pages
//! where a person signs in have them.

mod capabilities;
mod ocs;
mod previews;
mod push;
mod users;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::files::Files;
use crate::http::authenticate::authenticate;
use crate::http::authenticate::refuse;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::empty;
use crate::http::body::full;
use crate::identity::Account;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::AdminError;
use crate::identity::error::IdentityError;
use crate::nextcloud::ocs::Envelope;
use crate::nextcloud::ocs::Fault;
use crate::nextcloud::push::Push;
use crate::previews::Previews;

pub use crate::nextcloud::push::PushSettings;

/// People that one answer lists at most.
const LISTED_MAX: usize = 500;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct NextcloudSettings {
    /// The version of Nextcloud that clients are told, as `32.0.1`.
    pub version: String,
    /// The largest part of a file that clients shall send, in bytes.
    pub upload_part_bytes: u64,
    /// How long a link to one file holds, in seconds.
    pub direct_link_seconds: i64,
    /// Who may listen, and how often they are told.
    pub push: PushSettings,
}

/// The service.
pub struct Nextcloud {
    identity: Arc<Identity>,
    files: Arc<Files>,
    previews: Arc<Previews>,
    settings: NextcloudSettings,
    push: Arc<Push>,
}

/// A request with what the routes know of it.
pub struct Visit {
    /// The path, without a leading `/index.php`.
    pub path: String,
    /// The address under which the client knows the server, without a slash at its end.
    pub base_url: String,
    /// Who sent it.
    pub client: IpAddr,
    /// Cancelled when the server is to stop.
    pub stop: CancellationToken,
    /// The request itself.
    pub request: Request<RequestBody>,
}

impl Visit {
    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }

    /// Returns a parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        let query = self.query()?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        Some(value.into_owned())
    }
}

/// An answer, and who got it where that is known.
type Answered = (Response<Body>, Option<Caller>);

impl Nextcloud {
    /// Builds the service over the core.
    pub fn new(
        identity: Arc<Identity>,
        files: Arc<Files>,
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
            previews,
            settings,
            push,
        }
    }

    /// Returns whether a path (without `/index.php`) belongs here.
    pub fn owns(path: &str) -> bool {
        const WHOLE: [&str; 4] = ["/status.php", "/204", "/push/ws", "/.well-known/webdav"];
        const TREES: [&str; 5] = [
            "/ocs/v1.php/",
            "/ocs/v2.php/",
            "/apps/",
            "/core/",
            previews::DIRECT,
        ];
        WHOLE.contains(&path) || TREES.iter().any(|tree| path.starts_with(tree))
    }

    /// Answers a request.
    pub async fn serve(&self, mut visit: Visit) -> Answered {
        match visit.path.as_str() {
            "/status.php" => (self.status(), None),
            "/204" => (bare(StatusCode::NO_CONTENT), None),
            "/.well-known/webdav" => (moved("/remote.php/dav/"), None),
            "/push/ws" => (self.push.open(&mut visit), None),
            "/apps/notify_push/pre_auth" => self.pre_authenticate(&visit).await,
            path if previews::asks_for_link(path) => self.give_link(visit).await,
            path if path.starts_with("/ocs/") => self.serve_ocs(&visit).await,
            path if path.starts_with(previews::DIRECT) => self.serve_link(&visit).await,
            path if previews::is_preview(path) => self.serve_preview(&visit).await,
            _ => (nothing(), None),
        }
    }

    /// Says that here is a server, and which.
    fn status(&self) -> Response<Body> {
        let version = &self.settings.version;
        let mut response = json_answer(
            StatusCode::OK,
            &json!({
                "installed": true,
                "maintenance": false,
                "needsDbUpgrade": false,
                "version": format!("{version}.0"),
                "versionstring": version,
                "edition": "",
                "productname": "Nuage",
                "extendedSupport": false,
            }),
        );
        let anybody = HeaderValue::from_static("*");
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody);
        response
    }

    /// Gives a ticket to listen.
    async fn pre_authenticate(&self, visit: &Visit) -> Answered {
        if visit.request.method() != Method::POST {
            return (bare(StatusCode::METHOD_NOT_ALLOWED), None);
        }
        match authenticate(&self.identity, visit.headers(), visit.client).await {
            Ok(caller) => (self.push.pre_authenticate(&caller).await, Some(caller)),
            Err(error) => (refuse(&error), None),
        }
    }

    async fn serve_ocs(&self, visit: &Visit) -> Answered {
        let Some((envelope, route)) = Envelope::of(&visit.path, visit.query(), visit.headers())
        else {
            return (nothing(), None);
        };
        let asks_capabilities = route == "/cloud/capabilities" && is_reading(visit);
        let caller = match authenticate(&self.identity, visit.headers(), visit.client).await {
            Ok(caller) => caller,
            Err(IdentityError::Unauthenticated)
                if asks_capabilities && !visit.headers().contains_key(header::AUTHORIZATION) =>
            {
                let data = capabilities::anonymous(&self.settings, &visit.base_url);
                return (envelope.wrap_cached(data, visit.headers()), None);
            }
            Err(error) => return (envelope.wrap(Err(error.into())), None),
        };
        if asks_capabilities {
            let data = capabilities::full(&self.settings, &visit.base_url);
            return (envelope.wrap_cached(data, visit.headers()), Some(caller));
        }
        let outcome = self.answer_ocs(visit, route, &caller).await;
        (envelope.wrap(outcome), Some(caller))
    }

    async fn answer_ocs(
        &self,
        visit: &Visit,
        route: &str,
        caller: &Caller,
    ) -> Result<Value, Fault> {
        let parts: Vec<&str> = route.split('/').skip(1).collect();
        match (visit.request.method().as_str(), parts.as_slice()) {
            ("GET", ["cloud", "user"]) => self.person(&caller.name).await,
            ("GET", ["cloud", "users"]) => self.people(visit, caller).await,
            ("GET", ["cloud", "users", name]) => {
                let name = decoded(name)?;
                if !caller.is_admin && !is_self(caller, &name) {
                    return Err(Fault::UnknownRoute);
                }
                self.person(&name).await
            }
            ("GET", ["cloud", "users", name, "groups"]) => {
                let name = decoded(name)?;
                if !caller.is_admin && !is_self(caller, &name) {
                    return Err(Fault::UnknownRoute);
                }
                let account = self.identity.find_account(&name).await?;
                let groups = self.identity.list_teams_of(account.id).await?;
                Ok(json!({"groups": groups}))
            }
            ("GET", ["cloud", "groups"]) if caller.is_admin => {
                let teams = self.identity.list_teams().await?;
                let names = teams.iter().map(|team| team.name.as_str());
                Ok(json!({"groups": page(visit, names)}))
            }
            ("GET", ["cloud", "groups", name] | ["cloud", "groups", name, "users"])
                if caller.is_admin =>
            {
                let team = self.identity.find_team(&decoded(name)?).await?;
                let members = self.identity.list_members(team.id).await?;
                let names = members.iter().map(|member| member.name.as_str());
                Ok(json!({"users": page(visit, names)}))
            }
            ("GET", ["core", "navigation", "apps"]) => Ok(json!([{
                "id": "files",
                "order": 0,
                "href": format!("{}/", visit.base_url),
                "icon": "",
                "type": "link",
                "name": "Nuage",
                "app": "files",
                "active": false,
                "classes": "",
                "unread": 0,
            }])),
            ("GET", ["apps", "notifications", "api", ..] | ["search", "providers"]) => {
                Ok(json!([]))
            }
            ("GET", ["apps", "user_status", ..]) => Err(Fault::NotFound(
                "No status for the current user",
                "Aucun statut pour cet utilisateur",
            )),
            _ => Err(Fault::UnknownRoute),
        }
    }

    /// Describes a person whom the caller may see.
    async fn person(&self, name: &str) -> Result<Value, Fault> {
        let account: Account = self.identity.find_account(name).await?;
        let groups = self.identity.list_teams_of(account.id).await?;
        let quota = self.files.quota_of(account.home_use);
        Ok(users::describe(&account, quota, &groups))
    }

    /// Lists people by name, for administrators.
    async fn people(&self, visit: &Visit, caller: &Caller) -> Result<Value, Fault> {
        if !caller.is_admin {
            return Err(Fault::Forbidden(
                "Only administrators may list people.",
                "Seuls les administrateurs peuvent lister les personnes.",
            ));
        }
        let accounts = self.identity.list_accounts().await?;
        let names = accounts.iter().map(|account| account.name.as_str());
        Ok(json!({"users": page(visit, names)}))
    }
}

/// Cuts names that hold what is searched for to the page that was asked for.
fn page<'n>(visit: &Visit, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let number = |name: &str| visit.parameter(name)?.parse::<usize>().ok();
    let wanted = visit.parameter("search").unwrap_or_default().to_lowercase();
    let limit = number("limit").unwrap_or(LISTED_MAX).min(LISTED_MAX);
    names
        .filter(|name| name.to_lowercase().contains(&wanted))
        .skip(number("offset").unwrap_or(0))
        .take(limit)
        .collect()
}

fn is_self(caller: &Caller, name: &str) -> bool {
    caller.name.to_lowercase() == name.to_lowercase()
}

fn is_reading(visit: &Visit) -> bool {
    matches!(*visit.request.method(), Method::GET | Method::HEAD)
}

fn decoded(part: &str) -> Result<String, Fault> {
    let text = percent_encoding::percent_decode_str(part).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_not_utf8| Fault::UnknownRoute)
}

impl From<IdentityError> for Fault {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unauthenticated => Self::NotSignedIn,
            IdentityError::Throttled {
                retry_after_seconds,
            } => Self::Throttled(retry_after_seconds),
            IdentityError::Busy => Self::Unavailable,
            IdentityError::Unavailable(source) => {
                tracing::error!(error = %source, "a sign-in could not be decided");
                Self::Unavailable
            }
        }
    }
}

impl From<AdminError> for Fault {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NoSuchAccount { .. } | AdminError::NoSuchTeam { .. } => Self::UnknownRoute,
            error => {
                tracing::error!(%error, "a question about people was not answered");
                Self::Unavailable
            }
        }
    }
}

/// Returns an answer without a body.
fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// Leads to another address for good.
fn moved(to: &'static str) -> Response<Body> {
    let mut response = bare(StatusCode::MOVED_PERMANENTLY);
    let to = HeaderValue::from_static(to);
    response.headers_mut().insert(header::LOCATION, to);
    response
}

/// Returns an answer in JSON, outside of OCS.
fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let form = HeaderValue::from_static("application/json; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, form);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Says, as clients tolerate it, that nothing is served here.
fn nothing() -> Response<Body> {
    json_answer(StatusCode::NOT_FOUND, &json!([]))
}
