//! Clients that send or take so slowly that they only hold things up.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::command::report;
use nuage_tests::data::Pattern;
use nuage_tests::wait::pause;

/// Returns whether the server has closed this connection (or answered and closed).
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1024];
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

#[test]
fn heads_that_come_letter_by_letter_are_cut_off() {
    let mut server = TestServer::with(&[("NUAGE_HTTP__HEAD_TIMEOUT_SECONDS", "2")]);
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let mut slow: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();

    let begun = Instant::now();
    let mut letters = "GET /dav/ HTTP/1.1\r\nHost: x\r\nX-Slow: "
        .bytes()
        .chain(std::iter::repeat(b'x'));
    while begun.elapsed() < Duration::from_secs(6) {
        let letter = letters.next().unwrap();
        for stream in &mut slow {
            // Those that were cut off already refuse.
            drop(stream.write_all(&[letter]));
        }
        assert_eq!(alice.get("/a").send().expect(200).text(), "x");
        pause(Duration::from_millis(150));
    }

    let open = slow
        .iter_mut()
        .filter_map(|stream| (!is_closed(stream)).then_some(()))
        .count();
    assert_eq!(open, 0, "of 300 slow heads, {open} still hold a connection");
    server.assert_alive();
}

#[test]
fn an_upload_that_stops_is_cut_off_and_stores_nothing() {
    let mut server = TestServer::with(&[("NUAGE_HTTP__STALL_TIMEOUT_SECONDS", "2")]);
    let alice = server.user("alice");
    alice.put("/a", "old").send().expect(201);
    let head = alice.put("/a", vec![0; 100_000]).into_request().head();
    let mut stalled: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(&head).unwrap();
            stream.write_all(&vec![0; 30_000]).unwrap();
            stream
        })
        .collect();

    nuage_tests::wait::wait_until(
        "stalled uploads are cut off",
        Duration::from_secs(15),
        || {
            stalled.retain_mut(|stream| !is_closed(stream));
            stalled.is_empty()
        },
    );

    assert_eq!(alice.get("/a").send().text(), "old");
    server.assert_alive();
}

#[test]
fn readers_that_take_nothing_cost_little_and_are_cut_off() {
    let mut server = TestServer::with(&[("NUAGE_HTTP__STALL_TIMEOUT_SECONDS", "3")]);
    let alice = server.user("alice");
    let length = 48 << 20;
    alice
        .put_stream("/large", Pattern::new(1, length), length)
        .send()
        .expect(201);
    alice.get("/large").send().expect(200);
    let before = server.memory_bytes();

    let head = alice.get("/large").into_request().head();
    let mut lazy: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(&head).unwrap();
            stream
        })
        .collect();
    pause(Duration::from_secs(1));
    let grown = server.memory_bytes().saturating_sub(before);
    report(&format!(
        "50 readers that take nothing: {} KiB",
        grown >> 10
    ));
    assert!(grown < 150 << 20, "memory grew by {grown} bytes");
    assert_eq!(alice.head("/large").send().status, 200);

    // A cut transfer ends visibly: the reader gets less than was announced.
    pause(Duration::from_secs(8));
    let mut received = Vec::new();
    lazy[0]
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    drop(lazy[0].read_to_end(&mut received));
    assert!(
        u64::try_from(received.len()).unwrap() < length,
        "{} bytes came",
        received.len()
    );
    server.assert_alive();
}
