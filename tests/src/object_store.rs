//! A real S3 store over HTTP for tests: s3s-fs on a loopback port, its objects in a temporary folder.
//!
//! s3s-fs, because it installs by cargo alone, keeps each object as a plain file (which a
//! test can damage) and is quick on writes; its GET is slow (some 40 a second), so nothing
//! is benchmarked on reading from it. It can be killed and started again at the same port.
//!
//! *Always true:* it is gone and its folder deleted when the value is dropped, or when this
//! process ends in whatever way.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use crate::keeper::Keeper;

/// The name of the key that it takes.
pub const KEY_ID: &str = "nuage-tests";
/// The key's secret: of a store that holds nothing and listens to this machine alone.
pub const KEY_SECRET: &str = "only-for-tests-on-loopback";
/// How long it may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A store of its own.
#[derive(Debug)]
pub struct ObjectStore {
    folder: PathBuf,
    address: SocketAddr,
    process: Mutex<Option<Child>>,
    buckets: AtomicU32,
    /// Ends the process and deletes the folder.
    _keeper: Keeper,
}

impl ObjectStore {
    /// Starts an empty one.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("nuage-s3-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        fs::create_dir(folder.join("root")).expect("a folder can be made");
        let keeper = Keeper::of(&format!(
            "kill -9 $(cat {folder}/pid); rm -rf {folder}",
            folder = folder.display()
        ));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut store = Self {
            folder,
            address: nowhere,
            process: Mutex::new(None),
            buckets: AtomicU32::new(0),
            _keeper: keeper,
        };
        store.address = store.run();
        store
    }

    /// Starts it again at the same port, after [`kill`](Self::kill).
    pub fn start_again(&self) {
        self.run();
    }

    /// Ends it at once; what connects meanwhile is refused.
    pub fn kill(&self) {
        let process = self.process.lock().expect("no test thread panicked").take();
        if let Some(mut process) = process {
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Makes an empty bucket and returns its name.
    pub fn bucket(&self) -> String {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed);
        let name = format!("nuage{number}");
        fs::create_dir(self.folder_of(&name)).expect("a folder can be made");
        name
    }

    /// Returns the folder whose files are the objects of a bucket.
    pub fn folder_of(&self, bucket: &str) -> PathBuf {
        self.folder.join("root").join(bucket)
    }

    /// Returns its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn run(&self) -> SocketAddr {
        let program = program();
        let mut child = Command::new(&program)
            .args(["--host", "127.0.0.1"])
            .args(["--port", &self.address.port().to_string()])
            .args(["--access-key", KEY_ID, "--secret-key", KEY_SECRET])
            .arg(self.folder.join("root"))
            .env("RUST_LOG", "s3s_fs=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        fs::write(self.folder.join("pid"), child.id().to_string()).expect("a file can be written");
        let stdout = child.stdout.take().expect("stdout is piped");
        *self.process.lock().expect("no test thread panicked") = Some(child);
        let (addresses, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let address = line.split_once("server is running at http://");
                if let Some((_, address)) = address {
                    let digits = address.split([',', ' ']).next().unwrap_or_default();
                    drop(addresses.send(digits.parse::<SocketAddr>()));
                }
            }
        });
        said.recv_timeout(START_LIMIT)
            .expect("s3s-fs says where it listens")
            .expect("what it says is an address")
    }
}

/// Where `tests/install-packages.sh` puts it.
fn program() -> PathBuf {
    let caches = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_default();
            PathBuf::from(home).join(".cache")
        },
        PathBuf::from,
    );
    let tools = caches.join("nuage-tests");
    let program = tools.join("bin/s3s-fs");
    assert!(
        program.exists(),
        "{} is missing: run tests/install-packages.sh",
        program.display()
    );
    program
}
