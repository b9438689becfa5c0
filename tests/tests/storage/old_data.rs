//! Every released format opens, with everything in it.
//!
//! Each folder of `tests/old-data` holds `data.tar.gz` (a data folder as a
//! release left it) and `expected.json`: who may sign in, and each file with
//! the BLAKE3 of its bytes. `tests/old-data/make` makes the next one.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nuage_tests::TestServer;
use nuage_tests::command::run;
use nuage_tests::command::workspace;
use nuage_tests::data::Pattern;
use nuage_tests::data::bytes;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::embedded_only;

fn old_data() -> PathBuf {
    workspace().join("tests/old-data")
}

fn unpacked(archive: &Path) -> DataFolder {
    let data = DataFolder::new();
    std::fs::create_dir_all(data.path()).unwrap();
    let mut tar = Command::new("tar");
    run(tar.arg("-xzf").arg(archive).arg("-C").arg(data.path()), "").ok();
    data
}

#[test]
fn every_old_data_folder_opens_with_everything_in_it() {
    if embedded_only("it is about data folders") {
        return;
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(old_data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "there is old data to open");

    for folder in folders {
        let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let server = TestServer::over(unpacked(&folder.join("data.tar.gz")));
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let user = server.client(&text(&expected["user"]), &text(&expected["password"]));
        let token = user.with_secret(&text(&expected["token"]));
        for file in expected["files"].as_array().unwrap() {
            let path = text(&file["path"]);
            let body = token.get(&path).send().expect(200).body;
            assert_eq!(
                blake3::hash(&body).to_hex().as_str(),
                file["blake3"],
                "{path} in {}",
                folder.display()
            );
        }
        let property = user.properties("/d/small", &["x:colour"]);
        assert_eq!(property.text("{urn:x}colour"), Some("blue"));
        user.put("/new", "still works").send().expect(201);
        assert!(server.data.number("SELECT count(*) FROM trash") >= 1);
        server.assert_clean();
    }
}

/// Not a test of anything: with `NUAGE_TEST_MAKE_OLD_DATA=v0.1` it writes `tests/old-data/v0.1`.
#[test]
fn old_data_of_this_version_can_be_made() {
    if embedded_only("it is about data folders") {
        return;
    }
    let mut server = TestServer::with(&[("NUAGE_JOBS__PACK_SECONDS", "1")]);
    let user = server.user("alice");
    let token = server.token(&user, &[]);
    user.folders("/d/e");
    let sizes = [
        ("/d/small", 10),
        ("/d/one", 60_000),
        ("/d/e/several", 700_000),
        ("/empty", 0),
    ];
    let mut files = Vec::new();
    for (seed, (path, size)) in (1_u64..).zip(sizes) {
        let body = bytes(seed, size);
        user.put(path, body.clone()).send().expect(201);
        files.push(
            serde_json::json!({ "path": path, "blake3": blake3::hash(&body).to_hex().as_str() }),
        );
    }
    // Past 4 MiB the profile changes; zeros keep the archive small.
    let large = vec![0; 5 << 20];
    user.put("/d/large", large.clone()).send().expect(201);
    files.push(
        serde_json::json!({ "path": "/d/large", "blake3": blake3::hash(&large).to_hex().as_str() }),
    );
    user.copy("/d/e", "/copied").send().expect(201);
    user.set_property("/d/small", "colour", "blue")
        .send()
        .expect(207);
    user.put_stream("/gone", Pattern::new(9, 30_000), 30_000)
        .send()
        .expect(201);
    user.delete("/gone").send().expect(204);
    nuage_tests::wait::wait_until(
        "small bodies move to packs",
        std::time::Duration::from_secs(20),
        || server.data.number("SELECT count(*) FROM hot_chunk") == 0,
    );
    user.put("/d/hot", "stays in the database")
        .send()
        .expect(201);
    files.push(serde_json::json!({ "path": "/d/hot", "blake3": blake3::hash(b"stays in the database").to_hex().as_str() }));
    server.assert_clean();
    server.stop();

    if let Ok(version) = std::env::var("NUAGE_TEST_MAKE_OLD_DATA") {
        let folder = old_data().join(version);
        std::fs::create_dir_all(&folder).unwrap();
        let expected = serde_json::json!({
            "user": "alice", "password": user.secret, "token": token.secret, "files": files,
        });
        let text = serde_json::to_string_pretty(&expected).unwrap();
        std::fs::write(folder.join("expected.json"), format!("{text}\n")).unwrap();
        let mut tar = Command::new("tar");
        run(
            tar.arg("-czf")
                .arg(folder.join("data.tar.gz"))
                .arg("-C")
                .arg(server.data.path())
                .arg("."),
            "",
        )
        .ok();
    }
}
