//! The If header (RFC 4918 section 10.4), parsed into conditions that the core tests.
//!
//! ```text
//! If     = 1*( [ "<" URI ">" ] 1*( "(" 1*( ["Not"] ( "<" URI ">" | "[" etag "]" ) ) ")" ) )
//! ```

use nuage_shared::node_path::NodePath;

use crate::dav::mount::Mount;
use crate::files::precondition::Condition;
use crate::files::precondition::ConditionList;

/// Lists of one header.
const LISTS_MAX: usize = 256;
/// Conditions of one list.
const CONDITIONS_MAX: usize = 64;

/// Why an If header cannot be understood: 400, since skipping a condition would be worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the If header is not of the form of RFC 4918 section 10.4")]
pub struct IfFault;

/// Parses an If header; lists without a tag speak of `path`, the request's own.
///
/// A tag outside the mount gives a list without a path: nothing there has any state.
pub fn parse_if(text: &str, mount: &Mount, path: &NodePath) -> Result<Vec<ConditionList>, IfFault> {
    let mut lists = Vec::new();
    let mut about = Some(path.clone());
    let mut tag_has_list = true;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('<') {
            let (uri, after) = after.split_once('>').ok_or(IfFault)?;
            if !tag_has_list {
                return Err(IfFault);
            }
            about = mount.resolve_uri(uri).unwrap_or(None);
            tag_has_list = false;
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix('(') {
            let (conditions, after) = parse_list(after)?;
            lists.push(ConditionList {
                root: None,
                path: about.clone(),
                conditions,
            });
            if lists.len() > LISTS_MAX {
                return Err(IfFault);
            }
            tag_has_list = true;
            // Several header lines arrive joined by commas.
            rest = after.trim_start_matches([' ', '\t', ',']);
        } else {
            return Err(IfFault);
        }
    }
    if lists.is_empty() || !tag_has_list {
        return Err(IfFault);
    }
    Ok(lists)
}

/// Parses what follows an opening parenthesis, up to the closing one; returns what comes after it.
fn parse_list(text: &str) -> Result<(Vec<Condition>, &str), IfFault> {
    let mut conditions = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            return if conditions.is_empty() {
                Err(IfFault)
            } else {
                Ok((conditions, after))
            };
        }
        let (negated, after) = match rest.split_at_checked(3) {
            Some((not, after)) if not.eq_ignore_ascii_case("not") => (true, after.trim_start()),
            Some(_) | None => (false, rest),
        };
        rest = if let Some(after) = after.strip_prefix('<') {
            let (token, after) = after.split_once('>').ok_or(IfFault)?;
            let token = token.trim().to_owned();
            conditions.push(Condition::Token { token, negated });
            after
        } else if let Some(after) = after.strip_prefix('[') {
            let (tag, after) = parse_etag(after.trim_start())?;
            conditions.push(Condition::Etag { tag, negated });
            after
        } else {
            return Err(IfFault);
        }
        .trim_start();
        if conditions.len() > CONDITIONS_MAX {
            return Err(IfFault);
        }
    }
}

/// Parses an entity tag and the bracket after it.
fn parse_etag(text: &str) -> Result<(String, &str), IfFault> {
    let (weakness, quoted) = match text.strip_prefix("W/") {
        // A weak tag keeps its mark, so that it equals none of ours (RFC 9110 section 8.8.3.2).
        Some(quoted) => ("W/", quoted),
        None => ("", text),
    };
    let (tag, after) = match quoted.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(IfFault)?,
        None => quoted.split_at(quoted.find(']').ok_or(IfFault)?),
    };
    let after = after.trim_start().strip_prefix(']').ok_or(IfFault)?;
    Ok((format!("{weakness}{}", tag.trim()), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount() -> Mount {
        Mount {
            prefix: "/dav".to_owned(),
        }
    }

    fn parse(text: &str) -> Result<Vec<ConditionList>, IfFault> {
        parse_if(text, &mount(), &NodePath::parse("own").unwrap())
    }

    fn token(token: &str, negated: bool) -> Condition {
        let token = token.to_owned();
        Condition::Token { token, negated }
    }

    fn etag(tag: &str, negated: bool) -> Condition {
        let tag = tag.to_owned();
        Condition::Etag { tag, negated }
    }

    fn list(path: Option<&str>, conditions: Vec<Condition>) -> ConditionList {
        ConditionList {
            root: None,
            path: path.map(|path| NodePath::parse(path).unwrap()),
            conditions,
        }
    }

    #[test]
    fn untagged_lists_speak_of_the_request_itself() {
        assert_eq!(
            parse(r#"(<urn:uuid:1> ["a b"]) (Not <DAV:no-lock>)"#),
            Ok(vec![
                list(
                    Some("own"),
                    vec![token("urn:uuid:1", false), etag("a b", false)]
                ),
                list(Some("own"), vec![token("DAV:no-lock", true)]),
            ])
        );
    }

    #[test]
    fn tagged_lists_speak_of_their_url() {
        assert_eq!(
            parse(r#"<http://h/dav/x%20y>(<t>)(not[W/"w"]) <http://h/other> ([plain])"#),
            Ok(vec![
                list(Some("x y"), vec![token("t", false)]),
                list(Some("x y"), vec![etag("W/w", true)]),
                list(None, vec![etag("plain", false)]),
            ])
        );
    }

    #[test]
    fn what_is_not_an_if_header_is_refused() {
        let long = "(<a>)".repeat(LISTS_MAX + 1);
        let wide = format!("({})", "<a>".repeat(CONDITIONS_MAX + 1));
        for text in [
            "",
            "(",
            "()",
            "(<a>",
            "(<a)",
            "<a>",
            "<a><b>(<c>)",
            "(<a>) <b>",
            "x",
            "(x)",
            "(Not)",
            "([\"a)",
            "([\"a\")",
            "(é)",
            "(no",
            &long,
            &wide,
        ] {
            assert_eq!(parse(text), Err(IfFault), "{text}");
        }
    }
}
