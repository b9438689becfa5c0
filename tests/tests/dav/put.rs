//! PUT: what is stored, under which conditions, and what a failed one leaves.

use md5::Digest;
use nuage_tests::TestServer;
use nuage_tests::command::report;
use nuage_tests::data::Pattern;
use nuage_tests::data::bytes;
use nuage_tests::shape::Shape;

/// Sizes at which something changes: nothing, one byte, around the largest body that travels in
/// the commit (16 KiB), around one chunk (64 KiB), several chunks, and around a change of profile (4 MiB).
const SIZES: &[usize] = &[
    0,
    1,
    (16 << 10) - 1,
    16 << 10,
    (16 << 10) + 1,
    64 << 10,
    (64 << 10) + 1,
    300_000,
    4 << 20,
    (4 << 20) + 1,
    9_000_000,
];

#[test]
fn every_size_reads_back_byte_for_byte_also_after_a_restart() {
    let mut server = TestServer::start();
    let alice = server.user("alice");

    for size in SIZES {
        let body = bytes(*size as u64, *size);
        alice.put(&format!("/f{size}"), body).send().expect(201);
    }

    for _ in 0..2 {
        for size in SIZES {
            let answer = alice.get(&format!("/f{size}")).send().expect(200);
            assert_eq!(
                answer.header("content-length"),
                Some(size.to_string().as_str())
            );
            assert!(
                answer.body == bytes(*size as u64, *size),
                "{size} bytes differ"
            );
        }
        server.restart();
    }
    server.assert_clean();
}

#[test]
fn a_body_without_a_length_is_stored_whole() {
    let server = TestServer::start();
    let alice = server.user("alice");

    alice
        .put("/a", bytes(1, 200_000))
        .chunked()
        .send()
        .expect(201);

    assert!(alice.get("/a").send().expect(200).body == bytes(1, 200_000));
}

#[test]
fn a_put_with_an_old_etag_keeps_the_newer_version() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let old = alice.put("/plan.odt", "first").send().expect(201).etag();
    alice.put("/plan.odt", "second").send().expect(204);

    let answer = alice.put("/plan.odt", "late").if_match(&old).send();

    answer.expect(412);
    assert_eq!(alice.get("/plan.odt").send().text(), "second");
}

#[test]
fn a_put_that_must_create_refuses_to_overwrite() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice
        .put("/a", "first")
        .if_none_match("*")
        .send()
        .expect(201);

    alice
        .put("/a", "second")
        .if_none_match("*")
        .send()
        .expect(412);

    assert_eq!(alice.get("/a").send().text(), "first");
}

#[test]
fn of_many_puts_on_one_etag_exactly_one_succeeds() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let etag = alice.put("/a", "start").send().expect(201).etag();

    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|number| {
                let (alice, etag) = (&alice, &etag);
                scope.spawn(move || {
                    let body = format!("by {number}");
                    alice.put("/a", body).if_match(etag).send().status
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });

    assert_eq!(
        statuses.iter().filter(|status| **status == 204).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 412).count(),
        7,
        "{statuses:?}"
    );
}

#[test]
fn a_put_into_a_missing_folder_is_a_conflict_and_onto_a_folder_is_refused() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.mkcol("/d").send().expect(201);

    alice.put("/none/a", "x").send().expect(409);
    alice.put("/d", "x").send().expect_any(&[405, 409]);

    assert_eq!(alice.names("/"), ["d"]);
}

#[test]
fn a_put_with_a_content_range_is_refused_rather_than_stored_as_the_whole_file() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "0123456789").send().expect(201);

    alice
        .put("/a", "xx")
        .header("Content-Range", "bytes 0-1/10")
        .send()
        .expect_any(&[400, 501]);

    assert_eq!(alice.get("/a").send().text(), "0123456789");
}

#[test]
fn the_answer_names_etag_and_file_id() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let first = alice.put("/a", "one").send().expect(201);
    let second = alice.put("/a", "two").send().expect(204);

    for answer in [&first, &second] {
        assert_eq!(answer.header("oc-etag"), answer.header("etag"), "{answer}");
        assert!(answer.header("oc-fileid").is_some(), "{answer}");
    }
    assert_eq!(first.header("oc-fileid"), second.header("oc-fileid"));
    assert_ne!(first.etag(), second.etag());
    assert_eq!(alice.get("/a").send().etag(), second.etag());
    assert_eq!(alice.etag_of("/a"), second.etag());
    let listed = alice.properties("/a", &["oc:id"]);
    assert_eq!(
        listed.text("{http://owncloud.org/ns}id"),
        second.header("oc-fileid")
    );
}

#[test]
fn a_given_mtime_is_kept_and_acknowledged() {
    let server = TestServer::start();
    let alice = server.user("alice");

    let answer = alice
        .put("/a", "x")
        .header("X-OC-MTime", "1000000000")
        .send()
        .expect(201);

    assert_eq!(answer.header("x-oc-mtime"), Some("accepted"));
    let said = alice.get("/a").send();
    assert_eq!(
        said.header("last-modified"),
        Some("Sun, 09 Sep 2001 01:46:40 GMT")
    );
    let listed = alice.properties("/a", &["d:getlastmodified"]);
    assert_eq!(
        listed.text("{DAV:}getlastmodified"),
        Some("Sun, 09 Sep 2001 01:46:40 GMT")
    );
}

