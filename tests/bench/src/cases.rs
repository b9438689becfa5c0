//! What is measured, in this order, of one server whose store is empty at first.
//!
//! Each case makes what it needs, so that any of them can be run alone. Before
//! the clock starts, one request passes on which a server may check the password,
//! open its caches and so on: a mount does that once a day.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::disk;
use crate::load::Body;
use crate::load::Call;
use crate::load::Expect;
use crate::load::Load;
use crate::load::Samples;
use crate::load::count;
use crate::load::percentile;
use crate::noise::Noise;
use crate::noise::scatter;
use crate::peers::Running;
use crate::sheet::Sheet;
use crate::watch;
use crate::watch::Watch;

/// Length of a small file.
const SMALL_BYTES: usize = 10 << 10;
/// Length of a file in a tree or listing.
const TINY_BYTES: usize = 1 << 10;
/// Length of a range.
const RANGE_BYTES: usize = 1 << 20;
/// One million bytes.
const MEGABYTE: f64 = 1e6;
/// 2²⁰ bytes.
const MEBIBYTE: f64 = 1_048_576.0;

/// A group of figures that are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    /// PUT and GET of small files.
    Small,
    /// PUT, GET and ranges of a large file, and the same file again.
    Large,
    /// PROPFIND.
    List,
    /// COPY, MOVE and DELETE of trees.
    Tree,
    /// A mixture over 16 connections.
    Mixed,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Files stored over one connection.
    pub(crate) files_c1: usize,
    /// Files stored over eight.
    pub(crate) files_c8: usize,
    /// How long small files are read.
    pub(crate) read_time: Duration,
    /// Length of the large file.
    pub(crate) large_bytes: usize,
    /// How often the large file is stored and read; the best counts.
    pub(crate) large_rounds: u64,
    /// Ranges read.
    pub(crate) ranges: usize,
    /// Listings made of each folder.
    pub(crate) listings: usize,
    /// Trees copied, moved and deleted.
    pub(crate) trees: usize,
    /// How long the mixture runs.
    pub(crate) mixed_time: Duration,
}

impl Scale {
    /// What figures are quoted from.
    pub(crate) const FULL: Self = Self {
        files_c1: 1000,
        files_c8: 6000,
        read_time: Duration::from_secs(5),
        large_bytes: 1 << 30,
        large_rounds: 3,
        ranges: 128,
        listings: 40,
        trees: 15,
        mixed_time: Duration::from_secs(30),
    };

    /// What tells within a minute or two whether something has become much worse.
    pub(crate) const QUICK: Self = Self {
        files_c1: 300,
        files_c8: 1500,
        read_time: Duration::from_secs(2),
        large_bytes: 256 << 20,
        large_rounds: 1,
        ranges: 48,
        listings: 10,
        trees: 5,
        mixed_time: Duration::from_secs(6),
    };
}

/// Measures one server.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// The server.
    pub(crate) running: &'a Running,
    /// What small files are made of.
    pub(crate) noise: &'a Noise,
    /// How much of everything.
    pub(crate) scale: Scale,
    /// For all that is random.
    pub(crate) seed: u64,
    /// What it got so far.
    pub(crate) sheet: Sheet,
}

impl<'a> Bench<'a> {
    /// Runs a case.
    pub(crate) fn run(&mut self, case: Case) {
        let watch = Watch::begin(self.running.process());
        self.warm_up();
        match case {
            Case::Small => self.small(),
            Case::Large => self.large(),
            Case::List => self.list(),
            Case::Tree => self.tree(),
            Case::Mixed => self.mixed(),
        }
        let peak = watch.end();
        let mebibytes = |bytes: u64| count(usize::try_from(bytes).unwrap_or(0)) / MEBIBYTE;
        if case == Case::Mixed {
            self.sheet.note("mixed_pss", mebibytes(peak.pss_bytes));
        }
        for (id, bytes) in [("pss_peak", peak.pss_bytes), ("rss_peak", peak.rss_bytes)] {
            let before = self.sheet.get(id).unwrap_or(0.0);
            self.sheet.note(id, before.max(mebibytes(bytes)));
        }
    }

