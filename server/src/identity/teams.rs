//! Managing groups of people and who belongs to them.

use crate::clock::Timestamp;
use crate::identity::ARCHIVE_SECONDS;
use crate::identity::Identity;
use crate::identity::Membership;
use crate::identity::Quota;
use crate::identity::Role;
use crate::identity::Team;
use crate::identity::TeamId;
use crate::identity::administer::parse_name;
use crate::identity::error::AdminError;
use crate::identity::error::AdminResult;
use crate::identity::names::AccountName;
use crate::store::metadata::accounts::teams::CreateTeam;
use crate::store::metadata::accounts::teams::DeleteTeam;
use crate::store::metadata::accounts::teams::FindTeamByName;
use crate::store::metadata::accounts::teams::ListMembers;
use crate::store::metadata::accounts::teams::ListTeams;
use crate::store::metadata::accounts::teams::ListTeamsOf;
use crate::store::metadata::accounts::teams::RemoveMember;
use crate::store::metadata::accounts::teams::SetMember;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::UserId;

const LISTED_AT_ONCE: i64 = 1000;

impl Identity {
    /// Creates a group with an empty space and no members.
    pub async fn create_team(&self, name: &str, quota: Quota) -> AdminResult<TeamId> {
        let parsed = parse_name(name)?;
        let create = CreateTeam {
            name: parsed.as_str().to_owned(),
            fold: parsed.fold().to_owned(),
            quota,
            now: self.clock.now(),
        };
        let created = self.store.write(create).await;
        created.map_err(|error| match error {
            StoreError::Refused(Refusal::AlreadyExists) => AdminError::TeamExists {
                name: name.to_owned(),
            },
            other => AdminError::Unavailable(other),
        })
    }

    /// Finds the group of this name that is not deleted.
    pub async fn find_team(&self, name: &str) -> AdminResult<Team> {
        let unknown = || AdminError::NoSuchTeam {
            name: name.to_owned(),
        };
        let parsed = AccountName::parse(name).ok().ok_or_else(unknown)?;
        let fold = parsed.fold().to_owned();
        let found = self.store.read(FindTeamByName { fold }).await?;
        found.ok_or_else(unknown)
    }

    /// Lists all groups by name.
    pub async fn list_teams(&self) -> AdminResult<Vec<Team>> {
        let mut teams: Vec<Team> = Vec::new();
        loop {
            let after = teams.last().map_or(TeamId(0), |team| team.id);
            let page = ListTeams {
                after,
                limit: LISTED_AT_ONCE,
            };
            let page = self.store.read(page).await?;
            if page.is_empty() {
                break;
            }
            teams.extend(page);
        }
        teams.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(teams)
    }

    /// Lists who belongs to a group.
    pub async fn list_members(&self, team: TeamId) -> AdminResult<Vec<Membership>> {
        Ok(self.store.read(ListMembers(team)).await?)
    }

    /// Lists the names of the groups that somebody belongs to.
    pub async fn list_teams_of(&self, account: UserId) -> AdminResult<Vec<String>> {
        Ok(self.store.read(ListTeamsOf(account)).await?)
    }

    /// Adds somebody to a group, or changes their role in it.
    pub async fn set_member(&self, team: &str, account: &str, role: Role) -> AdminResult<()> {
        let team = self.find_team(team).await?;
        let account = self.find_account(account).await?;
        let set = SetMember {
            team: team.id,
            account: account.id,
            role,
        };
        Ok(self.store.write(set).await?)
    }

    /// Takes somebody out of a group.
    pub async fn remove_member(&self, team: &str, account: &str) -> AdminResult<()> {
        let team = self.find_team(team).await?;
        let account = self.find_account(account).await?;
        let remove = RemoveMember {
            team: team.id,
            account: account.id,
        };
        let removed = self.store.write(remove).await;
        removed.map_err(|error| match error {
            StoreError::Refused(Refusal::NotFound) => AdminError::NotAMember {
                account: account.name,
                team: team.name,
            },
            other => AdminError::Unavailable(other),
        })
    }

    /// Archives a group and its space for 30 days; returns when they go for good.
    pub async fn delete_team(&self, name: &str) -> AdminResult<Timestamp> {
        let team = self.find_team(name).await?;
        let purge_at = self.clock.now().plus_seconds(ARCHIVE_SECONDS);
        let delete = DeleteTeam {
            team: team.id,
            purge_at,
        };
        let deleted = self.store.write(delete).await;
        deleted.map_err(|error| match error {
            StoreError::Refused(Refusal::NotFound) => AdminError::NoSuchTeam {
                name: name.to_owned(),
            },
            other => AdminError::Unavailable(other),
        })?;
        Ok(purge_at)
    }
}
