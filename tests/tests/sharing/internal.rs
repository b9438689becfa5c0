//! Shares between people: who sees them where, what may be done with them, and when that ends.

use nuage_tests::TestServer;

use crate::sharing::ALL;
use crate::sharing::CHANGE;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::end;
use crate::sharing::give;
use crate::sharing::letters;
use crate::sharing::nc;
use crate::sharing::oc;
use crate::sharing::today;

#[test]
fn what_is_shared_appears_at_once_and_goes_with_the_share() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/Cours/Maths");
    ann.put("/Cours/Maths/plan.txt", "plan").send().expect(201);
    let before = bob.etag_of("/");
    let share = give(&ann, "/Cours/Maths", &bob, READ);
    assert_eq!(bob.names("/"), ["Maths"]);
    assert_ne!(bob.etag_of("/"), before);
    assert_eq!(bob.get("/Maths/plan.txt").send().expect(200).text(), "plan");
    assert_eq!(bob.names("/Maths"), ["plan.txt"]);
    let shown = bob.properties(
        "/Maths",
        &[
            "oc:permissions",
            "nc:is-mount-root",
            "nc:mount-type",
            "oc:owner-id",
        ],
    );
    assert_eq!(shown.text(&oc("permissions")), Some("SGDNV"));
    assert_eq!(shown.text(&nc("is-mount-root")), Some("true"));
    assert_eq!(shown.text(&nc("mount-type")), Some("shared"));
    assert_eq!(shown.text(&oc("owner-id")), Some("ann"));
    assert_eq!(letters(&bob, "/Maths/plan.txt"), "SG");
    // The other address of the same home.
    let remote = bob.at_remote_php();
    assert_eq!(remote.names("/Maths"), ["plan.txt"]);

    end(&ann, &share);
    assert!(bob.names("/").is_empty());
    for path in ["/Maths", "/Maths/plan.txt"] {
        bob.get(path).send().expect(404);
        bob.propfind(path, "0", &["d:getetag"]).send().expect(404);
    }
    bob.put("/Maths/new.txt", "x").send().expect(409);
    ann.get("/Cours/Maths/plan.txt").send().expect(200);
}

#[test]
fn a_reader_reads_and_changes_nothing() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/d/sub");
    ann.put("/d/f.txt", "old").send().expect(201);
    bob.put("/own.txt", "own").send().expect(201);
    give(&ann, "/d", &bob, READ);
    let refused = [
        bob.put("/d/f.txt", "new").send(),
        bob.put("/d/new.txt", "new").send(),
        bob.mkcol("/d/folder").send(),
        bob.delete("/d/f.txt").send(),
        bob.delete("/d/sub").send(),
        bob.mv("/d/f.txt", "/d/g.txt").send(),
        bob.mv("/d/f.txt", "/f.txt").send(),
        bob.mv("/own.txt", "/d/own.txt").send(),
        bob.copy("/own.txt", "/d/own.txt").send(),
        bob.set_property("/d/f.txt", "mark", "1").send(),
        bob.lock("/d/f.txt", "exclusive", "0", "Second-60").send(),
    ];
    for answer in refused {
        answer.expect(403);
    }
    // To copy out of it is to read.
    bob.copy("/d/f.txt", "/copy.txt").send().expect(201);
    assert_eq!(bob.get("/copy.txt").send().text(), "old");
    assert_eq!(ann.names("/d"), ["sub", "f.txt"]);
    assert_eq!(ann.get("/d/f.txt").send().text(), "old");
}

