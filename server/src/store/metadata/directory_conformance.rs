//! What every engine must do alike when people look for people: one suite, run on each.

use crate::clock::Timestamp;
use crate::store::metadata::MetadataStore;
use crate::store::metadata::accounts::Account;
use crate::store::metadata::accounts::CreateAccount;
use crate::store::metadata::accounts::DeleteAccount;
use crate::store::metadata::accounts::FinishPurge;
use crate::store::metadata::accounts::Quota;
use crate::store::metadata::accounts::RestoreAccount;
use crate::store::metadata::accounts::SetDisabled;
use crate::store::metadata::accounts::directory::FindExactly;
use crate::store::metadata::accounts::directory::FindPeople;
use crate::store::metadata::accounts::directory::FindTeams;
use crate::store::metadata::accounts::directory::ListColleagues;
use crate::store::metadata::accounts::directory::NamesQuestion;
use crate::store::metadata::accounts::directory::Scope;
use crate::store::metadata::accounts::names::IndexNames;
use crate::store::metadata::accounts::names::words_of;
use crate::store::metadata::accounts::teams::CreateTeam;
use crate::store::metadata::accounts::teams::DeleteTeam;
use crate::store::metadata::accounts::teams::Role;
use crate::store::metadata::accounts::teams::SetMember;
use crate::store::metadata::accounts::teams::TeamId;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::records::UserId;
use crate::store::metadata::testing::Home;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

const NOBODY: UserId = UserId(0);

struct Fixture {
    store: MetadataStore,
    _home: Home,
}

/// Makes a database as a server of the release before leaves it: nobody has words.
struct ForgetWords;

impl Operation for ForgetWords {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        for sql in [
            "DELETE FROM name_word",
            "UPDATE account SET worded = 0",
            "UPDATE team SET worded = 0",
        ] {
            tx.perform(sql, &[]).await?;
        }
        Ok(())
    }
}

struct CountWords;

impl Operation for CountWords {
    type Output = i64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<i64> {
        let count = "SELECT COUNT(*) FROM name_word";
        Ok(tx.row(count, &[], |row| row.int(0)).await?.unwrap_or(-1))
    }
}

impl Fixture {
    async fn new() -> Self {
        let home = Home::of(module_path!()).await;
        Self {
            store: home.open().await,
            _home: home,
        }
    }

    async fn person(&self, name: &str, display_name: &str, email: Option<&str>) -> Account {
        let create = CreateAccount {
            name: name.to_owned(),
            fold: name.to_lowercase(),
            display_name: display_name.to_owned(),
            email: email.map(str::to_owned),
            password_hash: None,
            is_admin: false,
            quota: Quota::Default,
            now: Timestamp(1),
        };
        self.store.write(create).await.unwrap()
    }

    async fn team(&self, name: &str, members: &[UserId]) -> TeamId {
        let create = CreateTeam {
            name: name.to_owned(),
            fold: name.to_lowercase(),
            quota: Quota::Default,
            now: Timestamp(1),
        };
        let team = self.store.write(create).await.unwrap();
        for account in members {
            let set = SetMember {
                team,
                account: *account,
                role: Role::Member,
            };
            self.store.write(set).await.unwrap();
        }
        team
    }

    async fn disable(&self, account: &Account, disabled: bool) {
        let set = SetDisabled {
            id: account.id,
            disabled,
            now: Timestamp(2),
        };
        self.store.write(set).await.unwrap();
    }

    async fn page(&self, question: NamesQuestion) -> (Vec<String>, bool) {
        let page = self.store.read(FindPeople(question)).await.unwrap();
        let names = page.found.into_iter().map(|person| person.name);
        (names.collect(), page.has_more)
    }

    async fn find(&self, text: &str) -> Vec<String> {
        self.page(question(text)).await.0
    }

    async fn find_for(&self, asker: &Account, text: &str) -> Vec<String> {
        let own = NamesQuestion {
            asker: asker.id,
            scope: Scope::OwnGroups,
            ..question(text)
        };
        self.page(own).await.0
    }

    async fn teams(&self, question: NamesQuestion) -> Vec<String> {
        let page = self.store.read(FindTeams(question)).await.unwrap();
        page.found.into_iter().map(|team| team.name).collect()
    }

    async fn exactly(&self, text: &str, asker: UserId, scope: Scope) -> (Vec<String>, bool) {
        let find = FindExactly {
            fold: text.to_lowercase(),
            email: text.to_lowercase(),
            asker,
            scope,
        };
        let (people, team) = self.store.read(find).await.unwrap();
        let names = people.into_iter().map(|person| person.name);
        (names.collect(), team.is_some())
    }
}

