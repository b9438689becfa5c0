//! Measures nuage-server beside other WebDAV servers: on one disk, in one run,
//! one after the other, and prints the figures side by side.
//!
//! The driver is a process of its own with threads and blocking sockets, so that
//! its processor time is told apart from the servers'; each answer is checked to
//! the byte. Ratios hold better than absolute figures: machines differ, and
//! neighbours make noise. `run` beside this crate builds and installs what it needs.

mod cases;
mod connection;
mod disk;
mod fault;
mod load;
mod noise;
mod peers;
mod report;
mod sheet;
mod watch;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use clap::Parser;
use clap::ValueEnum;

use crate::cases::Bench;
use crate::cases::Case;
use crate::cases::Scale;
use crate::fault::BenchResult;
use crate::fault::Doing;
use crate::noise::Noise;
use crate::peers::Peer;
use crate::report::Report;
use crate::sheet::Sheet;

/// Bytes that small files are pieces of.
const POOL_BYTES: usize = 64 << 20;

/// Measures nuage-server beside other WebDAV servers.
#[derive(Debug, Parser)]
struct Options {
    /// Takes a minute or two; do not quote its figures.
    #[arg(long)]
    quick: bool,
    /// Servers to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Peer::value_variants().to_vec())]
    peers: Vec<Peer>,
    /// Cases to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Case::value_variants().to_vec())]
    cases: Vec<Case>,
    /// Folder for all data, on the disk that is measured; each server's is emptied.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Seed of all that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leaves each server's data behind.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("nuage-bench: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells the person at the terminal how far it is; figures go to the standard output.
fn say(words: &str) {
    // Nobody may be reading.
    let _said = writeln!(std::io::stderr(), "{words}");
}

fn run(options: &Options) -> BenchResult<()> {
    let scale = if options.quick {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    fs::create_dir_all(&options.dir).doing("create the folder")?;
    let dir = options.dir.canonicalize().doing("find the folder")?;
    let noise = Noise::new(options.seed, POOL_BYTES);
    let load_before = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load_before = load_before.split(' ').next().unwrap_or_default().to_owned();
    say("measuring the disk");
    let disk = disk::speed(&dir, Duration::from_secs(if options.quick { 1 } else { 3 }))?;
    let begun = Instant::now();
    let mut sheets = Vec::new();
    for peer in &options.peers {
        let folder = dir.join(peer.name());
        let mut sheet = Sheet::default();
        match peer.start(&folder) {
            Ok(running) => {
                let mut bench = Bench {
                    running: &running,
                    noise: &noise,
                    scale,
                    seed: options.seed,
                    sheet,
                };
                for case in &options.cases {
                    say(&format!("{}: {case:?}", peer.name()));
                    bench.run(*case);
                }
                sheet = bench.sheet;
            }
            Err(fault) => sheet.complain("left out", Some(fault.to_string())),
        }
        sheets.push((*peer, sheet));
        if !options.keep {
            fs::remove_dir_all(&folder).doing("remove a folder")?;
        }
    }
    let driver = watch::own_cpu_seconds() / begun.elapsed().as_secs_f64();
    let report = Report {
        disk,
        seed: options.seed,
        large_bytes: scale.large_bytes,
        machine: format!("Load before: {load_before}; the driver used {driver:.2} cores."),
        sheets,
    };
    fs::write(dir.join("results.json"), format!("{:#}\n", report.json()))
        .doing("write the results")?;
    let mut out = std::io::stdout().lock();
    out.write_all(report.text().as_bytes()).doing("print")
}