#[test]
fn a_writer_writes_into_the_owners_space_and_quota() {
    let server = TestServer::start();
    let ann = server.user_with("ann", &["--quota", "1MB"]);
    let bob = server.user_with("bob", &["--quota", "10KB"]);
    ann.mkcol("/d").send().expect(201);
    give(&ann, "/d", &bob, CHANGE);
    // More than bob may have, less than ann may.
    bob.put("/d/big.bin", vec![1; 500_000]).send().expect(201);
    bob.put("/d/big2.bin", vec![1; 600_000]).send().expect(507);
    assert_eq!(ann.get("/d/big.bin").send().expect(200).body.len(), 500_000);
    bob.mkcol("/d/sub").send().expect(201);
    bob.mv("/d/big.bin", "/d/sub/big.bin").send().expect(201);
    bob.put("/d/sub/note.txt", "by bob").send().expect(201);
    assert_eq!(letters(&bob, "/d/sub"), "SGDNVCK");
    assert_eq!(letters(&bob, "/d/sub/note.txt"), "SGDNVW");
    let before = ann.etag_of("/");
    bob.put("/d/sub/note.txt", "again").send().expect(204);
    assert_ne!(ann.etag_of("/"), before, "the owner's root changes with it");
    bob.delete("/d/sub/note.txt").send().expect(204);
    assert_eq!(ann.names("/d/sub"), ["big.bin"]);
    // From one space to the other and back, with the same number.
    bob.put("/own.txt", "mine").send().expect(201);
    let id = |user: &nuage_tests::User, path: &str| {
        let entry = user.properties(path, &["oc:fileid"]);
        entry.text(&oc("fileid")).unwrap().to_owned()
    };
    let number = id(&bob, "/own.txt");
    bob.mv("/own.txt", "/d/own.txt").send().expect(201);
    assert_eq!(id(&ann, "/d/own.txt"), number);
    assert_eq!(ann.get("/d/own.txt").send().text(), "mine");
    bob.get("/own.txt").send().expect(404);
    bob.mv("/d/own.txt", "/back.txt").send().expect(201);
    assert_eq!(id(&bob, "/back.txt"), number);
    ann.get("/d/own.txt").send().expect(404);
    // A tree too large for its new space stays where it is.
    bob.mv("/d/sub", "/sub").send().expect(507);
    assert_eq!(ann.names("/d/sub"), ["big.bin"]);
    server.assert_clean();
}

#[test]
fn who_receives_may_place_and_leave_without_touching_the_owners_tree() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/a/docs");
    ann.put("/a/docs/f.txt", "x").send().expect(201);
    bob.mkcol("/Projects").send().expect(201);
    let share = give(&ann, "/a/docs", &bob, READ);
    bob.mv("/docs", "/Projects/Ann").send().expect(201);
    assert_eq!(bob.names("/"), ["Projects"]);
    assert_eq!(bob.names("/Projects"), ["Ann"]);
    assert_eq!(bob.get("/Projects/Ann/f.txt").send().text(), "x");
    let (root, projects) = (bob.etag_of("/"), bob.etag_of("/Projects"));
    ann.put("/a/docs/g.txt", "y").send().expect(201);
    assert_ne!(bob.etag_of("/"), root);
    assert_ne!(bob.etag_of("/Projects"), projects);
    // Its folder moves with it, and when that goes, it comes back to the root.
    bob.mv("/Projects", "/Work").send().expect(201);
    assert_eq!(bob.get("/Work/Ann/f.txt").send().text(), "x");
    bob.delete("/Work").send().expect(204);
    assert_eq!(bob.names("/"), ["Ann"]);
    assert_eq!(ann.names("/a/docs"), ["f.txt", "g.txt"]);
    bob.delete("/Ann").send().expect(204);
    assert!(bob.names("/").is_empty());
    assert_eq!(ann.names("/a/docs"), ["f.txt", "g.txt"]);
    call(&ann, "GET", &format!("shares/{share}"), &[]).expect(404);
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_keeps_it() {
    let server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    for user in [&ann, &cid] {
        user.mkcol("/docs").send().expect(201);
        user.put("/docs/who.txt", user.name.as_str())
            .send()
            .expect(201);
    }
    bob.mkcol("/docs").send().expect(201);
    give(&ann, "/docs", &bob, READ);
    give(&cid, "/docs", &bob, READ);
    assert_eq!(bob.names("/"), ["docs", "docs (2)", "docs (3)"]);
    assert_eq!(bob.get("/docs (2)/who.txt").send().text(), "ann");
    assert_eq!(bob.get("/docs (3)/who.txt").send().text(), "cid");
    bob.delete("/docs").send().expect(204);
    assert_eq!(bob.names("/"), ["docs (2)", "docs (3)"]);
    // What is mounted is in the way of what is made.
    bob.mkcol("/docs (2)").send().expect(405);
    bob.put("/docs (2)", "x")
        .send()
        .expect_any(&[403, 405, 409]);
    bob.mkcol("/docs").send().expect(201);
}

#[test]
fn a_single_file_is_shared_saved_over_and_kept() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.put("/report.txt", "one").send().expect(201);
    give(&ann, "/report.txt", &bob, ALL);
    assert_eq!(letters(&bob, "/report.txt"), "SRGDNVW");
    assert_eq!(bob.get("/report.txt").send().text(), "one");
    bob.put("/report.txt", "two").send().expect(204);
    // As programs save: another file, renamed over it.
    bob.put("/report.tmp", "three").send().expect(201);
    bob.mv("/report.tmp", "/report.txt").send().expect(204);
    assert_eq!(ann.get("/report.txt").send().text(), "three");
    assert_eq!(bob.names("/"), ["report.txt"]);
    bob.mv("/report.txt", "/renamed.txt").send().expect(201);
    assert_eq!(ann.names("/"), ["report.txt"]);
    ann.put("/report.txt", "four").send().expect(204);
    assert_eq!(bob.get("/renamed.txt").send().text(), "four");
}

