//! The same requests in a folder of ten, ten thousand and a hundred thousand siblings, side by side.
//!
//! Sizes are small in `make test`; `NUAGE_TEST_FULL=1` takes those of the
//! promise: 100 000 siblings, one million nodes in all. The first column is measured on an
//! almost empty installation beside it; the others on the full one. Kinds of requests, folders and installations take
//! turns, so that whatever else the machine does meets all of them, and what is compared is
//! the time that a quarter of the requests did not need.

use std::fmt::Write as _;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::data::size_from_env;
use nuage_tests::http::Answer;

/// Requests of each kind that are measured in each folder.
const SAMPLES: usize = 60;
/// Listings that are measured in each folder.
const LISTINGS: usize = 9;
/// How many clients fill the folders.
const FILLERS: u64 = 8;
/// How much dearer than in the smallest folder a request may be in a larger one.
const RATIO_MAX: f64 = 3.0;
/// Differences of one request below this are noise, whatever their ratio.
const NOISE: Duration = Duration::from_millis(2);

/// A folder with its number of siblings.
pub(super) struct Folder {
    name: String,
    siblings: u64,
}

/// The times of one kind of request in each folder.
pub(super) struct Row {
    pub(super) what: &'static str,
    /// Differences below this are noise.
    pub(super) noise: Duration,
    pub(super) cells: Vec<Duration>,
}

/// A kind of request: its name, and how it is made for the n-th time in a folder.
type Kind = (&'static str, fn(&User, &str, usize) -> Answer);

/// Each leaves what the next one needs; at the end as many files are more as were measured.
const KINDS: &[Kind] = &[
    ("PUT", |user, folder, number| {
        user.put(&format!("/{folder}/put{number}"), "x")
            .send()
            .expect(201)
    }),
    ("overwrite", |user, folder, number| {
        user.put(&format!("/{folder}/put{number}"), "y")
            .send()
            .expect(204)
    }),
    ("GET", |user, folder, number| {
        user.get(&format!("/{folder}/put{number}"))
            .send()
            .expect(200)
    }),
    ("look-up", |user, folder, number| {
        let path = format!("/{folder}/put{number}");
        user.propfind(&path, "0", &["d:getetag"]).send().expect(207)
    }),
    ("look-up of nothing", |user, folder, number| {
        user.get(&format!("/{folder}/none{number}"))
            .send()
            .expect(404)
    }),
    ("MOVE", |user, folder, number| {
        let (from, to) = (
            format!("/{folder}/put{number}"),
            format!("/{folder}/moved{number}"),
        );
        user.mv(&from, &to).send().expect(201)
    }),
    ("COPY", |user, folder, number| {
        let (from, to) = (
            format!("/{folder}/moved{number}"),
            format!("/{folder}/copy{number}"),
        );
        user.copy(&from, &to).send().expect(201)
    }),
    ("DELETE", |user, folder, number| {
        user.delete(&format!("/{folder}/moved{number}"))
            .send()
            .expect(204)
    }),
];

pub(super) fn timed<T>(action: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let outcome = action();
    (begun.elapsed(), outcome)
}

/// Returns what the quickest quarter needed at most: waiting for a busy machine is left out.
pub(super) fn quartile(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 4]
}

/// Makes a folder with so many files, by copies of one.
pub(super) fn fill(user: &User, name: &str, siblings: u64) -> Folder {
    user.mkcol(&format!("/{name}")).send().expect(201);
    std::thread::scope(|scope| {
        for filler in 0..FILLERS {
            scope.spawn(move || {
                for number in (filler..siblings).step_by(usize::try_from(FILLERS).unwrap()) {
                    let path = format!("/{name}/{number:06}");
                    user.copy("/seed", &path).send().expect(201);
                }
            });
        }
    });
    Folder {
        name: name.to_owned(),
        siblings,
    }
}

