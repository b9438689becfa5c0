//! Do accounts, credentials and the throttle keep their promises, on a real database?

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::clock::Clock;
use crate::identity::AccountState;
use crate::identity::Caller;
use crate::identity::Identity;
use crate::identity::NewAccount;
use crate::identity::NewToken;
use crate::identity::Quota;
use crate::identity::Role;
use crate::identity::error::AdminError;
use crate::identity::error::IdentityError;
use crate::identity::secret::Secret;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::FinishPurge;
use crate::store::metadata::accounts::ListPurgeable;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "192.0.2.2";
const DAY: i64 = 24 * 3600;

/// A data folder, and a clock that a test moves.
struct World {
    folder: Arc<TempDir>,
}

/// One process on it.
struct Process {
    identity: Identity,
    store: Arc<MetadataStore>,
    /// Deleted with the last process.
    _folder: Arc<TempDir>,
}

impl World {
    fn new() -> Self {
        Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
        }
    }

    fn clock_file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    fn move_clock(&self, seconds: i64) {
        std::fs::write(self.clock_file(), seconds.to_string()).unwrap();
    }

    fn process(&self) -> Process {
        let settings = SqliteSettings {
            readers: 2,
            cache_bytes: 1 << 20,
        };
        let database = self.folder.path().join("metadata.db");
        let store = Arc::new(MetadataStore::open_sqlite(&database, settings).unwrap());
        let clock = Clock::moved_by_file(self.clock_file());
        Process {
            identity: Identity::new(Arc::clone(&store), clock, &[7; 32]),
            store,
            _folder: Arc::clone(&self.folder),
        }
    }
}

impl Process {
    async fn create(&self, name: &str, password: &str) {
        self.identity
            .create_account(&NewAccount {
                name,
                password: &Secret::new(password.to_owned()),
                display_name: None,
                email: None,
                is_admin: false,
                quota: Quota::Default,
            })
            .await
            .unwrap();
    }

    async fn token(&self, account: &str, valid_seconds: Option<i64>) -> String {
        let new = NewToken {
            account,
            label: "laptop",
            is_read_only: true,
            valid_seconds,
        };
        let (_, text) = self.identity.create_token(&new).await.unwrap();
        text.reveal().to_owned()
    }

    async fn enter(&self, name: &str, secret: &str) -> Result<Caller, IdentityError> {
        self.enter_from(HERE, name, secret).await
    }

    async fn enter_from(
        &self,
        address: &str,
        name: &str,
        secret: &str,
    ) -> Result<Caller, IdentityError> {
        let address: IpAddr = address.parse().unwrap();
        self.identity
            .authenticate_basic(name, secret, address)
            .await
    }

    async fn guess_wrong(&self, name: &str, times: usize) {
        for _ in 0..times {
            assert_refused(&self.enter(name, "wrong").await);
        }
    }
}

fn assert_refused(result: &Result<Caller, IdentityError>) {
    assert!(
        matches!(result, Err(IdentityError::Unauthenticated)),
        "{result:?}"
    );
}

fn assert_throttled(result: &Result<Caller, IdentityError>, seconds: u64) {
    match result {
        Err(IdentityError::Throttled {
            retry_after_seconds,
        }) => {
            let expected = seconds.saturating_sub(4)..=seconds;
            assert!(expected.contains(retry_after_seconds), "{result:?}");
        }
        _ => panic!("not throttled: {result:?}"),
    }
}

/// Reads `kind, seq, tree_seq` of what has no parent in a space.
struct ReadTops(SpaceId);

impl Operation for ReadTops {
    type Output = Vec<(i64, i64, i64)>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Self::Output> {
        tx.rows(
            "SELECT n.kind, n.seq, n.tree_seq FROM node n JOIN space s ON s.id = n.space_id \
             WHERE s.id = $1 AND n.parent_id IS NULL AND n.id IN (s.root_id, s.trash_id) \
             AND s.seq = 2 AND s.state = 0 ORDER BY n.seq",
            &[self.0.0.into()],
            |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)),
        )
        .await
    }
}

#[tokio::test]
async fn only_the_first_start_creates_an_administrator() {
    let server = World::new().process();
    let (name, password) = server
        .identity
        .create_first_admin_if_empty()
        .await
        .unwrap()
        .unwrap();
    let caller = server.enter(&name, password.reveal()).await.unwrap();
    assert!(caller.is_admin && !caller.is_read_only && caller.token.is_none());

    let again = server.identity.create_first_admin_if_empty().await.unwrap();
    assert_eq!(again, None);
}

