//! What happened, as a sentence for people: the one place where it is worded, for every protocol.

use nuage_shared::node_path::NodeName;

use crate::files::activity::Activity;
use crate::files::activity::Program;
use crate::files::activity::Subject;
use crate::files::activity::What;
use crate::files::activity::Who;
use crate::files::activity::With;
use crate::http::language::Language;

/// Returns a sentence that says who did what, as "Camille changed 37 files in “Budget”".
pub fn sentence(language: Language, activity: &Activity) -> String {
    match language {
        Language::English => english(activity),
        Language::French => french(activity),
    }
}

/// Returns a few words that say with what somebody came, and from where as far as is known; may be empty.
pub fn whence(language: Language, activity: &Activity) -> String {
    let from = &activity.from;
    let french = language == Language::French;
    let program = match (&from.device, from.program) {
        (Some(device), _) => device.as_str(),
        (None, Program::Page) if french => "page web",
        (None, Program::Page) => "web page",
        (None, Program::Link) if french => "lien",
        (None, Program::Link) => "link",
        (None, Program::Device | Program::Password) if french => "programme",
        (None, Program::Device | Program::Password) => "program",
        (None, Program::Command) if french => "administrateur",
        (None, Program::Command) => "administrator",
        (None, Program::Unknown) => "",
    };
    match &from.address {
        Some(address) if program.is_empty() => address.clone(),
        Some(address) => format!("{program}, {address}"),
        None => program.to_owned(),
    }
}

/// Returns the name of the folder in which it happened; `None`: it is a root, or not known.
fn folder_of(subject: Option<&Subject>) -> Option<&str> {
    let path = subject?.path.as_ref()?;
    let (_, above) = path.names().split_last()?;
    above.last().map(NodeName::as_str)
}

fn name_of(subject: Option<&Subject>) -> &str {
    subject.map_or("", |subject| subject.name.as_str())
}

fn english(activity: &Activity) -> String {
    let first = activity.on.first();
    let who = match &activity.who {
        Who::Person {
            is_caller: true, ..
        } => "You",
        Who::Person { shown, .. } => shown.display_name.as_str(),
        Who::Visitor => "Somebody with a link",
        Who::Administrator => "An administrator",
        Who::Gone => "Somebody whose account is gone",
    };
    let what = if activity.count == 1 {
        format!("“{}”", name_of(first))
    } else {
        let has_folder = activity.on.iter().any(|subject| subject.is_folder);
        let kind = if has_folder { "items" } else { "files" };
        format!("{} {kind}", activity.count)
    };
    let place = match folder_of(first) {
        Some(folder) => format!(" in “{folder}”"),
        None => String::new(),
    };
    let with = |with: &With| match with {
        With::Caller => "with you".to_owned(),
        With::Named { shown, .. } => format!("with {}", shown.display_name),
        With::Link { label } if label.is_empty() => "by a link".to_owned(),
        With::Link { label } => format!("by the link “{label}”"),
    };
    let link = |label: &str| match label {
        "" => "a link".to_owned(),
        label => format!("the link “{label}”"),
    };
    match &activity.what {
        What::Created => format!("{who} added {what}{place}"),
        What::Changed => format!("{who} changed {what}{place}"),
        What::Renamed { former } => format!("{who} renamed “{former}” to {what}{place}"),
        What::Moved { to: None, .. } => format!("{who} moved {what} elsewhere"),
        What::Moved { to: Some(to), .. } => match to.name() {
            Some(folder) => format!("{who} moved {what} to “{}”", folder.as_str()),
            None => format!("{who} moved {what} to the top folder"),
        },
        What::Deleted => format!("{who} deleted {what}{place}"),
        What::Restored => format!("{who} restored {what}{place}"),
        What::VersionRestored => format!("{who} restored an earlier version of {what}{place}"),
        What::Shared(by) => format!("{who} shared {what} {}", with(by)),
        What::ShareChanged(by) => format!("{who} changed how {what} is shared {}", with(by)),
        What::ShareEnded(by) => format!("{who} stopped sharing {what} {}", with(by)),
        What::LinkOpened { label } => format!("{who} opened {} to {what}", link(label)),
        What::LinkDownloaded { label } => {
            format!("{who} downloaded from {} to {what}", link(label))
        }
    }
}

