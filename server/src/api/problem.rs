//! Failures as problem documents (RFC 9457): a code for the program, a sentence for the person.
//!
//! The one place where a failure of the core gets its words here; its status is that of every protocol
//! ([`status_of`]), but that something is in the way is 409: no method of this interface depends on what exists.

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use nuage_shared::node_path::PathFault;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::call::shown;
use crate::files::error::FilesError;
use crate::files::error::PartsFault;
use crate::http::body::Body;
use crate::http::body::BodyFault;
use crate::http::body::full;
use crate::http::human::size_text;
use crate::http::language::Language;
use crate::http::status::status_of;
use crate::identity::error::AdminError;
use crate::identity::error::IdentityError;
use crate::sharing::SharingError;

/// A failure, before its language is known.
#[derive(Debug)]
pub(super) struct Problem(Box<Inside>);

/// What is known of a failure.
#[derive(Debug)]
struct Inside {
    status: StatusCode,
    code: &'static str,
    french: String,
    english: String,
    path: Option<String>,
    quota: Option<QuotaProblem>,
    retry_after_seconds: Option<u64>,
}

/// What is said of a full space.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "they are read as JSON, where the unit must be said"
)]
pub(super) struct QuotaProblem {
    /// What is missing, in bytes.
    missing_bytes: u64,
    /// What the space may hold, in bytes.
    quota_bytes: u64,
    /// What it holds, in bytes.
    used_bytes: u64,
}

