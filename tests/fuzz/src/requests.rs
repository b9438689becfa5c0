//! What a client may send: URLs, headers, XML bodies; and what an operator may write into the settings.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use nuage_server::config::Settings;
use nuage_server::dav::Mount;
use nuage_server::dav::if_header::parse_if;
use nuage_server::dav::request::DavRequest;
use nuage_server::dav::xml::Element;
use nuage_server::dav::xml::Instruction;
use nuage_server::dav::xml::parse_lockinfo;
use nuage_server::dav::xml::parse_mkcol;
use nuage_server::dav::xml::parse_propfind;
use nuage_server::dav::xml::parse_proppatch;
use nuage_server::files::Timestamp;
use nuage_server::http::address::TrustedProxies;
use nuage_server::http::authenticate::basic_credentials;
use nuage_server::http::conditions;
use nuage_server::http::download::Parts;
use nuage_server::http::download::RANGES_MAX;
use nuage_server::http::download::content_type_of;
use nuage_server::http::download::parse_range;
use nuage_shared::node_path::NodePath;

fn mount() -> Mount {
    Mount {
        prefix: "/remote.php/dav/files/Zo%C3%AB".to_owned(),
    }
}

/// A path that a URL names is named by the href that we write for it, and that is safe in XML.
pub fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mount = mount();
    let below = format!("{}/{text}", mount.prefix);
    for path in [mount.resolve_uri(text), mount.resolve(&below)] {
        if let Ok(Some(path)) = path {
            for is_folder in [false, true] {
                let href = mount.href(&path, is_folder);
                assert!(
                    href.is_ascii() && !href.contains(['<', '>', '&', '"', '\'', ' ', '?', '#'])
                );
                assert_eq!(mount.resolve(&href), Ok(Some(path.clone())));
                assert_eq!(
                    mount.resolve_uri(&format!("http://h{href}")),
                    Ok(Some(path.clone()))
                );
            }
        }
    }
}

/// Conditions are bounded, and each list says something.
pub fn if_header(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(lists) = parse_if(text, &mount(), &NodePath::root()) {
        assert!(!lists.is_empty() && lists.len() <= 256);
        assert!(lists.iter().all(|list| !list.conditions.is_empty()));
    }
}

/// A request: a line `METHOD URI`, then a header on each line.
pub fn request(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let (method, uri) = split(line, b' ');
    let headers = headers(lines);
    let Ok(method) = Method::from_bytes(method) else {
        return;
    };
    let Ok(uri) = Uri::try_from(uri) else {
        return;
    };
    let root = Mount {
        prefix: String::new(),
    };
    for mount in [root, mount()] {
        if let Ok(request) = DavRequest::parse(&mount, &method, &uri, &headers) {
            // Whatever was understood can be written down.
            assert!(!format!("{request:?}").is_empty());
        }
    }
}

fn split(line: &[u8], at: u8) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == at) {
        Some(position) => (&line[..position], &line[position + 1..]),
        None => (line, &[]),
    }
}

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let (name, value) = split(line, b':');
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// Headers that other parts than the DAV request read.
pub fn other_headers(input: &[u8]) {
    let headers = headers(input.split(|byte| *byte == b'\n'));
    let now = Timestamp::from_seconds(1_800_000_000);
    let _outcome = conditions::evaluate(&headers, "6f-1", now);
    let _holds = conditions::if_range_holds(&headers, "6f-1", now);
    let _precondition = conditions::precondition_of(&headers);
    let _credentials = basic_credentials(&headers);
    let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let _client = proxies.client_address(local, &headers);
    let _encrypted = proxies.is_encrypted(local, false, &headers);
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(proxies.client_address(stranger, &headers), stranger);
    if let Ok(name) = std::str::from_utf8(input) {
        assert!(HeaderValue::from_str(&content_type_of(name)).is_ok());
    }
}

/// Ranges lie within the content, in order, apart, none of them empty.
pub fn range(input: &[u8]) {
    let Some((size, rest)) = input.split_first_chunk::<8>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    for size in [u64::from_le_bytes(*size), u64::from(size[0]), 0] {
        if let Parts::Ranges(ranges) = parse_range(text, size) {
            assert!(!ranges.is_empty() && ranges.len() <= RANGES_MAX);
            let mut last_end = None;
            for range in ranges {
                assert!(range.start < range.end && range.end <= size);
                assert!(last_end.is_none_or(|end| end < range.start));
                last_end = Some(range.end);
            }
        }
    }
}

/// What is kept of a body (properties, owners of locks) stands alone and reads back as it was.
pub fn xml(input: &[u8]) {
    if let Ok(element) = Element::parse(input) {
        stands_alone(&element);
    }
    let _wanted = parse_propfind(input);
    for instructions in [parse_proppatch(input), parse_mkcol(input)] {
        for instruction in instructions.into_iter().flatten() {
            if let Instruction::Set(property) = &instruction {
                stands_alone(property);
            }
        }
    }
    if let Ok(lock) = parse_lockinfo(input) {
        if let Some(owner) = lock.owner {
            assert!(Element::parse(owner.as_bytes()).is_ok(), "{owner}");
        }
    }
}

fn stands_alone(element: &Element) {
    let written = element.standalone();
    let read = Element::parse(written.as_bytes());
    let read = read.unwrap_or_else(|fault| panic!("{fault}: {written}"));
    assert_eq!(read.name, element.name);
    assert_eq!(read.text(), element.text());
    assert_eq!(read.standalone(), written);
}

/// Settings are understood or every mistake has words.
pub fn settings(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match Settings::parse(text, std::iter::empty()) {
        Ok(settings) => assert!(!settings.describe().is_empty()),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(
                mistakes
                    .iter()
                    .all(|mistake| !mistake.to_string().is_empty())
            );
        }
    }
}
