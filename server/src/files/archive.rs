//! A folder, or some of what is in it, as one thing after the other: what becomes a ZIP file.
//!
//! The tree is walked while it is sent: a page of a folder is read, its files are opened a few ahead
//! of the receiver, then its folders are walked in turn. What a client gets is each file as it was when it was opened.
//! Every step goes through the same doors as a listing and a download, so the same rules hold.
//!
//! # Always true
//!
//! * Memory holds the names of one page of each open folder, never a tree and never a file.
//! * What went away between being listed and being opened is named in [`Archive::missing`]; any
//!   other failure ends the archive with an error.
//! * A shown name has one segment: no separator of any system, no `..`, no control character. Two members
//!   never have the same name.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use nuage_shared::node_path::NodeName;
use nuage_shared::node_path::NodePath;
use tokio::sync::OwnedSemaphorePermit;

use crate::clock::Timestamp;
use crate::files::Download;
use crate::files::Files;
use crate::files::Listing;
use crate::files::ListingWants;
use crate::files::Node;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::identity::Caller;

/// Files that are opened before it is their turn.
const OPEN_AHEAD: usize = 4;
/// What tells of missing members at the end.
const MISSING_FILE: &str = "_missing.txt";
/// Names of missing members that are kept.
const MISSING_NAMED_MAX: usize = 1_000;

/// What an archive is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRequest {
    /// The folder.
    pub folder: NodePath,
    /// Which of its children; none named: the folder itself, with all below it.
    pub names: Vec<NodeName>,
}

/// One thing in an archive.
#[derive(Debug)]
pub struct Member {
    /// Where it stands: safe names with slashes between them, none at its ends.
    pub name: String,
    /// Modified, as the client set it.
    pub modified: Timestamp,
    /// The file; `None`: a folder.
    pub file: Option<Download>,
}

/// What went away while the archive was made.
#[derive(Debug, Default)]
pub struct Missing {
    /// Where it would have stood, as far as it is kept.
    pub names: Vec<String>,
    /// How much it is.
    pub count: u64,
}

/// A folder whose members are being sent.
#[derive(Debug)]
struct Place {
    path: NodePath,
    /// How it stands in the archive; empty: its members stand at the top.
    shown: String,
}

impl Place {
    fn member(&self, shown: &str) -> String {
        if self.shown.is_empty() {
            shown.to_owned()
        } else {
            format!("{}/{shown}", self.shown)
        }
    }
}

/// A child that was listed.
#[derive(Debug)]
struct Child {
    above: Arc<Place>,
    name: NodeName,
    /// Where it is to stand.
    shown: String,
}

impl Child {
    fn path(&self) -> FilesResult<NodePath> {
        let path = self.above.path.child(self.name.clone());
        path.map_err(|_too_long| FilesError::NotFound {
            path: self.above.path.clone(),
        })
    }
}

/// What is still to be done; the last is next.
#[derive(Debug)]
enum Step {
    File(Child),
    Folder(Child),
    /// The following pages of an open folder.
    Pages(Box<OpenFolder>),
}

#[derive(Debug)]
struct OpenFolder {
    listing: Listing,
    place: Arc<Place>,
    made_up: MadeUp,
}

/// Names of one folder that are not those of the nodes, by their hashes: who shares one is only renamed in vain.
#[derive(Debug, Default)]
struct MadeUp {
    hasher: RandomState,
    names: HashSet<u64>,
    /// The number that is tried next behind a name.
    next: HashMap<u64, u32>,
}

impl MadeUp {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&self.hasher.hash_one(name))
    }

    fn add(&mut self, name: &str) {
        self.names.insert(self.hasher.hash_one(name));
    }

    /// Returns the next spelling of a name that may be free.
    fn next(&mut self, name: &str) -> String {
        let number = self.next.entry(self.hasher.hash_one(name)).or_insert(0);
        *number = number.saturating_add(1);
        numbered(name, *number)
    }
}

type Opened = (Child, FilesResult<Download>);

