//! Locks of nodes, shared by every protocol (WebDAV LOCK, the lock API, editors).
//!
//! A lock belongs to a node and a person. A shallow lock of a folder protects
//! the folder and its membership; a deep one everything below as well
//! (RFC 4918 sections 6 and 7).
//!
//! # Always true
//!
//! * A lock past its end does not exist, whether or not its row was swept.
//! * A token counts only in requests of the person who holds the lock.
//! * A lock by hand stops everybody but its owner, who needs no token.
//! * A new or ended lock changes the ETags of the folders above, so that clients look again (one whose time is over, soon
//!   after: `ended_locks`); the node's own ETag and times stay.

use std::collections::HashMap;

use nuage_shared::node_path::NodePath;

use crate::clock::Timestamp;
use crate::store::metadata::ended_locks::show_on_file;
use crate::store::metadata::error::Refusal;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::history::lock_space_row;
use crate::store::metadata::nodes::Change;
use crate::store::metadata::nodes::Growth;
use crate::store::metadata::nodes::lock_space;
use crate::store::metadata::nodes::path_of;
use crate::store::metadata::nodes::touch_above;
use crate::store::metadata::precondition::Condition;
use crate::store::metadata::precondition::ConditionList;
use crate::store::metadata::precondition::Precondition;
use crate::store::metadata::records::Lock;
use crate::store::metadata::records::LockKind;
use crate::store::metadata::records::Node;
use crate::store::metadata::records::NodeId;
use crate::store::metadata::records::Permissions;
use crate::store::metadata::records::SpaceId;
use crate::store::metadata::records::UserId;
use crate::store::metadata::tx::Asked;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Row;
use crate::store::metadata::tx::Tx;
use crate::store::metadata::walk::Walk;
use crate::store::metadata::walk::walk;

/// A row of `lock`.
#[derive(Debug, Clone)]
pub(crate) struct LockRow {
    pub(crate) token: String,
    pub(crate) node: NodeId,
    pub(crate) owner: UserId,
    pub(crate) owner_name: String,
    pub(crate) owner_shown: String,
    pub(crate) kind: LockKind,
    pub(crate) made_at: Option<Timestamp>,
    pub(crate) editor: Option<String>,
    pub(crate) shared: bool,
    pub(crate) deep: bool,
    pub(crate) until: Timestamp,
    pub(crate) timeout_seconds: i64,
    pub(crate) info: Option<String>,
}

/// Reads `token, node_id, owner_id, name, shared, deep, until, timeout_seconds, info, kind, at, editor,
/// display_name`.
pub(crate) fn read_lock(row: &dyn Row) -> StoreResult<LockRow> {
    Ok(LockRow {
        token: row.text(0)?,
        node: NodeId(row.int(1)?),
        owner: UserId(row.int(2)?),
        owner_name: row.opt_text(3)?.unwrap_or_default(),
        shared: row.int(4)? != 0,
        deep: row.int(5)? != 0,
        until: Timestamp(row.int(6)?),
        timeout_seconds: row.int(7)?,
        info: row.opt_text(8)?,
        kind: LockKind::of_column(row.opt_int(9)?),
        made_at: row.opt_int(10)?.map(Timestamp),
        editor: row.opt_text(11)?,
        owner_shown: row.opt_text(12)?.unwrap_or_default(),
    })
}

impl LockRow {
    pub(crate) fn at(&self, path: NodePath) -> Lock {
        Lock {
            token: self.token.clone(),
            path,
            owner_name: self.owner_name.clone(),
            owner_shown: self.owner_shown.clone(),
            kind: self.kind,
            made_at: self.made_at,
            editor: self.editor.clone(),
            shared: self.shared,
            deep: self.deep,
            until: self.until,
            timeout_seconds: self.timeout_seconds,
            info: self.info.clone(),
        }
    }
}

/// Locks of a space that one question brings; few spaces ever have so many.
const LOCKS_AT_ONCE: usize = 50;

/// The locks of a space: usually none, nearly always few enough to travel with other answers.
#[derive(Debug, Default)]
pub(crate) struct SpaceLocks(Vec<LockRow>);

