//! Finding people and groups by words of their names, in the order in which they are shown.
//!
//! Of the words that somebody typed, the one that fewest names have leads: its rows are walked in order, and
//! each holder is tested for the other words. A word of at most [`STEM_CHARACTERS`] letters is one
//! value of the index, whose rows stand in the order of the answer; so a page costs a page,
//! however many names begin with that letter. A longer word is a range of few rows, which are put in order.
//! Who may find only those with whom they share a group is led by these people, as long as they are few.
//!
//! The statements differ in what leads and in how many words are tested, so they are made, once ([`statement`]).
//!
//! # Always true
//!
//! * No question reads more than [`RANGE_ROWS_MAX`] rows of a range: behind so many, nobody turns pages.
//! * Whole words come before beginnings of words, for the word that leads.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::store::metadata::accounts::names::STEM_CHARACTERS;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::tx::Value;

/// Words that one question looks at.
pub const WORDS_MAX: usize = 6;
/// Rows of a range of words that are looked at.
const RANGE_ROWS_MAX: i64 = 20_000;
/// So far rows are counted to find the rarest word.
const COUNTED_MAX: i64 = 1_000;
/// The most memberships of other people that lead.
const COLLEAGUES_MAX: i64 = 2_000;
/// People of one address of mail, or of one name.
const EXACT_MAX: i64 = 10;

/// Whom a question may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody, and every group.
    All,
    /// People with whom the asker shares a group, and the asker's groups.
    OwnGroups,
}

/// Somebody who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPerson {
    /// The account.
    pub id: UserId,
    /// Its sign-in name.
    pub name: String,
    /// The name that people see.
    pub display_name: String,
    /// Where mail goes.
    pub email: Option<String>,
}

/// A group that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTeam {
    /// The group.
    pub id: TeamId,
    /// Its name.
    pub name: String,
}

/// A page of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPage<F> {
    /// What was found, in order.
    pub found: Vec<F>,
    /// Whether more follows.
    pub has_more: bool,
}

/// Whose names are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    People,
    Teams,
}

impl Kind {
    const fn column(self) -> i64 {
        match self {
            Self::People => 0,
            Self::Teams => 1,
        }
    }

    /// The columns of an answer, and the table that has them.
    const fn shown(self) -> (&'static str, &'static str) {
        match self {
            Self::People => ("a.id, a.name, a.display_name, a.email", "account"),
            Self::Teams => ("a.id, a.name", "team"),
        }
    }

    /// A condition on the holder `w`: that the asker (`$asker`) may find it by a group.
    fn shares_group(self, asker: usize) -> String {
        match self {
            Self::People => format!(
                "(SELECT 1 FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
                 JOIN member o ON o.team_id = m.team_id AND o.account_id = ${asker} \
                 WHERE m.account_id = w.holder_id LIMIT 1) IS NOT NULL"
            ),
            Self::Teams => format!(
                "(SELECT 1 FROM member m WHERE m.team_id = w.holder_id AND m.account_id = ${asker} \
                 LIMIT 1) IS NOT NULL"
            ),
        }
    }
}

/// What leads through the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lead {
    /// One value of the index, for a short word.
    Stem,
    /// A range of words.
    Range,
    /// The people of the asker's groups.
    Colleagues,
}

/// What a statement is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    kind: Kind,
    lead: Lead,
    scope: Scope,
    /// How many words are tested besides the one that leads.
    others: usize,
}

/// Every statement, by what it is made for.
static STATEMENTS: LazyLock<HashMap<Shape, &'static str>> = LazyLock::new(|| {
    let shapes = shapes();
    let made = shapes.map(|shape| (shape, &*Box::leak(statement(shape).into_boxed_str())));
    made.collect()
});

