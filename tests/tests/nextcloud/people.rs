//! What OCS says about people, and their pictures.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Request;
use serde_json::Value;

use crate::nextcloud::json;

#[track_caller]
fn data(user: &User, route: &str) -> Value {
    let target = format!("/ocs/v2.php/{route}");
    let answer = user
        .raw("GET", &target)
        .header("Accept", "application/json");
    json(&answer.send().expect(200))["ocs"]["data"].clone()
}

#[test]
fn somebody_reads_their_own_account_and_how_full_it_is() {
    let server = TestServer::start();
    let options = [
        "--quota",
        "1000B",
        "--display-name",
        "Zoé",
        "--email",
        "z@example.org",
    ];
    let zoe = server.user_with("zoe", &options);
    let free = server.user_with("free", &["--quota", "none"]);
    zoe.put("/a", vec![1; 250]).send().expect(201);

    let own = data(&zoe, "cloud/user");
    assert_eq!(own["id"], "zoe");
    assert_eq!(own["display-name"], "Zoé");
    assert_eq!(own["displayname"], "Zoé");
    assert_eq!(own["email"], "z@example.org");
    assert_eq!(own["enabled"], true);
    let quota = &own["quota"];
    assert_eq!(quota["used"], 250);
    assert_eq!(quota["free"], 750);
    assert_eq!(quota["total"], 1000);
    assert_eq!(quota["quota"], 1000);
    assert_eq!(quota["relative"], 25.0);
    assert_eq!(data(&zoe, "cloud/users/ZOE"), own);

    let other = data(&free, "cloud/user");
    for key in ["free", "total", "quota"] {
        assert_eq!(other["quota"][key], -3, "{key}");
    }
    assert!(other["email"].is_null());
}

#[test]
fn administrators_see_everybody_and_their_groups() {
    let server = TestServer::start();
    let chief = server.user_with("chief", &["--admin"]);
    for name in ["ana", "anton", "bob"] {
        server.user(name);
    }
    for words in [
        &["group", "add", "maths"][..],
        &["group", "add", "arts"],
        &["group", "member", "add", "maths", "ana"],
        &["group", "member", "add", "arts", "ana"],
    ] {
        server.data.command(words).ok();
    }

    assert_eq!(data(&chief, "cloud/users/ana")["id"], "ana");
    assert_eq!(data(&chief, "cloud/users/ana")["groups"][1], "maths");
    let found = data(&chief, "cloud/users?search=an");
    assert_eq!(found["users"], serde_json::json!(["ana", "anton"]));
    let found = data(&chief, "cloud/users?search=an&limit=1&offset=1");
    assert_eq!(found["users"], serde_json::json!(["anton"]));
    let found = data(&chief, "cloud/users/details?search=bob");
    assert_eq!(found["users"]["bob"]["displayname"], "bob");
    let found = data(&chief, "cloud/groups");
    assert_eq!(found["groups"], serde_json::json!(["arts", "maths"]));
    let found = data(&chief, "cloud/groups?search=MAT");
    assert_eq!(found["groups"], serde_json::json!(["maths"]));
    let found = data(&chief, "cloud/groups/maths/users");
    assert_eq!(found["users"], serde_json::json!(["ana"]));
    let found = data(&chief, "cloud/users/ana/groups");
    assert_eq!(found["groups"], serde_json::json!(["arts", "maths"]));
    for route in ["cloud/users/nobody", "cloud/groups/none/users"] {
        chief
            .raw("GET", &format!("/ocs/v2.php/{route}"))
            .send()
            .expect(404);
    }
}

#[test]
fn everybody_has_a_picture_that_tells_nothing_of_who_exists() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let targets = [
        "/remote.php/dav/avatars/alice/128.png",
        "/index.php/avatar/alice/128",
        "/avatar/alice/128/dark",
    ];
    let pictures = targets.map(|target| alice.raw("GET", target).send().expect(200));
    for picture in &pictures {
        assert!(picture.body.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert_eq!(picture.header("content-type"), Some("image/png"));
        assert_eq!(picture.header("x-nc-iscustomavatar"), Some("0"));
        assert!(picture.body == pictures[0].body);
    }
    let tag = pictures[0].etag();
    alice
        .raw("GET", targets[0])
        .if_none_match(&tag)
        .send()
        .expect(304);
    let other = alice.raw("GET", "/avatar/nobody/128").send().expect(200);
    assert!(other.body != pictures[0].body);
    let huge = alice
        .raw("GET", "/avatar/alice/99999999")
        .send()
        .expect(200);
    assert!(huge.body.len() < 100_000);
    for odd in [
        "/avatar/alice/x",
        "/avatar/alice/-1",
        "/avatar/alice",
        "/avatar/",
    ] {
        alice.raw("GET", odd).send().expect(404);
    }
    for target in targets {
        server.anonymous(Request::new("GET", target)).expect(401);
    }
    let sign = server.anonymous(Request::new("GET", "/apps/theming/image/logo"));
    assert_eq!(
        sign.expect(200).header("content-type"),
        Some("image/svg+xml")
    );
}
