//! Who may do what where: one function of (caller, path), with the reason as a value.
//!
//! A person's paths begin in their home. What they were given appears there as mounts; a path that leads
//! through one goes on at the node that was given, in the space where that lies, with what was
//! allowed. A link's paths begin at its node. Every protocol asks here, and the transactions below test what
//! was found ([`Change::require`]) where it depends on what exists.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::browse::mark_of;
use crate::files::error::FilesError;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::files::precondition::Condition;
use crate::files::precondition::EtagList;
use crate::files::precondition::Precondition;
use crate::identity::Caller;
use crate::identity::Role;
use crate::identity::Scope;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreError;
use crate::store::metadata::mounts::ListMounts;
use crate::store::metadata::mounts::Mount;
use crate::store::metadata::mounts::PlaceMount;
use crate::store::metadata::mounts::ReadMountedNodes;
use crate::store::metadata::mounts::Source;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::QuotaState;
use crate::store::metadata::records::Root;
use crate::store::metadata::records::UserId;
use crate::store::metadata::shares::FindChain;
use crate::store::metadata::shares::Shown;

/// People whose mounts are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// What a caller may do with a node, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What is allowed.
    pub permissions: Permissions,
    /// Whether contents may leave the server as they are.
    pub may_download: bool,
    /// See the whole space, so that a question about what it holds tells nothing new.
    pub may_read_space: bool,
    /// Why.
    pub reason: Reason,
}

/// Why somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is theirs.
    Owner,
    /// It is theirs, and the app password that they came with only reads.
    ReadOnlyPassword,
    /// Somebody gave it.
    Given {
        /// Who.
        by: Shown,
    },
    /// They belong to the group whose it is.
    Member {
        /// The group.
        of: Shown,
        /// As what.
        role: Role,
    },
    /// They have a link.
    Link,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("you own this space"),
            Self::ReadOnlyPassword => {
                f.write_str("you own this space, with an app password that only reads")
            }
            Self::Given { by } => write!(f, "{} shared it with you", by.display_name),
            Self::Member { of, .. } => write!(f, "you belong to {}", of.display_name),
            Self::Link => f.write_str("you have a link to it"),
        }
    }
}

impl Rights {
    /// Returns what is allowed, and whether contents may leave.
    pub fn may(&self, needed: Permissions) -> bool {
        self.permissions.has(needed)
    }

    pub(crate) fn of_mount(mount: &Mount, caller: &Caller) -> Self {
        let reason = match &mount.source {
            Source::Shares(_) => Reason::Given {
                by: mount.sharer.clone(),
            },
            Source::Team(_, role) => Reason::Member {
                of: mount.owner.clone(),
                role: *role,
            },
        };
        Self {
            permissions: as_comes(mount.permissions, caller),
            may_download: mount.may_download,
            may_read_space: mount.node.parent.is_none(),
            reason,
        }
    }

    fn of_owner(caller: &Caller) -> Self {
        Self {
            permissions: as_comes(Permissions::ALL, caller),
            may_download: true,
            may_read_space: true,
            reason: if caller.is_read_only {
                Reason::ReadOnlyPassword
            } else {
                Reason::Owner
            },
        }
    }
}

/// Narrows what is allowed to what the caller's credential allows.
fn as_comes(permissions: Permissions, caller: &Caller) -> Permissions {
    if caller.is_read_only {
        permissions.and(Permissions::READ)
    } else {
        permissions
    }
}

/// Where a caller's path leads.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// Where the rest of the path begins.
    pub(crate) root: Root,
    /// The rest of the path.
    pub(crate) path: NodePath,
    /// What the caller may do there.
    pub(crate) rights: Rights,
    /// The mount that the path leads through.
    pub(crate) mount: Option<Mount>,
    /// Everything that appears in the caller's home.
    pub(crate) mounts: Arc<[Mount]>,
    /// The caller's home.
    home: Root,
    /// The path as the caller named it.
    pub(crate) asked: NodePath,
}

impl Located {
    /// Returns whether the path names a mount itself.
    pub(crate) fn is_mount_itself(&self) -> bool {
        self.mount.is_some() && self.path.is_root()
    }

    /// Returns whether the path names what was given, by a share or a link, and not something below.
    pub(crate) fn is_given_itself(&self) -> bool {
        self.root.top.is_some() && self.path.is_root()
    }

    /// Returns the caller's path for one that begins where the rest of this does.
    pub(crate) fn shown(&self, below: &NodePath) -> NodePath {
        match &self.mount {
            Some(mount) => joined(&mount.path, below),
            None => below.clone(),
        }
    }

