//! What people read of what others did.

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::browser::Browser;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::wait::wait_until;
use serde_json::Value;

use crate::sharing::CHANGE;
use crate::sharing::PATIENCE;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::data;
use crate::sharing::end;
use crate::sharing::give;
use crate::sharing::give_group;

const PLACE: &str = "/ocs/v2.php/apps/activity/api/v2/activity";

fn ask(user: &User, what: &str) -> Answer {
    let mark = if what.contains('?') { '&' } else { '?' };
    let request = user
        .raw("GET", &format!("{PLACE}{what}{mark}format=json"))
        .header("OCS-APIRequest", "true");
    request.send()
}

/// What somebody reads, the newest first.
#[track_caller]
fn read(user: &User, what: &str) -> Vec<Value> {
    let answer = ask(user, what);
    if answer.status == 304 {
        return Vec::new();
    }
    data(&answer.expect(200)).as_array().unwrap().clone()
}

#[track_caller]
fn sentences(user: &User, what: &str) -> Vec<String> {
    let all = read(user, what);
    let subjects = all.iter().map(|one| one["subject"].as_str().unwrap());
    subjects.map(str::to_owned).collect()
}

#[track_caller]
fn file_id(user: &User, path: &str) -> String {
    let name = "{http://owncloud.org/ns}fileid";
    let entry = user.properties(path, &["oc:fileid"]);
    entry.text(name).unwrap().to_owned()
}

#[test]
fn people_read_what_happened_to_what_they_see_and_nothing_else() {
    let server = TestServer::start();
    let ana = server.user_with("ana", &["--display-name", "Ana Dupont"]);
    let zoe = server.user_with("zoe", &["--display-name", "Zoé Or"]);
    let bob = server.user("bob");
    ana.folders("/Cours/Budget");
    ana.put("/Cours/Budget/before", "x").send().expect(201);
    ana.mkcol("/Cours/Privé").send().expect(201);
    let share = give(&ana, "/Cours/Budget", &zoe, CHANGE);
    let to_bob = give(&ana, "/Cours/Budget", &bob, READ);
    ana.put("/Cours/Privé/secret", "x").send().expect(201);
    zoe.put("/Budget/plan.odt", "x").send().expect(201);
    zoe.mv("/Budget/plan.odt", "/Budget/Plan 2.odt")
        .send()
        .expect(201);
    // It leaves what is shared; its new name is nobody else's business.
    ana.mv("/Cours/Budget/before", "/Cours/Privé/hidden")
        .send()
        .expect(201);
    zoe.delete("/Budget/Plan 2.odt").send().expect(204);

    assert_eq!(
        sentences(&zoe, ""),
        [
            "You deleted “Plan 2.odt” in “Budget”",
            "Ana Dupont moved “before” elsewhere",
            "You renamed “plan.odt” to “Plan 2.odt” in “Budget”",
            "You added “plan.odt” in “Budget”",
            "Ana Dupont shared “Budget” with you",
        ]
    );
    let of_ana = sentences(&ana, "");
    for wanted in [
        "Zoé Or deleted “Plan 2.odt” in “Budget”",
        "You moved “hidden” to “Privé”",
        "Zoé Or added “plan.odt” in “Budget”",
        "You added “secret” in “Privé”",
        "You shared “Budget” with bob",
        "You shared “Budget” with Zoé Or",
    ] {
        assert!(
            of_ana.iter().any(|one| one == wanted),
            "{wanted}: {of_ana:?}"
        );
    }
    // Bob sees the folder, so what happened in it, but not with whom else it is shared.
    let of_bob = sentences(&bob, "");
    assert!(of_bob.contains(&"Zoé Or added “plan.odt” in “Budget”".to_owned()));
    assert!(
        !of_bob
            .iter()
            .any(|one| one.contains("Zoé Or") && one.contains("shared"))
    );
    assert!(
        !of_bob
            .iter()
            .any(|one| one.contains("secret") || one.contains("hidden"))
    );
    let french = zoe
        .raw("GET", &format!("{PLACE}?format=json&limit=1"))
        .header("Accept-Language", "fr");
    let french = data(&french.send().expect(200));
    assert_eq!(
        french[0]["subject"],
        "Vous avez supprimé « Plan 2.odt » dans « Budget »"
    );

    end(&ana, &share);
    end(&ana, &to_bob);
    assert!(read(&bob, "").is_empty(), "what is not shared any more");
    assert!(sentences(&zoe, "").is_empty());
    assert!(sentences(&ana, "")[1].starts_with("You stopped sharing “Budget” with Zoé Or"));
}

