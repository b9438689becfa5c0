//! Small things that hold for what was given and for links: ETags, locks, counts.

use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Request;
use nuage_tests::wait::pause;

use crate::sharing::PATIENCE;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::give;
use crate::sharing::give_group;
use crate::sharing::oc;

/// Makes a link with these permissions and returns its token.
#[track_caller]
fn link(maker: &User, path: &str, permissions: &str) -> String {
    let form = [
        ("path", path),
        ("shareType", "3"),
        ("permissions", permissions),
    ];
    let made = data(&call(maker, "POST", "shares", &form).expect(200));
    made["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_download_in_pieces_is_one_download() {
    let server = TestServer::start();
    let ann = server.user("ann");
    ann.put("/film.bin", vec![7; 100_000]).send().expect(201);
    let token = link(&ann, "/film.bin", "1");
    let download = || Request::new("GET", &format!("/s/{token}/download"));
    for range in [
        "bytes=50000-74999",
        "bytes=0-24999",
        "bytes=25000-49999",
        "bytes=75000-",
        "bytes=-10",
    ] {
        server
            .anonymous(download().header("Range", range))
            .expect(206);
    }
    server
        .anonymous(download().header("Range", "bytes=200000-"))
        .expect(416);
    server.anonymous(download()).expect(200);
    let counted = || server.data.number("SELECT opens FROM share WHERE kind = 3");
    let begun = Instant::now();
    while counted() < 2 && begun.elapsed() < PATIENCE {
        pause(Duration::from_millis(50));
    }
    // Counts are written behind the answers.
    pause(Duration::from_millis(500));
    assert_eq!(counted(), 2);
}

#[test]
fn visitors_of_one_link_take_no_locks_from_those_of_another() {
    let server = TestServer::with(&[("NUAGE_LIMITS__LOCKS_PER_ACCOUNT_MAX", "2")]);
    let ann = server.user("ann");
    ann.folders("/one");
    ann.folders("/two");
    let tokens = ["/one", "/two"].map(|path| link(&ann, path, "15"));
    let lock = |token: &str, name: &str| {
        let body = "<d:lockinfo xmlns:d='DAV:'><d:lockscope><d:exclusive/></d:lockscope>\
                    <d:locktype><d:write/></d:locktype></d:lockinfo>";
        let place = format!("/public.php/dav/files/{token}/{name}");
        let request = Request::new("LOCK", &place).header("Timeout", "Second-600");
        server.anonymous(request.body(body)).status
    };
    assert_eq!(lock(&tokens[0], "a"), 201);
    assert_eq!(lock(&tokens[0], "b"), 201);
    assert!(lock(&tokens[0], "c") >= 400);
    assert_eq!(lock(&tokens[1], "a"), 201);
}

#[test]
fn a_condition_on_a_folder_above_mounts_is_held_against_the_etag_that_was_shown() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/given");
    bob.folders("/above");
    bob.folders("/plain");
    let bare = bob.etag_of("/above");
    give(&ann, "/given", &bob, READ);
    bob.mv("/given", "/above/given").send().expect(201);
    let shown = bob.etag_of("/above");
    assert_ne!(shown, bare);
    ann.put("/given/new.txt", "x").send().expect(201);
    let now = bob.etag_of("/above");
    assert_ne!(shown, now);
    let mark = "<d:set><d:prop><x:mark xmlns:x=\"x:\">1</x:mark></d:prop></d:set>";
    let patch = |etag: &str| {
        bob.proppatch("/above", mark)
            .header("If-Match", etag)
            .send()
    };
    patch(&shown).expect(412);
    patch(&bare).expect(412);
    patch(&now).expect(207);
    let now = bob.etag_of("/above");
    let list = |etag: &str| {
        let condition = format!("([{etag}])");
        bob.proppatch("/above", mark)
            .header("If", &condition)
            .send()
    };
    list(&shown).expect(412);
    list(&now).expect(207);
    let now = bob.etag_of("/above");
    bob.delete("/above")
        .header("If-Match", &shown)
        .send()
        .expect(412);
    bob.delete("/above")
        .header("If-Match", &now)
        .send()
        .expect(204);
    let plain = bob.etag_of("/plain");
    bob.delete("/plain")
        .header("If-Match", &plain)
        .send()
        .expect(204);
}

