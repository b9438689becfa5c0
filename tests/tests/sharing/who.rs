//! "Who can see this", for whoever answers for the installation.

use nuage_tests::TestServer;
use serde_json::Value;

use crate::sharing::ALL;
use crate::sharing::READ;
use crate::sharing::call;
use crate::sharing::give;
use crate::sharing::give_group;
use crate::sharing::today;

#[test]
fn a_command_says_who_can_see_something_and_why() {
    let server = TestServer::start();
    let ann = server.user_with("ann", &["--display-name", "Ann"]);
    let bob = server.user_with("bob", &["--display-name", "Bob"]);
    server.user_with("cid", &["--display-name", "Cid"]);
    server.data.command(&["group", "add", "staff"]).ok();
    for name in ["bob", "cid"] {
        let words = ["group", "member", "add", "staff", name];
        server.data.command(&words).ok();
    }
    ann.folders("/Cours/sub");
    ann.put("/Cours/sub/f.txt", "x").send().expect(201);
    let who = |words: &[&str]| server.data.command(&[&["who"], words].concat());
    assert_eq!(
        who(&["ann/Cours/sub/f.txt", "--lang", "fr"]).ok(),
        "Ann peut voir ce fichier.\n"
    );
    let first = give(&ann, "/Cours", &bob, ALL);
    give_group(&ann, "/Cours/sub", "staff", READ);
    let day = today().tomorrow().unwrap().to_string();
    let form = [("expireDate", &*day)];
    call(&ann, "PUT", &format!("shares/{first}"), &form).expect(200);
    let cid = server.client("cid", "cid's own secret");
    give(&bob, "/Cours/sub", &cid, 3);
    let link = [
        ("path", "/Cours"),
        ("shareType", "3"),
        ("password", "secret"),
    ];
    let link = crate::sharing::data(&call(&ann, "POST", "shares", &link).expect(200));
    let token = link["token"].as_str().unwrap();

    let told = who(&["/ann/Cours/sub"]);
    let told = told.ok();
    assert!(
        told.starts_with(
            "Ann, Bob, the group staff and Cid can see this folder; so can anyone who has the link \
             and its password.\n"
        ),
        "{told}"
    );
    assert!(told.contains("group staff (2 members)"), "{told}");
    assert!(!told.contains(token), "what is told opens nothing: {told}");
    let json = who(&["ann/Cours/sub", "--json"]).json();
    assert!(!json.to_string().contains(token), "{json}");
    let shares = json["shares"].as_array().unwrap();
    let of = |kind: &str, name: &str| -> &Value {
        let mut those = shares.iter();
        those
            .find(|share| share["kind"] == kind && share["name"] == name)
            .unwrap()
    };
    assert_eq!(json["owner"]["name"], "ann");
    assert_eq!(of("user", "bob")["shared"], "Cours");
    assert_eq!(of("group", "staff")["members"], 2);
    assert_eq!(of("group", "staff")["shared"], "sub");
    let passed_on = of("user", "cid");
    assert_eq!(passed_on["by"], "bob");
    assert_eq!(passed_on["through"], serde_json::json!(["ann"]));
    assert_eq!(passed_on["permissions"], 3);
    // It ends with what it rests on.
    assert_eq!(passed_on["until"], of("user", "bob")["until"]);
    assert_eq!(of("link", "")["has_password"], true);

    // Less for who passed it on is less for whom they gave it.
    let narrow = [("permissions", "17")];
    call(&ann, "PUT", &format!("shares/{first}"), &narrow).expect(200);
    let json = who(&["ann/Cours/sub", "--json"]).json();
    let shares = json["shares"].as_array().unwrap();
    let cut = shares.iter().find(|share| share["name"] == "cid").unwrap();
    assert_eq!(
        (&cut["permissions"], &cut["stated_permissions"]),
        (&1.into(), &3.into())
    );
    let by_number = who(&[&json["id"].to_string(), "--json"]).json();
    assert_eq!(by_number, json);
    server.data.advance(3 * 86_400);
    let told = who(&["ann/Cours/sub"]);
    assert!(
        told.ok().starts_with("Ann and the group staff can see"),
        "{}",
        told.ok()
    );
    assert!(who(&["ann/Nothing"]).output().contains("no file or folder"));
    assert!(who(&["nobody/Cours"]).output().contains("nobody"));
    assert!(
        who(&["group:staff/"])
            .ok()
            .starts_with("The members of staff can see this folder.")
    );
}
