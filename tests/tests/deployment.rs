//! The container files, as far as they can be checked without an engine: they parse, name what exists, and are careful.
//!
//! What an engine alone can tell (that images start and find each other) is not known here.

use std::collections::BTreeSet;

use nuage_tests::command::workspace;
use saphyr::LoadableYamlNode;
use saphyr::Yaml;

/// Keys of the top level of a file.
const TOP_KEYS: &[&str] = &[
    "name", "services", "configs", "secrets", "volumes", "networks",
];
/// Keys of a service that the file uses; a misspelt one is found here.
const SERVICE_KEYS: &[&str] = &[
    "build",
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "depends_on",
    "entrypoint",
    "environment",
    "healthcheck",
    "image",
    "logging",
    "network_mode",
    "networks",
    "ports",
    "profiles",
    "read_only",
    "restart",
    "secrets",
    "security_opt",
    "shm_size",
    "stop_grace_period",
    "tmpfs",
    "ulimits",
    "user",
    "volumes",
];
/// Services that may run as root, for a moment, and why.
const ROOT: &[(&str, &str)] = &[("volumes", "hands a new volume to its user")];
/// Services whose image has an unprivileged user of its own.
const OWN_USER: &[&str] = &["collabora"];
/// Services that cannot do with a root that is read-only.
const WRITABLE: &[&str] = &["collabora", "keycloak"];

fn read(name: &str) -> String {
    let path = workspace().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A value with the merges (`<<`) of its mappings carried out.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Map(Vec<(String, Value)>),
    List(Vec<Value>),
    Text(String),
}

impl Value {
    fn of(node: &Yaml<'_>) -> Self {
        if let Some(mapping) = node.as_mapping() {
            let mut entries: Vec<(String, Value)> = Vec::new();
            for (key, value) in mapping {
                let (key, value) = (text_of(key), Self::of(value));
                if key == "<<" {
                    // What stands in the mapping itself wins over what is merged into it.
                    let Value::Map(merged) = value else {
                        panic!("a merge of no mapping")
                    };
                    for (key, value) in merged {
                        if !entries.iter().any(|(known, _)| *known == key) {
                            entries.push((key, value));
                        }
                    }
                } else {
                    entries.retain(|(known, _)| *known != key);
                    entries.push((key, value));
                }
            }
            return Self::Map(entries);
        }
        if let Some(items) = node.as_sequence() {
            return Self::List(items.iter().map(Self::of).collect());
        }
        Self::Text(text_of(node))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, value)| value),
            Self::List(_) | Self::Text(_) => None,
        }
    }

    /// Its keys, or its items where it is a list of words or of `NAME=VALUE`.
    fn names(&self) -> Vec<String> {
        match self {
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::List(items) => items.iter().map(Value::text).collect(),
            Self::Text(_) => Vec::new(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Map(_) | Self::List(_) => String::new(),
        }
    }
}

fn text_of(node: &Yaml<'_>) -> String {
    if let Some(text) = node.as_str() {
        return text.to_owned();
    }
    if let Some(number) = node.as_integer() {
        return number.to_string();
    }
    node.as_bool().map_or_else(String::new, |is| is.to_string())
}

fn compose() -> Value {
    let text = read("docker-compose.yml");
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(documents.len(), 1, "one document");
    Value::of(&documents[0])
}

fn services() -> Vec<(String, Value)> {
    let Some(Value::Map(services)) = compose().get("services").cloned() else {
        panic!("no services")
    };
    services
}

