//! Letters on what people share: who is told, in which language, once.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::browser::Browser;
use nuage_tests::mail_server::MailServer;
use nuage_tests::server::DataFolder;
use nuage_tests::wait::wait_until;

use crate::sharing::PATIENCE;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::give;
use crate::sharing::give_group;
use crate::sharing::today;

fn settings(mail: &MailServer) -> DataFolder {
    DataFolder::new()
        .env("NUAGE_PUBLIC_URL", "https://cloud.example.org")
        .env("NUAGE_MAIL__HOST", "127.0.0.1")
        .env("NUAGE_MAIL__PORT", &mail.port().to_string())
        .env("NUAGE_MAIL__TLS", "none")
        .env("NUAGE_MAIL__FROM", "cloud@example.org")
}

fn person(server: &TestServer, name: &str) -> User {
    let address = format!("{name}@example.org");
    server.user_with(name, &["--email", &address])
}

/// Letters and notices that wait.
fn waiting(server: &TestServer) -> i64 {
    let letters = server.data.number("SELECT count(*) FROM mail_queue");
    letters + server.data.number("SELECT count(*) FROM share_notice")
}

fn wait_until_quiet(server: &TestServer) {
    wait_until("every letter is sent", 3 * PATIENCE, || {
        waiting(server) == 0
    });
}

/// Who got letters, sorted.
fn receivers(mail: &MailServer) -> Vec<String> {
    let letters = mail.letters();
    let mut all: Vec<String> = letters
        .iter()
        .map(|letter| letter.recipients().join(","))
        .collect();
    all.sort();
    all
}

#[test]
fn whoever_is_given_something_is_told_in_their_language_and_once_whatever_crashes() {
    let mut mail = MailServer::start();
    let mut server = TestServer::over(settings(&mail));
    let (ana, zoe) = (person(&server, "ana"), person(&server, "zoe"));
    let silent = server.user("silent");
    let mut browser = Browser::new(&server).with_header("Accept-Language", "fr-CA, en;q=0.5");
    let page = browser.visit("/login").expect(200);
    browser.sign_in(&page, "zoe", &zoe.secret);
    ana.mkcol("/Été").send().expect(201);
    mail.kill();
    let form = [
        ("path", "/Été"),
        ("shareType", "0"),
        ("shareWith", "zoe"),
        ("permissions", "1"),
        ("note", "Pour lundi\nmerci"),
    ];
    call(&ana, "POST", "shares", &form).expect(200);
    // Nobody waits for the letter, and it is not lost.
    server.kill();
    assert!(waiting(&server) > 0);
    server.start_again();
    wait_until("it was tried", PATIENCE, || {
        let tried = "SELECT CAST(coalesce(max(attempts), 0) AS BIGINT) FROM mail_queue";
        server.data.number(tried) > 0
    });
    server.kill();
    mail.start_again();
    server.start_again();
    server.data.advance(120);

    let letters = mail.wait_for(1);
    wait_until_quiet(&server);
    let letter = &letters[0];
    assert_eq!(letter.recipients(), ["zoe@example.org"]);
    assert_eq!(letter.head("Subject"), ["ana a partagé « Été » avec vous"]);
    let text = letter.text();
    assert!(text.contains("\n> Pour lundi\n> merci\n"), "{text}");
    assert!(text.contains("\nhttps://cloud.example.org/f/"), "{text}");

    give(&ana, "/Été", &silent, READ);
    ana.mkcol("/Other").send().expect(201);
    let quiet = [
        ("path", "/Other"),
        ("shareType", "0"),
        ("shareWith", "zoe"),
        ("sendMail", "false"),
    ];
    call(&ana, "POST", "shares", &quiet).expect(200);
    wait_until_quiet(&server);
    assert_eq!(mail.letters().len(), 1);
}

#[test]
fn a_group_is_told_only_where_the_operator_wants_it_and_then_everybody_in_it() {
    for wanted in [false, true] {
        let mail = MailServer::start();
        let folder = settings(&mail).env("NUAGE_MAIL__GROUP_SHARES", &wanted.to_string());
        let server = TestServer::over(folder);
        let ana = person(&server, "ana");
        server.data.command(&["group", "add", "Classe"]).ok();
        let members = ["ana", "p1", "p2", "p3"];
        for name in &members[1..] {
            person(&server, name);
        }
        server.user("nameless");
        for name in members.iter().chain(&["nameless"]) {
            let words = ["group", "member", "add", "Classe", name];
            server.data.command(&words).ok();
        }
        server.data.command(&["user", "disable", "p2"]).ok();
        ana.mkcol("/Given").send().expect(201);
        give_group(&ana, "/Given", "Classe", READ);

        if wanted {
            mail.wait_for(2);
            wait_until_quiet(&server);
            assert_eq!(receivers(&mail), ["p1@example.org", "p3@example.org"]);
            assert_eq!(
                mail.letters()[0].head("Subject"),
                ["ana shared “Given” with you"]
            );
        } else {
            assert_eq!(waiting(&server), 0);
            assert!(mail.letters().is_empty());
        }
    }
}

#[test]
fn before_the_end_giver_and_receiver_are_reminded_once() {
    let mail = MailServer::start();
    let mut server = TestServer::over(settings(&mail));
    let (ana, zoe) = (person(&server, "ana"), person(&server, "zoe"));
    ana.mkcol("/Given").send().expect(201);
    ana.mkcol("/Open").send().expect(201);
    let day = |days: i32| {
        let day = today().checked_add(jiff::Span::new().days(days)).unwrap();
        day.to_string()
    };
    let ends = day(20);
    let given = [
        ("path", "/Given"),
        ("shareType", "0"),
        ("shareWith", zoe.name.as_str()),
        ("expireDate", &ends),
    ];
    call(&ana, "POST", "shares", &given).expect(200);
    let open = [("path", "/Open"), ("shareType", "3"), ("expireDate", &ends)];
    let link = data(&call(&ana, "POST", "shares", &open).expect(200));
    let tomorrow = day(1);
    let brief = [
        ("path", "/Open"),
        ("shareType", "3"),
        ("expireDate", &tomorrow),
    ];
    call(&ana, "POST", "shares", &brief).expect(200);
    mail.wait_for(1);
    wait_until_quiet(&server);
    assert_eq!(
        receivers(&mail),
        ["zoe@example.org"],
        "of what she was given"
    );

    server.data.advance(19 * 86_400);
    mail.wait_for(4);
    wait_until_quiet(&server);
    server.kill();
    server.start_again();
    server.data.advance(3_600);
    wait_until_quiet(&server);
    assert_eq!(
        receivers(&mail),
        [
            "ana@example.org",
            "ana@example.org",
            "zoe@example.org",
            "zoe@example.org",
        ]
    );
    let subjects: Vec<String> = mail
        .letters()
        .iter()
        .flat_map(|letter| {
            letter
                .head("Subject")
                .iter()
                .map(|s| (*s).to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    for beginning in [
        "Your share of “Given” ends on",
        "Your link to “Open” ends on",
        "“Given” is shared with you until",
    ] {
        assert!(
            subjects
                .iter()
                .any(|subject| subject.starts_with(beginning)),
            "{beginning}: {subjects:?}"
        );
    }
    // A new end is a new reason.
    let id = link["id"].as_str().unwrap();
    let later = day(60);
    call(
        &ana,
        "PUT",
        &format!("shares/{id}"),
        &[("expireDate", &later)],
    )
    .expect(200);
    server.data.advance(39 * 86_400);
    mail.wait_for(5);
    wait_until_quiet(&server);
    assert_eq!(mail.letters().len(), 5);
}
