//! Changing where things are: make, move, copy, delete. Each thing by itself, each with its inverse.

use http::StatusCode;
use nuage_shared::node_path::NodePath;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::SELECTION_MAX;
use crate::api::call::path_of;
use crate::api::history::trash_id;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::problem::ProblemDocument;
use crate::api::shapes::NodeShape;
use crate::files::precondition::Precondition;
use crate::http::language::Language;
use crate::identity::Caller;

/// How things get to another place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placing {
    /// They leave the one where they are.
    Move,
    /// They stay there too.
    Copy,
}

/// A folder to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MakeFolder {
    /// Where.
    path: String,
}

/// From where to where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Where it is.
    from: String,
    /// Where it shall be, with its name there.
    to: String,
}

/// Things to move or copy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Steps {
    /// Which, and whither.
    items: Vec<Step>,
    /// Whether what is in the way goes to the trash.
    #[serde(default)]
    overwrite: bool,
}

/// Things to delete.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paths {
    /// Which.
    paths: Vec<String>,
}

/// What became of one thing of many.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// Whether it was done.
    ok: bool,
    /// What there is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeShape>,
    /// By what it comes back from the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    trashed: Option<String>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument>,
}

/// What became of each thing, in the order in which they were named.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcomes {
    /// They.
    results: Vec<Outcome>,
}

impl Outcome {
    pub(super) fn of(result: Result<Option<NodeShape>, Problem>, language: Language) -> Self {
        let (node, problem) = match result {
            Ok(node) => (node, None),
            Err(problem) => (None, Some(problem.document(language))),
        };
        Self {
            ok: problem.is_none(),
            node,
            trashed: None,
            problem,
        }
    }

    pub(super) fn answer(results: Vec<Self>) -> ApiResult {
        json(StatusCode::OK, &Outcomes { results })
    }
}

impl Api {
    /// `POST /folders`: makes a folder.
    pub(super) async fn make_folder(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: MakeFolder = call.json().await?;
        let path = path_of(&asked.path)?;
        let unconditional = Precondition::default();
        let made = self
            .files
            .make_folder(call.caller, &path, Vec::new(), &unconditional);
        let made = made.await?;
        let shape = self.written(call.caller, &made, &path).await?;
        json(StatusCode::CREATED, &shape)
    }

    /// `POST /move`: moves or renames things. `POST /copy`: copies things, without copying contents.
    pub(super) async fn place_nodes(&self, call: &mut Call<'_>, how: Placing) -> ApiResult {
        let steps: Steps = call.json().await?;
        if steps.items.len() > SELECTION_MAX {
            return Err(Problem::too_many(SELECTION_MAX));
        }
        let mut outcomes = Vec::with_capacity(steps.items.len());
        for step in &steps.items {
            let placed = self.place_one(call.caller, how, step, steps.overwrite);
            outcomes.push(Outcome::of(placed.await.map(Some), call.language));
        }
        Outcome::answer(outcomes)
    }

    async fn place_one(
        &self,
        caller: &Caller,
        how: Placing,
        step: &Step,
        overwrite: bool,
    ) -> Result<NodeShape, Problem> {
        let (from, to) = (path_of(&step.from)?, path_of(&step.to)?);
        let files = &self.files;
        let unconditional = Precondition::default();
        let placed = match how {
            Placing::Move => {
                files
                    .move_node(caller, &from, &to, overwrite, &unconditional)
                    .await
            }
            Placing::Copy => {
                let copied = files.copy_node(caller, &from, &to, overwrite, false, &unconditional);
                copied.await
            }
        };
        let placed = placed.map_err(|error| in_the_way(error, overwrite, &to))?;
        self.written(caller, &placed.node, &to).await
    }

    /// `POST /delete`: moves things to the trash; what was given to the caller is left.
    pub(super) async fn delete_nodes(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: Paths = call.json().await?;
        if asked.paths.len() > SELECTION_MAX {
            return Err(Problem::too_many(SELECTION_MAX));
        }
        let mut outcomes = Vec::with_capacity(asked.paths.len());
        for path in &asked.paths {
            let deleted = self.delete_one(call.caller, path).await;
            let (result, trashed) = match deleted {
                Ok(trashed) => (Ok(None), trashed),
                Err(problem) => (Err(problem), None),
            };
            let mut outcome = Outcome::of(result, call.language);
            outcome.trashed = trashed;
            outcomes.push(outcome);
        }
        Outcome::answer(outcomes)
    }

    async fn delete_one(&self, caller: &Caller, path: &str) -> Result<Option<String>, Problem> {
        let path = path_of(path)?;
        let unconditional = Precondition::default();
        let trashed = self.files.delete(caller, &path, &unconditional).await?;
        Ok(trashed.map(trash_id))
    }
}

/// Nobody here set a condition: what failed is that something is in the way.
fn in_the_way(
    error: crate::files::error::FilesError,
    overwrite: bool,
    to: &NodePath,
) -> crate::files::error::FilesError {
    use crate::files::error::FilesError;
    match error {
        FilesError::PreconditionFailed { .. } if !overwrite => {
            FilesError::AlreadyExists { path: to.clone() }
        }
        other => other,
    }
}
