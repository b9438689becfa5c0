//! Sixteen clients write through three servers while those are killed in turn, PostgreSQL is
//! restarted and the S3 store goes away.
//!
//! Afterwards: nothing acknowledged is lost, `check` is clean, who followed the feed has the same
//! as who reads it anew, and quotas are exact to the byte.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::data::Chance;
use nuage_tests::data::size_from_env;
use nuage_tests::postgres::Stop;
use nuage_tests::shape::Ground;
use nuage_tests::wait::pause;
use nuage_tests::wait::wait_until;

use crate::servers::feed::Follower;
use crate::servers::servers;
use crate::storage::ledger::Ledger;
use crate::storage::ledger::Outcome;

/// Servers of the installation.
const SERVERS: usize = 3;
/// Clients that write, half of them in one home, half in another.
const CLIENTS: u64 = 16;
/// The greatest length of a file, in bytes: `check` reads all of them back, and the store of the tests reads slowly.
const LENGTH_MAX: u64 = 500_000;
/// After this long no request without an answer can still be on its way to the database.
const SETTLED: Duration = Duration::from_secs(10);

/// One client: its ledger, and the same account at each server.
struct Client {
    ledger: Ledger,
    doors: Vec<User>,
    chance: Chance,
    /// Statuses other than success, as far as they were answered.
    refusals: Vec<u16>,
    unanswered: u64,
}

impl Client {
    /// Writes through a server drawn anew for each request, until it is told to stop.
    fn run(&mut self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let door = self.chance.between(0, self.doors.len() as u64 - 1);
            self.ledger
                .speak_as(&self.doors[usize::try_from(door).unwrap()]);
            match self.ledger.step() {
                Outcome::Done => {}
                Outcome::Refused(status) => {
                    self.refusals.push(status);
                    pause(Duration::from_millis(100));
                }
                Outcome::Unanswered => {
                    self.unanswered += 1;
                    pause(Duration::from_millis(50));
                }
                Outcome::Stuck => {
                    self.ledger.settle_older(SETTLED);
                    pause(Duration::from_millis(100));
                }
            }
        }
    }
}

/// What is done to the installation while they write.
struct Weather<'a> {
    ground: &'a Ground,
    servers: &'a [Mutex<TestServer>],
    chance: Chance,
    kills: u64,
}

impl Weather<'_> {
    /// Goes on for `length`; PostgreSQL is restarted after a third of it, the store is away after two.
    fn run(&mut self, length: Duration, store_away: Duration) {
        let begun = Instant::now();
        let mut restarted = false;
        let mut was_away = false;
        while begun.elapsed() < length {
            if !restarted && begun.elapsed() > length / 3 {
                restarted = true;
                let how = [Stop::Fast, Stop::Immediate];
                let how = how[usize::try_from(self.chance.between(0, 1)).unwrap()];
                self.ground.postgres.stop(how);
                pause(Duration::from_millis(self.chance.between(200, 2_000)));
                self.ground.postgres.start_again();
            }
            if !was_away && begun.elapsed() > length * 2 / 3 {
                was_away = true;
                self.ground.store.kill();
                pause(store_away);
                self.ground.store.start_again();
            }
            pause(Duration::from_millis(self.chance.between(500, 3_000)));
            self.kill_one();
        }
        assert!(restarted && was_away);
    }

    fn kill_one(&mut self) {
        let which = self.chance.between(0, self.servers.len() as u64 - 1);
        let mut server = self.servers[usize::try_from(which).unwrap()]
            .lock()
            .unwrap();
        server.kill();
        self.kills += 1;
        pause(Duration::from_millis(self.chance.between(0, 1_500)));
        server.start_again();
    }
}

