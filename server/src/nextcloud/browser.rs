//! A browser's request, and pages as they go back to it: what all pages of this module share.

use std::net::IpAddr;

use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;

use crate::http::authenticate::refusal_message;
use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::escape::escaped;
use crate::http::language::Language;
use crate::http::page::Page;
use crate::http::query::Query;
use crate::http::session::Cookie;
use crate::http::session::signed_in;
use crate::identity::Caller;
use crate::identity::error::AdminError;
use crate::identity::error::IdentityError;
use crate::nextcloud::Nextcloud;

/// What pages look at.
pub(super) struct Browser<'a> {
    pub(super) parts: &'a Parts,
    pub(super) base_url: &'a str,
    pub(super) client: IpAddr,
    /// What stands in the address.
    pub(super) query: Query,
    /// What was filled in.
    pub(super) form: Query,
    pub(super) language: Language,
}

impl Browser<'_> {
    pub(super) fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    pub(super) fn is_post(&self) -> bool {
        self.parts.method == Method::POST
    }

    /// Chooses between the two languages.
    pub(super) fn say(&self, french: &'static str, english: &'static str) -> &'static str {
        match self.language {
            Language::French => french,
            Language::English => english,
        }
    }

    /// Returns what the browser, or the program that asks, calls itself.
    pub(super) fn agent(&self) -> String {
        let agent = self.parts.headers.get(header::USER_AGENT);
        let agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        agent.unwrap_or_default()
    }
}

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Who asks could not be found out.
    Identity(IdentityError),
    /// The form did not come from our page, or its page is of a session that has ended.
    StrangeForm,
    /// What the page is about is not there any more.
    Gone,
    /// Nothing is there that this person may see.
    NotThere,
    /// Accounts say no.
    Admin(AdminError),
}

impl From<IdentityError> for Trouble {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<AdminError> for Trouble {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NoSuchAccount { .. } | AdminError::NoSuchToken { .. } => Self::Gone,
            other => Self::Admin(other),
        }
    }
}

impl Nextcloud {
    /// Makes a page of a title and what stands below it.
    pub(super) fn page(
        &self,
        browser: &Browser<'_>,
        status: StatusCode,
        title: &str,
        content: &str,
    ) -> Response<Body> {
        let page = Page {
            language: browser.language,
            title,
            site: &self.settings.theme.name,
            color: &self.settings.theme.color,
            content,
            // Where a phone of long ago takes its app password.
            form_targets: "nc:",
        };
        page.respond(status)
    }

    /// Says why what was asked for did not happen.
    pub(super) fn show_trouble(&self, browser: &Browser<'_>, trouble: &Trouble) -> Response<Body> {
        let (status, title, text) = match trouble {
            Trouble::Identity(error) => return self.show_refusal(browser, error),
            Trouble::StrangeForm => (
                StatusCode::FORBIDDEN,
                browser.say("Cette page a expiré", "This page has expired"),
                browser.say(
                    "Rien n’a été fait. Revenez en arrière, rechargez la page et recommencez.",
                    "Nothing was done. Go back, load the page again and try once more.",
                ),
            ),
            Trouble::Gone => (
                StatusCode::NOT_FOUND,
                browser.say("Ce lien n’est plus valable", "This link is no longer valid"),
                browser.say(
                    "Il a expiré ou il a déjà servi. Recommencez depuis votre appareil.",
                    "It has expired or was used already. Start again from your device.",
                ),
            ),
            Trouble::NotThere => (
                StatusCode::NOT_FOUND,
                browser.say("Il n’y a rien ici", "There is nothing here"),
                browser.say(
                    "Ce fichier a été supprimé, ou il n’est pas partagé avec vous.",
                    "This file was deleted, or it is not shared with you.",
                ),
            ),
            Trouble::Admin(error) => {
                tracing::error!(%error, "a page could not be shown");
                let unavailable = IdentityError::Busy;
                return self.show_refusal(browser, &unavailable);
            }
        };
        self.page(browser, status, title, &format!("<p>{text}</p>\n"))
    }

    fn show_refusal(&self, browser: &Browser<'_>, error: &IdentityError) -> Response<Body> {
        if let IdentityError::Unavailable(source) = error {
            tracing::error!(error = %source, "a sign-in could not be decided");
        }
        let title = browser.say("Cela n’a pas marché", "That did not work");
        let text = escaped(&refusal_message(error, browser.language));
        let content = format!("<p class=\"wrong\" role=\"alert\">{text}</p>\n");
        let mut response = self.page(browser, page_status(error), title, &content);
        put_retry_after(&mut response, error);
        response
    }

    /// Finds out who is signed in, and what their forms are marked by.
    pub(super) async fn visitor(
        &self,
        browser: &Browser<'_>,
    ) -> Result<Option<Visitor>, IdentityError> {
        let headers = &browser.parts.headers;
        let is_https = browser.is_https();
        let Some(caller) = signed_in(&self.identity, headers, is_https).await? else {
            return Ok(None);
        };
        let text = Cookie::Session.read(headers, is_https).unwrap_or_default();
        Ok(Some(Visitor {
            caller,
            mark: self.identity.form_mark(text),
        }))
    }

    /// Refuses a form that is not marked as one of the visitor's own pages.
    pub(super) fn check_mark(&self, browser: &Browser<'_>, cookie: Cookie) -> Result<(), Trouble> {
        let basis = cookie.read(&browser.parts.headers, browser.is_https());
        let mark = browser.form.get("mark").unwrap_or_default();
        match basis {
            Some(basis) if self.identity.is_form_mark(basis, mark) => Ok(()),
            _ => Err(Trouble::StrangeForm),
        }
    }
}

/// Somebody who is signed in with a browser.
pub(super) struct Visitor {
    pub(super) caller: Caller,
    /// What their forms carry.
    pub(super) mark: String,
}

/// Returns the status of a page that says why somebody was not let in.
pub(super) fn page_status(error: &IdentityError) -> StatusCode {
    match error {
        // No 401: a browser would ask for the password itself.
        IdentityError::Unauthenticated => StatusCode::FORBIDDEN,
        IdentityError::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        IdentityError::Busy | IdentityError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Says when to come back, where that is known.
pub(super) fn put_retry_after(response: &mut Response<Body>, error: &IdentityError) {
    let seconds = match error {
        IdentityError::Unauthenticated => return,
        IdentityError::Throttled {
            retry_after_seconds,
        } => *retry_after_seconds,
        IdentityError::Busy | IdentityError::Unavailable(_) => 10,
    };
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
}

/// Leads a browser elsewhere, by GET (RFC 9110 section 15.4.4).
pub(super) fn see_other(place: &str) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(mut place) = HeaderValue::try_from(place) {
        place.set_sensitive(true);
        response.headers_mut().insert(header::LOCATION, place);
    }
    let nobody_keeps = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, nobody_keeps);
    let silent = HeaderValue::from_static("no-referrer");
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, silent);
    response
}

/// Adds a cookie to an answer.
pub(super) fn put_cookie(response: &mut Response<Body>, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
