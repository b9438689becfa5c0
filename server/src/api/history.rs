//! What was: the trash, and former versions of files.

use http::Response;
use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::arrange::Outcome;
use crate::api::call::Call;
use crate::api::call::SELECTION_MAX;
use crate::api::call::shown;
use crate::api::content::place;
use crate::api::done;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::shapes::NodeShape;
use crate::api::shapes::kind_of;
use crate::api::shapes::millis;
use crate::files::NodeId;
use crate::files::Timestamp;
use crate::files::TrashEntry;
use crate::files::precondition::Precondition;
use crate::http::body::Body;
use crate::http::download;
use crate::identity::Caller;

/// Entries of one page of the trash.
const TRASH_PER_PAGE: usize = 1_000;

/// Something deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TrashShape {
    /// By what it comes back.
    id: String,
    /// The name that it had.
    name: String,
    /// 0: file, 1: folder.
    kind: u8,
    /// Bytes; of a folder, of everything below.
    size: u64,
    /// When it was deleted, in milliseconds since 1970.
    deleted: i64,
    /// The folder that it was in.
    from: String,
    /// Who deleted it, as people see them.
    deleted_by: Option<String>,
}

/// What lies in the trash, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Trash {
    /// It.
    items: Vec<TrashShape>,
    /// What the next page is asked for with; null: there is none.
    next: Option<String>,
}

/// Things in the trash.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrashIds {
    /// Which.
    ids: Vec<String>,
}

/// A former version.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionShape {
    /// Its number among those of the file.
    number: i64,
    /// When it was modified, in milliseconds since 1970.
    modified: i64,
    /// Its bytes.
    size: u64,
    /// What somebody called it.
    label: Option<String>,
    /// Who made it, by their sign-in name.
    by: Option<String>,
}

/// A file with its former versions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Versions {
    /// The file as it is.
    node: NodeShape,
    /// The versions.
    versions: Vec<VersionShape>,
}

/// One former version of a file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionOf {
    /// The number of the file.
    id: i64,
    /// The number of the version.
    number: i64,
}

/// A name for a former version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelOf {
    /// The number of the file.
    id: i64,
    /// The number of the version.
    number: i64,
    /// The name, which keeps it from being thinned out; empty: none.
    label: String,
}

/// Writes by what something comes back from the trash.
pub(super) fn trash_id(node: NodeId) -> String {
    node.0.to_string()
}

fn shape(entry: TrashEntry) -> TrashShape {
    let above = entry.original.parent().unwrap_or_default();
    TrashShape {
        id: trash_id(entry.node.id),
        kind: kind_of(&entry.node),
        size: entry.node.size_bytes,
        deleted: millis(entry.deleted_at),
        from: shown(&above),
        deleted_by: entry.deleted_by_shown.or(entry.deleted_by),
        name: entry.name,
    }
}

impl Api {
    /// `GET /trash`: what was deleted.
    pub(super) async fn list_trash(&self, call: &Call<'_>) -> ApiResult {
        let before = match call.field("after") {
            Some(after) => Some(cursor(after).ok_or_else(|| Problem::bad_field("after"))?),
            None => None,
        };
        let page = self.files.list_newest_trash(call.caller, before).await?;
        let next = page.last().filter(|_| page.len() >= TRASH_PER_PAGE);
        let next = next.map(|last| format!("{}-{}", last.deleted_at.0, last.node.id.0));
        let items = page.into_iter().map(shape).collect();
        json(StatusCode::OK, &Trash { items, next })
    }

    /// `POST /trash/restore`: brings things back to where they were.
    pub(super) async fn restore_trash(&self, call: &mut Call<'_>) -> ApiResult {
        let ids = read_ids(call).await?;
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in &ids {
            let restored = self.restore_one(call.caller, id).await;
            outcomes.push(Outcome::of(restored.map(Some), call.language));
        }
        Outcome::answer(outcomes)
    }

    async fn restore_one(&self, caller: &Caller, id: &str) -> Result<NodeShape, Problem> {
        let meant = self.files.name_in_trash(caller, node_of(id)?).await?;
        let (node, path) = self.files.restore(caller, &meant).await?;
        self.written(caller, &node, &path).await
    }