fn french(activity: &Activity) -> String {
    let first = activity.on.first();
    let who = match &activity.who {
        Who::Person {
            is_caller: true, ..
        } => "Vous avez".to_owned(),
        Who::Person { shown, .. } => format!("{} a", shown.display_name),
        Who::Visitor => "Une personne ayant un lien a".to_owned(),
        Who::Administrator => "Un administrateur a".to_owned(),
        Who::Gone => "Une personne dont le compte n’existe plus a".to_owned(),
    };
    let what = if activity.count == 1 {
        format!("« {} »", name_of(first))
    } else {
        let has_folder = activity.on.iter().any(|subject| subject.is_folder);
        let kind = if has_folder { "éléments" } else { "fichiers" };
        format!("{} {kind}", activity.count)
    };
    let place = match folder_of(first) {
        Some(folder) => format!(" dans « {folder} »"),
        None => String::new(),
    };
    let with = |with: &With| match with {
        With::Caller => "avec vous".to_owned(),
        With::Named { shown, .. } => format!("avec {}", shown.display_name),
        With::Link { label } if label.is_empty() => "par un lien".to_owned(),
        With::Link { label } => format!("par le lien « {label} »"),
    };
    let link = |label: &str| match label {
        "" => "un lien".to_owned(),
        label => format!("le lien « {label} »"),
    };
    match &activity.what {
        What::Created => format!("{who} ajouté {what}{place}"),
        What::Changed => format!("{who} modifié {what}{place}"),
        What::Renamed { former } => format!("{who} renommé « {former} » en {what}{place}"),
        What::Moved { to: None, .. } => format!("{who} déplacé {what} ailleurs"),
        What::Moved { to: Some(to), .. } => match to.name() {
            Some(folder) => format!("{who} déplacé {what} vers « {} »", folder.as_str()),
            None => format!("{who} déplacé {what} vers le dossier principal"),
        },
        What::Deleted => format!("{who} supprimé {what}{place}"),
        What::Restored => format!("{who} restauré {what}{place}"),
        What::VersionRestored => format!("{who} rétabli une version antérieure de {what}{place}"),
        What::Shared(by) => format!("{who} partagé {what} {}", with(by)),
        What::ShareChanged(by) => format!("{who} modifié le partage de {what} {}", with(by)),
        What::ShareEnded(by) => format!("{who} cessé de partager {what} {}", with(by)),
        What::LinkOpened { label } => format!("{who} ouvert {} vers {what}", link(label)),
        What::LinkDownloaded { label } => format!("{who} téléchargé par {} : {what}", link(label)),
    }
}

#[cfg(test)]
mod tests {
    use nuage_shared::node_path::NodePath;

    use super::sentence;
    use super::whence;
    use crate::files::NodeId;
    use crate::files::Shown;
    use crate::files::Timestamp;
    use crate::files::activity::Activity;
    use crate::files::activity::Program;
    use crate::files::activity::Subject;
    use crate::files::activity::What;
    use crate::files::activity::Whence;
    use crate::files::activity::Who;
    use crate::files::activity::With;
    use crate::http::language::Language;

    fn activity(what: What, count: usize) -> Activity {
        let camille = Shown {
            name: "cdupont".to_owned(),
            display_name: "Camille Dupont".to_owned(),
        };
        Activity {
            id: 1,
            who: Who::Person {
                shown: camille,
                is_caller: false,
            },
            what,
            on: vec![Subject {
                node: NodeId(7),
                name: "plan.odt".to_owned(),
                is_folder: false,
                path: NodePath::parse("Cours/Budget/plan.odt").ok(),
            }],
            count,
            at: Timestamp(0),
            begun_at: Timestamp(0),
            from: Whence {
                program: Program::Link,
                device: None,
                address: Some("192.0.2.0/24".to_owned()),
            },
        }
    }

    #[test]
    fn people_read_their_language() {
        let many = activity(What::Changed, 37);
        assert_eq!(
            sentence(Language::English, &many),
            "Camille Dupont changed 37 files in “Budget”"
        );
        assert_eq!(
            sentence(Language::French, &many),
            "Camille Dupont a modifié 37 fichiers dans « Budget »"
        );
        let shared = activity(What::Shared(With::Caller), 1);
        assert_eq!(
            sentence(Language::French, &shared),
            "Camille Dupont a partagé « plan.odt » avec vous"
        );
        let opened = Activity {
            who: Who::Visitor,
            ..activity(
                What::LinkOpened {
                    label: String::new(),
                },
                1,
            )
        };
        assert_eq!(
            sentence(Language::English, &opened),
            "Somebody with a link opened a link to “plan.odt”"
        );
        assert_eq!(whence(Language::French, &opened), "lien, 192.0.2.0/24");
    }
}
