//! The shape of the code itself: who may import whom, and what every file must have.
//!
//! Each check names file and line. The tables at the top are what a reviewer
//! reads first: a line is added there in the commit that needs it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nuage_tests::command::run;
use nuage_tests::command::server_binary;
use nuage_tests::command::workspace;

/// Every module of `server/src`, with the sibling modules it may name, from the ground up.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("language", &["clock"]),
    ("size", &[]),
    ("store", &["clock"]),
    ("identity", &["clock", "store"]),
    ("files", &["clock", "store", "identity"]),
    (
        "sharing",
        &["clock", "store", "identity", "files", "language"],
    ),
    ("previews", &["clock", "files"]),
    ("http", &["identity", "files", "language"]),
    (
        "web",
        &["clock", "http", "identity", "files", "sharing", "language"],
    ),
    ("dav", &["clock", "http", "identity", "files", "previews"]),
    ("api", &["http", "identity", "files", "sharing", "previews"]),
    (
        "nextcloud",
        &["clock", "http", "identity", "files", "sharing", "previews"],
    ),
    ("mail", &["clock", "store", "identity", "language"]),
    (
        "jobs",
        &["clock", "size", "store", "files", "identity", "mail"],
    ),
];

/// Modules that put everything together and may use all others.
const MAY_USE_ALL: &[&str] = &["app", "cli", "config", "lib", "main", "routes", "telemetry"];

/// Crates that only some places of `server/src` may name.
const CRATES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store/metadata"]),
    ("object_store", &["store/chunks"]),
    ("dav_server", &["dav"]),
    (
        "hyper",
        &["http", "dav", "routes", "app", "store/chunks/s3"],
    ),
    (
        "hyper_util",
        &["http", "dav", "routes", "app", "store/chunks/s3"],
    ),
    ("hyper_rustls", &["store/chunks/s3"]),
    ("axum", &["http", "routes", "app"]),
    ("clap", &["cli", "main"]),
    ("argon2", &["identity"]),
    ("quick_xml", &["dav"]),
    ("lettre", &["mail"]),
];

