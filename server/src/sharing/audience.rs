//! "Who can see this": the answer as values, and as one sentence.
//!
//! Who owns something, manages the group that does, or may share it further is told everybody. Whoever else sees it is told
//! whose it is and by which shares they see it themselves, not who else does. What opens a link is told to its giver and to
//! whoever owns what it leads to.

use crate::files::NodeId;
use crate::files::Permissions;
use crate::files::Reason;
use crate::files::error::FilesError;
use crate::identity::Caller;
use crate::identity::Role;
use crate::identity::Scope;
use crate::language::Language;
use crate::sharing::Sharing;
use crate::sharing::SharingError;
use crate::sharing::SharingResult;
use crate::store::metadata::audience::ReadAudience;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::Receiver;
use crate::store::metadata::shares::ShareId;

pub use crate::store::metadata::audience::Audience;
pub use crate::store::metadata::audience::Owner;
pub use crate::store::metadata::audience::SharedAt;
pub use crate::store::metadata::audience::Way;

/// Shares of one page.
pub const AUDIENCE_PAGE: i64 = 200;
/// Names that a sentence has, at most; one more is named rather than counted.
const NAMED_MAX: usize = 6;

/// Who can see a node, as far as whoever asks may know.
#[derive(Debug, Clone)]
pub struct WhoCanSee {
    /// Whose it is, and who sees it by which share.
    pub audience: Audience,
    /// Whether these are all; else there may be others, of whom the asker may not know.
    pub is_whole: bool,
    /// Who asks; `None`: an operator.
    pub viewer: Option<UserId>,
}

impl Sharing {
    /// Tells who can see a node that the caller sees, a page at a time: `after` is 0 to begin, then
    /// [`Audience::next`]. Fails with `NoSuchShare` where the caller does not see the node.
    pub async fn who_can_see(
        &self,
        caller: &Caller,
        node: NodeId,
        after: ShareId,
    ) -> SharingResult<WhoCanSee> {
        if let Scope::Link(_) = caller.scope {
            return Err(SharingError::NoSuchShare);
        }
        let rights = self.files.rights_on(caller, node).await;
        let rights = rights.map_err(hidden)?;
        let sees_space = match &rights.reason {
            Reason::Owner | Reason::ReadOnlyPassword | Reason::Member { .. } => true,
            Reason::Given { .. } | Reason::Link => false,
        };
        let is_master = match &rights.reason {
            Reason::Owner => true,
            Reason::Member { role, .. } => *role == Role::Manager && !caller.is_read_only,
            Reason::ReadOnlyPassword | Reason::Given { .. } | Reason::Link => false,
        };
        let is_whole = is_master
            || rights.reason == Reason::ReadOnlyPassword
            || rights.permissions.has(Permissions::SHARE);
        let read = ReadAudience {
            node,
            reaching: (!is_whole).then_some(caller.user),
            now: self.clock.now(),
            after,
            limit: AUDIENCE_PAGE,
        };
        let found = self.metadata.read(read).await.map_err(unavailable)?;
        let mut audience = found.ok_or(SharingError::NoSuchShare)?;
        for way in &mut audience.ways {
            let is_own = way.by == caller.user && !caller.is_read_only;
            if !(is_own || is_master) {
                way.token = None;
                way.label.clear();
            }
        }
        if !sees_space {
            self.hide_what_lies_above(caller, &mut audience).await?;
        }
        Ok(WhoCanSee {
            audience,
            is_whole,
            viewer: Some(caller.user),
        })
    }

    /// Forgets the names of folders that the caller does not see.
    async fn hide_what_lies_above(
        &self,
        caller: &Caller,
        audience: &mut Audience,
    ) -> SharingResult<()> {
        let mut known: Vec<(NodeId, bool)> = vec![(audience.node.id, true)];
        for way in &mut audience.ways {
            let Some(at) = &way.at else {
                continue;
            };
            let same = known.iter().find(|(node, _)| *node == at.node);
            let is_seen = if let Some((_, is_seen)) = same {
                *is_seen
            } else {
                let is_seen = match self.files.rights_on(caller, at.node).await {
                    Ok(_) => true,
                    Err(FilesError::NotFound { .. }) => false,
                    Err(error) => return Err(error.into()),
                };
                known.push((at.node, is_seen));
                is_seen
            };
            if !is_seen {
                way.at = None;
            }
        }
        Ok(())
    }
}

