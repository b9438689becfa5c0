//! A real S3 server for tests: `s3s-fs`, a process of its own for each that asks, over HTTP.
//!
//! It can be killed and started again with what it has. `tests/install-packages.sh` installs it.

use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::store::chunks::S3Credentials;
use crate::store::chunks::S3Settings;

const BUCKET: &str = "nuage";
const KEY_ID: &str = "nuage-test";
const SECRET: &str = "nuage-test-secret";

/// A server; it ends with this value, or with the process.
pub(super) struct S3Server {
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl S3Server {
    /// Starts a server that keeps its objects in a folder.
    pub(super) fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join(BUCKET)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut server = Self {
            folder: folder.to_owned(),
            port,
            process: None,
        };
        server.resume();
        server
    }

    /// Starts it again after [`Self::kill`].
    pub(super) fn resume(&mut self) {
        // It must not outlive a test that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program())
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", KEY_ID, "--secret-key", SECRET])
            .arg(&self.folder)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "s3s-fs does not start"
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Kills it at once, in the middle of whatever it does.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Returns how it is spoken to.
    pub(super) fn settings(&self, prefix: &str, cache_folder: PathBuf) -> S3Settings {
        S3Settings {
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: Some("us-east-1".to_owned()),
            path_style: true,
            credentials: Some(S3Credentials {
                key_id: KEY_ID.to_owned(),
                secret: SECRET.to_owned(),
            }),
            cache_folder,
            cache_bytes: 64 << 20,
        }
    }

    /// Lists the objects that are packs, as the files that they are here.
    pub(super) fn packs(&self) -> Vec<PathBuf> {
        packs_below(&self.folder.join(BUCKET))
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lists files whose name ends as a pack's.
pub(super) fn packs_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(packs_below(&path));
        } else if path.extension().is_some_and(|kind| kind == "pack") {
            found.push(path);
        }
    }
    found
}

fn program() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(home?.join(".cache")));
    let program = cache.map(|cache| cache.join("nuage-tests/bin/s3s-fs"));
    program
        .filter(|program| program.exists())
        .expect("these tests need s3s-fs: run tests/install-packages.sh")
}
