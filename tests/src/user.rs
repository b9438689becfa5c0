//! Requests of one signed-in person.
//!
//! A [`User`] knows the server's present address (it changes with a restart),
//! its own name and secret, and keeps connections alive. Paths are given as a
//! person would write them and are encoded here; [`User::raw`] sends a target
//! as it is.

use std::fmt::Write as _;
use std::io::Cursor;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::http::Answer;
use crate::http::Broken;
use crate::http::Connection;
use crate::http::Payload;
use crate::http::Request;
use crate::http::basic;
use crate::multistatus::Entry;

/// What stays as it is in a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Returns a path as it is written in a URL.
pub fn encode(path: &str) -> String {
    utf8_percent_encode(path, KEPT).to_string()
}

/// One person (or program) with a name and a secret.
#[derive(Debug, Clone)]
pub struct User {
    /// The account's name.
    pub name: String,
    /// The password or app password.
    pub secret: String,
    /// The prefix of the files' URLs, without the slash at its end.
    pub prefix: String,
    address: Arc<Mutex<SocketAddr>>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl User {
    /// Makes a user that finds the server at `address`, whatever it is at the time.
    pub fn new(address: Arc<Mutex<SocketAddr>>, name: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            secret: secret.to_owned(),
            prefix: "/dav".to_owned(),
            address,
            idle: Arc::default(),
        }
    }

    /// Returns the same user through the other URL, `/remote.php/dav/files/{user}`.
    #[must_use]
    pub fn at_remote_php(&self) -> Self {
        let mut other = self.clone();
        other.prefix = format!("/remote.php/dav/files/{}", encode(&self.name));
        other
    }

    /// Returns the same account with another secret.
    #[must_use]
    pub fn with_secret(&self, secret: &str) -> Self {
        Self::new(Arc::clone(&self.address), &self.name, secret)
    }

    /// Returns where the server listens now.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().expect("no test thread panicked")
    }

    /// Returns the URL of a path, for foreign programs.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}", self.address(), self.target(path))
    }

    /// Returns the request target of a path.
    pub fn target(&self, path: &str) -> String {
        format!("{}{}", self.prefix, encode(path))
    }

    /// Begins a request on a path.
    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        self.raw(method, &self.target(path))
    }

    /// Begins a request whose target goes out as it is.
    pub fn raw(&self, method: &str, target: &str) -> Call<'_> {
        let request =
            Request::new(method, target).header("Authorization", &basic(&self.name, &self.secret));
        Call {
            user: self,
            request,
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    /// HEAD.
    pub fn head(&self, path: &str) -> Call<'_> {
        self.call("HEAD", path)
    }

    /// PUT of bytes.
    pub fn put(&self, path: &str, body: impl Into<Vec<u8>>) -> Call<'_> {
        self.call("PUT", path).body(body)
    }

    /// PUT of a stream of known length.
    pub fn put_stream(
        &self,
        path: &str,
        reader: impl Read + Send + 'static,
        length: u64,
    ) -> Call<'_> {
        let mut call = self.call("PUT", path);
        call.request.payload = Payload::Stream(Box::new(reader), length);
        call
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Call<'_> {
        self.call("DELETE", path)
    }

    /// MKCOL.
    pub fn mkcol(&self, path: &str) -> Call<'_> {
        self.call("MKCOL", path)
    }

    /// MOVE.
    pub fn mv(&self, from: &str, to: &str) -> Call<'_> {
        self.call("MOVE", from).header("Destination", &self.url(to))
    }

    /// COPY.
    pub fn copy(&self, from: &str, to: &str) -> Call<'_> {
        self.call("COPY", from).header("Destination", &self.url(to))
    }

    /// PROPFIND of named properties: `d:` is DAV:, `oc:` ownCloud's, `nc:` Nextcloud's, `x:` is `urn:x`.
    pub fn propfind(&self, path: &str, depth: &str, names: &[&str]) -> Call<'_> {
        let mut body = format!("<?xml version=\"1.0\"?><d:propfind {NAMESPACES}><d:prop>");
        for name in names {
            write!(body, "<{name}/>").expect("a string takes text");
        }
        body.push_str("</d:prop></d:propfind>");
        self.call("PROPFIND", path)
            .header("Depth", depth)
            .header("Content-Type", "application/xml")
            .body(body)
    }

    /// PROPPATCH that sets one property of namespace `urn:x`.
    pub fn set_property(&self, path: &str, name: &str, value: &str) -> Call<'_> {
        self.proppatch(
            path,
            &format!("<d:set><d:prop><x:{name}>{value}</x:{name}></d:prop></d:set>"),
        )
    }

    /// PROPPATCH with the given inside of `propertyupdate`.
    pub fn proppatch(&self, path: &str, inside: &str) -> Call<'_> {
        self.call("PROPPATCH", path)
            .header("Content-Type", "application/xml")
            .body(format!(
                "<?xml version=\"1.0\"?><d:propertyupdate {NAMESPACES}>{inside}</d:propertyupdate>"
            ))
    }

    /// LOCK: `scope` is `exclusive` or `shared`, `timeout` as in `Second-60`.
    pub fn lock(&self, path: &str, scope: &str, depth: &str, timeout: &str) -> Call<'_> {
        self.call("LOCK", path)
            .header("Depth", depth)
            .header("Timeout", timeout)
            .header("Content-Type", "application/xml")
            .body(format!(
                "<?xml version=\"1.0\"?><d:lockinfo xmlns:d=\"DAV:\"><d:lockscope><d:{scope}/></d:lockscope>\
                 <d:locktype><d:write/></d:locktype><d:owner>{}</d:owner></d:lockinfo>",
                self.name
            ))
    }

    /// Takes an exclusive lock and returns its token, `opaquelocktoken:…` without brackets.
    #[track_caller]
    pub fn locked(&self, path: &str, timeout: &str) -> String {
        let answer = self
            .lock(path, "exclusive", "infinity", timeout)
            .send()
            .expect_any(&[200, 201]);
        answer
            .header("lock-token")
            .unwrap_or_else(|| panic!("no Lock-Token: {answer}"))
            .trim_matches(['<', '>'])
            .to_owned()
    }

    /// UNLOCK.
    pub fn unlock(&self, path: &str, token: &str) -> Call<'_> {
        self.call("UNLOCK", path)
            .header("Lock-Token", &format!("<{token}>"))
    }

    /// Makes folders, all that are missing on the way.
    #[track_caller]
    pub fn folders(&self, path: &str) {
        let mut so_far = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            so_far.push('/');
            so_far.push_str(name);
            self.mkcol(&so_far).send().expect_any(&[201, 405]);
        }
    }

    /// Returns what a PROPFIND of depth 0 says about one node.
    #[track_caller]
    pub fn properties(&self, path: &str, names: &[&str]) -> Entry {
        let answer = self.propfind(path, "0", names).send();
        let mut all = answer.multistatus();
        assert_eq!(all.entries.len(), 1, "{answer}");
        all.entries.remove(0)
    }

    /// Returns the names of a folder's children in the order of the listing, decoded.
    #[track_caller]
    pub fn names(&self, path: &str) -> Vec<String> {
        let all = self
            .propfind(path, "1", &["d:resourcetype"])
            .send()
            .multistatus();
        all.entries
            .iter()
            .skip(1)
            .map(|entry| {
                let last = entry.href.trim_end_matches('/').rsplit('/').next();
                percent_encoding::percent_decode_str(last.unwrap_or_default())
                    .decode_utf8_lossy()
                    .into_owned()
            })
            .collect()
    }

    /// Returns the ETag of a node as PROPFIND says it.
    #[track_caller]
    pub fn etag_of(&self, path: &str) -> String {
        let entry = self.properties(path, &["d:getetag"]);
        entry
            .text("{DAV:}getetag")
            .unwrap_or_else(|| panic!("no ETag of {path}"))
            .to_owned()
    }

    /// Opens a connection of one's own, for requests that misbehave.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).expect("the server listens")
    }

    fn try_send(&self, request: Request) -> Result<Answer, Broken> {
        let address = self.address();
        let pooled = {
            let mut idle = self.idle.lock().expect("no test thread panicked");
            idle.retain(|connection| connection.peer() == Some(address));
            idle.pop()
        };
        let mut connection = match pooled {
            Some(connection) if connection.is_usable() => connection,
            Some(_) | None => Connection::open(address)?,
        };
        let has_body = !matches!(request.payload, Payload::None);
        let answer = connection.send(request)?;
        // Who refuses a body unread may close the connection a moment later.
        let may_close = has_body && answer.status >= 400;
        if !may_close && connection.is_usable() {
            let mut idle = self.idle.lock().expect("no test thread panicked");
            idle.push(connection);
        }
        Ok(answer)
    }
}