/// A row for each kind of request, a cell for each folder; the folders take turns.
pub(super) fn measure(folders: &[(&User, &Folder)]) -> Vec<Row> {
    let mut times = vec![vec![Vec::new(); folders.len()]; KINDS.len()];
    for number in 0..SAMPLES {
        for ((_, request), times) in KINDS.iter().zip(&mut times) {
            for ((user, folder), times) in folders.iter().zip(times) {
                times.push(timed(|| request(user, &folder.name, number)).0);
            }
        }
    }
    let mut rows: Vec<Row> = KINDS
        .iter()
        .zip(times)
        .map(|((what, _), times)| Row {
            what,
            noise: NOISE,
            cells: times.into_iter().map(quartile).collect(),
        })
        .collect();
    let mut times = vec![Vec::new(); folders.len()];
    for _ in 0..LISTINGS {
        for ((user, folder), times) in folders.iter().zip(&mut times) {
            let path = format!("/{}", folder.name);
            let names = ["d:getetag", "d:getcontentlength", "oc:id"];
            let (took, answer) = timed(|| user.propfind(&path, "1", &names).send());
            let entries = answer.multistatus().entries.len();
            assert_eq!(entries as u64, folder.siblings + SAMPLES as u64 + 1);
            times.push(took / u32::try_from(entries).unwrap());
        }
    }
    rows.push(Row {
        what: "listing, per entry",
        noise: NOISE / u32::try_from(SAMPLES).unwrap(),
        cells: times.into_iter().map(quartile).collect(),
    });
    rows
}

/// Prints the cells side by side and returns which rows grow from the column `from` to a later one.
pub(super) fn compare(titles: &[String], rows: &[Row]) -> Vec<String> {
    let mut table = format!("{:22}", "");
    for title in titles {
        write!(table, "{title:>19}").unwrap();
    }
    table.push_str("   last/first\n");
    let mut growing = Vec::new();
    for Row { what, noise, cells } in rows {
        write!(table, "{what:22}").unwrap();
        for cell in cells {
            write!(table, "{:>16} µs", cell.as_micros()).unwrap();
        }
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        writeln!(table, "   {:.2}", last.as_secs_f64() / first.as_secs_f64()).unwrap();
        for cell in &cells[1..] {
            if cell.as_secs_f64() > RATIO_MAX * first.as_secs_f64() && *cell > first + *noise {
                growing.push(format!("{what}: {first:?} became {cell:?}"));
            }
        }
    }
    report(&table);
    growing
}

#[test]
fn every_request_costs_the_same_in_a_full_folder_and_a_full_installation() {
    let middle = size_from_env("NUAGE_TEST_SIBLINGS_MIDDLE", 1_000, 10_000);
    let many = size_from_env("NUAGE_TEST_SIBLINGS", 10_000, 100_000);
    let nodes = size_from_env("NUAGE_TEST_NODES", 100_000, 1_000_000);
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1TB"]);
    let alice = server.token(&alice, &[]);
    alice.put("/seed", "x").send().expect(201);

    let small_server = TestServer::start();
    let only = small_server.user("only");
    let only = small_server.token(&only, &[]);
    only.put("/seed", "x").send().expect(201);
    let alone = fill(&only, "alone", 10);
    let folders = [
        fill(&alice, "few", 10),
        fill(&alice, "middle", middle),
        fill(&alice, "many", many),
    ];
    // The rest of the installation grows by whole trees.
    let mut made = middle + many;
    let mut trees = Vec::new();
    while made < nodes {
        let path = format!("/tree{made}");
        trees.push(timed(|| alice.copy("/middle", &path).send().expect(201)).0);
        made += middle;
    }
    let mut sides = vec![(&only, &alone)];
    sides.extend(folders.iter().map(|folder| (&alice, folder)));
    let rows = measure(&sides);

    let titles = [
        "10 alone".to_owned(),
        format!("10 of {made}"),
        format!("{middle} of it"),
        format!("{many} of it"),
    ];
    let growing = compare(&titles, &rows);
    // There and back, several times: the quickest is what it costs.
    let places = ["/many", "/moved", "/many", "/moved", "/many", "/moved"];
    let moved = places.windows(2).map(|pair| {
        let call = || alice.mv(pair[0], pair[1]).send().expect(201);
        timed(call).0
    });
    let moved = moved.min().unwrap();
    let deleted = (0..3).map(|_| {
        alice.copy("/moved", "/gone").send().expect(201);
        timed(|| alice.delete("/gone").send().expect(204)).0
    });
    let deleted = deleted.min().unwrap();
    let (copied_first, copied_last) = (trees[0], quartile(trees.split_off(trees.len() - 3)));
    report(&format!(
        "a tree of {middle}: the first COPY {copied_first:?}, the last {copied_last:?}"
    ));
    report(&format!(
        "a tree of {many}: MOVE {moved:?}, DELETE {deleted:?}"
    ));
    assert!(growing.is_empty(), "{}", growing.join("\n"));
    assert!(moved < Duration::from_millis(50) && deleted < Duration::from_millis(50));
    server.assert_clean();
}