impl SpaceLocks {
    /// Asks for the locks of a space.
    pub(crate) async fn ask<T: Tx>(
        tx: &mut T,
        space: SpaceId,
        now: Timestamp,
    ) -> StoreResult<Asked<LockRow>> {
        let limit = i64::try_from(LOCKS_AT_ONCE + 1).unwrap_or(i64::MAX);
        tx.ask(
            "SELECT l.token, l.node_id, l.owner_id, a.name, l.shared, l.deep, l.until, \
             l.timeout_seconds, l.info, l.kind, l.at, l.editor, a.display_name FROM lock l LEFT JOIN account a ON a.id = l.owner_id \
             WHERE l.space_id = $1 AND l.until > $2 LIMIT $3",
            &[space.0.into(), now.0.into(), limit.into()],
            read_lock,
        )
        .await
    }

    /// Returns the locks that were asked for.
    pub(crate) async fn answer<T: Tx>(tx: &mut T, asked: Asked<LockRow>) -> StoreResult<Self> {
        Ok(Self(tx.answer(asked).await?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all of them; `None`: there are more than one question brings.
    pub(crate) fn all(&self) -> Option<&[LockRow]> {
        (self.0.len() <= LOCKS_AT_ONCE).then_some(&self.0)
    }

    /// Returns the locks of one node.
    async fn on<T: Tx>(
        &self,
        tx: &mut T,
        node: NodeId,
        now: Timestamp,
    ) -> StoreResult<Vec<LockRow>> {
        match self.all() {
            Some(all) => Ok(all
                .iter()
                .filter(|lock| lock.node == node)
                .cloned()
                .collect()),
            None => locks_on(tx, node, now).await,
        }
    }

    /// Returns what [`covering`] does.
    pub(crate) async fn covering<T: Tx>(
        &self,
        tx: &mut T,
        chain: &[Node],
        now: Timestamp,
    ) -> StoreResult<Vec<(usize, LockRow)>> {
        let Some(all) = self.all() else {
            return covering(tx, chain, now).await;
        };
        let last = chain.len().saturating_sub(1);
        let on_chain = |lock: &LockRow| {
            let index = chain.iter().position(|node| node.id == lock.node)?;
            (lock.deep || index == last).then(|| (index, lock.clone()))
        };
        Ok(all.iter().filter_map(on_chain).collect())
    }
}

/// Returns whether a space has any lock at all: the usual answer, no, saves every other question.
async fn any_lock<T: Tx>(tx: &mut T, space: SpaceId, now: Timestamp) -> StoreResult<bool> {
    let found = tx
        .row(
            "SELECT 1 FROM lock WHERE space_id = $1 AND until > $2 LIMIT 1",
            &[space.0.into(), now.0.into()],
            |row| row.int(0),
        )
        .await?;
    Ok(found.is_some())
}

async fn locks_on<T: Tx>(tx: &mut T, node: NodeId, now: Timestamp) -> StoreResult<Vec<LockRow>> {
    let asked = ask_locks_on(tx, node, now).await?;
    tx.answer(asked).await
}

async fn ask_locks_on<T: Tx>(
    tx: &mut T,
    node: NodeId,
    now: Timestamp,
) -> StoreResult<Asked<LockRow>> {
    tx.ask(
        "SELECT l.token, l.node_id, l.owner_id, a.name, l.shared, l.deep, l.until, \
         l.timeout_seconds, l.info, l.kind, l.at, l.editor, a.display_name FROM lock l LEFT JOIN account a ON a.id = l.owner_id \
         WHERE l.node_id = $1 AND l.until > $2",
        &[node.0.into(), now.0.into()],
        read_lock,
    )
    .await
}

/// Returns the locks that cover the end of a chain of nodes (the root first), with the index of
/// their node in it. Where `membership` is set the last node is a folder that gains or loses a member.
pub(crate) async fn covering<T: Tx>(
    tx: &mut T,
    chain: &[Node],
    now: Timestamp,
) -> StoreResult<Vec<(usize, LockRow)>> {
    let mut asked = Vec::with_capacity(chain.len());
    for node in chain {
        asked.push(ask_locks_on(tx, node.id, now).await?);
    }
    let mut found = Vec::new();
    let last = chain.len().saturating_sub(1);
    for (index, asked) in asked.into_iter().enumerate() {
        for lock in tx.answer(asked).await? {
            if lock.deep || index == last {
                found.push((index, lock));
            }
        }
    }
    Ok(found)
}

/// Which nodes a change touches, so which locks stand in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The node's own content or properties.
    Node,
    /// The node appears in, or disappears from, the folder above; so does everything below it.
    Tree,
}

/// Refuses a change of `path` that a lock forbids.
///
/// Of several shared locks on one node the token of one is enough.
pub(crate) async fn require_unlocked<T: Tx>(
    tx: &mut T,
    change: &Change,
    (path, walk): (&NodePath, &Walk),
    precondition: &Precondition,
    reach: Reach,
) -> StoreResult<()> {
    let locks = SpaceLocks::ask(tx, change.space, change.now).await?;
    let locks = SpaceLocks::answer(tx, locks).await?;
    require_tokens(tx, change, (path, walk), (precondition, reach), &locks).await
}

/// Does what [`require_unlocked`] does, where the space's locks are at hand.
pub(crate) async fn require_tokens<T: Tx>(
    tx: &mut T,
    change: &Change,
    (path, walk): (&NodePath, &Walk),
    (precondition, reach): (&Precondition, Reach),
    locks: &SpaceLocks,
) -> StoreResult<()> {
    if locks.is_empty() {
        return Ok(());
    }
    let mut in_the_way = locks.covering(tx, &walk.nodes, change.now).await?;
    let is_member_change = reach == Reach::Tree || walk.target().is_none();
    if is_member_change && walk.missing == 0 {
        let above = walk.nodes.len().saturating_sub(2);
        if let Some(folder) = walk.nodes.get(above).filter(|_| walk.nodes.len() > 1) {
            for lock in locks.on(tx, folder.id, change.now).await? {
                if !lock.deep {
                    in_the_way.push((above, lock));
                }
            }
        }
    }
    let shown = |index| walk.path_at(path, index);
    refuse_without_token(change.actor, shown, &in_the_way, precondition)?;
    if let (Reach::Tree, Some(target)) = (reach, walk.target().filter(|node| node.is_folder())) {
        for lock in locks_below(tx, change.space, target.id, change.now).await? {
            let at = path_of(tx, change.space, lock.node)
                .await?
                .unwrap_or_default();
            let shown = |_| walk.path_below(&at);
            refuse_without_token(change.actor, shown, &[(0, lock)], precondition)?;
        }
    }
    Ok(())
}

fn refuse_without_token(
    actor: UserId,
    shown: impl Fn(usize) -> NodePath,
    locks: &[(usize, LockRow)],
    precondition: &Precondition,
) -> StoreResult<()> {
    for (index, lock) in locks {
        let is_opened = locks.iter().any(|(other_index, other)| {
            other_index == index
                && other.owner == actor
                && (other.kind == LockKind::Hand
                    || precondition.tokens().any(|token| token == other.token))
        });
        if !is_opened {
            return Err(Refusal::Locked {
                path: shown(*index),
                until: lock.until,
            }
            .into());
        }
    }
    Ok(())
}

/// Returns the locks of nodes strictly below a folder, walking up from the space's few locks.
async fn locks_below<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    folder: NodeId,
    now: Timestamp,
) -> StoreResult<Vec<LockRow>> {
    let all = tx
        .rows(
            "SELECT l.token, l.node_id, l.owner_id, a.name, l.shared, l.deep, l.until, \
             l.timeout_seconds, l.info, l.kind, l.at, l.editor, a.display_name FROM lock l LEFT JOIN account a ON a.id = l.owner_id \
             WHERE l.space_id = $1 AND l.until > $2",
            &[space.0.into(), now.0.into()],
            read_lock,
        )
        .await?;
    let mut known = HashMap::new();
    let mut below = Vec::new();
    for lock in all {
        if lock.node != folder && is_below(tx, lock.node, folder, &mut known).await? {
            below.push(lock);
        }
    }
    Ok(below)
}

/// Returns whether `node` is `folder` or lies below it; remembers what it learned on the way.
async fn is_below<T: Tx>(
    tx: &mut T,
    node: NodeId,
    folder: NodeId,
    known: &mut HashMap<NodeId, bool>,
) -> StoreResult<bool> {
    let mut trail = Vec::new();
    let mut at = node;
    let answer = loop {
        if at == folder {
            break true;
        }
        if let Some(answer) = known.get(&at) {
            break *answer;
        }
        trail.push(at);
        let parent = tx
            .row(
                "SELECT parent_id FROM node WHERE id = $1",
                &[at.0.into()],
                |row| row.opt_int(0),
            )
            .await?
            .flatten();
        match parent {
            Some(parent) => at = NodeId(parent),
            None => break false,
        }
    };
    known.extend(trail.into_iter().map(|id| (id, answer)));
    Ok(answer)
}

/// Ends every lock of a node and of what lies below it (RFC 4918 sections 9.6.1 and 9.9).
pub(crate) async fn end_locks_of_tree<T: Tx>(
    tx: &mut T,
    space: SpaceId,
    node: &Node,
    now: Timestamp,
) -> StoreResult<()> {
    if !any_lock(tx, space, now).await? {
        return Ok(());
    }
    tx.perform("DELETE FROM lock WHERE node_id = $1", &[node.id.0.into()])
        .await?;
    if node.is_folder() {
        for lock in locks_below(tx, space, node.id, now).await? {
            tx.perform(
                "DELETE FROM lock WHERE token = $1",
                &[lock.token.as_str().into()],
            )
            .await?;
        }
    }
    Ok(())
}

/// Refuses when a condition of the request does not hold for what is there now.
pub(crate) async fn check_precondition<T: Tx>(
    tx: &mut T,
    change: &Change,
    walk: &Walk,
    precondition: &Precondition,
) -> StoreResult<()> {
    if precondition.is_empty() {
        return Ok(());
    }
    let target = walk.target();
    let etag = target.map(Node::etag);
    let etag = etag.as_deref();
    let holds = precondition
        .if_match
        .as_ref()
        .is_none_or(|list| list.matches(etag))
        && !precondition
            .if_none_match
            .as_ref()
            .is_some_and(|list| list.matches(etag))
        && precondition
            .unmodified_since
            .zip(target)
            .is_none_or(|(since, node)| node.mtime.seconds() <= since.seconds());
    if !holds {
        return Err(Refusal::PreconditionFailed.into());
    }
    if precondition.lists.is_empty() {
        return Ok(());
    }
    for list in &precondition.lists {
        if list_holds(tx, change, list).await? {
            return Ok(());
        }
    }
    Err(Refusal::PreconditionFailed.into())
}

async fn list_holds<T: Tx>(tx: &mut T, change: &Change, list: &ConditionList) -> StoreResult<bool> {
    let found = match &list.path {
        Some(path) => {
            let root = list.root.unwrap_or_else(|| change.root());
            Some(walk(tx, root, path).await?)
        }
        None => None,
    };
    let etag = found.as_ref().and_then(Walk::target).map(Node::etag);
    let locks = match &found {
        Some(found) => covering(tx, &found.nodes, change.now).await?,
        None => Vec::new(),
    };
    Ok(list.conditions.iter().all(|condition| match condition {
        Condition::Etag { tag, negated } => (etag.as_ref() == Some(tag)) != *negated,
        Condition::Token { token, negated } => {
            locks.iter().any(|(_, lock)| lock.token == *token) != *negated
        }
    }))
}

/// Tests a precondition as it stands now.
#[derive(Debug)]
pub struct CheckPrecondition {
    /// The space and the moment.
    pub change: Change,
    /// The request's target.
    pub path: NodePath,
    /// What must hold.
    pub precondition: Precondition,
}

impl Operation for CheckPrecondition {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        let found = walk(tx, self.change.root(), &self.path).await?;
        check_precondition(tx, &self.change, &found, &self.precondition).await
    }
}

