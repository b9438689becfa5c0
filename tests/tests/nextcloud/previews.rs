//! Previews: of what, for whom, and what bad input costs.

use std::fs;
use std::io::Cursor;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use image::DynamicImage;
use image::ImageFormat;
use image::Rgb;
use image::RgbImage;
use image::Rgba;
use image::RgbaImage;
use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Answer;
use nuage_tests::server::files_below;
use nuage_tests::wait::pause;
use nuage_tests::wait::wait_until;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// The number by which clients name a file.
pub(super) fn number_of(user: &User, path: &str) -> String {
    let entry = user.at_remote_php().properties(path, &["oc:fileid"]);
    entry
        .text("{http://owncloud.org/ns}fileid")
        .unwrap()
        .to_owned()
}

fn preview(user: &User, path: &str, side: u32) -> Answer {
    let number = number_of(user, path);
    let target = format!("/index.php/core/preview?fileId={number}&x={side}&y={side}&a=1");
    user.raw("GET", &target).send()
}

/// Asks until there is one: it may take longer than a request waits.
fn made(user: &User, path: &str, side: u32) -> Answer {
    let began = Instant::now();
    loop {
        let answer = preview(user, path, side);
        if answer.status == 200 || began.elapsed() > Duration::from_secs(30) {
            return answer.expect(200);
        }
    }
}

fn decoded(answer: &Answer) -> DynamicImage {
    image::load_from_memory(&answer.body).unwrap()
}

/// Red on its left, blue on its right.
fn picture(width: u32, height: u32) -> DynamicImage {
    let color = |x, _y| {
        if x < width / 2 {
            Rgb([250, 0, 0])
        } else {
            Rgb([0, 0, 250])
        }
    };
    RgbImage::from_fn(width, height, color).into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut place = Cursor::new(&mut bytes);
    picture.write_to(&mut place, format).unwrap();
    bytes
}

/// A JPEG that says that it was taken on its side: what is stored is to be turned to the right.
fn turned_jpeg() -> Vec<u8> {
    let jpeg = encoded(&picture(400, 200), ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, &exif, &jpeg[2..]].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// The beginning of a PNG of these sides.
fn png_head(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let sum = crc(&chunk).to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".as_slice(), &chunk, &sum].concat()
}

#[test]
fn pictures_of_each_kind_have_a_preview_that_is_upright_and_small() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let wide = picture(1_600, 800);
    for (name, format) in [
        ("a.png", ImageFormat::Png),
        ("b.jpg", ImageFormat::Jpeg),
        ("c.gif", ImageFormat::Gif),
        ("d.webp", ImageFormat::WebP),
        ("e.bmp", ImageFormat::Bmp),
        ("f.TIFF", ImageFormat::Tiff),
    ] {
        let path = format!("/{name}");
        alice.put(&path, encoded(&wide, format)).send().expect(201);
        let answer = made(&alice, &path, 200);
        let small = decoded(&answer);
        assert_eq!((small.width(), small.height()), (256, 128), "{name}");
        let left = small.to_rgb8().get_pixel(10, 60).0;
        let right = small.to_rgb8().get_pixel(246, 60).0;
        assert!(left[0] > 200 && left[2] < 60, "{name}: {left:?}");
        assert!(right[2] > 200 && right[0] < 60, "{name}: {right:?}");
        assert!(["image/jpeg", "image/png"].contains(&answer.header("content-type").unwrap()));
    }

    alice.put("/turned.jpg", turned_jpeg()).send().expect(201);
    let upright = decoded(&made(&alice, "/turned.jpg", 64));
    assert_eq!((upright.width(), upright.height()), (32, 64));
    let top = upright.to_rgb8().get_pixel(16, 4).0;
    assert!(top[0] > 200, "the left side is above: {top:?}");

    // A small picture is not made larger, and stays transparent.
    let clear = RgbaImage::from_pixel(20, 10, Rgba([0, 200, 0, 80])).into();
    alice
        .put("/clear.png", encoded(&clear, ImageFormat::Png))
        .send()
        .expect(201);
    let answer = made(&alice, "/clear.png", 1_024);
    assert_eq!(answer.header("content-type"), Some("image/png"));
    let small = decoded(&answer);
    assert_eq!((small.width(), small.height()), (20, 10));
    assert_eq!(small.to_rgba8().get_pixel(5, 5).0[3], 80);
}

