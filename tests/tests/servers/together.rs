//! Two servers, one installation: what one has answered holds at the other.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::bytes;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::Ground;
use nuage_tests::wait::wait_until;

use crate::servers::servers;

/// How long the end of a right may take to reach another server.
const REACHES_ALL: Duration = Duration::from_secs(5);

/// Two servers, and an account as a client of each.
fn two() -> (Vec<TestServer>, User, User) {
    let servers = servers(&Ground::shared(), 2, &[]);
    let here = servers[0].user("alice");
    let there = servers[1].client("alice", &here.secret);
    (servers, here, there)
}

#[test]
fn what_one_stored_the_other_lists_and_reads_at_once() {
    let (servers, here, there) = two();
    here.mkcol("/d").send().expect(201);

    for number in 0..20 {
        // Every other one is too large for the database.
        let length = if number % 2 == 0 { 5_000 } else { 300_000 };
        let path = format!("/d/{number}");
        let (writer, reader) = if number % 4 < 2 {
            (&here, &there)
        } else {
            (&there, &here)
        };
        let tag = writer
            .put(&path, bytes(number, length))
            .send()
            .expect(201)
            .etag();

        assert!(reader.names("/d").contains(&number.to_string()), "{path}");
        assert_eq!(reader.etag_of(&path), tag);
        assert!(reader.get(&path).send().expect(200).body == bytes(number, length));
        // A condition made at one is tested at the other.
        reader
            .put(&path, "y")
            .if_match("\"not this\"")
            .send()
            .expect(412);
    }

    there.mv("/d", "/moved").send().expect(201);
    here.get("/d/1").send().expect(404);
    assert_eq!(here.names("/moved").len(), 20);
    servers[1].assert_clean();
}

#[test]
fn a_lock_taken_on_one_holds_on_the_other() {
    let (_servers, here, there) = two();
    here.put("/a", "one").send().expect(201);

    let token = here.locked("/a", "Second-3600");

    there.put("/a", "two").send().expect(423);
    there.delete("/a").send().expect(423);
    assert_eq!(
        there
            .lock("/a", "exclusive", "0", "Second-60")
            .send()
            .status,
        423
    );
    there.put("/a", "two").token(&token).send().expect(204);
    there.unlock("/a", &token).send().expect(204);
    here.put("/a", "three").send().expect(204);
}

#[test]
fn a_right_that_ends_at_one_ends_at_the_other_within_five_seconds() {
    let (servers, here, there) = two();
    here.put("/a", "x").send().expect(201);
    let token = servers[0].token(&here, &[]);
    let token_there = servers[1].client("alice", &token.secret);
    let command = |words: &[&str]| servers[0].data.command(words);
    // Both are known to the other server by now.
    let is_refused = |user: &User| user.get("/a").send().status == 401;
    assert!(!is_refused(&there) && !is_refused(&token_there));

    command(&["user", "disable", "alice"]).ok();
    wait_until("disabled there", REACHES_ALL, || {
        is_refused(&there) && is_refused(&token_there)
    });
    command(&["user", "enable", "alice"]).ok();
    wait_until("enabled there", REACHES_ALL, || {
        !is_refused(&there) && !is_refused(&token_there)
    });

    let listed = command(&["token", "list", "alice", "--json"]).json();
    let id = listed[0]["id"].to_string();
    command(&["token", "revoke", "alice", id.trim_matches('"')]).ok();
    wait_until("revoked there", REACHES_ALL, || is_refused(&token_there));
    assert!(!is_refused(&there));

    servers[0]
        .data
        .command_with_input(
            &["user", "passwd", "alice", "--password-stdin"],
            "another long secret\n",
        )
        .ok();
    wait_until("the former password ends there", REACHES_ALL, || {
        is_refused(&there)
    });
    let renewed = servers[1].client("alice", "another long secret");
    assert!(!is_refused(&renewed));
}

#[test]
fn guesses_at_one_count_at_the_other() {
    let (servers, here, there) = two();
    let bob = servers[1].user("bob");

    let statuses: Vec<u16> = (0..40)
        .map(|number| {
            let user = if number % 2 == 0 { &here } else { &there };
            let guess = user.with_secret(&format!("guess {number}"));
            guess.get("/").send().status
        })
        .collect();

    // Ten are free, wherever they are made.
    let allowed = statuses.iter().filter(|status| **status == 401).count();
    assert!(allowed <= 12, "{statuses:?}");
    for user in [&here, &there] {
        let refused = user.get("/").send().expect(429);
        assert!(refused.header("retry-after").is_some(), "{refused}");
    }
    bob.propfind("/", "0", &["d:getetag"]).send().expect(207);
}