/// Locks an existing node. A conflicting lock refuses with `LockConflict`.
#[derive(Debug)]
pub struct CreateLock {
    /// Space, person and moment.
    pub change: Change,
    /// The node.
    pub path: NodePath,
    /// The new lock's token, random.
    pub token: String,
    /// Shared, else exclusive.
    pub shared: bool,
    /// Depth infinity, else 0.
    pub deep: bool,
    /// How long it lasts.
    pub timeout_seconds: i64,
    /// The owner element as XML.
    pub info: Option<String>,
    /// The request's conditions.
    pub precondition: Precondition,
    /// Locks that one person may hold.
    pub locks_max: u64,
}

impl Operation for CreateLock {
    type Output = Lock;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Lock> {
        let change = &self.change;
        let target = (&self.path, &self.precondition);
        let (seq, found, node) = lock_target(tx, change, target).await?;
        change.require(Permissions::UPDATE)?;
        self.refuse_conflicts(tx, &found).await?;
        let row = LockRow {
            shared: self.shared,
            deep: self.deep,
            info: self.info.clone(),
            ..LockRow::new(change, (node.id, &self.token), self.timeout_seconds)
        };
        let made = insert(tx, change, row, self.locks_max).await?;
        show_above(tx, &found, seq).await?;
        Ok(made.at(self.path.clone()))
    }
}