/// The words of a service under a key: names of volumes, networks, secrets.
fn words(service: &Value, key: &str) -> Vec<String> {
    match service.get(key) {
        Some(Value::List(items)) => items
            .iter()
            .map(|item| item.get("source").unwrap_or(item).text())
            .collect(),
        Some(other) => other.names(),
        None => Vec::new(),
    }
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_key_is_known_and_every_name_leads_somewhere() {
    let file = compose();
    let mut faults = Vec::new();
    for key in file.names() {
        if !TOP_KEYS.contains(&key.as_str()) && !key.starts_with("x-") {
            faults.push(format!("{key} at the top"));
        }
    }
    let defined = |kind: &str| file.get(kind).map(Value::names).unwrap_or_default();
    let all = services();
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    for (name, service) in &all {
        for key in service.names() {
            if !SERVICE_KEYS.contains(&key.as_str()) {
                faults.push(format!("{name}: {key}"));
            }
        }
        for kind in ["networks", "secrets", "configs"] {
            used.extend(words(service, kind).into_iter().map(|word| (kind, word)));
        }
        used.extend(words(service, "volumes").iter().map(|mount| {
            let source = mount.split(':').next().unwrap_or_default();
            ("volumes", source.to_owned())
        }));
        for other in words(service, "depends_on") {
            let Some((_, other_service)) = all.iter().find(|(known, _)| *known == other) else {
                faults.push(format!("{name} depends on {other}, which there is not"));
                continue;
            };
            let condition = service
                .get("depends_on")
                .and_then(|all| all.get(&other))
                .and_then(|one| one.get("condition"))
                .map(Value::text)
                .unwrap_or_default();
            let is_once = other_service.get("restart").map(Value::text).as_deref() == Some("no");
            let expected = if is_once {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            if condition != expected {
                faults.push(format!(
                    "{name} waits for {other}: {condition}, not {expected}"
                ));
            }
        }
    }
    for (kind, name) in &used {
        if !defined(kind).contains(name) {
            faults.push(format!("{kind}: {name} is used and not defined"));
        }
    }
    for kind in ["networks", "secrets", "configs", "volumes"] {
        for name in defined(kind) {
            if !used.contains(&(kind, name.clone())) {
                faults.push(format!("{kind}: {name} is defined and not used"));
            }
        }
    }
    for kind in ["secrets", "configs"] {
        for name in defined(kind) {
            let source = file.get(kind).and_then(|all| all.get(&name));
            let source = source.and_then(|one| one.get("file")).map(Value::text);
            let source = source.unwrap_or_default();
            let is_there = match kind {
                "configs" => workspace().join(&source).is_file(),
                // Written on the machine, never part of the repository.
                _ => source == format!("secrets/{name}"),
            };
            if !is_there {
                faults.push(format!("{kind}: {name} comes from {source:?}"));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_image_is_pinned_and_every_container_is_careful() {
    let mut faults = Vec::new();
    for (name, service) in services() {
        let field = |key: &str| service.get(key).map(Value::text).unwrap_or_default();
        let image = field("image");
        let tag = image.rsplit_once(':').map(|(_, tag)| tag.to_owned());
        let is_pinned = tag.as_ref().is_some_and(|tag| {
            tag != "latest"
                && tag.split('.').count() >= 2
                && tag.starts_with(|c: char| c.is_ascii_digit())
        });
        if !is_pinned {
            faults.push(format!("{name}: {image:?} has no tag of one version"));
        }
        if words(&service, "cap_drop") != ["ALL"] {
            faults.push(format!("{name}: keeps capabilities"));
        }
        if words(&service, "security_opt") != ["no-new-privileges:true"] {
            faults.push(format!("{name}: may gain privileges"));
        }
        if field("read_only") != "true" && !WRITABLE.contains(&name.as_str()) {
            faults.push(format!("{name}: its root is not read-only"));
        }
        let user = field("user");
        let is_root = user.is_empty() || user.starts_with('0') || user.starts_with("root");
        if is_root
            && !OWN_USER.contains(&name.as_str())
            && !ROOT.iter().any(|(known, _)| *known == name)
        {
            faults.push(format!("{name}: runs as {user:?}"));
        }
        let is_server = service.get("build").is_some();
        let runs_on = field("restart") != "no";
        if runs_on && !is_server && service.get("healthcheck").is_none() {
            faults.push(format!("{name}: nobody looks whether it is well"));
        }
        for port in words(&service, "ports") {
            if !port.starts_with("${NUAGE_BIND:-127.0.0.1}:") {
                faults.push(format!("{name}: {port} is open to every machine"));
            }
        }
    }
    none(&faults);
}

#[test]
fn settings_of_the_servers_are_known_and_no_password_stands_in_the_files() {
    let reference = read("docs/reference/settings.md");
    let mut faults = Vec::new();
    let mut servers = 0;
    for (name, service) in services() {
        let is_server = service.get("build").is_some();
        servers += usize::from(is_server);
        let Some(Value::Map(environment)) = service.get("environment") else {
            continue;
        };
        for (key, value) in environment {
            let is_secret = ["PASSWORD", "SECRET", "TOKEN", "ACCESS_KEY"]
                .iter()
                .any(|word| key.contains(word));
            if is_secret && !value.text().starts_with("/run/secrets/") {
                faults.push(format!("{name}: {key} is not a file of a secret"));
            }
            if is_server && !reference.contains(&format!("`{key}`")) {
                faults.push(format!("{name}: {key} is no setting"));
            }
            for file in value.text().split_whitespace() {
                if let Some(secret) = file.strip_prefix("/run/secrets/")
                    && !words(&service, "secrets").contains(&secret.to_owned())
                {
                    faults.push(format!("{name}: is not given the secret {secret}"));
                }
            }
        }
    }
    assert!(servers >= 2, "{servers} servers");
    none(&faults);
}

#[test]
fn the_balancer_knows_every_server_and_asks_for_readiness() {
    let balancer = read("packaging/haproxy.cfg");
    let servers = services();
    let servers = servers
        .iter()
        .filter(|(_, service)| service.get("build").is_some());
    for (name, _) in servers {
        assert!(
            balancer.contains(&format!("server {name} {name}:8080")),
            "{name} is not in packaging/haproxy.cfg"
        );
    }
    assert!(balancer.contains("option httpchk GET /readyz"));
    for sticky in [
        "cookie",
        "stick-table",
        "balance source",
        "http-buffer-request",
    ] {
        let is_set = balancer.lines().any(|line| {
            line.trim().starts_with(sticky) || line.contains(&format!("option {sticky}"))
        });
        assert!(!is_set, "{sticky} binds people or holds bodies");
    }
}

#[test]
fn the_image_is_built_from_pinned_ones_and_runs_as_nobody_special() {
    let text = read("Dockerfile");
    // One instruction a line: what is continued is joined.
    let joined = text.replace("\\\n", " ");
    let lines: Vec<&str> = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let all = |word: &str| -> Vec<&str> {
        lines
            .iter()
            .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
            .collect()
    };
    let bases = all("FROM");
    assert!(bases.len() >= 2, "several stages: {bases:?}");
    for base in &bases {
        let tag = base
            .split(' ')
            .next()
            .and_then(|image| image.split_once(':'));
        assert!(
            tag.is_some_and(
                |(_, tag)| tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.')
            ),
            "{base} has no tag of one version"
        );
    }
    let toolchain = read("Cargo.toml");
    let toolchain = toolchain
        .split("rust-version = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    let builder = format!("rust:{toolchain}.");
    assert!(
        bases.iter().any(|base| base.starts_with(&builder)),
        "{bases:?} build, the workspace wants {toolchain}"
    );
    let last = text.rfind("\nFROM ").unwrap_or_default();
    assert!(
        all("USER")
            .iter()
            .all(|user| !user.starts_with('0') && !user.starts_with("root"))
            && text[last..].contains("\nUSER "),
        "the server runs as root"
    );
    assert_eq!(
        all("HEALTHCHECK").len(),
        1,
        "somebody looks whether it is well"
    );
    assert!(
        text.contains("--locked"),
        "the build takes the locked versions"
    );
    let entry = all("ENTRYPOINT");
    assert!(
        entry.len() == 1 && entry[0].starts_with('['),
        "signals reach the server, not a shell: {entry:?}"
    );
    for (index, line) in all("COPY").iter().enumerate() {
        let sources: Vec<&str> = line
            .split(' ')
            .filter(|word| !word.starts_with("--"))
            .collect();
        for source in &sources[..sources.len() - 1] {
            let is_built = source.starts_with("/source/");
            assert!(
                is_built || workspace().join(source).exists(),
                "COPY {index}: {source} is not there"
            );
        }
    }
}

/// The program that writes the secrets leaves alone those that are there.
#[test]
fn secrets_are_drawn_once_and_cover_what_the_file_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("packaging")).unwrap();
    let script = folder.path().join("packaging/make-secrets.sh");
    std::fs::copy(workspace().join("packaging/make-secrets.sh"), &script).unwrap();
    let make = || {
        let mut sh = std::process::Command::new("sh");
        nuage_tests::command::run(sh.arg(&script), "").ok();
        let mut all: Vec<(String, String)> = std::fs::read_dir(folder.path().join("secrets"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let content = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), content)
            })
            .collect();
        all.sort();
        all
    };

    let first = make();
    let second = make();

    assert_eq!(first, second, "a second run changes nothing");
    let mut named = compose().get("secrets").map(Value::names).unwrap();
    named.sort();
    let written: Vec<&String> = first.iter().map(|(name, _)| name).collect();
    assert_eq!(written, named.iter().collect::<Vec<_>>());
    let secret = &first
        .iter()
        .find(|(name, _)| name == "nuage_secret")
        .unwrap()
        .1;
    assert_eq!(secret.trim().len(), 64, "as the server wants it");
    assert!(secret.trim().chars().all(|c| c.is_ascii_hexdigit()));
    let identities = first.iter().find(|(name, _)| name == "s3_identities");
    let identities: serde_json::Value = serde_json::from_str(&identities.unwrap().1).unwrap();
    let key = identities["identities"][0]["credentials"][0]["secretKey"].as_str();
    let credentials = first.iter().find(|(name, _)| name == "s3_credentials");
    assert!(
        credentials.unwrap().1.contains(key.unwrap()),
        "both know one key"
    );
    let mode = std::fs::metadata(folder.path().join("secrets")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o077,
        0,
        "nobody else enters the folder"
    );
}
