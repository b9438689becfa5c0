//! How a device signs in: its owner consents in a browser (login flow v2, and v1 for old phones).
//!
//! The device begins, opens the page of consent in a browser, and asks meanwhile whether it may.
//! Who is at the browser is found out elsewhere (`sign_in`); here they are told which device asks
//! for what, and say yes or no.

use http::HeaderMap;
use http::Response;
use http::StatusCode;
use http::header;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::json;

use crate::http::body::Body;
use crate::http::escape::escaped;
use crate::http::session::Cookie;
use crate::identity::NewToken;
use crate::identity::device_name;
use crate::identity::error::AdminError;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::browser::Browser;
use crate::nextcloud::browser::Trouble;
use crate::nextcloud::browser::Visitor;
use crate::nextcloud::browser::see_other;
use crate::nextcloud::devices::DEVICES;
use crate::nextcloud::json_answer;
use crate::nextcloud::nothing;
use crate::nextcloud::sign_in::ask_to_sign_in;

/// What the address of a page of consent begins with.
pub(super) const FLOW: &str = "/login/v2/flow/";
/// The address of the page of consent for old phones.
pub(super) const FLOW_V1: &str = "/login/flow";

/// What stays as it is in the address that an old phone reads.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Returns what people call a program that sends these headers.
pub(super) fn device_of(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let agent = agent.unwrap_or_default();
    let version_after = |name: &str| {
        let (_, rest) = agent.split_once(name)?;
        let version = rest.split([' ', ';', ')', '(']).next()?;
        Some(version.chars().take(20).collect::<String>())
    };
    if let Some(version) = version_after("mirall/") {
        let system = agent
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("", |(system, _)| system);
        return format!("Nextcloud Desktop {version} ({system})");
    }
    if let Some(version) = version_after("Nextcloud-android/") {
        return format!("Nextcloud Android {version}");
    }
    if let Some(version) = version_after("Nextcloud-iOS/") {
        return format!("Nextcloud iOS {version}");
    }
    agent
}