impl LockRow {
    /// A new exclusive lock of one node alone, by WebDAV.
    fn new(change: &Change, (node, token): (NodeId, &str), timeout_seconds: i64) -> Self {
        Self {
            token: token.to_owned(),
            node,
            owner: change.actor,
            owner_name: String::new(),
            owner_shown: String::new(),
            kind: LockKind::Dav,
            made_at: Some(change.now),
            editor: None,
            shared: false,
            deep: false,
            until: change.now.plus_seconds(timeout_seconds),
            timeout_seconds,
            info: None,
        }
    }
}

/// Lets a lock last so long from now.
async fn prolong<T: Tx>(
    tx: &mut T,
    lock: &mut LockRow,
    now: Timestamp,
    timeout_seconds: i64,
) -> StoreResult<()> {
    lock.until = now.plus_seconds(timeout_seconds);
    lock.timeout_seconds = timeout_seconds;
    tx.perform(
        "UPDATE lock SET until = $1, timeout_seconds = $2 WHERE token = $3",
        &[
            lock.until.0.into(),
            timeout_seconds.into(),
            lock.token.as_str().into(),
        ],
    )
    .await
}

async fn end<T: Tx>(tx: &mut T, token: &str) -> StoreResult<()> {
    tx.perform("DELETE FROM lock WHERE token = $1", &[token.into()])
        .await
}

