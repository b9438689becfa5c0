//! Large files in parts: each may be sent again, what is there is known after a break, and nothing is
//! seen before the last step.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Response;
use http::StatusCode;
use http_body::Body as _;
use http_body_util::BodyExt;
use rand::RngCore;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::path_of;
use crate::api::done;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::shapes::moment;
use crate::files::PartNumber;
use crate::files::PartsRequest;
use crate::files::WholeRequest;
use crate::files::precondition::EtagList;
use crate::files::precondition::Precondition;
use crate::http::body::Body;

/// Random bytes in the name of an upload.
const NAME_BYTES: usize = 16;

/// A file that will come in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginUpload {
    /// Where it will be.
    path: String,
    /// Its length, in bytes.
    size: u64,
}

/// What the parts shall become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinParts {
    /// Where the file shall be.
    path: String,
    /// Its length, in bytes.
    size: u64,
    /// When it was modified, in milliseconds since 1970; null: now.
    modified: Option<i64>,
    /// The file must be this one; null: any.
    if_match: Option<String>,
    /// There must be no file.
    #[serde(default)]
    is_new: bool,
}

/// An upload that began.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Begun {
    /// What its parts are sent to.
    id: String,
    /// How large every part but the last one is, in bytes.
    part_bytes: u64,
}

/// A part that is there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartShape {
    /// Its place, from 1.
    number: i64,
    /// Its length, in bytes.
    size: u64,
}

/// What is there of an upload.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartList {
    /// Its parts, in order.
    parts: Vec<PartShape>,
}

impl Api {
    /// `POST /uploads`: begins an upload in parts. Rights and room are tested at once.
    pub(super) async fn begin_parts(&self, call: &mut Call<'_>) -> ApiResult {
        let asked: BeginUpload = call.json().await?;
        let mut name = [0; NAME_BYTES];
        rand::rng().fill_bytes(&mut name);
        let id = format!("web-{}", BASE64_URL_SAFE_NO_PAD.encode(name));
        let request = PartsRequest {
            total_bytes: Some(asked.size),
            target: Some(path_of(&asked.path)?),
            makes_parents: false,
        };
        self.files.begin_parts(call.caller, &id, request).await?;
        let part_bytes = self.settings.part_bytes;
        json(StatusCode::CREATED, &Begun { id, part_bytes })
    }

    /// `GET /uploads/{id}`: which parts are there.
    pub(super) async fn list_parts(&self, call: &Call<'_>, id: &str) -> ApiResult {
        let (_, parts) = self.files.read_parts(call.caller, id).await?;
        let parts = parts.into_iter().map(|part| PartShape {
            number: part.number,
            size: part.size_bytes,
        });
        let parts = parts.collect();
        json(StatusCode::OK, &PartList { parts })
    }

    /// `PUT /uploads/{id}/{number}`: takes a part in; one that is there already is replaced.
    pub(super) async fn take_part(
        &self,
        call: &mut Call<'_>,
        id: &str,
        number: &str,
    ) -> Result<Response<Body>, Problem> {
        let number = PartNumber::parse(number).ok_or_else(|| Problem::bad_field("number"))?;
        let declared = call.body.size_hint().exact();
        let begun = self.files.begin_part(call.caller, id, number, declared);
        let mut part = begun.await?;
        while let Some(frame) = call.body.frame().await {
            let frame = frame.map_err(|fault| Problem::cut(&fault))?;
            if let Ok(bytes) = frame.into_data() {
                part.write(bytes).await?;
            }
        }
        part.finish().await?;
        Ok(done())
    }

    /// `POST /uploads/{id}`: makes the parts a file. Asked again within a day, it says the same again.
    pub(super) async fn join_parts(&self, call: &mut Call<'_>, id: &str) -> ApiResult {
        let asked: JoinParts = call.json().await?;
        let path = path_of(&asked.path)?;
        let precondition = Precondition {
            if_match: asked.if_match.map(|tag| EtagList::Tags(vec![tag])),
            if_none_match: asked.is_new.then_some(EtagList::Any),
            ..Precondition::default()
        };
        let request = WholeRequest {
            path: path.clone(),
            total_bytes: Some(asked.size),
            modified_at: asked.modified.map(moment),
            created_at: None,
            checksum: None,
            makes_parents: false,
            precondition,
        };
        let became = self.files.finish_parts(call.caller, id, &request).await?;
        let shape = self.node_at(call.caller, &path).await?;
        let status = if became.created {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        json(status, &shape)
    }

    /// `DELETE /uploads/{id}`: gives an upload up.
    pub(super) async fn drop_parts(
        &self,
        call: &Call<'_>,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        self.files.drop_parts(call.caller, id).await?;
        Ok(done())
    }
}
