//! Administration from the page: people, groups and links, and nobody else gets there.

use nuage_tests::TestServer;
use serde_json::json;

use crate::api::Page;
use crate::api::json as read;
use crate::api::problem;

#[test]
fn only_administrators_administer() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    for place in [
        "/admin/users",
        "/admin/groups",
        "/admin/links",
        "/admin/nothing",
    ] {
        problem(page.get(place), 403, "not-permitted");
    }
    let body = json!({"name": "mallory", "is_admin": true});
    problem(
        page.call("POST", "/admin/users", &body),
        403,
        "not-permitted",
    );
    problem(page.delete("/admin/users/alice"), 403, "not-permitted");
    problem(
        page.call("POST", "/admin/links/end", &json!({"ids": [1]})),
        403,
        "not-permitted",
    );
}

#[test]
fn people_are_added_limited_stopped_and_archived() {
    let server = TestServer::start();
    let root = server.user_with("root", &["--admin"]);
    let mut page = Page::of(&server, &root);
    let wanted =
        json!({"name": "camille", "display_name": "Camille Durand", "email": "c@example.org"});
    let made = read(&page.call("POST", "/admin/users", &wanted).expect(201));
    let password = made["password"].as_str().unwrap();
    let camille = server.client("camille", password);
    camille.put("/a", "0123456789").send().expect(201);
    problem(
        page.call("POST", "/admin/users", &wanted),
        409,
        "already-exists",
    );
    problem(
        page.call("POST", "/admin/users", &json!({"name": "a/b"})),
        400,
        "bad-name",
    );
    let found = read(&page.get("/admin/users?q=durand").expect(200));
    assert_eq!(found["items"][0]["name"], "camille");
    assert_eq!(found["items"][0]["quota"]["used_bytes"], 10);
    let limit = json!({"quota_bytes": 15});
    let changed = read(
        &page
            .call("PATCH", "/admin/users/camille", &limit)
            .expect(200),
    );
    assert_eq!(changed["own_quota_bytes"], 15);
    camille.put("/b", "0123456789").send().expect(507);
    page.call(
        "PATCH",
        "/admin/users/camille",
        &json!({"is_disabled": true}),
    )
    .expect(200);
    camille.get("/a").send().expect(401);
    problem(
        page.call("PATCH", "/admin/users/root", &json!({"is_disabled": true})),
        409,
        "oneself",
    );
    problem(page.delete("/admin/users/ROOT"), 409, "oneself");
    page.delete("/admin/users/camille?hand_to=root").expect(204);
    problem(page.delete("/admin/users/camille"), 404, "no-such-user");
    assert!(
        page.names("/").iter().any(|name| name.contains("camille")),
        "{:?}",
        page.names("/")
    );
}

#[test]
fn groups_have_members_and_links_are_found_and_ended() {
    let server = TestServer::start();
    let root = server.user_with("root", &["--admin"]);
    let alice = server.user("alice");
    let mut page = Page::of(&server, &root);
    page.call(
        "POST",
        "/admin/groups",
        &json!({"name": "Salle des profs", "quota_bytes": 1000}),
    )
    .expect(201);
    page.call(
        "PUT",
        "/admin/groups/Salle%20des%20profs/members/alice",
        &json!({"role": "reader"}),
    )
    .expect(204);
    let members = read(
        &page
            .get("/admin/groups/Salle%20des%20profs/members")
            .expect(200),
    );
    assert_eq!(members["items"][0]["role"], "reader");
    let groups = read(&page.get("/admin/groups").expect(200));
    assert_eq!(groups["items"][0]["members"], 1);
    let mut member = Page::of(&server, &alice);
    assert_eq!(member.names("/"), ["Salle des profs"]);
    page.delete("/admin/groups/Salle%20des%20profs/members/alice")
        .expect(204);
    assert!(member.names("/").is_empty());
    page.delete("/admin/groups/Salle%20des%20profs").expect(204);

    alice.mkcol("/Cours").send().success();
    let with = json!({"path": "/Cours", "kind": "link", "password": "motdepasse"});
    let without = json!({"path": "/Cours", "kind": "link"});
    member.call("POST", "/shares", &with).expect(201);
    let open = read(&member.call("POST", "/shares", &without).expect(201));
    let links = read(&page.get("/admin/links?without=password").expect(200));
    let items = links["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["id"], open["id"]);
    assert_eq!(items[0]["from"]["name"], "alice");
    let token = open["url"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(!links.to_string().contains(token), "an address is shown");
    let ended = read(
        &page
            .call("POST", "/admin/links/end", &json!({"ids": [open["id"]]}))
            .expect(200),
    );
    assert_eq!(ended["ended"], 1);
    let links = read(&page.get("/admin/links").expect(200));
    assert_eq!(links["items"].as_array().unwrap().len(), 1);
}
