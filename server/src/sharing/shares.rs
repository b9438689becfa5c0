//! Making, changing, listing and ending shares.

use jiff::civil::Date;
use nuage_shared::node_path::NodePath;

use crate::files::Node;
use crate::files::NodeId;
use crate::files::Permissions;
use crate::files::Reason;
use crate::files::Rights;
use crate::files::error::FilesError;
use crate::identity::Caller;
use crate::identity::Role;
use crate::identity::Scope;
use crate::identity::error::AdminError;
use crate::identity::secret::Secret;
use crate::sharing::Sharing;
use crate::sharing::SharingError;
use crate::sharing::SharingResult;
use crate::store::metadata::activity::Origin;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::shares::ChangeShare;
use crate::store::metadata::shares::CreateShare;
use crate::store::metadata::shares::EndLinks;
use crate::store::metadata::shares::EndShare;
use crate::store::metadata::shares::ListShares;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::Share;
use crate::store::metadata::shares::ShareChange;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Shared;
use crate::store::metadata::shares::Which;

/// The longest label, in characters.
const LABEL_CHARACTERS_MAX: usize = 255;
/// The longest note, in characters.
const NOTE_CHARACTERS_MAX: usize = 4_000;
/// Shares that are read at once.
const LISTED_AT_ONCE: i64 = 500;
/// The shortest and the longest end of an address that somebody chooses.
const ADDRESS_LENGTHS: std::ops::RangeInclusive<usize> = 4..=64;

/// With whom something is shared.
#[derive(Debug, Clone)]
pub enum SharedWith {
    /// A person, by sign-in name.
    Person(String),
    /// A group, by name.
    Team(String),
    /// Whoever has the link.
    Link,
}

/// What somebody wants to share.
#[derive(Debug, Clone)]
pub struct NewShare {
    /// The node, where the caller sees it.
    pub path: NodePath,
    /// With whom.
    pub with: SharedWith,
    /// What may be done; `None`: all that the caller may do (by a link, look).
    pub permissions: Option<Permissions>,
    /// Whether contents may leave the server as they are.
    pub may_download: bool,
    /// A message to the receiver.
    pub note: String,
    /// What the giver calls it.
    pub label: String,
    /// The last day on which it holds; `None`: what the settings say.
    pub last_day: Option<Date>,
    /// Says that no last day is wanted.
    pub is_endless: bool,
    /// Of a link: its password.
    pub password: Option<Secret>,
    /// Of a link: what its address shall end with.
    pub address: Option<String>,
    /// Whether those whom it reaches are told by mail, if the settings say so too.
    pub tells: bool,
}

/// What shall change of a share; `None`: stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What may be done.
    pub permissions: Option<Permissions>,
    /// Whether contents may leave the server as they are.
    pub may_download: Option<bool>,
    /// A message to the receiver.
    pub note: Option<String>,
    /// What the giver calls it.
    pub label: Option<String>,
    /// The last day on which it holds; inner `None`: no end.
    pub last_day: Option<Option<Date>>,
    /// Of a link: its password; inner `None`: no password.
    pub password: Option<Option<Secret>>,
    /// Of a link: what its address shall end with.
    pub address: Option<String>,
}

/// Which shares are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Selected {
    /// All that the caller gave.
    Mine,
    /// Those of a node; those of others too, where the caller owns it or was allowed to share it.
    OfNode {
        /// The node.
        node: NodeId,
        /// Whether those of others are wanted.
        of_others: bool,
    },
    /// Those of the children of a folder that the caller gave.
    Below(NodeId),
    /// All that the caller was given.
    ToMe,
    /// Those of a node that the caller was given.
    ToMeOf(NodeId),
}

/// Which links an administrator looks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkFilter {
    /// Those without a password.
    pub without_password: bool,
    /// Those that do not end by themselves.
    pub without_end: bool,
}

impl LinkFilter {
    fn fits(self, link: &Share) -> bool {
        let is_too_safe = self.without_password && link.password_hash.is_some();
        let is_too_short = self.without_end && link.expires_at.is_some();
        !is_too_safe && !is_too_short
    }
}

fn must_administer(caller: &Caller) -> SharingResult<()> {
    if caller.is_admin {
        Ok(())
    } else {
        Err(SharingError::NotYours)
    }
}

