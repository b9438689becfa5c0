//! cadaver, the command line client: a session from upload to delete, with a lock.

use std::fs;
use std::process::Command;

use nuage_tests::TestServer;
use nuage_tests::command::has;
use nuage_tests::command::run;
use nuage_tests::data::bytes;

#[test]
fn a_session_of_cadaver_does_what_it_says() {
    if !has("cadaver") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    let home = server.data.scratch("cadaver");
    fs::write(
        home.join(".netrc"),
        format!(
            "machine 127.0.0.1\nlogin {}\npassword {}\n",
            alice.name,
            server.token(&alice, &[]).secret
        ),
    )
    .unwrap();
    fs::write(home.join("local"), bytes(1, 200_000)).unwrap();
    let session = "mkcol d\ncd d\nput local\nls\ncopy local second\nmove second third\nlock third\nunlock third\n\
                   propset third colour blue\npropget third colour\nget local back\ndelete third\nquit\n";

    let mut program = Command::new("cadaver");
    let said = run(
        program
            .arg(alice.url("/"))
            .env("HOME", &home)
            .current_dir(&home),
        session,
    );

    let output = said.output();
    assert!(!output.contains("failed"), "{output}");
    assert!(output.contains("succeeded"), "{output}");
    assert_eq!(alice.names("/d"), ["local"]);
    assert!(fs::read(home.join("back")).unwrap() == bytes(1, 200_000));
    assert!(alice.get("/d/local").send().body == bytes(1, 200_000));
    server.assert_clean();
}
