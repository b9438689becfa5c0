//! Exchanges of programs that do not run here, in the order in which people saw them at their servers.
//!
//! Each test is made from what somebody wrote down in a public thread (a log of an access, a dump of packets) and names it.
//! What such a log does not show (most headers, most bodies) is as in another observation of the same program that is named, or as
//! RFC 4918 wants it.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::data::bytes;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::user::Call;

/// A program, by the name with which it comes.
struct Program<'u> {
    user: &'u User,
    agent: &'static str,
}

impl<'u> Program<'u> {
    fn call(&self, method: &str, path: &str) -> Call<'u> {
        let call = self.user.call(method, path);
        call.header("User-Agent", self.agent)
    }

    fn raw(&self, method: &str, target: &str) -> Call<'u> {
        let call = self.user.raw(method, target);
        call.header("User-Agent", self.agent)
    }
}

#[track_caller]
fn token_of(answer: &Answer) -> String {
    let token = answer.header("lock-token").unwrap();
    token.trim_matches(['<', '>']).to_owned()
}

/// The user, at the address to which people mount drives.
fn at_webdav(user: &User) -> User {
    let mut other = user.clone();
    "/remote.php/webdav".clone_into(&mut other.prefix);
    other
}

/// Takes a lock as Windows does: without Depth (swisspol/GCDWebServer#319, a dump of its packets).
#[track_caller]
fn lock_of_windows(program: &Program<'_>, path: &str) -> String {
    let answer = program
        .call("LOCK", path)
        .header("Cache-Control", "no-cache")
        .header("Connection", "Keep-Alive")
        .header("Pragma", "no-cache")
        .header("Content-Type", "text/xml; charset=\"utf-8\"")
        .header("translate", "f")
        .header("Timeout", "Second-3600")
        .body(
            "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/>\
             </D:lockscope><D:locktype><D:write/></D:locktype><D:owner><D:href>PC\\user</D:href></D:owner></D:lockinfo>",
        )
        .send()
        .expect_any(&[200, 201]);
    token_of(&answer)
}

/// Sets times as Windows does (9001/copyparty#910 shows the body).
#[track_caller]
fn times_of_windows(program: &Program<'_>, path: &str, token: &str) {
    let answer = program
        .call("PROPPATCH", path)
        .header("translate", "f")
        .header("If", &format!("(<{token}>)"))
        .header("Content-Type", "text/xml; charset=\"utf-8\"")
        .body(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
             <D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
             <Z:Win32CreationTime>Thu, 09 Oct 2025 17:54:43 GMT</Z:Win32CreationTime>\
             <Z:Win32LastAccessTime>Thu, 09 Oct 2025 17:55:31 GMT</Z:Win32LastAccessTime>\
             <Z:Win32LastModifiedTime>Thu, 09 Oct 2025 17:54:43 GMT</Z:Win32LastModifiedTime>\
             <Z:Win32FileAttributes>00000000</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>",
        )
        .send()
        .expect(207);
    assert!(!answer.text().contains("HTTP/1.1 4"), "{answer}");
}

/// mar10/wsgidav#112: the eight requests of a file that is dragged into a window of Explorer.
#[test]
fn explorer_takes_a_file_that_is_dragged_in() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let explorer = Program {
        user: &alice,
        agent: "Microsoft-WebDAV-MiniRedir/10.0.17134",
    };
    alice.mkcol("/beeline").send().expect(201);
    let path = "/beeline/compat.py";
    let look = explorer.call("PROPFIND", path).header("Depth", "0");
    look.header("translate", "f").body("").send().expect(404);
    explorer.call("PUT", path).body("").send().expect(201);
    let token = lock_of_windows(&explorer, path);
    times_of_windows(&explorer, path, &token);
    let head = explorer.call("HEAD", path).send().expect(200);
    let modified = Some("Thu, 09 Oct 2025 17:54:43 GMT");
    assert_eq!(head.header("last-modified"), modified);
    let put = explorer.call("PUT", path).body("import os");
    let put = put.header("If", &format!("(<{token}>)"));
    put.send().expect(204);
    times_of_windows(&explorer, path, &token);
    let unlock = explorer.call("UNLOCK", path);
    let unlock = unlock.header("Lock-Token", &format!("<{token}>"));
    unlock.send().expect(204);
    let get = explorer.call("GET", path).send().expect(200);
    assert_eq!(get.body, b"import os");
    assert_eq!(get.header("last-modified"), modified);
    server.assert_clean();
}

