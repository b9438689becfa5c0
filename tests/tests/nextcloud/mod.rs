//! Do clients of the Nextcloud family find what they ask beside WebDAV, and can people and devices sign in?

mod devices;
mod direct;
mod errors;
mod favorites;
mod locks;
mod methods;
mod ocs;
mod pages;
mod people;
mod previews;
mod properties;
pub(crate) mod push;
mod search;
mod sharees;
mod sign_in;
mod trash;
mod uploads;
mod versions;

use nuage_tests::TestServer;
use nuage_tests::browser::Browser;
use nuage_tests::browser::path_of;
use nuage_tests::http::Answer;
use nuage_tests::http::Request;
use serde_json::Value;

/// Reads an answer as JSON.
#[track_caller]
fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// A device that waits for consent.
struct Device {
    /// The address of its page.
    page: String,
    poll: String,
}

impl Device {
    /// Begins the second login flow, as the desktop program does.
    #[track_caller]
    fn begin(server: &TestServer) -> Self {
        let request = Request::new("POST", "/index.php/login/v2")
            .header(
                "User-Agent",
                "Mozilla/5.0 (Linux) mirall/3.16.7 (Nextcloud)",
            )
            .header("Content-Length", "0");
        let begun = json(&server.anonymous(request).expect(200));
        let endpoint = begun["poll"]["endpoint"].as_str().unwrap();
        assert_eq!(path_of(endpoint), "/login/v2/poll");
        Self {
            page: path_of(begun["login"].as_str().unwrap()),
            poll: begun["poll"]["token"].as_str().unwrap().to_owned(),
        }
    }

    /// Asks whether it may.
    #[track_caller]
    fn poll(&self, server: &TestServer) -> Answer {
        Browser::new(server).post("/login/v2/poll", &[("token", &self.poll)])
    }

    #[track_caller]
    fn assert_waits(&self, server: &TestServer) {
        assert_eq!(self.poll(server).expect(404).text(), "[]");
    }

    /// Asks, and returns the app password.
    #[track_caller]
    fn fetch(&self, server: &TestServer) -> String {
        let granted = json(&self.poll(server).expect(200));
        granted["appPassword"].as_str().unwrap().to_owned()
    }
}