#[test]
fn the_first_page_of_a_pdf_and_a_picture_of_a_film() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let page = "4 0 obj<</Length 30>>stream\n1 0 0 rg 0 0 300 600 re f     \nendstream endobj\n";
    let pdf = format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
         2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 600]/Contents 4 0 R>>endobj\n\
         {page}trailer<</Root 1 0 R>>\n%%EOF\n"
    );
    alice.put("/a.pdf", pdf).send().expect(201);
    let small = decoded(&made(&alice, "/a.pdf", 256));
    assert_eq!((small.width(), small.height()), (128, 256));
    assert_eq!(
        small.to_rgb8().get_pixel(60, 120).0[1],
        0,
        "the page is red"
    );

    let film = server.data.scratch("film").join("a.mp4");
    fs::create_dir_all(film.parent().unwrap()).unwrap();
    let words = "-loglevel error -f lavfi -i color=c=blue:s=640x360:d=2 -c:v mpeg4 -y";
    let painted = Command::new("ffmpeg")
        .args(words.split(' '))
        .arg(&film)
        .status();
    assert!(painted.unwrap().success());
    alice
        .put("/a.mp4", fs::read(&film).unwrap())
        .send()
        .expect(201);
    let small = decoded(&made(&alice, "/a.mp4", 256));
    assert_eq!((small.width(), small.height()), (256, 144));
    let middle = small.to_rgb8().get_pixel(128, 72).0;
    assert!(middle[2] > 200 && middle[0] < 40, "{middle:?}");

    // What only pretends to be one, or leads elsewhere, has none.
    alice.put("/b.pdf", "%PDF-1.4\nnothing").send().expect(201);
    let list = "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n";
    alice.put("/b.mp4", list).send().expect(201);
    alice
        .put("/c.mp4", "ffconcat version 1.0\nfile /etc/passwd\n")
        .send()
        .expect(201);
    for path in ["/b.pdf", "/b.mp4", "/c.mp4"] {
        preview(&alice, path, 256).expect(404);
    }
}

#[test]
fn every_address_leads_to_the_preview_and_only_for_those_who_may_read() {
    let server = TestServer::start();
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    alice.mkcol("/é t").send().expect(201);
    let bytes = encoded(&picture(300, 300), ImageFormat::Png);
    alice.put("/é t/a.png", bytes.clone()).send().expect(201);
    alice.put("/a.txt", "text").send().expect(201);
    let says = |path: &str| {
        let entry = alice.at_remote_php().properties(path, &["nc:has-preview"]);
        entry
            .text("{http://nextcloud.org/ns}has-preview")
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (says("/é t/a.png"), says("/a.txt")),
        ("true".into(), "false".into())
    );
    let number = number_of(&alice, "/é t/a.png");
    let first = made(&alice, "/é t/a.png", 64);

    for target in [
        format!("/core/preview?fileId={number}&x=50&y=10&a=1&mode=cover"),
        format!("/core/preview?fileId={number:0>8}oc123&x=64"),
        "/index.php/core/preview.png?file=%2F%C3%A9%20t%2Fa.png&x=64&y=64&forceIcon=0".to_owned(),
        "/index.php/apps/files/api/v1/thumbnail/64/64/%C3%A9%20t/a.png".to_owned(),
    ] {
        let answer = alice.raw("GET", &target).send().expect(200);
        assert!(answer.body == first.body, "{target}");
        assert_eq!(bob.raw("GET", &target).send().status, 404, "{target}");
        assert_eq!(
            bob.with_secret("wrong").raw("GET", &target).send().status,
            401
        );
    }
    // The same bytes elsewhere are the same preview, and rights are those of the file.
    bob.put("/mine.png", bytes).send().expect(201);
    assert!(made(&bob, "/mine.png", 64).body == first.body);

    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, no-cache"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(first.header(name), Some(value));
    }
    let target = format!("/core/preview?fileId={number}&x=64&a=1");
    let again = alice
        .raw("GET", &target)
        .if_none_match(first.header("etag").unwrap());
    again.send().expect(304);

    for (target, status) in [
        ("/core/preview?x=64", 400),
        ("/core/preview?fileId=abc", 400),
        ("/core/preview?fileId=1", 404),
        ("/core/preview.png?file=/nothing.png", 404),
        ("/core/preview.png?file=/a.txt", 404),
        ("/core/preview.png?file=/../../etc/passwd", 400),
        ("/apps/files/api/v1/thumbnail/a/b/c", 400),
    ] {
        assert_eq!(alice.raw("GET", target).send().status, status, "{target}");
    }
    alice.delete("/é t/a.png").send().expect(204);
    alice.raw("GET", &target).send().expect(404);
}

