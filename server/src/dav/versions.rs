//! Former versions as a tree of their own: `/remote.php/dav/versions/{person}/versions/{file}/{version}`.
//!
//! A file is known by its number and a version by its own; a MOVE to anything below `restore` makes
//! it the current one.

use http::Response;
use http::StatusCode;

use crate::dav::Dav;
use crate::dav::DavSettings;
use crate::dav::answer::Names;
use crate::dav::answer::multistatus;
use crate::dav::answer::push_has_preview;
use crate::dav::answer::write_collection;
use crate::dav::answer::write_common;
use crate::dav::areas::AreaRequest;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::properties::NC;
use crate::dav::properties::push_number;
use crate::dav::proppatch::Outcome;
use crate::dav::proppatch::outcomes_of;
use crate::dav::request::RequestFault;
use crate::dav::xml::Instruction;
use crate::dav::xml::parse_propfind;
use crate::dav::xml::parse_proppatch;
use crate::dav::xml::push_escaped;
use crate::files::Node;
use crate::files::NodeId;
use crate::files::Version;
use crate::files::precondition::Precondition;
use crate::http::body::Body;
use crate::http::download;
use crate::http::download::content_type_of;

/// What is shown of a version when nothing is asked for by name.
const ALL: &[&str] = &[
    "d:resourcetype",
    "d:getlastmodified",
    "d:getcontentlength",
    "d:getcontenttype",
    "d:getetag",
    "nc:version-label",
    "nc:version-author",
];

/// Answers a request below `/remote.php/dav/versions/{person}`.
pub(crate) async fn serve(
    dav: &Dav,
    request: &AreaRequest,
    rest: &[&str],
) -> Result<Response<Body>, DavError> {
    let caller = &request.caller;
    let number = |text: &str| {
        text.parse::<i64>()
            .map_err(|_no_number| RequestFault::Outside)
    };
    match (request.method.as_str(), rest) {
        ("PROPFIND", [] | ["versions" | "restore"]) => {
            let names = Names::of(&parse_propfind(&request.body)?, &["d:resourcetype"]);
            let own = caller.name.as_ref();
            let place: Vec<&str> = ["versions", own].iter().chain(rest).copied().collect();
            let mut out = String::new();
            names.write(&mut out, &AreaRequest::href(&place, true), |tag, out| {
                write_collection(tag, out, place.last().copied().unwrap_or_default())
            });
            Ok(multistatus(&out))
        }
        ("PROPFIND", ["versions", file]) => list(dav, request, number(file)?, None).await,
        ("PROPFIND", ["versions", file, version]) => {
            list(dav, request, number(file)?, Some(number(version)?)).await
        }
        ("GET" | "HEAD", ["versions", file, version]) => {
            let file = NodeId(number(file)?);
            let opened = dav
                .files
                .open_version(caller, file, number(version)?)
                .await?;
            let is_head = request.method == "HEAD";
            Ok(download::respond(&request.headers, is_head, opened))
        }
        ("MOVE", ["versions", file, version]) => {
            let to = request.destination()?;
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            match to.as_slice() {
                ["versions", owner, "restore", _, ..] if request.is_own(owner) => {}
                _ => return Err(RequestFault::DestinationElsewhere.into()),
            }
            // The request's conditions speak of the version, which never changes.
            let precondition = Precondition::default();
            let (file, version) = (NodeId(number(file)?), number(version)?);
            let restored = dav
                .files
                .restore_version(caller, file, version, &precondition)
                .await?;
            let mut response = bare(StatusCode::CREATED);
            dav.put_identity(&mut response, &restored);
            Ok(response)
        }
        ("DELETE", ["versions", file, version]) => {
            let file = NodeId(number(file)?);
            dav.files
                .delete_version(caller, file, number(version)?)
                .await?;
            Ok(bare(StatusCode::NO_CONTENT))
        }
        ("PROPPATCH", ["versions", file, version]) => {
            label(dav, request, (NodeId(number(file)?), number(version)?)).await
        }
        (_, [] | ["versions" | "restore", ..]) => Err(RequestFault::Method.into()),
        _ => Err(RequestFault::Outside.into()),
    }
}