    /// Returns what may be told of a space's quota: of somebody else's, what is free, not what they have.
    pub(crate) fn shown_quota(
        &self,
        quota: Option<QuotaState>,
        size_bytes: u64,
    ) -> Option<QuotaState> {
        let quota = quota?;
        if self.rights.may_read_space {
            return Some(quota);
        }
        let free = |limit: u64| limit.saturating_sub(quota.used_bytes);
        let may_add = self.rights.may(Permissions::CREATE);
        may_add.then(|| QuotaState {
            used_bytes: size_bytes,
            quota_bytes: quota
                .quota_bytes
                .map(|limit| size_bytes.saturating_add(free(limit))),
        })
    }

    /// Makes the paths of locks those that the caller knows.
    pub(crate) fn show_locks(&self, locks: &mut [Lock]) {
        if self.mount.is_some() {
            for lock in locks {
                lock.path = self.shown(&lock.path);
            }
        }
    }

    /// Turns what the store says into what the caller is told.
    pub(crate) fn failure<E: Into<StoreError>>(&self) -> impl FnOnce(E) -> FilesError + use<E> {
        let located = self.clone();
        move |error| {
            let error = match error.into() {
                StoreError::Refused(Refusal::Locked { path, until }) => {
                    let path = located.shown(&path);
                    StoreError::Refused(Refusal::Locked { path, until })
                }
                StoreError::Refused(Refusal::LockConflict { path }) => {
                    let path = located.shown(&path);
                    StoreError::Refused(Refusal::LockConflict { path })
                }
                other => other,
            };
            at(&located.asked)(error)
        }
    }

    /// Returns a request's conditions with every path as the store knows it; see [`Files::conditions`].
    pub(crate) fn conditions(&self, precondition: &Precondition) -> Precondition {
        let mut conditions = precondition.clone();
        if self.mounts.is_empty() {
            return conditions;
        }
        for list in &mut conditions.lists {
            if let Some(path) = &list.path {
                let (root, path) = match through(&self.mounts, path) {
                    Some((mount, rest)) => (mount.root(), rest),
                    None => (self.home, path.clone()),
                };
                list.root = Some(root);
                list.path = Some(path);
            }
        }
        conditions
    }
}

/// Returns a path below another; one that would be too long is cut.
pub(crate) fn joined(above: &NodePath, below: &NodePath) -> NodePath {
    let names = below.names().iter();
    names.fold(above.clone(), |at, name| {
        at.child(name.clone()).unwrap_or(at)
    })
}

/// Returns the folder's own ETag of one that stands for mounts too; empty, which is none: it stands for others.
fn without_mark(tag: &str, mark: u64) -> String {
    let own = tag.strip_suffix(&format!("-{mark:x}"));
    own.unwrap_or_default().to_owned()
}

/// Returns the mount that a path leads through, and the rest of the path.
fn through<'m>(mounts: &'m [Mount], path: &NodePath) -> Option<(&'m Mount, NodePath)> {
    let mount = mounts.iter().find(|mount| path.is_within(&mount.path))?;
    let rest = path.names().iter().skip(mount.path.names().len());
    let rest = rest.fold(NodePath::root(), |at, name| {
        at.child(name.clone()).unwrap_or(at)
    });
    Some((mount, rest))
}

/// What appears in the homes of people who came lately.
///
/// It is used where one process sees every change, and only until the next one.
#[derive(Debug, Default)]
pub(crate) struct KnownMounts {
    by_person: Mutex<HashMap<UserId, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    version: u64,
    until: Option<Timestamp>,
    mounts: Arc<[Mount]>,
}

impl KnownMounts {
    fn find(&self, person: UserId, version: u64, now: Timestamp) -> Option<Arc<[Mount]>> {
        let known = self.by_person.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&person)?;
        let is_good = known.version == version && known.until.is_none_or(|until| now < until);
        is_good.then(|| Arc::clone(&known.mounts))
    }

    fn keep(&self, person: UserId, known: Known) {
        let by_person = self.by_person.lock();
        let mut by_person = by_person.unwrap_or_else(PoisonError::into_inner);
        if by_person.len() >= REMEMBERED_MAX {
            by_person.clear();
        }
        by_person.insert(person, known);
    }
}

impl Files {
    /// Decides where a caller's path leads and what the caller may do there.
    pub(crate) async fn locate(&self, caller: &Caller, path: &NodePath) -> FilesResult<Located> {
        if let Scope::Link(link) = &caller.scope {
            return Ok(Located {
                root: Root {
                    space: link.share.node.space,
                    top: Some(link.share.node.id),
                },
                path: path.clone(),
                rights: Rights {
                    permissions: link.permissions,
                    may_download: link.share.may_download,
                    may_read_space: false,
                    reason: Reason::Link,
                },
                mount: None,
                mounts: Arc::default(),
                home: caller.home.into(),
                asked: path.clone(),
            });
        }
        let mounts = self.mounts(caller).await.map_err(at(path))?;
        Ok(Self::locate_among(caller, path, mounts))
    }

