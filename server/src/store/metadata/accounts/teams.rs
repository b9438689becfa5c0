//! Groups of people, each with a space of its own.

use crate::clock::Timestamp;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::SpaceKind;
use crate::store::metadata::accounts::SpaceUse;
use crate::store::metadata::accounts::archive_space;
use crate::store::metadata::accounts::create_space;
use crate::store::metadata::accounts::exists;
use crate::store::metadata::accounts::must_change;
use crate::store::metadata::accounts::names;
use crate::store::metadata::accounts::names::Holder;
use crate::store::metadata::accounts::read_space_use;
use crate::store::metadata::accounts::unsigned;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::sharing_news;
use crate::store::metadata::sharing_news::Touched;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// A group of people. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeamId(pub i64);

/// What a member may do in the group's space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads and writes.
    Member,
    /// Reads, writes, and decides who belongs to the group.
    Manager,
}

impl Role {
    pub(crate) fn to_column(self) -> i64 {
        match self {
            Self::Reader => 0,
            Self::Member => 1,
            Self::Manager => 2,
        }
    }

    pub(crate) fn from_column(number: i64) -> StoreResult<Self> {
        match number {
            0 => Ok(Self::Reader),
            1 => Ok(Self::Member),
            2 => Ok(Self::Manager),
            _ => Err(StoreError::Corrupt(format!("role {number}"))),
        }
    }
}

/// A group that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its number for life.
    pub id: TeamId,
    /// Its name as it was given.
    pub name: String,
    /// Where its files are.
    pub space: SpaceId,
    /// When it was created.
    pub created_at: Timestamp,
    /// What its space holds and may hold.
    pub space_use: SpaceUse,
    /// How many people belong to it.
    pub members: u64,
}

/// Somebody who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The account.
    pub account: UserId,
    /// Its sign-in name.
    pub name: String,
    /// The name that people see.
    pub display_name: String,
    /// What it may do.
    pub role: Role,
}

macro_rules! select_team {
    ($tail:literal) => {
        concat!(
            "SELECT t.id, t.name, t.space_id, t.created_at, s.used, s.files, s.kept, s.quota, \
             (SELECT COUNT(*) FROM member m JOIN account a ON a.id = m.account_id \
             WHERE m.team_id = t.id AND a.state < 2) \
             FROM team t JOIN space s ON s.id = t.space_id ",
            $tail
        )
    };
}

fn read_team(row: &dyn Row) -> StoreResult<Team> {
    Ok(Team {
        id: TeamId(row.int(0)?),
        name: row.text(1)?,
        space: SpaceId(row.int(2)?),
        created_at: Timestamp(row.int(3)?),
        space_use: read_space_use(row, 4)?,
        members: unsigned(row.int(8)?)?,
    })
}

/// Creates a group with an empty space.
#[derive(Debug, Clone)]
pub struct CreateTeam {
    /// Its name, valid and in NFC.
    pub name: String,
    /// The folded name.
    pub fold: String,
    /// How much its space may hold.
    pub quota: Quota,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for CreateTeam {
    type Output = TeamId;

    /// Refuses with `AlreadyExists` when the folded name is taken.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<TeamId> {
        let taken = "SELECT 1 FROM team WHERE fold = $1 AND state < 2";
        if exists(tx, taken, &self.fold).await? {
            return Err(Refusal::AlreadyExists.into());
        }
        let id = tx.reserve_ids("team", 1).await?;
        let space = create_space(tx, SpaceKind::Group, id, self.quota, self.now).await?;
        tx.perform(
            "INSERT INTO team (id, name, fold, space_id, state, created_at) \
             VALUES ($1, $2, $3, $4, 0, $5)",
            &[
                id.into(),
                self.name.as_str().into(),
                self.fold.as_str().into(),
                space.0.into(),
                self.now.0.into(),
            ],
        )
        .await?;
        names::keep_team(tx, TeamId(id), &self.name).await?;
        Ok(TeamId(id))
    }
}

/// Finds the group that is not deleted and has this folded name.
#[derive(Debug, Clone)]
pub struct FindTeamByName {
    /// The folded name.
    pub fold: String,
}

impl Operation for FindTeamByName {
    type Output = Option<Team>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Team>> {
        let sql = select_team!("WHERE t.fold = $1 AND t.state < 2");
        tx.row(sql, &[self.fold.as_str().into()], read_team).await
    }
}

