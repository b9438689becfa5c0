//! What happened, as clients of the Nextcloud family list it (`apps/activity/api/v2/activity`).
//!
//! # What surprises
//!
//! Some clients go on behind the number of the last entry that they have, others behind what the header says. So
//! the last entry of a page bears the number at which the next page goes on.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::files::NodeId;
use crate::files::activity::Activity;
use crate::files::activity::ActivityFrom;
use crate::files::activity::ActivityRequest;
use crate::files::activity::Kinds;
use crate::files::activity::PAGE_MAX;
use crate::files::activity::Subject;
use crate::files::activity::What;
use crate::files::activity::Who;
use crate::files::activity::Whose;
use crate::http::happening;
use crate::http::language::Language;
use crate::identity::Caller;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::OcsRequest;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::OcsError;

/// Activities of a page that says nothing else.
const PAGE_DEFAULT: usize = 50;

impl Nextcloud {
    /// Lists what happened, the newest first unless the other order is asked for.
    pub(super) async fn list_activity(
        &self,
        caller: &Caller,
        filter: &str,
        asked: &OcsRequest<'_>,
    ) -> Result<Data, OcsError> {
        if !self.settings.keeps_activity {
            return Err(OcsError::UnknownRoute);
        }
        let request = request_of(filter, asked)?;
        let page = self.files.activity(caller, &request).await?;
        let Some(last) = page
            .last
            .filter(|_| !page.activities.is_empty() || page.has_more)
        else {
            return Ok(Data::nothing_new());
        };
        let language = Language::of(asked.headers);
        let mut entries: Vec<Value> = page
            .activities
            .iter()
            .map(|activity| describe(activity, language, asked.base_url))
            .collect();
        if let Some(Value::Object(fields)) = entries.last_mut() {
            fields.insert("activity_id".to_owned(), last.into());
        }
        let data = Data::from(Value::Array(entries)).ending_at(last);
        if !page.has_more {
            return Ok(data);
        }
        Ok(data.followed_by(&next_page(asked, last)))
    }
}

/// Reads what is wanted.
fn request_of(filter: &str, asked: &OcsRequest<'_>) -> Result<ActivityRequest, OcsError> {
    let number = |name: &str| -> Result<Option<i64>, OcsError> {
        let text = asked.query.get(name).filter(|text| !text.is_empty());
        let number = text.map(|text| text.parse().map_err(|_fault| OcsError::BadRequest));
        number.transpose()
    };
    let node = match asked
        .query
        .get("object_type")
        .filter(|kind| !kind.is_empty())
    {
        None => None,
        Some("files") => number("object_id")?.map(NodeId),
        Some(_) => return Err(OcsError::NotFound),
    };
    let (whose, kinds) = match filter {
        "all" | "filter" => (Whose::Everybody, Kinds::All),
        "self" => (Whose::Mine, Kinds::All),
        "by" => (Whose::Others, Kinds::All),
        "files" => (Whose::Everybody, Kinds::Files),
        "files_sharing" => (Whose::Everybody, Kinds::Sharing),
        _ => return Err(OcsError::NotFound),
    };
    let since = number("since")?.filter(|since| *since > 0);
    let from = match (asked.query.get("sort"), since) {
        (Some("asc"), since) => ActivityFrom::After(since.unwrap_or(0)),
        (_, since) => ActivityFrom::Before(since.unwrap_or(i64::MAX)),
    };
    let limit = number("limit")?.unwrap_or_default();
    let limit = usize::try_from(limit).unwrap_or_default();
    Ok(ActivityRequest {
        node,
        whose,
        kinds,
        from,
        limit: match limit {
            0 => PAGE_DEFAULT,
            limit => limit.min(PAGE_MAX),
        },
    })
}

/// Returns the address of the next page: the same question, from another number on.
fn next_page(asked: &OcsRequest<'_>, last: i64) -> String {
    let mut fields = form_urlencoded::Serializer::new(String::new());
    for (name, value) in asked.query.all().filter(|(name, _)| *name != "since") {
        fields.append_pair(name, value);
    }
    fields.append_pair("since", &last.to_string());
    format!("{}{}?{}", asked.base_url, asked.path, fields.finish())
}

/// Returns the word for what was done, and the application that clients think it of.
fn kind_of(what: &What) -> (&'static str, &'static str) {
    match what {
        What::Created => ("file_created", "files"),
        What::Changed | What::Renamed { .. } | What::Moved { .. } | What::VersionRestored => {
            ("file_changed", "files")
        }
        What::Deleted => ("file_deleted", "files"),
        What::Restored => ("file_restored", "files"),
        What::Shared(_) | What::ShareChanged(_) | What::ShareEnded(_) => {
            ("shared", "files_sharing")
        }
        What::LinkOpened { .. } | What::LinkDownloaded { .. } => ("public_links", "files_sharing"),
    }
}

fn path_of(subject: &Subject) -> String {
    match &subject.path {
        Some(path) => path.to_string(),
        None => format!("/{}", subject.name),
    }
}

fn describe(activity: &Activity, language: Language, base_url: &str) -> Value {
    let (kind, app) = kind_of(&activity.what);
    let user = match &activity.who {
        Who::Person { shown, .. } => shown.name.as_str(),
        Who::Visitor | Who::Administrator | Who::Gone => "",
    };
    let objects: Map<String, Value> = activity
        .on
        .iter()
        .map(|subject| (subject.node.0.to_string(), path_of(subject).into()))
        .collect();
    let first = activity.on.first();
    let number = first.map_or(0, |subject| subject.node.0);
    json!({
        "activity_id": activity.id,
        "app": app,
        "type": kind,
        "user": user,
        "subject": happening::sentence(language, activity),
        "subject_rich": ["", []],
        "message": happening::whence(language, activity),
        "message_rich": ["", []],
        "object_type": "files",
        "object_id": number,
        "object_name": first.map(path_of).unwrap_or_default(),
        "objects": objects,
        "link": format!("{base_url}/f/{number}"),
        "icon": "",
        "datetime": moment(activity),
        "previews": [],
    })
}

/// Writes when it ended, in the form of RFC 3339.
fn moment(activity: &Activity) -> String {
    let at = jiff::Timestamp::from_second(activity.at.seconds()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}
