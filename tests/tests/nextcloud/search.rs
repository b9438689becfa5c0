//! Do people find their favourites, photos and recent files wherever they lie?

use std::fmt::Write as _;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::multistatus::Multistatus;

/// Sends a SEARCH with these conditions and the rest of a `basicsearch`.
#[track_caller]
fn search(user: &User, scope: &str, conditions: &str, rest: &str) -> Multistatus {
    let body = format!(
        "<d:searchrequest xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:basicsearch>\
         <d:select><d:prop><d:displayname/><oc:fileid/><d:getcontentlength/></d:prop></d:select>\
         <d:from><d:scope><d:href>/files/{}{scope}</d:href><d:depth>infinity</d:depth></d:scope></d:from>\
         <d:where>{conditions}</d:where>{rest}</d:basicsearch></d:searchrequest>",
        user.name
    );
    user.raw("SEARCH", "/remote.php/dav/")
        .header("Content-Type", "text/xml")
        .body(body)
        .send()
        .expect(207)
        .multistatus()
}

fn names(found: &Multistatus) -> Vec<String> {
    let last = |href: &str| {
        href.trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    found
        .entries
        .iter()
        .map(|entry| last(&entry.href))
        .collect()
}

#[test]
fn photos_recent_files_and_names_are_found() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    let bob = server.user("bob").at_remote_php();
    alice.folders("/Photos/2026");
    alice.folders("/gone");
    for (path, seconds) in [
        ("/Photos/a.jpg", "1700000001"),
        ("/Photos/2026/b.PNG", "1700000003"),
        ("/Photos/notes.txt", "1700000002"),
        ("/c.jpg", "1700000004"),
        ("/gone/d.jpg", "1700000005"),
    ] {
        alice
            .put(path, "picture")
            .header("X-OC-Mtime", seconds)
            .send()
            .expect(201);
    }
    bob.put("/of-bob.jpg", "picture").send().expect(201);
    alice.delete("/gone").send().expect(204);

    let pictures =
        "<d:like><d:prop><d:getcontenttype/></d:prop><d:literal>image/%</d:literal></d:like>";
    let newest = "<d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order></d:orderby>";
    let found = search(&alice, "/", pictures, newest);
    assert_eq!(names(&found), ["c.jpg", "b.PNG", "a.jpg"]);
    assert!(
        found.entries[1]
            .href
            .starts_with("/remote.php/dav/files/alice/Photos/2026/")
    );
    let few = format!("{newest}<d:limit><d:nresults>1</d:nresults></d:limit>");
    assert_eq!(names(&search(&alice, "/Photos", pictures, &few)), ["b.PNG"]);

    let since = "<d:and><d:gte><d:prop><d:getlastmodified/></d:prop><d:literal>1700000002</d:literal></d:gte>\
         <d:not><d:is-collection/></d:not></d:and>";
    let mut recent = names(&search(&alice, "/Photos", since, ""));
    recent.sort();
    assert_eq!(recent, ["b.PNG", "notes.txt"]);
    let by_name = "<d:like><d:prop><d:displayname/></d:prop><d:literal>%NOTE%</d:literal></d:like>";
    assert_eq!(names(&search(&alice, "/", by_name, "")), ["notes.txt"]);

    let elsewhere = "<d:searchrequest xmlns:d=\"DAV:\"><d:basicsearch><d:select/><d:from><d:scope>\
         <d:href>/files/bob</d:href></d:scope></d:from></d:basicsearch></d:searchrequest>";
    alice
        .raw("SEARCH", "/remote.php/dav/")
        .body(elsewhere)
        .send()
        .expect(404);
    alice
        .raw("SEARCH", "/remote.php/dav/")
        .body("<x/>")
        .send()
        .expect(415);

    // The same by what a desktop program asks when somebody types.
    let answer = alice
        .raw(
            "GET",
            "/ocs/v2.php/search/providers/files/search?term=note&format=json",
        )
        .send()
        .expect(200)
        .text();
    assert!(
        answer.contains("\"path\":\"/Photos/notes.txt\""),
        "{answer}"
    );
}

