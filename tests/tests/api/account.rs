//! The caller's own account: password, devices, browsers.

use nuage_tests::TestServer;
use serde_json::json;

use crate::api::Page;
use crate::api::json as read;
use crate::api::problem;

#[test]
fn a_new_password_signs_every_other_browser_out() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    let mut elsewhere = Page::of(&server, &alice);
    let sessions = read(&page.get("/sessions").expect(200));
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(
        sessions.iter().filter(|one| one["is_this"] == true).count(),
        1
    );

    let new = "une phrase assez longue";
    let wrong = json!({"old": "not it", "new": new});
    problem(
        page.call("POST", "/password", &wrong),
        403,
        "wrong-password",
    );
    let short = json!({"old": alice.secret, "new": "short"});
    problem(page.call("POST", "/password", &short), 400, "weak-password");
    elsewhere.get("/session").expect(200);
    let right = json!({"old": alice.secret, "new": new});
    page.call("POST", "/password", &right).expect(204);
    page.get("/session").expect(200);
    problem(elsewhere.get("/session"), 401, "unauthenticated");
    alice.get("/").send().expect(401);
    let mut again = Page::signed_in(&server, "alice", new);

    // The mark belongs to the session: a page asks for it anew.
    problem(
        page.call("POST", "/folders", &json!({"path": "/x"})),
        403,
        "bad-mark",
    );
    let session = read(&page.get("/session").expect(200));
    session["mark"].as_str().unwrap().clone_into(&mut page.mark);
    page.call("POST", "/folders", &json!({"path": "/x"}))
        .expect(201);

    let sessions = read(&again.get("/sessions").expect(200));
    let other = sessions["sessions"].as_array().unwrap().iter();
    let other = other.clone().find(|one| one["is_this"] == false).unwrap();
    let id = other["id"].as_str().unwrap().to_owned();
    let bob = server.user("bob");
    let mut stranger = Page::of(&server, &bob);
    problem(
        stranger.delete(&format!("/sessions/{id}")),
        404,
        "not-found",
    );
    again.delete(&format!("/sessions/{id}")).expect(204);
    problem(page.get("/session"), 401, "unauthenticated");
    let answer = again.delete("/session").expect(204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    problem(again.get("/session"), 401, "unauthenticated");
}

#[test]
fn a_device_is_added_with_a_secret_shown_once_and_taken_away() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "a").send().success();
    let mut page = Page::of(&server, &alice);
    let wanted = json!({"label": "rclone du bureau", "is_read_only": true});
    let added = read(&page.call("POST", "/devices", &wanted).expect(201));
    let secret = added["secret"].as_str().unwrap();
    let device = server.client("alice", secret);
    device.get("/a").send().expect(200);
    device.put("/b", "b").send().expect(403);
    let devices = read(&page.get("/devices").expect(200));
    assert_eq!(devices["devices"][0]["label"], "rclone du bureau");
    assert_eq!(devices["devices"][0]["is_read_only"], true);
    assert!(!devices.to_string().contains(secret));
    let id = added["id"].as_str().unwrap();
    let bob = server.user("bob");
    let mut stranger = Page::of(&server, &bob);
    problem(stranger.delete(&format!("/devices/{id}")), 404, "not-found");
    page.delete(&format!("/devices/{id}")).expect(204);
    device.get("/a").send().expect(401);
    problem(
        page.call("POST", "/devices", &json!({"label": ""})),
        400,
        "bad-text",
    );
}
