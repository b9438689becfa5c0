//! Bodies that are not what their head says.

use std::io::Write;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::bytes;
use nuage_tests::http::Request;
use nuage_tests::http::basic;
use nuage_tests::wait::wait_until;

/// A PUT with a head of one's own.
fn put(alice: &User, path: &str) -> Request {
    Request::new("PUT", &alice.target(path))
        .header("Authorization", &basic(&alice.name, &alice.secret))
}

/// Sends bytes and closes; returns when the server has noticed.
fn send_and_leave(alice: &User, bytes: &[u8]) {
    let mut stream = std::net::TcpStream::connect(alice.address()).unwrap();
    stream.write_all(bytes).unwrap();
}

#[test]
fn a_cut_upload_leaves_the_old_version_wherever_it_is_cut() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "old").send().expect(201);
    let body = bytes(1, 3_000_000);
    let head = put(&alice, "/a").header("Content-Length", "3000000").head();

    for sent in [0, 1, 16 << 10, 100_000, 2_999_999] {
        send_and_leave(&alice, &[&head[..], &body[..sent]].concat());
    }

    let token = server.token(&alice, &[]);
    for _ in 0..20 {
        assert_eq!(token.get("/a").send().text(), "old");
    }
    server.assert_alive();
    server.restart();
    assert_eq!(alice.get("/a").send().text(), "old");
    server.assert_clean();
}

#[test]
fn a_chunked_body_that_never_ends_properly_is_not_stored() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "old").send().expect(201);
    let head = put(&alice, "/a")
        .header("Transfer-Encoding", "chunked")
        .head();
    let odd: [&[u8]; 8] = [
        b"5\r\nhello\r\n",
        b"5\r\nhel",
        b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"\r\n\r\n\r\n",
    ];

    for body in odd {
        send_and_leave(&alice, &[&head[..], body].concat());
    }

    nuage_tests::wait::pause(Duration::from_millis(300));
    assert_eq!(alice.get("/a").send().text(), "old");
    server.assert_alive();
    server.assert_clean();
}

#[test]
fn a_length_that_is_none_is_refused() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "old").send().expect(201);
    let odd: &[&[(&str, &str)]] = &[
        &[("Content-Length", "-1")],
        &[("Content-Length", "five")],
        &[("Content-Length", "99999999999999999999999999")],
        &[("Content-Length", "5"), ("Content-Length", "6")],
        &[("Content-Length", "5, 6")],
        &[("Transfer-Encoding", "banana")],
    ];

    for headers in odd {
        let request = headers
            .iter()
            .fold(put(&alice, "/a"), |request, (name, value)| {
                request.header(name, value)
            });
        let mut connection = alice.connect();
        connection
            .write(&[&request.head()[..], b"hello"].concat())
            .unwrap();
        if let Ok(answer) = connection.receive("PUT", false) {
            assert!(
                (400..500).contains(&answer.status) || answer.status == 501,
                "{headers:?}: {answer}"
            );
        }
    }

    assert_eq!(alice.get("/a").send().text(), "old");
    server.assert_alive();
}

#[test]
fn a_length_beside_chunked_coding_does_not_smuggle_a_request() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "old").send().expect(201);
    let inner = String::from_utf8(
        Request::new("DELETE", &alice.target("/a"))
            .header("Authorization", &basic(&alice.name, &alice.secret))
            .head(),
    )
    .unwrap();
    let request = put(&alice, "/b")
        .header("Content-Length", &(inner.len() + 5).to_string())
        .header("Transfer-Encoding", "chunked")
        .head();

    send_and_leave(
        &alice,
        &[&request[..], b"0\r\n\r\n", inner.as_bytes()].concat(),
    );

    // Whatever the server made of it, both headers together must not be believed in turn by two parties:
    // RFC 9112 section 6.3 lets a server refuse, or use chunked and close.
    nuage_tests::wait::pause(Duration::from_millis(200));
    assert_eq!(alice.get("/a").send().text(), "old");
    server.assert_alive();
}

#[test]
fn more_bytes_than_announced_are_not_part_of_the_file() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let head = put(&alice, "/a").header("Content-Length", "5").head();
    let mut connection = alice.connect();

    connection
        .write(&[&head[..], b"hello, and this is too much\r\n\r\n"].concat())
        .unwrap();
    connection.receive("PUT", false).unwrap().expect(201);

    assert_eq!(alice.get("/a").send().text(), "hello");
    server.assert_alive();
}

#[test]
fn an_upload_announced_as_enormous_reserves_no_memory_and_no_quota_for_ever() {
    let mut server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1TB"]);
    alice.put("/a", "x").send().expect(201);
    let before = server.memory_peak_bytes();
    let head = put(&alice, "/huge")
        .header("Content-Length", "999000000000")
        .head();

    for _ in 0..10 {
        send_and_leave(&alice, &[&head[..], &[0; 1_000]].concat());
    }

    wait_until(
        "the reservations are given back",
        Duration::from_secs(20),
        || {
            let answer = alice
                .call("PUT", "/huge")
                .header("Content-Length", "999000000000")
                .header("Expect", "100-continue");
            // 100 Continue means that there is room again: nothing comes, so the connection is left.
            let mut connection = alice.connect();
            connection.set_patience(Duration::from_millis(300));
            connection.write(&answer.into_request().head()).unwrap();
            !matches!(connection.receive("PUT", false), Ok(answer) if answer.status == 507)
        },
    );
    let grown = server.memory_peak_bytes() - before;
    assert!(grown < 48 << 20, "memory grew by {grown} bytes");
    server.assert_alive();
}
