//! Looking: a folder in columns, a node, searches.
//!
//! A folder is answered in columns: a list for each property in place of an object for each child. That is a third
//! smaller, and what reads it makes one object in place of ten thousand.

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use nuage_shared::node_path::NodePath;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::arrange::Outcome;
use crate::api::call::Call;
use crate::api::call::SELECTION_MAX;
use crate::api::call::path_of;
use crate::api::call::shown;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::shapes::MountShape;
use crate::api::shapes::Named;
use crate::api::shapes::NodeShape;
use crate::api::shapes::Nodes;
use crate::api::shapes::Quota;
use crate::api::shapes::kind_of;
use crate::api::shapes::millis;
use crate::api::shapes::shared_bits;
use crate::files::Entry;
use crate::files::ListingWants;
use crate::files::Node;
use crate::files::NodeId;
use crate::files::Permissions;
use crate::files::PropertyChange;
use crate::files::precondition::Precondition;
use crate::files::search;
use crate::files::search::Condition;
use crate::files::search::Found;
use crate::files::search::OrderKey;
use crate::http::body::empty;
use crate::http::conditions::Comparison;
use crate::http::conditions::parse_etags;
use crate::identity::Caller;

/// Results of one page of a search.
const FOUND_PER_PAGE: usize = 100;
/// Words that one search looks for.
const WORDS_MAX: usize = 8;
/// Files that count as recent.
const RECENT_MAX: usize = 100;

/// Properties of children, one list for each, all in the same order.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Columns {
    /// Numbers for life.
    id: Vec<i64>,
    /// Names.
    name: Vec<String>,
    /// 0: file, 1: folder.
    kind: Vec<u8>,
    /// Bytes; of folders, of everything below.
    size: Vec<u64>,
    /// When they were modified, in milliseconds since 1970.
    modified: Vec<i64>,
    /// Change when they do.
    etag: Vec<String>,
    /// What the caller may do.
    permissions: Vec<i64>,
    /// 1: the caller marked it.
    favorite: Vec<u8>,
    /// How the caller shared it: 1 with people, 2 with groups, 4 by link.
    shared: Vec<u8>,
    /// What it is, where it was given.
    mount: Vec<Option<MountShape>>,
}

impl Columns {
    fn push(&mut self, entry: Entry, around: Permissions) {
        let mount = entry.mount.as_deref();
        let permissions = mount.map_or(around, |mount| mount.permissions);
        self.id.push(entry.node.id.0);
        self.kind.push(kind_of(&entry.node));
        self.size.push(entry.node.size_bytes);
        self.modified.push(millis(entry.node.mtime));
        self.etag.push(entry.node.etag());
        self.permissions.push(permissions.bits());
        self.favorite.push(entry.is_favorite.into());
        self.shared.push(shared_bits(&entry.share_kinds));
        self.mount.push(mount.map(MountShape::of));
        self.name.push(entry.node.name);
    }
}

/// A folder with its children.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Folder {
    /// Where it is.
    path: String,
    /// Its number for life.
    id: i64,
    /// Its name; of the root, empty.
    name: String,
    /// Changes when anything at or below it does.
    etag: String,
    /// What the caller may do in it.
    permissions: i64,
    /// Whose it is.
    owner: Named,
    /// The room of its space.
    quota: Option<Quota>,
    /// What it is, where it was given.
    mount: Option<MountShape>,
    /// How many children it has.
    count: usize,
    /// The children.
    columns: Columns,
}

/// What to mark or no longer to mark.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkFavorites {
    /// Which.
    paths: Vec<String>,
    /// Whether they shall be favourites.
    favorite: bool,
}

fn wants(caller: &Caller) -> ListingWants {
    ListingWants {
        favorites_of: Some(caller.user),
        share_kinds: true,
        ..ListingWants::default()
    }
}

