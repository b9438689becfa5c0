//! Addresses of the web page: what it shows at each is its own affair, that they are its is known to all adapters.

/// The first segments of its addresses, beside the root.
pub const PLACES: [&str; 9] = [
    "files",
    "shared",
    "groups",
    "recent",
    "favorites",
    "trash",
    "search",
    "account",
    "admin",
];

/// Returns whether an address leads to the web page: a path of the same server, perhaps with fields.
pub fn is_place(address: &str) -> bool {
    let (path, fields) = address.split_once('?').unwrap_or((address, ""));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"'<>`".contains(&byte);
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let first = rest.split('/').next().unwrap_or_default();
    let is_known = rest.is_empty() || PLACES.contains(&first);
    is_known && path.bytes().all(is_plain) && fields.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::is_place;

    #[test]
    fn only_addresses_of_the_page_are_its() {
        for ours in [
            "/",
            "/files",
            "/files/A%20b/c",
            "/search?q=plan",
            "/admin/users",
        ] {
            assert!(is_place(ours), "{ours}");
        }
        for other in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/dav/",
            "/filesystem",
            "/files/ä",
            "/files/\"><script>",
            "/login",
        ] {
            assert!(!is_place(other), "{other}");
        }
    }
}