#[test]
fn nothing_is_lost_while_servers_die_and_the_ground_shakes() {
    let seconds = size_from_env("NUAGE_TEST_STORM_SECONDS", 20, 600);
    let away = size_from_env("NUAGE_TEST_STORE_AWAY_SECONDS", 4, 60);
    let chance = Chance::new("storm");
    let ground = Ground::own();
    let settings = [("NUAGE_JOBS__PACK_SECONDS", "1")];
    let all = servers(&ground, SERVERS, &settings);
    let place = all[0].data.place().unwrap().clone();
    let people: Vec<User> = ["alice", "bob"]
        .iter()
        .map(|name| {
            let user = all[0].user(name);
            all[0].token(&user, &[])
        })
        .collect();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let user = &people[usize::try_from(number % 2).unwrap()];
            let doors = all
                .iter()
                .map(|server| server.client(&user.name, &user.secret));
            Client {
                ledger: Ledger::new(user, number, chance.branch(number))
                    .with_length_max(LENGTH_MAX),
                doors: doors.collect(),
                chance: chance.branch(100 + number),
                refusals: Vec::new(),
                unanswered: 0,
            }
        })
        .collect();
    let mut followers: Vec<Follower> = people
        .iter()
        .map(|user| Follower::of(&place, &user.name))
        .collect();
    let all: Vec<Mutex<TestServer>> = all.into_iter().map(Mutex::new).collect();

    let is_over = AtomicBool::new(false);
    let mut weather = Weather {
        ground: &ground,
        servers: &all,
        chance: chance.branch(1_000),
        kills: 0,
    };
    let (is_over_ref, place_ref) = (&is_over, &place);
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || client.run(is_over_ref));
        }
        for follower in &mut followers {
            scope.spawn(move || follower.run(place_ref, is_over_ref));
        }
        // The others end even when the weather panics.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            weather.run(Duration::from_secs(seconds), Duration::from_secs(away));
        }));
        is_over_ref.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });

    let acknowledged: u64 = clients
        .iter()
        .map(|client| client.ledger.acknowledged)
        .sum();
    let unanswered: u64 = clients.iter().map(|client| client.unanswered).sum();
    let refusals: Vec<u16> = clients
        .iter()
        .flat_map(|client| client.refusals.iter().copied())
        .collect();
    report(&format!(
        "{} kills, {acknowledged} acknowledged changes, {unanswered} without an answer, {} refused; \
         the followers took {} changes in {} pages",
        weather.kills,
        refusals.len(),
        followers.iter().map(|one| one.changes).sum::<u64>(),
        followers.iter().map(|one| one.pages).sum::<u64>(),
    ));
    let strange: Vec<u16> = refusals
        .into_iter()
        .filter(|status| *status != 503)
        .collect();
    assert!(strange.is_empty(), "statuses other than 503: {strange:?}");
    assert!(
        acknowledged > seconds * 10,
        "only {acknowledged} changes in {seconds} s"
    );

    let all: Vec<TestServer> = all
        .into_iter()
        .map(|server| server.into_inner().unwrap())
        .collect();
    // What a dead server has sent is dealt with by then.
    pause(Duration::from_secs(1));
    let verified = Instant::now();
    wait_until(
        "everything is readable again",
        Duration::from_mins(1),
        || {
            for client in &mut clients {
                client.ledger.settle_older(Duration::ZERO);
            }
            clients.iter().all(|client| client.ledger.is_settled())
        },
    );
    for (number, client) in clients.iter_mut().enumerate() {
        client.ledger.speak_as(&client.doors[number % SERVERS]);
        client.ledger.verify();
    }
    let read_back = verified.elapsed();
    for follower in &mut followers {
        follower.assert_same(&place);
    }
    for (number, user) in people.iter().enumerate() {
        let written: u64 = clients
            .iter()
            .skip(number)
            .step_by(people.len())
            .map(|client| client.ledger.bytes())
            .sum();
        let used = user.properties("/", &["d:quota-used-bytes"]);
        assert_eq!(
            used.text("{DAV:}quota-used-bytes"),
            Some(written.to_string().as_str()),
            "bytes of {}",
            user.name
        );
    }
    all[1].assert_clean();
    report(&format!(
        "read back in {read_back:?}, with check in {:?}",
        verified.elapsed()
    ));
}