impl Api {
    /// `GET /list`: a folder and its children.
    pub(super) async fn list(&self, call: &Call<'_>) -> ApiResult {
        let path = call.path()?;
        let wants = ListingWants {
            quota: true,
            ..wants(call.caller)
        };
        let mut listing = self.files.list(call.caller, &path, wants, true).await?;
        if !listing.entry.node.is_folder() {
            return Err(crate::files::error::FilesError::NotAFolder { path }.into());
        }
        let around = listing.rights.permissions;
        let mut columns = Columns::default();
        loop {
            let page = listing.next_page().await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                columns.push(entry, around);
            }
        }
        let folder = Folder {
            path: shown(&path),
            id: listing.entry.node.id.0,
            name: listing.entry.node.name.clone(),
            etag: listing.entry.node.etag(),
            permissions: around.bits(),
            owner: listing.owner.clone().into(),
            quota: listing.quota.map(Quota::from),
            mount: listing.entry.mount.as_deref().map(MountShape::of),
            count: columns.id.len(),
            columns,
        };
        tagged(call, json(StatusCode::OK, &folder)?).await
    }

    /// `GET /node`: one file or folder, by path or number.
    pub(super) async fn show_node(&self, call: &Call<'_>) -> ApiResult {
        let path = match call.field("id") {
            Some(_) => self.files.path_of(call.caller, call.node()?).await?,
            None => call.path()?,
        };
        let shape = self.node_at(call.caller, &path).await?;
        json(StatusCode::OK, &shape)
    }

    /// Returns a node with everything that the page shows of it.
    pub(super) async fn node_at(
        &self,
        caller: &Caller,
        path: &NodePath,
    ) -> Result<NodeShape, Problem> {
        let listing = self.files.list(caller, path, wants(caller), false).await?;
        let owner = listing.owner.clone().into();
        let around = listing.rights.permissions;
        Ok(NodeShape::of_entry(&listing.entry, path, around, &owner))
    }

    /// Returns a node that was just written.
    pub(super) async fn written(
        &self,
        caller: &Caller,
        node: &Node,
        path: &NodePath,
    ) -> Result<NodeShape, Problem> {
        let (rights, owner) = self.files.rights(caller, path).await?;
        let owner = owner.into();
        Ok(NodeShape::of_node(node, path, rights.permissions, owner))
    }

    /// `GET /search`: what has these words in its name, at and below a folder.
    pub(super) async fn search(&self, call: &Call<'_>) -> ApiResult {
        let text = call.field("q").unwrap_or_default();
        let words = text.split_whitespace().take(WORDS_MAX);
        // A per cent sign stands for any characters in a pattern.
        let patterns = words.map(|word| format!("%{}%", word.replace('%', "")));
        let names: Vec<Condition> = patterns
            .map(|pattern| Condition::Name(search::Pattern::new(&pattern)))
            .collect();
        let offset = match call.field("after") {
            Some(_) => call.number("after")?,
            None => 0_usize,
        };
        if names.is_empty() {
            return json(
                StatusCode::OK,
                &Nodes {
                    items: Vec::new(),
                    next: None,
                },
            );
        }
        let query = search::Query {
            scope: call.path()?,
            condition: Condition::All(names),
            order: vec![(OrderKey::Name, false)],
            offset,
            limit: FOUND_PER_PAGE,
        };
        self.found(call, query).await
    }

    /// `GET /recent`: the files that were modified last.
    pub(super) async fn recent(&self, call: &Call<'_>) -> ApiResult {
        let query = search::Query {
            scope: NodePath::root(),
            condition: Condition::Not(Box::new(Condition::IsFolder)),
            order: vec![(OrderKey::Modified, true)],
            offset: 0,
            limit: RECENT_MAX,
        };
        self.found(call, query).await
    }

    async fn found(&self, call: &Call<'_>, query: search::Query) -> ApiResult {
        let caller = call.caller;
        let (offset, limit) = (query.offset, query.limit);
        let found = self.files.search(caller, &query, wants(caller)).await?;
        let has_more = found.len() >= limit && limit == FOUND_PER_PAGE;
        let items = Self::shapes(caller, found);
        let next = has_more.then(|| (offset + limit).to_string());
        json(StatusCode::OK, &Nodes { items, next })
    }

    /// Returns what was found as the page reads it.
    fn shapes(caller: &Caller, found: Vec<Found>) -> Vec<NodeShape> {
        let own = Named {
            name: caller.name.to_string(),
            display_name: caller.display_name.to_string(),
        };
        let shapes = found.into_iter().map(|found| {
            let Found { path, entry, given } = found;
            match given {
                Some((rights, owner)) => {
                    NodeShape::of_entry(&entry, &path, rights.permissions, &owner.into())
                }
                None => NodeShape::of_entry(&entry, &path, Permissions::ALL, &own),
            }
        });
        shapes.collect()
    }

    /// `GET /favorites`: what the caller marked.
    pub(super) async fn favorites(&self, call: &Call<'_>) -> ApiResult {
        let after = match call.field("after") {
            Some(_) => NodeId(call.number("after")?),
            None => NodeId(0),
        };
        let caller = call.caller;
        let found = self
            .files
            .find_marked(caller, (true, &[]), after, wants(caller));
        let page = found.await?;
        let next = page.next.map(|next| next.0.to_string());
        let items = Self::shapes(caller, page.found);
        json(StatusCode::OK, &Nodes { items, next })
    }

    /// `POST /favorites`: marks things, or no longer.
    pub(super) async fn mark_favorites(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: MarkFavorites = call.json().await?;
        if asked.paths.len() > SELECTION_MAX {
            return Err(Problem::too_many(SELECTION_MAX));
        }
        let mut outcomes = Vec::with_capacity(asked.paths.len());
        for path in &asked.paths {
            let marked = self.mark(call.caller, path, asked.favorite).await;
            outcomes.push(Outcome::of(marked.map(Some), call.language));
        }
        Outcome::answer(outcomes)
    }

    async fn mark(
        &self,
        caller: &Caller,
        path: &str,
        favorite: bool,
    ) -> Result<NodeShape, Problem> {
        let path = path_of(path)?;
        let change = PropertyChange {
            favorite: Some(favorite),
            ..PropertyChange::default()
        };
        let unconditional = Precondition::default();
        self.files
            .patch_properties(caller, &path, change, &unconditional)
            .await?;
        self.node_at(caller, &path).await
    }
}

/// Gives an answer a tag by its bytes; says 304 to whoever has it already.
async fn tagged(call: &Call<'_>, response: Response<crate::http::body::Body>) -> ApiResult {
    use http_body_util::BodyExt;
    let (mut head, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|fault| Problem::cut(&fault))?;
    let bytes = bytes.to_bytes();
    let mark = blake3::hash(&bytes).to_hex();
    let mark = mark.get(..32).unwrap_or_default();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{mark}\"")) {
        head.headers.insert(header::ETAG, tag);
    }
    let known = call.parts.headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| parse_etags(known, Comparison::Weak).matches(Some(mark))) {
        head.status = StatusCode::NOT_MODIFIED;
        return Ok(Response::from_parts(head, empty()));
    }
    Ok(Response::from_parts(head, crate::http::body::full(bytes)))
}
