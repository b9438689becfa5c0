//! XML that clients send, read within limits; and elements written so that they stand alone.
//!
//! A body becomes a small tree of [`Element`]s, from which the four kinds of request
//! body are understood. Unknown elements and stray text are passed over: clients send both.
//!
//! # Always true
//!
//! * Depth, elements, attributes and declarations are limited, so neither reading
//!   nor dropping a tree exhausts the stack or memory.
//! * A DOCTYPE is refused; of entities only the five predefined and characters exist.
//! * What [`Element::standalone`] writes is well formed by itself: names and characters
//!   are checked when they are read, and every namespace used is declared inside.

use std::fmt::Write;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;

/// The namespace of WebDAV itself.
pub const DAV: &str = "DAV:";

/// The deepest element.
const DEPTH_MAX: usize = 64;
/// Elements in one body.
const ELEMENTS_MAX: usize = 10_000;
/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 64;
/// Namespace declarations in force at one place.
const DECLARATIONS_MAX: usize = 128;
/// Different properties that one PROPFIND may name.
const NAMES_MAX: usize = 512;
/// The owner element of a lock, in bytes.
const OWNER_BYTES_MAX: usize = 8 << 10;
/// What the prefix `xml` always means.
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// Why a body is not the XML that the method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    /// Not UTF-8.
    #[error("the XML is not UTF-8")]
    NotUtf8,
    /// Not well formed.
    #[error("the XML is not well formed")]
    Malformed,
    /// A document type declaration; it could define entities without end.
    #[error("the XML has a document type declaration")]
    Doctype,
    /// An entity that is not one of the five predefined ones.
    #[error("the XML uses an entity that is not predefined")]
    Entity,
    /// Too deep, too many parts, or a part too long.
    #[error("the XML is too deep or has too many parts")]
    TooComplex,
    /// A prefix without a declaration, or a declaration that may not be made.
    #[error("the XML uses namespaces wrongly")]
    Namespace,
    /// Well formed, but not the element that the method needs.
    #[error("the XML is not what this method expects")]
    Unexpected,
}

/// The name of an element or property.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XmlName {
    /// Namespace URI; may be empty.
    pub namespace: String,
    /// Local name.
    pub local: String,
}

impl XmlName {
    pub(crate) fn is_dav(&self, local: &str) -> bool {
        self.namespace == DAV && self.local == local
    }
}

/// An element with everything inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: XmlName,
    prefix: String,
    attributes: Vec<Attribute>,
    children: Vec<Child>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    prefix: String,
    name: XmlName,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Child {
    Element(Element),
    Text(String),
}

impl Element {
    /// Parses a whole document.
    pub fn parse(body: &[u8]) -> Result<Self, XmlFault> {
        Parser::default().parse(body)
    }

    /// Returns the elements directly inside.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Child::Element(element) => Some(element),
            Child::Text(_) => None,
        })
    }

    /// Returns the first element of namespace `DAV:` with this name directly inside.
    pub(crate) fn dav(&self, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.name.is_dav(local))
    }

    /// Returns the text directly inside, without white space around it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for child in &self.children {
            if let Child::Text(piece) = child {
                text.push_str(piece);
            }
        }
        text.trim().to_owned()
    }

    fn lang(&self) -> Option<&str> {
        let lang = self.attributes.iter().find(|attribute| {
            attribute.name.namespace == XML_NAMESPACE && attribute.name.local == "lang"
        });
        lang.map(|attribute| attribute.value.as_str())
    }

    /// Writes the element as XML that declares every namespace it uses.
    pub fn standalone(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, &mut Vec::new());
        out
    }

    fn write<'e>(&'e self, out: &mut String, scope: &mut Vec<(&'e str, &'e str)>) {
        let outer = scope.len();
        out.push('<');
        push_qualified(out, &self.prefix, &self.name.local);
        declare(out, scope, &self.prefix, &self.name.namespace);
        for attribute in &self.attributes {
            if !attribute.prefix.is_empty() && attribute.prefix != "xml" {
                declare(out, scope, &attribute.prefix, &attribute.name.namespace);
            }
            out.push(' ');
            push_qualified(out, &attribute.prefix, &attribute.name.local);
            out.push_str("=\"");
            push_escaped(out, &attribute.value);
            out.push('"');
        }
        if self.children.is_empty() {
            out.push_str("/>");
        } else {
            out.push('>');
            for child in &self.children {
                match child {
                    Child::Element(element) => element.write(out, scope),
                    Child::Text(text) => push_escaped(out, text),
                }
            }
            out.push_str("</");
            push_qualified(out, &self.prefix, &self.name.local);
            out.push('>');
        }
        scope.truncate(outer);
    }
}

