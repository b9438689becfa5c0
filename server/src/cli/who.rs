//! `nuage-server who`: who can see a file or folder, and why.

use clap::Args;
use clap::ValueEnum;
use nuage_shared::node_path::NodePath;
use serde::Serialize;

use crate::app::Ground;
use crate::cli::error::CliError;
use crate::cli::output::moment;
use crate::cli::output::print_json;
use crate::cli::output::print_line;
use crate::cli::output::print_table;
use crate::identity::Role;
use crate::language::Language;
use crate::sharing::audience::AUDIENCE_PAGE;
use crate::sharing::audience::Audience;
use crate::sharing::audience::Owner;
use crate::sharing::audience::Way;
use crate::sharing::audience::WhoCanSee;
use crate::store::metadata::audience::ReadAudience;
use crate::store::metadata::browse::FindNode;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareId;

/// What the names of groups begin with, to tell them from users.
const GROUP: &str = "group:";

#[derive(Debug, Args)]
pub(super) struct Who {
    /// USER/PATH, or group:NAME/PATH for a group's space, or the number of a file or folder.
    what: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// In which language the sentence is.
    #[arg(long, value_enum, default_value = "en")]
    lang: Tongue,
}

/// A language as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tongue {
    /// English.
    En,
    /// French.
    Fr,
}

/// An answer as it is printed.
#[derive(Debug, Serialize)]
struct PrintedAudience {
    id: i64,
    name: String,
    sentence: String,
    owner: PrintedOwner,
    shares: Vec<PrintedWay>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
enum PrintedOwner {
    User {
        name: String,
        is_active: bool,
    },
    Group {
        name: String,
        readers: u64,
        members: u64,
        managers: u64,
    },
}

/// A share as it is printed. What opens a link is not.
#[derive(Debug, Serialize)]
struct PrintedWay {
    share: i64,
    kind: &'static str,
    name: String,
    members: Option<u64>,
    shared: String,
    shared_id: Option<i64>,
    by: String,
    through: Vec<String>,
    permissions: i64,
    stated_permissions: i64,
    has_password: bool,
    made_at: String,
    until: Option<String>,
}

impl PrintedOwner {
    fn of(owner: &Owner) -> Self {
        match owner {
            Owner::Person {
                shown, is_active, ..
            } => Self::User {
                name: shown.name.clone(),
                is_active: *is_active,
            },
            Owner::Team { shown, roles, .. } => {
                let count = |wanted: Role| {
                    let mut those = roles.iter().filter(|(role, _)| *role == wanted);
                    those.next().map_or(0, |(_, members)| *members)
                };
                Self::Group {
                    name: shown.name.clone(),
                    readers: count(Role::Reader),
                    members: count(Role::Member),
                    managers: count(Role::Manager),
                }
            }
        }
    }
}

impl PrintedWay {
    fn of(way: Way) -> Self {
        let (kind, members) = match way.to {
            Receiver::Person(_) => ("user", None),
            Receiver::Team(_) => ("group", Some(way.members)),
            Receiver::Link => ("link", None),
        };
        let at = way.at;
        Self {
            share: way.share.0,
            kind,
            name: way.to_shown.name,
            members,
            shared_id: at.as_ref().map(|at| at.node.0),
            shared: at.map(|at| at.name).unwrap_or_default(),
            by: way.by_shown.name,
            through: way.through.into_iter().map(|shown| shown.name).collect(),
            permissions: way.permissions.bits(),
            stated_permissions: way.stated.bits(),
            has_password: way.has_password,
            made_at: moment(way.made_at),
            until: way.until.map(moment),
        }
    }

    fn row(self) -> [String; 6] {
        let who = match (self.kind, self.members) {
            ("link", _) if self.has_password => "whoever has a link and its password".to_owned(),
            ("link", _) => "whoever has a link".to_owned(),
            (_, Some(members)) => format!("group {} ({members} members)", self.name),
            (_, None) => self.name,
        };
        let through = self.through.into_iter().chain([self.by]);
        [
            self.share.to_string(),
            who,
            letters(Permissions::of_bits(self.permissions)),
            self.shared,
            through.collect::<Vec<_>>().join(" > "),
            self.until.unwrap_or_else(|| "never".to_owned()),
        ]
    }
}

/// Returns what may be done in words.
fn letters(permissions: Permissions) -> String {
    let words = [
        (Permissions::READ, "read"),
        (Permissions::UPDATE, "change"),
        (Permissions::CREATE, "add"),
        (Permissions::DELETE, "delete"),
        (Permissions::SHARE, "share"),
    ];
    let words = words.iter().filter(|(one, _)| permissions.has(*one));
    words.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

impl Who {
    pub(super) async fn run(&self, ground: &Ground) -> Result<(), CliError> {
        let who = self.find(ground).await?;
        let language = match self.lang {
            Tongue::En => Language::English,
            Tongue::Fr => Language::French,
        };
        let sentence = who.sentence(language);
        let Audience {
            node,
            owner,
            mut ways,
            mut next,
        } = who.audience;
        while let Some(after) = next {
            let page = self.read(ground, node.id, after).await?;
            ways.extend(page.ways);
            next = page.next;
        }
        let shares = ways.into_iter().map(PrintedWay::of);
        if self.json {
            let printed = PrintedAudience {
                id: node.id.0,
                name: node.name,
                sentence,
                owner: PrintedOwner::of(&owner),
                shares: shares.collect(),
            };
            print_json(&printed)?;
            return Ok(());
        }
        print_line(&sentence)?;
        let rows: Vec<[String; 6]> = shares.map(PrintedWay::row).collect();
        if !rows.is_empty() {
            print_line("")?;
            print_table(["SHARE", "WHO", "MAY", "SHARED", "BY", "ENDS"], &rows)?;
        }
        Ok(())
    }

    async fn find(&self, ground: &Ground) -> Result<WhoCanSee, CliError> {
        let id = match self.what.parse::<i64>() {
            Ok(number) => NodeId(number),
            Err(_) => self.find_node(ground).await?,
        };
        Ok(WhoCanSee {
            audience: self.read(ground, id, ShareId(0)).await?,
            is_whole: true,
            viewer: None,
        })
    }

    async fn find_node(&self, ground: &Ground) -> Result<NodeId, CliError> {
        let what = self.what.trim_start_matches('/');
        let (whose, path) = what.split_once('/').unwrap_or((what, ""));
        let space = match whose.strip_prefix(GROUP) {
            Some(group) => ground.identity.find_team(group).await?.space,
            None => ground.identity.find_account(whose).await?.home,
        };
        let path = NodePath::parse(path).map_err(|_fault| self.missing())?;
        let find = FindNode {
            root: space.into(),
            path,
        };
        let node = ground.metadata.read(find).await?;
        Ok(node.ok_or_else(|| self.missing())?.id)
    }

    async fn read(
        &self,
        ground: &Ground,
        node: NodeId,
        after: ShareId,
    ) -> Result<Audience, CliError> {
        let read = ReadAudience {
            node,
            reaching: None,
            now: ground.clock.now(),
            after,
            limit: AUDIENCE_PAGE,
        };
        let found = ground.metadata.read(read).await?;
        found.ok_or_else(|| self.missing())
    }

    fn missing(&self) -> CliError {
        CliError::NoSuchNode {
            what: self.what.clone(),
        }
    }
}
