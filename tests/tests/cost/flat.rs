//! The same requests in a folder of ten, ten thousand and a hundred thousand siblings, side by side.
//!
//! Sizes are small in `make test`; `NUAGE_TEST_FULL=1` takes those of the
//! promise: 100 000 siblings, one million nodes in all. What is compared is the
//! median of many requests, so that one slow sync of the disk decides nothing.

use std::fmt::Write as _;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::size_from_env;
use nuage_tests::http::Answer;

/// Requests of each kind that are measured at each size.
const SAMPLES: usize = 40;
/// How many clients fill the folders.
const FILLERS: u64 = 8;
/// How much dearer than in the smallest folder a request may be in the largest.
const RATIO_MAX: f64 = 3.0;
/// Differences below this are noise, whatever their ratio.
const NOISE: Duration = Duration::from_micros(1_500);

/// What was measured in one folder.
struct Column {
    title: String,
    cells: Vec<(&'static str, Duration)>,
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn measure(mut once: impl FnMut(usize) -> Answer) -> Duration {
    let times = (0..SAMPLES)
        .map(|number| {
            let begun = Instant::now();
            drop(once(number));
            begun.elapsed()
        })
        .collect();
    median(times)
}

/// Makes `/name` with so many files, by copies of one.
fn fill(user: &User, name: &str, siblings: u64) {
    user.mkcol(&format!("/{name}")).send().expect(201);
    std::thread::scope(|scope| {
        for filler in 0..FILLERS {
            scope.spawn(move || {
                for number in (filler..siblings).step_by(usize::try_from(FILLERS).unwrap()) {
                    user.copy("/seed", &format!("/{name}/{number:06}"))
                        .send()
                        .expect(201);
                }
            });
        }
    });
}

fn measure_in(user: &User, name: &str, siblings: u64, title: &str) -> Column {
    let path = |tail: &str, number: usize| format!("/{name}/{tail}{number}");
    let mut cells = vec![
        (
            "PUT",
            measure(|number| user.put(&path("put", number), "x").send().expect(201)),
        ),
        (
            "overwrite",
            measure(|number| user.put(&path("put", number), "y").send().expect(204)),
        ),
        (
            "GET",
            measure(|number| user.get(&path("put", number)).send().expect(200)),
        ),
        (
            "look-up",
            measure(|number| {
                user.propfind(&path("put", number), "0", &["d:getetag"])
                    .send()
                    .expect(207)
            }),
        ),
        (
            "look-up of nothing",
            measure(|number| user.get(&path("none", number)).send().expect(404)),
        ),
        (
            "MOVE",
            measure(|number| {
                user.mv(&path("put", number), &path("moved", number))
                    .send()
                    .expect(201)
            }),
        ),
        (
            "COPY",
            measure(|number| {
                user.copy(&path("moved", number), &path("copy", number))
                    .send()
                    .expect(201)
            }),
        ),
        (
            "DELETE",
            measure(|number| user.delete(&path("moved", number)).send().expect(204)),
        ),
    ];
    let folder = format!("/{name}");
    let listings = (0..3)
        .map(|_| {
            let begun = Instant::now();
            let answer = user
                .propfind(&folder, "1", &["d:getetag", "d:getcontentlength", "oc:id"])
                .send();
            let took = begun.elapsed();
            let entries = answer.multistatus().entries.len();
            assert_eq!(entries as u64, siblings + SAMPLES as u64 + 1);
            took / u32::try_from(entries).unwrap()
        })
        .collect();
    cells.push(("listing, per entry", median(listings)));
    Column {
        title: title.to_owned(),
        cells,
    }
}

/// Prints the columns side by side and returns which rows grow.
fn compare(columns: &[Column]) -> Vec<String> {
    let mut table = format!("{:22}", "");
    for column in columns {
        write!(table, "{:>16}", column.title).unwrap();
    }
    table.push_str("   last/first\n");
    let mut growing = Vec::new();
    for (row, (what, first)) in columns[0].cells.iter().enumerate() {
        write!(table, "{what:22}").unwrap();
        for column in columns {
            write!(table, "{:>13} µs", column.cells[row].1.as_micros()).unwrap();
        }
        let last = columns[columns.len() - 1].cells[row].1;
        let ratio = last.as_secs_f64() / first.as_secs_f64();
        writeln!(table, "   {ratio:.2}").unwrap();
        if ratio > RATIO_MAX && last > *first + NOISE {
            growing.push(format!("{what}: {first:?} became {last:?}"));
        }
    }
    eprintln!("{table}");
    growing
}

#[test]
fn every_request_costs_the_same_in_a_full_folder() {
    let middle = size_from_env("NUAGE_TEST_SIBLINGS_MIDDLE", 1_000, 10_000);
    let many = size_from_env("NUAGE_TEST_SIBLINGS", 10_000, 100_000);
    let nodes = size_from_env("NUAGE_TEST_NODES", 100_000, 1_000_000);
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1TB"]);
    let alice = server.token(&alice, &[]);
    alice.put("/seed", "x").send().expect(201);

    let mut columns = Vec::new();
    for siblings in [10, middle, many] {
        let name = format!("s{siblings}");
        fill(&alice, &name, siblings);
        columns.push(measure_in(
            &alice,
            &name,
            siblings,
            &format!("{siblings} siblings"),
        ));
    }
    // The rest of the installation grows by whole trees.
    let mut made = 10 + middle + many;
    let mut copies = 0;
    let mut tree = Duration::ZERO;
    while made < nodes {
        copies += 1;
        let begun = Instant::now();
        alice
            .copy(&format!("/s{middle}"), &format!("/filler{copies}"))
            .send()
            .expect(201);
        tree = begun.elapsed();
        made += middle;
    }
    fill(&alice, "again", 10);
    columns.push(measure_in(&alice, "again", 10, &format!("10 of {made}")));

    let growing = compare(&columns);
    let begun = Instant::now();
    alice.mv(&format!("/s{many}"), "/moved").send().expect(201);
    let moved = begun.elapsed();
    let begun = Instant::now();
    alice.delete("/moved").send().expect(204);
    let deleted = begun.elapsed();
    eprintln!(
        "tree of {middle}: COPY {tree:?}; tree of {many}: MOVE {moved:?}, DELETE {deleted:?}"
    );
    assert!(growing.is_empty(), "{}", growing.join("\n"));
    assert!(moved < Duration::from_millis(200) && deleted < Duration::from_millis(200));
    // The largest folder against the smallest, too: the last column is the small one again.
    let growing = compare(&columns[..3]);
    assert!(growing.is_empty(), "{}", growing.join("\n"));
    server.assert_clean();
}