fn push_qualified(out: &mut String, prefix: &str, local: &str) {
    if !prefix.is_empty() {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(local);
}

/// Writes a declaration unless the prefix means that namespace already.
fn declare<'e>(
    out: &mut String,
    scope: &mut Vec<(&'e str, &'e str)>,
    prefix: &'e str,
    namespace: &'e str,
) {
    let meant = scope.iter().rev().find(|(known, _)| *known == prefix);
    let meant = meant.map_or("", |(_, namespace)| namespace);
    if meant == namespace || prefix == "xml" {
        return;
    }
    out.push_str(" xmlns");
    if !prefix.is_empty() {
        out.push(':');
        out.push_str(prefix);
    }
    out.push_str("=\"");
    push_escaped(out, namespace);
    out.push('"');
    scope.push((prefix, namespace));
}

/// Writes text so that it means itself, between tags and in quotes.
pub fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\r', '\n', '\t']) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = special.chars();
        match characters.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            Some(white) => {
                // Written as it is, a reader would make it a space or a line feed.
                let written = write!(out, "&#{};", u32::from(white));
                debug_assert!(written.is_ok(), "a String takes everything");
            }
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

#[derive(Default)]
struct Parser {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    /// Prefix, namespace, and the depth at which it was declared.
    declared: Vec<(String, String, usize)>,
}

impl Parser {
    fn parse(mut self, body: &[u8]) -> Result<Element, XmlFault> {
        let text = std::str::from_utf8(body).map_err(|_not_utf8| XmlFault::NotUtf8)?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().expand_empty_elements = true;
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Start(start) => self.begin(&start)?,
                Event::Empty(start) => {
                    self.begin(&start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.add_text(&text.xml10_content())?,
                Event::CData(text) => self.add_text(&text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().map_err(malformed)? {
                        Some(character) => character,
                        None => predefined(&reference.xml10_content())?,
                    };
                    self.add_text(character.encode_utf8(&mut [0; 4]))?;
                }
                Event::DocType(_) => return Err(XmlFault::Doctype),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            Some(_) | None => Err(XmlFault::Malformed),
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>) -> Result<(), XmlFault> {
        self.elements += 1;
        if self.open.len() >= DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(XmlFault::TooComplex);
        }
        if self.root.is_some() {
            return Err(XmlFault::Malformed);
        }
        let depth = self.open.len() + 1;
        let mut plain = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(malformed)?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(entity)?;
            check_characters(&value)?;
            let name = attribute.key.into_inner();
            if name == "xmlns" {
                self.declared.push((String::new(), value.into(), depth));
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                check_name(prefix)?;
                // Namespaces in XML 1.0, section 3: a prefix cannot be undeclared, `xml` not redefined.
                if value.is_empty() || prefix == "xml" || prefix == "xmlns" {
                    return Err(XmlFault::Namespace);
                }
                self.declared.push((prefix.to_owned(), value.into(), depth));
            } else {
                plain.push((name.to_owned(), value.into_owned()));
            }
            if plain.len() > ATTRIBUTES_MAX || self.declared.len() > DECLARATIONS_MAX {
                return Err(XmlFault::TooComplex);
            }
        }
        let (prefix, name) = self.resolve(start.name().into_inner(), true)?;
        let attributes = plain
            .into_iter()
            .map(|(name, value)| {
                let (prefix, name) = self.resolve(&name, false)?;
                Ok(Attribute {
                    prefix,
                    name,
                    value,
                })
            })
            .collect::<Result<_, _>>()?;
        self.open.push(Element {
            name,
            prefix,
            attributes,
            children: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlFault> {
        let element = self.open.pop().ok_or(XmlFault::Malformed)?;
        let depth = self.open.len();
        self.declared.retain(|(_, _, at)| *at <= depth);
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Child::Element(element)),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn add_text(&mut self, text: &str) -> Result<(), XmlFault> {
        check_characters(text)?;
        let Some(element) = self.open.last_mut() else {
            return if text.trim().is_empty() {
                Ok(())
            } else {
                Err(XmlFault::Malformed)
            };
        };
        if let Some(Child::Text(before)) = element.children.last_mut() {
            before.push_str(text);
        } else if !text.is_empty() {
            element.children.push(Child::Text(text.to_owned()));
        }
        Ok(())
    }

    /// Splits a qualified name and finds its namespace; attributes have no default namespace.
    fn resolve(&self, qualified: &str, has_default: bool) -> Result<(String, XmlName), XmlFault> {
        let (prefix, local) = match qualified.split_once(':') {
            Some((prefix, local)) => {
                check_name(prefix)?;
                (prefix, local)
            }
            None => ("", qualified),
        };
        check_name(local)?;
        let known = self
            .declared
            .iter()
            .rev()
            .find(|(known, ..)| known == prefix);
        let namespace = match (prefix, known) {
            ("xml", _) => XML_NAMESPACE,
            ("", _) if !has_default => "",
            (_, Some((_, namespace, _))) => namespace,
            ("", None) => "",
            (_, None) => return Err(XmlFault::Namespace),
        };
        let name = XmlName {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
        };
        Ok((prefix.to_owned(), name))
    }
}

fn malformed<E>(_error: E) -> XmlFault {
    XmlFault::Malformed
}

fn entity<E>(_error: E) -> XmlFault {
    XmlFault::Entity
}

fn predefined(name: &str) -> Result<char, XmlFault> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(XmlFault::Entity),
    }
}

/// Checks what the reader does not: a name that could not be written again must not come in
/// (Namespaces in XML 1.0, section 3: NCName).
fn check_name(name: &str) -> Result<(), XmlFault> {
    let mut characters = name.chars();
    if characters.next().is_some_and(may_start_name) && characters.all(may_continue_name) {
        Ok(())
    } else {
        Err(XmlFault::Malformed)
    }
}

fn may_start_name(character: char) -> bool {
    matches!(
        character,
        'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
            | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
            | '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}'
    )
}

fn may_continue_name(character: char) -> bool {
    may_start_name(character)
        || matches!(
            character,
            '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}'
        )
}

fn check_characters(text: &str) -> Result<(), XmlFault> {
    if text.contains(is_forbidden) {
        return Err(XmlFault::Malformed);
    }
    Ok(())
}

/// Characters that XML 1.0 cannot carry (section 2.2).
fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}'
    )
}

