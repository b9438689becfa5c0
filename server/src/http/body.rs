//! Bodies: streamed both ways, with limits, and broken visibly when something fails.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use http::Response;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::Sleep;
use tokio::time::timeout;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// The connection failed or was cut.
    #[error("the connection failed: {0}")]
    Connection(#[from] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// The body is larger than this request may have.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The content of an answer could not be produced; the connection breaks.
    #[error("the answer cannot be completed: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BodyFault>;

/// Returns a body without bytes.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// Returns a body that is in memory as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Returns a streamed body; an error breaks the connection, never ends the body cleanly.
pub fn stream<S, E>(stream: S) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let frames = stream.map(|piece| {
        piece
            .map(Frame::data)
            .map_err(|error| BodyFault::Broken(Box::new(error)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Returns a streamed body of known length, which ends with its last byte.
///
/// A stream that ends before it, or fails, breaks the connection.
pub fn sized_stream<S, E>(stream: S, length_bytes: u64) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let body = SizedBody {
        rest_bytes: length_bytes,
        inner: self::stream(stream),
    };
    body.boxed_unsync()
}

/// A body that knows when its last byte has gone: who sends it need not ask once more.
struct SizedBody {
    inner: Body,
    rest_bytes: u64,
}

/// Why a body is not as long as was said.
#[derive(Debug, thiserror::Error)]
#[error("the content has another length than its record says")]
struct WrongLength;

impl http_body::Body for SizedBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context)).transpose()?;
        let length = frame
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, Bytes::len) as u64;
        let is_wrong = length > self.rest_bytes || (frame.is_none() && self.rest_bytes > 0);
        self.rest_bytes = self.rest_bytes.saturating_sub(length);
        if is_wrong {
            return Poll::Ready(Some(Err(BodyFault::Broken(Box::new(WrongLength)))));
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.rest_bytes == 0
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.rest_bytes)
    }
}

/// The body of a request: a client that sends nothing for too long is cut off.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    is_begun: bool,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How long the rest of a refused body may go on arriving.
const REST_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that sends nothing for so long has understood, and waits for the end of the answer.
const REST_IDLE_TIMEOUT: Duration = Duration::from_millis(500);

/// Lets a refusal reach a client that is still sending: the rest of its body is read and thrown away
/// behind the answer, for a short while.
///
/// Closing a connection with unread bytes resets it (over HTTP/2, the stream), and the client would
/// see that in place of the reason. A client that waits for `100 Continue`, which is sent when
/// a body is first read, is not sending.
pub fn refuse_while_sending(
    request: &Parts,
    rest: RequestBody,
    refusal: Response<Body>,
) -> Response<Body> {
    let is_waiting = !rest.is_begun && request.headers.contains_key(header::EXPECT);
    if rest.is_end_stream() || is_waiting {
        return refusal;
    }
    refusal.map(|body| {
        let pieces = body.into_data_stream();
        let silence = futures_util::stream::once(read_rest(rest)).filter_map(async |()| None);
        let frames = pieces.chain(silence).map(|piece| piece.map(Frame::data));
        StreamBody::new(frames).boxed_unsync()
    })
}

async fn read_rest(mut rest: RequestBody) {
    let all =
        async { while let Ok(Some(Ok(_))) = timeout(REST_IDLE_TIMEOUT, rest.frame()).await {} };
    // Whether it ended or went on too long, the answer is complete now.
    drop(timeout(REST_TIMEOUT, all).await);
}

/// Where a body comes from.
#[derive(Debug)]
enum Source {
    Connection(Incoming),
    Memory(Full<Bytes>),
}

impl RequestBody {
    /// Wraps a body; `idle` is how long it may send nothing.
    pub fn new(incoming: Incoming, idle: Duration) -> Self {
        Self {
            source: Source::Connection(incoming),
            is_begun: false,
            idle,
            timer: None,
        }
    }

    /// Returns a body that is in memory, for requests that did not come over a connection.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            source: Source::Memory(Full::new(bytes.into())),
            is_begun: false,
            idle: Duration::MAX,
            timer: None,
        }
    }

    /// Reads the whole body into memory, up to a limit.
    pub async fn read_limited(&mut self, limit_bytes: usize) -> Result<Bytes, BodyFault> {
        let mut all = Vec::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if all.len() + data.len() > limit_bytes {
                return Err(BodyFault::TooLarge { limit_bytes });
            }
            all.extend_from_slice(&data);
        }
        Ok(all.into())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        this.is_begun = true;
        let frame = match &mut this.source {
            Source::Connection(incoming) => Pin::new(incoming).poll_frame(context),
            Source::Memory(full) => Pin::new(full)
                .poll_frame(context)
                .map_err(|never| match never {}),
        };
        match frame {
            Poll::Ready(frame) => {
                this.timer = None;
                Poll::Ready(frame.map(|frame| frame.map_err(BodyFault::from)))
            }
            Poll::Pending => {
                let timer = this
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.idle)));
                ready!(timer.as_mut().poll(context));
                Poll::Ready(Some(Err(BodyFault::Idle(this.idle))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Connection(incoming) => incoming.is_end_stream(),
            Source::Memory(full) => full.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.source {
            Source::Connection(incoming) => incoming.size_hint(),
            Source::Memory(full) => full.size_hint(),
        }
    }
}
