//! Who is calling: accounts, passwords, app tokens, sessions of browsers, and the caller that they yield.
//!
//! A request comes with a name and a secret. [`Identity::authenticate_basic`] knows
//! most of them already (a bounded memory of verified credentials), else it looks the
//! secret up as an app token, else it verifies it as a person's password. People are
//! managed through the same door, by commands in a process of their own as well:
//! [`Identity::forget_changed`], called each second, lets the server notice.
//!
//! # Always true
//!
//! * No password and no token is stored or logged; hashes never leave this module.
//! * A credential that is remembered as verified is forgotten when its account
//!   changes: at once in this process, within a second of a command.
//! * At most one password per core is being hashed, and one of each (account,
//!   address) pair; so a flood of guesses exhausts neither memory nor the throttle.
//! * An unknown name costs as much as a wrong password.
//!
//! # What surprises
//!
//! Wrong guesses delay the pair of account and address, never an address alone:
//! a whole school may sit behind one. App tokens are not throttled: 160 random bits
//! are not guessed. An address of mail may stand in place of the name. A disabled account answers like a wrong password.

pub mod directory;
pub mod error;
pub mod names;
pub mod secret;

mod administer;
mod authenticate;
mod device_logins;
mod link_passwords;
mod passwords;
mod sessions;
mod teams;
mod throttle;
mod tickets;
mod tokens;
mod verified;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::clock::Clock;
use crate::identity::device_logins::DeviceLogins;
use crate::identity::directory::DirectorySettings;
use crate::identity::link_passwords::LinkSecrets;
use crate::identity::passwords::Passwords;
use crate::identity::sessions::SessionKeys;
use crate::identity::throttle::Throttle;
use crate::identity::tokens::TokenHasher;
use crate::identity::verified::Verified;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::activity::Origin;
use crate::store::metadata::activity::Program;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::OpenedLink;

pub use crate::identity::administer::ARCHIVE_SECONDS;
pub use crate::identity::administer::NewAccount;
pub use crate::identity::administer::NewToken;
pub use crate::identity::device_logins::DEVICE_LOGIN_SECONDS;
pub use crate::identity::device_logins::GrantedDevice;
pub use crate::identity::device_logins::NewDeviceLogin;
pub use crate::identity::device_logins::WaitingDevice;
pub use crate::identity::device_logins::device_name;
pub use crate::identity::sessions::BrowserSession;
pub use crate::identity::sessions::PASSWORD_CHARACTERS_MIN;
pub use crate::identity::sessions::PasswordFault;
pub use crate::identity::sessions::SessionLife;
pub use crate::identity::tickets::Standing;
pub use crate::store::metadata::accounts::Account;
pub use crate::store::metadata::accounts::AccountState;
pub use crate::store::metadata::accounts::Quota;
pub use crate::store::metadata::accounts::SpaceUse;
pub use crate::store::metadata::accounts::teams::Membership;
pub use crate::store::metadata::accounts::teams::Role;
pub use crate::store::metadata::accounts::teams::Team;
pub use crate::store::metadata::accounts::teams::TeamId;
pub use crate::store::metadata::accounts::tickets::TicketKind;
pub use crate::store::metadata::accounts::tokens::Token;
pub use crate::store::metadata::records::TokenId;

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
    /// By what they come.
    pub scope: Scope,
    /// From where, as the log of activities keeps it.
    pub origin: Origin,
}

/// By what a caller comes, which decides where their paths begin.
#[derive(Debug, Clone)]
pub enum Scope {
    /// By an account: in its home.
    Account,
    /// By a link: at what it leads to. The account is nobody's.
    Link(Arc<OpenedLink>),
}

impl Caller {
    /// Makes the caller that an account is, when it comes with its password.
    pub fn of_account(account: &Account) -> Self {
        Self {
            user: account.id,
            name: account.name.as_str().into(),
            display_name: account.display_name.as_str().into(),
            home: account.home,
            is_admin: account.is_admin,
            is_read_only: false,
            token: None,
            scope: Scope::Account,
            origin: Origin {
                program: Program::Password,
                ..Origin::default()
            },
        }
    }

    /// Makes the caller who came by a link that holds.
    pub fn of_link(link: OpenedLink) -> Self {
        // No account has a slash in its name.
        let name: Arc<str> = format!("link/{}", link.share.id.0).into();
        let origin = Origin {
            program: Program::Link,
            link: Some(link.share.id),
            ..Origin::default()
        };
        Self {
            // No account's number, and another one for each link: what visitors hold is counted by link.
            user: UserId(-link.share.id.0),
            display_name: Arc::clone(&name),
            name,
            home: link.share.node.space,
            is_admin: false,
            is_read_only: false,
            token: None,
            scope: Scope::Link(Arc::new(link)),
            origin,
        }
    }

    /// Makes the caller that an account is, when it comes with one of its app tokens.
    pub fn of_token(account: &Account, token: &Token) -> Self {
        Self {
            is_read_only: token.is_read_only,
            ..Self::of_account(account).on_device(token.id)
        }
    }

    /// The same, with the app password of a device.
    #[must_use]
    pub(crate) fn on_device(mut self, token: TokenId) -> Self {
        self.token = Some(token);
        self.origin.program = Program::Device;
        self.origin.token = Some(token);
        self
    }

    /// The same, with a browser.
    #[must_use]
    pub(crate) fn by_page(mut self) -> Self {
        self.origin.program = Program::Page;
        self
    }

    /// The same, from a network address.
    #[must_use]
    pub fn from_address(mut self, client: IpAddr) -> Self {
        self.origin.address = Some(client);
        self
    }
}

/// The door to people and their credentials; one for each process.
pub struct Identity {
    store: Arc<MetadataStore>,
    clock: Clock,
    passwords: Passwords,
    tokens: TokenHasher,
    throttle: Throttle,
    verified: Verified,
    session_keys: SessionKeys,
    session_life: SessionLife,
    device_logins: DeviceLogins,
    links: LinkSecrets,
    directory: DirectorySettings,
    /// The database's mark of other processes' writes, as last seen.
    seen_version: AtomicI64,
}

impl Identity {
    /// Opens the door; `installation_secret` is what app tokens are hashed with.
    ///
    /// All processes that use one database must give the same secret.
    pub fn new(store: Arc<MetadataStore>, clock: Clock, installation_secret: &[u8; 32]) -> Self {
        Self {
            store,
            clock,
            passwords: Passwords::new(),
            tokens: TokenHasher::new(installation_secret),
            throttle: Throttle::new(),
            verified: Verified::new(),
            session_keys: SessionKeys::new(installation_secret),
            session_life: SessionLife::default(),
            device_logins: DeviceLogins::new(installation_secret),
            links: LinkSecrets::new(installation_secret),
            directory: DirectorySettings::default(),
            seen_version: AtomicI64::new(i64::MIN),
        }
    }
}

impl Identity {
    /// Sets how long browsers stay signed in.
    #[must_use]
    pub fn with_session_life(mut self, life: SessionLife) -> Self {
        self.session_life = life;
        self
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
