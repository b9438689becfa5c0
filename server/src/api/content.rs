//! Bytes: read a file, a folder as a ZIP file, a preview; write a file whose bytes come in one piece.

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http_body::Body as _;
use http_body_util::BodyExt;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::api::Api;
use crate::api::ApiResult;
use crate::api::call::Call;
use crate::api::call::SELECTION_MAX;
use crate::api::call::path_of;
use crate::api::json;
use crate::api::problem::Problem;
use crate::api::shapes::moment;
use crate::files::ArchiveRequest;
use crate::files::Timestamp;
use crate::files::UploadRequest;
use crate::files::error::FilesError;
use crate::http::archive;
use crate::http::body::Body;
use crate::http::body::empty;
use crate::http::body::full;
use crate::http::conditions::Comparison;
use crate::http::conditions::parse_etags;
use crate::http::conditions::precondition_of;
use crate::http::download;
use crate::previews::Fit;
use crate::previews::Shape;

/// Says when a file was modified where it comes from, in milliseconds since 1970.
const MODIFIED: HeaderName = HeaderName::from_static("x-nuage-modified");
/// The sides of a preview when none are named.
const SIDE_DEFAULT: u32 = 256;

impl Api {
    /// `GET /content`: the bytes of a file.
    pub(super) async fn download(&self, call: &Call<'_>) -> ApiResult {
        let file = self.files.download(call.caller, &call.path()?).await?;
        Ok(place(
            call,
            download::respond(&call.parts.headers, call.is_head(), file),
        ))
    }

    /// `GET /archive`: a folder, or some of its children, as one ZIP file.
    pub(super) async fn archive(&self, call: &Call<'_>) -> ApiResult {
        let fields = call.parts.uri.query().unwrap_or_default();
        self.archive_of(call, fields.as_bytes()).await
    }

    /// `POST /archive`: the same for as many children as one can select, which no address could hold.
    ///
    /// A form that is sent is the only way to begin a download with a body. It can set no header, so the
    /// mark is one of its fields.
    pub(super) async fn archive_selection(&self, call: &mut Call<'_>) -> ApiResult {
        let form = call.form().await?;
        let mut fields = form_urlencoded::parse(&form);
        let mark = fields.find(|(name, _)| name == "mark");
        let mark = mark.map(|(_, mark)| mark).unwrap_or_default();
        if !self.identity.is_form_mark(call.session, &mark) {
            return Err(Problem::bad_mark());
        }
        self.archive_of(call, &form).await
    }

    async fn archive_of(&self, call: &Call<'_>, fields: &[u8]) -> ApiResult {
        let mut path = String::new();
        let mut asked = Vec::new();
        for (name, value) in form_urlencoded::parse(fields) {
            match &*name {
                "path" => path = value.into_owned(),
                "name" => asked.push(value),
                _ => {}
            }
        }
        if asked.len() > SELECTION_MAX {
            return Err(Problem::too_many(SELECTION_MAX));
        }
        let folder = path_of(&path)?;
        let names = asked
            .iter()
            .map(|name| NodeName::parse(name).map_err(|fault| Problem::bad_path(name, &fault)));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let name = match (names.as_slice(), folder.name()) {
            ([only], _) => only.as_str().to_owned(),
            (_, Some(name)) => name.as_str().to_owned(),
            (_, None) => self.settings.name.clone(),
        };
        let request = ArchiveRequest { folder, names };
        let whole = self.files.archive(call.caller, request).await?;
        let now = self.files.now();
        Ok(archive::respond(
            whole,
            &name,
            now,
            call.language,
            call.is_head(),
        ))
    }

    /// `GET /preview`: a small picture of a file.
    pub(super) async fn preview(&self, call: &Call<'_>) -> ApiResult {
        let side = |name: &str| match call.field(name) {
            Some(_) => call.number(name),
            None => Ok(SIDE_DEFAULT),
        };
        let fit = if call.field("crop").is_some() {
            Fit::Middle
        } else {
            Fit::Within
        };
        let shape = Shape::new(side("width")?, side("height")?, fit);
        let path = self.files.path_of(call.caller, call.node()?).await?;
        let file = match self.files.download(call.caller, &path).await {
            Err(FilesError::IsAFolder { .. }) => return Err(Problem::no_preview()),
            file => file?,
        };
        let preview = self.previews.find(file, shape).await;
        let preview = preview.ok_or_else(Problem::no_preview)?;
        let known = call.parts.headers.get(header::IF_NONE_MATCH);
        let known = known.and_then(|known| known.to_str().ok());
        let is_known = known
            .is_some_and(|known| parse_etags(known, Comparison::Weak).matches(Some(&preview.etag)));
        let tag = HeaderValue::try_from(format!("\"{}\"", preview.etag));
        let form = HeaderValue::from_static(preview.media_type);
        let mut response = if is_known {
            Response::new(empty())
        } else {
            Response::new(full(preview.bytes))
        };
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, form);
        if let Ok(tag) = tag {
            headers.insert(header::ETAG, tag);
        }
        let policy = HeaderValue::from_static("default-src 'none'; sandbox");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    }

    /// `PUT /content`: makes the body the content of a file.
    pub(super) async fn upload(&self, call: &mut Call<'_>) -> ApiResult {
        let path = call.path()?;
        let request = UploadRequest {
            path: path.clone(),
            declared_bytes: call.body.size_hint().exact(),
            modified_at: modified(call)?,
            created_at: None,
            checksum: None,
            precondition: precondition_of(&call.parts.headers),
            client_waits: false,
        };
        let mut upload = self.files.begin_upload(call.caller, request).await?;
        if call.body.size_hint().exact().is_none_or(|bytes| bytes > 0) {
            // What can be known is known before the bytes are asked for.
            upload.test().await?;
        }
        while let Some(frame) = call.body.frame().await {
            let frame = frame.map_err(|fault| Problem::cut(&fault))?;
            if let Ok(bytes) = frame.into_data() {
                upload.write(bytes).await?;
            }
        }
        let committed = upload.finish().await?;
        self.put_down(call, committed.created, &committed.node, &path)
            .await
    }

    /// Answers with a file that was written.
    pub(super) async fn put_down(
        &self,
        call: &Call<'_>,
        is_new: bool,
        node: &crate::files::Node,
        path: &NodePath,
    ) -> ApiResult {
        let shape = self.written(call.caller, node, path).await?;
        let status = if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        json(status, &shape)
    }
}

/// Returns when a file was modified where it comes from.
fn modified(call: &Call<'_>) -> Result<Option<Timestamp>, Problem> {
    let Some(value) = call.parts.headers.get(&MODIFIED) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let millis = text.and_then(|text| text.parse().ok());
    let millis = millis.ok_or_else(|| Problem::bad_field(MODIFIED.as_str()))?;
    Ok(Some(moment(millis)))
}

/// Makes a download of what could be shown, unless it was asked for to be shown.
pub(super) fn place(call: &Call<'_>, mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    if call.field("as") == Some("inline") {
        // The page shows it in a frame of its own.
        let same = HeaderValue::from_static("SAMEORIGIN");
        headers.insert(header::X_FRAME_OPTIONS, same);
        return response;
    }
    let shown = headers.get(header::CONTENT_DISPOSITION);
    let shown = shown.and_then(|shown| shown.to_str().ok());
    let rest = shown.and_then(|shown| shown.strip_prefix("inline"));
    if let Some(Ok(value)) = rest.map(|rest| HeaderValue::try_from(format!("attachment{rest}"))) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
