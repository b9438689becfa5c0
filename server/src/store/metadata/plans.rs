//! The plan of every statement, as it is used: by SQLite without statistics, by PostgreSQL with them.
//!
//! A statement that reads a whole table is fast on a developer's machine and
//! slow at a ministry's. So every SQL text in this folder is found in the source
//! and explained; one that walks through a table that grows with what is stored, from
//! its beginning or from some row on, must be
//! listed below, with the reason why nobody waits for it.
//! `sqlite.rs` drops statistics at each start, so the size of a database changes no plan there.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::store::metadata::MetadataStore;
use crate::store::metadata::dialect::Engine;
use crate::store::metadata::postgres::test_server;
use crate::store::metadata::sqlite::SqliteSettings;
use crate::store::metadata::testing::open_postgres;

/// Tables whose size follows what people store.
const GROWING: &[&str] = &[
    "account",
    "token",
    "throttle",
    "team",
    "member",
    "space",
    "node",
    "tomb",
    "content",
    "hot_chunk",
    "hook",
    "content_pack",
    "pack",
    "maybe_dead",
    "pack_source",
    "pack_work",
    "hist",
    "trash",
    "lock",
    "property",
    "lease_content",
    "lease",
    "session",
    "device_login",
    "ticket",
    "upload",
    "upload_part",
    "favorite",
    "tag",
    "node_tag",
    "share",
    "mount",
    "sharing_news",
    "mail_queue",
    "name_word",
    "activity",
    "share_notice",
];

/// Files whose statements run only in commands or in background jobs over everything.
const WHOLE_STORE: &[(&str, &str)] = &[
    ("walk.rs", "makes its statements; they are added below"),
    ("directory.rs", "makes its statements; they are added below"),
    ("check.rs", "the audit reads a whole space"),
    ("backup.rs", "a restore writes every space once"),
    ("conformance.rs", "tests"),
    ("directory_conformance.rs", "tests"),
    ("plans.rs", "tests"),
    ("dialect.rs", "no statements"),
    ("migrate.rs", "moves everything, once"),
    ("schema.rs", "PostgreSQL's own, at start"),
    ("numbers.rs", "PostgreSQL's own, one row by its key"),
    ("postgres.rs", "PostgreSQL's own, a lock"),
    ("tests.rs", "tests"),
    ("test_server.rs", "tests"),
    ("transaction.rs", "no statements"),
    ("testing.rs", "tests"),
];

/// Statements that may scan, by a part of their text.
const MAY_SCAN: &[(&str, &str)] = &[
    (
        "FROM mail_queue LIMIT $1",
        "counts what waits, no further than the limit of it",
    ),
    (
        "SELECT id FROM account ORDER BY id LIMIT 1",
        "reads one row",
    ),
    (
        "WHERE a.id > $1 ORDER BY a.id LIMIT $2",
        "lists accounts, a page at a time",
    ),
    (
        "WHERE a.state < 2 AND a.fold LIKE $1 ESCAPE",
        "an administrator looks for people",
    ),
    (
        "SELECT s.id FROM space s WHERE s.id > $1",
        "a background job, over spaces, a page at a time",
    ),
    (
        "FROM pack_work w CROSS JOIN pack p WHERE w.pack > $1",
        "the collector, over what waits for it, a page at a time",
    ),
    (
        "FROM maybe_dead d LEFT JOIN content c",
        "the collector, over what waits for it, a page at a time",
    ),
    (
        "SELECT content_id FROM hot_chunk WHERE content_id > $1",
        "the packer, over what waits for it, a page at a time",
    ),
    (
        "SELECT id FROM content WHERE id > $1",
        "the audit, over everything, a page at a time",
    ),
    (
        "WHERE t.id > $1 AND t.state < 2 ORDER BY t.id LIMIT $2",
        "lists groups, a page at a time",
    ),
    (
        "WHERE s.kind = $1 AND s.state = 0 AND (s.expires_at",
        "an administrator looks at links, a page at a time",
    ),
    (
        "WHERE worded = 0 AND state = 0 ORDER BY id LIMIT $1",
        "a background job, over what waits for it, a page at a time",
    ),
    (
        "a WHERE a.id > $1 AND a.id ",
        "an administrator looks at what was done, a page at a time",
    ),
    (
        "SELECT id FROM activity ORDER BY id LIMIT $2",
        "housekeeping, over the oldest rows, a slice at a time",
    ),
    (
        "FROM share_notice ORDER BY at LIMIT 1",
        "a background job reads one row",
    ),
    (
        "FROM sharing_news WHERE id > $1 ORDER BY id LIMIT $2",
        "what came since the last second, a page at most",
    ),
    (
        "DELETE FROM sharing_news WHERE id <= (",
        "a background job; what it reads it deletes",
    ),
    (
        "SELECT min(begun) FROM lease WHERE until > $1",
        "the collector asks; leases are the few long uploads of this moment",
    ),
];

