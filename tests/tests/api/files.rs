//! Files and folders: looked at, moved about, and back again.

use nuage_tests::TestServer;
use nuage_tests::data::bytes;
use nuage_tests::http::Request;
use serde_json::Value;
use serde_json::json;

use crate::api::API;
use crate::api::Page;
use crate::api::json as read;
use crate::api::problem;

#[test]
fn a_folder_comes_in_columns_once_and_then_as_not_modified() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/Cours/4ème B");
    alice
        .put("/Cours/plan <b>.odt", "0123456789")
        .send()
        .success();
    alice
        .put("/Cours/4ème B/copie.pdf", bytes(1, 70_000))
        .send()
        .success();
    let mut page = Page::of(&server, &alice);
    let answer = page.get("/list?path=/Cours").expect(200);
    let etag = answer.header("etag").unwrap().to_owned();
    let list = read(&answer);
    assert_eq!(list["path"], "/Cours");
    assert_eq!(list["count"], 2);
    assert_eq!(list["permissions"], 31);
    assert_eq!(list["owner"]["name"], "alice");
    assert_eq!(list["quota"]["used_bytes"], 70_010);
    let columns = list["columns"].as_object().unwrap();
    for (name, column) in columns {
        assert_eq!(column.as_array().unwrap().len(), 2, "{name}");
    }
    let at = |name: &str| {
        let names = columns["name"].as_array().unwrap();
        names.iter().position(|have| have == name).unwrap()
    };
    let (file, folder) = (at("plan <b>.odt"), at("4ème B"));
    assert_eq!(columns["kind"][file], 0);
    assert_eq!(columns["kind"][folder], 1);
    assert_eq!(columns["size"][file], 10);
    assert_eq!(columns["size"][folder], 70_000);

    let again =
        Request::new("GET", &format!("{API}/list?path=/Cours")).header("If-None-Match", &etag);
    let answer = page.browser.send(again).expect(304);
    assert!(answer.body.is_empty());
    alice.put("/Cours/4ème B/neu.txt", "x").send().success();
    let again =
        Request::new("GET", &format!("{API}/list?path=/Cours")).header("If-None-Match", &etag);
    page.browser.send(again).expect(200);
    problem(
        page.get("/list?path=/Cours/plan%20%3Cb%3E.odt"),
        409,
        "not-a-folder",
    );
    problem(page.get("/list?path=/missing"), 404, "not-found");
}

#[test]
fn many_things_are_moved_copied_and_deleted_each_by_itself_and_come_back() {
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.folders("/a/deep");
    alice.put("/a/deep/x", "x").send().success();
    alice.put("/b", "b").send().success();
    alice.put("/c", "c").send().success();
    let mut page = Page::of(&server, &alice);
    let moved = json!({"items": [
        {"from": "/b", "to": "/a/b2"},
        {"from": "/missing", "to": "/a/y"},
        {"from": "/a", "to": "/a/deep/a"},
        {"from": "/c", "to": "/a/deep"},
    ]});
    let results = read(&page.call("POST", "/move", &moved).expect(200));
    let results = results["results"].as_array().unwrap();
    assert_eq!(results[0]["node"]["path"], "/a/b2");
    let codes: Vec<&Value> = results[1..]
        .iter()
        .map(|one| &one["problem"]["code"])
        .collect();
    assert_eq!(codes, ["not-found", "into-itself", "already-exists"]);
    assert_eq!(page.names("/"), ["a", "c"]);

    let copied = json!({"items": [{"from": "/a", "to": "/copy"}]});
    let results = read(&page.call("POST", "/copy", &copied).expect(200));
    assert_eq!(results["results"][0]["ok"], true);
    assert_eq!(page.names("/copy"), ["b2", "deep"]);

    let deleted = json!({"paths": ["/a", "/missing", "/c"]});
    let results = read(&page.call("POST", "/delete", &deleted).expect(200));
    let ids: Vec<&Value> = [0, 2].map(|at| &results["results"][at]["trashed"]).to_vec();
    assert_eq!(results["results"][1]["ok"], false);
    assert_eq!(page.names("/"), ["copy"]);
    // The undo of it.
    let restored = page
        .call("POST", "/trash/restore", &json!({"ids": ids}))
        .expect(200);
    let restored = read(&restored);
    assert_eq!(restored["results"][0]["node"]["path"], "/a");
    assert_eq!(restored["results"][1]["node"]["path"], "/c");
    assert_eq!(page.names("/a"), ["b2", "deep"]);
    let none = page
        .call("POST", "/trash/restore", &json!({"ids": ids}))
        .expect(200);
    assert_eq!(read(&none)["results"][0]["problem"]["code"], "not-found");
    let too_many: Vec<String> = (0..1_001).map(|number| format!("/{number}")).collect();
    problem(
        page.call("POST", "/delete", &json!({"paths": too_many})),
        400,
        "too-many",
    );
}

