//! An installation moves from its data folder to PostgreSQL and S3 and loses nothing, however often the move is killed.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::bytes;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::Ground;
use nuage_tests::wait::pause;

/// What the folder holds before the move.
struct Filled {
    alice: User,
    lock: String,
    etag: String,
}

/// Makes files of every kind of body, versions, a deleted folder, properties and a lock.
fn fill(server: &TestServer) -> Filled {
    let alice = server.user("alice");
    for number in 0..12 {
        let length = [100, 20_000, 70_000, 900_000][usize::try_from(number).unwrap() % 4];
        let path = format!("/f{number}");
        alice.put(&path, bytes(number, length)).send().expect(201);
    }
    alice.put("/big", bytes(99, 9_000_000)).send().expect(201);
    for version in 0..4 {
        let body = bytes(200 + version, 120_000);
        let answer = alice.put("/doc", body).send();
        answer.expect(if version == 0 { 201 } else { 204 });
    }
    alice.folders("/gone/below");
    alice
        .put("/gone/below/x", bytes(7, 300_000))
        .send()
        .expect(201);
    alice.delete("/gone").send().expect(204);
    let lock = alice.locked("/doc", "Second-3600");
    let etag = alice.etag_of("/f3");
    Filled { alice, lock, etag }
}

fn holds_everything(filled: &Filled, alice: &User) {
    for number in 0..12 {
        let length = [100, 20_000, 70_000, 900_000][usize::try_from(number).unwrap() % 4];
        let body = alice.get(&format!("/f{number}")).send().expect(200).body;
        assert!(body == bytes(number, length), "/f{number}");
    }
    assert!(alice.get("/big").send().expect(200).body == bytes(99, 9_000_000));
    assert!(alice.get("/doc").send().expect(200).body == bytes(203, 120_000));
    alice.get("/gone/below/x").send().expect(404);
    assert_eq!(
        alice.etag_of("/f3"),
        filled.etag,
        "clients need not read anew"
    );
    alice.put("/doc", "y").send().expect(423);
    let with_token = alice.put("/doc", "y").token(&filled.lock);
    with_token.send().expect(204);
}

/// Returns the words of the command, and a folder on the shape that it moves to.
fn destination(chunks: Option<&str>) -> (DataFolder, String) {
    let place = Ground::shared().place();
    let value = |name: &str| {
        let all = place.environment();
        let found = all.into_iter().find(|(known, _)| *known == name);
        found.unwrap().1
    };
    let chunks = chunks.map_or_else(|| value("NUAGE_CHUNKS"), str::to_owned);
    let to = format!("{},{chunks}", value("NUAGE_METADATA"));
    (DataFolder::scaled(place).env("NUAGE_CHUNKS", &chunks), to)
}

/// Lets a data folder reach the S3 store of a destination.
fn reaching(mut data: DataFolder, there: &DataFolder) -> DataFolder {
    let place = there.place().unwrap();
    for (name, value) in place.environment() {
        if name.starts_with("NUAGE_S3__") || name.starts_with("AWS_") {
            data = data.env(name, &value);
        }
    }
    data
}

#[test]
fn a_move_that_is_killed_again_and_again_ends_whole() {
    let (there, to) = destination(None);
    let mut server = TestServer::over(reaching(DataFolder::embedded(), &there));
    let filled = fill(&server);
    let words = ["migrate", "--to", &to, "--json"];
    let refused = server.data.command(&words);
    refused.code(1);
    assert!(refused.stderr.contains("stop it first"), "{refused:?}");

    // As after a power cut: segments are open.
    server.kill();
    for millis in [150, 300, 450, 600, 800, 1_000] {
        let mut moving = server.data.spawn(&words);
        pause(Duration::from_millis(millis));
        moving.kill().expect("a child can be killed");
        moving.wait().expect("a child can be waited for");
    }
    let told = server.data.command(&words);
    let last = told.ok().lines().last().expect("it tells").to_owned();
    let last: serde_json::Value = serde_json::from_str(&last).expect("a line is JSON");
    assert_eq!(last["phase"], "done");
    assert!(told.stdout.contains("s3://"), "the settings to write");

    let left = server.data.command(&["user", "list"]);
    left.code(1);
    assert!(left.stderr.contains("was moved to"), "{left:?}");
    std::fs::create_dir_all(there.path()).expect("a folder can be made");
    let secret = |data: &DataFolder| data.path().join("secret.key");
    std::fs::copy(secret(&server.data), secret(&there)).expect("the secret is copied");
    let moved = TestServer::over(there);
    let alice = moved.client("alice", &filled.alice.secret);
    holds_everything(&filled, &alice);
    moved.assert_clean();
}

#[test]
fn metadata_alone_can_move_and_the_packs_stay() {
    let (there, to) = destination(Some("folder"));
    let mut server = TestServer::over(reaching(DataFolder::embedded(), &there));
    let filled = fill(&server);
    server.stop();
    server.data.command(&["migrate", "--to", &to]).ok();

    let moved = TestServer::over(there.at(server.data.path()));
    let alice = moved.client("alice", &filled.alice.secret);
    holds_everything(&filled, &alice);
    moved.assert_clean();
}