fn shapes() -> impl Iterator<Item = Shape> {
    let pairs = [
        (Kind::People, Lead::Stem, Scope::All),
        (Kind::People, Lead::Range, Scope::All),
        (Kind::People, Lead::Stem, Scope::OwnGroups),
        (Kind::People, Lead::Range, Scope::OwnGroups),
        (Kind::People, Lead::Colleagues, Scope::OwnGroups),
        (Kind::Teams, Lead::Stem, Scope::All),
        (Kind::Teams, Lead::Range, Scope::All),
        (Kind::Teams, Lead::Stem, Scope::OwnGroups),
        (Kind::Teams, Lead::Range, Scope::OwnGroups),
    ];
    pairs.into_iter().flat_map(|(kind, lead, scope)| {
        (0..WORDS_MAX).map(move |others| Shape {
            kind,
            lead,
            scope,
            others,
        })
    })
}

/// Makes the statement that brings a page of holders.
///
/// Its parameters: the word that leads; behind it, unless it is a stem, the end of its range; the asker; two for each
/// other word; the limit; the offset. Tests of single holders stay questions about them
/// (`LIMIT 1`), so that no engine reads all holders of a word to join them.
fn statement(shape: Shape) -> String {
    let kind = shape.kind.column();
    let asker = match shape.lead {
        Lead::Stem => 2,
        Lead::Range | Lead::Colleagues => 3,
    };
    let mut tests = format!("w.holder_id <> ${asker}");
    if shape.kind == Kind::Teams {
        // Nobody asks about themselves here; the parameter stands in its place all the same.
        tests = format!("${asker} >= 0");
    }
    if shape.scope == Scope::OwnGroups && shape.lead != Lead::Colleagues {
        tests.push_str(" AND ");
        tests.push_str(&shape.kind.shares_group(asker));
    }
    for other in 0..shape.others {
        let first = asker + 1 + 2 * other;
        let test = format!(
            " AND (SELECT 1 FROM name_word p WHERE p.kind = {kind} AND p.holder_id = w.holder_id \
             AND p.word >= ${first} AND p.word < ${} LIMIT 1) IS NOT NULL",
            first + 1
        );
        tests.push_str(&test);
    }
    let limit = asker + 1 + 2 * shape.others;
    let page = format!(
        "ORDER BY part, place, holder_id LIMIT ${limit} OFFSET ${}",
        limit + 1
    );
    let holders = match shape.lead {
        Lead::Stem => format!(
            "SELECT w.part, w.place, w.holder_id FROM name_word w \
             WHERE w.kind = {kind} AND w.word = $1 AND {tests} {page}"
        ),
        Lead::Range => format!(
            "SELECT MIN(CASE WHEN w.word = $1 THEN w.part ELSE 1 END) AS part, w.place, w.holder_id \
             FROM (SELECT word, part, place, holder_id FROM name_word \
             WHERE kind = {kind} AND word >= $1 AND word < $2 \
             ORDER BY word, part, place, holder_id LIMIT {RANGE_ROWS_MAX}) w \
             WHERE {tests} GROUP BY w.place, w.holder_id {page}"
        ),
        Lead::Colleagues => format!(
            "SELECT MIN(CASE WHEN w.word = $1 THEN w.part ELSE 1 END) AS part, w.place, w.holder_id \
             FROM (SELECT n.word, n.part, n.place, n.holder_id FROM name_word n \
             WHERE n.kind = {kind} AND n.word >= $1 AND n.word < $2 AND n.holder_id IN \
             (SELECT o.account_id FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
             JOIN member o ON o.team_id = m.team_id WHERE m.account_id = $3)) w \
             WHERE {tests} GROUP BY w.place, w.holder_id {page}"
        ),
    };
    let (columns, table) = shape.kind.shown();
    format!(
        "SELECT {columns}, a.state FROM ({holders}) f LEFT JOIN {table} a ON a.id = f.holder_id \
         ORDER BY f.part, f.place, f.holder_id"
    )
}

