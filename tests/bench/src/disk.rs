//! What the disk itself can do, and how much of it a folder takes.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use crate::fault::BenchResult;
use crate::fault::Doing;
use crate::load::count;
use crate::load::percentile;

/// How fast a disk makes small writes durable, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskSpeed {
    /// `fdatasync` calls in a second, each after 4 KiB were appended.
    pub(crate) syncs_per_second: f64,
    /// The time below which 99 of 100 of them stay, in milliseconds.
    pub(crate) p99_ms: f64,
    /// What streams to the disk, synced at the end, in 10⁶ bytes a second.
    pub(crate) stream_mb_per_second: f64,
}

/// Measures the disk that holds `folder`.
pub(crate) fn speed(folder: &Path, for_time: Duration) -> BenchResult<DiskSpeed> {
    let path = folder.join("probe");
    let mut file = File::create(&path).doing("create a file")?;
    let block = [0x5a_u8; 4096];
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < for_time {
        let before = Instant::now();
        file.write_all(&block).doing("append")?;
        file.sync_data().doing("sync")?;
        times.push(before.elapsed().as_secs_f64());
    }
    let syncs_per_second = count(times.len()) / begun.elapsed().as_secs_f64();
    let p99_ms = percentile(&mut times, 0.99) * 1000.0;
    let begun = Instant::now();
    let stream = vec![0x5a_u8; 1 << 20];
    for _ in 0..256 {
        file.write_all(&stream).doing("append")?;
    }
    file.sync_data().doing("sync")?;
    let stream_mb_per_second = 256.0 * 1.048_576 / begun.elapsed().as_secs_f64();
    fs::remove_file(&path).doing("remove a file")?;
    Ok(DiskSpeed {
        syncs_per_second,
        p99_ms,
        stream_mb_per_second,
    })
}

/// Returns the bytes that a folder takes on the disk. Files that vanish meanwhile count nothing.
pub(crate) fn taken_bytes(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_path_buf()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            bytes += about.blocks() * 512;
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}
