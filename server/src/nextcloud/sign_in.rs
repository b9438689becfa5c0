//! Who is at the browser: the page that asks for name and password, and the way out.
//!
//! It knows nothing of what somebody came for: other pages send people here with the address
//! (`next`) to which they go on. Only addresses of our own pages are followed.

use http::Response;
use http::StatusCode;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::http::authenticate::refusal_message;
use crate::http::body::Body;
use crate::http::escape::escaped;
use crate::http::places::is_place;
use crate::http::session::Cookie;
use crate::identity::error::IdentityError;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::browser::Browser;
use crate::nextcloud::browser::Trouble;
use crate::nextcloud::browser::page_status;
use crate::nextcloud::browser::put_cookie;
use crate::nextcloud::browser::put_retry_after;
use crate::nextcloud::browser::see_other;
use crate::nextcloud::device_flow::FLOW;
use crate::nextcloud::device_flow::FLOW_V1;
use crate::nextcloud::devices::DEVICES;
use crate::nextcloud::private_link::is_private_link;

/// The longest address that is followed, in bytes.
const NEXT_BYTES_MAX: usize = 4_096;
/// Where somebody goes on who came from nowhere: to their files.
const HOME: &str = "/";
/// The longest name that a page repeats, in characters.
const NAME_CHARACTERS_MAX: usize = 254;

/// Returns where somebody goes on who has signed in: to one of our own pages.
fn next_of(text: Option<&str>) -> &str {
    let is_ours = |text: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        *text == FLOW_V1
            || *text == DEVICES
            || is_private_link(text)
            || is_place(text)
            || text
                .strip_prefix(FLOW)
                .is_some_and(|token| !token.is_empty() && token.bytes().all(is_plain))
    };
    text.filter(|text| text.len() <= NEXT_BYTES_MAX)
        .filter(is_ours)
        .unwrap_or(HOME)
}

/// Leads somebody to the page that asks who they are, and back afterwards.
pub(super) fn ask_to_sign_in(next: &str, user: Option<&str>) -> Response<Body> {
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    let user = user.map(|user| utf8_percent_encode(user, NON_ALPHANUMERIC));
    see_other(&match user {
        Some(user) => format!("/login?next={next}&user={user}"),
        None => format!("/login?next={next}"),
    })
}

impl Nextcloud {
    /// `GET /login`: asks who somebody is, unless that is known.
    pub(super) async fn show_sign_in(
        &self,
        browser: &Browser<'_>,
    ) -> Result<Response<Body>, Trouble> {
        let next = next_of(browser.query.get("next"));
        if self.visitor(browser).await?.is_some() {
            return Ok(see_other(next));
        }
        let user = browser.query.get("user").unwrap_or_default();
        Ok(self.sign_in_page(browser, next, user, None))
    }

    /// `POST /login`: tries a name and a password.
    pub(super) async fn sign_in(&self, browser: &Browser<'_>) -> Result<Response<Body>, Trouble> {
        let next = next_of(browser.form.get("next"));
        let user = browser.form.get("user").unwrap_or_default();
        if self.check_mark(browser, Cookie::Form).is_err() {
            // The page was open for long, or cookies are off: it is shown anew, with a fresh mark.
            let error = Refusal::OldForm;
            return Ok(self.sign_in_page(browser, next, user, Some(&error)));
        }
        let password = browser.form.get("password").unwrap_or_default();
        let begun = self
            .identity
            .begin_session(user.trim(), password, browser.client, &browser.agent())
            .await;
        let session = match begun {
            Ok(session) => session,
            Err(error) => {
                let error = Refusal::Identity(error);
                return Ok(self.sign_in_page(browser, next, user, Some(&error)));
            }
        };
        let tag = browser.language.tag();
        if let Err(error) = self.identity.note_language(&session, tag).await {
            tracing::warn!(%error, "the language of somebody was not noted");
        }
        let mut response = see_other(next);
        let is_https = browser.is_https();
        put_cookie(&mut response, Cookie::Session.put(&session, is_https));
        put_cookie(&mut response, Cookie::Form.drop(is_https));
        Ok(response)
    }

    /// `POST /logout`: ends the session and leads back to the page that asks who somebody is.
    pub(super) async fn sign_out(&self, browser: &Browser<'_>) -> Result<Response<Body>, Trouble> {
        let is_https = browser.is_https();
        if let Some(text) = Cookie::Session.read(&browser.parts.headers, is_https) {
            self.check_mark(browser, Cookie::Session)?;
            self.identity.end_session(text).await?;
        }
        let mut response = ask_to_sign_in(next_of(browser.form.get("next")), None);
        put_cookie(&mut response, Cookie::Session.drop(is_https));
        Ok(response)
    }