/// Which properties a PROPFIND asks for (RFC 4918 section 14.20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `allprop`, with what `include` adds; also an empty body.
    All {
        /// Further properties.
        include: Vec<XmlName>,
    },
    /// `propname`: the names of all.
    Names,
    /// `prop`: these, each once.
    These(Vec<XmlName>),
}

/// Understands the body of a PROPFIND.
pub fn parse_propfind(body: &[u8]) -> Result<Wanted, XmlFault> {
    if body.is_empty() {
        return Ok(Wanted::All {
            include: Vec::new(),
        });
    }
    let root = parse_root(body, "propfind")?;
    match (root.dav("prop"), root.dav("allprop"), root.dav("propname")) {
        (Some(prop), None, None) => Ok(Wanted::These(names_in(prop)?)),
        (None, Some(_), None) => Ok(Wanted::All {
            include: match root.dav("include") {
                Some(include) => names_in(include)?,
                None => Vec::new(),
            },
        }),
        (None, None, Some(_)) => Ok(Wanted::Names),
        _ => Err(XmlFault::Unexpected),
    }
}

fn parse_root(body: &[u8], local: &str) -> Result<Element, XmlFault> {
    let root = Element::parse(body)?;
    if root.name.is_dav(local) {
        Ok(root)
    } else {
        Err(XmlFault::Unexpected)
    }
}

/// Returns the names of the elements directly inside, each once.
pub(crate) fn names_in(element: &Element) -> Result<Vec<XmlName>, XmlFault> {
    let mut names: Vec<XmlName> = Vec::new();
    for child in element.elements() {
        if !names.contains(&child.name) {
            names.push(child.name.clone());
        }
        if names.len() > NAMES_MAX {
            return Err(XmlFault::TooComplex);
        }
    }
    Ok(names)
}

