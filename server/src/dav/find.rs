//! REPORT and SEARCH: nodes by mark, or by what they are called, how large or how old they are.
//!
//! Clients show favourites by the report `filter-files`, and photos, recent files and what
//! somebody types into a search field by SEARCH (RFC 5323, the grammar `basicsearch`). Both answer
//! like a PROPFIND: the properties that were asked for, of nodes wherever they lie.

use bytes::Bytes;
use http::Response;
use nuage_shared::node_path::NodePath;

use crate::dav::Asked;
use crate::dav::Dav;
use crate::dav::answer::multistatus;
use crate::dav::answer::multistatus_of;
use crate::dav::error::DavError;
use crate::dav::mount::Mount;
use crate::dav::properties::Facts;
use crate::dav::properties::OC;
use crate::dav::properties::Place;
use crate::dav::properties::Selection;
use crate::dav::request::RequestFault;
use crate::dav::xml::Element;
use crate::dav::xml::Wanted;
use crate::dav::xml::XmlFault;
use crate::dav::xml::names_in;
use crate::files::Files;
use crate::files::NodeId;
use crate::files::search::Comparison;
use crate::files::search::Condition;
use crate::files::search::Found;
use crate::files::search::OrderKey;
use crate::files::search::Pattern;
use crate::files::search::Query;
use crate::http::body::Body;
use crate::identity::Caller;

/// Results of a search that names no number.
const RESULTS_DEFAULT: usize = 1_000;
/// Parts that one condition may have, one inside another.
const DEPTH_MAX: usize = 16;

/// Answers a REPORT of the kind `filter-files`: favourites, or what has tags.
pub(crate) async fn report(
    dav: &Dav,
    asked: &Asked,
    xml: &[u8],
) -> Result<Response<Body>, DavError> {
    let root = Element::parse(xml)?;
    if root.name.local != "filter-files" || root.name.namespace != OC {
        return Err(DavError::UnsupportedBody);
    }
    let selection = Selection::new(&wanted_in(&root)?, asked.request.is_minimal);
    let (favorites, tags) = rules_of(&root)?;
    let (caller, path) = (&asked.caller, &asked.request.path);
    let files = dav.files.clone();
    Files::require_home(caller)?;
    files.find(caller, path).await?;
    let rights = files.rights(caller, &NodePath::root()).await?;
    let facts = Facts::of(dav, caller, asked.place(), rights);
    let (caller, scope, mount) = (caller.clone(), path.clone(), asked.mount.clone());
    let wants = selection.wants(&caller);
    let state = Some((NodeId(0), selection, facts));
    let pages = futures_util::stream::try_unfold(state, move |state| {
        let (files, caller) = (files.clone(), caller.clone());
        let (scope, mount, tags) = (scope.clone(), mount.clone(), tags.clone());
        async move {
            let Some((after, selection, facts)) = state else {
                return Ok(None);
            };
            let page = files
                .find_marked(&caller, (favorites, &tags), after, wants)
                .await?;
            let mut out = String::new();
            for found in &page.found {
                if is_within(&found.path, &scope) {
                    write(&mut out, &selection, &facts, &mount, found);
                }
            }
            let next = page.next.map(|next| (next, selection, facts));
            Ok(Some((Bytes::from(out), next)))
        }
    });
    Ok(multistatus_of("", pages))
}

/// Answers a SEARCH in a caller's files, which appear at `place`.
pub(crate) async fn search(
    dav: &Dav,
    caller: &Caller,
    place: Place<'_>,
    xml: &[u8],
) -> Result<Response<Body>, DavError> {
    let mount = place.mount;
    let root = Element::parse(xml)?;
    let basic = root.dav("basicsearch").ok_or(DavError::UnsupportedBody)?;
    let select = basic.dav("select").ok_or(XmlFault::Unexpected)?;
    let selection = Selection::new(&wanted_in(select)?, false);
    let query = query_of(basic, mount)?;
    Files::require_home(caller)?;
    let rights = dav.files.rights(caller, &NodePath::root()).await?;
    let facts = Facts::of(dav, caller, place, rights);
    let wants = selection.wants(caller);
    let found = dav.files.search(caller, &query, wants).await?;
    let mut out = String::new();
    for found in &found {
        write(&mut out, &selection, &facts, mount, found);
    }
    Ok(multistatus(&out))
}