#[test]
fn members_read_what_happened_in_the_space_of_their_group() {
    let server = TestServer::start();
    let (ana, zoe, bob) = (server.user("ana"), server.user("zoe"), server.user("bob"));
    for words in [
        &["group", "add", "Classe"][..],
        &["group", "member", "add", "Classe", "ana"],
        &["group", "member", "add", "Classe", "zoe"],
    ] {
        server.data.command(words).ok();
    }
    wait_until("the space is there", PATIENCE, || {
        ana.put("/Classe/devoir", "x").send().status == 201
    });
    ana.mkcol("/Given").send().expect(201);
    give_group(&ana, "/Given", "Classe", READ);
    assert_eq!(
        sentences(&zoe, ""),
        [
            "ana shared “Given” with Classe",
            "ana added “devoir” in “Classe”",
        ]
    );
    assert!(read(&bob, "").is_empty());
    server
        .data
        .command(&["group", "member", "remove", "Classe", "zoe"])
        .ok();
    wait_until("she has left", PATIENCE, || read(&zoe, "").is_empty());
}

#[test]
fn a_burst_is_one_entry_and_pages_hold_everything_once() {
    let server = TestServer::start();
    let ana = server.user("ana");
    let ana = server.token(&ana, &[]);
    ana.mkcol("/Budget").send().expect(201);
    for number in 0..37 {
        let path = format!("/Budget/f{number}");
        ana.put(&path, "x").send().expect(201);
        ana.put(&path, "y").send().expect(204);
    }
    let all = read(&ana, "");
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["subject"], "You added 37 files in “Budget”");
    assert_eq!(all[0]["objects"].as_object().unwrap().len(), 20);
    server.data.advance(600);
    ana.put("/Budget/f1", "z").send().expect(204);
    assert_eq!(sentences(&ana, "")[0], "You changed “f1” in “Budget”");

    let folders: Vec<String> = (0..23).map(|number| format!("g{number}")).collect();
    for folder in &folders {
        ana.mkcol(&format!("/{folder}")).send().expect(201);
        ana.put(&format!("/{folder}/in {folder}"), "x")
            .send()
            .expect(201);
        ana.delete(&format!("/{folder}/in {folder}"))
            .send()
            .expect(204);
    }
    // What was made at the top one after the other is one entry; so are not the others.
    let whole = sentences(&ana, "?limit=200");
    assert_eq!(whole.len(), 2 * folders.len() + 1 + 3);
    // Some clients go on behind the header, some behind their last entry, some follow the link.
    for by in ["header", "entry", "link"] {
        let mut found: Vec<String> = Vec::new();
        let mut next = "?limit=7".to_owned();
        loop {
            let answer = ask(&ana, &next);
            if answer.status == 304 {
                break;
            }
            let page = data(&answer);
            let page = page.as_array().unwrap();
            let subjects = page
                .iter()
                .map(|one| one["subject"].as_str().unwrap().to_owned());
            found.extend(subjects);
            let last = page.last().unwrap()["activity_id"].as_i64().unwrap();
            let since = match by {
                "header" => answer.header("X-Activity-Last-Given").unwrap().to_owned(),
                "entry" => last.to_string(),
                _ => {
                    let Some(link) = answer.header("Link") else {
                        break;
                    };
                    let (_, since) = link.split_once("since=").unwrap();
                    since.split(['>', '&']).next().unwrap().to_owned()
                }
            };
            next = format!("?limit=7&since={since}");
            assert!(found.len() < 500);
        }
        for folder in &folders {
            let wanted = format!("You deleted “in {folder}” in “{folder}”");
            let times = found.iter().filter(|one| **one == wanted).count();
            assert_eq!(times, 1, "{by}: {wanted}");
        }
    }
    let upward = sentences(&ana, "?limit=1&sort=asc");
    assert!(upward[0].starts_with("You added “Budget”"), "{upward:?}");
}

