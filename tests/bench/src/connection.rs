//! One keep-alive connection that speaks just enough HTTP/1.1: a request goes
//! out, the body of its answer goes to whoever checks it.
//!
//! Blocking sockets and one thread each: nothing stands between the clock and
//! the server. Bodies are never gathered here.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use crate::fault::BenchFault;
use crate::fault::BenchResult;
use crate::fault::Doing;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// An answer that takes longer is a failure.
const PATIENCE: Duration = Duration::from_mins(5);

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_spent: bool,
}

/// How an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> BenchResult<Self> {
        let stream = TcpStream::connect(address).doing("connect")?;
        stream.set_nodelay(true).doing("set TCP_NODELAY")?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .doing("set a time limit")?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .doing("set a time limit")?;
        Ok(Self {
            stream,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            is_spent: false,
        })
    }

    /// Returns whether the server has closed it, or will.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Sends a request (`pieces`: head, body) and hands the answer's body to `sink`; returns the status.
    pub(crate) fn exchange(
        &mut self,
        pieces: &[&[u8]],
        has_body: bool,
        sink: &mut dyn FnMut(&[u8]),
    ) -> BenchResult<u16> {
        let sent = pieces
            .iter()
            .try_for_each(|piece| self.stream.write_all(piece));
        // A server that refuses a body may answer and close before it has read all of it.
        let answer = self.read_answer(has_body, sink);
        if sent.is_err() {
            self.is_spent = true;
        }
        match (answer, sent) {
            (Ok(status), _) => Ok(status),
            (Err(fault), Ok(())) => Err(fault),
            (Err(_), Err(source)) => Err(BenchFault::Io {
                doing: "send",
                source,
            }),
        }
    }

    fn read_answer(&mut self, has_body: bool, sink: &mut dyn FnMut(&[u8])) -> BenchResult<u16> {
        loop {
            let head = self.read_head()?;
            let (status, framing) = self.understand(&head)?;
            if (100..200).contains(&status) {
                continue;
            }
            if has_body && !matches!(status, 204 | 304) {
                self.read_body(framing, sink)?;
            }
            return Ok(status);
        }
    }

    /// Takes the head, with the empty line.
    fn read_head(&mut self) -> BenchResult<Vec<u8>> {
        let mut head = Vec::new();
        loop {
            let line = self.read_line()?;
            head.extend_from_slice(&line);
            if line.is_empty() || head.len() > HEAD_BYTES_MAX {
                return Ok(head);
            }
            head.push(b'\n');
        }
    }

    /// Takes a line, without its end.
    fn read_line(&mut self) -> BenchResult<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let held = self.held();
            if let Some(at) = held.iter().position(|byte| *byte == b'\n') {
                line.extend_from_slice(held.get(..at).unwrap_or_default());
                self.start += at + 1;
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            line.extend_from_slice(held);
            if line.len() > HEAD_BYTES_MAX {
                return Err(BenchFault::Protocol {
                    what: "an endless line",
                });
            }
            self.refill()?;
        }
    }

    fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads anew; what was held must be used up.
    fn refill(&mut self) -> BenchResult<()> {
        self.start = 0;
        self.end = self.stream.read(&mut self.buffer).doing("receive")?;
        if self.end == 0 {
            self.is_spent = true;
            return Err(BenchFault::Protocol {
                what: "it ends too early",
            });
        }
        Ok(())
    }

    fn understand(&mut self, head: &[u8]) -> BenchResult<(u16, Framing)> {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1."))
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or(BenchFault::Protocol {
                what: "the status line",
            })?;
        let mut framing = Framing::UntilClose;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
                let length = value.parse().ok();
                framing =
                    Framing::Length(length.ok_or(BenchFault::Protocol { what: "the length" })?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
            {
                self.is_spent = true;
            }
        }
        Ok((status, framing))
    }

    fn read_body(&mut self, framing: Framing, sink: &mut dyn FnMut(&[u8])) -> BenchResult<()> {
        match framing {
            Framing::Length(length) => self.pass(length, sink),
            Framing::Chunked => self.pass_chunks(sink),
            Framing::UntilClose => loop {
                sink(self.held());
                self.start = self.end;
                match self.refill() {
                    Ok(()) => {}
                    Err(BenchFault::Protocol { .. }) => return Ok(()),
                    Err(fault) => return Err(fault),
                }
            },
        }
    }

    fn pass_chunks(&mut self, sink: &mut dyn FnMut(&[u8])) -> BenchResult<()> {
        loop {
            let line = self.read_line()?;
            let line = String::from_utf8_lossy(&line);
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).ok();
            let length = length.ok_or(BenchFault::Protocol { what: "a chunk" })?;
            if length == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(());
            }
            self.pass(length, sink)?;
            self.read_line()?;
        }
    }

    /// Hands the next `length` bytes to `sink`.
    fn pass(&mut self, mut length: u64, sink: &mut dyn FnMut(&[u8])) -> BenchResult<()> {
        while length > 0 {
            if self.start == self.end {
                self.refill()?;
            }
            let held = self.held();
            let usable =
                usize::try_from(length).map_or(held.len(), |length| length.min(held.len()));
            sink(held.get(..usable).unwrap_or_default());
            self.start += usable;
            length -= usable as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::TcpListener;

    use super::Connection;

    /// Answers one request with these bytes and closes; returns status and body.
    fn answer(bytes: &'static [u8]) -> crate::fault::BenchResult<(u16, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(bytes).unwrap();
        });
        let mut body = Vec::new();
        let status = Connection::open(address)?.exchange(&[b"GET ", b""], true, &mut |part| {
            body.extend_from_slice(part);
        });
        server.join().unwrap();
        status.map(|status| (status, body))
    }

    #[test]
    fn bodies_end_by_length_by_chunks_or_with_the_connection() {
        let by_length = answer(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\nabc").unwrap();
        assert_eq!(by_length, (200, b"abc".to_vec()));
        let chunked = b"HTTP/1.1 207 M\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
        assert_eq!(answer(chunked).unwrap(), (207, b"abc".to_vec()));
        assert_eq!(
            answer(b"HTTP/1.0 200 OK\r\n\r\nabc").unwrap(),
            (200, b"abc".to_vec())
        );
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(answer(interim).unwrap(), (204, Vec::new()));
    }

    #[test]
    fn a_body_that_ends_too_early_is_noticed() {
        assert!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").is_err());
        assert!(
            answer(b"HTTP/1.1 207 M\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").is_err()
        );
        assert!(answer(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
