//! Files that arrive in parts: MKCOL, PUT, MOVE below `/remote.php/dav/uploads`.

use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::data::Chance;
use nuage_tests::data::Pattern;
use nuage_tests::data::bytes;
use nuage_tests::http::Answer;
use nuage_tests::http::Payload;
use nuage_tests::shape::Ground;
use nuage_tests::shape::Shape;
use nuage_tests::user::Call;
use nuage_tests::wait::pause;
use sha1::Digest;
use sha1::Sha1;

use crate::servers::servers;

const MIB: usize = 1 << 20;

/// An upload of one user.
struct Parts<'a> {
    user: &'a User,
    place: String,
}

impl<'a> Parts<'a> {
    fn of(user: &'a User, name: &str) -> Self {
        let place = format!("/remote.php/dav/uploads/{}/{name}", user.name);
        Self { user, place }
    }

    fn begun(user: &'a User, name: &str) -> Self {
        let parts = Self::of(user, name);
        parts.begin().send().expect(201);
        parts
    }

    fn begin(&self) -> Call<'_> {
        self.user.raw("MKCOL", &self.place)
    }

    fn call(&self, method: &str, name: &str) -> Call<'_> {
        self.user.raw(method, &format!("{}/{name}", self.place))
    }

    #[track_caller]
    fn put(&self, name: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.call("PUT", name).body(body).send()
    }

    fn finish(&self, to: &str) -> Call<'_> {
        let to = format!("/remote.php/dav/files/{}{to}", self.user.name);
        self.call("MOVE", ".file").header("Destination", &to)
    }

    fn list(&self) -> Answer {
        self.user
            .raw("PROPFIND", &self.place)
            .header("Depth", "1")
            .body(
                "<propfind xmlns='DAV:'><prop><resourcetype/><getcontentlength/></prop></propfind>",
            )
            .send()
    }

    /// Returns the names of the parts that came, in the order of the listing.
    #[track_caller]
    fn names(&self) -> Vec<String> {
        let text = self.list().expect(207).text();
        let hrefs = text.split("<d:href>").skip(1);
        let hrefs = hrefs.filter_map(|rest| rest.split("</d:href>").next());
        hrefs
            .filter_map(|href| href.strip_prefix(&format!("{}/", self.place)))
            .filter(|name| !name.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }
}

