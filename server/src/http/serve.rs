//! One accept loop for every listening address: HTTP/1.1 and HTTP/2, plain or TLS.
//!
//! A connection costs nothing but its socket and a small task until its first byte
//! comes. Then it is served by hyper and watched ([`Activity`]): one that is idle,
//! or whose client stopped reading, is ended.
//!
//! # Always true
//!
//! * Small answers leave at once (`TCP_NODELAY`).
//! * At most `connections_max` connections are open; one more is told so and closed, so
//!   the loop never waits for anybody.
//! * After a stop nothing new is accepted, requests that run may finish until the
//!   deadline, then what is left is cut.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::activity::Acknowledge;
use crate::http::activity::Activity;
use crate::http::activity::Traffic;
use crate::http::activity::Watched;
use crate::http::observe::Handler;
use crate::http::observe::Peer;
use crate::http::observe::observe;
use crate::http::tls::Certificate;

#[cfg(test)]
mod tests;

/// Connections that the kernel holds until the loop takes them.
const BACKLOG: u32 = 4_096;
/// The pause after a failed accept: without file descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The most that hyper reads ahead or holds back on one HTTP/1 connection, in bytes;
/// also the longest head of a request.
const BUFFER_BYTES_MAX: usize = 256 << 10;
/// The longest head of an HTTP/2 request, in bytes.
const HTTP2_HEAD_BYTES_MAX: u32 = 64 << 10;
/// Requests that one HTTP/2 connection may have at once.
const STREAMS_MAX: u32 = 100;
/// Bytes of one HTTP/2 answer that wait for its client.
const HTTP2_SEND_BYTES_MAX: usize = 256 << 10;
/// How often an idle HTTP/2 connection is asked whether its client still lives.
const PING_EVERY: Duration = Duration::from_mins(1);
/// What somebody hears for whom there is no connection left.
const NO_CONNECTION_LEFT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// How connections are served.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Connections that may be open at once.
    pub connections_max: usize,
    /// How long a connection may take for the head of its next request.
    pub head_timeout: Duration,
    /// How long a transfer may stand still.
    pub stall_timeout: Duration,
    /// How long running requests may take after a stop.
    pub shutdown_timeout: Duration,
    /// Bytes of one HTTP/2 upload on the way.
    pub upload_window_bytes: u32,
}

/// Takes an address to listen on.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that starts again must not wait for the connections of its predecessor.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves connections until `stop`, then lets requests finish until the deadline.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    settings: ServeSettings,
    handler: Arc<H>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let shutdown_timeout = settings.shutdown_timeout;
    let tracker = TaskTracker::new();
    let cut = CancellationToken::new();
    let server = Arc::new(Server {
        builder: builder(&settings),
        settings,
        certificate,
        handler,
        stop: stop.clone(),
        cut: cut.clone(),
        traffic: Traffic {
            received: metrics::counter!("nuage_http_received_bytes_total"),
            sent: metrics::counter!("nuage_http_sent_bytes_total"),
        },
    });
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    tracker.spawn(Arc::clone(&server).connection(stream, address, place));
                }
                Err(_) => turn_away(&stream),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    if timeout(shutdown_timeout, tracker.wait()).await.is_err() {
        tracing::warn!(
            connections = tracker.len(),
            "requests are cut at the deadline"
        );
        cut.cancel();
        tracker.wait().await;
    }
}

fn turn_away(stream: &TcpStream) {
    metrics::counter!("nuage_http_connections_refused_total").increment(1);
    // Whether it is heard does not matter: the connection is closed now.
    drop(stream.try_write(NO_CONNECTION_LEFT));
}

fn builder(settings: &ServeSettings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(settings.upload_window_bytes)
        .initial_connection_window_size(settings.upload_window_bytes.saturating_mul(2))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HTTP2_HEAD_BYTES_MAX)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(settings.stall_timeout);
    builder
}

/// What all connections of one listening address share.
struct Server<H> {
    builder: Builder<TokioExecutor>,
    settings: ServeSettings,
    certificate: Option<Arc<Certificate>>,
    handler: Arc<H>,
    stop: CancellationToken,
    cut: CancellationToken,
    traffic: Traffic,
}

/// Counts an open connection as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("nuage_http_connections").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("nuage_http_connections").decrement(1.0);
    }
}

impl<H: Handler> Server<H> {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) {
        let counted = Counted::new();
        let served = self.serve_connection(stream, address);
        self.cut.run_until_cancelled(served).await;
        drop((counted, place));
    }

    async fn serve_connection(&self, stream: TcpStream, address: SocketAddr) {
        drop(stream.set_nodelay(true));
        let opened = timeout(self.settings.head_timeout, self.open(stream));
        let Some(Ok(Ok(stream))) = self.stop.run_until_cancelled(opened).await else {
            return;
        };
        let peer = Peer {
            address,
            is_tls: self.certificate.is_some(),
        };
        // A large state machine: it is allocated only for a connection that speaks.
        Box::pin(self.serve_http(stream, peer)).await;
    }

    /// Waits for the client's first byte, and shakes hands where there is a certificate.
    async fn open(&self, stream: TcpStream) -> io::Result<Stream> {
        stream.readable().await?;
        match &self.certificate {
            None => Ok(Stream::Plain(stream)),
            Some(certificate) => {
                let stream = certificate.acceptor().accept(stream).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }

    async fn serve_http(&self, stream: Stream, peer: Peer) {
        let activity = Arc::new(Activity::begin());
        let stream = Watched::new(stream, Arc::clone(&activity), self.traffic.clone());
        // On the heap, so that a connection between two requests holds no place for one.
        let service = service_fn(|request: Request<Incoming>| {
            Box::pin(observe(
                Arc::clone(&self.handler),
                peer,
                Arc::clone(&activity),
                self.settings.stall_timeout,
                request,
            ))
        });
        let mut connection = pin!(
            self.builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
        );
        let look_every = self.settings.head_timeout.min(self.settings.stall_timeout) / 4;
        let look_every = look_every.clamp(Duration::from_millis(250), Duration::from_secs(15));
        let mut look = pin!(tokio::time::sleep(look_every));
        let mut is_ending = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, client = %peer.address, "a connection failed");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = look.as_mut() => {
                    look.as_mut().reset(Instant::now() + look_every);
                    let is_stalled = |quiet| quiet >= self.settings.stall_timeout;
                    let is_idle = activity.idle().is_some_and(|idle| idle >= self.settings.head_timeout);
                    if activity.stalled().is_some_and(is_stalled)
                        || (is_ending && activity.idle().is_some_and(is_stalled))
                    {
                        tracing::debug!(client = %peer.address, "a client that reads nothing is cut off");
                        return;
                    }
                    if is_idle && !is_ending {
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

/// A connection's bytes, decrypted.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls the same method on whichever stream it is.
macro_rules! on_either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl Acknowledge for Stream {
    fn acknowledge(&self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // Linux forgets this wish by itself; others do not know it.
        #[cfg(target_os = "linux")]
        let _is_prompt = rustix::net::sockopt::set_tcp_quickack(stream, true);
        #[cfg(not(target_os = "linux"))]
        let _: &TcpStream = stream;
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_either!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_either!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_either!(self, stream => stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_either!(self, stream => stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
