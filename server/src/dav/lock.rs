//! LOCK and UNLOCK (RFC 4918 sections 9.10 and 9.11), over the core's locks.
//!
//! A LOCK without a body prolongs the lock whose token the If header names. A lock belongs to
//! the person who took it: the token in another person's request opens nothing.

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::properties::write_lock;
use crate::dav::request::RequestFault;
use crate::dav::xml::parse_lockinfo;
use crate::files::Lock;
use crate::files::LockRequest;
use crate::files::error::FilesError;
use crate::http::body::Body;

/// Answers a LOCK.
pub(crate) async fn lock(
    dav: &Dav,
    asked: &Asked,
    (deep, timeout_seconds): (bool, Option<i64>),
    body: &[u8],
) -> Result<Response<Body>, DavError> {
    if body.is_empty() {
        return refresh(dav, asked, timeout_seconds).await;
    }
    let info = parse_lockinfo(body)?;
    let request = LockRequest {
        shared: info.shared,
        deep,
        timeout_seconds,
        info: info.owner,
    };
    let (caller, path) = (&asked.caller, &asked.request.path);
    let precondition = &asked.request.precondition;
    let locked = dav.files.lock(caller, path, request, precondition).await;
    let (lock, created) = locked.map_err(|error| match error {
        // Only a lock in the way has no end in it; other locks forbid the empty file.
        FilesError::Locked { path, until: None } => DavError::LockConflict(path),
        error => error.into(),
    })?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut response = describe(dav, asked, &lock, status);
    if let Ok(token) = HeaderValue::try_from(format!("<{}>", lock.token)) {
        let name = HeaderName::from_static("lock-token");
        response.headers_mut().insert(name, token);
    }
    Ok(response)
}

/// Prolongs the lock whose token came in the If header (section 9.10.2).
async fn refresh(
    dav: &Dav,
    asked: &Asked,
    timeout_seconds: Option<i64>,
) -> Result<Response<Body>, DavError> {
    let request = &asked.request;
    let tokens: Vec<&str> = request.precondition.tokens().collect();
    if tokens.is_empty() {
        return Err(RequestFault::HeaderMissing("If").into());
    }
    for token in tokens {
        let refreshed = dav
            .files
            .refresh_lock(&asked.caller, &request.path, token, timeout_seconds)
            .await;
        match refreshed {
            Ok(lock) => return Ok(describe(dav, asked, &lock, StatusCode::OK)),
            Err(FilesError::NoSuchLock { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(DavError::TokenElsewhere(StatusCode::PRECONDITION_FAILED))
}

/// Answers an UNLOCK.
pub(crate) async fn unlock(
    dav: &Dav,
    asked: &Asked,
    token: &str,
) -> Result<Response<Body>, DavError> {
    let (caller, path) = (&asked.caller, &asked.request.path);
    match dav.files.unlock(caller, path, token).await {
        Ok(()) => Ok(bare(StatusCode::NO_CONTENT)),
        Err(FilesError::NoSuchLock { .. }) => Err(DavError::TokenElsewhere(StatusCode::CONFLICT)),
        Err(error) => Err(error.into()),
    }
}

/// Writes a lock as the lockdiscovery of section 9.10.1.
fn describe(dav: &Dav, asked: &Asked, lock: &Lock, status: StatusCode) -> Response<Body> {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:prop xmlns:d=\"DAV:\"><d:lockdiscovery>",
    );
    write_lock(&mut text, lock, &asked.mount.prefix, dav.files.now());
    text.push_str("</d:lockdiscovery></d:prop>\n");
    crate::dav::xml(status, text)
}