fn write(out: &mut String, selection: &Selection, facts: &Facts, mount: &Mount, found: &Found) {
    let entry = &found.entry;
    let href = mount.href(&found.path, entry.node.is_folder());
    match &found.given {
        None => selection.write(out, &href, entry, facts),
        Some(given) => selection.write(out, &href, entry, &facts.given(given)),
    }
}

fn is_within(path: &NodePath, scope: &NodePath) -> bool {
    let (names, above) = (path.names(), scope.names());
    names.get(..above.len()) == Some(above)
}

/// Returns the properties that an element asks for.
fn wanted_in(element: &Element) -> Result<Wanted, XmlFault> {
    match element.dav("prop") {
        Some(prop) => Ok(Wanted::These(names_in(prop)?)),
        None => Ok(Wanted::All {
            include: Vec::new(),
        }),
    }
}

/// Returns whether favourites are wanted, and which tags; without a rule there would be no end.
fn rules_of(report: &Element) -> Result<(bool, Vec<i64>), DavError> {
    let mut rules = (false, Vec::new());
    let all = report
        .elements()
        .filter(|element| element.name.local == "filter-rules");
    for rule in all.flat_map(Element::elements) {
        match (rule.name.local.as_str(), rule.text().as_str()) {
            ("favorite", "1" | "true" | "yes") => rules.0 = true,
            ("systemtag", tag) => {
                let tag = tag.parse().map_err(|_not_a_tag| XmlFault::Unexpected)?;
                rules.1.push(tag);
            }
            _ => return Err(DavError::UnsupportedBody),
        }
    }
    if rules.0 || !rules.1.is_empty() {
        Ok(rules)
    } else {
        Err(DavError::UnsupportedBody)
    }
}

fn query_of(basic: &Element, mount: &Mount) -> Result<Query, DavError> {
    let condition = match basic.dav("where") {
        Some(element) => match conditions_in(element, DEPTH_MAX)?.pop() {
            Some(condition) => condition,
            None => Condition::All(Vec::new()),
        },
        None => Condition::All(Vec::new()),
    };
    let limit = basic.dav("limit");
    let number = |name: &str| -> Result<Option<usize>, XmlFault> {
        let inside = limit.into_iter().flat_map(Element::elements);
        let mut found = inside.filter(|element| element.name.local == name);
        let number = found.next().map(|element| element.text().parse());
        number
            .transpose()
            .map_err(|_not_a_number| XmlFault::Unexpected)
    };
    Ok(Query {
        scope: scope_of(basic, mount)?,
        condition,
        order: order_of(basic),
        offset: number("firstresult")?.unwrap_or(0),
        limit: number("nresults")?.unwrap_or(RESULTS_DEFAULT),
    })
}

/// Returns the folder that is searched: its href is a whole path, or one below `/remote.php/dav`.
fn scope_of(basic: &Element, mount: &Mount) -> Result<NodePath, DavError> {
    let scope = basic.dav("from").and_then(|from| from.dav("scope"));
    let Some(href) = scope.and_then(|scope| scope.dav("href")) else {
        return Ok(NodePath::root());
    };
    let href = href.text();
    let whole = mount.resolve_uri(&href).map_err(RequestFault::Url)?;
    if let Some(path) = whole {
        return Ok(path);
    }
    let below = format!("/remote.php/dav/{}", href.trim_start_matches('/'));
    let path = mount.resolve_uri(&below).map_err(RequestFault::Url)?;
    path.ok_or_else(|| RequestFault::Outside.into())
}

fn order_of(basic: &Element) -> Vec<(OrderKey, bool)> {
    let orders = basic.dav("orderby").into_iter().flat_map(Element::elements);
    let key = |order: &Element| {
        let property = order.dav("prop")?.elements().next()?;
        let key = match property.name.local.as_str() {
            "getlastmodified" => OrderKey::Modified,
            "displayname" => OrderKey::Name,
            "size" | "getcontentlength" => OrderKey::Size,
            "fileid" => OrderKey::Id,
            _ => return None,
        };
        Some((key, order.dav("descending").is_some()))
    };
    orders.filter_map(key).collect()
}

fn conditions_in(element: &Element, depth: usize) -> Result<Vec<Condition>, XmlFault> {
    let below = depth.checked_sub(1).ok_or(XmlFault::TooComplex)?;
    let one = |element| condition_of(element, below);
    element.elements().map(one).collect()
}

