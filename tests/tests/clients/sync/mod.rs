//! The sync clients that people have on their workstations, unmodified: Nextcloud's and ownCloud's.
//!
//! [`scenario`] is the life of a folder on two devices, [`trouble`] what goes wrong in it.
//! A [`Device`] is a folder with a client of its own; [`Device::sync`] runs the client once and tells
//! what it asked the server, by the server's log.

mod scenario;
mod shared;
mod trouble;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::Ran;
use nuage_tests::command::run;
use nuage_tests::front::Front;
use nuage_tests::server::Logged;

/// A sync client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// `nextcloudcmd`.
    Nextcloud,
    /// `owncloudcmd`.
    Owncloud,
}

impl Client {
    /// Returns the program's name.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nextcloud => "nextcloudcmd",
            Self::Owncloud => "owncloudcmd",
        }
    }
}

/// One device: a folder, and a client that keeps it in sync with somebody's files.
#[derive(Debug)]
pub(crate) struct Device<'s> {
    client: Client,
    server: &'s TestServer,
    url: String,
    user: User,
    home: PathBuf,
    /// The folder that is kept in sync.
    pub(crate) folder: PathBuf,
    /// Files written so far.
    written: Cell<u64>,
}

/// How one run of a client ended.
#[derive(Debug)]
pub(crate) struct Synced {
    ran: Ran,
    /// What was asked of the server meanwhile.
    pub(crate) requests: Vec<Logged>,
}

impl<'s> Device<'s> {
    /// Sets up a device whose folder is empty.
    pub(crate) fn new(
        client: Client,
        server: &'s TestServer,
        front: &Front,
        user: &User,
        name: &str,
    ) -> Self {
        let home = server.data.scratch(&format!("home-{name}"));
        // The list of files that are left alone comes with the graphical client only.
        fs::write(home.join("exclude.lst"), "*.left-alone\n").unwrap();
        Self {
            client,
            server,
            url: front.url(),
            user: user.clone(),
            folder: server.data.scratch(name),
            home,
            written: Cell::new(0),
        }
    }

    /// Prepares a run of the client, with more options.
    pub(crate) fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.client.program());
        command
            .env("HOME", &self.home)
            .env("LC_ALL", "C.UTF-8")
            .env("QT_QPA_PLATFORM", "offscreen")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .args(["--non-interactive", "--max-sync-retries", "0"])
            .args(options)
            .arg("--exclude")
            .arg(self.home.join("exclude.lst"))
            .args(["--user", &self.user.name, "--password", &self.user.secret])
            .arg(&self.folder)
            .arg(&self.url);
        command
    }

    /// Runs the client once.
    pub(crate) fn sync(&self) -> Synced {
        let before = self.server.requests().len();
        let ran = run(&mut self.command(&[]), "");
        let requests = self.server.requests().split_off(before);
        Synced { ran, requests }
    }

    /// Writes a file, with a time of its own that lies back a while: a client leaves alone what changes
    /// just now, and tells changes apart by whole seconds.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let written = self.written.get();
        self.written.set(written + 1);
        let back = Duration::from_hours(2).saturating_sub(Duration::from_secs(written));
        let now = fs::metadata(&path).unwrap().modified().unwrap();
        set_modified(&path, now - back);
    }

    /// Lets the time pass that the client waits before it tries again what has failed.
    pub(crate) fn forget_failures(&self) {
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(".sync_") && path.extension().is_some_and(|kind| kind == "db") {
                let journal = rusqlite::Connection::open(&path).unwrap();
                journal.execute("DELETE FROM blacklist", ()).unwrap();
            }
        }
    }

    /// Returns what the folder holds, without what the client keeps in it.
    pub(crate) fn tree(&self) -> BTreeMap<String, Held> {
        let mut tree = BTreeMap::new();
        gather(&self.folder, "", &mut tree);
        tree
    }

    /// Returns the names of conflict copies.
    pub(crate) fn conflicts(&self) -> Vec<String> {
        let tree = self.tree();
        let is_conflict = |name: &&String| name.contains("conflict");
        tree.keys().filter(is_conflict).cloned().collect()
    }
}

/// What a folder holds under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// A folder.
    Folder,
    /// A file: its bytes' hash and length, and its modification time in seconds.
    File(String, u64, i64),
}

fn gather(folder: &Path, below: &str, tree: &mut BTreeMap<String, Held>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(".sync_") || name.starts_with("._sync_") || name.ends_with("sync.log") {
            continue;
        }
        let full = format!("{below}{name}");
        if path.is_dir() {
            gather(&path, &format!("{full}/"), tree);
            tree.insert(full, Held::Folder);
        } else {
            let content = fs::read(&path).unwrap();
            let hash = blake3::hash(&content).to_hex().to_string();
            let modified = fs::metadata(&path).unwrap().mtime();
            tree.insert(full, Held::File(hash, content.len() as u64, modified));
        }
    }
}

/// Sets a file's modification time.
pub(crate) fn set_modified(path: &Path, time: SystemTime) {
    fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(time))
        .unwrap();
}

impl Synced {
    /// Fails the test unless the client says that all went well, and the server answered nothing badly.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        self.ran.ok();
        self.nothing_unexpected();
        self
    }

    /// Fails the test unless the client says that something went wrong.
    #[track_caller]
    pub(crate) fn badly(self) -> Self {
        assert_ne!(self.ran.code, 0, "{}", self.ran.output());
        self
    }

    /// Fails the test when a request got an error that no client should see in an undisturbed run.
    ///
    /// Tolerated: a client looks whether the old place of something that moved is empty.
    #[track_caller]
    pub(crate) fn nothing_unexpected(&self) {
        let bad: Vec<_> = self
            .requests
            .iter()
            .filter(|request| request.status >= 400)
            .filter(|request| !(request.method == "PROPFIND" && request.status == 404))
            .collect();
        assert!(bad.is_empty(), "{bad:?}\n{}", self.ran.output());
    }

    /// Returns how many requests had this method.
    pub(crate) fn count(&self, method: &str) -> usize {
        let of_method = |request: &&Logged| request.method == method;
        self.requests.iter().filter(of_method).count()
    }

    /// Fails the test unless a method was used so many times.
    #[track_caller]
    pub(crate) fn times(self, method: &str, expected: usize) -> Self {
        assert_eq!(
            self.count(method),
            expected,
            "{method}: {:#?}",
            self.requests
        );
        self
    }

    /// Fails the test when there were more requests than this.
    #[track_caller]
    pub(crate) fn at_most(self, requests: usize) -> Self {
        let all = &self.requests;
        assert!(all.len() <= requests, "{} requests: {all:#?}", all.len());
        self
    }
}