#[test]
fn bad_input_costs_little_and_is_not_tried_again() {
    let mut server = TestServer::with(&[("NUAGE_PREVIEWS__MEGAPIXELS_MAX", "20")]);
    let alice = server.user("alice");
    let jpeg = encoded(&picture(2_000, 2_000), ImageFormat::Jpeg);
    let gray = DynamicImage::new_luma8(5_000, 5_000);
    let bad = [
        ("/head.png", png_head(60_000, 60_000)),
        ("/head.jpg", jpeg[..20].to_vec()),
        (
            "/cut.png",
            encoded(&picture(500, 500), ImageFormat::Png)[..300].to_vec(),
        ),
        // 25 million pixels in 25 KB.
        ("/bomb.png", encoded(&gray, ImageFormat::Png)),
        (
            "/noise.webp",
            (0..50_000_u32).map(|n| (n * n).to_le_bytes()[0]).collect(),
        ),
        ("/empty.gif", Vec::new()),
        ("/name.jpg", b"<html><script>alert(1)</script>".to_vec()),
    ];
    for (path, bytes) in &bad {
        alice.put(path, bytes.clone()).send().expect(201);
        preview(&alice, path, 64).expect(404);
    }
    let tried = server.metric("nuage_previews_total", "outcome=\"undecodable\"");
    for (path, _) in &bad {
        preview(&alice, path, 64).expect(404);
    }
    let again = server.metric("nuage_previews_total", "outcome=\"undecodable\"");
    assert!(
        (tried - 6.0).abs() < 0.5 && (again - tried).abs() < 0.5,
        "{tried} {again}"
    );
    assert!(server.memory_peak_bytes() < 400 << 20);
    server.assert_alive();
}

/// The workers of a server.
fn workers(server: &TestServer) -> Vec<Pid> {
    let folder = server.data.path().display().to_string();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&words);
        let parent = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let is_ours = parent
            .lines()
            .find_map(|line| line.strip_prefix("PPid:\t"))
            .is_some_and(|parent| is_server_of(parent, &folder));
        if text.contains("preview-worker") && is_ours {
            let pid = process.file_name().to_string_lossy().parse().unwrap();
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

fn is_server_of(pid: &str, folder: &str) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    [words, variables]
        .iter()
        .any(|bytes| String::from_utf8_lossy(bytes).contains(folder))
}

#[test]
fn a_worker_that_hangs_or_dies_harms_nobody() {
    let mut server = TestServer::with(&[
        ("NUAGE_PREVIEWS__WORK_SECONDS", "4"),
        ("NUAGE_PREVIEWS__WAIT_SECONDS", "1"),
        ("NUAGE_PREVIEWS__AT_ONCE", "1"),
    ]);
    let alice = server.user("alice");
    for (index, signal) in [Signal::STOP, Signal::KILL].into_iter().enumerate() {
        let path = format!("/{index}.png");
        let size = 8_000 + u32::try_from(index).unwrap();
        let large = DynamicImage::new_rgb8(size, 8_000);
        alice
            .put(&path, encoded(&large, ImageFormat::Png))
            .send()
            .expect(201);
        let asking = alice.clone();
        let asked_path = path.clone();
        let asked = std::thread::spawn(move || {
            let began = Instant::now();
            preview(&asking, &asked_path, 64).expect(404);
            began.elapsed()
        });
        wait_until("a worker runs", Duration::from_secs(10), || {
            let found = workers(&server);
            found.iter().any(|pid| kill_process(*pid, signal).is_ok())
        });
        let took = asked.join().unwrap();
        assert!(took < Duration::from_secs(6), "{took:?}");
        wait_until("it is gone", Duration::from_secs(10), || {
            workers(&server).is_empty()
        });
    }
    // It says nothing of the file: after a minute it is tried again, and not before.
    let failed = || server.metric("nuage_previews_total", "outcome=\"failed\"");
    let tried = failed();
    assert!((tried - 2.0).abs() < 0.5, "{tried}");
    for path in ["/0.png", "/1.png"] {
        preview(&alice, path, 64).expect(404);
        preview(&alice, path, 512).expect(404);
    }
    pause(Duration::from_millis(300));
    assert!(workers(&server).is_empty());
    server.data.advance(61);
    for path in ["/0.png", "/1.png"] {
        made(&alice, path, 64);
    }
    assert!((failed() - tried).abs() < 0.5);
    // The place is free again.
    let small = encoded(&picture(100, 100), ImageFormat::Png);
    alice.put("/small.png", small).send().expect(201);
    made(&alice, "/small.png", 64);
    server.assert_alive();
}