impl Nextcloud {
    /// `POST /login/v2`: a device begins to wait.
    pub(super) async fn begin_flow(
        &self,
        browser: &Browser<'_>,
    ) -> Result<Response<Body>, Trouble> {
        let device = device_of(&browser.parts.headers);
        let begun = self
            .identity
            .begin_device_login(&device, browser.client)
            .await?;
        let base_url = browser.base_url;
        let answer = json!({
            "poll": {
                "token": begun.poll.reveal(),
                "endpoint": format!("{base_url}/login/v2/poll"),
            },
            "login": format!("{base_url}{FLOW}{}", begun.page.reveal()),
        });
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// `POST /login/v2/poll`: the device asks whether it may; 404 means "not yet" and "no more".
    pub(super) async fn poll_flow(&self, browser: &Browser<'_>) -> Result<Response<Body>, Trouble> {
        let token = browser.form.get("token").unwrap_or_default();
        let Some(granted) = self.identity.poll_device_login(token).await? else {
            return Ok(nothing());
        };
        let answer = json!({
            "server": browser.base_url,
            "loginName": granted.name,
            "appPassword": granted.secret.reveal(),
        });
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// `/login/v2/flow/{token}`: tells which device asks, and takes the answer.
    pub(super) async fn consent(
        &self,
        browser: &Browser<'_>,
        token: &str,
    ) -> Result<Response<Body>, Trouble> {
        let waiting = self.identity.find_waiting_device(token).await?;
        let waiting = waiting.ok_or(Trouble::Gone)?;
        let address = format!("{FLOW}{token}");
        let Some(visitor) = self.visitor(browser).await? else {
            return Ok(ask_to_sign_in(&address, browser.query.get("user")));
        };
        if !browser.is_post() {
            return Ok(self.consent_page(browser, &visitor, &waiting.device, &address));
        }
        self.check_mark(browser, Cookie::Session)?;
        if browser.form.get("answer") != Some("grant") {
            self.identity.deny_device(token).await?;
            return Ok(self.refused_page(browser));
        }
        if !self.identity.grant_device(&visitor.caller, token).await? {
            return Err(Trouble::Gone);
        }
        Ok(self.granted_page(browser, &waiting.device))
    }

    /// `/login/flow`: the same for a phone that reads its app password from where it is led.
    pub(super) async fn consent_v1(
        &self,
        browser: &Browser<'_>,
    ) -> Result<Response<Body>, Trouble> {
        let Some(visitor) = self.visitor(browser).await? else {
            return Ok(ask_to_sign_in(FLOW_V1, browser.query.get("user")));
        };
        let device = device_of(&browser.parts.headers);
        if !browser.is_post() {
            return Ok(self.consent_page(browser, &visitor, &device, FLOW_V1));
        }
        self.check_mark(browser, Cookie::Session)?;
        if browser.form.get("answer") != Some("grant") {
            return Ok(self.refused_page(browser));
        }
        let password = self.new_app_password(&visitor.caller.name, &device).await?;
        let encoded = |text: &str| utf8_percent_encode(text, KEPT).to_string();
        let place = format!(
            "nc://login/server:{}&user:{}&password:{}",
            browser.base_url,
            encoded(&visitor.caller.name),
            encoded(&password)
        );
        Ok(see_other(&place))
    }

    /// Makes an app password for a device and returns its text.
    pub(super) async fn new_app_password(
        &self,
        account: &str,
        device: &str,
    ) -> Result<String, AdminError> {
        let label = device_name(device);
        let new = NewToken {
            account,
            label: &label,
            is_read_only: false,
            valid_seconds: None,
        };
        let (_, secret) = self.identity.create_token(&new).await?;
        Ok(secret.reveal().to_owned())
    }

    fn consent_page(
        &self,
        browser: &Browser<'_>,
        visitor: &Visitor,
        device: &str,
        address: &str,
    ) -> Response<Body> {
        let title = browser.say("Connecter cet appareil ?", "Connect this device?");
        let content = format!(
            "<p class=\"device\">{device}</p>\n\
             <p>{asks} <strong>{person}</strong> ({name}). {lasts}</p>\n\
             <p class=\"soft\">{warning}</p>\n\
             <form method=\"post\" action=\"{address}\" class=\"row\">\n\
             <input type=\"hidden\" name=\"mark\" value=\"{mark}\">\n\
             <button class=\"main\" name=\"answer\" value=\"grant\">{yes}</button>\n\
             <button name=\"answer\" value=\"deny\">{no}</button>\n</form>\n\
             <form method=\"post\" action=\"/logout\">\n\
             <input type=\"hidden\" name=\"mark\" value=\"{mark}\">\n\
             <input type=\"hidden\" name=\"next\" value=\"{address}\">\n\
             <p class=\"soft\">{not_you}</p>\n\
             <button>{other}</button>\n</form>\n",
            device = escaped(&device_name(device)),
            asks = browser.say(
                "Cet appareil demande à lire et à modifier les fichiers de",
                "This device asks to read and change the files of"
            ),
            person = escaped(&visitor.caller.display_name),
            name = escaped(&visitor.caller.name),
            lasts = browser.say(
                "L’accès dure jusqu’à ce que vous le retiriez.",
                "Its access lasts until you take it away."
            ),
            warning = browser.say(
                "Si vous n’avez pas commencé cette connexion vous-même sur votre appareil, refusez.",
                "If you did not begin this yourself on your device, refuse."
            ),
            address = escaped(address),
            mark = visitor.mark,
            yes = browser.say("Autoriser", "Allow"),
            no = browser.say("Refuser", "Refuse"),
            not_you = browser.say("Ce n’est pas vous ?", "Is this not you?"),
            other = browser.say("Changer de compte", "Use another account"),
        );
        self.page(browser, StatusCode::OK, title, &content)
    }

    fn granted_page(&self, browser: &Browser<'_>, device: &str) -> Response<Body> {
        let title = browser.say("C’est fait", "Done");
        let content = format!(
            "<p><strong>{device}</strong> {connected}</p>\n<p>{close}</p>\n\
             <p><a href=\"{DEVICES}\">{devices}</a></p>\n",
            device = escaped(device),
            connected = browser.say(
                "aura accès à vos fichiers dans un instant.",
                "will have access to your files in a moment."
            ),
            close = browser.say(
                "Vous pouvez fermer cette fenêtre et revenir à votre appareil.",
                "You can close this window and go back to your device."
            ),
            devices = browser.say("Voir mes appareils", "See my devices"),
        );
        self.page(browser, StatusCode::OK, title, &content)
    }

    fn refused_page(&self, browser: &Browser<'_>) -> Response<Body> {
        let title = browser.say("Accès refusé", "Access refused");
        let text = browser.say(
            "L’appareil n’a pas accès à vos fichiers. Vous pouvez fermer cette fenêtre.",
            "The device has no access to your files. You can close this window.",
        );
        self.page(browser, StatusCode::OK, title, &format!("<p>{text}</p>\n"))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::USER_AGENT;

    use super::device_of;

    #[test]
    fn programs_are_called_as_people_call_them() {
        let shown = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            device_of(&headers)
        };
        assert_eq!(
            shown(
                "Mozilla/5.0 (Linux) mirall/3.16.7 (Nextcloud, debian-6.1 ClientArchitecture: x86_64)"
            ),
            "Nextcloud Desktop 3.16.7 (Linux)"
        );
        assert_eq!(
            shown("Mozilla/5.0 (Android) Nextcloud-android/3.30.0"),
            "Nextcloud Android 3.30.0"
        );
        assert_eq!(
            shown("Mozilla/5.0 (iOS) Nextcloud-iOS/6.0.1"),
            "Nextcloud iOS 6.0.1"
        );
        assert_eq!(
            shown("zoe-laptop (Desktop Client - Linux)"),
            "zoe-laptop (Desktop Client - Linux)"
        );
        assert_eq!(device_of(&HeaderMap::new()), "");
    }
}
