//! Who finds whom: people and groups by words of their names, as far as the settings let the caller.

use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::administer::caseless_form;
use crate::identity::error::AdminResult;
use crate::store::metadata::accounts::directory::FindExactly;
use crate::store::metadata::accounts::directory::FindPeople;
use crate::store::metadata::accounts::directory::FindTeams;
use crate::store::metadata::accounts::directory::ListColleagues;
use crate::store::metadata::accounts::directory::NamesQuestion;
use crate::store::metadata::accounts::directory::Scope;
use crate::store::metadata::accounts::names::IndexNames;
use crate::store::metadata::accounts::names::words_of;
use crate::store::metadata::error::StoreResult;

pub use crate::store::metadata::accounts::directory::FoundPerson;
pub use crate::store::metadata::accounts::directory::FoundTeam;

/// The longest text that is looked for, in characters.
const TEXT_CHARACTERS_MAX: usize = 200;
/// Nobody turns pages further than so many people.
const OFFSET_MAX: usize = 5_000;
/// Accounts, and groups, that get words in one transaction.
const INDEXED_AT_ONCE: i64 = 100;

/// Whom people find who look for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Findable {
    /// Everybody finds everybody, and every group.
    All,
    /// People with whom they share a group, and their own groups.
    OwnGroups,
    /// Whoever has exactly the name or address that was typed.
    Exact,
    /// Nobody.
    None,
}

/// How people are looked for.
#[derive(Debug, Clone, Copy)]
pub struct DirectorySettings {
    /// Whom people find.
    pub findable: Findable,
    /// With fewer characters, only exact names and addresses are found.
    pub characters_min: usize,
    /// The most people, and the most groups, of one answer.
    pub results_max: usize,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            findable: Findable::All,
            characters_min: 1,
            results_max: 50,
        }
    }
}

/// What somebody looks for.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryQuestion<'a> {
    /// What they typed: words of names in any order, each whole or only its beginning.
    pub text: &'a str,
    /// Whether people are looked for.
    pub wants_people: bool,
    /// Whether groups are looked for.
    pub wants_teams: bool,
    /// How many to leave out at the beginning, of people and of groups.
    pub offset: usize,
    /// The most to bring, of people and of groups; the settings say what is possible.
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundNames {
    /// People whose name, address or shown name is what was typed; on the first page alone.
    pub exact_people: Vec<FoundPerson>,
    /// Other people: whole words first, then beginnings, then by name.
    pub people: Vec<FoundPerson>,
    /// Groups whose name is what was typed; on the first page alone.
    pub exact_teams: Vec<FoundTeam>,
    /// Other groups.
    pub teams: Vec<FoundTeam>,
    /// Whether a further page brings more.
    pub has_more: bool,
}

impl Identity {
    /// Sets how people are looked for.
    #[must_use]
    pub fn with_directory(mut self, settings: DirectorySettings) -> Self {
        self.directory = settings;
        self
    }

    /// Returns the most people, and the most groups, that one answer brings.
    pub fn directory_results_max(&self) -> usize {
        self.directory.results_max
    }

    /// Finds people and groups; never the caller.
    pub async fn find_names(
        &self,
        caller: &Caller,
        question: &DirectoryQuestion<'_>,
    ) -> AdminResult<FoundNames> {
        let scope = match self.directory.findable {
            Findable::None => return Ok(FoundNames::default()),
            Findable::All | Findable::Exact => Scope::All,
            Findable::OwnGroups => Scope::OwnGroups,
        };
        let text = question.text.trim();
        let characters = text.chars().count();
        let is_a_name = (1..=TEXT_CHARACTERS_MAX).contains(&characters);
        if !is_a_name || text.chars().any(char::is_control) {
            return Ok(FoundNames::default());
        }
        let exactly = FindExactly {
            fold: caseless_form(text),
            email: text.to_lowercase(),
            asker: caller.user,
            scope,
        };
        let (exact_people, exact_team) = self.store.read(exactly).await?;
        let mut found = FoundNames {
            exact_people,
            exact_teams: exact_team.into_iter().collect(),
            ..FoundNames::default()
        };
        let is_enough = characters >= self.directory.characters_min;
        if is_enough && self.directory.findable != Findable::Exact {
            self.find_by_words(caller, question, scope, &mut found)
                .await?;
        }
        if !question.wants_people || question.offset > 0 {
            found.exact_people.clear();
        }
        if !question.wants_teams || question.offset > 0 {
            found.exact_teams.clear();
        }
        Ok(found)
    }

