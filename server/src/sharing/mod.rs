//! Giving to others: people, groups, and whoever has a link.
//!
//! What is given, and what somebody may do with it, is decided in the transactions of
//! `store/metadata/shares`; here are the rules that an operator or a protocol can know of: how long links last,
//! which passwords they need, who may open them.
//!
//! # Always true
//!
//! * Nobody gives more than they have, at any time.
//! * A link that ended, was revoked or never was is the same to whoever asks.

pub mod audience;
mod error;
mod links;
mod shares;

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::files::Files;
use crate::identity::Identity;
use crate::sharing::links::Visits;
use crate::sharing::links::WrongTokens;
use crate::store::metadata::MetadataStore;

pub use crate::sharing::error::SharingError;
pub use crate::sharing::error::SharingResult;
pub use crate::sharing::links::Entrance;
pub use crate::sharing::links::LinkRefusal;
pub use crate::sharing::shares::Changes;
pub use crate::sharing::shares::LinkFilter;
pub use crate::sharing::shares::NewShare;
pub use crate::sharing::shares::Selected;
pub use crate::sharing::shares::SharedWith;
pub use crate::store::metadata::shares::OpenedLink;
pub use crate::store::metadata::shares::Receiver;
pub use crate::store::metadata::shares::Share;
pub use crate::store::metadata::shares::ShareId;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct SharingSettings {
    /// Whether links can be made.
    pub links: bool,
    /// Whether a link must have a password.
    pub link_passwords_required: bool,
    /// After how many days a link ends whose maker names no day; `None`: it does not.
    pub link_days_default: Option<u32>,
    /// The most days for which a link may be made; `None`: any.
    pub link_days_max: Option<u32>,
    /// Whether the end of a link's address may be chosen.
    pub custom_addresses: bool,
    /// Shares that one person may have given.
    pub shares_max: u64,
    /// Addresses of links that somebody may get wrong within ten minutes, by network address.
    pub wrong_links_max: u32,
    /// By whose midnight days end.
    pub time_zone: TimeZone,
    /// Who is told by mail of what they are given.
    pub told: Told,
}

/// Who is told by mail of what they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nobody.
    Nobody,
    /// Whoever is given something themselves.
    People,
    /// Everybody, also of a group that is given something.
    Groups,
}

impl SharingSettings {
    /// Returns whether those whom a new share reaches are told by mail.
    fn tells(&self, receiver: Receiver) -> bool {
        match receiver {
            Receiver::Person(_) => self.told != Told::Nobody,
            Receiver::Team(_) => self.told == Told::Groups,
            Receiver::Link => false,
        }
    }
}

impl Default for SharingSettings {
    fn default() -> Self {
        Self {
            links: true,
            link_passwords_required: false,
            link_days_default: None,
            link_days_max: None,
            custom_addresses: false,
            shares_max: 10_000,
            wrong_links_max: 30,
            time_zone: TimeZone::UTC,
            told: Told::Nobody,
        }
    }
}

/// The door to shares and links; one for each process.
pub struct Sharing {
    metadata: Arc<MetadataStore>,
    identity: Arc<Identity>,
    files: Arc<Files>,
    clock: Clock,
    settings: SharingSettings,
    wrong_tokens: WrongTokens,
    visits: Visits,
}

impl Sharing {
    /// Builds the door over the core.
    pub fn new(
        metadata: Arc<MetadataStore>,
        identity: Arc<Identity>,
        files: Arc<Files>,
        clock: Clock,
        settings: SharingSettings,
    ) -> Self {
        Self {
            metadata,
            identity,
            files,
            clock,
            settings,
            wrong_tokens: WrongTokens::new(),
            visits: Visits::new(),
        }
    }

    /// Returns what the operator chose.
    pub fn settings(&self) -> &SharingSettings {
        &self.settings
    }

    /// Returns today where days are counted.
    pub fn today(&self) -> Date {
        let now = jiff::Timestamp::from_nanosecond(self.clock.now().0.into()).unwrap_or_default();
        now.to_zoned(self.settings.time_zone.clone()).date()
    }

    /// Returns the first moment after a day.
    pub fn end_of(&self, day: Date) -> Timestamp {
        let next = day.saturating_add(jiff::Span::new().days(1));
        let begin = next.to_zoned(self.settings.time_zone.clone());
        begin.map_or(Timestamp(i64::MAX), |begin| {
            Timestamp(i64::try_from(begin.timestamp().as_nanosecond()).unwrap_or(i64::MAX))
        })
    }

    /// Returns the last day on which something holds that ends at a moment.
    pub fn last_day(&self, end: Timestamp) -> Date {
        let last = jiff::Timestamp::from_nanosecond((end.0 - 1).into()).unwrap_or_default();
        last.to_zoned(self.settings.time_zone.clone()).date()
    }
}
