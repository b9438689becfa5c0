//! Measures how quickly people are found among 80 000, through the address that clients ask while somebody types.
//!
//! The people are put into the database behind the server's back, which then indexes them by itself, as after an
//! upgrade; that is measured too. `NUAGE_TEST_SHAPE=scaled` takes PostgreSQL, `NUAGE_SERVER_BIN` names the program
//! (build it with `--release`). The ratio is to the look-up of one account by its name.

use std::io::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use clap::Parser;
use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::Chance;
use nuage_tests::server::DataFolder;
use nuage_tests::user::encode;
use nuage_tests::wait::wait_until;

/// Measures how quickly people are found.
#[derive(Debug, Parser)]
struct Options {
    /// How many people there are.
    #[arg(long, default_value_t = 80_000)]
    people: u64,
    /// Requests of each kind and connection.
    #[arg(long, default_value_t = 300)]
    samples: usize,
    /// Connections that ask at the same time.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// People find only those of their groups, and the one who asks shares a group with each so manieth.
    #[arg(long)]
    groups: Option<u64>,
}

const FIRST_NAMES: &[&str] = &[
    "Marie",
    "Camille",
    "Éloïse",
    "Jean",
    "Pierre",
    "Michel",
    "Nathalie",
    "Martine",
    "Mathieu",
    "Nicolas",
    "Chloé",
    "Inès",
    "Hugo",
    "Léa",
    "Louis",
    "Gabriel",
    "Émilie",
    "Aurélie",
    "Thomas",
    "Manon",
    "Marc",
    "Monique",
    "Mehdi",
    "Mohamed",
    "Yasmine",
    "Karim",
    "Anne-Sophie",
    "Jean-Luc",
    "Françoise",
    "Sébastien",
    "Stéphanie",
    "Valérie",
    "Xavier",
    "Zoé",
    "Ambre",
    "Baptiste",
    "Delphine",
    "Fabrice",
    "Guillaume",
    "Olivier",
];
const SYLLABLES: &[&str] = &[
    "mar", "tin", "du", "pont", "ber", "nard", "le", "fèvre", "mo", "reau", "ro", "bert", "gi",
    "rard", "bon", "net", "fon", "taine", "cha", "valier", "ga", "rnier", "pe", "tit", "lam",
    "bou", "cher", "vas", "seur", "dela",
];
/// What somebody types, and what it stands for.
const QUERIES: &[(&str, &str)] = &[
    ("m", "a letter that many names begin with"),
    ("z", "a letter that few names begin with"),
    ("ma", "two letters"),
    ("mar", "three letters"),
    ("mart", "four letters"),
    ("marti", "five letters"),
    ("camille", "a whole first name"),
    ("dup cam", "beginnings of two names"),
    ("m d", "two letters apart"),
    ("c dupont", "a letter and a name"),
    ("anne s f", "three beginnings"),
    ("user00777@example.org", "an address"),
    ("user0", "what a part of all user names begins with"),
    ("qqqq", "nothing"),
];

fn main() -> ExitCode {
    let options = Options::parse();
    let table = measure(&options);
    match std::io::stdout().write_all(table.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_reads) => ExitCode::FAILURE,
    }
}

