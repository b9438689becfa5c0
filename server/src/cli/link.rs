//! `nuage-server link`: what people have made public, for whoever answers for it.

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use serde::Serialize;

use crate::app::Ground;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::moment;
use crate::cli::output::print_json;
use crate::cli::output::print_line;
use crate::cli::output::print_table;
use crate::cli::values::Span;
use crate::clock::Timestamp;
use crate::store::metadata::shares::EndLinks;
use crate::store::metadata::shares::ListShares;
use crate::store::metadata::shares::Share;
use crate::store::metadata::shares::ShareId;
use crate::store::metadata::shares::Which;

/// Links that are read or ended in one transaction.
const AT_ONCE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Link {
    /// Lists links that hold.
    List {
        #[command(flatten)]
        filter: Filter,
        /// What comes first.
        #[arg(long, value_enum, default_value = "age")]
        sort: Order,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ends links: those that are numbered, or all that fit; holds from the next request.
    End {
        /// Their numbers, as `link list` shows them.
        ids: Vec<i64>,
        #[command(flatten)]
        filter: Filter,
        /// Ends them; without it, only says how many there are.
        #[arg(long)]
        yes: bool,
    },
}

/// Which links are meant.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Those of this person.
    #[arg(long)]
    user: Option<String>,
    /// Those without a password.
    #[arg(long)]
    without_password: bool,
    /// Those that do not end by themselves.
    #[arg(long)]
    without_end: bool,
    /// Those made longer ago than this, such as 1y.
    #[arg(long, value_name = "SPAN")]
    older_than: Option<Span>,
    /// Those that nobody used for this long, such as 90d.
    #[arg(long, value_name = "SPAN")]
    unused_for: Option<Span>,
}

/// In which order links are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    /// The oldest first.
    Age,
    /// Those with the most downloads first.
    Downloads,
    /// Those that were not used for longest first.
    Used,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.user.is_none()
            && !self.without_password
            && !self.without_end
            && self.older_than.is_none()
            && self.unused_for.is_none()
    }

    fn fits(&self, link: &Share, now: Timestamp) -> bool {
        let before = |span: Span| now.plus_seconds(-span.seconds);
        let last_use = link.opened_at.unwrap_or(link.made_at);
        let user = self.user.as_ref().map(|name| name.to_lowercase());
        user.is_none_or(|name| link.sharer_shown.name.to_lowercase() == name)
            && !(self.without_password && link.password_hash.is_some())
            && !(self.without_end && link.expires_at.is_some())
            && self
                .older_than
                .is_none_or(|span| link.made_at < before(span))
            && self.unused_for.is_none_or(|span| last_use < before(span))
    }
}

/// A link as it is printed. Its token is not: whoever reads it could open it.
#[derive(Debug, Serialize)]
struct PrintedLink {
    id: i64,
    user: String,
    name: String,
    label: String,
    permissions: i64,
    has_password: bool,
    made_at: String,
    expires_at: Option<String>,
    downloads: u64,
    used_at: Option<String>,
}

impl PrintedLink {
    fn of(link: Share) -> Self {
        Self {
            id: link.id.0,
            user: link.sharer_shown.name,
            name: link.name,
            label: link.label,
            permissions: link.permissions.bits(),
            has_password: link.password_hash.is_some(),
            made_at: moment(link.made_at),
            expires_at: link.expires_at.map(moment),
            downloads: link.opens,
            used_at: link.opened_at.map(moment),
        }
    }

    fn row(self) -> [String; 8] {
        let password = if self.has_password { "yes" } else { "no" };
        [
            self.id.to_string(),
            self.user,
            self.name,
            password.to_owned(),
            self.made_at,
            self.expires_at.unwrap_or_else(|| "never".to_owned()),
            self.downloads.to_string(),
            self.used_at.unwrap_or_else(|| "never".to_owned()),
        ]
    }
}

impl Link {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        match self {
            Self::List { filter, sort, json } => {
                let mut links = fitting(ground, filter).await?;
                match sort {
                    Order::Age => links.sort_by_key(|link| link.made_at),
                    Order::Downloads => links.sort_by_key(|link| std::cmp::Reverse(link.opens)),
                    Order::Used => links.sort_by_key(|link| link.opened_at),
                }
                let links = links.into_iter().map(PrintedLink::of);
                if *json {
                    print_json(&links.collect::<Vec<_>>())?;
                } else {
                    let rows: Vec<[String; 8]> = links.map(PrintedLink::row).collect();
                    let heads = [
                        "ID",
                        "USER",
                        "NAME",
                        "PASSWORD",
                        "MADE",
                        "ENDS",
                        "DOWNLOADS",
                        "USED",
                    ];
                    print_table(heads, &rows)?;
                }
            }
            Self::End { ids, filter, yes } => {
                let meant: Vec<ShareId> = if filter.is_empty() {
                    ids.iter().copied().map(ShareId).collect()
                } else {
                    let fitting = fitting(ground, filter).await?.into_iter();
                    let is_meant = |link: &Share| ids.is_empty() || ids.contains(&link.id.0);
                    fitting.filter(is_meant).map(|link| link.id).collect()
                };
                if !yes {
                    print_line(&format!(
                        "this would end {} links: repeat it with --yes",
                        meant.len()
                    ))?;
                    return Ok(());
                }
                let mut ended = 0;
                for some in meant.chunks(AT_ONCE) {
                    let end = EndLinks {
                        links: some.to_vec(),
                        is_noted: context.settings.activity.keep_days.get() > 0,
                        now: ground.clock.now(),
                    };
                    ended += ground.metadata.write(end).await?;
                }
                print_line(&format!("{ended} links ended"))?;
            }
        }
        Ok(())
    }
}

async fn fitting(ground: &Ground, filter: &Filter) -> Result<Vec<Share>, CliError> {
    let now = ground.clock.now();
    let mut found = Vec::new();
    let mut after = ShareId(0);
    loop {
        let links = ListShares {
            which: Which::Links,
            now,
            after,
            limit: i64::try_from(AT_ONCE).unwrap_or(i64::MAX),
        };
        let page = ground.metadata.read(links).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = last.id;
        found.extend(page.into_iter().filter(|link| filter.fits(link, now)));
    }
}