#[test]
fn a_quota_is_kept_to_the_byte_by_both_together() {
    let servers = servers(&Ground::shared(), 2, &[]);
    let here = servers[0].user_with("alice", &["--quota", "1000000"]);
    let there = servers[1].client("alice", &here.secret);

    let stored: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0_u64..8)
            .map(|writer| {
                let user = if writer % 2 == 0 { &here } else { &there };
                scope.spawn(move || {
                    let fits = |number: &u64| {
                        let path = format!("/{writer}-{number}");
                        let answer = user.put(&path, bytes(writer * 100 + number, 70_000)).send();
                        assert!([201, 507].contains(&answer.status), "{answer}");
                        answer.status == 201
                    };
                    (0..5).filter(fits).count() as u64
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum()
    });

    assert_eq!(stored, 14, "files of 70 000 bytes in a quota of 1 000 000");
    for user in [&here, &there] {
        let used = user.properties("/", &["d:quota-used-bytes"]);
        assert_eq!(used.text("{DAV:}quota-used-bytes"), Some("980000"));
    }
    servers[0].assert_clean();
}

#[test]
fn servers_that_start_at_once_on_nothing_make_one_installation() {
    let data = DataFolder::scaled(Ground::shared().place()).with_secret_file();
    let mut all: Vec<TestServer> = (0..3)
        .map(|_| TestServer::not_started(data.beside()))
        .collect();

    std::thread::scope(|scope| {
        for server in &mut all {
            scope.spawn(|| server.start_again());
        }
    });

    let greeted: Vec<String> = all
        .iter()
        .map(TestServer::greeting)
        .filter(|said| said.contains("password"))
        .collect();
    assert_eq!(greeted.len(), 1, "one administrator: {greeted:?}");
    let password = greeted[0]
        .lines()
        .find_map(|line| line.trim().strip_prefix("password"))
        .unwrap()
        .trim();
    for (number, server) in all.iter().enumerate() {
        let admin = server.client("admin", password);
        admin.put(&format!("/{number}"), "x").send().expect(201);
        assert_eq!(admin.names("/").len(), number + 1);
    }
    all[0].assert_clean();
}

#[test]
fn a_collection_asked_for_runs_once_and_is_seen_by_whoever_asked() {
    let servers = servers(&Ground::shared(), 2, &[]);
    let alice = servers[0].user("alice");
    alice.put("/kept", bytes(1, 400_000)).send().expect(201);
    alice.put("/gone", bytes(2, 400_000)).send().expect(201);
    alice.delete("/gone").send().expect(204);
    servers[0].data.advance(40 * 86_400);

    let asked: Vec<_> = std::thread::scope(|scope| {
        let commands: Vec<_> = servers
            .iter()
            .map(|server| scope.spawn(|| server.data.command(&["gc", "--now", "--json"])))
            .collect();
        commands
            .into_iter()
            .map(|command| command.join().unwrap())
            .collect()
    });
    for ran in &asked {
        assert!(ran.json().is_object());
    }

    assert_eq!(
        servers[0]
            .data
            .number("SELECT count(*) FROM node WHERE name = 'gone'"),
        0
    );
    let there = servers[1].client("alice", &alice.secret);
    assert!(there.get("/kept").send().expect(200).body == bytes(1, 400_000));
    servers[1].assert_clean();
}

#[test]
fn a_server_that_stops_hands_over_and_one_that_is_killed_is_not_missed() {
    let mut servers = servers(&Ground::shared(), 2, &[]);
    let here = servers[0].user("alice");
    let there = servers[1].client("alice", &here.secret);
    // Small and large, some of it still in the memory of a server that gathers writes.
    for number in 0..20 {
        let length = if number % 2 == 0 { 30_000 } else { 200_000 };
        here.put(&format!("/{number}"), bytes(number, length))
            .send()
            .expect(201);
    }

    servers[0].kill();

    for number in 0..20 {
        let length = if number % 2 == 0 { 30_000 } else { 200_000 };
        let path = format!("/{number}");
        assert!(there.get(&path).send().expect(200).body == bytes(number, length));
    }
    there.put("/more", bytes(50, 500_000)).send().expect(201);
    servers[0].start_again();
    assert!(here.get("/more").send().expect(200).body == bytes(50, 500_000));
    servers[1].stop();
    assert_eq!(here.names("/").len(), 21);
    servers[0].assert_clean();
}
