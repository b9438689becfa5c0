//! What sharing costs whoever writes and lists: how many statements, beside the same without shares.

use std::fmt::Write as _;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::report;
use nuage_tests::server::DataFolder;
use nuage_tests::wait::wait_until;

use crate::sharing::CHANGE;
use crate::sharing::give;
use crate::sharing::give_group;

/// Requests of each kind; background work adds to some, so the least counts.
const SAMPLES: usize = 12;
/// The first number of accounts that are put into the database behind the server's back.
const FIRST_ID: u64 = 2_000_000;

/// Lets so many people belong to a group.
fn crowd(data: &DataFolder, group: &str, people: u64) {
    let mut accounts = String::new();
    for number in 0..people {
        let id = FIRST_ID + number;
        accounts.push_str(if number % 500 == 0 {
            "; INSERT INTO account (id, name, fold, display_name, home_space, created_at, changed_at) VALUES "
        } else {
            ", "
        });
        write!(
            accounts,
            "({id}, 'crowd{number}', 'crowd{number}', 'Crowd', {id}, 1, 1)"
        )
        .unwrap();
    }
    data.execute(accounts.trim_start_matches(';'));
    data.execute(&format!(
        "INSERT INTO member (team_id, account_id, role) SELECT t.id, a.id, 1 FROM team t, account a \
         WHERE t.name = '{group}' AND a.id >= {FIRST_ID}"
    ));
}

/// Returns how many statements a request takes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the figures are written as numbers with a point, and count"
)]
fn statements(server: &TestServer, request: &mut dyn FnMut(usize)) -> u64 {
    let count = || server.metric("nuage_metadata_statements_total", "") as u64;
    let samples = (0..SAMPLES).map(|number| {
        let before = count();
        request(number);
        count() - before
    });
    samples.min().unwrap()
}

/// Statements of a new file, of one that is replaced, of a folder, of a deletion, and of a listing.
fn costs(server: &TestServer, user: &User, folder: &str) -> [u64; 5] {
    let who = &user.name;
    let path = |number: usize| format!("{folder}/{who}{number}");
    [
        statements(server, &mut |number| {
            user.put(&path(number), "x").send().expect(201);
        }),
        statements(server, &mut |number| {
            user.put(&path(number), "y").send().expect(204);
        }),
        statements(server, &mut |number| {
            user.mkcol(&format!("{folder}/of-{who}-{number}"))
                .send()
                .expect(201);
        }),
        statements(server, &mut |number| {
            user.delete(&format!("{folder}/of-{who}-{number}"))
                .send()
                .expect(204);
        }),
        statements(server, &mut |_| {
            user.propfind(folder, "1", &["d:getetag"])
                .send()
                .expect(207);
        }),
    ]
}

#[test]
fn a_write_into_a_folder_that_ten_thousand_see_takes_as_many_statements_as_a_private_one() {
    let mut server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    let cid = server.user("cid");
    let dan = server.user("dan");
    for (group, member) in [("large", "bob"), ("small", "dan")] {
        server.data.command(&["group", "add", group]).ok();
        let words = ["group", "member", "add", group, member];
        server.data.command(&words).ok();
    }
    for folder in ["/private", "/one", "/few", "/many"] {
        ann.mkcol(folder).send().expect(201);
    }
    give(&ann, "/one", &cid, CHANGE);
    give_group(&ann, "/few", "small", CHANGE);
    give_group(&ann, "/many", "large", CHANGE);
    server.stop();
    crowd(&server.data, "large", 10_000);
    server.start_again();
    // Whoever was added is made findable by a job.
    let waiting = "SELECT count(*) FROM account WHERE worded = 0";
    let patience = Duration::from_mins(5);
    wait_until("the job is done", patience, || {
        server.data.number(waiting) == 0
    });
    server.data.settle();
    let private = costs(&server, &ann, "/private");
    let to_few = costs(&server, &ann, "/few");
    let to_many = costs(&server, &ann, "/many");
    let of_one = costs(&server, &cid, "/one");
    let of_few = costs(&server, &dan, "/few");
    let of_many = costs(&server, &bob, "/many");
    report(&format!(
        "statements of PUT, PUT again, MKCOL, DELETE, PROPFIND: private {private:?}, owner of what two see {to_few:?}, \
         owner of what 10 000 see {to_many:?}; one receiver {of_one:?}, member of two {of_few:?}, member of 10 000 \
         {of_many:?}"
    ));
    assert_eq!(to_few, private);
    assert_eq!(to_many, private);
    assert_eq!(of_many, of_few);
    // A receiver's requests find out what they were given, and nothing else is added.
    for (received, private) in of_many.iter().zip(private) {
        assert!(*received <= private + 6, "{of_many:?} and {private}");
    }
    assert_eq!(of_many[..4], of_one[..4]);
}