fn sha1(body: &[u8]) -> String {
    Sha1::digest(body)
        .iter()
        .fold("SHA1:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn programs_number_their_parts_in_several_ways() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let body = bytes(1, 5 * MIB);
    let (first, second, third) = (&body[..2 * MIB], &body[2 * MIB..4 * MIB], &body[4 * MIB..]);
    for (style, names) in [
        (
            "zero",
            ["0000000000000000", "0000000000000001", "0000000000000002"],
        ),
        ("five", ["00001", "00002", "00003"]),
        (
            "offset",
            ["0000000000000000", "0000000002097152", "0000000004194304"],
        ),
        ("bare", ["9", "10", "11"]),
        (
            "rclone",
            [
                "000000000000000-000000002097151",
                "000000002097152-000000004194303",
                "000000004194304-000000005242879",
            ],
        ),
    ] {
        let parts = Parts::of(&alice, style);
        let place = format!("http://cloud.example/remote.php/dav/files/alice/{style}.bin");
        parts
            .begin()
            .header("Destination", &place)
            .header("OC-Total-Length", &body.len().to_string())
            .send()
            .expect(201);
        parts.begin().send().expect(405);
        for (name, part) in names.iter().zip([first, second, third]) {
            parts.put(name, part).expect(201);
        }
        assert_eq!(parts.names(), names);
        let listed = parts.list().text();
        assert!(
            listed.contains("<d:getcontentlength>1048576</d:getcontentlength>"),
            "{listed}"
        );
        parts.call("GET", names[0]).send().expect(405);

        let answer = parts
            .finish(&format!("/{style}.bin"))
            .header("OC-Total-Length", &body.len().to_string())
            .header("OC-Checksum", &sha1(&body))
            .header("X-OC-Mtime", "1795451400")
            .send()
            .expect(201);

        assert_eq!(answer.header("x-oc-mtime"), Some("accepted"));
        assert_eq!(answer.header("oc-etag"), Some(answer.etag().as_str()));
        assert!(answer.header("oc-fileid").is_some());
        let got = alice.get(&format!("/{style}.bin")).send().expect(200);
        assert!(got.body == body, "{style}");
        assert_eq!(got.etag(), answer.etag());
        assert_eq!(got.header("oc-checksum"), Some(sha1(&body).as_str()));
        assert_eq!(
            got.header("last-modified"),
            Some("Mon, 23 Nov 2026 16:30:00 GMT")
        );
        parts.list().expect(404);
        parts.put(names[0], "late").expect(404);
    }
    server.assert_clean();
}

#[test]
fn parts_come_in_any_order_at_once_and_again() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut chance = Chance::new("parts");
    for round in 0..4 {
        let parts = Parts::begun(&alice, &format!("t{round}"));
        // Nothing, small ones that stay in the database, and some of several chunks.
        let lengths: Vec<usize> = (0..24)
            .map(|_| match chance.between(0, 4) {
                0 => 0,
                1 => usize::try_from(chance.between(1, 10_000)).unwrap(),
                2 => usize::try_from(chance.between(10_000, 200_000)).unwrap(),
                _ => usize::try_from(chance.between(200_000, 1_500_000)).unwrap(),
            })
            .collect();
        let part = |number: usize| bytes((round * 100 + number) as u64, lengths[number]);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        for at in (1..order.len()).rev() {
            let other = usize::try_from(chance.between(0, at as u64 + 1)).unwrap();
            order.swap(at, other.min(at));
        }
        std::thread::scope(|scope| {
            for lane in order.chunks(6) {
                let (parts, part) = (&parts, &part);
                scope.spawn(move || {
                    for number in lane {
                        parts.put(&number.to_string(), "wrong").expect(201);
                        parts
                            .put(&format!("{number:05}"), part(*number))
                            .expect(201);
                    }
                });
            }
        });
        parts.put("77", "stray").expect(201);
        parts.call("DELETE", "0077").send().expect(204);
        parts.call("DELETE", "0077").send().expect(404);
        assert_eq!(parts.names().len(), lengths.len());
        let whole: Vec<u8> = (0..lengths.len()).flat_map(part).collect();

        parts
            .finish("/whole")
            .header("OC-Checksum", &sha1(&whole))
            .send()
            .expect(if round == 0 { 201 } else { 204 });

        let got = alice.get("/whole").send().expect(200).body;
        assert!(got == whole, "{} bytes, not {}", got.len(), whole.len());
        let range = alice.get("/whole").range("bytes=1000000-1999999").send();
        assert!(range.expect(206).body == whole[1_000_000..2_000_000]);
    }
    server.assert_clean();
}

#[test]
fn putting_the_parts_together_writes_no_content() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let parts = Parts::begun(&alice, "t");
    let body = bytes(3, 48 * MIB);
    for (number, part) in body.chunks(10_000_000).enumerate() {
        parts.put(&number.to_string(), part).expect(201);
    }
    let before = server.data.bytes_on_disk();

    parts.finish("/big").send().expect(201);

    let growth = server.data.bytes_on_disk().saturating_sub(before);
    report(&format!("MOVE of 48 MiB in parts: {growth} bytes more"));
    assert!(growth < MIB as u64, "{growth} bytes");
    assert!(alice.get("/big").send().expect(200).body == body);

    // A new version in parts finds what the old one has.
    let mut next = body.clone();
    next.splice(20_000_000..20_000_100, bytes(4, 1_000));
    let before = server.data.bytes_on_disk();
    let parts = Parts::of(&alice, "u");
    parts
        .begin()
        .header("Destination", "/remote.php/dav/files/alice/big")
        .header("OC-Total-Length", &next.len().to_string())
        .send()
        .expect(201);
    for (number, part) in next.chunks(10_000_000).enumerate() {
        parts.put(&number.to_string(), part).expect(201);
    }
    parts.finish("/big").send().expect(204);
    let growth = server.data.bytes_on_disk().saturating_sub(before);
    report(&format!(
        "1 kB changed in 48 MiB, sent in parts: {growth} bytes more"
    ));
    assert!(growth < 6 * MIB as u64, "{growth} bytes");
    assert!(alice.get("/big").send().expect(200).body == next);
    server.assert_clean();
}

