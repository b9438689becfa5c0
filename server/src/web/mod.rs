//! Pages that people open in a browser without being signed in: what a link leads to.
//!
//! # Always true
//!
//! * A page needs no script, and may run none; names and labels are escaped where they stand.
//! * What a link allows is the core's to say, at each request.

pub mod assets;

mod drop_page;
mod link_page;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::files::Files;
use crate::http::body::Body;
use crate::http::body::RequestBody;
use crate::http::body::empty;
use crate::http::body::refuse_while_sending;
use crate::http::escape::escaped;
use crate::http::language::Language;
use crate::http::page::Page;
use crate::http::page::push;
use crate::http::session::Cookie;
use crate::http::visit::Answered;
use crate::http::visit::Visit;
use crate::identity::Caller;
use crate::identity::error::IdentityError;
use crate::sharing::Entrance;
use crate::sharing::LinkRefusal;
use crate::sharing::OpenedLink;
use crate::sharing::Sharing;

/// The largest form that is read, in bytes.
const FORM_BYTES_MAX: usize = 16 << 10;

/// How the installation presents itself.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its name.
    pub name: String,
    /// The colour of what is pressed, as `#rrggbb`.
    pub color: String,
}

/// The service.
pub struct Web {
    sharing: Arc<Sharing>,
    files: Arc<Files>,
    look: Look,
}

/// What a page of a link looks at.
struct Guest<'a> {
    token: &'a str,
    parts: &'a Parts,
    base_url: &'a str,
    client: IpAddr,
    language: Language,
}

impl Guest<'_> {
    fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }

    /// Chooses between the two languages.
    fn say<'t>(&self, french: &'t str, english: &'t str) -> &'t str {
        match self.language {
            Language::French => french,
            Language::English => english,
        }
    }

    /// Returns a field of the address.
    fn query(&self, name: &str) -> Option<String> {
        field(self.parts.uri.query().unwrap_or_default().as_bytes(), name)
    }
}

/// Returns the first field of a form.
fn field(form: &[u8], name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(form);
    let found = fields.find(|(have, _)| have == name)?;
    Some(found.1.into_owned())
}

impl Web {
    /// Builds the service over the core.
    pub fn new(sharing: Arc<Sharing>, files: Arc<Files>, look: Look) -> Self {
        Self {
            sharing,
            files,
            look,
        }
    }

    /// Returns whether a path (without `/index.php`) belongs here.
    pub fn owns(path: &str) -> bool {
        path.starts_with("/s/")
    }

    /// Answers a request.
    pub async fn serve(&self, visit: Visit) -> Answered {
        let (parts, mut body) = visit.request.into_parts();
        let segments: Vec<&str> = visit
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let token = segments.get(1).copied().unwrap_or_default();
        let token = percent_decode_str(token).decode_utf8_lossy();
        let guest = Guest {
            token: &token,
            parts: &parts,
            base_url: &visit.base_url,
            client: visit.client,
            language: Language::of(&parts.headers),
        };
        let rest = segments.get(2..).unwrap_or_default();
        let mut caller = None;
        let answer = self.answer(&guest, rest, &mut body, &mut caller).await;
        let response = match answer {
            Ok(response) => response,
            Err(refusal) => self.refuse(&guest, &refusal),
        };
        (refuse_while_sending(&parts, body, response), caller)
    }

    async fn answer(
        &self,
        guest: &Guest<'_>,
        rest: &[&str],
        body: &mut RequestBody,
        known: &mut Option<Caller>,
    ) -> Result<Response<Body>, LinkRefusal> {
        let is_form = is_form(&guest.parts.headers);
        match (&guest.parts.method, rest) {
            (&Method::POST, []) if is_form => self.enter(guest, body).await,
            (&Method::POST, []) => {
                let caller = self.open(guest).await?;
                Ok(self.take_in(guest, known.insert(caller), body).await)
            }
            (&Method::GET | &Method::HEAD, []) => {
                let caller = self.open(guest).await?;
                Ok(self.show_link(guest, known.insert(caller)).await)
            }
            (&Method::GET | &Method::HEAD, ["download"]) => {
                let caller = self.open(guest).await?;
                Ok(self.download(guest, known.insert(caller)).await)
            }
            (_, [] | ["download"]) => {
                let mut response = Response::new(empty());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allowed = HeaderValue::from_static("GET, HEAD, POST");
                response.headers_mut().insert(header::ALLOW, allowed);
                Ok(response)
            }
            _ => Err(LinkRefusal::Unknown),
        }
    }

    /// Opens the link with what the browser kept.
    async fn open(&self, guest: &Guest<'_>) -> Result<Caller, LinkRefusal> {
        let is_https = guest.is_https();
        let headers = &guest.parts.headers;
        let pass = |link: crate::sharing::ShareId| {
            let kept = Cookie::Link(link.0).read(headers, is_https);
            kept.map(str::to_owned)
        };
        let entrance = Entrance {
            password: None,
            pass: Some(&pass),
        };
        self.sharing
            .open_link(guest.token, entrance, guest.client)
            .await
    }

