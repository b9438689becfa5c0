//! The server's process: folder, settings, clock, signals, memory, log.
//!
//! A [`TestServer`] runs `nuage-server serve` on a port of its own over a
//! temporary data folder. It can be stopped, killed and started again over the
//! same folder; users made before go on working, at whatever port it has then.
//!
//! On the scaled shape the folder holds a server's secret and cache alone; metadata and
//! bytes are in a [`Place`] on PostgreSQL and S3, which other servers may share
//! ([`DataFolder::beside`]).
//!
//! *Always true:* the process is gone when the value is dropped, and a panic in
//! the server's log fails the test.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::command::Ran;
use crate::command::run;
use crate::command::server_binary;
use crate::http::Connection;
use crate::http::Request;
use crate::shape::Ground;
use crate::shape::Place;
use crate::shape::Shape;
use crate::user::User;
use crate::wait::wait_until;

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a server may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Where a server keeps its data, and with which settings it runs.
///
/// Commands can be run on it whether or not a server does.
#[derive(Debug)]
pub struct DataFolder {
    /// Everything lies below it: the data, the log, the moved clock.
    base: TempDir,
    /// The data folder itself.
    path: PathBuf,
    binary: PathBuf,
    /// Words before the binary's name: a shell that sets limits, for instance.
    wrapper: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where metadata and bytes are, unless they are in the folder.
    place: Option<Place>,
    clock: PathBuf,
}

impl DataFolder {
    /// Makes an empty one, of the shape of this run.
    pub fn new() -> Self {
        match Shape::of_this_run() {
            Shape::Embedded => Self::embedded(),
            Shape::Scaled => Self::of(Some(Ground::shared().place())),
        }
    }

    /// Makes an empty one that holds everything itself, whatever the shape of this run.
    pub fn embedded() -> Self {
        Self::of(None)
    }

    /// Makes the one of the first server at a place, whatever the shape of this run.
    pub fn scaled(place: Place) -> Self {
        Self::of(Some(place))
    }

    /// Makes the one of another server of the same installation: same place, settings and clock.
    #[must_use]
    pub fn beside(&self) -> Self {
        let mut other = Self::of(self.place.clone());
        other.binary.clone_from(&self.binary);
        other.environment.clone_from(&self.environment);
        other.clock.clone_from(&self.clock);
        other
    }

    /// Lets this server and those [`beside`](Self::beside) it read one secret from a file,
    /// as servers that start together must.
    #[must_use]
    pub fn with_secret_file(self) -> Self {
        let path = self.base.path().join("secret");
        let secret = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        fs::write(&path, format!("{secret}\n")).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let path = path.display().to_string();
        self.env("NUAGE_SECRET_FILE", &path)
    }

