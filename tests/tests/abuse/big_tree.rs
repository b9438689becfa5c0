//! `Depth: infinity` on a big tree: refused, or streamed; never gathered in memory.

use nuage_tests::TestServer;
use nuage_tests::User;

/// Makes `2^doublings × 100` files in nested folders by copies, below `/big`.
fn big_tree(user: &User, doublings: u32) {
    user.folders("/big/0");
    for number in 0..100 {
        user.put(&format!("/big/0/{number}"), "x")
            .send()
            .expect(201);
    }
    for round in 0..doublings {
        user.copy("/big", &format!("/copy{round}"))
            .send()
            .expect(201);
        user.mv(&format!("/copy{round}"), &format!("/big/c{round}"))
            .send()
            .expect(201);
    }
}

#[test]
fn everything_below_a_big_tree_is_refused_or_streamed() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    big_tree(&alice, 9);
    let before = server.memory_peak_bytes();

    for depth in ["infinity", ""] {
        let mut call = alice.call("PROPFIND", "/");
        if !depth.is_empty() {
            call = call.header("Depth", depth);
        }
        let answer = call.send();
        match answer.status {
            403 => assert!(answer.text().contains("propfind-finite-depth"), "{answer}"),
            _ => assert!(answer.multistatus().entries.len() > 51_200),
        }
    }

    let grown = server.memory_peak_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    server.assert_alive();
    server.assert_clean();
}

#[test]
fn a_tree_of_many_levels_can_be_made_moved_and_deleted() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    let mut path = String::new();
    let mut depth = 0;
    for _ in 0..300 {
        path.push_str("/d");
        if alice.mkcol(&path).send().status != 201 {
            break;
        }
        depth += 1;
    }
    assert!(depth >= 60, "only {depth} levels");

    alice
        .copy("/d", "/copy")
        .send()
        .expect_any(&[201, 409, 403]);
    alice.mv("/d", "/moved").send().expect(201);
    alice.delete("/moved").send().expect(204);

    server.assert_alive();
    server.assert_clean();
}