/// A failure as it is written (RFC 9457 section 3).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Names the kind of failure for good.
    #[serde(rename = "type")]
    kind: String,
    /// The failure in words, in the language of the browser.
    title: String,
    /// The status of the answer.
    status: u16,
    /// The kind of failure in a word.
    code: &'static str,
    /// The path that it is about.
    path: Option<String>,
    /// What is said of a full space.
    #[serde(flatten)]
    quota: Option<QuotaProblem>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, french: &str, english: &str) -> Self {
        Self(Box::new(Inside {
            status,
            code,
            french: french.to_owned(),
            english: english.to_owned(),
            path: None,
            quota: None,
            retry_after_seconds: None,
        }))
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Vous n’êtes plus connecté. Reconnectez-vous pour continuer.",
            "You are not signed in any more. Sign in to go on.",
        )
    }

    pub(super) fn bad_mark() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "bad-mark",
            "Cette page n’est plus à jour. Rechargez-la.",
            "This page is out of date. Load it again.",
        )
    }

    pub(super) fn not_permitted() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not-permitted",
            "Vous n’avez pas le droit de faire cela.",
            "You may not do that.",
        )
    }

    pub(super) fn no_such_call() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-call",
            "Cet appel n’existe pas.",
            "There is no such call.",
        )
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Cela n’existe pas, ou plus.",
            "It does not exist, or not any more.",
        )
    }

    pub(super) fn no_preview() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-preview",
            "Il n’y a pas d’aperçu.",
            "There is no preview.",
        )
    }

    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Le serveur est momentanément indisponible. Réessayez dans un instant.",
            "The server is unavailable for the moment. Try again shortly.",
        )
    }

    pub(super) fn too_many_channels() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-channels",
            "Trop de pages écoutent déjà les changements.",
            "Too many pages listen to changes already.",
        )
    }

    pub(super) fn bad_field(name: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            &format!("Le champ « {name} » manque ou ne peut être compris."),
            &format!("The field “{name}” is missing or cannot be understood."),
        )
    }

    pub(super) fn bad_path(text: &str, fault: &PathFault) -> Self {
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "bad-name",
            match fault {
                PathFault::Empty => "Un nom est vide.",
                PathFault::Dots => "Un nom ne peut pas être « . » ou « .. ».",
                PathFault::NameTooLong { .. } => "Ce nom est trop long (255 octets au plus).",
                PathFault::Forbidden { .. } => {
                    "Ce nom contient un caractère interdit (« / » ou un caractère invisible)."
                }
                PathFault::TooLong => "Ce chemin est trop long ou trop profond.",
            },
            match fault {
                PathFault::Empty => "A name is empty.",
                PathFault::Dots => "A name cannot be “.” or “..”.",
                PathFault::NameTooLong { .. } => "This name is too long (255 bytes at most).",
                PathFault::Forbidden { .. } => {
                    "This name holds a character that is not allowed (“/” or an invisible one)."
                }
                PathFault::TooLong => "This path is too long or too deep.",
            },
        );
        problem.0.path = Some(text.chars().take(300).collect());
        problem
    }

    pub(super) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Le corps doit être « application/json ».",
            "The body must be application/json.",
        )
    }

    pub(super) fn not_a_form() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-a-form",
            "Le corps doit être celui d’un formulaire.",
            "The body must be that of a form.",
        )
    }

    pub(super) fn bad_json(error: &serde_json::Error) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            &format!("Le corps n’est pas compris : {error}."),
            &format!("The body is not understood: {error}."),
        )
    }

    pub(super) fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            &format!("Le corps dépasse {limit_bytes} octets."),
            &format!("The body has more than {limit_bytes} bytes."),
        )
    }

    pub(super) fn too_many(max: usize) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "too-many",
            &format!("Au plus {max} éléments à la fois."),
            &format!("At most {max} items at once."),
        )
    }

    pub(super) fn cut(fault: &BodyFault) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "cut",
            &format!("L’envoi s’est interrompu : {fault}."),
            &format!("The upload broke off: {fault}."),
        )
    }

    pub(super) fn wrong_password() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "wrong-password",
            "Ce n’est pas votre mot de passe actuel.",
            "This is not your present password.",
        )
    }

    pub(super) fn weak_password(characters_min: usize) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "weak-password",
            &format!("Un mot de passe doit avoir au moins {characters_min} caractères."),
            &format!("A password needs at least {characters_min} characters."),
        )
    }

    pub(super) fn oneself() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "oneself",
            "Vous ne pouvez pas faire cela à votre propre compte.",
            "You cannot do that to your own account.",
        )
    }

    /// Returns the failure as it is written in this language.
    pub(super) fn document(&self, language: Language) -> ProblemDocument {
        let title = match language {
            Language::French => &self.0.french,
            Language::English => &self.0.english,
        };
        ProblemDocument {
            kind: format!("/problems/{}", self.0.code),
            title: title.clone(),
            status: self.0.status.as_u16(),
            code: self.0.code,
            path: self.0.path.clone(),
            quota: self.0.quota.clone(),
        }
    }

    /// Makes the answer.
    pub(super) fn respond(&self, language: Language) -> Response<Body> {
        let document = serde_json::to_vec(&self.document(language)).unwrap_or_default();
        let mut response = Response::new(full(document));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        let form = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(language.tag()),
        );
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<FilesError> for Problem {
    fn from(error: FilesError) -> Self {
        let (code, french, english) = words_of(&error);
        let status = match (&error, status_of(&error)) {
            // Nobody here chose a method: what is in the way is a conflict.
            (FilesError::Parts(PartsFault::Exists), _) | (_, StatusCode::METHOD_NOT_ALLOWED) => {
                StatusCode::CONFLICT
            }
            (_, status) => status,
        };
        let mut problem = Self::new(status, code, french, english);
        match &error {
            FilesError::NotFound { path }
            | FilesError::ParentMissing { path }
            | FilesError::AlreadyExists { path }
            | FilesError::IsAFolder { path }
            | FilesError::NotAFolder { path }
            | FilesError::NotPermitted { path }
            | FilesError::PreconditionFailed { path }
            | FilesError::Locked { path, .. }
            | FilesError::Unreadable { path } => problem.0.path = Some(shown(path)),
            FilesError::QuotaExceeded {
                quota_bytes,
                used_bytes,
                missing_bytes,
            } => {
                let missing = |language| size_text(*missing_bytes, language);
                problem.0.french = format!(
                    "Il n’y a plus assez de place : il manque {}.",
                    missing(Language::French)
                );
                problem.0.english = format!(
                    "There is not enough room: {} are missing.",
                    missing(Language::English)
                );
                problem.0.quota = Some(QuotaProblem {
                    missing_bytes: *missing_bytes,
                    quota_bytes: *quota_bytes,
                    used_bytes: *used_bytes,
                });
            }
            FilesError::Unavailable(error) => {
                tracing::error!(%error, "a call could not be answered");
            }
            _ => {}
        }
        problem
    }
}

