//! The pages: whether they keep others out, and can be read by everybody.

use nuage_tests::TestServer;
use nuage_tests::browser::Browser;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;

use crate::nextcloud::Device;

#[track_caller]
fn assert_good(page: &Answer, language: &str) {
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "style-src 'sha256-",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "no {part} in {policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("script"),
        "{policy}"
    );
    let is = |name: &str, value: &str| assert_eq!(page.header(name), Some(value), "{page}");
    is("cache-control", "no-store");
    is("referrer-policy", "no-referrer");
    is("x-content-type-options", "nosniff");
    is("x-frame-options", "DENY");
    is("content-language", language);
    let html = page.text();
    assert!(
        html.contains(&format!("<html lang=\"{language}\">")),
        "{html}"
    );
    assert!(html.contains("name=\"viewport\"") && html.contains("<main>"));
    assert_eq!(html.matches("<h1>").count(), 1);
    assert!(!html.contains("<script") && !html.contains("javascript:"));
    // Whatever is typed into has a label.
    for input in html
        .split("<input ")
        .skip(1)
        .filter(|input| !input.starts_with("type=\"hidden\""))
    {
        let (_, id) = input.split_once("id=\"").unwrap();
        let id = id.split('"').next().unwrap();
        assert!(html.contains(&format!("<label for=\"{id}\">")), "{id}");
    }
}

#[test]
fn every_page_is_closed_to_others_and_open_to_everybody() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--display-name", "<b>Alice</b>"]);
    let labels = "<script>alert(1)</script>\"'&";
    server
        .data
        .command(&["token", "create", "alice", "--label", labels])
        .ok();
    for language in ["en", "fr"] {
        let mut browser = Browser::new(&server).with_header("Accept-Language", language);
        let device = Device::begin(&server);
        let page = browser.visit(&device.page);
        assert_good(&page, language);
        let wrong = [("user", "\"><script>x"), ("password", "wrong")];
        assert_good(&browser.submit(&page, &wrong).expect(403), language);
        let page = browser.sign_in(&page, "alice", &alice.secret).expect(200);
        assert_good(&page, language);
        assert!(page.text().contains("&lt;b&gt;Alice&lt;/b&gt;"));
        assert_good(
            &browser
                .post(&device.page, &[("answer", "grant")])
                .expect(403),
            language,
        );
        assert_good(
            &browser.submit(&page, &[("answer", "grant")]).expect(200),
            language,
        );
        assert_good(&browser.open(&device.page).expect(404), language);
        assert_good(&browser.open("/settings/devices").expect(200), language);
    }
}

#[test]
fn what_no_page_expects_is_refused_in_order() {
    let mut server = TestServer::start();
    for (method, target) in [
        ("GET", "/login/v2"),
        ("GET", "/login/v2/poll"),
        ("PUT", "/login"),
        ("GET", "/logout"),
        ("DELETE", "/login/flow"),
    ] {
        let answer = server.anonymous(Request::new(method, target)).expect(405);
        assert!(answer.header("allow").is_some());
    }
    for (method, target) in [
        ("GET", "/login/none"),
        ("POST", "/login/v2/flow"),
        ("GET", "/core/wipe/check"),
        ("POST", "/core/wipe/none"),
        ("GET", "/login/v2/flow/%00%ff/x"),
        ("GET", "/settings/none"),
    ] {
        server.anonymous(Request::new(method, target)).expect(404);
    }
    let flood = "a=b&".repeat(10_000);
    for target in ["/login", "/login/v2", "/login/v2/poll", "/core/wipe/check"] {
        let request = Request::new("POST", target).body(flood.clone());
        server.anonymous(request).expect(413);
    }
    for odd in [
        "%",
        "%zz=%",
        "token=%ff%fe",
        "mark=%00&user=%0d%0a&password=%00",
    ] {
        let request = Request::new("POST", "/login").body(odd);
        server.anonymous(request).expect(403);
    }
    server.assert_alive();
}

#[test]
fn nobody_fills_the_database_with_devices_that_wait() {
    let server = TestServer::start();
    let begin = || {
        let request = Request::new("POST", "/login/v2").header("Content-Length", "0");
        server.anonymous(request).status
    };
    let statuses: Vec<u16> = (0..200).map(|_| begin()).collect();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[199], 429);
    let held = server.data.number("SELECT count(*) FROM device_login");
    assert!(held <= 120, "{held}");
}