#[test]
fn bytes_come_as_a_download_and_are_shown_only_where_that_is_safe() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let body = bytes(3, 300_000);
    alice.put("/photo.png", body.clone()).send().success();
    alice
        .put("/page.html", "<script>alert(1)</script>")
        .send()
        .success();
    alice.put("/note.txt", "salut").send().success();
    let mut page = Page::of(&server, &alice);
    for name in ["photo.png", "page.html", "note.txt"] {
        let answer = page.get(&format!("/content?path=/{name}")).expect(200);
        let disposition = answer.header("content-disposition").unwrap();
        assert!(
            disposition.starts_with("attachment"),
            "{name}: {disposition}"
        );
    }
    let answer = page.get("/content?path=/photo.png&as=inline").expect(200);
    assert!(answer.body == body);
    assert!(
        answer
            .header("content-disposition")
            .unwrap()
            .starts_with("inline")
    );
    assert!(
        answer
            .header("content-security-policy")
            .unwrap()
            .contains("sandbox")
    );
    let answer = page.get("/content?path=/page.html&as=inline").expect(200);
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    let part = Request::new("GET", &format!("{API}/content?path=/photo.png"))
        .header("Range", "bytes=100-199");
    let answer = page.browser.send(part).expect(206);
    assert!(answer.body == body[100..200]);
    let zip = page
        .get("/archive?path=/&name=note.txt&name=photo.png")
        .expect(200);
    assert!(zip.body.starts_with(b"PK\x03\x04") && zip.body.len() > body.len());
    problem(page.get("/archive?path=/&name=missing"), 404, "not-found");
    // More than an address has room for: all of them come.
    alice.mkcol("/many").send().success();
    let mut form = vec![("mark", page.mark.clone()), ("path", "/many".to_owned())];
    for number in 0..150 {
        alice
            .put(&format!("/many/{number:03}.txt"), "x")
            .send()
            .success();
        form.push(("name", format!("{number:03}.txt")));
    }
    let fields: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let zip = page
        .browser
        .post(&format!("{API}/archive"), &fields)
        .expect(200);
    let heads = zip
        .body
        .windows(4)
        .filter(|bytes| *bytes == b"PK\x01\x02")
        .count();
    assert_eq!(heads, 150);
    let strange = [("mark", "x"), ("path", "/many")];
    problem(
        page.browser.post(&format!("{API}/archive"), &strange),
        403,
        "bad-mark",
    );
    problem(page.get("/preview?id=999999"), 404, "not-found");
}

#[test]
fn what_is_marked_searched_and_recent_is_found() {
    let server = TestServer::start();
    let alice = server.user("alice");
    let bob = server.user("bob");
    alice.folders("/Cours/Évaluations");
    alice
        .put("/Cours/Évaluations/Bulletin Camille.odt", "1")
        .send()
        .success();
    alice.put("/Cours/autre.odt", "2").send().success();
    bob.put("/Bulletin secret.odt", "3").send().success();
    let mut page = Page::of(&server, &alice);
    let found = read(&page.get("/search?q=camille%20bull").expect(200));
    let paths: Vec<&Value> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["path"])
        .collect();
    assert_eq!(paths, ["/Cours/Évaluations/Bulletin Camille.odt"]);
    assert_eq!(found["next"], Value::Null);
    let nothing = read(&page.get("/search?q=secret").expect(200));
    assert_eq!(nothing["items"], json!([]));
    let all = read(&page.get("/search?q=%25").expect(200));
    assert!(all["items"].as_array().unwrap().len() <= 4);

    let mark = json!({"paths": ["/Cours/autre.odt", "/missing"], "favorite": true});
    let marked = read(&page.call("POST", "/favorites", &mark).expect(200));
    assert_eq!(marked["results"][0]["node"]["favorite"], true);
    assert_eq!(marked["results"][1]["problem"]["code"], "not-found");
    let favorites = read(&page.get("/favorites").expect(200));
    assert_eq!(favorites["items"][0]["path"], "/Cours/autre.odt");
    let recent = read(&page.get("/recent").expect(200));
    assert_eq!(recent["items"].as_array().unwrap().len(), 2);
    let node = read(&page.get("/node?path=/Cours/autre.odt").expect(200));
    let by_number = read(&page.get(&format!("/node?id={}", node["id"])).expect(200));
    assert_eq!(node, by_number);
    assert_eq!(node["favorite"], true);
}
