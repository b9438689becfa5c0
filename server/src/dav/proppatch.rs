//! PROPPATCH, and MKCOL with or without properties: dead properties, all or none.
//!
//! What the server itself knows cannot be set, with two exceptions that clients rely on: the
//! modification time, as `lastmodified` (seconds, sync clients and rclone), `getlastmodified`
//! or Microsoft's `Win32LastModifiedTime` (HTTP dates). Explorer's other `Win32…` properties are
//! kept as they come, which is all it asks.

use std::fmt::Write;

use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::bare;
use crate::dav::error::DavError;
use crate::dav::library;
use crate::dav::properties::MULTISTATUS;
use crate::dav::properties::MULTISTATUS_END;
use crate::dav::properties::OC;
use crate::dav::properties::is_protected;
use crate::dav::properties::push_empty_dead;
use crate::dav::request::parse_unix_time;
use crate::dav::xml::DAV;
use crate::dav::xml::Element;
use crate::dav::xml::Instruction;
use crate::dav::xml::XmlName;
use crate::dav::xml::parse_mkcol;
use crate::dav::xml::parse_proppatch;
use crate::files::Property;
use crate::files::PropertyChange;
use crate::files::PropertyPatch;
use crate::files::Timestamp;
use crate::files::error::FilesError;
use crate::http::body::Body;
use crate::http::conditions::parse_date;

/// The namespace of the properties that Explorer sets.
const MICROSOFT: &str = "urn:schemas-microsoft-com:";

/// What one instruction comes to.
enum Effect {
    /// A dead property changes.
    Dead(PropertyPatch),
    /// The modification time changes; Explorer's property of the same meaning is kept as well.
    Modified(Timestamp, Option<PropertyPatch>),
    /// The caller marks it as a favourite, or no longer.
    Favorite(bool),
    /// Only the server says what this is.
    Protected,
    /// The value cannot be understood.
    BadValue,
}

