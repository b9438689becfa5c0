//! What clients of the Nextcloud family ask besides WebDAV: status, OCS, sign-in of devices.
//!
//! # Always true
//!
//! * Nothing is decided here: who somebody is, `identity` says; what they may do, `files` says.
//! * What is not served is answered as those clients tolerate it.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::files::Files;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::empty;
use crate::http::body::full;
use crate::identity::Caller;
use crate::identity::Identity;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct NextcloudSettings {
    /// Ends every `oc:id`, the same for the life of an installation.
    pub instance: String,
    /// The version of Nextcloud that clients are told, as `32.0.1`.
    pub version: String,
}

/// The service.
pub struct Nextcloud {
    #[expect(dead_code, reason = "the next steps need it")]
    identity: Arc<Identity>,
    #[expect(dead_code, reason = "the next steps need it")]
    files: Arc<Files>,
    settings: NextcloudSettings,
}

/// A request with what the routes know of it.
pub struct Visit {
    /// The path, without a leading `/index.php`.
    pub path: String,
    /// The address under which the client knows the server, without a slash at its end.
    pub base_url: String,
    /// Who sent it.
    pub client: IpAddr,
    /// The request itself.
    pub request: Request<RequestBody>,
}

impl Nextcloud {
    /// Builds the service over the core.
    pub fn new(identity: Arc<Identity>, files: Arc<Files>, settings: NextcloudSettings) -> Self {
        Self {
            identity,
            files,
            settings,
        }
    }

    /// Returns whether a path (without `/index.php`) belongs here.
    pub fn owns(path: &str) -> bool {
        matches!(path, "/status.php" | "/204")
    }

    /// Answers a request.
    #[expect(clippy::unused_async, reason = "the next steps wait for the core")]
    pub async fn serve(&self, visit: Visit) -> (Response<Body>, Option<Caller>) {
        let response = match visit.path.as_str() {
            "/204" => {
                let mut response = Response::new(empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            _ => self.status(),
        };
        (response, None)
    }

    fn status(&self) -> Response<Body> {
        let version = &self.settings.version;
        let text = format!(
            "{{\"installed\":true,\"maintenance\":false,\"needsDbUpgrade\":false,\
             \"version\":\"{version}.0\",\"versionstring\":\"{version}\",\"edition\":\"\",\
             \"productname\":\"Nuage\",\"extendedSupport\":false}}"
        );
        let mut response = Response::new(full(text));
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