    fn of(place: Option<Place>) -> Self {
        let base = tempfile::Builder::new()
            .prefix("nuage-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        let path = base.path().join("data");
        let clock = base.path().join("clock");
        fs::write(&clock, "0").expect("the clock file can be written");
        Self {
            base,
            path,
            place,
            clock,
            binary: server_binary().to_path_buf(),
            wrapper: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Puts the data elsewhere, for instance on a small disk.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.path = path.to_path_buf();
        self
    }

    /// Adds a setting as an environment variable, `NUAGE_…` or another.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server by these words, followed by its own command line.
    #[must_use]
    pub fn wrapped_in(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Returns where metadata and bytes are on the scaled shape.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Returns the folder whose files are the packs: local ones, or the objects of the S3 store.
    pub fn packs(&self) -> PathBuf {
        match &self.place {
            Some(place) => place.objects(),
            None => self.path.join("chunks"),
        }
    }

    /// Returns the data folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a folder for what else a test writes; it goes with the data.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.base.path().join(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        path
    }

    /// Runs a command of the server on the data: `&["user", "list"]`.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Ran {
        self.command_with_input(words, "")
    }

    /// Runs a command that reads from standard input.
    #[track_caller]
    pub fn command_with_input(&self, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new(&self.binary);
        self.prepare(&mut command);
        run(command.args(words), input)
    }

    /// Starts a command of the server and leaves it running; what it prints is lost.
    pub fn spawn(&self, words: &[&str]) -> Child {
        let mut command = Command::new(&self.binary);
        self.prepare(&mut command);
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary can be started")
    }

    /// Lets `seconds` pass for the server and its commands, at once.
    pub fn advance(&self, seconds: i64) {
        let offset: i64 = fs::read_to_string(&self.clock)
            .expect("the clock file is there")
            .trim()
            .parse()
            .expect("the clock file holds a number");
        // Replaced in one step: whoever reads it half written would see time go back.
        let next = self.clock.with_extension("next");
        fs::write(&next, (offset + seconds).to_string()).expect("a file can be written");
        fs::rename(&next, &self.clock).expect("a file can be renamed");
    }

    /// Returns how many bytes the installation takes, by the lengths of its files: of the data
    /// folder, or of the S3 store and of what PostgreSQL keeps for files (indexes left out).
    pub fn bytes_on_disk(&self) -> u64 {
        let lengths = |folder: &Path| -> u64 {
            files_below(folder)
                .iter()
                .map(|file| fs::metadata(file).map_or(0, |file| file.len()))
                .sum()
        };
        match &self.place {
            None => lengths(&self.path),
            Some(place) => {
                let in_database = self.number(
                    "SELECT coalesce(sum(pg_column_size(c.*)), 0)::bigint \
                     + (SELECT coalesce(sum(length(data)), 0) FROM hot_chunk)::bigint FROM content c",
                );
                lengths(&place.objects()) + in_database.unsigned_abs()
            }
        }
    }

    /// Opens the SQLite database beside (or without) a running server: of the embedded shape alone.
    pub fn database(&self) -> rusqlite::Connection {
        assert!(self.place.is_none(), "this is no SQLite database");
        let database =
            rusqlite::Connection::open(self.path.join("metadata.db")).expect("the database opens");
        database
            .busy_timeout(Duration::from_secs(20))
            .expect("a timeout can be set");
        database
    }

    /// Asks the database for one number.
    #[track_caller]
    pub fn number(&self, question: &str) -> i64 {
        if let Some(place) = &self.place {
            return place.ground.postgres.number(&place.database, question);
        }
        self.database()
            .query_row(question, (), |row| row.get(0))
            .unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    /// Asks the database the same thing again and again, over one connection; returns how long each answer took.
    #[track_caller]
    pub fn time_of(&self, question: &str, times: usize) -> Vec<Duration> {
        if let Some(place) = &self.place {
            let questions = format!("\\timing on\n{}", format!("{question};\n").repeat(times));
            let asked = place.ground.postgres.ask(&place.database, &questions);
            let times = asked
                .ok()
                .lines()
                .filter_map(|line| line.strip_prefix("Time: ")?.split(' ').next())
                .map(|ms| ms.parse::<f64>().expect("psql prints milliseconds"));
            return times
                .map(|ms| Duration::from_secs_f64(ms / 1_000.0))
                .collect();
        }
        let database = self.database();
        let mut statement = database.prepare(question).expect("it is a question");
        (0..times)
            .map(|_| {
                let begun = Instant::now();
                let mut rows = statement.query(()).expect("it can be asked");
                while rows.next().expect("it is answered").is_some() {}
                begun.elapsed()
            })
            .collect()
    }

    /// Lets PostgreSQL look at its tables now, as autovacuum does within minutes of a bulk load.
    pub fn settle(&self) {
        if self.place.is_some() {
            self.execute("VACUUM ANALYZE");
        }
    }

    /// Changes the database behind the server's back.
    #[track_caller]
    pub fn execute(&self, statements: &str) {
        if let Some(place) = &self.place {
            place.ground.postgres.ask(&place.database, statements).ok();
        } else {
            self.database()
                .execute_batch(statements)
                .unwrap_or_else(|error| panic!("{statements}: {error}"));
        }
    }

    fn log_file(&self) -> PathBuf {
        self.base.path().join("server.log")
    }

    fn prepare(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.base.path())
            .env("RUST_BACKTRACE", "1")
            .env("NUAGE_DATA_DIR", &self.path)
            .env("NUAGE_TEST_CLOCK_FILE", &self.clock)
            .envs(self.place.iter().flat_map(Place::environment))
            .envs(self.environment.iter().cloned())
            .current_dir(self.base.path());
    }
}

impl Default for DataFolder {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns all files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(path) = pending.pop() {
        // Entries may vanish while a server works on the folder.
        let Ok(entries) = fs::read_dir(&path) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}

/// A request as the server's log tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its method.
    pub method: String,
    /// Its path, as it came.
    pub path: String,
    /// The status that it got; 499: the client left.
    pub status: u64,
}

/// A running server over its data.
#[derive(Debug)]
pub struct TestServer {
    /// Its data, on which commands can be run.
    pub data: DataFolder,
    process: Option<Child>,
    address: Arc<Mutex<SocketAddr>>,
    greeting: Vec<String>,
}

impl TestServer {
    /// Starts a server over an empty folder.
    #[track_caller]
    pub fn start() -> Self {
        Self::over(DataFolder::new())
    }

