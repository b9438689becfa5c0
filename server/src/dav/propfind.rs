//! PROPFIND: a listing that is written while it is read, piece by piece.
//!
//! The first page is read before the status goes out, so that what can be refused is
//! refused with a status of its own. From then on each piece of the body is made when the
//! connection asks for it: a client that stops reading costs one page in memory and no snapshot
//! of the database. An error on the way breaks the answer visibly; it never ends it early, because
//! a sync client takes a child that is missing from a whole answer for a deletion.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::error::DavError;
use crate::dav::mount::push_segment;
use crate::dav::pieces;
use crate::dav::properties::Facts;
use crate::dav::properties::MULTISTATUS;
use crate::dav::properties::MULTISTATUS_END;
use crate::dav::properties::Selection;
use crate::dav::request::Depth;
use crate::dav::xml::Wanted;
use crate::dav::xml::parse_propfind;
use crate::files::Entry;
use crate::files::Files;
use crate::files::Listing;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::http::body;
use crate::http::body::Body;
use crate::http::compress::may_compress;
use crate::identity::Caller;

/// Text gathered before it is handed to the connection, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Room for one more response element.
const SLACK_BYTES: usize = 4 << 10;

/// Answers a PROPFIND.
pub(crate) async fn propfind(
    dav: &Dav,
    asked: &Asked,
    depth: Depth,
    xml: Bytes,
) -> Result<Response<Body>, DavError> {
    let wanted = parse_propfind(&xml)?;
    let (files, caller, path) = (&dav.files, &asked.caller, &asked.request.path);
    files
        .check(caller, path, &asked.request.precondition)
        .await?;
    if depth == Depth::Infinity && !dav.settings.may_list_everything {
        // A file has nothing below, so its listing is finite however it is asked for.
        if files.find(caller, path).await?.is_folder() {
            return Err(DavError::DepthRefused);
        }
    }
    if let Some(piece) = asked.request.piece.as_ref().filter(|_| depth == Depth::One) {
        let selection = Selection::new(&wanted, asked.request.is_minimal);
        if let Some(piece) = Box::pin(pieces::piece(dav, asked, piece, &selection)).await? {
            let mut head = HeaderMap::new();
            piece.announce(&mut head);
            let mut response = Response::new(body::full(piece.xml));
            *response.headers_mut() = head;
            describe(&mut response, asked);
            return Ok(response);
        }
    }
    let walk = Walk::begin(dav, asked, depth, &wanted).await?;
    let (first, rest) = walk.next_piece().await?;
    let mut response = Response::new(match rest {
        None => body::full(first),
        Some(walk) => {
            let rest = stream::try_unfold(Some(walk), |walk| async move {
                let Some(walk) = walk else {
                    return Ok::<_, FilesError>(None);
                };
                walk.next_piece().await.map(Some)
            });
            body::stream(stream::iter([Ok(first)]).chain(rest))
        }
    });
    describe(&mut response, asked);
    Ok(response)
}

/// Puts status and headers around a listing.
fn describe(response: &mut Response<Body>, asked: &Asked) {
    *response.status_mut() = StatusCode::MULTI_STATUS;
    may_compress(response);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/xml; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if asked.request.is_minimal {
        let applied = HeaderName::from_static("preference-applied");
        headers.insert(applied, HeaderValue::from_static("return=minimal"));
    }
}

/// A listing on its way down: the folders that are open, and the text that is not sent yet.
struct Walk {
    files: Arc<Files>,
    caller: Caller,
    selection: Selection,
    is_deep: bool,
    open: Vec<Folder>,
    out: String,
}

/// A folder whose children are being written.
struct Folder {
    listing: Listing,
    facts: Facts,
    path: NodePath,
    /// Its href, with the slash.
    href: String,
    page: std::vec::IntoIter<Entry>,
    /// Folders of the page that are still to be opened (Depth: infinity only).
    pending: VecDeque<NodeName>,
}

impl Folder {
    fn new(listing: Listing, facts: Facts, path: NodePath, href: String) -> Self {
        Self {
            listing,
            facts,
            path,
            href,
            page: Vec::new().into_iter(),
            pending: VecDeque::new(),
        }
    }
}

impl Walk {
    /// Opens the node that was asked for and writes it.
    async fn begin(
        dav: &Dav,
        asked: &Asked,
        depth: Depth,
        wanted: &Wanted,
    ) -> Result<Self, DavError> {
        let (files, caller, path) = (&dav.files, &asked.caller, &asked.request.path);
        let selection = Selection::new(wanted, asked.request.is_minimal);
        let has_children = depth != Depth::Zero;
        let listing = files
            .list(caller, path, selection.wants(caller), has_children)
            .await?;
        let rights = (listing.rights.clone(), listing.owner.clone());
        let facts = Facts {
            quota: listing.quota,
            ..Facts::of(dav, caller, asked.place(), rights)
        };
        let is_folder = listing.entry.node.is_folder();
        let href = asked.mount.href(path, is_folder);
        let mut out = String::with_capacity(SLACK_BYTES);
        out.push_str(MULTISTATUS);
        selection.write(&mut out, &href, &listing.entry, &facts);
        let open = if has_children && is_folder {
            vec![Folder::new(listing, facts, path.clone(), href)]
        } else {
            Vec::new()
        };
        Ok(Self {
            files: Arc::clone(files),
            caller: caller.clone(),
            selection,
            is_deep: depth == Depth::Infinity,
            open,
            out,
        })
    }

    /// Makes the next piece of the body; without a walk beside it, it is the last.
    async fn next_piece(mut self) -> FilesResult<(Bytes, Option<Self>)> {
        while let Some(folder) = self.open.last_mut() {
            if let Some(entry) = folder.page.next() {
                let href_length = folder.href.len();
                push_segment(&mut folder.href, &entry.node.name);
                if entry.node.is_folder() {
                    folder.href.push('/');
                }
                self.selection
                    .write(&mut self.out, &folder.href, &entry, &folder.facts);
                folder.href.truncate(href_length);
                if self.is_deep && entry.node.is_folder() {
                    folder.pending.extend(NodeName::parse(&entry.node.name));
                }
                if self.out.len() >= PIECE_BYTES {
                    let room = String::with_capacity(PIECE_BYTES + SLACK_BYTES);
                    let piece = std::mem::replace(&mut self.out, room);
                    return Ok((piece.into(), Some(self)));
                }
            } else if let Some(name) = folder.pending.pop_front() {
                let below = Self::open(&self.files, &self.caller, &self.selection, folder, name);
                if let Some(below) = below.await? {
                    self.open.push(below);
                }
            } else {
                let page = folder.listing.next_page().await?;
                if page.is_empty() {
                    self.open.pop();
                } else {
                    folder.page = page.into_iter();
                }
            }
        }
        self.out.push_str(MULTISTATUS_END);
        Ok((self.out.into(), None))
    }

    /// Opens a folder below; `None`: it went away after its parent was read, with all it held.
    async fn open(
        files: &Files,
        caller: &Caller,
        selection: &Selection,
        above: &Folder,
        name: NodeName,
    ) -> FilesResult<Option<Folder>> {
        let mut href = above.href.clone();
        push_segment(&mut href, name.as_str());
        href.push('/');
        let Ok(path) = above.path.child(name) else {
            return Err(FilesError::NotFound {
                path: above.path.clone(),
            });
        };
        match files
            .list(caller, &path, selection.wants(caller), true)
            .await
        {
            Ok(listing) => {
                let facts = above.facts.below(&listing);
                Ok(Some(Folder::new(listing, facts, path, href)))
            }
            Err(FilesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
