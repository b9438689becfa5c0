//! A request with what the routes know of it.

use std::net::IpAddr;

use http::Request;
use http::Response;
use tokio_util::sync::CancellationToken;

use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::identity::Caller;

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

/// What an answer is, and who asked if that is known.
pub type Answered = (Response<Body>, Option<Caller>);
