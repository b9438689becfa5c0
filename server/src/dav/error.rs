//! Why a WebDAV request did not happen, as an answer: status, DAV error element, words for a person.
//!
//! The element carries what programs act on: the precondition codes of RFC 4918 section 16,
//! and the exception names by which sync clients of the Nextcloud family decide. The message is
//! shown to people by those clients, so it comes in their language.
//!
//! # What a 503 says
//!
//! A desktop program takes a 503 of the class `ServiceUnavailable` for the maintenance of the whole server: it ends its
//! run and begins anew later. Only where the text says [`STORAGE_AWAY`] does it give up the one file or folder, which it then
//! leaves alone for longer each time (25 s, 2 min, … 24 h). So:
//!
//! * the database is out of reach, or the server stops: every request fails, so the run ends. Otherwise each of a
//!   thousand waiting files would fail and be left alone for hours after the database is back.
//! * the store of the bytes is out of reach, or one request failed: the rest works, so the rest goes on, and the text says so.
//!   It stands in an element of its own, because programs look for these English words whatever the language.

use std::borrow::Cow;

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use crate::dav::mount::Mount;
use crate::dav::request::RequestFault;
use crate::dav::xml::XmlFault;
use crate::dav::xml::push_escaped;
use crate::files::error::ContentFault;
use crate::files::error::FilesError;
use crate::files::error::PartsFault;
use crate::files::error::TagFault;
use crate::http::body;
use crate::http::body::Body;
use crate::http::body::BodyFault;
use crate::http::language::Language;
use crate::http::status::status_of;

/// Every method that is served.
pub(crate) const METHODS: &str = "OPTIONS, GET, HEAD, PUT, PROPFIND, PROPPATCH, MKCOL, DELETE, COPY, MOVE, LOCK, UNLOCK, REPORT, SEARCH";
/// The methods of a file.
pub(crate) const FILE_METHODS: &str =
    "OPTIONS, GET, HEAD, PUT, PROPFIND, PROPPATCH, DELETE, COPY, MOVE, LOCK, UNLOCK";
/// The methods of a folder itself.
const FOLDER_METHODS: &str =
    "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, DELETE, COPY, MOVE, LOCK, UNLOCK";
/// The methods of a URL where nothing is.
pub(crate) const EMPTY_METHODS: &str = "OPTIONS, PUT, MKCOL, LOCK";

/// The words by which sync clients know that one storage is away and not the server.
const STORAGE_AWAY: &str = "Storage is temporarily not available";

/// Why a request did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DavError {
    /// The core says no.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The line or a header was not understood.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// The body was not understood.
    #[error(transparent)]
    Xml(#[from] XmlFault),
    /// The body did not arrive.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// A body of a kind that the method does not know.
    #[error("the body is of a kind that this method does not know")]
    UnsupportedBody,
    /// PROPFIND with Depth: infinity, which the settings refuse.
    #[error("a listing of everything below is not allowed here")]
    DepthRefused,
    /// A refresh or UNLOCK whose token is no lock of this URL.
    #[error("the lock token does not fit this address")]
    TokenElsewhere(StatusCode),
    /// LOCK meets another lock.
    #[error("{0} is locked already")]
    LockConflict(nuage_shared::node_path::NodePath),
    /// The library refused what it was handed.
    #[error("the request was refused")]
    Library(StatusCode),
    /// Something else than to send a file, where only that is allowed.
    #[error("only files can be sent here")]
    OnlyPut,
    /// An extended MKCOL that asks for another kind of collection.
    #[error("only plain collections can be made")]
    ResourceType,
}

