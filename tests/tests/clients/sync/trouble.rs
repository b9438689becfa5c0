//! What goes wrong while a folder is kept in sync: full, forbidden, locked, killed, restored.

use std::cell::Cell;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::command::has;
use nuage_tests::data::bytes;
use nuage_tests::front::Front;
use nuage_tests::wait::wait_until;

use super::Client;
use super::Device;

/// The clients that are here.
fn clients() -> impl Iterator<Item = Client> {
    [Client::Nextcloud, Client::Owncloud]
        .into_iter()
        .filter(|client| has(client.program()))
}

#[test]
fn a_full_space_takes_what_fits_and_loses_nothing() {
    for client in clients() {
        let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
        let alice = server.user_with("alice", &["--quota", "1MB"]);
        let front = Front::of(&alice);
        let device = Device::new(client, &server, &front, &alice, "device");
        for number in 0..30 {
            device.write(&format!("{number:02}.bin"), bytes(number, 50_000));
        }
        // More than what is sent at once: the refusal must come before the first part.
        device.write("huge.bin", bytes(99, 30_000_000));
        let before = device.tree();
        let synced = device.sync().badly();
        let refused = synced.requests.iter().filter(|asked| asked.status == 507);
        assert!(refused.count() > 0, "{:#?}", synced.requests);
        assert!(
            synced
                .requests
                .iter()
                .all(|asked| asked.status < 500 || asked.status == 507),
            "{:#?}",
            synced.requests
        );
        assert!(
            front.received_bytes() < 15_000_000,
            "{}",
            front.received_bytes()
        );
        assert_eq!(device.tree(), before, "nothing is lost on the device");
        let held = alice.names("/").len();
        assert!((10..=20).contains(&held), "{held}");

        // With more room the rest follows.
        server.data.command(&["quota", "set", "alice", "1GB"]).ok();
        let other = Device::new(client, &server, &front, &alice, "other");
        other.sync().well();
        for name in before.keys() {
            if !other.folder.join(name).exists() {
                other.write(name, fs::read(device.folder.join(name)).unwrap());
            }
        }
        other.sync().well();
        assert_eq!(alice.names("/").len(), before.len());
        server.assert_clean();
    }
}

#[test]
fn what_may_only_be_read_is_brought_back_and_the_edit_is_kept_beside() {
    for client in clients() {
        let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
        let alice = server.user("alice");
        alice.folders("/d");
        alice.put("/d/a.txt", "original").send().expect(201);
        let reader = server.token(&alice, &["--read-only"]);
        let front = Front::of(&reader);
        let device = Device::new(client, &server, &front, &reader, "device");
        device.sync().well();
        device.write("d/a.txt", "edited on the device");
        device.write("d/new.txt", "made on the device");
        device.sync();
        device.sync();
        assert_eq!(alice.get("/d/a.txt").send().body, b"original");
        assert_eq!(alice.names("/d"), ["a.txt"]);
        assert_eq!(
            fs::read(device.folder.join("d/a.txt")).unwrap(),
            b"original"
        );
        let kept = device.conflicts();
        assert_eq!(kept.len(), 1, "{kept:?}");
        let edited = fs::read(device.folder.join(&kept[0])).unwrap();
        assert_eq!(edited, b"edited on the device");
        let made = fs::read(device.folder.join("d/new.txt")).unwrap();
        assert_eq!(made, b"made on the device");
    }
}

#[test]
fn a_locked_file_waits_and_goes_up_when_it_is_free() {
    for client in clients() {
        let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
        let alice = server.user("alice");
        let front = Front::of(&alice);
        let device = Device::new(client, &server, &front, &alice, "device");
        device.write("a.txt", "first");
        device.sync().well();
        let token = alice.locked("/a.txt", "Second-600");
        device.write("a.txt", "second, while it is locked");
        // Not worth an error to the client: it will come again.
        let synced = device.sync();
        let locked = synced.requests.iter().filter(|asked| asked.status == 423);
        assert_eq!(locked.count(), 1, "{:#?}", synced.requests);
        assert_eq!(alice.get("/a.txt").send().body, b"first");
        let local = fs::read(device.folder.join("a.txt")).unwrap();
        assert_eq!(local, b"second, while it is locked");
        alice.unlock("/a.txt", &token).send().expect(204);
        device.write("a.txt", "third, when it is free");
        device.sync().well();
        assert_eq!(alice.get("/a.txt").send().body, b"third, when it is free");
    }
}

#[test]
fn a_server_that_is_killed_in_mid_upload_goes_on_where_it_was() {
    for client in clients() {
        let mut server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
        let alice = server.user("alice");
        let front = Front::of(&alice);
        let content = bytes(5, 120 << 20);
        let (mut child, folder, home) = {
            let device = Device::new(client, &server, &front, &alice, "device");
            device.write("small.txt", "small");
            device.sync().well();
            device.write("big.bin", &content);
            let child = device
                .command(&["--uplimit", "40000"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            (child, device.folder.clone(), device.home.clone())
        };
        let begun = front.received_bytes();
        wait_until("a part of the file is sent", Duration::from_mins(1), || {
            front.received_bytes() > begun + (30 << 20)
        });
        server.kill();
        child.wait().unwrap();
        server.start_again();
        assert_eq!(alice.get("/small.txt").send().body, b"small");
        alice.get("/big.bin").send().expect(404);

        let before = front.received_bytes();
        let device = Device {
            client,
            server: &server,
            url: front.url(),
            user: alice.clone(),
            home,
            folder,
            written: Cell::new(0),
        };
        device.forget_failures();
        device.sync().well();
        assert!(alice.get("/big.bin").send().body == content);
        let sent = front.received_bytes() - before;
        // The first part, of 10 MB, was answered before the server died.
        assert!(sent < 118 << 20, "{sent} bytes were sent again");
        device.sync().well();
        server.assert_clean();
    }
}

#[test]
fn a_database_that_is_away_ends_the_run_and_deletes_nothing() {
    let Some(client) = clients().next() else {
        return;
    };
    let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
    let Some(place) = server.data.place().cloned() else {
        nuage_tests::command::not_tested("scaled only: SQLite is never away");
        return;
    };
    drop(place);
    let alice = server.user("alice");
    let front = Front::of(&alice);
    let device = Device::new(client, &server, &front, &alice, "device");
    for number in 0..20 {
        device.write(&format!("d{number}/a.txt"), "a");
    }
    device.sync().well();
    let before = device.tree();
    server.data.execute("ALTER TABLE node RENAME TO node_away");
    device.sync().badly();
    assert_eq!(device.tree(), before);
    server.data.execute("ALTER TABLE node_away RENAME TO node");
    device.sync().well();
    assert_eq!(device.tree(), before);
}