#[tokio::test]
async fn an_account_is_born_with_an_empty_home() {
    let server = World::new().process();
    server.create("Ana", "secret").await;

    let account = server.identity.find_account("ana").await.unwrap();
    assert_eq!(account.name, "Ana");
    assert_eq!(account.home_use.quota, Quota::Default);
    assert_eq!(
        (account.home_use.used_bytes, account.home_use.files),
        (0, 0)
    );
    let tops = server.store.read(ReadTops(account.home)).await.unwrap();
    assert_eq!(tops, [(0, 1, 1), (0, 2, 2)]);
}

#[tokio::test]
async fn a_name_is_taken_in_every_case() {
    let server = World::new().process();
    server.create("Zoé", "secret").await;
    let twin = NewAccount {
        name: "ZOÉ",
        password: &Secret::new("other".to_owned()),
        display_name: None,
        email: None,
        is_admin: false,
        quota: Quota::Default,
    };
    let refused = server.identity.create_account(&twin).await;
    assert!(matches!(refused, Err(AdminError::AccountExists { .. })));

    let caller = server.enter("zoé", "secret").await.unwrap();
    assert_eq!(&*caller.name, "Zoé");
    assert_refused(&server.enter("zoé", "other").await);
    assert_refused(&server.enter("zoe", "secret").await);
    assert_refused(&server.enter("zo:e", "secret").await);
}

#[tokio::test]
async fn a_request_with_a_verified_password_asks_nobody() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    server.enter("ana", "secret").await.unwrap();

    server.store.close();
    server.enter("ana", "secret").await.unwrap();
    let unknown = server.enter("ana", "secret ").await;
    assert!(matches!(unknown, Err(IdentityError::Unavailable(_))));
}

#[tokio::test]
async fn a_disabled_account_is_out_at_the_next_request() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    let token = server.token("ana", None).await;
    server.enter("ana", "secret").await.unwrap();
    server.enter("ana", &token).await.unwrap();

    server.identity.set_disabled("ana", true).await.unwrap();
    assert_refused(&server.enter("ana", "secret").await);
    assert_refused(&server.enter("ana", &token).await);

    server.identity.set_disabled("ana", false).await.unwrap();
    server.enter("ana", "secret").await.unwrap();
    server.enter("ana", &token).await.unwrap();
}

#[tokio::test]
async fn what_a_command_changes_is_noticed_and_the_rest_stays_verified() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    server.create("ben", "secret").await;
    server.identity.forget_changed().await.unwrap();
    server.enter("ana", "secret").await.unwrap();
    server.enter("ben", "secret").await.unwrap();

    let command = world.process();
    command.identity.set_disabled("ana", true).await.unwrap();
    server.identity.forget_changed().await.unwrap();
    assert_refused(&server.enter("ana", "secret").await);

    server.store.close();
    server.enter("ben", "secret").await.unwrap();
}

#[tokio::test]
async fn nothing_stays_verified_when_the_database_cannot_be_asked() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    server.enter("ana", "secret").await.unwrap();

    server.store.close();
    assert!(server.identity.forget_changed().await.is_err());
    let answer = server.enter("ana", "secret").await;
    assert!(matches!(answer, Err(IdentityError::Unavailable(_))));
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_and_what_it_verified() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    server.enter("ana", "secret").await.unwrap();

    let command = world.process();
    let new = Secret::new("new secret".to_owned());
    command.identity.set_password("ana", &new).await.unwrap();
    server.identity.forget_changed().await.unwrap();
    assert_refused(&server.enter("ana", "secret").await);
    server.enter("ana", "new secret").await.unwrap();
}

#[tokio::test]
async fn a_token_opens_its_own_account_with_its_own_rights() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    server.create("ben", "secret").await;
    let token = server.token("ana", None).await;

    let caller = server.enter("ANA", &token.to_uppercase()).await.unwrap();
    assert!(caller.is_read_only && caller.token.is_some());
    assert_refused(&server.enter("ben", &token).await);
}

#[tokio::test]
async fn a_token_ends_when_it_expires_or_is_revoked() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    let short = server.token("ana", Some(90 * DAY)).await;
    let long = server.token("ana", None).await;
    server.enter("ana", &short).await.unwrap();
    server.enter("ana", &long).await.unwrap();

    world.move_clock(90 * DAY + 1);
    assert_refused(&server.enter("ana", &short).await);
    server.enter("ana", &long).await.unwrap();

    let command = world.process();
    let tokens = command.identity.list_tokens("ana").await.unwrap();
    let id = tokens[1].id;
    command.identity.revoke_token("ana", id).await.unwrap();
    server.identity.forget_changed().await.unwrap();
    assert_refused(&server.enter("ana", &long).await);
    let again = command.identity.revoke_token("ana", id).await;
    assert!(matches!(again, Err(AdminError::NoSuchToken { .. })));
}

