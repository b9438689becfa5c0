//! A real PostgreSQL for tests: one server for all test processes of this checkout, a database each.
//!
//! The server is made from Debian's package, never the system's own cluster: its data,
//! its socket and its log lie in one folder below the temporary folder, and it
//! listens on that socket alone. Each test process holds a shared lock on a file while it
//! lives; a keeper stops the server and deletes the folder once nobody does.

use std::fs;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

use rustix::fs::FlockOperation;
use rustix::fs::flock;

/// The lock that tells that this process uses the server.
static IN_USE: OnceLock<File> = OnceLock::new();

/// Makes an empty database and returns its URL.
pub(crate) async fn database() -> String {
    let folder = tokio::task::spawn_blocking(start).await.unwrap();
    let host = folder.to_string_lossy().replace('/', "%2F");
    let admin = format!("postgres://nuage@{host}/postgres");
    let (client, connection) = tokio_postgres::connect(&admin, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let name = format!("test_{:x}", rand::random::<u64>());
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    format!("postgres://nuage@{host}/{name}")
}

/// Starts the server unless it runs; returns the folder of its socket. Blocks.
fn start() -> PathBuf {
    let checkout = blake3::hash(env!("CARGO_MANIFEST_DIR").as_bytes()).to_hex();
    let folder = std::env::temp_dir().join(format!("nuage-postgres-{}", &checkout[..12]));
    IN_USE.get_or_init(|| {
        let users = open(&folder.with_extension("users"));
        flock(&users, FlockOperation::LockShared).unwrap();
        users
    });
    let starter = open(&folder.with_extension("start"));
    flock(&starter, FlockOperation::LockExclusive).unwrap();
    // A machine that was switched off leaves the folder and no server.
    let runs = || UnixStream::connect(folder.join(".s.PGSQL.5432")).is_ok();
    if !folder.join("ready").exists() || !runs() {
        make(&folder);
    }
    folder
}

fn open(path: &Path) -> File {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap()
}

fn make(folder: &Path) {
    let programs = programs();
    drop(fs::remove_dir_all(folder));
    fs::create_dir(folder).unwrap();
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder));
    }
    let data = folder.join("data");
    run(unprivileged(&programs.join("initdb"))
        .args(["-U", "nuage", "-A", "trust", "-E", "UTF8", "--locale=C"])
        .args(["--data-checksums", "-D"])
        .arg(&data));
    let options = format!(
        "-k {} -c listen_addresses= -c shared_buffers=96MB -c max_connections=200",
        folder.display()
    );
    run(unprivileged(&programs.join("pg_ctl"))
        .args(["start", "-w", "-t", "60", "-o", &options, "-l"])
        .arg(folder.join("log"))
        .arg("-D")
        .arg(&data));
    keep(&programs, folder, &data);
    fs::write(folder.join("ready"), "").unwrap();
}

/// Starts the process that stops the server after its last user.
fn keep(programs: &Path, folder: &Path, data: &Path) {
    let mut stop = unprivileged(&programs.join("pg_ctl"));
    stop.args(["stop", "-m", "immediate", "-D"]).arg(data);
    let words: Vec<_> = std::iter::once(stop.get_program())
        .chain(stop.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!(
        "while sleep 5; do flock -n -x {users} sh -c '{stop}; rm -rf {folder}' && break; done",
        users = folder.with_extension("users").display(),
        stop = words.join(" "),
        folder = folder.display(),
    );
    // It is left to itself: it outlives this process and holds nothing of it.
    drop(
        Command::new("setsid")
            .args(["sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let status = command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?}: {status:?}"
    );
}

/// Returns the folder of the newest PostgreSQL's programs.
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
