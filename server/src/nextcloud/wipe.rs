//! A lost device is asked to delete its files: it asks by its app password, which opens nothing any more.
//!
//! Only a token that its owner has marked is told to; everything else, also what is no token at all,
//! hears the same "no".

use http::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::body::Body;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::browser::Browser;
use crate::nextcloud::browser::Trouble;
use crate::nextcloud::json_answer;
use crate::nextcloud::nothing;

impl Nextcloud {
    /// `POST /core/wipe/check`.
    pub(super) async fn check_wipe(
        &self,
        browser: &Browser<'_>,
    ) -> Result<Response<Body>, Trouble> {
        let token = browser.form.get("token").unwrap_or_default();
        if self.identity.must_wipe(token).await? {
            return Ok(json_answer(StatusCode::OK, &json!({"wipe": true})));
        }
        Ok(nothing())
    }

    /// `POST /core/wipe/success`: the device has done it.
    pub(super) async fn note_wiped(
        &self,
        browser: &Browser<'_>,
    ) -> Result<Response<Body>, Trouble> {
        let token = browser.form.get("token").unwrap_or_default();
        if self.identity.note_wiped(token).await? {
            return Ok(json_answer(StatusCode::OK, &json!([])));
        }
        Ok(nothing())
    }
}