    fn sign_in_page(
        &self,
        browser: &Browser<'_>,
        next: &str,
        user: &str,
        refusal: Option<&Refusal>,
    ) -> Response<Body> {
        let is_https = browser.is_https();
        let held = Cookie::Form.read(&browser.parts.headers, is_https);
        let drawn = held.is_none().then(|| self.identity.draw_form_basis());
        let basis = drawn
            .as_ref()
            .map_or(held.unwrap_or_default(), |text| text.reveal());
        let mark = self.identity.form_mark(basis);
        let user: String = user.chars().take(NAME_CHARACTERS_MAX).collect();
        let content = form(browser, next, &user, &mark, refusal);
        let title = browser.say("Connexion", "Sign in");
        let status = refusal.map_or(StatusCode::OK, Refusal::status);
        let mut response = self.page(browser, status, title, &content);
        if let Some(Refusal::Identity(error)) = refusal {
            put_retry_after(&mut response, error);
        }
        if let Some(drawn) = &drawn {
            put_cookie(&mut response, Cookie::Form.put(drawn, is_https));
        }
        response
    }
}

/// Why the page is shown again.
enum Refusal {
    Identity(IdentityError),
    OldForm,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Identity(error) => {
                if let IdentityError::Unavailable(source) = error {
                    tracing::error!(error = %source, "a sign-in could not be decided");
                }
                page_status(error)
            }
            Self::OldForm => StatusCode::FORBIDDEN,
        }
    }

    fn message(&self, browser: &Browser<'_>) -> String {
        match self {
            Self::Identity(error) => refusal_message(error, browser.language),
            Self::OldForm => browser
                .say(
                    "Cette page avait expiré, ou votre navigateur refuse les cookies. Réessayez.",
                    "This page had expired, or your browser refuses cookies. Try again.",
                )
                .to_owned(),
        }
    }
}

fn form(
    browser: &Browser<'_>,
    next: &str,
    user: &str,
    mark: &str,
    refusal: Option<&Refusal>,
) -> String {
    let refused = refusal.map_or_else(String::new, |refusal| {
        let text = escaped(&refusal.message(browser));
        format!("<p class=\"wrong\" role=\"alert\" id=\"refusal\">{text}</p>\n")
    });
    let described = if refusal.is_some() {
        " aria-describedby=\"refusal\""
    } else {
        ""
    };
    // Where the cursor waits: at what is still to be typed.
    let (at_user, at_password) = if user.is_empty() {
        (" autofocus", "")
    } else {
        ("", " autofocus")
    };
    format!(
        "{refused}<form method=\"post\" action=\"/login\">\n\
         <input type=\"hidden\" name=\"mark\" value=\"{mark}\">\n\
         <input type=\"hidden\" name=\"next\" value=\"{next}\">\n\
         <label for=\"user\">{name_label}</label>\n\
         <input id=\"user\" name=\"user\" value=\"{user}\" autocomplete=\"username\" \
         autocapitalize=\"none\" spellcheck=\"false\" required{at_user}{described}>\n\
         <label for=\"password\">{password_label}</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" required{at_password}{described}>\n\
         <button class=\"main\">{button}</button>\n</form>\n",
        next = escaped(next),
        user = escaped(user),
        name_label = browser.say("Nom ou adresse électronique", "Name or e-mail address"),
        password_label = browser.say("Mot de passe", "Password"),
        button = browser.say("Se connecter", "Sign in"),
    )
}

#[cfg(test)]
mod tests {
    use super::next_of;

    #[test]
    fn only_our_own_pages_are_followed() {
        for ours in [
            "/login/v2/flow/Ab-_9",
            "/login/flow",
            "/settings/devices",
            "/f/42",
            "/files/Cours/plan.odt",
            "/search?q=plan",
        ] {
            assert_eq!(next_of(Some(ours)), ours);
        }
        for other in [
            "",
            "//evil.example",
            "/f/",
            "/f/4x",
            "/f//evil.example",
            "https://evil.example",
            "/login/v2/flow/",
            "/login/v2/flow/../../x",
            "/login/v2/flow/a?b",
            "/login/flow/x",
            "javascript:alert(1)",
            "/\\evil.example",
            &format!("/login/v2/flow/{}", "a".repeat(5_000)),
        ] {
            assert_eq!(next_of(Some(other)), "/", "{other}");
        }
        assert_eq!(next_of(None), "/");
    }
}
