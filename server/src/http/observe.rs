//! Around every request: its number, a line in the log, figures, and a net for panics.
//!
//! A request is over when its answer has been sent whole or was given up, not when the
//! answer began; only then is it logged and counted. A line never holds a query, a header,
//! a body or the part of a path that opens something: those may be secrets.

use std::any::Any;
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tracing::Instrument;

use crate::http::activity::Activity;
use crate::http::activity::Running;
use crate::http::body::Body;
use crate::http::body::BodyFault;
use crate::http::body::RequestBody;
use crate::http::body::full;

/// The header by which a client, or a proxy's log, knows a request of ours.
const REQUEST_ID: &str = "x-request-id";
/// The status in the log of a request whose client left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address; behind a proxy, the proxy's.
    pub address: SocketAddr,
    /// Whether the server itself encrypts the connection.
    pub is_tls: bool,
}

/// Answers requests; one for each listening address.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request, whatever it is.
    fn respond(
        &self,
        peer: Peer,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What the log says of a request beyond its first line; put among the extensions of an answer.
#[derive(Debug, Clone)]
pub struct LogNotes {
    /// Who sent it.
    pub caller: Option<Arc<str>>,
    /// Where it really came from.
    pub client: std::net::IpAddr,
}

/// A number of a request, unlike all others of this process.
#[derive(Debug, Clone, Copy)]
struct RequestNumber(u64);

impl RequestNumber {
    /// Draws the next number.
    ///
    /// The upper half tells this run of the server from others.
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        if next.trailing_zeros() >= 32 {
            let run = u64::from(rand::random::<u32>()) << 32;
            NEXT.store(run | 1, Ordering::Relaxed);
            return Self(run);
        }
        Self(next)
    }
}

impl fmt::Display for RequestNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Answers one request, and sees to it that it is counted, logged and survived.
pub(crate) async fn observe<H: Handler>(
    handler: Arc<H>,
    peer: Peer,
    activity: Arc<Activity>,
    body_idle: Duration,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let number = RequestNumber::next();
    let mut record = Record::begin(number, peer, &activity, &request);
    let request = request.map(|incoming| RequestBody::new(incoming, body_idle));
    let span = tracing::info_span!("request", id = %number);
    let answer = AssertUnwindSafe(handler.respond(peer, request)).catch_unwind();
    let mut response = answer
        .instrument(span)
        .await
        .unwrap_or_else(|panic| after_panic(number, panic.as_ref()));
    record.note_answer(&response);
    if let Ok(value) = HeaderValue::from_str(&number.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response.map(|body| Observed { body, record }.boxed_unsync()))
}

fn after_panic(number: RequestNumber, panic: &(dyn Any + Send)) -> Response<Body> {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(id = %number, panic = text.unwrap_or("?"), "a request made the program panic");
    metrics::counter!("nuage_http_panics_total").increment(1);
    let mut response = Response::new(full(format!(
        "The server made a mistake. If you report it, name the request {number}.\n"
    )));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// What is known of a request; written down when it is dropped.
struct Record {
    number: RequestNumber,
    began: Instant,
    method: Method,
    path: String,
    peer: Peer,
    notes: Option<LogNotes>,
    status: Option<StatusCode>,
    sent_bytes: u64,
    /// The length that the answer's head announces.
    announced_bytes: Option<u64>,
    is_whole: bool,
    running: Running,
}

impl Record {
    fn begin(
        number: RequestNumber,
        peer: Peer,
        activity: &Arc<Activity>,
        request: &Request<Incoming>,
    ) -> Self {
        metrics::gauge!("nuage_http_requests_running").increment(1.0);
        Self {
            number,
            began: Instant::now(),
            method: request.method().clone(),
            path: without_secret(request.uri().path()).into_owned(),
            peer,
            notes: None,
            status: None,
            sent_bytes: 0,
            announced_bytes: None,
            is_whole: false,
            running: activity.begin_request(),
        }
    }

    fn note_answer(&mut self, response: &Response<Body>) {
        self.status = Some(response.status());
        self.notes = response.extensions().get().cloned();
        let length = response.headers().get(CONTENT_LENGTH);
        self.announced_bytes = length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .or_else(|| http_body::Body::size_hint(response.body()).exact());
        // A client that learns from the head that there is no body may never ask for one.
        self.is_whole = http_body::Body::is_end_stream(response.body());
        self.running.begin_sending();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16());
        let method = method_label(&self.method);
        metrics::gauge!("nuage_http_requests_running").decrement(1.0);
        metrics::counter!(
            "nuage_http_requests_total",
            "method" => method,
            "status" => status_label(status)
        )
        .increment(1);
        metrics::histogram!("nuage_http_request_seconds", "method" => method)
            .record(took.as_secs_f64());
        // HEAD, 204 and 304 have no body to be sent whole.
        let is_cut = !self.is_whole && self.sent_bytes > 0;
        if is_cut {
            metrics::counter!("nuage_http_answers_cut_total").increment(1);
        }
        let client = self.notes.as_ref().map(|notes| notes.client);
        let caller = self
            .notes
            .as_ref()
            .and_then(|notes| notes.caller.as_deref());
        tracing::info!(
            target: "requests",
            id = %self.number,
            client = %client.unwrap_or(self.peer.address.ip()),
            user = caller.unwrap_or("-"),
            method = self.method.as_str(),
            path = self.path,
            status,
            sent_bytes = self.sent_bytes,
            millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            is_cut,
        );
    }
}