impl DavError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Files(error) => status_of(error),
            Self::Request(fault) => match fault {
                RequestFault::Url(_)
                | RequestFault::Header(_)
                | RequestFault::HeaderMissing(_)
                | RequestFault::If(_)
                | RequestFault::Destination(_)
                | RequestFault::PartialPut
                | RequestFault::OldChunks
                | RequestFault::PartName
                | RequestFault::Lengths => StatusCode::BAD_REQUEST,
                RequestFault::Outside => StatusCode::NOT_FOUND,
                // RFC 4918 sections 9.8.5 and 9.9.4: another server, repository or URL namespace.
                RequestFault::DestinationElsewhere => StatusCode::BAD_GATEWAY,
                RequestFault::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                RequestFault::Method => StatusCode::METHOD_NOT_ALLOWED,
            },
            Self::Xml(XmlFault::TooComplex) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Xml(_) => StatusCode::BAD_REQUEST,
            Self::Body(fault) => match fault {
                BodyFault::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyFault::Idle(_) => StatusCode::REQUEST_TIMEOUT,
                BodyFault::Connection(_) => StatusCode::BAD_REQUEST,
                BodyFault::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::UnsupportedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::DepthRefused | Self::ResourceType => StatusCode::FORBIDDEN,
            Self::TokenElsewhere(status) | Self::Library(status) => *status,
            Self::LockConflict(_) => StatusCode::LOCKED,
            Self::OnlyPut => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// Turns the failure into an answer.
    pub(crate) fn respond(&self, mount: &Mount, language: Language) -> Response<Body> {
        let status = self.status();
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">",
        );
        self.push_condition(&mut xml, mount);
        xml.push_str("<s:exception>");
        xml.push_str(self.exception(status));
        xml.push_str("</s:exception><s:message>");
        push_escaped(&mut xml, &self.message(language));
        xml.push_str("</s:message>");
        self.push_hint(&mut xml);
        xml.push_str("</d:error>\n");
        let mut response = Response::new(body::full(xml));
        *response.status_mut() = status;
        let mut set = |name: HeaderName, value: &'static str| {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        };
        set(header::CONTENT_TYPE, "application/xml; charset=utf-8");
        // Explorer remembers a 404 for a minute, without regard to case.
        set(header::CACHE_CONTROL, "no-store");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allow = match self {
                // A folder, or MKCOL where something is: what folders and files have in common.
                Self::Files(_) => FOLDER_METHODS,
                _ => METHODS,
            };
            set(header::ALLOW, allow);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            set(header::RETRY_AFTER, "10");
        }
        if matches!(self, Self::Request(RequestFault::Encoded)) {
            set(header::ACCEPT_ENCODING, "identity");
        }
        response
    }

    /// Writes the precondition or postcondition code of RFC 4918 section 16, if there is one.
    fn push_condition(&self, xml: &mut String, mount: &Mount) {
        let with_href = |xml: &mut String, code: &str, path| {
            let href = mount.href(path, false);
            for part in ["<d:", code, "><d:href>", &href, "</d:href></d:", code, ">"] {
                xml.push_str(part);
            }
        };
        match self {
            Self::Files(FilesError::Locked { path, .. }) => {
                with_href(xml, "lock-token-submitted", path);
            }
            Self::LockConflict(path) => with_href(xml, "no-conflicting-lock", path),
            Self::TokenElsewhere(_) => xml.push_str("<d:lock-token-matches-request-uri/>"),
            Self::DepthRefused => xml.push_str("<d:propfind-finite-depth/>"),
            Self::ResourceType => xml.push_str("<d:valid-resourcetype/>"),
            Self::Xml(XmlFault::Doctype | XmlFault::Entity) => {
                xml.push_str("<d:no-external-entities/>");
            }
            Self::Files(FilesError::QuotaExceeded { .. }) => {
                xml.push_str("<d:quota-not-exceeded/>");
            }
            Self::Files(FilesError::StorageFull) => {
                xml.push_str("<d:sufficient-disk-space/>");
            }
            _ => {}
        }
    }

    /// Returns whether the request names something by a name that nothing can have.
    fn is_about_a_name(&self) -> bool {
        matches!(
            self,
            Self::Request(RequestFault::Url(_) | RequestFault::Destination(_))
        )
    }

    /// Writes what sync clients look for beside the class and the message.
    fn push_hint(&self, xml: &mut String) {
        if self.is_about_a_name() {
            // Trying again will not help.
            xml.push_str("<o:retry xmlns:o=\"o:\">false</o:retry><o:reason xmlns:o=\"o:\">");
            push_escaped(xml, &self.to_string());
            xml.push_str("</o:reason>");
        }
        if let Self::Files(error @ FilesError::Unavailable(_)) = self
            && !error.is_of_the_whole_server()
        {
            for part in ["<o:reason xmlns:o=\"o:\">", STORAGE_AWAY, "</o:reason>"] {
                xml.push_str(part);
            }
        }
    }

    /// Returns the name by which sync clients of the Nextcloud family know the failure.
    fn exception(&self, status: StatusCode) -> &'static str {
        if self.is_about_a_name() {
            return "OCA\\DAV\\Connector\\Sabre\\Exception\\InvalidPath";
        }
        match status {
            StatusCode::BAD_REQUEST => "Sabre\\DAV\\Exception\\BadRequest",
            StatusCode::FORBIDDEN => "Sabre\\DAV\\Exception\\Forbidden",
            StatusCode::NOT_FOUND => "Sabre\\DAV\\Exception\\NotFound",
            StatusCode::METHOD_NOT_ALLOWED => "Sabre\\DAV\\Exception\\MethodNotAllowed",
            StatusCode::CONFLICT => "Sabre\\DAV\\Exception\\Conflict",
            StatusCode::PRECONDITION_FAILED => "Sabre\\DAV\\Exception\\PreconditionFailed",
            StatusCode::PAYLOAD_TOO_LARGE => {
                "OCA\\DAV\\Connector\\Sabre\\Exception\\EntityTooLarge"
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "Sabre\\DAV\\Exception\\UnsupportedMediaType",
            StatusCode::LOCKED => "OCA\\DAV\\Connector\\Sabre\\Exception\\FileLocked",
            StatusCode::INSUFFICIENT_STORAGE => "Sabre\\DAV\\Exception\\InsufficientStorage",
            StatusCode::SERVICE_UNAVAILABLE => "Sabre\\DAV\\Exception\\ServiceUnavailable",
            _ => "Sabre\\DAV\\Exception",
        }
    }

    /// Returns what happened, for a person.
    fn message(&self, language: Language) -> String {
        let (english, french) = self.words();
        match language {
            Language::English => english,
            Language::French => french,
        }
        .into_owned()
    }

    fn words(&self) -> (Cow<'static, str>, Cow<'static, str>) {
        let both = |english: String, french: String| (english.into(), french.into());
        let fixed = |english: &'static str, french: &'static str| (english.into(), french.into());
        match self {
            Self::Files(error) => words_of(error),
            Self::LockConflict(path) => both(
                format!("{path} is locked already."),
                format!("{path} est déjà verrouillé."),
            ),
            Self::Request(RequestFault::Url(_) | RequestFault::Destination(_)) => both(
                format!("This name cannot be used: {self}."),
                format!("Ce nom ne peut pas être utilisé : {self}."),
            ),
            Self::Request(RequestFault::DestinationElsewhere) => fixed(
                "The destination is not on this server.",
                "La destination n’est pas sur ce serveur.",
            ),
            Self::Request(RequestFault::Outside) => {
                fixed("There is nothing here.", "Il n’y a rien ici.")
            }
            Self::Request(RequestFault::Method) => fixed(
                "This method is not served here.",
                "Cette méthode n’est pas servie ici.",
            ),
            Self::Body(BodyFault::TooLarge { limit_bytes }) => both(
                format!("The request is larger than {limit_bytes} bytes."),
                format!("La requête dépasse {limit_bytes} octets."),
            ),
            Self::DepthRefused => fixed(
                "Everything below cannot be listed at once; list one folder at a time.",
                "Toute l’arborescence ne peut pas être listée d’un coup ; listez un dossier à la fois.",
            ),
            Self::OnlyPut => fixed(
                "Files can only be sent here, not seen or changed.",
                "On ne peut ici que déposer des fichiers, ni les voir ni les modifier.",
            ),
            Self::TokenElsewhere(_) => fixed(
                "This lock does not exist here, or belongs to somebody else.",
                "Ce verrou n’existe pas ici, ou appartient à quelqu’un d’autre.",
            ),
            Self::Request(_)
            | Self::Xml(_)
            | Self::Body(_)
            | Self::UnsupportedBody
            | Self::Library(_)
            | Self::ResourceType => both(
                format!("The request cannot be understood: {self}."),
                format!("La requête ne peut pas être comprise : {self}."),
            ),
        }
    }
}

