//! OCS about shares: what was given to whom, and what the caller was given.
//!
//! # What surprises
//!
//! One share is shown as a list of one. `publicUpload` widens only what was not said: an upload-only link
//! stays one. In place of a link's password stars are shown.

use http::StatusCode;
use jiff::civil::Date;
use nuage_shared::node_path::NodePath;
use serde_json::Value;
use serde_json::json;

use crate::files::NodeId;
use crate::files::NodeKind;
use crate::files::Permissions;
use crate::http::download::content_type_of;
use crate::http::query::Query;
use crate::identity::Caller;
use crate::identity::secret::Secret;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::OcsError;
use crate::sharing::Changes;
use crate::sharing::NewShare;
use crate::sharing::Receiver;
use crate::sharing::Selected;
use crate::sharing::Share;
use crate::sharing::ShareId;
use crate::sharing::SharedWith;
use crate::sharing::SharingError;

/// What stands for a password that is set.
const STARS: &str = "••••••";

impl From<SharingError> for OcsError {
    fn from(error: SharingError) -> Self {
        let told = |status, french: &str, english: &str| Self::Told {
            status,
            french: french.to_owned(),
            english: english.to_owned(),
        };
        match error {
            SharingError::NoSuchShare => Self::NotFound,
            SharingError::NotYours => Self::Forbidden,
            SharingError::NoReceiver => told(
                StatusCode::NOT_FOUND,
                "Cette personne ou ce groupe n’existe pas.",
                "There is no such person or group.",
            ),
            SharingError::Already => told(
                StatusCode::FORBIDDEN,
                "C’est déjà partagé avec ce destinataire.",
                "It is shared with them already.",
            ),
            SharingError::TooMuch { .. } => told(
                StatusCode::FORBIDDEN,
                "Vous ne pouvez pas donner plus de droits que vous n’en avez.",
                "You cannot give more rights than you have.",
            ),
            SharingError::PasswordNeeded => told(
                StatusCode::FORBIDDEN,
                "Un mot de passe est obligatoire pour les liens.",
                "Passwords are enforced for links.",
            ),
            SharingError::NoLinks => told(
                StatusCode::FORBIDDEN,
                "Les liens publics ne sont pas autorisés ici.",
                "Public links are not allowed here.",
            ),
            SharingError::DayPassed => told(
                StatusCode::NOT_FOUND,
                "La date d’expiration est passée.",
                "The day of its end has passed.",
            ),
            SharingError::DayTooLate { last } => Self::Told {
                status: StatusCode::NOT_FOUND,
                french: format!(
                    "La date d’expiration est au plus tard le {}.",
                    last.strftime("%d/%m/%Y")
                ),
                english: format!("It ends on {last} at the latest."),
            },
            SharingError::BadAddress => told(
                StatusCode::BAD_REQUEST,
                "Cette adresse ne peut pas être choisie.",
                "This address cannot be chosen.",
            ),
            SharingError::AddressTaken => told(
                StatusCode::BAD_REQUEST,
                "Cette adresse est déjà prise.",
                "This address is taken.",
            ),
            SharingError::TooLong => told(
                StatusCode::BAD_REQUEST,
                "Ce texte est trop long.",
                "This text is too long.",
            ),
            SharingError::NotAFolder => told(
                StatusCode::BAD_REQUEST,
                "Seul un dossier peut recevoir des fichiers.",
                "Only a folder can receive files.",
            ),
            SharingError::TooMany => told(
                StatusCode::FORBIDDEN,
                "Vous avez atteint le nombre maximal de partages.",
                "You have as many shares as you may have.",
            ),
            SharingError::Files(error) => error.into(),
            SharingError::Identity(error) => error.into(),
        }
    }
}