/// Fills a database as people would.
const FILL: &str = "
INSERT INTO account (id, name, fold, display_name, is_admin, home_space, created_at, changed_at)
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
  SELECT i, 'u' || i, 'u' || i, 'u', 0, i, 0, 0 FROM n;
INSERT INTO space (id, domain_id, kind, owner_id, root_id, trash_id)
  SELECT id, 1, 1, id, id * 100000, id * 100000 + 1 FROM account;
INSERT INTO node (id, space_id, name, fold, kind, seq, born, tree_seq, mtime, ctime)
  SELECT root_id, id, '', '', 0, 1, 1, 1, 0, 0 FROM space;
INSERT INTO node (id, space_id, parent_id, name, fold, kind, seq, born, tree_seq, content_id, size, mtime, ctime)
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
  SELECT s.root_id + 1 + i, s.id, s.root_id + (i / 30) * (CASE WHEN i % 30 = 0 THEN 0 ELSE 1 END), 'n' || i, 'n' || i, (CASE WHEN i % 30 = 0 THEN 0 ELSE 1 END), i + 2, i + 2, i + 2,
    s.id * 100 + i, 10, 0, 0 FROM space s, n;
INSERT INTO content (id, space_id, hash, key_number, size, profile, chunks, at)
  SELECT content_id, space_id, randomblob(32), 0, 10, 1, 1, 0 FROM node WHERE content_id IS NOT NULL;
INSERT INTO hot_chunk SELECT id, x'00' FROM content WHERE id % 50 = 0;
INSERT INTO hook SELECT space_id, id * 7, id FROM content WHERE id % 3 = 0;
INSERT INTO content_pack SELECT id % 40, id FROM content;
INSERT INTO pack (id, uuid, state, bytes, at, verified)
  SELECT pack + 1, randomblob(16), 1, 1, pack, pack FROM content_pack GROUP BY pack;
INSERT INTO hist (node_id, space_id, from_seq, to_seq, parent_id, name, content_id, size, mtime, actor, at)
  SELECT id, space_id, seq, seq + 1, parent_id, name, content_id, size, 0, 1, id FROM node;
INSERT INTO tomb SELECT space_id, seq, id, parent_id, 0, id FROM node WHERE id % 7 = 0;
INSERT INTO trash SELECT id, space_id, 1, id, parent_id, name, 1 FROM node WHERE id % 11 = 0;
INSERT INTO token (id, account_id, hash, label, created_at) SELECT id, id, randomblob(32), 'l', 0 FROM account;
INSERT INTO throttle SELECT fold, 'a' || id, 1, 0, id FROM account;
INSERT INTO team (id, name, fold, space_id, created_at) SELECT id, 't' || id, 't' || id, id, 0 FROM account WHERE id < 60;
INSERT INTO member SELECT t.id, a.id, 0 FROM team t, account a WHERE a.id % 20 = t.id % 20;
INSERT INTO name_word SELECT 0, a.id, 'w' || (a.id % 50) || 'x' || n.id, n.id % 2, a.name FROM account a, team n WHERE n.id < 10;
INSERT INTO name_word SELECT 1, id, name, 0, name FROM team;
INSERT INTO lock (token, space_id, node_id, owner_id, shared, deep, until, timeout_seconds, info)
  SELECT 'l' || id, space_id, id, space_id, 0, 0, id, 1, NULL FROM node WHERE id % 13 = 0;
