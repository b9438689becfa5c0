//! PUT: a body becomes the current version of a file.
//!
//! Everything that can be known beforehand (conditions, locks, rights, quota) is tested before the
//! first byte of the body is asked for, so a client that waits for `100 Continue` sends nothing in
//! vain. A small body that is here already is not worth a question of its own: its commit tests the same. The new version appears when the core's commit is durable; a body that is cut short,
//! too long, or not what its checksum says leaves the former one.

use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::created_or_replaced;
use crate::dav::error::DavError;
use crate::dav::request::PutHead;
use crate::dav::request::RequestFault;
use crate::files::Upload;
use crate::files::UploadRequest;
use crate::http::body::Body;
use crate::http::body::RequestBody;

/// How long a small body may let wait before what can be known without it is tested.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Answers a PUT.
pub(crate) async fn put(
    dav: &Dav,
    asked: &Asked,
    head: &PutHead,
    body: &mut RequestBody,
) -> Result<Response<Body>, DavError> {
    let committed = receive(dav, asked, head, body).await?.finish().await?;
    let mut response = created_or_replaced(committed.created);
    dav.put_identity(&mut response, &committed.node);
    head.accept_times(&mut response);
    Ok(response)
}

/// Takes the body of a PUT in, up to its last byte.
pub(crate) async fn receive(
    dav: &Dav,
    asked: &Asked,
    head: &PutHead,
    body: &mut RequestBody,
) -> Result<Upload, DavError> {
    let declared_bytes = declared_length(body.size_hint().exact(), head.announced_bytes)?;
    let request = UploadRequest {
        path: asked.request.path.clone(),
        declared_bytes,
        modified_at: head.modified_at,
        created_at: head.created_at,
        checksum: head.checksum.clone(),
        precondition: asked.request.precondition.clone(),
        client_waits: head.client_waits,
    };
    if head.makes_parents {
        let path = &asked.request.path;
        dav.files.make_folders_above(&asked.caller, path).await?;
    }
    let mut upload = dav.files.begin_upload(&asked.caller, request).await?;
    loop {
        let frame = if upload.is_tested() {
            body.frame().await
        } else if let Ok(frame) = timeout(AT_ONCE, body.frame()).await {
            frame
        } else {
            upload.test().await?;
            continue;
        };
        let Some(frame) = frame else {
            break;
        };
        if let Ok(bytes) = frame?.into_data() {
            upload.write(bytes).await?;
        }
    }
    Ok(upload)
}

impl PutHead {
    /// Says of the times that the client set that they were taken.
    pub(crate) fn accept_times(&self, response: &mut Response<Body>) {
        let accepted = HeaderValue::from_static("accepted");
        let headers = response.headers_mut();
        if self.modified_at.is_some() {
            headers.insert(HeaderName::from_static("x-oc-mtime"), accepted.clone());
        }
        if self.created_at.is_some() {
            headers.insert(HeaderName::from_static("x-oc-ctime"), accepted);
        }
    }
}

/// Returns the length of the file: that of the body where it has one, and no header may differ.
fn declared_length(
    exact: Option<u64>,
    announced: Option<u64>,
) -> Result<Option<u64>, RequestFault> {
    match (exact, announced) {
        (Some(exact), Some(announced)) if exact != announced => Err(RequestFault::Lengths),
        (exact, announced) => Ok(exact.or(announced)),
    }
}
