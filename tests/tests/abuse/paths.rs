//! Paths that try to leave the home, or that no name may look like.

use nuage_tests::TestServer;

/// What a bad path may be answered.
const REFUSED: [u16; 6] = [400, 403, 404, 405, 409, 414];

#[test]
fn no_path_leads_out_of_the_home_or_makes_a_name_that_cannot_be() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    server
        .user("bob")
        .put("/secret", "bob's")
        .send()
        .expect(201);
    alice.put("/a", "x").send().expect(201);
    let long = "n".repeat(256);
    let long_in_bytes = "%C3%A9".repeat(128);
    let deep = "/d".repeat(20_000);
    let bad = [
        "/..",
        "/../bob/secret",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/a/../../x",
        "/./x/../..",
        "/..%2f..%2fetc%2fpasswd",
        "/x%2fy",
        "/x%2Fy",
        "/x%00y",
        "/%00",
        "/%ff%fe",
        "/%c0%ae%c0%ae/x",
        "/%ed%a0%80",
        "/x%0ay",
        "/x%7fy",
        long.as_str(),
        &format!("/{long}"),
        &format!("/{long_in_bytes}"),
        &deep,
    ];

    for tail in bad {
        for prefix in ["/dav", "/remote.php/dav/files/alice"] {
            let target = format!("{prefix}{tail}");
            for method in ["GET", "PUT", "MKCOL", "DELETE", "PROPFIND", "LOCK"] {
                let call = alice.raw(method, &target);
                let answer = if method == "PUT" {
                    call.body("x")
                } else {
                    call
                }
                .send();
                let shown: String = answer.to_string().chars().take(400).collect();
                assert!(REFUSED.contains(&answer.status), "{shown}");
                assert!(!answer.text().contains("root:"), "{shown}");
            }
            let moved = alice
                .call("MOVE", "/a")
                .header("Destination", &target)
                .send();
            assert!(
                (400..=502).contains(&moved.status) && moved.status != 500,
                "{moved}"
            );
        }
    }

    assert_eq!(alice.names("/"), ["a"]);
    server.assert_alive();
    server.assert_clean();
}

#[test]
fn a_percent_sign_without_digits_is_refused_or_means_itself() {
    let server = TestServer::start();
    let alice = server.user("alice");

    for name in ["%", "%zz", "%4", "100%"] {
        let answer = alice.raw("PUT", &format!("/dav/{name}")).body("x").send();
        if answer.expect_any(&[201, 400]).status == 201 {
            assert_eq!(alice.names("/"), [name]);
            alice.delete(&format!("/{name}")).send().expect(204);
        }
    }
}

#[test]
fn a_name_of_255_bytes_is_kept() {
    let server = TestServer::start();
    let alice = server.user("alice");
    for name in ["n".repeat(255), "é".repeat(127)] {
        alice.put(&format!("/{name}"), "x").send().expect(201);
        assert!(alice.names("/").contains(&name));
    }
}

#[test]
fn dots_and_doubled_slashes_that_stay_inside_mean_one_thing_or_are_refused() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d");
    alice.put("/d/a", "x").send().expect(201);

    for target in ["/dav//d/a", "/dav/d//a", "/dav/./d/a", "/dav/d/../d/a"] {
        let answer = alice.raw("GET", target).send();
        match answer.status {
            200 => assert_eq!(answer.text(), "x"),
            _ => drop(answer.expect_any(&REFUSED)),
        }
    }
}
