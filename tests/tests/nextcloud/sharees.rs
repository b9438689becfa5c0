//! With whom something can be shared: what people find who type the beginning of a name.

use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::browser::path_of;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use nuage_tests::user::encode;
use nuage_tests::wait::wait_until;
use serde_json::Value;
use serde_json::json as value;

use crate::nextcloud::json;

const SHAREES: &str = "/ocs/v2.php/apps/files_sharing/api/v1/sharees";

#[track_caller]
fn ask(user: &User, target: &str) -> Answer {
    let request = user
        .raw("GET", target)
        .header("OCS-APIRequest", "true")
        .header("Accept", "application/json");
    request.send().expect(200)
}

#[track_caller]
fn find(user: &User, query: &str) -> Value {
    json(&ask(user, &format!("{SHAREES}?itemType=file&{query}")))["ocs"]["data"].clone()
}

/// The names of a list, in its order.
fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["value"]["shareWith"].as_str().unwrap())
        .collect()
}

/// Everybody who is found for a text: exactly, and otherwise.
fn people(user: &User, text: &str) -> (Vec<String>, Vec<String>) {
    let found = find(user, &format!("search={}", encode(text)));
    let own = |list: &Value| names(list).into_iter().map(str::to_owned).collect();
    (own(&found["exact"]["users"]), own(&found["users"]))
}

/// A school with two groups.
struct School {
    server: TestServer,
    ana: User,
}

impl School {
    fn with(settings: &[(&str, &str)]) -> Self {
        let server = TestServer::with(settings);
        let ana = server.user_with("ana", &["--display-name", "Ana Dupont"]);
        for (name, shown, email) in [
            ("cdupont", "Camille Dupont", "camille@example.org"),
            ("cdupont2", "Camille Dupont", "c2@example.org"),
            ("eloise", "Éloïse d’Or", "elo@example.org"),
            ("marc", "Marc Camus", "marc@example.org"),
        ] {
            server.user_with(name, &["--display-name", shown, "--email", email]);
        }
        for words in [
            &["group", "add", "Camerata"][..],
            &["group", "add", "Salle des profs"],
            &["group", "member", "add", "Camerata", "ana"],
            &["group", "member", "add", "Camerata", "marc"],
            &["group", "member", "add", "Camerata", "cdupont"],
            &["group", "member", "add", "Salle des profs", "eloise"],
        ] {
            server.data.command(words).ok();
        }
        Self { server, ana }
    }
}

#[test]
fn people_and_groups_are_found_as_clients_show_them() {
    let school = School::with(&[]);
    let ana = &school.ana;

    let found = find(ana, "search=cam");
    assert_eq!(names(&found["users"]), ["cdupont", "cdupont2", "marc"]);
    assert_eq!(names(&found["groups"]), ["Camerata"]);
    assert_eq!(found["exact"]["users"], value!([]));
    for kind in ["remotes", "remote_groups", "emails", "circles", "rooms"] {
        assert_eq!(found[kind], value!([]), "{kind}");
        assert_eq!(found["exact"][kind], value!([]), "{kind}");
    }
    assert_eq!(found["lookup"], value!([]));
    assert_eq!(found["lookupEnabled"], false);
    assert_eq!(
        found["users"][0],
        value!({
            "label": "Camille Dupont",
            "subline": "cdupont",
            "icon": "icon-user",
            "value": {"shareType": 0, "shareWith": "cdupont"},
            "shareWithDisplayNameUnique": "cdupont",
            "status": [],
        })
    );
    assert_eq!(found["users"][2]["subline"], "");
    assert_eq!(found["groups"][0]["value"]["shareType"], 1);

    let both = (vec![], vec!["cdupont".to_owned(), "cdupont2".to_owned()]);
    assert_eq!(people(ana, "dup cam"), both);
    assert_eq!(people(ana, "DÛPONT c"), both);
    assert_eq!(people(ana, "elo").1, ["eloise"]);
    assert_eq!(people(ana, "dor").1, ["eloise"]);
    // Exactly: by name, by address, by the name that is shown.
    assert_eq!(people(ana, "CDUPONT").0, ["cdupont"]);
    assert_eq!(people(ana, "CDUPONT").1, ["cdupont2"]);
    assert_eq!(people(ana, "Elo@Example.org").0, ["eloise"]);
    assert_eq!(people(ana, "camille dupont").0, ["cdupont", "cdupont2"]);
    assert_eq!(
        names(&find(ana, "search=camerata")["exact"]["groups"]),
        ["Camerata"]
    );
    // Never oneself, and nothing for nothing.
    assert_eq!(people(ana, "ana"), (vec![], vec![]));
    assert_eq!(people(ana, ""), (vec![], vec![]));

    school
        .server
        .data
        .command(&["user", "disable", "marc"])
        .ok();
    assert_eq!(people(ana, "marc"), (vec![], vec![]));
}

