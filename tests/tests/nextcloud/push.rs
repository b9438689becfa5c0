//! Does a client that listens hear of every change soon, and nobody else?

use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::shape::Ground;
use tungstenite::Message;
use tungstenite::WebSocket;

use crate::servers::servers;

/// How long a listener may wait for news of this server's own changes.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// A client that listens.
pub(crate) struct Listener {
    socket: WebSocket<TcpStream>,
}

impl Listener {
    /// Opens the channel and says these two things.
    #[track_caller]
    pub(crate) fn open(server: &TestServer, first: &str, second: &str) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let url = format!("ws://{}/push/ws", server.address());
        let (mut socket, _) = tungstenite::client(url, stream).unwrap();
        socket.send(Message::text(first)).unwrap();
        socket.send(Message::text(second)).unwrap();
        Self { socket }
    }

    /// Opens the channel as a user and waits until it listens.
    #[track_caller]
    pub(crate) fn of(server: &TestServer, user: &User) -> Self {
        let mut listener = Self::open(server, &user.name, &user.secret);
        assert_eq!(listener.next().as_deref(), Some("authenticated"));
        listener
    }

    /// Returns the next text; `None`: the channel was closed.
    pub(crate) fn next(&mut self) -> Option<String> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Waits for news and returns how long it took.
    #[track_caller]
    pub(crate) fn news(&mut self) -> Duration {
        let begun = Instant::now();
        assert_eq!(self.next().as_deref(), Some("notify_file"));
        begun.elapsed()
    }

    /// Hears what is still under way, until nothing comes any more.
    pub(crate) fn settle(&mut self) {
        let stream = self.socket.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(1_800)))
            .unwrap();
        while self.next().is_some() {}
        let stream = self.socket.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
    }

    /// Fails the test when there is news within a while.
    #[track_caller]
    pub(crate) fn silence(&mut self, lasts: Duration) {
        self.socket.get_ref().set_read_timeout(Some(lasts)).unwrap();
        let heard = self.socket.read();
        assert!(
            !matches!(heard, Ok(Message::Text(_))),
            "{heard:?} should not be heard"
        );
        self.socket
            .get_ref()
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
    }
}

#[test]
fn who_listens_hears_of_changes_of_their_own_files_alone() {
    let server = TestServer::start();
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let mut listener = Listener::of(&server, &alice);
    let mut of_bob = Listener::of(&server, &bob);
    alice.put("/a.txt", "a").send().expect(201);
    assert!(listener.news() < SOON);
    alice.mkcol("/d").send().expect(201);
    alice.mv("/a.txt", "/d/a.txt").send().expect(201);
    assert!(listener.news() < SOON);
    of_bob.silence(Duration::from_secs(2));
    bob.put("/b.txt", "b").send().expect(201);
    assert!(of_bob.news() < SOON);
}

#[test]
fn many_changes_are_told_as_few() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut listener = Listener::of(&server, &alice);
    let begun = Instant::now();
    for number in 0..60 {
        alice.put(&format!("/{number}"), "x").send().expect(201);
    }
    let writing = begun.elapsed();
    let mut told = 0;
    listener
        .socket
        .get_ref()
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    while let Some(text) = listener.next() {
        assert_eq!(text, "notify_file");
        told += 1;
    }
    // At first at once, then once a second at most; the last change is told after the last pause.
    let most = 3 + usize::try_from(writing.as_secs()).unwrap();
    assert!((2..=most).contains(&told), "{told} in {writing:?}");
}

