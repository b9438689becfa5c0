//! Former versions: list, read, bring back, name, delete.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::multistatus::Entry;
use nuage_tests::user::User;
use nuage_tests::wait::wait_until;

/// Housekeeping comes once a minute.
const LIMIT: Duration = Duration::from_secs(100);

const NC: &str = "{http://nextcloud.org/ns}";

fn versions(user: &User, path: &str) -> Vec<Entry> {
    let node = user.properties(path, &["oc:fileid"]);
    let id = node.text("{http://owncloud.org/ns}fileid").unwrap();
    let target = format!("/remote.php/dav/versions/{}/versions/{id}", user.name);
    let call = user.raw("PROPFIND", &target).header("Depth", "1");
    let asked = "<d:propfind xmlns:d=\"DAV:\" xmlns:nc=\"http://nextcloud.org/ns\"><d:prop>\
        <d:getcontentlength/><d:getcontenttype/><d:getlastmodified/><d:getetag/>\
        <nc:version-label/><nc:version-author/><nc:has-preview/></d:prop></d:propfind>";
    let mut all = call.body(asked).send().expect(207).multistatus().entries;
    all.remove(0);
    all
}

fn restore(user: &User, href: &str) -> nuage_tests::http::Answer {
    let to = format!("/remote.php/dav/versions/{}/restore/target", user.name);
    user.raw("MOVE", href).header("Destination", &to).send()
}

fn label(user: &User, href: &str, text: &str) -> nuage_tests::http::Answer {
    user.raw("PROPPATCH", href)
        .body(format!(
            "<d:propertyupdate xmlns:d=\"DAV:\" xmlns:nc=\"http://nextcloud.org/ns\"><d:set>\
             <d:prop><nc:version-label>{text}</nc:version-label></d:prop></d:set>\
             </d:propertyupdate>"
        ))
        .send()
}

#[test]
fn versions_are_listed_read_and_brought_back() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice
        .put("/a.txt", "one")
        .header("X-OC-MTime", "1600000000")
        .send()
        .expect(201);
    alice.put("/a.txt", "two, longer").send().expect(204);
    // Neither a new name nor a new time is a version.
    alice.mv("/a.txt", "/b.txt").send().expect(201);
    alice
        .proppatch(
            "/b.txt",
            "<d:set><d:prop><d:lastmodified>1700000000</d:lastmodified></d:prop></d:set>",
        )
        .send()
        .expect(207);
    alice.put("/b.txt", "three").send().expect(204);

    let found = versions(&alice, "/b.txt");
    assert_eq!(found.len(), 2);
    let (newer, older) = (&found[0], &found[1]);
    assert_eq!(newer.text("{DAV:}getcontentlength"), Some("11"));
    assert_eq!(older.text("{DAV:}getcontentlength"), Some("3"));
    let modified = older.text("{DAV:}getlastmodified");
    assert_eq!(modified, Some("Sun, 13 Sep 2020 12:26:40 GMT"));
    assert_eq!(older.text(&format!("{NC}version-author")), Some("alice"));
    let read = alice.raw("GET", &older.href).send().expect(200);
    assert_eq!(read.text(), "one");
    assert_eq!(read.etag(), older.text("{DAV:}getetag").unwrap());
    let part = alice.raw("GET", &newer.href).range("bytes=5-").send();
    assert_eq!(part.expect(206).text(), "longer");

    let before = alice.etag_of("/b.txt");
    let root = alice.etag_of("/");
    restore(&alice, &older.href).expect(201);
    assert_eq!(alice.get("/b.txt").send().expect(200).text(), "one");
    assert_ne!(alice.etag_of("/b.txt"), before);
    assert_ne!(alice.etag_of("/"), root);
    let found = versions(&alice, "/b.txt");
    let sizes: Vec<_> = found
        .iter()
        .map(|entry| entry.text("{DAV:}getcontentlength").unwrap())
        .collect();
    assert_eq!(sizes, ["5", "11", "3"]);

    alice.raw("DELETE", &found[1].href).send().expect(204);
    alice.raw("GET", &found[1].href).send().expect(404);
    assert_eq!(versions(&alice, "/b.txt").len(), 2);
    restore(&alice, &found[1].href).expect(404);
    server.assert_clean();
}

#[test]
fn a_labelled_version_outlives_the_thinning() {
    let server = TestServer::with(&[("NUAGE_JOBS__HOUSEKEEPING_MINUTES", "1")]);
    let alice = server.user("alice");
    for text in ["1", "22", "333", "4444"] {
        alice.put("/a", text).send().success();
    }
    let first = versions(&alice, "/a").pop().unwrap();
    let answer = label(&alice, &first.href, "the good &amp; first one").expect(207);
    let entry = answer.multistatus().entries.remove(0);
    assert_eq!(entry.properties[&format!("{NC}version-label")].status, 200);
    let labels = || -> Vec<String> {
        let label = |entry: &Entry| entry.text(&format!("{NC}version-label")).map(str::to_owned);
        versions(&alice, "/a").iter().filter_map(label).collect()
    };
    assert_eq!(labels(), ["", "", "the good & first one"]);
    let other = alice
        .raw("PROPPATCH", &first.href)
        .body(
            "<d:propertyupdate xmlns:d=\"DAV:\"><d:set><d:prop><d:getetag>x</d:getetag></d:prop>\
             </d:set></d:propertyupdate>",
        )
        .send()
        .expect(207);
    let refused = other.multistatus().entries.remove(0);
    assert_eq!(refused.properties["{DAV:}getetag"].status, 403);

    server.data.advance(40 * 86_400);
    wait_until("the versions of one day are thinned out", LIMIT, || {
        labels() == ["", "the good & first one"]
    });
    server.assert_clean();
}

#[test]
fn versions_are_their_owners_alone_and_obey_locks() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    alice.put("/a", "1").send().expect(201);
    alice.put("/a", "2").send().expect(204);
    let version = versions(&alice, "/a").remove(0);
    bob.raw("GET", &version.href).send().expect(404);
    let stolen = version.href.replace("/alice/", "/bob/");
    bob.raw("GET", &stolen).send().expect(404);
    restore(&bob, &stolen).expect(404);
    let reader = server.token(&alice, &["--read-only"]);
    reader.raw("GET", &version.href).send().expect(200);
    restore(&reader, &version.href).expect(403);
    reader.raw("DELETE", &version.href).send().expect(403);
    label(&reader, &version.href, "x").expect(403);

    alice.locked("/a", "Second-600");
    restore(&alice, &version.href).expect(423);
    assert_eq!(alice.get("/a").send().expect(200).text(), "2");
    server.assert_clean();
}
