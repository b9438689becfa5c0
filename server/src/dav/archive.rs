//! GET of a folder as one ZIP file: asked for by `Accept: application/zip`, or `?accept=zip` where a browser follows
//! a link. `?files=["a","b"]` or headers `X-NC-Files`, one for each name, ask for some of its children.

use http::HeaderMap;
use http::Response;
use http::header;
use nuage_shared::node_path::NodeName;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::error::DavError;
use crate::dav::request::RequestFault;
use crate::files::ArchiveRequest;
use crate::http::archive;
use crate::http::body::Body;
use crate::http::language::Language;

/// The field of the address, and the header, that name children.
const FILES: &str = "files";
const X_NC_FILES: &str = "x-nc-files";
/// What the root of somebody's files is called.
const ROOT_NAME: &str = "download";

/// Returns whether a ZIP file is asked for.
pub(crate) fn is_asked_for(headers: &HeaderMap, query: Option<&str>) -> bool {
    let is_zip = |kind: &str| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/zip") || kind.eq_ignore_ascii_case("zip")
    };
    if let Some(accept) = field(query, "accept").filter(|accept| !accept.is_empty()) {
        return accept.split(',').any(is_zip);
    }
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(is_zip))
}

/// Answers with the ZIP file of a folder.
pub(crate) async fn get(
    dav: &Dav,
    asked: &Asked,
    headers: &HeaderMap,
    query: Option<&str>,
    is_head: bool,
) -> Result<Response<Body>, DavError> {
    let request = ArchiveRequest {
        folder: asked.request.path.clone(),
        names: names(headers, query)?,
    };
    let archive = dav.files.archive(&asked.caller, request).await?;
    let name = archive.name.clone().unwrap_or_else(|| ROOT_NAME.to_owned());
    let (now, language) = (dav.files.now(), Language::of(headers));
    Ok(archive::respond(archive, &name, now, language, is_head))
}

/// Returns the names of children that are asked for; the field wins over the headers.
fn names(headers: &HeaderMap, query: Option<&str>) -> Result<Vec<NodeName>, RequestFault> {
    let fault = || RequestFault::Header("X-NC-Files");
    let texts: Vec<String> = match field(query, FILES).filter(|files| !files.is_empty()) {
        Some(files) => match serde_json::from_str::<serde_json::Value>(&files) {
            Ok(serde_json::Value::String(name)) => vec![name],
            Ok(serde_json::Value::Array(names)) => names
                .into_iter()
                .map(|name| match name {
                    serde_json::Value::String(name) => Ok(name),
                    _ => Err(fault()),
                })
                .collect::<Result<_, _>>()?,
            // A bare name, as old links have it.
            Ok(_) | Err(_) => vec![files],
        },
        None => headers
            .get_all(X_NC_FILES)
            .iter()
            .map(|value| String::from_utf8(value.as_bytes().to_vec()).map_err(|_fault| fault()))
            .collect::<Result<_, _>>()?,
    };
    let parsed = texts.iter().map(|text| NodeName::parse(text));
    parsed.collect::<Result<_, _>>().map_err(|_fault| fault())
}

fn field(query: Option<&str>, name: &str) -> Option<String> {
    let fields = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut named = fields.filter(|(field, _)| field == name);
    named.next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::is_asked_for;
    use super::names;

    fn with(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_who_asks_for_a_zip_gets_one() {
        let accepts = |value: &str, query| is_asked_for(&with("accept", &[value]), query);
        assert!(accepts("application/zip", None));
        assert!(accepts("text/html, Application/ZIP;q=0.9", None));
        assert!(!accepts("*/*", None));
        assert!(!accepts("application/zip", Some("accept=tar")));
        assert!(accepts("text/html", Some("x=1&accept=zip")));
        assert!(!is_asked_for(&HeaderMap::new(), None));
    }

    #[test]
    fn children_are_named_in_the_address_or_in_headers() {
        let named = |query: &str| {
            let names = names(&HeaderMap::new(), Some(query)).ok()?;
            Some(
                names
                    .iter()
                    .map(|name| name.as_str().to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        let of = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(named("files=%5B%22a%22%2C%22b+c%22%5D"), of(&["a", "b c"]));
        assert_eq!(named("files=%22a%22"), of(&["a"]));
        assert_eq!(named("files=a.txt"), of(&["a.txt"]));
        assert_eq!(named("files=12"), of(&["12"]));
        assert_eq!(named("files=%5B%5D"), of(&[]));
        assert_eq!(named("files=%5B1%5D"), None);
        for bad in ["a/b", "..", "", "../a"] {
            assert_eq!(named(&format!("files=%5B%22{bad}%22%5D")), None, "{bad}");
        }
        let headers = with("x-nc-files", &["a", "b, c"]);
        let from_headers = names(&headers, None).unwrap();
        assert_eq!(from_headers.len(), 2);
        assert_eq!(from_headers[1].as_str(), "b, c");
    }
}
