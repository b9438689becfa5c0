//! What a 207 says: entries, properties, statuses.
//!
//! Names of properties are written `{namespace}name`. A body that is not well
//! formed fails the test: a listing may break, but it may not lie.

use std::collections::BTreeMap;

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// A property of an entry.
#[derive(Debug, Clone, Default)]
pub struct Property {
    /// The status of its propstat: 200, 404, ….
    pub status: u16,
    /// All text in it.
    pub text: String,
    /// All elements in it, at any depth, as `{namespace}name`.
    pub elements: Vec<String>,
}

/// One `response`.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The href, as it was sent.
    pub href: String,
    /// The status of the whole entry, where it has one.
    pub status: Option<u16>,
    /// Its properties by `{namespace}name`.
    pub properties: BTreeMap<String, Property>,
}

impl Entry {
    /// Returns the text of a property that was found.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.properties
            .get(name)
            .filter(|property| property.status == 200)
            .map(|property| property.text.as_str())
    }

    /// Returns whether the entry is a folder.
    pub fn is_folder(&self) -> bool {
        self.properties
            .get("{DAV:}resourcetype")
            .is_some_and(|kind| kind.elements.iter().any(|name| name == "{DAV:}collection"))
    }
}

/// A whole 207 body.
#[derive(Debug, Clone, Default)]
pub struct Multistatus {
    /// The entries in their order.
    pub entries: Vec<Entry>,
}

impl Multistatus {
    /// Reads a body; fails the test when it is not well formed or does not end.
    #[track_caller]
    pub fn parse(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).expect("the 207 body is UTF-8");
        Self::read(text).unwrap_or_else(|fault| panic!("{fault} in the 207 body:\n{text}"))
    }

    /// Returns the entry of an href (its end is enough).
    #[track_caller]
    pub fn entry(&self, end: &str) -> &Entry {
        self.entries
            .iter()
            .find(|entry| entry.href.ends_with(end))
            .unwrap_or_else(|| panic!("no entry {end} in {:?}", self.hrefs()))
    }

    /// Returns the hrefs in their order.
    pub fn hrefs(&self) -> Vec<&str> {
        self.entries
            .iter()
            .map(|entry| entry.href.as_str())
            .collect()
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut reader = NsReader::from_str(text);
        let mut all = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut group: BTreeMap<String, Property> = BTreeMap::new();
        loop {
            let (namespace, event) = reader
                .read_resolved_event()
                .map_err(|error| error.to_string())?;
            let namespace = match namespace {
                ResolveResult::Bound(namespace) => namespace.into_inner().to_owned(),
                ResolveResult::Unbound => String::new(),
                ResolveResult::Unknown(_) => return Err("an undeclared prefix".to_owned()),
            };
            let full = |local: &str| format!("{{{namespace}}}{local}");
            match event {
                Event::Start(start) => {
                    let name = full(start.local_name().as_ref());
                    all.open(&path, &name, &mut group);
                    path.push(name);
                }
                Event::Empty(start) => {
                    let name = full(start.local_name().as_ref());
                    all.open(&path, &name, &mut group);
                    path.push(name);
                    all.close(&mut path, &mut group);
                }
                Event::End(_) => all.close(&mut path, &mut group),
                Event::Text(piece) => {
                    let piece = piece.xml10_content();
                    all.text(&path, &piece, &mut group);
                }
                Event::CData(piece) => all.text(&path, &piece, &mut group),
                Event::GeneralRef(reference) => {
                    let piece = match reference
                        .resolve_char_ref()
                        .map_err(|error| error.to_string())?
                    {
                        Some(letter) => letter.to_string(),
                        None => match &*reference {
                            "amp" => "&".to_owned(),
                            "lt" => "<".to_owned(),
                            "gt" => ">".to_owned(),
                            "quot" => "\"".to_owned(),
                            "apos" => "'".to_owned(),
                            other => return Err(format!("unknown entity {other}")),
                        },
                    };
                    all.text(&path, &piece, &mut group);
                }
                Event::Eof if path.is_empty() && !all.entries.is_empty() => return Ok(all),
                Event::Eof if path.is_empty() && text.contains("multistatus") => return Ok(all),
                Event::Eof => return Err("it ends too early".to_owned()),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn open(&mut self, path: &[String], name: &str, group: &mut BTreeMap<String, Property>) {
        match depth(path).as_slice() {
            ["multistatus"] if name == "{DAV:}response" => self.entries.push(Entry::default()),
            ["multistatus", "response", "propstat", "prop"] => {
                group.insert(name.to_owned(), Property::default());
            }
            ["multistatus", "response", "propstat", "prop", ..] => {
                if let Some(property) = path.get(4).and_then(|name| group.get_mut(name)) {
                    property.elements.push(name.to_owned());
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, path: &[String], piece: &str, group: &mut BTreeMap<String, Property>) {
        let Some(entry) = self.entries.last_mut() else {
            return;
        };
        match depth(path).as_slice() {
            ["multistatus", "response", "href"] => entry.href.push_str(piece.trim()),
            ["multistatus", "response", "status"] => entry.status = Some(status(piece)),
            ["multistatus", "response", "propstat", "status"] => {
                for property in group.values_mut() {
                    property.status = status(piece);
                }
            }
            ["multistatus", "response", "propstat", "prop", _, ..] => {
                if let Some(property) = group.get_mut(&path[4]) {
                    property.text.push_str(piece);
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, path: &mut Vec<String>, group: &mut BTreeMap<String, Property>) {
        if depth(path).as_slice() == ["multistatus", "response", "propstat"]
            && let Some(entry) = self.entries.last_mut()
        {
            entry.properties.append(group);
        }
        path.pop();
    }
}

/// The local names of a path.
fn depth(path: &[String]) -> Vec<&str> {
    path.iter()
        .map(|name| name.rsplit('}').next().unwrap_or_default())
        .collect()
}

fn status(line: &str) -> u16 {
    line.split_whitespace()
        .nth(1)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("not a status line: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::Multistatus;

    #[test]
    fn a_listing_is_read_with_statuses_namespaces_and_references() {
        let body = br#"<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:x="urn:x"><d:response>
            <d:href>/dav/a%20b/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>
            <x:t>1 &lt; 2 &#65;</x:t></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>
            <d:propstat><d:prop><x:none/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
            </d:response></d:multistatus>"#;

        let all = Multistatus::parse(body);

        let entry = all.entry("a%20b/");
        assert!(entry.is_folder());
        assert_eq!(entry.text("{urn:x}t"), Some("1 < 2 A"));
        assert_eq!(entry.text("{urn:x}none"), None);
        assert_eq!(entry.properties["{urn:x}none"].status, 404);
    }
}
