//! A folder, or some of what is in it, as one ZIP file, read by the programs that people have.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::has;
use nuage_tests::command::report;
use nuage_tests::command::run;
use nuage_tests::data::Pattern;
use nuage_tests::data::bytes;
use nuage_tests::http::Answer;
use nuage_tests::http::Broken;
use nuage_tests::server::files_below;
use nuage_tests::shape::embedded_only;
use nuage_tests::user::encode;
use nuage_tests::wait::wait_until;
use serde_json::Value;

/// Reads a ZIP file as another program does, every byte of it, and prints what is in it.
const READ_ZIP: &str = r#"
import json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
members = [[i.filename, i.file_size, i.is_dir(), list(i.date_time), i.compress_type,
            i.flag_bits, i.external_attr >> 16] for i in archive.infolist()]
names = archive.namelist()
texts = {n: archive.read(n).decode("utf-8", "replace") for n in names if archive.getinfo(n).file_size < 500}
if len(sys.argv) > 2:
    members, texts = [], {n: texts[n] for n in sys.argv[2:]}
print(json.dumps({"bad": archive.testzip(), "count": len(names), "different": len(set(names)),
                  "members": members, "texts": texts}))
"#;

/// An archive that was received.
struct Received {
    answer: Answer,
    file: PathBuf,
}

impl Received {
    /// Asks for a target and writes what comes to a file, zeros as holes.
    #[track_caller]
    fn get(server: &TestServer, user: &User, target: &str) -> Self {
        let request = user.raw("GET", target).header("Accept", "application/zip");
        Self::receive(server, user, &request.into_request(), &mut |_| {}).unwrap()
    }

    fn receive(
        server: &TestServer,
        user: &User,
        request: &nuage_tests::http::Request,
        meanwhile: &mut dyn FnMut(u64),
    ) -> Result<Self, Broken> {
        let file = server.data.scratch("archive").join("archive.zip");
        let mut out = File::create(&file).unwrap();
        let mut length = 0;
        let zeros = vec![0; 64 << 10];
        let mut connection = user.connect();
        connection.set_patience(Duration::from_mins(1));
        connection.write(&request.head()).unwrap();
        let answer = connection.receive_into(&request.target, false, &mut |piece| {
            meanwhile(length);
            length += piece.len() as u64;
            if *piece == zeros[..piece.len()] {
                out.seek(SeekFrom::Start(length)).unwrap();
            } else {
                out.write_all(piece).unwrap();
            }
        })?;
        out.set_len(length).unwrap();
        Ok(Self {
            answer: answer.expect(200),
            file,
        })
    }

    /// Reads it whole with Python's zipfile; `None`: there is no Python.
    #[track_caller]
    fn read(&self, texts_of: &[&str]) -> Option<Value> {
        if !has("python3") {
            return None;
        }
        let mut python = Command::new("python3");
        python.args(["-c", READ_ZIP]).arg(&self.file).args(texts_of);
        let found: Value = serde_json::from_str(run(&mut python, "").ok()).unwrap();
        assert_eq!(found["bad"], Value::Null, "every check sum is right");
        assert_eq!(found["count"], found["different"], "no name comes twice");
        Some(found)
    }

    /// Unpacks it with Info-ZIP's unzip; `false`: there is none.
    #[track_caller]
    fn unzip(&self, into: &Path) -> bool {
        if !has("unzip") {
            return false;
        }
        let mut unzip = Command::new("unzip");
        unzip.env("LC_ALL", "C.UTF-8").args(["-q", "-d"]);
        run(unzip.arg(into).arg(&self.file), "").ok();
        true
    }
}

fn names(found: &Value) -> Vec<&str> {
    let members = found["members"].as_array().unwrap().iter();
    members.map(|member| member[0].as_str().unwrap()).collect()
}