#[test]
fn asked_again_a_move_answers_the_same_for_a_day() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let parts = Parts::begun(&alice, "t");
    parts.put("1", "hello ").expect(201);
    parts.put("2", "world").expect(201);
    let finish = |parts: &Parts<'_>| parts.finish("/a").header("OC-Total-Length", "11").send();
    let first = finish(&parts).expect(201);
    assert_eq!(alice.get("/a").send().text(), "hello world");

    server.restart();
    let parts = Parts::of(&alice, "t");
    let again = finish(&parts).expect(201);
    assert_eq!(again.etag(), first.etag());
    assert_eq!(again.header("oc-fileid"), first.header("oc-fileid"));

    // Changed since: the tag is still that of what was uploaded, so that the client sees the change.
    alice.put("/a", "newer").send().expect(204);
    assert_eq!(finish(&parts).expect(201).etag(), first.etag());
    assert_eq!(alice.get("/a").send().text(), "newer");
    parts.finish("/elsewhere").send().expect(404);

    // The name is free for another upload.
    let parts = Parts::begun(&alice, "t");
    parts.put("1", "next").expect(201);
    parts.finish("/a").send().expect(204);
    assert_eq!(alice.get("/a").send().text(), "next");

    server.data.advance(2 * 86_400);
    server.data.command(&["gc", "--now"]).ok();
    finish(&parts).expect(404);
    server.assert_clean();
}

#[test]
fn a_move_that_fails_leaves_the_upload_as_it_was() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let stale = alice.put("/a", "one").send().expect(201).etag();
    let fresh = alice.put("/a", "two").send().expect(204).etag();
    alice.mkcol("/folder").send().expect(201);
    let body = bytes(1, 3 * MIB);
    let parts = Parts::begun(&alice, "t");
    parts.put("1", &body[..MIB]).expect(201);
    parts.put("2", &body[MIB..]).expect(201);
    let tagged = |tag: &str| format!("</remote.php/dav/files/alice/a> ([{tag}])");

    parts
        .finish("/a")
        .header("If", &tagged(&stale))
        .send()
        .expect(412);
    parts.finish("/a").if_match(&stale).send().expect(412);
    parts.finish("/a").keep().send().expect(412);
    parts.finish("/nowhere/a").send().expect(409);
    parts.finish("/folder").send().expect(405);
    parts
        .call("MOVE", ".file")
        .header("Destination", "/elsewhere/a")
        .send()
        .expect(502);
    parts
        .call("MOVE", ".file")
        .header("Destination", "/remote.php/dav/files/bob/a")
        .send()
        .expect(502);
    parts.call("MOVE", ".file").send().expect(400);
    let short = parts
        .finish("/a")
        .header("OC-Total-Length", "5")
        .send()
        .expect(400);
    let words = short.text();
    assert!(
        words.contains("Chunks on server do not sum up to 5"),
        "{words}"
    );
    assert!(
        words.contains("Sabre\\DAV\\Exception\\BadRequest"),
        "{words}"
    );
    let wrong = parts
        .finish("/a")
        .header("OC-Checksum", &sha1(b"other"))
        .send()
        .expect(400);
    assert!(wrong.text().contains("Sabre\\DAV\\Exception\\BadRequest"));
    parts
        .finish("/a")
        .header("X-OC-Mtime", "soon")
        .send()
        .expect(400);
    let lock = alice.locked("/a", "Second-600");
    parts.finish("/a").send().expect(423);
    alice.unlock("/a", &lock).send().expect(204);
    assert_eq!(alice.get("/a").send().text(), "two");
    assert_eq!(parts.names(), ["1", "2"]);

    parts
        .finish("/a")
        .header("If", &tagged(&fresh))
        .header("OC-Checksum", &sha1(&body).to_lowercase())
        .send()
        .expect(204);

    assert!(alice.get("/a").send().body == body);
    server.assert_clean();
}