#[test]
fn what_is_passed_on_is_never_more_than_what_one_has() {
    let server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    ann.folders("/d/sub");
    ann.put("/d/sub/f.txt", "x").send().expect(201);
    let first = give(&ann, "/d", &bob, READ | 16);
    let too_much = [
        ("path", "/d/sub"),
        ("shareType", "0"),
        ("shareWith", "cid"),
        ("permissions", "31"),
    ];
    call(&bob, "POST", "shares", &too_much).expect(403);
    let second = give(&bob, "/d/sub", &cid, READ);
    assert_eq!(cid.get("/sub/f.txt").send().text(), "x");
    // The owner sees who else was given it, and may end that.
    let seen = data(&call(&ann, "GET", "shares?path=/d/sub&reshares=true", &[]).expect(200));
    assert_eq!(seen[0]["id"], second.as_str());
    assert_eq!(seen[0]["uid_owner"], "bob");
    assert_eq!(seen[0]["uid_file_owner"], "ann");

    // Less for bob is less for those whom he gave it.
    let narrow = [("permissions", "1")];
    call(&ann, "PUT", &format!("shares/{first}"), &narrow).expect(200);
    assert!(cid.names("/").is_empty());
    call(
        &ann,
        "PUT",
        &format!("shares/{first}"),
        &[("permissions", "17")],
    )
    .expect(200);
    assert_eq!(cid.names("/"), ["sub"]);
    end(&ann, &first);
    assert!(cid.names("/").is_empty(), "what was passed on went with it");
    cid.get("/sub/f.txt").send().expect(404);
}

#[test]
fn a_share_ends_after_its_last_day_and_sleeps_in_the_trash() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.mkcol("/d").send().expect(201);
    ann.put("/d/f.txt", "x").send().expect(201);
    let share = give(&ann, "/d", &bob, READ);
    ann.delete("/d").send().expect(204);
    assert!(bob.names("/").is_empty());
    bob.get("/d/f.txt").send().expect(404);
    let remote = ann.at_remote_php();
    let trash = remote
        .raw("PROPFIND", "/remote.php/dav/trashbin/ann/trash/")
        .header("Depth", "1")
        .send()
        .multistatus();
    let name = trash.entries[1]
        .href
        .rsplit('/')
        .find(|part| !part.is_empty());
    let name = name.unwrap().to_owned();
    remote
        .raw(
            "MOVE",
            &format!("/remote.php/dav/trashbin/ann/trash/{name}"),
        )
        .header(
            "Destination",
            &format!("http://x/remote.php/dav/trashbin/ann/restore/{name}"),
        )
        .send()
        .expect(201);
    assert_eq!(
        bob.names("/"),
        ["d"],
        "a share comes back with what it shares"
    );

    let today = today();
    let place = format!("shares/{share}");
    let yesterday = today.yesterday().unwrap().to_string();
    call(&ann, "PUT", &place, &[("expireDate", &yesterday)]).expect(404);
    let last = today.tomorrow().unwrap();
    let form = [("expireDate", &*last.to_string())];
    let shown = data(&call(&ann, "PUT", &place, &form).expect(200));
    assert_eq!(shown["expiration"], format!("{last} 00:00:00"));
    assert_eq!(bob.names("/"), ["d"]);
    // The last day is one on which it holds.
    server.data.advance(86_400);
    assert_eq!(bob.get("/d/f.txt").send().expect(200).text(), "x");
    server.data.advance(86_400);
    assert!(bob.names("/").is_empty());
    bob.get("/d/f.txt").send().expect(404);
    call(&ann, "GET", &place, &[]).expect(404);
}

#[test]
fn a_disabled_receiver_and_a_restart_change_nothing_for_the_others() {
    let mut server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    ann.mkcol("/d").send().expect(201);
    give(&ann, "/d", &bob, CHANGE);
    give(&ann, "/d", &cid, READ);
    bob.put("/d/by-bob.txt", "x").send().expect(201);
    server.data.command(&["user", "disable", "bob"]).ok();
    server.kill();
    server.start_again();
    assert_eq!(cid.get("/d/by-bob.txt").send().text(), "x");
    cid.put("/d/by-cid.txt", "x").send().expect(403);
    server.assert_clean();
}