fn words_of(error: &FilesError) -> (Cow<'static, str>, Cow<'static, str>) {
    let both = |english: String, french: String| (english.into(), french.into());
    let fixed = |english: &'static str, french: &'static str| (english.into(), french.into());
    match error {
        FilesError::NotFound { path } => both(
            format!("There is nothing at {path}."),
            format!("Il n’y a rien à {path}."),
        ),
        FilesError::ParentMissing { path } => both(
            format!("The folder that should hold {path} does not exist."),
            format!("Le dossier qui doit contenir {path} n’existe pas."),
        ),
        FilesError::AlreadyExists { path } => both(
            format!("{path} exists already."),
            format!("{path} existe déjà."),
        ),
        FilesError::IsAFolder { path } => both(
            format!("{path} is a folder."),
            format!("{path} est un dossier."),
        ),
        FilesError::NotAFolder { path } => both(
            format!("{path} is not a folder."),
            format!("{path} n’est pas un dossier."),
        ),
        FilesError::NotPermitted { path } => both(
            format!("You may not change {path}."),
            format!("Vous ne pouvez pas modifier {path}."),
        ),
        FilesError::IntoItself => fixed(
            "A folder cannot be moved or copied into itself.",
            "Un dossier ne peut être ni déplacé ni copié dans lui-même.",
        ),
        FilesError::PreconditionFailed { path } => both(
            format!("{path} has changed meanwhile, or a condition of the request does not hold."),
            format!(
                "{path} a changé entre-temps, ou une condition de la requête n’est pas remplie."
            ),
        ),
        FilesError::Locked { path, .. } => both(
            format!("{path} is locked."),
            format!("{path} est verrouillé."),
        ),
        FilesError::NoSuchLock { path } => both(
            format!("There is no such lock on {path}."),
            format!("Ce verrou n’existe pas sur {path}."),
        ),
        FilesError::TooManyLocks => {
            fixed("You hold too many locks.", "Vous détenez trop de verrous.")
        }
        FilesError::QuotaExceeded {
            quota_bytes,
            used_bytes,
            missing_bytes,
        } => {
            let available = quota_bytes.saturating_sub(*used_bytes);
            let required = available.saturating_add(*missing_bytes);
            both(
                format!("Insufficient space, {required} required, {available} available (bytes)."),
                format!(
                    "Espace insuffisant : {required} octets nécessaires, {available} disponibles."
                ),
            )
        }
        FilesError::PropertiesTooLarge { path } => both(
            format!("The properties of {path} would be too large."),
            format!("Les propriétés de {path} seraient trop volumineuses."),
        ),
        FilesError::Tag(TagFault::BadName) => fixed(
            "No tag can have this name.",
            "Aucune étiquette ne peut porter ce nom.",
        ),
        FilesError::Tag(TagFault::Taken) => fixed(
            "A tag of this name exists already.",
            "Une étiquette de ce nom existe déjà.",
        ),
        FilesError::Tag(TagFault::TooMany { max }) => both(
            format!("There are {max} tags already; delete one to make another."),
            format!("Il y a déjà {max} étiquettes ; supprimez-en une pour en créer une autre."),
        ),
        FilesError::ArchiveTooLarge {
            members_max,
            bytes_max,
        } => both(
            format!(
                "This is too much for one ZIP file, which may hold {members_max} files and \
                 folders and {bytes_max} bytes."
            ),
            format!(
                "C’est trop pour un seul fichier ZIP, qui peut contenir {members_max} fichiers et \
                 dossiers et {bytes_max} octets."
            ),
        ),
        FilesError::TooManyArchives => fixed(
            "Too many ZIP files are being made at this moment; try again shortly.",
            "Trop de fichiers ZIP sont en cours de création ; réessayez dans un instant.",
        ),
        FilesError::Parts(fault) => words_of_parts(*fault),
        FilesError::BadContent(fault) => words_of_content(fault),
        FilesError::StorageFull => fixed(
            "The server’s storage is full; reading and deleting still work.",
            "Le stockage du serveur est plein ; la lecture et la suppression restent possibles.",
        ),
        error @ FilesError::Unavailable(_) if error.may_have_happened() => fixed(
            "Storage did not confirm the change; look whether it was made.",
            "Le stockage n’a pas confirmé la modification ; vérifiez si elle a été faite.",
        ),
        error @ FilesError::Unavailable(_) if error.is_of_the_whole_server() => fixed(
            "The server is unavailable for the moment; nothing was changed. Try again shortly.",
            "Le serveur est momentanément indisponible ; rien n’a été modifié. Réessayez dans un instant.",
        ),
        FilesError::Unavailable(_) => fixed(
            "Storage is temporarily not available; nothing was changed.",
            "Le stockage est momentanément indisponible ; rien n’a été modifié.",
        ),
        FilesError::Unreadable { path } => both(
            format!("The content of {path} cannot be read."),
            format!("Le contenu de {path} ne peut pas être lu."),
        ),
    }
}

