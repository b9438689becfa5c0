//! curl: upload, resume, download, HTTP/2.

use std::fs;
use std::process::Command;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::Ran;
use nuage_tests::command::has;
use nuage_tests::command::run;
use nuage_tests::data::bytes;

fn curl(user: &User, words: &[&str]) -> Ran {
    let mut program = Command::new("curl");
    program
        .args(["--silent", "--show-error", "--fail", "--user"])
        .arg(format!("{}:{}", user.name, user.secret))
        .args(words);
    run(&mut program, "")
}

#[test]
fn a_file_goes_up_comes_back_and_a_broken_download_is_resumed() {
    if !has("curl") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    let folder = server.data.scratch("curl");
    let (up, down) = (folder.join("up"), folder.join("down"));
    fs::write(&up, bytes(1, 5_000_000)).unwrap();
    let (up, down) = (up.display().to_string(), down.display().to_string());

    curl(&alice, &["--upload-file", &up, &alice.url("/a")]).ok();
    fs::write(&down, &bytes(1, 5_000_000)[..1_234_567]).unwrap();
    curl(
        &alice,
        &["--continue-at", "-", "--output", &down, &alice.url("/a")],
    )
    .ok();

    assert!(fs::read(&down).unwrap() == bytes(1, 5_000_000));
    curl(&alice, &["--request", "DELETE", &alice.url("/a")]).ok();
    alice.get("/a").send().expect(404);
}

#[test]
fn http2_carries_the_same_files() {
    if !has("curl") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    let folder = server.data.scratch("curl");
    let (up, down) = (folder.join("up"), folder.join("down"));
    fs::write(&up, bytes(1, 5_000_000)).unwrap();
    let (up, down) = (up.display().to_string(), down.display().to_string());
    let h2 = "--http2-prior-knowledge";

    curl(&alice, &[h2, "--upload-file", &up, &alice.url("/a")]).ok();
    let said = curl(
        &alice,
        &[
            h2,
            "--write-out",
            "%{http_version}",
            "--output",
            &down,
            &alice.url("/a"),
        ],
    );

    assert_eq!(said.ok(), "2");
    assert!(fs::read(&down).unwrap() == bytes(1, 5_000_000));
    let listed = curl(
        &alice,
        &[
            h2,
            "--request",
            "PROPFIND",
            "--header",
            "Depth: 1",
            &alice.url("/"),
        ],
    );
    assert!(listed.ok().contains("/dav/a"), "{}", listed.stdout);
}
