//! OPTIONS, LOCK, UNLOCK and plain MKCOL, by way of the library dav-server.
//!
//! The library gets a request that is written anew from the understood one, with a file system and
//! a lock system that live as long as the request and call the core. What it does well, it does:
//! the course of these methods, their statuses and the XML of a lock. What it would do less well,
//! it never meets:
//!
//! * It parses XML by recursion: some thousand nested elements end the process. It is
//!   handed a body of our own writing, made of what our bounded parser understood.
//! * It tests conditions and locks before it acts, not while. It is handed no condition,
//!   finds no lock in the way, and the core tests both inside the transaction.
//! * It grants ten minutes at most, and announces PATCH. Timeouts and the announcing headers are ours.
//! * Its failures are bare. The first failure of the core is kept in the [`Session`] and answers.
//!
//! PROPPATCH is not here: the library takes bodies of up to 64 KiB only and rewrites properties
//! (decision 5).

use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Buf;
use bytes::Bytes;
use dav_server::DavHandler;
use dav_server::DavMethod;
use dav_server::DavMethodSet;
use dav_server::davpath::DavPath;
use dav_server::fs::DavDirEntry;
use dav_server::fs::DavFile;
use dav_server::fs::DavMetaData;
use dav_server::fs::FsError;
use dav_server::fs::FsFuture;
use dav_server::fs::FsResult;
use dav_server::fs::FsStream;
use dav_server::fs::GuardedFileSystem;
use dav_server::fs::OpenOptions;
use dav_server::fs::ReadDirMeta;
use dav_server::ls::DavLock;
use dav_server::ls::DavLockSystem;
use dav_server::ls::LsFuture;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use nuage_shared::node_path::NodePath;
use percent_encoding::percent_decode_str;
use xmltree::Element;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::error::DavError;
use crate::dav::error::EMPTY_METHODS;
use crate::dav::error::FILE_METHODS;
use crate::dav::error::METHODS;
use crate::dav::mount::Mount;
use crate::dav::request::RequestFault;
use crate::dav::xml::LockInfo;
use crate::dav::xml::parse_lockinfo;
use crate::files::Files;
use crate::files::Lock;
use crate::files::LockRequest;
use crate::files::Node;
use crate::files::error::FilesError;
use crate::files::precondition::Precondition;
use crate::http::body;
use crate::http::body::Body;
use crate::identity::Caller;

/// Answers OPTIONS: what could be done here (RFC 9110 section 9.3.7, RFC 4918 section 10.1).
pub(crate) async fn options(dav: &Dav, asked: &Asked) -> Result<Response<Body>, DavError> {
    let session = Session::new(dav, asked, None);
    let mut response = session.run("OPTIONS", &[], Bytes::new()).await?;
    let allow = match &session.seen().node {
        // Clients ask a folder what they may do in it.
        Some(node) if node.is_folder() => METHODS,
        Some(_) => FILE_METHODS,
        None => EMPTY_METHODS,
    };
    let mut set = |name: HeaderName, value: &'static str| {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    };
    set(header::ALLOW, allow);
    set(
        HeaderName::from_static("dav"),
        "1, 2, 3, extended-mkcol, nc-paginate",
    );
    set(header::ACCEPT_RANGES, "bytes");
    Ok(response)
}

/// Answers a MKCOL without a body.
pub(crate) async fn make_folder(dav: &Dav, asked: &Asked) -> Result<Response<Body>, DavError> {
    let session = Session::new(dav, asked, None);
    let mut response = session.run("MKCOL", &[], Bytes::new()).await?;
    if let Some(node) = &session.seen().node {
        dav.put_identity(&mut response, node);
    }
    Ok(response)
}

