//! Favourites: each person's own mark, which changes nothing else.

use nuage_tests::TestServer;

const FAVORITE: &str = "{http://owncloud.org/ns}favorite";

#[test]
fn a_favourite_is_a_mark_that_changes_no_etag() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.folders("/d");
    alice.put("/d/a", "1").send().expect(201);
    let etags = || ["/", "/d", "/d/a"].map(|path| alice.etag_of(path));
    let before = etags();
    let set = |path: &str, value: &str| {
        let inside = format!("<d:set><d:prop><oc:favorite>{value}</oc:favorite></d:prop></d:set>");
        let answer = alice.proppatch(path, &inside).send().expect(207);
        answer.multistatus().entries[0].properties[FAVORITE].status
    };
    let is_set = |path: &str| {
        let entry = alice.properties(path, &["oc:favorite"]);
        entry.text(FAVORITE).map(str::to_owned)
    };
    assert_eq!(set("/d/a", "1"), 200);
    assert_eq!(is_set("/d/a").as_deref(), Some("1"));
    assert_eq!(etags(), before);
    let listed = alice
        .propfind("/d", "1", &["oc:favorite"])
        .send()
        .multistatus();
    assert_eq!(listed.entry("/d/").text(FAVORITE), Some("0"));
    assert_eq!(listed.entry("/d/a").text(FAVORITE), Some("1"));

    assert_eq!(set("/d/a", "perhaps"), 409);
    alice.mv("/d/a", "/b").send().expect(201);
    assert_eq!(is_set("/b").as_deref(), Some("1"));
    assert_eq!(set("/b", "0"), 200);
    assert_eq!(is_set("/b").as_deref(), Some("0"));
    server.assert_clean();
}
