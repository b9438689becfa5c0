//! Mail: letters arrive through a real server of mail, late rather than never, and say what they should.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::mail_server::MailOptions;
use nuage_tests::mail_server::MailServer;
use nuage_tests::server::DataFolder;
use nuage_tests::wait::wait_until;

/// How long the server may take for what it does every few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns settings for a server of mail on this machine, without encryption.
fn settings(mail: &MailServer) -> DataFolder {
    DataFolder::new()
        .env("NUAGE_MAIL__HOST", "127.0.0.1")
        .env("NUAGE_MAIL__PORT", &mail.port().to_string())
        .env("NUAGE_MAIL__TLS", "none")
        .env("NUAGE_MAIL__FROM", "Nuage été <cloud@example.org>")
}

/// Puts a letter into the queue, as whatever tells somebody of a change does.
fn enqueue(server: &TestServer, id: u32, recipient: &str, subject: &str) {
    let now = jiff::Timestamp::now().as_nanosecond();
    let subject = subject.replace('\'', "''");
    server.data.execute(&format!(
        "INSERT INTO mail_queue (id, recipient, subject, body, created_at, next_try) VALUES \
         ({id}, '{recipient}', '{subject}', 'Voilà l’été.\n.\nÀ bientôt, œuvre {id}\n', {now}, {now})"
    ));
}

/// Makes a certificate of `localhost` and its key.
fn certificate_in(folder: &DataFolder) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = folder.scratch("mail");
    let (certificate, key) = (folder.join("mail.pem"), folder.join("mail.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

fn waiting(server: &TestServer) -> i64 {
    server.data.number("SELECT count(*) FROM mail_queue")
}

fn wait_for_attempts(server: &TestServer, count: i64) {
    let question = "SELECT CAST(coalesce(max(attempts), 0) AS BIGINT) FROM mail_queue";
    wait_until("it was tried", PATIENCE, || {
        server.data.number(question) >= count
    });
}

#[test]
fn a_letter_waits_for_a_server_of_mail_that_is_away() {
    let mut mail = MailServer::start();
    let server = TestServer::over(settings(&mail));
    mail.kill();
    enqueue(
        &server,
        1,
        "zoe@example.org",
        "Élodie a partagé « Été » avec vous",
    );
    wait_for_attempts(&server, 1);
    assert_eq!(
        server
            .data
            .number("SELECT count(*) FROM mail_queue WHERE last_error IS NOT NULL"),
        1
    );
    mail.start_again();
    server.data.advance(61);

    let letters = mail.wait_for(1);

    let letter = &letters[0];
    assert_eq!(letter.recipients(), ["zoe@example.org"]);
    assert_eq!(
        letter.head("Subject"),
        ["Élodie a partagé « Été » avec vous"]
    );
    assert_eq!(letter.head("From"), ["Nuage été <cloud@example.org>"]);
    assert_eq!(letter.text(), "Voilà l’été.\n.\nÀ bientôt, œuvre 1\n");
    wait_until("it left the queue", PATIENCE, || waiting(&server) == 0);
    server.data.advance(4_000);
    enqueue(&server, 2, "zoe@example.org", "next");
    assert_eq!(mail.wait_for(2)[1].head("Subject"), ["next"]);
}

#[test]
fn a_server_that_is_killed_while_it_sends_sends_again_under_the_same_id() {
    let mail = MailServer::start();
    let mut server = TestServer::over(settings(&mail));
    enqueue(&server, 1, "slow@example.org", "once or twice");
    // It is taken, and nobody has said so yet.
    mail.wait_for(1);
    server.kill();
    assert_eq!(waiting(&server), 1);

    server.start_again();

    let letters = mail.wait_for(2);
    wait_until("it left the queue", PATIENCE, || waiting(&server) == 0);
    assert_eq!(mail.letters().len(), 2);
    let id = letters[0].head("Message-ID");
    assert!(id[0].ends_with("@example.org>"), "{id:?}");
    assert_eq!(letters[1].head("Message-ID"), id);
}

#[test]
fn no_name_gives_a_letter_another_head_or_recipient() {
    let mail = MailServer::start();
    let server = TestServer::over(settings(&mail));
    let evil = "x\r\nBcc: thief@example.org\r\n\r\nbuy this";
    enqueue(&server, 1, "zoe@example.org", evil);
    enqueue(
        &server,
        2,
        "zoe@example.org\r\nRCPT TO:<thief@example.org>",
        "s",
    );
    enqueue(&server, 3, "zoe@example.org,thief@example.org", "s");

    wait_until("the queue is empty", PATIENCE, || waiting(&server) == 0);

    let letters = mail.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].recipients(), ["zoe@example.org"]);
    assert!(letters[0].head("Bcc").is_empty());
    assert_eq!(
        letters[0].head("Subject"),
        ["x  Bcc: thief@example.org    buy this"]
    );
    assert!(letters[0].text().starts_with("Voilà"));
    let log = server.log();
    assert_eq!(log.matches("given up").count(), 2, "{log}");
    assert!(
        !log.contains("buy this") && !log.contains("bientôt"),
        "{log}"
    );
}