fn place<'p>(own: &'p str, file: &'p str) -> [&'p str; 4] {
    ["versions", own, "versions", file]
}

/// Lists the versions of a file, or one of them.
async fn list(
    dav: &Dav,
    request: &AreaRequest,
    file: i64,
    only: Option<i64>,
) -> Result<Response<Body>, DavError> {
    let names = Names::of(&parse_propfind(&request.body)?, ALL);
    let own = request.caller.name.as_ref();
    let (node, versions) = dav.files.versions(&request.caller, NodeId(file)).await?;
    let file = file.to_string();
    let base = AreaRequest::href(&place(own, &file), true);
    let mut out = String::new();
    let write = |out: &mut String, version: &Version| {
        let href = format!("{base}{}", version.number);
        names.write(out, &href, |tag, out| {
            write_version(tag, out, (&node, version), (own, &dav.settings))
        });
    };
    if let Some(number) = only {
        let version = versions.iter().find(|version| version.number == number);
        write(&mut out, version.ok_or(RequestFault::Outside)?);
        return Ok(multistatus(&out));
    }
    names.write(&mut out, &base, |tag, out| {
        write_collection(tag, out, &file)
    });
    if request.has_children()? {
        for version in &versions {
            write(&mut out, version);
        }
    }
    Ok(multistatus(&out))
}

/// Writes a property of a version.
fn write_version(
    tag: &str,
    out: &mut String,
    (node, version): (&Node, &Version),
    (owner, settings): (&str, &DavSettings),
) -> bool {
    match tag {
        "d:displayname" => push_escaped(out, &node.name),
        "d:getcontenttype" => out.push_str(&content_type_of(&node.name)),
        "d:getcontentlength" | "oc:size" => push_number(out, version.size_bytes),
        "d:getlastmodified" => {
            let at = version.modified_at.system_time();
            push_number(out, httpdate::HttpDate::from(at));
        }
        "d:getetag" => {
            let then = Node {
                rev: version.number,
                ..node.clone()
            };
            push_number(out, format_args!("&quot;{}&quot;", then.etag()));
        }
        "nc:version-label" => push_escaped(out, version.label.as_deref().unwrap_or_default()),
        "nc:version-author" => push_escaped(out, version.author.as_deref().unwrap_or(owner)),
        "nc:has-preview" => push_has_preview(out, settings, node, &node.name),
        _ => return write_common(tag, out, node, &settings.instance),
    }
    true
}

/// Answers a PROPPATCH, which can set the label and nothing else.
async fn label(
    dav: &Dav,
    request: &AreaRequest,
    (file, version): (NodeId, i64),
) -> Result<Response<Body>, DavError> {
    let instructions = parse_proppatch(&request.body)?;
    let is_label =
        |one: &Instruction| one.name().namespace == NC && one.name().local == "version-label";
    let all_labels = instructions.iter().all(is_label);
    let outcomes: Vec<Outcome> = instructions
        .iter()
        .map(|one| match (all_labels, is_label(one)) {
            (true, _) => Outcome::Done,
            (false, true) => Outcome::Dependent,
            (false, false) => Outcome::Protected,
        })
        .collect();
    if let (true, Some(last)) = (all_labels, instructions.last()) {
        let text = match last {
            Instruction::Set(element) => element.text(),
            Instruction::Remove(_) => String::new(),
        };
        dav.files
            .label_version(&request.caller, file, version, &text)
            .await?;
    }
    let (file, version) = (file.0.to_string(), version.to_string());
    let own = request.caller.name.as_ref();
    let href = AreaRequest::href(&["versions", own, "versions", &file, &version], false);
    Ok(outcomes_of(&href, &instructions, &outcomes))
}