/// Answers a LOCK: with a body it makes a lock, without one it prolongs the lock whose token the
/// If header names (RFC 4918 section 9.10.2).
pub(crate) async fn lock(
    dav: &Dav,
    asked: &Asked,
    (deep, timeout_seconds): (bool, Option<i64>),
    body: &[u8],
) -> Result<Response<Body>, DavError> {
    if body.is_empty() {
        if asked.request.precondition.tokens().next().is_none() {
            return Err(RequestFault::HeaderMissing("If").into());
        }
        let session = Session::new(dav, asked, timeout_seconds);
        // The core is asked about every token that came; the library wants to see one.
        let one = [("if", "(<urn:uuid:00000000-0000-4000-8000-000000000000>)")];
        return session.run("LOCK", &one, Bytes::new()).await;
    }
    let info = parse_lockinfo(body)?;
    let session = Session::new(dav, asked, timeout_seconds);
    let depth = [("depth", if deep { "infinity" } else { "0" })];
    let xml = lockinfo(&info);
    session.seen().owner = info.owner;
    let mut response = session.run("LOCK", &depth, xml.into()).await?;
    *response.status_mut() = if session.seen().created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(response)
}

/// Answers an UNLOCK (RFC 4918 section 9.11).
pub(crate) async fn unlock(
    dav: &Dav,
    asked: &Asked,
    token: &str,
) -> Result<Response<Body>, DavError> {
    let coded = format!("<{token}>");
    let session = Session::new(dav, asked, None);
    session
        .run("UNLOCK", &[("lock-token", &coded)], Bytes::new())
        .await
}

/// Writes the body of a LOCK with what was understood of it and nothing else.
fn lockinfo(info: &LockInfo) -> String {
    let scope = if info.shared { "shared" } else { "exclusive" };
    let owner = info.owner.as_deref().unwrap_or_default();
    format!(
        "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:{scope}/></D:lockscope>\
         <D:locktype><D:write/></D:locktype>{owner}</D:lockinfo>"
    )
}

/// One request on its way through the library: what it asks of the core, and what the core said.
#[derive(Debug, Clone)]
struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Arc<Files>,
    caller: Caller,
    mount: Mount,
    path: NodePath,
    precondition: Precondition,
    timeout_seconds: Option<i64>,
    seen: Mutex<Seen>,
}

/// What came up while the library worked.
#[derive(Debug, Default)]
struct Seen {
    /// The first failure of the core: it is the answer, whatever the library makes of it.
    failure: Option<DavError>,
    /// The node that was found or made.
    node: Option<Node>,
    /// LOCK made an empty file.
    created: bool,
    /// The owner element of a LOCK.
    owner: Option<String>,
}

impl Session {
    fn new(dav: &Dav, asked: &Asked, timeout_seconds: Option<i64>) -> Self {
        Self(Arc::new(Inner {
            files: Arc::clone(&dav.files),
            caller: asked.caller.clone(),
            mount: asked.mount.clone(),
            path: asked.request.path.clone(),
            precondition: asked.request.precondition.clone(),
            timeout_seconds,
            seen: Mutex::default(),
        }))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, failure: impl Into<DavError>) {
        self.seen().failure.get_or_insert(failure.into());
    }

