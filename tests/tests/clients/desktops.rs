//! The file managers of GNOME and KDE, by the programs through which their libraries are reached.
//!
//! Both start services of their desktop through D-Bus, which live on when the program that wanted them
//! has ended, and hold whatever output they were born with. So a session writes to a file, is ended
//! after some minutes, and takes with it whatever has its home.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::has;
use nuage_tests::data::bytes;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// How long a session may last, in seconds.
const SESSION_SECONDS: &str = "120";

/// Runs a script in a session of a desktop that nobody looks at; returns the exit code and what was printed.
fn in_session(home: &Path, script: &str, input: &str) -> (Option<i32>, String) {
    let log = home.join("session.log");
    let asked = home.join("session.input");
    fs::write(&asked, input).unwrap();
    let output = File::create(&log).unwrap();
    let ended = Command::new("timeout")
        .args(["-k", "5", SESSION_SECONDS])
        .args(["dbus-run-session", "--", "sh", "-eu", "-c", script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("LC_ALL", "C.UTF-8")
        // For every program of the session, those that D-Bus starts too: there is no screen.
        .env("QT_QPA_PLATFORM", "offscreen")
        .current_dir(home)
        .stdin(File::open(&asked).unwrap())
        .stderr(Stdio::from(output.try_clone().unwrap()))
        .stdout(Stdio::from(output))
        .status()
        .unwrap();
    end_all_at(home);
    let printed = fs::read(&log).unwrap();
    (ended.code(), String::from_utf8_lossy(&printed).into_owned())
}

/// Ends what a session left running: the processes with this home, which is the test's own.
fn end_all_at(home: &Path) {
    let sign = format!("HOME={}", home.display());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    for process in processes {
        let name = process.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        // It may have ended, or be somebody else's.
        let variables = fs::read(process.path().join("environ")).unwrap_or_default();
        if variables
            .split(|byte| *byte == 0)
            .any(|one| one == sign.as_bytes())
        {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// Fails if the server was asked for anything that it should have but has not.
fn assert_nothing_failed(server: &TestServer) {
    let failed = server
        .requests()
        .into_iter()
        .filter(|asked| asked.status >= 500);
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
    server.assert_clean();
}

fn start() -> (TestServer, User) {
    let server = TestServer::with(&[("NUAGE_LOG__FORMAT", "json")]);
    let alice = server.user("alice");
    (server, alice)
}

#[test]
fn a_mount_of_gnome_files_lists_writes_renames_and_deletes() {
    if !has("gio") || !has("dbus-run-session") {
        return;
    }
    let (server, alice) = start();
    let home = server.data.scratch("gnome");
    fs::write(home.join("large.bin"), bytes(3, 3_000_000)).unwrap();
    let place = format!("dav://{}/dav", alice.address());
    let script = format!(
        "gio mount {place}/ >mounted\n\
         gio mkdir '{place}/Été'\n\
         gio copy large.bin '{place}/Été/a b.bin'\n\
         gio list '{place}/Été'\n\
         gio copy '{place}/Été/a b.bin' back.bin\n\
         gio rename '{place}/Été/a b.bin' 'ç.bin'\n\
         gio move '{place}/Été/ç.bin' '{place}/moved.bin'\n\
         printf second | gio save '{place}/note.txt'\n\
         gio cat '{place}/note.txt'\n\
         gio remove '{place}/Été'\n\
         gio mount -u {place}/\n"
    );
    let sign_in = format!("{}\n{}\n", alice.name, alice.secret);
    let (_, output) = in_session(&home, &script, &sign_in);
    assert!(
        output.contains("a b.bin") && output.contains("second"),
        "{output}"
    );
    let mut names = alice.names("/");
    names.sort();
    assert_eq!(names, ["moved.bin", "note.txt"], "{output}");
    assert!(fs::read(home.join("back.bin")).unwrap() == bytes(3, 3_000_000));
    assert!(alice.get("/moved.bin").send().body == bytes(3, 3_000_000));
    assert_nothing_failed(&server);
}

/// Gives everybody with the link a folder to change; returns its place.
fn public_place(owner: &User, folder: &str) -> String {
    let answer = owner
        .raw(
            "POST",
            "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json",
        )
        .header("OCS-APIRequest", "true")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("path={folder}&shareType=3&permissions=15"))
        .send()
        .expect(200);
    let made: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let token = made["ocs"]["data"]["token"].as_str().unwrap();
    format!("{}/public.php/dav/files/{token}", owner.address())
}

#[test]
fn kde_lists_copies_moves_overwrites_and_deletes() {
    if !has("kioclient") || !has("dbus-run-session") {
        return;
    }
    let (server, alice) = start();
    let home = server.data.scratch("kde");
    alice.mkcol("/given").send().expect(201);
    alice
        .put("/given/théâtre.txt", "act one")
        .send()
        .expect(201);
    fs::write(home.join("large.bin"), bytes(3, 3_000_000)).unwrap();
    fs::create_dir_all(home.join("tree/sub")).unwrap();
    fs::write(home.join("tree/sub/one"), "hello").unwrap();
    fs::write(home.join("tree/two"), "two").unwrap();
    // What asks for a name and a secret of a PUT is a window, so everything but the first line goes by a link.
    let script = format!(
        "k() {{ timeout -k 2 30 kioclient --noninteractive \"$@\"; }}\n\
         k ls 'webdav://{name}:{secret}@{address}/dav/given/'\n\
         place='webdav://{place}'\n\
         k copy large.bin \"$place/a b.bin\"\n\
         k copy tree \"$place/Été\"\n\
         k move \"$place/a b.bin\" \"$place/Été/ç.bin\"\n\
         k copy \"$place/Été/ç.bin\" \"$place/copy.bin\"\n\
         k copy \"$place/Été\" \"file://$PWD/back\"\n\
         k --overwrite copy tree/two \"$place/copy.bin\"\n\
         k cat \"$place/théâtre.txt\"\n\
         k stat \"$place/copy.bin\"\n\
         k move \"$place/Été/sub\" \"$place/sub\"\n\
         k remove \"$place/Été\"\n\
         k ls \"$place/\"\n",
        name = alice.name,
        secret = alice.secret.replace(' ', "%20").replace('\'', "%27"),
        address = alice.address(),
        place = public_place(&alice, "/given"),
    );
    let (code, output) = in_session(&home, &script, "");
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("théâtre.txt"), "{output}");
    assert!(output.contains("act one"), "{output}");
    assert!(fs::read(home.join("back/ç.bin")).unwrap() == bytes(3, 3_000_000));
    assert_eq!(fs::read(home.join("back/sub/one")).unwrap(), b"hello");
    let mut names = alice.names("/given");
    names.sort();
    assert_eq!(names, ["copy.bin", "sub", "théâtre.txt"], "{output}");
    assert_eq!(alice.get("/given/copy.bin").send().body, b"two");
    assert_eq!(alice.get("/given/sub/one").send().body, b"hello");
    // It is told of nothing worse than that a name is free, and asked who it is.
    let failed = server.requests().into_iter();
    let failed = failed.filter(|asked| asked.status >= 400 && ![401, 404].contains(&asked.status));
    assert_eq!(failed.collect::<Vec<_>>(), []);
    assert_nothing_failed(&server);
}