#[test]
fn a_folder_comes_as_one_file_that_everybody_can_unpack() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/Été/sub/deep");
    alice.folders("/Été/empty");
    let large = bytes(7, 300_000);
    for (path, body) in [
        ("/Été/a.txt", b"alpha".to_vec()),
        ("/Été/none", Vec::new()),
        ("/Été/sub/deep/large.bin", large.clone()),
        ("/beside", b"not this".to_vec()),
    ] {
        let put = alice.put(path, body).header("X-OC-MTime", "1700000001");
        put.send().expect(201);
    }
    for target in [
        alice.target("/Été/"),
        alice.at_remote_php().target("/Été"),
        format!("/remote.php/webdav{}", encode("/Été")),
    ] {
        let received = Received::get(&server, &alice, &target);
        let header = |name| received.answer.header(name);
        assert_eq!(header("content-type"), Some("application/zip"));
        assert_eq!(header("content-length"), None);
        let disposition = "attachment; filename=\"_t_.zip\"; filename*=UTF-8''%C3%89t%C3%A9.zip";
        assert_eq!(header("content-disposition"), Some(disposition));
        assert_eq!(header("x-content-type-options"), Some("nosniff"));
        assert!(header("content-security-policy").is_some());
        if let Some(found) = received.read(&[]) {
            let mut all = names(&found);
            all.sort_unstable();
            let expected = [
                "Été/",
                "Été/a.txt",
                "Été/empty/",
                "Été/none",
                "Été/sub/",
                "Été/sub/deep/",
                "Été/sub/deep/large.bin",
            ];
            assert_eq!(all, expected);
            for member in found["members"].as_array().unwrap() {
                assert_eq!(member[4], 0, "stored");
                let flags = member[5].as_u64().unwrap();
                assert_ne!(flags & (1 << 11), 0, "the name is UTF-8");
                let is_large = member[1].as_u64().unwrap() > 65_536;
                assert_eq!(flags & (1 << 3) != 0, is_large, "{member}");
                if member[2] == false {
                    // 2023-11-14 22:13:21, which DOS knows to two seconds.
                    let time = serde_json::json!([2023, 11, 14, 22, 13, 20]);
                    assert_eq!(member[3], time);
                    assert_eq!(member[6], 0o100_644);
                } else {
                    assert_eq!(member[6], 0o040_755);
                }
            }
        }
        let unpacked = server.data.scratch("unpacked");
        if received.unzip(&unpacked) {
            assert!(fs::read(unpacked.join("Été/sub/deep/large.bin")).unwrap() == large);
            assert!(unpacked.join("Été/empty").is_dir());
            let modified = fs::metadata(unpacked.join("Été/a.txt")).unwrap().modified();
            let since = modified.unwrap().duration_since(std::time::UNIX_EPOCH);
            assert_eq!(since.unwrap().as_secs(), 1_700_000_001);
            fs::remove_dir_all(&unpacked).unwrap();
        }
    }
    // The root has no name that could stand above what is in it.
    let whole = Received::get(&server, &alice, "/dav/?accept=zip");
    let disposition = whole.answer.header("content-disposition").unwrap();
    assert!(disposition.contains("filename=\"download.zip\""));
    if let Some(found) = whole.read(&[]) {
        assert!(names(&found).contains(&"beside"));
        assert!(names(&found).contains(&"Été/a.txt"));
    }
    server.assert_clean();
}

