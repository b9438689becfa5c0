//! Shares with groups: who belongs to one sees what it was given, for as long as they belong to it.

use nuage_tests::TestServer;

use crate::sharing::CHANGE;
use crate::sharing::PATIENCE;
use crate::sharing::READ;
use crate::sharing::end;
use crate::sharing::give;
use crate::sharing::give_group;
use crate::sharing::letters;

#[test]
fn a_group_share_follows_the_membership() {
    let server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    server.data.command(&["group", "add", "staff"]).ok();
    server
        .data
        .command(&["group", "member", "add", "staff", "bob"])
        .ok();
    ann.mkcol("/d").send().expect(201);
    ann.put("/d/f.txt", "x").send().expect(201);
    let share = give_group(&ann, "/d", "staff", READ);
    assert_eq!(bob.get("/d/f.txt").send().expect(200).text(), "x");
    cid.get("/d/f.txt").send().expect(404);
    server
        .data
        .command(&["group", "member", "add", "staff", "cid"])
        .ok();
    server.data.settle();
    let seen = || cid.get("/d/f.txt").send().status == 200;
    nuage_tests::wait::wait_until("cid sees what the group was given", PATIENCE, seen);
    // One person leaves it; for the others it stays.
    bob.delete("/d").send().expect(204);
    bob.get("/d/f.txt").send().expect(404);
    cid.get("/d/f.txt").send().expect(200);
    // Shared anew, it is there again.
    end(&ann, &share);
    cid.get("/d/f.txt").send().expect(404);
    give_group(&ann, "/d", "staff", READ);
    bob.get("/d/f.txt").send().expect(200);
    server
        .data
        .command(&["group", "member", "remove", "staff", "bob"])
        .ok();
    let gone = || bob.get("/d/f.txt").send().status == 404;
    nuage_tests::wait::wait_until("bob does not see it any more", PATIENCE, gone);
    server
        .data
        .command(&["group", "delete", "staff", "--yes"])
        .ok();
    let gone = || cid.get("/d/f.txt").send().status == 404;
    nuage_tests::wait::wait_until("nobody sees it any more", PATIENCE, gone);
}

#[test]
fn what_was_given_twice_is_one_thing_with_the_sum_of_rights() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    server.data.command(&["group", "add", "staff"]).ok();
    server
        .data
        .command(&["group", "member", "add", "staff", "bob"])
        .ok();
    ann.mkcol("/d").send().expect(201);
    give_group(&ann, "/d", "staff", READ);
    let own = give(&ann, "/d", &bob, CHANGE);
    let mut names = bob.names("/");
    names.sort();
    assert_eq!(names, ["d", "staff"]);
    assert_eq!(letters(&bob, "/d"), "SGDNVCK");
    bob.put("/d/f.txt", "x").send().expect(201);
    end(&ann, &own);
    assert_eq!(letters(&bob, "/d"), "SGDNV");
    bob.put("/d/f.txt", "y").send().expect(403);
}