/// What a change of a node's locks begins with: under the space's lock and number, after the conditions.
async fn lock_target<T: Tx>(
    tx: &mut T,
    change: &Change,
    (path, precondition): (&NodePath, &Precondition),
) -> StoreResult<(i64, Walk, Node)> {
    // The space's row is the lock under which nodes and their locks change.
    let space = lock_space(tx, change, 1).await?;
    let found = walk(tx, change.root(), path).await?;
    let node = found.existing()?.clone();
    check_precondition(tx, change, &found, precondition).await?;
    Ok((space.first_seq, found, node))
}

/// Writes a new lock, if its owner may hold one more; returns it as it is read.
async fn insert<T: Tx>(
    tx: &mut T,
    change: &Change,
    lock: LockRow,
    locks_max: u64,
) -> StoreResult<LockRow> {
    let held = tx
        .row(
            "SELECT count(*) FROM lock WHERE owner_id = $1 AND until > $2",
            &[change.actor.0.into(), change.now.0.into()],
            |row| row.int(0),
        )
        .await?;
    if held.unwrap_or(0).unsigned_abs() >= locks_max {
        return Err(Refusal::TooManyLocks.into());
    }
    tx.perform(
        "INSERT INTO lock (token, space_id, node_id, owner_id, shared, deep, until, \
         timeout_seconds, info, kind, at, editor) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            lock.token.as_str().into(),
            change.space.0.into(),
            lock.node.0.into(),
            change.actor.0.into(),
            i64::from(lock.shared).into(),
            i64::from(lock.deep).into(),
            lock.until.0.into(),
            lock.timeout_seconds.into(),
            lock.info.as_deref().into(),
            lock.kind.column().into(),
            change.now.0.into(),
            lock.editor.as_deref().into(),
        ],
    )
    .await?;
    let locks = locks_on(tx, lock.node, change.now).await?;
    let made = locks.into_iter().find(|made| made.token == lock.token);
    made.ok_or_else(|| Refusal::NotFound.into())
}