/// Answers a PROPPATCH (RFC 4918 section 9.2).
pub(crate) async fn proppatch(
    dav: &Dav,
    asked: &Asked,
    body: &[u8],
) -> Result<Response<Body>, DavError> {
    let instructions = parse_proppatch(body)?;
    let (caller, path) = (&asked.caller, &asked.request.path);
    let precondition = &asked.request.precondition;
    let is_folder = dav.files.find(caller, path).await?.is_folder();
    let answer = match plan(&instructions) {
        Ok(change) => {
            let change = dav
                .files
                .patch_properties(caller, path, change, precondition);
            match change.await {
                Ok(()) => vec![Outcome::Done; instructions.len()],
                Err(FilesError::PropertiesTooLarge { .. }) => {
                    vec![Outcome::TooLarge; instructions.len()]
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(outcomes) => {
            // Locks and conditions come before the question of what may be set.
            dav.files.check(caller, path, precondition).await?;
            outcomes
        }
    };
    let href = asked.mount.href(path, is_folder);
    Ok(outcomes_of(&href, &instructions, &answer))
}

/// Returns the 207 that says what became of each property.
pub(crate) fn outcomes_of(
    href: &str,
    instructions: &[Instruction],
    outcomes: &[Outcome],
) -> Response<Body> {
    let mut text = MULTISTATUS.to_owned();
    text.push_str("<d:response><d:href>");
    text.push_str(href);
    text.push_str("</d:href>");
    push_outcomes(&mut text, instructions, outcomes);
    text.push_str("</d:response>");
    text.push_str(MULTISTATUS_END);
    crate::dav::xml(StatusCode::MULTI_STATUS, text)
}

/// Answers a MKCOL (RFC 4918 section 9.3), with properties where it brings them (RFC 5689).
pub(crate) async fn mkcol(
    dav: &Dav,
    asked: &Asked,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<Body>, DavError> {
    if body.is_empty() {
        return library::make_folder(dav, asked).await;
    }
    let mut instructions = Vec::new();
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !kind.is_some_and(is_xml) {
        return Err(DavError::UnsupportedBody);
    }
    for instruction in parse_mkcol(body)? {
        match &instruction {
            Instruction::Set(element) if is_dav(&element.name, "resourcetype") => {
                let is_plain = |kind: &Element| is_dav(&kind.name, "collection");
                if !element.elements().all(is_plain) {
                    return Err(DavError::ResourceType);
                }
            }
            // A folder's shown name is its name; clients send it along all the same.
            Instruction::Set(element) if is_dav(&element.name, "displayname") => {}
            Instruction::Set(_) | Instruction::Remove(_) => instructions.push(instruction),
        }
    }
    let patches = match plan(&instructions) {
        Ok(change) => change.patches,
        Err(outcomes) => {
            let mut text = String::from(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:mkcol-response xmlns:d=\"DAV:\">",
            );
            push_outcomes(&mut text, &instructions, &outcomes);
            text.push_str("</d:mkcol-response>\n");
            return Ok(crate::dav::xml(StatusCode::FORBIDDEN, text));
        }
    };
    let (caller, path) = (&asked.caller, &asked.request.path);
    let precondition = &asked.request.precondition;
    let node = dav
        .files
        .make_folder(caller, path, patches, precondition)
        .await?;
    let mut response = bare(StatusCode::CREATED);
    dav.put_identity(&mut response, &node);
    Ok(response)
}

fn is_xml(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii();
    kind.eq_ignore_ascii_case(b"application/xml") || kind.eq_ignore_ascii_case(b"text/xml")
}

fn is_dav(name: &XmlName, local: &str) -> bool {
    name.namespace == DAV && name.local == local
}

/// What became of one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is as was asked.
    Done,
    /// Only the server says what this is.
    Protected,
    /// The value cannot be understood.
    BadValue,
    /// There is no room for it.
    TooLarge,
    /// Another one failed.
    Dependent,
}

/// Turns instructions into one change; or, if one cannot be, says what becomes of each.
fn plan(instructions: &[Instruction]) -> Result<PropertyChange, Vec<Outcome>> {
    let mut change = PropertyChange::default();
    let mut outcomes = Vec::new();
    for instruction in instructions {
        outcomes.push(match effect_of(instruction) {
            Effect::Dead(patch) => {
                change.patches.push(patch);
                Outcome::Dependent
            }
            Effect::Modified(time, patch) => {
                change.modified_at = Some(time);
                change.patches.extend(patch);
                Outcome::Dependent
            }
            Effect::Favorite(is_favorite) => {
                change.favorite = Some(is_favorite);
                Outcome::Dependent
            }
            Effect::Protected => Outcome::Protected,
            Effect::BadValue => Outcome::BadValue,
        });
    }
    if outcomes
        .iter()
        .all(|outcome| *outcome == Outcome::Dependent)
    {
        Ok(change)
    } else {
        Err(outcomes)
    }
}

fn effect_of(instruction: &Instruction) -> Effect {
    let name = instruction.name();
    let patch = match instruction {
        Instruction::Set(element) => PropertyPatch::Set(Property {
            namespace: name.namespace.clone(),
            name: name.local.clone(),
            xml: element.standalone(),
        }),
        Instruction::Remove(_) => PropertyPatch::Remove {
            namespace: name.namespace.clone(),
            name: name.local.clone(),
        },
    };
    let Instruction::Set(element) = instruction else {
        return if name.namespace == OC && name.local == "favorite" {
            Effect::Favorite(false)
        } else if is_protected(name) {
            Effect::Protected
        } else {
            Effect::Dead(patch)
        };
    };
    let time = |time: Option<Timestamp>, patch| match time {
        Some(time) => Effect::Modified(time, patch),
        None => Effect::BadValue,
    };
    match (name.namespace.as_str(), name.local.as_str()) {
        (DAV, "lastmodified") => time(parse_unix_time(&element.text()), None),
        (DAV, "getlastmodified") => time(parse_date(&element.text()), None),
        (MICROSOFT, "Win32LastModifiedTime") => time(parse_date(&element.text()), Some(patch)),
        (OC, "favorite") => match element.text().as_str() {
            "1" | "true" => Effect::Favorite(true),
            "0" | "false" | "" => Effect::Favorite(false),
            _ => Effect::BadValue,
        },
        _ if is_protected(name) => Effect::Protected,
        _ => Effect::Dead(patch),
    }
}

/// Writes one propstat for each status that occurs.
fn push_outcomes(text: &mut String, instructions: &[Instruction], outcomes: &[Outcome]) {
    let kinds = [
        (Outcome::Done, "200 OK", ""),
        (
            Outcome::Protected,
            "403 Forbidden",
            "<d:error><d:cannot-modify-protected-property/></d:error>",
        ),
        (Outcome::BadValue, "409 Conflict", ""),
        (Outcome::TooLarge, "507 Insufficient Storage", ""),
        (Outcome::Dependent, "424 Failed Dependency", ""),
    ];
    for (kind, status, error) in kinds {
        if !outcomes.contains(&kind) {
            continue;
        }
        text.push_str("<d:propstat><d:prop>");
        for (instruction, outcome) in instructions.iter().zip(outcomes) {
            if *outcome == kind {
                let name = instruction.name();
                push_empty_dead(text, &name.namespace, &name.local);
            }
        }
        let written = write!(
            text,
            "</d:prop><d:status>HTTP/1.1 {status}</d:status>{error}</d:propstat>"
        );
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instructions(set: &str) -> Vec<Instruction> {
        let body = format!(
            r#"<d:propertyupdate xmlns:d="DAV:" xmlns:m="{MICROSOFT}"><d:set><d:prop>{set}</d:prop></d:set></d:propertyupdate>"#
        );
        parse_proppatch(body.as_bytes()).unwrap()
    }

    #[test]
    fn the_modification_time_is_set_in_three_ways() {
        let date = "Mon, 23 Nov 2026 16:28:16 GMT";
        for set in [
            "<d:lastmodified>1795451296</d:lastmodified>".to_owned(),
            format!("<d:getlastmodified>{date}</d:getlastmodified>"),
            format!("<m:Win32LastModifiedTime>{date}</m:Win32LastModifiedTime>"),
        ] {
            let Ok(change) = plan(&instructions(&set)) else {
                panic!("{set} was refused");
            };
            assert_eq!(
                change.modified_at,
                Some(Timestamp::from_seconds(1_795_451_296)),
                "{set}"
            );
            assert_eq!(
                change.patches.len(),
                usize::from(set.contains("Win32")),
                "{set}"
            );
        }
    }

    #[test]
    fn a_protected_property_fails_the_others_too() {
        let given =
            instructions("<a/><d:getetag>x</d:getetag><d:lastmodified>soon</d:lastmodified>");
        let outcomes = plan(&given).unwrap_err();
        assert_eq!(
            outcomes,
            [Outcome::Dependent, Outcome::Protected, Outcome::BadValue]
        );
        let mut text = String::new();
        push_outcomes(&mut text, &given, &outcomes);
        assert!(
            text.contains("<d:cannot-modify-protected-property/>"),
            "{text}"
        );
        assert!(
            text.contains("<a/></d:prop><d:status>HTTP/1.1 424"),
            "{text}"
        );
    }
}
