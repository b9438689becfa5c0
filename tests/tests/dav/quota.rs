//! Quota: told before the body, decided in the commit, never exceeded.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::data::bytes;

#[test]
fn a_known_length_that_does_not_fit_is_refused_before_the_body() {
    let server = TestServer::start();
    // One that travels in the commit, and one that does not.
    for (name, length) in [("alice", 7_000), ("bob", 700_000)] {
        let quota = (length * 10 / 7).to_string();
        let person = server.user_with(name, &["--quota", &quota]);
        let first = vec![0; length * 4 / 7];
        person.put("/a", first).send().expect(201);

        let answer = person
            .call("PUT", "/b")
            .header("Content-Length", &length.to_string())
            .send_head_only(Duration::from_secs(10));

        assert_eq!(answer.status, 507, "{answer}");
        let sizes = format!("{length} required, {} available", length / 7 * 6);
        assert!(
            answer.text().contains(&sizes),
            "the body says how much is missing: {answer}"
        );
        person.get("/b").send().expect(404);
    }
}

#[test]
fn a_client_that_expects_continue_is_spared_the_body() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1MB"]);

    let answer = alice
        .call("PUT", "/b")
        .header("Content-Length", "1000000000")
        .header("Expect", "100-continue")
        .send_head_only(Duration::from_secs(10));

    assert_eq!(answer.status, 507, "{answer}");
}

#[test]
fn an_unknown_length_is_stopped_where_the_quota_ends() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "100000"]);

    let answer = alice.put("/a", bytes(1, 300_000)).chunked().send();

    assert_eq!(answer.status, 507, "{answer}");
    alice.get("/a").send().expect(404);
    server.assert_clean();
}

#[test]
fn just_as_much_as_fits_is_accepted_and_replacing_counts_the_difference() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "100000"]);

    alice.put("/a", bytes(1, 100_000)).send().expect(201);
    alice.put("/b", "x").send().expect(507);
    alice.put("/a", bytes(2, 100_000)).send().expect(204);
    alice.put("/a", bytes(3, 99_999)).send().expect(204);
    alice.put("/b", "x").send().expect(201);
    alice.copy("/a", "/c").send().expect(507);
    alice.mv("/a", "/c").send().expect(201);
}

#[test]
fn concurrent_uploads_never_overshoot() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1000000"]);

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..16_u64)
            .map(|number| {
                let alice = &alice;
                scope.spawn(move || {
                    let call = alice.put(&format!("/f{number}"), bytes(number, 150_000));
                    let call = if number % 2 == 0 {
                        call.chunked()
                    } else {
                        call
                    };
                    call.send().status
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });

    let stored = statuses.iter().filter(|status| **status == 201).count();
    assert!(
        statuses.iter().all(|status| [201, 507].contains(status)),
        "{statuses:?}"
    );
    assert!(
        stored <= 6,
        "{stored} files of 150 000 bytes in a quota of 1 000 000"
    );
    let used = alice.properties("/", &["d:quota-used-bytes"]);
    assert_eq!(
        used.text("{DAV:}quota-used-bytes"),
        Some((stored * 150_000).to_string().as_str())
    );
    server.assert_clean();
}

#[test]
fn a_quota_set_by_command_holds_at_once() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", vec![0; 1_000]).send().expect(201);

    server.data.command(&["quota", "set", "alice", "1500"]).ok();
    alice.put("/b", vec![0; 1_000]).send().expect(507);
    server
        .data
        .command(&["quota", "set", "alice", "100GB"])
        .ok();

    alice.put("/b", vec![0; 1_000]).send().expect(201);
    let shown = server.data.command(&["quota", "show", "alice"]);
    assert!(shown.ok().contains("100"), "{}", shown.stdout);
}

#[test]
fn everybody_has_100_gb_unless_told_otherwise() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let home = alice.properties("/", &["d:quota-available-bytes"]);

    assert_eq!(
        home.text("{DAV:}quota-available-bytes"),
        Some("100000000000")
    );
}

#[test]
fn the_default_quota_is_a_setting() {
    let server = TestServer::with(&[("NUAGE_QUOTA_DEFAULT", "2KiB")]);
    let alice = server.user("alice");

    alice.put("/a", vec![0; 2_048]).send().expect(201);
    alice.put("/b", vec![0; 1]).send().expect(507);
}

#[test]
fn trash_and_versions_take_none_of_the_quota() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "100000"]);

    for round in 0..5 {
        alice.put("/a", bytes(round, 90_000)).send().expect(201);
        alice
            .put("/a", bytes(round + 100, 90_000))
            .send()
            .expect(204);
        alice.delete("/a").send().expect(204);
    }

    let home = alice.properties("/", &["d:quota-used-bytes"]);
    assert_eq!(home.text("{DAV:}quota-used-bytes"), Some("0"));
}