#[test]
fn a_refused_letter_is_given_up_and_one_that_is_put_off_after_three_days() {
    let mail = MailServer::start();
    let server = TestServer::over(settings(&mail));
    enqueue(&server, 1, "unknown@example.org", "s");
    enqueue(&server, 2, "later@example.org", "s");
    enqueue(&server, 3, "zoe@example.org", "behind them");
    // One that fails keeps nobody waiting.
    assert_eq!(mail.wait_for(1)[0].head("Subject"), ["behind them"]);
    wait_until("the refused one is gone", PATIENCE, || {
        waiting(&server) == 1
    });
    assert_eq!(server.log().matches("given up").count(), 1);
    wait_for_attempts(&server, 1);
    server.data.advance(61);
    wait_for_attempts(&server, 2);
    server.data.advance(71 * 3_600);
    wait_for_attempts(&server, 3);
    server.data.advance(3_600);

    wait_until("it is given up", PATIENCE, || waiting(&server) == 0);
    assert_eq!(mail.letters().len(), 1);
    assert_eq!(server.log().matches("given up").count(), 2);
    assert!(server.metric("nuage_letters_total", "outcome=\"sent\"") >= 1.0);
}

#[test]
fn letters_go_encrypted_to_who_is_the_server_of_mail_and_the_command_says_what_failed() {
    let scratch = DataFolder::embedded();
    let (certificate, key) = certificate_in(&scratch);
    let password_file = certificate.with_extension("password");
    fs::write(&password_file, "geheim\n").unwrap();
    let folder = |mail: &MailServer, tls: &str| {
        DataFolder::embedded()
            .env("NUAGE_MAIL__HOST", "localhost")
            .env("NUAGE_MAIL__PORT", &mail.port().to_string())
            .env("NUAGE_MAIL__TLS", tls)
            .env("NUAGE_MAIL__FROM", "cloud@example.org")
    };
    let test = |data: &DataFolder| data.command(&["mail", "test", "zoe@example.org"]);
    for wrapped in [false, true] {
        let mut mail = MailServer::with(MailOptions {
            certificate: Some((certificate.clone(), key.clone())),
            wrapped,
            login: Some(("nuage".to_owned(), "geheim".to_owned())),
        });
        let tls = if wrapped { "tls" } else { "starttls" };
        let stranger = test(&folder(&mail, tls));
        let words = stranger.code(1).to_owned() + &stranger.stderr;
        assert!(words.contains("certificate"), "{words}");
        let trusting = || {
            folder(&mail, tls).env(
                "NUAGE_MAIL__ROOT_CERTIFICATES",
                &certificate.display().to_string(),
            )
        };
        let nameless = test(&trusting());
        nameless.code(1);
        let wrong = trusting()
            .env("NUAGE_MAIL__USER", "nuage")
            .env("NUAGE_MAIL__PASSWORD", "falsch");
        let wrong = test(&wrong);
        wrong.code(1);
        assert!(wrong.stderr.contains("535"), "{}", wrong.stderr);
        assert!(!wrong.output().contains("falsch"));
        assert!(mail.letters().is_empty());

        let right = trusting().env("NUAGE_MAIL__USER", "nuage").env(
            "NUAGE_MAIL__PASSWORD_FILE",
            &password_file.display().to_string(),
        );
        assert!(test(&right).ok().contains("zoe@example.org"));
        let letter = &mail.letters()[0];
        assert!(letter.was_encrypted() && letter.user() == Some("nuage"));
        assert!(letter.text().contains("é à ç œ €"), "{}", letter.text());
        assert_eq!(letter.head("Auto-Submitted"), ["auto-generated"]);
        let nobody = right.command(&["mail", "test", "unknown@example.org"]);
        nobody.code(1);
        assert!(nobody.stderr.contains("nobody has that name"));
        mail.kill();
        let away = test(&right);
        away.code(1);
        assert!(away.stderr.contains("refused"), "{}", away.stderr);
    }
    let none = test(&DataFolder::embedded());
    none.code(1);
    assert!(none.stderr.contains("mail.host"), "{}", none.stderr);
}

#[test]
fn who_may_not_sign_in_gives_up_no_letter() {
    let scratch = DataFolder::embedded();
    let (certificate, key) = certificate_in(&scratch);
    let mail = MailServer::with(MailOptions {
        certificate: Some((certificate.clone(), key)),
        wrapped: true,
        login: Some(("nuage".to_owned(), "geheim".to_owned())),
    });
    let server = TestServer::over(
        settings(&mail)
            .env("NUAGE_MAIL__HOST", "localhost")
            .env("NUAGE_MAIL__TLS", "tls")
            .env(
                "NUAGE_MAIL__ROOT_CERTIFICATES",
                &certificate.display().to_string(),
            )
            .env("NUAGE_MAIL__USER", "nuage")
            .env("NUAGE_MAIL__PASSWORD", "falsch"),
    );
    enqueue(&server, 1, "zoe@example.org", "s");
    wait_for_attempts(&server, 1);
    assert_eq!(waiting(&server), 1);
    let log = server.log();
    assert!(log.contains("535") && !log.contains("falsch"), "{log}");
}
