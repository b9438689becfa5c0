//! Answers about things that are not nodes of a tree of files: deleted ones, versions, tags.
//!
//! What a PROPFIND asks for is compiled once into [`Names`]; each thing then says, name by name, what
//! it has. Their properties are few, so there is no table as for files.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use http::Response;
use http::StatusCode;

use crate::dav::DavSettings;
use crate::dav::properties::MULTISTATUS;
use crate::dav::properties::MULTISTATUS_END;
use crate::dav::properties::empty_element;
use crate::dav::properties::push_number;
use crate::dav::properties::tag_of;
use crate::dav::xml::Wanted;
use crate::files::Node;
use crate::files::error::FilesResult;
use crate::http::body;
use crate::http::body::Body;
use crate::http::compress::may_compress;

/// The properties that were asked for.
#[derive(Debug)]
pub(crate) struct Names {
    /// The name with a prefix of [`MULTISTATUS`] (empty: one of another namespace), and the empty element.
    items: Vec<(String, String)>,
    is_minimal: bool,
}

impl Names {
    /// Compiles what a request wants; without names, `all` of them.
    pub(crate) fn of(wanted: &Wanted, all: &[&str]) -> Self {
        match wanted {
            Wanted::These(names) => Self {
                items: names
                    .iter()
                    .map(|name| (tag_of(name).unwrap_or_default(), empty_element(name)))
                    .collect(),
                is_minimal: false,
            },
            Wanted::All { .. } | Wanted::Names => Self {
                items: all
                    .iter()
                    .map(|tag| ((*tag).to_owned(), format!("<{tag}/>")))
                    .collect(),
                is_minimal: true,
            },
        }
    }

    /// Writes a response element; `value` writes what a property has, or says that there is none.
    pub(crate) fn write(
        &self,
        out: &mut String,
        href: &str,
        value: impl Fn(&str, &mut String) -> bool,
    ) {
        out.push_str("<d:response><d:href>");
        out.push_str(href);
        out.push_str("</d:href><d:propstat><d:prop>");
        let mut missing = String::new();
        for (tag, empty) in &self.items {
            let start = out.len();
            for part in ["<", tag, ">"] {
                out.push_str(part);
            }
            let inside = out.len();
            if tag.is_empty() || !value(tag, out) {
                out.truncate(start);
                missing.push_str(empty);
            } else if out.len() == inside {
                out.truncate(start);
                out.push_str(empty);
            } else {
                for part in ["</", tag, ">"] {
                    out.push_str(part);
                }
            }
        }
        out.push_str("</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>");
        if !missing.is_empty() && !self.is_minimal {
            out.push_str("<d:propstat><d:prop>");
            out.push_str(&missing);
            out.push_str("</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>");
        }
        out.push_str("</d:response>");
    }
}

/// Returns a 207 of these response elements.
pub(crate) fn multistatus(responses: &str) -> Response<Body> {
    let text = [MULTISTATUS, responses, MULTISTATUS_END].concat();
    let mut response = crate::dav::xml(StatusCode::MULTI_STATUS, text);
    may_compress(&mut response);
    response
}

/// Returns a 207 of these response elements and of more that come page by page; an error breaks it visibly.
pub(crate) fn multistatus_of(
    first: &str,
    pages: impl Stream<Item = FilesResult<Bytes>> + Send + 'static,
) -> Response<Body> {
    let mut response = multistatus("");
    let first = Bytes::from([MULTISTATUS, first].concat());
    let end = Bytes::from_static(MULTISTATUS_END.as_bytes());
    let whole = stream::iter([Ok(first)])
        .chain(pages)
        .chain(stream::iter([Ok(end)]));
    *response.body_mut() = body::stream(whole);
    response
}

/// Writes what every file and folder has, wherever it is shown; `false`: no such property.
pub(crate) fn write_common(tag: &str, out: &mut String, node: &Node, instance: &str) -> bool {
    match tag {
        "d:resourcetype" => {
            if node.is_folder() {
                out.push_str("<d:collection/>");
            }
        }
        "d:getcontentlength" if node.is_folder() => return false,
        "d:getcontentlength" | "oc:size" => push_number(out, node.size_bytes),
        "d:getlastmodified" => {
            push_number(out, httpdate::HttpDate::from(node.mtime.system_time()));
        }
        "d:getetag" => push_number(out, format_args!("&quot;{}&quot;", node.etag())),
        "oc:fileid" => push_number(out, node.id.0),
        "oc:id" => push_number(out, format_args!("{:08}{instance}", node.id.0)),
        "nc:creation_time" => push_number(out, node.ctime.seconds()),
        "nc:is-encrypted" => out.push('0'),
        "nc:mount-type" => {}
        _ => return false,
    }
    true
}

/// Writes whether there may be a preview of a file that had this name.
pub(crate) fn push_has_preview(out: &mut String, settings: &DavSettings, node: &Node, name: &str) {
    let has_one = !node.is_folder() && settings.previewed.may_have(name);
    out.push_str(if has_one { "true" } else { "false" });
}

/// Writes what a plain collection has that is no folder of files.
pub(crate) fn write_collection(tag: &str, out: &mut String, name: &str) -> bool {
    match tag {
        "d:resourcetype" => out.push_str("<d:collection/>"),
        "d:displayname" => crate::dav::xml::push_escaped(out, name),
        _ => return false,
    }
    true
}