#[test]
fn the_quota_holds_before_and_in_the_middle() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "3MB"]);
    alice.put("/old", bytes(1, 2_000_000)).send().expect(201);
    let large = Parts::of(&alice, "large");

    let refused = large
        .begin()
        .header("OC-Total-Length", "1000001")
        .send()
        .expect(507);
    assert!(
        refused
            .text()
            .contains("Sabre\\DAV\\Exception\\InsufficientStorage")
    );
    large
        .begin()
        .header("OC-Total-Length", "900000")
        .send()
        .expect(201);
    large.put("1", bytes(2, 600_000)).expect(201);
    // Replacing it takes no more; going beyond is refused, however it is sent.
    large.put("1", bytes(3, 600_000)).expect(201);
    large.put("2", bytes(4, 400_001)).expect(507);
    large
        .call("PUT", "2")
        .body(bytes(4, 500_000))
        .chunked()
        .send()
        .expect(507);
    // What is on its way counts for whatever else comes.
    let other = Parts::begun(&alice, "other");
    other.put("1", bytes(5, 400_001)).expect(507);
    alice.put("/single", bytes(6, 400_001)).send().expect(507);
    alice.copy("/old", "/copy").send().expect(507);
    alice.put("/single", bytes(6, 400_000)).send().expect(201);
    let finish = || large.finish("/large").header("OC-Total-Length", "600000");
    finish().send().expect(201);
    alice.delete("/single").send().expect(204);

    // A new version of a file needs room for what it is longer.
    let next = Parts::of(&alice, "next");
    next.begin()
        .header("Destination", "/remote.php/dav/files/alice/old")
        .header("OC-Total-Length", "2300000")
        .send()
        .expect(201);
    next.put("1", bytes(7, 2_300_000)).expect(201);
    next.finish("/old").send().expect(204);
    server.assert_clean();
}

#[test]
fn what_came_in_parts_holds_its_room_until_it_is_swept() {
    const MB: usize = 1_000_000;
    let server = TestServer::with(&[("NUAGE_UPLOADS__ABANDONED_AFTER_HOURS", "24")]);
    let alice = server.user_with("alice", &["--quota", "100MB"]);
    let parts = Parts::begun(&alice, "t");
    for number in 0..3 {
        let part = bytes(number, 20 * MB);
        parts.put(&number.to_string(), part).expect(201);
    }
    let single = bytes(9, 60 * MB);

    let put = || alice.put("/single", single.clone());
    put().send().expect(507);
    // Its length is known only when it is here.
    put().chunked().send().expect(507);
    server.data.advance(25 * 3_600);
    server.data.command(&["gc", "--now"]).ok();

    parts.list().expect(404);
    put().send().expect(201);
    server.assert_clean();
}

#[test]
fn what_was_answered_before_a_kill_can_be_gone_on_with() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let body = bytes(8, 9 * MIB);
    Parts::begun(&alice, "t");
    for (number, part) in body.chunks(MIB).enumerate() {
        let parts = Parts::of(&alice, "t");
        if number % 3 == 2 {
            server.kill();
            server.start_again();
            assert_eq!(parts.names().len(), number);
        }
        parts.put(&format!("{number:05}"), part).expect(201);
    }
    server.kill();
    server.start_again();
    let parts = Parts::of(&alice, "t");

    parts
        .finish("/a")
        .header("OC-Checksum", &sha1(&body))
        .send()
        .expect(201);

    assert!(alice.get("/a").send().body == body);
    server.assert_clean();
}

#[test]
fn a_part_that_is_cut_short_leaves_nothing() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let parts = Parts::begun(&alice, "t");
    let head = parts
        .call("PUT", "1")
        .header("Content-Length", "500000")
        .into_request();
    let mut connection = alice.connect();
    connection.write(&head.head()).unwrap();
    connection.write(&bytes(1, 300_000)).unwrap();
    drop(connection);

    pause(Duration::from_millis(300));
    assert!(parts.names().is_empty());
    parts.finish("/a").send().expect(400);
    parts.call("DELETE", "").send().expect(204);
    parts.list().expect(404);
    server.assert_clean();
}

#[test]
fn collection_leaves_the_parts_of_a_living_upload_alone() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let body = bytes(9, 6 * MIB);
    // The parts hold what a file held that is gone for good.
    alice.put("/twin", &body[..2 * MIB]).send().expect(201);
    let parts = Parts::begun(&alice, "t");
    for (number, part) in body.chunks(2 * MIB).enumerate() {
        parts.put(&number.to_string(), part).expect(201);
    }
    parts.put("9", "small").expect(201);
    alice.delete("/twin").send().expect(204);
    server.data.command(&["gc", "--now"]).ok();
    server.data.advance(3 * 86_400);
    server.data.command(&["gc", "--now"]).ok();
    server.assert_clean();

    parts.call("DELETE", "9").send().expect(204);
    parts.finish("/a").send().expect(201);
    server.data.command(&["gc", "--now"]).ok();
    assert!(alice.get("/a").send().expect(200).body == body);
    server.assert_clean();
}

