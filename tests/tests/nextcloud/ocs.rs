//! Status, the envelope of OCS in all its clothes, and what the server says that it can.

use nuage_tests::TestServer;
use nuage_tests::http::Request;
use nuage_tests::shape::Ground;

use crate::nextcloud::json;
use crate::servers::servers;

fn get(target: &str) -> Request {
    Request::new("GET", target)
}

#[test]
fn whoever_looks_for_a_server_finds_one_of_the_version_that_is_set() {
    let server = TestServer::with(&[("NUAGE_NEXTCLOUD__VERSION", "33.1.2")]);
    for target in ["/status.php", "/index.php/status.php"] {
        let answer = server.anonymous(get(target)).expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let status = json(&answer);
        assert_eq!(status["installed"], true);
        assert_eq!(status["maintenance"], false);
        assert_eq!(status["version"], "33.1.2.0");
        assert_eq!(status["versionstring"], "33.1.2");
    }
    for target in ["/204", "/index.php/204"] {
        let answer = server.anonymous(get(target)).expect(204);
        assert!(answer.body.is_empty());
    }
    let answer = server.anonymous(get("/.well-known/webdav")).expect(301);
    let place = answer.header("location").unwrap();
    assert_eq!(place, "http://nuage.test/remote.php/dav/");
    for target in ["/.well-known/caldav", "/.well-known/carddav"] {
        server.anonymous(get(target)).expect(404);
    }
}

#[test]
fn both_dialects_answer_in_both_forms() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for (dialect, code) in [("v1", 100), ("v2", 200)] {
        let target = format!("/ocs/{dialect}.php/cloud/user");
        let answer = alice.raw("GET", &format!("{target}?format=json")).send();
        let text = answer.text();
        assert!(text.contains(&format!("\"statuscode\":{code}")), "{text}");
        assert_eq!(json(&answer)["ocs"]["data"]["id"], "alice");
        let cache = answer.header("cache-control");
        assert_eq!(cache, Some("no-cache, no-store, must-revalidate"));
        let accepted = alice
            .raw("GET", &target)
            .header("Accept", "application/json");
        assert_eq!(accepted.send().text(), text);

        let answer = alice.raw("GET", &format!("/index.php{target}")).send();
        let xml = answer.expect(200).text();
        assert!(xml.starts_with("<?xml version=\"1.0\"?>"), "{xml}");
        assert!(xml.contains(&format!("<statuscode>{code}</statuscode>")));
        assert!(xml.contains("<id>alice</id>") && xml.contains("<enabled>1</enabled>"));
    }
}

#[test]
fn failures_have_the_codes_that_clients_know() {
    let server = TestServer::start();
    let alice = server.user("alice");
    server.user("bob");
    let cases = [
        ("/ocs/v1.php/apps/none/api", 200, 998),
        ("/ocs/v2.php/apps/none/api", 404, 998),
        ("/ocs/v1.php/cloud/users/bob", 200, 998),
        ("/ocs/v2.php/cloud/users/bob", 404, 998),
        ("/ocs/v2.php/cloud/users/nobody", 404, 998),
        ("/ocs/v1.php/cloud/users", 200, 403),
        ("/ocs/v2.php/cloud/users", 403, 403),
        ("/ocs/v2.php/cloud/groups", 403, 403),
        ("/ocs/v2.php/core/apppassword", 404, 998),
        ("/ocs/v2.php/%00/%ff", 404, 998),
        ("/ocs/v2.php", 404, 998),
    ];
    for (target, status, code) in cases {
        let answer = alice.raw("GET", &format!("{target}?format=json")).send();
        let answer = answer.expect(status);
        let envelope = &json(&answer)["ocs"];
        assert_eq!(envelope["meta"]["statuscode"], code, "{answer}");
        assert_eq!(envelope["meta"]["status"], "failure");
        assert_eq!(envelope["data"], serde_json::json!([]));
    }
    for called_anyway in [
        "apps/user_status/api/v1/user_status",
        "apps/notifications/api/v2/notifications",
        "hovercard/v1/alice",
        "apps/recommendations/api/v1/recommendations",
    ] {
        let target = format!("/ocs/v2.php/{called_anyway}?format=json");
        let answer = alice.raw("GET", &target).send().expect(404);
        assert_eq!(json(&answer)["ocs"]["meta"]["statuscode"], 998);
    }
    let answer = alice
        .raw("GET", "/ocs/v2.php/cloud/users?format=json")
        .header("Accept-Language", "fr-FR")
        .send();
    assert_eq!(
        json(&answer)["ocs"]["meta"]["message"],
        "Vous n’en avez pas le droit."
    );
}

