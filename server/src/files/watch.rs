//! Hearing of everything that changes for a caller: in their home, in what they were given, and in what that is.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::files::Files;
use crate::files::error::FilesResult;
use crate::files::error::at;
use crate::identity::Caller;
use crate::store::metadata::changes;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::mounts::Mount;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::SpaceId;

/// How long it takes at most until the end of a share is noticed, or until a look that failed is repeated.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What somebody sees of a mount's surroundings: what is below is watched.
type Seen = BTreeMap<NodePath, (SpaceId, NodeId, i64, bool)>;

/// Hears of everything that changes for a caller, until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    files: Arc<Files>,
    caller: Caller,
    changes: changes::Watcher,
    seen: Seen,
    /// When something ends by itself.
    until: Option<Timestamp>,
    /// What the caller was given may be something else than what was seen.
    must_look: bool,
}

impl Files {
    /// Begins to watch everything that the caller can see: what changes after this returns is heard of.
    pub async fn watch(self: &Arc<Self>, caller: &Caller) -> FilesResult<Watcher> {
        let root = NodePath::root();
        let home = Self::home_of(caller)?.root.space;
        let begun = self.metadata.watch(caller.user, home).await;
        let mut watcher = Watcher {
            files: Arc::clone(self),
            caller: caller.clone(),
            changes: begun.map_err(at(&root))?,
            seen: Seen::new(),
            until: None,
            must_look: true,
        };
        watcher.look().await.map_err(at(&root))?;
        Ok(watcher)
    }
}

impl Watcher {
    /// Waits until something has changed since the last time; nothing is lost by ending the wait.
    pub async fn changed(&mut self) {
        loop {
            if self.must_look {
                match self.look().await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::debug!(%error, "what somebody was given could not be asked for");
                        tokio::time::sleep(LOOK_AGAIN).await;
                        continue;
                    }
                }
            }
            let end = end_of(&self.files, self.until);
            tokio::select! {
                heard = self.changes.changed() => {
                    self.must_look |= heard.given;
                    if heard.files {
                        return;
                    }
                }
                () = end => self.must_look = true,
            }
        }
    }

    /// Looks at what the caller was given and watches that; returns whether it is something else than before.
    async fn look(&mut self) -> StoreResult<bool> {
        let mounts = self.files.fresh_mounts(&self.caller).await?;
        let trees: HashSet<_> = mounts.iter().map(tree_of).collect();
        let metadata = &self.files.metadata;
        metadata.cover(&mut self.changes, trees).await?;
        let seen: Seen = mounts.iter().map(seen_of).collect();
        let is_other = seen != self.seen;
        self.seen = seen;
        self.until = mounts.iter().filter_map(|mount| mount.until).min();
        self.must_look = false;
        Ok(is_other)
    }
}

fn tree_of(mount: &Mount) -> (SpaceId, NodeId) {
    (mount.node.space, mount.node.id)
}

fn seen_of(mount: &Mount) -> (NodePath, (SpaceId, NodeId, i64, bool)) {
    let (space, node) = tree_of(mount);
    let permissions = mount.permissions.bits();
    let seen = (space, node, permissions, mount.may_download);
    (mount.path.clone(), seen)
}

/// Waits for a moment of the server's clock; for ever where there is none.
async fn end_of(files: &Files, until: Option<Timestamp>) {
    let Some(until) = until else {
        return std::future::pending().await;
    };
    while files.now() < until {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
