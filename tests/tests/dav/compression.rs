//! Listings are compressed for clients that ask for it, and files never are.

use std::io::Read;
use std::time::Instant;

use flate2::read::GzDecoder;
use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::http::Answer;
use nuage_tests::multistatus::Multistatus;
use nuage_tests::shape::embedded_only;

/// What the desktop program asks of each folder.
const ASKED: [&str; 9] = [
    "d:resourcetype",
    "d:getlastmodified",
    "d:getcontentlength",
    "d:getetag",
    "oc:size",
    "oc:id",
    "oc:fileid",
    "oc:permissions",
    "oc:checksums",
];

#[track_caller]
fn unpacked(answer: &Answer) -> Vec<u8> {
    let coding = answer.header("content-encoding");
    assert_eq!(coding, Some("gzip"), "{:?}", answer.headers);
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    let mut whole = Vec::new();
    GzDecoder::new(answer.body.as_slice())
        .read_to_end(&mut whole)
        .unwrap();
    whole
}

#[track_caller]
fn is_plain(answer: &Answer) {
    let coding = answer.header("content-encoding");
    assert_eq!(coding, None, "{:?}", answer.headers);
}

/// Makes a folder of 10 000 files in a few requests.
fn ten_thousand(alice: &User, path: &str) {
    alice.folders(path);
    for number in 0..100 {
        let file = format!("{path}/a picture of {number:02}");
        alice.put(&file, format!("{number}")).send().expect(201);
    }
    let files = alice.names(path);
    std::thread::scope(|scope| {
        for batch in files.chunks(25) {
            scope.spawn(move || {
                for name in batch {
                    for number in 1..100 {
                        let from = format!("{path}/{name}");
                        let to = format!("{path}/{name}.{number:02}.jpeg");
                        alice.copy(&from, &to).send().expect(201);
                    }
                }
            });
        }
    });
}

#[test]
fn a_listing_of_ten_thousand_shrinks_for_who_asks_and_says_the_same() {
    if embedded_only("it is about the text of a listing, wherever that is read") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    ten_thousand(&alice, "/photos");
    let list = |accepted: Option<&str>| {
        let call = alice.propfind("/photos", "1", &ASKED);
        let call = match accepted {
            Some(accepted) => call.header("Accept-Encoding", accepted),
            None => call,
        };
        let begun = Instant::now();
        let answer = call.send().expect(207);
        (answer, begun.elapsed())
    };
    let mut fastest = [std::time::Duration::MAX; 2];
    for _ in 0..5 {
        fastest[0] = fastest[0].min(list(None).1);
        fastest[1] = fastest[1].min(list(Some("gzip, deflate")).1);
    }
    let (plain, _) = list(None);
    is_plain(&plain);
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    let (packed, _) = list(Some("gzip, deflate"));
    let whole = unpacked(&packed);
    assert!(whole == plain.body, "the same text");
    assert_eq!(Multistatus::parse(&whole).entries.len(), 10_001);
    report(&format!(
        "a listing of 10 000: {} bytes in {:?}, compressed {} bytes in {:?}",
        plain.body.len(),
        fastest[0],
        packed.body.len(),
        fastest[1],
    ));
    assert!(packed.body.len() * 8 < plain.body.len());
    is_plain(&list(Some("gzip;q=0")).0);
    server.assert_clean();
}

#[test]
fn files_and_small_answers_stay_as_they_are() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    let text = "<a>all the same</a>".repeat(5_000);
    alice.folders("/d");
    alice.put("/d/listing.xml", text.clone()).send().expect(201);
    let file = alice
        .get("/d/listing.xml")
        .header("Accept-Encoding", "gzip");
    let file = file.send().expect(200);
    is_plain(&file);
    let length = text.len().to_string();
    assert_eq!(file.header("content-length"), Some(length.as_str()));
    assert!(file.body == text.as_bytes());
    alice.delete("/d/listing.xml").send().expect(204);

    let one = alice.propfind("/", "0", &["d:getetag"]);
    is_plain(&one.header("Accept-Encoding", "gzip").send().expect(207));
    for number in 0..30 {
        let file = format!("/d/{number}");
        alice.put(&file, "x").send().expect(201);
        let favourite = "<d:set><d:prop><oc:favorite>1</oc:favorite></d:prop></d:set>";
        alice.proppatch(&file, favourite).send().expect(207);
    }
    let report = "<oc:filter-files xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:prop>\
        <d:getetag/></d:prop><oc:filter-rules><oc:favorite>1</oc:favorite></oc:filter-rules>\
        </oc:filter-files>";
    let favourites = alice.call("REPORT", "/").body(report);
    let favourites = favourites.header("Accept-Encoding", "gzip").send();
    let found = Multistatus::parse(&unpacked(&favourites.expect(207)));
    assert_eq!(found.entries.len(), 30);
    let searched = "<d:searchrequest xmlns:d=\"DAV:\"><d:basicsearch><d:select><d:prop><d:getetag/>\
        </d:prop></d:select><d:from><d:scope><d:href>/files/alice</d:href><d:depth>infinity</d:depth>\
        </d:scope></d:from></d:basicsearch></d:searchrequest>";
    let searched = alice.raw("SEARCH", "/remote.php/dav/").body(searched);
    let searched = searched.header("Accept-Encoding", "gzip").send();
    unpacked(&searched.expect(207));
    server.assert_clean();
}

#[test]
fn ocs_is_compressed_for_programs_and_never_where_it_gives_a_secret() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let capabilities = "/ocs/v2.php/cloud/capabilities?format=json";
    let ask = |target: &str| alice.raw("GET", target).header("Accept-Encoding", "gzip");
    let packed = ask(capabilities).header("OCS-APIRequest", "true");
    let packed = packed.send().expect(200);
    let text = String::from_utf8(unpacked(&packed)).unwrap();
    assert!(text.contains("\"statuscode\":200"), "{text}");
    let tag = packed.etag();
    assert!(tag.starts_with("W/\""), "{tag}");
    for again in [ask(capabilities), alice.raw("GET", capabilities)] {
        let again = again.header("OCS-APIRequest", "true");
        again.if_none_match(&tag).send().expect(304);
    }
    let xml = ask("/ocs/v1.php/cloud/capabilities").header("OCS-APIRequest", "true");
    assert!(unpacked(&xml.send().expect(200)).starts_with(b"<?xml"));
    // A foreign page could make a browser send this.
    is_plain(&ask(capabilities).send().expect(200));
    let secret = ask("/ocs/v2.php/core/getapppassword").header("OCS-APIRequest", "true");
    let secret = secret.send().expect(200);
    is_plain(&secret);
    assert_eq!(secret.header("vary"), None);
    server.assert_clean();
}