#[tokio::test]
async fn a_forgotten_device_with_an_ended_token_throttles_nobody() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    let token = server.token("ana", None).await;
    let id = server.identity.list_tokens("ana").await.unwrap()[0].id;
    server.identity.revoke_token("ana", id).await.unwrap();

    for _ in 0..50 {
        assert_refused(&server.enter("ana", &token).await);
    }
    server.enter("ana", "secret").await.unwrap();
}

#[tokio::test]
async fn the_use_of_a_token_is_noted() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    let token = server.token("ana", None).await;
    server.enter("ana", &token).await.unwrap();

    for _ in 0..100 {
        let tokens = server.identity.list_tokens("ana").await.unwrap();
        if tokens[0].used_at.is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the use was not noted within two seconds");
}

#[tokio::test]
async fn a_password_of_the_form_of_a_token_is_still_a_password() {
    let server = World::new().process();
    let password = "correcthorsebatterystaplegranite";
    assert_eq!(password.len(), 32);
    server.create("ana", password).await;
    server.enter("ana", password).await.unwrap();
}

#[tokio::test]
async fn ten_wrong_guesses_delay_the_pair_and_each_more_doubles_it() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    server.guess_wrong("ana", 9).await;
    assert_refused(&server.enter("ana", "wrong").await);
    assert_throttled(&server.enter("ana", "secret").await, 5);

    let mut moved = 0;
    for delay in [5, 10, 20, 40] {
        assert_throttled(&server.enter("ana", "wrong").await, delay);
        moved += i64::try_from(delay).unwrap();
        world.move_clock(moved);
        assert_refused(&server.enter("ana", "wrong").await);
    }
    world.move_clock(moved + 81);
    server.enter("ana", "secret").await.unwrap();
    server.guess_wrong("ana", 9).await;
    server.enter("ana", "secret").await.unwrap();
}

#[tokio::test]
async fn a_throttled_pair_delays_no_other_account_address_or_mount() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    server.create("ben", "secret").await;
    let token = server.token("ana", None).await;
    server.create("eve", "secret").await;
    server.enter("eve", "secret").await.unwrap();
    for name in ["ana", "eve", "nobody"] {
        server.guess_wrong(name, 10).await;
        assert_throttled(&server.enter(name, "wrong").await, 5);
    }

    server.enter_from(ELSEWHERE, "ana", "secret").await.unwrap();
    server.enter("ben", "secret").await.unwrap();
    server.enter("ana", &token).await.unwrap();
    server.enter("eve", "secret").await.unwrap();
}

#[tokio::test]
async fn servers_share_what_they_know_of_guessers() {
    let world = World::new();
    let one = world.process();
    let other = world.process();
    one.create("ana", "secret").await;
    one.guess_wrong("ana", 6).await;
    other.guess_wrong("ana", 4).await;

    assert_throttled(&one.enter("ana", "secret").await, 5);
    assert_throttled(&other.enter("ana", "secret").await, 5);
}

#[tokio::test]
async fn guesses_are_forgotten_after_ten_quiet_minutes_and_swept() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    server.guess_wrong("ana", 10).await;

    world.move_clock(606);
    server.guess_wrong("ana", 9).await;
    server.enter("ana", "secret").await.unwrap();
    server.guess_wrong("ana", 1).await;
    assert_eq!(server.identity.sweep_throttles().await.unwrap(), 0);
    world.move_clock(606 + 1201);
    assert_eq!(server.identity.sweep_throttles().await.unwrap(), 1);
}

#[tokio::test]
async fn parallel_guesses_get_no_more_tries_than_patient_ones() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    let guesses = (0..40).map(|_| server.enter("ana", "wrong"));
    let answers = futures_util::future::join_all(guesses).await;

    let looked_at = answers
        .iter()
        .filter(|answer| matches!(answer, Err(IdentityError::Unauthenticated)))
        .count();
    assert_eq!(looked_at, 10);
}

#[tokio::test]
async fn a_deleted_account_comes_back_within_thirty_days() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    let token = server.token("ana", None).await;
    let before = server.identity.find_account("ana").await.unwrap();
    server.enter("ana", "secret").await.unwrap();

    let identity = &server.identity;
    identity.delete_account("ana", None, None).await.unwrap();
    assert_refused(&server.enter("ana", "secret").await);
    assert!(identity.find_account("ana").await.is_err());
    let listed = identity.list_accounts().await.unwrap();
    assert_eq!(listed[0].state, AccountState::Deleted);

    world.move_clock(30 * DAY - 60);
    let after = identity.restore_account("ANA").await.unwrap();
    assert_eq!((after.id, after.home), (before.id, before.home));
    server.enter("ana", "secret").await.unwrap();
    assert_refused(&server.enter("ana", &token).await);
    let tops = server.store.read(ReadTops(after.home)).await.unwrap();
    assert_eq!(tops.len(), 2);
}