/// nextcloud/server#16739 and OpenMarshal/npm-WebDAV-Server#37: Word opens and saves a document of a mounted drive, and keeps
/// beside it who has it open.
#[test]
fn word_opens_and_saves_a_document_of_a_mounted_drive() {
    let server = TestServer::start();
    let user = server.user("alice");
    let alice = at_webdav(&user);
    alice.folders("/sub");
    alice.put("/sub/Test.docx", "one").send().expect(201);
    let drive = Program {
        user: &alice,
        agent: "Microsoft-WebDAV-MiniRedir/10.0.17763",
    };
    let beside = "/sub/~$Test.docx";
    drive.call("GET", "/sub/Test.docx").send().expect(200);
    // Word itself looks around without a password; it must not be asked for one.
    for target in [
        "/remote.php/",
        "/remote.php/webdav/sub/",
        "/remote.php/webdav/none",
    ] {
        for authorization in [None, Some("Bearer")] {
            let mut request = Request::new("OPTIONS", target)
                .header("User-Agent", "Microsoft Office Word 2014")
                .header("X-Office-Major-Version", "16")
                .header("X-MS-CookieUri-Requested", "t")
                .header("X-FeatureVersion", "1")
                .header("X-IDCRL_ACCEPTED", "t");
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            let answer = server.anonymous(request).expect_any(&[200, 404]);
            assert_eq!(answer.header("www-authenticate"), None);
            if answer.status == 200 {
                assert!(answer.header("dav").unwrap().contains('2'));
                assert_eq!(answer.header("ms-author-via"), Some("DAV"));
            }
        }
    }
    let token = lock_of_windows(&drive, "/sub/Test.docx");
    let look = drive.call("PROPFIND", beside).header("Depth", "0");
    look.body("").send().expect(404);
    drive.call("PUT", beside).body("").send().expect(201);
    let own = lock_of_windows(&drive, beside);
    drive.call("HEAD", beside).send().expect(200);
    let put = drive.call("PUT", beside).body(bytes(1, 162));
    put.header("If", &format!("(<{own}>)")).send().expect(204);
    times_of_windows(&drive, beside, &own);
    let unlock = |path: &str, token: &str| {
        let unlock = drive.call("UNLOCK", path);
        let unlock = unlock.header("Lock-Token", &format!("<{token}>"));
        unlock.send().expect(204);
    };
    unlock(beside, &own);
    // It is locked while the document is open, and read by whoever finds the document locked.
    let own = lock_of_windows(&drive, beside);
    drive.call("GET", beside).send().expect(200);
    alice.put("/sub/Test.docx", "other").send().expect(423);
    let put = drive.call("PUT", "/sub/Test.docx").body("two");
    put.header("If", &format!("(<{token}>)")).send().expect(204);
    times_of_windows(&drive, "/sub/Test.docx", &token);
    unlock(beside, &own);
    drive.call("DELETE", beside).send().expect(204);
    unlock("/sub/Test.docx", &token);
    assert_eq!(alice.names("/sub"), ["Test.docx"]);
    assert_eq!(alice.get("/sub/Test.docx").send().body, b"two");
    server.assert_clean();
}