    /// Adds those whose names have the words, and who are not in it yet.
    async fn find_by_words(
        &self,
        caller: &Caller,
        question: &DirectoryQuestion<'_>,
        scope: Scope,
        into: &mut FoundNames,
    ) -> AdminResult<()> {
        let limit = question.limit.min(self.directory.results_max);
        if question.offset > OFFSET_MAX || limit == 0 {
            return Ok(());
        }
        let words = sought_words(question.text);
        let names = NamesQuestion {
            words: words.clone(),
            asker: caller.user,
            scope,
            offset: signed(question.offset),
            limit: signed(limit),
        };
        let mut may_turn = false;
        if question.wants_people {
            let page = self.store.read(FindPeople(names.clone())).await?;
            may_turn |= page.has_more;
            for person in page.found {
                if into.exact_people.iter().any(|exact| exact.id == person.id) {
                    continue;
                }
                if question.offset == 0 && words_of(&person.display_name) == words {
                    into.exact_people.push(person);
                } else {
                    into.people.push(person);
                }
            }
        }
        if question.wants_teams {
            let page = self.store.read(FindTeams(names)).await?;
            may_turn |= page.has_more;
            let exact = &into.exact_teams;
            let is_new = |team: &FoundTeam| exact.iter().all(|exact| exact.id != team.id);
            into.teams = page.found.into_iter().filter(is_new).collect();
        }
        into.has_more = may_turn && question.offset + limit <= OFFSET_MAX;
        Ok(())
    }

    /// Lists people and groups with whom the caller has to do.
    pub async fn recommend_names(&self, caller: &Caller) -> AdminResult<FoundNames> {
        let is_hidden = matches!(self.directory.findable, Findable::Exact | Findable::None);
        if is_hidden {
            return Ok(FoundNames::default());
        }
        let list = ListColleagues {
            asker: caller.user,
            limit: signed(self.directory.results_max),
        };
        let (people, teams) = self.store.read(list).await?;
        Ok(FoundNames {
            people,
            teams,
            ..FoundNames::default()
        })
    }

    /// Lets people and groups be found that a server of an older release has made: a background job.
    pub async fn index_names(&self) -> StoreResult<()> {
        let mut indexed = 0;
        loop {
            let index = IndexNames {
                limit: INDEXED_AT_ONCE,
            };
            match self.store.write_in_background(index).await? {
                0 => break,
                some => indexed += some,
            }
        }
        if indexed > 0 {
            tracing::info!(indexed, "people and groups can be found by their names now");
        }
        Ok(())
    }
}

/// Returns the words to look for; of an address of mail, those before the `@`.
fn sought_words(text: &str) -> Vec<String> {
    let text = text.trim();
    let is_address = !text.contains(char::is_whitespace);
    match text.split_once('@') {
        Some((mailbox, _)) if is_address && !mailbox.is_empty() => words_of(mailbox),
        _ => words_of(text),
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::sought_words;

    #[test]
    fn of_an_address_the_mailbox_is_looked_for() {
        assert_eq!(sought_words(" Zoé.D@ac-par"), ["zoe", "d"]);
        assert_eq!(sought_words("zoé d@x"), ["zoe", "d", "x"]);
        assert_eq!(sought_words("@x"), ["x"]);
    }
}
