//! What somebody might try with what they were given, or with nothing: each must fail, and tell nothing.
//!
//! Who may do what by which way is in `table`; here is what the rules cannot be asked for by an honest request.

use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::http::basic;
use nuage_tests::user::encode;

use crate::sharing::ALL;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::give;

/// Makes a link and returns its number and its token.
#[track_caller]
fn link(maker: &User, path: &str, form: &[(&str, &str)]) -> (String, String) {
    let mut all = vec![("path", path), ("shareType", "3")];
    all.extend_from_slice(form);
    let made = data(&call(maker, "POST", "shares", &all).expect(200));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

fn public(method: &str, token: &str, rest: &str) -> Request {
    Request::new(method, &format!("/public.php/dav/files/{token}{rest}"))
}

#[test]
fn no_path_leads_out_of_what_was_given() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/Cours/sub");
    ann.put("/Cours/plan.txt", "the plan").send().expect(201);
    ann.put("/private.txt", "kept, 7d1f").send().expect(201);
    ann.mkcol("/Cours2").send().expect(201);
    ann.put("/Cours2/near.txt", "kept, 7d1f").send().expect(201);
    give(&ann, "/Cours", &bob, ALL);
    let (_, token) = link(&ann, "/Cours", &[("permissions", "15")]);
    let tails = [
        "/../private.txt",
        "/sub/../../private.txt",
        "/%2e%2e/private.txt",
        "/%2E%2e%2Fprivate.txt",
        "/..%2fprivate.txt",
        "/..%5cprivate.txt",
        "/..\\private.txt",
        "/%252e%252e/private.txt",
        "/%252e%252e%252fprivate.txt",
        "/sub/%2e%2e/%2e%2e/private.txt",
        "/..;/private.txt",
        "/%c0%ae%c0%ae/private.txt",
        "/%00/../private.txt",
        "/%ef%bc%8e%ef%bc%8e/private.txt",
        "2/near.txt",
        "//private.txt",
        "/./../private.txt",
    ];
    // What is made by these names, if anything, is made within.
    let etags = || ["/private.txt", "/Cours2"].map(|path| ann.etag_of(path));
    let (before, homes) = (etags(), ann.names("/"));
    for tail in tails {
        let doors: [(&str, Option<&User>); 3] = [
            (&format!("/public.php/dav/files/{token}"), None),
            ("/public.php/webdav", None),
            ("/dav/Cours", Some(&bob)),
        ];
        for (prefix, user) in doors {
            let request = |method: &str, target: &str| {
                let request = Request::new(method, target);
                match user {
                    Some(user) => request.header("Authorization", &basic(&user.name, &user.secret)),
                    None => request.header("Authorization", &basic(&token, "")),
                }
            };
            let target = format!("{prefix}{tail}");
            for method in ["GET", "PROPFIND", "PUT", "DELETE", "MKCOL", "COPY", "MOVE"] {
                let to = format!("http://nuage.test{prefix}/taken.txt");
                let mut asked = request(method, &target).header("Destination", &to);
                if method == "PUT" {
                    asked = asked.body("x");
                }
                let answer = server.anonymous(asked);
                assert!(!answer.text().contains("7d1f"), "{target}: {answer}");
                // A name with a backslash or a per cent sign is a name, once something was made by it.
                let is_read = ["GET", "PROPFIND"].contains(&method);
                assert!(
                    !is_read || answer.status >= 400,
                    "{method} {target}: {answer}"
                );
            }
            let tidy_up = |target: &str| {
                server.anonymous(request("DELETE", target));
            };
            tidy_up(&target);
            tidy_up(&format!("{prefix}/taken.txt"));
            // Out of it by the other end.
            for method in ["MOVE", "COPY"] {
                let from = format!("{prefix}/plan.txt");
                let to = format!("http://nuage.test{target}");
                let asked = request(method, &from).header("Destination", &to);
                let answer = server.anonymous(asked.header("Overwrite", "T"));
                if answer.status < 300 && method == "MOVE" {
                    // It became a strange name within; it comes back.
                    let asked = request("MOVE", &target);
                    let back = format!("http://nuage.test{prefix}/plan.txt");
                    server
                        .anonymous(asked.header("Destination", &back))
                        .expect(201);
                }
                tidy_up(&target);
                assert_eq!(etags(), before, "{method} to {to}: {answer}");
            }
        }
        let page = format!("/s/{token}/download?path={}", encode(tail));
        let answer = server.anonymous(Request::new("GET", &page));
        assert!(
            answer.status >= 400 && !answer.text().contains("7d1f"),
            "{answer}"
        );
        let raw = format!("/s/{token}?path={}", tail.trim_start_matches('/'));
        let answer = server.anonymous(Request::new("GET", &raw));
        assert!(!answer.text().contains("near.txt"), "{answer}");
        assert_eq!(etags(), before, "{tail}");
    }
    // To the addresses of others, of the whole home, of another link.
    let (_, other) = link(&ann, "/Cours2", &[("permissions", "15")]);
    for to in [
        "/dav/stolen.txt".to_owned(),
        "/remote.php/dav/files/ann/stolen.txt".to_owned(),
        "/remote.php/webdav/stolen.txt".to_owned(),
        format!("/public.php/dav/files/{other}/stolen.txt"),
        "/public.php/webdav/../stolen.txt".to_owned(),
        format!("/public.php/dav/files/{token}/../{other}/stolen.txt"),
    ] {
        for method in ["MOVE", "COPY"] {
            let destination = format!("http://nuage.test{to}");
            let request = public(method, &token, "/plan.txt").header("Destination", &destination);
            let answer = server.anonymous(request);
            assert!(answer.status >= 400, "{method} to {to}: {answer}");
        }
    }
    assert_eq!((etags(), ann.names("/")), (before, homes));
    assert_eq!(ann.get("/Cours/plan.txt").send().text(), "the plan");
    server.assert_clean();
}

