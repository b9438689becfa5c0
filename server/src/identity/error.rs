//! Why somebody was not let in, and why a change of accounts did not happen.

use crate::identity::names::NameFault;
use crate::store::metadata::error::StoreError;

/// Why a caller was not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Wrong name, wrong secret, or an account or token that may not sign in: no one can tell which.
    #[error("the name or the password is wrong")]
    Unauthenticated,
    /// Too many wrong guesses at this account from this address.
    #[error("too many wrong passwords; try again in {retry_after_seconds} s")]
    Throttled {
        /// When the next attempt is looked at; at least 1.
        retry_after_seconds: u64,
    },
    /// Too many people sign in at this moment; nothing was decided.
    #[error("too many sign-ins at this moment")]
    Busy,
    /// Storage failed; nothing was decided.
    #[error("accounts are unavailable")]
    Unavailable(#[from] StoreError),
}

/// The result of a change of accounts.
pub type AdminResult<T> = Result<T, AdminError>;

/// Why a change of accounts did not happen. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The name cannot be used.
    #[error("'{name}' cannot be a name: {fault}")]
    BadName {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A password, label, address or other text cannot be used.
    #[error("{what} must have 1 to {characters_max} characters and no control characters")]
    BadText {
        /// What the text is.
        what: &'static str,
        /// How long it may be.
        characters_max: usize,
    },
    /// No account that is not deleted has this name.
    #[error("there is no user '{name}'")]
    NoSuchAccount {
        /// What was asked for.
        name: String,
    },
    /// No deleted account of this name can come back.
    #[error("there is no deleted user '{name}' that can be restored")]
    NotRestorable {
        /// What was asked for.
        name: String,
    },
    /// An account has this name, in whatever case.
    #[error("there is a user '{name}' already")]
    AccountExists {
        /// What was asked for.
        name: String,
    },
    /// No group has this name.
    #[error("there is no group '{name}'")]
    NoSuchTeam {
        /// What was asked for.
        name: String,
    },
    /// A group has this name, in whatever case.
    #[error("there is a group '{name}' already")]
    TeamExists {
        /// What was asked for.
        name: String,
    },
    /// The account does not belong to the group.
    #[error("'{account}' does not belong to '{team}'")]
    NotAMember {
        /// The account's name.
        account: String,
        /// The group's name.
        team: String,
    },
    /// The account has no such token that is still valid.
    #[error("'{account}' has no such token")]
    NoSuchToken {
        /// The account's name.
        account: String,
    },
    /// The files of an account cannot be handed to itself.
    #[error("files cannot be handed to the user who is deleted")]
    HandedToItself,
    /// The home of the receiver would hold more than its quota.
    #[error(
        "the home of '{receiver}' would hold {needed_bytes} bytes, its quota is {quota_bytes}; \
         raise it first"
    )]
    HandOverExceedsQuota {
        /// Who should get the files.
        receiver: String,
        /// What it may hold.
        quota_bytes: u64,
        /// What it would hold.
        needed_bytes: u64,
    },
    /// Passwords are being hashed as fast as this machine can.
    #[error("too many sign-ins at this moment; try again")]
    Busy,
    /// Storage failed.
    #[error("accounts are unavailable: {0}")]
    Unavailable(#[from] StoreError),
}
