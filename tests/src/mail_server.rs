//! A real server of mail for tests: aiosmtpd on a loopback port, which keeps what it takes as files.
//!
//! Its recipients decide what happens: `unknown…` is refused for good, `later…` for now, and
//! `slow…` is taken seconds before it is said to be.
//!
//! *Always true:* it is gone and its folder deleted when the value is dropped, or when this
//! process ends in whatever way.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::keeper::Keeper;
use crate::wait::wait_until;

/// The system's own, for which its packages are.
const PYTHON: &str = "/usr/bin/python3";
/// How long a letter may take.
const LETTER_LIMIT: Duration = Duration::from_secs(30);

/// How a server of mail is reached.
#[derive(Debug, Clone, Default)]
pub struct MailOptions {
    /// Certificate and key, in PEM: it wants an encrypted connection.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Encrypted from the first byte on.
    pub wrapped: bool,
    /// The name and password that it wants.
    pub login: Option<(String, String)>,
}

/// A server of mail.
#[derive(Debug)]
pub struct MailServer {
    folder: PathBuf,
    port: u16,
    options: MailOptions,
    process: Option<Child>,
    /// Ends the process and deletes the folder.
    _keeper: Keeper,
}

/// A letter that was taken.
#[derive(Debug, Clone)]
pub struct Letter(Value);

impl Letter {
    /// Returns whom it was handed over for.
    pub fn recipients(&self) -> Vec<&str> {
        let to = self.0["to"].as_array().into_iter().flatten();
        to.filter_map(Value::as_str).collect()
    }

    /// Returns each line of its head of that name, decoded.
    pub fn head(&self, name: &str) -> Vec<&str> {
        let head = self.0["head"].as_array().into_iter().flatten();
        head.filter(|line| {
            line[0]
                .as_str()
                .is_some_and(|found| found.eq_ignore_ascii_case(name))
        })
        .filter_map(|line| line[1].as_str())
        .collect()
    }

    /// Returns its plain text, decoded.
    pub fn text(&self) -> String {
        let text = self.0["text"].as_str().unwrap_or_default();
        text.replace("\r\n", "\n")
    }

    /// Returns whether it came over an encrypted connection.
    pub fn was_encrypted(&self) -> bool {
        self.0["tls"] == true
    }

    /// Returns who handed it over.
    pub fn user(&self) -> Option<&str> {
        self.0["user"].as_str()
    }
}

impl MailServer {
    /// Starts one that asks for nothing.
    pub fn start() -> Self {
        Self::with(MailOptions::default())
    }

    /// Starts one.
    pub fn with(options: MailOptions) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("nuage-mail-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        fs::create_dir(folder.join("letters")).expect("a folder can be made");
        let keeper = Keeper::of(&format!(
            "kill -9 $(cat {folder}/pid); rm -rf {folder}",
            folder = folder.display()
        ));
        let mut server = Self {
            folder,
            port: 0,
            options,
            process: None,
            _keeper: keeper,
        };
        server.start_again();
        server
    }

    /// Starts it again at the same port, after [`kill`](Self::kill).
    pub fn start_again(&mut self) {
        let shown = |path: &Path| path.display().to_string();
        let certificate = self.options.certificate.as_ref();
        let login = self.options.login.as_ref();
        let options = json!({
            "certificate": certificate.map(|(certificate, _)| shown(certificate)),
            "key": certificate.map(|(_, key)| shown(key)),
            "wrapped": self.options.wrapped,
            "login": login.map(|(user, password)| [user, password]),
        });
        let mut child = Command::new(PYTHON)
            .args(["-W", "ignore", "-c", include_str!("mail_server.py")])
            .arg(self.folder.join("letters"))
            .arg(self.port.to_string())
            .arg(options.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        fs::write(self.folder.join("pid"), child.id().to_string()).expect("a file can be written");
        let stdout = child.stdout.take().expect("stdout is piped");
        self.process = Some(child);
        let mut line = String::new();
        drop(BufReader::new(stdout).read_line(&mut line));
        let port = line.trim().parse();
        self.port = port.expect("it listens; is python3-aiosmtpd there? tests/install-packages.sh");
    }

    /// Ends it at once; what connects meanwhile is refused.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what it has taken so far, in that order.
    pub fn letters(&self) -> Vec<Letter> {
        let entries = fs::read_dir(self.folder.join("letters")).expect("the folder is there");
        let mut places: Vec<PathBuf> = entries
            .map(|entry| entry.expect("it can be listed").path())
            .filter(|place| place.extension().is_none())
            .collect();
        places.sort();
        let read = |place: &PathBuf| {
            let text = fs::read_to_string(place).expect("a letter can be read");
            Letter(serde_json::from_str(&text).expect("it is JSON"))
        };
        places.iter().map(read).collect()
    }

    /// Waits until it has taken so many letters, and returns them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Letter> {
        wait_until("a letter arrives", LETTER_LIMIT, || {
            self.letters().len() >= count
        });
        self.letters()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.kill();
    }
}
