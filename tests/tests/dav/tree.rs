//! MKCOL, MOVE, COPY, DELETE: whole trees, in one step or not at all.

use nuage_tests::TestServer;
use nuage_tests::User;

/// `/d` with two files and a folder with one.
fn small_tree(user: &User) {
    user.folders("/d/e");
    for (path, body) in [("/d/1", "one"), ("/d/2", "two"), ("/d/e/3", "three")] {
        user.put(path, body).send().expect(201);
    }
}

#[test]
fn a_folder_is_made_once_and_only_where_its_parent_is() {
    let server = TestServer::start();
    let alice = server.user("alice");

    alice.mkcol("/d").send().expect(201);

    alice.mkcol("/d").send().expect(405);
    alice.mkcol("/none/d").send().expect(409);
    alice
        .mkcol("/x")
        .body("what is this")
        .send()
        .expect_any(&[415, 400]);
    assert_eq!(alice.names("/"), ["d"]);
}

#[test]
fn a_moved_tree_is_there_whole_and_keeps_its_ids() {
    let server = TestServer::start();
    let alice = server.user("alice");
    small_tree(&alice);
    let id = alice.properties("/d/e/3", &["oc:id"]);

    alice.mv("/d", "/moved").send().expect(201);

    alice.get("/d").send().expect(404);
    assert_eq!(alice.names("/moved").len(), 3);
    assert_eq!(alice.get("/moved/e/3").send().text(), "three");
    let moved = alice.properties("/moved/e/3", &["oc:id"]);
    assert_eq!(
        moved.text("{http://owncloud.org/ns}id"),
        id.text("{http://owncloud.org/ns}id")
    );
    server.assert_clean();
}

#[test]
fn a_copied_tree_is_independent_of_its_source() {
    let server = TestServer::start();
    let alice = server.user("alice");
    small_tree(&alice);

    alice.copy("/d", "/c").send().expect(201);
    alice.put("/c/1", "changed").send().expect(204);
    alice.delete("/d/2").send().expect(204);

    assert_eq!(alice.get("/d/1").send().text(), "one");
    assert_eq!(alice.get("/c/1").send().text(), "changed");
    assert_eq!(alice.get("/c/2").send().text(), "two");
    assert_eq!(alice.get("/c/e/3").send().text(), "three");
    server.assert_clean();
}

#[test]
fn a_shallow_copy_takes_the_folder_alone() {
    let server = TestServer::start();
    let alice = server.user("alice");
    small_tree(&alice);

    alice
        .copy("/d", "/c")
        .header("Depth", "0")
        .send()
        .expect(201);

    assert!(alice.names("/c").is_empty());
}

#[test]
fn overwrite_decides_whether_a_target_is_replaced() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for method in ["COPY", "MOVE"] {
        alice.put("/from", method).send().success();
        alice.put("/to", "target").send().success();
        let destination = alice.url("/to");
        let call = || {
            alice
                .call(method, "/from")
                .header("Destination", &destination)
        };

        call().keep().send().expect(412);
        assert_eq!(alice.get("/to").send().text(), "target");

        call().send().expect(204);
        assert_eq!(alice.get("/to").send().text(), method);
    }
    alice.get("/from").send().expect(404);
}

#[test]
fn a_tree_that_replaces_another_leaves_nothing_of_it() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for method in ["COPY", "MOVE"] {
        small_tree(&alice);
        alice.folders("/to");
        alice.put("/to/old", "old").send().success();

        alice
            .call(method, "/d")
            .header("Destination", &alice.url("/to"))
            .send()
            .expect(204);

        let mut names = alice.names("/to");
        names.sort();
        assert_eq!(names, ["1", "2", "e"]);
        alice.delete("/to").send().expect(204);
        alice.delete("/d").send().expect_any(&[204, 404]);
    }
}

#[test]
fn nothing_is_moved_or_copied_into_or_onto_itself() {
    let server = TestServer::start();
    let alice = server.user("alice");
    small_tree(&alice);

    for method in ["COPY", "MOVE"] {
        for target in ["/d/e/d", "/d"] {
            alice
                .call(method, "/d")
                .header("Destination", &alice.url(target))
                .send()
                .expect_any(&[403, 409]);
        }
        // The target is the source's parent: replacing it would delete the source.
        alice
            .call(method, "/d/e")
            .header("Destination", &alice.url("/d"))
            .send()
            .expect_any(&[403, 409]);
    }

    assert_eq!(alice.get("/d/e/3").send().text(), "three");
    server.assert_clean();
}

