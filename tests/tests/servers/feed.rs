//! A reader of the change feed that keeps a copy of a space, as a sync client would.
//!
//! It asks for what is newer than its cursor, takes the answer's own cursor, and never
//! looks back. A change that became visible after a later one would be missed for ever: then
//! the copy differs from the space at the end.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_tests::shape::Place;
use nuage_tests::wait::pause;

/// How long it waits between two questions.
const INTERVAL: Duration = Duration::from_millis(20);

/// A copy of a space: for each node, its state as the feed told it.
#[derive(Debug, Default)]
pub(super) struct Follower {
    space: i64,
    cursor: i64,
    nodes: BTreeMap<i64, String>,
    /// Answers that held a change.
    pub(super) pages: u64,
    /// Changes that were taken over.
    pub(super) changes: u64,
}

impl Follower {
    /// Follows the home of an account.
    pub(super) fn of(place: &Place, account: &str) -> Self {
        let space = place.ground.postgres.number(
            &place.database,
            &format!("SELECT home_space FROM account WHERE name = '{account}'"),
        );
        Self {
            space,
            ..Self::default()
        }
    }

    /// Follows until it is told to stop, then once more.
    pub(super) fn run(&mut self, place: &Place, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            self.step(place);
            pause(INTERVAL);
        }
    }

    /// Takes over one page; nothing happens while PostgreSQL is away.
    pub(super) fn step(&mut self, place: &Place) {
        // One statement is one snapshot: the end of the page and what is before it. What lies in the
        // trash is not part of what a client sees; a tomb told it that it went there.
        let question = format!(
            "SELECT 0, s.seq, 0, '' FROM space s WHERE s.id = {space} \
             UNION ALL SELECT 1, n.seq, n.id, {STATE} FROM node n, space s \
             WHERE s.id = {space} AND n.space_id = s.id AND n.seq > {cursor} AND n.seq <= s.seq \
             AND n.parent_id IS DISTINCT FROM s.trash_id \
             UNION ALL SELECT 2, t.seq, t.node_id, t.why::text FROM tomb t, space s \
             WHERE s.id = {space} AND t.space_id = s.id AND t.seq > {cursor} AND t.seq <= s.seq \
             ORDER BY 2, 1",
            space = self.space,
            cursor = self.cursor,
        );
        let answer = place.ground.postgres.ask(&place.database, &question);
        if answer.code != 0 {
            return;
        }
        let mut end = None;
        let mut changes = 0;
        for line in answer.stdout.lines() {
            let mut fields = line.splitn(4, '\t');
            let mut number = || fields.next().unwrap().parse::<i64>().unwrap();
            let (kind, seq, node) = (number(), number(), number());
            let state = fields.next().unwrap_or_default();
            match kind {
                0 => end = Some(seq),
                1 => {
                    changes += 1;
                    self.nodes.insert(node, format!("{seq} {state}"));
                }
                // 0 is gone; 1 is moved, and its own row tells where to.
                _ if state == "0" => {
                    changes += 1;
                    self.nodes.remove(&node);
                }
                _ => {}
            }
        }
        let end = end.unwrap_or_else(|| panic!("the space is not there: {}", answer.stdout));
        assert!(
            end >= self.cursor,
            "the feed went back from {} to {end}",
            self.cursor
        );
        self.cursor = end;
        self.pages += u64::from(changes > 0);
        self.changes += changes;
    }

    /// Fails unless the copy is the space as it is now.
    #[track_caller]
    pub(super) fn assert_same(&mut self, place: &Place) {
        self.step(place);
        let question = format!(
            "SELECT n.id, n.seq, {STATE} FROM node n, space s WHERE s.id = {} AND n.space_id = s.id \
             AND n.parent_id IS DISTINCT FROM s.trash_id",
            self.space
        );
        let answer = place.ground.postgres.ask(&place.database, &question);
        let now: BTreeMap<i64, String> = answer
            .ok()
            .lines()
            .map(|line| {
                let (node, rest) = line.split_once('\t').unwrap();
                (node.parse().unwrap(), rest.replacen('\t', " ", 1))
            })
            .collect();
        let differ: Vec<String> = now
            .keys()
            .chain(self.nodes.keys())
            .filter(|node| now.get(node) != self.nodes.get(node))
            .map(|node| {
                format!(
                    "node {node}: {:?}, the follower has {:?}",
                    now.get(node),
                    self.nodes.get(node)
                )
            })
            .collect();
        assert!(
            differ.is_empty(),
            "the follower at {} missed something:\n{}",
            self.cursor,
            differ.join("\n")
        );
    }
}

/// What a client knows of a node. Sums and marks of folders change without a change of their own.
const STATE: &str = "coalesce(n.parent_id, 0) || '/' || n.name || ' ' || coalesce(n.content_id, 0)";