fn hidden(error: FilesError) -> SharingError {
    match error {
        FilesError::NotFound { .. } => SharingError::NoSuchShare,
        other => other.into(),
    }
}

fn unavailable(error: StoreError) -> SharingError {
    FilesError::Unavailable(error).into()
}

impl WhoCanSee {
    /// Says it in one sentence, of a page that is the first; of more than a few, how many others there are.
    pub fn sentence(&self, language: Language) -> String {
        let (names, is_one) = self.names(language);
        let what = match (language, self.audience.node.is_folder()) {
            (Language::English, true) => "this folder",
            (Language::English, false) => "this file",
            (Language::French, true) => "ce dossier",
            (Language::French, false) => "ce fichier",
        };
        let is_viewer_there = self.viewer.is_some();
        let links = self.links(language);
        let is_alone = names.len() == 1 && is_viewer_there && links.is_none() && self.is_whole;
        let list = self.listed(language, &names);
        let mut text = match (language, names.is_empty()) {
            (Language::English, true) => format!("Nobody who signs in can see {what} now"),
            (Language::French, true) => {
                format!("Aucune personne connectée ne peut voir {what} à présent")
            }
            (Language::English, false) if is_alone => format!("Only you can see {what}"),
            (Language::French, false) if is_alone => {
                format!("Personne d’autre que vous ne peut voir {what}")
            }
            (Language::English, false) => format!("{list} can see {what}"),
            (Language::French, false) if is_viewer_there => format!("{list} pouvez voir {what}"),
            (Language::French, false) if is_one => format!("{list} peut voir {what}"),
            (Language::French, false) => format!("{list} peuvent voir {what}"),
        };
        if let Some(links) = links {
            text.push_str(&links);
        }
        text.push('.');
        if !self.is_whole {
            text.push_str(match language {
                Language::English => " There may be others, of whom those know who may share it.",
                Language::French => {
                    " Il peut y en avoir d’autres, que connaissent ceux qui peuvent partager."
                }
            });
        }
        text
    }

    /// Returns everybody who is named, each once, and whether that is a single person or group.
    fn names(&self, language: Language) -> (Vec<String>, bool) {
        let mut names = Vec::new();
        let mut people: Vec<UserId> = Vec::new();
        let mut is_one = true;
        if let Some(viewer) = self.viewer {
            people.push(viewer);
            names.push(match language {
                Language::English => "You".to_owned(),
                Language::French => "Vous".to_owned(),
            });
        }
        match &self.audience.owner {
            Owner::Person {
                id,
                shown,
                is_active,
            } => {
                if *is_active && !people.contains(id) {
                    people.push(*id);
                    names.push(shown.display_name.clone());
                }
            }
            Owner::Team { shown, roles, .. } => {
                if roles.iter().any(|(_, members)| *members > 0) {
                    is_one = false;
                    names.push(match language {
                        Language::English => format!("the members of {}", shown.display_name),
                        Language::French => format!("les membres de {}", shown.display_name),
                    });
                }
            }
        }
        let mut teams = Vec::new();
        for way in &self.audience.ways {
            match way.to {
                Receiver::Person(person) if !people.contains(&person) => {
                    people.push(person);
                    names.push(way.to_shown.display_name.clone());
                }
                Receiver::Team(team) if way.members > 0 && !teams.contains(&team) => {
                    teams.push(team);
                    names.push(match language {
                        Language::English => format!("the group {}", way.to_shown.display_name),
                        Language::French => format!("le groupe {}", way.to_shown.display_name),
                    });
                }
                Receiver::Person(_) | Receiver::Team(_) | Receiver::Link => {}
            }
        }
        let is_one = is_one && names.len() == 1;
        (names, is_one)
    }

