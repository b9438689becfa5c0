//! A folder into which people send files without seeing what is there.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use multer::Constraints;
use multer::Multipart;
use multer::SizeLimit;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;

use crate::files::Permissions;
use crate::files::UploadRequest;
use crate::files::error::FilesError;
use crate::files::precondition::Precondition;
use crate::http::body::Body;
use crate::http::body::BodyFault;
use crate::http::body::RequestBody;
use crate::http::escape::escaped;
use crate::http::human::size_text;
use crate::http::page::push;
use crate::identity::Caller;
use crate::sharing::OpenedLink;
use crate::web::Guest;
use crate::web::Web;
use crate::web::link_of;

/// The longest name that somebody gives of themselves, in bytes.
const OWN_NAME_BYTES_MAX: usize = 400;

/// What may arrive of a form without anything of it being understood, in bytes.
const UNREAD_BYTES_MAX: usize = 1 << 20;

/// A file that was received.
pub(super) struct Received {
    name: String,
    size_bytes: u64,
}

/// Why a file was not received.
enum Fault {
    /// The form cannot be read, or did not arrive whole.
    Form,
    /// The core says no.
    Files(FilesError),
}

impl From<FilesError> for Fault {
    fn from(error: FilesError) -> Self {
        Self::Files(error)
    }
}

impl Web {
    /// Shows the form by which files are sent, and what was received just now.
    pub(super) fn show_drop(
        &self,
        guest: &Guest<'_>,
        link: &OpenedLink,
        received: &[Received],
    ) -> Response<Body> {
        let content = self.drop_form(guest, link, received, None);
        let title = Self::title(link, &NodePath::root());
        self.page(guest, StatusCode::OK, &title, &content)
    }

    fn drop_form(
        &self,
        guest: &Guest<'_>,
        link: &OpenedLink,
        received: &[Received],
        wrong: Option<&str>,
    ) -> String {
        let mut content = self.introduction(guest, link);
        if let Some(wrong) = wrong {
            push(
                &mut content,
                format_args!("<p class=\"wrong\" role=\"alert\">{wrong}</p>\n"),
            );
        }
        if !received.is_empty() {
            let heading = guest.say("Bien reçu", "Received");
            push(
                &mut content,
                format_args!("<h2>{heading}</h2>\n<ul role=\"status\">\n"),
            );
            for file in received {
                let size = size_text(file.size_bytes, guest.language);
                push(
                    &mut content,
                    format_args!("<li>{} ({size})</li>\n", escaped(&file.name)),
                );
            }
            content.push_str("</ul>\n");
        }
        let token = escaped(guest.token);
        let own = guest.say("Votre nom (facultatif)", "Your name (optional)");
        let files = guest.say("Fichiers", "Files");
        let send = guest.say("Envoyer", "Send");
        let unseen = guest.say(
            "Vous ne voyez pas ce que d’autres ont envoyé, et ils ne voient pas ce que vous envoyez.",
            "You do not see what others sent, and they do not see what you send.",
        );
        push(
            &mut content,
            format_args!(
                "<form method=\"post\" action=\"/s/{token}\" enctype=\"multipart/form-data\">\n\
             <label for=\"own\">{own}</label>\n\
             <input id=\"own\" name=\"own\" autocomplete=\"name\" maxlength=\"100\">\n\
             <label for=\"files\">{files}</label>\n\
             <input id=\"files\" name=\"files\" type=\"file\" multiple required>\n\
             <p class=\"soft\">{unseen}</p>\n<button class=\"main\">{send}</button>\n</form>\n"
            ),
        );
        content
    }

