//! `/remote.php/dav/uploads/{user}/`: files that arrive in parts, as sync clients of the Nextcloud family send them.
//!
//! ```text
//! MKCOL {upload}              begins one, under a name that the client chooses
//! PUT   {upload}/{number}     a part; its place in the order is the number, however it is written
//! MOVE  {upload}/.file        the parts together become the file at the destination
//! ```
//!
//! PROPFIND shows which parts came, so that a client can go on after a break; DELETE takes a part or the
//! whole upload away. The bytes of parts cannot be read. Every rule is the core's.

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt;
use nuage_shared::node_path::NodePath;

use crate::dav::Dav;
use crate::dav::bare;
use crate::dav::created_or_replaced;
use crate::dav::error::DavError;
use crate::dav::mount::Mount;
use crate::dav::mount::push_segment;
use crate::dav::properties::MULTISTATUS;
use crate::dav::properties::MULTISTATUS_END;
use crate::dav::request::Depth;
use crate::dav::request::RequestFault;
use crate::dav::request::makes_parents;
use crate::dav::request::parse_conditions;
use crate::dav::request::parse_depth;
use crate::dav::request::parse_put;
use crate::dav::request::parse_transfer;
use crate::dav::request::total_length;
use crate::dav::xml::DAV;
use crate::dav::xml::Wanted;
use crate::dav::xml::XmlName;
use crate::dav::xml::parse_propfind;
use crate::dav::xml::push_escaped;
use crate::files::PartNumber;
use crate::files::PartsRequest;
use crate::files::Timestamp;
use crate::files::WholeRequest;
use crate::files::precondition::EtagList;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::identity::Caller;

/// The name by which an upload is moved to its place.
pub(crate) const WHOLE: &str = ".file";

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// All uploads of the caller.
    All,
    /// One.
    Upload(String),
    /// What it will become.
    Whole(String),
    /// A part.
    Part(String, PartNumber),
}

impl Place {
    /// Reads the names behind `/remote.php/dav/uploads/{user}`.
    fn of(path: &NodePath) -> Result<Self, RequestFault> {
        match path.names() {
            [] => Ok(Self::All),
            [upload] => Ok(Self::Upload(upload.as_str().to_owned())),
            [upload, whole] if whole.as_str() == WHOLE => {
                Ok(Self::Whole(upload.as_str().to_owned()))
            }
            [upload, part] => {
                let number = PartNumber::parse(part.as_str()).ok_or(RequestFault::PartName)?;
                Ok(Self::Part(upload.as_str().to_owned(), number))
            }
            _ => Err(RequestFault::Outside),
        }
    }
}

/// A request for this place, understood as far as its address.
struct Asked<'r> {
    dav: &'r Dav,
    caller: &'r Caller,
    /// The caller's name as the address has it.
    user: &'r str,
    parts: &'r Parts,
    /// The address of all uploads.
    mount: Mount,
}

/// Answers a request below `/remote.php/dav/uploads/`; `user` is the caller's name as the address has it.
pub(crate) async fn serve(
    dav: &Dav,
    caller: &Caller,
    user: &str,
    (parts, body): (&Parts, &mut RequestBody),
) -> Result<Response<Body>, DavError> {
    let mount = Mount {
        prefix: format!("/remote.php/dav/uploads/{user}"),
    };
    let path = mount
        .resolve(parts.uri.path())
        .map_err(RequestFault::Url)?
        .ok_or(RequestFault::Outside)?;
    let asked = Asked {
        dav,
        caller,
        user,
        parts,
        mount: mount.normalized(),
    };
    match (parts.method.as_str(), Place::of(&path)?) {
        ("MKCOL", Place::Upload(upload)) => asked.begin(&upload).await,
        ("PUT", Place::Part(upload, number)) => asked.put(&upload, number, body).await,
        ("MOVE", Place::Whole(upload)) => asked.finish(&upload).await,
        ("PROPFIND", place) => {
            let xml = dav.read_xml(body).await?;
            asked.list(place, &parse_propfind(&xml)?).await
        }
        ("DELETE", Place::Upload(upload)) => {
            dav.files.drop_parts(caller, &upload).await?;
            Ok(bare(StatusCode::NO_CONTENT))
        }
        ("DELETE", Place::Part(upload, number)) => {
            dav.files.drop_part(caller, &upload, &number).await?;
            Ok(bare(StatusCode::NO_CONTENT))
        }
        _ => Err(RequestFault::Method.into()),
    }
}