    /// Joins the names; the first begins the sentence.
    fn listed(&self, language: Language, names: &[String]) -> String {
        let and = match language {
            Language::English => "and",
            Language::French => "et",
        };
        let has_more = self.audience.next.is_some();
        let is_many = names.len() > NAMED_MAX + 1 || has_more && names.len() > NAMED_MAX;
        let mut list: Vec<String> = if is_many {
            let others = names.len() - NAMED_MAX;
            let last = match (language, has_more) {
                (Language::English, false) => format!("{others} others"),
                (Language::French, false) => format!("{others} autres"),
                (Language::English, true) => format!("more than {others} others"),
                (Language::French, true) => format!("plus de {others} autres"),
            };
            let first = names.iter().take(NAMED_MAX).cloned();
            first.chain([last]).collect()
        } else {
            names.to_vec()
        };
        let end = list.pop().unwrap_or_default();
        let text = if list.is_empty() {
            end
        } else {
            format!("{} {and} {end}", list.join(", "))
        };
        let mut letters = text.chars();
        let first = letters.next().map(char::to_uppercase);
        first.into_iter().flatten().chain(letters).collect()
    }

    /// Says what whoever has a link can do.
    fn links(&self, language: Language) -> Option<String> {
        let is_link = |way: &&Way| way.to == Receiver::Link;
        let links = || self.audience.ways.iter().filter(is_link);
        let shows = |way: &&Way| way.permissions.has(Permissions::READ);
        let (open, sending) = (
            links().filter(shows).count(),
            links().filter(|way| !shows(way)).count(),
        );
        let all_ask = links().filter(shows).all(|way| way.has_password);
        let opened = match (language, open, all_ask) {
            (_, 0, _) => None,
            (Language::English, 1, false) => Some("so can anyone who has the link"),
            (Language::English, 1, true) => Some("so can anyone who has the link and its password"),
            (Language::English, _, false) => Some("so can anyone who has one of the links"),
            (Language::English, _, true) => {
                Some("so can anyone who has one of the links and its password")
            }
            (Language::French, 1, false) => Some("toute personne qui a le lien aussi"),
            (Language::French, 1, true) => {
                Some("toute personne qui a le lien et son mot de passe aussi")
            }
            (Language::French, _, false) => Some("toute personne qui a l’un des liens aussi"),
            (Language::French, _, true) => {
                Some("toute personne qui a l’un des liens et son mot de passe aussi")
            }
        };
        let sent = match (language, sending) {
            (_, 0) => None,
            (Language::English, _) => {
                Some("whoever has a link for sending can put files there and sees nothing")
            }
            (Language::French, _) => {
                Some("qui a un lien de dépôt peut y envoyer des fichiers, sans rien voir")
            }
        };
        let between = match language {
            Language::English => "; ",
            Language::French => " ; ",
        };
        let parts: Vec<&str> = opened.into_iter().chain(sent).collect();
        (!parts.is_empty()).then(|| format!("{between}{}", parts.join(between)))
    }
}

#[cfg(test)]
mod tests {
    use super::Audience;
    use super::Owner;
    use super::Way;
    use super::WhoCanSee;
    use crate::clock::Timestamp;
    use crate::files::Node;
    use crate::files::NodeId;
    use crate::files::NodeKind;
    use crate::files::Permissions;
    use crate::files::Shown;
    use crate::files::SpaceId;
    use crate::identity::Role;
    use crate::identity::TeamId;
    use crate::language::Language;
    use crate::store::metadata::records::UserId;
    use crate::store::metadata::shares::Receiver;
    use crate::store::metadata::shares::ShareId;

    fn shown(name: &str) -> Shown {
        Shown {
            name: name.to_lowercase(),
            display_name: name.to_owned(),
        }
    }

