//! Heads of requests that are no HTTP.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::data::Chance;
use nuage_tests::data::bytes;

/// Sends bytes and reads until the server closes or falls silent.
fn exchange(server: &TestServer, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    // The server may close before it has taken everything.
    drop(stream.write_all(sent));
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..read]);
    }
    received
}

#[test]
fn what_is_no_http_is_refused_or_dropped() {
    let mut server = TestServer::start();
    server.user("alice");
    let long_header = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(2 << 20)
    );
    let many_headers = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(100_000)
    );
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(2 << 20));
    let odd: &[&[u8]] = &[
        b"\r\n\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX\0Y: z\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET http://elsewhere/dav/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\xff\xff\xff\xff\xff\xff",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW /dav/pot HTTP/1.1\r\nHost: x\r\n\r\n",
        long_header.as_bytes(),
        many_headers.as_bytes(),
        long_target.as_bytes(),
    ];

    for sent in odd {
        let received = exchange(&server, sent);
        let text = String::from_utf8_lossy(&received);
        let shown: String = String::from_utf8_lossy(sent).chars().take(60).collect();
        assert!(
            !text.starts_with("HTTP/1.1 5") || text.starts_with("HTTP/1.1 50"),
            "{shown:?}: {text}"
        );
        assert!(!text.contains("HTTP/1.1 500"), "{shown:?}: {text}");
    }

    server.assert_alive();
}

#[test]
fn noise_kills_nothing() {
    let mut server = TestServer::start();
    server.user("alice");
    let mut chance = Chance::new("noise");

    for _ in 0..60 {
        let length = usize::try_from(chance.between(1, 3_000)).unwrap();
        let mut noise = bytes(chance.number(), length);
        if chance.between(0, 1) == 0 {
            noise.splice(0..0, *b"PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\n");
        }
        exchange(&server, &noise);
    }

    server.assert_alive();
}
