//! Running programs: the server's commands and the foreign clients.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

/// What a program said when it ended.
#[derive(Debug)]
pub struct Ran {
    /// The command, for messages.
    pub command: String,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Fails the test unless the program ended with 0; returns its standard output.
    #[track_caller]
    pub fn ok(&self) -> &str {
        self.code(0)
    }

    /// Fails the test unless the program ended with this code; returns its standard output.
    #[track_caller]
    pub fn code(&self, expected: i32) -> &str {
        assert_eq!(
            self.code, expected,
            "{}\nstdout:\n{}\nstderr:\n{}",
            self.command, self.stdout, self.stderr
        );
        &self.stdout
    }

    /// Returns the standard output as JSON, after `ok`.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// Returns everything that was printed.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end with the given standard input.
#[track_caller]
pub fn run(command: &mut Command, input: &str) -> Ran {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A program that ends without reading its input closes the pipe: no fault.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("waits for its child");
    Ran {
        command: name,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns whether a program is on the search path.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|folder| folder.join(program).is_file())
}

/// Fails the test, saying how to install it, unless a program is there.
///
/// `NUAGE_TEST_WITHOUT` (names with commas) excuses programs by name, visibly:
/// the test says so and the caller returns.
#[track_caller]
pub fn has(program: &str) -> bool {
    if is_installed(program) {
        return true;
    }
    let excused = std::env::var("NUAGE_TEST_WITHOUT").unwrap_or_default();
    assert!(
        excused.split(',').any(|name| name.trim() == program),
        "{program} is not installed: run tests/install-packages.sh, \
         or name it in NUAGE_TEST_WITHOUT to go without this test"
    );
    not_tested(&format!("{program} is excused by NUAGE_TEST_WITHOUT"));
    false
}

/// Says, past the capture of the test runner, that something could not be tested here and why.
pub fn not_tested(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    report(&format!("NOT TESTED {test}: {why}"));
}

/// Says what a test measured, past the capture of the test runner: also when the test passes.
pub fn report(text: &str) {
    // The runner captures `eprintln!`, not the descriptor itself.
    drop(std::io::stderr().write_all(format!("\n{text}\n").as_bytes()));
}

/// How the variables begin by which cargo tells a program of its package.
const ABOUT_A_PACKAGE: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "OUT_DIR"];

/// Returns the path of the server's binary, built if need be.
///
/// `NUAGE_SERVER_BIN` names one; otherwise `cargo build` makes the one of the
/// profile under which this test was built, once in each run.
pub fn server_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("NUAGE_SERVER_BIN") {
            return PathBuf::from(path);
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "--package", "nuage-server"])
            .current_dir(workspace());
        // What cargo says of this package to its tests would be a change to build scripts that look at it, and half of
        // the server would be built again, each time.
        for (name, _) in std::env::vars_os() {
            let is_of_this_package =
                |name: &str| ABOUT_A_PACKAGE.iter().any(|of| name.starts_with(of));
            if name.to_str().is_some_and(is_of_this_package) {
                cargo.env_remove(name);
            }
        }
        if profile() == "release" {
            cargo.arg("--release");
        }
        run(&mut cargo, "").ok();
        target_folder().join(profile()).join("nuage-server")
    })
}

/// Returns the folder of the workspace's `Cargo.toml`.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

/// Where this very test was built: `target/debug/deps/suites-…` is three below.
fn target_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    own.ancestors()
        .find(|folder| folder.file_name() == Some(OsStr::new(profile())))
        .and_then(Path::parent)
        .map_or_else(|| workspace().join("target"), Path::to_path_buf)
}
