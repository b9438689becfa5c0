//! What lies below `/remote.php/dav/` beside people's files: uploads, trash, versions, tags.
//!
//! Each area is a small tree of collections of its own, named after who asks. An address
//! that names somebody else's is not there.

use http::Request;
use http::Response;

use crate::dav::Dav;
use crate::dav::error::DavError;
use crate::dav::request::RequestFault;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::language::Language;
use crate::identity::Caller;

/// Answers a request below `/remote.php/dav/` that is not for a tree of files.
pub(crate) fn serve(
    _dav: &Dav,
    _caller: &Caller,
    request: &Request<RequestBody>,
) -> Result<Response<Body>, DavError> {
    let _language = Language::of(request.headers());
    Err(RequestFault::Outside.into())
}
