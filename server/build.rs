//! Puts the web page into the program: builds `web` with Node, or takes a folder that is ready, or a page that says what is missing.
//!
//! Cargo alone starts it, so one command builds all. What it embeds lies in `OUT_DIR`, as whoever deletes `web/dist`
//! must not break the next build. `NUAGE_WEB_DIST` names a ready folder; `NUAGE_WEB_REQUIRED=1` makes a missing page an error.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

/// What the page is made of, below `web`.
const SOURCES: &[&str] = &[
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "svelte.config.js",
    "vite.config.ts",
];

/// Served when the page could not be built.
const STAND_IN: &str = "<!doctype html>\n<html lang=\"fr\">\n<meta charset=\"utf-8\">\n<title>Nuage</title>\n\
<h1>Nuage</h1>\n<p>Ce serveur a été construit sans sa page web (il fallait Node 20). Vos fichiers sont à l’adresse \
<a href=\"/dav/\">/dav/</a>.</p>\n<p lang=\"en\">This server was built without its web page (Node 20 was missing). Your files \
are at <a href=\"/dav/\">/dav/</a>.</p>\n</html>\n";

fn main() -> Result<(), String> {
    let home = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(variable("OUT_DIR")?);
    for source in SOURCES {
        println!("cargo:rerun-if-changed=web/{source}");
    }
    for name in ["NUAGE_WEB_DIST", "NUAGE_WEB_REQUIRED"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let embedded = out.join("web");
    drop(fs::remove_dir_all(&embedded));
    match ready_page(&home) {
        Ok(dist) => {
            copy_folder(&dist, &embedded)
                .map_err(|error| format!("{}: {error}", dist.display()))?;
        }
        Err(why) if env::var_os("NUAGE_WEB_REQUIRED").is_some_and(|value| value == "1") => {
            return Err(format!("the web page is missing: {why}"));
        }
        Err(why) => {
            println!("cargo:warning=the server is built without its web page: {why}");
            fs::create_dir_all(&embedded).map_err(|error| error.to_string())?;
            fs::write(embedded.join("index.html"), STAND_IN).map_err(|error| error.to_string())?;
        }
    }
    let table = table_of(&embedded).map_err(|error| error.to_string())?;
    fs::write(out.join("web_files.rs"), table).map_err(|error| error.to_string())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// Returns a folder with the finished page, which may be built for that.
fn ready_page(home: &Path) -> Result<PathBuf, String> {
    if let Some(ready) = env::var_os("NUAGE_WEB_DIST").filter(|path| !path.is_empty()) {
        let ready = PathBuf::from(ready);
        return if ready.join("index.html").exists() {
            Ok(ready)
        } else {
            Err(format!("{} holds no index.html", ready.display()))
        };
    }
    let dist = home.join("dist");
    let sources: Vec<PathBuf> = SOURCES.iter().map(|source| home.join(source)).collect();
    let newest = sources.iter().filter_map(|path| newest_in(path)).max();
    if changed_at(&dist.join("index.html")) > newest {
        return Ok(dist);
    }
    let installed = changed_at(&home.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < changed_at(&home.join("package-lock.json")) {
        npm(home, &["ci", "--no-audit", "--no-fund"])?;
    }
    npm(home, &["run", "build"])?;
    Ok(dist)
}

fn npm(home: &Path, words: &[&str]) -> Result<(), String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let asked = words.join(" ");
    let result = Command::new(program).args(words).current_dir(home).output();
    let output = result
        .map_err(|error| format!("npm cannot be started ({error}); install Node 20 or newer"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    Err(format!(
        "npm {asked} failed: {}",
        said.trim().replace('\n', " | ")
    ))
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Returns when a file, or the newest below a folder, was changed.
fn newest_in(path: &Path) -> Option<SystemTime> {
    let own = changed_at(path);
    let inside = fs::read_dir(path).ok().into_iter().flatten().flatten();
    inside
        .map(|entry| newest_in(&entry.path()))
        .max()
        .flatten()
        .max(own)
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Writes the table of all files, each with its compressed forms.
fn table_of(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    gather(folder, "", &mut files)?;
    files.sort();
    let mut table = String::from("static FILES: &[File] = &[\n");
    for name in files.iter().filter(|name| is_served(name)) {
        let included = |suffix: &str| {
            let path = folder.join(format!("{name}{suffix}"));
            let shown = path.display().to_string();
            path.exists().then(|| format!("include_bytes!({shown:?})"))
        };
        let form = |suffix: &str| match included(suffix) {
            Some(bytes) => format!("Some({bytes})"),
            None => "None".to_owned(),
        };
        let plain = included("").unwrap_or_default();
        let (brotli, gzip) = (form(".br"), form(".gz"));
        let written = writeln!(
            table,
            "    File {{ path: {:?}, plain: {plain}, brotli: {brotli}, gzip: {gzip} }},",
            format!("/{name}")
        );
        written.map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    Ok(table)
}

/// Compressed forms stand beside what they are of; the manifest is for tests alone.
fn is_served(name: &str) -> bool {
    let suffix = Path::new(name)
        .extension()
        .and_then(|suffix| suffix.to_str());
    !matches!(suffix, Some("br" | "gz")) && !name.starts_with(".vite/")
}

fn gather(folder: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}
