//! The trash of sync clients and phones: see, read, bring back, empty.

use nuage_tests::TestServer;
use nuage_tests::multistatus::Entry;
use nuage_tests::user::User;

const NC: &str = "{http://nextcloud.org/ns}";
const OC: &str = "{http://owncloud.org/ns}";

const ASKED: &str = "<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\" \
    xmlns:oc=\"http://owncloud.org/ns\" xmlns:nc=\"http://nextcloud.org/ns\"><d:prop>\
    <d:resourcetype/><d:getcontentlength/><d:getlastmodified/><oc:fileid/><oc:size/>\
    <oc:permissions/><nc:trashbin-filename/><nc:trashbin-original-location/>\
    <nc:trashbin-deletion-time/><nc:trashbin-title/><nc:trashbin-deleted-by-id/>\
    <nc:trashbin-deleted-by-display-name/></d:prop></d:propfind>";

fn trash_of(user: &User) -> String {
    format!("/remote.php/dav/trashbin/{}/trash/", user.name)
}

fn list(user: &User, target: &str) -> Vec<Entry> {
    let call = user.raw("PROPFIND", target).header("Depth", "1");
    let mut all = call.body(ASKED).send().expect(207).multistatus().entries;
    all.remove(0);
    all
}

fn restore(user: &User, href: &str) -> nuage_tests::http::Answer {
    let to = format!("/remote.php/dav/trashbin/{}/restore/x", user.name);
    user.raw("MOVE", href).header("Destination", &to).send()
}

fn id_of(user: &User, path: &str) -> String {
    let entry = user.properties(path, &["oc:fileid"]);
    entry.text(&format!("{OC}fileid")).unwrap().to_owned()
}

#[test]
fn a_deleted_file_is_shown_read_and_comes_back_as_it_was() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d");
    alice.put("/d/a & b.txt", "first").send().expect(201);
    alice.put("/d/a & b.txt", "second!").send().expect(204);
    alice
        .set_property("/d/a & b.txt", "colour", "blue")
        .send()
        .expect(207);
    let (id, used) = (id_of(&alice, "/d/a & b.txt"), used(&alice));
    alice.delete("/d/a & b.txt").send().expect(204);
    let root = alice.etag_of("/");

    let found = list(&alice, &trash_of(&alice));
    assert_eq!(found.len(), 1);
    let entry = &found[0];
    let text = |name: &str| entry.text(&format!("{NC}trashbin-{name}")).unwrap();
    assert_eq!(text("filename"), "a & b.txt");
    assert_eq!(text("original-location"), "d/a & b.txt");
    assert_eq!(text("title"), "d/a & b.txt");
    assert_eq!(text("deleted-by-id"), "alice");
    assert_eq!(entry.text("{DAV:}getcontentlength"), Some("7"));
    assert_eq!(entry.text(&format!("{OC}fileid")), Some(id.as_str()));
    assert_eq!(entry.text(&format!("{OC}permissions")), Some("GD"));
    let second = text("deletion-time");
    assert!(
        entry.href.ends_with(&format!(".d{second}")),
        "{}",
        entry.href
    );
    let read = alice.raw("GET", &entry.href).send().expect(200);
    assert_eq!(read.text(), "second!");
    assert!(
        read.header("content-disposition")
            .unwrap()
            .contains("a%20%26%20b.txt")
    );

    restore(&alice, &entry.href).expect(201);
    assert_eq!(
        alice.get("/d/a & b.txt").send().expect(200).text(),
        "second!"
    );
    assert_eq!(id_of(&alice, "/d/a & b.txt"), id);
    let colour = alice.properties("/d/a & b.txt", &["x:colour"]);
    assert_eq!(colour.text("{urn:x}colour"), Some("blue"));
    assert_ne!(alice.etag_of("/"), root);
    assert_eq!(self::used(&alice), used);
    assert!(list(&alice, &trash_of(&alice)).is_empty());
    restore(&alice, &entry.href).expect(404);
    let versions = format!("/remote.php/dav/versions/alice/versions/{id}");
    let versions = alice.raw("PROPFIND", &versions).header("Depth", "1").send();
    assert_eq!(versions.expect(207).multistatus().entries.len(), 2);
    server.assert_clean();
}

fn used(user: &User) -> String {
    let root = user.properties("/", &["d:quota-used-bytes"]);
    root.text("{DAV:}quota-used-bytes").unwrap().to_owned()
}