/// How many names have a short word, as far as it matters.
const COUNT_STEM: &str =
    "SELECT COUNT(*) FROM (SELECT 1 FROM name_word WHERE kind = $1 AND word = $2 LIMIT $3) w";
/// How many names have a word that begins so, as far as it matters.
const COUNT_RANGE: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM name_word \
     WHERE kind = $1 AND word >= $2 AND word < $3 LIMIT $4) w";
/// How many people the asker's groups have, as far as it matters.
const COUNT_COLLEAGUES: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM member m \
     JOIN team t ON t.id = m.team_id AND t.state = 0 \
     JOIN member o ON o.team_id = m.team_id WHERE m.account_id = $1 LIMIT $2) w";
/// Whoever has this name or address.
const EXACT_PEOPLE: &str = "SELECT a.id, a.name, a.display_name, a.email, a.state FROM account a \
     WHERE a.id IN (SELECT id FROM account WHERE fold = $1 AND state < 2 \
     UNION ALL SELECT id FROM account WHERE lower(email) = $2 AND state < 2) \
     AND a.id <> $3 ORDER BY a.id LIMIT $4";
/// Whether two people share a group.
const SHARE_GROUP: &str = "SELECT 1 FROM member m JOIN team t ON t.id = m.team_id AND t.state = 0 \
     JOIN member o ON o.team_id = m.team_id AND o.account_id = $1 WHERE m.account_id = $2 LIMIT 1";
/// The group of this name.
const EXACT_TEAM: &str = "SELECT id, name, state FROM team WHERE fold = $1 AND state < 2";
/// Whether somebody belongs to a group.
const IS_MEMBER: &str = "SELECT 1 FROM member WHERE team_id = $1 AND account_id = $2";
/// The people with whom somebody shares most groups; of those who read very many, some.
const COLLEAGUES: &str = "SELECT a.id, a.name, a.display_name, a.email, a.state FROM \
     (SELECT c.account_id AS holder_id, COUNT(*) AS shared FROM (SELECT o.account_id FROM member m \
     JOIN team t ON t.id = m.team_id AND t.state = 0 JOIN member o ON o.team_id = m.team_id \
     WHERE m.account_id = $1 AND o.account_id <> $1 LIMIT $2) c \
     GROUP BY c.account_id ORDER BY shared DESC, holder_id LIMIT $3) f \
     LEFT JOIN account a ON a.id = f.holder_id ORDER BY f.shared DESC, f.holder_id";
/// Somebody's groups.
const OWN_TEAMS: &str = "SELECT t.id, t.name, t.state FROM member m JOIN team t ON t.id = m.team_id \
     WHERE m.account_id = $1 AND t.state = 0 ORDER BY t.fold LIMIT $2";

/// Returns every statement of this file, for the test of plans.
#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let made = STATEMENTS.values().copied();
    let fixed = [
        COUNT_STEM,
        COUNT_RANGE,
        COUNT_COLLEAGUES,
        EXACT_PEOPLE,
        SHARE_GROUP,
        EXACT_TEAM,
        IS_MEMBER,
        COLLEAGUES,
        OWN_TEAMS,
    ];
    made.chain(fixed).map(str::to_owned).collect()
}

/// Reads a person; `None`: not one who may sign in (a server of another release has disabled them).
fn read_person(row: &dyn Row) -> StoreResult<Option<FoundPerson>> {
    if row.opt_int(4)? != Some(0) {
        return Ok(None);
    }
    Ok(Some(FoundPerson {
        id: UserId(row.int(0)?),
        name: row.text(1)?,
        display_name: row.text(2)?,
        email: row.opt_text(3)?,
    }))
}

fn read_team(row: &dyn Row) -> StoreResult<Option<FoundTeam>> {
    if row.opt_int(2)? != Some(0) {
        return Ok(None);
    }
    Ok(Some(FoundTeam {
        id: TeamId(row.int(0)?),
        name: row.text(1)?,
    }))
}

