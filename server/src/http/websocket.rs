//! WebSocket (RFC 6455): from a request to a channel of small messages.

use std::future::Future;

use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::empty;
use crate::http::body::full;

/// The longest message that is taken, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// An open channel.
pub type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// Accepts a WebSocket and lets `talk` speak on it, in a task of its own; refuses what is none.
pub fn accept<F, T>(request: &mut Request<RequestBody>, talk: T) -> Response<Body>
where
    T: FnOnce(WebSocket) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let Some(key) = key_of(request) else {
        let mut refusal = Response::new(full("This address speaks WebSocket.\n"));
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        let headers = refusal.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        let version = HeaderValue::from_static("13");
        headers.insert(header::SEC_WEBSOCKET_VERSION, version);
        return refusal;
    };
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                // Idle channels are many: each holds as little as can be.
                let config = WebSocketConfig::default()
                    .read_buffer_size(MESSAGE_BYTES_MAX)
                    .write_buffer_size(0)
                    .max_write_buffer_size(16 * MESSAGE_BYTES_MAX)
                    .max_message_size(Some(MESSAGE_BYTES_MAX))
                    .max_frame_size(Some(MESSAGE_BYTES_MAX));
                let io = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                talk(socket).await;
            }
            Err(error) => tracing::debug!(%error, "a WebSocket was not opened"),
        }
    });
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(&key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Returns the key of a handshake (RFC 6455 section 4.2.1); `None`: it is none.
fn key_of(request: &Request<RequestBody>) -> Option<Vec<u8>> {
    let headers = request.headers();
    let says = |name: header::HeaderName, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let is_handshake = request.method() == http::Method::GET
        && says(header::CONNECTION, "upgrade")
        && says(header::UPGRADE, "websocket")
        && says(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    is_handshake.then(|| key.as_bytes().to_vec())
}
