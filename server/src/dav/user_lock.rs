//! LOCK and UNLOCK with `X-User-Lock`: what a person does in a sync client, without WebDAV's bodies.
//!
//! The answer is the lock in eight properties, also where somebody else's lock is in the way: the
//! client shows whose.

use http::Response;
use http::StatusCode;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::properties::LOCK_TAGS;
use crate::dav::properties::write_lock_value;
use crate::files::HandLock;
use crate::files::Lock;
use crate::files::LockKind;
use crate::files::Node;
use crate::http::body::Body;

/// Answers a LOCK by hand.
pub(crate) async fn lock(
    dav: &Dav,
    asked: &Asked,
    kind: LockKind,
) -> Result<Response<Body>, DavError> {
    let request = &asked.request;
    let lock = (kind, None);
    let outcome = dav
        .files
        .lock_by_hand(&asked.caller, &request.path, lock, &request.precondition)
        .await?;
    Ok(answer(dav, &outcome))
}

/// Answers an UNLOCK by hand.
pub(crate) async fn unlock(dav: &Dav, asked: &Asked) -> Result<Response<Body>, DavError> {
    let request = &asked.request;
    let outcome = dav
        .files
        .unlock_by_hand(&asked.caller, &request.path, &request.precondition)
        .await?;
    Ok(answer(dav, &outcome))
}

fn answer(dav: &Dav, outcome: &HandLock) -> Response<Body> {
    let (status, node, lock) = match outcome {
        HandLock::Locked(node, lock) => (StatusCode::OK, node, Some(lock)),
        HandLock::Unlocked(node) => (StatusCode::OK, node, None),
        HandLock::Held(node, lock) => (StatusCode::LOCKED, node, Some(lock)),
        HandLock::NotLocked => return bare(StatusCode::PRECONDITION_FAILED),
    };
    let mut response = crate::dav::xml(status, describe(node, lock));
    dav.put_identity(&mut response, node);
    response
}

fn describe(node: &Node, lock: Option<&Lock>) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:prop xmlns:d=\"DAV:\" \
         xmlns:oc=\"http://owncloud.org/ns\" xmlns:nc=\"http://nextcloud.org/ns\">",
    );
    for tag in LOCK_TAGS {
        let mut value = String::new();
        write_lock_value(tag, &mut value, lock);
        for part in ["<", tag, ">", &value, "</", tag, ">"] {
            out.push_str(part);
        }
    }
    for part in [
        "<d:getetag>&quot;",
        &node.etag(),
        "&quot;</d:getetag></d:prop>\n",
    ] {
        out.push_str(part);
    }
    out
}