impl Asked<'_> {
    /// The places under which the caller's files appear, and so may be a destination.
    fn homes(&self) -> [Mount; 4] {
        let mut own = "/remote.php/dav/files/".to_owned();
        push_segment(&mut own, &self.caller.name);
        [
            format!("/remote.php/dav/files/{}", self.user),
            own,
            "/remote.php/webdav".to_owned(),
            "/dav".to_owned(),
        ]
        .map(|prefix| Mount { prefix })
    }

    /// Returns which of the caller's places a Destination lies in.
    fn home_of(&self, destination: &str) -> Result<(Mount, NodePath), RequestFault> {
        for home in self.homes() {
            let path = home.resolve_uri(destination);
            if let Some(path) = path.map_err(RequestFault::Destination)? {
                return Ok((home, path));
            }
        }
        Err(RequestFault::DestinationElsewhere)
    }

    fn destination(&self) -> Result<Option<(Mount, NodePath)>, RequestFault> {
        let Some(value) = self.parts.headers.get("destination") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_not_utf8| RequestFault::Header("Destination"))?;
        self.home_of(text).map(Some)
    }

    async fn begin(&self, upload: &str) -> Result<Response<Body>, DavError> {
        let headers = &self.parts.headers;
        let request = PartsRequest {
            total_bytes: total_length(headers)?,
            target: self.destination()?.map(|(_, path)| path),
            makes_parents: makes_parents(headers),
        };
        self.dav
            .files
            .begin_parts(self.caller, upload, request)
            .await?;
        Ok(bare(StatusCode::CREATED))
    }

    async fn put(
        &self,
        upload: &str,
        number: PartNumber,
        body: &mut RequestBody,
    ) -> Result<Response<Body>, DavError> {
        let headers = &self.parts.headers;
        if headers.contains_key(header::CONTENT_RANGE) {
            return Err(RequestFault::PartialPut.into());
        }
        let declared_bytes = body.size_hint().exact();
        let files = &self.dav.files;
        let mut part = files
            .begin_part(self.caller, upload, number, declared_bytes)
            .await?;
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                part.write(bytes).await?;
            }
        }
        part.finish().await?;
        Ok(bare(StatusCode::CREATED))
    }

    async fn finish(&self, upload: &str) -> Result<Response<Body>, DavError> {
        let headers = &self.parts.headers;
        let missing = RequestFault::HeaderMissing("Destination");
        let (home, _) = self.destination()?.ok_or(missing)?;
        let transfer = parse_transfer(&home, headers)?;
        let head = parse_put(headers)?;
        let mut precondition = parse_conditions(&home, &transfer.to, headers)?;
        if !transfer.overwrite {
            // RFC 4918 section 10.6; whatever else was asked, nothing may be there.
            precondition.if_none_match = Some(EtagList::Any);
        }
        let request = WholeRequest {
            path: transfer.to,
            total_bytes: head.announced_bytes,
            modified_at: head.modified_at,
            created_at: head.created_at,
            checksum: head.checksum.clone(),
            makes_parents: head.makes_parents,
            precondition,
        };
        let files = &self.dav.files;
        let became = files.finish_parts(self.caller, upload, &request).await?;
        let mut response = created_or_replaced(became.created);
        let etag = Some(became.etag());
        self.dav.put_identity_of(&mut response, became.node, etag);
        head.accept_times(&mut response);
        Ok(response)
    }

    async fn list(&self, place: Place, wanted: &Wanted) -> Result<Response<Body>, DavError> {
        let depth = self.depth()?;
        let mut out = MULTISTATUS.to_owned();
        match place {
            Place::All => {
                self.write(&mut out, wanted, &[], &Shown::folder(None));
                if depth == Depth::One {
                    for upload in self.dav.files.list_parted(self.caller).await? {
                        let shown = Shown::folder(Some(upload.changed_at));
                        self.write(&mut out, wanted, &[&upload.name], &shown);
                    }
                }
            }
            Place::Upload(name) => {
                let (upload, parts) = self.dav.files.read_parts(self.caller, &name).await?;
                let shown = Shown::folder(Some(upload.changed_at));
                self.write(&mut out, wanted, &[&name], &shown);
                if depth == Depth::One {
                    for part in &parts {
                        let shown = Shown::part(upload.id, part);
                        self.write(&mut out, wanted, &[&name, &part.name], &shown);
                    }
                }
            }
            Place::Part(name, number) => {
                let (upload, parts) = self.dav.files.read_parts(self.caller, &name).await?;
                let part = parts.iter().find(|part| part.number == number.value());
                let part = part.ok_or(RequestFault::Outside)?;
                let shown = Shown::part(upload.id, part);
                self.write(&mut out, wanted, &[&name, &part.name], &shown);
            }
            Place::Whole(_) => return Err(RequestFault::Outside.into()),
        }
        out.push_str(MULTISTATUS_END);
        let mut response = crate::dav::xml(StatusCode::MULTI_STATUS, out);
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        Ok(response)
    }

    /// Returns how far a listing reaches; there are two levels, so infinity is no more than what is below.
    fn depth(&self) -> Result<Depth, RequestFault> {
        let Some(value) = self.parts.headers.get(HeaderName::from_static("depth")) else {
            return Ok(Depth::One);
        };
        let text = value
            .to_str()
            .map_err(|_not_text| RequestFault::Header("Depth"))?;
        Ok(match parse_depth(text)? {
            Depth::Zero => Depth::Zero,
            Depth::One | Depth::Infinity => Depth::One,
        })
    }

    /// Writes one response element.
    fn write(&self, out: &mut String, wanted: &Wanted, names: &[&str], shown: &Shown) {
        out.push_str("<d:response><d:href>");
        out.push_str(&self.mount.prefix);
        for name in names {
            out.push('/');
            push_segment(out, name);
        }
        if shown.is_folder {
            out.push('/');
        }
        out.push_str("</d:href>");
        shown.write(out, wanted);
        out.push_str("</d:response>");
    }
}

