//! A real PostgreSQL for tests, made from Debian's package: never the system's own cluster.
//!
//! Its data, its socket and its log lie in one temporary folder and it listens on
//! that socket alone. It is as durable as a real one (`fsync` and all that is on).
//! It can be stopped, crashed and started again; questions go through `psql`, so that the
//! harness shares no code with the server.
//!
//! *Always true:* the server is gone and its folder deleted when the value is dropped, or when
//! this process ends in whatever way.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::command::Ran;
use crate::command::run;
use crate::keeper::Keeper;
use crate::wait::wait_until;

/// Connections that it takes: each server of a test has a pool.
const CONNECTIONS_MAX: u32 = 400;
/// How long a start or a stop may take.
const PATIENCE_SECONDS: u32 = 60;

/// How a server of PostgreSQL is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are cut and what is open is rolled back.
    Fast,
    /// As after a crash: the next start replays the log.
    Immediate,
}

impl Stop {
    fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// A cluster of its own.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    databases: AtomicU32,
    /// Ends the server and deletes the folder; after the other fields.
    _keeper: Keeper,
}

impl Postgres {
    /// Makes an empty cluster and starts it.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("nuage-postgres-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder), "").ok();
        }
        let data = folder.join("data");
        let stop: Vec<String> = words(pg_ctl(&data).args(["stop", "-m", "immediate"]));
        let keeper = Keeper::of(&format!("{}; rm -rf {}", stop.join(" "), folder.display()));
        let mut initdb = unprivileged("initdb");
        initdb
            .args(["-U", "nuage", "-A", "trust", "-E", "UTF8", "--locale=C"])
            .args(["--no-sync", "--data-checksums", "-D"])
            .arg(&data);
        run(&mut initdb, "").ok();
        let postgres = Self {
            folder,
            databases: AtomicU32::new(0),
            _keeper: keeper,
        };
        postgres.start_again();
        postgres
    }

    /// Starts it again after [`stop`](Self::stop).
    #[track_caller]
    pub fn start_again(&self) {
        let options = format!(
            "-k {} -c listen_addresses= -c shared_buffers=128MB -c max_connections={CONNECTIONS_MAX}",
            self.folder.display()
        );
        // Its own output must not hold the pipe of a test's.
        let mut start = pg_ctl(&self.folder.join("data"));
        start
            .args(["start", "-w", "-t", &PATIENCE_SECONDS.to_string()])
            .args(["-o", &options, "-l"])
            .arg(self.folder.join("log"));
        let started = run(&mut start, "");
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert_eq!(started.code, 0, "{}\n{log}", started.output());
    }

    /// Ends the server; what connects meanwhile finds nobody.
    #[track_caller]
    pub fn stop(&self, how: Stop) {
        let mut stop = pg_ctl(&self.folder.join("data"));
        stop.args(["stop", "-w", "-m", how.word()]);
        run(&mut stop, "").ok();
        wait_until("PostgreSQL is gone", Duration::from_secs(10), || {
            UnixStream::connect(self.folder.join(".s.PGSQL.5432")).is_err()
        });
    }

    /// Makes an empty database and returns its name.
    #[track_caller]
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("nuage{number}");
        self.ask("postgres", &format!("CREATE DATABASE {name}"))
            .ok();
        name
    }

    /// Returns the URL of a database, as the setting `metadata` wants it.
    pub fn url(&self, database: &str) -> String {
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://nuage@{host}/{database}")
    }

    /// Runs statements on a database; what they return is in the output, fields between tabs.
    pub fn ask(&self, database: &str, statements: &str) -> Ran {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"])
            .args(["-U", "nuage", "-d", database, "-h"])
            .arg(&self.folder)
            .current_dir("/");
        run(&mut psql, statements)
    }

    /// Asks a database for one number.
    #[track_caller]
    pub fn number(&self, database: &str, question: &str) -> i64 {
        let asked = self.ask(database, question);
        let answer = asked.ok().trim();
        answer
            .parse()
            .unwrap_or_else(|error| panic!("{question}: {error} in {answer:?}"))
    }
}

/// Returns a program of the newest PostgreSQL, run by one who is not root: it refuses root.
fn unprivileged(program: &str) -> Command {
    let program = programs().join(program);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

fn pg_ctl(data: &Path) -> Command {
    let mut command = unprivileged("pg_ctl");
    command.arg("-s").arg("-D").arg(data);
    command
}

fn words(command: &Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Debian keeps the programs of each version in a folder of its own.
fn programs() -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .expect("these tests need Debian's package postgresql: run tests/install-packages.sh")
}
