//! Somebody with a browser: follows redirects, keeps cookies, fills in forms.
//!
//! It does what a browser does that matters here, and nothing for the page: a form is sent
//! with the fields that it has, so a page that forgets one is found out.

use std::net::SocketAddr;

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::http::Answer;
use crate::http::Connection;
use crate::http::Request;
use crate::server::TestServer;

/// No chain of redirects of ours is longer.
const REDIRECTS_MAX: usize = 5;

/// A browser with its cookies.
#[derive(Debug, Clone)]
pub struct Browser {
    address: SocketAddr,
    cookies: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Browser {
    /// Opens one that knows a server and nothing else.
    pub fn new(server: &TestServer) -> Self {
        Self {
            address: server.address(),
            cookies: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Sends a header with each request, such as `Accept-Language`.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Goes on at another server of the same installation.
    #[must_use]
    pub fn at(mut self, server: &TestServer) -> Self {
        self.address = server.address();
        self
    }

    /// Returns the value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut cookies = self.cookies.iter();
        cookies
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all cookies, as a header sends them; empty: there are none.
    pub fn cookies(&self) -> String {
        let cookies = self.cookies.iter();
        let pairs: Vec<String> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// Puts a cookie, as another site on the way might.
    pub fn put_cookie(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(have, _)| have != name);
        if !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Opens an address, without following where it leads.
    #[track_caller]
    pub fn open(&mut self, target: &str) -> Answer {
        self.send(Request::new("GET", &path_of(target)))
    }

    /// Opens an address and follows where it leads.
    #[track_caller]
    pub fn visit(&mut self, target: &str) -> Answer {
        let mut answer = self.open(target);
        for _ in 0..REDIRECTS_MAX {
            match answer.header("location") {
                Some(place) if answer.status == 303 => {
                    let place = place.to_owned();
                    answer = self.open(&place);
                }
                _ => return answer,
            }
        }
        panic!("it leads on and on: {answer}");
    }

    /// Sends fields to an address as a form does, without following where it leads.
    #[track_caller]
    pub fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let coded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", coded(name), coded(value)))
            .collect();
        let request = Request::new("POST", &path_of(target))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(fields.join("&"));
        self.send(request)
    }

    /// Fills in the form of a page that has such a button (or field), and sends it.
    ///
    /// `fields` are what somebody types, or the button that they press.
    #[track_caller]
    pub fn submit(&mut self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let (wanted, _) = fields.first().expect("something is filled in");
        let html = page.text();
        let form = html
            .split("<form ")
            .skip(1)
            .map(|rest| rest.split("</form>").next().unwrap_or_default())
            .find(|form| form.contains(&format!("name=\"{wanted}\"")))
            .unwrap_or_else(|| panic!("no form with {wanted}: {html}"));
        let action = attribute(form, "action").expect("a form says where it goes");
        let hidden: Vec<(String, String)> = form
            .split("<input type=\"hidden\" ")
            .skip(1)
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
            .collect();
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend_from_slice(fields);
        self.post(&action, &all)
    }

    /// Signs in at the page that asks who somebody is; returns the page that follows.
    #[track_caller]
    pub fn sign_in(&mut self, page: &Answer, name: &str, password: &str) -> Answer {
        let answer = self.submit(page, &[("user", name), ("password", password)]);
        let next = answer.expect(303);
        let next = next.header("location").expect("it leads on").to_owned();
        self.visit(&next)
    }

    /// Sends a request with what the browser keeps, as a script of a page does.
    #[track_caller]
    pub fn send(&mut self, mut request: Request) -> Answer {
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            request = request.header("Cookie", &self.cookies());
        }
        let mut connection = Connection::open(self.address).expect("the server listens");
        let answer = connection
            .send(request)
            .unwrap_or_else(|broken| panic!("no answer: {broken:?}"));
        for (_, cookie) in answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            self.put_cookie(name, value);
        }
        answer
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#39;", "'").replace("&amp;", "&"))
}

/// Returns what stands behind scheme and host.
pub fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    match rest.and_then(|rest| rest.find('/').map(|at| &rest[at..])) {
        Some(path) => path.to_owned(),
        None => url.to_owned(),
    }
}