#[test]
fn nothing_moves_into_itself_by_another_name() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    ann.folders("/d/sub/deep");
    ann.put("/d/sub/deep/f.txt", "x").send().expect(201);
    give(&ann, "/d", &bob, ALL);
    give(&ann, "/d/sub", &bob, ALL);
    let mut names = bob.names("/");
    names.sort();
    assert_eq!(names, ["d", "sub"]);
    // `/d/sub` and `/sub` are one folder.
    for (from, to) in [
        ("/d/sub", "/sub/inside"),
        ("/d/sub", "/sub/deep/inside"),
        ("/d/sub/deep", "/sub/deep/inside"),
        ("/sub/deep", "/d/sub/deep/inside"),
        ("/d", "/sub/inside"),
        ("/sub", "/d/inside"),
        ("/d", "/d/sub/inside"),
        ("/sub", "/sub/deep/inside"),
    ] {
        for call in [bob.mv(from, to), bob.copy(from, to)] {
            let answer = call.send();
            let is_copy = answer.asked.starts_with("COPY");
            // A copy of what lies below into what lies above it is no circle.
            let is_fine = is_copy && (from, to) == ("/sub", "/d/inside");
            assert!(is_fine || answer.status >= 400, "{from} to {to}: {answer}");
        }
    }
    ann.mv("/d", "/d/sub/d").send().expect_any(&[403, 409]);
    let whole = ann.propfind("/d", "infinity", &["d:getetag"]).send();
    assert!(
        whole.status == 403 || whole.multistatus().entries.len() < 12,
        "{whole}"
    );
    assert_eq!(ann.get("/d/sub/deep/f.txt").send().text(), "x");
    server.assert_clean();
}