fn question(text: &str) -> NamesQuestion {
    NamesQuestion {
        words: words_of(text),
        asker: NOBODY,
        scope: Scope::All,
        offset: 0,
        limit: 10,
    }
}

#[tokio::test]
async fn people_are_found_by_beginnings_of_words_in_any_order() {
    let on = Fixture::new().await;
    on.person("cdupont", "Camille Dupont", Some("c.dupond@example.org"))
        .await;
    on.person("eloise.l", "Éloïse Lefèvre-Roy", None).await;
    on.person("jb", "Jean-Baptiste Poquelin", Some("moliere@example.org"))
        .await;
    on.person("li", "Li Œuvré", None).await;

    for (text, names) in [
        ("dup cam", vec!["cdupont"]),
        ("CAMILLE DUPONT", vec!["cdupont"]),
        ("elo", vec!["eloise.l"]),
        ("ÉLOÏ", vec!["eloise.l"]),
        ("e\u{301}loise", vec!["eloise.l"]),
        ("lefevre elo", vec!["eloise.l"]),
        ("roy", vec!["eloise.l"]),
        ("lefevreroy", vec!["eloise.l"]),
        ("jeanb", vec!["jb"]),
        ("jean-bap poq", vec!["jb"]),
        ("moliere", vec!["jb"]),
        ("dupond", vec!["cdupont"]),
        ("oeuvre", vec!["li"]),
        ("œ", vec!["li"]),
        ("cdup", vec!["cdupont"]),
        ("cdupo", vec!["cdupont"]),
        // A middle of a word, another domain, one word too many, nothing at all.
        ("upont", vec![]),
        ("example", vec![]),
        ("dup cam x", vec![]),
        ("%", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(on.find(text).await, names, "{text}");
    }
}

#[tokio::test]
async fn whole_words_come_first_then_beginnings_in_the_order_of_names() {
    let on = Fixture::new().await;
    on.person("1", "Zoé Martin", None).await;
    on.person("2", "Ana Martineau", None).await;
    on.person("3", "Béa Martin", None).await;
    on.person("4", "Élodie Martinez", None).await;
    on.person("5", "Martin Mar", None).await;
    on.person("6", "Carla Marty", None).await;

    assert_eq!(on.find("martin").await, ["3", "5", "1", "2", "4"]);
    assert_eq!(on.find("mar").await, ["5", "2", "3", "6", "4", "1"]);
    assert_eq!(on.find("m").await, ["2", "3", "6", "4", "5", "1"]);
    assert_eq!(on.find("m e").await, ["4"]);

    let mut turned = Vec::new();
    for offset in (0..8).step_by(2) {
        let page = NamesQuestion {
            offset,
            limit: 2,
            ..question("martin")
        };
        let (names, has_more) = on.page(page).await;
        assert_eq!(has_more, offset < 4, "{offset}");
        turned.extend(names);
    }
    assert_eq!(turned, ["3", "5", "1", "2", "4"]);
}

#[tokio::test]
async fn nobody_finds_themselves_or_whoever_may_not_sign_in() {
    let on = Fixture::new().await;
    let ana = on.person("ana", "Ana", Some("Ana@example.org")).await;
    let anton = on.person("anton", "Anton", None).await;
    let all = ["ana", "anton"];
    assert_eq!(on.find("an").await, all);
    let own = NamesQuestion {
        asker: ana.id,
        ..question("an")
    };
    assert_eq!(on.page(own).await.0, ["anton"]);
    let exact = on.exactly("ANA@example.org", NOBODY, Scope::All).await;
    assert_eq!(exact.0, ["ana"]);
    let exact = on.exactly("ana", ana.id, Scope::All).await;
    assert_eq!(exact.0, Vec::<String>::new());

    on.disable(&ana, true).await;
    assert_eq!(on.find("an").await, ["anton"]);
    let exact = on.exactly("ana", NOBODY, Scope::All).await;
    assert_eq!(exact.0, Vec::<String>::new());
    on.disable(&ana, false).await;
    on.disable(&ana, false).await;
    assert_eq!(on.find("an").await, all);

    let delete = DeleteAccount {
        id: anton.id,
        hand_to: None,
        now: Timestamp(3),
        purge_at: Timestamp(10),
    };
    on.store.write(delete.clone()).await.unwrap();
    assert_eq!(on.find("an").await, ["ana"]);
    let restore = RestoreAccount {
        fold: "anton".to_owned(),
        now: Timestamp(4),
    };
    on.store.write(restore).await.unwrap();
    assert_eq!(on.find("an").await, all);

    on.store.write(delete).await.unwrap();
    let before = on.store.read(CountWords).await.unwrap();
    let purge = FinishPurge {
        space: anton.home,
        now: Timestamp(10),
    };
    on.store.write(purge).await.unwrap();
    assert_eq!(on.store.read(CountWords).await.unwrap(), before);
    on.disable(&ana, true).await;
    assert_eq!(on.store.read(CountWords).await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_shares_no_group_is_hidden_where_groups_decide() {
    let on = Fixture::new().await;
    let ana = on.person("ana", "Ana Durand", None).await;
    let bob = on.person("bob", "Bob Durand", None).await;
    let cid = on.person("cid", "Cid Durand", None).await;
    let dan = on.person("dan", "Dan Durand", None).await;
    on.team("Maths", &[ana.id, bob.id]).await;
    let arts = on.team("Arts plastiques", &[ana.id, cid.id, bob.id]).await;
    on.team("Musique", &[dan.id]).await;

    for text in ["d", "durand", "durand b", "b durand"] {
        let expected: &[&str] = if text.contains('b') {
            &["bob"]
        } else {
            &["bob", "cid"]
        };
        assert_eq!(on.find_for(&ana, text).await, expected, "{text}");
    }
    assert_eq!(on.find_for(&dan, "durand").await, Vec::<String>::new());
    let exact = async |text, asker| on.exactly(text, asker, Scope::OwnGroups).await;
    assert_eq!(exact("cid", ana.id).await.0, ["cid"]);
    assert_eq!(exact("dan", ana.id).await.0, Vec::<String>::new());
    assert!(exact("maths", ana.id).await.1);
    assert!(!exact("maths", dan.id).await.1);
    assert!(on.exactly("maths", dan.id, Scope::All).await.1);

    assert_eq!(on.teams(question("m")).await, ["Maths", "Musique"]);
    assert_eq!(on.teams(question("plast ar")).await, ["Arts plastiques"]);
    let own = NamesQuestion {
        asker: ana.id,
        scope: Scope::OwnGroups,
        ..question("m")
    };
    assert_eq!(on.teams(own.clone()).await, ["Maths"]);

    let colleagues = ListColleagues {
        asker: ana.id,
        limit: 10,
    };
    let (people, teams) = on.store.read(colleagues.clone()).await.unwrap();
    let names: Vec<&str> = people.iter().map(|person| &person.name[..]).collect();
    assert_eq!(names, ["bob", "cid"]);
    let names: Vec<&str> = teams.iter().map(|team| &team.name[..]).collect();
    assert_eq!(names, ["Arts plastiques", "Maths"]);

    let delete = DeleteTeam {
        team: arts,
        purge_at: Timestamp(9),
    };
    on.store.write(delete).await.unwrap();
    assert_eq!(on.teams(question("arts")).await, Vec::<String>::new());
    assert_eq!(on.find_for(&ana, "durand").await, ["bob"]);
    let (people, teams) = on.store.read(colleagues).await.unwrap();
    assert_eq!((people.len(), teams.len()), (1, 1));
}

#[tokio::test]
async fn many_colleagues_are_found_as_well_as_few() {
    let on = Fixture::new().await;
    let ana = on.person("ana", "Ana", None).await;
    let mut members = vec![ana.id];
    for number in 0..30 {
        let name = format!("user{number:02}");
        let account = on.person(&name, &format!("Martin {number:02}"), None).await;
        if number % 3 == 0 {
            members.push(account.id);
        }
    }
    // So many memberships that these people no longer lead.
    for number in 0..200 {
        on.team(&format!("team {number}"), &members).await;
    }
    let found = on.find_for(&ana, "martin").await;
    assert_eq!(found.len(), 10);
    assert_eq!(found[1], "user03");
    assert_eq!(on.find_for(&ana, "m 0").await.len(), 4);
    assert_eq!(on.find_for(&ana, "m user27").await, ["user27"]);
}

#[tokio::test]
async fn whoever_was_there_before_is_found_after_the_migration() {
    let on = Fixture::new().await;
    for number in 0..7 {
        on.person(&format!("u{number}"), &format!("Éva {number}"), None)
            .await;
    }
    let gone = on.person("gone", "Éva", None).await;
    on.team("Évasion", &[]).await;
    on.disable(&gone, true).await;
    let words = on.store.read(CountWords).await.unwrap();
    on.store.write(ForgetWords).await.unwrap();
    assert_eq!(on.find("eva").await, Vec::<String>::new());

    let mut runs = Vec::new();
    loop {
        let indexed = on.store.write(IndexNames { limit: 3 }).await.unwrap();
        runs.push(indexed);
        if indexed == 0 {
            break;
        }
    }
    assert_eq!(runs, [4, 3, 1, 0]);
    assert_eq!(on.find("eva").await.len(), 7);
    assert_eq!(on.teams(question("eva")).await, ["Évasion"]);
    assert_eq!(on.store.read(CountWords).await.unwrap(), words);
}