/// One instruction of a PROPPATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Sets a property to this element.
    Set(Element),
    /// Removes a property.
    Remove(XmlName),
}

impl Instruction {
    /// Returns the property that it is about.
    pub fn name(&self) -> &XmlName {
        match self {
            Self::Set(element) => &element.name,
            Self::Remove(name) => name,
        }
    }
}

/// Understands the body of a PROPPATCH: instructions in document order.
pub fn parse_proppatch(body: &[u8]) -> Result<Vec<Instruction>, XmlFault> {
    let instructions = instructions_in(&parse_root(body, "propertyupdate")?)?;
    if instructions.is_empty() {
        return Err(XmlFault::Unexpected);
    }
    Ok(instructions)
}

/// Understands the body of an extended MKCOL (RFC 5689 section 5.1): properties to set.
pub fn parse_mkcol(body: &[u8]) -> Result<Vec<Instruction>, XmlFault> {
    instructions_in(&parse_root(body, "mkcol")?)
}

fn instructions_in(root: &Element) -> Result<Vec<Instruction>, XmlFault> {
    let mut instructions = Vec::new();
    for action in root.elements() {
        let is_set = action.name.is_dav("set");
        if !is_set && !action.name.is_dav("remove") {
            continue;
        }
        for prop in action.elements().filter(|e| e.name.is_dav("prop")) {
            // RFC 4918 section 4.3: the language in force belongs to the value.
            let lang = prop.lang().or(action.lang()).or(root.lang());
            for property in prop.elements() {
                instructions.push(if is_set {
                    Instruction::Set(with_lang(property, lang))
                } else {
                    Instruction::Remove(property.name.clone())
                });
            }
        }
        if instructions.len() > NAMES_MAX {
            return Err(XmlFault::TooComplex);
        }
    }
    Ok(instructions)
}

fn with_lang(property: &Element, lang: Option<&str>) -> Element {
    let mut property = property.clone();
    if let Some(lang) = lang.filter(|_| property.lang().is_none()) {
        property.attributes.push(Attribute {
            prefix: "xml".to_owned(),
            name: XmlName {
                namespace: XML_NAMESPACE.to_owned(),
                local: "lang".to_owned(),
            },
            value: lang.to_owned(),
        });
    }
    property
}

/// What a LOCK asks for in its body (RFC 4918 section 14.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// Shared, else exclusive.
    pub shared: bool,
    /// The owner element, standing alone.
    pub owner: Option<String>,
}

