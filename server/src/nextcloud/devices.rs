//! The page on which people see their devices, disconnect one, or have a lost one deleted.

use http::Response;
use http::StatusCode;

use crate::http::body::Body;
use crate::http::escape::escaped;
use crate::http::session::Cookie;
use crate::identity::Token;
use crate::identity::TokenId;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::browser::Browser;
use crate::nextcloud::browser::Trouble;
use crate::nextcloud::browser::Visitor;
use crate::nextcloud::browser::see_other;
use crate::nextcloud::sign_in::ask_to_sign_in;

/// The address of the page.
pub(super) const DEVICES: &str = "/settings/devices";
/// The most devices that are shown: those that came last.
const SHOWN_MAX: usize = 200;

impl Nextcloud {
    /// `GET /settings/devices`: lists them. `POST`: ends one, or asks it to delete its files.
    pub(super) async fn devices(&self, browser: &Browser<'_>) -> Result<Response<Body>, Trouble> {
        let Some(visitor) = self.visitor(browser).await? else {
            return Ok(ask_to_sign_in(DEVICES, None));
        };
        if !browser.is_post() {
            let tokens = self.identity.list_tokens(&visitor.caller.name).await?;
            return Ok(self.devices_page(browser, &visitor, tokens));
        }
        self.check_mark(browser, Cookie::Session)?;
        let device = browser.form.get("device");
        let device = device.and_then(|number| number.parse().ok()).map(TokenId);
        let device = device.ok_or(Trouble::Gone)?;
        let name = &visitor.caller.name;
        match browser.form.get("do") {
            Some("wipe") => self.identity.wipe_token(name, device).await?,
            Some("revoke") => self.identity.revoke_token(name, device).await?,
            _ => return Err(Trouble::Gone),
        }
        Ok(see_other(DEVICES))
    }

    fn devices_page(
        &self,
        browser: &Browser<'_>,
        visitor: &Visitor,
        mut tokens: Vec<Token>,
    ) -> Response<Body> {
        let now = self.files.now();
        tokens.retain(|token| token.is_valid(now) || token.wipe_at.is_some());
        tokens.sort_by_key(|token| std::cmp::Reverse(token.used_at.unwrap_or(token.created_at)));
        let mut items = String::new();
        for token in tokens.iter().take(SHOWN_MAX) {
            items.push_str(&device_item(browser, visitor, token));
        }
        let content = format!(
            "<p>{intro} <strong>{person}</strong> ({name}).</p>\n{list}\
             <form method=\"post\" action=\"/logout\">\n\
             <input type=\"hidden\" name=\"mark\" value=\"{mark}\">\n\
             <button>{out}</button>\n</form>\n",
            intro = browser.say(
                "Ces appareils et programmes ont accès aux fichiers de",
                "These devices and programs have access to the files of"
            ),
            person = escaped(&visitor.caller.display_name),
            name = escaped(&visitor.caller.name),
            list = if items.is_empty() {
                let nothing = browser.say("Aucun pour l’instant.", "None so far.");
                format!("<p class=\"soft devices\">{nothing}</p>\n")
            } else {
                format!("<ul class=\"devices\">\n{items}</ul>\n")
            },
            mark = visitor.mark,
            out = browser.say("Se déconnecter", "Sign out"),
        );
        let title = browser.say("Mes appareils", "My devices");
        self.page(browser, StatusCode::OK, title, &content)
    }
}

fn device_item(browser: &Browser<'_>, visitor: &Visitor, token: &Token) -> String {
    let mut item = String::from("<li>\n<h2>");
    item.push_str(&escaped(&token.label));
    item.push_str("</h2>\n<p class=\"soft\">");
    item.push_str(&escaped(&describe(browser, token)));
    item.push_str("</p>\n");
    if token.wipe_at.is_none() {
        let (label, text) = (
            browser.say("Déconnecter", "Disconnect"),
            browser.say(
                "L’appareil n’aura plus accès au serveur. Les fichiers qu’il a déjà y resteront.",
                "The device will have no more access to the server. Files that it has already stay on it.",
            ),
        );
        item.push_str(&choice(visitor, token, ("revoke", label, text)));
        let (label, text) = (
            browser.say("Effacer ses fichiers", "Delete its files"),
            browser.say(
                "Pour un appareil perdu ou volé : il n’aura plus accès au serveur, et son application effacera \
                 les fichiers qu’elle y a copiés dès qu’elle se reconnecte. Vos fichiers sur le serveur resteront.",
                "For a device that was lost or stolen: it will have no more access to the server, and its program will delete \
                 the files that it copied there as soon as it connects again. Your files on the server stay.",
            ),
        );
        item.push_str(&choice(visitor, token, ("wipe", label, text)));
    }
    item.push_str("</li>\n");
    item
}

/// Something that can be done with a device, folded away so that it is not done by accident.
fn choice(visitor: &Visitor, token: &Token, (action, label, text): (&str, &str, &str)) -> String {
    format!(
        "<details>\n<summary>{label}…</summary>\n\
         <form method=\"post\" action=\"{DEVICES}\">\n\
         <input type=\"hidden\" name=\"mark\" value=\"{mark}\">\n\
         <input type=\"hidden\" name=\"device\" value=\"{number}\">\n\
         <p>{text}</p>\n\
         <button name=\"do\" value=\"{action}\" aria-label=\"{label}: {device}\">{label}</button>\n\
         </form>\n</details>\n",
        mark = visitor.mark,
        number = token.id.0,
        device = escaped(&token.label),
    )
}

fn describe(browser: &Browser<'_>, token: &Token) -> String {
    let language = browser.language;
    if let Some(at) = token.wiped_at {
        let text = browser.say(
            "Ses fichiers ont été effacés le",
            "Its files were deleted on",
        );
        return format!("{text} {}.", language.day(at));
    }
    if let Some(at) = token.wipe_at {
        let text = browser.say(
            "Effacera ses fichiers dès qu’il se reconnectera ; demandé le",
            "Will delete its files as soon as it connects again; asked on",
        );
        return format!("{text} {}.", language.day(at));
    }
    let added = browser.say("Ajouté le", "Added on");
    let mut text = format!("{added} {}", language.day(token.created_at));
    match token.used_at {
        Some(at) => {
            let used = browser.say(", utilisé le", ", last used on");
            text.push_str(used);
            text.push(' ');
            text.push_str(&language.day(at));
        }
        None => text.push_str(browser.say(", jamais utilisé", ", never used")),
    }
    if token.is_read_only {
        text.push_str(browser.say(", lecture seule", ", may only read"));
    }
    text.push('.');
    text
}
