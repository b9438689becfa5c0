//! ETags: what changes them, and whose.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Answer;

/// `/d/e/a`, and `/other` beside it.
fn tree(server: &TestServer) -> User {
    let alice = server.user("alice");
    alice.folders("/d/e");
    alice.folders("/other");
    alice.put("/d/e/a", "one").send().expect(201);
    alice
}

fn all(alice: &User) -> Vec<String> {
    ["/", "/d", "/d/e", "/other"]
        .iter()
        .map(|path| alice.etag_of(path))
        .collect()
}

#[test]
fn every_change_changes_the_etag_of_every_folder_above_and_of_no_other() {
    let server = TestServer::start();
    let alice = tree(&server);
    let changes: &[(&str, &dyn Fn() -> Answer)] = &[
        ("overwrite", &|| {
            alice.put("/d/e/a", "two").send().expect(204)
        }),
        ("create", &|| alice.put("/d/e/b", "x").send().expect(201)),
        ("mkcol", &|| alice.mkcol("/d/e/f").send().expect(201)),
        ("copy", &|| {
            alice.copy("/d/e/a", "/d/e/c").send().expect(201)
        }),
        ("rename", &|| {
            alice.mv("/d/e/c", "/d/e/r").send().expect(201)
        }),
        ("delete", &|| alice.delete("/d/e/r").send().expect(204)),
    ];

    for (what, change) in changes {
        let before = all(&alice);
        drop(change());
        let after = all(&alice);
        for (place, path) in ["/", "/d", "/d/e"].iter().enumerate() {
            assert_ne!(before[place], after[place], "{what} must change {path}");
        }
        assert_eq!(before[3], after[3], "{what} must not change /other");
    }
}

#[test]
fn a_move_between_folders_changes_both() {
    let server = TestServer::start();
    let alice = tree(&server);
    let before = all(&alice);

    alice.mv("/d/e/a", "/other/a").send().expect(201);

    let after = all(&alice);
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after),
        "{before:?} {after:?}"
    );
}

#[test]
fn reading_and_listing_change_no_etag_of_a_folder() {
    let server = TestServer::start();
    let alice = tree(&server);
    let before = all(&alice);

    alice.get("/d/e/a").send().expect(200);
    alice.propfind("/", "1", &["d:getetag"]).send().expect(207);

    assert_eq!(all(&alice), before);
}

#[test]
fn a_lock_is_seen_by_who_looks_at_the_folders_above_alone() {
    let server = TestServer::start();
    let alice = tree(&server);
    let content = alice.etag_of("/d/e/a");

    let before = all(&alice);
    let token = alice.locked("/d/e/a", "Second-60");
    let locked = all(&alice);
    alice.unlock("/d/e/a", &token).send().expect(204);
    let unlocked = all(&alice);

    for place in 0..3 {
        assert_ne!(before[place], locked[place]);
        assert_ne!(locked[place], unlocked[place]);
    }
    assert_eq!(before[3], unlocked[3]);
    assert_eq!(alice.etag_of("/d/e/a"), content);
}

#[test]
fn an_etag_never_comes_back_with_other_content() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut seen = std::collections::HashMap::new();

    for round in 0..30 {
        let body = format!("body {round}");
        let etag = alice.put("/a", body.clone()).send().success().etag();
        assert_eq!(seen.insert(etag, body), None);
        if round % 3 == 0 {
            alice.delete("/a").send().expect(204);
        }
    }
}

#[test]
fn etags_survive_a_restart() {
    let mut server = TestServer::start();
    let alice = tree(&server);
    let before = all(&alice);

    server.kill();
    server.start_again();

    assert_eq!(all(&alice), before);
}
