//! What a link leads to: a file to download, or a folder to look through.

use http::HeaderMap;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use nuage_shared::node_path::NodePath;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::files::ArchiveRequest;
use crate::files::Entry;
use crate::files::ListingWants;
use crate::files::Permissions;
use crate::files::error::FilesError;
use crate::http::archive;
use crate::http::body::Body;
use crate::http::download;
use crate::http::escape::escaped;
use crate::http::human::size_text;
use crate::http::language::Language;
use crate::http::page::push;
use crate::identity::Caller;
use crate::sharing::OpenedLink;
use crate::web::Guest;
use crate::web::Web;
use crate::web::link_of;

/// Entries that one page shows; the rest is said to be there.
const SHOWN_MAX: usize = 2_000;

impl Web {
    /// Shows what a link leads to.
    pub(super) async fn show_link(&self, guest: &Guest<'_>, caller: &Caller) -> Response<Body> {
        let Some(link) = link_of(caller) else {
            return self.missing(guest);
        };
        if link.permissions == Permissions::CREATE {
            return self.show_drop(guest, link, &[]);
        }
        let shown = self.try_to_show(guest, caller, link).await;
        shown.unwrap_or_else(|error| self.fail(guest, &error))
    }

    async fn try_to_show(
        &self,
        guest: &Guest<'_>,
        caller: &Caller,
        link: &OpenedLink,
    ) -> Result<Response<Body>, FilesError> {
        let path = guest.query("path").unwrap_or_default();
        let Ok(path) = NodePath::parse(&path) else {
            return Ok(self.missing(guest));
        };
        let wants = ListingWants::default();
        let mut listing = self.files.list(caller, &path, wants, true).await?;
        let mut content = self.introduction(guest, link);
        let node = listing.entry.node.clone();
        if !node.is_folder() {
            let size = size_text(node.size_bytes, guest.language);
            push(&mut content, format_args!("<p class=\"soft\">{size}</p>\n"));
            content.push_str(&Self::download_button(guest, (link, false), &path));
            let title = Self::title(link, &path);
            return Ok(self.page(guest, StatusCode::OK, &title, &content));
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut is_cut = false;
        loop {
            let page = listing.next_page().await?;
            if page.is_empty() {
                break;
            }
            entries.extend(page);
            if entries.len() > SHOWN_MAX {
                is_cut = true;
                entries.truncate(SHOWN_MAX);
                break;
            }
        }
        entries
            .sort_by_cached_key(|entry| (!entry.node.is_folder(), entry.node.name.to_lowercase()));
        content.push_str(&Self::trail(guest, link, &path));
        content.push_str(&Self::download_button(guest, (link, true), &path));
        content.push_str(&rows(guest, link, &path, &entries));
        if is_cut {
            let text = guest.say(
                "Ce dossier contient davantage d’éléments ; ouvrez le lien avec un client WebDAV pour tout voir.",
                "This folder has more entries; open the link with a WebDAV client to see all.",
            );
            push(&mut content, format_args!("<p class=\"soft\">{text}</p>\n"));
        }
        let title = Self::title(link, &path);
        Ok(self.page(guest, StatusCode::OK, &title, &content))
    }

    pub(super) fn title(link: &OpenedLink, path: &NodePath) -> String {
        let share = &link.share;
        match path.name() {
            Some(name) => name.as_str().to_owned(),
            None if !share.label.is_empty() => share.label.clone(),
            None => share.name.clone(),
        }
    }

    /// Says who shares it, and until when.
    pub(super) fn introduction(&self, guest: &Guest<'_>, link: &OpenedLink) -> String {
        let who = escaped(&link.share.sharer_shown.display_name);
        let is_drop = link.permissions == Permissions::CREATE;
        let mut text = match (guest.language, is_drop) {
            (Language::French, false) => format!("<p>Partagé par {who}"),
            (Language::English, false) => format!("<p>Shared by {who}"),
            (Language::French, true) => format!("<p>Envoyez des fichiers à {who}"),
            (Language::English, true) => format!("<p>Send files to {who}"),
        };
        if let Some(end) = link.share.expires_at {
            let day = guest.language.date(self.sharing.last_day(end));
            match guest.language {
                Language::French => push(&mut text, format_args!(", jusqu’au {day} inclus")),
                Language::English => push(&mut text, format_args!(", until the end of {day}")),
            }
        }
        text.push_str(".</p>\n");
        if !link.share.note.is_empty() {
            let note = escaped(&link.share.note);
            push(&mut text, format_args!("<p class=\"soft\">{note}</p>\n"));
        }
        text
    }

    fn trail(guest: &Guest<'_>, link: &OpenedLink, path: &NodePath) -> String {
        let Some(above) = path.parent() else {
            return String::new();
        };
        let name = match above.name() {
            Some(name) => name.as_str().to_owned(),
            None => Self::title(link, &above),
        };
        let href = href(guest, "", &above);
        let label = guest.say("Retour à", "Back to");
        format!(
            "<p><a href=\"{href}\">← {label} {}</a></p>\n",
            escaped(&name)
        )
    }

    fn download_button(
        guest: &Guest<'_>,
        (link, is_folder): (&OpenedLink, bool),
        path: &NodePath,
    ) -> String {
        if !link.share.may_download {
            return String::new();
        }
        let label = if is_folder {
            guest.say("Tout télécharger (ZIP)", "Download all (ZIP)")
        } else {
            guest.say("Télécharger", "Download")
        };
        let href = href(guest, "/download", path);
        format!("<p><a class=\"button main\" href=\"{href}\">{label}</a></p>\n")
    }

    /// Gives a file, or a folder as one ZIP file.
    pub(super) async fn download(&self, guest: &Guest<'_>, caller: &Caller) -> Response<Body> {
        let path = guest.query("path").unwrap_or_default();
        let Ok(path) = NodePath::parse(&path) else {
            return self.missing(guest);
        };
        match self.files.download(caller, &path).await {
            Ok(file) => {
                let is_head = guest.parts.method == Method::HEAD;
                let is_one = !is_head && begins(&guest.parts.headers);
                let response = download::respond(&guest.parts.headers, is_head, file);
                if let (Some(link), true) =
                    (link_of(caller), is_one && response.status().is_success())
                {
                    self.sharing.note_use(link, (guest.client, 1));
                }
                response
            }
            Err(FilesError::IsAFolder { .. }) => self.download_folder(guest, caller, path).await,
            Err(error) => self.fail(guest, &error),
        }
    }

    async fn download_folder(
        &self,
        guest: &Guest<'_>,
        caller: &Caller,
        path: NodePath,
    ) -> Response<Body> {
        let request = ArchiveRequest {
            folder: path.clone(),
            names: Vec::new(),
        };
        let is_head = guest.parts.method == Method::HEAD;
        match self.files.archive(caller, request).await {
            Ok(whole) => {
                let link = link_of(caller);
                if let Some(link) = link.filter(|_| !is_head) {
                    self.sharing.note_use(link, (guest.client, 1));
                }
                let name = link.map(|link| Self::title(link, &path));
                let (now, language) = (self.files.now(), guest.language);
                archive::respond(whole, &name.unwrap_or_default(), now, language, is_head)
            }
            Err(error) => self.fail(guest, &error),
        }
    }

    fn missing(&self, guest: &Guest<'_>) -> Response<Body> {
        let title = guest.say("Il n’y a rien ici", "There is nothing here");
        let text = guest.say(
            "Ce fichier ou dossier a été déplacé ou supprimé.",
            "This file or folder was moved or deleted.",
        );
        self.page(
            guest,
            StatusCode::NOT_FOUND,
            title,
            &format!("<p>{text}</p>\n"),
        )
    }

    fn fail(&self, guest: &Guest<'_>, error: &FilesError) -> Response<Body> {
        match error {
            FilesError::NotPermitted { .. } => {
                let title = guest.say("Ce n’est pas permis", "This is not allowed");
                let text = guest.say(
                    "Ce lien ne permet pas de télécharger.",
                    "This link does not allow downloads.",
                );
                self.page(
                    guest,
                    StatusCode::FORBIDDEN,
                    title,
                    &format!("<p>{text}</p>\n"),
                )
            }
            FilesError::ArchiveTooLarge { .. } => {
                let title = guest.say("C’est trop pour un fichier ZIP", "Too much for a ZIP file");
                let text = guest.say(
                    "Téléchargez les dossiers un par un.",
                    "Download the folders one by one.",
                );
                let content = format!("<p>{text}</p>\n");
                self.page(guest, StatusCode::PAYLOAD_TOO_LARGE, title, &content)
            }
            FilesError::TooManyArchives
            | FilesError::Unavailable(_)
            | FilesError::Unreadable { .. } => {
                let title = guest.say("Cela n’a pas marché", "That did not work");
                let text = guest.say(
                    "Le serveur est momentanément indisponible. Réessayez dans un instant.",
                    "The server is unavailable for the moment. Try again shortly.",
                );
                let content = format!("<p>{text}</p>\n");
                self.page(guest, StatusCode::SERVICE_UNAVAILABLE, title, &content)
            }
            _ => self.missing(guest),
        }
    }
}

/// Returns whether a request asks for the beginning of a file: who reads it in pieces reads it once.
fn begins(headers: &HeaderMap) -> bool {
    let range = headers.get(header::RANGE).map(|range| range.to_str());
    let Some(Ok(range)) = range else {
        return true;
    };
    let ranges = range.trim().strip_prefix("bytes=").unwrap_or("0-");
    let mut firsts = ranges.split(',').map(|range| range.split('-').next());
    firsts.any(|first| first.is_some_and(|first| first.trim().parse() == Ok(0_u64)))
}

/// Returns where a path of a link is shown, or downloaded.
fn href(guest: &Guest<'_>, place: &str, path: &NodePath) -> String {
    let token = escaped(guest.token);
    if path.is_root() {
        return format!("/s/{token}{place}");
    }
    let text = path.to_string();
    let path = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    format!("/s/{token}{place}?path={path}")
}

fn rows(guest: &Guest<'_>, link: &OpenedLink, path: &NodePath, entries: &[Entry]) -> String {
    if entries.is_empty() {
        let text = guest.say("Ce dossier est vide.", "This folder is empty.");
        return format!("<p class=\"soft\">{text}</p>\n");
    }
    let name_label = guest.say("Nom", "Name");
    let size_label = guest.say("Taille", "Size");
    let mut table = format!(
        "<table>\n<thead><tr><th scope=\"col\">{name_label}</th>\
         <th scope=\"col\">{size_label}</th></tr></thead>\n<tbody>\n"
    );
    for entry in entries {
        let node = &entry.node;
        let name = escaped(&node.name);
        let child = nuage_shared::node_path::NodeName::parse(&node.name)
            .ok()
            .and_then(|name| path.child(name).ok());
        let size = size_text(node.size_bytes, guest.language);
        let place = if node.is_folder() { "" } else { "/download" };
        let mark = if node.is_folder() { "/" } else { "" };
        let is_open = node.is_folder() || link.share.may_download;
        let cell = match child.filter(|_| is_open) {
            Some(child) => format!(
                "<a href=\"{}\">{name}{mark}</a>",
                href(guest, place, &child)
            ),
            None => format!("{name}{mark}"),
        };
        push(
            &mut table,
            format_args!("<tr><td>{cell}</td><td>{size}</td></tr>\n"),
        );
    }
    table.push_str("</tbody>\n</table>\n");
    table
}