/// The most packages that a program for Linux may be built of; raised knowingly.
const PACKAGES_MAX: usize = 375;

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "stuff",
];

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder of the workspace, build results left out.
fn files_in(folder: &str, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![workspace().join(folder)];
    while let Some(path) = pending.pop() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !["target", ".git", "node_modules"].contains(&name.as_str()) {
                pending.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            }
        } else if name.ends_with(&format!(".{kind}")) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<PathBuf> {
    let mut all = files_in("server", "rs");
    all.extend(files_in("shared", "rs"));
    all.extend(files_in("tests", "rs"));
    all
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The path of a file of `server/src`, without `.rs`: `store/metadata/tree`.
fn module_of(file: &Path) -> Option<String> {
    let path = file.strip_prefix(workspace().join("server/src")).ok()?;
    let text = path.with_extension("").display().to_string();
    Some(text.trim_end_matches("/mod").to_owned())
}

fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn modules_respect_their_layers() {
    let mut faults = Vec::new();
    for file in files_in("server/src", "rs") {
        let module = module_of(&file).unwrap();
        let top = module.split('/').next().unwrap_or_default();
        if MAY_USE_ALL.contains(&top) {
            continue;
        }
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == top) else {
            faults.push(format!("{}: `{top}` has no line in MAY_USE", shown(&file)));
            continue;
        };
        for (index, line) in read(&file).lines().enumerate() {
            for after in code_of(line).split("crate::").skip(1) {
                let named: String = after
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                // Macros of the crate itself are no module.
                let is_macro = after[named.len()..].starts_with('!');
                if named != top && !may_use.contains(&named.as_str()) && !is_macro {
                    let place = format!("{}:{}", shown(&file), index + 1);
                    faults.push(format!("{place}: `{top}` may not use `{named}`"));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn foreign_crates_stay_where_they_belong() {
    let mut faults = Vec::new();
    for file in files_in("server/src", "rs") {
        let module = module_of(&file).unwrap();
        for (index, line) in read(&file).lines().enumerate() {
            let code = code_of(line);
            for (name, places) in CRATES {
                let named = code.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                let is_allowed = places
                    .iter()
                    .any(|place| module == *place || module.starts_with(&format!("{place}/")));
                if named && !is_allowed {
                    faults.push(format!(
                        "{}:{}: `{name}` belongs to {places:?}",
                        shown(&file),
                        index + 1
                    ));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let faults: Vec<String> = rust_files()
        .iter()
        .filter(|file| {
            let text = read(file);
            let header: Vec<&str> = text
                .lines()
                .skip_while(|line| line.starts_with("#!") || line.trim().is_empty())
                .take_while(|line| line.starts_with("//!"))
                .collect();
            header.join(" ").len() < 30
        })
        .map(|file| format!("{}: no header", shown(file)))
        .collect();
    none(&faults);
}

#[test]
fn every_public_item_is_documented() {
    const ITEMS: &[&str] = &[
        "fn", "async fn", "const fn", "struct", "enum", "trait", "const", "static", "type",
    ];
    let mut faults = Vec::new();
    let mut files = files_in("server/src", "rs");
    files.extend(files_in("shared/src", "rs"));
    files.extend(files_in("tests/src", "rs"));
    for file in files {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(item) = line.trim_start().strip_prefix("pub ") else {
                continue;
            };
            if !ITEMS
                .iter()
                .any(|kind| item.starts_with(&format!("{kind} ")))
            {
                continue;
            }
            // Attributes may stand between the comment and the item, on several lines.
            let is_documented = lines[..index]
                .iter()
                .rev()
                .map(|line| line.trim())
                .take_while(|line| !line.is_empty() && !["}", "{"].contains(line))
                .any(|line| {
                    line.starts_with("///") || line.starts_with("#[doc") || line.contains("$(#[")
                });
            if !is_documented {
                faults.push(format!("{}:{}: {item}", shown(&file), index + 1));
            }
        }
    }
    none(&faults);
}

#[test]
fn imports_name_one_thing_a_line() {
    // Put together here, so that this file does not find itself.
    let upwards = format!("super::{}", "super");
    let mut faults = Vec::new();
    for file in rust_files() {
        for (index, line) in read(&file).lines().enumerate() {
            let code = code_of(line).trim_start();
            let is_use = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
                .iter()
                .any(|beginning| code.starts_with(beginning));
            if is_use && code.contains('{') {
                faults.push(format!("{}:{}: {code}", shown(&file), index + 1));
            }
            if code.contains(&upwards) {
                faults.push(format!(
                    "{}:{}: begin paths with crate::",
                    shown(&file),
                    index + 1
                ));
            }
        }
    }
    none(&faults);
}

#[test]
fn names_of_files_say_something() {
    let faults: Vec<String> = rust_files()
        .iter()
        .filter(|file| {
            file.iter().any(|part| {
                let part = part.to_string_lossy();
                EMPTY_NAMES.contains(&part.trim_end_matches(".rs"))
            })
        })
        .map(|file| shown(file))
        .collect();
    none(&faults);
}

#[test]
fn no_module_file_is_forgotten() {
    let mut faults = Vec::new();
    for root in ["server/src", "shared/src", "tests/src", "tests/tests"] {
        for file in files_in(root, "rs") {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            if ["main", "lib"].contains(&name.as_str()) {
                continue;
            }
            let folder = file.parent().unwrap();
            let (module, home) = if name == "mod" {
                (
                    folder.file_name().unwrap().to_string_lossy().into_owned(),
                    folder.parent().unwrap(),
                )
            } else {
                (name, folder)
            };
            let beside = home.with_extension("rs");
            let parents = [
                home.join("mod.rs"),
                home.join("lib.rs"),
                home.join("main.rs"),
                beside,
            ];
            let is_named = parents
                .iter()
                .filter(|parent| parent.exists())
                .any(|parent| {
                    read(parent).lines().any(|line| {
                        let declaration = code_of(line).trim();
                        declaration.ends_with(&format!("mod {module};"))
                            || declaration == format!("#[path = \"{module}.rs\"]")
                    })
                });
            if !is_named {
                faults.push(format!("{} is part of no program", shown(&file)));
            }
        }
    }
    none(&faults);
}

#[test]
fn nothing_is_unfinished_or_silenced() {
    // Put together here, so that this file does not find itself.
    let unfinished = ["todo!", "unimplemented!", "FIXME", "XXX"].map(|word| format!("{word}("));
    let ignored = format!("#[{}", "ignore");
    let allowed = format!("#[{}(", "allow");
    let mut faults = Vec::new();
    for file in rust_files() {
        for (index, line) in read(&file).lines().enumerate() {
            let is_bad = unfinished.iter().any(|word| line.contains(word.as_str()))
                || line.trim_start().starts_with(&ignored)
                || line.trim_start().starts_with(&allowed);
            if is_bad && !file.ends_with("tidy.rs") {
                faults.push(format!("{}:{}: {}", shown(&file), index + 1, line.trim()));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_crate_takes_the_lints_and_versions_of_the_workspace() {
    let mut faults = Vec::new();
    for name in ["server", "shared", "tests"] {
        let path = workspace().join(name).join("Cargo.toml");
        let text = read(&path);
        if !text.contains("[lints]\nworkspace = true") {
            faults.push(format!("{}: no [lints] workspace = true", shown(&path)));
        }
        let dependencies = text.split("dependencies]").skip(1).flat_map(|part| {
            part.lines()
                .skip(1)
                .take_while(|line| !line.starts_with('['))
        });
        for line in dependencies.filter(|line| line.contains('=')) {
            if !line.contains("workspace") {
                faults.push(format!("{}: {line}", shown(&path)));
            }
        }
    }
    none(&faults);
}

/// The quoted words between two marks of a text.
fn quoted<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let inside = text
        .split(begin)
        .nth(1)
        .and_then(|rest| rest.split(end).next());
    let words = inside.unwrap_or_default().split('"').skip(1).step_by(2);
    words.collect()
}

/// The heart of `cargo deny check`, for machines that have not got it; `deny.toml` decides.
#[test]
fn dependencies_are_free_few_and_not_banned() {
    let rules = read(&workspace().join("deny.toml"));
    let licences = quoted(&rules, "\nallow = [", "]");
    let banned: Vec<&str> = quoted(&rules, "\ndeny = [", "\n]");
    assert!(
        licences.contains(&"MIT") && banned.contains(&"openssl"),
        "deny.toml is read"
    );
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace());
    let metadata = run(&mut cargo, "").json();
    let packages = metadata["packages"].as_array().unwrap();
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        // One of the alternatives, with all of its parts.
        let plain = licence.replace('/', " OR ").replace(['(', ')'], " ");
        let is_free = plain.split(" OR ").any(|choice| {
            choice
                .split(" AND ")
                .all(|part| licences.contains(&part.trim()))
        });
        if !is_free {
            faults.push(format!("{name} is under {licence:?}"));
        }
        if banned.contains(&name) {
            faults.push(format!("{name} must not be used"));
        }
    }
    if packages.len() > PACKAGES_MAX {
        faults.push(format!(
            "{} packages, at most {PACKAGES_MAX}",
            packages.len()
        ));
    }
    none(&faults);
}

#[test]
fn the_reference_pages_are_those_that_the_program_prints() {
    let folder = workspace().join("docs/reference");
    let mut faults = Vec::new();
    let mut pages = files_in("docs/reference", "md");
    pages.extend(files_in("docs/reference", "json"));
    assert!(!pages.is_empty(), "{} holds pages", folder.display());
    for page in pages {
        let name = page.file_stem().unwrap().to_string_lossy().into_owned();
        let printed = run(Command::new(server_binary()).args(["reference", &name]), "");
        if printed.code != 0 || printed.stdout != read(&page) {
            faults.push(format!(
                "{page} is old: nuage-server reference {name} > {page} {}",
                printed.stderr,
                page = shown(&page),
            ));
        }
    }
    none(&faults);
}

#[test]
fn the_changelog_says_what_comes_next() {
    let text = read(&workspace().join("CHANGELOG.md"));
    let next = text
        .split("## Unreleased")
        .nth(1)
        .expect("a section Unreleased");
    let lines = next.lines().take_while(|line| !line.starts_with("## "));
    assert!(
        lines.filter(|line| line.starts_with("- ")).count() > 0,
        "it says nothing"
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = Vec::new();
    let mut pages = files_in("docs", "md");
    pages.extend(["README.md", "CHANGELOG.md"].map(|name| workspace().join(name)));
    for page in pages.iter().filter(|page| page.exists()) {
        for after in read(page).split("](").skip(1) {
            let target = after.split([')', '#', ' ']).next().unwrap_or_default();
            let is_elsewhere =
                target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !is_elsewhere && !page.parent().unwrap().join(target).exists() {
                faults.push(format!("{}: {target}", shown(page)));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_project_needs_nothing_outside_itself() {
    // Put together here, so that this file does not find itself.
    let outside = [
        format!("/work/{}", "shared"),
        format!("/work/.{}", "library"),
        format!("shared/{}", "reference"),
    ];
    let mut faults = Vec::new();
    let kinds = ["rs", "md", "toml", "sh", "py", "sql", "c", "yml", "service"];
    for kind in kinds {
        for file in files_in(".", kind) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            for word in &outside {
                if text.contains(word.as_str()) {
                    faults.push(format!("{} names {word}", shown(&file)));
                }
            }
        }
    }
    none(&faults);
}