/// Lists groups that are not deleted, by id.
#[derive(Debug, Clone)]
pub struct ListTeams {
    /// Only groups with a greater id; 0 for the first page.
    pub after: TeamId,
    /// The most groups to bring.
    pub limit: i64,
}

impl Operation for ListTeams {
    type Output = Vec<Team>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Team>> {
        let sql = select_team!("WHERE t.id > $1 AND t.state < 2 ORDER BY t.id LIMIT $2");
        tx.rows(sql, &[self.after.0.into(), self.limit.into()], read_team)
            .await
    }
}

/// Lists who belongs to a group, by name.
#[derive(Debug, Clone)]
pub struct ListMembers(pub TeamId);

impl Operation for ListMembers {
    type Output = Vec<Membership>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Membership>> {
        tx.rows(
            "SELECT a.id, a.name, a.display_name, m.role FROM member m \
             JOIN account a ON a.id = m.account_id \
             WHERE m.team_id = $1 AND a.state < 2 ORDER BY a.fold",
            &[self.0.0.into()],
            |row| {
                Ok(Membership {
                    account: UserId(row.int(0)?),
                    name: row.text(1)?,
                    display_name: row.text(2)?,
                    role: Role::from_column(row.int(3)?)?,
                })
            },
        )
        .await
    }
}

/// Lists the names of the groups that somebody belongs to, in order.
#[derive(Debug, Clone)]
pub struct ListTeamsOf(pub UserId);

impl Operation for ListTeamsOf {
    type Output = Vec<String>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<String>> {
        tx.rows(
            "SELECT t.name FROM member m JOIN team t ON t.id = m.team_id \
             WHERE m.account_id = $1 AND t.state < 2 ORDER BY t.fold",
            &[self.0.0.into()],
            |row| row.text(0),
        )
        .await
    }
}

/// Adds somebody to a group, or changes their role in it.
#[derive(Debug, Clone)]
pub struct SetMember {
    /// The group.
    pub team: TeamId,
    /// The account.
    pub account: UserId,
    /// What it may do.
    pub role: Role,
}

impl Operation for SetMember {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when the group or the account is deleted.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let both = "SELECT t.id FROM team t, account a \
                    WHERE t.id = $1 AND t.state < 2 AND a.id = $2 AND a.state < 2";
        tx.row(both, &[self.team.0.into(), self.account.0.into()], |row| {
            row.int(0)
        })
        .await?
        .ok_or(Refusal::NotFound)?;
        tx.perform(
            "INSERT INTO member (team_id, account_id, role) VALUES ($1, $2, $3) \
             ON CONFLICT (team_id, account_id) DO UPDATE SET role = excluded.role",
            &[
                self.team.0.into(),
                self.account.0.into(),
                self.role.to_column().into(),
            ],
        )
        .await?;
        sharing_news::tell(tx, Touched::Person(self.account)).await
    }
}

/// Takes somebody out of a group.
#[derive(Debug, Clone)]
pub struct RemoveMember {
    /// The group.
    pub team: TeamId,
    /// The account.
    pub account: UserId,
}

impl Operation for RemoveMember {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when they do not belong to it.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let rows = tx
            .execute(
                "DELETE FROM member WHERE team_id = $1 AND account_id = $2",
                &[self.team.0.into(), self.account.0.into()],
            )
            .await?;
        must_change(rows)?;
        sharing_news::tell(tx, Touched::Person(self.account)).await
    }
}

/// Archives a group and its space.
#[derive(Debug, Clone)]
pub struct DeleteTeam {
    /// The group.
    pub team: TeamId,
    /// When its files go for good.
    pub purge_at: Timestamp,
}

impl Operation for DeleteTeam {
    type Output = ();

    fn changes_sharing(&self) -> bool {
        true
    }

    /// Refuses with `NotFound` when it is deleted already.
    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let space = tx
            .row(
                "SELECT space_id FROM team WHERE id = $1 AND state < 2",
                &[self.team.0.into()],
                |row| row.int(0),
            )
            .await?
            .ok_or(Refusal::NotFound)?;
        let rows = tx
            .execute(
                "UPDATE team SET state = 2, purge_at = $1 WHERE id = $2 AND state < 2",
                &[self.purge_at.0.into(), self.team.0.into()],
            )
            .await?;
        must_change(rows)?;
        names::forget(tx, Holder::Team(self.team)).await?;
        archive_space(tx, SpaceId(space)).await?;
        sharing_news::tell(tx, Touched::Team(self.team)).await?;
        sharing_news::tell(tx, Touched::Space(SpaceId(space))).await
    }
}