/// Returns code and words of a failure of the core.
fn words_of(error: &FilesError) -> (&'static str, &'static str, &'static str) {
    match error {
        FilesError::NotFound { .. } => (
            "not-found",
            "Cet élément n’existe pas, ou plus.",
            "This item does not exist, or not any more.",
        ),
        FilesError::ParentMissing { .. } => (
            "parent-missing",
            "Le dossier de destination n’existe plus.",
            "The folder that should hold it does not exist any more.",
        ),
        FilesError::AlreadyExists { .. } => (
            "already-exists",
            "Un élément de ce nom existe déjà.",
            "There is an item of this name already.",
        ),
        FilesError::IsAFolder { .. } => (
            "is-a-folder",
            "Il y a un dossier à cet endroit.",
            "There is a folder in this place.",
        ),
        FilesError::NotAFolder { .. } => (
            "not-a-folder",
            "Ce n’est pas un dossier.",
            "This is not a folder.",
        ),
        FilesError::NotPermitted { .. } => (
            "not-permitted",
            "Vous n’avez pas le droit de faire cela ici.",
            "You may not do that here.",
        ),
        FilesError::IntoItself => (
            "into-itself",
            "Un dossier ne peut pas être placé dans lui-même.",
            "A folder cannot be put into itself.",
        ),
        FilesError::PreconditionFailed { .. } => (
            "changed",
            "Cet élément a changé entre-temps.",
            "This item has changed meanwhile.",
        ),
        FilesError::Locked { .. } => (
            "locked",
            "Ce fichier est verrouillé par quelqu’un qui y travaille.",
            "This file is locked by somebody who works on it.",
        ),
        FilesError::NoSuchLock { .. } => (
            "no-such-lock",
            "Ce verrou n’existe plus.",
            "There is no such lock.",
        ),
        FilesError::TooManyLocks => (
            "too-many-locks",
            "Vous avez trop de verrous en cours.",
            "You hold too many locks.",
        ),
        FilesError::QuotaExceeded { .. } => (
            "quota-exceeded",
            "Il n’y a plus assez de place.",
            "There is not enough room.",
        ),
        FilesError::PropertiesTooLarge { .. } | FilesError::Tag(_) => (
            "bad-text",
            "Ce texte ne peut pas être utilisé.",
            "This text cannot be used.",
        ),
        FilesError::ArchiveTooLarge { .. } => (
            "archive-too-large",
            "C’est trop pour une seule archive. Téléchargez en plusieurs fois.",
            "This is too much for one archive. Download it in several steps.",
        ),
        FilesError::TooManyArchives => (
            "busy",
            "Trop d’archives sont en préparation. Réessayez dans un instant.",
            "Too many archives are being made. Try again shortly.",
        ),
        FilesError::Parts(_) => (
            "upload-lost",
            "Cet envoi n’existe plus ou a trop de parties.",
            "This upload does not exist any more, or has too many parts.",
        ),
        FilesError::BadContent(_) => (
            "bad-content",
            "Le fichier reçu n’est pas celui qui était annoncé.",
            "What was received is not what was announced.",
        ),
        FilesError::StorageFull => (
            "storage-full",
            "Le stockage du serveur est plein.",
            "The server’s storage is full.",
        ),
        FilesError::Unavailable(_) => (
            "unavailable",
            "Le serveur est momentanément indisponible. Réessayez dans un instant.",
            "The server is unavailable for the moment. Try again shortly.",
        ),
        FilesError::Unreadable { .. } => (
            "unreadable",
            "Le contenu de ce fichier est illisible.",
            "The content of this file cannot be read.",
        ),
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unauthenticated => Self::unauthenticated(),
            IdentityError::Throttled {
                retry_after_seconds,
            } => {
                let mut problem = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "throttled",
                    &format!("Trop d’essais. Réessayez dans {retry_after_seconds} s."),
                    &format!("Too many attempts. Try again in {retry_after_seconds} s."),
                );
                problem.0.retry_after_seconds = Some(retry_after_seconds);
                problem
            }
            IdentityError::Busy => Self::unavailable(),
            IdentityError::Unavailable(error) => {
                tracing::error!(%error, "who calls could not be found out");
                Self::unavailable()
            }
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let (status, code) = match &error {
            AdminError::BadName { .. } => (StatusCode::BAD_REQUEST, "bad-name"),
            AdminError::BadText { .. } => (StatusCode::BAD_REQUEST, "bad-text"),
            AdminError::NoSuchAccount { .. } | AdminError::NotRestorable { .. } => {
                (StatusCode::NOT_FOUND, "no-such-user")
            }
            AdminError::NoSuchTeam { .. } => (StatusCode::NOT_FOUND, "no-such-group"),
            AdminError::NotAMember { .. } => (StatusCode::NOT_FOUND, "not-a-member"),
            AdminError::NoSuchToken { .. } => (StatusCode::NOT_FOUND, "not-found"),
            AdminError::AccountExists { .. } | AdminError::TeamExists { .. } => {
                (StatusCode::CONFLICT, "already-exists")
            }
            AdminError::HandedToItself => (StatusCode::BAD_REQUEST, "oneself"),
            AdminError::HandOverExceedsQuota { .. } => {
                (StatusCode::INSUFFICIENT_STORAGE, "quota-exceeded")
            }
            AdminError::Busy => return Self::unavailable(),
            AdminError::Unavailable(source) => {
                tracing::error!(error = %source, "accounts are unavailable");
                return Self::unavailable();
            }
        };
        let french = match &error {
            AdminError::BadName { name, .. } => format!("« {name} » ne peut pas être un nom."),
            AdminError::BadText { characters_max, .. } => format!(
                "Ce texte doit avoir de 1 à {characters_max} caractères, sans caractère invisible."
            ),
            AdminError::NoSuchAccount { name } => format!("Le compte « {name} » n’existe pas."),
            AdminError::NotRestorable { name } => {
                format!("Le compte « {name} » ne peut pas être rétabli.")
            }
            AdminError::NoSuchTeam { name } => format!("Le groupe « {name} » n’existe pas."),
            AdminError::NotAMember { account, team } => {
                format!("« {account} » n’est pas membre de « {team} ».")
            }
            AdminError::NoSuchToken { .. } => "Cet accès n’existe plus.".to_owned(),
            AdminError::AccountExists { name } => format!("Le compte « {name} » existe déjà."),
            AdminError::TeamExists { name } => format!("Le groupe « {name} » existe déjà."),
            AdminError::HandedToItself => {
                "Les fichiers ne peuvent pas revenir au compte supprimé.".to_owned()
            }
            AdminError::HandOverExceedsQuota { receiver, .. } => {
                format!("L’espace de « {receiver} » est trop petit ; agrandissez-le d’abord.")
            }
            AdminError::Busy | AdminError::Unavailable(_) => String::new(),
        };
        Self::new(status, code, &french, &capitalised(&error.to_string()))
    }
}

