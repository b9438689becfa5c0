//! XML that is too deep, too large, too clever or none at all.

use std::fmt::Write as _;
use std::time::Duration;
use std::time::Instant;

use nuage_tests::TestServer;

/// Writes something so many times, with its number.
fn repeated(times: u32, each: impl Fn(&mut String, u32) -> std::fmt::Result) -> String {
    let mut text = String::new();
    for number in 0..times {
        each(&mut text, number).unwrap();
    }
    text
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let open = "<?xml version=\"1.0\"?>";
    let find = |inside: &str| {
        format!("{open}<d:propfind xmlns:d=\"DAV:\"><d:prop>{inside}</d:prop></d:propfind>")
    };
    let mut laughs = format!("{open}<!DOCTYPE d [<!ENTITY a0 \"ha\">");
    for level in 1..30 {
        let before = level - 1;
        let ten = format!("&a{before};").repeat(10);
        write!(laughs, "<!ENTITY a{level} \"{ten}\">").unwrap();
    }
    laughs
        .push_str("]><d:propfind xmlns:d=\"DAV:\"><d:prop><d:x>&a29;</d:x></d:prop></d:propfind>");
    let long = "x".repeat(50_000);
    let quadratic = format!(
        "{open}<!DOCTYPE d [<!ENTITY a \"{long}\">]><d:propfind xmlns:d=\"DAV:\"><d:prop><d:x>{}</d:x></d:prop></d:propfind>",
        "&a;".repeat(50_000)
    );
    let outside = format!(
        "{open}<!DOCTYPE d [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>\
         <d:propertyupdate xmlns:d=\"DAV:\" xmlns:x=\"urn:x\"><d:set><d:prop><x:a>&a;</x:a></d:prop></d:set></d:propertyupdate>"
    );
    let attributes = repeated(200_000, |text, number| write!(text, " a{number}=\"\""));
    let namespaces = repeated(100_000, |text, number| {
        write!(text, " xmlns:n{number}=\"urn:{number}\"")
    });
    vec![
        ("deep", [find(&"<d:a>".repeat(200_000)).as_bytes()].concat()),
        ("deep and closed", find(&format!("{}{}", "<d:a>".repeat(100_000), "</d:a>".repeat(100_000))).into_bytes()),
        ("billion laughs", laughs.into_bytes()),
        ("quadratic", quadratic.into_bytes()),
        ("external entity", outside.into_bytes()),
        ("attributes", find(&format!("<d:x{attributes}/>")).into_bytes()),
        ("namespaces", find(&format!("<d:x{namespaces}/>")).into_bytes()),
        ("a long name", find(&format!("<d:{}/>", "n".repeat(3_000_000))).into_bytes()),
        ("many properties", find(&repeated(200_000, |text, number| write!(text, "<d:p{number}/>"))).into_bytes()),
        ("32 MiB of spaces", vec![b' '; 32 << 20]),
        ("cut", b"<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\"><d:pr".to_vec()),
        ("crossed", b"<a><b></a></b>".to_vec()),
        ("an undeclared prefix", b"<d:propfind><d:allprop/></d:propfind>".to_vec()),
        ("no XML", b"hello".to_vec()),
        ("not UTF-8", b"<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\"><d:prop><d:\xff\xfe/></d:prop></d:propfind>".to_vec()),
        ("UTF-16", "<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("NUL", b"<d:propfind xmlns:d=\"DAV:\"><d:prop><d:a\0b/></d:prop></d:propfind>".to_vec()),
    ]
}

#[test]
fn no_xml_costs_more_than_a_moment_or_some_megabytes() {
    let mut server = TestServer::start();
    let alice = server.user("alice");
    alice.put("/a", "x").send().expect(201);
    alice.propfind("/", "1", &["d:getetag"]).send().expect(207);
    let before = server.memory_peak_bytes();

    for method in ["PROPFIND", "PROPPATCH", "LOCK", "MKCOL", "REPORT", "SEARCH"] {
        for (what, body) in bombs() {
            let begun = Instant::now();
            let path = if method == "MKCOL" { "/new" } else { "/a" };
            let answer = alice
                .call(method, path)
                .header("Depth", "0")
                .header("Content-Type", "application/xml")
                .body(body)
                .try_send();
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(10), "{method} {what}: {took:?}");
            // A body that is too large may be cut off before the client has sent it all.
            if let Ok(answer) = answer {
                // Many unknown properties may be asked for: that is an answer, not an attack.
                let may_succeed = method == "PROPFIND" && what == "many properties";
                assert!(
                    (400..500).contains(&answer.status) || answer.status == 501 || may_succeed,
                    "{method} {what}: {}",
                    answer.status
                );
                assert!(!answer.text().contains("root:"), "{method} {what}");
            }
        }
        server.assert_alive();
    }

    let grown = server.memory_peak_bytes() - before;
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    assert_eq!(alice.names("/"), ["a"]);
}
