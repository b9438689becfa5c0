//! Who is calling: accounts, passwords, app tokens, and the caller that they yield.

use std::sync::Arc;

use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::TokenId;
use crate::store::metadata::records::UserId;

/// Who asks, as a value; every rule of the core is decided by (caller, node).
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// Its sign-in name.
    pub name: Arc<str>,
    /// The name that people see.
    pub display_name: Arc<str>,
    /// The space that `/dav/` shows.
    pub home: SpaceId,
    /// May administer.
    pub is_admin: bool,
    /// May only read.
    pub is_read_only: bool,
    /// The app token, when one was used in place of the password.
    pub token: Option<TokenId>,
}
