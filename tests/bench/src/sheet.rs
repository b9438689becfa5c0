//! Every figure that is taken: what it is called, its unit, and which way is better.

use std::collections::BTreeMap;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// More is.
    Higher,
    /// Less is.
    Lower,
}

/// A figure that each server gets.
#[derive(Debug)]
pub(crate) struct Figure {
    /// By which cases, goals and the JSON name it.
    pub(crate) id: &'static str,
    /// Its name in the table, with the unit.
    pub(crate) title: &'static str,
    /// Which way is better.
    pub(crate) better: Better,
}

const fn higher(id: &'static str, title: &'static str) -> Figure {
    Figure {
        id,
        title,
        better: Better::Higher,
    }
}

const fn lower(id: &'static str, title: &'static str) -> Figure {
    Figure {
        id,
        title,
        better: Better::Lower,
    }
}

/// All figures, in the order of the table.
pub(crate) const FIGURES: &[Figure] = &[
    higher("put_c1", "PUT 10 KiB, 1 connection, /s"),
    lower("put_c1_p50", "… p50, ms"),
    lower("put_c1_p99", "… p99, ms"),
    lower("put_c1_cpu", "… server CPU for each, ms"),
    higher("put_c8", "PUT 10 KiB, 8 connections, /s"),
    lower("put_c8_p50", "… p50, ms"),
    lower("put_c8_p99", "… p99, ms"),
    lower("put_c8_cpu", "… server CPU for each, ms"),
    higher("get_c1", "GET 10 KiB, 1 connection, /s"),
    lower("get_c1_p50", "… p50, ms"),
    lower("get_c1_p99", "… p99, ms"),
    lower("get_c1_cpu", "… server CPU for each, ms"),
    higher("get_c8", "GET 10 KiB, 8 connections, /s"),
    lower("get_c8_p50", "… p50, ms"),
    lower("get_c8_p99", "… p99, ms"),
    lower("get_c8_cpu", "… server CPU for each, ms"),
    higher("put_large", "PUT large file, MB/s"),
    lower("put_large_cpu", "… server CPU, s"),
    lower("put_large_growth", "… growth on disk, MB"),
    higher("get_large", "GET large file, MB/s"),
    lower("get_large_cpu", "… server CPU, s"),
    lower("range_p50", "1 MiB range, p50, ms"),
    lower("range_p99", "… p99, ms"),
    higher("put_same", "PUT the same large file elsewhere, MB/s"),
    lower("put_same_growth", "… growth on disk, MB"),
    lower("list_1000_p50", "list 1 000, p50, ms"),
    lower("list_1000_p99", "… p99, ms"),
    lower("list_10000_p50", "list 10 000, p50, ms"),
    lower("list_10000_p99", "… p99, ms"),
    lower("list_10000_cpu", "… server CPU for each, ms"),
    lower("copy_p50", "COPY tree of 1 000 files, p50, ms"),
    lower("copy_growth", "COPY folder of 16 MiB, growth on disk, MB"),
    lower("move_p50", "MOVE tree of 1 000 files, p50, ms"),
    lower("move_small_p50", "MOVE tree of 10 files, p50, ms"),
    lower("delete_p50", "DELETE tree of 1 000 files, p50, ms"),
    higher("mixed", "mixed load, 16 connections, /s"),
    lower("mixed_p50", "… p50, ms"),
    lower("mixed_p99", "… p99, ms"),
    lower("mixed_get_p99", "… p99 of GET, ms"),
    lower("mixed_put_p99", "… p99 of PUT, ms"),
    lower("mixed_cpu", "… server CPU for each, ms"),
    lower("mixed_pss", "memory in mixed load, PSS, MiB"),
    lower("pss_peak", "memory at most, PSS, MiB"),
    lower("rss_peak", "memory at most, RSS, MiB"),
];

/// What one server got.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    values: BTreeMap<&'static str, f64>,
    /// What went wrong, and how often.
    pub(crate) complaints: BTreeMap<String, usize>,
}

impl Sheet {
    /// Notes a figure.
    pub(crate) fn note(&mut self, id: &'static str, value: f64) {
        debug_assert!(FIGURES.iter().any(|figure| figure.id == id), "{id}");
        self.values.insert(id, value);
    }

    /// Notes what went wrong in a case.
    pub(crate) fn complain(&mut self, case: &str, complaint: Option<String>) {
        if let Some(complaint) = complaint {
            let words = format!("{case}: {complaint}");
            *self.complaints.entry(words).or_default() += 1;
        }
    }

    /// Returns a figure that was taken.
    pub(crate) fn get(&self, id: &str) -> Option<f64> {
        self.values
            .get(id)
            .copied()
            .filter(|value| value.is_finite())
    }
}
