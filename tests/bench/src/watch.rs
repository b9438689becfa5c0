//! What a server's processes use: memory while a case runs, and processor time.
//!
//! The resident set counts a page that several processes share once for each of
//! them; the proportional one does not, and is what is compared.

use std::collections::HashMap;
use std::fs;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(200);

/// The most that was seen, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peak {
    /// Proportional set: the process tree's own memory and its share of common pages.
    pub(crate) pss_bytes: u64,
    /// Resident sets, added up.
    pub(crate) rss_bytes: u64,
}

/// Looks at a process tree until it is stopped.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Sender<()>,
    looking: JoinHandle<Peak>,
}

impl Watch {
    /// Begins.
    pub(crate) fn begin(root: u32) -> Self {
        let (stop, stopped) = mpsc::channel();
        let looking = thread::spawn(move || {
            let mut peak = Peak::default();
            loop {
                let now = look(root);
                peak.pss_bytes = peak.pss_bytes.max(now.pss_bytes);
                peak.rss_bytes = peak.rss_bytes.max(now.rss_bytes);
                match stopped.recv_timeout(PERIOD) {
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return peak,
                }
            }
        });
        Self { stop, looking }
    }

    /// Ends; returns the most that was seen.
    pub(crate) fn end(self) -> Peak {
        drop(self.stop);
        self.looking.join().unwrap_or_default()
    }
}

fn look(root: u32) -> Peak {
    let mut all = Peak::default();
    for process in tree(root) {
        let Ok(rollup) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
            continue;
        };
        let bytes = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) * 1024
        };
        all.pss_bytes += bytes("Pss:");
        all.rss_bytes += bytes("Rss:");
    }
    all
}

/// Returns the processor time that a process tree has used, in seconds.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    tree(root).into_iter().filter_map(ticks).sum::<f64>() / ticks_per_second()
}

/// Returns the processor time that this process has used, in seconds.
pub(crate) fn own_cpu_seconds() -> f64 {
    ticks(std::process::id()).unwrap_or(0.0) / ticks_per_second()
}

fn ticks_per_second() -> f64 {
    f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
}

/// Returns what stands behind the name in a process's `stat`: state, parent, …
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Returns a process's time in user and in kernel mode, with that of children that have ended.
fn ticks(process: u32) -> Option<f64> {
    let fields = stat(process)?;
    let times = fields.get(11..15)?;
    times.iter().map(|time| time.parse::<f64>().ok()).sum()
}

/// Returns a process and all below it.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let parent = stat(process).and_then(|fields| fields.get(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![root];
    while let Some(process) = pending.pop() {
        found.push(process);
        pending.extend(children.remove(&process).unwrap_or_default());
    }
    found
}
