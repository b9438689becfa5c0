//! What the areas beside the files say that they serve, and whether they do.

use nuage_tests::TestServer;
use nuage_tests::http::Answer;

const EACH: [&str; 15] = [
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "PATCH",
    "DELETE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "REPORT",
    "SEARCH",
];

#[test]
fn an_area_serves_what_it_names_and_names_what_it_serves() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.put("/a", "x").send().expect(201);
    let entry = alice.properties("/a", &["oc:fileid"]);
    let number = entry.text("{http://owncloud.org/ns}fileid").unwrap();
    let relations = format!("systemtags-relations/files/{number}");
    let relation = format!("{relations}/9");
    let versions = format!("versions/alice/versions/{number}");
    let version = format!("{versions}/9");
    for area in [
        "",
        "files",
        "principals",
        "principals/users",
        "principals/users/alice",
        "systemtags",
        "systemtags/9",
        &relations,
        &relation,
        "trashbin",
        "trashbin/alice",
        "trashbin/alice/trash",
        "trashbin/alice/trash/a.d9",
        "trashbin/alice/trash/a.d9/below",
        "trashbin/alice/restore",
        "versions",
        "versions/alice",
        "versions/alice/versions",
        "versions/alice/restore",
        &versions,
        &version,
        "uploads",
        "uploads/alice",
        "uploads/alice/new",
        "uploads/alice/new/1",
        "uploads/alice/new/.file",
    ] {
        let target = format!("/remote.php/dav/{area}");
        let allowed = |answer: &Answer| answer.header("allow").map(str::to_owned);
        let named = alice.raw("OPTIONS", &target).send().expect(200);
        let named = allowed(&named).unwrap();
        let methods: Vec<&str> = named.split(", ").collect();
        for method in EACH {
            let answer = alice.raw(method, &target).send();
            assert!(answer.status < 500, "{answer}");
            let is_served = answer.status != 405;
            // Where nothing is, nothing below it tells what it would serve.
            if answer.status == 404 && !methods.contains(&method) {
                continue;
            }
            assert_eq!(is_served, methods.contains(&method), "{named}: {answer}");
            if !is_served {
                assert_eq!(allowed(&answer), Some(named.clone()), "{answer}");
            }
        }
    }
    server.assert_clean();
}

#[test]
fn a_tag_that_cannot_be_made_says_why() {
    let server = TestServer::with(&[("NUAGE_LIMITS__TAGS_PER_SPACE_MAX", "2")]);
    let alice = server.user("alice");
    let tags = "/remote.php/dav/systemtags/";
    let make = |name: &str| {
        let body = format!("{{\"name\":\"{name}\"}}");
        let call = alice.raw("POST", tags).body(body);
        call.header("Accept-Language", "fr").send()
    };
    let place = make("one").expect(201);
    let place = place.header("content-location").unwrap().to_owned();
    make("two").expect(201);
    let rename = |name: &str| {
        let body = format!(
            "<d:propertyupdate xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'><d:set><d:prop>\
             <oc:display-name>{name}</oc:display-name></d:prop></d:set></d:propertyupdate>"
        );
        alice.raw("PROPPATCH", &place).body(body).send()
    };
    for (answer, status, class, words) in [
        (make("TWO"), 409, "Conflict", "existe déjà"),
        (make(" "), 400, "BadRequest", "ne peut porter ce nom"),
        (make("a/b"), 400, "BadRequest", "ne peut porter ce nom"),
        (
            make("three"),
            507,
            "InsufficientStorage",
            "déjà 2 étiquettes",
        ),
        (rename("Two"), 409, "Conflict", "exists already"),
        (rename("a/b"), 400, "BadRequest", "this name"),
    ] {
        let text = answer.expect(status).text();
        assert!(text.contains(&format!("Exception\\{class}<")), "{text}");
        assert!(text.contains(words), "{text}");
    }
    rename("ONE").expect(207);
    server.assert_clean();
}
