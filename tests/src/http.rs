//! HTTP/1.1 by hand: every byte is ours, also the wrong ones.
//!
//! A [`Connection`] sends a [`Request`] and reads an [`Answer`]. A body that
//! ends before its announced length is a [`Broken`] answer, never a short one.
//! Nothing is repeated behind the test's back.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use crate::multistatus::Multistatus;

/// How long an answer may let a test wait.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a request carries.
pub enum Payload {
    /// Nothing, and no Content-Length.
    None,
    /// Bytes, with their length.
    Bytes(Vec<u8>),
    /// A stream in chunked coding, without a length.
    Chunked(Box<dyn Read + Send>),
    /// So many bytes of a stream.
    Stream(Box<dyn Read + Send>, u64),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Chunked(_) => f.write_str("a stream, chunked"),
            Self::Stream(_, length) => write!(f, "a stream of {length} bytes"),
        }
    }
}

/// A request as it goes out.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target, sent as it is.
    pub target: String,
    /// Headers, sent as they are; Host, Content-Length and Transfer-Encoding are added unless named here.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Payload,
}

impl Request {
    /// Makes a request without body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            payload: Payload::None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives the request a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Bytes(body.into());
        self
    }

    /// Returns the head as it goes out.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        if !has("host") {
            head.push_str("Host: nuage.test\r\n");
        }
        if !has("content-length") && !has("transfer-encoding") {
            match &self.payload {
                Payload::None => {}
                Payload::Bytes(bytes) => {
                    header(&mut head, "Content-Length", bytes.len());
                }
                Payload::Chunked(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
                Payload::Stream(_, length) => {
                    header(&mut head, "Content-Length", length);
                }
            }
        }
        for (name, value) in &self.headers {
            header(&mut head, name, value);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn header(head: &mut String, name: &str, value: impl fmt::Display) {
    write!(head, "{name}: {value}\r\n").expect("a string takes text");
}

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Broken {
    /// The connection failed or ended before an answer began.
    NoAnswer(io::Error),
    /// An answer began and was cut.
    Cut {
        /// The status that had been sent.
        status: u16,
        /// What had come of the body.
        received: Vec<u8>,
    },
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::NoAnswer(error)
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What was asked, for messages.
    pub asked: String,
}

impl Answer {
    /// Returns the first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers
            .iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the ETag; fails the test when there is none.
    #[track_caller]
    pub fn etag(&self) -> String {
        self.header("etag")
            .unwrap_or_else(|| panic!("no ETag: {self}"))
            .to_owned()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails the test unless the status is the expected one.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the check alone is often all that is wanted"
    )]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Fails the test unless the status is one of these.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the check alone is often all that is wanted"
    )]
    pub fn expect_any(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "not {statuses:?}: {self}");
        self
    }

    /// Fails the test unless the request succeeded.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the check alone is often all that is wanted"
    )]
    pub fn success(self) -> Self {
        assert!((200..300).contains(&self.status), "{self}");
        self
    }

    /// Reads the 207 body.
    #[track_caller]
    pub fn multistatus(&self) -> Multistatus {
        assert_eq!(self.status, 207, "{self}");
        Multistatus::parse(&self.body)
    }

    fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = self.text().chars().take(2_000).collect();
        write!(
            f,
            "{} was answered {}\n{:?}\n{body}",
            self.asked, self.status, self.headers
        )
    }
}

