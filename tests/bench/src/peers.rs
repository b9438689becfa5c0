//! The servers: how each is set up in an empty folder, started and stopped.
//!
//! Nuage comes twice: embedded, on a folder, and scaled, on a PostgreSQL and an S3 store
//! that the harness of the tests starts. All of them serve one account over HTTP/1.1 with Basic credentials from a
//! folder on the same disk, and write no access log. What is not there is told
//! and left out: the script beside this crate installs the peers.

use std::env;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::shape::Ground;
use nuage_tests::shape::Place;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::fault::BenchFault;
use crate::fault::BenchResult;
use crate::fault::Doing;
use crate::load::Target;

/// The account that all of them serve.
const NAME: &str = "bench";
/// Its password.
const PASSWORD: &str = "correct-horse-battery-staple";
/// The password as Apache wants it; its cheapest form, so that hashing does not count: `{SHA}` and base64.
const PASSWORD_SHA1: &str = "{SHA}3WBs1Ju70GtMJgb8JEn4+4eXV4Y=";
/// A server that is not up after this time never will be.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Where Debian puts Apache's modules.
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";
/// Debian's user for web servers.
const WWW_DATA: u32 = 33;

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// Ours, on SQLite and a folder.
    Nuage,
    /// Ours, on PostgreSQL and S3.
    Scaled,
    /// Apache httpd with mod_dav, from Debian's package.
    Apache,
    /// dufs, from crates.io.
    Dufs,
}

/// A server that runs; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// As its clients see it.
    pub(crate) target: Target,
    /// What it stores lies here.
    pub(crate) data: PathBuf,
    /// What it stands on; ends with it.
    _ground: Option<Place>,
}

impl Running {
    /// Returns the number of its first process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gently: Apache's first process ends the others.
        let _asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < START_PATIENCE {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Peer {
    /// Returns its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nuage => "nuage",
            Self::Scaled => "scaled",
            Self::Apache => "apache",
            Self::Dufs => "dufs",
        }
    }

    /// Starts it in `folder`, which is emptied.
    pub(crate) fn start(self, folder: &Path) -> BenchResult<Running> {
        if folder.exists() {
            fs::remove_dir_all(folder).doing("empty a folder")?;
        }
        let data = folder.join("data");
        fs::create_dir_all(&data).doing("create a folder")?;
        match self {
            Self::Nuage => start_nuage(folder, &data, None),
            Self::Scaled => start_nuage(folder, &data, Some(Ground::own().place())),
            Self::Apache => start_apache(folder, data),
            Self::Dufs => start_dufs(folder, data),
        }
    }
}

fn start_nuage(folder: &Path, data: &Path, ground: Option<Place>) -> BenchResult<Running> {
    let program = env::var_os("NUAGE_SERVER").map_or_else(
        || PathBuf::from("target/release/nuage-server"),
        PathBuf::from,
    );
    if !program.exists() {
        let remedy = "cargo build --release -p nuage-server";
        return Err(BenchFault::Missing { program, remedy });
    }
    let log = folder.join("log");
    let errors = File::create(&log).doing("create a log")?;
    let environment: Vec<(&'static str, String)> =
        ground.iter().flat_map(Place::environment).collect();
    let mut child = Command::new(&program)
        .arg("--data-dir")
        .arg(data)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .envs(environment.iter().cloned())
        .env("NUAGE_LOG__REQUESTS", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .doing("start nuage-server")?;
    let address = child.stdout.take().and_then(|said| {
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let address = line.strip_prefix("listening on http://")?;
            address.parse::<SocketAddr>().ok()
        });
        // Read on, so that the server never waits for a reader.
        thread::spawn(move || lines.for_each(drop));
        address
    });
    let Some(address) = address else {
        let _ended = child.kill();
        return Err(BenchFault::NotUp { log });
    };
    let target = Target::new(address, "/dav/", NAME, PASSWORD);
    // Running from here on: it ends when the account cannot be made.
    let running = Running {
        child,
        target,
        data: ground
            .as_ref()
            .map_or_else(|| data.to_path_buf(), Place::objects),
        _ground: ground,
    };
    add_account(&program, data, &environment)?;
    Ok(running)
}

