//! Does whoever listens hear of changes in what they were given, and of what they are given, soon, and of nothing else?

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::shape::Ground;

use crate::nextcloud::push::Listener;
use crate::nextcloud::push::SOON;
use crate::servers::servers;
use crate::sharing::CHANGE;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::end;
use crate::sharing::give;
use crate::sharing::give_group;

/// How long news of what another process did may take.
const FROM_ELSEWHERE: Duration = Duration::from_secs(5);
/// Nothing is heard for so long where nothing is to be heard.
const A_WHILE: Duration = Duration::from_millis(2_500);

#[test]
fn a_change_in_what_was_given_is_heard_by_its_receivers_alone() {
    let server = TestServer::start();
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|name| server.user(name));
    ann.folders("/private");
    ann.folders("/given/sub");
    ann.put("/file.txt", "1").send().expect(201);
    give(&ann, "/given", &bob, CHANGE);
    give(&ann, "/file.txt", &cid, READ);
    let mut of_ann = Listener::of(&server, &ann);
    let mut of_bob = Listener::of(&server, &bob);
    let mut of_cid = Listener::of(&server, &cid);

    ann.put("/given/sub/a.txt", "a").send().expect(201);
    assert!(of_bob.news() < SOON);
    bob.put("/given/sub/b.txt", "b").send().expect(201);
    assert!(of_ann.news() < SOON);
    assert!(of_bob.news() < SOON);
    of_cid.silence(A_WHILE);
    ann.put("/file.txt", "2").send().expect(204);
    assert!(of_cid.news() < SOON);
    ann.delete("/given/sub/a.txt").send().expect(204);
    assert!(of_bob.news() < SOON);

    // What else the owner does is not for them to hear.
    for listener in [&mut of_bob, &mut of_cid] {
        listener.settle();
    }
    ann.put("/private/x.txt", "x").send().expect(201);
    ann.mv("/private/x.txt", "/private/y.txt")
        .send()
        .expect(201);
    ann.delete("/private").send().expect(204);
    of_bob.silence(A_WHILE);
    of_cid.silence(A_WHILE);
}

#[test]
fn what_is_given_and_taken_back_is_heard() {
    let server = TestServer::start();
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|name| server.user(name));
    ann.folders("/above/given/sub");
    let mut of_bob = Listener::of(&server, &bob);
    let mut of_cid = Listener::of(&server, &cid);
    let share = give(&ann, "/above/given", &bob, READ | 16);
    assert!(of_bob.news() < SOON);
    give(&bob, "/given/sub", &cid, READ);
    assert!(of_cid.news() < SOON);
    ann.put("/above/given/sub/f.txt", "x").send().expect(201);
    assert!(of_bob.news() < SOON);
    assert!(of_cid.news() < SOON);
    of_bob.settle();
    of_cid.settle();

    // It goes to the trash with what is above, and comes back.
    ann.delete("/above").send().expect(204);
    assert!(of_bob.news() < SOON);
    assert!(of_cid.news() < SOON);
    let trash = ann
        .raw("PROPFIND", "/remote.php/dav/trashbin/ann/trash/")
        .header("Depth", "1")
        .send()
        .expect(207)
        .multistatus();
    let place = trash.entries[1].href.trim_end_matches('/').to_owned();
    let name = place.rsplit('/').next().unwrap().to_owned();
    of_bob.settle();
    of_cid.settle();
    ann.raw("MOVE", &place)
        .header(
            "Destination",
            &format!("http://x/remote.php/dav/trashbin/ann/restore/{name}"),
        )
        .send()
        .expect(201);
    assert!(of_bob.news() < SOON);
    assert!(of_cid.news() < SOON);
    assert_eq!(cid.names("/"), ["sub"]);

    // Less for bob is less for those to whom he passed it on.
    of_cid.settle();
    let narrow = [("permissions", "1")];
    call(&ann, "PUT", &format!("shares/{share}"), &narrow).expect(200);
    assert!(of_bob.news() < SOON);
    assert!(of_cid.news() < SOON);
    assert!(cid.names("/").is_empty());
    of_bob.settle();
    end(&ann, &share);
    assert!(of_bob.news() < SOON);
    of_bob.settle();
    ann.put("/above/given/g.txt", "x").send().expect(201);
    of_bob.silence(A_WHILE);
}

#[test]
fn what_comes_and_goes_with_a_group_is_heard() {
    let server = TestServer::start();
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|name| server.user(name));
    let member = |what: &str, name: &str| {
        let command = ["group", "member", what, "staff", name];
        server.data.command(&command).ok();
    };
    server.data.command(&["group", "add", "staff"]).ok();
    member("add", "ann");
    cid.folders("/given");
    give_group(&cid, "/given", "staff", READ);
    let mut of_bob = Listener::of(&server, &bob);
    member("add", "bob");
    assert!(of_bob.news() < FROM_ELSEWHERE);
    let mut known = bob.names("/");
    known.sort();
    assert_eq!(known, ["given", "staff"]);
    of_bob.settle();
    ann.put("/staff/by-ann.txt", "x").send().expect(201);
    assert!(of_bob.news() < SOON);
    cid.put("/given/by-cid.txt", "x").send().expect(201);
    assert!(of_bob.news() < SOON);
    of_bob.settle();
    member("remove", "bob");
    assert!(of_bob.news() < FROM_ELSEWHERE);
    of_bob.settle();
    ann.put("/staff/more.txt", "x").send().expect(201);
    cid.put("/given/more.txt", "x").send().expect(201);
    of_bob.silence(A_WHILE);
    server.assert_clean();
}

#[test]
fn the_end_of_a_share_is_heard_when_its_time_comes() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/given");
    let share = give(&ann, "/given", &bob, READ);
    let last = crate::sharing::today().to_string();
    let form = [("expireDate", &*last)];
    call(&ann, "PUT", &format!("shares/{share}"), &form).expect(200);
    let mut of_bob = Listener::of(&server, &bob);
    of_bob.silence(A_WHILE);
    server.data.advance(86_400);
    assert!(of_bob.news() < FROM_ELSEWHERE);
    assert!(bob.names("/").is_empty());
}

#[test]
fn what_happens_at_another_server_is_heard_too() {
    let all = servers(&Ground::shared(), 2, &[]);
    let [one, two] = &all[..] else {
        panic!("two servers");
    };
    let (ann, bob) = (one.user("ann"), one.user("bob"));
    ann.folders("/given");
    let mut of_bob = Listener::of(two, &bob);
    let share = give(&ann, "/given", &bob, READ);
    assert!(of_bob.news() < FROM_ELSEWHERE);
    of_bob.settle();
    ann.put("/given/a.txt", "a").send().expect(201);
    assert!(of_bob.news() < FROM_ELSEWHERE);
    of_bob.settle();
    ann.put("/own.txt", "a").send().expect(201);
    of_bob.silence(A_WHILE);
    end(&ann, &share);
    assert!(of_bob.news() < FROM_ELSEWHERE);
}
