//! Where a request really comes from, and under which address its client knows the server.
//!
//! Behind a proxy every connection comes from the proxy, which says in `X-Forwarded-For`
//! whose it is. Only proxies of trusted networks are believed: the list is read
//! from its end, and the first address that is no trusted proxy is the client.
//! What stands before it was written by the client and means nothing.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;

/// The most addresses that are read of one request.
const HOPS_MAX: usize = 32;

/// The address under which the client of a request knows the server, without a slash at its end.
///
/// The routes put it to the request's extensions.
#[derive(Debug, Clone, Default)]
pub struct BaseUrl(pub Arc<str>);

impl BaseUrl {
    /// Returns the one that the routes put to a request.
    pub fn of(request: &Parts) -> Self {
        request.extensions.get().cloned().unwrap_or_default()
    }
}

/// Networks whose word about the client is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Trusts these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// Returns whether this address is a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Returns the client of a request that came from `peer`.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lists = headers.get_all("x-forwarded-for").iter().rev();
        let hops = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.rsplit(','));
        for hop in hops.take(HOPS_MAX) {
            // What cannot be understood ends the chain: what is before it is anybody's word.
            let Some(address) = parse_hop(hop) else {
                return client;
            };
            client = address;
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    /// Returns whether the client's own connection is encrypted.
    pub fn is_encrypted(&self, peer: IpAddr, is_tls: bool, headers: &HeaderMap) -> bool {
        if !self.trusts(peer) {
            return is_tls;
        }
        match headers
            .get("x-forwarded-proto")
            .map(http::HeaderValue::as_bytes)
        {
            None => is_tls,
            Some(scheme) => scheme.eq_ignore_ascii_case(b"https"),
        }
    }
}

/// Reads an address, with or without a port and brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = bare.parse().ok();
    let with_port = || {
        let socket: std::net::SocketAddr = text.parse().ok()?;
        Some(socket.ip())
    };
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;

    use super::TrustedProxies;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let networks = ["127.0.0.1/32", "10.0.0.0/8"];
        let networks = networks.map(|network| network.parse().unwrap());
        let proxies = TrustedProxies::new(networks.to_vec());
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append("x-forwarded-for", list.parse().unwrap());
        }
        let peer: IpAddr = peer.parse().unwrap();
        proxies.client_address(peer, &headers).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_he_is() {
        assert_eq!(client("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
    }

    #[test]
    fn a_trusted_proxy_says_who_the_client_is() {
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("::ffff:127.0.0.1", &["198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["198.51.100.1:5000"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_the_client_itself_put_into_the_list_is_not_believed() {
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.7"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.0.0.7"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.7"]),
            "10.0.0.7"
        );
    }

    #[test]
    fn only_a_trusted_proxy_says_that_a_connection_is_encrypted() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        assert!(proxies.is_encrypted("10.0.0.1".parse().unwrap(), false, &headers));
        assert!(!proxies.is_encrypted("192.0.2.9".parse().unwrap(), false, &headers));
    }
}
