//! For whom it has changed who sees what: written with each such change, read by whoever tells those who listen.
//!
//! A row names a person, a group or a space, however many people that reaches. Who of them listens is found by the
//! process at which they do.
//!
//! # Always true
//!
//! * Rows are numbered one after the other in the order of commits, so that whoever knows the last one has
//!   missed nothing, or sees that something is missing.

use std::collections::HashSet;

use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;

/// Rows that are kept; who is further behind looks at everything.
const KEPT: i64 = 10_000;
/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Whose view of things has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Touched {
    /// A person's, and of those to whom that person gave something.
    Person(UserId),
    /// That of everybody in a group.
    Team(TeamId),
    /// That of everybody who sees something of a space.
    Space(SpaceId),
    /// That of everybody to whom something of a space was passed on by somebody else than its owner.
    PassedOn(SpaceId),
}

impl Touched {
    fn columns(self) -> (i64, i64) {
        match self {
            Self::Person(person) => (0, person.0),
            Self::Team(team) => (1, team.0),
            Self::Space(space) => (2, space.0),
            Self::PassedOn(space) => (3, space.0),
        }
    }

    fn of_columns(kind: i64, of: i64) -> Self {
        match kind {
            0 => Self::Person(UserId(of)),
            1 => Self::Team(TeamId(of)),
            3 => Self::PassedOn(SpaceId(of)),
            _ => Self::Space(SpaceId(of)),
        }
    }
}

/// Notes whose view changes with this transaction. The last thing that an operation does: others wait for it.
pub(crate) async fn tell<T: Tx>(tx: &mut T, touched: Touched) -> StoreResult<()> {
    let (kind, of) = touched.columns();
    tx.perform(
        "INSERT INTO counter (name, next) VALUES ('sharing_news', 1) \
         ON CONFLICT (name) DO UPDATE SET next = counter.next + 1",
        &[],
    )
    .await?;
    tx.perform(
        "INSERT INTO sharing_news (id, kind, of_id) \
         SELECT next, $1, $2 FROM counter WHERE name = 'sharing_news'",
        &[kind.into(), of.into()],
    )
    .await
}

/// Notes the same for a space, if shares of it went to its trash with a tree, or came back.
pub(crate) async fn tell_if_any_went<T: Tx>(
    tx: &mut T,
    (space, top): (SpaceId, i64),
) -> StoreResult<()> {
    tx.perform(
        "INSERT INTO counter (name, next) SELECT 'sharing_news', 1 WHERE EXISTS (\
         SELECT 1 FROM share WHERE space_id = $1 AND went_with = $2) \
         ON CONFLICT (name) DO UPDATE SET next = counter.next + 1",
        &[space.0.into(), top.into()],
    )
    .await?;
    tx.perform(
        "INSERT INTO sharing_news (id, kind, of_id) \
         SELECT next, 2, $1 FROM counter WHERE name = 'sharing_news' AND EXISTS (\
         SELECT 1 FROM share WHERE space_id = $1 AND went_with = $2)",
        &[space.0.into(), top.into()],
    )
    .await
}

/// Reads what came after a number.
#[derive(Debug)]
pub(crate) struct ReadNews {
    /// The last number that is known; `None`: only what the last one is.
    pub(crate) after: Option<i64>,
}

/// What came.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The last number.
    pub(crate) last: i64,
    /// Whose view has changed.
    pub(crate) touched: Vec<Touched>,
    /// Some of it is not known any more: it may be anybody's.
    pub(crate) is_anybodys: bool,
}

impl Operation for ReadNews {
    type Output = News;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<News> {
        let last = tx
            .ask(
                "SELECT next FROM counter WHERE name = 'sharing_news'",
                &[],
                |row| row.int(0),
            )
            .await?;
        let rows = match self.after {
            Some(after) => {
                tx.ask(
                    "SELECT id, kind, of_id FROM sharing_news WHERE id > $1 ORDER BY id LIMIT $2",
                    &[after.into(), PAGE.into()],
                    |row| Ok((row.int(0)?, Touched::of_columns(row.int(1)?, row.int(2)?))),
                )
                .await?
            }
            None => Asked::nothing(),
        };
        let last = tx.answer_one(last).await?.unwrap_or(0);
        let rows = tx.answer(rows).await?;
        let Some(after) = self.after else {
            return Ok(News {
                last,
                ..News::default()
            });
        };
        // More than a page, or some that were swept.
        let is_anybodys = usize::try_from(last - after).ok() != Some(rows.len());
        Ok(News {
            last,
            touched: rows.into_iter().map(|(_, touched)| touched).collect(),
            is_anybodys,
        })
    }
}

/// Finds who of some people is touched.
#[derive(Debug)]
pub(crate) struct FindTouched {
    /// What has changed.
    pub(crate) touched: HashSet<Touched>,
    /// The people who are looked for.
    pub(crate) among: HashSet<UserId>,
}

impl Operation for FindTouched {
    type Output = HashSet<UserId>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<HashSet<UserId>> {
        let mut people = HashSet::new();
        let mut teams = HashSet::new();
        let mut asked = Vec::new();
        for touched in &self.touched {
            asked.push(match touched {
                Touched::Person(person) => {
                    people.insert(*person);
                    tx.ask(
                        "SELECT DISTINCT kind, to_id FROM share WHERE sharer_id = $1 AND to_id IS NOT NULL",
                        &[person.0.into()],
                        read_receiver,
                    )
                    .await?
                }
                Touched::Team(team) => {
                    teams.insert(team.0);
                    continue;
                }
                Touched::Space(space) => {
                    tx.ask(
                        "SELECT DISTINCT kind, to_id FROM share WHERE space_id = $1 AND to_id IS NOT NULL",
                        &[space.0.into()],
                        read_receiver,
                    )
                    .await?
                }
                Touched::PassedOn(space) => {
                    tx.ask(
                        "SELECT DISTINCT s.kind, s.to_id FROM share s JOIN space sp ON sp.id = s.space_id \
                         WHERE s.space_id = $1 AND s.to_id IS NOT NULL \
                         AND (sp.kind <> 1 OR sp.owner_id <> s.sharer_id)",
                        &[space.0.into()],
                        read_receiver,
                    )
                    .await?
                }
            });
        }
        for receivers in asked {
            for (kind, to) in tx.answer(receivers).await? {
                if kind == 0 {
                    people.insert(UserId(to));
                } else {
                    teams.insert(to);
                }
            }
        }
        let mut asked = Vec::with_capacity(teams.len());
        for team in teams {
            let members = tx
                .ask(
                    "SELECT account_id FROM member WHERE team_id = $1",
                    &[team.into()],
                    |row| Ok(UserId(row.int(0)?)),
                )
                .await?;
            asked.push(members);
        }
        people.retain(|person| self.among.contains(person));
        for members in asked {
            let members = tx.answer(members).await?.into_iter();
            people.extend(members.filter(|member| self.among.contains(member)));
        }
        Ok(people)
    }
}

fn read_receiver(row: &dyn Row) -> StoreResult<(i64, i64)> {
    Ok((row.int(0)?, row.int(1)?))
}

/// Forgets all but the last news.
#[derive(Debug)]
pub(crate) struct SweepNews;

impl Operation for SweepNews {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "DELETE FROM sharing_news WHERE id <= (\
             SELECT next - $1 FROM counter WHERE name = 'sharing_news')",
            &[KEPT.into()],
        )
        .await
    }
}
