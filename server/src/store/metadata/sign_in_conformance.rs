//! What every engine must do alike when people and devices sign in: one suite, run on each.

use crate::clock::Timestamp;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::CreateAccount;
use crate::store::metadata::accounts::DeleteAccount;
use crate::store::metadata::accounts::FindAccountById;
use crate::store::metadata::accounts::FindLogin;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::SearchAccounts;
use crate::store::metadata::accounts::SetDisabled;
use crate::store::metadata::accounts::SetPassword;
use crate::store::metadata::accounts::device_logins::BeginDeviceLogin;
use crate::store::metadata::accounts::device_logins::DenyDevice;
use crate::store::metadata::accounts::device_logins::FindGrantedDevice;
use crate::store::metadata::accounts::device_logins::FindWaitingDevice;
use crate::store::metadata::accounts::device_logins::GrantDevice;
use crate::store::metadata::accounts::device_logins::TakeGrantedDevice;
use crate::store::metadata::accounts::sessions::BeginSession;
use crate::store::metadata::accounts::sessions::EndSession;
use crate::store::metadata::accounts::sessions::FindSession;
use crate::store::metadata::accounts::sessions::SweepSignIns;
use crate::store::metadata::accounts::sessions::TouchSession;
use crate::store::metadata::accounts::teams::CreateTeam;
use crate::store::metadata::accounts::teams::DeleteTeam;
use crate::store::metadata::accounts::teams::ListTeamsOf;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::SetMember;
use crate::store::metadata::accounts::tokens::CreateToken;
use crate::store::metadata::accounts::tokens::FindToken;
use crate::store::metadata::accounts::tokens::ListTokens;
use crate::store::metadata::accounts::tokens::NoteWiped;
use crate::store::metadata::accounts::tokens::WipeToken;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::testing::Home;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

struct Fixture {
    store: MetadataStore,
    _home: Home,
}

impl Fixture {
    async fn new() -> Self {
        let home = Home::of(module_path!()).await;
        Self {
            store: home.open().await,
            _home: home,
        }
    }

    async fn account(&self, name: &str, email: Option<&str>) -> Account {
        let create = CreateAccount {
            name: name.to_owned(),
            fold: name.to_owned(),
            display_name: name.to_owned(),
            email: email.map(str::to_owned),
            password_hash: None,
            is_admin: false,
            quota: Quota::Default,
            now: at(1),
        };
        self.store.write(create).await.unwrap()
    }

    async fn login(&self, typed: &str) -> Option<String> {
        let find = FindLogin {
            fold: typed.to_owned(),
            email: typed.to_lowercase(),
        };
        self.store.read(find).await.unwrap()
    }

    async fn sign_in(&self, number: u8, account: &Account, until: i64) -> StoreResult<()> {
        let begin = BeginSession {
            hash: [number; 32],
            account: account.id,
            changed_at: self.changed_at(account).await,
            agent: "a browser".to_owned(),
            now: at(10),
            until: at(until),
        };
        self.store.write(begin).await
    }

    async fn changed_at(&self, account: &Account) -> Timestamp {
        let found = self.store.read(FindAccountById(account.id)).await.unwrap();
        found.unwrap().changed_at
    }

    async fn has_session(&self, number: u8) -> bool {
        let find = FindSession { hash: [number; 32] };
        self.store.read(find).await.unwrap().is_some()
    }

    async fn wait(&self, number: u8, until: i64) {
        let begin = BeginDeviceLogin {
            poll_hash: [number; 32],
            page_hash: [number + 100; 32],
            device: format!("device {number}"),
            sealed: vec![1],
            now: at(10),
            until: at(until),
        };
        self.store.write(begin).await.unwrap();
    }

    async fn waits(&self, number: u8, now: i64) -> bool {
        let find = FindWaitingDevice {
            page_hash: [number + 100; 32],
            now: at(now),
        };
        self.store.read(find).await.unwrap().is_some()
    }

    async fn grant(&self, number: u8, account: &Account, now: i64) -> StoreResult<()> {
        let grant = GrantDevice {
            page_hash: [number + 100; 32],
            account: account.id,
            sealed: vec![2],
            now: at(now),
        };
        self.store.write(grant).await
    }

    async fn take(&self, number: u8, account: &Account, now: i64) -> StoreResult<()> {
        let take = TakeGrantedDevice {
            poll_hash: [number; 32],
            token: token(number, account, now),
        };
        self.store.write(take).await.map(drop)
    }
}