    /// Lets the library answer a request that is written here.
    async fn run(
        &self,
        method: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Response<Body>, DavError> {
        let inner = &self.0;
        let uri = inner.mount.href(&inner.path, inner.path.is_root());
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(dav_server::body::Body::from(body))
            .map_err(|_unusable| RequestFault::Header("Lock-Token"))?;
        let answer = self
            .handler()
            .handle_guarded(request, inner.caller.name.to_string(), self.clone())
            .await;
        if let Some(failure) = self.seen().failure.take() {
            return Err(failure);
        }
        if !answer.status().is_success() {
            return Err(DavError::Library(answer.status()));
        }
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        let bytes = body.collect().await;
        let bytes =
            bytes.map_err(|_never_fails| DavError::Library(StatusCode::INTERNAL_SERVER_ERROR))?;
        Ok(Response::from_parts(parts, body::full(bytes.to_bytes())))
    }

    fn handler(&self) -> DavHandler<Self> {
        let mut methods = DavMethodSet::none();
        for method in [
            DavMethod::Options,
            DavMethod::MkCol,
            DavMethod::Lock,
            DavMethod::Unlock,
        ] {
            methods.add(method);
        }
        DavHandler::builder()
            .methods(methods)
            .strip_prefix(self.prefix())
            .filesystem(Box::new(CoreFileSystem))
            .locksystem(Box::new(self.clone()))
            .build_handler()
    }

    /// Returns the mount's prefix as the library compares it: decoded.
    fn prefix(&self) -> String {
        let prefix = percent_decode_str(&self.0.mount.prefix);
        prefix.decode_utf8_lossy().into_owned()
    }

    /// Describes a lock to the library, which writes it into the answer.
    fn describe(&self, lock: &Lock, path: &DavPath) -> DavLock {
        let href = self.0.mount.href(&lock.path, lock.path.is_root());
        let root = DavPath::new(&href).ok().and_then(|mut root| {
            root.set_prefix(&self.prefix()).ok()?;
            Some(root)
        });
        // The text is what our parser wrote, so it is as bounded as what it read.
        let owner = lock.info.as_deref();
        let owner = owner.and_then(|xml| Element::parse(xml.as_bytes()).ok());
        DavLock {
            token: lock.token.clone(),
            path: Box::new(root.unwrap_or_else(|| path.clone())),
            principal: Some(lock.owner_name.clone()),
            owner: owner.map(Box::new),
            timeout_at: Some(lock.until.system_time()),
            timeout: Some(Duration::from_secs(lock.timeout_seconds.unsigned_abs())),
            shared: lock.shared,
            deep: lock.deep,
        }
    }

    /// Stands for the lock that is in the way; the noted failure says more.
    fn refusal(path: &DavPath) -> DavLock {
        DavLock {
            token: String::new(),
            path: Box::new(path.clone()),
            principal: None,
            owner: None,
            timeout_at: None,
            timeout: None,
            shared: false,
            deep: false,
        }
    }
}

impl DavLockSystem for Session {
    fn lock(
        &'_ self,
        path: &DavPath,
        _principal: Option<&str>,
        _owner: Option<&Element>,
        _timeout: Option<Duration>,
        shared: bool,
        deep: bool,
    ) -> LsFuture<'_, Result<DavLock, DavLock>> {
        let path = path.clone();
        Box::pin(async move {
            let inner = &self.0;
            let request = LockRequest {
                shared,
                deep,
                timeout_seconds: inner.timeout_seconds,
                info: self.seen().owner.clone(),
            };
            let locked = inner
                .files
                .lock(&inner.caller, &inner.path, request, &inner.precondition)
                .await;
            match locked {
                Ok((lock, created)) => {
                    self.seen().created = created;
                    Ok(self.describe(&lock, &path))
                }
                // Only a conflicting lock has no end; another one forbids the empty file.
                Err(FilesError::Locked {
                    path: at,
                    until: None,
                }) => {
                    self.note(DavError::LockConflict(at));
                    Err(Self::refusal(&path))
                }
                Err(error) => {
                    self.note(error);
                    Err(Self::refusal(&path))
                }
            }
        })
    }

    fn unlock(&'_ self, _path: &DavPath, token: &str) -> LsFuture<'_, Result<(), ()>> {
        let token = token.to_owned();
        Box::pin(async move {
            let inner = &self.0;
            match inner.files.unlock(&inner.caller, &inner.path, &token).await {
                Ok(()) => Ok(()),
                Err(FilesError::NoSuchLock { .. }) => {
                    self.note(DavError::TokenElsewhere(StatusCode::CONFLICT));
                    Err(())
                }
                Err(error) => {
                    self.note(error);
                    Err(())
                }
            }
        })
    }

    fn refresh(
        &'_ self,
        path: &DavPath,
        _token: &str,
        _timeout: Option<Duration>,
    ) -> LsFuture<'_, Result<DavLock, ()>> {
        let path = path.clone();
        Box::pin(async move {
            let inner = &self.0;
            for token in inner.precondition.tokens() {
                let refreshed = inner
                    .files
                    .refresh_lock(&inner.caller, &inner.path, token, inner.timeout_seconds)
                    .await;
                match refreshed {
                    Ok(lock) => return Ok(self.describe(&lock, &path)),
                    Err(FilesError::NoSuchLock { .. }) => {}
                    Err(error) => {
                        self.note(error);
                        return Err(());
                    }
                }
            }
            self.note(DavError::TokenElsewhere(StatusCode::PRECONDITION_FAILED));
            Err(())
        })
    }

