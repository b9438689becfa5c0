//! OCS calls about files: locks by number, and the search field of clients.

use serde_json::Value;
use serde_json::json;

use crate::files::HandLock;
use crate::files::ListingWants;
use crate::files::Lock;
use crate::files::LockKind;
use crate::files::NodeId;
use crate::files::Timestamp;
use crate::files::error::FilesError;
use crate::files::precondition::Precondition;
use crate::files::search::Condition;
use crate::files::search::Found;
use crate::files::search::OrderKey;
use crate::files::search::Pattern;
use crate::files::search::Query as Search;
use crate::http::query::Query;
use crate::identity::Caller;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::OcsError;

/// The longest text that is searched for, in characters.
const TERM_CHARACTERS_MAX: usize = 200;
/// Results of one page, where none or more is asked for.
const RESULTS_MAX: usize = 50;
const RESULTS_DEFAULT: usize = 5;

impl From<FilesError> for OcsError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::NotFound { .. } => Self::NotFound,
            FilesError::NotPermitted { .. } => Self::Forbidden,
            FilesError::Locked { .. } => Self::Locked,
            FilesError::PreconditionFailed { .. } | FilesError::NoSuchLock { .. } => {
                Self::ConditionFailed
            }
            FilesError::Unavailable(source) => {
                tracing::error!(error = %source, "a call about a file was not answered");
                Self::Unavailable
            }
            _ => Self::BadRequest,
        }
    }
}

impl Nextcloud {
    /// Locks the file of this number by hand, or ends such a lock.
    pub(super) async fn lock_file(
        &self,
        caller: &Caller,
        number: &str,
        is_to_lock: bool,
    ) -> Result<Data, OcsError> {
        let number = number.parse().map_err(|_not_a_number| OcsError::NotFound)?;
        let path = self.files.path_of(caller, NodeId(number)).await?;
        let none = Precondition::default();
        let outcome = if is_to_lock {
            let how = (LockKind::Hand, None);
            self.files.lock_by_hand(caller, &path, how, &none).await?
        } else {
            self.files.unlock_by_hand(caller, &path, &none).await?
        };
        match outcome {
            HandLock::Locked(_, lock) => Ok(describe(number, &lock).into()),
            HandLock::Unlocked(_) => Ok(json!([]).into()),
            HandLock::Held(..) => Err(OcsError::Locked),
            HandLock::NotLocked => Err(OcsError::ConditionFailed),
        }
    }

    /// Searches names in the caller's files.
    pub(super) async fn search_files(
        &self,
        caller: &Caller,
        query: &Query,
    ) -> Result<Data, OcsError> {
        let term = query.get("term").unwrap_or_default().trim();
        if term.is_empty() || term.chars().count() > TERM_CHARACTERS_MAX {
            return Err(OcsError::BadRequest);
        }
        let number = |name: &str| query.get(name)?.parse::<usize>().ok();
        let offset = number("cursor").unwrap_or(0);
        let limit = number("limit").unwrap_or(RESULTS_DEFAULT).min(RESULTS_MAX);
        // Every word, in any order.
        let words = term.split_whitespace().map(|word| {
            let plain = word.replace('%', "");
            Condition::Name(Pattern::new(&format!("%{plain}%")))
        });
        let search = Search {
            scope: nuage_shared::node_path::NodePath::root(),
            condition: Condition::All(words.collect()),
            order: vec![(OrderKey::Modified, true)],
            offset,
            limit,
        };
        let found = self
            .files
            .search(caller, &search, ListingWants::default())
            .await?;
        let entries: Vec<Value> = found
            .iter()
            .map(|Found { path, entry, .. }| {
                let folder = path.parent().unwrap_or_default();
                json!({
                    "thumbnailUrl": "",
                    "title": entry.node.name,
                    "subline": folder.to_string(),
                    "resourceUrl": "",
                    "icon": if entry.node.is_folder() { "icon-folder" } else { "icon-file" },
                    "rounded": false,
                    "attributes": {"fileId": entry.node.id.0.to_string(), "path": path.to_string()},
                })
            })
            .collect();
        let next = offset + entries.len();
        Ok(json!({
            "name": "Nuage",
            "isPaginated": true,
            "entries": entries,
            "cursor": next,
        })
        .into())
    }
}

/// Says what can be searched.
pub(super) fn search_providers() -> Data {
    Data::tagged(json!([{
        "id": "files",
        "appId": "files",
        "name": "Nuage",
        "icon": "",
        "order": 0,
        "triggers": ["files"],
        "filters": {"term": "string"},
        "inAppSearch": false,
    }]))
}

fn describe(number: i64, lock: &Lock) -> Value {
    json!({
        "userId": lock.owner_name,
        "displayName": lock.owner_shown,
        "fileId": number,
        "token": lock.token,
        "eta": lock.timeout_seconds,
        "creation": lock.made_at.map_or(0, Timestamp::seconds),
        "type": 0,
    })
}
