//! Does the web page get what it asks, with failures that say what to do, and nobody else anything?

mod account;
mod administration;
mod events;
mod files;
mod history;
mod shares;
mod uploads;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::browser::Browser;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::user::encode;
use serde_json::Value;

/// Where the calls begin.
const API: &str = "/api/v1";

/// The page of somebody who is signed in.
pub(crate) struct Page {
    pub(crate) browser: Browser,
    pub(crate) mark: String,
}

impl Page {
    /// Signs somebody in by the page that asks who they are.
    #[track_caller]
    pub(crate) fn of(server: &TestServer, user: &User) -> Self {
        Self::signed_in(server, &user.name, &user.secret)
    }

    #[track_caller]
    pub(crate) fn signed_in(server: &TestServer, name: &str, password: &str) -> Self {
        let mut browser = Browser::new(server).with_header("Accept-Language", "en");
        let page = browser.open("/login").expect(200);
        let fields = [("user", name), ("password", password)];
        browser.submit(&page, &fields).expect(303);
        let mut page = Self {
            browser,
            mark: String::new(),
        };
        let session = json(&page.get("/session").expect(200));
        session["mark"].as_str().unwrap().clone_into(&mut page.mark);
        page
    }

    #[track_caller]
    pub(crate) fn get(&mut self, place: &str) -> Answer {
        self.browser.open(&format!("{API}{place}"))
    }

    #[track_caller]
    pub(crate) fn send(&mut self, request: Request) -> Answer {
        let mark = self.mark.clone();
        self.browser.send(request.header("X-Nuage-Mark", &mark))
    }

    /// Calls with a body of JSON.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, place: &str, body: &Value) -> Answer {
        let request = Request::new(method, &format!("{API}{place}"))
            .header("Content-Type", "application/json")
            .body(body.to_string());
        self.send(request)
    }

    #[track_caller]
    pub(crate) fn delete(&mut self, place: &str) -> Answer {
        self.send(Request::new("DELETE", &format!("{API}{place}")))
    }

    /// Sends a file, with a header such as `If-Match`.
    #[track_caller]
    pub(crate) fn put(&mut self, path: &str, body: &[u8], header: Option<(&str, &str)>) -> Answer {
        let target = format!("{API}/content?path={}", encode(path));
        let mut request = Request::new("PUT", &target).body(body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        self.send(request)
    }

    /// The names in a folder, sorted.
    #[track_caller]
    pub(crate) fn names(&mut self, path: &str) -> Vec<String> {
        let list = json(
            &self
                .get(&format!("/list?path={}", encode(path)))
                .expect(200),
        );
        let mut names: Vec<String> =
            serde_json::from_value(list["columns"]["name"].clone()).unwrap();
        assert_eq!(list["count"], names.len());
        names.sort();
        names
    }
}

#[track_caller]
pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Asserts that an answer is a problem document with this code.
#[track_caller]
pub(crate) fn problem(answer: Answer, status: u16, code: &str) -> Value {
    let answer = answer.expect(status);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let document = json(&answer);
    assert_eq!(document["code"], code, "{document}");
    assert_eq!(document["type"], format!("/problems/{code}"));
    assert_eq!(document["status"], status);
    assert!(!document["title"].as_str().unwrap().is_empty());
    document
}

#[test]
fn nobody_calls_without_a_session_and_no_change_without_the_mark() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for place in [
        "/session",
        "/list",
        "/content?path=/x",
        "/admin/users",
        "/nothing",
    ] {
        let answer = server.anonymous(Request::new("GET", &format!("{API}{place}")));
        problem(answer, 401, "unauthenticated");
        // Neither a password nor an app password is for this.
        let answer = alice.raw("GET", &format!("{API}{place}")).send();
        problem(answer, 401, "unauthenticated");
    }
    let mut page = Page::of(&server, &alice);
    let body = serde_json::json!({"path": "/Cours"});
    for mark in ["", "x", &"A".repeat(43)] {
        let request = Request::new("POST", &format!("{API}/folders"))
            .header("Content-Type", "application/json")
            .header("X-Nuage-Mark", mark)
            .body(body.to_string());
        problem(page.browser.send(request), 403, "bad-mark");
    }
    // The mark of somebody else's page is of no use.
    let bob = server.user("bob");
    let others = Page::of(&server, &bob).mark;
    let request = Request::new("POST", &format!("{API}/folders"))
        .header("Content-Type", "application/json")
        .header("X-Nuage-Mark", &others)
        .body(body.to_string());
    problem(page.browser.send(request), 403, "bad-mark");
    assert!(page.names("/").is_empty());
    page.call("POST", "/folders", &body).expect(201);
    assert_eq!(page.names("/"), ["Cours"]);
    // What a form of another site could send is not understood.
    let request = Request::new("POST", &format!("{API}/folders"))
        .header("Content-Type", "text/plain")
        .body(body.to_string());
    problem(page.send(request), 415, "not-json");
    let log = server.log();
    for secret in [
        page.mark.as_str(),
        page.browser.cookie("nuage-session").unwrap(),
    ] {
        assert!(!log.contains(secret), "the log holds a secret");
    }
}

#[test]
fn failures_speak_the_language_of_the_browser() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    let answer = page.get("/node?path=/missing");
    let english = problem(answer, 404, "not-found");
    assert_eq!(english["path"], "/missing");
    page.browser = page.browser.clone().with_header("Accept-Language", "fr");
    let request = Request::new("GET", &format!("{API}/nothing"));
    problem(page.browser.send(request), 404, "no-such-call");
    problem(page.get("/list?path=/a/../b"), 400, "bad-name");
    problem(page.get("/trash?after=x"), 400, "bad-request");
    problem(
        page.call("POST", "/folders", &serde_json::json!({"way": 1})),
        400,
        "bad-request",
    );
}
