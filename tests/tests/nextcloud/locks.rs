//! Locks as people make them in sync clients, without WebDAV's bodies.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::user::User;
use nuage_tests::wait::wait_until;

const NC: &str = "{http://nextcloud.org/ns}";

fn by_hand(user: &User, method: &str, path: &str, kind: &str) -> nuage_tests::http::Answer {
    user.call(method, path)
        .header("X-User-Lock", "1")
        .header("X-User-Lock-Type", kind)
        .send()
}

fn lock_of(user: &User, path: &str) -> (Option<String>, Option<String>) {
    let entry = user.properties(path, &["nc:lock", "nc:lock-owner-type"]);
    let text = |name: &str| entry.text(&format!("{NC}{name}")).map(str::to_owned);
    (text("lock"), text("lock-owner-type"))
}

#[test]
fn a_lock_by_hand_is_seen_renewed_and_does_not_stop_its_owner() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.folders("/d");
    alice.put("/d/a", "1").send().expect(201);
    let (file, root, folder) = (
        alice.etag_of("/d/a"),
        alice.etag_of("/"),
        alice.etag_of("/d"),
    );

    let answer = by_hand(&alice, "LOCK", "/d/a", "0").expect(200);
    let text = answer.text();
    for part in [
        "<nc:lock>1</nc:lock>",
        "<nc:lock-owner>alice</nc:lock-owner>",
        "<nc:lock-owner-type>0</nc:lock-owner-type>",
        "<nc:lock-timeout>1800</nc:lock-timeout>",
        "<nc:lock-token>opaquelocktoken:",
        "<d:getetag>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(alice.etag_of("/d/a"), file);
    assert_ne!(alice.etag_of("/"), root);
    assert_ne!(alice.etag_of("/d"), folder);
    assert_eq!(
        lock_of(&alice, "/d/a"),
        (Some("1".into()), Some("0".into()))
    );
    // Another device of the same person writes without a token.
    alice.put("/d/a", "2").send().expect(204);

    server.data.advance(1_500);
    by_hand(&alice, "LOCK", "/d/a", "0").expect(200);
    server.data.advance(1_500);
    assert_eq!(lock_of(&alice, "/d/a").0.as_deref(), Some("1"));
    server.data.advance(400);
    assert_eq!(lock_of(&alice, "/d/a"), (Some(String::new()), None));

    by_hand(&alice, "LOCK", "/d/a", "0").expect(200);
    let root = alice.etag_of("/");
    let answer = by_hand(&alice, "UNLOCK", "/d/a", "0").expect(200);
    assert!(answer.text().contains("<nc:lock></nc:lock>"));
    assert_ne!(alice.etag_of("/"), root);
    by_hand(&alice, "UNLOCK", "/d/a", "0").expect(412);
    server.assert_clean();
}

#[test]
fn a_lock_by_token_wants_its_token() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.put("/a", "1").send().expect(201);
    let text = by_hand(&alice, "LOCK", "/a", "2").expect(200).text();
    let (_, token) = text.split_once("<nc:lock-token>").unwrap();
    let (token, _) = token.split_once('<').unwrap();
    alice.put("/a", "2").send().expect(423);
    alice.put("/a", "2").token(token).send().expect(204);
    let held = by_hand(&alice, "LOCK", "/a", "0").expect(423).text();
    assert!(
        held.contains("<nc:lock-owner-type>2</nc:lock-owner-type>"),
        "{held}"
    );
    by_hand(&alice, "UNLOCK", "/a", "2").expect(200);
    alice.put("/a", "3").send().expect(204);
    server.assert_clean();
}

#[test]
fn a_lock_by_hand_has_its_conditions_and_limits() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.folders("/d");
    alice.put("/a", "1").send().expect(201);
    let lock = |etag: &str| {
        let call = alice.call("LOCK", "/a").header("X-User-Lock", "1");
        call.if_match(etag).send()
    };
    lock("\"other\"").expect(412);
    lock(&alice.etag_of("/a")).expect(200);
    by_hand(&alice, "LOCK", "/d", "0").expect(405);
    by_hand(&alice, "LOCK", "/nothing", "0").expect(404);
    by_hand(&alice, "LOCK", "/a", "1").expect(400);
    let reader = server.token(&alice, &["--read-only"]).at_remote_php();
    by_hand(&reader, "LOCK", "/a", "0").expect(403);
    server.assert_clean();
}

#[test]
fn a_lock_of_webdav_shows_as_one_by_token() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.put("/a", "1").send().expect(201);
    let root = alice.etag_of("/");
    let token = alice.locked("/a", "Second-600");
    assert_eq!(lock_of(&alice, "/a"), (Some("1".into()), Some("2".into())));
    assert_ne!(alice.etag_of("/"), root);
    let root = alice.etag_of("/");
    alice.unlock("/a", &token).send().expect(204);
    assert_ne!(alice.etag_of("/"), root);
    // Who locked a file by hand may open it in a program that locks it as well.
    by_hand(&alice, "LOCK", "/a", "0").expect(200);
    let token = alice.locked("/a", "Second-600");
    alice.put("/a", "2").token(&token).send().expect(204);
    server.assert_clean();
}

#[test]
fn a_lock_whose_time_is_over_is_seen_like_one_that_was_ended() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    for folder in ["/d/e", "/other"] {
        alice.folders(folder);
    }
    alice.put("/d/e/a", "1").send().expect(201);
    let unlocked = alice.locked("/d/e/a", "Second-600");
    alice.unlock("/d/e/a", &unlocked).send().expect(204);
    alice.locked("/d/e/a", "Second-600");
    let etags = || ["/", "/d", "/d/e", "/other", "/d/e/a"].map(|path| alice.etag_of(path));
    let locked = etags();
    server.data.advance(300);
    nuage_tests::wait::pause(Duration::from_secs(3));
    assert_eq!(etags(), locked, "a lock that holds changes nothing");

    server.data.advance(301);
    assert_eq!(lock_of(&alice, "/d/e/a").0.as_deref(), Some(""));
    wait_until("the folders above show it", Duration::from_secs(30), || {
        alice.etag_of("/") != locked[0]
    });
    let ended = etags();
    assert_ne!(ended[1], locked[1]);
    assert_ne!(ended[2], locked[2]);
    assert_eq!(ended[3..], locked[3..], "nothing else has changed");
    // It is said once.
    server.data.advance(100);
    nuage_tests::wait::pause(Duration::from_secs(3));
    assert_eq!(etags(), ended);
    server.data.command(&["check"]).ok();
    server.assert_clean();
}
