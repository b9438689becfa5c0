//! Which URL leads where: the table of the whole server, on one screen.
//!
//! Everything below a DAV address belongs to its adapter, whatever the method; a caller
//! is known before it gets there. The rest are small answers of the server itself.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header::ALLOW;
use http::header::AUTHORIZATION;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http::header::LOCATION;
use http::header::USER_AGENT;
use http::header::X_CONTENT_TYPE_OPTIONS;
use metrics_exporter_prometheus::PrometheusHandle;
use percent_encoding::percent_decode_str;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::dav::Dav;
use crate::dav::Mount;
use crate::http::address::BaseUrl;
use crate::http::address::TrustedProxies;
use crate::http::authenticate::authenticate;
use crate::http::authenticate::basic_credentials;
use crate::http::authenticate::refuse;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::empty;
use crate::http::body::full;
use crate::http::body::refuse_while_sending;
use crate::http::compress::compress;
use crate::http::compress::takes_gzip;
use crate::http::observe::Handler;
use crate::http::observe::LogNotes;
use crate::http::observe::Peer;
use crate::http::session::Cookie;
use crate::http::visit::Visit;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::error::IdentityError;
use crate::identity::names::AccountName;
use crate::nextcloud::Nextcloud;
use crate::sharing::Entrance;
use crate::sharing::LinkRefusal;
use crate::sharing::ShareId;
use crate::sharing::Sharing;
use crate::store::metadata::MetadataStore;
use crate::telemetry::Gauges;
use crate::web::Web;
use crate::web::assets;

const DAV: &str = "/dav";
/// The same home at the address that clients of long ago know.
const WEBDAV: &str = "/remote.php/webdav";
const FILES_OF_USER: &str = "/remote.php/dav/files/";
/// What a link leads to, by WebDAV: below it, the token.
const PUBLIC_FILES: &str = "/public.php/dav/files/";
/// The same at the address that clients of long ago know.
const PUBLIC_WEBDAV: &str = "/public.php/webdav";
/// How long the database may take to prove that the server can work.
const READY_TIMEOUT: Duration = Duration::from_secs(2);
const TEXT: &str = "text/plain; charset=utf-8";
/// The form in which Prometheus reads figures.
const FIGURES: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the routes lead to; filled once, at the start.
pub struct Routes {
    /// Who is calling.
    pub identity: Arc<Identity>,
    /// The WebDAV adapter.
    pub dav: Arc<Dav>,
    /// What clients of the Nextcloud family ask besides WebDAV.
    pub nextcloud: Arc<Nextcloud>,
    /// Pages of links.
    pub web: Arc<Web>,
    /// What the web page asks.
    pub api: Arc<Api>,
    /// Who opens a link is asked here.
    pub sharing: Arc<Sharing>,
    /// Whether the database answers is asked here.
    pub metadata: Arc<MetadataStore>,
    /// Whose word about the client is believed.
    pub proxies: TrustedProxies,
    /// The address that people know, without a slash at its end.
    pub public_url: Option<String>,
    /// The figures; `None`: they have a listening address of their own.
    pub figures: Option<Arc<Figures>>,
    /// Cancelled when the server is to stop.
    pub stop: CancellationToken,
}

impl Handler for Routes {
    async fn respond(&self, peer: Peer, request: Request<RequestBody>) -> Response<Body> {
        let client = self
            .proxies
            .client_address(peer.address.ip(), request.headers());
        let takes_gzip = takes_gzip(request.headers());
        let (mut response, caller) = Box::pin(self.route(peer, client, request)).await;
        if takes_gzip {
            response = compress(response);
        }
        let caller = caller.map(|caller| caller.name);
        response
            .extensions_mut()
            .insert(LogNotes { caller, client });
        response
    }
}

