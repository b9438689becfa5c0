//! Links to a file or folder by its number, for those who may see it: `/f/{number}`.
//!
//! Clients show them as "internal link", and people send them to each other. A link opens nothing by itself: who
//! follows it signs in, and is led to where the node lies for them now, whatever it is called today.
//!
//! *Always true:* a number of nothing and the number of somebody else's are answered alike.

use http::Response;
use nuage_shared::node_path::NodeName;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::files::NodeId;
use crate::files::error::FilesError;
use crate::http::body::Body;
use crate::identity::error::IdentityError;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::browser::Browser;
use crate::nextcloud::browser::Trouble;
use crate::nextcloud::browser::see_other;
use crate::nextcloud::sign_in::ask_to_sign_in;

/// Below this, one segment more is a node's number.
pub(super) const PRIVATE: &str = "/f/";
/// The longest number, in digits.
const DIGITS_MAX: usize = 19;
/// What stays as it is in a segment of an address.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns whether a path is such a link.
pub(super) fn is_private_link(path: &str) -> bool {
    path.strip_prefix(PRIVATE)
        .is_some_and(|number| node_of(number).is_some())
}

fn node_of(number: &str) -> Option<NodeId> {
    let is_number = number.len() <= DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number).map(NodeId)
}

impl Nextcloud {
    /// `GET /f/{number}`: leads a browser to the node, after its person has signed in.
    ///
    /// The place is the node's address in WebDAV: a file is downloaded there.
    pub(super) async fn lead_to_node(
        &self,
        browser: &Browser<'_>,
        number: &str,
    ) -> Result<Response<Body>, Trouble> {
        let node = node_of(number).ok_or(Trouble::NotThere)?;
        let Some(visitor) = self.visitor(browser).await? else {
            return Ok(ask_to_sign_in(&format!("{PRIVATE}{number}"), None));
        };
        let caller = &visitor.caller;
        let path = self.files.path_of(caller, node).await.map_err(trouble)?;
        let found = self.files.find(caller, &path).await.map_err(trouble)?;
        let mut place = format!("{}/remote.php/dav/files", browser.base_url);
        let names = path.names().iter().map(NodeName::as_str);
        for segment in std::iter::once(caller.name.as_ref()).chain(names) {
            place.push('/');
            place.extend(utf8_percent_encode(segment, SEGMENT));
        }
        if found.is_folder() {
            place.push('/');
        }
        Ok(see_other(&place))
    }
}

fn trouble(error: FilesError) -> Trouble {
    match error {
        FilesError::Unavailable(source) => IdentityError::Unavailable(source).into(),
        _ => Trouble::NotThere,
    }
}