/// Whoever asks so without a password and is not Office is refused, and Office for anything else.
#[test]
fn only_the_question_of_office_is_answered_to_nobody() {
    let server = TestServer::start();
    server.user("alice");
    for (method, agent) in [
        ("OPTIONS", "Microsoft-WebDAV-MiniRedir/10.0.17763"),
        ("OPTIONS", "curl/8.0 Microsoft Office"),
        ("HEAD", "Microsoft Office Word 2014"),
        ("PROPFIND", "Microsoft Office Word 2014"),
        ("PUT", "Microsoft Office Word 2014"),
    ] {
        let request = Request::new(method, "/remote.php/webdav/");
        let request = request.header("User-Agent", agent);
        server.anonymous(request).expect(401);
    }
    let wrong = Request::new("OPTIONS", "/remote.php/webdav/")
        .header("User-Agent", "Microsoft Office Word 2014")
        .header("Authorization", "Basic YWxpY2U6d3Jvbmc=");
    server.anonymous(wrong).expect(401);
}

/// pydio/pydio-core#581, owncloud/core#24753 and couling/WebDAV-Daemon#21: Finder makes a file, locks it, reads it under the lock without
/// saying so, and writes what it knows of it beside, where the lock comes before the file.
#[test]
fn finder_takes_a_file() {
    let server = TestServer::start();
    let user = server.user("alice");
    let alice = at_webdav(&user);
    let finder = Program {
        user: &alice,
        agent: "WebDAVFS/3.0.1 (03018000) Darwin/13.2.0 (x86_64)",
    };
    let look = |path: &str| {
        let call = finder.call("PROPFIND", path).header("Depth", "0");
        let call = call.header("Content-Type", "text/xml");
        call.body(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\"><D:prop><D:getlastmodified/>\
             <D:getcontentlength/><D:creationdate/><D:resourcetype/></D:prop></D:propfind>",
        )
        .send()
    };
    let take_lock = |path: &str| {
        let call = finder.call("LOCK", path).header("Depth", "0");
        let call = call
            .header("Timeout", "Second-600")
            .header("Content-Type", "text/xml; charset=\"utf-8\"");
        call.body(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
             <D:locktype><D:write/></D:locktype><D:owner><D:href>http://www.apple.com/webdav_fs/</D:href></D:owner></D:lockinfo>",
        )
        .send()
        .expect_any(&[200, 201])
    };
    let put = |path: &str, content: &[u8], token: &str| {
        let call = finder.call("PUT", path).body(content).chunked();
        let call = call.header("X-Expected-Entity-Length", &content.len().to_string());
        call.header("If", &format!("(<{token}>)")).send()
    };
    let unlock = |path: &str, token: &str| {
        let call = finder.call("UNLOCK", path);
        let call = call.header("Lock-Token", &format!("<{token}>"));
        call.send().expect(204);
    };
    alice.mkcol("/share1").send().expect(201);
    let (path, beside) = ("/share1/somefile.txt", "/share1/._somefile.txt");
    look("/share1/").expect(207);
    finder.call("GET", "/._share").send().expect(404);
    look(path).expect(404);
    look(path).expect(404);
    finder.call("PUT", path).body("").send().expect(201);
    look(beside).expect(404);
    let locked = take_lock(path);
    assert_eq!(locked.status, 200);
    let token = token_of(&locked);
    finder.call("GET", path).send().expect(200);
    look(path).expect(207);
    put(path, b"hello", &token).expect(204);
    look(path).expect(207);
    unlock(path, &token);
    // What it knows of the file: a lock on a name that is free makes an empty file (RFC 4918 section 7.3).
    let made = take_lock(beside);
    assert_eq!(made.status, 201);
    let own = token_of(&made);
    assert_eq!(finder.call("GET", beside).send().expect(200).body, b"");
    look(beside).expect(207);
    finder.call("PUT", beside).body("x").send().expect(423);
    put(beside, &bytes(2, 4_096), &own).expect(204);
    look(beside).expect(207);
    unlock(beside, &own);
    assert_eq!(alice.get(path).send().body, b"hello");
    assert!(alice.get(beside).send().body == bytes(2, 4_096));
    server.assert_clean();
}