    /// Decides the same, where what appears in the caller's home is at hand.
    pub(crate) fn locate_among(caller: &Caller, path: &NodePath, mounts: Arc<[Mount]>) -> Located {
        let (root, rest, mount) = match through(&mounts, path) {
            Some((mount, rest)) => (mount.root(), rest, Some(mount.clone())),
            None => (caller.home.into(), path.clone(), None),
        };
        let rights = match &mount {
            Some(mount) => Rights::of_mount(mount, caller),
            None => Rights::of_owner(caller),
        };
        Located {
            root,
            path: rest,
            rights,
            mount,
            mounts,
            home: caller.home.into(),
            asked: path.clone(),
        }
    }

    /// Returns what appears in the caller's home; the nodes' own facts may be of a moment ago.
    pub(crate) async fn mounts(&self, caller: &Caller) -> Result<Arc<[Mount]>, StoreError> {
        if let Some(version) = self.metadata.sharing_version()
            && let Some(known) = self
                .known_mounts
                .find(caller.user, version, self.clock.now())
        {
            return Ok(known);
        }
        self.fresh_mounts(caller).await
    }

    /// Returns mounts that were just located, with their nodes as they are now.
    ///
    /// Where they are remembered, that holds for who may do what: a change of content is not seen by what is remembered.
    pub(crate) async fn with_present_nodes(
        &self,
        caller: &Caller,
        mounts: &Arc<[Mount]>,
    ) -> Result<Arc<[Mount]>, StoreError> {
        if self.metadata.sharing_version().is_none() {
            // Nothing is remembered: they were read for this very request.
            return Ok(Arc::clone(mounts));
        }
        let nodes = self.metadata.read(ReadMountedNodes(caller.user)).await?;
        let present = mounts.iter().filter_map(|mount| {
            let node = nodes.get(&mount.node.id)?.clone();
            Some(Mount {
                node,
                ..mount.clone()
            })
        });
        Ok(present.collect())
    }

    /// Reads what appears in the caller's home.
    pub(crate) async fn fresh_mounts(&self, caller: &Caller) -> Result<Arc<[Mount]>, StoreError> {
        let version = self.metadata.sharing_version();
        let list = ListMounts {
            account: caller.user,
            home: caller.home,
            now: self.clock.now(),
        };
        let found = self.metadata.read(list).await?;
        let mounts: Arc<[Mount]> = found.mounts.into();
        if let (Some(version), true) = (version, found.to_keep.is_empty()) {
            let until = mounts.iter().filter_map(|mount| mount.until).min();
            let known = Known {
                version,
                until,
                mounts: Arc::clone(&mounts),
            };
            self.known_mounts.keep(caller.user, known);
        }
        for (node, path) in found.to_keep {
            // A name once given stays, though what had taken its own goes away.
            let place = PlaceMount {
                account: caller.user,
                home: caller.home,
                node,
                path,
            };
            if let Err(error) = self.metadata.write_in_background(place).await {
                tracing::warn!(%error, "the name of a mount may change once more");
            }
        }
        Ok(mounts)
    }

    /// Returns a request's conditions as the store knows paths and ETags: of a folder above mounts, the client was shown
    /// one that stands for these too.
    ///
    /// What is mounted is read before the transaction that tests the rest.
    pub(crate) async fn conditions(
        &self,
        caller: &Caller,
        located: &Located,
        precondition: &Precondition,
    ) -> FilesResult<Precondition> {
        let mut conditions = located.conditions(precondition);
        let is_above = |path: &NodePath| located.mounts.iter().any(|m| m.path.is_within(path));
        let is_folder_above = located.mount.is_none() && is_above(&located.asked);
        let named = precondition.lists.iter().flat_map(|list| &list.path);
        if conditions.is_empty() || !is_folder_above && !named.into_iter().any(is_above) {
            return Ok(conditions);
        }
        let fresh = self
            .fresh_mounts(caller)
            .await
            .map_err(at(&located.asked))?;
        let shown = |path: &NodePath| mark_of(fresh.iter().filter(|m| m.path.is_within(path)));
        if let Some(mark) = shown(&located.asked).filter(|_| is_folder_above) {
            for list in [&mut conditions.if_match, &mut conditions.if_none_match] {
                if let Some(EtagList::Tags(tags)) = list {
                    for tag in tags {
                        *tag = without_mark(tag, mark);
                    }
                }
            }
        }
        // Paths as the client named them, in the same order.
        for (list, asked) in conditions.lists.iter_mut().zip(&precondition.lists) {
            let path = asked
                .path
                .as_ref()
                .filter(|path| through(&fresh, path).is_none());
            let Some(mark) = path.and_then(shown) else {
                continue;
            };
            for condition in &mut list.conditions {
                if let Condition::Etag { tag, .. } = condition {
                    *tag = without_mark(tag, mark);
                }
            }
        }
        Ok(conditions)
    }

