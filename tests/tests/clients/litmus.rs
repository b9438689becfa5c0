//! litmus, the WebDAV conformance suite: every test, on both URLs.

use std::process::Command;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::has;
use nuage_tests::command::report;
use nuage_tests::command::run;

/// Tests of all five suites in Debian's litmus 0.13.
const TESTS: u32 = 104;

/// Complaints that are understood: what litmus says, and why it stays.
const EXPLAINED: &[(&str, &str)] = &[(
    "DELETE removed collection resource with Request-URI including fragment",
    "RFC 9112 section 3.2 allows no fragment in a request target; hyper's parser drops it before \
     anybody could refuse, as Apache's and most others do, and no client sends one",
)];

/// What one run said.
struct Verdict {
    passed: u32,
    ran: u32,
    complaints: Vec<String>,
}

fn litmus(server: &TestServer, user: &User) -> Verdict {
    let folder = server.data.scratch("litmus");
    let mut program = Command::new("litmus");
    program
        .arg("--keep-going")
        .arg(user.url("/"))
        .args([&user.name, &user.secret])
        .current_dir(&folder);
    let ran = run(&mut program, "");
    let mut verdict = Verdict {
        passed: 0,
        ran: 0,
        complaints: Vec::new(),
    };
    // It draws over its own lines; what counts is the last state of each.
    let output = ran.stdout.replace('\r', "\n");
    for line in output.lines() {
        // <- summary for `basic': of 16 tests run: 16 passed, 0 failed. 100.0%
        if let Some(summary) = line.strip_prefix("<- summary for ") {
            let numbers: Vec<u32> = summary
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|digits| digits.parse().ok())
                .collect();
            verdict.ran += numbers[0];
            verdict.passed += numbers[1];
        } else if is_complaint(line) {
            verdict.complaints.push(line.to_owned());
        }
    }
    if verdict.ran == 0 {
        verdict.complaints.push(ran.output());
    }
    verdict
}

fn is_complaint(line: &str) -> bool {
    let is_bad = ["FAIL", "WARNING", "SKIPPED"]
        .iter()
        .any(|word| line.contains(word));
    is_bad && !EXPLAINED.iter().any(|(said, _)| line.contains(said))
}

fn passes_everything(server: &TestServer, user: &User) {
    let verdict = litmus(server, user);
    report(&format!(
        "litmus on {}: {} of {}",
        user.prefix, verdict.passed, verdict.ran
    ));
    assert!(
        verdict.complaints.is_empty(),
        "{}",
        verdict.complaints.join("\n")
    );
    assert_eq!((verdict.passed, verdict.ran), (TESTS, TESTS));
}

#[test]
fn all_of_litmus_passes_on_both_urls_and_no_warning_is_unexplained() {
    if !has("litmus") {
        return;
    }
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let token = server.token(&alice, &[]);

    passes_everything(&server, &alice);
    passes_everything(&server, &token.at_remote_php());

    server.assert_alive();
    server.assert_clean();
}
