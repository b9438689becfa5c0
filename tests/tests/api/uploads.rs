//! Files come in: in one piece or in parts, over what somebody knew and never over what they did not.

use nuage_tests::TestServer;
use nuage_tests::data::bytes;
use nuage_tests::http::Request;
use serde_json::json;

use crate::api::API;
use crate::api::Page;
use crate::api::json as read;
use crate::api::problem;

#[test]
fn a_file_is_new_or_the_one_that_was_seen_or_is_refused() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    let new = Some(("If-None-Match", "*"));
    let made = read(&page.put("/plan.txt", b"one", new).expect(201));
    assert_eq!(made["path"], "/plan.txt");
    assert_eq!(made["size"], 3);
    problem(page.put("/plan.txt", b"two", new), 412, "changed");
    let seen = format!("\"{}\"", made["etag"].as_str().unwrap());
    alice.put("/plan.txt", "meanwhile").send().success();
    problem(
        page.put("/plan.txt", b"three", Some(("If-Match", &seen))),
        412,
        "changed",
    );
    assert_eq!(
        alice.get("/plan.txt").send().expect(200).text(),
        "meanwhile"
    );
    let replaced = page.put("/plan.txt", b"four", None).expect(200);
    assert_eq!(read(&replaced)["size"], 4);
    problem(page.put("/no/folder", b"x", new), 409, "parent-missing");
    alice.mkcol("/folder").send().success();
    problem(page.put("/folder", b"x", None), 409, "is-a-folder");

    let request = Request::new("PUT", &format!("{API}/content?path=/old.txt"))
        .header("X-Nuage-Modified", "1000000000123")
        .body("x");
    let made = read(&page.send(request).expect(201));
    assert_eq!(made["modified"], 1_000_000_000_123_i64);
}

#[test]
fn parts_in_any_order_after_a_break_become_the_file_once() {
    let server = TestServer::with(&[("NUAGE_WEB__UPLOAD_PART", "1MiB")]);
    let alice = server.user("alice");
    let mut page = Page::of(&server, &alice);
    let whole = bytes(9, 2_500_000);
    let parts: Vec<&[u8]> = whole.chunks(1 << 20).collect();
    let wanted = json!({"path": "/film.mp4", "size": whole.len()});
    let begun = read(&page.call("POST", "/uploads", &wanted).expect(201));
    assert_eq!(begun["part_bytes"], 1 << 20);
    let id = begun["id"].as_str().unwrap().to_owned();
    let send = |page: &mut Page, number: usize| {
        let target = format!("{API}/uploads/{id}/{number}");
        page.send(Request::new("PUT", &target).body(parts[number - 1]))
            .expect(204);
    };
    send(&mut page, 3);
    send(&mut page, 1);
    let there = read(&page.get(&format!("/uploads/{id}")).expect(200));
    let numbers: Vec<i64> = there["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["number"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 3]);
    let join = json!({"path": "/film.mp4", "size": whole.len(), "modified": 1_600_000_000_000_i64, "if_match": null, "is_new": true});
    problem(
        page.call("POST", &format!("/uploads/{id}"), &join),
        400,
        "bad-content",
    );
    assert!(page.names("/").is_empty());
    send(&mut page, 2);
    send(&mut page, 2);
    let made = read(
        &page
            .call("POST", &format!("/uploads/{id}"), &join)
            .expect(201),
    );
    assert_eq!(made["size"], whole.len());
    assert_eq!(made["modified"], 1_600_000_000_000_i64);
    // The answer was lost: asked again, it is the same.
    let again = read(
        &page
            .call("POST", &format!("/uploads/{id}"), &join)
            .expect(201),
    );
    assert_eq!(again["id"], made["id"]);
    assert!(alice.get("/film.mp4").send().expect(200).body == whole);

    let bob = server.user("bob");
    let mut other = Page::of(&server, &bob);
    problem(other.get(&format!("/uploads/{id}")), 404, "upload-lost");
    let begun = read(&page.call("POST", "/uploads", &wanted).expect(201));
    let id = begun["id"].as_str().unwrap();
    page.delete(&format!("/uploads/{id}")).expect(204);
    problem(page.get(&format!("/uploads/{id}")), 404, "upload-lost");
}

#[test]
fn a_full_space_says_how_much_is_missing_before_a_byte_is_sent() {
    let server = TestServer::start();
    let alice = server.user("alice");
    server.data.command(&["quota", "set", "alice", "1MB"]).ok();
    let mut page = Page::of(&server, &alice);
    let wanted = json!({"path": "/film.mp4", "size": 3_000_000});
    let refusal = problem(
        page.call("POST", "/uploads", &wanted),
        507,
        "quota-exceeded",
    );
    assert_eq!(refusal["missing_bytes"], 2_000_000);
    assert_eq!(refusal["quota_bytes"], 1_000_000);
    let refusal = problem(
        page.put("/x", &bytes(1, 1_500_000), None),
        507,
        "quota-exceeded",
    );
    assert_eq!(refusal["missing_bytes"], 500_000);
}