#[test]
fn a_stranger_hears_997_and_no_challenge() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for dialect in ["v1", "v2"] {
        let target = format!("/ocs/{dialect}.php/cloud/user?format=json");
        let wrong = alice.with_secret("wrong").raw("GET", &target).send();
        for answer in [server.anonymous(get(&target)), wrong] {
            let answer = answer.expect(401);
            assert_eq!(json(&answer)["ocs"]["meta"]["statuscode"], 997);
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
    let guess = alice.with_secret("wrong");
    let target = "/ocs/v1.php/cloud/user?format=json";
    let statuses: Vec<u16> = (0..30)
        .map(|_| guess.raw("GET", target).send().status)
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = alice.raw("GET", target).send().expect(429);
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn without_its_database_the_server_says_503_and_never_401() {
    let ground = Ground::own();
    let all = servers(&ground, 1, &[]);
    let alice = all[0].user("alice");
    let token = all[0].token(&alice, &[]);
    ground.postgres.stop(nuage_tests::postgres::Stop::Fast);
    for dialect in ["v1", "v2"] {
        let target = format!("/ocs/{dialect}.php/cloud/user?format=json");
        let answer = token.raw("GET", &target).send().expect(503);
        assert!(answer.header("retry-after").is_some());
        let bearer = get(&target).header("Authorization", &format!("Bearer {}", token.secret));
        all[0].anonymous(bearer).expect(503);
    }
    let answer = token.get("/").send().expect(503);
    assert!(answer.text().contains("ServiceUnavailable"), "{answer}");
    ground.postgres.start_again();
}

#[test]
fn clients_learn_what_they_need_and_nothing_that_is_not_there() {
    let server = TestServer::with(&[
        ("NUAGE_THEME__NAME", "Drive <b>"),
        ("NUAGE_THEME__COLOR", "#aa1155"),
        ("NUAGE_NEXTCLOUD__UPLOAD_PART", "20MiB"),
    ]);
    let alice = server.user("alice");
    let target = "/ocs/v1.php/cloud/capabilities?format=json";
    let answer = alice.raw("GET", target).send().expect(200);
    let data = json(&answer)["ocs"]["data"].clone();
    assert_eq!(data["version"]["string"], "32.0.1");
    assert_eq!(data["version"]["major"], 32);
    let all = &data["capabilities"];
    assert_eq!(all["dav"]["chunking"], "1.0");
    assert_eq!(all["files"]["bigfilechunking"], true);
    assert_eq!(all["files"]["chunked_upload"]["max_size"], 20 << 20);
    assert_eq!(all["files"]["locking"], "1.0");
    assert_eq!(all["checksums"]["preferredUploadType"], "SHA256");
    assert_eq!(all["theming"]["name"], "Drive <b>");
    assert_eq!(all["theming"]["color"], "#aa1155");
    assert_eq!(all["core"]["status"]["installed"], true);
    for never in [
        "spaces",
        "user_status",
        "notifications",
        "end-to-end-encryption",
    ] {
        assert!(all[never].is_null(), "{never} is announced");
    }
    assert!(all["dav"]["bulkupload"].is_null() && all["files"]["tus_support"].is_null());

    let tag = answer.etag();
    let known = alice.raw("GET", target).if_none_match(&tag).send();
    assert!(known.expect(304).body.is_empty());
    alice
        .raw("GET", target)
        .if_none_match("\"x\"")
        .send()
        .expect(200);

    // Anybody may ask, and hears what a log-in page needs.
    let answer = server.anonymous(get(target)).expect(200);
    let all = json(&answer)["ocs"]["data"]["capabilities"].clone();
    let keys: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bruteforce", "theming"]);
    // Whoever comes with a wrong password is told so.
    alice
        .with_secret("wrong")
        .raw("GET", target)
        .send()
        .expect(401);
}
