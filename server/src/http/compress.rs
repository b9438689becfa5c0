//! Compression of answers that are text of ours: listings and OCS, for clients that ask for it (RFC 9110 section 12.5.3).
//!
//! A listing says the same words for each entry and shrinks to a tenth or less. Whoever makes such an answer marks it
//! ([`may_compress`]); nothing else is compressed, the body of a file never: its length is what clients compare.
//!
//! # What an attacker may learn from lengths
//!
//! Whoever sees how long compressed answers are, and chooses a part of them, can guess a secret that stands beside it. So:
//!
//! * no answer that holds a secret that opens something (an app password, a link, the mark of a form) is marked;
//! * what is marked is answered to requests alone that no foreign page can make a browser send: their method is none of a
//!   form's, or they carry a header of their own. Cookies open none of them.
//!
//! What remains is somebody who may write into a folder that another person lists, and sees that person's connection: by names of
//! files they can learn that a listing holds other names that they could see anyway, as they may read the folder.

use std::io;
use std::io::Write;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::header;
use http_body::Body as _;
use http_body::Frame;
use http_body_util::BodyExt;

use crate::http::body::Body;
use crate::http::body::BodyFault;

/// Shorter answers fit into one packet as they are.
const BYTES_MIN: u64 = 1_200;
/// The most that is compressed before others get their turn, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The mark of an answer that may be compressed.
#[derive(Debug, Clone, Copy)]
struct MayCompress;

/// Marks an answer: it is text of ours, and holds no secret.
pub fn may_compress(response: &mut Response<Body>) {
    response.extensions_mut().insert(MayCompress);
    let by_coding = HeaderValue::from_static("Accept-Encoding");
    response.headers_mut().append(header::VARY, by_coding);
}

/// Returns whether the client of a request takes gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_gzip = ["gzip", "x-gzip"]
            .iter()
            .any(|gzip| name.trim().eq_ignore_ascii_case(gzip));
        is_gzip && !is_zero(weight)
    })
}

/// Returns whether a weight (`q=0.000`) refuses.
fn is_zero(weight: &str) -> bool {
    let value = weight.trim().strip_prefix(['q', 'Q']);
    let value = value.and_then(|rest| rest.trim_start().strip_prefix('='));
    value.is_some_and(|value| value.trim().parse::<f32>().is_ok_and(|value| value <= 0.0))
}

/// Compresses a marked answer that is long enough.
pub fn compress(response: Response<Body>) -> Response<Body> {
    let hint = response.body().size_hint();
    let is_short = hint.exact().is_some_and(|bytes| bytes < BYTES_MIN);
    if response.extensions().get::<MayCompress>().is_none() || is_short {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let gzip = HeaderValue::from_static("gzip");
    head.headers.insert(header::CONTENT_ENCODING, gzip);
    head.headers.remove(header::CONTENT_LENGTH);
    weaken_etag(&mut head.headers);
    Response::from_parts(head, Gzip::new(body).boxed_unsync())
}

/// Other bytes have another strong ETag (RFC 9110 section 8.8.3.3); a weak one is true of both.
fn weaken_etag(headers: &mut HeaderMap) {
    let strong = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let strong = strong.filter(|tag| tag.starts_with('"'));
    if let Some(Ok(weak)) = strong.map(|tag| HeaderValue::try_from(format!("W/{tag}"))) {
        headers.insert(header::ETAG, weak);
    }
}

/// A body that is compressed while it is sent.
struct Gzip {
    inner: Body,
    /// What came and is not compressed yet.
    pending: Bytes,
    /// `None`: the last byte has gone, or the body broke.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Gzip {
    fn new(inner: Body) -> Self {
        Self {
            inner,
            pending: Bytes::new(),
            // The fastest level takes nine tenths off a listing already.
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
        }
    }

    /// Compresses a piece; returns what is ready to be sent, which may be nothing yet.
    fn compress_piece(&mut self) -> io::Result<Bytes> {
        let length = self.pending.len().min(PIECE_BYTES);
        let piece = self.pending.split_to(length);
        match &mut self.encoder {
            Some(encoder) => {
                encoder.write_all(&piece)?;
                Ok(std::mem::take(encoder.get_mut()).into())
            }
            None => Ok(Bytes::new()),
        }
    }

    /// Ends the compressed text.
    fn finish(&mut self) -> io::Result<Bytes> {
        let rest = self.encoder.take().map(GzEncoder::finish).transpose()?;
        Ok(rest.unwrap_or_default().into())
    }
}

impl http_body::Body for Gzip {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let ready_bytes = loop {
            if this.encoder.is_none() {
                return Poll::Ready(None);
            }
            let made = if this.pending.is_empty() {
                match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                    // A broken body must break, not end.
                    Some(Err(error)) => {
                        this.encoder = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                    Some(Ok(frame)) => {
                        this.pending = frame.into_data().unwrap_or_default();
                        continue;
                    }
                    None => this.finish(),
                }
            } else {
                this.compress_piece()
            };
            match made {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => break bytes,
                Err(error) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(BodyFault::Broken(Box::new(error)))));
                }
            }
        };
        Poll::Ready(Some(Ok(Frame::data(ready_bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::http::body;

    fn takes(list: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, list.parse().unwrap());
        takes_gzip(&headers)
    }

    #[test]
    fn only_who_names_gzip_takes_it() {
        for list in ["gzip", "gzip, deflate, br", "br;q=1, GZIP;q=0.1", "x-gzip"] {
            assert!(takes(list), "{list}");
        }
        for list in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip; q = 0.000",
            "*",
            "gzipped",
        ] {
            assert!(!takes(list), "{list}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    fn marked(body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert(header::ETAG, HeaderValue::from_static("\"a\""));
        may_compress(&mut response);
        response
    }

    #[tokio::test]
    async fn what_is_long_and_marked_is_compressed_piece_by_piece() {
        let numbers = (0..60_000).map(|number: u32| number.to_string());
        let text = numbers.collect::<Vec<_>>().join("</a><a>");
        for is_streamed in [false, true] {
            let whole = Bytes::from(text.clone());
            let body = if is_streamed {
                let pieces: Vec<_> = whole
                    .chunks(50_000)
                    .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
                    .collect();
                body::stream(futures_util::stream::iter(pieces))
            } else {
                body::full(whole)
            };
            let response = compress(marked(body));
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(response.headers()[header::ETAG], "W/\"a\"");
            let packed = response.into_body().collect().await.unwrap().to_bytes();
            assert!(packed.len() < text.len() / 2, "{}", packed.len());
            let mut unpacked = String::new();
            GzDecoder::new(packed.as_ref())
                .read_to_string(&mut unpacked)
                .unwrap();
            assert!(unpacked == text);
        }
    }

    #[tokio::test]
    async fn what_is_short_or_unmarked_stays_and_what_breaks_breaks() {
        let short = compress(marked(body::full("short")));
        assert!(!short.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(short.headers()[header::VARY], "Accept-Encoding");
        let unmarked = compress(Response::new(body::full(vec![b'a'; 10_000])));
        assert!(!unmarked.headers().contains_key(header::CONTENT_ENCODING));

        let pieces = [
            Ok(Bytes::from(vec![b'a'; 10_000])),
            Err(io::Error::other("x")),
        ];
        let broken = compress(marked(body::stream(futures_util::stream::iter(pieces))));
        assert!(broken.into_body().collect().await.is_err());
    }
}