impl Routes {
    async fn route(
        &self,
        peer: Peer,
        client: IpAddr,
        mut request: Request<RequestBody>,
    ) -> (Response<Body>, Option<Caller>) {
        let path = without_front(request.uri().path());
        let (is_page, is_call) = (Web::owns(path), Nextcloud::owns(path));
        let is_api = Api::owns(path);
        if is_page || is_call || is_api {
            let visit = Visit {
                path: path.to_owned(),
                base_url: self.base_url(peer, &request),
                client,
                stop: self.stop.clone(),
                request,
            };
            return if is_page {
                self.web.serve(visit).await
            } else if is_api {
                self.api.serve(visit).await
            } else {
                self.nextcloud.serve(visit).await
            };
        }
        if let Some(place) = LinkPlace::of(path) {
            let is_https = self.base_url(peer, &request).starts_with("https://");
            return self.serve_link(place, (client, is_https), request).await;
        }
        if let Some(place) = DavPlace::of(path) {
            let base_url = BaseUrl(self.base_url(peer, &request).into());
            request.extensions_mut().insert(base_url);
            return self.serve_dav(place, client, request).await;
        }
        let response = match path {
            "/" => root(&self.base_url(peer, &request), &request),
            "*" if request.method() == Method::OPTIONS => options(),
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness().await,
            "/metrics" => self.show_figures(client, peer, request.headers()),
            _ => assets::serve(path, request.method(), request.headers()).unwrap_or_else(not_found),
        };
        (response, None)
    }

    /// Serves a DAV address to whoever signs in.
    async fn serve_dav(
        &self,
        place: DavPlace,
        client: IpAddr,
        request: Request<RequestBody>,
    ) -> (Response<Body>, Option<Caller>) {
        let (parts, body) = request.into_parts();
        if is_office_looking_around(&parts.method, &parts.headers) {
            return (options_of_dav(), None);
        }
        let caller = match authenticate(&self.identity, &parts.headers, client).await {
            Ok(caller) => caller,
            Err(error) => {
                let refusal = refuse(&error, &parts.headers);
                return (refuse_while_sending(&parts, body, refusal), None);
            }
        };
        let request = Request::from_parts(parts, body);
        let response = match place {
            DavPlace::Home(prefix) if may_use(&prefix, &caller) => {
                let mount = Mount { prefix };
                self.dav.serve(mount, caller.clone(), request).await
            }
            DavPlace::Home(_) => not_found(),
            DavPlace::Area => self.dav.serve_area(caller.clone(), request).await,
        };
        (response, Some(caller))
    }

    /// Serves what a link leads to, by WebDAV, to whoever has it.
    async fn serve_link(
        &self,
        place: LinkPlace,
        (client, is_https): (IpAddr, bool),
        request: Request<RequestBody>,
    ) -> (Response<Body>, Option<Caller>) {
        let (parts, body) = request.into_parts();
        let credentials = basic_credentials(&parts.headers);
        let (name, password) = credentials.unzip();
        let pass = |link: ShareId| {
            let kept = Cookie::Link(link.0).read(&parts.headers, is_https);
            kept.map(str::to_owned)
        };
        let entrance = Entrance {
            password: password.as_deref(),
            pass: Some(&pass),
        };
        let token = match &place {
            LinkPlace::Named { token, .. } => Some(token.clone()),
            LinkPlace::BySignIn => name,
        };
        let opened = match token {
            Some(token) => self.sharing.open_link(&token, entrance, client).await,
            None => Err(LinkRefusal::PasswordNeeded { was_wrong: false }),
        };
        let caller = match opened {
            Ok(caller) => caller,
            Err(refusal) => {
                let answer = refuse_link(&refusal, &parts.headers);
                return (refuse_while_sending(&parts, body, answer), None);
            }
        };
        let prefix = match place {
            LinkPlace::Named { prefix, .. } => prefix,
            LinkPlace::BySignIn => PUBLIC_WEBDAV.to_owned(),
        };
        let request = Request::from_parts(parts, body);
        let mount = Mount { prefix };
        let response = self.dav.serve(mount, caller.clone(), request).await;
        (response, Some(caller))
    }

    async fn readiness(&self) -> Response<Body> {
        if self.stop.is_cancelled() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        let asked = tokio::time::timeout(READY_TIMEOUT, self.metadata.data_version());
        match asked.await {
            Ok(Ok(_)) => plain(StatusCode::OK, "ready\n"),
            Ok(Err(error)) => {
                tracing::error!(%error, "not ready: the database fails");
                plain(StatusCode::SERVICE_UNAVAILABLE, "the database fails\n")
            }
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the database is busy\n"),
        }
    }

