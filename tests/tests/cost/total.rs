//! The same requests in an installation of ten thousand, a hundred thousand and a million files.
//!
//! `NUAGE_TEST_FULL=1 NUAGE_TEST_SHAPE=scaled` takes these sizes on PostgreSQL; `make test` takes smaller
//! ones. The folder that is measured has 1 000 files each time, made anew; what grows is everything
//! else, in the same home, so that the same indexes hold it.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::command::report;
use nuage_tests::data::size_from_env;

use crate::cost::flat::Row;
use crate::cost::flat::compare;
use crate::cost::flat::fill;
use crate::cost::flat::measure;
use crate::cost::flat::quartile;
use crate::cost::flat::timed;

/// Files in the folder that is measured.
const SIBLINGS: u64 = 1_000;
/// Questions to the feed at each size.
const QUESTIONS: usize = 40;
/// Differences of one look at the feed below this are noise.
const FEED_NOISE: Duration = Duration::from_millis(1);

/// The last hundred changes of alice's home, as the feed asks for them.
fn feed_question(data: &nuage_tests::server::DataFolder) -> String {
    let space = data.number("SELECT home_space FROM account WHERE name = 'alice'");
    let last = data.number(&format!("SELECT seq FROM space WHERE id = {space}"));
    format!(
        "SELECT id, space_id, parent_id, name, kind, seq, tree_seq, content_id, size, tree_files, \
         rev, mtime, ctime, flags FROM node \
         WHERE space_id = {space} AND seq > {} AND seq <= {last} ORDER BY seq LIMIT 100",
        last - 100
    )
}

#[test]
fn no_request_costs_more_because_the_installation_holds_more() {
    let sizes = [
        size_from_env("NUAGE_TEST_TOTAL_SMALL", 2_000, 10_000),
        size_from_env("NUAGE_TEST_TOTAL_MIDDLE", 8_000, 100_000),
        size_from_env("NUAGE_TEST_TOTAL_LARGE", 32_000, 1_000_000),
    ];
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1TB"]);
    let alice = server.token(&alice, &[]);
    alice.put("/seed", "x").send().expect(201);
    fill(&alice, "tree", SIBLINGS);
    let mut made = SIBLINGS;
    let mut rows: Vec<Row> = Vec::new();

    for (number, size) in sizes.into_iter().enumerate() {
        let begun = std::time::Instant::now();
        while made < size {
            if made < 10 * SIBLINGS {
                alice
                    .copy("/tree", &format!("/more{made}"))
                    .send()
                    .expect(201);
                made += SIBLINGS;
                continue;
            }
            // Ten of them in one folder: a larger step.
            if alice.get("/trees").send().status == 404 {
                alice.mkcol("/trees").send().expect(201);
                for part in 0..10 {
                    let path = format!("/trees/{part}");
                    alice.copy("/tree", &path).send().expect(201);
                }
            } else {
                alice
                    .copy("/trees", &format!("/more{made}"))
                    .send()
                    .expect(201);
            }
            made += 10 * SIBLINGS;
        }
        let grown = begun.elapsed();
        server.data.settle();
        let name = format!("measured{number}");
        let folder = fill(&alice, &name, SIBLINGS);
        let mut measured = measure(&[(&alice, &folder)]);
        made += SIBLINGS;
        let feed = server.data.time_of(&feed_question(&server.data), QUESTIONS);
        measured.push(Row {
            what: "100 changes of the feed",
            noise: FEED_NOISE,
            cells: vec![quartile(feed)],
        });
        if rows.is_empty() {
            rows = measured;
        } else {
            for (row, new) in rows.iter_mut().zip(measured) {
                row.cells.extend(new.cells);
            }
        }
        let (copied, _) = timed(|| {
            alice
                .copy("/tree", &format!("/one more {number}"))
                .send()
                .expect(201)
        });
        made += SIBLINGS;
        report(&format!(
            "{made} files; grown in {grown:?}; a COPY of {SIBLINGS} files takes {copied:?}"
        ));
    }

    let titles = sizes.map(|size| format!("of {size} files"));
    let growing = compare(&titles, &rows);
    assert!(growing.is_empty(), "{}", growing.join("\n"));
    let counted = server
        .data
        .number("SELECT count(*) FROM node WHERE kind = 1");
    assert!(counted.unsigned_abs() >= sizes[2], "{counted} files");
    if sizes[2] <= 100_000 {
        server.assert_clean();
    }
}