INSERT INTO property SELECT id, 'DAV:', 'p' || id, '<p/>' FROM node WHERE id % 5 = 0;
INSERT INTO maybe_dead SELECT id, id FROM content WHERE id % 17 = 0;
INSERT INTO pack_work SELECT id, id FROM pack;
INSERT INTO pack_source SELECT id, id + 1 FROM pack;
INSERT INTO lease SELECT randomblob(16), id, id, id FROM account;
INSERT INTO lease_content SELECT l.id, l.space_id FROM lease l;
INSERT INTO sharing_news SELECT id, id % 4, id FROM node;
INSERT INTO session SELECT randomblob(32), id, 'a', 0, 0, id FROM account;
INSERT INTO device_login SELECT randomblob(32), randomblob(32), 'd', id, NULL, NULL FROM account;
INSERT INTO ticket SELECT randomblob(32), 1, id, NULL, NULL, id FROM account;
INSERT INTO upload (id, account_id, space_id, name, replaces, profile, begun_at, at, until)
  SELECT id, id, id, 'u', 0, 1, 0, 0, id FROM account;
INSERT INTO upload_part SELECT id, 1, '1', id, 1, NULL, 0 FROM upload;
INSERT INTO favorite SELECT space_id, id FROM node WHERE id % 9 = 0;
INSERT INTO tag SELECT id, id, 't', 't' FROM account;
INSERT INTO node_tag SELECT id, space_id FROM node WHERE id % 9 = 0;
INSERT INTO share (id, kind, space_id, node_id, sharer_id, to_id, permissions, name, made_at, expires_at, token_hash)
  SELECT id, 0, space_id, id, space_id, id % 300 + 1, 1, name, 0, id, randomblob(16) FROM node WHERE id % 41 = 0;
INSERT INTO share (id, kind, space_id, node_id, sharer_id, to_id, permissions, name, made_at)
  SELECT id, 1, space_id, id, space_id, id % 59 + 1, 1, name, 0 FROM node WHERE id % 97 = 0 AND id % 41 <> 0;
INSERT INTO mount SELECT space_id, id, NULL, name, NULL FROM node WHERE id % 4 = 1;
INSERT INTO activity (id, space_id, node_id, folder_id, kind, name, is_folder, actor, program, at)
  SELECT id, space_id, id, parent_id, 1, name, 0, space_id, 2, id FROM node;
INSERT INTO share_notice SELECT id, 0, 0, id FROM share;
INSERT INTO mail_queue SELECT id, 'a@b', 's', 'b', NULL, id, 0, id, NULL FROM account;
";

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// Returns the string literals of Rust source, with their escapes resolved.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some((_, after)) = rest.split_once('"') {
        let mut text = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match characters.next() {
                    Some((_, '\n')) => {
                        let blank = |c: char| c.is_whitespace();
                        while characters.as_str().starts_with(blank) {
                            characters.next();
                        }
                    }
                    Some((_, other)) => text.push(other),
                    None => {}
                },
                other => text.push(other),
            }
        }
        found.push(text);
        rest = &after[end..];
    }
    found
}

/// Returns every statement of a file; a tail such as `select_team!("WHERE …")` gets its head,
/// the one text that ends with a blank.
fn statements(source: &str) -> Vec<String> {
    const VERBS: &[&str] = &["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let texts = literals(source);
    let head = texts
        .iter()
        .find(|text| text.starts_with("SELECT ") && text.ends_with(' '));
    let mut found = Vec::new();
    for text in &texts {
        if text.starts_with("WHERE ") {
            found.push(format!("{}{text}", head.unwrap()));
        } else if VERBS.iter().any(|verb| text.starts_with(verb)) && Some(text) != head {
            found.push(text.clone());
        }
    }
    found
}

/// Maps each name that a statement gives a table to the table.
fn aliases(sql: &str) -> HashMap<String, String> {
    let words: Vec<&str> = sql
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut names = HashMap::new();
    for (index, word) in words.iter().enumerate() {
        if GROWING.contains(word) {
            names.insert((*word).to_owned(), (*word).to_owned());
            if let Some(alias) = words.get(index + 1).filter(|alias| alias.len() <= 2) {
                names.insert((*alias).to_owned(), (*word).to_owned());
            }
        }
    }
    names
}

fn scans(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
    let steps: Vec<String> = statement
        .query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let names = aliases(sql);
    steps
        .into_iter()
        .filter(|step| {
            let scanned = step.strip_prefix("SCAN ").or_else(|| {
                // From some row on, through all that follow, whoever's they are.
                let ranged = step.strip_prefix("SEARCH ");
                ranged.filter(|step| step.contains("(rowid>") || step.contains("(rowid<"))
            });
            let scanned = scanned.unwrap_or("").split(' ').next().unwrap_or("");
            names.contains_key(scanned)
        })
        .collect()
}

/// Every statement of the store's operations that must not scan, with the file it is in.
fn statements_to_explain() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/metadata");
    let mut files = Vec::new();
    source_files(&root, &mut files);
    let mut found = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if WHOLE_STORE.iter().any(|(whole, _)| *whole == name) {
            continue;
        }
        for sql in statements(&fs::read_to_string(&file).unwrap()) {
            if !MAY_SCAN.iter().any(|(part, _)| sql.contains(part)) {
                found.push((name.clone(), sql));
            }
        }
    }
    let generated = crate::store::metadata::walk::statements().into_iter();
    found.extend(generated.map(|sql| ("walk.rs".to_owned(), sql)));
    let generated = crate::store::metadata::accounts::directory::statements().into_iter();
    found.extend(generated.map(|sql| ("directory.rs".to_owned(), sql)));
    assert!(
        found.len() > 100,
        "only {} statements were found",
        found.len()
    );
    found
}

