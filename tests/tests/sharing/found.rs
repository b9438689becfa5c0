//! Does somebody find what they were given as they find what is theirs: by searching, as a favourite, by a tag?

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::multistatus::Multistatus;

use crate::sharing::CHANGE;
use crate::sharing::READ;
use crate::sharing::end;
use crate::sharing::give;
use crate::sharing::oc;

/// Searches for names with a text below a path, with what else the request says.
#[track_caller]
fn search(user: &User, scope: &str, text: &str, rest: &str) -> Multistatus {
    let body = format!(
        "<d:searchrequest xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:basicsearch>\
         <d:select><d:prop><d:displayname/><oc:permissions/><oc:owner-id/></d:prop></d:select>\
         <d:from><d:scope><d:href>/files/{}{scope}</d:href><d:depth>infinity</d:depth></d:scope></d:from>\
         <d:where><d:like><d:prop><d:displayname/></d:prop><d:literal>%{text}%</d:literal></d:like></d:where>\
         {rest}</d:basicsearch></d:searchrequest>",
        user.name
    );
    let answer = user.raw("SEARCH", "/remote.php/dav/").body(body).send();
    answer.expect(207).multistatus()
}

/// Lists nodes by a rule of `filter-files`.
#[track_caller]
fn report(user: &User, path: &str, rule: &str) -> Multistatus {
    let body = format!(
        "<oc:filter-files xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">\
         <d:prop><oc:favorite/><oc:permissions/><oc:owner-id/></d:prop>\
         <oc:filter-rules>{rule}</oc:filter-rules></oc:filter-files>"
    );
    let answer = user.call("REPORT", path).body(body).send();
    answer.expect(207).multistatus()
}

/// Returns the paths in the home, in order.
fn paths(found: &Multistatus, user: &User) -> Vec<String> {
    let home = format!("/remote.php/dav/files/{}", user.name);
    let path = |href: &str| href.strip_prefix(&home).unwrap().to_owned();
    let mut all: Vec<String> = found.hrefs().into_iter().map(path).collect();
    all.sort();
    all
}

#[test]
fn a_search_finds_what_was_given_under_the_names_that_it_has_here() {
    let server = TestServer::start();
    let ann = server.user("ann").at_remote_php();
    let bob = server.user("bob").at_remote_php();
    ann.folders("/secret");
    ann.folders("/given/deep/deeper");
    for path in [
        "/secret/plan-secret.txt",
        "/given/plan-a.txt",
        "/given/deep/deeper/plan-b.txt",
        "/plan-c.txt",
    ] {
        ann.put(path, "x").send().expect(201);
    }
    bob.folders("/own");
    bob.put("/own/plan-d.txt", "x").send().expect(201);
    let share = give(&ann, "/given", &bob, READ);
    give(&ann, "/plan-c.txt", &bob, READ);
    bob.mv("/given", "/own/Of ann").send().expect(201);
    bob.mv("/plan-c.txt", "/other.txt").send().expect(201);

    let found = search(&bob, "/", "plan", "");
    assert_eq!(
        paths(&found, &bob),
        [
            "/own/Of%20ann/deep/deeper/plan-b.txt",
            "/own/Of%20ann/plan-a.txt",
            "/own/plan-d.txt"
        ]
    );
    let deep = found.entry("/remote.php/dav/files/bob/own/Of%20ann/deep/deeper/plan-b.txt");
    assert_eq!(deep.text(&oc("owner-id")), Some("ann"));
    assert_eq!(deep.text(&oc("permissions")), Some("SG"));
    let own = found.entry("/remote.php/dav/files/bob/own/plan-d.txt");
    assert_eq!(own.text(&oc("owner-id")), Some("bob"));
    assert_eq!(own.text(&oc("permissions")), Some("RGDNVW"));
    assert_eq!(paths(&search(&bob, "/", "other", ""), &bob), ["/other.txt"]);
    // The mount itself, by the name that it has here alone.
    assert_eq!(
        paths(&search(&bob, "/", "of ann", ""), &bob),
        ["/own/Of%20ann/"]
    );
    assert!(search(&bob, "/", "given", "").entries.is_empty());

    // Within it, and as many as are wanted.
    let inside = search(&bob, "/own/Of%20ann/deep", "plan", "");
    assert_eq!(
        paths(&inside, &bob),
        ["/own/Of%20ann/deep/deeper/plan-b.txt"]
    );
    let order = "<d:orderby><d:order><d:prop><d:displayname/></d:prop></d:order></d:orderby>\
                 <d:limit><d:nresults>2</d:nresults></d:limit>";
    assert_eq!(
        paths(&search(&bob, "/", "plan", order), &bob),
        [
            "/own/Of%20ann/deep/deeper/plan-b.txt",
            "/own/Of%20ann/plan-a.txt"
        ]
    );

    end(&ann, &share);
    assert_eq!(
        paths(&search(&bob, "/", "plan", ""), &bob),
        ["/own/plan-d.txt"]
    );
    assert!(search(&bob, "/", "secret", "").entries.is_empty());
}

