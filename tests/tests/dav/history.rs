//! Former states are kept from the first day, though no protocol shows them yet.

use nuage_tests::TestServer;

#[test]
fn an_overwritten_and_a_deleted_file_leave_their_former_states() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "one").send().expect(201);
    alice.put("/a", "two").send().expect(204);
    alice.mv("/a", "/b").send().expect(201);
    alice.delete("/b").send().expect(204);

    let versions = server
        .data
        .number("SELECT count(*) FROM hist WHERE content_id IS NOT NULL AND name IN ('a', 'b')");
    let trash = server
        .data
        .number("SELECT count(*) FROM trash WHERE name = 'b'");

    assert!(versions >= 3, "{versions} former states of the file");
    assert_eq!(trash, 1);
    server.assert_clean();
}

#[test]
fn a_deleted_tree_is_one_entry_of_the_trash() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/e");
    alice.put("/d/e/a", "x").send().expect(201);

    alice.delete("/d").send().expect(204);

    assert_eq!(server.data.number("SELECT count(*) FROM trash"), 1);
    assert_eq!(
        server
            .data
            .number("SELECT count(*) FROM node WHERE name = 'a'"),
        1
    );
}

#[test]
fn what_is_older_than_the_retention_goes_with_the_collection() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/kept", "kept").send().expect(201);
    alice.put("/a", "one").send().expect(201);
    alice.put("/a", "two").send().expect(204);
    alice.delete("/a").send().expect(204);

    server.data.command(&["gc", "--now"]).ok();
    assert_eq!(
        server.data.number("SELECT count(*) FROM trash"),
        1,
        "30 days are not over"
    );
    server.data.advance(31 * 86_400);
    server.data.command(&["gc", "--now"]).ok();

    assert_eq!(server.data.number("SELECT count(*) FROM trash"), 0);
    assert_eq!(
        server
            .data
            .number("SELECT count(*) FROM node WHERE name = 'a'"),
        0
    );
    assert_eq!(alice.get("/kept").send().text(), "kept");
    server.assert_clean();
}
