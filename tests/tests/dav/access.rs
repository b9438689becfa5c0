//! Who may enter: passwords, app passwords, deactivation, guessing, and what it costs.

use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::data::Pattern;
use nuage_tests::http::Request;
use nuage_tests::wait::wait_until;

/// How long after a command something may still be accepted.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// Waits until a user is refused; fails when a request begun later than the limit was still accepted.
fn assert_refused_soon(user: &User, status: u16) {
    let begun = Instant::now();
    let mut last_accepted = Duration::ZERO;
    wait_until("the user is refused", Duration::from_secs(10), || {
        let asked = begun.elapsed();
        let answer = user.call("PROPFIND", "/").header("Depth", "0").send();
        if answer.status == 207 {
            last_accepted = asked;
        }
        answer.status == status
    });
    assert!(
        last_accepted <= NOTICED_WITHIN,
        "still accepted after {last_accepted:?}"
    );
}

#[test]
fn without_credentials_everything_asks_for_them() {
    let server = TestServer::start();
    server.user("alice");

    for target in ["/dav/", "/remote.php/dav/files/alice/", "/dav/none"] {
        for method in ["GET", "PROPFIND", "OPTIONS", "PUT", "DELETE", "HEAD"] {
            let answer = server.anonymous(Request::new(method, target)).expect(401);
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Basic realm=\"Nuage\", charset=\"UTF-8\""),
                "{answer}"
            );
        }
    }
}

#[test]
fn an_unknown_name_and_a_wrong_password_are_answered_alike() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let wrong = alice.with_secret("wrong").get("/").send().expect(401);
    let unknown = server.client("nobody", "wrong").get("/").send().expect(401);

    assert_eq!(wrong.body, unknown.body);
    for odd in [
        "Basic",
        "Basic !!!!",
        "Basic YWJj",
        "Bearer x",
        "Basic \u{fffd}",
        "",
    ] {
        server
            .anonymous(Request::new("GET", "/dav/").header("Authorization", odd))
            .expect_any(&[400, 401]);
    }
}

#[test]
fn another_users_files_are_not_there() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    alice.put("/secret", "x").send().expect(201);

    for method in ["GET", "PROPFIND", "DELETE", "PUT", "OPTIONS"] {
        bob.raw(method, "/remote.php/dav/files/alice/secret")
            .send()
            .expect(404);
        bob.raw(method, "/remote.php/dav/files/nobody/secret")
            .send()
            .expect(404);
    }
    bob.get("/secret").send().expect(404);
    // Names are compared by their folded form.
    alice
        .raw("GET", "/remote.php/dav/files/ALICE/secret")
        .send()
        .expect(200);
}

#[test]
fn an_app_password_opens_the_files_and_a_read_only_one_changes_nothing() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let full = server.token(&alice, &[]);
    let reader = server.token(&alice, &["--read-only"]);

    full.put("/b", "y").send().expect(201);
    assert_eq!(reader.get("/a").send().expect(200).text(), "x");
    reader.propfind("/", "1", &["d:getetag"]).send().expect(207);

    reader.put("/a", "z").send().expect(403);
    reader.delete("/a").send().expect(403);
    reader.mkcol("/d").send().expect(403);
    reader.mv("/a", "/c").send().expect(403);
    reader.copy("/a", "/c").send().expect(403);
    reader
        .set_property("/a", "colour", "blue")
        .send()
        .expect_any(&[403, 207]);
    reader
        .lock("/a", "exclusive", "0", "Second-60")
        .send()
        .expect(403);
    assert_eq!(alice.get("/a").send().text(), "x");
    let mut names = alice.names("/");
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn an_expired_app_password_is_refused() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let token = server.token(&alice, &["--expires", "90d"]);
    token.get("/").send().expect_any(&[200, 405]);

    server.data.advance(91 * 86_400);

    token.get("/").send().expect(401);
    alice.propfind("/", "0", &["d:getetag"]).send().expect(207);
}

#[test]
fn a_disabled_user_is_refused_within_a_second_and_enabled_again() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let token = server.token(&alice, &[]);
    for user in [&alice, &token] {
        user.propfind("/", "0", &["d:getetag"]).send().expect(207);
    }

    server.data.command(&["user", "disable", "alice"]).ok();
    assert_refused_soon(&token, 401);
    assert_refused_soon(&alice, 401);

    server.data.command(&["user", "enable", "alice"]).ok();
    wait_until("the user may enter again", Duration::from_secs(5), || {
        token.propfind("/", "0", &["d:getetag"]).send().status == 207
    });
}

