//! Links that open one file for hours, without a sign-in.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;

use crate::nextcloud::previews::number_of;

const ASK: &str = "/ocs/v2.php/apps/dav/api/v1/direct?format=json";

fn ask(user: &User, file: &str) -> Answer {
    let call = user.raw("POST", ASK).header("OCS-APIRequest", "true");
    let form = "application/x-www-form-urlencoded";
    let call = call.header("Content-Type", form);
    call.body(format!("fileId={file}")).send()
}

/// The path of a link to a file.
fn link_to(user: &User, path: &str) -> String {
    let answer = ask(user, &number_of(user, path)).expect(200);
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let url = answer["ocs"]["data"]["url"].as_str().unwrap();
    let at = url.find("/remote.php/direct/").unwrap();
    url[at..].to_owned()
}

#[test]
fn a_link_opens_one_file_for_eight_hours() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a film.mp4", "0123456789").send().expect(201);
    let link = link_to(&alice, "/a film.mp4");
    let get = || Request::new("GET", &link);

    let whole = server.anonymous(get()).expect(200);
    assert_eq!(whole.text(), "0123456789");
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    let part = get().header("Range", "bytes=2-4");
    assert_eq!(server.anonymous(part).expect(206).text(), "234");
    let head = server.anonymous(Request::new("HEAD", &link)).expect(200);
    assert_eq!(head.header("content-length"), Some("10"));
    server.anonymous(Request::new("PUT", &link)).expect(405);

    // It leads to the file, wherever that goes.
    alice.mv("/a film.mp4", "/b.mp4").send().expect(201);
    server.anonymous(get()).expect(200);
    server.data.advance(8 * 3_600 - 60);
    server.anonymous(get()).expect(200);
    server.data.advance(61);
    server.anonymous(get()).expect(404);

    let token = link.rsplit('/').next().unwrap();
    assert!(!server.log().contains(token), "the link is a secret");
}

#[test]
fn a_link_ends_with_its_sign_in_and_opens_nothing_else() {
    let server = TestServer::start();
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    alice.put("/a", "x").send().expect(201);
    alice.mkcol("/d").send().expect(201);
    let number = number_of(&alice, "/a");
    for (user, file, status) in [
        (&bob, number.as_str(), 404),
        (&alice, "999999999999", 404),
        (&alice, "", 404),
        (&alice, &number_of(&alice, "/d"), 400),
    ] {
        assert_eq!(ask(user, file).status, status, "{file}");
    }
    ask(&alice.with_secret("wrong"), &number).expect(401);
    alice.raw("GET", ASK).send().expect(404);

    let token = server.token(&alice, &[]);
    let (by_token, own) = (link_to(&token, "/a"), link_to(&alice, "/a"));
    let get = |link: &str| server.anonymous(Request::new("GET", link)).status;
    assert_eq!((get(&by_token), get(&own)), (200, 200));
    let listed = server.data.command(&["token", "list", "alice", "--json"]);
    let id = listed.json()[0]["id"].to_string();
    let revoke = ["token", "revoke", "alice", id.trim_matches('"')];
    server.data.command(&revoke).ok();
    assert_eq!((get(&by_token), get(&own)), (404, 200));
    server.data.command(&["user", "disable", "alice"]).ok();
    assert_eq!(get(&own), 404);
    assert_eq!(get("/remote.php/direct/"), 404);
    assert_eq!(get("/remote.php/direct/0000-0000"), 404);
}