impl Nextcloud {
    /// Lists shares: of a path, of a folder's members, that the caller was given, or that they gave.
    pub(super) async fn list_shares(
        &self,
        caller: &Caller,
        (query, base_url): (&Query, &str),
    ) -> Result<Data, OcsError> {
        let says_yes = |name: &str| matches!(query.get(name), Some("true" | "1"));
        let path = query.get("path").filter(|path| !path.is_empty());
        let node = match path {
            Some(path) => Some(self.files.find(caller, &parse_path(path)?).await?),
            None => None,
        };
        let mut shares = if says_yes("shared_with_me") {
            let selected = match &node {
                Some(node) => Selected::ToMeOf(node.id),
                None => Selected::ToMe,
            };
            self.sharing.list(caller, selected).await?
        } else {
            let selected = match &node {
                None => Selected::Mine,
                Some(node) if says_yes("subfiles") => {
                    if node.kind != NodeKind::Folder {
                        return Err(OcsError::BadRequest);
                    }
                    Selected::Below(node.id)
                }
                Some(node) => Selected::OfNode {
                    node: node.id,
                    of_others: says_yes("reshares"),
                },
            };
            self.sharing.list(caller, selected).await?
        };
        if says_yes("shared_with_me") {
            shares.retain(|share| share.sharer != caller.user);
        }
        self.describe_shares(caller, &shares, base_url).await
    }

    /// Lists the shares of the folders above a path.
    pub(super) async fn list_inherited_shares(
        &self,
        caller: &Caller,
        (query, base_url): (&Query, &str),
    ) -> Result<Data, OcsError> {
        let mut path = parse_path(query.get("path").ok_or(OcsError::BadRequest)?)?;
        self.files.find(caller, &path).await?;
        let mut shares = Vec::new();
        while let Some(above) = path.parent() {
            path = above;
            let node = self.files.find(caller, &path).await?;
            if node.parent.is_none() {
                break;
            }
            let selected = Selected::OfNode {
                node: node.id,
                of_others: true,
            };
            shares.extend(self.sharing.list(caller, selected).await?);
        }
        self.describe_shares(caller, &shares, base_url).await
    }

    async fn describe_shares(
        &self,
        caller: &Caller,
        shares: &[Share],
        base_url: &str,
    ) -> Result<Data, OcsError> {
        let nodes: Vec<NodeId> = shares.iter().map(|share| share.node.id).collect();
        let places = self.files.places_of(caller, &nodes).await?;
        let mut described = Vec::with_capacity(shares.len());
        for (share, place) in shares.iter().zip(places) {
            // What the caller cannot see any more is not theirs to know of.
            if let Some((path, permissions)) = place {
                let place = (&path, permissions);
                described.push(describe(share, &self.seen(caller, share, place, base_url)));
            }
        }
        Ok(Value::Array(described).into())
    }

    /// Shows one share, in a list of one.
    pub(super) async fn show_share(
        &self,
        caller: &Caller,
        (id, base_url): (&str, &str),
    ) -> Result<Data, OcsError> {
        let share = self.sharing.find(caller, id_of(id)?).await?;
        self.describe_shares(caller, &[share], base_url).await
    }

    /// Makes a share.
    pub(super) async fn create_share(
        &self,
        caller: &Caller,
        (form, base_url): (&Query, &str),
    ) -> Result<Data, OcsError> {
        let path = parse_path(form.get("path").ok_or(OcsError::NotFound)?)?;
        let to = || form.get("shareWith").unwrap_or_default().to_owned();
        let with = match form.get("shareType").unwrap_or("0") {
            "0" => SharedWith::Person(to()),
            "1" => SharedWith::Team(to()),
            "3" => SharedWith::Link,
            _ => return Err(OcsError::BadRequest),
        };
        let permissions = permissions_of(form)?;
        let permissions = match permissions {
            None if says_true(form, "publicUpload") == Some(true) => Some(Permissions::of_bits(15)),
            other => other,
        };
        let day = form.get("expireDate");
        let new = NewShare {
            path,
            with,
            permissions,
            may_download: may_download(form).unwrap_or(true),
            note: form.get("note").unwrap_or_default().to_owned(),
            label: form
                .get("label")
                .or_else(|| form.get("name"))
                .unwrap_or_default()
                .to_owned(),
            last_day: day.map(parse_day).transpose()?.flatten(),
            is_endless: day == Some(""),
            password: password_of(form),
            address: None,
            tells: says_true(form, "sendMail") != Some(false),
        };
        let share = self.sharing.share(caller, new).await?;
        self.describe_one(caller, &share, base_url).await
    }

