//! The trash as a tree of its own: `/remote.php/dav/trashbin/{person}/trash/`.
//!
//! An entry is called after the name and the second of its deletion, `plan.odt.d1795451296`, which
//! the core keeps unique. A MOVE to anything below `restore` brings it back to where it was.

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http::StatusCode;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::dav::Dav;
use crate::dav::DavSettings;
use crate::dav::answer::Names;
use crate::dav::answer::multistatus;
use crate::dav::answer::multistatus_of;
use crate::dav::answer::push_has_preview;
use crate::dav::answer::write_collection;
use crate::dav::answer::write_common;
use crate::dav::areas::AreaRequest;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::mount::push_segment;
use crate::dav::properties::push_number;
use crate::dav::request::RequestFault;
use crate::dav::xml::parse_propfind;
use crate::dav::xml::push_escaped;
use crate::files::InTrash;
use crate::files::Node;
use crate::files::NodeId;
use crate::files::Timestamp;
use crate::files::TrashEntry;
use crate::http::body::Body;
use crate::http::download;
use crate::http::download::content_type_of;

/// What is shown of an entry when nothing is asked for by name.
const ALL: &[&str] = &[
    "d:resourcetype",
    "d:getlastmodified",
    "d:getcontentlength",
    "d:getcontenttype",
    "d:getetag",
    "oc:fileid",
    "oc:size",
    "nc:trashbin-filename",
    "nc:trashbin-original-location",
    "nc:trashbin-deletion-time",
];

/// Answers a request below `/remote.php/dav/trashbin/{person}`.
pub(crate) async fn serve(
    dav: &Dav,
    request: &AreaRequest,
    rest: &[&str],
) -> Result<Response<Body>, DavError> {
    let caller = &request.caller;
    match (request.method.as_str(), rest) {
        ("PROPFIND", []) => {
            let mut out = String::new();
            let names = Names::of(&parse_propfind(&request.body)?, &["d:resourcetype"]);
            let own = caller.name.as_ref();
            let mut write = |place: &[&str], name: &str| {
                let href = AreaRequest::href(place, true);
                names.write(&mut out, &href, |tag, out| write_collection(tag, out, name));
            };
            write(&["trashbin", own], own);
            if request.has_children()? {
                write(&["trashbin", own, "trash"], "trash");
                write(&["trashbin", own, "restore"], "restore");
            }
            Ok(multistatus(&out))
        }
        ("PROPFIND", ["restore"]) => {
            let names = Names::of(&parse_propfind(&request.body)?, &["d:resourcetype"]);
            let mut out = String::new();
            let href = AreaRequest::href(&["trashbin", &caller.name, "restore"], true);
            names.write(&mut out, &href, |tag, out| {
                write_collection(tag, out, "restore")
            });
            Ok(multistatus(&out))
        }
        ("PROPFIND", ["trash"]) => list(dav, request).await,
        ("DELETE", ["trash"]) => {
            dav.files.empty_trash(caller).await?;
            Ok(bare(StatusCode::NO_CONTENT))
        }
        ("PROPFIND", ["trash", name, below @ ..]) => show(dav, request, &meant(name, below)?).await,
        ("GET" | "HEAD", ["trash", name, below @ ..]) => {
            let opened = dav.files.open_deleted(caller, &meant(name, below)?).await?;
            let is_head = request.method == "HEAD";
            Ok(download::respond(&request.headers, is_head, opened))
        }
        ("DELETE", ["trash", name, below @ ..]) => {
            dav.files.discard(caller, &meant(name, below)?).await?;
            Ok(bare(StatusCode::NO_CONTENT))
        }
        ("MOVE", ["trash", name, below @ ..]) => {
            let to = request.destination()?;
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            match to.as_slice() {
                ["trashbin", owner, "restore", _, ..] if request.is_own(owner) => {}
                _ => return Err(RequestFault::DestinationElsewhere.into()),
            }
            let (node, _) = dav.files.restore(caller, &meant(name, below)?).await?;
            let mut response = bare(StatusCode::CREATED);
            dav.put_identity(&mut response, &node);
            Ok(response)
        }
        (_, [] | ["trash" | "restore", ..]) => Err(RequestFault::Method.into()),
        _ => Err(RequestFault::Outside.into()),
    }
}

/// Understands `name.d{second}` and what follows.
fn meant(name: &str, below: &[&str]) -> Result<InTrash, DavError> {
    let (name, second) = name.rsplit_once(".d").ok_or(RequestFault::Outside)?;
    let is_number = !second.is_empty() && second.bytes().all(|byte| byte.is_ascii_digit());
    let second = second.parse().ok().filter(|_| is_number);
    let below = below.iter().map(|name| NodeName::parse(name));
    Ok(InTrash {
        // As it is stored.
        name: NodeName::parse(name)
            .map_err(|_no_name| RequestFault::Outside)?
            .as_str()
            .to_owned(),
        // Beyond these seconds nothing was deleted.
        second: second
            .filter(|second| (0..8_000_000_000).contains(second))
            .ok_or(RequestFault::Outside)?,
        below: below
            .collect::<Result<_, _>>()
            .map_err(|_no_name| RequestFault::Outside)?,
    })
}