#[test]
fn visits_of_a_link_are_told_once_each_with_the_network_they_came_from() {
    let server = TestServer::start();
    let (ana, zoe) = (server.user("ana"), server.user("zoe"));
    ana.mkcol("/Open").send().expect(201);
    ana.put("/Open/file", "content").send().expect(201);
    give(&ana, "/Open", &zoe, READ);
    let form = [
        ("path", "/Open"),
        ("shareType", "3"),
        ("permissions", "15"),
        ("label", "parents"),
    ];
    let link = data(&call(&ana, "POST", "shares", &form).expect(200));
    let token = link["token"].as_str().unwrap();
    let mut browser = Browser::new(&server);
    browser.open(&format!("/s/{token}")).expect(200);
    for _ in 0..3 {
        browser
            .open(&format!("/s/{token}/download?path=file"))
            .expect(200);
        let listed = Request::new("PROPFIND", &format!("/public.php/dav/files/{token}/"));
        server.anonymous(listed.header("Depth", "1")).expect(207);
    }
    let put = Request::new("PUT", &format!("/public.php/dav/files/{token}/sent"));
    server.anonymous(put.body("x")).expect(201);
    let seen = |what: &'static str| {
        let all = read(&ana, "");
        all.into_iter()
            .filter(|one| one["subject"].as_str().unwrap().contains(what))
            .collect::<Vec<_>>()
    };
    wait_until("the visit is noted", PATIENCE, || {
        seen("opened").len() == 1 && seen("downloaded").len() == 1
    });
    let opened = &seen("opened")[0];
    assert_eq!(
        opened["subject"],
        "Somebody with a link opened the link “parents” to “Open”"
    );
    assert_eq!(opened["message"], "link, 127.0.0.0/24");
    assert_eq!(opened["type"], "public_links");
    assert_eq!(
        seen("“sent”")[0]["subject"],
        "Somebody with a link added “sent” in “Open”"
    );
    // Who was only given the folder sees what changed in it, not who has a link.
    let of_zoe = read(&zoe, "");
    assert!(
        of_zoe.iter().any(|one| one["message"] == "link"),
        "{of_zoe:?}"
    );
    let text = format!("{of_zoe:?}");
    assert!(
        !text.contains("127.0.0") && !text.contains("parents"),
        "{text}"
    );

    server.data.advance(3_600);
    let mut later = Browser::new(&server);
    later.open(&format!("/s/{token}")).expect(200);
    // The server's memory of visits lasts by the true clock, the database's by the moved one; a new start forgets.
    assert_eq!(seen("opened").len(), 1);
}

#[test]
fn what_is_asked_for_is_what_comes() {
    let server = TestServer::start();
    let (ana, zoe) = (server.user("ana"), server.user("zoe"));
    assert_eq!(ask(&ana, "").status, 304);
    ana.put("/one", "x").send().expect(201);
    ana.put("/two", "x").send().expect(201);
    ana.put("/one", "y").send().expect(204);
    give(&ana, "/one", &zoe, READ);
    let one = file_id(&ana, "/one");

    let of_one = read(&ana, &format!("/filter?object_type=files&object_id={one}"));
    assert_eq!(of_one.len(), 2);
    assert_eq!(of_one[0]["object_id"].to_string(), one);
    assert_eq!(of_one[0]["object_name"], "/one");
    assert_eq!(of_one[0]["app"], "files_sharing");
    assert_eq!(read(&ana, "/files").len(), 1);
    assert_eq!(read(&ana, "/files_sharing").len(), 1);
    assert_eq!(read(&ana, "/self").len(), 2);
    assert_eq!(ask(&ana, "/by").status, 304);
    assert_eq!(read(&zoe, "/by").len(), 1);
    let foreign = format!(
        "/filter?object_type=files&object_id={}",
        file_id(&ana, "/two")
    );
    assert_eq!(ask(&zoe, &foreign).status, 304);
    ask(&ana, "/nonsense").expect(404);
    ask(&ana, "?since=x").expect(400);
    ask(&ana, "?object_type=calendar&object_id=1").expect(404);
    let last = read(&ana, "")[0]["activity_id"].as_i64().unwrap();
    assert_eq!(
        ask(&ana, &format!("?sort=asc&since={}", last + 1_000_000)).status,
        304
    );
    let capabilities = data(
        &ana.raw("GET", "/ocs/v2.php/cloud/capabilities?format=json")
            .send()
            .expect(200),
    );
    assert!(capabilities["capabilities"]["activity"]["apiv2"].is_array());
    server.anonymous(Request::new("GET", PLACE)).expect(401);
}

