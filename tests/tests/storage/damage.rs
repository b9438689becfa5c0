//! Damaged or lost bytes are noticed, named, and never sent as if they were right.

use std::fs;
use std::path::PathBuf;

use nuage_tests::TestServer;
use nuage_tests::data::bytes;
use nuage_tests::http::Broken;
use nuage_tests::server::files_below;

const LENGTH: usize = 5_000_000;

/// A stopped server with two files whose bytes lie in packs, and those packs.
fn stopped_with_packs() -> (TestServer, nuage_tests::User, Vec<PathBuf>) {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.mkcol("/d").send().expect(201);
    alice
        .put("/d/hurt.bin", bytes(1, LENGTH))
        .send()
        .expect(201);
    alice
        .put("/small", "travels in the database")
        .send()
        .expect(201);
    server.stop();
    let packs: Vec<PathBuf> = files_below(&server.data.packs())
        .into_iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "pack"))
        .filter(|file| fs::metadata(file).unwrap().len() > LENGTH as u64 / 2)
        .collect();
    assert!(!packs.is_empty(), "there is a pack");
    (server, alice, packs)
}

/// A GET of the hurt file may fail or break, but whatever bytes come are right.
fn reads_right_or_breaks(user: &nuage_tests::User) -> bool {
    let whole = bytes(1, LENGTH);
    match user.get("/d/hurt.bin").try_send() {
        Ok(answer) if answer.status == 200 => {
            assert!(answer.body == whole, "wrong bytes were sent");
            true
        }
        Ok(answer) => {
            assert!(answer.status >= 500, "{answer}");
            false
        }
        Err(Broken::Cut { received, .. }) => {
            assert!(whole.starts_with(&received), "wrong bytes were sent");
            false
        }
        Err(Broken::NoAnswer(_)) => false,
    }
}

#[test]
fn a_flipped_bit_is_found_by_check_and_never_sent() {
    let (mut server, alice, packs) = stopped_with_packs();
    let pack = &packs[0];
    let mut stored = fs::read(pack).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 0x10;
    fs::write(pack, stored).unwrap();

    let found = server.data.command(&["check"]);
    assert_eq!(found.code, 2, "{}", found.output());
    assert!(
        found.output().contains("hurt.bin"),
        "check names the file: {}",
        found.output()
    );
    let found = server.data.command(&["check", "--json"]);
    assert_eq!(found.code, 2);
    assert!(
        serde_json::from_str::<serde_json::Value>(&found.stdout).is_ok(),
        "{}",
        found.stdout
    );

    server.start_again();
    assert!(!reads_right_or_breaks(&alice), "the damage cannot be read");
    assert_eq!(alice.get("/small").send().text(), "travels in the database");
    let running = server.data.command(&["check"]);
    assert_eq!(running.code, 2, "also while it runs: {}", running.output());

    // What is stored now rests on no damaged piece, and storing the file again heals it.
    for path in ["/d/again.bin", "/d/hurt.bin"] {
        alice.put(path, bytes(1, LENGTH)).send().success();
        assert!(alice.get(path).send().expect(200).body == bytes(1, LENGTH));
    }
}

#[test]
fn damage_anywhere_in_a_pack_never_gives_wrong_bytes() {
    let (mut server, alice, packs) = stopped_with_packs();
    let pack = &packs[0];
    let whole = fs::read(pack).unwrap();
    let end = whole.len();
    let places = [
        0,
        3,
        9,
        40,
        64,
        100,
        end / 3,
        end - 200,
        end - 40,
        end - 9,
        end - 1,
    ];

    for place in places {
        let mut stored = whole.clone();
        stored[place] ^= 0xff;
        fs::write(pack, &stored).unwrap();
        if server.try_start().is_ok() {
            reads_right_or_breaks(&alice);
            assert_eq!(alice.get("/small").send().text(), "travels in the database");
            server.kill();
        }
    }
}

#[test]
fn a_cut_or_missing_pack_is_noticed_and_the_rest_is_readable() {
    for is_cut in [true, false] {
        let (mut server, alice, packs) = stopped_with_packs();
        if is_cut {
            let stored = fs::read(&packs[0]).unwrap();
            fs::write(&packs[0], &stored[..stored.len() / 2]).unwrap();
        } else {
            fs::remove_file(&packs[0]).unwrap();
        }

        let found = server.data.command(&["check"]);
        assert_eq!(found.code, 2, "{}", found.output());
        server.start_again();

        assert!(!reads_right_or_breaks(&alice));
        assert_eq!(alice.get("/small").send().text(), "travels in the database");
        alice.put("/new", bytes(2, 100_000)).send().expect(201);
        assert!(alice.get("/new").send().body == bytes(2, 100_000));
    }
}

#[test]
fn check_repairs_what_can_be_computed_again() {
    let (server, _, _) = stopped_with_packs();
    server
        .data
        .execute("UPDATE space SET used = used + 12345 WHERE kind = 1");
    server
        .data
        .execute("UPDATE node SET size = size + 7 WHERE name = 'd'");

    assert_eq!(server.data.command(&["check"]).code, 2);
    assert_eq!(server.data.command(&["check", "--repair"]).code, 1);
    assert_eq!(server.data.command(&["check"]).code, 0);
}
