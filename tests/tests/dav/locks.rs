//! Locks: who may write, until when, and what carries them.

use nuage_tests::TestServer;

#[test]
fn a_locked_file_is_written_only_with_its_token() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "first").send().expect(201);
    let token = alice.locked("/a", "Second-600");

    alice.put("/a", "without").send().expect(423);
    alice.delete("/a").send().expect(423);
    alice.mv("/a", "/b").send().expect(423);
    alice
        .set_property("/a", "colour", "blue")
        .send()
        .expect(423);
    alice
        .put("/a", "wrong")
        .token("urn:uuid:00000000-0000-0000-0000-000000000000")
        .send()
        .expect(412);
    assert_eq!(alice.get("/a").send().text(), "first");

    alice.put("/a", "with").token(&token).send().expect(204);
    assert_eq!(alice.get("/a").send().text(), "with");
}

#[test]
fn a_lock_ends_when_its_time_is_over() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    alice.locked("/a", "Second-60");

    server.data.advance(58);
    alice.put("/a", "early").send().expect(423);
    server.data.advance(3);
    alice.put("/a", "late").send().expect(204);
}

#[test]
fn a_refreshed_lock_lives_on() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let token = alice.locked("/a", "Second-60");

    server.data.advance(50);
    alice
        .call("LOCK", "/a")
        .header("Timeout", "Second-60")
        .token(&token)
        .send()
        .expect(200);
    server.data.advance(50);

    alice.put("/a", "without").send().expect(423);
    alice.put("/a", "with").token(&token).send().expect(204);
}

#[test]
fn locks_survive_a_crash_and_a_restart() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let token = alice.locked("/a", "Second-600");

    server.kill();
    server.start_again();
    alice.put("/a", "without").send().expect(423);
    server.restart();

    alice.put("/a", "without").send().expect(423);
    alice.put("/a", "with").token(&token).send().expect(204);
    alice.unlock("/a", &token).send().expect(204);
    alice.put("/a", "free").send().expect(204);
}

#[test]
fn a_deep_lock_covers_everything_below_also_what_comes_later() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/e");
    let token = alice.locked("/d", "Second-600");

    alice.put("/d/e/a", "x").send().expect(423);
    alice.mkcol("/d/f").send().expect(423);
    alice
        .put("/d/e/a", "x")
        .header("If", &format!("<{}> (<{token}>)", alice.url("/d")))
        .send()
        .expect(201);
    alice.put("/d/e/a", "y").send().expect(423);
    alice.delete("/d").send().expect(423);
    alice.put("/free", "x").send().expect(201);
}

#[test]
fn a_lock_below_forbids_to_delete_or_move_the_tree() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/e");
    alice.put("/d/e/a", "x").send().expect(201);
    alice.locked("/d/e/a", "Second-600");

    for answer in [alice.delete("/d").send(), alice.mv("/d", "/m").send()] {
        match answer.status {
            423 => {}
            _ => assert_eq!(
                answer.multistatus().entries[0].status,
                Some(423),
                "{answer}"
            ),
        }
    }

    assert_eq!(alice.get("/d/e/a").send().text(), "x");
    assert_eq!(alice.names("/"), ["d"]);
}

#[test]
fn a_moved_file_leaves_its_lock_behind() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let token = alice.locked("/a", "Second-600");

    alice.mv("/a", "/b").token(&token).send().expect(201);

    alice.put("/b", "y").send().expect(204);
    alice.put("/a", "new").send().expect(201);
}

#[test]
fn shared_locks_go_together_and_exclude_an_exclusive_one() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    alice
        .lock("/a", "shared", "0", "Second-60")
        .send()
        .expect(200);
    alice
        .lock("/a", "shared", "0", "Second-60")
        .send()
        .expect(200);
    alice
        .lock("/a", "exclusive", "0", "Second-60")
        .send()
        .expect(423);

    let entry = alice.properties("/a", &["d:lockdiscovery"]);
    let found = &entry.properties["{DAV:}lockdiscovery"].elements;
    assert_eq!(
        found
            .iter()
            .filter(|name| *name == "{DAV:}activelock")
            .count(),
        2
    );
}

#[test]
fn a_lock_on_nothing_makes_an_empty_file_that_stays() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let answer = alice
        .lock("/new", "exclusive", "0", "Second-60")
        .send()
        .expect(201);

    assert!(answer.header("lock-token").is_some());
    assert!(alice.get("/new").send().expect(200).body.is_empty());
    alice
        .lock("/none/new", "exclusive", "0", "Second-60")
        .send()
        .expect(409);
}

#[test]
fn of_many_exclusive_locks_asked_at_once_exactly_one_is_given() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    alice
                        .lock("/a", "exclusive", "0", "Second-60")
                        .send()
                        .status
                })
            })
            .collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .collect()
    });

    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 423).count(),
        7,
        "{statuses:?}"
    );
}

#[test]
fn unlocking_with_a_foreign_token_is_refused() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    alice.put("/b", "x").send().expect(201);
    alice.locked("/a", "Second-600");
    let other = alice.locked("/b", "Second-600");

    alice.unlock("/a", &other).send().expect_any(&[403, 409]);
    alice.call("UNLOCK", "/a").send().expect(400);

    alice.put("/a", "y").send().expect(423);
}