    async fn describe_one(
        &self,
        caller: &Caller,
        share: &Share,
        base_url: &str,
    ) -> Result<Data, OcsError> {
        let places = self.files.places_of(caller, &[share.node.id]).await?;
        let place = places.into_iter().next().flatten();
        let (path, permissions) = place.ok_or(OcsError::NotFound)?;
        let seen = self.seen(caller, share, (&path, permissions), base_url);
        Ok(describe(share, &seen).into())
    }

    fn seen<'a>(
        &self,
        caller: &'a Caller,
        share: &Share,
        (path, permissions): (&'a NodePath, Permissions),
        base_url: &'a str,
    ) -> Seen<'a> {
        Seen {
            path,
            permissions,
            last_day: share.expires_at.map(|end| self.sharing.last_day(end)),
            caller,
            base_url,
        }
    }

    /// Changes a share.
    pub(super) async fn change_share(
        &self,
        caller: &Caller,
        (id, form, base_url): (&str, &Query, &str),
    ) -> Result<Data, OcsError> {
        let permissions = match (permissions_of(form)?, says_true(form, "publicUpload")) {
            (None, Some(true)) => Some(Permissions::of_bits(15)),
            (None, Some(false)) => Some(Permissions::READ),
            (given, _) => given,
        };
        let text = |name: &str| form.get(name).map(str::to_owned);
        let changes = Changes {
            permissions,
            may_download: match says_true(form, "hideDownload") {
                Some(hides) => Some(!hides),
                None => may_download(form),
            },
            note: text("note"),
            label: text("label").or_else(|| text("name")),
            last_day: form.get("expireDate").map(parse_day).transpose()?,
            password: form.get("password").map(|_| password_of(form)),
            address: text("token"),
        };
        let says_nothing = changes.permissions.is_none()
            && changes.may_download.is_none()
            && changes.note.is_none()
            && changes.label.is_none()
            && changes.last_day.is_none()
            && changes.password.is_none()
            && changes.address.is_none();
        if says_nothing {
            return Err(OcsError::BadRequest);
        }
        let share = self.sharing.change(caller, id_of(id)?, changes).await?;
        self.describe_one(caller, &share, base_url).await
    }

    /// Ends a share, or leaves it.
    pub(super) async fn end_share(&self, caller: &Caller, id: &str) -> Result<Data, OcsError> {
        self.sharing.end(caller, id_of(id)?).await?;
        Ok(json!([]).into())
    }
}

fn id_of(text: &str) -> Result<ShareId, OcsError> {
    // Some clients put before it from where it comes.
    let number = text.rsplit(':').next().unwrap_or(text);
    number
        .parse()
        .map(ShareId)
        .map_err(|_not_a_number| OcsError::NotFound)
}

fn parse_path(text: &str) -> Result<NodePath, OcsError> {
    NodePath::parse(text).map_err(|_fault| OcsError::NotFound)
}

fn says_true(form: &Query, name: &str) -> Option<bool> {
    match form.get(name)? {
        "true" | "1" => Some(true),
        "false" | "0" | "" => Some(false),
        _ => None,
    }
}

fn permissions_of(form: &Query) -> Result<Option<Permissions>, OcsError> {
    let Some(text) = form.get("permissions").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(bits) if (1..=31).contains(&bits) => Ok(Some(Permissions::of_bits(bits))),
        _ => Err(OcsError::BadRequest),
    }
}

/// Returns the password of a form; an empty one is none.
fn password_of(form: &Query) -> Option<Secret> {
    let text = form.get("password").filter(|text| !text.is_empty())?;
    Some(Secret::new(text.to_owned()))
}

/// Reads a day as clients write it, `2027-01-31` or with a time behind; empty: no day.
fn parse_day(text: &str) -> Result<Option<Date>, OcsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = text.get(..10).unwrap_or(text);
    day.parse().map(Some).map_err(|_fault| OcsError::Told {
        status: StatusCode::NOT_FOUND,
        french: "La date n’est pas valable ; écrivez-la AAAA-MM-JJ.".to_owned(),
        english: "The date is not valid; write it YYYY-MM-DD.".to_owned(),
    })
}

