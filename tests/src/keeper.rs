//! Ends what a test started beside itself, however the test ends.
//!
//! A [`Keeper`] is a shell in a session of its own that waits for the end of its
//! standard input, which this process holds, and then runs what it was told. The
//! kernel closes that pipe when the process is gone: after a panic, an abort or a
//! `kill -9` of the runner alike. (A signal at the parent's death would come when the
//! *thread* ends that started the program, which is each test's own.)

use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// Does its work once, at the latest when this process ends.
#[derive(Debug)]
pub(crate) struct Keeper {
    process: Child,
}

impl Keeper {
    /// Lets `script` run when this value is dropped or this process has ended.
    pub(crate) fn of(script: &str) -> Self {
        let process = Command::new("setsid")
            .args(["sh", "-c", &format!("cat >/dev/null; {script}")])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        Self { process }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
