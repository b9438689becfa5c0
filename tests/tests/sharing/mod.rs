//! Does everybody see what they were given, do with it what they may, and nothing else?

mod attacks;
mod details;
mod found;
mod groups;
mod heard;
mod internal;
mod links;
mod spaces;
mod table;
mod who;

use nuage_tests::User;
use nuage_tests::http::Answer;
use serde_json::Value;

/// Where the calls about shares are.
const API: &str = "/ocs/v2.php/apps/files_sharing/api/v1";
/// What may be done, as sums of the sharing API.
pub(crate) const READ: u8 = 1;
pub(crate) const CHANGE: u8 = 15;
const ALL: u8 = 31;
/// How long a server may take to notice what a command changed.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Reads what an OCS answer holds.
#[track_caller]
pub(crate) fn data(answer: &Answer) -> Value {
    let envelope: Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    envelope["ocs"]["data"].clone()
}

/// Calls the sharing API with a form.
pub(crate) fn call(user: &User, method: &str, place: &str, form: &[(&str, &str)]) -> Answer {
    let mut body = form_urlencoded(form);
    let mark = if place.contains('?') { '&' } else { '?' };
    let target = format!("{API}/{place}{mark}format=json");
    let mut call = user
        .raw(method, &target)
        .header("OCS-APIRequest", "true")
        .header("Content-Type", "application/x-www-form-urlencoded");
    if method == "GET" {
        body.clear();
    }
    if !body.is_empty() {
        call = call.body(body);
    }
    call.send()
}

fn form_urlencoded(form: &[(&str, &str)]) -> String {
    let pairs = form
        .iter()
        .map(|(name, value)| format!("{name}={}", nuage_tests::user::encode(value)));
    // What stands for itself in a path, but not in a form.
    let pairs = pairs.map(|pair| pair.replace('+', "%2B").replace('&', "%26"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Shares a path with a person and returns the share's number.
#[track_caller]
pub(crate) fn give(from: &User, path: &str, to: &User, permissions: u8) -> String {
    let form = [
        ("path", path),
        ("shareType", "0"),
        ("shareWith", &to.name),
        ("permissions", &*permissions.to_string()),
    ];
    let made = data(&call(from, "POST", "shares", &form).expect(200));
    made["id"].as_str().unwrap().to_owned()
}

/// Shares a path with a group and returns the share's number.
#[track_caller]
pub(crate) fn give_group(from: &User, path: &str, group: &str, permissions: u8) -> String {
    let form = [
        ("path", path),
        ("shareType", "1"),
        ("shareWith", group),
        ("permissions", &*permissions.to_string()),
    ];
    let made = data(&call(from, "POST", "shares", &form).expect(200));
    made["id"].as_str().unwrap().to_owned()
}

/// Ends a share.
#[track_caller]
pub(crate) fn end(user: &User, share: &str) {
    call(user, "DELETE", &format!("shares/{share}"), &[]).expect(200);
}

/// Returns the letters of what may be done with a node.
#[track_caller]
fn letters(user: &User, path: &str) -> String {
    let entry = user.properties(path, &["oc:permissions"]);
    entry
        .text(&oc("permissions"))
        .unwrap_or_default()
        .to_owned()
}

/// Returns today, where the server counts days if nothing else is set.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

fn oc(name: &str) -> String {
    format!("{{http://owncloud.org/ns}}{name}")
}

fn nc(name: &str) -> String {
    format!("{{http://nextcloud.org/ns}}{name}")
}
