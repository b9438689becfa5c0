//! Many clients write while the process is killed with -9, again and again.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::command::report;
use nuage_tests::data::Chance;
use nuage_tests::data::size_from_env;
use nuage_tests::shape::Shape;
use nuage_tests::wait::pause;

use crate::storage::ledger::Ledger;
use crate::storage::ledger::Outcome;

/// Rounds in `make test`, and the greatest length of a file: the S3 store of the tests reads slowly.
fn scale() -> (u64, u64) {
    match Shape::of_this_run() {
        Shape::Embedded => (20, 3 << 20),
        Shape::Scaled => (6, 300_000),
    }
}

/// Clients that write at the same time.
const CLIENTS: u64 = 8;

#[test]
fn what_was_acknowledged_survives_any_number_of_kills() {
    let (few, length_max) = scale();
    let rounds = size_from_env("NUAGE_TEST_CRASHES", few, 200);
    let mut chance = Chance::new("crash");
    // Small bodies move to packs all the time, so that some kills hit that.
    let mut server = TestServer::with(&[("NUAGE_JOBS__PACK_SECONDS", "1")]);
    let alice = server.user("alice");
    let alice = server.token(&alice, &[]);
    let mut ledgers: Vec<Ledger> = (0..CLIENTS)
        .map(|number| {
            Ledger::new(&alice, number, chance.branch(number)).with_length_max(length_max)
        })
        .collect();

    for round in 0..rounds {
        let lifetime = Duration::from_millis(chance.between(20, 1_500));
        std::thread::scope(|scope| {
            for ledger in &mut ledgers {
                scope.spawn(move || while ledger.step() == Outcome::Done {});
            }
            pause(lifetime);
            server.kill();
        });
        // Now and then it is killed again while it is putting itself in order.
        while chance.between(0, 3) == 0 {
            server.start_and_kill(Duration::from_millis(chance.between(1, 120)));
        }
        server.start_again();
        for ledger in &mut ledgers {
            ledger.settle();
        }
        if round % 10 == 9 {
            server.assert_clean();
        }
    }

    for ledger in &ledgers {
        ledger.verify();
    }
    server.assert_clean();
    let acknowledged: u64 = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
    report(&format!(
        "{rounds} kills, {acknowledged} acknowledged changes, none lost"
    ));
    assert!(
        acknowledged > rounds * 5,
        "only {acknowledged} changes in {rounds} rounds"
    );
}

#[test]
fn a_collection_that_is_killed_loses_nothing() {
    let (few, length_max) = scale();
    let rounds = size_from_env("NUAGE_TEST_CRASHES", few, 200) / 2;
    let mut chance = Chance::new("killed collection");
    let mut server = TestServer::with(&[("NUAGE_JOBS__PACK_SECONDS", "1")]);
    let alice = server.user("alice");
    let alice = server.token(&alice, &[]);
    let mut ledger = Ledger::new(&alice, 0, chance.branch(0)).with_length_max(length_max);

    for round in 0..rounds {
        for _ in 0..30 {
            ledger.step();
        }
        // Everything former is old enough to go.
        server.data.advance(400 * 86_400);
        let moment = Duration::from_millis(chance.between(10, 600));
        if round % 2 == 0 {
            // The server collects, and dies.
            let mut command = server.data.spawn(&["gc", "--now"]);
            std::thread::scope(|scope| {
                scope.spawn(|| while ledger.step() == Outcome::Done {});
                pause(moment);
                server.kill();
            });
            command.kill().unwrap();
            command.wait().unwrap();
        } else {
            // The command collects by itself, and dies.
            server.stop();
            let mut command = server.data.spawn(&["gc", "--now"]);
            pause(moment);
            command.kill().unwrap();
            command.wait().unwrap();
        }
        server.start_again();
        ledger.settle();
        ledger.verify();
    }

    server.data.command(&["gc", "--now"]).ok();
    ledger.verify();
    server.assert_clean();
}
