//! Why something is not shared.

use jiff::civil::Date;

use crate::files::Permissions;
use crate::files::error::FilesError;
use crate::identity::error::IdentityError;

/// The result of a call about shares.
pub type SharingResult<T> = Result<T, SharingError>;

/// Why something is not shared. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SharingError {
    /// There is no such share, or none that the caller may know of.
    #[error("no such share")]
    NoSuchShare,
    /// The share is not the caller's to change.
    #[error("the share is somebody else's")]
    NotYours,
    /// The receiver is not there.
    #[error("no such person or group")]
    NoReceiver,
    /// The receiver has it already.
    #[error("it is shared with them already")]
    Already,
    /// The giver has less.
    #[error("the giver may not give that much")]
    TooMuch {
        /// What they may give.
        own: Permissions,
    },
    /// A link needs a password here.
    #[error("a link needs a password")]
    PasswordNeeded,
    /// Links are not made here.
    #[error("links are not made here")]
    NoLinks,
    /// The day has passed.
    #[error("the day has passed")]
    DayPassed,
    /// The day is too far away.
    #[error("a link ends on {last} at the latest")]
    DayTooLate {
        /// The last day.
        last: Date,
    },
    /// The end of an address may not be chosen here, or has letters that it may not have.
    #[error("this address cannot be had")]
    BadAddress,
    /// The address is another link's.
    #[error("this address is taken")]
    AddressTaken,
    /// A label or note is too long.
    #[error("a text is too long")]
    TooLong,
    /// Only folders can be sent into.
    #[error("only folders can be sent into")]
    NotAFolder,
    /// The giver has given as many as they may.
    #[error("too many shares")]
    TooMany,
    /// About the node.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// About a password.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}