fn measure(options: &Options) -> String {
    let mut server = match options.groups {
        None => TestServer::start(),
        Some(_) => TestServer::with(&[("NUAGE_PEOPLE__SEARCH", "groups")]),
    };
    let asker = server.user("asker");
    server.data.command(&["group", "add", "colleagues"]).ok();
    server.stop();
    fill(&server.data, options.people);
    if let Some(each) = options.groups {
        let join = format!(
            "INSERT INTO member (team_id, account_id, role) SELECT t.id, a.id, 1 FROM team t, account a \
             WHERE a.id % {each} = 0 OR a.name = 'asker'"
        );
        server.data.execute(&join);
    }
    let begun = Instant::now();
    server.start_again();
    let waiting = "SELECT count(*) FROM account WHERE worded = 0";
    wait_until("everybody has words", Duration::from_mins(20), || {
        server.data.number(waiting) == 0
    });
    let indexed = begun.elapsed();
    server.data.settle();
    let mut table = format!(
        "{} people, {} connections, {} requests each; indexed in {:.1} s\n\n\
         | typed | | p50 ms | p99 ms | ratio | found |\n| --- | --- | --- | --- | --- | --- |\n",
        options.people,
        options.connections,
        options.samples,
        indexed.as_secs_f64()
    );
    let by_name = "/ocs/v2.php/cloud/users/asker?format=json";
    let base = row(
        &mut table,
        options,
        &asker,
        by_name,
        ("asker", "look-up by name"),
        None,
    );
    for (typed, what) in QUERIES {
        let search = encode(typed);
        let target = format!(
            "/ocs/v2.php/apps/files_sharing/api/v1/sharees?format=json&itemType=file&perPage=25&search={search}"
        );
        row(
            &mut table,
            options,
            &asker,
            &target,
            (typed, what),
            Some(base),
        );
    }
    table
}

/// Measures one kind of request, writes its row, and returns its median.
fn row(
    table: &mut String,
    options: &Options,
    asker: &User,
    target: &str,
    (typed, what): (&str, &str),
    base: Option<Duration>,
) -> Duration {
    let ask = |user: &User| {
        let request = user.raw("GET", target).header("OCS-APIRequest", "true");
        let begun = Instant::now();
        let answer = request.send().expect(200);
        (begun.elapsed(), answer)
    };
    let found = ask(asker).1.text().matches("\"label\"").count();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let askers: Vec<_> = (0..options.connections)
            .map(|_| {
                scope.spawn(|| {
                    (0..options.samples)
                        .map(|_| ask(asker).0)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let times = askers
            .into_iter()
            .flat_map(|asker| asker.join().unwrap_or_default());
        times.collect()
    });
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get(times.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let ratio = base.map_or(1.0, |base| millis(at(50)) / millis(base));
    let line = format!(
        "| {typed} | {what} | {:.2} | {:.2} | {ratio:.1} | {found} |\n",
        millis(at(50)),
        millis(at(99))
    );
    table.push_str(&line);
    at(50)
}

/// Puts people into the database, as a server of an older release would have left them.
fn fill(data: &DataFolder, people: u64) {
    const FIRST_ID: u64 = 1_000_000;
    let mut chance = Chance::new("directory");
    let mut sql = String::new();
    for number in 0..people {
        let names = u64::try_from(FIRST_NAMES.len()).unwrap_or(1);
        // Some names are far more common than others.
        let first = pick(
            FIRST_NAMES,
            chance.between(0, names).min(chance.between(0, names)),
        );
        let mut last = String::new();
        for _syllable in 0..chance.between(2, 4) {
            let count = u64::try_from(SYLLABLES.len()).unwrap_or(1);
            last.push_str(pick(SYLLABLES, chance.between(0, count)));
        }
        let (initial, rest) = last.split_at(last.chars().next().map_or(0, char::len_utf8));
        let last = format!("{}{rest}", initial.to_uppercase());
        sql.push_str(if number % 500 == 0 {
            "INSERT INTO account (id, name, fold, display_name, email, home_space, created_at, \
             changed_at) VALUES "
        } else {
            ", "
        });
        let id = FIRST_ID + number;
        let line = format!(
            "({id}, 'user{number:05}', 'user{number:05}', '{first} {last}', \
             'user{number:05}@example.org', {id}, 1, 1)"
        );
        sql.push_str(&line);
        if number % 500 == 499 || number + 1 == people {
            sql.push_str(";\n");
        }
        if number % 500 == 499 || number + 1 == people {
            data.execute(&sql);
            sql.clear();
        }
    }
    nuage_tests::command::report(&format!("{people} people are in the database"));
}

fn pick<'a>(words: &[&'a str], number: u64) -> &'a str {
    let index = usize::try_from(number).unwrap_or(0);
    words
        .get(index % words.len().max(1))
        .copied()
        .unwrap_or_default()
}
