//! What lies below `/remote.php/dav/` beside people's files: uploads, trash, versions, tags.
//!
//! Each area is a small tree of collections of its own, named after who asks. An address
//! that names somebody else's is not there.

use http::Response;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::dav::Dav;
use crate::dav::error::DavError;
use crate::dav::request::RequestFault;
use crate::dav::uploads;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::identity::Caller;
use crate::identity::names::AccountName;

/// Answers a request below `/remote.php/dav/` that is not for a tree of files.
pub(crate) async fn serve(
    dav: &Dav,
    caller: &Caller,
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Response<Body>, DavError> {
    let path = parts.uri.path();
    let rest = path.strip_prefix("/remote.php/dav/").unwrap_or_default();
    let (area, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let user = rest.split('/').next().unwrap_or_default();
    if !is_name_of(user, caller) {
        return Err(RequestFault::Outside.into());
    }
    match area {
        "uploads" => uploads::serve(dav, caller, user, (parts, body)).await,
        _ => Err(RequestFault::Outside.into()),
    }
}

/// Returns whether a part of an address, as it is written, is the caller's name.
fn is_name_of(user: &str, caller: &Caller) -> bool {
    let Ok(user) = percent_decode_str(user).decode_utf8() else {
        return false;
    };
    let names = [user.as_ref(), caller.name.as_ref()].map(AccountName::parse);
    matches!(names, [Ok(asked), Ok(own)] if asked.fold() == own.fold())
}
