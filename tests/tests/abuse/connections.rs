//! Ten thousand connections at once.

use std::net::TcpStream;

use nuage_tests::TestServer;
use nuage_tests::command::not_tested;
use nuage_tests::command::report;
use nuage_tests::http::Connection;
use nuage_tests::http::Request;
use rustix::process::Resource;
use rustix::process::Rlimit;

/// What one connection may take, in bytes; without optimisation futures are larger.
const CONNECTION_BYTES_MAX: u64 = if cfg!(debug_assertions) {
    40 << 10
} else {
    24 << 10
};

/// Raises the limit of open files (children inherit it) and returns how many connections it allows.
fn allowed_connections() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.unwrap_or(1 << 20).saturating_sub(2_000)
}

#[test]
fn ten_thousand_open_connections_leave_the_server_quick_and_small() {
    let wanted = allowed_connections().min(10_000);
    if wanted < 10_000 {
        not_tested(&format!(
            "the limit of open files allows {wanted} connections, not 10 000"
        ));
    }
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let before = server.memory_bytes();

    // A third says nothing, a third began a head, a third has made a request and stays.
    let mut silent = Vec::new();
    let mut busy = Vec::new();
    for number in 0..wanted {
        match number % 3 {
            0 => silent.push(TcpStream::connect(server.address()).unwrap()),
            1 => {
                let mut connection = Connection::open(server.address()).unwrap();
                connection.write(b"GET /dav/ HTTP/1.1\r\nHost").unwrap();
                busy.push(connection);
            }
            _ => {
                let mut connection = Connection::open(server.address()).unwrap();
                connection
                    .send(Request::new("GET", "/healthz"))
                    .unwrap()
                    .expect(200);
                busy.push(connection);
            }
        }
    }

    for _ in 0..20 {
        assert_eq!(alice.get("/a").send().expect(200).text(), "x");
        alice.put("/b", "y").send().success();
    }
    let grown = server.memory_bytes().saturating_sub(before);
    report(&format!("{wanted} connections take {} KiB", grown >> 10));
    assert!(
        grown < wanted * CONNECTION_BYTES_MAX,
        "memory grew by {grown} bytes"
    );
    drop((silent, busy));
    server.assert_alive();
}

#[test]
fn more_connections_than_allowed_are_turned_away_and_the_rest_goes_on() {
    let mut server = TestServer::with(&[("NUAGE_HTTP__CONNECTIONS_MAX", "50")]);
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    let held: Vec<_> = (0..200)
        .filter_map(|_| TcpStream::connect(server.address()).ok())
        .collect();
    assert_eq!(alice.get("/a").send().expect(200).text(), "x");
    drop(held);

    nuage_tests::wait::wait_until(
        "new ones are served",
        std::time::Duration::from_secs(10),
        || {
            let answer = Connection::open(server.address())
                .map(|mut connection| connection.send(Request::new("GET", "/healthz")));
            matches!(answer, Ok(Ok(answer)) if answer.status == 200)
        },
    );
    server.assert_alive();
}