/// Gives the folders above a node new ETags, so that clients see that its lock changed.
async fn show_above<T: Tx>(tx: &mut T, found: &Walk, seq: i64) -> StoreResult<()> {
    if let Some(node) = found.target().filter(|node| !node.is_folder()) {
        show_on_file(tx, node.id.0, seq).await?;
    }
    match found.above() {
        Ok(above) => touch_above(tx, above, seq, Growth::default()).await,
        // The root has nothing above.
        Err(_) => Ok(()),
    }
}

/// What became of a wish to lock or unlock by hand.
#[derive(Debug)]
pub enum HandLock {
    /// The file is locked like this now.
    Locked(Node, Lock),
    /// The file is not locked any more.
    Unlocked(Node),
    /// Somebody else's lock, or one of another kind, is in the way; nothing changed.
    Held(Node, Lock),
    /// There was no lock to end.
    NotLocked,
}

/// Locks a file without WebDAV's form of it: by hand, or by a program that holds a token. Doing so
/// again renews the lock.
#[derive(Debug)]
pub struct LockByHand {
    /// Space, person and moment.
    pub change: Change,
    /// The file.
    pub path: NodePath,
    /// Hand, application or token.
    pub kind: LockKind,
    /// The application's name.
    pub editor: Option<String>,
    /// The new lock's token, random.
    pub token: String,
    /// How long it lasts from now.
    pub timeout_seconds: i64,
    /// The request's conditions.
    pub precondition: Precondition,
    /// Locks that one person may hold.
    pub locks_max: u64,
}

impl Operation for LockByHand {
    type Output = HandLock;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<HandLock> {
        let change = &self.change;
        let target = (&self.path, &self.precondition);
        let (seq, found, node) = lock_target(tx, change, target).await?;
        if node.is_folder() {
            return Err(Refusal::IsAFolder.into());
        }
        change.require(Permissions::UPDATE)?;
        let held = covering(tx, &found.nodes, change.now)
            .await?
            .into_iter()
            .next();
        if let Some((index, mut lock)) = held {
            if lock.node != node.id || lock.owner != change.actor || lock.kind != self.kind {
                return Ok(HandLock::Held(
                    node,
                    lock.at(found.path_at(&self.path, index)),
                ));
            }
            prolong(tx, &mut lock, change.now, self.timeout_seconds).await?;
            return Ok(HandLock::Locked(node, lock.at(self.path.clone())));
        }
        let row = LockRow {
            kind: self.kind,
            editor: self.editor.clone(),
            ..LockRow::new(change, (node.id, &self.token), self.timeout_seconds)
        };
        let made = insert(tx, change, row, self.locks_max).await?;
        show_above(tx, &found, seq).await?;
        Ok(HandLock::Locked(node, made.at(self.path.clone())))
    }
}

/// Ends the person's own lock of a file, except one of an application.
#[derive(Debug)]
pub struct UnlockByHand {
    /// Space, person and moment.
    pub change: Change,
    /// The file.
    pub path: NodePath,
    /// The request's conditions.
    pub precondition: Precondition,
}

impl Operation for UnlockByHand {
    type Output = HandLock;

    fn space(&self) -> Option<SpaceId> {
        Some(self.change.space)
    }

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<HandLock> {
        let change = &self.change;
        let target = (&self.path, &self.precondition);
        let (seq, found, node) = lock_target(tx, change, target).await?;
        let locks = covering(tx, &found.nodes, change.now).await?;
        let may_end = |lock: &LockRow| {
            lock.node == node.id && lock.owner == change.actor && lock.kind != LockKind::Application
        };
        let mut ended = false;
        for (_, lock) in locks.iter().filter(|(_, lock)| may_end(lock)) {
            end(tx, &lock.token).await?;
            ended = true;
        }
        let rest = locks.into_iter().find(|(_, lock)| !may_end(lock));
        if ended {
            show_above(tx, &found, seq).await?;
        }
        Ok(match rest {
            Some((index, lock)) => HandLock::Held(node, lock.at(found.path_at(&self.path, index))),
            None if ended => HandLock::Unlocked(node),
            None => HandLock::NotLocked,
        })
    }
}

