//! Dead properties: kept, copied, moved, bounded.

use nuage_tests::TestServer;

#[test]
fn properties_persist_and_follow_copies_and_moves() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/e");
    alice.put("/d/e/a", "x").send().expect(201);
    alice
        .set_property("/d/e/a", "colour", "blue")
        .send()
        .expect(207);
    alice
        .set_property("/d/e", "shape", "round &amp; <y xmlns=\"urn:y\">soft</y>")
        .send()
        .expect(207);

    alice.copy("/d", "/copy").send().expect(201);
    alice.mv("/d", "/moved").send().expect(201);
    server.restart();

    for top in ["/copy", "/moved"] {
        let file = alice.properties(&format!("{top}/e/a"), &["x:colour"]);
        assert_eq!(file.text("{urn:x}colour"), Some("blue"));
        let folder = alice.properties(&format!("{top}/e"), &["x:shape"]);
        let shape = &folder.properties["{urn:x}shape"];
        assert_eq!(shape.text, "round & soft");
        assert_eq!(shape.elements, ["{urn:y}y"]);
    }
    server.assert_clean();
}

#[test]
fn an_overwritten_file_keeps_its_properties_and_a_new_one_at_its_name_has_none() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    alice
        .set_property("/a", "colour", "blue")
        .send()
        .expect(207);

    alice.put("/a", "y").send().expect(204);
    assert_eq!(
        alice.properties("/a", &["x:colour"]).text("{urn:x}colour"),
        Some("blue")
    );

    alice.delete("/a").send().expect(204);
    alice.put("/a", "z").send().expect(201);
    assert_eq!(
        alice.properties("/a", &["x:colour"]).text("{urn:x}colour"),
        None
    );
}

#[test]
fn a_proppatch_happens_whole_or_not_at_all() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    let answer = alice
        .proppatch(
            "/a",
            "<d:set><d:prop><x:colour>blue</x:colour></d:prop></d:set>\
             <d:set><d:prop><d:getetag>mine</d:getetag></d:prop></d:set>",
        )
        .send();

    let entry = answer.multistatus().entry("/a").clone();
    assert_eq!(entry.properties["{DAV:}getetag"].status, 403);
    assert_eq!(entry.properties["{urn:x}colour"].status, 424);
    assert_eq!(
        alice.properties("/a", &["x:colour"]).text("{urn:x}colour"),
        None
    );
}

#[test]
fn a_removed_property_is_gone_and_removing_it_again_is_no_fault() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    alice
        .set_property("/a", "colour", "blue")
        .send()
        .expect(207);

    for _ in 0..2 {
        let answer = alice
            .proppatch("/a", "<d:remove><d:prop><x:colour/></d:prop></d:remove>")
            .send();
        assert_eq!(
            answer.multistatus().entry("/a").properties["{urn:x}colour"].status,
            200
        );
    }

    assert_eq!(
        alice.properties("/a", &["x:colour"]).text("{urn:x}colour"),
        None
    );
}

#[test]
fn properties_are_bounded() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let large = "v".repeat(100_000);

    let statuses: Vec<u16> = (0..6)
        .map(|number| {
            let answer = alice
                .set_property("/a", &format!("p{number}"), &large)
                .send();
            match answer.status {
                207 => {
                    let entry = answer.multistatus().entry("/a").clone();
                    entry
                        .properties
                        .values()
                        .next()
                        .map_or(0, |property| property.status)
                }
                status => status,
            }
        })
        .collect();

    assert_eq!(statuses[0], 200, "{statuses:?}");
    assert!(
        statuses.contains(&507) || statuses.contains(&413),
        "{statuses:?}"
    );
    server.assert_alive();
}

#[test]
fn both_quota_properties_are_told() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "1000"]);
    alice.put("/a", vec![0; 300]).send().expect(201);

    let home = alice.properties("/", &["d:quota-used-bytes", "d:quota-available-bytes"]);

    assert_eq!(home.text("{DAV:}quota-used-bytes"), Some("300"));
    assert_eq!(home.text("{DAV:}quota-available-bytes"), Some("700"));
}
