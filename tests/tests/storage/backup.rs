//! The drill: back up while people write, restore elsewhere, and look.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use nuage_tests::TestServer;
use nuage_tests::command::report;
use nuage_tests::data::Chance;
use nuage_tests::data::bytes;
use nuage_tests::server::DataFolder;
use nuage_tests::server::files_below;
use nuage_tests::shape::embedded_only;

use crate::storage::ledger::Ledger;

fn size_of(folder: &std::path::Path) -> u64 {
    files_below(folder)
        .iter()
        .map(|file| std::fs::metadata(file).unwrap().len())
        .sum()
}

#[test]
fn a_backup_made_while_people_write_restores_everything_acknowledged_before_it() {
    if embedded_only("PostgreSQL and the bucket have backups of their own") {
        return;
    }
    let server = TestServer::with(&[("NUAGE_JOBS__PACK_SECONDS", "1")]);
    let alice = server.user("alice");
    let bob = server.user("bob");
    let chance = Chance::new("backup");
    let mut ledger = Ledger::new(&alice, 0, chance.branch(0));
    for _ in 0..60 {
        ledger.step();
    }
    alice.put("/large", bytes(9, 20_000_000)).send().expect(201);
    alice
        .set_property("/large", "colour", "blue")
        .send()
        .expect(207);
    let folder = server.data.scratch("backups").join("backup");
    let folder_text = folder.display().to_string();

    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                bob.put(&format!("/f{}", number % 50), bytes(number, 30_000))
                    .send()
                    .success();
            }
        });
        let backup = server.data.command(&["backup", &folder_text]);
        is_done.store(true, Ordering::Relaxed);
        backup.ok();
    });
    let first = size_of(&folder);
    // The second one takes only what is new.
    alice.put("/later", bytes(10, 2_000_000)).send().expect(201);
    server.data.command(&["backup", &folder_text]).ok();
    let grown = size_of(&folder).saturating_sub(first);
    report(&format!(
        "first backup {first} bytes, 2 MB later {grown} more"
    ));
    assert!(
        grown < first / 2,
        "{grown} of {first} bytes were written again"
    );

    let elsewhere = DataFolder::new();
    elsewhere.command(&["restore", &folder_text]).ok();
    let restored = TestServer::over(elsewhere);
    let alice_there = restored.client("alice", &alice.secret);
    ledger.speak_as(&alice_there);
    ledger.verify();
    assert!(alice_there.get("/large").send().expect(200).body == bytes(9, 20_000_000));
    assert!(alice_there.get("/later").send().expect(200).body == bytes(10, 2_000_000));
    let large = alice_there.properties("/large", &["x:colour"]);
    assert_eq!(large.text("{urn:x}colour"), Some("blue"));
    restored.assert_clean();
}

#[test]
fn no_etag_of_the_lost_future_is_given_to_other_content() {
    if embedded_only("PostgreSQL and the bucket have backups of their own") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "before").send().expect(201);
    let folder = server
        .data
        .scratch("backups")
        .join("backup")
        .display()
        .to_string();
    server.data.command(&["backup", &folder]).ok();
    // The future that the restore will lose.
    let mut lost = HashSet::new();
    for round in 0..20 {
        let name = format!("/f{}", round % 3);
        let answer = alice.put(&name, format!("lost {round}")).send().success();
        lost.insert(answer.etag());
        lost.insert(alice.etag_of("/"));
    }

    let elsewhere = DataFolder::new();
    elsewhere.command(&["restore", &folder]).ok();
    let restored = TestServer::over(elsewhere);
    let alice = restored.client("alice", &alice.secret);

    assert_eq!(alice.get("/a").send().text(), "before");
    assert!(!lost.contains(&alice.etag_of("/")));
    for round in 0..20 {
        let name = format!("/f{}", round % 3);
        let etag = alice
            .put(&name, format!("new {round}"))
            .send()
            .success()
            .etag();
        assert!(
            !lost.contains(&etag),
            "{etag} was given before, to other content"
        );
        assert!(
            !lost.contains(&alice.etag_of("/")),
            "an old ETag of the home came back"
        );
    }
}

#[test]
fn restore_refuses_a_folder_that_holds_data_and_a_backup_that_is_damaged() {
    if embedded_only("PostgreSQL and the bucket have backups of their own") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", bytes(1, 3_000_000)).send().expect(201);
    let folder = server.data.scratch("backups").join("backup");
    let folder_text = folder.display().to_string();
    server.data.command(&["backup", &folder_text]).ok();

    let onto_itself = server.data.command(&["restore", &folder_text]);
    assert_ne!(onto_itself.code, 0, "{}", onto_itself.output());
    assert!(alice.get("/a").send().expect(200).body == bytes(1, 3_000_000));

    let pack = files_below(&folder)
        .into_iter()
        .max_by_key(|file| std::fs::metadata(file).unwrap().len())
        .unwrap();
    let mut stored = std::fs::read(&pack).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    std::fs::write(&pack, stored).unwrap();
    let elsewhere = DataFolder::new();
    let restored = elsewhere.command(&["restore", &folder_text]);
    assert!(
        restored.code != 0 || elsewhere.command(&["check"]).code == 2,
        "a damaged backup is noticed: {}",
        restored.output()
    );
}
