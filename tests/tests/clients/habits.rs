//! What file managers do that no standard asks for: the exchanges by which they save a file, request by request.
//!
//! These programs run on systems that the tests do not have, so their requests are written down here
//! in the order, with the headers and in the form in which they send them.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Answer;

/// The body with which Explorer and Finder take a lock.
fn lock_body(owner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:lockinfo xmlns:D=\"DAV:\">\n<D:lockscope><D:exclusive/></D:lockscope>\n\
         <D:locktype><D:write/></D:locktype>\n<D:owner><D:href>{owner}</D:href></D:owner>\n</D:lockinfo>"
    )
}

#[track_caller]
fn token_of(answer: &Answer) -> String {
    let token = answer.header("lock-token").unwrap();
    token.trim_matches(['<', '>']).to_owned()
}

/// Takes a lock as a file manager does; a name that is not there yet gets an empty file.
#[track_caller]
fn lock(user: &User, path: &str, owner: &str) -> String {
    let answer = user
        .call("LOCK", path)
        .header("Timeout", "Second-3600")
        .header("Depth", "0")
        .header("Content-Type", "text/xml; charset=\"utf-8\"")
        .body(lock_body(owner))
        .send()
        .expect_any(&[200, 201]);
    token_of(&answer)
}

#[test]
fn explorer_saves_a_file() {
    let server = TestServer::start();
    let user = server.user("alice");
    user.folders("/docs");
    // It asks at the root, and in every folder for the files that would give it a look of its own.
    user.raw("OPTIONS", "/")
        .header("User-Agent", "Microsoft-WebDAV-MiniRedir/10.0")
        .send()
        .expect(200);
    let options = user
        .call("OPTIONS", "/docs/")
        .header("Translate", "f")
        .send()
        .expect(200);
    assert!(options.header("dav").unwrap().contains('2'));
    assert_eq!(options.header("ms-author-via"), Some("DAV"));
    for name in ["desktop.ini", "folder.jpg", "Thumbs.db"] {
        let asked = user
            .call("PROPFIND", &format!("/docs/{name}"))
            .header("Depth", "0");
        asked
            .header("Translate", "f")
            .header("Content-Length", "0")
            .send()
            .expect(404);
    }
    // An empty file, a lock, its times, the content under the lock, its times again.
    user.put("/docs/report.docx", "")
        .header("Translate", "f")
        .send()
        .expect(201);
    let token = lock(&user, "/docs/report.docx", "EXAMPLE\\alice");
    let times = |value: &str| {
        let answer = user
            .call("PROPPATCH", "/docs/report.docx")
            .header("If", &format!("(<{token}>)"))
            .header("Content-Type", "text/xml; charset=\"utf-8\"")
            .body(format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:propertyupdate xmlns:D=\"DAV:\" \
                 xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop><Z:Win32CreationTime>{value}</Z:Win32CreationTime>\
                 <Z:Win32LastAccessTime>{value}</Z:Win32LastAccessTime><Z:Win32LastModifiedTime>{value}</Z:Win32LastModifiedTime>\
                 <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>"
            ))
            .send()
            .expect(207);
        assert!(!answer.text().contains("HTTP/1.1 4"), "{answer}");
    };
    times("Tue, 24 Nov 2026 08:00:00 GMT");
    user.head("/docs/report.docx")
        .header("Translate", "f")
        .send()
        .expect(200);
    user.put("/docs/report.docx", "the report")
        .header("If", &format!("(<{token}>)"))
        .header("Translate", "f")
        .send()
        .expect(204);
    times("Tue, 24 Nov 2026 08:30:00 GMT");
    user.unlock("/docs/report.docx", &token).send().expect(204);

    let answer = user
        .get("/docs/report.docx")
        .header("Translate", "f")
        .send()
        .expect(200);
    assert_eq!(answer.body, b"the report");
    assert_eq!(
        answer.header("last-modified"),
        Some("Tue, 24 Nov 2026 08:30:00 GMT")
    );
    server.assert_clean();
}

