//! How devices and browsers get in: the login flows, sessions, their forms, and who is kept out.

use nuage_tests::TestServer;
use nuage_tests::browser::Browser;
use nuage_tests::http::Request;
use nuage_tests::shape::Ground;

use crate::nextcloud::Device;
use crate::nextcloud::json;
use crate::servers::servers;

const DEVICES: &str = "/settings/devices";

#[track_caller]
fn is_signed_in(browser: &mut Browser) -> bool {
    browser.open(DEVICES).expect_any(&[200, 303]).status == 200
}

#[test]
fn a_device_gets_an_app_password_by_its_owners_consent_once() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--display-name", "Alice Martin"]);
    let device = Device::begin(&server);
    assert_eq!(device.poll.len(), 128);
    device.assert_waits(&server);

    let mut browser = Browser::new(&server).with_header("Accept-Language", "fr");
    let page = browser
        .visit(&format!("/index.php{}?user=alice", device.page))
        .expect(200);
    assert!(page.text().contains("value=\"alice\""), "{page}");
    let page = browser.sign_in(&page, "alice", &alice.secret).expect(200);
    let text = page.text();
    assert!(text.contains("Nextcloud Desktop 3.16.7 (Linux)"), "{text}");
    assert!(
        text.contains("Alice Martin") && text.contains("Autoriser"),
        "{text}"
    );
    device.assert_waits(&server);
    browser.submit(&page, &[("answer", "grant")]).expect(200);

    let granted = json(&device.poll(&server).expect(200));
    assert_eq!(granted["server"], "http://nuage.test");
    assert_eq!(granted["loginName"], "alice");
    let secret = granted["appPassword"].as_str().unwrap();
    device.assert_waits(&server);
    browser.open(&device.page).expect(404);
    let files = server.client("alice", secret).at_remote_php();
    files.propfind("/", "0", &["oc:id"]).send().expect(207);
    let list = server.data.command(&["token", "list", "alice"]);
    assert!(list.ok().contains("Nextcloud Desktop 3.16.7 (Linux)"));

    let log = server.log();
    let opens = device.page.rsplit('/').next().unwrap();
    for secret in [opens, &device.poll, secret, &alice.secret] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[test]
fn nobody_is_let_in_without_consent_or_too_late() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut browser = Browser::new(&server);
    let refused = Device::begin(&server);
    let page = browser.visit(&refused.page);
    let page = browser.sign_in(&page, "alice", &alice.secret);
    browser.submit(&page, &[("answer", "deny")]).expect(200);
    refused.assert_waits(&server);
    browser.open(&refused.page).expect(404);

    let late = Device::begin(&server);
    let page = browser.visit(&late.page).expect(200);
    server.data.advance(20 * 60 + 1);
    browser.submit(&page, &[("answer", "grant")]).expect(404);
    late.assert_waits(&server);

    let late = Device::begin(&server);
    let page = browser.visit(&late.page).expect(200);
    browser.submit(&page, &[("answer", "grant")]).expect(200);
    server.data.advance(20 * 60 + 1);
    late.assert_waits(&server);
    let list = server.data.command(&["token", "list", "alice", "--json"]);
    assert_eq!(
        list.json(),
        serde_json::json!([]),
        "an app password nobody fetched"
    );

    let disabled = Device::begin(&server);
    let page = browser.visit(&disabled.page).expect(200);
    browser.submit(&page, &[("answer", "grant")]).expect(200);
    server.data.command(&["user", "disable", "alice"]).ok();
    disabled.assert_waits(&server);

    for unknown in ["x", "", &"a".repeat(5_000)] {
        let answer = Browser::new(&server).post("/login/v2/poll", &[("token", unknown)]);
        assert_eq!(answer.expect(404).text(), "[]");
        browser
            .open(&format!("/login/v2/flow/{unknown}"))
            .expect(404);
    }
}