impl Sharing {
    /// Shares a node.
    pub async fn share(&self, caller: &Caller, wanted: NewShare) -> SharingResult<Share> {
        must_be_a_person(caller)?;
        let node = self.files.find(caller, &wanted.path).await?;
        let (rights, _) = self.files.rights(caller, &wanted.path).await?;
        let receiver = self.receiver(&wanted.with).await?;
        let own = meaningful(rights.permissions, &node);
        let permissions = match (wanted.permissions, receiver) {
            (Some(asked), Receiver::Link) => of_link(asked, &node)?,
            (None, Receiver::Link) => Permissions::READ,
            (Some(asked), _) => meaningful(asked.or(Permissions::READ), &node),
            (None, _) => own,
        };
        if !own.has(Permissions::SHARE) {
            return Err(SharingError::TooMuch { own });
        }
        let is_link = receiver == Receiver::Link;
        let last_day = self.last_day_of(is_link, wanted.last_day, wanted.is_endless)?;
        let token = match (is_link, &wanted.address) {
            (false, _) => None,
            (true, None) => Some(self.identity.draw_link_token()),
            (true, Some(address)) => Some(self.chosen(address)?),
        };
        if is_link && wanted.password.is_none() && self.settings.link_passwords_required {
            return Err(SharingError::PasswordNeeded);
        }
        let password_hash = match wanted.password.as_ref().filter(|_| is_link) {
            Some(password) => Some(self.identity.hash_link_password(password).await?),
            None => None,
        };
        let create = CreateShare {
            sharer: caller.user,
            node: node.id,
            receiver,
            permissions,
            may_download: wanted.may_download && rights.may_download,
            note: checked(wanted.note, NOTE_CHARACTERS_MAX)?,
            label: checked(wanted.label, LABEL_CHARACTERS_MAX)?,
            expires_at: last_day.map(|day| self.end_of(day)),
            token: token.map(|token| {
                let hash = self.identity.link_token_hash(&token).to_vec();
                (token, hash)
            }),
            password_hash,
            shares_max: self.settings.shares_max,
            tells: wanted.tells && self.settings.tells(receiver),
            origin: self.origin(caller),
            now: self.clock.now(),
        };
        let made = self.metadata.write(create).await.map_err(refused)?;
        outcome(made)
    }

    /// Changes a share.
    pub async fn change(
        &self,
        caller: &Caller,
        id: ShareId,
        changes: Changes,
    ) -> SharingResult<Share> {
        must_be_a_person(caller)?;
        let share = self.find(caller, id).await?;
        let is_link = share.receiver == Receiver::Link;
        let permissions = match changes.permissions {
            Some(asked) if is_link => Some(of_link(asked, &share.node)?),
            Some(asked) => Some(meaningful(asked.or(Permissions::READ), &share.node)),
            None => None,
        };
        let expires_at = match changes.last_day {
            None => None,
            Some(day) => {
                let day = self.last_day_of(is_link, day, day.is_none())?;
                Some(day.map(|day| self.end_of(day)))
            }
        };
        let password_hash = match changes.password {
            Some(_) if !is_link => None,
            None => None,
            Some(None) if self.settings.link_passwords_required => {
                return Err(SharingError::PasswordNeeded);
            }
            Some(None) => Some(None),
            Some(Some(password)) => Some(Some(self.identity.hash_link_password(&password).await?)),
        };
        let token = match &changes.address {
            Some(address) if is_link => {
                let token = self.chosen(address)?;
                let hash = self.identity.link_token_hash(&token).to_vec();
                Some((token, hash))
            }
            Some(_) | None => None,
        };
        let text = |text: Option<String>, max| text.map(|text| checked(text, max)).transpose();
        let change = ChangeShare {
            share: id,
            asker: caller.user,
            origin: self.origin(caller),
            change: ShareChange {
                permissions,
                may_download: changes.may_download,
                note: text(changes.note, NOTE_CHARACTERS_MAX)?,
                label: text(changes.label, LABEL_CHARACTERS_MAX)?,
                expires_at,
                token,
                password_hash,
            },
            now: self.clock.now(),
        };
        outcome(self.metadata.write(change).await.map_err(refused)?)
    }

    /// Ends a share, or leaves what the caller was given.
    pub async fn end(&self, caller: &Caller, id: ShareId) -> SharingResult<()> {
        must_be_a_person(caller)?;
        let end = EndShare {
            share: id,
            asker: caller.user,
            origin: self.origin(caller),
            now: self.clock.now(),
        };
        self.metadata.write(end).await.map_err(refused)?;
        Ok(())
    }