    /// Shows the figures to programs of the same machine, when they have no address of their own.
    fn show_figures(&self, client: IpAddr, peer: Peer, headers: &HeaderMap) -> Response<Body> {
        let is_local = client.is_loopback()
            && peer.address.ip().to_canonical().is_loopback()
            && !headers.contains_key("x-forwarded-for")
            && !headers.contains_key("forwarded");
        match &self.figures {
            Some(figures) if is_local => figures.show(),
            Some(_) => plain(
                StatusCode::FORBIDDEN,
                "Figures are shown to the same machine only. Set metrics.listen for others.\n",
            ),
            None => not_found(),
        }
    }

    /// Returns the address under which this client knows the server.
    fn base_url(&self, peer: Peer, request: &Request<RequestBody>) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let headers = request.headers();
        let encrypted = self
            .proxies
            .is_encrypted(peer.address.ip(), peer.is_tls, headers);
        let scheme = if encrypted { "https" } else { "http" };
        let host = request
            .uri()
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| headers.get(HOST)?.to_str().ok())
            .filter(|host| host.bytes().all(is_host_byte))
            .unwrap_or("localhost");
        format!("{scheme}://{host}")
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte)
}

/// Returns a path without the name of Nextcloud's front controller, which clients may put before any.
fn without_front(path: &str) -> &str {
    match path.strip_prefix("/index.php") {
        Some(rest) if rest.starts_with('/') => rest,
        Some("") => "/",
        Some(_) | None => path,
    }
}

/// What WebDAV serves at an address.
#[derive(Debug, PartialEq, Eq)]
enum DavPlace {
    /// Somebody's files, under this prefix.
    Home(String),
    /// What lies beside them below `/remote.php/dav`.
    Area,
}

impl DavPlace {
    fn of(path: &str) -> Option<Self> {
        if let Some(prefix) = mount_prefix(path) {
            return Some(Self::Home(prefix.to_owned()));
        }
        is_below(path, "/remote.php/dav").then_some(Self::Area)
    }
}

fn is_below(path: &str, place: &str) -> bool {
    let rest = path.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the part of a path under which somebody's home appears, as the client wrote it.
fn mount_prefix(path: &str) -> Option<&str> {
    if let Some(home) = [DAV, WEBDAV].into_iter().find(|home| is_below(path, home)) {
        return Some(home);
    }
    let rest = path.strip_prefix(FILES_OF_USER)?;
    let user = rest.split('/').next().filter(|user| !user.is_empty())?;
    path.get(..FILES_OF_USER.len() + user.len())
}

/// Where WebDAV shows what a link leads to.
#[derive(Debug, PartialEq, Eq)]
enum LinkPlace {
    /// Below an address with the token in it.
    Named { token: String, prefix: String },
    /// At the address of long ago: the token comes in place of a sign-in name.
    BySignIn,
}

impl LinkPlace {
    fn of(path: &str) -> Option<Self> {
        if is_below(path, PUBLIC_WEBDAV) {
            return Some(Self::BySignIn);
        }
        let rest = path.strip_prefix(PUBLIC_FILES)?;
        let token = rest.split('/').next().filter(|token| !token.is_empty())?;
        let prefix = path.get(..PUBLIC_FILES.len() + token.len())?.to_owned();
        let token = percent_decode_str(token).decode_utf8().ok()?.into_owned();
        Some(Self::Named { token, prefix })
    }
}

/// Answers somebody for whom a link does not open.
fn refuse_link(refusal: &LinkRefusal, headers: &HeaderMap) -> Response<Body> {
    let unavailable = IdentityError::Busy;
    match refusal {
        LinkRefusal::Unknown => not_found(),
        LinkRefusal::TooManyWrong => {
            let retry_after_seconds = 600;
            let error = IdentityError::Throttled {
                retry_after_seconds,
            };
            refuse(&error, headers)
        }
        LinkRefusal::PasswordNeeded { .. } => refuse(&IdentityError::Unauthenticated, headers),
        LinkRefusal::Identity(error) => refuse(error, headers),
        LinkRefusal::Unavailable(error) => {
            tracing::error!(%error, "a link could not be looked up");
            refuse(&unavailable, headers)
        }
    }
}

/// Returns whether an address belongs to its caller: `/dav` is everybody's own home.
fn may_use(prefix: &str, caller: &Caller) -> bool {
    let Some(user) = prefix.strip_prefix(FILES_OF_USER) else {
        return true;
    };
    let Ok(user) = percent_decode_str(user).decode_utf8() else {
        return false;
    };
    let names = [user.as_ref(), caller.name.as_ref()].map(AccountName::parse);
    matches!(names, [Ok(asked), Ok(own)] if asked.fold() == own.fold())
}

/// What is served at the address of the figures, when they have one of their own.
pub struct Figures {
    handle: PrometheusHandle,
    gauges: Gauges,
}

impl Figures {
    /// Shows what this recorder gathers.
    pub fn new(handle: PrometheusHandle, gauges: Gauges) -> Self {
        Self { handle, gauges }
    }

    /// Lets go of what the recorder holds back; to be called now and then.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn show(&self) -> Response<Body> {
        // Three looks at the file system, each of microseconds.
        self.gauges.refresh();
        answer(StatusCode::OK, FIGURES, self.handle.render())
    }
}

