//! How much the disk holds: the same bytes again cost nothing, what is gone is given back.

use std::fmt::Write as _;

use nuage_tests::TestServer;
use nuage_tests::command::report;
use nuage_tests::data::Pattern;
use nuage_tests::data::bytes;

const MIB: u64 = 1 << 20;

#[test]
fn the_same_bytes_again_take_almost_no_space() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let length = 128 * MIB;
    alice
        .put_stream("/one", Pattern::new(1, length), length)
        .send()
        .expect(201);
    let before = server.data.bytes_on_disk();

    alice
        .put_stream("/two", Pattern::new(1, length), length)
        .send()
        .expect(201);

    let growth = server.data.bytes_on_disk() - before;
    report(&format!("128 MiB again: {growth} bytes more"));
    assert!(growth <= length / 100, "{growth} bytes");
    server.assert_clean();
}

#[test]
fn a_large_file_changed_in_one_place_costs_a_few_chunks() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut body = bytes(1, 32 << 20);
    alice.put("/a", body.clone()).send().expect(201);
    let before = server.data.bytes_on_disk();

    body.splice(10_000_000..10_000_100, bytes(2, 5_000));
    alice.put("/a", body.clone()).send().expect(204);

    let growth = server.data.bytes_on_disk() - before;
    report(&format!(
        "5 000 bytes replaced 100 in 32 MiB: {growth} bytes more"
    ));
    assert!(growth < 4 * MIB, "{growth} bytes");
    assert!(alice.get("/a").send().body == body);
}

#[test]
fn copies_write_no_content() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.mkcol("/d").send().expect(201);
    for number in 0..10 {
        alice
            .put(&format!("/d/{number}"), bytes(number, 3_000_000))
            .send()
            .expect(201);
    }
    let before = server.data.bytes_on_disk();

    for number in 0..10 {
        alice
            .copy("/d", &format!("/copy{number}"))
            .send()
            .expect(201);
    }

    let growth = server.data.bytes_on_disk().saturating_sub(before);
    report(&format!("300 MB copied: {growth} bytes more"));
    assert!(growth < 5 * MIB, "{growth} bytes");
    assert!(alice.get("/copy9/9").send().body == bytes(9, 3_000_000));
}

#[test]
fn text_is_stored_smaller_than_it_is() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let before = server.data.bytes_on_disk();
    let mut text = String::new();
    for line in 0..400_000 {
        writeln!(text, "line {line} of a long and dull text").unwrap();
    }

    alice.put("/text", text.clone()).send().expect(201);

    let growth = server.data.bytes_on_disk() - before;
    assert!(
        growth < text.len() as u64 / 2,
        "{growth} of {} bytes",
        text.len()
    );
    assert!(alice.get("/text").send().body == text.as_bytes());
}

#[test]
fn what_nothing_names_any_more_is_given_back_and_the_rest_is_untouched() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for number in 0..40 {
        alice
            .put(&format!("/f{number}"), bytes(number, 4_000_000))
            .send()
            .expect(201);
    }
    let full = server.data.bytes_on_disk();
    for number in (0..40).filter(|number| number % 5 != 0) {
        alice.delete(&format!("/f{number}")).send().expect(204);
    }

    server.data.command(&["gc", "--now"]).ok();
    assert!(
        server.data.bytes_on_disk() > full / 2,
        "the trash is kept for 30 days"
    );
    server.data.advance(40 * 86_400);
    // The first round compacts; what it emptied goes with the second at the latest. On a store that servers
    // share, what was merged a moment ago is left alone for 35 minutes.
    server.data.command(&["gc", "--now"]).ok();
    server.data.advance(3_600);
    server.data.command(&["gc", "--now"]).ok();

    let after = server.data.bytes_on_disk();
    report(&format!(
        "160 MB, of which 32 stay: {full} bytes before, {after} after the collection"
    ));
    assert!(
        after < full * 2 / 5,
        "{after} of {full} bytes are still there"
    );
    for number in (0..40).filter(|number| number % 5 == 0) {
        assert!(alice.get(&format!("/f{number}")).send().body == bytes(number, 4_000_000));
    }
    server.assert_clean();
}

#[test]
fn a_collection_without_now_spares_what_died_a_moment_ago() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", bytes(1, 8_000_000)).send().expect(201);
    alice.delete("/a").send().expect(204);
    server.data.advance(31 * 86_400);
    let before = server.data.bytes_on_disk();

    let report = server.data.command(&["gc", "--json"]).json();

    assert!(report.is_object(), "{report}");
    assert!(
        server.data.bytes_on_disk() >= before - 4_000_000,
        "graces are counted from the death"
    );
    server.assert_clean();
}

#[test]
fn collections_and_writers_get_along() {
    let server = TestServer::with(&[("NUAGE_JOBS__PACK_SECONDS", "1")]);
    let alice = server.user("alice");
    let mut chance = nuage_tests::data::Chance::new("collections and writers");
    let mut ledgers: Vec<_> = (0..4)
        .map(|number| crate::storage::ledger::Ledger::new(&alice, number, chance.branch(number)))
        .collect();

    for _ in 0..4 {
        std::thread::scope(|scope| {
            let writers: Vec<_> = ledgers
                .iter_mut()
                .map(|ledger| {
                    scope.spawn(|| {
                        for _ in 0..40 {
                            ledger.step();
                        }
                    })
                })
                .collect();
            while !writers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                server.data.command(&["gc", "--now"]).ok();
            }
        });
        for ledger in &mut ledgers {
            ledger.settle();
            ledger.verify();
        }
        server
            .data
            .advance(chance.between(1, 60).cast_signed() * 86_400);
    }

    server.data.command(&["gc", "--now"]).ok();
    for ledger in &ledgers {
        ledger.verify();
    }
    server.assert_clean();
}