#[test]
fn the_cache_is_bounded_survives_restarts_and_may_vanish() {
    let mut server = TestServer::with(&[("NUAGE_PREVIEWS__CACHE", "64KiB")]);
    let alice = server.user("alice");
    let folder = server.data.path().join("previews");
    let kept = || -> u64 {
        let files = files_below(&folder);
        files
            .iter()
            .map(|file| fs::metadata(file).map_or(0, |about| about.len()))
            .sum()
    };
    for number in 0..12 {
        let path = format!("/{number}.png");
        let side = 600 + number;
        alice
            .put(&path, encoded(&picture(side, side), ImageFormat::Png))
            .send()
            .expect(201);
        made(&alice, &path, 64);
        assert!(kept() <= 64 << 10, "{} bytes", kept());
    }
    let outcomes = |server: &TestServer| server.metric("nuage_previews_total", "outcome=\"made\"");
    server.restart();
    made(&alice, "/11.png", 64);
    assert!(outcomes(&server) < 0.5, "it was kept");

    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(folder.join("work")).unwrap();
    made(&alice, "/11.png", 64);
    assert!(outcomes(&server) > 0.5, "it was made again");
    pause(Duration::from_millis(200));
    assert!(
        files_below(&folder.join("work")).is_empty(),
        "nothing is left behind"
    );
}

#[test]
fn where_there_are_none_nobody_is_asked_to_make_one() {
    let server = TestServer::with(&[("NUAGE_PREVIEWS__ENABLED", "false")]);
    let alice = server.user("alice");
    alice
        .put("/a.png", encoded(&picture(9, 9), ImageFormat::Png))
        .send()
        .expect(201);
    preview(&alice, "/a.png", 64).expect(404);
}

#[test]
fn a_preview_shows_the_whole_or_the_middle_as_it_is_asked() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let wide = encoded(&picture(1_600, 400), ImageFormat::Jpeg);
    alice.put("/a.jpg", wide).send().expect(201);
    alice.put("/t.jpg", turned_jpeg()).send().expect(201);
    made(&alice, "/a.jpg", 64);
    made(&alice, "/t.jpg", 64);
    let (wide, turned) = (number_of(&alice, "/a.jpg"), number_of(&alice, "/t.jpg"));
    let ask = |target: String| {
        let answer = alice.raw("GET", &target).send().expect(200);
        let small = decoded(&answer);
        ((small.width(), small.height()), answer.etag())
    };
    let mut tags = Vec::new();
    for (query, sides) in [
        ("x=256&y=256&a=1", (256, 64)),
        ("x=256&y=256&a=1&mode=fill", (256, 64)),
        ("x=256&y=256&a=true&mode=cover", (1_024, 256)),
        ("x=256&y=256&a=0", (256, 256)),
        ("x=256&y=256&a=false&mode=cover", (256, 256)),
        ("x=256&y=256", (256, 256)),
        ("x=256&y=128", (256, 128)),
        // It is never made larger: of 400 pixels in height, the largest preview keeps 256.
        ("x=512&y=1024", (128, 256)),
    ] {
        let (found, tag) = ask(format!("/index.php/core/preview?fileId={wide}&{query}"));
        assert_eq!(found, sides, "{query}");
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5, "each shape has its own ETag");
    // 200 wide and 400 high, upright.
    let (sides, _) = ask(format!("/core/preview?fileId={turned}&x=256&y=128"));
    assert_eq!(sides, (200, 100));
    let (sides, _) = ask("/apps/files/api/v1/thumbnail/64/64/a.jpg".to_owned());
    assert_eq!(sides, (64, 64));

    // The middle is the middle: red on its left, blue on its right.
    let target = format!("/core/preview?fileId={wide}&x=256&y=256&a=0");
    let middle = decoded(&alice.raw("GET", &target).send().expect(200)).to_rgb8();
    let (left, right) = (middle.get_pixel(100, 128).0, middle.get_pixel(156, 128).0);
    assert!(left[0] > 200 && right[2] > 200, "{left:?} {right:?}");
}

