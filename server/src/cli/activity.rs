//! `nuage-server activity`: what people did, for whoever answers for it.

use clap::Subcommand;
use nuage_shared::node_path::NodePath;
use serde::Serialize;

use crate::app::Ground;
use crate::cli::error::CliError;
use crate::cli::output::moment;
use crate::cli::output::print_json;
use crate::cli::output::print_table;
use crate::cli::values::Span;
use crate::clock::Timestamp;
use crate::store::metadata::activity::ActivityFrom;
use crate::store::metadata::activity::ActivityRow;
use crate::store::metadata::activity::ActivityScope;
use crate::store::metadata::activity::Deed;
use crate::store::metadata::activity::Program;
use crate::store::metadata::activity::ReadActivity;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::shares::Receiver;

/// Rows that are read in one transaction.
const AT_ONCE: i64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Activity {
    /// Lists what was done, the newest first.
    List {
        /// What this person did; with --path, what anybody did to that file or folder of their home.
        #[arg(long)]
        user: Option<String>,
        /// A file or folder in the home of --user.
        #[arg(long, requires = "user")]
        path: Option<String>,
        /// No longer ago than this, such as 7d.
        #[arg(long, value_name = "SPAN")]
        since: Option<Span>,
        /// At most so many.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A row as it is printed.
#[derive(Debug, Serialize)]
struct PrintedActivity {
    id: i64,
    at: String,
    user: String,
    did: &'static str,
    name: String,
    former_name: Option<String>,
    node: i64,
    with: Option<String>,
    program: &'static str,
    device: Option<String>,
    address: Option<String>,
}

impl PrintedActivity {
    fn of(row: ActivityRow) -> Self {
        let user = match (row.actor.0, row.actor_shown.name) {
            (0, _) => "(link)".to_owned(),
            (_, name) if name.is_empty() => "(gone)".to_owned(),
            (_, name) => name,
        };
        let with = row.receiver.map(|receiver| match receiver {
            Receiver::Link => "link".to_owned(),
            Receiver::Person(_) | Receiver::Team(_) => row.receiver_shown.name,
        });
        Self {
            id: row.id,
            at: moment(row.at),
            user,
            did: word_of(row.deed),
            name: row.name,
            former_name: row.former_name,
            node: row.node.0,
            with,
            program: program_of(row.program),
            device: row.device,
            address: row.address.map(|address| address.to_string()),
        }
    }

    fn row(self) -> [String; 7] {
        let name = match self.former_name {
            Some(former) => format!("{former} -> {}", self.name),
            None => self.name,
        };
        [
            self.at,
            self.user,
            self.did.to_owned(),
            name,
            self.with.unwrap_or_default(),
            self.device.unwrap_or_else(|| self.program.to_owned()),
            self.address.unwrap_or_default(),
        ]
    }
}

fn word_of(deed: Deed) -> &'static str {
    match deed {
        Deed::Created => "created",
        Deed::Changed => "changed",
        Deed::Renamed => "renamed",
        Deed::Moved => "moved",
        Deed::Deleted => "deleted",
        Deed::Restored => "restored",
        Deed::VersionRestored => "restored version",
        Deed::Shared => "shared",
        Deed::ShareChanged => "changed share",
        Deed::ShareEnded => "ended share",
        Deed::LinkOpened => "opened link",
        Deed::LinkDownloaded => "downloaded by link",
    }
}

fn program_of(program: Program) -> &'static str {
    match program {
        Program::Unknown => "",
        Program::Page => "web page",
        Program::Password => "password",
        Program::Device => "app password",
        Program::Link => "link",
        Program::Command => "command",
    }
}

impl Activity {
    pub(super) async fn run(&self, ground: &Ground) -> Result<(), CliError> {
        let Self::List {
            user,
            path,
            since,
            limit,
            json,
        } = self;
        let scope = scope_of(ground, user.as_deref(), path.as_deref()).await?;
        let begin = since.map(|span| ground.clock.now().plus_seconds(-span.seconds));
        let rows = rows_of(ground, scope, (begin, *limit)).await?;
        let printed = rows.into_iter().map(PrintedActivity::of);
        if *json {
            print_json(&printed.collect::<Vec<_>>())?;
        } else {
            let rows: Vec<[String; 7]> = printed.map(PrintedActivity::row).collect();
            let heads = ["AT", "USER", "DID", "NAME", "WITH", "PROGRAM", "ADDRESS"];
            print_table(heads, &rows)?;
        }
        Ok(())
    }
}

async fn scope_of(
    ground: &Ground,
    user: Option<&str>,
    path: Option<&str>,
) -> Result<ActivityScope, CliError> {
    let Some(user) = user else {
        return Ok(ActivityScope::All);
    };
    let account = ground.identity.find_account(user).await?;
    let Some(text) = path else {
        return Ok(ActivityScope::By(account.id));
    };
    let missing = || CliError::NoSuchPath {
        path: text.to_owned(),
    };
    let path = NodePath::parse(text).map_err(|_fault| missing())?;
    let find = FindNode {
        root: account.home.into(),
        path,
    };
    let node = ground.metadata.read(find).await?.ok_or_else(missing)?;
    Ok(ActivityScope::Node(node.id))
}

/// Reads rows, the newest first, until enough are there or they are too old.
async fn rows_of(
    ground: &Ground,
    scope: ActivityScope,
    (begin, limit): (Option<Timestamp>, usize),
) -> Result<Vec<ActivityRow>, CliError> {
    let mut rows = Vec::new();
    let mut before = i64::MAX;
    loop {
        let read = ReadActivity {
            scope: scope.clone(),
            from: ActivityFrom::Before(before),
            limit: AT_ONCE,
        };
        let found = ground.metadata.read(read).await?;
        for row in found.rows {
            if rows.len() >= limit || begin.is_some_and(|begin| row.at < begin) {
                return Ok(rows);
            }
            rows.push(row);
        }
        match found.reached {
            Some(reached) => before = reached,
            None => return Ok(rows),
        }
    }
}