#[test]
fn only_who_may_sign_in_listens() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for (name, secret) in [("alice", "wrong"), ("nobody", "x"), ("", "no-ticket")] {
        let mut listener = Listener::open(&server, name, secret);
        assert_eq!(
            listener.next().as_deref(),
            Some("err: Invalid credentials"),
            "{name}"
        );
        assert_eq!(listener.next(), None);
    }

    let ticket = alice
        .raw("POST", "/index.php/apps/notify_push/pre_auth")
        .send()
        .expect(200)
        .text();
    let mut listener = Listener::open(&server, "", &ticket);
    assert_eq!(listener.next().as_deref(), Some("authenticated"));
    let mut second = Listener::open(&server, "", &ticket);
    assert_eq!(second.next().as_deref(), Some("err: Invalid credentials"));
    alice.put("/a.txt", "a").send().expect(201);
    assert!(listener.news() < SOON);

    // Who is disabled hears nothing any more.
    server.data.command(&["user", "disable", "alice"]).ok();
    let begun = Instant::now();
    while let Some(text) = listener.next() {
        assert_eq!(text, "notify_file");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_revoked_app_password_ends_its_channel() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let device = server.token(&alice, &[]);
    let mut listener = Listener::of(&server, &device);
    let tokens = server
        .data
        .command(&["token", "list", "alice", "--json"])
        .json();
    let id = tokens[0]["id"].to_string();
    server
        .data
        .command(&["token", "revoke", "alice", id.trim_matches('"')])
        .ok();
    assert_eq!(listener.next(), None);
}

#[test]
fn an_app_password_that_expires_ends_its_channel() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let device = server.token(&alice, &["--expires", "1d"]);
    let ticket = device
        .raw("POST", "/apps/notify_push/pre_auth")
        .send()
        .expect(200)
        .text();
    let mut by_password = Listener::of(&server, &device);
    let mut by_ticket = Listener::open(&server, "", &ticket);
    assert_eq!(by_ticket.next().as_deref(), Some("authenticated"));
    let mut owner = Listener::of(&server, &alice);
    server.data.advance(86_000);
    alice.put("/a", "1").send().expect(201);
    for listener in [&mut by_password, &mut by_ticket, &mut owner] {
        assert_eq!(listener.next().as_deref(), Some("notify_file"));
    }
    server.data.advance(500);
    assert_eq!(by_password.next(), None);
    assert_eq!(by_ticket.next(), None);
    device.get("/").send().expect(401);
    alice.put("/a", "2").send().expect(204);
    assert_eq!(owner.next().as_deref(), Some("notify_file"));
}

#[test]
fn what_is_no_websocket_or_says_too_much_is_refused() {
    let mut server = TestServer::with(&[("NUAGE_PUSH__PER_PERSON_MAX", "2")]);
    let alice = server.user("alice");
    alice.raw("GET", "/push/ws").send().expect(426);
    let mut listener = Listener::of(&server, &alice);
    drop(listener.socket.send(Message::text("x".repeat(5_000))));
    assert_eq!(listener.next(), None);

    let mut kept = [Listener::of(&server, &alice), Listener::of(&server, &alice)];
    let mut third = Listener::open(&server, &alice.name, &alice.secret);
    assert_eq!(third.next(), None);
    for listener in &mut kept {
        drop(listener.socket.close(None));
        assert_eq!(listener.next(), None);
    }
    server.assert_alive();
}

#[test]
fn a_change_through_another_server_is_heard_too() {
    let all = servers(&Ground::shared(), 2, &[]);
    let [one, two] = &all[..] else {
        panic!("two servers");
    };
    let alice = one.user("alice");
    let mut listener = Listener::of(two, &alice);
    alice.put("/a.txt", "a").send().expect(201);
    assert!(listener.news() < Duration::from_secs(5));
    let ticket = alice
        .raw("POST", "/apps/notify_push/pre_auth")
        .send()
        .expect(200)
        .text();
    let mut other = Listener::open(two, "", &ticket);
    assert_eq!(other.next().as_deref(), Some("authenticated"));
}

#[test]
fn an_idle_channel_costs_little() {
    const CHANNELS: usize = 400;
    let server = TestServer::with(&[("NUAGE_PUSH__PER_PERSON_MAX", "10000")]);
    let alice = server.user("alice");
    let warm: Vec<_> = (0..50).map(|_| Listener::of(&server, &alice)).collect();
    let before = server.memory_bytes();
    let many: Vec<_> = (0..CHANNELS)
        .map(|_| Listener::of(&server, &alice))
        .collect();
    let grown = server.memory_bytes().saturating_sub(before);
    let each = grown / CHANNELS as u64;
    report(&format!("an idle channel takes {each} bytes of the server"));
    assert!(each < 64 << 10, "{each} bytes for each channel");
    drop((warm, many));
}
