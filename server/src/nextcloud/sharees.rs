//! OCS about with whom something can be shared: people and groups that somebody types the beginning of.
//!
//! Clients show what comes in two lists: what is exactly what was typed, and the rest. Whom the caller may
//! find at all, `identity` decides. Kinds of recipients that there are not here (other servers,
//! addresses of mail, circles, rooms) are empty lists, which clients expect to be there.

use serde_json::Value;
use serde_json::json;

use crate::http::query::Query;
use crate::identity::Caller;
use crate::identity::directory::DirectoryQuestion;
use crate::identity::directory::FoundNames;
use crate::identity::directory::FoundPerson;
use crate::identity::directory::FoundTeam;
use crate::nextcloud::Nextcloud;
use crate::nextcloud::OcsRequest;
use crate::nextcloud::ocs::Data;
use crate::nextcloud::ocs::OcsError;

/// What clients call a person that something is shared with.
const PERSON: i64 = 0;
/// What clients call a group that something is shared with.
const GROUP: i64 = 1;
/// So many are meant by a client that does not say.
const PER_PAGE: usize = 200;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'q> {
    search: &'q str,
    page: usize,
    per_page: usize,
    wants_people: bool,
    wants_groups: bool,
}

impl<'q> Asked<'q> {
    fn parse(query: &'q Query) -> Result<Self, OcsError> {
        let number = |name: &str, default: usize| match query.get(name) {
            None | Some("") => Ok(default),
            Some(text) => match text.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(OcsError::BadRequest),
            },
        };
        let kinds: Vec<i64> = query
            .all()
            .filter(|(name, _)| is_share_type(name))
            .flat_map(|(_, value)| value.split(','))
            .filter_map(|kind| kind.trim().parse().ok())
            .collect();
        let says_kinds = query.all().any(|(name, _)| is_share_type(name));
        let wants = |kind: i64| !says_kinds || kinds.contains(&kind);
        Ok(Self {
            search: query.get("search").unwrap_or_default(),
            page: number("page", 1)?,
            per_page: number("perPage", PER_PAGE)?,
            wants_people: wants(PERSON),
            wants_groups: wants(GROUP),
        })
    }
}

/// Returns whether a field says which kinds are wanted: `shareType`, `shareType[]` or `shareType[3]`.
fn is_share_type(name: &str) -> bool {
    let rest = name.strip_prefix("shareType");
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('[') && rest.ends_with(']')))
}

impl Nextcloud {
    /// Finds recipients by what somebody types.
    pub(super) async fn find_sharees(
        &self,
        caller: &Caller,
        request: &OcsRequest<'_>,
    ) -> Result<Data, OcsError> {
        let asked = Asked::parse(request.query)?;
        let per_page = asked.per_page.min(self.identity.directory_results_max());
        let question = DirectoryQuestion {
            text: asked.search,
            wants_people: asked.wants_people,
            wants_teams: asked.wants_groups,
            offset: (asked.page - 1).saturating_mul(per_page),
            limit: per_page,
        };
        let found = self.identity.find_names(caller, &question).await?;
        let data = Data::from(describe(&found, false));
        Ok(if found.has_more {
            data.followed_by(&next_page(request, asked.page + 1))
        } else {
            data
        })
    }

    /// Proposes recipients before anything was typed.
    pub(super) async fn recommend_sharees(
        &self,
        caller: &Caller,
        query: &Query,
    ) -> Result<Data, OcsError> {
        let asked = Asked::parse(query)?;
        let mut found = self.identity.recommend_names(caller).await?;
        found.people.truncate(asked.per_page);
        found.teams.truncate(asked.per_page);
        if !asked.wants_people {
            found.people.clear();
        }
        if !asked.wants_groups {
            found.teams.clear();
        }
        Ok(describe(&found, true).into())
    }
}

/// Returns the address of another page of the same question.
fn next_page(request: &OcsRequest<'_>, page: usize) -> String {
    let mut fields = form_urlencoded::Serializer::new(String::new());
    for (name, value) in request.query.all().filter(|(name, _)| *name != "page") {
        fields.append_pair(name, value);
    }
    fields.append_pair("page", &page.to_string());
    format!("{}{}?{}", request.base_url, request.path, fields.finish())
}

/// Puts what was found into the form that clients read; proposals stand in the list of exact ones.
fn describe(found: &FoundNames, are_proposals: bool) -> Value {
    let shown = || found.exact_people.iter().chain(&found.people);
    let is_twin = |person: &FoundPerson| {
        let twins = shown().filter(|other| other.display_name == person.display_name);
        twins.count() > 1
    };
    let people = |people: &[FoundPerson]| -> Vec<Value> {
        let entries = people.iter();
        entries
            .map(|one| describe_person(one, is_twin(one)))
            .collect()
    };
    let teams = |teams: &[FoundTeam]| -> Vec<Value> { teams.iter().map(describe_team).collect() };
    let mut exact = (people(&found.exact_people), teams(&found.exact_teams));
    let mut other = (people(&found.people), teams(&found.teams));
    if are_proposals {
        std::mem::swap(&mut exact, &mut other);
    }
    json!({
        "exact": {
            "users": exact.0,
            "groups": exact.1,
            "remotes": [],
            "remote_groups": [],
            "emails": [],
            "circles": [],
            "rooms": [],
        },
        "users": other.0,
        "groups": other.1,
        "remotes": [],
        "remote_groups": [],
        "emails": [],
        "circles": [],
        "rooms": [],
        "lookup": [],
        "lookupEnabled": false,
    })
}

/// Describes somebody; a second one of the same name is told apart by the sign-in name.
fn describe_person(person: &FoundPerson, is_twin: bool) -> Value {
    // An address of mail is not for everybody to see.
    let unique = &person.name;
    json!({
        "label": person.display_name,
        "subline": if is_twin { person.name.as_str() } else { "" },
        "icon": "icon-user",
        "value": {"shareType": PERSON, "shareWith": person.name},
        "shareWithDisplayNameUnique": unique,
        "status": [],
    })
}

fn describe_team(team: &FoundTeam) -> Value {
    json!({
        "label": team.name,
        "subline": "",
        "icon": "icon-group",
        "value": {"shareType": GROUP, "shareWith": team.name},
        "shareWithDisplayNameUnique": team.name,
        "status": [],
    })
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use crate::http::query::Query;

    #[test]
    fn kinds_are_read_in_every_spelling() {
        for (text, people, groups) in [
            ("search=a", true, true),
            ("shareType=0", true, false),
            ("shareType[]=1", false, true),
            ("shareType%5B%5D=0&shareType%5B%5D=1", true, true),
            ("shareType[0]=1&shareType[1]=6", false, true),
            ("shareType=0,1", true, true),
            ("shareType[]=4", false, false),
            ("shareType=", false, false),
            ("shareTypes=0", true, true),
        ] {
            let query = Query::parse(text);
            let asked = Asked::parse(&query).unwrap();
            let wants = (asked.wants_people, asked.wants_groups);
            assert_eq!(wants, (people, groups), "{text}");
        }
    }

    #[test]
    fn pages_are_counted_from_one() {
        let query = Query::parse("page=2&perPage=25&search=z");
        let asked = Asked::parse(&query).unwrap();
        assert_eq!((asked.page, asked.per_page, asked.search), (2, 25, "z"));
        for text in ["page=0", "perPage=0", "page=-1", "page=x"] {
            assert!(Asked::parse(&Query::parse(text)).is_err(), "{text}");
        }
    }
}
