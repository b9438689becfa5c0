//! Figures side by side, as ratios, with the goals that we set ourselves.

use std::fmt::Write;

use serde_json::Value;
use serde_json::json;

use crate::disk::DiskSpeed;
use crate::peers::Peer;
use crate::sheet::Better;
use crate::sheet::FIGURES;
use crate::sheet::Sheet;

/// What one run yielded.
#[derive(Debug)]
pub(crate) struct Report {
    /// What the disk itself does.
    pub(crate) disk: DiskSpeed,
    /// The seed of all that is random.
    pub(crate) seed: u64,
    /// Length of the large file, in bytes.
    pub(crate) large_bytes: usize,
    /// The share of one core that the driver used, and the load of the machine before.
    pub(crate) machine: String,
    /// Each server's figures.
    pub(crate) sheets: Vec<(Peer, Sheet)>,
}

/// A goal: its words, what was reached, and whether that is enough.
struct Verdict {
    goal: &'static str,
    reached: String,
    is_met: bool,
}

impl Report {
    /// Returns everything for people, in Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail; so below.
        let _written = writeln!(
            text,
            "\nDisk: {:.0} fdatasync/s alone (p99 {:.1} ms), {:.0} MB/s streamed. {} Large file: {} MiB. Seed {}.\n",
            self.disk.syncs_per_second,
            self.disk.p99_ms,
            self.disk.stream_mb_per_second,
            self.machine,
            self.large_bytes >> 20,
            self.seed,
        );
        self.write_table(&mut text);
        self.write_goals(&mut text);
        for (peer, sheet) in &self.sheets {
            for (complaint, times) in &sheet.complaints {
                let _written = writeln!(text, "! {}: {complaint} ({times} times)", peer.name());
            }
        }
        text
    }

    /// Returns the figures for programs.
    pub(crate) fn json(&self) -> Value {
        let servers: serde_json::Map<String, Value> = self
            .sheets
            .iter()
            .map(|(peer, sheet)| {
                let figures = FIGURES.iter();
                let figures: serde_json::Map<String, Value> = figures
                    .filter_map(|figure| Some((figure.id.to_owned(), json!(sheet.get(figure.id)?))))
                    .collect();
                let about = json!({ "figures": figures, "complaints": sheet.complaints });
                (peer.name().to_owned(), about)
            })
            .collect();
        json!({
            "seed": self.seed,
            "large_bytes": self.large_bytes,
            "disk": {
                "fdatasync_per_second": self.disk.syncs_per_second,
                "fdatasync_p99_ms": self.disk.p99_ms,
                "stream_mb_per_second": self.disk.stream_mb_per_second,
            },
            "servers": servers,
        })
    }

    fn sheet(&self, wanted: Peer) -> Option<&Sheet> {
        let found = self.sheets.iter().find(|(peer, _)| *peer == wanted);
        found.map(|(_, sheet)| sheet)
    }

    /// One row for each figure; `×` says how many times as good as the peer Nuage is.
    fn write_table(&self, text: &mut String) {
        let ours = self.sheet(Peer::Nuage);
        let others: Vec<&(Peer, Sheet)> = self
            .sheets
            .iter()
            .filter(|(peer, _)| *peer != Peer::Nuage)
            .collect();
        let mut head = format!("| {:<42} |{:>9} |", "", "nuage");
        let mut line = format!("| {:-<42} |{:->9}:|", "", "");
        for (peer, _) in &others {
            let _written = write!(head, "{:>9} |{:>8} |", peer.name(), "×");
            line.push_str("---------:|--------:|");
        }
        let _written = writeln!(text, "{head}\n{line}");
        for figure in FIGURES {
            let own = ours.and_then(|sheet| sheet.get(figure.id));
            if self
                .sheets
                .iter()
                .all(|(_, sheet)| sheet.get(figure.id).is_none())
            {
                continue;
            }
            let _written = write!(text, "| {:<42} |{:>9} |", figure.title, shown(own));
            for (_, sheet) in &others {
                let other = sheet.get(figure.id);
                let ratio = own.zip(other).map(|(own, other)| match figure.better {
                    Better::Higher => own / other,
                    Better::Lower => other / own,
                });
                let _written = write!(text, "{:>9} |{:>8} |", shown(other), shown(ratio));
            }
            text.push('\n');
        }
    }

    fn write_goals(&self, text: &mut String) {
        let Some(ours) = self.sheet(Peer::Nuage) else {
            return;
        };
        let _written = writeln!(text, "\n| goal | reached | |\n| --- | --- | --- |");
        for verdict in self.verdicts(ours).into_iter().flatten() {
            let word = if verdict.is_met { "met" } else { "MISSED" };
            let _written = writeln!(text, "| {} | {} | {word} |", verdict.goal, verdict.reached);
        }
        text.push('\n');
    }

    /// Judges what was measured; a goal whose figures were not taken is left out.
    fn verdicts(&self, ours: &Sheet) -> Vec<Option<Verdict>> {
        let apache = self.sheet(Peer::Apache);
        let beside = |id: &str| Some((ours.get(id)?, apache?.get(id)?));
        let at_least = |goal, id: &str, bound: f64| {
            let reached = ours.get(id)?;
            Some(Verdict {
                goal,
                reached: shown(Some(reached)),
                is_met: reached >= bound,
            })
        };
        let at_most = |goal, id: &str, bound: f64| {
            let reached = ours.get(id)?;
            Some(Verdict {
                goal,
                reached: shown(Some(reached)),
                is_met: reached <= bound,
            })
        };
        let ratio = |goal, id: &str, better: Better, bound: f64| {
            let (own, other) = beside(id)?;
            let ratio = if better == Better::Higher {
                own / other
            } else {
                other / own
            };
            Some(Verdict {
                goal,
                reached: format!("{} ×", shown(Some(ratio))),
                is_met: ratio >= bound,
            })
        };
        let sync_ms = 1000.0 / self.disk.syncs_per_second;
        let large_mb = f64::from(u32::try_from(self.large_bytes).unwrap_or(u32::MAX)) / 1e6;
        let tail_ms = (3.0 * self.disk.p99_ms).max(20.0);
        vec![
            ratio(
                "list 10 000: ≥ 3 × as fast as Apache",
                "list_10000_p50",
                Better::Lower,
                3.0,
            ),
            at_most("list 10 000: ≤ 40 ms", "list_10000_p50", 40.0),
            at_most("list 1 000: ≤ 5 ms", "list_1000_p50", 5.0),
            ratio(
                "GET large: ≥ half of Apache's sendfile",
                "get_large",
                Better::Higher,
                0.5,
            ),
            at_least("GET large: ≥ 1 300 MB/s", "get_large", 1300.0),
            at_least("PUT large: ≥ 350 MB/s", "put_large", 350.0),
            at_least("PUT large: ≥ 745 MB/s (the next goal)", "put_large", 745.0),
            ratio(
                "GET 10 KiB, 1 connection: ≥ half of Apache",
                "get_c1",
                Better::Higher,
                0.5,
            ),
            ratio(
                "GET 10 KiB, 8 connections: ≥ half of Apache",
                "get_c8",
                Better::Higher,
                0.5,
            ),
            at_least(
                "durable PUT 10 KiB, 8 connections: ≥ 1 500/s where the disk does 450 fdatasync/s",
                "put_c8",
                1500.0,
            ),
            at_most("1 MiB range: p50 ≤ 2 ms", "range_p50", 2.0),
            ratio(
                "COPY of 1 000 files: ≤ Apache's time",
                "copy_p50",
                Better::Lower,
                1.0,
            ),
            at_most("COPY writes no content (MB of 16.8)", "copy_growth", 1.0),
            at_most(
                "MOVE of 1 000 files: ≤ 2 ms and one fdatasync",
                "move_p50",
                2.0 + sync_ms,
            ),
            ours.get("move_p50")
                .zip(ours.get("move_small_p50"))
                .map(|(large, small)| Verdict {
                    goal: "MOVE of a tree is O(1): 1 000 files ≤ 1.5 × 10 files, and 1 ms",
                    reached: format!("{} and {} ms", shown(Some(large)), shown(Some(small))),
                    is_met: large <= small * 1.5 + 1.0,
                }),
            at_most(
                "DELETE of 1 000 files: ≤ 2 ms and one fdatasync",
                "delete_p50",
                2.0 + sync_ms,
            ),
            at_most(
                "the same large file again: growth ≤ 1 % (MB)",
                "put_same_growth",
                large_mb / 100.0,
            ),
            at_least("mixed load: ≥ 4 000/s", "mixed", 4000.0),
            at_most(
                "mixed load: p99 ≤ 20 ms or 3 × the disk's fdatasync p99",
                "mixed_p99",
                tail_ms,
            ),
            at_most("memory in mixed load: PSS ≤ 100 MiB", "mixed_pss", 100.0),
            at_most("memory in all of it: PSS ≤ 150 MiB", "pss_peak", 150.0),
        ]
    }
}

/// Returns a number with three digits that count.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
