//! Ten thousand locks on one file: a limit for one account, no hindrance to others.

use nuage_tests::TestServer;
use nuage_tests::data::size_from_env;

#[test]
fn ten_thousand_locks_hinder_nobody_and_end() {
    let count = size_from_env("NUAGE_TEST_LOCKS", 10_000, 10_000);
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    alice.put("/a", "x").send().expect(201);
    bob.put("/b", "x").send().expect(201);

    let mut given = 0;
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4)
            .map(|_| {
                let alice = &alice;
                scope.spawn(move || {
                    let mut given = 0_u64;
                    for _ in 0..count / 4 + 25 {
                        let answer = alice.lock("/a", "shared", "0", "Second-3600").send();
                        match answer.status {
                            200 => given += 1,
                            _ => drop(answer.expect(507)),
                        }
                    }
                    given
                })
            })
            .collect();
        given = askers.into_iter().map(|asker| asker.join().unwrap()).sum();
    });

    assert_eq!(given, 10_000, "the limit is 10 000 for each account");
    alice.put("/a", "y").send().expect(423);
    alice.put("/other", "z").send().expect(201);
    bob.locked("/b", "Second-60");
    alice.propfind("/", "1", &["d:getetag"]).send().expect(207);
    let answer = alice
        .propfind("/a", "0", &["d:lockdiscovery"])
        .send()
        .expect(207);
    assert!(answer.body.len() < 16 << 20);
    let memory = server.memory_peak_bytes();
    assert!(memory < 300 << 20, "{memory} bytes");
    server.data.advance(3_601);
    alice.put("/a", "free").send().expect(204);
    alice.locked("/a", "Second-60");
    server.assert_alive();
    server.assert_clean();
}
