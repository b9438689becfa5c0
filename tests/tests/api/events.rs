//! A page hears of changes at once, and of the end of its session.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use nuage_tests::TestServer;

use crate::api::API;
use crate::api::Page;

/// How long something may take to be told.
const PATIENCE: Duration = Duration::from_secs(15);

/// A page that listens.
struct Listening {
    stream: TcpStream,
    heard: String,
}

impl Listening {
    fn begin(server: &TestServer, page: &Page) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let cookie = page.browser.cookie("nuage-session").unwrap();
        write!(
            stream,
            "GET {API}/events HTTP/1.1\r\nHost: nuage.test\r\nCookie: nuage-session={cookie}\r\n\r\n"
        )
        .unwrap();
        let mut listening = Self {
            stream,
            heard: String::new(),
        };
        listening.hear("retry: ");
        listening
    }

    /// Waits until a text was heard since the last time.
    #[track_caller]
    fn hear(&mut self, text: &str) {
        let mut piece = [0; 4096];
        while !self.heard.contains(text) {
            let length = self.stream.read(&mut piece).unwrap_or(0);
            assert!(length > 0, "{text:?} was not heard: {:?}", self.heard);
            self.heard
                .push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        let end = self.heard.find(text).unwrap() + text.len();
        self.heard.drain(..end);
    }
}

#[test]
fn a_page_hears_of_a_change_and_that_its_session_is_over() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let page = Page::of(&server, &alice);
    let mut listening = Listening::begin(&server, &page);
    alice.put("/a", "a").send().success();
    listening.hear("event: changed");
    alice.put("/b", "b").send().success();
    listening.hear("event: changed");
    server.data.command(&["user", "disable", "alice"]).ok();
    listening.hear("event: bye");
}

#[test]
fn one_person_has_so_many_pages_that_listen() {
    let server = TestServer::with(&[("NUAGE_WEB__PAGES_MAX", "2")]);
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    let first = Listening::begin(&server, &page);
    let _second = Listening::begin(&server, &page);
    crate::api::problem(page.get("/events"), 503, "too-many-channels");
    drop(first);
    alice.put("/a", "a").send().success();
    nuage_tests::wait::wait_until("a place is free", PATIENCE, || {
        alice.put("/a", "b").send().success();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let cookie = page.browser.cookie("nuage-session").unwrap();
        let head = format!(
            "GET {API}/events HTTP/1.1\r\nHost: nuage.test\r\nCookie: nuage-session={cookie}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut piece = [0; 64];
        let length = stream.read(&mut piece).unwrap();
        piece[..length].starts_with(b"HTTP/1.1 200")
    });
}