/// Understands an operator of the grammar (RFC 5323 section 5.5).
fn condition_of(element: &Element, depth: usize) -> Result<Condition, XmlFault> {
    let operator = element.name.local.as_str();
    match operator {
        "and" => return Ok(Condition::All(conditions_in(element, depth)?)),
        "or" => return Ok(Condition::Any(conditions_in(element, depth)?)),
        "not" => {
            let inside = conditions_in(element, depth)?;
            return Ok(Condition::Not(Box::new(Condition::All(inside))));
        }
        "is-collection" => return Ok(Condition::IsFolder),
        _ => {}
    }
    let property = element.dav("prop").and_then(|prop| prop.elements().next());
    let property = property.ok_or(XmlFault::Unexpected)?.name.local.as_str();
    let literal = element.dav("literal").ok_or(XmlFault::Unexpected)?.text();
    let comparison = match operator {
        "eq" | "like" => Comparison::Equal,
        "lt" => Comparison::Less,
        "lte" => Comparison::LessOrEqual,
        "gt" => Comparison::Greater,
        "gte" => Comparison::GreaterOrEqual,
        _ => return Err(XmlFault::Unexpected),
    };
    let not_a_number = |_fault| XmlFault::Unexpected;
    Ok(match property {
        "displayname" if comparison == Comparison::Equal => Condition::Name(Pattern::new(&literal)),
        "getcontenttype" if comparison == Comparison::Equal => {
            Condition::MediaType(Pattern::new(&literal))
        }
        "getlastmodified" => Condition::Modified(comparison, seconds_of(&literal)?),
        "size" | "getcontentlength" => {
            Condition::Size(comparison, literal.parse().map_err(not_a_number)?)
        }
        "fileid" => Condition::Id(literal.parse().map_err(not_a_number)?),
        "favorite" => Condition::IsFavorite(matches!(literal.as_str(), "1" | "yes" | "true")),
        "owner-id" => Condition::Owner(literal),
        _ => return Err(XmlFault::Unexpected),
    })
}

/// Understands a time: seconds since 1970, ISO 8601, or as in HTTP.
fn seconds_of(text: &str) -> Result<i64, XmlFault> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_second());
    }
    let time = httpdate::parse_http_date(text).map_err(|_not_a_time| XmlFault::Unexpected)?;
    let since = time.duration_since(std::time::UNIX_EPOCH);
    Ok(since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(inside: &str) -> Result<Query, DavError> {
        let text = format!(
            "<d:basicsearch xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'>{inside}</d:basicsearch>"
        );
        let mount = Mount {
            prefix: "/remote.php/dav/files/ann".to_owned(),
        };
        query_of(&Element::parse(text.as_bytes()).unwrap(), &mount)
    }

    #[test]
    fn a_search_says_where_what_in_which_order_and_how_much() {
        let query = parse(
            "<d:from><d:scope><d:href>/files/ann/Photos</d:href><d:depth>infinity</d:depth></d:scope></d:from>
             <d:where><d:and><d:like><d:prop><d:getcontenttype/></d:prop><d:literal>image/%</d:literal></d:like>
             <d:gt><d:prop><d:getlastmodified/></d:prop><d:literal>2026-01-01T00:00:00Z</d:literal></d:gt></d:and></d:where>
             <d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order></d:orderby>
             <d:limit><d:nresults>20</d:nresults></d:limit>",
        )
        .unwrap();
        assert_eq!(query.scope, NodePath::parse("Photos").unwrap());
        assert_eq!(query.order, [(OrderKey::Modified, true)]);
        assert_eq!((query.offset, query.limit), (0, 20));
        let Condition::All(parts) = query.condition else {
            panic!("{:?}", query.condition);
        };
        assert!(matches!(
            parts.as_slice(),
            [
                Condition::MediaType(_),
                Condition::Modified(Comparison::Greater, 1_767_225_600)
            ]
        ));
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        for inside in [
            "<d:where><d:matches/></d:where>",
            "<d:where><d:eq><d:prop><d:unknown/></d:prop><d:literal>1</d:literal></d:eq></d:where>",
            "<d:where><d:gt><d:prop><oc:size/></d:prop><d:literal>many</d:literal></d:gt></d:where>",
            "<d:from><d:scope><d:href>/files/bob</d:href></d:scope></d:from>",
            "<d:limit><d:nresults>-1</d:nresults></d:limit>",
        ] {
            assert!(parse(inside).is_err(), "{inside}");
        }
        let deep = format!(
            "<d:where>{}{}</d:where>",
            "<d:not>".repeat(40),
            "</d:not>".repeat(40)
        );
        assert!(parse(&deep).is_err());
    }
}
