//! Listings in pieces, as phones ask for them: whole, in order, also while the folder changes.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Answer;

/// Asks for a piece.
fn piece(user: &User, count: usize, more: &[(&str, &str)]) -> Answer {
    let mut call = user
        .propfind("/photos", "1", &["d:getetag", "oc:fileid"])
        .header("X-NC-Paginate", "true")
        .header("X-NC-Paginate-Count", &count.to_string());
    for (name, value) in more {
        call = call.header(name, value);
    }
    call.send().expect(207)
}

#[track_caller]
fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.header("x-nc-paginate"), Some("true"), "{answer}");
    answer.header("x-nc-paginate-token").unwrap().to_owned()
}

fn hrefs(answer: &Answer) -> Vec<String> {
    let multistatus = answer.multistatus();
    let hrefs = multistatus.entries.into_iter().map(|entry| entry.href);
    hrefs.collect()
}

fn start() -> (TestServer, User) {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.folders("/photos");
    for number in 0..25 {
        let path = format!("/photos/{number:02}");
        alice.put(&path, format!("{number}")).send().expect(201);
    }
    (server, alice)
}

#[test]
fn pieces_together_are_the_whole_listing() {
    let (_server, alice) = start();
    let options = alice.call("OPTIONS", "/photos").send().expect(200);
    assert!(options.header("dav").unwrap().contains("nc-paginate"));
    let whole = alice.propfind("/photos", "1", &["d:getetag", "oc:fileid"]);
    let whole = whole.send().expect(207);
    assert_eq!(whole.header("x-nc-paginate"), None);

    let mut all = Vec::new();
    let mut token: Option<String> = None;
    for expected in [10, 10, 6, 0] {
        let offset = all.len().to_string();
        let answer = match &token {
            None => piece(&alice, 10, &[]),
            Some(token) => piece(
                &alice,
                10,
                &[
                    ("X-NC-Paginate-Token", token),
                    ("X-NC-Paginate-Offset", &offset),
                ],
            ),
        };
        assert_eq!(answer.header("x-nc-paginate-total"), Some("26"));
        let found = hrefs(&answer);
        assert_eq!(found.len(), expected);
        all.extend(found);
        token = Some(token_of(&answer));
    }
    assert_eq!(all, hrefs(&whole));
    assert_eq!(hrefs(&piece(&alice, 1, &[])), &all[..1]);
}

#[test]
fn nothing_is_lost_while_the_folder_changes() {
    let (_server, alice) = start();
    let first = piece(&alice, 10, &[]);
    let token = token_of(&first);
    alice.delete("/photos/03").send().expect(204);
    alice.put("/photos/new", "x").send().expect(201);
    alice
        .mv("/photos/20", "/photos/00 renamed")
        .send()
        .expect(201);
    // The token of the piece before leads on from exactly there.
    let mut all = hrefs(&first);
    let next = piece(
        &alice,
        20,
        &[
            ("X-NC-Paginate-Token", &token),
            ("X-NC-Paginate-Offset", "10"),
        ],
    );
    all.extend(hrefs(&next));
    assert_eq!(all.len(), 27, "25, the folder and the new one");
    assert!(all.iter().any(|href| href.ends_with("/new")));
    assert!(all.iter().any(|href| href.ends_with("/00%20renamed")));
    // By numbers alone something could be missing: then comes everything.
    let by_number = piece(
        &alice,
        5,
        &[
            ("X-NC-Paginate-Token", &token),
            ("X-NC-Paginate-Offset", "20"),
        ],
    );
    assert_eq!(by_number.header("x-nc-paginate"), None);
    assert_eq!(hrefs(&by_number).len(), 26);
}

#[test]
fn who_goes_by_numbers_is_answered_while_the_folder_is_the_same() {
    let (server, alice) = start();
    let bob = server.user("bob").at_remote_php();
    bob.mkcol("/given").send().expect(201);
    let shared = bob
        .raw(
            "POST",
            "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json",
        )
        .header("OCS-APIRequest", "true")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("path=/given&shareType=0&shareWith=alice&permissions=1");
    shared.send().expect(200);
    alice.mv("/given", "/photos/given").send().expect(201);
    let whole = alice.propfind("/photos", "1", &["d:getetag"]).send();
    let whole = hrefs(&whole.expect(207));
    assert_eq!(whole.len(), 27);
    let first = piece(&alice, 5, &[]);
    assert_eq!(first.header("x-nc-paginate-total"), Some("27"));
    let token = token_of(&first);
    for (offset, count) in [
        (0, 3),
        (1, 4),
        (7, 10),
        (20, 10),
        (26, 5),
        (27, 5),
        (1_000, 5),
    ] {
        let asked = offset.to_string();
        let answer = piece(
            &alice,
            count,
            &[
                ("X-NC-Paginate-Token", &token),
                ("X-NC-Paginate-Offset", &asked),
            ],
        );
        let expected = whole.iter().skip(offset).take(count);
        assert!(expected.eq(hrefs(&answer).iter()), "{offset} {answer}");
        token_of(&answer);
    }
}

#[test]
fn a_token_of_another_folder_and_what_nobody_understands_get_the_whole() {
    let (_server, alice) = start();
    alice.mkcol("/other").send().expect(201);
    let token = token_of(&piece(&alice, 5, &[]));
    let asked = alice.propfind("/other", "1", &["d:getetag"]);
    let asked = asked.header("X-NC-Paginate", "true");
    let other = asked.header("X-NC-Paginate-Token", &token).send();
    assert_eq!(other.header("x-nc-paginate"), None);
    assert_eq!(hrefs(&other.expect(207)).len(), 1);
    for (name, value) in [
        ("X-NC-Paginate-Token", "rubbish"),
        ("X-NC-Paginate-Token", "9999999999999999999999.1.1.c1.x"),
        ("X-NC-Paginate-Offset", "7"),
        ("X-NC-Paginate-Offset", "-1"),
    ] {
        let answer = piece(&alice, 5, &[(name, value)]);
        assert_eq!(answer.header("x-nc-paginate"), None, "{name}: {value}");
        assert_eq!(hrefs(&answer).len(), 26, "{name}: {value}");
    }
    // A token is the client's word: the furthest places, and none at all.
    let parts: Vec<&str> = token.split('.').collect();
    let most = u64::MAX.to_string();
    let [folder, _, _, _, etag] = parts[..] else {
        panic!("{token}");
    };
    for (place, offset) in [
        ("c-1", "3"),
        ("c9223372036854775807", &most),
        ("m7", &most),
        (&format!("m{most}"), "0"),
    ] {
        let made = format!("{folder}.{most}.{offset}.{place}.{etag}");
        for asked in [offset, "1", &most] {
            let headers = [
                ("X-NC-Paginate-Token", made.as_str()),
                ("X-NC-Paginate-Offset", asked),
            ];
            let answer = piece(&alice, 1_000, &headers);
            assert!(hrefs(&answer).len() <= 26, "{made} {asked}");
        }
    }
    // A file, or the folder alone, is a whole anyway.
    for (path, depth) in [("/photos/01", "1"), ("/photos", "0")] {
        let call = alice.propfind(path, depth, &["d:getetag"]);
        let answer = call.header("X-NC-Paginate", "true").send().expect(207);
        assert_eq!(hrefs(&answer).len(), 1);
    }
}
