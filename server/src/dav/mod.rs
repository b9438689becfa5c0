//! The WebDAV adapter's door.

use std::sync::Arc;

use http::Request;
use http::Response;
use http::StatusCode;

use crate::files::Files;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::empty;
use crate::identity::Caller;

/// Settings of the adapter.
#[derive(Debug, Clone, Default)]
pub struct DavSettings {}

/// Where the caller's home appears.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The prefix of URLs, as the client wrote it, without a slash at its end.
    pub prefix: String,
}

/// The door.
#[derive(Debug)]
pub struct Dav {
    files: Arc<Files>,
}

impl Dav {
    /// Builds the adapter over the core.
    pub fn new(files: Arc<Files>, _settings: DavSettings) -> Self {
        Self { files }
    }

    /// Answers a request.
    pub async fn serve(
        &self,
        _mount: Mount,
        _caller: Caller,
        _request: Request<RequestBody>,
    ) -> Response<Body> {
        let _now = self.files.now();
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    }
}
