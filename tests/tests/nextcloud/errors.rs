//! What sync clients decide by when a request fails: the class of the exception, the status, and words for a person.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::bytes;
use nuage_tests::http::Answer;
use nuage_tests::user::Call;

const INVALID_PATH: &str = r"OCA\DAV\Connector\Sabre\Exception\InvalidPath";
const FILE_LOCKED: &str = r"OCA\DAV\Connector\Sabre\Exception\FileLocked";
const TOO_LARGE: &str = r"OCA\DAV\Connector\Sabre\Exception\EntityTooLarge";

/// What is between two marks of an answer's text.
#[track_caller]
fn between(answer: &Answer, element: &str) -> String {
    let text = answer.text();
    let start = text.split_once(&format!("<{element}>"));
    let inside = start.and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
    let inside = inside.unwrap_or_else(|| panic!("no {element}: {answer}"));
    inside.0.to_owned()
}

/// A failure: the status and the class that it must have, and a request that meets it each time it is sent.
type Row<'a> = (u16, &'static str, Box<dyn Fn() -> Call<'a> + 'a>);

fn rows<'a>(alice: &'a User, others: &'a [User; 3]) -> Vec<Row<'a>> {
    let [reader, stranger, guesser] = others;
    let prefix = &alice.prefix;
    let put = |path: &str| alice.put(path, "x");
    vec![
        (
            400,
            INVALID_PATH,
            Box::new(move || alice.raw("PUT", &format!("{prefix}/a%07b")).body("x")),
        ),
        (
            400,
            INVALID_PATH,
            Box::new(move || {
                let to = format!("{prefix}/new%07name");
                alice.call("MOVE", "/file").header("Destination", &to)
            }),
        ),
        (
            400,
            "BadRequest",
            Box::new(move || put("/new").header("Content-Range", "bytes 0-0/9")),
        ),
        (
            400,
            "BadRequest",
            Box::new(move || {
                put("/new").header("OC-Checksum", "MD5:00000000000000000000000000000000")
            }),
        ),
        (
            400,
            "BadRequest",
            Box::new(move || put("/new").header("OC-Total-Length", "7")),
        ),
        (
            400,
            "BadRequest",
            Box::new(move || alice.call("PROPFIND", "/").body("<no xml")),
        ),
        (
            401,
            "NotAuthenticated",
            Box::new(move || stranger.get("/file")),
        ),
        (
            429,
            "TooManyRequests",
            Box::new(move || guesser.get("/file")),
        ),
        (403, "Forbidden", Box::new(move || reader.put("/file", "x"))),
        (
            403,
            "Forbidden",
            Box::new(move || alice.mv("/folder", "/folder/below")),
        ),
        (404, "NotFound", Box::new(move || alice.get("/nothing"))),
        (404, "NotFound", Box::new(move || alice.delete("/nothing"))),
        (
            405,
            "MethodNotAllowed",
            Box::new(move || alice.mkcol("/folder")),
        ),
        (405, "MethodNotAllowed", Box::new(move || put("/folder"))),
        (409, "Conflict", Box::new(move || alice.mkcol("/none/x"))),
        (409, "Conflict", Box::new(move || put("/none/x"))),
        (
            409,
            "Conflict",
            Box::new(move || alice.mv("/file", "/none/x")),
        ),
        (
            412,
            "PreconditionFailed",
            Box::new(move || put("/file").if_match("\"old\"")),
        ),
        (
            412,
            "PreconditionFailed",
            Box::new(move || put("/file").if_none_match("*")),
        ),
        (
            412,
            "PreconditionFailed",
            Box::new(move || alice.mv("/file", "/folder").keep()),
        ),
        (
            412,
            "PreconditionFailed",
            Box::new(move || put("/file").header("If", "([\"old\"])")),
        ),
        (
            413,
            TOO_LARGE,
            Box::new(move || alice.call("PROPFIND", "/").body(bytes(1, 2 << 20))),
        ),
        (
            415,
            "UnsupportedMediaType",
            Box::new(move || put("/new").header("Content-Encoding", "gzip")),
        ),
        (423, FILE_LOCKED, Box::new(move || put("/locked"))),
        (423, FILE_LOCKED, Box::new(move || alice.delete("/locked"))),
        (
            502,
            r"Sabre\DAV\Exception",
            Box::new(move || {
                let to = "https://elsewhere.example/dav/x";
                alice.call("MOVE", "/file").header("Destination", to)
            }),
        ),
        (
            507,
            "InsufficientStorage",
            Box::new(move || alice.put("/new", bytes(2, 30_000))),
        ),
    ]
}

#[test]
fn each_failure_has_the_class_by_which_clients_decide_and_words_for_people() {
    let server = TestServer::start();
    let alice = server
        .user_with("alice", &["--quota", "20KB"])
        .at_remote_php();
    let carol = server.user("carol");
    alice.put("/file", "12345").send().expect(201);
    alice.put("/locked", "x").send().expect(201);
    alice.folders("/folder");
    alice.locked("/locked", "Second-600");
    let mut reader = server.token(&alice, &["--read-only"]);
    reader.prefix.clone_from(&alice.prefix);
    let guesser = carol.with_secret("guess");
    while guesser.get("/").send().status != 429 {}
    let others = [reader, server.client("bob", "no password"), guesser];

    for (status, class, request) in rows(&alice, &others) {
        let [english, french] = ["en", "fr"].map(|language| {
            let answer = request().header("Accept-Language", language).send();
            let answer = answer.expect(status);
            let kind = answer.header("content-type");
            assert_eq!(kind, Some("application/xml; charset=utf-8"), "{answer}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
            let told = between(&answer, "s:exception");
            let whole = class.contains('\\');
            let expected = if whole {
                class.to_owned()
            } else {
                format!(r"Sabre\DAV\Exception\{class}")
            };
            assert_eq!(told, expected, "{answer}");
            answer
        });
        let words = [&english, &french].map(|answer| between(answer, "s:message"));
        assert!(words.iter().all(|words| !words.is_empty()), "{english}");
        assert_ne!(words[0], words[1], "{english}");
        let is_final = english
            .text()
            .contains("<o:retry xmlns:o=\"o:\">false</o:retry>");
        assert_eq!(is_final, class == INVALID_PATH, "{english}");
    }
    alice.get("/new").send().expect(404);
    let full = alice.put("/new", bytes(2, 30_000)).send().expect(507);
    let sizes = "Insufficient space, 30000 required, 19994 available";
    assert!(full.text().contains(sizes), "{full}");
    server.assert_clean();
}