fn words_of_parts(fault: PartsFault) -> (Cow<'static, str>, Cow<'static, str>) {
    match fault {
        PartsFault::Unknown => (
            "This upload is not in progress, or has no such part.".into(),
            "Cet envoi n’est pas en cours, ou n’a pas cette partie.".into(),
        ),
        PartsFault::Exists => (
            "An upload of this name is in progress already.".into(),
            "Un envoi de ce nom est déjà en cours.".into(),
        ),
        PartsFault::TooMany { max } => (
            format!("More than {max} uploads are in progress.").into(),
            format!("Plus de {max} envois sont en cours.").into(),
        ),
        PartsFault::TooManyParts { max } => (
            format!("A file can be sent in {max} parts at most.").into(),
            format!("Un fichier peut être envoyé en {max} parties au plus.").into(),
        ),
        PartsFault::Changed => (
            "The parts changed while they were put together; try again.".into(),
            "Les parties ont changé pendant l’assemblage ; réessayez.".into(),
        ),
    }
}

fn words_of_content(fault: &ContentFault) -> (Cow<'static, str>, Cow<'static, str>) {
    match fault {
        ContentFault::Length {
            announced_bytes,
            received_bytes,
        } => (
            format!("{received_bytes} bytes arrived, {announced_bytes} were announced.").into(),
            format!("{received_bytes} octets reçus, {announced_bytes} annoncés.").into(),
        ),
        ContentFault::Parts {
            announced_bytes,
            received_bytes,
        } => (
            format!(
                "Chunks on server do not sum up to {announced_bytes} but to {received_bytes} bytes"
            )
            .into(),
            format!(
                "Les parties reçues font {received_bytes} octets au lieu de {announced_bytes}."
            )
            .into(),
        ),
        ContentFault::NoParts => (
            "No part of the file has arrived.".into(),
            "Aucune partie du fichier n’est arrivée.".into(),
        ),
        ContentFault::Checksum => (
            "The file was damaged on its way: its checksum differs.".into(),
            "Le fichier a été abîmé pendant l’envoi : sa somme de contrôle diffère.".into(),
        ),
        ContentFault::ChecksumForm => (
            "The checksum is not of the form TYPE:hex.".into(),
            "La somme de contrôle n’a pas la forme TYPE:hex.".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use nuage_shared::node_path::NodePath;

    use super::*;
    use crate::files::error::StoreError;

    async fn text(error: DavError, language: Language) -> (StatusCode, String) {
        let mount = Mount {
            prefix: "/dav".to_owned(),
        };
        let response = error.respond(&mount, language);
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_full_quota_says_how_much_is_missing_in_the_persons_language() {
        let full = || FilesError::QuotaExceeded {
            quota_bytes: 100,
            used_bytes: 90,
            missing_bytes: 7,
        };
        let (status, english) = text(full().into(), Language::English).await;
        assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
        let sizes = "Insufficient space, 17 required, 10 available";
        assert!(english.contains(sizes), "{english}");
        assert!(english.contains("<s:exception>Sabre\\DAV\\Exception\\InsufficientStorage<"));
        let (_, french) = text(full().into(), Language::French).await;
        assert!(
            french.contains("17 octets nécessaires, 10 disponibles"),
            "{french}"
        );
    }

    #[tokio::test]
    async fn a_locked_node_is_named_by_its_escaped_href() {
        let locked = FilesError::Locked {
            path: NodePath::parse("a & <b>").unwrap(),
            until: None,
        };
        let (status, xml) = text(locked.into(), Language::English).await;
        assert_eq!(status, StatusCode::LOCKED);
        let element = "<d:lock-token-submitted><d:href>/dav/a%20%26%20%3Cb%3E</d:href>";
        assert!(xml.contains(element), "{xml}");
        assert!(xml.contains("/a &amp; &lt;b&gt; is locked"), "{xml}");
    }

    #[tokio::test]
    async fn only_what_stops_the_whole_server_ends_a_clients_run() {
        let class = "<s:exception>Sabre\\DAV\\Exception\\ServiceUnavailable</s:exception>";
        for (error, is_whole) in [
            (StoreError::Unavailable("no connection".into()), true),
            (StoreError::Closed, true),
            (StoreError::BytesUnavailable("no bucket".into()), false),
            (StoreError::Database("I/O".into()), false),
            (StoreError::Unknown("cut".into()), false),
            (StoreError::Corrupt("a row".into()), false),
            (StoreError::Superseded, false),
        ] {
            let told = error.to_string();
            let error = DavError::from(FilesError::Unavailable(error));
            for language in [Language::English, Language::French] {
                let mount = Mount {
                    prefix: "/dav".to_owned(),
                };
                let response = error.respond(&mount, language);
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{told}");
                assert!(response.headers().contains_key(header::RETRY_AFTER));
                let bytes = response.into_body().collect().await.unwrap().to_bytes();
                let xml = String::from_utf8(bytes.to_vec()).unwrap();
                assert!(xml.contains(class), "{xml}");
                assert_eq!(!xml.contains(STORAGE_AWAY), is_whole, "{told}: {xml}");
            }
        }
    }
}