    fn load(&self) -> Load<'a> {
        Load {
            target: &self.running.target,
            noise: self.noise,
        }
    }

    fn warm_up(&self) {
        let call = Call {
            headers: "Depth: 0\r\n".to_owned(),
            statuses: &[207],
            ..Call::new("PROPFIND", "")
        };
        // Its answer does not matter: a server that cannot do this fails in the case.
        let _warmed = self.load().once(call);
    }

    /// Makes requests that prepare a case; what goes wrong is told.
    fn prepare(&mut self, what: &str, connections: usize, calls: &[Call<'_>]) {
        let samples = self.each(connections, calls);
        self.sheet.complain(what, samples.complaint());
    }

    /// Makes each of these requests once, over so many connections.
    fn each(&self, connections: usize, calls: &[Call<'_>]) -> Samples {
        let at = AtomicUsize::new(0);
        let next = |_| calls.get(at.fetch_add(1, Ordering::Relaxed)).cloned();
        self.load().run(connections, next)
    }

    /// Makes a folder; it may be there already.
    fn make_folder(&mut self, path: &str) {
        let call = Call {
            statuses: &[201, 405],
            ..Call::new("MKCOL", format!("{path}/"))
        };
        self.prepare(path, 1, &[call]);
    }

    /// Runs a load; returns it with the processor time of the server for each request, in milliseconds.
    fn timed(&mut self, what: &str, load: impl FnOnce(&Self) -> Samples) -> (Samples, f64) {
        let before = watch::cpu_seconds(self.running.process());
        let samples = load(self);
        let cpu = watch::cpu_seconds(self.running.process()) - before;
        self.sheet.complain(what, samples.complaint());
        let each = cpu * 1000.0 / count(samples.times.len());
        (samples, each)
    }

    fn small(&mut self) {
        let (files_c1, files_c8) = (self.scale.files_c1, self.scale.files_c8);
        self.small_files(
            "small-c1",
            1,
            files_c1,
            ["put_c1", "put_c1_p50", "put_c1_p99", "put_c1_cpu"],
        );
        self.small_reads(
            "small-c1",
            1,
            files_c1,
            ["get_c1", "get_c1_p50", "get_c1_p99", "get_c1_cpu"],
        );
        self.small_files(
            "small-c8",
            8,
            files_c8,
            ["put_c8", "put_c8_p50", "put_c8_p99", "put_c8_cpu"],
        );
        self.small_reads(
            "small-c8",
            8,
            files_c8,
            ["get_c8", "get_c8_p50", "get_c8_p99", "get_c8_cpu"],
        );
    }

    fn small_files(
        &mut self,
        folder: &str,
        connections: usize,
        files: usize,
        ids: [&'static str; 4],
    ) {
        self.make_folder(folder);
        let calls: Vec<_> = (0..files)
            .map(|file| Call::put(format!("{folder}/f{file:05}"), file as u64, SMALL_BYTES))
            .collect();
        let timed = self.timed(folder, |bench| bench.each(connections, &calls));
        self.note_rates(&timed, ids);
    }

    fn small_reads(
        &mut self,
        folder: &str,
        connections: usize,
        files: usize,
        ids: [&'static str; 4],
    ) {
        let end = Instant::now() + self.scale.read_time;
        let at = AtomicUsize::new(0);
        let next = |_| {
            let file = at.fetch_add(1, Ordering::Relaxed) % files;
            let call = || Call::get(format!("{folder}/f{file:05}"), file as u64, SMALL_BYTES);
            (Instant::now() < end).then(call)
        };
        let timed = self.timed(folder, |bench| bench.load().run(connections, next));
        self.note_rates(&timed, ids);
    }

    fn note_rates(&mut self, (samples, cpu): &(Samples, f64), ids: [&'static str; 4]) {
        let [rate, p50, p99, each] = ids;
        self.sheet.note(rate, samples.per_second());
        self.sheet.note(p50, samples.milliseconds(0.5));
        self.sheet.note(p99, samples.milliseconds(0.99));
        self.sheet.note(each, *cpu);
    }

    fn large(&mut self) {
        self.make_folder("large");
        let bytes = self.scale.large_bytes;
        let megabytes = count(bytes) / MEGABYTE;
        let mut pool = None;
        for round in 0..self.scale.large_rounds {
            let fresh = Noise::new(scatter(self.seed).wrapping_add(round), bytes);
            let growth = self.taken();
            let (stored, cpu) =
                self.timed("PUT large", |bench| bench.store_whole("large/one", &fresh));
            self.best("put_large", megabytes * 1000.0 / stored.milliseconds(0.0));
            self.sheet.note("put_large_cpu", cpu / 1000.0);
            if round == 0 {
                self.sheet
                    .note("put_large_growth", (self.taken() - growth) / MEGABYTE);
            }
            let (read, cpu) = self.timed("GET large", |bench| {
                bench.load().once(Call {
                    expect: Expect::Whole(fresh.whole()),
                    statuses: &[200],
                    ..Call::new("GET", "large/one")
                })
            });
            self.best("get_large", megabytes * 1000.0 / read.milliseconds(0.0));
            self.sheet.note("get_large_cpu", cpu / 1000.0);
            pool = Some(fresh);
        }
        let Some(pool) = pool else { return };
        self.ranges(&pool);
        let growth = self.taken();
        let (stored, _) = self.timed("PUT same", |bench| bench.store_whole("large/two", &pool));
        self.sheet
            .note("put_same", megabytes * 1000.0 / stored.milliseconds(0.0));
        self.sheet
            .note("put_same_growth", (self.taken() - growth) / MEGABYTE);
    }

    fn store_whole(&self, path: &str, pool: &Noise) -> Samples {
        self.load().once(Call {
            body: Body::Whole(pool.whole()),
            ..Call::new("PUT", path)
        })
    }

    fn ranges(&mut self, pool: &Noise) {
        let room = (self.scale.large_bytes - RANGE_BYTES) as u64;
        let calls: Vec<_> = (0..self.scale.ranges)
            .filter_map(|range| {
                let from = usize::try_from(scatter(self.seed ^ range as u64) % room).ok()?;
                let wanted = pool.whole().get(from..from + RANGE_BYTES)?;
                Some(Call {
                    headers: format!("Range: bytes={from}-{}\r\n", from + RANGE_BYTES - 1),
                    expect: Expect::Whole(wanted),
                    statuses: &[206],
                    ..Call::new("GET", "large/one")
                })
            })
            .collect();
        let (samples, _) = self.timed("ranges", |bench| bench.each(1, &calls));
        self.sheet.note("range_p50", samples.milliseconds(0.5));
        self.sheet.note("range_p99", samples.milliseconds(0.99));
    }

    /// Notes the best of several rounds.
    fn best(&mut self, id: &'static str, value: f64) {
        let before = self.sheet.get(id).unwrap_or(0.0);
        self.sheet.note(id, before.max(value));
    }

    /// Returns what the server's data take on the disk, in bytes.
    fn taken(&self) -> f64 {
        let data: &PathBuf = &self.running.data;
        count(usize::try_from(disk::taken_bytes(data)).unwrap_or(0))
    }

    fn list(&mut self) {
        self.listings("list-1000", 1000, ["list_1000_p50", "list_1000_p99"]);
        let cpu = self.listings("list-10000", 10_000, ["list_10000_p50", "list_10000_p99"]);
        self.sheet.note("list_10000_cpu", cpu);
    }

    fn listings(&mut self, folder: &str, files: usize, ids: [&'static str; 2]) -> f64 {
        self.make_folder(folder);
        let calls: Vec<_> = (0..files)
            .map(|file| Call::put(format!("{folder}/file%20{file:05}.txt"), file as u64, 64))
            .collect();
        self.prepare(folder, 8, &calls);
        // The first one is on whoever comes first.
        self.prepare(folder, 1, &[Call::list(format!("{folder}/"), files)]);
        let calls = vec![Call::list(format!("{folder}/"), files); self.scale.listings];
        let (samples, cpu) = self.timed(folder, |bench| bench.each(1, &calls));
        let [p50, p99] = ids;
        self.sheet.note(p50, samples.milliseconds(0.5));
        self.sheet.note(p99, samples.milliseconds(0.99));
        cpu
    }

    fn tree(&mut self) {
        self.make_tree("tree", 10, 100);
        self.heavy_copy();
        let target = &self.running.target;
        let mut times = [(); 4].map(|()| Vec::new());
        for round in 0..self.scale.trees {
            let [copy, there] = ["copy", "there"].map(|name| format!("{name}-{round}"));
            let [twig, away] = ["twig", "away"].map(|name| format!("{name}-{round}"));
            self.make_tree(&twig, 1, 10);
            let calls = [
                Call::to("COPY", target, "tree/", &format!("{copy}/")),
                Call::to("MOVE", target, &format!("{copy}/"), &format!("{there}/")),
                Call::to("MOVE", target, &format!("{twig}/"), &format!("{away}/")),
                Call::new("DELETE", format!("{there}/")),
            ];
            for (call, times) in calls.into_iter().zip(&mut times) {
                let method = call.method;
                if method == "DELETE" {
                    let whole = Call::list(format!("{there}/d9/"), 100);
                    self.prepare("the moved copy", 1, &[whole]);
                }
                let (samples, _) = self.timed("tree", |bench| bench.load().once(call));
                times.push(samples.milliseconds(0.5));
                if method == "COPY" && samples.times.is_empty() {
                    self.make_tree(&copy, 10, 100);
                }
            }
            let gone = Call {
                statuses: &[404],
                ..Call::new("GET", format!("{there}/d0/f000"))
            };
            self.prepare("the deleted tree", 1, &[gone]);
        }
        let ids = ["copy_p50", "move_p50", "move_small_p50", "delete_p50"];
        for (id, times) in ids.into_iter().zip(&mut times) {
            self.sheet.note(id, percentile(times, 0.5));
        }
    }

    /// What a COPY writes, told by files that are large enough to show.
    fn heavy_copy(&mut self) {
        self.make_folder("heavy");
        let calls: Vec<_> = (0..16)
            .map(|file| Call::put(format!("heavy/f{file}"), file, 1 << 20))
            .collect();
        self.prepare("heavy", 1, &calls);
        let growth = self.taken();
        let copy = Call::to("COPY", &self.running.target, "heavy/", "heavy-copy/");
        self.prepare("heavy", 1, &[copy]);
        let growth = (self.taken() - growth) / MEGABYTE;
        self.sheet.note("copy_growth", growth);
    }

    fn make_tree(&mut self, name: &str, folders: u64, files: u64) {
        self.make_folder(name);
        for folder in 0..folders {
            self.make_folder(&format!("{name}/d{folder}"));
        }
        let calls: Vec<_> = (0..folders * files)
            .map(|file| {
                let path = format!("{name}/d{}/f{:03}", file / files, file % files);
                Call::put(path, file, TINY_BYTES)
            })
            .collect();
        self.prepare(name, 8, &calls);
    }

    /// 70 % GET and 15 % listings of 20 entries among 200 files that stay; 15 % PUT, MOVE and DELETE
    /// (4 : 1 : 1), by each connection in a folder of its own.
    fn mixed(&mut self) {
        const CONNECTIONS: usize = 16;
        self.make_folder("mixed");
        for folder in 0..10 {
            self.make_folder(&format!("mixed/d{folder}"));
        }
        for connection in 0..CONNECTIONS {
            self.make_folder(&format!("mixed/c{connection}"));
        }
        let calls: Vec<_> = (0..200_u64)
            .map(|file| {
                Call::put(
                    format!("mixed/d{}/f{}", file / 20, file % 20),
                    file,
                    SMALL_BYTES,
                )
            })
            .collect();
        self.prepare("mixed", 8, &calls);
        let target = &self.running.target;
        let drawn: Vec<AtomicU64> = (0..CONNECTIONS).map(|_| AtomicU64::new(0)).collect();
        let written: Vec<AtomicU64> = (0..CONNECTIONS).map(|_| AtomicU64::new(0)).collect();
        let end = Instant::now() + self.scale.mixed_time;
        let seed = self.seed;
        let next = |connection: usize| {
            if Instant::now() >= end {
                return None;
            }
            let (drawn, written) = (drawn.get(connection)?, written.get(connection)?);
            let draw = drawn.fetch_add(1, Ordering::Relaxed);
            let chance = scatter(seed ^ scatter(draw ^ ((connection as u64) << 40)));
            let file = (chance >> 32) % 200;
            Some(match chance % 100 {
                0..70 => Call::get(
                    format!("mixed/d{}/f{}", file / 20, file % 20),
                    file,
                    SMALL_BYTES,
                ),
                70..85 => Call::list(format!("mixed/d{}/", file / 20), 20),
                _ => {
                    let step = written.fetch_add(1, Ordering::Relaxed);
                    let own = format!("mixed/c{connection}");
                    let number = 1_000_000 + (step << 8) + connection as u64;
                    let (a, b) = (format!("{own}/a"), format!("{own}/b"));
                    match step % 6 {
                        kept @ 0..3 => Call::put(format!("{own}/w{kept}"), number, SMALL_BYTES),
                        3 => Call::put(a, number, SMALL_BYTES),
                        4 => Call::to("MOVE", target, &a, &b),
                        _ => Call::new("DELETE", b),
                    }
                }
            })
        };
        let outcome = self.timed("mixed", |bench| bench.load().run(CONNECTIONS, next));
        self.note_rates(&outcome, ["mixed", "mixed_p50", "mixed_p99", "mixed_cpu"]);
        for (id, method) in [("mixed_get_p99", "GET"), ("mixed_put_p99", "PUT")] {
            let of_method = outcome.0.times.iter().filter(|(made, _)| *made == method);
            let mut times: Vec<f64> = of_method
                .map(|(_, time)| time.as_secs_f64() * 1000.0)
                .collect();
            self.sheet.note(id, percentile(&mut times, 0.99));
        }
    }
}