#[test]
fn a_selection_comes_as_it_was_named() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/sub");
    for path in [
        "/d/a b",
        "/d/c,d",
        "/d/other",
        "/d/sub/x",
        "/d/_missing.txt",
    ] {
        alice.put(path, path).send().expect(201);
    }
    let query = encode("[\"sub\",\"a b\",\"sub\"]");
    let by_query = Received::get(&server, &alice, &format!("/dav/d?accept=zip&files={query}"));
    if let Some(found) = by_query.read(&[]) {
        assert_eq!(names(&found), ["sub/", "sub/x", "a b"]);
        assert_eq!(found["texts"]["sub/x"], "/d/sub/x");
    }
    let request = alice
        .get("/d")
        .header("Accept", "application/zip")
        .header("X-NC-Files", "c,d")
        .header("X-NC-Files", "_missing.txt");
    let by_headers = Received::receive(&server, &alice, &request.into_request(), &mut |_| {});
    if let Some(found) = by_headers.unwrap().read(&[]) {
        assert_eq!(names(&found), ["c,d", "_missing.txt"]);
    }
    for (files, status) in [
        ("[\"none\"]", 404),
        ("[\"sub\",\"none\"]", 404),
        ("[\"sub/x\"]", 400),
        ("[\"..\"]", 400),
        ("[1]", 400),
    ] {
        let target = format!("/dav/d?accept=zip&files={}", encode(files));
        alice.raw("GET", &target).send().expect(status);
    }
    // A file is a file, whatever is asked for, and without the wish a folder is a page.
    let file = alice.get("/d/other").header("Accept", "application/zip");
    assert_eq!(file.send().expect(200).text(), "/d/other");
    let page = alice.get("/d").header("Accept", "text/html").send();
    assert!(
        page.expect(200)
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let head = alice.head("/d").header("Accept", "application/zip").send();
    let head = head.expect(200);
    assert_eq!(head.header("content-type"), Some("application/zip"));
    assert!(head.body.is_empty());
    let other = server.user("bob");
    let target = format!("/remote.php/dav/files/alice/d?files={query}");
    let foreign = other
        .raw("GET", &target)
        .header("Accept", "application/zip");
    foreign.send().expect(404);
}

#[test]
fn odd_names_lead_nowhere_and_stay_different() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d");
    for name in [
        "..\\..\\evil",
        ".._.._evil",
        "..\u{85}..\u{86}evil",
        "C:x",
        "...",
        "a\\b",
        "a_b (2)",
        "a_b",
        "\\\\host\\x",
    ] {
        alice.put(&format!("/d/{name}"), name).send().expect(201);
    }
    let received = Received::get(&server, &alice, "/dav/d");
    let Some(found) = received.read(&[]) else {
        return;
    };
    let texts = found["texts"].as_object().unwrap();
    assert_eq!(texts.len(), 10, "nine files and their folder: {texts:?}");
    for name in texts.keys() {
        assert!(name.starts_with("d/"), "{name}");
        let is_odd = name.contains(['\\', '\u{85}', '\u{86}']) || name.contains("..\\");
        assert!(
            !is_odd && !name.split('/').any(|part| part == ".." || part == "..."),
            "{name}"
        );
    }
    let kept = [".._.._evil", "a_b", "a_b (2)"];
    for name in kept {
        assert_eq!(texts[&format!("d/{name}")], name);
    }
    assert_eq!(texts["d/a_b (3)"], "a\\b");
    assert_eq!(texts["d/C_x"], "C:x");
    let unpacked = server.data.scratch("unpacked");
    if received.unzip(&unpacked) {
        assert_eq!(files_below(&unpacked).len(), 9);
    }
}

#[test]
fn what_goes_away_meanwhile_is_named_in_the_archive() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/gone");
    alice.folders("/d/kept");
    let length = 64 << 20;
    let large = Pattern::new(1, length);
    alice
        .put_stream("/d/large", large, length)
        .send()
        .expect(201);
    for number in 0..10 {
        alice.put(&format!("/d/f{number}"), "x").send().expect(201);
    }
    for path in ["/d/gone/x", "/d/kept/x"] {
        alice.put(path, "y").send().expect(201);
    }
    for (language, words) in [("fr", "supprimé"), ("en", "deleted")] {
        let request = alice
            .get("/d")
            .header("Accept", "application/zip")
            .header("Accept-Language", language);
        let mut is_done = false;
        let received = Received::receive(&server, &alice, &request.into_request(), &mut |_| {
            // The large file is on its way, and far more than the connection holds.
            if !std::mem::replace(&mut is_done, true) {
                alice.delete("/d/f8").send().expect(204);
                alice.mv("/d/f9", "/moved").send().expect(201);
                alice.delete("/d/gone").send().expect(204);
            }
        });
        if let Some(found) = received.unwrap().read(&[]) {
            let text = found["texts"]["_missing.txt"].as_str().unwrap();
            assert!(text.contains(words), "{text}");
            let (_, named) = text.split_once("\n\n").unwrap();
            let mut named: Vec<&str> = named.lines().collect();
            named.sort_unstable();
            assert_eq!(named, ["d/f8", "d/f9", "d/gone"]);
            assert_eq!(found["texts"]["d/kept/x"], "y");
            assert_eq!(found["texts"]["d/f7"], "x");
            assert_eq!(found["count"], 13);
        }
        alice.put("/d/f8", "x").send().expect(201);
        alice.mv("/moved", "/d/f9").send().expect(201);
        alice.folders("/d/gone");
    }
}