#[test]
fn an_administrator_lists_who_did_what_from_where() {
    let server = TestServer::start();
    let (ana, zoe) = (server.user("ana"), server.user("zoe"));
    let phone = server.token(&ana, &[]);
    phone.put("/file", "x").send().expect(201);
    give(&ana, "/file", &zoe, CHANGE);
    zoe.put("/file", "y").send().expect(204);
    let list = |words: &[&str]| -> Vec<Value> {
        let all = [&["activity", "list", "--json"][..], words].concat();
        serde_json::from_str(server.data.command(&all).ok()).unwrap()
    };
    assert_eq!(list(&[]).len(), 3);
    let of_zoe = list(&["--user", "zoe"]);
    assert_eq!(of_zoe.len(), 1);
    assert_eq!(of_zoe[0]["did"], "changed");
    assert_eq!(of_zoe[0]["address"], "127.0.0.1");
    let of_file = list(&["--user", "ana", "--path", "/file", "--since", "1d"]);
    assert_eq!(of_file.len(), 3);
    assert_eq!(of_file[2]["device"], "test");
    assert_eq!(of_file[1]["with"], "zoe");
    let missing = ["activity", "list", "--user", "ana", "--path", "/none"];
    server.data.command(&missing).code(1);
    assert!(
        server
            .data
            .command(&["activity", "list"])
            .ok()
            .contains("changed")
    );
    // She reads from where she came herself; not from where others did.
    let own = read(&ana, "/self?object_type=files");
    assert!(
        own.iter()
            .any(|one| { one["message"] == "test, 127.0.0.1" })
    );
    let others = read(&ana, "/by");
    assert_eq!(others[0]["message"], "program");
}

#[test]
fn what_is_old_goes_and_where_nothing_is_kept_nothing_is_written() {
    let count = "SELECT count(*) FROM activity";
    let mut server = TestServer::with(&[("NUAGE_ACTIVITY__KEEP_DAYS", "30")]);
    let ana = server.user("ana");
    ana.put("/old", "x").send().expect(201);
    server.data.advance(31 * 86_400);
    ana.put("/new", "x").send().expect(201);
    wait_until(
        "what is old is gone",
        std::time::Duration::from_mins(1),
        || server.data.number(count) == 1,
    );
    assert_eq!(sentences(&ana, ""), ["You added “new”"]);
    // What was noted survives a crash of the server.
    ana.put("/more", "x").send().expect(201);
    server.kill();
    server.start_again();
    assert_eq!(sentences(&ana, ""), ["You added 2 files"]);

    let none = TestServer::with(&[("NUAGE_ACTIVITY__KEEP_DAYS", "0")]);
    let zoe = none.user("zoe");
    zoe.put("/file", "x").send().expect(201);
    zoe.mv("/file", "/other").send().expect(201);
    let form = [("path", "/other"), ("shareType", "3")];
    call(&zoe, "POST", "shares", &form).expect(200);
    assert_eq!(none.data.number(count), 0);
    ask(&zoe, "").expect(404);
    let capabilities = zoe.raw("GET", "/ocs/v2.php/cloud/capabilities?format=json");
    let capabilities = data(&capabilities.send().expect(200));
    assert!(capabilities["capabilities"]["activity"].is_null());
}
