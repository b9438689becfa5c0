//! The caller's own account: who they are, with what they are signed in, their password.

use http::Response;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::SELECTION_MAX;
use crate::api::done;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::secret_json;
use crate::api::shapes::Quota;
use crate::api::shapes::millis;
use crate::http::body::Body;
use crate::http::session::Cookie;
use crate::identity::NewToken;
use crate::identity::PASSWORD_CHARACTERS_MIN;
use crate::identity::PasswordFault;
use crate::identity::TokenId;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;

/// The most devices that are shown: those that came last.
const DEVICES_MAX: usize = 200;

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    /// The sign-in name.
    name: String,
    /// The name that people see.
    display_name: String,
    /// Where mail goes.
    email: Option<String>,
    /// May administer.
    is_admin: bool,
}

/// The installation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServerShape {
    /// Its name.
    name: String,
    /// The version of the program.
    version: &'static str,
    /// The colour of what is pressed, as `#rrggbb`.
    color: String,
    /// The address under which clients know it.
    url: String,
}

/// What a page must keep to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Limits {
    /// Files up to so many bytes may come in one piece.
    plain_upload_bytes: u64,
    /// How large every part but the last one of a larger file is, in bytes.
    part_bytes: u64,
    /// Things that one call does.
    selection: usize,
    /// The shortest password, in characters.
    password_characters_min: usize,
}

/// Who is signed in, and what a page needs from the start.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Session {
    /// Who.
    user: User,
    /// What every call that changes something carries in `X-Nuage-Mark`.
    mark: String,
    /// The room of the caller's space.
    quota: Quota,
    /// The installation.
    server: ServerShape,
    /// What a page must keep to.
    limits: Limits,
}

/// A device or program with an app password.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Device {
    /// By what it is ended.
    id: String,
    /// What its owner calls it.
    label: String,
    /// When it was added, in milliseconds since 1970.
    made: i64,
    /// When it was last used, in milliseconds since 1970.
    last_used: Option<i64>,
    /// May only read.
    is_read_only: bool,
    /// When it ends by itself, in milliseconds since 1970.
    expires: Option<i64>,
    /// Whether it was told to delete its files and has not said yet that it has.
    is_wiping: bool,
}

/// Devices and programs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Devices {
    /// They, the last used first.
    devices: Vec<Device>,
}

/// A device to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddDevice {
    /// What its owner calls it.
    label: String,
    /// May only read.
    #[serde(default)]
    is_read_only: bool,
}

/// A device that was added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AddedDevice {
    /// By what it is ended.
    id: String,
    /// Its app password, which is shown this once.
    secret: String,
}

/// A browser that is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionShape {
    /// By what it is signed out.
    id: String,
    /// What it calls itself.
    agent: String,
    /// When it was signed in, in milliseconds since 1970.
    made: i64,
    /// When it was last used, in milliseconds since 1970.
    last_used: i64,
    /// Whether it is the one that asks.
    is_this: bool,
}

/// Browsers that are signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sessions {
    /// They, the last used first.
    sessions: Vec<SessionShape>,
}

/// A password for another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    /// The present one.
    old: String,
    /// The one that shall be.
    new: String,
}

impl Api {
    /// `GET /session`: who is signed in.
    pub(super) async fn show_session(&self, call: &Call<'_>) -> ApiResult {
        let caller = call.caller;
        let account = self.identity.find_account(&caller.name).await?;
        let settings = &self.settings;
        let session = Session {
            user: User {
                name: account.name,
                display_name: account.display_name,
                email: account.email,
                is_admin: account.is_admin,
            },
            mark: self.identity.form_mark(call.session),
            quota: self.files.quota_of(account.home_use).into(),
            server: ServerShape {
                name: settings.name.clone(),
                version: env!("CARGO_PKG_VERSION"),
                color: settings.color.clone(),
                url: call.base_url.to_owned(),
            },
            limits: Limits {
                plain_upload_bytes: settings.part_bytes,
                part_bytes: settings.part_bytes,
                selection: SELECTION_MAX,
                password_characters_min: PASSWORD_CHARACTERS_MIN,
            },
        };
        secret_json(StatusCode::OK, &session)
    }