/// Paths behind which a segment follows that opens something to whoever knows it.
const BEFORE_SECRETS: [&str; 2] = ["/login/v2/flow/", "/remote.php/direct/"];

/// Addresses that begin like this go on with the token of a link.
const BEFORE_TOKENS: [&str; 2] = ["/s/", "/public.php/dav/files/"];

/// Returns a path as it may be written down.
fn without_secret(path: &str) -> Cow<'_, str> {
    let bare = path.strip_prefix("/index.php").unwrap_or(path);
    let token = BEFORE_TOKENS
        .iter()
        .find_map(|before| bare.strip_prefix(before).map(|rest| (before, rest)));
    if let Some((before, rest)) = token {
        let below = rest.find('/').and_then(|at| rest.get(at..));
        return Cow::Owned(format!("{before}…{}", below.unwrap_or_default()));
    }
    let found = BEFORE_SECRETS
        .iter()
        .find_map(|before| path.split_once(before).map(|(front, _)| (front, before)));
    match found {
        Some((front, before)) => Cow::Owned(format!("{front}{before}…")),
        None => Cow::Borrowed(path),
    }
}

/// Names a method for a figure: few names, whatever clients send.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 17] = [
        "GET",
        "HEAD",
        "PUT",
        "POST",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "REPORT",
        "SEARCH",
        "TRACE",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

fn status_label(status: u16) -> String {
    status.to_string()
}

/// The body of an answer, which tells when it is over.
struct Observed {
    body: Body,
    record: Record,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        this.record.running.moved();
        match &frame {
            None => this.record.is_whole = true,
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.record.sent_bytes += bytes as u64;
                // Nobody asks for the end of a body whose length was announced.
                this.record.is_whole = this.body.is_end_stream()
                    || Some(this.record.sent_bytes) == this.record.announced_bytes;
            }
            Some(Err(error)) => {
                tracing::error!(id = %this.record.number, %error, "an answer was broken off");
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::without_secret;

    #[test]
    fn what_opens_something_is_not_written_down() {
        for front in ["", "/index.php"] {
            let path = format!("{front}/login/v2/flow/abc/def");
            assert_eq!(
                without_secret(&path),
                format!("{front}/login/v2/flow/\u{2026}")
            );
        }
        assert_eq!(without_secret("/login/v2/poll"), "/login/v2/poll");
        let links = [
            ("/s/abc", "/s/\u{2026}"),
            ("/index.php/s/abc/download", "/s/\u{2026}/download"),
            (
                "/public.php/dav/files/abc/d/f",
                "/public.php/dav/files/\u{2026}/d/f",
            ),
            ("/dav/s/abc", "/dav/s/abc"),
        ];
        for (path, shown) in links {
            assert_eq!(without_secret(path), shown);
        }
    }
}