#[test]
fn a_destination_outside_the_home_or_missing_is_refused() {
    let server = TestServer::start();
    let alice = server.user("alice");
    server.user("bob");
    alice.put("/a", "x").send().expect(201);
    let address = server.address();
    let odd = [
        (format!("http://{address}/healthz"), vec![400, 403, 502]),
        (
            format!("http://{address}/remote.php/dav/files/bob/b"),
            vec![400, 403, 404, 409, 502],
        ),
        ("::::".to_owned(), vec![400, 403, 502]),
        (format!("http://{address}/dav/none/b"), vec![409]),
        (
            format!("http://{address}/dav/../../b"),
            vec![400, 403, 409, 502],
        ),
    ];

    for (destination, statuses) in &odd {
        for method in ["COPY", "MOVE"] {
            let call = alice.call(method, "/a").header("Destination", destination);
            let answer = call.send();
            assert!(statuses.contains(&answer.status), "{destination}: {answer}");
        }
    }
    alice.call("MOVE", "/a").send().expect(400);

    assert_eq!(alice.names("/"), ["a"]);
}

#[test]
fn a_destination_given_as_a_path_alone_works() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    alice
        .call("MOVE", "/a")
        .header("Destination", "/dav/b%20c")
        .send()
        .expect(201);

    assert_eq!(alice.names("/"), ["b c"]);
}

#[test]
fn a_deleted_tree_is_gone_and_its_name_free() {
    let server = TestServer::start();
    let alice = server.user("alice");
    small_tree(&alice);

    alice.delete("/d").send().expect(204);

    for path in ["/d", "/d/1", "/d/e/3"] {
        alice.get(path).send().expect(404);
    }
    alice.delete("/d").send().expect(404);
    small_tree(&alice);
    assert_eq!(alice.get("/d/1").send().text(), "one");
    server.assert_clean();
}

#[test]
fn the_home_itself_cannot_be_deleted_moved_or_replaced() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    let refused = [400, 403, 405, 409];
    alice.delete("/").send().expect_any(&refused);
    alice
        .call("MOVE", "/")
        .header("Destination", &alice.url("/b"))
        .send()
        .expect_any(&refused);
    alice
        .call("MOVE", "/a")
        .header("Destination", &alice.url("/"))
        .send()
        .expect_any(&refused);
    alice.mkcol("/").send().expect(405);

    assert_eq!(alice.names("/"), ["a"]);
}

#[test]
fn names_are_kept_to_the_byte_and_case_twins_live_side_by_side() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let names = [
        "a",
        "A",
        "übung.odt",
        "日本",
        "a b+c&d;e=f",
        "100%",
        "~$x",
        ".hidden",
        "q?x#y",
        "<&>\"'",
    ];

    for name in names {
        alice.put(&format!("/{name}"), name).send().expect(201);
    }

    let mut listed = alice.names("/");
    listed.sort();
    let mut expected: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(listed, expected);
    for name in names {
        assert_eq!(alice.get(&format!("/{name}")).send().text(), name);
    }
}

#[test]
fn two_spellings_of_one_unicode_name_are_one_file() {
    let server = TestServer::start();
    let alice = server.user("alice");

    alice.put("/e\u{301}tude", "decomposed").send().expect(201);
    alice.put("/\u{e9}tude", "composed").send().expect(204);

    assert_eq!(alice.names("/"), ["\u{e9}tude"]);
    assert_eq!(alice.get("/e\u{301}tude").send().text(), "composed");
}

#[test]
fn both_urls_show_the_same_files() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let other = alice.at_remote_php();
    alice.put("/a", "x").send().expect(201);

    assert_eq!(other.get("/a").send().text(), "x");
    other.mv("/a", "/b").send().expect(201);

    assert_eq!(alice.names("/"), ["b"]);
    let listing = other
        .propfind("/", "1", &["d:getetag"])
        .send()
        .multistatus();
    assert!(
        listing.hrefs()[0].ends_with("/remote.php/dav/files/alice/"),
        "{:?}",
        listing.hrefs()
    );
    assert_eq!(other.etag_of("/b"), alice.etag_of("/b"));
}

#[test]
fn options_names_the_classes_and_methods() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let answer = alice.call("OPTIONS", "/").send().success();

    let classes = answer.header("dav").unwrap_or_default().replace(' ', "");
    for class in ["1", "2", "3"] {
        assert!(classes.split(',').any(|have| have == class), "{classes}");
    }
    let allow = answer.header("allow").unwrap_or_default();
    for method in ["PROPFIND", "LOCK", "MOVE", "COPY", "DELETE", "PROPPATCH"] {
        assert!(allow.contains(method), "{allow}");
    }
    let answer = alice.call("OPTIONS", "/none").send().success();
    let allow = answer.header("allow").unwrap_or_default();
    assert!(allow.contains("PUT") && allow.contains("MKCOL"), "{answer}");
}
