//! Where frames went when their pack was compacted: the blob `pack.moved`.
//!
//! A place in a map is logical for ever. When the frames of a pack that still
//! matter are copied elsewhere, the pack's row keeps, for each run of them, the
//! old offset and the new pack and offset. One step always suffices: when the
//! new pack is compacted in turn, the entries that lead into it are repointed in
//! the same transaction.
//!
//! ```text
//! moved = 1 | entries u32 | (old offset u64 | length u64 | new pack i64 | new offset u64)*
//! ```
//!
//! Numbers are little-endian; entries are sorted by old offset and do not overlap.

use nuage_shared::manifest::PackId;

const VERSION: u8 = 1;
const ENTRY_BYTES: usize = 32;

/// A run of frames that lies elsewhere now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirection {
    /// Where the run began in its old pack.
    pub from: u64,
    /// Its length in bytes, with headers and check sums of the frames.
    pub length: u64,
    /// The pack that holds it now.
    pub pack: PackId,
    /// Where it begins there.
    pub to: u64,
}

impl Redirection {
    fn end(&self) -> u64 {
        self.from.saturating_add(self.length)
    }
}

/// All runs of a pack that lie elsewhere now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirections(Vec<Redirection>);

impl Redirections {
    /// Adds the next run, by old offset; one that goes on where the last one ended joins it.
    pub fn push(&mut self, run: Redirection) {
        if let Some(last) = self.0.last_mut()
            && last.end() == run.from
            && last.pack == run.pack
            && last.to.saturating_add(last.length) == run.to
        {
            last.length = last.length.saturating_add(run.length);
        } else {
            self.0.push(run);
        }
    }

    /// Returns the runs, by old offset.
    pub fn runs(&self) -> &[Redirection] {
        &self.0
    }

    /// Returns where the frame at an old offset is now; `None`: it was not live when the pack moved.
    pub fn resolve(&self, offset: u64) -> Option<(PackId, u64)> {
        let after = self.0.partition_point(|run| run.from <= offset);
        let run = self.0.get(after.checked_sub(1)?)?;
        (offset < run.end()).then(|| (run.pack, run.to.saturating_add(offset - run.from)))
    }

    /// Leads every run that lies in `gone` to where `moved` says that its bytes are now.
    ///
    /// What `moved` does not hold was not live any more and is left out.
    #[must_use]
    pub fn repointed(&self, gone: PackId, moved: &Self) -> Self {
        let mut repointed = Self::default();
        for run in &self.0 {
            if run.pack != gone {
                repointed.push(*run);
                continue;
            }
            let end = run.to.saturating_add(run.length);
            let first = moved.0.partition_point(|step| step.end() <= run.to);
            let steps = moved.0.iter().skip(first);
            for step in steps.take_while(|step| step.from < end) {
                let low = step.from.max(run.to);
                let high = step.end().min(end);
                repointed.push(Redirection {
                    from: run.from + (low - run.to),
                    length: high - low,
                    pack: step.pack,
                    to: step.to.saturating_add(low - step.from),
                });
            }
        }
        repointed
    }

    /// Returns the blob.
    pub fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(5 + self.0.len() * ENTRY_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&count.to_le_bytes());
        for run in &self.0 {
            bytes.extend_from_slice(&run.from.to_le_bytes());
            bytes.extend_from_slice(&run.length.to_le_bytes());
            bytes.extend_from_slice(&run.pack.0.to_le_bytes());
            bytes.extend_from_slice(&run.to.to_le_bytes());
        }
        bytes
    }

    /// Reads a blob; `None` when it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        if *version != VERSION || count.checked_mul(ENTRY_BYTES)? != rest.len() {
            return None;
        }
        let mut take = || {
            let (number, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(*number)
        };
        let mut runs: Vec<Redirection> = Vec::with_capacity(count);
        for _ in 0..count {
            let run = Redirection {
                from: u64::from_le_bytes(take()?),
                length: u64::from_le_bytes(take()?),
                pack: PackId(i64::from_le_bytes(take()?)),
                to: u64::from_le_bytes(take()?),
            };
            if runs.last().is_some_and(|last| last.end() > run.from) {
                return None;
            }
            runs.push(run);
        }
        Some(Self(runs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(from: u64, length: u64, pack: i64, to: u64) -> Redirection {
        let pack = PackId(pack);
        Redirection {
            from,
            length,
            pack,
            to,
        }
    }

    fn redirections(runs: &[Redirection]) -> Redirections {
        let mut all = Redirections::default();
        for run in runs {
            all.push(*run);
        }
        all
    }

    #[test]
    fn adjacent_runs_join_and_every_offset_in_them_is_found() {
        let moved = redirections(&[run(36, 10, 7, 100), run(46, 20, 7, 110), run(80, 5, 7, 130)]);
        assert_eq!(moved.runs().len(), 2);
        assert_eq!(moved.resolve(35), None);
        assert_eq!(moved.resolve(46), Some((PackId(7), 110)));
        assert_eq!(moved.resolve(66), None);
        assert_eq!(moved.resolve(80), Some((PackId(7), 130)));
        assert_eq!(Redirections::decode(&moved.encode()), Some(moved));
    }

    #[test]
    fn one_step_leads_to_the_newest_pack_after_a_second_move() {
        let first = redirections(&[run(36, 100, 7, 1_000), run(200, 50, 8, 40)]);
        let second = redirections(&[run(1_000, 40, 9, 36), run(1_080, 20, 9, 76)]);
        let now = first.repointed(PackId(7), &second);
        assert_eq!(now.resolve(36), Some((PackId(9), 36)));
        assert_eq!(now.resolve(76), None);
        assert_eq!(now.resolve(116), Some((PackId(9), 76)));
        assert_eq!(now.resolve(200), Some((PackId(8), 40)));
    }

    #[test]
    fn damaged_blobs_are_refused() {
        let blob = redirections(&[run(36, 10, 7, 100)]).encode();
        assert_eq!(Redirections::decode(&blob[..blob.len() - 1]), None);
        assert_eq!(Redirections::decode(&[]), None);
        assert_eq!(Redirections::decode(&[2, 0, 0, 0, 0]), None);
    }
}
