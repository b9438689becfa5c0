//! What others gave, in the folder of a sync client: to read, to change, and a group's space.

use std::fs;

use nuage_tests::TestServer;
use nuage_tests::command::has;
use nuage_tests::data::bytes;
use nuage_tests::front::Front;

use super::Client;
use super::Device;
use crate::sharing::CHANGE;
use crate::sharing::READ;
use crate::sharing::end;
use crate::sharing::give;

#[test]
fn what_was_given_is_kept_in_sync_by_what_it_allows() {
    for client in [Client::Nextcloud, Client::Owncloud] {
        if !has(client.program()) {
            continue;
        }
        let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
        let (ann, bob) = (server.user("ann"), server.user("bob"));
        server.data.command(&["group", "add", "3B"]).ok();
        for name in ["ann", "bob"] {
            let words = ["group", "member", "add", "3B", name];
            server.data.command(&words).ok();
        }
        ann.folders("/toread/sub");
        ann.put("/toread/sub/a.txt", "original").send().expect(201);
        ann.mkcol("/towrite").send().expect(201);
        ann.put("/towrite/b.txt", "first").send().expect(201);
        let reading = give(&ann, "/toread", &bob, READ);
        give(&ann, "/towrite", &bob, CHANGE);
        ann.put("/3B/c.txt", "of all").send().expect(201);
        let front = Front::of(&bob);
        let device = Device::new(client, &server, &front, &bob, "device");
        device.sync().well();
        for (path, text) in [
            ("toread/sub/a.txt", "original"),
            ("towrite/b.txt", "first"),
            ("3B/c.txt", "of all"),
        ] {
            assert_eq!(fs::read_to_string(device.folder.join(path)).unwrap(), text);
        }
        device.sync().well();
        let limit = if client == Client::Nextcloud { 5 } else { 3 };
        device.sync().well().at_most(limit);

        // What the owner changes comes, and what may be changed goes.
        ann.put("/toread/sub/a.txt", "again").send().expect(204);
        device.write("towrite/b.txt", "second");
        device.write("towrite/big.bin", bytes(7, 25_000_000));
        device.write("3B/d.txt", "by bob");
        device.sync().well();
        let came = fs::read_to_string(device.folder.join("toread/sub/a.txt")).unwrap();
        assert_eq!(came, "again");
        assert_eq!(ann.get("/towrite/b.txt").send().text(), "second");
        assert_eq!(
            ann.get("/towrite/big.bin").send().body,
            bytes(7, 25_000_000)
        );
        assert_eq!(ann.get("/3B/d.txt").send().text(), "by bob");

        // What may only be read is brought back, and the edit is kept beside it.
        device.write("toread/sub/a.txt", "edited on the device");
        device.sync();
        device.sync();
        assert_eq!(ann.get("/toread/sub/a.txt").send().text(), "again");
        let back = fs::read_to_string(device.folder.join("toread/sub/a.txt")).unwrap();
        assert_eq!(back, "again");
        let kept = device.conflicts();
        assert_eq!(kept.len(), 1, "{kept:?}");
        fs::remove_file(device.folder.join(&kept[0])).unwrap();

        // What is taken back goes from the device, and nothing else does.
        end(&ann, &reading);
        device.sync().well();
        assert!(!device.folder.join("toread/sub/a.txt").exists());
        assert!(device.folder.join("towrite/big.bin").exists());
        ann.get("/toread/sub/a.txt").send().expect(200);
        server.assert_clean();
    }
}