    /// `DELETE /session`: signs this browser out.
    pub(super) async fn sign_out(&self, call: &Call<'_>) -> ApiResult {
        self.identity.end_session(call.session).await?;
        let mut response = done();
        if let Some(cookie) = Cookie::Session.drop(call.is_https()) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// `GET /sessions`: the browsers that are signed in.
    pub(super) async fn list_sessions(&self, call: &Call<'_>) -> ApiResult {
        let listed = self.identity.list_sessions(call.caller, call.session);
        let sessions = listed.await?.into_iter().map(|session| SessionShape {
            id: session.id,
            agent: session.agent,
            made: millis(session.created_at),
            last_used: millis(session.used_at),
            is_this: session.is_this,
        });
        let sessions = sessions.collect();
        json(StatusCode::OK, &Sessions { sessions })
    }

    /// `DELETE /sessions/{id}`: signs a browser out.
    pub(super) async fn end_session(
        &self,
        call: &Call<'_>,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        if self.identity.end_session_of(call.caller, id).await? {
            Ok(done())
        } else {
            Err(Problem::not_found())
        }
    }

    /// `GET /devices`: what has an app password.
    pub(super) async fn list_devices(&self, call: &Call<'_>) -> ApiResult {
        let now = self.files.now();
        let mut tokens = self.identity.list_tokens(&call.caller.name).await?;
        tokens.retain(|token| {
            token.is_valid(now) || (token.wipe_at.is_some() && token.wiped_at.is_none())
        });
        tokens.sort_by_key(|token| std::cmp::Reverse(token.used_at.unwrap_or(token.created_at)));
        let devices = tokens.into_iter().take(DEVICES_MAX).map(|token| Device {
            id: token.id.0.to_string(),
            label: token.label,
            made: millis(token.created_at),
            last_used: token.used_at.map(millis),
            is_read_only: token.is_read_only,
            expires: token.expires_at.map(millis),
            is_wiping: token.wipe_at.is_some() && token.wiped_at.is_none(),
        });
        let devices = devices.collect();
        json(StatusCode::OK, &Devices { devices })
    }

    /// `POST /devices`: makes an app password.
    pub(super) async fn add_device(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: AddDevice = call.json().await?;
        let new = NewToken {
            account: &call.caller.name,
            label: asked.label.trim(),
            is_read_only: asked.is_read_only,
            valid_seconds: None,
        };
        let (id, secret) = self.identity.create_token(&new).await?;
        let added = AddedDevice {
            id: id.0.to_string(),
            secret: secret.reveal().to_owned(),
        };
        secret_json(StatusCode::CREATED, &added)
    }

    /// `DELETE /devices/{id}`: ends an app password; with `wipe=1`, its device is told to delete its files.
    pub(super) async fn end_device(
        &self,
        call: &Call<'_>,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        let id = id.parse().map_err(|_not_a_number| Problem::not_found())?;
        let name = &call.caller.name;
        if call.field("wipe") == Some("1") {
            self.identity.wipe_token(name, TokenId(id)).await?;
        } else {
            self.identity.revoke_token(name, TokenId(id)).await?;
        }
        Ok(done())
    }

    /// `POST /password`: a new password for the caller; every other browser is signed out.
    pub(super) async fn change_password(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: ChangePassword = call.json().await?;
        let (old, new) = (Secret::new(asked.old), Secret::new(asked.new));
        let agent = call.parts.headers.get(header::USER_AGENT);
        let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
        let agent = agent.unwrap_or_default();
        let changed =
            self.identity
                .change_own_password(call.caller, (&old, &new), call.client, &agent);
        let session = changed.await.map_err(|fault| match fault {
            PasswordFault::TooShort => Problem::weak_password(PASSWORD_CHARACTERS_MIN),
            PasswordFault::Identity(IdentityError::Unauthenticated) => Problem::wrong_password(),
            PasswordFault::Identity(error) => error.into(),
            PasswordFault::Admin(error) => error.into(),
        })?;
        let mut response = done();
        if let Some(cookie) = Cookie::Session.put(&session, call.is_https()) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}