#[test]
fn an_abandoned_upload_ends_and_its_bytes_go() {
    let server = TestServer::with(&[("NUAGE_UPLOADS__ABANDONED_AFTER_HOURS", "24")]);
    let alice = server.user("alice");
    let parts = Parts::begun(&alice, "t");
    parts.put("1", bytes(1, 4 * MIB)).expect(201);
    server.data.advance(20 * 3_600);
    // Each part renews it.
    parts.put("2", bytes(2, 4 * MIB)).expect(201);
    server.data.advance(20 * 3_600);
    server.data.command(&["gc", "--now"]).ok();
    assert_eq!(parts.names(), ["1", "2"]);

    server.data.advance(5 * 3_600);
    server.data.command(&["gc", "--now"]).ok();

    parts.list().expect(404);
    parts.finish("/a").send().expect(404);
    assert_eq!(server.data.number("SELECT count(*) FROM upload_part"), 0);
    server.data.advance(86_400);
    server.data.command(&["gc", "--now"]).ok();
    assert_eq!(server.data.number("SELECT count(*) FROM content"), 0);
    server.assert_clean();
}

#[test]
fn nobody_reaches_into_anothers_uploads_and_bad_names_are_refused() {
    let mut server = TestServer::with(&[
        ("NUAGE_UPLOADS__PARTS_MAX", "3"),
        ("NUAGE_UPLOADS__OPEN_MAX", "2"),
    ]);
    let alice = server.user("alice");
    let bob = server.user("bob");
    let parts = Parts::begun(&alice, "t");
    parts.put("1", "a").expect(201);
    let place = |name: &str| format!("/remote.php/dav/uploads/alice{name}");
    for (method, name) in [
        ("MKCOL", "/x"),
        ("PROPFIND", "/t"),
        ("PROPFIND", ""),
        ("PUT", "/t/1"),
        ("DELETE", "/t"),
        ("MOVE", "/t/.file"),
    ] {
        bob.raw(method, &place(name)).send().expect(404);
    }
    for name in [
        "/t/-1",
        "/t/x",
        "/t/1.5",
        "/t/999999999999999999999999999999",
        "/t/%2e%2e",
    ] {
        alice.raw("PUT", &place(name)).body("x").send().expect(400);
    }
    for name in ["/../x", "/..", "/%2e%2e", "/a%2Fb", "/%00"] {
        let status = alice.raw("MKCOL", &place(name)).send().status;
        assert!(status == 400 || status == 404, "{name}: {status}");
    }
    alice.raw("GET", &place("/t")).send().expect(405);
    alice.raw("PUT", &place("/t")).body("x").send().expect(405);
    alice
        .raw("PUT", &place("/t/1/2"))
        .body("x")
        .send()
        .expect(404);
    alice
        .raw("PUT", &place("/unknown/1"))
        .body("x")
        .send()
        .expect(404);
    parts.put("2", "b").expect(201);
    parts.put("3", "c").expect(201);
    parts.put("4", "d").expect(400);
    parts.put("0003", "c").expect(201);
    Parts::begun(&alice, "u");
    Parts::of(&alice, "v").begin().send().expect(507);
    let listed = alice
        .raw("PROPFIND", &place("/"))
        .header("Depth", "1")
        .send();
    let listed = listed.expect(207).text();
    assert!(
        listed.contains("/uploads/alice/t/") && listed.contains("/uploads/alice/u/"),
        "{listed}"
    );
    let reader = server.token(&alice, &["--read-only"]);
    Parts::of(&reader, "r").begin().send().expect(403);
    server.assert_alive();
    server.assert_clean();
}