/// A word that is looked for, with what all words are below that begin with it.
#[derive(Debug)]
struct Sought<'w> {
    word: &'w str,
    end: String,
}

impl<'w> Sought<'w> {
    fn new(word: &'w str) -> Self {
        Self {
            word,
            end: format!("{word}\u{10ffff}"),
        }
    }

    fn is_stem(&self) -> bool {
        self.word.chars().count() <= STEM_CHARACTERS
    }
}

/// What is asked of names.
#[derive(Debug, Clone)]
pub struct NamesQuestion {
    /// The words, folded; of more than [`WORDS_MAX`] the first. Without any, nothing is found.
    pub words: Vec<String>,
    /// Who asks; never found.
    pub asker: UserId,
    /// Whom they may find.
    pub scope: Scope,
    /// How many to leave out at the beginning.
    pub offset: i64,
    /// The most to bring.
    pub limit: i64,
}

impl NamesQuestion {
    /// Brings a page of what has all the words.
    async fn answer<T: Tx, F: Send + 'static>(
        &self,
        tx: &mut T,
        kind: Kind,
        read: fn(&dyn Row) -> StoreResult<Option<F>>,
    ) -> StoreResult<FoundPage<F>> {
        let words = self.words.iter().take(WORDS_MAX);
        let mut sought: Vec<Sought<'_>> = words.map(|word| Sought::new(word)).collect();
        self.put_rarest_first(tx, kind, &mut sought).await?;
        let Some((leading, others)) = sought.split_first() else {
            return Ok(FoundPage {
                found: Vec::new(),
                has_more: false,
            });
        };
        let shape = Shape {
            kind,
            lead: self.lead(tx, kind, leading).await?,
            scope: self.scope,
            others: others.len(),
        };
        let mut params: Vec<Value<'_>> = vec![leading.word.into()];
        if shape.lead != Lead::Stem {
            params.push(leading.end.as_str().into());
        }
        params.push(self.asker.0.into());
        for other in others {
            params.push(other.word.into());
            params.push(other.end.as_str().into());
        }
        params.push((self.limit + 1).into());
        params.push(self.offset.into());
        let sql = STATEMENTS.get(&shape).copied().unwrap_or_default();
        let mut rows = tx.rows(sql, &params, read).await?;
        let limit = usize::try_from(self.limit).unwrap_or(0);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        Ok(FoundPage {
            found: rows.into_iter().flatten().collect(),
            has_more,
        })
    }

    async fn put_rarest_first<T: Tx>(
        &self,
        tx: &mut T,
        kind: Kind,
        sought: &mut [Sought<'_>],
    ) -> StoreResult<()> {
        if sought.len() < 2 {
            return Ok(());
        }
        let mut asked: Vec<Asked<i64>> = Vec::with_capacity(sought.len());
        for word in &*sought {
            asked.push(ask_count(tx, kind, word).await?);
        }
        let mut rarest = (0, i64::MAX);
        for (index, count) in asked.into_iter().enumerate() {
            let count = tx.answer_one(count).await?.unwrap_or(0);
            if count < rarest.1 {
                rarest = (index, count);
            }
        }
        sought.swap(0, rarest.0);
        Ok(())
    }

    async fn lead<T: Tx>(&self, tx: &mut T, kind: Kind, leading: &Sought<'_>) -> StoreResult<Lead> {
        if kind == Kind::People && self.scope == Scope::OwnGroups {
            let params = [self.asker.0.into(), (COLLEAGUES_MAX + 1).into()];
            let count = tx
                .row(COUNT_COLLEAGUES, &params, |row| row.int(0))
                .await?
                .unwrap_or(0);
            if count <= COLLEAGUES_MAX {
                return Ok(Lead::Colleagues);
            }
        }
        Ok(if leading.is_stem() {
            Lead::Stem
        } else {
            Lead::Range
        })
    }
}