#[test]
fn a_revoked_app_password_is_refused_within_a_second_and_the_others_live_on() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let kept = server.token(&alice, &[]);
    let lost = server.token(&alice, &[]);
    lost.propfind("/", "0", &["d:getetag"]).send().expect(207);

    let tokens = server
        .data
        .command(&["token", "list", "alice", "--json"])
        .json();
    let ids: Vec<String> = tokens
        .as_array()
        .expect("a list")
        .iter()
        .map(|token| token["id"].to_string().trim_matches('"').to_owned())
        .collect();
    assert_eq!(ids.len(), 2, "{tokens}");
    server
        .data
        .command(&["token", "revoke", "alice", &ids[1]])
        .ok();

    assert_refused_soon(&lost, 401);
    kept.propfind("/", "0", &["d:getetag"]).send().expect(207);
    alice.propfind("/", "0", &["d:getetag"]).send().expect(207);
}

#[test]
fn a_new_password_ends_the_old_one_within_a_second() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.propfind("/", "0", &["d:getetag"]).send().expect(207);

    server
        .data
        .command_with_input(
            &["user", "passwd", "alice", "--password-stdin"],
            "another long secret\n",
        )
        .ok();

    assert_refused_soon(&alice, 401);
    alice
        .with_secret("another long secret")
        .propfind("/", "0", &["d:getetag"])
        .send()
        .expect(207);
}

#[test]
fn guessing_is_slowed_for_one_account_and_for_nobody_else() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    let token = server.token(&alice, &[]);
    token.propfind("/", "0", &["d:getetag"]).send().expect(207);

    let statuses: Vec<u16> = (0..40)
        .map(|number| {
            alice
                .with_secret(&format!("guess {number}"))
                .get("/")
                .send()
                .status
        })
        .collect();

    assert!(
        statuses.contains(&429),
        "40 guesses, never slowed: {statuses:?}"
    );
    let refused = alice.get("/").send().expect(429);
    let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(wait >= 1);
    bob.propfind("/", "0", &["d:getetag"]).send().expect(207);
    token.propfind("/", "0", &["d:getetag"]).send().expect(207);
    server.data.advance(wait + 1);
    alice.propfind("/", "0", &["d:getetag"]).send().expect(207);
}

#[test]
fn guesses_from_one_address_do_not_lock_the_owner_out_elsewhere() {
    let server = TestServer::with(&[("NUAGE_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let alice = server.user("alice");
    let guess = alice.with_secret("wrong");
    let from = |user: &User, address: &str| {
        user.call("PROPFIND", "/")
            .header("Depth", "0")
            .header("X-Forwarded-For", address)
            .send()
            .status
    };

    let statuses: Vec<u16> = (0..40).map(|_| from(&guess, "192.0.2.1")).collect();

    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(from(&alice, "192.0.2.1"), 429);
    assert_eq!(from(&alice, "192.0.2.2"), 207);
}

#[test]
fn parallel_guesses_do_not_pass_before_the_first_is_counted() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guessers: Vec<_> = (0..32)
            .map(|number| {
                let guess = alice.with_secret(&format!("guess {number}"));
                scope.spawn(move || guess.get("/").send().status)
            })
            .collect();
        guessers
            .into_iter()
            .map(|guesser| guesser.join().unwrap())
            .collect()
    });

    let tried = statuses.iter().filter(|status| **status == 401).count();
    assert!(tried <= 16, "{tried} of 32 parallel guesses were tried");
}

#[test]
fn a_mount_costs_no_password_hash_for_each_request() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let token = server.token(&alice, &[]);
    alice.put("/a", "x").send().expect(201);
    let cost_of = |user: &User| {
        user.get("/a").send().expect(200);
        let before = server.processor_time();
        for _ in 0..200 {
            user.get("/a").send().expect(200);
        }
        server.processor_time().saturating_sub(before)
    };

    let by_token = cost_of(&token);
    let by_password = cost_of(&alice);

    report(&format!(
        "200 GETs: {by_token:?} by app password, {by_password:?} by password"
    ));
    // One argon2 alone is 20 ms or more.
    assert!(by_password < by_token * 3 + Duration::from_millis(300));
}

#[test]
fn no_secret_is_ever_logged() {
    let server = TestServer::with(&[("NUAGE_LOG__LEVEL", "trace")]);
    let alice = server.user("alice");
    let token = server.token(&alice, &[]);

    for user in [&alice, &token, &alice.with_secret("a wrong guess")] {
        user.put("/a", "the content itself").send();
        user.propfind("/", "1", &["d:getetag"]).send();
    }

    let log = server.log();
    for secret in [
        &alice.secret,
        &token.secret,
        "a wrong guess",
        "the content itself",
    ] {
        assert!(!log.contains(secret), "the log holds {secret:?}");
    }
    let coded = nuage_tests::http::basic(&alice.name, &alice.secret);
    assert!(!log.contains(coded.trim_start_matches("Basic ")));
}

#[test]
fn a_stranger_who_sends_a_large_body_hears_why_it_is_refused() {
    let server = TestServer::start();
    let stranger = server.client("stranger", "wrong");
    let length = 16 << 20;

    stranger
        .put_stream("/large", Pattern::new(1, length), length)
        .send()
        .expect(401);
}