#[test]
fn memory_for_a_large_upload_in_parts_is_at_most_24_mib() {
    // The allocator gives back at once what is freed, so that only what is in use counts.
    let server = TestServer::with(&[("MIMALLOC_PURGE_DELAY", "0")]);
    let alice = server.user("alice");
    let half = 60 * MIB as u64;
    let transfer = |round: u64| {
        let seeds = [2 * round, 2 * round + 1];
        let halves = seeds.map(|seed| bytes(seed, 60 * MIB));
        let sum = sha1(&halves.concat());
        let parts = Parts::begun(&alice, &format!("t{round}"));
        for (number, seed) in ["00001", "00002"].into_iter().zip(seeds) {
            let mut request = parts.call("PUT", number).into_request();
            request.payload = Payload::Stream(Box::new(Pattern::new(seed, half)), half);
            alice.connect().send(request).unwrap().expect(201);
        }
        let begun = Instant::now();
        parts
            .finish("/big")
            .header("OC-Total-Length", &(2 * half).to_string())
            .header("OC-Checksum", &sum)
            .send()
            .expect_any(&[201, 204]);
        begun.elapsed()
    };
    // The first one is read again to verify a sum that nobody used before; the next is known.
    let first = transfer(0);
    let mut least = u64::MAX;
    let mut took = Duration::MAX;
    for round in 1..4 {
        let before = server.restart_memory_peak();
        took = took.min(transfer(round));
        least = least.min(server.memory_peak_bytes().saturating_sub(before));
        if least <= 16 << 20 {
            break;
        }
    }
    report(&format!(
        "120 MiB in two parts: {} KiB of memory, MOVE in {took:?} ({first:?} with the sum by reading)",
        least >> 10
    ));
    assert!(least <= 16 << 20, "{least} bytes");
}

#[test]
fn memory_for_an_upload_of_over_a_gibibyte_in_parts_is_bounded() {
    const PARTS: u64 = 15;
    const PART: u64 = 74 << 20;
    // An object on its way to S3 is held until the store has it.
    let most = match Shape::of_this_run() {
        Shape::Embedded => 16 << 10,
        Shape::Scaled => 24 << 10,
    };
    // The allocator gives back at once what is freed, so that only what is in use counts.
    let server = TestServer::with(&[("MIMALLOC_PURGE_DELAY", "0")]);
    let alice = server.user("alice");
    let mut seed = 0;
    let mut transfer = |length: u64| {
        seed += 100;
        let total = (PARTS * length).to_string();
        let parts = Parts::of(&alice, &format!("t{seed}"));
        let begin = parts.begin().header("OC-Total-Length", &total);
        begin.send().expect(201);
        for number in 0..PARTS {
            let mut request = parts.call("PUT", &number.to_string()).into_request();
            // Never the same bytes again.
            let body = Box::new(Pattern::new(seed + number, length));
            request.payload = Payload::Stream(body, length);
            alice.connect().send(request).unwrap().expect(201);
        }
        let finish = parts.finish("/big").header("OC-Total-Length", &total);
        finish.send().expect_any(&[201, 204]);
    };
    // What every later upload uses again is not this one's: threads, compressors, caches, and what the allocator keeps for
    // each thread of what others have freed. That is some 15 MiB, which come with the first hundreds of
    // megabytes, whether in parts or not; so the least of some tries counts.
    transfer(4 << 20);
    let mut tried = Vec::new();
    for _ in 0..5 {
        let before = server.restart_memory_peak();
        transfer(PART);
        tried.push(server.memory_peak_bytes().saturating_sub(before) >> 10);
        if tried.last().is_some_and(|added| *added <= most) {
            break;
        }
    }
    let least = tried.iter().min().copied().unwrap_or(u64::MAX);
    report(&format!(
        "{} MiB of new bytes in {PARTS} parts: {tried:?} KiB of memory",
        (PARTS * PART) >> 20
    ));
    assert!(least <= most, "{least} KiB");
}

#[test]
fn an_upload_of_more_than_ten_thousand_parts_is_refused_in_the_middle() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let parts = Parts::begun(&alice, "t");
    parts.put("0", "x").expect(201);
    // As if so many had come, one by one; the last that fits and the first that does not are real.
    server.data.execute(
        "INSERT INTO upload_part (upload_id, number, name, content_id, size, chunk, at) \
         SELECT p.upload_id, n.i, CAST(n.i AS TEXT), p.content_id, 1, p.chunk, p.at \
         FROM upload_part p, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
         WHERE i < 9998) SELECT i FROM n) n; \
         UPDATE upload SET parts = 9999, received = 9999;",
    );

    parts.put("9999", "y").expect(201);
    let refused = parts.put("10000", "z").expect(400);
    assert!(refused.text().contains("10000"), "{refused}");
    // One that has a number already takes the place of that.
    parts.put("500", "w").expect(201);
    parts
        .finish("/a")
        .header("OC-Total-Length", "10000")
        .send()
        .expect(201);

    let mut expected = vec![b'x'; 10_000];
    (expected[500], expected[9_999]) = (b'w', b'y');
    assert!(alice.get("/a").send().expect(200).body == expected);
    server.assert_clean();
}