/// nextcloud/ios#2225 and #2303, nextcloud/server#35927, nextcloud/ios#1438: the phone lists, makes the folders of the month whether
/// they are there or not, and sends a film in parts.
#[test]
fn an_iphone_sends_what_its_camera_took() {
    let server = TestServer::start();
    let alice = server.user("alice").at_remote_php();
    let phone = Program {
        user: &alice,
        agent: "Mozilla/5.0 (iOS) Nextcloud-iOS/4.6.0",
    };
    let list = phone
        .call("PROPFIND", "")
        .header("Depth", "1")
        .header("Content-Type", "application/xml")
        .header("OCS-APIRequest", "true")
        .body(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\" \
             xmlns:nc=\"http://nextcloud.org/ns\"><d:prop><d:getlastmodified /><d:getetag /><d:getcontenttype /><d:resourcetype />\
             <d:quota-available-bytes /><d:quota-used-bytes /><permissions xmlns=\"http://owncloud.org/ns\"/>\
             <id xmlns=\"http://owncloud.org/ns\"/><fileid xmlns=\"http://owncloud.org/ns\"/><size xmlns=\"http://owncloud.org/ns\"/>\
             <favorite xmlns=\"http://owncloud.org/ns\"/><share-types xmlns=\"http://owncloud.org/ns\"/>\
             <owner-id xmlns=\"http://owncloud.org/ns\"/><owner-display-name xmlns=\"http://owncloud.org/ns\"/>\
             <comments-unread xmlns=\"http://owncloud.org/ns\"/></d:prop></d:propfind>",
        )
        .send()
        .expect(207)
        .multistatus();
    let home = &list.entries[0];
    for name in ["id", "fileid", "permissions", "size", "owner-id"] {
        let name = format!("{{http://owncloud.org/ns}}{name}");
        assert!(
            home.text(&name).is_some_and(|text| !text.is_empty()),
            "{name}"
        );
    }
    for expected in [201, 405] {
        for folder in ["/Photos", "/Photos/2023", "/Photos/2023/11"] {
            phone
                .call("MKCOL", folder)
                .header("Accept", "application/json")
                .header("Content-Length", "0")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .send()
                .expect(expected);
        }
    }
    let upload = "/remote.php/dav/uploads/alice/E97B4306-5E2F-46B5-9A17-BAC76971B186";
    let target = alice.target("/Photos/2023/11/film.mov");
    let destination = format!("http://{}{target}", alice.address());
    let film = bytes(5, 1_500_000);
    let look = phone.raw("PROPFIND", upload).header("Depth", "1");
    look.send().expect(404);
    let total = film.len().to_string();
    phone
        .raw("MKCOL", upload)
        .header("Destination", &destination)
        .header("OC-Total-Length", &total)
        .send()
        .expect(201);
    for (number, part) in film.chunks(600_000).enumerate() {
        phone
            .raw("PUT", &format!("{upload}/{:05}", number + 1))
            .header("Destination", &destination)
            .header("OC-Total-Length", &total)
            .body(part)
            .send()
            .expect(201);
    }
    let look = phone.raw("PROPFIND", upload).header("Depth", "1");
    assert_eq!(look.send().expect(207).multistatus().entries.len(), 4);
    let moved = phone
        .raw("MOVE", &format!("{upload}/.file"))
        .header("Destination", &destination)
        .header("OC-Total-Length", &total)
        .header("X-OC-MTime", "1699002183")
        .send()
        .expect(201);
    assert!(moved.header("oc-fileid").is_some());
    let get = phone.call("GET", "/Photos/2023/11/film.mov");
    assert!(get.send().expect(200).body == film);
    // Newer ones let the server make the folders (nextcloud/ios#3998).
    let put = phone.call("PUT", "/Photos/2026/02/new.heic").body("x");
    let put = put.header("X-NC-WebDAV-Auto-Mkcol", "1");
    put.send().expect(201);
    server.assert_clean();
}