    /// Takes files from the form.
    pub(super) async fn take_in(
        &self,
        guest: &Guest<'_>,
        caller: &Caller,
        body: &mut RequestBody,
    ) -> Response<Body> {
        let Some(link) = link_of(caller).filter(|link| link.permissions == Permissions::CREATE)
        else {
            let mut response = Response::new(crate::http::body::empty());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        };
        let mut received = Vec::new();
        let outcome = self.receive(guest, caller, body, &mut received).await;
        let (status, wrong) = match outcome {
            Ok(()) if received.is_empty() => (
                StatusCode::BAD_REQUEST,
                Some(guest.say(
                    "Choisissez au moins un fichier.",
                    "Choose at least one file.",
                )),
            ),
            Ok(()) => (StatusCode::OK, None),
            Err(Fault::Files(FilesError::QuotaExceeded { .. } | FilesError::StorageFull)) => (
                StatusCode::INSUFFICIENT_STORAGE,
                Some(guest.say(
                    "Il n’y a plus assez de place : ce qui manque ci-dessous n’a pas été reçu.",
                    "There is not enough room left: what is missing below was not received.",
                )),
            ),
            Err(Fault::Files(error)) => {
                tracing::debug!(%error, "a file that was sent was not taken in");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    Some(guest.say(
                        "L’envoi n’a pas abouti : ce qui manque ci-dessous n’a pas été reçu. Réessayez.",
                        "The transfer failed: what is missing below was not received. Try again.",
                    )),
                )
            }
            Err(Fault::Form) => (
                StatusCode::BAD_REQUEST,
                Some(guest.say(
                    "L’envoi a été interrompu : ce qui manque ci-dessous n’a pas été reçu.",
                    "The transfer was cut short: what is missing below was not received.",
                )),
            ),
        };
        let content = self.drop_form(guest, link, &received, wrong);
        let title = Self::title(link, &NodePath::root());
        self.page(guest, status, &title, &content)
    }

    async fn receive(
        &self,
        guest: &Guest<'_>,
        caller: &Caller,
        body: &mut RequestBody,
        received: &mut Vec<Received>,
    ) -> Result<(), Fault> {
        let kind = guest.parts.headers.get(header::CONTENT_TYPE);
        let kind = kind
            .and_then(|kind| kind.to_str().ok())
            .ok_or(Fault::Form)?;
        let boundary = multer::parse_boundary(kind).map_err(|_fault| Fault::Form)?;
        // The parser takes in all that it is given at once, and waits without end for the end of a head.
        let unread = &AtomicUsize::new(0);
        let frames = futures_util::stream::unfold(body, |body| async move {
            tokio::task::yield_now().await;
            let frame = body.frame().await?;
            let data = frame.map_err(|fault: BodyFault| fault.to_string());
            let data = data.map(|frame| frame.into_data().unwrap_or_default());
            let length = data.as_ref().map_or(0, Bytes::len);
            let data = if unread.fetch_add(length, Ordering::Relaxed) > UNREAD_BYTES_MAX {
                Err("a part has no end of its head".to_owned())
            } else {
                data
            };
            Some((data, body))
        });
        let own = SizeLimit::new().for_field("own", OWN_NAME_BYTES_MAX as u64);
        let limits = Constraints::new().size_limit(own);
        let frames = std::pin::pin!(frames);
        let mut form = Multipart::with_constraints(frames, boundary, limits);
        let mut folder = NodePath::root();
        while let Some(mut part) = form.next_field().await.map_err(|_fault| Fault::Form)? {
            unread.store(0, Ordering::Relaxed);
            if part.name() == Some("own") {
                let text = part.text().await.map_err(|_fault| Fault::Form)?;
                let text = text.trim();
                if let Ok(name) = NodeName::parse(text) {
                    folder = self.own_folder(caller, name).await?;
                }
                continue;
            }
            // Some browsers send the whole path of the sender's disk.
            let name = part.file_name().unwrap_or_default();
            let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
            let Ok(name) = NodeName::parse(name) else {
                continue;
            };
            let shown = name.as_str().to_owned();
            let path = folder.child(name).map_err(|_too_long| Fault::Form)?;
            let request = UploadRequest {
                path: self.files.free_path(caller, &path).await?,
                declared_bytes: None,
                modified_at: None,
                created_at: None,
                checksum: None,
                precondition: Precondition::default(),
                client_waits: false,
            };
            let mut upload = self.files.begin_upload(caller, request).await?;
            let mut size_bytes = 0;
            while let Some(piece) = part.chunk().await.map_err(|_fault| Fault::Form)? {
                unread.store(0, Ordering::Relaxed);
                size_bytes += piece.len() as u64;
                upload.write(piece).await?;
            }
            upload.finish_as_new().await?;
            received.push(Received {
                name: shown,
                size_bytes,
            });
        }
        Ok(())
    }

    /// Returns the folder of whoever says their name; it is made if it is not there.
    async fn own_folder(&self, caller: &Caller, name: NodeName) -> Result<NodePath, FilesError> {
        let path = NodePath::root();
        let path = path.child(name).map_err(|_too_long| FilesError::NotFound {
            path: NodePath::root(),
        })?;
        let unconditional = Precondition::default();
        match self
            .files
            .make_folder(caller, &path, Vec::new(), &unconditional)
            .await
        {
            Ok(_) | Err(FilesError::AlreadyExists { .. }) => Ok(path),
            Err(error) => Err(error),
        }
    }
}
