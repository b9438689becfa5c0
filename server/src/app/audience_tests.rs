//! Who is told who can see something: everybody to whom it is for to know, and no more than that to the others.

use std::sync::Arc;

use nuage_shared::node_path::NodePath;

use crate::app::Expectation;
use crate::app::Ground;
use crate::clock::Clock;
use crate::config::Settings;
use crate::files::Files;
use crate::files::FilesSettings;
use crate::files::NodeId;
use crate::files::Permissions;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::identity::NewAccount;
use crate::identity::Quota;
use crate::identity::Role;
use crate::identity::secret::Secret;
use crate::language::Language;
use crate::sharing::Changes;
use crate::sharing::NewShare;
use crate::sharing::ShareId;
use crate::sharing::SharedWith;
use crate::sharing::Sharing;
use crate::sharing::SharingError;
use crate::sharing::SharingSettings;
use crate::sharing::audience::WhoCanSee;
use crate::store::folder::DataFolder;
use crate::store::metadata::postgres::test_server::database;

/// An installation with people.
struct Place {
    ground: Ground,
    files: Arc<Files>,
    sharing: Sharing,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new(settings: &str) -> Self {
        let settings = Settings::parse(settings, std::iter::empty()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = DataFolder::new(root.path().join("data"));
        let expectation = Expectation::MayBegin;
        let ground = Ground::open(folder, &settings, Clock::system(), expectation);
        let ground = ground.await.unwrap();
        let chunks = tokio::task::block_in_place(|| ground.open_chunks(&settings)).unwrap();
        let files = Arc::new(Files::new(
            Arc::clone(&ground.metadata),
            chunks,
            ground.clock.clone(),
            FilesSettings::default(),
        ));
        let sharing = Sharing::new(
            Arc::clone(&ground.metadata),
            Arc::clone(&ground.identity),
            Arc::clone(&files),
            ground.clock.clone(),
            SharingSettings::default(),
        );
        Self {
            ground,
            files,
            sharing,
            _folder: root,
        }
    }

    async fn person(&self, name: &str) -> Caller {
        let password = Secret::new(format!("{name}'s password"));
        let new = NewAccount {
            name,
            password: &password,
            display_name: None,
            email: None,
            is_admin: false,
            quota: Quota::Default,
        };
        let made = self.ground.identity.create_account(&new).await;
        Caller::of_account(&made.unwrap())
    }

    async fn folder(&self, caller: &Caller, path: &str) -> NodeId {
        let (path, always) = (parsed(path), Precondition::default());
        let made = self.files.make_folder(caller, &path, Vec::new(), &always);
        made.await.unwrap().id
    }

    async fn give(&self, from: &Caller, path: &str, with: SharedWith, may: i64) -> ShareId {
        let share = NewShare {
            path: parsed(path),
            with,
            permissions: Some(Permissions::of_bits(may)),
            may_download: true,
            note: String::new(),
            label: "what only its giver calls it".to_owned(),
            last_day: None,
            is_endless: true,
            password: None,
            address: None,
            tells: false,
        };
        self.sharing.share(from, share).await.unwrap().id
    }

    async fn who(&self, caller: &Caller, node: NodeId) -> WhoCanSee {
        let who = self.sharing.who_can_see(caller, node, ShareId(0));
        who.await.unwrap()
    }
}

fn parsed(path: &str) -> NodePath {
    NodePath::parse(path).unwrap()
}

fn to(name: &str) -> SharedWith {
    SharedWith::Person(name.to_owned())
}

fn shares(who: &WhoCanSee) -> Vec<ShareId> {
    who.audience.ways.iter().map(|way| way.share).collect()
}

async fn everybody_is_told_what_is_for_them(settings: &str) {
    let place = Place::new(settings).await;
    let ann = place.person("ann").await;
    let (bob, cid) = (place.person("bob").await, place.person("cid").await);
    let (dan, eve) = (place.person("dan").await, place.person("eve").await);
    let identity = &place.ground.identity;
    identity.create_team("staff", Quota::Default).await.unwrap();
    let role = Role::Member;
    identity.set_member("staff", "dan", role).await.unwrap();
    place.folder(&ann, "Cours").await;
    let node = place.folder(&ann, "Cours/sub").await;
    let to_cid = place.give(&ann, "Cours", to("cid"), 1).await;
    let to_bob = place.give(&ann, "Cours/sub", to("bob"), 17).await;
    let staff = SharedWith::Team("staff".to_owned());
    let to_staff = place.give(&ann, "Cours/sub", staff, 1).await;
    let link = place.give(&ann, "Cours/sub", SharedWith::Link, 1).await;

    let by_owner = place.who(&ann, node).await;
    assert!(by_owner.is_whole);
    assert_eq!(shares(&by_owner), [to_cid, to_bob, to_staff, link]);
    assert!(by_owner.audience.ways[3].token.is_some());
    assert_eq!(
        by_owner.sentence(Language::English),
        "You, cid, bob and the group staff can see this folder; so can anyone who has the link."
    );
    // Whoever may share it knows with whom it is, not what opens it, nor what lies above.
    let by_bob = place.who(&bob, node).await;
    assert!(by_bob.is_whole);
    assert_eq!(shares(&by_bob), shares(&by_owner));
    let ways = &by_bob.audience.ways;
    assert!(
        ways.iter()
            .all(|way| way.token.is_none() && way.label.is_empty())
    );
    assert_eq!(ways[0].at, None);
    assert_eq!(ways[1].at.as_ref().unwrap().name, "sub");
    // Whoever only reads it knows whose it is and why they see it.
    for (reader, way) in [(&cid, to_cid), (&dan, to_staff)] {
        let by_reader = place.who(reader, node).await;
        assert!(!by_reader.is_whole);
        assert_eq!(shares(&by_reader), [way]);
        let told = by_reader.sentence(Language::French);
        assert!(told.starts_with("Vous"), "{told}");
        assert!(!told.contains("bob") && !told.contains("lien"), "{told}");
    }
    let refused = place.sharing.who_can_see(&eve, node, ShareId(0)).await;
    assert!(
        matches!(refused, Err(SharingError::NoSuchShare)),
        "{refused:?}"
    );
    // An app password that reads is told who, and nothing that opens.
    let mut reading = ann.clone();
    reading.is_read_only = true;
    let by_program = place.who(&reading, node).await;
    assert_eq!(shares(&by_program), shares(&by_owner));
    assert!(
        by_program
            .audience
            .ways
            .iter()
            .all(|way| way.token.is_none())
    );
    // Once bob may not share it any more, he is one of the readers.
    let changes = Changes {
        permissions: Some(Permissions::READ),
        ..Changes::default()
    };
    place.sharing.change(&ann, to_bob, changes).await.unwrap();
    assert_eq!(shares(&place.who(&bob, node).await), [to_bob]);
    place.ground.metadata.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_what_is_for_them_on_sqlite() {
    everybody_is_told_what_is_for_them("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_what_is_for_them_on_postgres() {
    let url = database().await;
    let settings = format!("metadata = \"{url}\"\n[postgres]\nconnections = 4\n");
    everybody_is_told_what_is_for_them(&settings).await;
}