/// Serves the figures alone.
pub struct FiguresOnly(pub Arc<Figures>);

impl Handler for FiguresOnly {
    async fn respond(&self, _peer: Peer, request: Request<RequestBody>) -> Response<Body> {
        match request.uri().path() {
            "/metrics" => self.0.show(),
            _ => not_found(),
        }
    }
}

fn answer(status: StatusCode, media_type: &'static str, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(full(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, TEXT, text)
}

fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "There is nothing at this address.\n")
}

/// Answers the question of programs that ask the server, not a folder, what it can.
///
/// Windows and macOS ask at the root before they mount anything below it.
fn options() -> Response<Body> {
    let mut response = Response::new(empty());
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("OPTIONS, GET, HEAD"));
    headers.insert("dav", HeaderValue::from_static("1, 2, 3"));
    headers.insert("ms-author-via", HeaderValue::from_static("DAV"));
    response
}

/// Returns whether a program of Microsoft Office asks without credentials what can be done somewhere.
///
/// It asks so for every folder above a document of a mounted drive, although the drive has credentials,
/// and bothers people for a password if it is refused.
fn is_office_looking_around(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    let is_office = text(USER_AGENT).is_some_and(|agent| agent.starts_with(b"Microsoft Office"));
    let is_anonymous = text(AUTHORIZATION).is_none_or(|value| value.trim_ascii() == b"Bearer");
    *method == Method::OPTIONS && is_office && is_anonymous
}

/// Answers what WebDAV can do, the same for every address, whether there is anything or not.
fn options_of_dav() -> Response<Body> {
    let mut response = options();
    let allowed =
        "OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK";
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// The root: the web page, and for programs where the files are.
fn root(base_url: &str, request: &Request<RequestBody>) -> Response<Body> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return options(),
        _ => {
            let mut response = plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "Files are below /dav/, not here.\n",
            );
            let allowed = HeaderValue::from_static("OPTIONS, GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            if let Ok(place) = HeaderValue::from_str(&format!("{base_url}{DAV}/")) {
                response.headers_mut().insert(LOCATION, place);
            }
            return response;
        }
    }
    let page = assets::serve("/", request.method(), request.headers());
    page.unwrap_or_else(not_found)
}

/// Returns the address that a listening socket can be reached at from the same machine.
pub fn local_url(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use super::mount_prefix;

    #[test]
    fn only_whole_segments_lead_to_a_mount() {
        assert_eq!(mount_prefix("/dav"), Some("/dav"));
        assert_eq!(mount_prefix("/dav/a/b"), Some("/dav"));
        assert_eq!(mount_prefix("/davs/a"), None);
        assert_eq!(mount_prefix("//dav/a"), None);
        let alice = "/remote.php/dav/files/al%69ce";
        assert_eq!(mount_prefix(alice), Some(alice));
        assert_eq!(mount_prefix(&format!("{alice}/x/y")), Some(alice));
        assert_eq!(mount_prefix("/remote.php/dav/files/"), None);
        assert_eq!(mount_prefix("/remote.php/dav/files//x"), None);
        assert_eq!(mount_prefix("/"), None);
        assert_eq!(
            mount_prefix("/remote.php/webdav/a"),
            Some("/remote.php/webdav")
        );
    }
}