#[test]
fn damage_breaks_the_answer_off() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d");
    let length = 5_000_000;
    alice.put("/d/hurt", bytes(1, length)).send().expect(201);
    alice.put("/d/sound", "x").send().expect(201);
    server.stop();
    let packs = files_below(&server.data.packs()).into_iter();
    let packs = packs.filter(|file| file.metadata().unwrap().len() > length as u64 / 2);
    for pack in packs {
        let mut stored = fs::read(&pack).unwrap();
        let middle = stored.len() / 2;
        stored[middle] ^= 0x10;
        fs::write(&pack, stored).unwrap();
    }
    server.start_again();
    let request = alice.get("/d").header("Accept", "application/zip");
    match request.try_send() {
        Err(Broken::Cut { status: 200, .. }) => {}
        other => panic!("an archive without a damaged file: {other:?}"),
    }
}

#[test]
fn settings_bound_what_one_archive_holds_and_how_many_are_made() {
    let server = TestServer::with(&[
        ("NUAGE_DOWNLOADS__ARCHIVE_MAX_ENTRIES", "4"),
        ("NUAGE_DOWNLOADS__ARCHIVE_MAX_SIZE", "50MB"),
        ("NUAGE_DOWNLOADS__ARCHIVES_AT_ONCE", "1"),
        ("NUAGE_HTTP__STALL_TIMEOUT_SECONDS", "5"),
    ]);
    let alice = server.user("alice");
    for folder in ["/files", "/folders", "/bytes", "/fits"] {
        alice.folders(folder);
    }
    for number in 0..5 {
        let path = format!("/files/{number}");
        alice.put(&path, "x").send().expect(201);
        alice.folders(&format!("/folders/{number}"));
    }
    let length = 30 << 20;
    let put = |path: &str| {
        let content = Pattern::new(1, length);
        alice.put_stream(path, content, length).send().expect(201);
    };
    put("/bytes/a");
    put("/bytes/b");
    put("/fits/a");
    let zip = |path: &str| alice.get(path).header("Accept", "application/zip");

    let french = zip("/files").header("Accept-Language", "fr");
    let refusal = french.send().expect(403);
    assert!(refusal.text().contains("un seul fichier ZIP"), "{refusal}");
    zip("/bytes").send().expect(403);
    let both = "/dav/bytes?accept=zip&files=%5B%22a%22%2C%22b%22%5D";
    alice.raw("GET", both).send().expect(403);
    // Folders are counted on the way.
    match zip("/folders").try_send() {
        Err(Broken::Cut { status: 200, .. }) => {}
        other => panic!("an archive of too many folders: {other:?}"),
    }

    let mut lazy = TcpStream::connect(server.address()).unwrap();
    lazy.write_all(&zip("/fits").into_request().head()).unwrap();
    lazy.read_exact(&mut [0; 1000]).unwrap();
    let busy = zip("/fits").send().expect(503);
    assert!(busy.header("retry-after").is_some());
    // Whoever takes nothing is cut off, as with any download, and makes room.
    wait_until("a lazy reader makes room", Duration::from_secs(30), || {
        zip("/fits").send().status == 200
    });
}