/// nextcloud/android#113, #3940 and #7013, AtalayaLabs/OxiCloud#415: the phone asks whether there is a network, what the server can, and
/// whether a name is free, and sends in parts what is large, looking what came before it goes on.
#[test]
fn an_android_phone_looks_around_and_sends_a_picture() {
    let server = TestServer::start();
    let user = server.user("alice");
    let alice = user.at_remote_php();
    let old = at_webdav(&user);
    let phone = Program {
        user: &alice,
        agent: "Mozilla/5.0 (Android) Nextcloud-android/33.1.1",
    };
    let outside = Request::new("GET", "/index.php/204");
    server.anonymous(outside).expect(204);
    for target in [
        "/status.php",
        "/ocs/v1.php/cloud/users/alice?format=json",
        "/ocs/v1.php/cloud/user?format=json",
        "/ocs/v1.php/cloud/capabilities?format=json",
        "/ocs/v2.php/apps/files_sharing/api/v1/shares?path=%2F&reshares=true&subfiles=true",
        "/index.php/avatar/alice/448",
    ] {
        let call = phone.raw("GET", target).header("OCS-APIRequest", "true");
        call.send().expect(200);
    }
    let early = Program {
        user: &old,
        agent: "Mozilla/5.0 (Android) Nextcloud-android/3.13.1",
    };
    early
        .call("PROPFIND", "/")
        .header("Depth", "1")
        .send()
        .expect(207);
    early
        .call("HEAD", "/27 mars à 19.19.mp3")
        .send()
        .expect(404);
    let put = early.call("PUT", "/27 mars à 19.19.mp3").body("sound");
    let put = put
        .header("OC-Total-Length", "5")
        .header("X-OC-Mtime", "1601035955");
    put.send().expect(201);

    let name = "/IMG20260530183424.jpg";
    let picture = bytes(6, 700_000);
    let upload = "/remote.php/dav/uploads/alice/a5cca84dded009801217fb4dc748187b";
    let destination = format!("http://{}{}", alice.address(), alice.target(name));
    let head = phone.call("HEAD", name).send().expect(404);
    assert!(head.body.is_empty());
    let begun = phone.raw("MKCOL", upload);
    let begun = begun.header("Destination", &destination);
    begun.send().expect(201);
    let look = || {
        let call = phone.raw("PROPFIND", upload).header("Depth", "1");
        let call = call.header("Content-Type", "application/xml");
        call.body(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\" \
             xmlns:nc=\"http://nextcloud.org/ns\"><d:prop><d:displayname/><d:getcontenttype/><d:resourcetype/><d:getcontentlength/>\
             <d:getlastmodified/><d:creationdate/><d:getetag/><oc:permissions/><oc:id/><oc:size/><nc:is-encrypted/><nc:mount-type/>\
             <oc:owner-id/><oc:comments-unread/><nc:has-preview/><nc:note/><nc:sharees/></d:prop></d:propfind>",
        )
        .send()
        .expect(207)
        .multistatus()
    };
    assert_eq!(look().entries.len(), 1);
    let put = |number: usize, part: &[u8]| {
        let call = phone.raw("PUT", &format!("{upload}/{number:06}"));
        let call = call.header("Destination", &destination);
        call.body(part).send().expect(201);
    };
    let parts: Vec<&[u8]> = picture.chunks(300_000).collect();
    put(1, parts[0]);
    // It was interrupted, looks what came, and goes on behind it.
    let came = look();
    assert_eq!(came.entries.len(), 2);
    assert_eq!(
        came.entry("/000001").text("{DAV:}getcontentlength"),
        Some("300000")
    );
    put(2, parts[1]);
    put(3, parts[2]);
    phone
        .raw("MOVE", &format!("{upload}/.file"))
        .header("Destination", &destination)
        .header("OC-Total-Length", "700000")
        .header("X-OC-Mtime", "1780000000")
        .header("Overwrite", "T")
        .send()
        .expect(201);
    assert!(phone.call("GET", name).send().expect(200).body == picture);
    assert_eq!(old.get("/27 mars à 19.19.mp3").send().body, b"sound");
    server.assert_clean();
}
