//! Set-ups that would lose data are refused at the start, with the reason and the way out.

use nuage_tests::TestServer;
use nuage_tests::data::bytes;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::Ground;

/// Fails unless a server over `data` refuses to start, and says all of these words.
#[track_caller]
fn refuses(data: DataFolder, words: &[&str]) {
    let mut server = TestServer::not_started(data);
    assert!(server.try_start().is_err(), "it started");
    let said = server.log().to_lowercase();
    for word in words {
        assert!(
            said.contains(&word.to_lowercase()),
            "{word:?} is not said in: {said}"
        );
    }
}

#[test]
fn a_second_server_on_one_data_folder_is_told_what_several_need() {
    let data = DataFolder::embedded();
    let path = data.path().to_path_buf();
    let first = TestServer::over(data);
    let alice = first.user("alice");

    refuses(DataFolder::embedded().at(&path), &["postgres://", "s3://"]);

    alice.put("/a", bytes(1, 200_000)).send().expect(201);
    first.assert_clean();
}

#[test]
fn a_second_server_on_postgres_with_a_folder_is_refused() {
    let data = DataFolder::scaled(Ground::shared().place())
        .with_secret_file()
        .env("NUAGE_CHUNKS", "folder");
    let mut first = TestServer::over(data);
    let alice = first.user("alice");
    alice.put("/a", bytes(1, 200_000)).send().expect(201);

    refuses(first.data.beside(), &["s3"]);

    alice.put("/b", bytes(2, 200_000)).send().expect(201);
    first.assert_clean();
    // Alone it may come back, and everything is there.
    first.restart();
    assert!(alice.get("/a").send().expect(200).body == bytes(1, 200_000));
}

#[test]
fn a_server_on_sqlite_in_a_bucket_that_another_installation_uses_is_refused() {
    let place = Ground::shared().place();
    let on_sqlite = || DataFolder::scaled(place.clone()).env("NUAGE_METADATA", "sqlite");
    let first = TestServer::over(on_sqlite());
    let alice = first.user("alice");
    alice.put("/a", bytes(1, 200_000)).send().expect(201);

    refuses(on_sqlite(), &["another installation"]);

    assert!(alice.get("/a").send().expect(200).body == bytes(1, 200_000));
}

#[test]
fn a_server_with_another_secret_is_refused() {
    let data = DataFolder::scaled(Ground::shared().place());
    let first = TestServer::over(data);
    let alice = first.user("alice");

    refuses(first.data.beside(), &["secret"]);

    alice.put("/a", "x").send().expect(201);
    first.assert_clean();
}

#[test]
fn a_server_that_is_led_to_another_bucket_is_refused() {
    let ground = Ground::shared();
    let mut first = TestServer::over(DataFolder::scaled(ground.place()).with_secret_file());
    let alice = first.user("alice");
    alice.put("/a", bytes(1, 200_000)).send().expect(201);
    let other = format!("s3://{}/chunks", ground.store.bucket());

    refuses(first.data.beside().env("NUAGE_CHUNKS", &other), &["chunks"]);

    first.restart();
    assert!(alice.get("/a").send().expect(200).body == bytes(1, 200_000));
    first.assert_clean();
}

#[test]
fn a_password_is_shown_nowhere() {
    let place = Ground::shared().place();
    // The server of the tests trusts everybody; what matters is where the password goes.
    let with_password = place
        .ground
        .postgres
        .url(&place.database)
        .replace("nuage@", "nuage:pass-phrase-xyzzy@");
    let data = DataFolder::scaled(place).env("NUAGE_METADATA", &with_password);
    let server = TestServer::over(data);
    server.user("alice").put("/a", "x").send().expect(201);

    let printed = server.data.command(&["config", "print"]);
    let missing = server.data.command(&["user", "show", "nobody"]);

    assert!(printed.ok().contains("postgres://"), "{}", printed.stdout);
    for text in [printed.output(), missing.output(), server.log()] {
        assert!(!text.contains("xyzzy"), "{text}");
    }
}
