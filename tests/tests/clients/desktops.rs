//! The file manager of GNOME, by the program through which its library is reached.

use std::fs;
use std::path::Path;
use std::process::Command;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::Ran;
use nuage_tests::command::has;
use nuage_tests::command::run;
use nuage_tests::data::bytes;

/// Runs a script in a session of a desktop that nobody looks at.
fn in_session(home: &Path, script: &str, input: &str) -> Ran {
    let mut session = Command::new("dbus-run-session");
    session
        .args(["--", "sh", "-eu", "-c", script])
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home);
    run(&mut session, input)
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
    let said = in_session(
        &home,
        &script,
        &format!("{}\n{}\n", alice.name, alice.secret),
    );
    let output = said.output();
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
