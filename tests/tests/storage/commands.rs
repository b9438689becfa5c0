//! Commands on the data, with a server beside them and without, and what a start says.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::data::Pattern;
use nuage_tests::data::bytes;
use nuage_tests::http::Request;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::embedded_only;
use nuage_tests::wait::pause;

#[test]
fn the_first_start_makes_an_administrator_and_says_how_to_mount() {
    let mut server = TestServer::start();
    let said = server.greeting();
    let password = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("password"))
        .unwrap_or_else(|| panic!("no password in {said}"))
        .trim()
        .to_owned();
    assert!(said.contains("/dav/"), "{said}");

    let admin = server.client("admin", &password);
    admin.put("/a", "x").send().expect(201);
    server.restart();

    assert_eq!(server.greeting(), "", "the second start says nothing of it");
    assert_eq!(admin.get("/a").send().text(), "x");
    let shown = server
        .data
        .command(&["user", "show", "admin", "--json"])
        .json();
    assert_eq!(shown["is_admin"], true, "{shown}");
}

#[test]
fn a_deleted_user_is_gone_at_once_and_can_come_back() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "kept").send().expect(201);
    let token = server.token(&alice, &[]);
    alice.locked("/a", "Second-3600");

    let unasked = server.data.command(&["user", "delete", "alice"]);
    assert_ne!(
        unasked.code, 0,
        "without a terminal it must not delete unasked"
    );
    alice.get("/a").send().expect(200);
    server
        .data
        .command(&["user", "delete", "alice", "--yes"])
        .ok();
    pause(Duration::from_secs(1));
    alice.get("/a").send().expect(401);
    token.get("/a").send().expect(401);

    server.data.advance(20 * 86_400);
    server.data.command(&["user", "restore", "alice"]).ok();
    pause(Duration::from_secs(1));
    assert_eq!(alice.get("/a").send().expect(200).text(), "kept");
    token.get("/a").send().expect(401);
    alice.put("/a", "the lock has ended").send().expect(204);
    server.assert_clean();
}

#[test]
fn a_deleted_home_goes_after_thirty_days_and_its_name_is_free_before() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", bytes(1, 3_000_000)).send().expect(201);
    server
        .data
        .command(&["user", "delete", "alice", "--yes"])
        .ok();

    let second = server.user("alice");
    second.get("/a").send().expect(404);
    server.data.advance(32 * 86_400);
    server.data.command(&["gc", "--now"]).ok();

    assert_eq!(
        server
            .data
            .number("SELECT count(*) FROM node WHERE name = 'a'"),
        0
    );
    second.put("/b", "x").send().expect(201);
    server.assert_clean();
}

#[test]
fn a_home_handed_over_is_a_folder_of_the_other_user() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    alice.folders("/d");
    alice.put("/d/a", bytes(1, 300_000)).send().expect(201);
    alice
        .set_property("/d/a", "colour", "blue")
        .send()
        .expect(207);

    server
        .data
        .command(&["user", "delete", "alice", "--yes", "--hand-to", "bob"])
        .ok();

    let names = bob.names("/");
    assert_eq!(names.len(), 1, "{names:?}");
    let path = format!("/{}/d/a", names[0]);
    assert!(bob.get(&path).send().expect(200).body == bytes(1, 300_000));
    assert_eq!(
        bob.properties(&path, &["x:colour"]).text("{urn:x}colour"),
        Some("blue")
    );
    server.data.advance(40 * 86_400);
    server.data.command(&["gc", "--now"]).ok();
    assert!(bob.get(&path).send().expect(200).body == bytes(1, 300_000));
    server.assert_clean();
}

