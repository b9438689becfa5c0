//! GET and HEAD: ranges, validators, safe headers.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::bytes;

fn stored(server: &TestServer, length: usize) -> (User, Vec<u8>) {
    let alice = server.user("alice");
    let body = bytes(7, length);
    alice.put("/a", body.clone()).send().expect(201);
    (alice, body)
}

#[test]
fn every_kind_of_range_returns_just_those_bytes() {
    let server = TestServer::start();
    let (alice, body) = stored(&server, 300_000);
    let cases: &[(&str, std::ops::Range<usize>)] = &[
        ("bytes=0-0", 0..1),
        ("bytes=0-", 0..300_000),
        ("bytes=-1", 299_999..300_000),
        ("bytes=-999999", 0..300_000),
        ("bytes=299999-", 299_999..300_000),
        ("bytes=1000-999999999", 1_000..300_000),
        ("bytes=65530-65545", 65_530..65_546),
        ("bytes=100000-200000", 100_000..200_001),
    ];

    for (asked, range) in cases {
        let answer = alice.get("/a").range(asked).send().expect(206);
        assert!(answer.body == body[range.clone()], "{asked}");
        let expected = format!("bytes {}-{}/300000", range.start, range.end - 1);
        assert_eq!(
            answer.header("content-range"),
            Some(expected.as_str()),
            "{asked}"
        );
    }
}

#[test]
fn a_range_behind_the_end_is_416_and_says_the_length() {
    let server = TestServer::start();
    let (alice, _) = stored(&server, 1_000);

    let answer = alice.get("/a").range("bytes=1000-").send().expect(416);

    assert_eq!(answer.header("content-range"), Some("bytes */1000"));
}

#[test]
fn what_is_no_range_is_ignored_or_refused_but_never_answered_with_wrong_bytes() {
    let server = TestServer::start();
    let (alice, body) = stored(&server, 1_000);
    let many = format!("bytes={}", vec!["0-0"; 5_000].join(","));
    let odd = [
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "lines=0-1",
        "bytes=99999999999999999999999-",
        "bytes=0-99999999999999999999999",
        "bytes=-0",
        "bytes=--1",
        "bytes=0-1-2",
        "bytes=1 - 2",
        many.as_str(),
    ];

    for asked in odd {
        let answer = alice.get("/a").range(asked).send();
        match answer.status {
            200 => assert!(answer.body == body, "{asked}"),
            206 => assert!(
                answer.body.len() <= 1_000_000 && !answer.body.is_empty(),
                "{asked}"
            ),
            status => assert!([400, 416, 431].contains(&status), "{asked}: {answer}"),
        }
    }
}

#[test]
fn several_ranges_are_answered_in_parts_or_whole() {
    let server = TestServer::start();
    let (alice, body) = stored(&server, 10_000);

    let answer = alice.get("/a").range("bytes=0-9,5000-5009").send();

    if answer.status == 200 {
        assert!(answer.body == body);
        return;
    }
    assert_eq!(answer.status, 206);
    let kind = answer.header("content-type").unwrap().to_owned();
    assert!(kind.starts_with("multipart/byteranges"), "{kind}");
    let holds = |part: &[u8]| answer.body.windows(part.len()).any(|window| window == part);
    assert!(holds(&body[0..10]) && holds(&body[5_000..5_010]));
}

#[test]
fn if_range_gives_the_whole_file_when_it_has_changed() {
    let server = TestServer::start();
    let (alice, body) = stored(&server, 1_000);
    let etag = alice.etag_of("/a");

    let same = alice
        .get("/a")
        .range("bytes=0-9")
        .header("If-Range", &etag)
        .send()
        .expect(206);
    let other = alice
        .get("/a")
        .range("bytes=0-9")
        .header("If-Range", "\"old\"")
        .send()
        .expect(200);

    assert_eq!(same.body, body[..10]);
    assert_eq!(other.body, body);
}

#[test]
fn conditions_decide_before_ranges() {
    let server = TestServer::start();
    let (alice, _) = stored(&server, 1_000);
    let etag = alice.etag_of("/a");

    alice.get("/a").if_none_match(&etag).send().expect(304);
    alice.get("/a").if_none_match("*").send().expect(304);
    alice
        .get("/a")
        .if_none_match(&format!("\"x\", W/{etag}"))
        .send()
        .expect(304);
    alice
        .get("/a")
        .if_none_match(&etag)
        .range("bytes=0-9")
        .send()
        .expect(304);
    alice.get("/a").if_none_match("\"x\"").send().expect(200);
    alice.get("/a").if_match(&etag).send().expect(200);
    alice.get("/a").if_match("\"x\"").send().expect(412);
    alice
        .get("/a")
        .if_match("\"x\"")
        .range("bytes=0-9")
        .send()
        .expect(412);
    let modified = alice
        .head("/a")
        .send()
        .header("last-modified")
        .unwrap()
        .to_owned();
    alice
        .get("/a")
        .header("If-Modified-Since", &modified)
        .send()
        .expect(304);
    alice
        .get("/a")
        .header("If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:40 GMT")
        .send()
        .expect(412);
    // RFC 9110 section 13.1.3: a date that cannot be read is ignored, and If-None-Match wins.
    alice
        .get("/a")
        .header("If-Modified-Since", "yesterday")
        .send()
        .expect(200);
    alice
        .get("/a")
        .if_none_match("\"x\"")
        .header("If-Modified-Since", &modified)
        .send()
        .expect(200);
}

#[test]
fn head_says_what_get_would_and_sends_nothing() {
    let server = TestServer::start();
    let (alice, _) = stored(&server, 70_000);

    let head = alice.head("/a").send().expect(200);
    let get = alice.get("/a").send().expect(200);

    for name in [
        "content-length",
        "etag",
        "content-type",
        "last-modified",
        "accept-ranges",
    ] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert!(head.body.is_empty());
    alice.head("/none").send().expect(404);
}

#[test]
fn stored_html_cannot_run_in_the_servers_origin() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice
        .put("/a.html", "<script>alert(1)</script>")
        .send()
        .expect(201);

    let answer = alice.get("/a.html").send().expect(200);

    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer.header("content-security-policy").unwrap_or_default();
    let disposition = answer.header("content-disposition").unwrap_or_default();
    assert!(
        policy.contains("sandbox")
            || policy.contains("default-src 'none'")
            || disposition.starts_with("attachment"),
        "{answer}"
    );
}

#[test]
fn a_reader_sees_one_version_whole_while_others_overwrite() {
    let server = TestServer::start();
    let alice = server.user("alice");
    // Each version is one byte repeated, so a mixture shows.
    let version = |number: u8| vec![number; 700_000];
    alice.put("/a", version(0)).send().expect(201);

    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=20 {
                alice.put("/a", version(number)).send().expect(204);
            }
        });
        while !writer.is_finished() {
            let body = alice.get("/a").send().expect(200).body;
            assert_eq!(body.len(), 700_000);
            assert!(
                body.iter().all(|byte| *byte == body[0]),
                "two versions in one answer"
            );
        }
    });
}
