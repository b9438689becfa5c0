//! Pages for people: one frame, one style, no script, and headers that let nothing else in.
//!
//! A page works without scripts, with a keyboard, with a screen reader, in the dark and at 320 px.

use std::fmt;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use sha2::Digest;
use sha2::Sha256;

use crate::http::body::Body;
use crate::http::body::full;
use crate::http::escape::push_escaped;
use crate::http::language::Language;

const STYLE: &str = include_str!("page.css");

/// What a page shows.
#[derive(Debug)]
pub struct Page<'a> {
    /// The language of its words.
    pub language: Language,
    /// What the window and the first heading say.
    pub title: &'a str,
    /// The installation's name.
    pub site: &'a str,
    /// The colour of what is pressed, as `#rrggbb`.
    pub color: &'a str,
    /// What stands below the heading, as HTML.
    pub content: &'a str,
    /// Where forms may lead beside this server, such as `nc:`; may be empty.
    pub form_targets: &'a str,
}

/// Writes into the text of a page, which always takes it.
pub fn push(out: &mut String, text: fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a String takes everything");
}

impl Page<'_> {
    /// Makes the answer that shows it.
    ///
    /// The style is allowed by its hash and everything else forbidden (Content Security Policy level 3).
    pub fn respond(&self, status: StatusCode) -> Response<Body> {
        let style = STYLE.replace("#0b5cad", self.color);
        let hash = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
             form-action 'self' {}; frame-ancestors 'none'",
            self.form_targets
        );
        let mut response = Response::new(full(self.html(&style)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut set = |name, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(header::CONTENT_TYPE, "text/html; charset=utf-8");
        set(header::CACHE_CONTROL, "no-store");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::X_FRAME_OPTIONS, "DENY");
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::VARY, "Accept-Language, Cookie");
        set(header::CONTENT_LANGUAGE, self.language.tag());
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn html(&self, style: &str) -> String {
        let mut html = String::with_capacity(style.len() + self.content.len() + 512);
        html.push_str("<!doctype html>\n<html lang=\"");
        html.push_str(self.language.tag());
        html.push_str(
            "\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>",
        );
        push_escaped(&mut html, self.title);
        html.push_str(" – ");
        push_escaped(&mut html, self.site);
        html.push_str("</title>\n<style>");
        html.push_str(style);
        html.push_str("</style>\n<header><p class=\"site\">");
        push_escaped(&mut html, self.site);
        html.push_str("</p></header>\n<main>\n<h1>");
        push_escaped(&mut html, self.title);
        html.push_str("</h1>\n");
        html.push_str(self.content);
        html.push_str("</main>\n</html>\n");
        html
    }
}