#[test]
fn a_form_that_is_not_ours_does_nothing() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    let device = Device::begin(&server);
    let mut browser = Browser::new(&server);
    let page = browser.visit(&device.page);
    let sign_in = page.text();
    browser.sign_in(&page, "alice", &alice.secret).expect(200);
    let mut other = Browser::new(&server);
    let page = other.visit(DEVICES);
    let others = other.sign_in(&page, "bob", &bob.secret).text();

    let mark_of = |html: &str| {
        let (_, rest) = html.split_once("name=\"mark\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let page = device.page.as_str();
    browser.post(page, &[("answer", "grant")]).expect(403);
    for mark in ["", "x", &mark_of(&others), &mark_of(&sign_in)] {
        let fields = [("answer", "grant"), ("mark", mark)];
        browser.post(page, &fields).expect(403);
        browser.post("/logout", &[("mark", mark)]).expect(403);
        browser
            .post(
                DEVICES,
                &[("do", "revoke"), ("device", "1"), ("mark", mark)],
            )
            .expect(403);
    }
    device.assert_waits(&server);
    assert!(is_signed_in(&mut browser));

    // Nobody is signed in by a form from elsewhere, as somebody else.
    let mut victim = Browser::new(&server);
    let fields = [("user", "bob"), ("password", bob.secret.as_str())];
    let answer = victim.post("/login", &fields).expect(403);
    assert_eq!(
        answer
            .header("set-cookie")
            .map(|cookie| cookie.contains("nuage-session")),
        Some(false)
    );
    assert!(!is_signed_in(&mut victim));
}

#[test]
fn guesses_at_the_page_are_slowed_like_any_other_and_an_app_password_opens_no_session() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let token = server.token(&alice, &[]);
    let mut browser = Browser::new(&server);
    let page = browser.visit(DEVICES);
    let by_token = [("user", "alice"), ("password", token.secret.as_str())];
    let answer = browser.submit(&page, &by_token).expect(403);
    assert!(answer.text().contains("role=\"alert\""), "{answer}");
    let unknown = browser.submit(&page, &[("user", "nobody"), ("password", "x")]);
    assert_eq!(
        unknown.expect(403).text().replace("nobody", "alice"),
        answer.text()
    );

    let guess = [("user", "alice"), ("password", "wrong")];
    let statuses: Vec<u16> = (0..30)
        .map(|_| browser.submit(&page, &guess).status)
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    let right = [("user", "alice"), ("password", alice.secret.as_str())];
    let refused = browser.submit(&page, &right).expect(429);
    let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    server.data.advance(wait + 1);
    browser.submit(&page, &right).expect(303);
    assert!(is_signed_in(&mut browser));
}