#[test]
fn a_deleted_folder_can_be_looked_into_and_comes_back_whole() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/e");
    alice.put("/d/e/f.txt", "x").send().expect(201);
    alice.delete("/d").send().expect(204);
    let top = list(&alice, &trash_of(&alice)).remove(0);
    assert!(top.is_folder() && top.href.ends_with('/'));
    let below = list(&alice, &top.href).remove(0);
    let file = list(&alice, &below.href).remove(0);
    let place = file.text(&format!("{NC}trashbin-original-location"));
    assert_eq!(place, Some("d/e/f.txt"));
    assert_eq!(alice.raw("GET", &file.href).send().expect(200).text(), "x");
    // Below the top everything is there to be looked at only.
    restore(&alice, &file.href).expect(403);
    alice.raw("DELETE", &file.href).send().expect(403);

    restore(&alice, &top.href).expect(201);
    assert_eq!(alice.get("/d/e/f.txt").send().expect(200).text(), "x");
    server.assert_clean();
}

#[test]
fn what_comes_back_finds_its_folder_or_the_root_and_a_free_name() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/old");
    alice.put("/old/a.txt", "1").send().expect(201);
    alice.put("/old/b.txt", "2").send().expect(201);
    alice.delete("/old/a.txt").send().expect(204);
    alice.mv("/old", "/new").send().expect(201);
    let a = list(&alice, &trash_of(&alice)).remove(0);
    alice.put("/new/a.txt", "in the way").send().expect(201);
    restore(&alice, &a.href).expect(201);
    assert_eq!(
        alice.get("/new/a (restored).txt").send().expect(200).text(),
        "1"
    );

    alice.delete("/new/b.txt").send().expect(204);
    alice.delete("/new").send().expect(204);
    let all = list(&alice, &trash_of(&alice));
    let b = all
        .iter()
        .find(|entry| entry.href.contains("/b.txt"))
        .unwrap();
    let place = b.text(&format!("{NC}trashbin-original-location"));
    assert_eq!(place, Some("new/b.txt"));
    restore(&alice, &b.href).expect(201);
    assert_eq!(alice.get("/b.txt").send().expect(200).text(), "2");
    server.assert_clean();
}

#[test]
fn entries_of_one_name_deleted_at_once_are_told_apart() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for text in ["1", "2", "3"] {
        alice.put("/a", text).send().expect(201);
        alice.delete("/a").send().expect(204);
    }
    let found = list(&alice, &trash_of(&alice));
    let mut hrefs: Vec<_> = found.iter().map(|entry| entry.href.as_str()).collect();
    hrefs.dedup();
    assert_eq!(hrefs.len(), 3);
    let mut texts: Vec<_> = hrefs
        .iter()
        .map(|href| alice.raw("GET", href).send().expect(200).text())
        .collect();
    texts.sort();
    assert_eq!(texts, ["1", "2", "3"]);
    alice.raw("DELETE", hrefs[0]).send().expect(204);
    alice.raw("DELETE", hrefs[0]).send().expect(404);
    assert_eq!(list(&alice, &trash_of(&alice)).len(), 2);
    server.assert_clean();
}

#[test]
fn emptying_and_skipping_the_trash_leave_nothing_to_see_or_bring_back() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    bob.put("/kept", "x").send().expect(201);
    bob.delete("/kept").send().expect(204);
    alice.folders("/d");
    for number in 0..30 {
        alice.put(&format!("/d/{number}"), "x").send().expect(201);
    }
    alice.put("/a", "x").send().expect(201);
    alice.delete("/d").send().expect(204);
    alice
        .delete("/a")
        .header("X-NC-Skip-Trashbin", "true")
        .send()
        .expect(204);
    let entry = list(&alice, &trash_of(&alice)).remove(0);
    let reader = server.token(&alice, &["--read-only"]);
    reader.raw("DELETE", &trash_of(&alice)).send().expect(403);
    restore(&reader, &entry.href).expect(403);
    alice.raw("DELETE", &trash_of(&alice)).send().expect(204);
    assert!(list(&alice, &trash_of(&alice)).is_empty());
    restore(&alice, &entry.href).expect(404);
    assert_eq!(list(&bob, &trash_of(&bob)).len(), 1);
    server.assert_clean();
}

#[test]
fn a_restore_is_refused_where_the_quota_has_no_room() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "10B"]);
    alice.put("/a", "123456").send().expect(201);
    alice.delete("/a").send().expect(204);
    alice.put("/b", "12345").send().expect(201);
    let entry = list(&alice, &trash_of(&alice)).remove(0);
    restore(&alice, &entry.href).expect(507);
    alice.delete("/b").send().expect(204);
    restore(&alice, &entry.href).expect(201);
    server.assert_clean();
}