#[test]
fn no_statement_reads_a_whole_table_while_somebody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nuage.db");
    let store = MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap();
    store.close();
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(FILL).unwrap();
    connection.execute_batch(&Engine::Sqlite.scratch()).unwrap();
    let mut faults = Vec::new();
    for (name, sql) in statements_to_explain() {
        for scan in scans(&connection, &sql) {
            faults.push(format!("{name}: {scan}: {sql}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns [`FILL`] as PostgreSQL understands it, with so many rows that no table is a few pages.
fn fill_of_postgres() -> String {
    FILL.replace("randomblob(32)", "sha256(random()::text::bytea)")
        .replace(
            "randomblob(16)",
            "substr(sha256(random()::text::bytea), 1, 16)",
        )
        .replace("x'00'", "'x'::bytea")
        .replace("i < 300", "i < 2000")
        .replace("WHERE id < 60", "WHERE id < 1500")
        .replace("id % 40, id FROM content", "id % 3000, id FROM content")
        .replace("% 20", "% 400")
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_on_postgres_either() {
    let url = test_server::database().await;
    open_postgres(&url).await.close();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let settings = "SET plan_cache_mode = force_generic_plan";
    for text in [
        &fill_of_postgres(),
        "ANALYZE",
        &Engine::Postgres.scratch(),
        settings,
    ] {
        client.batch_execute(text).await.unwrap();
    }
    let mut faults = Vec::new();
    for (name, sql) in statements_to_explain() {
        let parameters = (1..30)
            .take_while(|number| sql.contains(&format!("${number}")))
            .count();
        let nulls = vec!["NULL"; parameters].join(", ");
        let explain = if parameters == 0 {
            format!("EXPLAIN {sql}")
        } else {
            let prepare = format!("PREPARE question AS {sql}");
            if let Err(error) = client.batch_execute(&prepare).await {
                faults.push(format!("{name}: {error:?}: {sql}"));
                continue;
            }
            format!("EXPLAIN EXECUTE question({nulls})")
        };
        for message in client.simple_query(&explain).await.unwrap() {
            let tokio_postgres::SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            let step = row.get(0).unwrap_or_default();
            let scanned = step
                .split_once("Seq Scan on ")
                .map_or("", |(_, table)| table);
            let table = scanned.split(' ').next().unwrap_or_default();
            if GROWING.contains(&table) {
                faults.push(format!("{name}: {step}: {sql}"));
            }
        }
        client.batch_execute("DEALLOCATE ALL").await.unwrap();
    }
    drop(client);
    driving.await.unwrap().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_was_counted_in_a_young_database_plans_nothing_in_an_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nuage.db");
    let open = || MetadataStore::open_sqlite(&file, SqliteSettings::default()).unwrap();
    open().close();
    let young = Connection::open(&file).unwrap();
    young.execute_batch("ANALYZE").unwrap();
    drop(young);

    open().close();

    let database = Connection::open(&file).unwrap();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'";
    let counted: i64 = database.query_row(tables, (), |row| row.get(0)).unwrap();
    assert_eq!(counted, 0);
}