#[test]
fn parts_through_different_servers_become_one_file() {
    if !matches!(Shape::of_this_run(), Shape::Scaled) {
        return;
    }
    let servers = servers(&Ground::shared(), 2, &[]);
    let here = servers[0].user("alice");
    let there = servers[1].client("alice", &here.secret);
    let body = bytes(10, 5 * MIB);
    Parts::begun(&here, "t");
    for (number, part) in body.chunks(600_000).enumerate() {
        let user = if number % 2 == 0 { &here } else { &there };
        Parts::of(user, "t")
            .put(&number.to_string(), part)
            .expect(201);
    }

    let first = Parts::of(&there, "t")
        .finish("/a")
        .header("OC-Checksum", &sha1(&body))
        .send()
        .expect(201);

    let again = Parts::of(&here, "t").finish("/a").send().expect(201);
    assert_eq!(first.etag(), again.etag());
    assert!(here.get("/a").send().expect(200).body == body);
    servers[0].assert_clean();
}

#[test]
fn missing_folders_above_are_made_where_the_client_asks() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let auto = ("X-NC-WebDAV-Auto-Mkcol", "1");
    alice.put("/a/b/c", "x").send().expect(409);
    alice
        .put("/a/b/c", "x")
        .header(auto.0, auto.1)
        .send()
        .expect(201);
    alice
        .put("/a/b/c", "y")
        .header(auto.0, auto.1)
        .send()
        .expect(204);
    let parts = Parts::of(&alice, "t");
    let target = "/remote.php/dav/files/alice/d/e/f";
    parts
        .begin()
        .header("Destination", target)
        .send()
        .expect(409);
    parts
        .begin()
        .header("Destination", target)
        .header(auto.0, auto.1)
        .send()
        .expect(201);
    parts.put("1", "z").expect(201);
    parts.finish("/d/e/f").send().expect(409);
    parts
        .finish("/d/e/f")
        .header(auto.0, auto.1)
        .send()
        .expect(201);
    assert_eq!(alice.get("/d/e/f").send().text(), "z");
    server.assert_clean();
}

#[test]
fn a_checksum_is_told_when_asked_and_strange_headers_do_no_harm() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let body = bytes(1, 3 * MIB);
    alice.put("/a", body.clone()).send().expect(201);

    let answer = alice
        .call("PATCH", "/a")
        .header("X-Recalculate-Hash", "sha1")
        .send();

    let answer = answer.expect(204);
    assert_eq!(answer.header("oc-checksum"), Some(sha1(&body).as_str()));
    assert_eq!(answer.etag(), alice.etag_of("/a"));
    alice.call("PATCH", "/a").send().expect(405);
    alice
        .call("PATCH", "/a")
        .header("X-Recalculate-Hash", "CRC")
        .send()
        .expect(400);
    alice
        .call("PATCH", "/gone")
        .header("X-Recalculate-Hash", "MD5")
        .send()
        .expect(404);
    alice
        .call("PATCH", "/")
        .header("X-Recalculate-Hash", "MD5")
        .send()
        .expect(405);

    alice
        .put("/b-chunking-12-3-0", "x")
        .header("OC-Chunked", "1")
        .send()
        .expect(400);
    alice
        .put("/b", "x")
        .header("OC-Checksum", "SHA3-256:abcdef")
        .send()
        .expect(201);
    alice
        .put("/b", "x")
        .header("OC-Checksum", "nothing")
        .send()
        .expect(400);
    alice
        .put("/b", "x")
        .header("OC-Total-Length", "2")
        .send()
        .expect(400);
    for (time, shown) in [("0", "Fri, 02 Jan 1970"), ("-7", "Fri, 02 Jan 1970")] {
        let put = alice
            .put("/b", "x")
            .header("X-OC-Mtime", time)
            .send()
            .expect(204);
        assert_eq!(put.header("x-oc-mtime"), Some("accepted"));
        let got = alice.get("/b").send();
        assert!(
            got.header("last-modified").unwrap().starts_with(shown),
            "{time}"
        );
    }
}
