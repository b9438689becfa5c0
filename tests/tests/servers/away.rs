//! PostgreSQL or the S3 store goes away for a while: 503 with Retry-After, nothing lost, and it comes back by itself.

use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::data::bytes;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::postgres::Stop;
use nuage_tests::shape::Ground;
use nuage_tests::wait::wait_until;

use crate::servers::servers;

/// How long it may take until everything works again.
const RECOVERS: Duration = Duration::from_secs(15);

#[track_caller]
fn come_back(answer: Answer) {
    let answer = answer.expect(503);
    let wait = answer.header("retry-after").map(str::parse::<u32>);
    assert!(
        matches!(wait, Some(Ok(1..))),
        "when to come back is not said: {answer}"
    );
}

/// Whether a sync client ends its run on this 503 (every request fails) or goes on with other files.
#[track_caller]
fn come_back_for(answer: Answer, whole_server: bool) {
    assert_eq!(answer.status, 503, "{answer}");
    let text = answer.text();
    let class = "<s:exception>Sabre\\DAV\\Exception\\ServiceUnavailable</s:exception>";
    assert!(text.contains(class), "{text}");
    let one_storage = text.contains("Storage is temporarily not available");
    assert_eq!(one_storage, !whole_server, "{text}");
    come_back(answer);
}

#[track_caller]
fn works(user: &User, path: &str) {
    let body = bytes(77, 120_000);
    user.put(path, body.clone()).send().success();
    assert!(user.get(path).send().expect(200).body == body);
}

fn status_of(server: &TestServer, path: &str) -> u16 {
    server.anonymous(Request::new("GET", path)).status
}

#[test]
fn without_postgres_every_request_is_told_to_come_back() {
    let ground = Ground::own();
    let all = servers(&ground, 2, &[]);
    let alice = all[0].user("alice");
    let bob = all[1].user("bob");
    alice.put("/a", "kept").send().expect(201);
    alice.put("/large", bytes(1, 400_000)).send().expect(201);

    for how in [Stop::Fast, Stop::Immediate] {
        ground.postgres.stop(how);
        let begun = Instant::now();
        come_back(alice.get("/a").send());
        come_back(alice.put("/b", "x").send());
        come_back(alice.put("/b", bytes(2, 400_000)).send());
        come_back_for(alice.propfind("/", "1", &["d:getetag"]).send(), true);
        let french = alice.put("/b", "x").header("Accept-Language", "fr");
        come_back_for(french.send(), true);
        come_back(alice.mv("/a", "/c").send());
        come_back(alice.delete("/a").send());
        come_back(alice.mkcol("/d").send());
        come_back(alice.lock("/a", "exclusive", "0", "Second-60").send());
        come_back(all[1].client("nobody", "guess").get("/").send());
        report(&format!(
            "ten answers without PostgreSQL ({how:?}) took {:?}",
            begun.elapsed()
        ));
        for server in &all {
            assert_eq!(status_of(server, "/healthz"), 200, "it lives");
            assert_eq!(status_of(server, "/readyz"), 503, "it cannot serve");
        }

        ground.postgres.start_again();
        let took = wait_until("all servers are ready again", RECOVERS, || {
            all.iter().all(|server| status_of(server, "/readyz") == 200)
        });
        report(&format!("ready {took:?} after PostgreSQL"));
        assert_eq!(alice.get("/a").send().expect(200).text(), "kept");
        assert!(alice.get("/large").send().expect(200).body == bytes(1, 400_000));
        alice.get("/b").send().expect(404);
        works(&alice, "/works");
        works(&bob, "/works");
    }
    all[0].assert_clean();
}

#[test]
fn a_server_that_starts_without_postgres_says_so_and_ends() {
    let ground = Ground::own();
    let mut all = servers(&ground, 1, &[]);
    all[0].stop();
    ground.postgres.stop(Stop::Fast);

    let begun = Instant::now();
    assert!(all[0].try_start().is_err());
    assert!(begun.elapsed() < Duration::from_mins(1));
    assert!(all[0].log().contains("database is not available"));

    ground.postgres.start_again();
    all[0].start_again();
}

#[test]
fn without_the_store_small_files_go_on_and_large_ones_are_told_to_come_back() {
    let ground = Ground::own();
    let all = servers(&ground, 2, &[("NUAGE_JOBS__PACK_SECONDS", "1")]);
    let alice = all[0].user("alice");
    alice.put("/read", bytes(1, 400_000)).send().expect(201);
    // What was read once is in the cache of this server.
    alice.get("/read").send().expect(200);

    ground.store.kill();
    let begun = Instant::now();
    alice.put("/small", bytes(2, 9_000)).send().expect(201);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "a small file does not wait for the store"
    );
    assert!(alice.get("/small").send().expect(200).body == bytes(2, 9_000));
    assert!(alice.get("/read").send().expect(200).body == bytes(1, 400_000));
    let begun = Instant::now();
    let french = alice
        .put("/large", bytes(3, 400_000))
        .header("Accept-Language", "fr");
    come_back_for(french.send(), false);
    let refused = begun.elapsed();
    report(&format!("a large file is refused after {refused:?}"));
    assert!(refused < Duration::from_secs(45), "{refused:?}");
    alice.get("/large").send().expect(404);
    alice.mv("/small", "/renamed").send().expect(201);

    ground.store.start_again();
    let took = wait_until("large files are stored again", RECOVERS, || {
        alice.put("/large", bytes(3, 400_000)).send().status == 201
    });
    report(&format!("stored again {took:?} after the store"));
    let there = all[1].client("alice", &alice.secret);
    for (path, seed, length) in [
        ("/read", 1, 400_000),
        ("/renamed", 2, 9_000),
        ("/large", 3, 400_000),
    ] {
        assert!(there.get(path).send().expect(200).body == bytes(seed, length));
    }
    wait_until("small files move to the store", RECOVERS, || {
        all[0].data.number("SELECT count(*) FROM hot_chunk") == 0
    });
    all[1].assert_clean();
}

#[test]
fn an_upload_that_the_store_interrupts_is_whole_or_not_there() {
    let ground = Ground::own();
    let all = servers(&ground, 1, &[]);
    let alice = all[0].user("alice");
    alice.put("/a", bytes(1, 20_000_000)).send().expect(201);

    for round in 0_u64..3 {
        let body = bytes(10 + round, 20_000_000);
        let status = std::thread::scope(|scope| {
            let upload = scope.spawn(|| alice.put("/a", body.clone()).send().status);
            nuage_tests::wait::pause(Duration::from_millis(30 + 60 * round));
            ground.store.kill();
            nuage_tests::wait::pause(Duration::from_secs(2));
            ground.store.start_again();
            upload.join().unwrap()
        });
        let found = alice.get("/a").send().expect(200).body;
        match status {
            204 => assert!(found == body, "what was acknowledged is there"),
            503 => assert!(found.len() == 20_000_000 && found != body),
            other => panic!("{other}"),
        }
        alice.put("/a", bytes(1, 20_000_000)).send().expect(204);
    }
    all[0].assert_clean();
}