#[tokio::test]
async fn a_name_is_free_once_its_account_is_deleted() {
    let server = World::new().process();
    server.create("ana", "first").await;
    let first = server.identity.find_account("ana").await.unwrap();
    let identity = &server.identity;
    identity.delete_account("ana", None, None).await.unwrap();
    server.create("Ana", "second").await;
    assert_ne!(identity.find_account("ana").await.unwrap().id, first.id);
    assert_refused(&server.enter("ana", "first").await);

    let taken = identity.restore_account("ana").await;
    assert!(matches!(taken, Err(AdminError::AccountExists { .. })));
}

#[tokio::test]
async fn an_archive_is_purged_when_its_time_is_over_and_not_before() {
    let world = World::new();
    let server = world.process();
    server.create("ana", "secret").await;
    let home = server.identity.find_account("ana").await.unwrap().home;
    let identity = &server.identity;
    identity.delete_account("ana", None, None).await.unwrap();
    let team = identity.create_team("Old", Quota::Default).await.unwrap();
    identity
        .set_member("old", "ana", Role::Reader)
        .await
        .unwrap_err();
    identity.delete_team("old").await.unwrap();

    let clock = identity.clock.clone();
    let due = ListPurgeable {
        now: clock.now(),
        limit: 10,
    };
    assert_eq!(server.store.read(due).await.unwrap(), []);
    let early = FinishPurge {
        space: home,
        now: clock.now(),
    };
    let refused = server.store.write(early).await;
    assert!(matches!(
        refused,
        Err(StoreError::Refused(Refusal::NotFound))
    ));

    world.move_clock(30 * DAY + 1);
    let gone = identity.restore_account("ana").await;
    assert!(matches!(gone, Err(AdminError::NotRestorable { .. })));
    let due = ListPurgeable {
        now: clock.now(),
        limit: 10,
    };
    let spaces = server.store.read(due).await.unwrap();
    assert_eq!(spaces.len(), 2);
    assert!(spaces.contains(&home), "{team:?}");
    for space in spaces {
        let now = clock.now();
        server
            .store
            .write(FinishPurge { space, now })
            .await
            .unwrap();
    }
    assert!(identity.list_accounts().await.unwrap().is_empty());
    assert!(
        identity
            .find_deleted_account("ana")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_group_has_members_with_roles_and_a_space_of_its_own() {
    let server = World::new().process();
    let identity = &server.identity;
    server.create("ana", "secret").await;
    server.create("Ben", "secret").await;
    identity
        .create_team("Physics", Quota::Bytes(5))
        .await
        .unwrap();
    let twin = identity.create_team("PHYSICS", Quota::Default).await;
    assert!(matches!(twin, Err(AdminError::TeamExists { .. })));

    identity
        .set_member("physics", "ana", Role::Reader)
        .await
        .unwrap();
    identity
        .set_member("physics", "ben", Role::Member)
        .await
        .unwrap();
    identity
        .set_member("physics", "ana", Role::Manager)
        .await
        .unwrap();
    let team = identity.find_team("physics").await.unwrap();
    assert_eq!((team.members, team.space_use.quota), (2, Quota::Bytes(5)));
    let members = identity.list_members(team.id).await.unwrap();
    let roles: Vec<_> = members
        .iter()
        .map(|who| (who.name.as_str(), who.role))
        .collect();
    assert_eq!(roles, [("ana", Role::Manager), ("Ben", Role::Member)]);
    let tops = server.store.read(ReadTops(team.space)).await.unwrap();
    assert_eq!(tops.len(), 2);

    identity.remove_member("physics", "ben").await.unwrap();
    let again = identity.remove_member("physics", "ben").await;
    assert!(matches!(again, Err(AdminError::NotAMember { .. })));
    identity.delete_team("physics").await.unwrap();
    assert!(identity.find_team("physics").await.is_err());
    assert!(identity.list_teams().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_quota_is_what_was_set_last() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    let home = server.identity.find_account("ana").await.unwrap().home;
    for quota in [
        Quota::Bytes(0),
        Quota::Unlimited,
        Quota::Default,
        Quota::Bytes(100),
    ] {
        server.identity.set_quota(home, quota).await.unwrap();
        assert_eq!(server.identity.space_use(home).await.unwrap().quota, quota);
    }
    let nowhere = server.identity.set_quota(SpaceId(99), Quota::Default).await;
    assert!(nowhere.is_err());
}

#[tokio::test]
async fn passwords_that_nobody_could_type_are_refused() {
    let server = World::new().process();
    server.create("ana", "secret").await;
    for password in ["", "a\nb", &"x".repeat(300)] {
        let password = Secret::new(password.to_owned());
        let refused = server.identity.set_password("ana", &password).await;
        assert!(matches!(refused, Err(AdminError::BadText { .. })));
    }
    assert_refused(&server.enter("ana", &"x".repeat(100_000)).await);
}