#[test]
fn who_was_given_a_file_sees_that_its_lock_came_and_went() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.put("/report.txt", "x").send().expect(201);
    give(&ann, "/report.txt", &bob, READ);
    let unlocked = bob.etag_of("/");
    let file = bob.etag_of("/report.txt");
    ann.locked("/report.txt", "Second-600");
    let locked = bob.etag_of("/");
    assert_ne!(unlocked, locked);
    server.data.advance(700);
    let begun = Instant::now();
    while bob.etag_of("/") == locked {
        assert!(begun.elapsed() < 2 * PATIENCE, "the end is not seen");
        pause(Duration::from_millis(200));
    }
    assert_eq!(bob.etag_of("/report.txt"), file);
    server.assert_clean();
}

#[test]
fn how_something_is_shared_is_told_of_each_node_and_of_what_was_passed_on() {
    let server = TestServer::start();
    let [ann, bob, _cid] = ["ann", "bob", "cid"].map(|name| server.user(name));
    ann.folders("/d/in");
    ann.folders("/plain");
    server.data.command(&["group", "add", "staff"]).ok();
    let cid = server.user("dee");
    give(&ann, "/d", &bob, READ | 16);
    give_group(&ann, "/d", "staff", READ);
    link(&ann, "/d/in", "1");
    give(&bob, "/d", &cid, READ);
    let kinds = |user: &User, path: &str, depth: &str| {
        let listed = user
            .propfind(path, depth, &["oc:share-types"])
            .send()
            .expect(207)
            .multistatus();
        let of = |entry: &nuage_tests::multistatus::Entry| {
            entry
                .text(&oc("share-types"))
                .unwrap_or_default()
                .to_owned()
        };
        listed.entries.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&ann, "/d", "1"), ["01", "3"]);
    let mut root = kinds(&ann, "/", "1");
    root.sort();
    assert_eq!(root, ["", "", "01"]);
    assert_eq!(kinds(&bob, "/", "1"), ["", "0"]);
    assert_eq!(kinds(&bob, "/d", "1"), ["0", ""]);
    // What somebody was given of one path.
    let given = |user: &User, path: &str| {
        let place = format!("shares?path={path}&shared_with_me=true");
        let list = data(&call(user, "GET", &place, &[]).expect(200));
        list.as_array().unwrap().len()
    };
    assert_eq!((given(&bob, "/d"), given(&cid, "/d")), (1, 1));
    assert_eq!((given(&ann, "/d"), given(&bob, "/d/in")), (0, 0));
}

#[test]
fn who_may_not_download_cannot_let_others_do_so() {
    let server = TestServer::start();
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|name| server.user(name));
    ann.folders("/d");
    ann.put("/d/f.txt", "secret").send().expect(201);
    let given = give(&ann, "/d", &bob, READ | 16);
    let attributes = |value: &str| {
        format!("[{{\"scope\":\"permissions\",\"key\":\"download\",\"value\":{value}}}]")
    };
    // While bob may, he passes it on.
    let token = self::link(&bob, "/d", "1");
    let to_cid = give(&bob, "/d", &cid, READ);
    let page = || Request::new("GET", &format!("/s/{token}/download?path=f.txt"));
    assert_eq!(cid.get("/d/f.txt").send().expect(200).text(), "secret");
    server.anonymous(page()).expect(200);

    let place = format!("shares/{given}");
    call(
        &ann,
        "PUT",
        &place,
        &[("attributes", &*attributes("false"))],
    )
    .expect(200);
    bob.get("/d/f.txt").send().expect(403);
    cid.get("/d/f.txt").send().expect(403);
    assert_ne!(server.anonymous(page()).status, 200);

    // And he does not help himself.
    let mine = data(&call(&bob, "GET", "shares?path=/d", &[]).expect(200));
    for share in mine.as_array().unwrap() {
        let place = format!("shares/{}", share["id"].as_str().unwrap());
        call(&bob, "PUT", &place, &[("hideDownload", "false")]);
    }
    let place = format!("shares/{to_cid}");
    call(&bob, "PUT", &place, &[("attributes", &*attributes("true"))]);
    cid.get("/d/f.txt").send().expect(403);
    assert_ne!(server.anonymous(page()).status, 200);

    let place = format!("shares/{given}");
    call(&ann, "PUT", &place, &[("attributes", &*attributes("true"))]).expect(200);
    cid.get("/d/f.txt").send().expect(200);
    server.anonymous(page()).expect(200);
}