fn add_account(
    program: &Path,
    data: &Path,
    environment: &[(&'static str, String)],
) -> BenchResult<()> {
    let mut adding = Command::new(program)
        .arg("--data-dir")
        .arg(data)
        .envs(environment.iter().cloned())
        .args(["user", "add", NAME, "--password-stdin", "--quota", "1TB"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .doing("start nuage-server")?;
    if let Some(mut words) = adding.stdin.take() {
        writeln!(words, "{PASSWORD}").doing("tell the password")?;
    }
    let outcome = adding.wait_with_output().doing("wait for nuage-server")?;
    if outcome.status.success() {
        return Ok(());
    }
    Err(BenchFault::Command {
        command: "nuage-server user add",
        said: String::from_utf8_lossy(&outcome.stderr).into_owned(),
    })
}

fn start_apache(folder: &Path, data: PathBuf) -> BenchResult<Running> {
    let program = PathBuf::from("/usr/sbin/apache2");
    if !program.exists() {
        let remedy = "apt-get install apache2-bin";
        return Err(BenchFault::Missing { program, remedy });
    }
    let address = free_address()?;
    fs::write(folder.join("users"), format!("{NAME}:{PASSWORD_SHA1}\n")).doing("write a file")?;
    fs::create_dir(folder.join("lock")).doing("create a folder")?;
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for owned in [&data, &folder.join("lock")] {
            chown(owned, Some(WWW_DATA), Some(WWW_DATA)).doing("hand a folder to www-data")?;
        }
    }
    let settings = folder.join("httpd.conf");
    fs::write(&settings, apache_settings(folder, &data, address, is_root)).doing("write a file")?;
    let mut command = Command::new(program);
    command.args(["-D", "FOREGROUND", "-f"]).arg(&settings);
    start_quietly(command, folder, data, address)
}

/// A plain set-up: event model, `sendfile`, no log, any length of body.
fn apache_settings(folder: &Path, data: &Path, address: SocketAddr, is_root: bool) -> String {
    let modules = [
        "mpm_event",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "dav",
        "dav_fs",
    ];
    let modules =
        modules.map(|name| format!("LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so"));
    let user = if is_root {
        "User www-data\nGroup www-data"
    } else {
        ""
    };
    let (modules, folder, data) = (modules.join("\n"), folder.display(), data.display());
    format!(
        "{modules}
{user}
ServerRoot {folder}
ServerName localhost
Listen {address}
PidFile {folder}/pid
ErrorLog {folder}/log
DocumentRoot {data}
DavLockDB {folder}/lock/db
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 120
LimitRequestBody 0
EnableSendfile On
<Directory {data}>
Dav On
AuthType Basic
AuthName bench
AuthUserFile {folder}/users
Require valid-user
</Directory>
"
    )
}

fn start_dufs(folder: &Path, data: PathBuf) -> BenchResult<Running> {
    let program =
        env::var_os("NUAGE_BENCH_DUFS").map_or_else(|| PathBuf::from("dufs"), PathBuf::from);
    if env::var_os("NUAGE_BENCH_DUFS").is_some() && !program.exists() {
        let remedy = "cargo install dufs";
        return Err(BenchFault::Missing { program, remedy });
    }
    let address = free_address()?;
    let mut command = Command::new(program);
    command
        .args([
            "--bind",
            &address.ip().to_string(),
            "--port",
            &address.port().to_string(),
        ])
        .args([
            "--allow-all",
            "--auth",
            &format!("{NAME}:{PASSWORD}@/:rw"),
            "--log-format",
            "",
        ])
        .arg(&data);
    start_quietly(command, folder, data, address)
}

/// Starts a server that says nothing when it is up.
fn start_quietly(
    mut command: Command,
    folder: &Path,
    data: PathBuf,
    address: SocketAddr,
) -> BenchResult<Running> {
    let log = folder.join("output");
    let output = File::create(&log).doing("create a log")?;
    let errors = output.try_clone().doing("create a log")?;
    let child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .doing("start a peer")?;
    let target = Target::new(address, "/", NAME, PASSWORD);
    let running = Running {
        child,
        target,
        data,
        _ground: None,
    };
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > START_PATIENCE {
            return Err(BenchFault::NotUp { log });
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(running)
}

/// Returns a loopback address that nobody uses just now.
fn free_address() -> BenchResult<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .doing("find a free port")
}
