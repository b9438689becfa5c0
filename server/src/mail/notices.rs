//! Letters of what people share: that somebody was given something, and that it ends soon.
//!
//! Of which shares people are to be told is in the database, one row for each share. Here each becomes letters, some at
//! a time, in the language of whoever reads them.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::language::Language;
use crate::mail::letters::Letters;
use crate::mail::letters::LinkEnds;
use crate::mail::letters::ShareEnds;
use crate::mail::letters::Shared;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::mail::NewLetter;
use crate::store::metadata::notices::NextNotice;
use crate::store::metadata::notices::Notice;
use crate::store::metadata::notices::PendingNotice;
use crate::store::metadata::notices::Reader;
use crate::store::metadata::notices::RemindOfEnds;
use crate::store::metadata::notices::SendNotice;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::Share;

/// Shares whose end is noted in one transaction, and members of a group that one looks at.
const BATCH: i64 = 50;
/// Transactions of one run, after which letters that wait are sent first.
const ROUNDS: usize = 20;

/// How people are told.
#[derive(Debug, Clone)]
pub struct NoticeSettings {
    /// How long before the end of a share people are told of it, in seconds; `None`: not at all.
    pub ahead_seconds: Option<i64>,
    /// Whether the members of a group are told.
    pub tells_groups: bool,
    /// Letters that may wait.
    pub letters_max: u64,
    /// After how many seconds it is too late to tell.
    pub stale_seconds: i64,
    /// The language of those of whom it is not known.
    pub language: Language,
    /// The address under which people reach the server, without a slash at its end; `None`: not known.
    pub base_url: Option<String>,
    /// By whose midnight days end.
    pub time_zone: TimeZone,
}

/// Writes letters of what people share.
#[derive(Debug)]
pub struct Notices {
    letters: Letters,
    metadata: Arc<MetadataStore>,
    clock: Clock,
    settings: NoticeSettings,
}

impl Notices {
    /// Builds it over the database.
    pub fn new(
        letters: Letters,
        metadata: Arc<MetadataStore>,
        clock: Clock,
        settings: NoticeSettings,
    ) -> Self {
        Self {
            letters,
            metadata,
            clock,
            settings,
        }
    }

    /// Puts letters that are due into the queue, as many as one run may.
    pub async fn run(&self) -> StoreResult<()> {
        self.remind().await?;
        for _round in 0..ROUNDS {
            let next = NextNotice {
                now: self.clock.now(),
                tells_groups: self.settings.tells_groups,
                limit: BATCH,
            };
            let Some(pending) = self.metadata.read(next).await? else {
                return Ok(());
            };
            if !self.tell(pending).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn remind(&self) -> StoreResult<()> {
        let Some(ahead_seconds) = self.settings.ahead_seconds else {
            return Ok(());
        };
        loop {
            let remind = RemindOfEnds {
                now: self.clock.now(),
                ahead_seconds,
                limit: BATCH,
            };
            if self.metadata.write_in_background(remind).await? < BATCH.unsigned_abs() {
                return Ok(());
            }
        }
    }

    /// Writes to the next readers of a notice; `false`: there is no room for their letters now.
    async fn tell(&self, pending: PendingNotice) -> StoreResult<bool> {
        let now = self.clock.now();
        let is_late = now > pending.at.plus_seconds(self.settings.stale_seconds);
        let share = pending.share.filter(|_| !is_late);
        let letters = match &share {
            None => Vec::new(),
            Some(share) => {
                let write = |reader| self.letter(pending.notice, share, reader);
                pending.readers.iter().filter_map(write).collect()
            }
        };
        let send = SendNotice {
            id: pending.id,
            notice: pending.notice,
            after: pending.after,
            next: pending.next.filter(|_| share.is_some()),
            letters,
            now,
            letters_max: self.settings.letters_max,
        };
        self.metadata.write_in_background(send).await
    }

    fn letter(&self, notice: Notice, share: &Share, reader: &Reader) -> Option<NewLetter> {
        let language = reader.language.as_deref().and_then(Language::of_tag);
        let language = language.unwrap_or(self.settings.language);
        let url = self.settings.base_url.as_ref();
        let url = url.map(|base| format!("{base}/f/{}", share.node.id.0));
        let (url, to) = (url.as_deref(), reader.email.as_str());
        let is_sharer = reader.account == share.sharer;
        if notice == Notice::Given {
            let shared = Shared {
                sharer: &share.sharer_shown.display_name,
                name: &share.name,
                url,
                note: &share.note,
            };
            return Some(self.letters.shared(language, to, shared));
        }
        let last_day = self.last_day(share.expires_at?);
        if share.receiver == Receiver::Link {
            let ends = LinkEnds {
                name: &share.name,
                last_day,
                url,
            };
            return Some(self.letters.link_ends(language, to, ends));
        }
        let ends = ShareEnds {
            sharer: (!is_sharer).then_some(&share.sharer_shown.display_name),
            receiver: &share.receiver_shown.display_name,
            name: &share.name,
            last_day,
            url,
        };
        Some(self.letters.share_ends(language, to, ends))
    }

    /// Returns the last day on which something holds that ends at a moment.
    fn last_day(&self, end: Timestamp) -> Date {
        let last = jiff::Timestamp::from_nanosecond((end.0 - 1).into()).unwrap_or_default();
        last.to_zoned(self.settings.time_zone.clone()).date()
    }
}