#[test]
fn kinds_and_pages_are_as_asked_for_and_lead_on() {
    let school = School::with(&[]);
    let ana = &school.ana;
    let found = find(ana, "search=cam&shareType%5B%5D=1");
    assert_eq!(
        (names(&found["users"]).len(), names(&found["groups"]).len()),
        (0, 1)
    );
    let found = find(ana, "search=cam&shareType=0");
    assert_eq!(
        (names(&found["users"]).len(), names(&found["groups"]).len()),
        (3, 0)
    );

    let mut turned = Vec::new();
    let mut next = Some(format!(
        "{SHAREES}?search=cam&perPage=1&shareType[]=0&shareType[]=1"
    ));
    while let Some(target) = next {
        let answer = ask(ana, &target);
        let data = json(&answer)["ocs"]["data"].clone();
        assert!(names(&data["users"]).len() <= 1);
        turned.extend(names(&data["users"]).into_iter().map(str::to_owned));
        next = answer.header("link").map(|link| {
            let address = link.strip_prefix('<').unwrap();
            let address = address.strip_suffix(">; rel=\"next\"").unwrap();
            path_of(address)
        });
        assert!(turned.len() < 10);
    }
    assert_eq!(turned, ["cdupont", "cdupont2", "marc"]);

    // Of two people with the name that was typed, the second stands on the second page.
    let twins = "search=camille%20dupont&perPage=1";
    let (first, second) = (find(ana, twins), find(ana, &format!("{twins}&page=2")));
    assert_eq!(names(&first["exact"]["users"]), ["cdupont"]);
    assert_eq!(names(&second["exact"]["users"]), Vec::<&str>::new());
    assert_eq!(names(&second["users"]), ["cdupont2"]);

    for odd in [
        "search=%00",
        "search=a%00b",
        "search=%FF%FE",
        "search=%F4%8F%BF%BF",
    ] {
        assert_eq!(names(&find(ana, odd)["users"]), Vec::<&str>::new(), "{odd}");
    }
    for odd in ["page=0", "perPage=0", "page=x"] {
        let target = format!("{SHAREES}?search=a&{odd}");
        ana.raw("GET", &target).send().expect(400);
    }
    let far = ask(
        ana,
        &format!("{SHAREES}?search=cam&page=18446744073709551615&perPage=200"),
    );
    assert_eq!(json(&far)["ocs"]["data"]["users"], value!([]));
    assert_eq!(far.header("link"), None);
}

#[test]
fn xml_says_the_same_at_both_addresses() {
    let school = School::with(&[]);
    let target = "/ocs/v1.php/apps/files_sharing/api/v1/sharees?search=marc&itemType=folder";
    let answer = school.ana.raw("GET", target).send().expect(200);
    let flat: String = answer.text().split('\n').collect();
    let exact = "<exact><circles></circles><emails></emails><groups></groups><remote_groups>\
                 </remote_groups><remotes></remotes><rooms></rooms><users><element>";
    for part in [
        "<statuscode>100</statuscode>",
        exact,
        "<label>Marc Camus</label>",
        "<value><shareType>0</shareType><shareWith>marc</shareWith></value>",
        "<lookupEnabled></lookupEnabled>",
    ] {
        assert!(flat.contains(part), "{part} in {flat}");
    }
    let request = Request::new("GET", SHAREES);
    school.server.anonymous(request).expect(401);
}

#[test]
fn proposals_are_people_and_groups_that_one_has_to_do_with() {
    let school = School::with(&[]);
    let recommended = format!("{SHAREES}_recommended?itemType=file");
    let data = json(&ask(&school.ana, &recommended))["ocs"]["data"].clone();
    let mut found = names(&data["exact"]["users"]);
    found.sort_unstable();
    assert_eq!(found, ["cdupont", "marc"]);
    assert_eq!(names(&data["exact"]["groups"]), ["Camerata"]);
    assert_eq!(data["users"], value!([]));
}

#[test]
fn the_settings_say_who_finds_whom() {
    let groups = School::with(&[("NUAGE_PEOPLE__SEARCH", "groups")]);
    assert_eq!(people(&groups.ana, "cam").1, ["cdupont", "marc"]);
    assert_eq!(people(&groups.ana, "eloise"), (vec![], vec![]));
    assert_eq!(
        names(&find(&groups.ana, "search=salle")["groups"]),
        Vec::<&str>::new()
    );
    assert_eq!(
        names(&find(&groups.ana, "search=cam")["groups"]),
        ["Camerata"]
    );

    let settings = [("NUAGE_PEOPLE__SEARCH", "exact")];
    let exact = School::with(&settings);
    assert_eq!(people(&exact.ana, "cam"), (vec![], vec![]));
    assert_eq!(people(&exact.ana, "eloise").0, ["eloise"]);
    assert_eq!(people(&exact.ana, "marc@example.org").0, ["marc"]);

    let none = School::with(&[("NUAGE_PEOPLE__SEARCH", "none")]);
    assert_eq!(people(&none.ana, "eloise"), (vec![], vec![]));

    let settings = [
        ("NUAGE_PEOPLE__MIN_SEARCH_LENGTH", "3"),
        ("NUAGE_PEOPLE__MAX_RESULTS", "2"),
    ];
    let few = School::with(&settings);
    assert_eq!(people(&few.ana, "ca"), (vec![], vec![]));
    assert_eq!(people(&few.ana, "cam").1, ["cdupont", "cdupont2"]);
}

#[test]
fn whoever_an_older_release_has_made_is_found_soon_after_the_start() {
    let mut school = School::with(&[]);
    school.server.stop();
    school.server.data.execute(
        "DELETE FROM name_word; UPDATE account SET worded = 0; UPDATE team SET worded = 0",
    );
    school.server.start_again();
    wait_until("people are found again", Duration::from_secs(20), || {
        people(&school.ana, "cam").1.len() == 3
    });
}
