//! `nuage-server group`: groups of people with a space of their own.

use clap::Subcommand;
use clap::ValueEnum;
use serde::Serialize;

use crate::app::Ground;
use crate::app::quota_default_bytes;
use crate::cli::Context;
use crate::cli::error::CliError;
use crate::cli::output::confirm;
use crate::cli::output::moment;
use crate::cli::output::print_json;
use crate::cli::output::print_line;
use crate::cli::output::print_table;
use crate::cli::output::say;
use crate::cli::values::PrintedUse;
use crate::cli::values::TypedQuota;
use crate::identity::Membership;
use crate::identity::Role;
use crate::identity::Team;

#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// Adds a group without members.
    Add {
        /// The group's name.
        name: String,
        /// How much it may store: a size such as 100GB, `none` or `default`.
        #[arg(long, value_name = "SIZE", default_value = "default")]
        quota: TypedQuota,
    },
    /// Decides who belongs to a group.
    #[command(subcommand)]
    Member(Member),
    /// Lists all groups.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows a group with its members.
    Show {
        /// The group's name.
        name: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Deletes a group; its files are kept for 30 days.
    Delete {
        /// The group's name.
        name: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Member {
    /// Adds somebody to a group, or changes their role.
    Add {
        /// The group's name.
        group: String,
        /// The sign-in name.
        user: String,
        /// What they may do.
        #[arg(long, value_enum, default_value = "member")]
        role: TypedRole,
    },
    /// Takes somebody out of a group.
    Remove {
        /// The group's name.
        group: String,
        /// The sign-in name.
        user: String,
    },
}

/// A role as it is typed and printed.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TypedRole {
    /// Reads.
    Reader,
    /// Reads and writes.
    Member,
    /// Reads, writes, and decides who belongs to the group.
    Manager,
}

impl From<TypedRole> for Role {
    fn from(typed: TypedRole) -> Self {
        match typed {
            TypedRole::Reader => Self::Reader,
            TypedRole::Member => Self::Member,
            TypedRole::Manager => Self::Manager,
        }
    }
}

impl From<Role> for TypedRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Member => Self::Member,
            Role::Manager => Self::Manager,
        }
    }
}

impl TypedRole {
    fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Manager => "manager",
        }
    }
}

/// A group as it is printed.
#[derive(Debug, Serialize)]
struct PrintedGroup<'a> {
    name: &'a str,
    created_at: String,
    members: u64,
    #[serde(flatten)]
    space: PrintedUse,
}

impl<'a> PrintedGroup<'a> {
    fn of(team: &'a Team, quota_default_bytes: Option<u64>) -> Self {
        Self {
            name: &team.name,
            created_at: moment(team.created_at),
            members: team.members,
            space: PrintedUse::of(&team.space_use, quota_default_bytes),
        }
    }
}

/// A member as it is printed.
#[derive(Debug, Serialize)]
struct PrintedMember {
    name: String,
    display_name: String,
    role: TypedRole,
}

impl From<Membership> for PrintedMember {
    fn from(membership: Membership) -> Self {
        Self {
            name: membership.name,
            display_name: membership.display_name,
            role: membership.role.into(),
        }
    }
}

/// A group with its members as it is printed.
#[derive(Debug, Serialize)]
struct PrintedTeam<'a> {
    #[serde(flatten)]
    group: PrintedGroup<'a>,
    member_list: Vec<PrintedMember>,
}

impl Group {
    pub(super) async fn run(&self, context: &Context, ground: &Ground) -> Result<(), CliError> {
        let identity = &ground.identity;
        let default = quota_default_bytes(&context.settings);
        match self {
            Self::Add { name, quota } => {
                identity.create_team(name, quota.0).await?;
            }
            Self::Member(Member::Add { group, user, role }) => {
                identity.set_member(group, user, (*role).into()).await?;
            }
            Self::Member(Member::Remove { group, user }) => {
                identity.remove_member(group, user).await?;
            }
            Self::List { json } => {
                let teams = identity.list_teams().await?;
                let groups = teams.iter().map(|team| PrintedGroup::of(team, default));
                print_groups(&groups.collect::<Vec<_>>(), *json)?;
            }
            Self::Show { name, json } => {
                let team = identity.find_team(name).await?;
                let members = identity.list_members(team.id).await?;
                let team = PrintedTeam {
                    group: PrintedGroup::of(&team, default),
                    member_list: members.into_iter().map(Into::into).collect(),
                };
                print_team(&team, *json)?;
            }
            Self::Delete { name, yes } => {
                let team = identity.find_team(name).await?;
                if !yes {
                    let question = format!(
                        "This deletes the group {} with {} files. Type its name to go on:",
                        team.name, team.space_use.files
                    );
                    confirm(&question, &team.name)?;
                }
                let purge_at = identity.delete_team(name).await?;
                let until = moment(purge_at);
                say(&format!(
                    "{} is deleted; its files are kept until {until}.",
                    team.name
                ));
            }
        }
        Ok(())
    }
}

fn print_groups(groups: &[PrintedGroup<'_>], json: bool) -> Result<(), CliError> {
    if json {
        return Ok(print_json(&groups)?);
    }
    let rows: Vec<[String; 4]> = groups
        .iter()
        .map(|group| {
            [
                group.name.to_owned(),
                group.members.to_string(),
                group.space.used(),
                group.space.limit(),
            ]
        })
        .collect();
    print_table(["NAME", "MEMBERS", "USED", "QUOTA"], &rows)?;
    Ok(())
}

fn print_team(team: &PrintedTeam<'_>, json: bool) -> Result<(), CliError> {
    if json {
        return Ok(print_json(team)?);
    }
    let facts = [
        ("created", team.group.created_at.clone()),
        ("used", team.group.space.used()),
        ("files", team.group.space.files()),
        ("trash and versions", team.group.space.kept()),
        ("quota", team.group.space.limit()),
    ];
    let facts = facts.map(|(what, value)| [what.to_owned(), value]);
    print_table(["name", team.group.name], &facts)?;
    let rows: Vec<[String; 3]> = team
        .member_list
        .iter()
        .map(|member| {
            [
                member.name.clone(),
                member.display_name.clone(),
                member.role.word().to_owned(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        print_line("")?;
        print_table(["MEMBER", "DISPLAY NAME", "ROLE"], &rows)?;
    }
    Ok(())
}
