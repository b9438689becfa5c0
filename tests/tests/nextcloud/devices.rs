//! The devices of a person: seen, disconnected, and told to delete their files.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::browser::Browser;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;

use crate::nextcloud::json;

const DEVICES: &str = "/settings/devices";

#[track_caller]
fn signed_in(server: &TestServer, user: &User) -> Browser {
    let mut browser = Browser::new(server);
    let page = browser.visit(DEVICES);
    browser.sign_in(&page, &user.name, &user.secret).expect(200);
    browser
}

#[track_caller]
fn wipe(server: &TestServer, what: &str, secret: &str) -> Answer {
    Browser::new(server).post(
        &format!("/index.php/core/wipe/{what}"),
        &[("token", secret)],
    )
}

/// The numbers of the devices on the page, in its order.
fn numbers(page: &Answer) -> Vec<String> {
    let html = page.text();
    let items = html.split("<li>").skip(1);
    let number = |item: &str| {
        let (_, rest) = item.split_once("name=\"device\" value=\"")?;
        Some(rest.split('"').next().unwrap().to_owned())
    };
    items.filter_map(number).collect()
}

#[test]
fn somebody_sees_their_devices_and_disconnects_one() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    let kept = server.token(&alice, &[]);
    server.data.advance(60);
    let lost = server.token(&alice, &[]);
    let others = server.token(&bob, &[]);
    let mut browser = signed_in(&server, &alice);
    let page = browser.open(DEVICES).expect(200);
    let shown = numbers(&page);
    assert_eq!(shown.len(), 2, "{page}");

    // The one that came last stands first; its form is the first of the page.
    browser.submit(&page, &[("do", "revoke")]).expect(303);
    lost.get("/").send().expect(401);
    kept.propfind("/", "0", &["oc:id"]).send().expect(207);
    let page = browser.open(DEVICES);
    assert_eq!(numbers(&page), &shown[1..]);

    let mark = page.text();
    let (_, mark) = mark.split_once("name=\"mark\" value=\"").unwrap();
    let mark = mark.split('"').next().unwrap();
    let listed = server
        .data
        .command(&["token", "list", "bob", "--json"])
        .json();
    let number = listed[0]["id"].to_string();
    for device in [number.as_str(), "x", "", "-1"] {
        let fields = [("do", "revoke"), ("device", device), ("mark", mark)];
        browser.post(DEVICES, &fields).expect(404);
    }
    others.propfind("/", "0", &["oc:id"]).send().expect(207);
}

#[test]
fn a_lost_device_is_told_to_delete_its_files_and_nobody_else_is() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let kept = server.token(&alice, &[]);
    server.data.advance(60);
    let lost = server.token(&alice, &[]);
    lost.propfind("/", "0", &["oc:id"]).send().expect(207);
    for secret in [&kept.secret, &lost.secret, &alice.secret, "", "x"] {
        assert_eq!(wipe(&server, "check", secret).expect(404).text(), "[]");
        wipe(&server, "success", secret).expect(404);
    }
    let mut browser = signed_in(&server, &alice);
    let page = browser.open(DEVICES);
    let html = page.text();
    assert!(html.contains("value=\"wipe\""), "{html}");
    let second = html.replacen("value=\"revoke\"", "value=\"revoked\"", 1);
    assert!(second.contains("value=\"wipe\""));
    browser.submit(&page, &[("do", "wipe")]).expect(303);

    lost.get("/").send().expect(401);
    let answer = wipe(&server, "check", &lost.secret).expect(200);
    assert_eq!(json(&answer), serde_json::json!({"wipe": true}));
    wipe(&server, "check", &kept.secret).expect(404);
    wipe(&server, "success", &lost.secret).expect(200);
    wipe(&server, "check", &lost.secret).expect(404);
    let page = browser.open(DEVICES).text();
    assert!(page.contains("Its files were deleted on"), "{page}");
}

#[test]
fn a_revoked_device_can_still_be_told_by_a_command() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let lost = server.token(&alice, &[]);
    let id = server
        .data
        .command(&["token", "list", "alice", "--json"])
        .json()[0]["id"]
        .to_string();
    server.data.command(&["token", "revoke", "alice", &id]).ok();
    wipe(&server, "check", &lost.secret).expect(404);
    server.data.command(&["token", "wipe", "alice", &id]).ok();
    wipe(&server, "check", &lost.secret).expect(200);
    let listed = server.data.command(&["token", "list", "alice"]);
    assert!(listed.ok().contains("to delete its files since"));
    assert_ne!(
        server.data.command(&["token", "wipe", "alice", "999"]).code,
        0
    );
}

#[test]
fn a_password_buys_an_app_password_which_buys_no_other_and_ends_itself() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let target = "/ocs/v2.php/core/getapppassword?format=json";
    let bought = alice
        .raw("GET", target)
        .header("User-Agent", "Zoé’s laptop")
        .send()
        .expect(200);
    let secret = json(&bought)["ocs"]["data"]["apppassword"]
        .as_str()
        .unwrap()
        .to_owned();
    let device = alice.with_secret(&secret);
    device.propfind("/", "0", &["oc:id"]).send().expect(207);
    let answer = device.raw("GET", target).send().expect(403);
    assert_eq!(json(&answer)["ocs"]["meta"]["statuscode"], 403);
    let listed = server.data.command(&["token", "list", "alice"]);
    assert!(listed.ok().contains("Zoé’s laptop"), "{}", listed.stdout);

    let end = "/index.php/ocs/v2.php/core/apppassword?format=json";
    alice.raw("DELETE", end).send().expect(403);
    device.raw("DELETE", end).send().expect(200);
    device.get("/").send().expect(401);
    alice.propfind("/", "0", &["oc:id"]).send().expect(207);
    server.anonymous(Request::new("DELETE", end)).expect(401);
}