    /// Finds nothing in the way: the core looks, inside the transaction.
    fn check(
        &'_ self,
        _path: &DavPath,
        _principal: Option<&str>,
        _ignore_principal: bool,
        _deep: bool,
        _submitted_tokens: &[String],
    ) -> LsFuture<'_, Result<(), DavLock>> {
        Box::pin(async { Ok(()) })
    }

    /// Only a PROPFIND asks this, and that is not the library's.
    fn discover(&'_ self, _path: &DavPath) -> LsFuture<'_, Vec<DavLock>> {
        Box::pin(async { Vec::new() })
    }

    /// The core ends the locks of what it moves and deletes.
    fn delete(&'_ self, _path: &DavPath) -> LsFuture<'_, Result<(), ()>> {
        Box::pin(async { Ok(()) })
    }
}

/// The core as the library's file system, for the path of the request; the session comes with each call.
#[derive(Debug, Clone, Copy)]
struct CoreFileSystem;

impl GuardedFileSystem<Session> for CoreFileSystem {
    /// Called after a LOCK made an empty file, which is there by then.
    fn open<'a>(
        &'a self,
        _path: &'a DavPath,
        _options: OpenOptions,
        _session: &'a Session,
    ) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(async { Ok(Box::new(EmptyFile) as Box<dyn DavFile>) })
    }

    fn read_dir<'a>(
        &'a self,
        _path: &'a DavPath,
        _meta: ReadDirMeta,
        _session: &'a Session,
    ) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn metadata<'a>(
        &'a self,
        _path: &'a DavPath,
        session: &'a Session,
    ) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(async move {
            let inner = &session.0;
            match inner.files.find(&inner.caller, &inner.path).await {
                Ok(node) => {
                    session.seen().node = Some(node.clone());
                    Ok(Box::new(NodeData(node)) as Box<dyn DavMetaData>)
                }
                Err(FilesError::NotFound { .. }) => Err(FsError::NotFound),
                Err(error) => {
                    session.note(error);
                    Err(FsError::GeneralFailure)
                }
            }
        })
    }

    fn create_dir<'a>(&'a self, _path: &'a DavPath, session: &'a Session) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let inner = &session.0;
            let made = inner
                .files
                .make_folder(&inner.caller, &inner.path, Vec::new(), &inner.precondition)
                .await;
            match made {
                Ok(node) => {
                    session.seen().node = Some(node);
                    Ok(())
                }
                Err(error) => {
                    session.note(error);
                    Err(FsError::Forbidden)
                }
            }
        })
    }
}

/// A node as the library sees it.
#[derive(Debug, Clone)]
struct NodeData(Node);

impl DavMetaData for NodeData {
    fn len(&self) -> u64 {
        self.0.size_bytes
    }

    fn modified(&self) -> FsResult<SystemTime> {
        Ok(self.0.mtime.system_time())
    }

    fn is_dir(&self) -> bool {
        self.0.is_folder()
    }

    fn etag(&self) -> Option<String> {
        Some(self.0.etag())
    }
}

/// The file that a LOCK made: it is opened and dropped, never read or written.
#[derive(Debug)]
struct EmptyFile;

impl DavFile for EmptyFile {
    fn metadata(&'_ mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn write_buf(&'_ mut self, _buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn write_bytes(&'_ mut self, _buf: Bytes) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn read_bytes(&'_ mut self, _count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn seek(&'_ mut self, _pos: SeekFrom) -> FsFuture<'_, u64> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn flush(&'_ mut self) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }
}