#[test]
fn finder_saves_a_file_and_what_it_knows_of_it_beside() {
    let server = TestServer::start();
    let user = server.user("alice");
    let agent = (
        "User-Agent",
        "WebDAVFS/3.0.0 (03008000) Darwin/23.0.0 (arm64)",
    );
    user.call("OPTIONS", "/")
        .header(agent.0, agent.1)
        .send()
        .expect(200);
    for name in [
        "/.metadata_never_index_unless_rootfs",
        "/._.",
        "/.DS_Store",
        "/._photo.heic",
    ] {
        user.propfind(
            name,
            "0",
            &["d:getlastmodified", "d:getcontentlength", "d:resourcetype"],
        )
        .header(agent.0, agent.1)
        .send()
        .expect(404);
    }
    let root = user.properties(
        "/",
        &[
            "d:quota-available-bytes",
            "d:quota-used-bytes",
            "d:quota",
            "d:quotaused",
        ],
    );
    assert!(root.text("{DAV:}quota-available-bytes").is_some());
    for (path, content) in [
        ("/photo.heic", vec![7; 300_000]),
        ("/._photo.heic", vec![1; 4_096]),
    ] {
        user.put(path, "")
            .header(agent.0, agent.1)
            .send()
            .expect(201);
        let token = lock(&user, path, "http://www.apple.com/webdav_fs/");
        // Without a length, but with its word for one.
        user.put(path, content.clone())
            .chunked()
            .header("X-Expected-Entity-Length", &content.len().to_string())
            .header("If", &format!("(<{token}>)"))
            .header(agent.0, agent.1)
            .send()
            .expect(204);
        user.properties(path, &["d:getlastmodified", "d:getcontentlength"]);
        user.unlock(path, &token).send().expect(204);
        assert!(user.get(path).send().body == content);
    }
    // A file that is renamed takes what is beside it along.
    user.mv("/photo.heic", "/beach.heic")
        .keep()
        .send()
        .expect(201);
    user.mv("/._photo.heic", "/._beach.heic")
        .keep()
        .send()
        .expect(201);
    let mut names = user.names("/");
    names.sort();
    assert_eq!(names, ["._beach.heic", "beach.heic"]);
    server.assert_clean();
}

#[test]
fn gnome_and_kde_save_a_file() {
    let server = TestServer::start();
    let user = server.user("alice");
    // GNOME looks, writes, and looks again.
    let body = "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n <D:propfind xmlns:D=\"DAV:\">\n  <D:prop>\n<D:creationdate/>\n\
        <D:displayname/>\n<D:getcontentlength/>\n<D:getcontenttype/>\n<D:getetag/>\n<D:getlastmodified/>\n<D:resourcetype/>\n\
        <D:quota-available-bytes/>\n<D:quota-used-bytes/>\n  </D:prop>\n </D:propfind>";
    let look = |path: &str, depth: &str| {
        user.call("PROPFIND", path)
            .header("User-Agent", "gvfs/1.50.3")
            .header("Depth", depth)
            .header("Content-Type", "application/xml")
            .body(body)
            .send()
    };
    look("/", "1").expect(207);
    look("/notes.txt", "0").expect(404);
    user.put("/notes.txt", "one")
        .header("User-Agent", "gvfs/1.50.3")
        .send()
        .expect(201);
    let etag = look("/notes.txt", "0").expect(207).multistatus().entries[0]
        .text("{DAV:}getetag")
        .unwrap()
        .to_owned();
    user.put("/notes.txt", "two")
        .if_match(&etag)
        .send()
        .expect(204);
    user.put("/notes.txt", "three")
        .if_match(&etag)
        .send()
        .expect(412);
    // A folder is moved with a slash at both ends.
    user.folders("/a/b");
    user.raw("MOVE", &user.target("/a/"))
        .header("Destination", &format!("{}/", user.url("/c")))
        .header("Overwrite", "F")
        .send()
        .expect(201);

    // KDE writes beside, and moves into place.
    user.put("/notes.txt.part", "three")
        .header("User-Agent", "Mozilla/5.0 (X11; Linux) KIO/5.103")
        .send()
        .expect(201);
    user.mv("/notes.txt.part", "/notes.txt")
        .header("Overwrite", "T")
        .send()
        .expect(204);
    assert_eq!(user.get("/notes.txt").send().body, b"three");
    user.mkcol("/new/").send().expect(201);
    user.delete("/c/").send().expect(204);
    assert_eq!(user.names("/"), ["notes.txt", "new"]);
    server.assert_clean();
}
