//! Several servers on one database: which start, which are refused, and with what words.

use std::path::Path;

use crate::app::App;
use crate::app::AppError;
use crate::app::Expectation;
use crate::app::Ground;
use crate::clock::Clock;
use crate::config::Settings;
use crate::identity::NewAccount;
use crate::identity::NewToken;
use crate::identity::Quota;
use crate::identity::secret::Secret;
use crate::store::folder::DataFolder;
use crate::store::metadata::postgres::test_server::database;

fn settings(text: &str) -> Settings {
    Settings::parse(text, std::iter::empty()).unwrap()
}

fn on_postgres(url: &str, more: &str) -> Settings {
    settings(&format!(
        "metadata = \"{url}\"\n{more}\n[postgres]\nconnections = 4\n"
    ))
}

async fn open(
    path: &Path,
    settings: &Settings,
    expectation: Expectation,
) -> Result<Ground, AppError> {
    let folder = DataFolder::new(path.to_owned());
    Ground::open(folder, settings, Clock::system(), expectation).await
}

async fn begin(path: &Path, settings: &Settings) -> Result<Ground, AppError> {
    open(path, settings, Expectation::MayBegin).await
}

fn refusal<T>(result: Result<T, AppError>) -> String {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_one_secret_begin_an_installation_together() {
    let url = database().await;
    let root = tempfile::tempdir().unwrap();
    let secret = root.path().join("shared.key");
    std::fs::write(&secret, "5a".repeat(32)).unwrap();
    let settings = on_postgres(&url, &format!("secret_file = \"{}\"", secret.display()));
    let start = |name: &str| {
        let (path, settings) = (root.path().join(name), settings.clone());
        tokio::spawn(async move {
            let ground = begin(&path, &settings).await.unwrap();
            let admin = ground.identity.create_first_admin_if_empty().await.unwrap();
            (ground, admin)
        })
    };
    let started = [start("a"), start("b"), start("c")];
    let mut admins = 0;
    for task in started {
        let (ground, admin) = task.await.unwrap();
        admins += u32::from(admin.is_some());
        assert!(ground.identity.find_account("admin").await.is_ok());
    }
    assert_eq!(admins, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_secret_is_refused_and_leaves_no_file() {
    let url = database().await;
    let root = tempfile::tempdir().unwrap();
    let settings = on_postgres(&url, "");
    let nothing = open(&root.path().join("x"), &settings, Expectation::Exists).await;
    assert!(refusal(nothing).contains("holds no installation"));

    let first = begin(&root.path().join("a"), &settings).await.unwrap();
    let stranger = root.path().join("b");
    let refused = refusal(begin(&stranger, &settings).await);
    assert!(refused.contains("copy it from another server"), "{refused}");
    assert!(!stranger.join("secret.key").exists(), "none was drawn");

    std::fs::write(stranger.join("secret.key"), "00".repeat(32)).unwrap();
    let refused = refusal(begin(&stranger, &settings).await);
    assert!(
        refused.contains("several servers need the same one"),
        "{refused}"
    );
    std::fs::copy(first.folder.secret(), stranger.join("secret.key")).unwrap();
    begin(&stranger, &settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_is_refused_where_not_both_stores_are_shared() {
    let url = database().await;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("embedded");
    for settings in [settings(""), on_postgres(&url, "")] {
        let first = begin(&path, &settings).await.unwrap();
        let app = App::build(first, &settings).await.unwrap();
        let second = begin(&path, &settings).await.unwrap();
        let refused = refusal(App::build(second, &settings).await);
        for words in [
            "another process is using",
            "chunks",
            "one server",
            "s3://",
            "migrate",
        ] {
            assert!(refused.contains(words), "{words} is not in: {refused}");
        }
        tokio::task::block_in_place(|| app.close());
        drop(app);
        let next = begin(&path, &settings).await.unwrap();
        let app = App::build(next, &settings).await.unwrap();
        tokio::task::block_in_place(|| app.close());
    }

    // The same database and another folder: only the database can tell.
    let settings = on_postgres(&url, "");
    let first = begin(&path, &settings).await.unwrap();
    let app = App::build(first, &settings).await.unwrap();
    let elsewhere = root.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::copy(path.join("secret.key"), elsewhere.join("secret.key")).unwrap();
    let second = begin(&elsewhere, &settings).await.unwrap();
    let refused = refusal(App::build(second, &settings).await);
    assert!(
        refused.contains("also with metadata on PostgreSQL"),
        "{refused}"
    );
    tokio::task::block_in_place(|| app.close());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_changes_of_accounts_holds_on_another() {
    let url = database().await;
    let root = tempfile::tempdir().unwrap();
    let settings = on_postgres(&url, "");
    let one = begin(root.path(), &settings).await.unwrap();
    let two = begin(root.path(), &settings).await.unwrap();
    let password = Secret::random_password();
    let ana = NewAccount {
        name: "ana",
        password: &password,
        display_name: None,
        email: None,
        is_admin: false,
        quota: Quota::Default,
    };
    one.identity.create_account(&ana).await.unwrap();
    let address = "192.0.2.1".parse().unwrap();
    let sign_in = |secret: String| {
        let two = &two;
        async move {
            two.identity.forget_changed().await.unwrap();
            two.identity
                .authenticate_basic("ana", &secret, address)
                .await
        }
    };
    let right = password.reveal().to_owned();
    sign_in(right.clone()).await.unwrap();
    sign_in(right.clone()).await.unwrap();

    one.identity.set_disabled("ana", true).await.unwrap();
    assert!(sign_in(right.clone()).await.is_err(), "disabled elsewhere");
    one.identity.set_disabled("ana", false).await.unwrap();
    sign_in(right.clone()).await.unwrap();
    let next = Secret::random_password();
    one.identity.set_password("ana", &next).await.unwrap();
    assert!(sign_in(right).await.is_err(), "the former password");
    sign_in(next.reveal().to_owned()).await.unwrap();

    let laptop = NewToken {
        account: "ana",
        label: "laptop",
        is_read_only: false,
        valid_seconds: None,
    };
    let (token, secret) = one.identity.create_token(&laptop).await.unwrap();
    sign_in(secret.reveal().to_owned()).await.unwrap();
    one.identity.revoke_token("ana", token).await.unwrap();
    assert!(
        sign_in(secret.reveal().to_owned()).await.is_err(),
        "revoked"
    );

    // Guesses at one server count at the other.
    for _ in 0..12 {
        drop(
            one.identity
                .authenticate_basic("ana", "wrong", address)
                .await,
        );
    }
    let fresh = sign_in("another guess".to_owned()).await.unwrap_err();
    assert!(fresh.to_string().contains("too many"), "{fresh}");
}