/// Who reads, and through which door.
struct Reader {
    files: Arc<Files>,
    caller: Caller,
}

impl Reader {
    async fn list(&self, path: &NodePath) -> FilesResult<Listing> {
        let wants = ListingWants::default();
        self.files.list(&self.caller, path, wants, true).await
    }

    /// Returns the name under which a child stands, which no other child of the folder has.
    async fn shown_name(
        &self,
        folder: &NodePath,
        name: &NodeName,
        made_up: &mut MadeUp,
    ) -> FilesResult<String> {
        let safe = safe_name(name.as_str());
        let is_own = safe == name.as_str();
        if is_own && !made_up.has(&safe) {
            return Ok(safe);
        }
        loop {
            let candidate = made_up.next(&safe);
            if made_up.has(&candidate) || self.is_taken(folder, &candidate).await? {
                continue;
            }
            made_up.add(&candidate);
            return Ok(candidate);
        }
    }

    /// Returns whether a child of the folder has this name.
    async fn is_taken(&self, folder: &NodePath, name: &str) -> FilesResult<bool> {
        let Some(path) = NodeName::parse(name)
            .ok()
            .and_then(|name| folder.child(name).ok())
        else {
            return Ok(false);
        };
        match self.files.find(&self.caller, &path).await {
            Ok(_) => Ok(true),
            Err(FilesError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A folder or a selection on its way out, member by member.
pub struct Archive {
    /// The name of the folder; `None`: the root of a space.
    pub name: Option<String>,
    /// What went away meanwhile, so far.
    pub missing: Missing,
    reader: Reader,
    steps: Vec<Step>,
    opening: FuturesOrdered<BoxFuture<'static, Opened>>,
    members: u64,
    bytes: u64,
    /// Members at the top that are called like [`MISSING_FILE`].
    like_missing: HashSet<String>,
    _slot: OwnedSemaphorePermit,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("name", &self.name)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Begins an archive of a folder, or of some of its children.
    ///
    /// Fails with `NotAFolder`, with `NotFound` where a named child is not there, with `ArchiveTooLarge` where it
    /// is known to be more than the settings allow, and with `TooManyArchives` where too many are being made.
    pub async fn archive(
        self: &Arc<Self>,
        caller: &Caller,
        request: ArchiveRequest,
    ) -> FilesResult<Archive> {
        let ArchiveRequest { folder, names } = request;
        let node = self.find(caller, &folder).await?;
        if !node.is_folder() {
            return Err(FilesError::NotAFolder { path: folder });
        }
        let (rights, _) = self.rights(caller, &folder).await?;
        if !rights.may_download {
            return Err(FilesError::NotPermitted { path: folder });
        }
        let name = folder.name().map(|name| name.as_str().to_owned());
        let slot = Arc::clone(&self.archives)
            .try_acquire_owned()
            .map_err(|_busy| FilesError::TooManyArchives)?;
        let mut archive = Archive {
            name,
            missing: Missing::default(),
            reader: Reader {
                files: Arc::clone(self),
                caller: caller.clone(),
            },
            steps: Vec::new(),
            opening: FuturesOrdered::new(),
            members: 0,
            bytes: 0,
            like_missing: HashSet::new(),
            _slot: slot,
        };
        if names.is_empty() {
            archive.begin_with_folder(folder, &node).await?;
        } else {
            archive.begin_with_selection(folder, names).await?;
        }
        Ok(archive)
    }
}

impl Archive {
    async fn begin_with_folder(&mut self, folder: NodePath, node: &Node) -> FilesResult<()> {
        self.refuse_too_much(node.tree_files, node.size_bytes)?;
        let (Some(above), Some(name)) = (folder.parent(), folder.name().cloned()) else {
            // A root has no name that could stand above its members.
            let place = Place {
                path: folder,
                shown: String::new(),
            };
            let listing = self.reader.list(&place.path).await?;
            self.push_pages(listing, place);
            return Ok(());
        };
        let above = Place {
            path: above,
            shown: String::new(),
        };
        self.steps.push(Step::Folder(Child {
            above: Arc::new(above),
            shown: safe_name(name.as_str()),
            name,
        }));
        Ok(())
    }

    async fn begin_with_selection(
        &mut self,
        folder: NodePath,
        names: Vec<NodeName>,
    ) -> FilesResult<()> {
        let place = Arc::new(Place {
            path: folder,
            shown: String::new(),
        });
        let mut made_up = MadeUp::default();
        let (mut files, mut bytes) = (0_u64, 0_u64);
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name.clone()) {
                continue;
            }
            let path = place.path.child(name.clone());
            let path = path.map_err(|_too_long| FilesError::NotFound {
                path: place.path.clone(),
            })?;
            let node = self.reader.files.find(&self.reader.caller, &path).await?;
            files = files.saturating_add(node.tree_files.max(1));
            bytes = bytes.saturating_add(node.size_bytes);
            let shown = self
                .reader
                .shown_name(&place.path, &name, &mut made_up)
                .await?;
            let above = Arc::clone(&place);
            let child = Child { above, name, shown };
            self.steps.push(if node.is_folder() {
                Step::Folder(child)
            } else {
                Step::File(child)
            });
        }
        self.steps.reverse();
        self.refuse_too_much(files, bytes)
    }

    fn refuse_too_much(&self, members: u64, bytes: u64) -> FilesResult<()> {
        let settings = &self.reader.files.settings;
        let (members_max, bytes_max) = (settings.archive_members_max, settings.archive_bytes_max);
        if members > members_max || bytes > bytes_max {
            return Err(FilesError::ArchiveTooLarge {
                members_max,
                bytes_max,
            });
        }
        Ok(())
    }

    fn push_pages(&mut self, listing: Listing, place: Place) {
        self.steps.push(Step::Pages(Box::new(OpenFolder {
            listing,
            place: Arc::new(place),
            made_up: MadeUp::default(),
        })));
    }

    /// Returns the next member; `None`: that was all. After an error nothing follows.
    pub async fn next_member(&mut self) -> FilesResult<Option<Member>> {
        loop {
            self.open_ahead();
            let member = match self.opening.next().await {
                Some(opened) => self.opened(opened)?,
                None => match self.steps.pop() {
                    None => return Ok(None),
                    // It is opened in the next round.
                    Some(file @ Step::File(_)) => {
                        self.steps.push(file);
                        None
                    }
                    Some(Step::Folder(child)) => self.enter(child).await?,
                    Some(Step::Pages(folder)) => {
                        self.turn_page(folder).await?;
                        None
                    }
                },
            };
            if let Some(member) = member {
                let size = member.file.as_ref().map_or(0, |file| file.node.size_bytes);
                if is_like_missing(&member.name) {
                    self.like_missing.insert(member.name.clone());
                }
                self.members += 1;
                self.bytes = self.bytes.saturating_add(size);
                self.refuse_too_much(self.members, self.bytes)?;
                return Ok(Some(member));
            }
        }
    }

    /// Begins to open the files that come next.
    fn open_ahead(&mut self) {
        while self.opening.len() < OPEN_AHEAD {
            let Some(Step::File(_)) = self.steps.last() else {
                return;
            };
            let Some(Step::File(child)) = self.steps.pop() else {
                return;
            };
            let (files, caller) = (Arc::clone(&self.reader.files), self.reader.caller.clone());
            let open = async move {
                let opened = match child.path() {
                    Ok(path) => files.download(&caller, &path).await,
                    Err(error) => Err(error),
                };
                (child, opened)
            };
            self.opening.push_back(open.boxed());
        }
    }

    fn opened(&mut self, (child, opened): Opened) -> FilesResult<Option<Member>> {
        let name = child.above.member(&child.shown);
        match opened {
            Ok(download) => Ok(Some(Member {
                name,
                modified: download.node.mtime,
                file: Some(download),
            })),
            Err(FilesError::NotFound { .. } | FilesError::IsAFolder { .. }) => {
                self.note_missing(name);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a folder, whose members follow.
    async fn enter(&mut self, child: Child) -> FilesResult<Option<Member>> {
        let name = child.above.member(&child.shown);
        let path = child.path()?;
        let listing = match self.reader.list(&path).await {
            Ok(listing) if listing.entry.node.is_folder() => listing,
            Ok(_) | Err(FilesError::NotFound { .. }) => {
                self.note_missing(name);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let modified = listing.entry.node.mtime;
        let shown = name.clone();
        self.push_pages(listing, Place { path, shown });
        Ok(Some(Member {
            name,
            modified,
            file: None,
        }))
    }

    /// Reads the next page of a folder: first its files, then its folders, then what follows.
    async fn turn_page(&mut self, mut folder: Box<OpenFolder>) -> FilesResult<()> {
        let page = folder.listing.next_page().await?;
        if page.is_empty() {
            return Ok(());
        }
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in page {
            let Ok(name) = NodeName::parse(&entry.node.name) else {
                self.note_missing(folder.place.member(&safe_name(&entry.node.name)));
                continue;
            };
            let made_up = &mut folder.made_up;
            let shown = self
                .reader
                .shown_name(&folder.place.path, &name, made_up)
                .await?;
            let above = Arc::clone(&folder.place);
            let child = Child { above, name, shown };
            if entry.node.is_folder() {
                folders.push(Step::Folder(child));
            } else {
                files.push(Step::File(child));
            }
        }
        self.steps.push(Step::Pages(folder));
        self.steps.extend(folders.into_iter().rev());
        self.steps.extend(files.into_iter().rev());
        Ok(())
    }

    /// Returns the name for what tells of missing members: no member has it, once all are there.
    pub fn missing_file(&self) -> String {
        let mut number = 1;
        loop {
            let name = numbered(MISSING_FILE, number);
            if !self.like_missing.contains(&name) {
                return name;
            }
            number += 1;
        }
    }

    fn note_missing(&mut self, name: String) {
        self.missing.count += 1;
        if self.missing.names.len() < MISSING_NAMED_MAX {
            self.missing.names.push(name);
        }
    }
}

/// Returns a name that leads nowhere else, whatever unpacks it.
fn safe_name(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|letter| match letter {
            '/' | '\\' => '_',
            letter if letter.is_control() => '_',
            letter => letter,
        })
        .collect();
    // `C:x` is a place on a disk of Windows.
    let begins_with_drive = safe.get(1..2) == Some(":")
        && safe.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if begins_with_drive {
        safe.replace_range(1..2, "_");
    }
    // Windows cuts dots and blanks from the end of a name: `.. ` would become `..`.
    if safe.trim_end_matches(['.', ' ']).is_empty() {
        safe = safe.replace(['.', ' '], "_");
    }
    safe
}

/// Returns whether a member may be called as [`Archive::missing_file`] wants to.
fn is_like_missing(name: &str) -> bool {
    let stem = MISSING_FILE.split('.').next().unwrap_or_default();
    name.starts_with(stem) && !name.contains('/')
}

/// Puts a number behind a name, before its ending; the first has none.
fn numbered(name: &str, number: u32) -> String {
    if number < 2 {
        return name.to_owned();
    }
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => format!("{stem} ({number}).{ending}"),
        _ => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;
    use super::safe_name;

    #[test]
    fn a_safe_name_leads_nowhere_else() {
        for (name, safe) in [
            ("plan.odt", "plan.odt"),
            ("..\\..\\evil", ".._.._evil"),
            ("a/b", "a_b"),
            ("C:x", "C_x"),
            ("12:30", "12:30"),
            ("a\u{85}b\nc", "a_b_c"),
            ("...", "___"),
            (".. ", "___"),
            (".htaccess", ".htaccess"),
            ("é:", "é:"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn a_number_stands_before_the_ending() {
        assert_eq!(numbered("a.txt", 1), "a.txt");
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered("a", 3), "a (3)");
        assert_eq!(numbered(".a", 2), ".a (2)");
    }
}