#[test]
fn favourites_among_what_was_given_are_each_persons_own() {
    let server = TestServer::start();
    let ann = server.user("ann").at_remote_php();
    let bob = server.user("bob").at_remote_php();
    ann.folders("/given/sub");
    ann.put("/given/sub/a.txt", "x").send().expect(201);
    bob.put("/b.txt", "x").send().expect(201);
    let share = give(&ann, "/given", &bob, READ);
    bob.mv("/given", "/mine").send().expect(201);
    let set = "<d:set><d:prop><oc:favorite>1</oc:favorite></d:prop></d:set>";
    for path in ["/mine", "/mine/sub/a.txt", "/b.txt"] {
        let answer = bob.proppatch(path, set).send().expect(207).multistatus();
        assert_eq!(answer.entries[0].properties[&oc("favorite")].status, 200);
    }
    let rule = "<oc:favorite>1</oc:favorite>";
    let found = report(&bob, "/", rule);
    assert_eq!(paths(&found, &bob), ["/b.txt", "/mine/", "/mine/sub/a.txt"]);
    let inside = found.entry("/remote.php/dav/files/bob/mine/sub/a.txt");
    assert_eq!(inside.text(&oc("favorite")), Some("1"));
    assert_eq!(inside.text(&oc("permissions")), Some("SG"));
    assert_eq!(inside.text(&oc("owner-id")), Some("ann"));
    assert_eq!(
        paths(&report(&bob, "/mine/sub", rule), &bob),
        ["/mine/sub/a.txt"]
    );
    assert!(report(&ann, "/", rule).entries.is_empty());
    let shown = ann.properties("/given/sub/a.txt", &["oc:favorite"]);
    assert_eq!(shown.text(&oc("favorite")), Some("0"));
    end(&ann, &share);
    assert_eq!(paths(&report(&bob, "/", rule), &bob), ["/b.txt"]);
    server.assert_clean();
}

#[test]
fn tags_of_what_was_given_are_seen_and_put_by_whoever_may_change_it() {
    let server = TestServer::start();
    let ann = server.user("ann").at_remote_php();
    let bob = server.user("bob").at_remote_php();
    let cid = server.user("cid").at_remote_php();
    ann.folders("/given");
    for path in ["/given/a.txt", "/given/b.txt", "/other.txt"] {
        ann.put(path, "x").send().expect(201);
    }
    let number = |path: &str| {
        let entry = ann.properties(path, &["oc:fileid"]);
        entry.text(&oc("fileid")).unwrap().to_owned()
    };
    let tag = |name: &str| {
        let made = ann
            .raw("POST", "/remote.php/dav/systemtags/")
            .header("Content-Type", "application/json")
            .body(format!("{{\"name\":\"{name}\"}}"))
            .send()
            .expect(201);
        let place = made.header("content-location").unwrap().to_owned();
        place.rsplit('/').next().unwrap().to_owned()
    };
    let (urgent, private) = (tag("urgent"), tag("private"));
    let relation = |path: &str, tag: &str| {
        format!(
            "/remote.php/dav/systemtags-relations/files/{}/{tag}",
            number(path)
        )
    };
    ann.raw("PUT", &relation("/given/a.txt", &urgent))
        .send()
        .expect(201);
    ann.raw("PUT", &relation("/other.txt", &urgent))
        .send()
        .expect(201);
    ann.raw("PUT", &relation("/other.txt", &private))
        .send()
        .expect(201);
    give(&ann, "/given", &bob, CHANGE);
    give(&ann, "/given", &cid, READ);

    let rule = |tag: &str| format!("<oc:systemtag>{tag}</oc:systemtag>");
    for user in [&bob, &cid] {
        let found = report(user, "/", &rule(&urgent));
        assert_eq!(paths(&found, user), ["/given/a.txt"]);
        assert!(report(user, "/", &rule(&private)).entries.is_empty());
        let listed = user
            .raw("PROPFIND", &relation("/given/a.txt", ""))
            .header("Depth", "1")
            .send()
            .expect(207)
            .multistatus();
        assert_eq!(listed.entries.len(), 2);
        // Nothing of the owner's other tags and files.
        user.raw("PROPFIND", &relation("/other.txt", ""))
            .send()
            .expect(404);
        let all = user
            .raw("PROPFIND", "/remote.php/dav/systemtags/")
            .header("Depth", "1")
            .send()
            .expect(207)
            .multistatus();
        assert_eq!(all.entries.len(), 1);
    }
    bob.raw("PUT", &relation("/given/b.txt", &urgent))
        .send()
        .expect(201);
    assert_eq!(
        paths(&report(&ann, "/given", &rule(&urgent)), &ann),
        ["/given/a.txt", "/given/b.txt"]
    );
    cid.raw("DELETE", &relation("/given/b.txt", &urgent))
        .send()
        .expect(403);
    bob.raw("PUT", &relation("/other.txt", &urgent))
        .send()
        .expect(404);
    server.assert_clean();
}