/// One connection, kept alive between requests.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    is_open: bool,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(20))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
            is_open: true,
        })
    }

    /// Returns the address that it leads to.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.stream.get_ref().peer_addr().ok()
    }

    /// Changes how long an answer may take.
    pub fn set_patience(&self, patience: Duration) {
        self.stream
            .get_ref()
            .set_read_timeout(Some(patience))
            .expect("a timeout can be set");
    }

    /// Returns whether another request may be sent: the server has not closed it.
    pub fn is_usable(&self) -> bool {
        let stream = self.stream.get_ref();
        if !self.is_open || !self.stream.buffer().is_empty() {
            return false;
        }
        stream
            .set_nonblocking(true)
            .expect("a socket can be polled");
        let state = stream.peek(&mut [0]);
        stream.set_nonblocking(false).expect("a socket can block");
        matches!(state, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request and reads its answer.
    ///
    /// When the server answers and closes while the body is still on its way,
    /// the answer counts.
    pub fn send(&mut self, request: Request) -> Result<Answer, Broken> {
        let asked = format!("{} {}", request.method, request.target);
        let is_head = request.method == "HEAD";
        let sent = self.transmit(request);
        let answer = self.receive(&asked, is_head);
        match (sent, answer) {
            (Err(error), Err(Broken::NoAnswer(_))) => Err(Broken::NoAnswer(error)),
            (_, answer) => answer,
        }
    }

    fn transmit(&mut self, request: Request) -> io::Result<()> {
        let mut head = request.head();
        match request.payload {
            Payload::None => self.write(&head),
            Payload::Bytes(bytes) => {
                if bytes.len() < 64 << 10 {
                    head.extend_from_slice(&bytes);
                    return self.write(&head);
                }
                self.write(&head)?;
                self.write(&bytes)
            }
            Payload::Chunked(mut reader) => {
                self.write(&head)?;
                let mut piece = vec![0; 16 << 10];
                loop {
                    let read = reader.read(&mut piece)?;
                    // A piece without bytes ends the body.
                    self.write(format!("{read:x}\r\n").as_bytes())?;
                    self.write(&piece[..read])?;
                    self.write(b"\r\n")?;
                    if read == 0 {
                        return Ok(());
                    }
                }
            }
            Payload::Stream(reader, length) => {
                self.write(&head)?;
                let mut reader = reader.take(length);
                let mut buffer = vec![0; 256 << 10];
                loop {
                    let read = reader.read(&mut buffer)?;
                    if read == 0 {
                        return Ok(());
                    }
                    self.write(&buffer[..read])?;
                }
            }
        }
    }

    /// Reads one answer into memory.
    pub fn receive(&mut self, asked: &str, is_head: bool) -> Result<Answer, Broken> {
        let mut body = Vec::new();
        let mut answer = self.receive_into(asked, is_head, &mut |piece| {
            body.extend_from_slice(piece);
        })?;
        answer.body = body;
        Ok(answer)
    }

    /// Reads one answer, handing its body on piece by piece; `Answer::body` stays empty.
    pub fn receive_into(
        &mut self,
        asked: &str,
        is_head: bool,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Answer, Broken> {
        self.is_open = false;
        let (status, headers) = loop {
            let head = self.receive_head()?;
            if head.0 >= 200 {
                break head;
            }
        };
        let answer = Answer {
            status,
            headers,
            body: Vec::new(),
            asked: asked.to_owned(),
        };
        let mut received = Vec::new();
        let mut keep = |piece: &[u8]| {
            if received.len() < 64 << 10 {
                received.extend_from_slice(piece);
            }
            take(piece);
        };
        if is_head || status == 204 || status == 304 {
            self.is_open = !answer.closes();
            return Ok(answer);
        }
        let is_chunked = answer
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = answer
            .header("content-length")
            .map(|text| text.parse::<u64>().expect("Content-Length is a number"));
        let whole = if is_chunked {
            self.receive_chunks(&mut keep)
        } else if let Some(length) = length {
            self.receive_bytes(length, &mut keep)
        } else {
            let whole = self.receive_bytes(u64::MAX, &mut keep);
            return match whole {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(answer),
                _ => Err(Broken::Cut { status, received }),
            };
        };
        if whole.is_err() {
            return Err(Broken::Cut { status, received });
        }
        self.is_open = !answer.closes();
        Ok(answer)
    }

    fn receive_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let first = self.receive_line()?;
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not a status line: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.receive_line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("not a header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn receive_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn receive_chunks(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        loop {
            let line = self.receive_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16)
                .map_err(|error| io::Error::other(format!("{error} in the chunk {line:?}")))?;
            if length == 0 {
                while !self.receive_line()?.is_empty() {}
                return Ok(());
            }
            self.receive_bytes(length, take)?;
            self.receive_line()?;
        }
    }

    fn receive_bytes(&mut self, length: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut missing = length;
        let mut buffer = vec![0; 64 << 10];
        while missing > 0 {
            let wanted = usize::try_from(missing)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = self.stream.read(&mut buffer[..wanted])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&buffer[..read]);
            missing -= read as u64;
        }
        Ok(())
    }
}

/// Returns the value of a Basic `Authorization` header.
pub fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{name}:{password}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .chain([0, 0].iter().take(3 - three.len()))
            .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = (number >> (18 - 6 * place)) & 63;
            text.push(if place > three.len() {
                '='
            } else {
                char::from(LETTERS[letter as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_rfc_4648_section_10_shows() {
        let shown = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in shown {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