fn token(number: u8, account: &Account, now: i64) -> CreateToken {
    CreateToken {
        account: account.id,
        hash: [number; 32],
        label: "l".to_owned(),
        is_read_only: false,
        expires_at: None,
        now: at(now),
    }
}

#[track_caller]
fn assert_not_found(result: &StoreResult<()>) {
    assert!(
        matches!(result, Err(StoreError::Refused(Refusal::NotFound))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_name_wins_over_an_address_and_a_shared_address_means_nobody() {
    let on = Fixture::new().await;
    on.account("zoe", Some("Zoe@Example.org")).await;
    on.account("two@example.org", None).await;
    on.account("thief", Some("two@example.org")).await;
    on.account("a", Some("team@example.org")).await;
    let gone = on.account("b", Some("TEAM@example.org")).await;

    assert_eq!(on.login("zoe").await.as_deref(), Some("zoe"));
    assert_eq!(on.login("zoE@example.Org").await.as_deref(), Some("zoe"));
    let own = on.login("two@example.org").await;
    assert_eq!(own.as_deref(), Some("two@example.org"));
    assert_eq!(on.login("team@example.org").await, None);
    assert_eq!(on.login("nobody@example.org").await, None);

    let delete = DeleteAccount {
        id: gone.id,
        hand_to: None,
        now: at(2),
        purge_at: at(3),
    };
    on.store.write(delete).await.unwrap();
    assert_eq!(on.login("team@example.org").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn people_are_found_by_a_part_of_their_name() {
    let on = Fixture::new().await;
    for name in ["zoe", "zo%", "ana", "joe_z"] {
        on.account(name, None).await;
    }
    let search = async |text: &str, offset, limit| {
        let search = SearchAccounts {
            text: text.to_owned(),
            offset,
            limit,
        };
        let found = on.store.read(search).await.unwrap();
        found
            .into_iter()
            .map(|account| account.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(search("", 0, 10).await.len(), 4);
    assert_eq!(search("oe", 0, 10).await, ["joe_z", "zoe"]);
    assert_eq!(search("%", 0, 10).await, ["zo%"]);
    assert_eq!(search("_", 0, 10).await, ["joe_z"]);
    assert_eq!(search("oe", 1, 10).await, ["zoe"]);
    assert_eq!(search("", 0, 1).await, ["ana"]);
}

#[tokio::test]
async fn a_session_lasts_until_it_ends_or_its_account_changes() {
    let on = Fixture::new().await;
    let (zoe, ana) = (on.account("zoe", None).await, on.account("ana", None).await);
    on.sign_in(1, &zoe, 100).await.unwrap();
    on.sign_in(2, &ana, 100).await.unwrap();
    on.sign_in(3, &zoe, 50).await.unwrap();

    let touch = TouchSession {
        hash: [1; 32],
        now: at(20),
        until: at(200),
    };
    on.store.write(touch).await.unwrap();
    let find = FindSession { hash: [1; 32] };
    let found = on.store.read(find).await.unwrap().unwrap();
    assert_eq!((found.used_at, found.until), (at(20), at(200)));
    assert_eq!((found.created_at, found.account.id), (at(10), zoe.id));

    on.store.write(SweepSignIns { now: at(60) }).await.unwrap();
    assert!(on.has_session(1).await && on.has_session(2).await);
    assert!(!on.has_session(3).await);

    let password = SetPassword {
        id: zoe.id,
        password_hash: "x".to_owned(),
        now: at(70),
    };
    on.store.write(password).await.unwrap();
    assert!(!on.has_session(1).await && on.has_session(2).await);
    // The former password was found right just before.
    let late = BeginSession {
        hash: [9; 32],
        account: zoe.id,
        changed_at: zoe.changed_at,
        agent: String::new(),
        now: at(70),
        until: at(100),
    };
    assert_not_found(&on.store.write(late).await);
    on.store.write(EndSession { hash: [2; 32] }).await.unwrap();
    assert!(!on.has_session(2).await);

    on.sign_in(4, &ana, 100).await.unwrap();
    let disable = |disabled| SetDisabled {
        id: ana.id,
        disabled,
        now: at(80),
    };
    on.store.write(disable(true)).await.unwrap();
    assert!(!on.has_session(4).await);
    assert_not_found(&on.sign_in(5, &ana, 100).await);
    on.store.write(disable(false)).await.unwrap();
    on.sign_in(5, &ana, 100).await.unwrap();
}

#[tokio::test]
async fn a_device_is_let_in_once_and_in_time() {
    let on = Fixture::new().await;
    let zoe = on.account("zoe", None).await;
    on.wait(1, 100).await;
    assert!(on.waits(1, 99).await && !on.waits(1, 100).await && !on.waits(2, 10).await);
    assert_not_found(&on.take(1, &zoe, 20).await);
    assert_not_found(&on.grant(1, &zoe, 100).await);

    on.grant(1, &zoe, 20).await.unwrap();
    assert!(!on.waits(1, 20).await);
    assert_not_found(&on.grant(1, &zoe, 20).await);
    let find = |now| FindGrantedDevice {
        poll_hash: [1; 32],
        now: at(now),
    };
    let granted = on.store.read(find(20)).await.unwrap().unwrap();
    assert_eq!(
        (granted.device.as_str(), granted.name.as_str()),
        ("device 1", "zoe")
    );
    assert_eq!((granted.account, granted.sealed), (zoe.id, vec![2]));
    assert!(on.store.read(find(100)).await.unwrap().is_none());
    on.take(1, &zoe, 30).await.unwrap();
    assert_not_found(&on.take(1, &zoe, 30).await);
    let tokens = on.store.read(ListTokens { account: zoe.id }).await.unwrap();
    assert_eq!(tokens.len(), 1);

    // Refused, too late, or by somebody who may not sign in any more.
    on.wait(2, 100).await;
    let deny = DenyDevice {
        page_hash: [102; 32],
    };
    on.store.write(deny).await.unwrap();
    assert_not_found(&on.grant(2, &zoe, 20).await);
    on.wait(3, 100).await;
    on.grant(3, &zoe, 20).await.unwrap();
    assert_not_found(&on.take(3, &zoe, 100).await);
    let disable = SetDisabled {
        id: zoe.id,
        disabled: true,
        now: at(30),
    };
    on.store.write(disable).await.unwrap();
    assert_not_found(&on.take(3, &zoe, 30).await);
    on.wait(4, 100).await;
    on.store.write(SweepSignIns { now: at(100) }).await.unwrap();
    assert!(!on.waits(4, 50).await);
}

#[tokio::test]
async fn a_device_is_asked_to_delete_its_files_until_it_says_that_it_has() {
    let on = Fixture::new().await;
    let (zoe, ana) = (on.account("zoe", None).await, on.account("ana", None).await);
    let id = on.store.write(token(1, &zoe, 5)).await.unwrap();
    let note = |now| NoteWiped {
        hash: [1; 32],
        now: at(now),
    };
    assert!(
        !on.store.write(note(6)).await.unwrap(),
        "nobody asked it to"
    );
    let wipe = |account: &Account, now| WipeToken {
        account: account.id,
        token: id,
        now: at(now),
    };
    assert_not_found(&on.store.write(wipe(&ana, 7)).await);
    on.store.write(wipe(&zoe, 7)).await.unwrap();
    on.store.write(wipe(&zoe, 8)).await.unwrap();
    let find = FindToken { hash: [1; 32] };
    let (found, account) = on.store.read(find.clone()).await.unwrap().unwrap();
    assert_eq!(
        (found.wipe_at, found.revoked_at),
        (Some(at(7)), Some(at(7)))
    );
    assert!(found.wiped_at.is_none() && account.changed_at > zoe.changed_at);

    assert!(on.store.write(note(9)).await.unwrap());
    assert!(!on.store.write(note(10)).await.unwrap());
    let (found, _) = on.store.read(find).await.unwrap().unwrap();
    assert_eq!(found.wiped_at, Some(at(9)));
}

#[tokio::test]
async fn somebody_belongs_to_the_groups_that_are_not_deleted() {
    let on = Fixture::new().await;
    let zoe = on.account("zoe", None).await;
    let mut teams = Vec::new();
    for name in ["maths", "arts", "gone"] {
        let create = CreateTeam {
            name: name.to_owned(),
            fold: name.to_owned(),
            quota: Quota::Default,
            now: at(1),
        };
        let team = on.store.write(create).await.unwrap();
        let set = SetMember {
            team,
            account: zoe.id,
            role: Role::Member,
        };
        on.store.write(set).await.unwrap();
        teams.push(team);
    }
    let delete = DeleteTeam {
        team: teams[2],
        purge_at: at(9),
    };
    on.store.write(delete).await.unwrap();
    let names = on.store.read(ListTeamsOf(zoe.id)).await.unwrap();
    assert_eq!(names, ["arts", "maths"]);
}
