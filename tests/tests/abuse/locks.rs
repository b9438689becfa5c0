//! Ten thousand locks: a limit for one account, no hindrance to others, and an end by themselves.

use nuage_tests::TestServer;
use nuage_tests::User;

/// What the settings allow one account.
const LIMIT: usize = 10_000;
/// Files that they are spread over; the first gets a thousand.
const FILES: usize = 300;
const ON_ONE_FILE: usize = 1_000;

fn path_of(number: usize) -> String {
    let file = if number < ON_ONE_FILE {
        0
    } else {
        number % FILES
    };
    format!("/f{file}")
}

/// Asks for a share of the locks and returns how many were given.
fn ask(user: &User, numbers: impl Iterator<Item = usize>) -> usize {
    let mut given = 0;
    for number in numbers {
        let call = user.lock(&path_of(number), "shared", "0", "Second-3600");
        given += usize::from(call.send().expect_any(&[200, 507]).status == 200);
    }
    given
}

#[test]
fn ten_thousand_locks_hinder_nobody_and_end() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    bob.put("/b", "x").send().expect(201);
    for file in 0..FILES {
        alice.put(&format!("/f{file}"), "x").send().expect(201);
    }

    let given: usize = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4)
            .map(|asker| {
                let alice = &alice;
                scope.spawn(move || ask(alice, (asker..LIMIT + 100).step_by(4)))
            })
            .collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });

    assert_eq!(given, LIMIT, "the limit holds for one account");
    alice.put("/f0", "y").send().expect(423);
    alice.put("/other", "z").send().expect(201);
    bob.locked("/b", "Second-60");
    alice.propfind("/", "1", &["d:getetag"]).send().expect(207);
    let all = alice.propfind("/", "1", &["d:lockdiscovery"]).send();
    assert!(all.expect(207).body.len() < 16 << 20);
    let memory = server.memory_peak_bytes();
    assert!(memory < 200 << 20, "{memory} bytes");

    server.data.advance(3_601);
    alice.put("/f0", "free").send().expect(204);
    alice.locked("/f0", "Second-60");
    server.assert_alive();
    server.assert_clean();
}