async fn ask_count<T: Tx>(tx: &mut T, kind: Kind, word: &Sought<'_>) -> StoreResult<Asked<i64>> {
    let kind = kind.column();
    if word.is_stem() {
        let params = [kind.into(), word.word.into(), COUNTED_MAX.into()];
        return tx.ask(COUNT_STEM, &params, |row| row.int(0)).await;
    }
    let params = [
        kind.into(),
        word.word.into(),
        word.end.as_str().into(),
        COUNTED_MAX.into(),
    ];
    tx.ask(COUNT_RANGE, &params, |row| row.int(0)).await
}

/// Finds people by the words of their names.
#[derive(Debug, Clone)]
pub struct FindPeople(pub NamesQuestion);

impl Operation for FindPeople {
    type Output = FoundPage<FoundPerson>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<FoundPage<FoundPerson>> {
        self.0.answer(tx, Kind::People, read_person).await
    }
}

/// Finds groups by the words of their names.
#[derive(Debug, Clone)]
pub struct FindTeams(pub NamesQuestion);

impl Operation for FindTeams {
    type Output = FoundPage<FoundTeam>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<FoundPage<FoundTeam>> {
        self.0.answer(tx, Kind::Teams, read_team).await
    }
}

/// Finds those who have exactly this name or address.
#[derive(Debug, Clone)]
pub struct FindExactly {
    /// The folded name.
    pub fold: String,
    /// The address of mail, in lower case.
    pub email: String,
    /// Who asks; never found.
    pub asker: UserId,
    /// Whom they may find.
    pub scope: Scope,
}

impl Operation for FindExactly {
    /// People, and the group of this name if there is one.
    type Output = (Vec<FoundPerson>, Option<FoundTeam>);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let asked_people = tx
            .ask(
                EXACT_PEOPLE,
                &[
                    self.fold.as_str().into(),
                    self.email.as_str().into(),
                    self.asker.0.into(),
                    EXACT_MAX.into(),
                ],
                read_person,
            )
            .await?;
        let asked_team = tx
            .ask(EXACT_TEAM, &[self.fold.as_str().into()], read_team)
            .await?;
        let mut people = Vec::new();
        for person in tx.answer(asked_people).await?.into_iter().flatten() {
            let params = [self.asker.0.into(), person.id.0.into()];
            if self.may_find(tx, SHARE_GROUP, params).await? {
                people.push(person);
            }
        }
        let mut team = tx.answer_one(asked_team).await?.flatten();
        if let Some(found) = &team {
            let params = [found.id.0.into(), self.asker.0.into()];
            if !self.may_find(tx, IS_MEMBER, params).await? {
                team = None;
            }
        }
        Ok((people, team))
    }
}

impl FindExactly {
    async fn may_find<T: Tx>(
        &self,
        tx: &mut T,
        sql: &'static str,
        params: [Value<'_>; 2],
    ) -> StoreResult<bool> {
        match self.scope {
            Scope::All => Ok(true),
            Scope::OwnGroups => Ok(tx.row(sql, &params, |row| row.int(0)).await?.is_some()),
        }
    }
}

/// Lists the people and groups that somebody has most to do with.
#[derive(Debug, Clone)]
pub struct ListColleagues {
    /// Who asks.
    pub asker: UserId,
    /// The most people, and the most groups, to bring.
    pub limit: i64,
}

impl Operation for ListColleagues {
    type Output = (Vec<FoundPerson>, Vec<FoundTeam>);

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        let asker = self.asker.0;
        let people = tx
            .ask(
                COLLEAGUES,
                &[asker.into(), COLLEAGUES_MAX.into(), self.limit.into()],
                read_person,
            )
            .await?;
        let teams = tx
            .ask(OWN_TEAMS, &[asker.into(), self.limit.into()], read_team)
            .await?;
        let people = tx.answer(people).await?.into_iter().flatten().collect();
        let teams = tx.answer(teams).await?.into_iter().flatten().collect();
        Ok((people, teams))
    }
}