    /// Finds a share that the caller may know of.
    pub async fn find(&self, caller: &Caller, id: ShareId) -> SharingResult<Share> {
        must_be_a_person(caller)?;
        let found = self.read(Which::One(id)).await?;
        let share = found.into_iter().next().ok_or(SharingError::NoSuchShare)?;
        if share.sharer == caller.user || share.receiver == Receiver::Person(caller.user) {
            return Ok(share);
        }
        // Whoever may share the node may know with whom others did. A link opens to whoever knows it, perhaps for more
        // than they have themselves, so those of others are for the owner.
        let seen = self.files.rights_on(caller, share.node.id).await;
        let seen = seen.map_err(|error| match error {
            FilesError::NotFound { .. } => SharingError::NoSuchShare,
            other => other.into(),
        })?;
        if is_shown(&share, &seen) {
            Ok(share)
        } else {
            Err(SharingError::NoSuchShare)
        }
    }

    /// Lists shares, in the order in which they were made.
    pub async fn list(&self, caller: &Caller, selected: Selected) -> SharingResult<Vec<Share>> {
        must_be_a_person(caller)?;
        let which = match selected {
            Selected::Mine => Which::By(caller.user),
            Selected::OfNode { node, .. } => Which::Of(node),
            Selected::Below(folder) => Which::Below(folder),
            Selected::ToMe => Which::To(caller.user),
            Selected::ToMeOf(node) => Which::ToOf(caller.user, node),
        };
        let mut found = self.read(which).await?;
        match selected {
            Selected::Mine | Selected::ToMe | Selected::ToMeOf(_) => {}
            Selected::OfNode {
                node,
                of_others: true,
            } => {
                let rights = self.files.rights_on(caller, node).await?;
                found.retain(|share| share.sharer == caller.user || is_shown(share, &rights));
            }
            Selected::Below(_) | Selected::OfNode { .. } => {
                found.retain(|share| share.sharer == caller.user);
            }
        }
        Ok(found)
    }

    /// Lists the next links of everybody, the oldest first, for administrators; returns with what to go on.
    pub async fn list_links(
        &self,
        caller: &Caller,
        filter: LinkFilter,
        after: ShareId,
        limit: usize,
    ) -> SharingResult<(Vec<Share>, Option<ShareId>)> {
        must_administer(caller)?;
        let mut found: Vec<Share> = Vec::new();
        let mut after = after;
        loop {
            let list = ListShares {
                which: Which::Links,
                now: self.clock.now(),
                after,
                limit: LISTED_AT_ONCE,
            };
            let page = self.metadata.read(list).await.map_err(refused)?;
            let is_last = (page.len() as u64) < LISTED_AT_ONCE.unsigned_abs();
            for link in page {
                after = link.id;
                if filter.fits(&link) {
                    found.push(link);
                }
                if found.len() >= limit {
                    return Ok((found, Some(after)));
                }
            }
            if is_last {
                return Ok((found, None));
            }
        }
    }

    /// Ends links of whomever, for administrators; returns how many there were.
    pub async fn end_links(&self, caller: &Caller, links: Vec<ShareId>) -> SharingResult<u64> {
        must_administer(caller)?;
        let end = EndLinks {
            links,
            is_noted: self.files.settings().keeps_activity,
            now: self.clock.now(),
        };
        self.metadata.write(end).await.map_err(refused)
    }

    /// Returns from where somebody asks, where that is kept.
    fn origin(&self, caller: &Caller) -> Option<Origin> {
        self.files
            .settings()
            .keeps_activity
            .then_some(caller.origin)
    }

