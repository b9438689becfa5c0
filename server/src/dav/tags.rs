//! Tags: what people call their files besides their names.
//!
//! `systemtags/` holds the tags, `systemtags-relations/files/{number of a node}/` those of a file. The addresses are
//! Nextcloud's, where a tag belongs to the whole installation; here it belongs to a space, so that nobody
//! reads in it what others are busy with.

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde::Deserialize;

use crate::dav::Dav;
use crate::dav::answer::Names;
use crate::dav::answer::multistatus;
use crate::dav::answer::write_collection;
use crate::dav::areas::AreaRequest;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::properties::OC;
use crate::dav::properties::push_number;
use crate::dav::request::RequestFault;
use crate::dav::xml::Instruction;
use crate::dav::xml::XmlFault;
use crate::dav::xml::parse_propfind;
use crate::dav::xml::parse_proppatch;
use crate::dav::xml::push_escaped;
use crate::files::NodeId;
use crate::files::Tag;
use crate::http::body::Body;

const ALL: &str = "systemtags";
const RELATIONS: &str = "systemtags-relations";
/// What is told of a tag when nothing is asked for by name.
const PROPERTIES: [&str; 5] = [
    "oc:id",
    "oc:display-name",
    "oc:user-visible",
    "oc:user-assignable",
    "oc:can-assign",
];

/// The body of a POST that makes a tag.
#[derive(Deserialize)]
struct NewTag {
    name: String,
}

/// Answers for the tags of the caller's space.
pub(crate) async fn serve(
    dav: &Dav,
    request: &AreaRequest,
    names: &[&str],
) -> Result<Response<Body>, DavError> {
    let caller = &request.caller;
    match (request.method.as_str(), names) {
        ("PROPFIND", []) => {
            let tags = dav.files.tags(caller, None).await?;
            list(request, &[ALL], &tags)
        }
        ("POST", []) => {
            let new: NewTag =
                serde_json::from_slice(&request.body).map_err(|_not_a_tag| XmlFault::Unexpected)?;
            let number = dav.files.name_tag(caller, None, &new.name).await?;
            let mut response = bare(StatusCode::CREATED);
            let place = AreaRequest::href(&[ALL, &number.to_string()], false);
            if let Ok(place) = HeaderValue::try_from(place) {
                response
                    .headers_mut()
                    .insert(header::CONTENT_LOCATION, place);
            }
            Ok(response)
        }
        ("PROPFIND", [tag]) => {
            let number = number_of(tag)?;
            let mut tags = dav.files.tags(caller, None).await?;
            tags.retain(|tag| tag.id == number);
            if tags.is_empty() {
                return Err(RequestFault::Outside.into());
            }
            let wanted = parse_propfind(&request.body)?;
            let asked = Names::of(&wanted, &PROPERTIES);
            let mut out = String::new();
            for tag in &tags {
                write(&mut out, &asked, &[ALL], tag);
            }
            Ok(multistatus(&out))
        }
        ("PROPPATCH", [tag]) => rename(dav, request, number_of(tag)?).await,
        ("DELETE", [tag]) => {
            dav.files.delete_tag(caller, number_of(tag)?).await?;
            Ok(bare(StatusCode::NO_CONTENT))
        }
        (_, [] | [_]) => Err(RequestFault::Method.into()),
        _ => Err(RequestFault::Outside.into()),
    }
}

/// Answers for the tags of one node.
pub(crate) async fn serve_relations(
    dav: &Dav,
    request: &AreaRequest,
    names: &[&str],
) -> Result<Response<Body>, DavError> {
    let (node_name, rest) = names.split_first().ok_or(RequestFault::Outside)?;
    let caller = &request.caller;
    let node = NodeId(number_of(node_name)?);
    // Whoever may not see the node learns nothing of it.
    dav.files.path_of(caller, node).await?;
    match (request.method.as_str(), rest) {
        ("PROPFIND", []) => {
            let tags = dav.files.tags(caller, Some(node)).await?;
            list(request, &[RELATIONS, "files", node_name], &tags)
        }
        ("PUT", [tag]) => {
            let is_new = dav
                .files
                .tag_node(caller, node, number_of(tag)?, true)
                .await?;
            Ok(bare(if is_new {
                StatusCode::CREATED
            } else {
                StatusCode::CONFLICT
            }))
        }
        ("DELETE", [tag]) => {
            let was_there = dav
                .files
                .tag_node(caller, node, number_of(tag)?, false)
                .await?;
            if was_there {
                Ok(bare(StatusCode::NO_CONTENT))
            } else {
                Err(RequestFault::Outside.into())
            }
        }
        (_, [] | [_]) => Err(RequestFault::Method.into()),
        _ => Err(RequestFault::Outside.into()),
    }
}

/// Gives a tag another name; what else a client sets is taken for done.
async fn rename(dav: &Dav, request: &AreaRequest, number: i64) -> Result<Response<Body>, DavError> {
    for instruction in parse_proppatch(&request.body)? {
        if let Instruction::Set(element) = instruction
            && element.name.local == "display-name"
            && element.name.namespace == OC
        {
            let name = element.text();
            dav.files
                .name_tag(&request.caller, Some(number), &name)
                .await?;
        }
    }
    let href = AreaRequest::href(&[ALL, &number.to_string()], false);
    Ok(multistatus(&format!(
        "<d:response><d:href>{href}</d:href><d:propstat><d:prop><oc:display-name/></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )))
}

/// Lists tags below a collection.
fn list(request: &AreaRequest, place: &[&str], tags: &[Tag]) -> Result<Response<Body>, DavError> {
    let wanted = parse_propfind(&request.body)?;
    let asked = Names::of(&wanted, &PROPERTIES);
    let mut out = String::new();
    let name = place.last().copied().unwrap_or_default();
    asked.write(&mut out, &AreaRequest::href(place, true), |tag, out| {
        write_collection(tag, out, name)
    });
    if request.has_children()? {
        for tag in tags {
            write(&mut out, &asked, place, tag);
        }
    }
    Ok(multistatus(&out))
}

fn write(out: &mut String, asked: &Names, place: &[&str], tag: &Tag) {
    let number = tag.id.to_string();
    let names: Vec<&str> = place.iter().copied().chain([number.as_str()]).collect();
    asked.write(out, &AreaRequest::href(&names, false), |property, out| {
        match property {
            "oc:id" => push_number(out, tag.id),
            "oc:display-name" | "d:displayname" => push_escaped(out, &tag.name),
            "oc:user-visible" | "oc:user-assignable" | "oc:can-assign" => out.push_str("true"),
            "d:resourcetype" => {}
            _ => return false,
        }
        true
    });
}

fn number_of(text: &str) -> Result<i64, DavError> {
    text.parse()
        .map_err(|_not_a_number| RequestFault::Outside.into())
}