/// The namespaces that [`User::propfind`] and [`User::proppatch`] declare.
const NAMESPACES: &str = "xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\" \
     xmlns:nc=\"http://nextcloud.org/ns\" xmlns:x=\"urn:x\"";

/// A request that is being written; `send` sends it.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call<'a> {
    user: &'a User,
    request: Request,
}

impl Call<'_> {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Gives a body with its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// Sends the body in chunked coding, without a length.
    pub fn chunked(mut self) -> Self {
        self.request.payload = match self.request.payload {
            Payload::Bytes(bytes) => Payload::Chunked(Box::new(Cursor::new(bytes))),
            Payload::Stream(reader, length) => Payload::Chunked(Box::new(reader.take(length))),
            other => other,
        };
        self
    }

    /// Adds If-Match.
    pub fn if_match(self, etag: &str) -> Self {
        self.header("If-Match", etag)
    }

    /// Adds If-None-Match.
    pub fn if_none_match(self, etag: &str) -> Self {
        self.header("If-None-Match", etag)
    }

    /// Adds an `If` header with one lock token.
    pub fn token(self, token: &str) -> Self {
        self.header("If", &format!("(<{token}>)"))
    }

    /// Adds Range.
    pub fn range(self, range: &str) -> Self {
        self.header("Range", range)
    }

    /// Forbids to replace the target.
    pub fn keep(self) -> Self {
        self.header("Overwrite", "F")
    }

    /// Sends it; no answer fails the test.
    #[track_caller]
    pub fn send(self) -> Answer {
        let asked = format!("{} {}", self.request.method, self.request.target);
        self.user
            .try_send(self.request)
            .unwrap_or_else(|broken| panic!("{asked}: {broken:?}"))
    }

    /// Sends it; the server may be dying.
    pub fn try_send(self) -> Result<Answer, Broken> {
        self.user.try_send(self.request)
    }

    /// Sends the head alone on a connection of its own and waits for the answer.
    #[track_caller]
    pub fn send_head_only(self, patience: std::time::Duration) -> Answer {
        let asked = format!("{} {}", self.request.method, self.request.target);
        let mut connection = self.user.connect();
        connection.set_patience(patience);
        connection
            .write(&self.request.head())
            .expect("a head can be sent");
        connection
            .receive(&asked, false)
            .unwrap_or_else(|broken| panic!("{asked}: {broken:?}"))
    }

    /// Returns the request, to be sent by other means.
    pub fn into_request(self) -> Request {
        self.request
    }
}