    async fn read(&self, which: Which) -> SharingResult<Vec<Share>> {
        let mut all: Vec<Share> = Vec::new();
        loop {
            let list = ListShares {
                which,
                now: self.clock.now(),
                after: all.last().map_or(ShareId(0), |share| share.id),
                limit: LISTED_AT_ONCE,
            };
            let page = self.metadata.read(list).await.map_err(refused)?;
            let is_last = (page.len() as u64) < LISTED_AT_ONCE.unsigned_abs();
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn receiver(&self, with: &SharedWith) -> SharingResult<Receiver> {
        let missing = |error| match error {
            AdminError::Unavailable(error) => refused(error),
            _ => SharingError::NoReceiver,
        };
        match with {
            SharedWith::Link if self.settings.links => Ok(Receiver::Link),
            SharedWith::Link => Err(SharingError::NoLinks),
            SharedWith::Person(name) => {
                let account = self.identity.find_account(name).await.map_err(missing)?;
                Ok(Receiver::Person(account.id))
            }
            SharedWith::Team(name) => {
                let team = self.identity.find_team(name).await.map_err(missing)?;
                Ok(Receiver::Team(team.id))
            }
        }
    }

    /// Returns the last day of a share, within what the settings allow.
    fn last_day_of(
        &self,
        is_link: bool,
        asked: Option<Date>,
        is_endless: bool,
    ) -> SharingResult<Option<Date>> {
        let today = self.today();
        let after = |days: u32| today.saturating_add(jiff::Span::new().days(i64::from(days)));
        if asked.is_some_and(|day| day < today) {
            return Err(SharingError::DayPassed);
        }
        if !is_link {
            return Ok(asked);
        }
        let latest = self.settings.link_days_max.map(after);
        let by_default = self.settings.link_days_default.map(after);
        let day = match (asked, is_endless) {
            (Some(day), _) => Some(day),
            (None, false) => by_default.or(latest),
            (None, true) => latest,
        };
        match (day, latest) {
            (Some(day), Some(last)) if day > last => Err(SharingError::DayTooLate { last }),
            (day, _) => Ok(day),
        }
    }

    fn chosen(&self, address: &str) -> SharingResult<String> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_good = ADDRESS_LENGTHS.contains(&address.len()) && address.bytes().all(is_fine);
        if self.settings.custom_addresses && is_good {
            Ok(address.to_owned())
        } else {
            Err(SharingError::BadAddress)
        }
    }
}

/// Returns whether a share that somebody else gave is shown to whoever has these rights on its node.
fn is_shown(share: &Share, rights: &Rights) -> bool {
    let is_owner = match &rights.reason {
        Reason::Owner => true,
        Reason::Member { role, .. } => *role == Role::Manager,
        Reason::ReadOnlyPassword | Reason::Given { .. } | Reason::Link => false,
    };
    is_owner || (share.receiver != Receiver::Link && rights.permissions.has(Permissions::SHARE))
}

/// Refuses whoever came by a link: what was given by one is not given on.
fn must_be_a_person(caller: &Caller) -> SharingResult<()> {
    match (&caller.scope, caller.is_read_only) {
        (Scope::Account, false) => Ok(()),
        (Scope::Account, true) | (Scope::Link(_), _) => Err(FilesError::NotPermitted {
            path: NodePath::root(),
        }
        .into()),
    }
}

/// Returns what of permissions means something for a node.
fn meaningful(permissions: Permissions, node: &Node) -> Permissions {
    if node.is_folder() {
        permissions
    } else {
        permissions.without(Permissions::CREATE.or(Permissions::DELETE))
    }
}

/// Returns what a link may allow of what was asked: to look, to change, or to send into a folder unseen.
fn of_link(asked: Permissions, node: &Node) -> SharingResult<Permissions> {
    let asked = asked.without(Permissions::SHARE);
    if asked == Permissions::CREATE {
        return if node.is_folder() {
            Ok(asked)
        } else {
            Err(SharingError::NotAFolder)
        };
    }
    Ok(meaningful(asked.or(Permissions::READ), node))
}

fn checked(text: String, characters_max: usize) -> SharingResult<String> {
    if text.chars().count() > characters_max {
        return Err(SharingError::TooLong);
    }
    Ok(text)
}

fn outcome(shared: Shared) -> SharingResult<Share> {
    match shared {
        Shared::Made(share) => Ok(*share),
        Shared::TooMuch(own) => Err(SharingError::TooMuch { own }),
        Shared::Already(_) => Err(SharingError::Already),
        Shared::NoReceiver => Err(SharingError::NoReceiver),
        Shared::TokenTaken => Err(SharingError::AddressTaken),
        Shared::TooMany => Err(SharingError::TooMany),
    }
}

fn refused(error: StoreError) -> SharingError {
    match error {
        StoreError::Refused(Refusal::NotFound) => SharingError::NoSuchShare,
        StoreError::Refused(Refusal::NotPermitted) => SharingError::NotYours,
        other => FilesError::Unavailable(other).into(),
    }
}