#[test]
fn a_session_belongs_to_its_browser_and_is_never_taken_from_plain_http() {
    let server = TestServer::with(&[("NUAGE_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let alice = server.user("alice");
    let mut plain = Browser::new(&server);
    let page = plain.visit(DEVICES);
    let right = [("user", "alice"), ("password", alice.secret.as_str())];
    let answer = plain.submit(&page, &right).expect(303);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("nuage-session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );

    let mut secure = Browser::new(&server).with_header("X-Forwarded-Proto", "https");
    let page = secure.visit(DEVICES);
    assert!(secure.cookie("__Host-nuage-form").is_some());
    let answer = secure.submit(&page, &right).expect(303);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-nuage="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    assert!(is_signed_in(&mut secure));

    let stolen = plain.cookie("nuage-session").unwrap().to_owned();
    let mut fixed = Browser::new(&server).with_header("X-Forwarded-Proto", "https");
    fixed.put_cookie("nuage-session", &stolen);
    assert!(!is_signed_in(&mut fixed));
    let begun = Browser::new(&server)
        .with_header("X-Forwarded-Proto", "https")
        .post("/login/v2", &[]);
    let login = json(&begun.expect(200))["login"].to_string();
    assert!(
        login.starts_with("\"https://nuage.test/login/v2/flow/"),
        "{login}"
    );
}

#[test]
fn a_session_ends_with_time_with_a_new_password_and_when_somebody_leaves() {
    let server = TestServer::with(&[
        ("NUAGE_SESSION__IDLE_HOURS", "2"),
        ("NUAGE_SESSION__DAYS_MAX", "1"),
    ]);
    let alice = server.user("alice");
    let sign_in = |secret: &str| {
        let mut browser = Browser::new(&server);
        let page = browser.visit(DEVICES);
        browser.sign_in(&page, "alice", secret).expect(200);
        browser
    };
    let mut idle = sign_in(&alice.secret);
    let mut busy = sign_in(&alice.secret);
    for hour in 1..24 {
        server.data.advance(3_600);
        assert!(is_signed_in(&mut busy), "hour {hour}");
    }
    assert!(!is_signed_in(&mut idle));
    server.data.advance(3_601);
    assert!(!is_signed_in(&mut busy), "it slides no further than a day");

    let mut gone = sign_in(&alice.secret);
    let mut kept = sign_in(&alice.secret);
    let before = gone.clone();
    let page = gone.open(DEVICES);
    let (_, form) = page
        .text()
        .split_once("action=\"/logout\"")
        .map(|(a, b)| (a.len(), b.to_owned()))
        .unwrap();
    let (_, mark) = form.split_once("name=\"mark\" value=\"").unwrap();
    let mark = mark.split('"').next().unwrap().to_owned();
    gone.post("/logout", &[("mark", &mark)]).expect(303);
    assert_eq!(gone.cookie("nuage-session"), None);
    assert!(!is_signed_in(&mut gone) && !is_signed_in(&mut before.clone()));
    assert!(is_signed_in(&mut kept));

    let words = ["user", "passwd", "alice", "--password-stdin"];
    server
        .data
        .command_with_input(&words, "another long secret\n")
        .ok();
    assert!(!is_signed_in(&mut kept));
    let mut last = sign_in("another long secret");
    server.data.command(&["user", "disable", "alice"]).ok();
    assert!(!is_signed_in(&mut last));
    server.data.command(&["user", "enable", "alice"]).ok();
    assert!(!is_signed_in(&mut last), "it does not come back");
}

#[test]
fn the_page_leads_to_our_own_pages_alone() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/dav/",
    ] {
        let mut browser = Browser::new(&server);
        let page = browser.open(&format!("/login?next={}", nuage_tests::user::encode(next)));
        let right = [("user", "alice"), ("password", alice.secret.as_str())];
        let answer = browser.submit(&page, &right).expect(303);
        assert_eq!(answer.header("location"), Some("/"), "{next}");
    }
}

#[test]
fn an_old_phone_is_led_to_its_app_password() {
    let server = TestServer::start();
    let alice = server.user("al ice&é");
    let mut browser = Browser::new(&server)
        .with_header("OCS-APIREQUEST", "true")
        .with_header("User-Agent", "Mozilla/5.0 (Android) Nextcloud-android/3.9");
    let page = browser.visit("/index.php/login/flow").expect(200);
    let page = browser
        .sign_in(&page, &alice.name, &alice.secret)
        .expect(200);
    assert!(page.text().contains("Nextcloud Android 3.9"), "{page}");
    let answer = browser.submit(&page, &[("answer", "grant")]).expect(303);
    let place = answer.header("location").unwrap();
    let rest =
        place.strip_prefix("nc://login/server:http://nuage.test&user:al%20ice%26%C3%A9&password:");
    let secret = rest.unwrap_or_else(|| panic!("{place}"));
    alice
        .with_secret(secret)
        .propfind("/", "0", &["oc:id"])
        .send()
        .expect(207);
    assert!(!server.log().contains(secret));
}

#[test]
fn an_address_of_mail_signs_in_where_it_is_one_persons() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--email", "Alice@Example.org"]);
    server.user_with("bob", &["--email", "both@example.org"]);
    server.user_with("eve", &["--email", "both@example.org"]);
    let by_mail = server.client("alice@example.ORG", &alice.secret);
    by_mail.put("/a", "x").send().expect(201);
    assert_eq!(alice.get("/a").send().expect(200).text(), "x");
    let token = server.token(&alice, &[]);
    let by_mail = server.client("alice@example.org", &token.secret);
    by_mail.get("/a").send().expect(200);
    server
        .client("both@example.org", "bob's own secret")
        .get("/")
        .send()
        .expect(401);
    // The address opens no other person's app password.
    server
        .client("both@example.org", &token.secret)
        .get("/a")
        .send()
        .expect(401);

    let guess = server.client("alice@example.org", "wrong");
    let statuses: Vec<u16> = (0..30).map(|_| guess.get("/").send().status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    // By whichever name, it is the same account that is guessed at.
    alice.with_secret("other").get("/a").send().expect(429);
}

#[test]
fn an_app_password_is_enough_without_a_name() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let token = server.token(&alice, &[]);
    let bearer = |method: &str, target: &str, secret: &str| {
        let request = Request::new(method, target);
        server.anonymous(request.header("Authorization", &format!("Bearer {secret}")))
    };
    assert_eq!(
        bearer("GET", "/dav/a", &token.secret).expect(200).text(),
        "x"
    );
    bearer("PROPFIND", "/remote.php/dav/files/alice/", &token.secret).expect(207);
    let answer = bearer("GET", "/ocs/v2.php/cloud/user?format=json", &token.secret).expect(200);
    assert_eq!(json(&answer)["ocs"]["data"]["id"], "alice");
    for wrong in [alice.secret.as_str(), "", "x", &"a".repeat(3_000)] {
        bearer("GET", "/dav/a", wrong).expect(401);
    }
    // What is remembered of one form does not open the other.
    server
        .client(":", &token.secret)
        .get("/a")
        .send()
        .expect(401);
}

#[test]
fn a_refusal_has_the_clothes_that_clients_and_browsers_need() {
    let server = TestServer::start();
    let request = || Request::new("PROPFIND", "/remote.php/dav/").header("Depth", "0");
    let answer = server
        .anonymous(request().header("Accept-Language", "fr"))
        .expect(401);
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge, Some("Basic realm=\"Nuage\", charset=\"UTF-8\""));
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/xml; charset=utf-8"));
    let text = answer.text();
    assert!(text.contains("<s:exception>Sabre\\DAV\\Exception\\NotAuthenticated</s:exception>"));
    assert!(text.contains("<s:message>Le nom ou le mot de passe est incorrect.</s:message>"));
    let script = request().header("X-Requested-With", "XMLHttpRequest");
    let answer = server.anonymous(script).expect(401);
    let challenge = answer.header("www-authenticate");
    assert_eq!(
        challenge,
        Some("DummyBasic realm=\"Nuage\", charset=\"UTF-8\"")
    );
    // The page at the root is no 401, or clients would ask for the password themselves.
    server.anonymous(Request::new("GET", "/")).expect(200);
}

#[test]
fn a_device_begins_at_one_server_is_let_in_at_another_and_fetches_at_a_third() {
    let all = servers(&Ground::shared(), 3, &[]);
    let alice = all[0].user("alice");
    let device = Device::begin(&all[0]);
    let mut browser = Browser::new(&all[1]);
    let page = browser.visit(&device.page);
    let page = browser.sign_in(&page, "alice", &alice.secret).expect(200);
    let mut browser = browser.at(&all[2]);
    browser.submit(&page, &[("answer", "grant")]).expect(200);
    let secret = device.fetch(&all[0]);
    for server in &all {
        device.assert_waits(server);
        server
            .client("alice", &secret)
            .propfind("/", "0", &["oc:id"])
            .send()
            .expect(207);
    }
}