#[test]
fn favourites_are_listed_from_the_whole_space_and_from_a_folder() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.folders("/a/b");
    for path in ["/1", "/a/2", "/a/b/3", "/a/b/4"] {
        alice.put(path, "x").send().expect(201);
    }
    for path in ["/1", "/a/b", "/a/b/3"] {
        let set = "<d:set><d:prop><oc:favorite>1</oc:favorite></d:prop></d:set>";
        alice.proppatch(path, set).send().expect(207);
    }
    let report = |path: &str, rule: &str| {
        let mut body = String::from(
            "<oc:filter-files xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">\
             <d:prop><d:getetag/><oc:favorite/></d:prop>",
        );
        write!(
            body,
            "<oc:filter-rules>{rule}</oc:filter-rules></oc:filter-files>"
        )
        .unwrap();
        alice.call("REPORT", path).body(body).send()
    };
    let favorite = "<oc:favorite>1</oc:favorite>";
    let mut all = names(&report("/", favorite).expect(207).multistatus());
    all.sort();
    assert_eq!(all, ["1", "3", "b"]);
    let mut below = names(&report("/a", favorite).expect(207).multistatus());
    below.sort();
    assert_eq!(below, ["3", "b"]);
    report("/", "").expect(415);
    report("/nothing", favorite).expect(404);
    alice.delete("/a/b").send().expect(204);
    assert_eq!(names(&report("/", favorite).multistatus()), ["1"]);
}

#[test]
fn a_file_is_locked_by_its_number() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.put("/a.txt", "x").send().expect(201);
    let id = alice.properties("/a.txt", &["oc:fileid"]);
    let id = id
        .text("{http://owncloud.org/ns}fileid")
        .unwrap()
        .to_owned();
    let target = format!("/ocs/v2.php/apps/files_lock/lock/{id}?format=json");
    alice.raw("PUT", &target).send().expect(200);
    let is_locked = || {
        let entry = alice.properties("/a.txt", &["nc:lock"]);
        entry
            .text("{http://nextcloud.org/ns}lock")
            .unwrap_or_default()
            == "1"
    };
    assert!(is_locked());
    alice.raw("DELETE", &target).send().expect(200);
    assert!(!is_locked());
    alice.raw("DELETE", &target).send().expect(412);
    alice
        .raw("PUT", "/ocs/v2.php/apps/files_lock/lock/999999")
        .send()
        .expect(404);
}

#[test]
fn tags_are_made_put_on_files_and_searched() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.put("/a.txt", "x").send().expect(201);
    let id = alice.properties("/a.txt", &["oc:fileid"]);
    let id = id
        .text("{http://owncloud.org/ns}fileid")
        .unwrap()
        .to_owned();
    let made = alice
        .raw("POST", "/remote.php/dav/systemtags/")
        .header("Content-Type", "application/json")
        .body("{\"name\":\"à lire\",\"userVisible\":true,\"userAssignable\":true}")
        .send()
        .expect(201);
    let place = made.header("content-location").unwrap().to_owned();
    let tag = place.rsplit('/').next().unwrap().to_owned();
    let list = |target: &str| {
        let body = "<d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:prop>\
             <oc:id/><oc:display-name/></d:prop></d:propfind>";
        let answer = alice
            .raw("PROPFIND", target)
            .header("Depth", "1")
            .body(body)
            .send();
        answer.expect(207).multistatus()
    };
    let all = list("/remote.php/dav/systemtags/");
    assert_eq!(all.entries.len(), 2);
    assert_eq!(
        all.entries[1].text("{http://owncloud.org/ns}display-name"),
        Some("à lire")
    );

    let relations = format!("/remote.php/dav/systemtags-relations/files/{id}");
    alice
        .raw("PUT", &format!("{relations}/{tag}"))
        .send()
        .expect(201);
    assert_eq!(list(&relations).entries.len(), 2);
    let body = format!(
        "<oc:filter-files xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:prop><d:getetag/></d:prop>\
         <oc:filter-rules><oc:systemtag>{tag}</oc:systemtag></oc:filter-rules></oc:filter-files>"
    );
    let tagged = alice
        .call("REPORT", "/")
        .body(body)
        .send()
        .expect(207)
        .multistatus();
    assert_eq!(names(&tagged), ["a.txt"]);
    alice
        .raw("DELETE", &format!("{relations}/{tag}"))
        .send()
        .expect(204);
    assert_eq!(list(&relations).entries.len(), 1);

    let rename = "<d:propertyupdate xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:set><d:prop>\
         <oc:display-name>lu</oc:display-name></d:prop></d:set></d:propertyupdate>";
    alice
        .raw("PROPPATCH", &place)
        .body(rename)
        .send()
        .expect(207);
    let all = list("/remote.php/dav/systemtags/");
    assert_eq!(
        all.entries[1].text("{http://owncloud.org/ns}display-name"),
        Some("lu")
    );

    // Another person's tags are not there.
    let bob = server.user("bob").at_remote_php();
    bob.raw("DELETE", &place).send().expect(404);
    alice.raw("DELETE", &place).send().expect(204);
    assert_eq!(list("/remote.php/dav/systemtags/").entries.len(), 1);
    server.assert_clean();
}