/// Returns a text that begins with a capital and ends with a full stop.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{first}{}.", characters.as_str())
}

impl From<SharingError> for Problem {
    fn from(error: SharingError) -> Self {
        use StatusCode as S;
        let (status, code, french, english) = match error {
            SharingError::Files(error) => return error.into(),
            SharingError::Identity(error) => return error.into(),
            SharingError::DayTooLate { last } => {
                let day = |language: Language| language.date(last);
                return Self::new(
                    S::BAD_REQUEST,
                    "day-too-late",
                    &format!("Le dernier jour possible est le {}.", day(Language::French)),
                    &format!("The last day possible is {}.", day(Language::English)),
                );
            }
            SharingError::NoSuchShare => (
                S::NOT_FOUND,
                "not-found",
                "Ce partage n’existe pas, ou plus.",
                "This share does not exist, or not any more.",
            ),
            SharingError::NotYours => (
                S::FORBIDDEN,
                "not-permitted",
                "Ce partage n’est pas le vôtre.",
                "This share is not yours.",
            ),
            SharingError::NoReceiver => (
                S::NOT_FOUND,
                "no-such-receiver",
                "Cette personne ou ce groupe n’existe pas.",
                "There is no such person or group.",
            ),
            SharingError::Already => (
                S::CONFLICT,
                "already-exists",
                "C’est déjà partagé avec ce destinataire.",
                "It is shared with them already.",
            ),
            SharingError::TooMuch { .. } => (
                S::FORBIDDEN,
                "too-much",
                "Vous ne pouvez pas donner plus de droits que vous n’en avez.",
                "You cannot give more rights than you have.",
            ),
            SharingError::PasswordNeeded => (
                S::BAD_REQUEST,
                "password-needed",
                "Un lien doit avoir un mot de passe ici.",
                "A link needs a password here.",
            ),
            SharingError::NoLinks => (
                S::FORBIDDEN,
                "no-links",
                "Les liens publics ne sont pas autorisés ici.",
                "Public links are not allowed here.",
            ),
            SharingError::DayPassed => (
                S::BAD_REQUEST,
                "day-passed",
                "Ce jour est passé.",
                "This day has passed.",
            ),
            SharingError::BadAddress => (
                S::BAD_REQUEST,
                "bad-address",
                "Cette adresse ne peut pas être choisie.",
                "This address cannot be chosen.",
            ),
            SharingError::AddressTaken => (
                S::CONFLICT,
                "address-taken",
                "Cette adresse est déjà prise.",
                "This address is taken.",
            ),
            SharingError::TooLong => (
                S::BAD_REQUEST,
                "too-long",
                "Ce texte est trop long.",
                "This text is too long.",
            ),
            SharingError::NotAFolder => (
                S::BAD_REQUEST,
                "not-a-folder",
                "Seul un dossier peut recevoir des fichiers.",
                "Only a folder can receive files.",
            ),
            SharingError::TooMany => (
                S::FORBIDDEN,
                "too-many",
                "Vous avez atteint le nombre maximal de partages.",
                "You have as many shares as you may have.",
            ),
        };
        Self::new(status, code, french, english)
    }
}
