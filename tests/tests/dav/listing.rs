//! PROPFIND: what a listing holds, and that it is never silently short.

use nuage_tests::TestServer;
use nuage_tests::shape::Shape;

const OC: &str = "{http://owncloud.org/ns}";

#[test]
fn a_listing_names_every_child_once_with_what_was_asked() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.mkcol("/d").send().expect(201);
    for number in 0..50 {
        alice
            .put(&format!("/f{number}"), "12345")
            .send()
            .expect(201);
    }

    let all = alice
        .propfind(
            "/",
            "1",
            &[
                "d:resourcetype",
                "d:getcontentlength",
                "d:getetag",
                "oc:id",
                "x:none",
            ],
        )
        .send()
        .multistatus();

    assert_eq!(all.entries.len(), 52);
    assert!(all.entries[0].is_folder());
    assert!(all.entry("/d/").is_folder());
    let file = all.entry("/f7");
    assert!(!file.is_folder());
    assert_eq!(file.text("{DAV:}getcontentlength"), Some("5"));
    assert!(file.text("{DAV:}getetag").is_some());
    assert_eq!(file.properties["{urn:x}none"].status, 404);
    let mut ids: Vec<_> = all
        .entries
        .iter()
        .filter_map(|entry| entry.text(&format!("{OC}id")))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 52, "ids are unique");
}

#[test]
fn a_folder_of_many_pages_is_listed_whole() {
    // A page is a thousand: two full ones and a rest, or ten full ones and none.
    let count = match Shape::of_this_run() {
        Shape::Embedded => 10_000,
        Shape::Scaled => 2_500,
    };
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/big");
    alice.put("/one", "x").send().expect(201);
    std::thread::scope(|scope| {
        for maker in 0..4 {
            let alice = &alice;
            scope.spawn(move || {
                for number in (maker..count).step_by(4) {
                    let copy = alice.copy("/one", &format!("/big/{number:05}"));
                    copy.send().expect(201);
                }
            });
        }
    });

    let all = alice
        .propfind("/big", "1", &["d:getetag", "d:getcontentlength"])
        .send()
        .multistatus();

    assert_eq!(all.entries.len(), count + 1);
    let mut hrefs = all.hrefs();
    hrefs.sort_unstable();
    hrefs.dedup();
    assert_eq!(hrefs.len(), count + 1);
}

#[test]
fn depth_zero_shows_the_node_alone_and_a_missing_one_is_404() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);

    let alone = alice
        .propfind("/", "0", &["d:getetag"])
        .send()
        .multistatus();

    assert_eq!(alone.entries.len(), 1);
    alice
        .propfind("/none", "0", &["d:getetag"])
        .send()
        .expect(404);
    alice.propfind("/", "2", &["d:getetag"]).send().expect(400);
}

#[test]
fn an_empty_body_means_all_properties_and_propname_only_their_names() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    alice
        .set_property("/a", "colour", "blue")
        .send()
        .expect(207);

    let all = alice
        .call("PROPFIND", "/a")
        .header("Depth", "0")
        .send()
        .multistatus();
    let names = alice
        .call("PROPFIND", "/a")
        .header("Depth", "0")
        .body("<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><propname/></propfind>")
        .send()
        .multistatus();

    let entry = all.entry("/a");
    assert_eq!(entry.text("{DAV:}getcontentlength"), Some("1"));
    assert_eq!(entry.text("{urn:x}colour"), Some("blue"));
    let entry = names.entry("/a");
    assert_eq!(entry.text("{DAV:}getcontentlength"), Some(""));
    assert_eq!(entry.text("{urn:x}colour"), Some(""));
}

#[test]
fn the_size_of_a_folder_is_that_of_everything_below() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let size = |path: &str| -> u64 {
        let entry = alice.properties(path, &["oc:size"]);
        entry.text(&format!("{OC}size")).unwrap().parse().unwrap()
    };
    alice.folders("/d/e");
    alice.put("/d/e/a", vec![0; 1_000]).send().expect(201);
    alice.put("/d/b", vec![0; 20]).send().expect(201);
    assert_eq!((size("/"), size("/d"), size("/d/e")), (1_020, 1_020, 1_000));

    alice.put("/d/e/a", vec![0; 3_000]).send().expect(204);
    assert_eq!((size("/"), size("/d"), size("/d/e")), (3_020, 3_020, 3_000));

    alice.copy("/d/e", "/f").send().expect(201);
    assert_eq!((size("/"), size("/f")), (6_020, 3_000));

    alice.mv("/f", "/d/f").send().expect(201);
    assert_eq!((size("/"), size("/d")), (6_020, 6_020));

    alice.delete("/d/e").send().expect(204);
    assert_eq!((size("/"), size("/d")), (3_020, 3_020));
    server.assert_clean();
}

#[test]
fn extended_mkcol_makes_a_folder_with_properties() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let body = "<?xml version=\"1.0\"?><d:mkcol xmlns:d=\"DAV:\" xmlns:x=\"urn:x\"><d:set><d:prop>\
                <d:resourcetype><d:collection/></d:resourcetype><x:colour>blue</x:colour>\
                </d:prop></d:set></d:mkcol>";

    alice
        .mkcol("/d")
        .header("Content-Type", "application/xml")
        .body(body)
        .send()
        .expect(201);

    let entry = alice.properties("/d", &["d:resourcetype", "x:colour"]);
    assert!(entry.is_folder());
    assert_eq!(entry.text("{urn:x}colour"), Some("blue"));
}