    /// Takes a password, and leads to the page that it opens.
    async fn enter(
        &self,
        guest: &Guest<'_>,
        body: &mut RequestBody,
    ) -> Result<Response<Body>, LinkRefusal> {
        let form = body.read_limited(FORM_BYTES_MAX).await.unwrap_or_default();
        let password = field(&form, "password").unwrap_or_default();
        let entrance = Entrance {
            password: Some(&password),
            pass: None,
        };
        let caller = self
            .sharing
            .open_link(guest.token, entrance, guest.client)
            .await?;
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let place = format!("{}/s/{}", guest.base_url, guest.token);
        let headers = response.headers_mut();
        if let Ok(place) = HeaderValue::try_from(place) {
            headers.insert(header::LOCATION, place);
        }
        let link = link_of(&caller);
        if let Some(link) = link
            && let Some(pass) = self.sharing.pass_of(link)
            && let Some(cookie) = Cookie::Link(link.share.id.0).put(&pass, guest.is_https())
        {
            headers.insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn page(
        &self,
        guest: &Guest<'_>,
        status: StatusCode,
        title: &str,
        content: &str,
    ) -> Response<Body> {
        let page = Page {
            language: guest.language,
            title,
            site: &self.look.name,
            color: &self.look.color,
            content,
            form_targets: "",
        };
        page.respond(status)
    }

    /// Says why a link does not open; the same for every one that is not there, whatever it was.
    fn refuse(&self, guest: &Guest<'_>, refusal: &LinkRefusal) -> Response<Body> {
        let (status, title, text) = match refusal {
            LinkRefusal::PasswordNeeded { was_wrong } => {
                return self.ask_password(guest, *was_wrong, None);
            }
            LinkRefusal::Identity(IdentityError::Throttled {
                retry_after_seconds,
            }) => return self.ask_password(guest, true, Some(*retry_after_seconds)),
            LinkRefusal::Unknown => (
                StatusCode::NOT_FOUND,
                guest.say("Ce lien n’existe pas", "This link does not exist"),
                guest.say(
                    "Il a expiré, il a été retiré, ou l’adresse n’est pas complète. \
                     Demandez-en un nouveau à la personne qui vous l’a envoyé.",
                    "It has expired, was taken back, or the address is not complete. \
                     Ask the person who sent it to you for a new one.",
                ),
            ),
            LinkRefusal::TooManyWrong => (
                StatusCode::TOO_MANY_REQUESTS,
                guest.say("Trop d’essais", "Too many attempts"),
                guest.say(
                    "Trop d’adresses fausses ont été essayées d’ici. Réessayez dans dix minutes.",
                    "Too many wrong addresses were tried from here. Try again in ten minutes.",
                ),
            ),
            LinkRefusal::Identity(_) | LinkRefusal::Unavailable(_) => {
                tracing::error!(error = %refusal, "a link could not be opened");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    guest.say("Cela n’a pas marché", "That did not work"),
                    guest.say(
                        "Le serveur est momentanément indisponible. Réessayez dans un instant.",
                        "The server is unavailable for the moment. Try again shortly.",
                    ),
                )
            }
        };
        self.page(guest, status, title, &format!("<p>{text}</p>\n"))
    }

    fn ask_password(
        &self,
        guest: &Guest<'_>,
        was_wrong: bool,
        retry_after_seconds: Option<u64>,
    ) -> Response<Body> {
        let title = guest.say("Ce lien a un mot de passe", "This link has a password");
        let mut content = String::new();
        let wrong = match (was_wrong, retry_after_seconds) {
            (_, Some(seconds)) => match guest.language {
                Language::French => {
                    format!("Trop de mots de passe incorrects. Réessayez dans {seconds} s.")
                }
                Language::English => {
                    format!("Too many wrong passwords. Try again in {seconds} s.")
                }
            },
            (true, None) => guest
                .say(
                    "Ce n’est pas le bon mot de passe.",
                    "This is not the right password.",
                )
                .to_owned(),
            (false, None) => String::new(),
        };
        if !wrong.is_empty() {
            push(
                &mut content,
                format_args!("<p class=\"wrong\" role=\"alert\">{wrong}</p>\n"),
            );
        }
        let token = escaped(guest.token);
        let label = guest.say("Mot de passe", "Password");
        let open = guest.say("Ouvrir", "Open");
        push(
            &mut content,
            format_args!(
                "<form method=\"post\" action=\"/s/{token}\">\n\
             <label for=\"password\">{label}</label>\n\
             <input id=\"password\" name=\"password\" type=\"password\" required autofocus \
             autocomplete=\"off\">\n<button class=\"main\">{open}</button>\n</form>\n"
            ),
        );
        let status = match retry_after_seconds {
            Some(_) => StatusCode::TOO_MANY_REQUESTS,
            None if was_wrong => StatusCode::FORBIDDEN,
            None => StatusCode::OK,
        };
        let mut response = self.page(guest, status, title, &content);
        if let Some(seconds) = retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}

/// Returns the link by which a caller came.
fn link_of(caller: &Caller) -> Option<&OpenedLink> {
    match &caller.scope {
        crate::identity::Scope::Link(link) => Some(link),
        crate::identity::Scope::Account => None,
    }
}
