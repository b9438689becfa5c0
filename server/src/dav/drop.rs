//! Folders into which others send files without seeing what is there: by a link that only allows that.
//!
//! Whatever is sent becomes a file of its own, under a name that was free; nothing that is there can be
//! overwritten, listed or even guessed at. Whoever says their name gets a folder of their own.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;
use percent_encoding::percent_decode_str;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::put;
use crate::dav::request::RequestFault;
use crate::dav::request::Verb;
use crate::files::Permissions;
use crate::files::error::FilesError;
use crate::files::precondition::Precondition;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::identity::Caller;
use crate::identity::Scope;

/// What is served here.
const METHODS: &str = "OPTIONS, PUT, MKCOL";

/// Returns whether a caller may send into a folder and nothing else.
pub(crate) fn is_for(caller: &Caller) -> bool {
    matches!(&caller.scope, Scope::Link(link) if link.permissions == Permissions::CREATE)
}

/// Answers a request of somebody who may only send.
pub(crate) async fn serve(
    dav: &Dav,
    mut asked: Asked,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response<Body>, DavError> {
    let own = own_folder(headers)?;
    match &asked.request.verb {
        Verb::Options => {
            let mut response = bare(StatusCode::OK);
            let set = response.headers_mut();
            set.insert(header::ALLOW, HeaderValue::from_static(METHODS));
            set.insert(
                HeaderName::from_static("dav"),
                HeaderValue::from_static("1"),
            );
            Ok(response)
        }
        Verb::Put(head) => {
            let name = asked.request.path.name().cloned();
            let name = name.ok_or(DavError::OnlyPut)?;
            let path = match own {
                Some(own) => {
                    make_own(dav, &asked.caller, &own).await?;
                    own.child(name)
                }
                None => NodePath::root().child(name),
            };
            let path = path.map_err(|fault| RequestFault::Url(fault.into()))?;
            asked.request.path = dav.files.free_path(&asked.caller, &path).await?;
            asked.request.precondition = Precondition::default();
            put::receive(dav, &asked, head, body)
                .await?
                .finish_as_new()
                .await?;
            // What became of it, and where it is, is not theirs to know.
            Ok(bare(StatusCode::CREATED))
        }
        Verb::Mkcol => {
            let own = own.ok_or(DavError::OnlyPut)?;
            make_own(dav, &asked.caller, &own).await?;
            Ok(bare(StatusCode::CREATED))
        }
        _ => Err(DavError::OnlyPut),
    }
}

/// Returns the folder of whoever says their name.
fn own_folder(headers: &HeaderMap) -> Result<Option<NodePath>, DavError> {
    let Some(nickname) = headers.get("x-nc-nickname") else {
        return Ok(None);
    };
    let fault = || RequestFault::Header("X-NC-Nickname");
    let text = nickname.to_str().map_err(|_not_text| fault())?;
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_not_text| fault())?;
    let name = NodeName::parse(text.trim()).map_err(|_fault| fault())?;
    let path = NodePath::root().child(name).map_err(|_fault| fault())?;
    Ok(Some(path))
}

async fn make_own(dav: &Dav, caller: &Caller, own: &NodePath) -> Result<(), DavError> {
    let unconditional = Precondition::default();
    let made = dav
        .files
        .make_folder(caller, own, Vec::new(), &unconditional);
    match made.await {
        Ok(_) | Err(FilesError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