    /// `POST /trash/discard`: deletes things for good.
    pub(super) async fn discard_trash(&self, call: &mut Call<'_>) -> ApiResult {
        let ids = read_ids(call).await?;
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in &ids {
            let gone = self.discard_one(call.caller, id).await;
            outcomes.push(Outcome::of(gone.map(|()| None), call.language));
        }
        Outcome::answer(outcomes)
    }

    async fn discard_one(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        let meant = self.files.name_in_trash(caller, node_of(id)?).await?;
        Ok(self.files.discard(caller, &meant).await?)
    }

    /// `POST /trash/empty`: deletes everything in the trash for good.
    pub(super) async fn empty_trash(&self, call: &Call<'_>) -> Result<Response<Body>, Problem> {
        self.files.empty_trash(call.caller).await?;
        Ok(done())
    }

    /// `GET /versions`: a file's former versions.
    pub(super) async fn list_versions(&self, call: &Call<'_>) -> ApiResult {
        let id = call.node()?;
        let (_, versions) = self.files.versions(call.caller, id).await?;
        let path = self.files.path_of(call.caller, id).await?;
        let versions = versions.into_iter().map(|version| VersionShape {
            number: version.number,
            modified: millis(version.modified_at),
            size: version.size_bytes,
            label: version.label,
            by: version.author,
        });
        let list = Versions {
            node: self.node_at(call.caller, &path).await?,
            versions: versions.collect(),
        };
        json(StatusCode::OK, &list)
    }

    /// `GET /versions/content`: the bytes of a former version.
    pub(super) async fn download_version(&self, call: &Call<'_>) -> ApiResult {
        let id = call.node()?;
        let number = call.number("number")?;
        let mut file = self.files.open_version(call.caller, id, number).await?;
        let path = self.files.path_of(call.caller, id).await?;
        if let Some(name) = path.name() {
            name.as_str().clone_into(&mut file.node.name);
        }
        let response = download::respond(&call.parts.headers, call.is_head(), file);
        Ok(place(call, response))
    }

    /// `POST /versions/restore`: makes a former version the current one; what is current becomes a version.
    pub(super) async fn restore_version(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: VersionOf = call.json().await?;
        let id = NodeId(asked.id);
        let unconditional = Precondition::default();
        self.files
            .restore_version(call.caller, id, asked.number, &unconditional)
            .await?;
        let path = self.files.path_of(call.caller, id).await?;
        let shape = self.node_at(call.caller, &path).await?;
        json(StatusCode::OK, &shape)
    }

    /// `POST /versions/label`: names a former version.
    pub(super) async fn label_version(
        &self,
        call: &mut Call<'_>,
    ) -> Result<Response<Body>, Problem> {
        let asked: LabelOf = call.json().await?;
        let id = NodeId(asked.id);
        self.files
            .label_version(call.caller, id, asked.number, asked.label.trim())
            .await?;
        Ok(done())
    }

    /// `POST /versions/discard`: deletes a former version for good.
    pub(super) async fn discard_version(
        &self,
        call: &mut Call<'_>,
    ) -> Result<Response<Body>, Problem> {
        let asked: VersionOf = call.json().await?;
        let id = NodeId(asked.id);
        self.files
            .delete_version(call.caller, id, asked.number)
            .await?;
        Ok(done())
    }
}

async fn read_ids(call: &mut Call<'_>) -> Result<Vec<String>, Problem> {
    let asked: TrashIds = call.json().await?;
    if asked.ids.len() > SELECTION_MAX {
        return Err(Problem::too_many(SELECTION_MAX));
    }
    Ok(asked.ids)
}

fn node_of(id: &str) -> Result<NodeId, Problem> {
    let number = id.parse().map_err(|_not_a_number| Problem::not_found())?;
    Ok(NodeId(number))
}

/// Reads where a page of the trash begins.
fn cursor(text: &str) -> Option<(Timestamp, NodeId)> {
    let (at, node) = text.split_once('-')?;
    Some((Timestamp(at.parse().ok()?), NodeId(node.parse().ok()?)))
}