/// Understands the body of a LOCK that makes a lock.
pub fn parse_lockinfo(body: &[u8]) -> Result<LockInfo, XmlFault> {
    let root = parse_root(body, "lockinfo")?;
    let scope = root.dav("lockscope").ok_or(XmlFault::Unexpected)?;
    let kind = root.dav("locktype").ok_or(XmlFault::Unexpected)?;
    let shared = match (scope.dav("exclusive"), scope.dav("shared")) {
        (Some(_), None) => false,
        (None, Some(_)) => true,
        _ => return Err(XmlFault::Unexpected),
    };
    if kind.dav("write").is_none() {
        return Err(XmlFault::Unexpected);
    }
    let owner = root.dav("owner").map(Element::standalone);
    if owner
        .as_ref()
        .is_some_and(|xml| xml.len() > OWNER_BYTES_MAX)
    {
        return Err(XmlFault::TooComplex);
    }
    Ok(LockInfo { shared, owner })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(namespace: &str, local: &str) -> XmlName {
        XmlName {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
        }
    }

    #[test]
    fn a_propfind_may_use_any_prefix_and_hold_stray_text() {
        let body = br#"<?xml version="1.0"?><a:propfind xmlns:a="DAV:"><a:prop>
            <a:getetag/><id xmlns="http://owncloud.org/ns"/><plain/></a:prop>M</a:propfind>"#;
        assert_eq!(
            parse_propfind(body),
            Ok(Wanted::These(vec![
                name(DAV, "getetag"),
                name("http://owncloud.org/ns", "id"),
                name("", "plain"),
            ]))
        );
    }

    #[test]
    fn an_empty_propfind_asks_for_everything() {
        let everything = Wanted::All {
            include: Vec::new(),
        };
        assert_eq!(parse_propfind(b""), Ok(everything));
    }

    #[test]
    fn entity_bombs_and_document_types_are_refused() {
        let bomb = br#"<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><propfind xmlns="DAV:"><prop>&b;</prop></propfind>"#;
        assert_eq!(parse_propfind(bomb), Err(XmlFault::Doctype));
        let entity = br#"<propfind xmlns="DAV:"><prop>&b;</prop></propfind>"#;
        assert_eq!(parse_propfind(entity), Err(XmlFault::Entity));
        let in_attribute = br#"<propfind xmlns="DAV:"><prop a="&b;"/></propfind>"#;
        assert_eq!(parse_propfind(in_attribute), Err(XmlFault::Entity));
    }

    #[test]
    fn a_very_deep_body_is_refused_without_a_deep_stack() {
        let body = "<a>".repeat(300_000);
        assert_eq!(parse_propfind(body.as_bytes()), Err(XmlFault::TooComplex));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let bodies: [&[u8]; 12] = [
            b"<propfind xmlns='DAV:'><prop></propfind>",
            b"<propfind xmlns='DAV:'><prop>",
            b"<d:propfind/>",
            b"<propfind xmlns='DAV:'><prop xmlns:ns=''><ns:x/></prop></propfind>",
            b"<propfind xmlns='DAV:'/><propfind xmlns='DAV:'/>",
            b"<propfind xmlns='DAV:'/>text",
            b"just text",
            b"<propfind xmlns='DAV:'><prop><a\"b/></prop></propfind>",
            b"<propfind xmlns='DAV:'><prop>\x01</prop></propfind>",
            b"<propfind xmlns='DAV:'><prop>&#1;</prop></propfind>",
            b"<propfind xmlns='DAV:'>\xff</propfind>",
            b"<propfind xmlns='DAV:'/>",
        ];
        for body in bodies {
            let parsed = parse_propfind(body);
            assert!(parsed.is_err(), "{}: {parsed:?}", body.escape_ascii());
        }
    }

    #[test]
    fn a_property_keeps_its_meaning_when_it_stands_alone() {
        let body = r#"<D:propertyupdate xmlns:D="DAV:" xmlns:q="urn:q&amp;r" xml:lang="fr"><D:set><D:prop>
            <q:v q:a="1 &lt; 2&#10;"><in xmlns="urn:i"/>é<![CDATA[<&]]><D:href>x</D:href></q:v>
            </D:prop></D:set><D:remove><D:prop><gone/></D:prop></D:remove></D:propertyupdate>"#;
        let parsed = parse_proppatch(body.as_bytes()).unwrap();
        let [Instruction::Set(set), Instruction::Remove(gone)] = &parsed[..] else {
            panic!("{parsed:?}");
        };
        assert_eq!(gone, &name("", "gone"));
        assert_eq!(
            set.standalone(),
            "<q:v xmlns:q=\"urn:q&amp;r\" q:a=\"1 &lt; 2&#10;\" xml:lang=\"fr\">\
             <in xmlns=\"urn:i\"/>é&lt;&amp;<D:href xmlns:D=\"DAV:\">x</D:href></q:v>"
        );
        let again = Element::parse(set.standalone().as_bytes()).unwrap();
        assert_eq!(again.standalone(), set.standalone());
    }

    #[test]
    fn an_element_without_namespace_stays_without_one_inside_another() {
        let text = r#"<a xmlns="urn:a"><b xmlns=""><c/></b></a>"#;
        assert_eq!(Element::parse(text.as_bytes()).unwrap().standalone(), text);
    }

    #[test]
    fn a_lock_body_names_scope_and_owner() {
        let body = br#"<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:shared/></D:lockscope>
            <D:locktype><D:write/></D:locktype><D:owner><D:href>me</D:href></D:owner></D:lockinfo>"#;
        let info = parse_lockinfo(body).unwrap();
        assert!(info.shared);
        let owner = r#"<D:owner xmlns:D="DAV:"><D:href>me</D:href></D:owner>"#;
        assert_eq!(info.owner.as_deref(), Some(owner));
    }

    #[test]
    fn a_mkcol_body_of_another_kind_is_not_understood() {
        assert_eq!(
            parse_mkcol(b"<propfind xmlns='DAV:'/>"),
            Err(XmlFault::Unexpected)
        );
        assert_eq!(parse_mkcol(b"<mkcol xmlns='DAV:'/>"), Ok(Vec::new()));
    }
}