#[test]
fn an_absurd_mtime_harms_nothing() {
    let server = TestServer::start();
    let alice = server.user("alice");

    for mtime in [
        "-1",
        "99999999999999999999",
        "soon",
        "9223372036854775807",
        "1e400",
        "",
    ] {
        let answer = alice.put("/a", "x").header("X-OC-MTime", mtime).send();
        assert!(
            [201, 204, 400].contains(&answer.status),
            "{mtime}: {answer}"
        );
    }

    alice.put("/a", "x").send().success();
    alice
        .propfind("/", "1", &["d:getlastmodified"])
        .send()
        .multistatus();
}

#[test]
fn a_false_checksum_is_refused_and_the_old_content_stays() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "kept").send().expect(201);
    let false_ones = [
        format!("MD5:{}", "0".repeat(32)),
        format!("SHA1:{}", "0".repeat(40)),
        format!("SHA256:{}", "0".repeat(64)),
        "ADLER32:00000000".to_owned(),
        "SHA1:short".to_owned(),
        "nonsense".to_owned(),
    ];

    for checksum in &false_ones {
        let answer = alice
            .put("/a", bytes(3, 100_000))
            .header("OC-Checksum", checksum)
            .send();
        assert_eq!(answer.status, 400, "{checksum}: {answer}");
        alice
            .put("/new", "x")
            .header("OC-Checksum", checksum)
            .send()
            .expect(400);
    }

    assert_eq!(alice.get("/a").send().text(), "kept");
    alice.get("/new").send().expect(404);
}

#[test]
fn a_true_checksum_is_accepted_and_given_back() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let (one, two) = (bytes(4, 100_000), bytes(5, 100_000));
    let sha1 = format!("SHA1:{}", hex::encode(sha1::Sha1::digest(&one)));
    let md5 = format!("MD5:{}", hex::encode(md5::Md5::digest(&two)));

    for (body, checksum) in [(one, &sha1), (two, &md5)] {
        alice
            .put("/a", body)
            .header("OC-Checksum", checksum)
            .send()
            .success();

        let answer = alice.get("/a").send().expect(200);
        assert_eq!(answer.header("oc-checksum"), Some(checksum.as_str()));
        let listed = alice.properties("/a", &["oc:checksums"]);
        let said = &listed.properties["{http://owncloud.org/ns}checksums"].text;
        assert!(said.contains(checksum.as_str()), "{said}");
    }
}

#[test]
fn memory_for_a_transfer_is_at_most_16_mib() {
    // The allocator gives back at once what is freed, so that only what is in use counts.
    let server = TestServer::with(&[("MIMALLOC_PURGE_DELAY", "0")]);
    let alice = server.user("alice");
    // What a transfer needs it needs each time; what an allocator or a new thread adds, it adds once.
    let added = |transfer: &dyn Fn()| {
        let tries = (0..3).map(|_| {
            let before = server.restart_memory_peak();
            transfer();
            server.memory_peak_bytes().saturating_sub(before) >> 10
        });
        let mut least = u64::MAX;
        for added in tries {
            least = least.min(added);
            if least <= 16 << 10 {
                break;
            }
        }
        least
    };
    let put = |length: u64, is_announced: bool| {
        let put = alice.put_stream("/file", Pattern::new(length, length), length);
        let put = if is_announced { put } else { put.chunked() };
        let answer = put.send();
        assert!([201, 204].contains(&answer.status), "{}", answer.status);
    };
    let get = |length: u64| {
        let mut connection = alice.connect();
        let mut received = blake3::Hasher::new();
        connection
            .write(&alice.get("/file").into_request().head())
            .unwrap();
        connection
            .receive_into("/file", false, &mut |piece| {
                received.update(piece);
            })
            .unwrap();
        let mut expected = blake3::Hasher::new();
        expected
            .update_reader(Pattern::new(length, length))
            .unwrap();
        assert_eq!(received.finalize(), expected.finalize());
    };

    // What every later transfer uses again is not this one's: threads, compressors, caches.
    put(24 << 20, true);
    get(24 << 20);
    // Cut by the middle profile, by the same without knowing the end, and by the large one.
    // A store that is far is read by another way, of which a profile says as much as three.
    let transfers: &[(u64, bool)] = match Shape::of_this_run() {
        Shape::Embedded => &[(384 << 20, true), (512 << 20, false), (1_100 << 20, true)],
        Shape::Scaled => &[(1_100 << 20, true)],
    };
    for &(length, is_announced) in transfers {
        let sent = added(&|| put(length, is_announced));
        let received = added(&|| get(length));
        report(&format!(
            "memory of one transfer of {} MiB (announced: {is_announced}): PUT {sent} KiB, GET {received} KiB",
            length >> 20,
        ));
        assert!(sent <= 16 << 10, "PUT of {length} bytes took {sent} KiB");
        assert!(
            received <= 16 << 10,
            "GET of {length} bytes took {received} KiB"
        );
    }
    let peak = server.memory_peak_bytes();
    assert!(peak <= 150 << 20, "more than any benchmark may take");
}
