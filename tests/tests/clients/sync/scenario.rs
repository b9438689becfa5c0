//! The life of a folder on two devices, step by step, by each client.

use std::fs;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use nuage_tests::TestServer;
use nuage_tests::command::has;
use nuage_tests::command::report;
use nuage_tests::data::bytes;
use nuage_tests::front::Front;

use super::Client;
use super::Device;
use super::set_modified;

/// What a client asks in a run that finds nothing to do: who it talks to, who it is, and one listing.
const NOTHING_TO_DO: usize = 5;

#[test]
fn nextcloud_desktop_keeps_two_devices_alike() {
    two_devices(Client::Nextcloud);
}

#[test]
fn owncloud_desktop_keeps_two_devices_alike() {
    two_devices(Client::Owncloud);
}

fn two_devices(client: Client) {
    if !has(client.program()) {
        return;
    }
    let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
    let alice = server.user("alice");
    let front = Front::of(&alice);
    let first = Device::new(client, &server, &front, &alice, "first");
    let second = Device::new(client, &server, &front, &alice, "second");
    let same = |step: &str| assert_eq!(first.tree(), second.tree(), "{step}");

    // First upload: accents, an ampersand, what URLs and XML must not mistake, nothing, an empty folder.
    first.write("docs/f1.txt", "one");
    first.write("docs/f2.txt", "two");
    first.write("docs/f3.txt", "three");
    first.write("docs/f4.txt", "four");
    first.write("docs/sub/deep file & é.txt", "deep");
    first.write("accentué/à ça 100% #1 + 'x' [y] {z} ;=~.txt", "names");
    first.write("accentué/日本語 😀.txt", "names");
    first.write("nothing.txt", "");
    first.write("mid.bin", bytes(1, 1_500_000));
    fs::create_dir(first.folder.join("empty")).unwrap();
    first.sync().well().times("PUT", 9).times("MKCOL", 4);

    // The next run looks once more at what it has touched, then nothing is to do.
    first
        .sync()
        .well()
        .times("PUT", 0)
        .times("GET", gets(client, 0));
    let quiet = first.sync().well().at_most(NOTHING_TO_DO);
    assert_eq!(quiet.count("PROPFIND"), 1, "{:#?}", quiet.requests);

    second.sync().well().times("GET", gets(client, 9));
    same("downloaded");
    second.sync().well().at_most(NOTHING_TO_DO);

    // Renames and moves carry no content, on neither side.
    fs::rename(
        first.folder.join("docs/f1.txt"),
        first.folder.join("docs/f1-renamed.txt"),
    )
    .unwrap();
    fs::rename(
        first.folder.join("docs/sub"),
        first.folder.join("sub-moved"),
    )
    .unwrap();
    fs::rename(
        first.folder.join("docs/f2.txt"),
        first.folder.join("accentué/f2.txt"),
    )
    .unwrap();
    first
        .sync()
        .well()
        .times("MOVE", 3)
        .times("PUT", 0)
        .times("DELETE", 0);
    second.sync().well().times("GET", gets(client, 0));
    same("renamed and moved");

    first.write("docs/f3.txt", "three, changed on the first");
    first.sync().well().times("PUT", 1);
    second.sync().well().times("GET", gets(client, 1));
    same("modified");

    fs::remove_file(first.folder.join("docs/f4.txt")).unwrap();
    fs::remove_dir_all(first.folder.join("sub-moved")).unwrap();
    first.sync().well().times("DELETE", 2);
    second.sync().well().times("GET", gets(client, 0));
    same("deleted");

    // Both sides edit: the server's version stays, the other is kept beside it.
    first.write("docs/f3.txt", "from the first");
    second.write("docs/f3.txt", "from the second, longer");
    first.sync().well();
    second.sync().well();
    assert_eq!(
        fs::read(second.folder.join("docs/f3.txt")).unwrap(),
        b"from the first"
    );
    let kept = second.conflicts();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        fs::read(second.folder.join(&kept[0])).unwrap(),
        b"from the second, longer"
    );
    fs::remove_file(second.folder.join(&kept[0])).unwrap();
    second.sync().well();
    same("conflict");

    // Large files go in parts, whose MOVE tells the whole file's checksum.
    first.write("big.bin", bytes(2, 120 << 20));
    let large = first.sync().well();
    assert!(
        large.count("PUT") >= 2 && large.count("MOVE") == 1,
        "{:#?}",
        large.requests
    );
    second.sync().well().times("GET", gets(client, 1));
    same("120 MiB");
    let mut content = bytes(2, 120 << 20);
    content[60 << 20..][..1_000].fill(7);
    first.write("big.bin", content);
    first.sync().well();
    second.sync().well();
    same("120 MiB, 1 kB changed");

    // Only the time changes.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(438_300);
    set_modified(&first.folder.join("docs/f3.txt"), long_ago);
    first.sync().well();
    second.sync().well();
    same("time");

    // Both devices get something new at once.
    first.write("of-first/a.txt", "a");
    second.write("of-second/b.txt", "b");
    first.sync().well();
    second.sync().well();
    first.sync().well();
    same("both added");
    first.sync().well();
    first.sync().well().at_most(NOTHING_TO_DO);
    server.assert_clean();
}

/// Returns how many GETs a run makes that downloads so many files: each client asks for some pages first.
fn gets(client: Client, files: usize) -> usize {
    files
        + match client {
            // status.php, capabilities, user, and the channel on which changes are told.
            Client::Nextcloud => 4,
            // capabilities, user.
            Client::Owncloud => 2,
        }
}

#[test]
fn a_thousand_small_files_come_and_go() {
    for client in [Client::Nextcloud, Client::Owncloud] {
        if !has(client.program()) {
            continue;
        }
        let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
        let alice = server.user("alice");
        let front = Front::of(&alice);
        let first = Device::new(client, &server, &front, &alice, "first");
        let second = Device::new(client, &server, &front, &alice, "second");
        // Something stays: a client that finds everything gone asks its person first, for ever.
        first.write("kept.txt", "kept");
        for number in 0..1_000 {
            first.write(&format!("many/{number}.bin"), bytes(number, 10 << 10));
        }
        let timed = |what: &str, device: &Device<'_>| {
            let busy = server.processor_time();
            let begun = Instant::now();
            let synced = device.sync().well();
            report(&format!(
                "{} {what}: {:.2} s, of which the server worked {:.2} s, {} requests",
                client.program(),
                begun.elapsed().as_secs_f64(),
                server.processor_time().saturating_sub(busy).as_secs_f64(),
                synced.requests.len(),
            ));
            synced
        };
        timed("uploads 1 000 x 10 KiB", &first).times("PUT", 1_001);
        first.sync().well();
        timed("finds nothing to do", &first).at_most(NOTHING_TO_DO);
        timed("downloads 1 000 x 10 KiB", &second);
        assert_eq!(first.tree(), second.tree());
        fs::remove_dir_all(first.folder.join("many")).unwrap();
        first.sync().well().times("DELETE", 1);
        second.sync().well();
        assert_eq!(first.tree(), second.tree());
        server.assert_clean();
    }
}