impl CreateLock {
    async fn refuse_conflicts<T: Tx>(&self, tx: &mut T, found: &Walk) -> StoreResult<()> {
        let change = &self.change;
        for (index, lock) in covering(tx, &found.nodes, change.now).await? {
            // Who locked a file by hand may open it in a program that locks it as well.
            let is_own_hand = lock.kind == LockKind::Hand && lock.owner == change.actor;
            if !(is_own_hand || lock.shared && self.shared) {
                let path = found.path_at(&self.path, index);
                return Err(Refusal::LockConflict { path }.into());
            }
        }
        let node = found.existing()?;
        if self.deep && node.is_folder() {
            for lock in locks_below(tx, change.space, node.id, change.now).await? {
                if !(lock.shared && self.shared) {
                    let whole = path_of(tx, change.space, lock.node)
                        .await?
                        .unwrap_or_default();
                    let path = found.path_below(&whole);
                    return Err(Refusal::LockConflict { path }.into());
                }
            }
        }
        Ok(())
    }
}

/// Prolongs a lock of the person that covers a path; `None`: no such lock.
#[derive(Debug)]
pub struct RefreshLock {
    /// Space, person and moment.
    pub change: Change,
    /// A path that the lock covers.
    pub path: NodePath,
    /// The lock's token.
    pub token: String,
    /// How long it lasts from now.
    pub timeout_seconds: i64,
}

impl Operation for RefreshLock {
    type Output = Option<Lock>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Lock>> {
        lock_space_row(tx, self.change.space).await?;
        let own = own_lock(tx, &self.change, &self.path, &self.token).await?;
        let Some((found, index, mut lock)) = own else {
            return Ok(None);
        };
        prolong(tx, &mut lock, self.change.now, self.timeout_seconds).await?;
        Ok(Some(lock.at(found.path_at(&self.path, index))))
    }
}

/// Ends a lock of the person that covers a path; `false`: no such lock.
#[derive(Debug)]
pub struct EndLock {
    /// Space, person and moment.
    pub change: Change,
    /// A path that the lock covers.
    pub path: NodePath,
    /// The lock's token.
    pub token: String,
}

impl Operation for EndLock {
    type Output = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<bool> {
        let space = lock_space(tx, &self.change, 1).await?;
        let own = own_lock(tx, &self.change, &self.path, &self.token).await?;
        let Some((found, index, _)) = own else {
            return Ok(false);
        };
        end(tx, &self.token).await?;
        let above = found.nodes.get(..index).unwrap_or_default();
        touch_above(tx, above, space.first_seq, Growth::default()).await?;
        Ok(true)
    }
}

async fn own_lock<T: Tx>(
    tx: &mut T,
    change: &Change,
    path: &NodePath,
    token: &str,
) -> StoreResult<Option<(Walk, usize, LockRow)>> {
    let found = walk(tx, change.root(), path).await?;
    let locks = covering(tx, &found.nodes, change.now).await?;
    let mut own = locks
        .into_iter()
        .filter(|(_, lock)| lock.token == token && lock.owner == change.actor);
    Ok(own.next().map(|(index, lock)| (found, index, lock)))
}

/// Returns every lock that covers a path, also one that names nothing yet.
#[derive(Debug)]
pub struct CoveringLocks {
    /// The space and the moment.
    pub change: Change,
    /// The path.
    pub path: NodePath,
}

impl Operation for CoveringLocks {
    type Output = Vec<Lock>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Vec<Lock>> {
        let found = walk(tx, self.change.root(), &self.path).await?;
        let mut locks = covering(tx, &found.nodes, self.change.now).await?;
        if found.missing > 0 {
            // A shallow lock of the last folder that exists does not cover what is not there.
            locks.retain(|(_, lock)| lock.deep);
        }
        Ok(locks
            .iter()
            .map(|(index, lock)| lock.at(found.path_at(&self.path, *index)))
            .collect())
    }
}