#[test]
fn users_groups_and_quotas_are_managed_without_a_server_too() {
    let data = DataFolder::new();
    data.command_with_input(
        &["user", "add", "alice", "--password-stdin", "--quota", "5GB"],
        "long enough secret\n",
    )
    .ok();
    data.command_with_input(
        &["user", "add", "bob", "--password-stdin"],
        "long enough secret\n",
    )
    .ok();
    let random = data.command(&["user", "add", "carol"]);
    assert_eq!(
        random.ok().trim().lines().count(),
        1,
        "the password stands alone: {}",
        random.stdout
    );

    let twice = data.command_with_input(
        &["user", "add", "ALICE", "--password-stdin"],
        "long enough secret\n",
    );
    assert_ne!(twice.code, 0, "names that differ only in case are one");
    data.command(&["group", "add", "team", "--quota", "1TB"])
        .ok();
    data.command(&[
        "group", "member", "add", "team", "alice", "--role", "manager",
    ])
    .ok();
    data.command(&["group", "member", "add", "team", "bob"])
        .ok();
    data.command(&["group", "member", "remove", "team", "bob"])
        .ok();
    data.command(&["quota", "set", "group:team", "2TB"]).ok();

    let users = data.command(&["user", "list", "--json"]).json();
    assert_eq!(users.as_array().unwrap().len(), 3, "{users}");
    let group = data
        .command(&["group", "show", "team", "--json"])
        .json()
        .to_string();
    assert!(group.contains("alice") && !group.contains("bob"), "{group}");
    data.command(&["group", "delete", "team", "--yes"]).ok();
    let groups = data.command(&["group", "list", "--json"]).json();
    assert!(
        !groups.to_string().contains("\"active\"") || groups.as_array().unwrap().is_empty(),
        "{groups}"
    );
    data.command(&["user", "show", "nobody"]).code(1);
    data.command(&["check"]).code(0);
}

#[test]
fn an_older_binary_refuses_newer_data_and_leaves_it_alone() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    server.stop();
    let (ask, tell) = match server.data.place() {
        None => ("PRAGMA user_version", "PRAGMA user_version ="),
        // There a newer one says which versions may go on beside it: not this one.
        Some(_) => (
            "SELECT version FROM schema_version",
            "UPDATE schema_version SET oldest = version + 1, version =",
        ),
    };
    let version = server.data.number(ask);

    server.data.execute(&format!("{tell} {}", version + 1));
    let refused = server.data.command(&["user", "list"]);
    assert_ne!(refused.code, 0);
    assert!(refused.output().contains("newer"), "{}", refused.output());
    assert!(server.try_start().is_err(), "the server must not start");
    assert_eq!(server.data.number(ask), version + 1);

    server.data.execute(&format!("{tell} {version}"));
    server.start_again();
    assert_eq!(alice.get("/a").send().text(), "x");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    if embedded_only("a second server is what the other shape is for (suite servers)") {
        return;
    }
    let mut server = TestServer::start();
    let alice = server.user("alice");

    let mut second = server.data.spawn(&["serve", "--listen", "127.0.0.1:0"]);
    let ended = nuage_tests::wait::wait_until("the second ends", Duration::from_secs(20), || {
        second
            .try_wait()
            .unwrap()
            .is_some_and(|status| !status.success())
    });

    assert!(ended < Duration::from_secs(20));
    alice.put("/a", bytes(1, 200_000)).send().expect(201);
    server.assert_alive();
    server.assert_clean();
}

#[test]
fn sigterm_lets_a_running_transfer_end_and_takes_no_new_one() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let body = bytes(1, 2_000_000);
    let head = alice.put("/a", body.clone()).into_request().head();
    let mut connection = alice.connect();
    connection.write(&head).unwrap();
    connection.write(&body[..1_000_000]).unwrap();
    pause(Duration::from_millis(300));

    let answer = std::thread::scope(|scope| {
        let rest = scope.spawn(|| {
            pause(Duration::from_millis(700));
            connection.write(&body[1_000_000..]).unwrap();
            connection.receive("PUT /a", false)
        });
        server.stop();
        rest.join().unwrap()
    });

    answer.unwrap().expect(201);
    server.start_again();
    assert!(alice.get("/a").send().body == body);
}

