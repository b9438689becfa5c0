//! Sharing from the page: with people, groups and by links, changed and ended.

use nuage_tests::TestServer;
use nuage_tests::browser::Browser;
use serde_json::json;

use crate::api::Page;
use crate::api::json as read;
use crate::api::problem;

#[test]
fn a_share_is_made_seen_changed_and_ended() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user_with("bob", &["--display-name", "Bob Lenoir"]);
    alice.mkcol("/Cours").send().success();
    let mut page = Page::of(&server, &alice);
    let people = read(&page.get("/people?q=lenoir").expect(200));
    assert_eq!(people["people"][0]["name"], "bob");
    assert_eq!(people["people"][0]["kind"], "person");
    let wanted = json!({"path": "/Cours", "kind": "person", "receiver": "bob", "permissions": 1, "note": "à lire"});
    let share = read(&page.call("POST", "/shares", &wanted).expect(201));
    assert_eq!(share["receiver"]["display_name"], "Bob Lenoir");
    assert_eq!(share["may_change"], true);
    problem(page.call("POST", "/shares", &wanted), 409, "already-exists");
    let nobody = json!({"path": "/Cours", "kind": "person", "receiver": "nobody"});
    problem(
        page.call("POST", "/shares", &nobody),
        404,
        "no-such-receiver",
    );

    let mut other = Page::of(&server, &bob);
    let list = read(&other.get("/list?path=/").expect(200));
    assert_eq!(list["columns"]["mount"][0]["kind"], "share");
    assert_eq!(list["columns"]["mount"][0]["owner"]["name"], "alice");
    assert_eq!(list["columns"]["permissions"][0], 1);
    let made = other.call("POST", "/folders", &json!({"path": "/Cours/x"}));
    problem(made, 403, "not-permitted");
    let to_me = read(&other.get("/shares?which=to-me").expect(200));
    assert_eq!(to_me["shares"][0]["note"], "à lire");
    assert_eq!(to_me["shares"][0]["node"]["path"], "/Cours");
    assert_eq!(to_me["shares"][0]["may_change"], false);

    let id = share["id"].clone();
    let change = json!({"permissions": 15, "last_day": "2099-07-05"});
    let changed = page
        .call("PATCH", &format!("/shares/{id}"), &change)
        .expect(200);
    let changed = read(&changed);
    assert_eq!(changed["permissions"], 15);
    assert_eq!(changed["last_day"], "2099-07-05");
    other
        .call("POST", "/folders", &json!({"path": "/Cours/x"}))
        .expect(201);
    let listed = read(&page.get("/list?path=/").expect(200));
    assert_eq!(listed["columns"]["shared"][0], 1);
    problem(
        other.call("PATCH", &format!("/shares/{id}"), &change),
        403,
        "not-permitted",
    );
    page.delete(&format!("/shares/{id}")).expect(204);
    assert!(other.names("/").is_empty());
    problem(page.delete(&format!("/shares/{id}")), 404, "not-found");
}

#[test]
fn a_link_opens_until_it_is_ended_and_only_its_owner_sees_its_address() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    alice.mkcol("/Cours").send().success();
    alice.put("/Cours/a.txt", "a").send().success();
    let mut page = Page::of(&server, &alice);
    let given = json!({"path": "/Cours", "kind": "person", "receiver": "bob", "permissions": 31});
    page.call("POST", "/shares", &given).expect(201);
    let wanted =
        json!({"path": "/Cours", "kind": "link", "password": "motdepasse", "label": "élèves"});
    let link = read(&page.call("POST", "/shares", &wanted).expect(201));
    assert_eq!(link["has_password"], true);
    assert_eq!(link["receiver"], json!(null));
    let url = link["url"].as_str().unwrap().to_owned();
    let mut guest = Browser::new(&server);
    let asked = guest.open(&nuage_tests::browser::path_of(&url)).expect(200);
    assert!(asked.text().contains("type=\"password\""));

    let mut other = Page::of(&server, &bob);
    let seen = read(&other.get("/shares?path=/Cours").expect(200));
    for share in seen["shares"].as_array().unwrap() {
        assert_eq!(share["url"], json!(null), "{share}");
    }
    let id = link["id"].clone();
    let open = json!({"password": ""});
    let changed = read(
        &page
            .call("PATCH", &format!("/shares/{id}"), &open)
            .expect(200),
    );
    assert_eq!(changed["has_password"], false);
    guest.open(&nuage_tests::browser::path_of(&url)).expect(200);
    page.delete(&format!("/shares/{id}")).expect(204);
    guest.open(&nuage_tests::browser::path_of(&url)).expect(404);
    let bad = json!({"path": "/Cours", "kind": "link", "last_day": "demain"});
    problem(page.call("POST", "/shares", &bad), 400, "bad-request");
    let past = json!({"path": "/Cours", "kind": "link", "last_day": "2001-01-01"});
    problem(page.call("POST", "/shares", &past), 400, "day-passed");
}
