//! The trash and former versions, as the page shows them.

use nuage_tests::TestServer;
use serde_json::json;

use crate::api::Page;
use crate::api::json as read;
use crate::api::problem;

#[test]
fn the_trash_shows_the_newest_first_and_lets_go_for_good() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.mkcol("/Cours").send().success();
    let mut page = Page::of(&server, &alice);
    for name in ["one", "two", "three"] {
        alice.put(&format!("/Cours/{name}"), name).send().success();
        alice.delete(&format!("/Cours/{name}")).send().success();
        server.data.advance(2);
    }
    let trash = read(&page.get("/trash").expect(200));
    let items = trash["items"].as_array().unwrap();
    let names: Vec<_> = items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["three", "two", "one"]);
    assert_eq!(items[0]["from"], "/Cours");
    assert_eq!(items[0]["deleted_by"], "alice");
    assert_eq!(trash["next"], json!(null));

    let discard = json!({"ids": [items[0]["id"], "7777777"]});
    let gone = read(&page.call("POST", "/trash/discard", &discard).expect(200));
    assert_eq!(gone["results"][0]["ok"], true);
    assert_eq!(gone["results"][1]["problem"]["code"], "not-found");
    let restore = json!({"ids": [items[0]["id"], items[1]["id"]]});
    let results = read(&page.call("POST", "/trash/restore", &restore).expect(200));
    assert_eq!(results["results"][0]["ok"], false);
    assert_eq!(results["results"][1]["node"]["path"], "/Cours/two");
    page.call("POST", "/trash/empty", &json!({})).expect(204);
    assert_eq!(read(&page.get("/trash").expect(200))["items"], json!([]));
    // Nobody finds what another deleted.
    let bob = server.user("bob");
    let mut other = Page::of(&server, &bob);
    let results = read(&other.call("POST", "/trash/restore", &restore).expect(200));
    assert_eq!(results["results"][1]["problem"]["code"], "not-found");
}

#[test]
fn a_former_version_is_read_named_and_brought_back() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    for text in ["first", "second", "third"] {
        alice.put("/plan.txt", text).send().success();
        server.data.advance(60);
    }
    let node = read(&page.get("/node?path=/plan.txt").expect(200));
    let id = node["id"].clone();
    let list = read(&page.get(&format!("/versions?id={id}")).expect(200));
    let versions = list["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2, "{list}");
    assert_eq!(list["node"]["path"], "/plan.txt");
    let oldest = &versions[1]["number"];
    let place = format!("/versions/content?id={id}&number={oldest}");
    let answer = page.get(&place).expect(200);
    assert_eq!(answer.text(), "first");
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.contains("plan.txt"), "{disposition}");
    let label = json!({"id": id, "number": oldest, "label": "rendu"});
    page.call("POST", "/versions/label", &label).expect(204);
    let which = json!({"id": id, "number": oldest});
    page.call("POST", "/versions/restore", &which).expect(200);
    assert_eq!(alice.get("/plan.txt").send().expect(200).text(), "first");
    let list = read(&page.get(&format!("/versions?id={id}")).expect(200));
    let labels: Vec<_> = list["versions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["label"].as_str())
        .collect();
    assert_eq!(labels, ["rendu"]);
    let bob = server.user("bob");
    let mut other = Page::of(&server, &bob);
    problem(other.get(&format!("/versions?id={id}")), 404, "not-found");
    problem(other.get(&place), 404, "not-found");
    problem(
        other.call("POST", "/versions/discard", &which),
        404,
        "not-found",
    );
    page.call("POST", "/versions/discard", &which).expect(204);
}