#[test]
fn an_idle_server_stops_in_a_moment() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    let took = server.stop();

    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn every_wrong_setting_is_named_by_its_key_in_one_go() {
    let data = DataFolder::new()
        .env("NUAGE_QUOTA_DEFAULT", "plenty")
        .env("NUAGE_HTTP__CONNECTIONS_MAX", "many");
    std::fs::create_dir_all(data.path()).unwrap();
    std::fs::write(
        data.path().join("nuage.toml"),
        "no_such_key = 1\n[log]\nlevel = \"loud\"\n",
    )
    .unwrap();

    let printed = data.command(&["config", "print"]);

    assert_ne!(printed.code, 0);
    for key in [
        "quota_default",
        "connections_max",
        "no_such_key",
        "log.level",
    ] {
        let said = printed.output().to_lowercase();
        assert!(said.contains(key), "{key} is not named in {said}");
    }
}

#[test]
fn config_print_shows_what_holds_and_a_variable_wins_over_the_file() {
    let data = DataFolder::new().env("NUAGE_QUOTA_DEFAULT", "7GB");
    std::fs::create_dir_all(data.path()).unwrap();
    std::fs::write(data.path().join("nuage.toml"), "quota_default = \"5GB\"\n").unwrap();

    let printed = data.command(&["config", "print"]);

    assert!(
        printed.ok().contains("7GB") && !printed.stdout.contains("5GB"),
        "{}",
        printed.stdout
    );
}

#[test]
fn health_readiness_and_figures_are_told_to_anybody_here() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    server
        .anonymous(Request::new("GET", "/healthz"))
        .expect(200);
    server.anonymous(Request::new("GET", "/readyz")).expect(200);
    let figures = server
        .anonymous(Request::new("GET", "/metrics"))
        .expect(200)
        .text();

    assert!(
        figures
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count()
            >= 5,
        "{figures}"
    );
    assert!(!figures.contains("alice"), "no names in figures");
}

#[test]
fn a_large_upload_is_seen_by_no_reader_until_it_is_whole() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let length = 8_000_000;
    alice.put("/a", "old").send().expect(201);

    std::thread::scope(|scope| {
        let upload = scope.spawn(|| {
            alice
                .put_stream("/a", Pattern::new(5, length), length)
                .send()
                .expect(204);
        });
        while !upload.is_finished() {
            let body = alice.get("/a").send().expect(200).body;
            assert!(body == b"old" || body == bytes(5, 8_000_000));
        }
    });

    assert!(alice.get("/a").send().body == bytes(5, 8_000_000));
}

#[test]
fn the_data_folder_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start();
    server.user("alice");

    let is_closed = |path: &std::path::Path| {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        mode.is_multiple_of(0o100)
    };
    let data = server.data.path();
    assert!(is_closed(&data.join("secret.key")));
    let others_cannot_enter = is_closed(data);
    let database_is_closed = server.data.place().is_none() && is_closed(&data.join("metadata.db"));
    assert!(
        database_is_closed || others_cannot_enter,
        "others can read the data folder"
    );
}

#[test]
fn tls_is_served_and_a_renewed_certificate_is_taken_up() {
    if !nuage_tests::command::has("curl") {
        return;
    }
    let data = DataFolder::new();
    let folder = data.scratch("tls");
    let renew = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    };
    renew();
    let data = data
        .env(
            "NUAGE_TLS__CERTIFICATE",
            &folder.join("cert.pem").display().to_string(),
        )
        .env(
            "NUAGE_TLS__KEY",
            &folder.join("key.pem").display().to_string(),
        );
    let server = TestServer::over(data);
    let asks = || {
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"])
            .arg(folder.join("cert.pem"))
            .arg(format!(
                "https://localhost:{}/readyz",
                server.address().port()
            ))
            .args([
                "--resolve",
                &format!("localhost:{}:127.0.0.1", server.address().port()),
            ]);
        nuage_tests::command::run(&mut curl, "")
    };
    asks().ok();

    renew();
    server.hang_up();

    nuage_tests::wait::wait_until(
        "the new certificate is served",
        Duration::from_secs(10),
        || asks().code == 0,
    );
}