/// Reads from `attributes` whether contents may leave the server as they are.
fn may_download(form: &Query) -> Option<bool> {
    let attributes: Value = serde_json::from_str(form.get("attributes")?).ok()?;
    let download = attributes
        .as_array()?
        .iter()
        .find(|one| one["scope"] == "permissions" && one["key"] == "download")?;
    let value = download.get("value").or_else(|| download.get("enabled"));
    value.map(|value| value == true || value == "true" || value == 1)
}

/// Where somebody sees the node of a share, and what they may do there.
struct Seen<'a> {
    path: &'a NodePath,
    permissions: Permissions,
    /// The last day on which the share holds.
    last_day: Option<Date>,
    caller: &'a Caller,
    base_url: &'a str,
}

/// Returns a share as clients know it; `seen` is where the caller sees its node, and what they may do there.
fn describe(share: &Share, seen: &Seen<'_>) -> Value {
    let (path, permissions, caller) = (seen.path, seen.permissions, seen.caller);
    let node = &share.node;
    let is_folder = node.is_folder();
    let is_link = share.receiver == Receiver::Link;
    let is_master = share.sharer == caller.user;
    let kind = match share.receiver {
        Receiver::Person(_) => 0,
        Receiver::Team(_) => 1,
        Receiver::Link => 3,
    };
    let path = path.to_string();
    let path = format!("/{}", path.trim_start_matches('/'));
    let ends = seen.last_day.map(|day| format!("{day} 00:00:00"));
    let base_url = seen.base_url;
    let mut object = json!({
        "id": share.id.0.to_string(),
        "share_type": kind,
        "uid_owner": share.sharer_shown.name,
        "displayname_owner": share.sharer_shown.display_name,
        "uid_file_owner": share.owner_shown.name,
        "displayname_file_owner": share.owner_shown.display_name,
        "permissions": share.permissions.bits(),
        "can_edit": is_master,
        "can_delete": true,
        "stime": share.made_at.seconds(),
        "parent": null,
        "expiration": ends,
        "token": share.token,
        "note": share.note,
        "label": share.label,
        "path": path,
        "item_type": if is_folder { "folder" } else { "file" },
        "item_permissions": permissions.bits(),
        "is-mount-root": !is_master,
        "mount-type": if is_master { "" } else { "shared" },
        "mimetype": if is_folder {
            "httpd/unix-directory".to_owned()
        } else {
            content_type_of(&node.name)
        },
        "has_preview": false,
        "storage_id": format!("nuage::{}", node.space.0),
        "storage": node.space.0,
        "item_source": node.id.0,
        "file_source": node.id.0,
        "file_parent": node.parent.map(|parent| parent.0),
        "file_target": format!("/{}", share.name),
        "item_size": node.size_bytes,
        "item_mtime": node.mtime.seconds(),
        "share_with": share.receiver_shown.name,
        "share_with_displayname": share.receiver_shown.display_name,
        "share_with_displayname_unique": share.receiver_shown.name,
        "status": [],
        "mail_send": 0,
        "hide_download": i64::from(is_link && !share.may_download),
        "attributes": if share.may_download {
            Value::Null
        } else {
            "[{\"scope\":\"permissions\",\"key\":\"download\",\"value\":false}]".into()
        },
    });
    if is_link && let Some(fields) = object.as_object_mut() {
        let password = match share.password_hash {
            Some(_) => STARS.into(),
            None => Value::Null,
        };
        let token = share.token.as_deref().unwrap_or_default();
        fields.insert("share_with".to_owned(), password.clone());
        fields.insert("share_with_displayname".to_owned(), password.clone());
        fields.insert("password".to_owned(), password);
        fields.insert("send_password_by_talk".to_owned(), false.into());
        fields.insert("url".to_owned(), format!("{base_url}/s/{token}").into());
    }
    object
}
