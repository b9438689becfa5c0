//! HTTP to an S3 store: the connections, their TLS, and how long anything may take.
//!
//! object_store speaks S3 and leaves HTTP to whoever builds it. Requests and connections
//! run on the runtime of the chunk store, so that none of them depends on the task, thread or
//! runtime that asked. A request that nobody waits for any more is given up.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioTimer;
use object_store::ClientOptions;
use object_store::client::HttpClient;
use object_store::client::HttpConnector;
use object_store::client::HttpError;
use object_store::client::HttpErrorKind;
use object_store::client::HttpRequest;
use object_store::client::HttpRequestBody;
use object_store::client::HttpResponse;
use object_store::client::HttpResponseBody;
use object_store::client::HttpService;
use rustls::ClientConfig;
use rustls::RootCertStore;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio_util::task::AbortOnDropHandle;

/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request may take until its answer begins; an upload's bytes travel within it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the bytes of an answer may pause.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept that nobody uses; stores close theirs after 20 s or later.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

type Connections = Client<HttpsConnector<TcpConnector>, HttpRequestBody>;

/// Makes the connections to an S3 store.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    connections: Connections,
    runtime: Handle,
}

impl Connector {
    /// Prepares connections that live on a runtime; nothing is connected yet.
    pub(super) fn new(runtime: Handle) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        // Without any, https fails and says so; http does not need them.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = TcpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connections = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self {
            connections,
            runtime,
        })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Connector {
    fn call<'life0, 'async_trait>(&'life0 self, request: HttpRequest) -> Answer<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let connections = self.connections.clone();
        let asked = self.runtime.spawn(async move {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, connections.request(request)).await;
            let response = answer
                .map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?
                .map_err(|error| HttpError::new(kind_of(&error), error))?;
            let (head, body) = response.into_parts();
            let body = HttpResponseBody::new(Patient {
                body,
                patience: Box::pin(tokio::time::sleep(PAUSE_TIMEOUT)),
            });
            Ok(HttpResponse::from_parts(head, body))
        });
        let asked = AbortOnDropHandle::new(asked);
        Box::pin(async move {
            asked
                .await
                .map_err(|gone| HttpError::new(HttpErrorKind::Interrupted, gone))?
        })
    }
}

/// Returns what an error means for asking again.
fn kind_of(error: &hyper_util::client::legacy::Error) -> HttpErrorKind {
    if error.is_connect() {
        return HttpErrorKind::Connect;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_canceled() || error.is_closed() || error.is_incomplete_message() {
                return HttpErrorKind::Request;
            }
            if error.is_timeout() {
                return HttpErrorKind::Timeout;
            }
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::TimedOut => HttpErrorKind::Timeout,
                _ => HttpErrorKind::Interrupted,
            };
        }
        cause = error.source();
    }
    HttpErrorKind::Unknown
}

/// The body of an answer, given up when it pauses for too long.
struct Patient {
    body: Incoming,
    patience: Pin<Box<Sleep>>,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let until = Instant::now() + PAUSE_TIMEOUT;
            self.patience.as_mut().reset(until);
            let broken = |error| HttpError::new(HttpErrorKind::Interrupted, error);
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        ready!(self.patience.as_mut().poll(context));
        let late = io::Error::from(io::ErrorKind::TimedOut);
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