#[test]
fn people_who_mount_each_other_in_a_circle_get_to_an_end() {
    let server = TestServer::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    for (user, folder) in [(&ann, "/a"), (&bob, "/b")] {
        user.mkcol(folder).send().expect(201);
        user.put(&format!("{folder}/f.txt"), "x").send().expect(201);
    }
    give(&ann, "/a", &bob, ALL);
    give(&bob, "/b", &ann, ALL);
    // Each puts what they were given into what they gave.
    ann.mv("/b", "/a/b").send().expect(201);
    bob.mv("/a", "/b/a").send().expect(201);
    let sorted = |user: &User, path: &str| {
        let mut names = user.names(path);
        names.sort();
        names
    };
    assert_eq!(sorted(&ann, "/a"), ["b", "f.txt"]);
    assert_eq!(sorted(&bob, "/b"), ["a", "f.txt"]);
    // What one mounts is for oneself: the other does not see it there, and so there is an end.
    assert_eq!(ann.names("/a/b"), ["f.txt"]);
    assert_eq!(bob.names("/b/a"), ["f.txt"]);
    ann.get("/a/b/a/f.txt").send().expect(404);
    for (user, root) in [(&ann, "/a"), (&bob, "/b")] {
        let begun = Instant::now();
        let zip = user.get(root).header("Accept", "application/zip");
        let zip = zip.send().expect(200);
        assert!(zip.body.len() < 10_000, "{} bytes", zip.body.len());
        let deep = user.propfind("/", "infinity", &["d:getetag"]).send();
        assert!(deep.status == 403 || deep.body.len() < 100_000, "{deep}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    // Both ways of sharing what one was given back to its giver end as well.
    let back = [
        ("path", "/a/b"),
        ("shareType", "0"),
        ("shareWith", "bob"),
        ("permissions", "31"),
    ];
    call(&ann, "POST", "shares", &back).expect(403);
    ann.mv("/a/b", "/a/b/b").send().expect_any(&[403, 409]);
    ann.delete("/a").send().expect(204);
    assert_eq!(ann.names("/"), ["b"]);
    server.assert_clean();
}

#[test]
fn names_labels_and_notes_are_text_on_every_page() {
    let server = TestServer::start();
    let script = "<script>alert(1)</script>";
    let image = "\"><img src=x onerror=alert(2)>";
    let ann = server.user_with("ann", &["--display-name", "\"><svg onload=alert(3)>"]);
    let folder = "/a'b\"<i>";
    let inner = format!("{folder}/{}", "<b>&amp;'\"");
    ann.mkcol(folder).send().expect(201);
    ann.mkcol(&inner).send().expect(201);
    let file = format!("{folder}/<img src=x onerror=alert(4)>.html");
    ann.put(&file, script).send().expect(201);
    let form = [("label", image), ("note", script)];
    let (id, token) = link(&ann, folder, &form);
    let form = [("permissions", "4"), ("label", image), ("note", script)];
    let (_, drop) = link(&ann, folder, &form);
    let (_, closed) = link(&ann, folder, &[("label", image), ("password", "x")]);
    call(&ann, "PUT", &format!("shares/{id}"), &[("note", script)]).expect(200);

    let check = |answer: &Answer| {
        let text = answer.text();
        for bad in [
            "<script",
            "<img",
            "<svg",
            "<i>",
            "<b>",
            "onerror=alert(4)>\"",
            "'\"<",
        ] {
            assert!(!text.contains(bad), "{bad} in {answer}");
        }
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    };
    let shown = "%3Cb%3E%26amp%3B%27%22";
    for target in [
        format!("/s/{token}"),
        format!("/s/{token}?path=/{shown}"),
        format!("/s/{token}?path=/%3Cscript%3Ealert(5)%3C/script%3E"),
        format!("/s/{token}?path=%22%3E%3Cimg%20src=x%3E"),
        format!("/s/{drop}"),
        format!("/s/{closed}"),
        "/s/%3Cscript%3Ealert(6)%3C%2Fscript%3E".to_owned(),
        "/s/%22%3E%3Cimg%20src=x%3E/download".to_owned(),
    ] {
        for language in ["en", "fr"] {
            let request = Request::new("GET", &target).header("Accept-Language", language);
            check(&server.anonymous(request));
        }
    }
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"own\"\r\n\r\n<b>Léa\r\n\
         --b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"<img src=x>.txt\"\r\n\r\n\
         {script}\r\n--b--\r\n"
    );
    let request = Request::new("POST", &format!("/s/{drop}"))
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body(form);
    check(&server.anonymous(request));
    // A wrong password comes back on a page of its own.
    let request = Request::new("POST", &format!("/s/{closed}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("password=%22%3E%3Cscript%3E");
    check(&server.anonymous(request));
    // What is uploaded is never shown as a page of ours.
    let name = encode("<img src=x onerror=alert(4)>.html");
    for target in [
        format!("/s/{token}/download?path=/{name}"),
        format!("/public.php/dav/files/{token}/{name}"),
    ] {
        let file = server.anonymous(Request::new("GET", &target)).expect(200);
        assert_eq!(file.text(), script);
        let disposition = file.header("content-disposition").unwrap_or_default();
        assert!(disposition.starts_with("attachment"), "{file}");
        assert!(file.header("content-security-policy").is_some(), "{file}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn guesses_by_every_door_are_slowed_down() {
    let server = TestServer::start();
    let ann = server.user("ann");
    ann.folders("/Cours");
    ann.put("/Cours/f.txt", "x").send().expect(201);
    let new: fn(&str, &str) -> Request = |token, password| {
        let request = public("GET", token, "/f.txt");
        request.header("Authorization", &basic("anonymous", password))
    };
    let old: fn(&str, &str) -> Request = |token, password| {
        let request = Request::new("GET", "/public.php/webdav/f.txt");
        request.header("Authorization", &basic(token, password))
    };
    let page: fn(&str, &str) -> Request = |token, password| {
        let request = Request::new("POST", &format!("/s/{token}"));
        request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("password={password}"))
    };
    for (door, right) in [(new, 200), (old, 200), (page, 303)] {
        let (_, token) = link(&ann, "/Cours", &[("password", "secret")]);
        server.anonymous(door(&token, "secret")).expect(right);
        let guesses = (0..12).map(|number| {
            let guess = format!("guess{number}");
            server.anonymous(door(&token, &guess)).status
        });
        let statuses: Vec<u16> = guesses.collect();
        assert!(
            statuses
                .iter()
                .all(|status| [401, 403, 429].contains(status)),
            "{statuses:?}"
        );
        assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
        // Each door leads to the same counter, for this link alone.
        for other in [new, old, page] {
            server.anonymous(other(&token, "another")).expect(429);
        }
        let (_, free) = link(&ann, "/Cours", &[("password", "secret")]);
        server.anonymous(door(&free, "secret")).expect(right);
    }
}

#[test]
fn a_link_with_a_password_that_ended_is_one_that_never_was() {
    let server = TestServer::with(&[("NUAGE_SHARING__WRONG_LINKS_MAX", "1000")]);
    let ann = server.user("ann");
    ann.folders("/Cours");
    ann.put("/Cours/f.txt", "x").send().expect(201);
    let (id, token) = link(&ann, "/Cours", &[("password", "secret")]);
    call(&ann, "DELETE", &format!("shares/{id}"), &[]).expect(200);
    let never = "abcdefghijkmnpqrstuvwxyz23";
    let asked: [&dyn Fn(&str) -> Request; 6] = [
        &|token| Request::new("GET", &format!("/s/{token}")),
        &|token| Request::new("GET", &format!("/s/{token}/download")),
        &|token| {
            Request::new("POST", &format!("/s/{token}"))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body("password=secret")
        },
        &|token| public("GET", token, "/f.txt"),
        &|token| {
            public("PROPFIND", token, "/").header("Authorization", &basic("anonymous", "secret"))
        },
        &|token| {
            Request::new("GET", "/public.php/webdav/f.txt")
                .header("Authorization", &basic(token, "secret"))
        },
    ];
    let (_, living) = link(&ann, "/Cours", &[("password", "secret")]);
    let hashes = (0..3).map(|number| {
        let guess = basic("anonymous", &format!("guess {number}"));
        let begun = Instant::now();
        let request = public("GET", &living, "/f.txt").header("Authorization", &guess);
        server.anonymous(request).expect(401);
        begun.elapsed()
    });
    let hashing = hashes.min().unwrap();
    let strip = |answer: Answer, token: &str| {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
        (answer.status, headers, answer.text().replace(token, "T"))
    };
    for request in asked {
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..15 {
            for (token, took) in [&*token, never].into_iter().zip(&mut took) {
                let begun = Instant::now();
                server.anonymous(request(token)).expect(404);
                took.push(begun.elapsed());
            }
        }
        let gone = strip(server.anonymous(request(&token)), &token);
        let unknown = strip(server.anonymous(request(never)), never);
        assert_eq!(gone, unknown);
        // Nor is a password hashed for one of them alone.
        let quickest = took.map(|took| took.into_iter().min().unwrap());
        let difference = quickest[0].abs_diff(quickest[1]);
        assert!(
            2 * difference < hashing,
            "{quickest:?}; a hash takes {hashing:?}"
        );
    }
}

#[test]
fn what_may_not_be_downloaded_is_not_passed_on_to_be() {
    let server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    ann.folders("/d/sub");
    ann.put("/d/f.txt", "the content").send().expect(201);
    let no = r#"[{"scope":"permissions","key":"download","value":false}]"#;
    let yes = r#"[{"scope":"permissions","key":"download","value":true}]"#;
    let given = [
        ("path", "/d"),
        ("shareType", "0"),
        ("shareWith", "bob"),
        ("permissions", "31"),
    ];
    let all = data(&call(&ann, "POST", "shares", &given).expect(200));
    let first = format!("shares/{}", all["id"].as_str().unwrap());
    bob.get("/d/f.txt").send().expect(200);
    // Passed on while it could be downloaded.
    let second = format!("shares/{}", give(&bob, "/d", &cid, READ));
    let (id, token) = link(&bob, "/d", &[]);
    cid.get("/d/f.txt").send().expect(200);
    server
        .anonymous(public("GET", &token, "/f.txt"))
        .expect(200);
    call(&ann, "PUT", &first, &[("attributes", no)]).expect(200);
    let refused = || {
        for user in [&bob, &cid] {
            user.get("/d/f.txt").send().expect(403);
            user.copy("/d/f.txt", "/mine.txt").send().expect(403);
            user.propfind("/d", "1", &["d:getetag"]).send().expect(207);
        }
        server
            .anonymous(public("GET", &token, "/f.txt"))
            .expect(403);
        let page = format!("/s/{token}/download?path=f.txt");
        server.anonymous(Request::new("GET", &page)).expect(403);
    };
    refused();
    // And whatever who passed it on says of it.
    call(&bob, "PUT", &second, &[("attributes", yes)]).expect(200);
    call(
        &bob,
        "PUT",
        &format!("shares/{id}"),
        &[("hideDownload", "false")],
    )
    .expect(200);
    refused();
    // Nor by moving it to where one may.
    bob.mv("/d/f.txt", "/mine.txt").send().expect(403);
    bob.put("/over.txt", "own").send().expect(201);
    bob.mv("/d/f.txt", "/over.txt").send().expect(403);
    bob.mv("/d/f.txt", "/d/sub/f.txt").send().expect(201);
    bob.mv("/d/sub", "/sub").send().expect(403);
    assert_eq!(ann.get("/d/sub/f.txt").send().text(), "the content");
    call(&ann, "PUT", &first, &[("attributes", yes)]).expect(200);
    cid.get("/d/sub/f.txt").send().expect(200);
    server
        .anonymous(public("GET", &token, "/sub/f.txt"))
        .expect(200);
}

#[test]
fn the_numbers_of_shares_tell_nothing_of_what_others_share() {
    let server = TestServer::start();
    let (ann, bob, cid) = (server.user("ann"), server.user("bob"), server.user("cid"));
    ann.mkcol("/d").send().expect(201);
    give(&ann, "/d", &bob, READ);
    let (link, _) = link(&ann, "/d", &[]);
    let others = give(&ann, "/d", &cid, READ);
    let narrow = [("permissions", "1")];
    for share in [&*link, &*others, "4711"] {
        let place = format!("shares/{share}");
        let answers = [("GET", &[][..]), ("PUT", &narrow[..]), ("DELETE", &[][..])];
        for (method, form) in answers {
            call(&bob, method, &place, form).expect(404);
        }
    }
    cid.get("/d").send();
    assert_eq!(cid.names("/"), ["d"]);
}
