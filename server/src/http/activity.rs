//! What a connection is doing, so that one that does nothing can be ended.
//!
//! An answer that is being sent counts as moving when its body is asked for more or
//! bytes reach the socket; a request that is being worked on may take as long as it needs.
//! A received body watches itself ([`RequestBody`](crate::http::body::RequestBody)).
//!
//! # What surprises
//!
//! HTTP/2 answers its own pings on a connection whose reader stopped, so a few bytes on
//! the socket are no sign of life ([`CONTROL_BYTES_MAX`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;
use std::time::Instant;

use metrics::Counter;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// Writes up to this many bytes may be frames that keep an HTTP/2 connection up.
const CONTROL_BYTES_MAX: usize = 64;

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// When something moved last, in milliseconds after `began`.
    moved_at_millis: AtomicU64,
    running: AtomicUsize,
    sending: AtomicUsize,
}

impl Activity {
    /// Begins with a connection that was just accepted.
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            moved_at_millis: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
        }
    }

    /// Notes that something moves.
    pub(crate) fn moved(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_at_millis.store(millis, Ordering::Relaxed);
    }

    /// Notes a request; until the returned value is dropped, it is being worked on or answered.
    pub(crate) fn begin_request(self: &Arc<Self>) -> Running {
        self.moved();
        self.running.fetch_add(1, Ordering::Relaxed);
        Running {
            activity: Arc::clone(self),
            is_sending: false,
        }
    }

    /// Returns for how long nothing has moved on a connection without a request.
    pub(crate) fn idle(&self) -> Option<Duration> {
        (self.running.load(Ordering::Relaxed) == 0).then(|| self.quiet())
    }

    /// Returns for how long nothing has moved on a connection that only waits for its client to read.
    pub(crate) fn stalled(&self) -> Option<Duration> {
        let running = self.running.load(Ordering::Relaxed);
        let all_are_sent = running > 0 && self.sending.load(Ordering::Relaxed) == running;
        all_are_sent.then(|| self.quiet())
    }

    fn quiet(&self) -> Duration {
        let moved_at = Duration::from_millis(self.moved_at_millis.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(moved_at)
    }
}

/// A request that is being worked on or answered.
#[derive(Debug)]
pub(crate) struct Running {
    activity: Arc<Activity>,
    is_sending: bool,
}

impl Running {
    /// Notes that the request is decided and its answer is being sent.
    pub(crate) fn begin_sending(&mut self) {
        if !self.is_sending {
            self.is_sending = true;
            self.activity.sending.fetch_add(1, Ordering::Relaxed);
        }
        self.activity.moved();
    }

    /// Notes that the client has taken more of the answer.
    pub(crate) fn moved(&self) {
        self.activity.moved();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.moved();
        if self.is_sending {
            self.activity.sending.fetch_sub(1, Ordering::Relaxed);
        }
        self.activity.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts of bytes over all connections.
#[derive(Clone)]
pub(crate) struct Traffic {
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

/// A stream that notes what moves on it.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    traffic: Traffic,
    /// Something was read and nothing written since, so that no answer can carry the acknowledgement.
    is_heard: bool,
}

impl<S> Watched<S> {
    /// Watches a stream.
    pub(crate) fn new(stream: S, activity: Arc<Activity>, traffic: Traffic) -> Self {
        Self {
            stream,
            activity,
            traffic,
            is_heard: false,
        }
    }

    fn note_sent(&mut self, bytes: usize) {
        self.is_heard = false;
        if bytes > CONTROL_BYTES_MAX {
            self.activity.moved();
        }
        self.traffic.sent.increment(bytes as u64);
    }
}

/// Returns whether bytes are a request that nothing more belongs to, so that its answer comes at once.
fn is_whole(bytes: &[u8]) -> bool {
    let has_no_body = bytes.starts_with(b"GET ") || bytes.starts_with(b"HEAD ");
    has_no_body && bytes.ends_with(b"\r\n\r\n")
}

/// A stream that can tell its peer at once what has arrived.
pub(crate) trait Acknowledge {
    /// Sends an acknowledgement that the system holds back to save a packet.
    fn acknowledge(&self);
}

impl<S: AsyncRead + Acknowledge + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() && std::mem::take(&mut self.is_heard) {
            // Many clients send a small body only when they know that its head has arrived.
            self.stream.acknowledge();
        }
        ready!(read)?;
        let received = buffer.filled().len().saturating_sub(before);
        let news = buffer.filled().get(before..).unwrap_or_default();
        self.is_heard = !news.is_empty() && !is_whole(news);
        self.traffic.received.increment(received as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.note_sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces))?;
        self.note_sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
