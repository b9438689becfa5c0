//! Measures what sharing costs: a home with 200 received shares beside one without, and opening a link among 111 000.
//!
//! Links are put into the database behind the server's back, but for some that are made as people make them and then
//! opened at a steady rate; a request that is late because the one before it was counts as late.
//! `NUAGE_TEST_SHAPE=scaled` takes PostgreSQL, `NUAGE_SERVER_BIN` names the program (build it with `--release`).

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use clap::Parser;
use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::wait::pause;

/// Where the calls about shares are.
const SHARES: &str = "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json";
/// How much dearer a listing with received shares may be.
const RATIO_MAX: f64 = 1.5;
/// How long one of a hundred openings may take at most, in milliseconds.
const OPEN_P99_MAX: f64 = 20.0;

/// Measures what sharing costs.
#[derive(Debug, Parser)]
struct Options {
    /// Received shares of the home that is listed.
    #[arg(long, default_value_t = 200)]
    received: usize,
    /// Listings of each home.
    #[arg(long, default_value_t = 200)]
    listings: usize,
    /// Tens of thousands of links, beside some that are opened.
    #[arg(long, default_value_t = 11)]
    links: usize,
    /// Openings of links a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Links that are opened.
    #[arg(long, default_value_t = 200)]
    opened: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let server = TestServer::with(&[("NUAGE_LOG__REQUESTS", "false")]);
    let listed = listings(&server, &options);
    nuage_tests::command::report(&listed);
    let opened = openings(&server, &options);
    match std::io::stdout().write_all(format!("{listed}{opened}").as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_reads) => ExitCode::FAILURE,
    }
}

/// Gives something by a form and returns the answer.
fn give(from: &User, form: &str) -> String {
    let call = from
        .raw("POST", SHARES)
        .header("OCS-APIRequest", "true")
        .header("Content-Type", "application/x-www-form-urlencoded");
    call.body(form).send().expect(200).text()
}

/// Lists homes with as many entries, own ones and received ones, in turns.
fn listings(server: &TestServer, options: &Options) -> String {
    let (with, without) = (server.user("with"), server.user("without"));
    let givers: Vec<User> = (0..20)
        .map(|number| server.user(&format!("giver{number}")))
        .collect();
    for (number, giver) in (0..options.received).zip(givers.iter().cycle()) {
        let path = format!("/given {number}");
        giver.mkcol(&path).send().expect(201);
        let form = format!("path=/given%20{number}&shareType=0&shareWith=with&permissions=15");
        give(giver, &form);
        without.mkcol(&path).send().expect(201);
    }
    for user in [&with, &without] {
        for number in 0..200 {
            user.mkcol(&format!("/own {number}")).send().expect(201);
        }
    }
    server.data.settle();
    let names = [
        "d:getetag",
        "d:getcontentlength",
        "oc:id",
        "oc:permissions",
        "oc:size",
    ];
    let list = |user: &User| {
        let begun = Instant::now();
        let answer = user.propfind("/", "1", &names).send().expect(207);
        let took = begun.elapsed();
        let entries = answer.text().matches("<d:response>").count();
        assert_eq!(entries, options.received + 201);
        took
    };
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..options.listings + 10 {
        for (user, times) in [&with, &without].into_iter().zip(&mut times) {
            let took = list(user);
            if number >= 10 {
                times.push(took);
            }
        }
    }
    let [with, without] = times.map(|mut times| {
        times.sort_unstable();
        (millis(at(&times, 50)), millis(at(&times, 99)))
    });
    let ratio = with.0 / without.0;
    format!(
        "listing a home of {} entries, p50 / p99 ms: {} of them received {:.2} / {:.2}, all one's own {:.2} / {:.2}; \
         ratio {ratio:.2} ({} {RATIO_MAX})\n",
        options.received + 200,
        options.received,
        with.0,
        with.1,
        without.0,
        without.1,
        met(ratio <= RATIO_MAX)
    )
}

/// Opens links at a steady rate.
fn openings(server: &TestServer, options: &Options) -> String {
    let ann = server.user_with("ann", &["--quota", "none"]);
    ann.mkcol("/t").send().expect(201);
    for number in 0..10 {
        ann.put(&format!("/t/{number}.txt"), "x").send().expect(201);
    }
    for (from, to) in [("/t", "/u"), ("/u", "/v"), ("/v", "/w")] {
        copies(&ann, from, to, 10);
    }
    copies(&ann, "/w", "/x", options.links);
    let mut tokens = Vec::new();
    for number in 0..options.opened {
        let path = format!("/u/{}", number % 10);
        let made = give(&ann, &format!("path={path}&shareType=3"));
        let token = made.split("\"token\":\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next());
        tokens.push(token.unwrap_or_default().to_owned());
    }
    server.data.execute(&format!(
        "INSERT INTO share (id, kind, space_id, node_id, sharer_id, permissions, name, made_at, token, token_hash) \
         SELECT 5000000 + n.id, 3, n.space_id, n.id, a.id, 1, n.name, 1, 'bulk' || n.id, {} \
         FROM node n, account a WHERE a.name = 'ann' AND n.space_id = a.home_space AND n.kind = 1",
        match server.data.place() {
            None => "randomblob(32)",
            Some(_) => "sha256(('x' || n.id)::bytea)",
        }
    ));
    let links = server
        .data
        .number("SELECT count(*) FROM share WHERE kind = 3");
    server.data.settle();
    let threads: u32 = 8;
    let begun = Instant::now() + Duration::from_millis(200);
    let all = options.rate * options.seconds;
    let pace = Duration::from_secs(1) / options.rate.max(1);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let openers: Vec<_> = (0..threads)
            .map(|own| {
                let tokens = &tokens;
                scope.spawn(move || {
                    let mut times = Vec::new();
                    let mut connection = None;
                    for number in (own..all).step_by(threads as usize) {
                        let due = begun + pace * number;
                        pause(due.saturating_duration_since(Instant::now()));
                        let index = number.wrapping_mul(7_919) as usize % tokens.len().max(1);
                        let token = tokens.get(index).map(String::as_str).unwrap_or_default();
                        let user = connection.get_or_insert_with(|| server.client("nobody", ""));
                        let answer = user.raw("GET", &format!("/s/{token}")).send();
                        let took = due.elapsed();
                        assert!(answer.expect(200).text().contains("0.txt"), "another page");
                        times.push(took);
                    }
                    times
                })
            })
            .collect();
        let times = openers
            .into_iter()
            .flat_map(|opener| opener.join().unwrap_or_default());
        times.collect()
    });
    times.sort_unstable();
    let p99 = millis(at(&times, 99));
    format!(
        "opening one of {links} links, {} times at {} a second, p50 / p90 / p99 / max ms: {:.2} / {:.2} / {p99:.2} / {:.2} \
         ({} {OPEN_P99_MAX} ms)\n",
        times.len(),
        options.rate,
        millis(at(&times, 50)),
        millis(at(&times, 90)),
        times.last().copied().map_or(0.0, millis),
        met(p99 <= OPEN_P99_MAX)
    )
}

/// Makes a folder of so many copies of another one.
fn copies(user: &User, from: &str, to: &str, count: usize) {
    user.mkcol(to).send().expect(201);
    for number in 0..count {
        let copy = format!("{to}/{number}");
        user.copy(from, &copy).send().expect(201);
    }
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let index = times.len() * percent / 100;
    times.get(index).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met:" } else { "MISSED:" }
}
