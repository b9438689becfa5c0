//! The one place where a failure of the core becomes a status.

use http::StatusCode;

use crate::files::error::FilesError;
use crate::files::error::PartsFault;
use crate::files::error::TagFault;

/// Returns the status of a failure.
pub fn status_of(error: &FilesError) -> StatusCode {
    match error {
        FilesError::NotFound { .. } => StatusCode::NOT_FOUND,
        // RFC 4918 sections 9.3.1 and 9.7.1: the collection above must exist.
        FilesError::ParentMissing { .. } | FilesError::NoSuchLock { .. } => StatusCode::CONFLICT,
        FilesError::AlreadyExists { .. }
        | FilesError::IsAFolder { .. }
        | FilesError::NotAFolder { .. } => StatusCode::METHOD_NOT_ALLOWED,
        FilesError::NotPermitted { .. }
        | FilesError::IntoItself
        | FilesError::ArchiveTooLarge { .. } => StatusCode::FORBIDDEN,
        FilesError::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
        FilesError::Locked { .. } => StatusCode::LOCKED,
        FilesError::TooManyLocks
        | FilesError::QuotaExceeded { .. }
        | FilesError::PropertiesTooLarge { .. }
        | FilesError::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        FilesError::Tag(fault) => match fault {
            TagFault::BadName => StatusCode::BAD_REQUEST,
            TagFault::Taken => StatusCode::CONFLICT,
            TagFault::TooMany { .. } => StatusCode::INSUFFICIENT_STORAGE,
        },
        FilesError::Parts(fault) => match fault {
            PartsFault::Unknown => StatusCode::NOT_FOUND,
            PartsFault::Exists => StatusCode::METHOD_NOT_ALLOWED,
            PartsFault::TooMany { .. } => StatusCode::INSUFFICIENT_STORAGE,
            PartsFault::TooManyParts { .. } => StatusCode::BAD_REQUEST,
            PartsFault::Changed => StatusCode::CONFLICT,
        },
        FilesError::BadContent(_) => StatusCode::BAD_REQUEST,
        FilesError::Unavailable(_) | FilesError::TooManyArchives => StatusCode::SERVICE_UNAVAILABLE,
        FilesError::Unreadable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