    fn way(to: Receiver, name: &str, permissions: Permissions) -> Way {
        Way {
            share: ShareId(1),
            to,
            to_shown: shown(name),
            members: 10_000,
            at: None,
            by: UserId(1),
            by_shown: shown("Ann"),
            through: Vec::new(),
            stated: permissions,
            permissions,
            may_download: true,
            until: None,
            made_at: Timestamp(0),
            label: String::new(),
            has_password: false,
            token: None,
        }
    }

    fn who(ways: Vec<Way>, viewer: Option<i64>) -> WhoCanSee {
        WhoCanSee {
            audience: Audience {
                node: folder(),
                owner: Owner::Person {
                    id: UserId(1),
                    shown: shown("Ann"),
                    is_active: true,
                },
                ways,
                next: None,
            },
            is_whole: true,
            viewer: viewer.map(UserId),
        }
    }

    fn both(who: &WhoCanSee) -> [String; 2] {
        [Language::French, Language::English].map(|language| who.sentence(language))
    }

    #[test]
    fn one_sentence_says_who() {
        let read = Permissions::READ;
        let camille = way(Receiver::Person(UserId(2)), "Camille", read);
        let direction = way(Receiver::Team(TeamId(1)), "Direction", read);
        let link = way(Receiver::Link, "", read);
        let drop = way(Receiver::Link, "", Permissions::CREATE);
        let all = vec![camille.clone(), direction.clone(), link.clone()];
        assert_eq!(
            both(&who(all, Some(1))),
            [
                "Vous, Camille et le groupe Direction pouvez voir ce dossier ; toute personne qui a le \
                 lien aussi.",
                "You, Camille and the group Direction can see this folder; so can anyone who has the link.",
            ]
        );
        assert_eq!(
            both(&who(Vec::new(), Some(1))),
            [
                "Personne d’autre que vous ne peut voir ce dossier.",
                "Only you can see this folder."
            ]
        );
        assert_eq!(
            both(&who(vec![camille.clone(), camille.clone()], None)),
            [
                "Ann et Camille peuvent voir ce dossier.",
                "Ann and Camille can see this folder."
            ]
        );
        assert_eq!(
            both(&who(vec![drop], None)),
            [
                "Ann peut voir ce dossier ; qui a un lien de dépôt peut y envoyer des fichiers, sans rien voir.",
                "Ann can see this folder; whoever has a link for sending can put files there and sees nothing.",
            ]
        );
        let mut reader = who(vec![camille.clone()], Some(2));
        reader.is_whole = false;
        assert_eq!(
            reader.sentence(Language::French),
            "Vous et Ann pouvez voir ce dossier. Il peut y en avoir d’autres, que connaissent ceux qui \
             peuvent partager."
        );
        let mut of_team = who(vec![camille], None);
        of_team.audience.owner = Owner::Team {
            id: TeamId(9),
            shown: shown("3B"),
            roles: vec![(Role::Member, 3)],
        };
        assert_eq!(
            both(&of_team),
            [
                "Les membres de 3B et Camille peuvent voir ce dossier.",
                "The members of 3B and Camille can see this folder."
            ]
        );
    }

    #[test]
    fn of_many_some_are_named_and_the_others_counted() {
        let many = (2..302).map(|id| {
            let person = Receiver::Person(UserId(id));
            way(person, &format!("P{id}"), Permissions::READ)
        });
        let mut many = who(many.collect(), Some(1));
        assert_eq!(
            many.sentence(Language::French),
            "Vous, P2, P3, P4, P5, P6 et 295 autres pouvez voir ce dossier."
        );
        many.audience.next = Some(ShareId(302));
        assert_eq!(
            many.sentence(Language::English),
            "You, P2, P3, P4, P5, P6 and more than 295 others can see this folder."
        );
    }

    fn folder() -> Node {
        Node {
            id: NodeId(5),
            space: SpaceId(1),
            parent: Some(NodeId(1)),
            name: "d".to_owned(),
            kind: NodeKind::Folder,
            seq: 1,
            tree_seq: 1,
            content: None,
            size_bytes: 0,
            tree_files: 0,
            rev: 0,
            mtime: Timestamp(0),
            ctime: Timestamp(0),
            flags: 0,
        }
    }
}