/// Lists what was deleted.
async fn list(dav: &Dav, request: &AreaRequest) -> Result<Response<Body>, DavError> {
    let names = Names::of(&parse_propfind(&request.body)?, ALL);
    let base = AreaRequest::href(&["trashbin", &request.caller.name, "trash"], true);
    let mut first = String::new();
    names.write(&mut first, &base, |tag, out| {
        write_collection(tag, out, "trash")
    });
    if !request.has_children()? {
        return Ok(multistatus(&first));
    }
    let (files, caller) = (std::sync::Arc::clone(&dav.files), request.caller.clone());
    let settings = dav.settings.clone();
    let begin = (Timestamp(0), NodeId(0));
    let page = files.list_trash(&caller, begin).await?;
    let state = Some((files, caller, page));
    let pages = stream::try_unfold(state, move |state| {
        let mut out = String::new();
        let written = state.map(|(files, caller, page)| {
            for entry in &page {
                let href = href_of(&base, entry);
                names.write(&mut out, &href, |tag, out| {
                    write_entry(tag, out, (entry, &entry.node, &entry.name), &settings)
                });
            }
            let last = page.last().map(|entry| (entry.deleted_at, entry.node.id));
            (files, caller, last)
        });
        async move {
            let Some((files, caller, last)) = written else {
                return Ok(None);
            };
            let next = match last {
                Some(after) => files.list_trash(&caller, after).await?,
                None => Vec::new(),
            };
            let rest = (!next.is_empty()).then_some((files, caller, next));
            Ok(Some((Bytes::from(out), rest)))
        }
    });
    Ok(multistatus_of(&first, pages))
}

fn href_of(base: &str, entry: &TrashEntry) -> String {
    let mut href = base.to_owned();
    let name = format!("{}.d{}", entry.name, entry.deleted_at.seconds());
    push_segment(&mut href, &name);
    if entry.node.is_folder() {
        href.push('/');
    }
    href
}

/// Shows something deleted and, of a folder, what it holds.
async fn show(
    dav: &Dav,
    request: &AreaRequest,
    meant: &InTrash,
) -> Result<Response<Body>, DavError> {
    let caller = request.caller.clone();
    let names = Names::of(&parse_propfind(&request.body)?, ALL);
    let (entry, node) = dav.files.find_in_trash(&caller, meant).await?;
    let base = AreaRequest::href(&["trashbin", &caller.name, "trash"], true);
    let mut href = href_of(&base, &entry);
    let mut place = entry.original.to_string();
    let mut name = entry.name.clone();
    for below in &meant.below {
        if !href.ends_with('/') {
            href.push('/');
        }
        push_segment(&mut href, below.as_str());
        place.push('/');
        place.push_str(below.as_str());
        name = below.as_str().to_owned();
    }
    if node.is_folder() && !href.ends_with('/') {
        href.push('/');
    }
    let settings = dav.settings.clone();
    let mut first = String::new();
    let here = lying_at(&entry, &place);
    names.write(&mut first, &href, |tag, out| {
        write_entry(tag, out, (&here, &node, &name), &settings)
    });
    if !node.is_folder() || !request.has_children()? {
        return Ok(multistatus(&first));
    }
    let files = std::sync::Arc::clone(&dav.files);
    let page = files.list_deleted_folder(&caller, &node, NodeId(0)).await?;
    let pages = stream::try_unfold(Some((files, caller, node, page)), move |state| {
        let mut out = String::new();
        let written = state.map(|(files, caller, node, page)| {
            for child in &page {
                let mut href = href.clone();
                push_segment(&mut href, &child.node.name);
                if child.node.is_folder() {
                    href.push('/');
                }
                let place = format!("{}/{}", here.original, child.node.name);
                let there = lying_at(&here, &place);
                names.write(&mut out, &href, |tag, out| {
                    write_entry(tag, out, (&there, &child.node, &child.node.name), &settings)
                });
            }
            let last = page.last().map(|child| child.node.id);
            (files, caller, node, last)
        });
        async move {
            let Some((files, caller, node, last)) = written else {
                return Ok(None);
            };
            let next = match last {
                Some(after) => files.list_deleted_folder(&caller, &node, after).await?,
                None => Vec::new(),
            };
            let rest = (!next.is_empty()).then_some((files, caller, node, next));
            Ok(Some((Bytes::from(out), rest)))
        }
    });
    Ok(multistatus_of(&first, pages))
}

/// Returns what is told of something that lies in a deleted folder.
fn lying_at(entry: &TrashEntry, place: &str) -> TrashEntry {
    let mut there = entry.clone();
    there.original = NodePath::parse(place).unwrap_or_default();
    there
}

/// Writes a property of something deleted.
fn write_entry(
    tag: &str,
    out: &mut String,
    (entry, node, name): (&TrashEntry, &Node, &str),
    settings: &DavSettings,
) -> bool {
    match tag {
        "d:displayname" | "nc:trashbin-filename" => push_escaped(out, name),
        "nc:trashbin-original-location" | "nc:trashbin-title" => {
            let place = entry.original.to_string();
            push_escaped(out, place.trim_start_matches('/'));
        }
        "nc:trashbin-deletion-time" => push_number(out, entry.deleted_at.seconds()),
        "nc:trashbin-deleted-by-id" => {
            push_escaped(out, entry.deleted_by.as_deref().unwrap_or_default());
        }
        "nc:trashbin-deleted-by-display-name" => {
            push_escaped(out, entry.deleted_by_shown.as_deref().unwrap_or_default());
        }
        "d:getcontenttype" if !node.is_folder() => out.push_str(&content_type_of(name)),
        "oc:permissions" => out.push_str("GD"),
        "nc:has-preview" => push_has_preview(out, settings, node, name),
        _ => return write_common(tag, out, node, &settings.instance),
    }
    true
}