#[test]
fn a_gibibyte_takes_no_more_memory_than_a_little() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d");
    let length = 64 << 20;
    let content = Pattern::new(1, length);
    alice.put_stream("/d/0", content, length).send().expect(201);
    for number in 1..16 {
        alice
            .copy("/d/0", &format!("/d/{number}"))
            .send()
            .expect(201);
    }
    let read = || {
        let request = alice.get("/d").header("Accept", "application/zip");
        let request = request.into_request();
        let mut connection = alice.connect();
        connection.write(&request.head()).unwrap();
        let mut length = 0;
        let mut take = |piece: &[u8]| length += piece.len() as u64;
        connection
            .receive_into("", false, &mut take)
            .unwrap()
            .expect(200);
        length
    };
    // What the allocator and new threads cost comes once, so the least of some tries counts.
    assert!(read() > 1 << 30);
    let mut grown = u64::MAX;
    for _ in 0..3 {
        let idle = server.restart_memory_peak();
        assert!(read() > 1 << 30);
        grown = grown.min(server.memory_peak_bytes().saturating_sub(idle));
        if grown <= 16 << 20 {
            break;
        }
    }
    report(&format!(
        "a ZIP file of 1 GiB: {} KiB over idle",
        grown >> 10
    ));
    assert!(grown <= 16 << 20, "memory grew by {grown} bytes");
}

#[test]
fn seventy_thousand_files_are_all_there() {
    if embedded_only("the form of an archive is the same wherever its files come from") {
        return;
    }
    let server = TestServer::with(&[("NUAGE_DOWNLOADS__ARCHIVE_MAX_ENTRIES", "100000")]);
    let alice = server.user("alice");
    alice.folders("/d/0");
    for number in 0..700 {
        let path = format!("/d/0/{number}");
        alice.put(&path, format!("{number}")).send().expect(201);
    }
    for number in 1..100 {
        alice
            .copy("/d/0", &format!("/d/{number}"))
            .send()
            .expect(201);
    }
    alice
        .get("/d")
        .header("Accept", "application/zip")
        .send()
        .expect(200);
    // What the allocator and new threads cost comes once, so the least of some tries counts.
    let mut least = u64::MAX;
    let mut received = Received::get(&server, &alice, "/dav/d");
    for _ in 0..3 {
        let idle = server.restart_memory_peak();
        received = Received::get(&server, &alice, "/dav/d");
        least = least.min(server.memory_peak_bytes().saturating_sub(idle));
        if least <= 16 << 20 {
            break;
        }
    }
    report(&format!(
        "a ZIP file of 70 000 members: {} KiB over idle",
        least >> 10
    ));
    assert!(least <= 16 << 20, "memory grew by {least} bytes");
    if let Some(found) = received.read(&["d/99/699"]) {
        assert_eq!(found["count"], 70_101);
        assert_eq!(found["texts"]["d/99/699"], "699");
    }
    if has("unzip") {
        run(Command::new("unzip").arg("-tqq").arg(&received.file), "").ok();
    }
}

#[test]
fn a_file_of_more_than_four_gibibytes_and_what_follows_it_are_whole() {
    if embedded_only("the form of an archive is the same wherever its files come from") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/d/z");
    let length = (4 << 30) + 12_345;
    let zeros = std::io::repeat(0);
    alice
        .put_stream("/d/huge", zeros, length)
        .send()
        .expect(201);
    alice.put("/d/z/last", "behind it").send().expect(201);
    let received = Received::get(&server, &alice, "/dav/d");
    if let Some(found) = received.read(&[]) {
        let huge = &found["members"][1];
        assert_eq!((&huge[0], &huge[1]), (&"d/huge".into(), &length.into()));
        assert_eq!(found["texts"]["d/z/last"], "behind it");
    }
    if has("unzip") {
        run(Command::new("unzip").arg("-tqq").arg(&received.file), "").ok();
    }
}
