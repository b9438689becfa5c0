//! What sync clients and phones are told about files and folders.

use nuage_tests::TestServer;
use nuage_tests::browser::Browser;
use nuage_tests::browser::path_of;
use nuage_tests::multistatus::Entry;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::embedded_only;

const NC: &str = "{http://nextcloud.org/ns}";
const OC: &str = "{http://owncloud.org/ns}";

#[test]
fn both_addresses_tell_what_clients_ask_for() {
    let server = TestServer::start();
    let alice = server.user_with("alice", &["--quota", "none"]);
    alice.folders("/d");
    alice.put("/d/a b.txt", "12345").send().expect(201);
    let mut webdav = alice.clone();
    webdav.prefix = "/remote.php/webdav".to_owned();

    for user in [alice.at_remote_php(), webdav] {
        let names = [
            "oc:permissions",
            "oc:size",
            "oc:data-fingerprint",
            "oc:favorite",
            "oc:owner-id",
            "oc:comments-unread",
            "nc:is-encrypted",
            "nc:share-attributes",
            "nc:mount-type",
            "nc:lock",
            "nc:has-preview",
            "d:quota-available-bytes",
            "d:quota-used-bytes",
        ];
        let root = user.properties("/", &names);
        assert!(root.href.starts_with(&user.prefix), "{}", root.href);
        for (name, value) in [
            ("permissions", "RGDNVCK"),
            ("size", "5"),
            ("data-fingerprint", ""),
            ("favorite", "0"),
            ("owner-id", "alice"),
            ("comments-unread", "0"),
        ] {
            assert_eq!(root.text(&format!("{OC}{name}")), Some(value), "{name}");
        }
        for (name, value) in [
            ("is-encrypted", "0"),
            ("share-attributes", "[]"),
            ("mount-type", ""),
            ("lock", ""),
            ("has-preview", "false"),
        ] {
            assert_eq!(root.text(&format!("{NC}{name}")), Some(value), "{name}");
        }
        assert_eq!(root.text("{DAV:}quota-available-bytes"), Some("-3"));
        assert_eq!(root.text("{DAV:}quota-used-bytes"), Some("5"));

        let file = user.properties("/d/a b.txt", &["oc:permissions", "oc:data-fingerprint"]);
        assert!(file.href.ends_with("/d/a%20b.txt"));
        assert_eq!(file.text(&format!("{OC}permissions")), Some("RGDNVW"));
        assert_eq!(file.text(&format!("{OC}data-fingerprint")), None);
        let body = "<d:propfind xmlns:d=\"DAV:\" \
             xmlns:ocs=\"http://open-collaboration-services.org/ns\" \
             xmlns:ocm=\"http://open-cloud-mesh.org/ns\"><d:prop><ocs:share-permissions/>M\
             <ocm:share-permissions/></d:prop>M</d:propfind>";
        let asked = user.call("PROPFIND", "/d/a b.txt").header("Depth", "0");
        let answer = asked.body(body).send().expect(207);
        let entry = answer.multistatus().entries.remove(0);
        let ocs = "{http://open-collaboration-services.org/ns}share-permissions";
        let ocm = "{http://open-cloud-mesh.org/ns}share-permissions";
        assert_eq!(entry.text(ocs), Some("19"));
        assert_eq!(entry.text(ocm), Some(r#"["share","read","write"]"#));
    }
    let reader = server.token(&alice, &["--read-only"]).at_remote_php();
    let file = reader.properties("/d/a b.txt", &["oc:permissions"]);
    assert_eq!(file.text(&format!("{OC}permissions")), Some("G"));
    server.assert_clean();
}

#[test]
fn the_collections_above_lead_to_the_callers_own() {
    let server = TestServer::start();
    let alice = server.user("alice");
    server.user("bob");
    let hrefs = |target: &str| {
        let call = alice.raw("PROPFIND", target).header("Depth", "1");
        let all = call.send().expect(207).multistatus();
        let hrefs: Vec<_> = all.entries.iter().map(|e| e.href.clone()).collect();
        hrefs
    };
    assert!(hrefs("/remote.php/dav/").contains(&"/remote.php/dav/files/".to_owned()));
    assert_eq!(
        hrefs("/remote.php/dav/files/"),
        ["/remote.php/dav/files/", "/remote.php/dav/files/alice/"]
    );
    let principal = alice
        .raw("PROPFIND", "/remote.php/dav/principals/users/alice/")
        .header("Depth", "0");
    principal.send().expect(207);
    for target in [
        "/remote.php/dav/principals/users/bob/",
        "/remote.php/dav/trashbin/bob/trash/",
        "/remote.php/dav/versions/bob/versions/1",
        "/remote.php/dav/nothing/",
    ] {
        let answer = alice.raw("PROPFIND", target).header("Depth", "0").send();
        assert!(answer.expect(404).text().contains("NotFound"));
    }
    let options = alice.raw("OPTIONS", "/remote.php/dav/").send().expect(200);
    assert!(options.header("dav").unwrap().contains('1'));
    server.assert_clean();
}

#[test]
fn explorers_times_and_depths_are_understood() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.put("/a", "x").send().expect(201);
    let body = "<?xml version=\"1.0\"?><D:propertyupdate xmlns:D=\"DAV:\" \
        xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
        <Z:Win32CreationTime>Mon, 23 Nov 2026 16:28:16 GMT</Z:Win32CreationTime>\
        <Z:Win32LastModifiedTime>Mon, 23 Nov 2026 16:28:16 GMT</Z:Win32LastModifiedTime>\
        <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
    let answer = alice.call("PROPPATCH", "/a").body(body).send().expect(207);
    let entry = answer.multistatus().entries.remove(0);
    assert!(
        entry
            .properties
            .values()
            .all(|property| property.status == 200)
    );
    let time = alice.properties("/a", &["d:getlastmodified"]);
    assert_eq!(
        time.text("{DAV:}getlastmodified"),
        Some("Mon, 23 Nov 2026 16:28:16 GMT")
    );
    for depth in ["1,noroot", "infinity,noroot"] {
        alice
            .propfind("/", depth, &["d:getetag"])
            .send()
            .expect(207);
    }
    alice
        .propfind("/", "1,else", &["d:getetag"])
        .send()
        .expect(400);
    server.assert_clean();
}

#[test]
fn a_restored_backup_tells_sync_clients_by_another_fingerprint() {
    if embedded_only("PostgreSQL and the bucket have backups of their own") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    let fingerprint = |server: &TestServer| {
        let alice = server.client("alice", &alice.secret).at_remote_php();
        let root = alice.properties("/", &["oc:data-fingerprint"]);
        root.text(&format!("{OC}data-fingerprint"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(fingerprint(&server), "");
    let folder = server.data.scratch("backups").join("backup");
    let folder = folder.display().to_string();
    server.data.command(&["backup", &folder]).ok();

    let restore = || {
        let elsewhere = DataFolder::embedded();
        elsewhere.command(&["restore", &folder]).ok();
        TestServer::over(elsewhere)
    };
    let (mut first, second) = (restore(), restore());
    let told = fingerprint(&first);
    assert!(!told.is_empty());
    assert_ne!(told, fingerprint(&second));
    first.restart();
    assert_eq!(fingerprint(&first), told);
}

#[test]
fn folders_tell_how_many_they_hold_and_files_when_they_came() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    alice.folders("/a/x/deep");
    alice.folders("/a/y");
    alice
        .put("/a/f", "1")
        .header("X-OC-MTime", "1000000000")
        .send()
        .expect(201);
    alice.put("/a/x/g", "2").send().expect(201);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let names = [
        "nc:contained-folder-count",
        "nc:contained-file-count",
        "nc:upload_time",
    ];
    let told = |entry: &Entry| {
        let text = |name: &str| entry.text(&format!("{NC}{name}")).map(str::to_owned);
        (
            text("contained-folder-count"),
            text("contained-file-count"),
            text("upload_time"),
        )
    };
    let counts =
        |folders: u32, files: u32| (Some(folders.to_string()), Some(files.to_string()), None);

    assert_eq!(told(&alice.properties("/a", &names)), counts(2, 1));
    let listed = alice.propfind("/a", "1", &names).send().multistatus();
    assert_eq!(told(listed.entry("/a/x/")), counts(1, 1));
    assert_eq!(told(listed.entry("/a/y/")), counts(0, 0));
    let (folders, files, uploaded) = told(listed.entry("/a/f"));
    assert_eq!((folders, files), (None, None));
    let uploaded: u64 = uploaded.unwrap().parse().unwrap();
    assert!(uploaded.abs_diff(now) < 60, "{uploaded} is not about {now}");

    server.data.advance(1_000);
    alice.put("/a/f", "another").send().expect(204);
    let (_, _, again) = told(&alice.properties("/a/f", &names));
    let again: u64 = again.unwrap().parse().unwrap();
    assert!((1_000..1_060).contains(&(again - uploaded)), "{again}");

    let searched = "<d:searchrequest xmlns:d=\"DAV:\" xmlns:nc=\"http://nextcloud.org/ns\"><d:basicsearch>\
        <d:select><d:prop><nc:contained-file-count/><nc:upload_time/></d:prop></d:select>\
        <d:from><d:scope><d:href>/files/alice</d:href><d:depth>infinity</d:depth></d:scope></d:from>\
        <d:where><d:eq><d:prop><d:displayname/></d:prop><d:literal>x</d:literal></d:eq></d:where>\
        </d:basicsearch></d:searchrequest>";
    let found = alice.raw("SEARCH", "/remote.php/dav/").body(searched);
    let found = found.send().expect(207).multistatus();
    let count = found
        .entry("/a/x/")
        .text(&format!("{NC}contained-file-count"));
    assert_eq!(count, Some("1"));
    server.assert_clean();
}

#[test]
fn a_private_link_leads_whoever_may_see_the_node_to_it_and_nobody_else() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    let bob = server.user("bob");
    alice.folders("/Été & co");
    alice.put("/Été & co/plan.txt", "x").send().expect(201);
    let link_to = |path: &str| {
        let entry = alice.properties(path, &["oc:privatelink", "oc:fileid"]);
        let link = entry.text(&format!("{OC}privatelink")).unwrap().to_owned();
        let number = entry.text(&format!("{OC}fileid")).unwrap();
        assert_eq!(link, format!("http://nuage.test/f/{number}"));
        path_of(&link)
    };
    let (file, folder) = (link_to("/Été & co/plan.txt"), link_to("/Été & co"));
    let place = "http://nuage.test/remote.php/dav/files/alice/%C3%89t%C3%A9%20%26%20co/";

    let mut browser = Browser::new(&server);
    let page = browser.visit(&file).expect(200);
    assert!(page.text().contains("name=\"password\""), "{page}");
    let signed_in = browser.submit(&page, &[("user", "alice"), ("password", &alice.secret)]);
    let next = signed_in.expect(303).header("location").unwrap().to_owned();
    assert_eq!(next, file);
    let led = |browser: &mut Browser, link: &str| {
        let answer = browser.open(link).expect(303);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.header("location").unwrap().to_owned()
    };
    assert_eq!(led(&mut browser, &file), format!("{place}plan.txt"));
    assert_eq!(led(&mut browser, &format!("/index.php{folder}")), place);
    alice
        .mv("/Été & co/plan.txt", "/Été & co/now.txt")
        .send()
        .expect(201);
    assert_eq!(led(&mut browser, &file), format!("{place}now.txt"));

    let mut other = Browser::new(&server);
    let page = other.visit("/f/99999999").expect(200);
    let unknown = other.sign_in(&page, "bob", &bob.secret).expect(404);
    let foreign = other.open(&file).expect(404);
    assert_eq!(foreign.text(), unknown.text());
    assert!(!foreign.text().contains("now.txt"));
    for odd in ["/f/", "/f/x", "/f/1x", "/f/-1", "/f/99999999999999999999"] {
        other.open(odd).expect(404);
    }
    alice.delete("/Été & co/now.txt").send().expect(204);
    assert_eq!(browser.open(&file).expect(404).text(), unknown.text());
    server.assert_clean();
}