    /// Starts a server over an empty folder, with settings as environment variables.
    #[track_caller]
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let mut data = DataFolder::new();
        for (name, value) in settings {
            data = data.env(name, value);
        }
        Self::over(data)
    }

    /// Starts a server over a folder.
    #[track_caller]
    pub fn over(data: DataFolder) -> Self {
        let mut server = Self::not_started(data);
        server.start_again();
        server
    }

    /// Returns a server over a folder that does not run yet.
    pub fn not_started(data: DataFolder) -> Self {
        Self {
            data,
            process: None,
            address: Arc::new(Mutex::new(SocketAddr::from(([127, 0, 0, 1], 1)))),
            greeting: Vec::new(),
        }
    }

    /// Starts another server of the same installation, which must be scaled.
    #[must_use]
    #[track_caller]
    pub fn beside(&self) -> Self {
        Self::over(self.data.beside())
    }

    /// Starts the server over its data, after `stop` or `kill`.
    #[track_caller]
    pub fn start_again(&mut self) {
        if let Err(why) = self.try_start() {
            panic!("the server did not start: {why}\n{}", self.log());
        }
    }

    /// Starts the server; says why when it ends instead.
    pub fn try_start(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "the server runs already");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.data.log_file())
            .expect("the log can be written");
        let mut words = self.data.wrapper.clone();
        words.push(self.data.binary.display().to_string());
        let mut command = Command::new(&words[0]);
        self.data.prepare(&mut command);
        let mut child = command
            .args(&words[1..])
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().expect("stdout is piped");
        self.process = Some(child);
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens after the first lines; the pipe is drained all the same.
                drop(lines.send(line));
            }
        });
        self.greeting.clear();
        let begun = Instant::now();
        loop {
            match said.recv_timeout(START_LIMIT.saturating_sub(begun.elapsed())) {
                Ok(line) => {
                    let address = line
                        .strip_prefix("listening on http://")
                        .or_else(|| line.strip_prefix("listening on https://"));
                    if let Some(address) = address {
                        let address = address
                            .trim()
                            .parse()
                            .map_err(|error| format!("{error} in {line}"))?;
                        *self.address.lock().expect("no test thread panicked") = address;
                        return Ok(());
                    }
                    self.greeting.push(line);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let mut child = self.process.take().expect("it was started");
                    let status = child.wait().map_err(|error| error.to_string())?;
                    return Err(format!("it ended with {status}"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.kill();
                    return Err(format!("it did not listen within {START_LIMIT:?}"));
                }
            }
        }
    }

    /// Starts the server and kills it after `lifetime`, wherever it is by then.
    pub fn start_and_kill(&mut self, lifetime: Duration) {
        assert!(self.process.is_none(), "the server runs already");
        let mut child = self.data.spawn(&["serve", "--listen", "127.0.0.1:0"]);
        crate::wait::pause(lifetime);
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// Returns what it printed before it listened.
    pub fn greeting(&self) -> String {
        self.greeting.join("\n")
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().expect("no test thread panicked")
    }

    /// Makes an account (by the command) and returns it as a client.
    #[track_caller]
    pub fn user(&self, name: &str) -> User {
        self.user_with(name, &[])
    }

    /// Makes an account with more options: `&["--quota", "1MB"]`.
    #[track_caller]
    pub fn user_with(&self, name: &str, options: &[&str]) -> User {
        let password = format!("{name}'s own secret");
        let mut words = vec!["user", "add", name, "--password-stdin"];
        words.extend_from_slice(options);
        self.data
            .command_with_input(&words, &format!("{password}\n"))
            .ok();
        User::new(Arc::clone(&self.address), name, &password)
    }

    /// Returns a client with this name and secret, without making an account.
    pub fn client(&self, name: &str, secret: &str) -> User {
        User::new(Arc::clone(&self.address), name, secret)
    }

    /// Makes an app password for a user and returns the client that uses it.
    #[track_caller]
    pub fn token(&self, user: &User, options: &[&str]) -> User {
        let mut words = vec!["token", "create", &user.name, "--label", "test"];
        words.extend_from_slice(options);
        let made = self.data.command(&words);
        let secret = made.ok().trim();
        assert!(
            !secret.is_empty() && secret.lines().count() == 1,
            "the app password stands alone on one line: {secret:?}"
        );
        user.with_secret(secret)
    }

    /// Sends a request that needs no account.
    #[track_caller]
    pub fn anonymous(&self, request: Request) -> crate::http::Answer {
        let mut connection = Connection::open(self.address()).expect("the server listens");
        connection
            .send(request)
            .unwrap_or_else(|broken| panic!("no answer: {broken:?}"))
    }

    /// Returns one number of `/metrics`: the sum over all series of a name that contain `labels`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self
            .anonymous(Request::new("GET", "/metrics"))
            .expect(200)
            .text();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(labels))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    /// Ends it by SIGTERM and returns whether it ended well, and how long it took.
    #[track_caller]
    pub fn stop(&mut self) -> Duration {
        let pid = self.pid();
        let begun = Instant::now();
        rustix::process::kill_process(pid, Signal::TERM).expect("the process can be signalled");
        let mut child = self.process.take().expect("it runs");
        let mut status = None;
        wait_until("the server ends after SIGTERM", STOP_LIMIT, || {
            status = child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        assert!(
            status.is_some_and(|status| status.success()),
            "it ended with {status:?}\n{}",
            self.log()
        );
        begun.elapsed()
    }

    /// Stops it and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Ends it by SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        rustix::process::kill_process(self.pid(), Signal::HUP).expect("it can be signalled");
    }

    /// Returns whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Returns its memory now, in bytes (RSS).
    #[track_caller]
    pub fn memory_bytes(&self) -> u64 {
        self.status_field("VmRSS:")
    }

    /// Returns the most memory that it had since it started or the peak was restarted, in bytes (RSS).
    #[track_caller]
    pub fn memory_peak_bytes(&self) -> u64 {
        self.status_field("VmHWM:")
    }

    /// Lets [`Self::memory_peak_bytes`] begin anew; returns the memory that it has now, in bytes (RSS).
    #[track_caller]
    pub fn restart_memory_peak(&self) -> u64 {
        // 5 resets the peak: proc(5), /proc/pid/clear_refs.
        fs::write(
            format!("/proc/{}/clear_refs", self.pid().as_raw_nonzero()),
            "5",
        )
        .expect("the process runs");
        self.status_field("VmRSS:")
    }

    /// Returns its processor time so far, user and system.
    #[track_caller]
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero()))
            .expect("the process runs");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }

    /// Returns everything that it logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read(self.data.log_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns the requests that it has answered, over all its starts, in the order in which they ended.
    ///
    /// Needs `NUAGE_LOG__FORMAT=json`.
    pub fn requests(&self) -> Vec<Logged> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let text = |line: &serde_json::Value, name: &str| {
            let value = line.get(name).and_then(serde_json::Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        lines
            .filter(|line| text(line, "target") == "requests")
            .map(|line| Logged {
                method: text(&line, "method"),
                path: text(&line, "path"),
                status: line
                    .get("status")
                    .and_then(serde_json::Value::as_u64)
                    .unwrap_or_default(),
            })
            .collect()
    }

    /// Fails the test when the server panicked or is dead; answers a request to prove that it lives.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        assert!(self.is_running(), "the server ended\n{}", self.log());
        self.anonymous(Request::new("GET", "/healthz")).expect(200);
        self.assert_no_panic();
    }

    /// Fails the test unless `check` says that everything is clean.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.data.command(&["check"]).code(0);
    }

    #[track_caller]
    fn assert_no_panic(&self) {
        let log = self.log();
        let panic = log.lines().find(|line| line.contains("panicked at"));
        assert!(panic.is_none(), "the server panicked: {panic:?}\n{log}");
    }

    fn pid(&self) -> Pid {
        let child = self.process.as_ref().expect("the server runs");
        Pid::from_child(child)
    }

    #[track_caller]
    fn status_field(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero()))
            .expect("the process runs");
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok())
            .map_or_else(|| panic!("no {name} in {status}"), |kib| kib << 10)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(40);
            eprintln!("end of the server's log:\n{}", lines[tail..].join("\n"));
        } else {
            self.assert_no_panic();
        }
    }
}