/// What a listing shows of an upload or a part.
struct Shown {
    is_folder: bool,
    /// Live properties of the namespace `DAV:`, with their values as XML.
    properties: Vec<(&'static str, String)>,
}

impl Shown {
    fn folder(changed_at: Option<Timestamp>) -> Self {
        let mut properties = vec![("resourcetype", "<d:collection/>".to_owned())];
        properties.extend(changed_at.map(last_modified));
        Self {
            is_folder: true,
            properties,
        }
    }

    fn part(upload: i64, part: &crate::files::Part) -> Self {
        let etag = format!("&quot;{upload:x}-{:x}-{:x}&quot;", part.number, part.at.0);
        Self {
            is_folder: false,
            properties: vec![
                ("resourcetype", String::new()),
                ("getcontentlength", part.size_bytes.to_string()),
                last_modified(part.at),
                ("getetag", etag),
                ("getcontenttype", "application/octet-stream".to_owned()),
            ],
        }
    }

    fn write(&self, out: &mut String, wanted: &Wanted) {
        let find = |name: &XmlName| {
            let mut own = self.properties.iter();
            own.find(|(local, _)| name.is_dav(local))
        };
        let mut found = String::new();
        let mut missing = String::new();
        match wanted {
            Wanted::All { .. } => {
                for (name, value) in &self.properties {
                    push_property(&mut found, name, value);
                }
            }
            Wanted::Names => {
                for (name, _) in &self.properties {
                    push_property(&mut found, name, "");
                }
            }
            Wanted::These(names) => {
                for name in names {
                    match find(name) {
                        Some((name, value)) => push_property(&mut found, name, value),
                        None => push_missing(&mut missing, name),
                    }
                }
            }
        }
        for (properties, status) in [(found, "200 OK"), (missing, "404 Not Found")] {
            if !properties.is_empty() {
                let parts = [
                    "<d:propstat><d:prop>",
                    &properties,
                    "</d:prop><d:status>HTTP/1.1 ",
                    status,
                    "</d:status></d:propstat>",
                ];
                out.extend(parts);
            }
        }
    }
}

fn last_modified(at: Timestamp) -> (&'static str, String) {
    let text = httpdate::fmt_http_date(at.system_time());
    ("getlastmodified", text)
}

fn push_property(out: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        out.extend(["<d:", name, "/>"]);
    } else {
        out.extend(["<d:", name, ">", value, "</d:", name, ">"]);
    }
}

fn push_missing(out: &mut String, name: &XmlName) {
    if name.namespace == DAV {
        out.extend(["<d:", &name.local, "/>"]);
        return;
    }
    out.extend(["<", &name.local, " xmlns=\""]);
    push_escaped(out, &name.namespace);
    out.push_str("\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Result<Place, RequestFault> {
        Place::of(&NodePath::parse(path).unwrap())
    }

    #[test]
    fn an_address_names_an_upload_its_parts_or_its_whole() {
        assert_eq!(place("/").unwrap(), Place::All);
        let upload = || "web-file-upload-1".to_owned();
        assert_eq!(place("web-file-upload-1").unwrap(), Place::Upload(upload()));
        assert_eq!(
            place("web-file-upload-1/.file").unwrap(),
            Place::Whole(upload())
        );
        for (text, value) in [
            ("0", 0),
            ("00001", 1),
            ("0000000110000000", 110_000_000),
            ("000000000000000000000000000005", 5),
            ("000000010485760-000000020971519", 10_485_760),
        ] {
            let number = PartNumber::parse(text).unwrap();
            assert_eq!(number.value(), value);
            let path = format!("web-file-upload-1/{text}");
            assert_eq!(place(&path).unwrap(), Place::Part(upload(), number));
        }
        for name in [
            "-1",
            "1-",
            "1-2-3",
            "1x",
            "+1",
            "1.5",
            "٣",
            "999999999999999999999999999999",
        ] {
            let path = format!("u/{name}");
            assert!(
                matches!(place(&path), Err(RequestFault::PartName)),
                "{name}"
            );
        }
        assert!(matches!(place("u/1/2"), Err(RequestFault::Outside)));
    }

    #[test]
    fn what_is_asked_for_and_unknown_is_named_so() {
        let xml = b"<propfind xmlns='DAV:'><prop><resourcetype/><quota/><x xmlns='urn:&quot;'/></prop></propfind>";
        let mut out = String::new();
        Shown::folder(None).write(&mut out, &parse_propfind(xml).unwrap());
        assert_eq!(
            out,
            "<d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:quota/>\
             <x xmlns=\"urn:&quot;\"/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>"
        );
    }
}
