//! A call while it is answered: who makes it, and how its fields are read.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use nuage_shared::node_path::NodePath;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::api::problem::Problem;
use crate::files::NodeId;
use crate::http::body::BodyFault;
use crate::http::body::RequestBody;
use crate::http::language::Language;
use crate::http::query::Query;
use crate::identity::Caller;

/// The largest body of JSON or of a form that is read, in bytes: a thousand of the longest paths.
const BODY_BYTES_MAX: usize = 8 << 20;
/// The most things that one call does.
pub(super) const SELECTION_MAX: usize = 1_000;

/// A call.
pub(super) struct Call<'a> {
    pub(super) parts: &'a Parts,
    pub(super) body: &'a mut RequestBody,
    pub(super) caller: &'a Caller,
    pub(super) language: Language,
    /// What the browser showed to prove who it is.
    pub(super) session: &'a str,
    pub(super) base_url: &'a str,
    pub(super) client: IpAddr,
    pub(super) stop: CancellationToken,
    query: Query,
}

/// Splits a path below the prefix into its decoded segments.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Problem> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let decoded = percent_decode_str(part).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned)
        })
        .collect::<Result<_, _>>()
        .map_err(|_not_text| Problem::no_such_call())
}

/// Reads a path as the page writes it: from the caller's root, with a slash before it.
pub(super) fn path_of(text: &str) -> Result<NodePath, Problem> {
    NodePath::parse(text.trim_start_matches('/')).map_err(|fault| Problem::bad_path(text, &fault))
}

/// Writes a path as the page reads it.
pub(super) fn shown(path: &NodePath) -> String {
    path.to_string()
}

impl<'a> Call<'a> {
    pub(super) fn new(
        parts: &'a Parts,
        body: &'a mut RequestBody,
        caller: &'a Caller,
        language: Language,
    ) -> Self {
        Self {
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            parts,
            body,
            caller,
            language,
            session: "",
            base_url: "",
            client: Ipv4Addr::UNSPECIFIED.into(),
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    pub(super) fn is_head(&self) -> bool {
        self.parts.method == http::Method::HEAD
    }

    /// Returns a field of the address.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// Returns all fields of the address that have this name.
    pub(super) fn fields<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        let all = self.query.all();
        all.filter(move |(have, _)| *have == name)
            .map(|(_, value)| value)
    }

    /// Returns a field of the address that must be a number.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<N, Problem> {
        self.field(name)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Problem::bad_field(name))
    }

    /// Returns the node number in the address.
    pub(super) fn node(&self) -> Result<NodeId, Problem> {
        self.number("id").map(NodeId)
    }

    /// Returns the path in the address; without one, the root.
    pub(super) fn path(&self) -> Result<NodePath, Problem> {
        path_of(self.field("path").unwrap_or_default())
    }

    /// Reads the body of a form that a page sent.
    pub(super) async fn form(&mut self) -> Result<Bytes, Problem> {
        let form = self.parts.headers.get(header::CONTENT_TYPE);
        let is_form = form.is_some_and(|form| {
            form.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(Problem::not_a_form());
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<Bytes, Problem> {
        let read = self.body.read_limited(BODY_BYTES_MAX).await;
        read.map_err(|fault| match fault {
            BodyFault::TooLarge { limit_bytes } => Problem::too_large(limit_bytes),
            other => Problem::cut(&other),
        })
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// What it is not, in words for whoever writes a program.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let form = self.parts.headers.get(header::CONTENT_TYPE);
        let is_json = form.is_some_and(|form| form.as_bytes().starts_with(b"application/json"));
        if !is_json {
            return Err(Problem::not_json());
        }
        let bytes = self.read().await?;
        serde_json::from_slice(&bytes).map_err(|error| Problem::bad_json(&error))
    }
}
