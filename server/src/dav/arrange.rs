//! MOVE, COPY and DELETE: one call of the core each, however large the tree.
//!
//! The tree moves, or it does not; so a 207 that lists what failed is never needed. Where a
//! lock below forbids the whole, the answer is 423 and names the locked node.

use http::Response;
use http::StatusCode;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::bare;
use crate::dav::created_or_replaced;
use crate::dav::error::DavError;
use crate::dav::request::Depth;
use crate::dav::request::Transfer;
use crate::dav::wrong_depth;
use crate::http::body::Body;

/// Answers a MOVE (RFC 4918 section 9.9).
pub(crate) async fn move_node(
    dav: &Dav,
    asked: &Asked,
    transfer: &Transfer,
) -> Result<Response<Body>, DavError> {
    let request = &asked.request;
    require_whole_tree(dav, asked, transfer.depth).await?;
    let moved = dav
        .files
        .move_node(
            &asked.caller,
            &request.path,
            &transfer.to,
            transfer.overwrite,
            &request.precondition,
        )
        .await?;
    let mut response = created_or_replaced(moved.created);
    dav.put_identity(&mut response, &moved.node);
    Ok(response)
}

/// Answers a COPY (RFC 4918 section 9.8).
pub(crate) async fn copy(
    dav: &Dav,
    asked: &Asked,
    transfer: &Transfer,
) -> Result<Response<Body>, DavError> {
    let request = &asked.request;
    let shallow = match transfer.depth {
        Some(Depth::Zero) => true,
        Some(Depth::Infinity) | None => false,
        Some(Depth::One) => return Err(wrong_depth()),
    };
    let copied = dav
        .files
        .copy_node(
            &asked.caller,
            &request.path,
            &transfer.to,
            transfer.overwrite,
            shallow,
            &request.precondition,
        )
        .await?;
    let mut response = created_or_replaced(copied.created);
    dav.put_identity(&mut response, &copied.node);
    Ok(response)
}

/// Answers a DELETE (RFC 4918 section 9.6): the tree goes to the trash, or for good.
pub(crate) async fn delete(
    dav: &Dav,
    asked: &Asked,
    depth: Option<Depth>,
    for_good: bool,
) -> Result<Response<Body>, DavError> {
    let (caller, request) = (&asked.caller, &asked.request);
    let (path, precondition) = (&request.path, &request.precondition);
    require_whole_tree(dav, asked, depth).await?;
    if for_good {
        dav.files
            .delete_for_good(caller, path, precondition)
            .await?;
    } else {
        dav.files.delete(caller, path, precondition).await?;
    }
    Ok(bare(StatusCode::NO_CONTENT))
}

/// Refuses a Depth other than infinity for a folder (sections 9.6.1 and 9.9.2); a file has no depth.
async fn require_whole_tree(
    dav: &Dav,
    asked: &Asked,
    depth: Option<Depth>,
) -> Result<(), DavError> {
    let is_whole = matches!(depth, None | Some(Depth::Infinity));
    if !is_whole
        && dav
            .files
            .find(&asked.caller, &asked.request.path)
            .await?
            .is_folder()
    {
        return Err(wrong_depth());
    }
    Ok(())
}