#[test]
fn what_lies_in_the_trash_and_what_was_before_have_previews_for_their_owner() {
    let server = TestServer::start();
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let png = |width, height| encoded(&picture(width, height), ImageFormat::Png);
    alice.folders("/d/e");
    alice
        .put("/d/e/below.png", png(300, 100))
        .send()
        .expect(201);
    alice.put("/top.png", png(100, 300)).send().expect(201);
    alice.put("/kept.png", png(64, 64)).send().expect(201);
    server.data.advance(10);
    alice.put("/kept.png", png(128, 64)).send().expect(204);
    let numbers =
        ["/d/e/below.png", "/top.png", "/kept.png", "/d"].map(|path| number_of(&alice, path));
    let [below, top, kept, folder] = &numbers;
    alice.delete("/d").send().expect(204);
    alice.delete("/top.png").send().expect(204);

    let of_trash = |number: &str| {
        format!("/index.php/apps/files_trashbin/preview?fileId={number}&x=64&y=64&a=1")
    };
    let find = |user: &User, target: &str| {
        wait_until("there is a preview", Duration::from_secs(20), || {
            user.raw("GET", target).send().status == 200
        });
        let small = decoded(&user.raw("GET", target).send());
        (small.width(), small.height())
    };
    assert_eq!(find(&alice, &of_trash(top)), (21, 64));
    assert_eq!(find(&alice, &of_trash(below)), (64, 21));
    // Neither a folder, nor what is not deleted, nor somebody else's.
    for number in [kept, folder, "999999"] {
        let answer = alice.raw("GET", &of_trash(number)).send();
        answer.expect(404);
    }
    bob.raw("GET", &of_trash(top)).send().expect(404);
    let core = format!("/core/preview?fileId={top}&x=64&y=64");
    alice.raw("GET", &core).send().expect(404);

    let has_preview = "{http://nextcloud.org/ns}has-preview";
    let asked = alice.raw("PROPFIND", "/remote.php/dav/trashbin/alice/trash/");
    let body = "<d:propfind xmlns:d='DAV:' xmlns:nc='http://nextcloud.org/ns'><d:prop>\
        <nc:has-preview/></d:prop></d:propfind>";
    let listed = asked.header("Depth", "1").body(body).send().multistatus();
    let told = |part: &str| {
        let entry = listed
            .entries
            .iter()
            .find(|entry| entry.href.contains(part));
        entry.unwrap().text(has_preview).unwrap().to_owned()
    };
    assert_eq!(
        (told("top.png"), told("/d.d")),
        ("true".into(), "false".into())
    );

    let versions = format!("/remote.php/dav/versions/alice/versions/{kept}");
    let listed = alice.raw("PROPFIND", &versions).header("Depth", "1");
    let listed = listed.body(body).send().multistatus();
    let version = &listed.entries[1];
    assert_eq!(version.text(has_preview), Some("true"));
    let version = version.href.rsplit('/').next().unwrap();
    for front in ["", "/index.php"] {
        let target = format!(
            "{front}/apps/files_versions/preview?file=/kept.png&version={version}&x=128&y=64&a=1"
        );
        assert_eq!(find(&alice, &target), (64, 64));
        bob.raw("GET", &target).send().expect(404);
    }
    for (target, status) in [
        (
            "/apps/files_versions/preview?file=/kept.png&version=99999",
            404,
        ),
        ("/apps/files_versions/preview?file=/none.png&version=1", 404),
        ("/apps/files_versions/preview?file=/kept.png", 400),
        ("/apps/files_trashbin/preview?x=64", 400),
    ] {
        assert_eq!(alice.raw("GET", target).send().status, status, "{target}");
    }
    // What was let go has none.
    let trash = "/remote.php/dav/trashbin/alice/trash";
    alice.raw("DELETE", trash).send().expect(204);
    alice.raw("GET", &of_trash(top)).send().expect(404);
}
