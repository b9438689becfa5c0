//! Spaces of groups: one tree for all who belong to one, with its own quota, by role.

use nuage_tests::TestServer;

use crate::sharing::PATIENCE;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::give;
use crate::sharing::letters;
use crate::sharing::nc;

#[test]
fn members_share_a_space_by_their_role() {
    let server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    let dan = server.user("dan");
    server
        .data
        .command(&["group", "add", "3B", "--quota", "1MB"])
        .ok();
    for (name, role) in [("ann", "manager"), ("bob", "member"), ("cid", "reader")] {
        let words = ["group", "member", "add", "3B", name, "--role", role];
        server.data.command(&words).ok();
    }
    let there = || ann.names("/") == ["3B"] && bob.names("/") == ["3B"] && cid.names("/") == ["3B"];
    nuage_tests::wait::wait_until("all see the space", PATIENCE, there);
    assert!(dan.names("/").is_empty());
    for (user, of_root, of_folder) in [
        (&ann, "RMGNVCK", "RMGDNVCK"),
        (&bob, "MGNVCK", "MGDNVCK"),
        (&cid, "MGNV", "MG"),
    ] {
        ann.mkcol("/3B/folder").send().expect_any(&[201, 405]);
        assert_eq!(letters(user, "/3B"), of_root);
        assert_eq!(letters(user, "/3B/folder"), of_folder);
        let shown = user.properties("/3B", &["nc:mount-type", "nc:is-mount-root"]);
        assert_eq!(shown.text(&nc("mount-type")), Some("group"));
        assert_eq!(shown.text(&nc("is-mount-root")), Some("true"));
    }
    bob.put("/3B/folder/f.txt", "by bob").send().expect(201);
    let before = cid.etag_of("/");
    ann.put("/3B/folder/f.txt", "by ann").send().expect(204);
    assert_ne!(cid.etag_of("/"), before);
    assert_eq!(cid.get("/3B/folder/f.txt").send().text(), "by ann");
    cid.put("/3B/folder/f.txt", "by cid").send().expect(403);
    // The quota is the group's own.
    bob.put("/3B/big.bin", vec![0; 1_100_000])
        .send()
        .expect(507);
    bob.put("/big.bin", vec![0; 1_100_000]).send().expect(201);
    // Members do not give it on, managers do.
    let form = [
        ("path", "/3B/folder"),
        ("shareType", "0"),
        ("shareWith", "dan"),
    ];
    call(&bob, "POST", "shares", &form).expect(403);
    give(&ann, "/3B/folder", &dan, READ);
    assert_eq!(dan.get("/folder/f.txt").send().text(), "by ann");
    // One does not leave a space while one belongs to its group, but may call it something else.
    bob.delete("/3B").send().expect(403);
    bob.mv("/3B", "/My class").send().expect(201);
    assert_eq!(ann.get("/3B/folder/f.txt").send().text(), "by ann");
    assert_eq!(bob.get("/My class/folder/f.txt").send().text(), "by ann");
    // A manager who leaves takes along what they had given of it.
    server
        .data
        .command(&["group", "member", "remove", "3B", "ann"])
        .ok();
    let gone = || dan.get("/folder/f.txt").send().status == 404;
    nuage_tests::wait::wait_until("dan does not see it any more", PATIENCE, gone);
    let gone = || ann.get("/3B/folder/f.txt").send().status == 404;
    nuage_tests::wait::wait_until("ann does not either", PATIENCE, gone);
    server
        .data
        .command(&["group", "delete", "3B", "--yes"])
        .ok();
    let gone = || !bob.names("/").contains(&"My class".to_owned());
    nuage_tests::wait::wait_until("the space is archived", PATIENCE, gone);
    server.assert_clean();
}

#[test]
fn trees_go_between_a_home_and_a_space_whole() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    server.data.command(&["group", "add", "g"]).ok();
    for name in ["ann", "bob"] {
        server
            .data
            .command(&["group", "member", "add", "g", name])
            .ok();
    }
    nuage_tests::wait::wait_until("the space is there", PATIENCE, || ann.names("/") == ["g"]);
    ann.folders("/tree/sub");
    for number in 0..20 {
        let text = format!("content {number}").repeat(1 + number * 1_000);
        let path = format!("/tree/sub/{number}.txt");
        ann.put(&path, text).send().expect(201);
    }
    ann.mv("/tree", "/g/tree").send().expect(201);
    assert_eq!(ann.names("/"), ["g"]);
    assert_eq!(bob.names("/g/tree/sub").len(), 20);
    let whole = "content 19".repeat(19_001);
    assert_eq!(bob.get("/g/tree/sub/19.txt").send().text(), whole);
    bob.copy("/g/tree", "/mine").send().expect(201);
    assert_eq!(bob.get("/mine/sub/19.txt").send().text(), whole);
    bob.put("/g/tree/sub/19.txt", "changed").send().expect(204);
    assert_eq!(bob.get("/mine/sub/19.txt").send().text(), whole);
    bob.mv("/g/tree/sub", "/mine/sub").send().expect(204);
    assert_eq!(bob.get("/mine/sub/19.txt").send().text(), "changed");
    assert!(ann.names("/g/tree").is_empty());
    server.assert_clean();
}