    /// Returns where a path leads that the caller may read.
    pub(crate) async fn readable(&self, caller: &Caller, path: &NodePath) -> FilesResult<Located> {
        let located = self.locate(caller, path).await?;
        if located.rights.may(Permissions::READ) {
            Ok(located)
        } else {
            Err(FilesError::NotFound { path: path.clone() })
        }
    }

    /// Returns where a path leads at which the caller may change something, and the change.
    ///
    /// What exactly is tested where it is known what exists.
    pub(crate) async fn changeable(
        &self,
        caller: &Caller,
        path: &NodePath,
    ) -> FilesResult<(Located, Change)> {
        let located = self.locate(caller, path).await?;
        let change = self.change(caller, &located);
        let passive = Permissions::READ.or(Permissions::SHARE);
        if located.rights.permissions.without(passive) == Permissions::NONE {
            return Err(FilesError::NotPermitted { path: path.clone() });
        }
        Ok((located, change))
    }

    /// Refuses whoever has no home: what is asked of everything that somebody has is not for those who
    /// came by a link.
    pub fn require_home(caller: &Caller) -> FilesResult<()> {
        Self::home_of(caller).map(drop)
    }

    /// Returns the home of a caller who has one.
    pub(crate) fn home_of(caller: &Caller) -> FilesResult<Located> {
        let path = NodePath::root();
        match &caller.scope {
            Scope::Account => Ok(Self::locate_among(caller, &path, Arc::default())),
            Scope::Link(_) => Err(FilesError::NotPermitted { path }),
        }
    }

    /// Returns the caller's home, where the caller may change something, and the change.
    pub(crate) fn changeable_home(&self, caller: &Caller) -> FilesResult<(Located, Change)> {
        let home = Self::home_of(caller)?;
        if home.rights.may(Permissions::UPDATE) {
            let change = self.change(caller, &home);
            Ok((home, change))
        } else {
            let path = NodePath::root();
            Err(FilesError::NotPermitted { path })
        }
    }

    /// Returns where a node lies for the caller, by whatever way they may see it.
    pub(crate) async fn locate_node(&self, caller: &Caller, node: NodeId) -> FilesResult<Located> {
        let shown = NodePath::parse(&node.0.to_string()).unwrap_or_default();
        let missing = || FilesError::NotFound {
            path: shown.clone(),
        };
        let mut located = self.locate(caller, &NodePath::root()).await?;
        let chain = self.metadata.read(FindChain(node)).await;
        let chain = chain.map_err(at(&shown))?;
        let space = chain.first().ok_or_else(missing)?.space;
        let named = |from: usize| {
            let names = chain.iter().skip(from + 1).map(|node| &node.name);
            let text: Vec<&str> = names.map(String::as_str).collect();
            NodePath::parse(&text.join("/")).map_err(|_fault| missing())
        };
        let is_link = matches!(caller.scope, Scope::Link(_));
        if space == caller.home && !is_link {
            let path = named(0)?;
            return Ok(Located {
                asked: path.clone(),
                path,
                ..located
            });
        }
        if let (true, Some(top)) = (is_link, located.root.top) {
            let index = chain.iter().position(|node| node.id == top);
            located.path = named(index.ok_or_else(missing)?)?;
            return Ok(located);
        }
        // The nearest mount names it; what any of them allows is allowed.
        let mounts = Arc::clone(&located.mounts);
        let mut permissions = Permissions::NONE;
        let mut nearest = None;
        for mount in mounts.iter() {
            if let Some(index) = chain.iter().position(|above| above.id == mount.node.id) {
                permissions = permissions.or(mount.permissions);
                if nearest.is_none_or(|(known, _)| known < index) {
                    nearest = Some((index, mount));
                }
            }
        }
        let (index, mount) = nearest.ok_or_else(missing)?;
        let path = named(index)?;
        let mut rights = Rights::of_mount(mount, caller);
        rights.permissions = as_comes(permissions, caller);
        Ok(Located {
            root: mount.root(),
            asked: joined(&mount.path, &path),
            path,
            rights,
            mount: Some(mount.clone()),
            ..located
        })
    }

    /// Describes who asks, when and where, and what they may do there.
    pub(crate) fn change(&self, caller: &Caller, located: &Located) -> Change {
        Change {
            space: located.root.space,
            top: located.root.top,
            allowed: located.rights.permissions,
            actor: caller.user,
            origin: self.settings.keeps_activity.then_some(caller.origin),
            now: self.clock.now(),
            quota_default_bytes: self.settings.quota_default_bytes,
        }
    }
}
