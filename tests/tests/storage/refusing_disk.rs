//! The disk refuses: full, or failing at random moments.
//!
//! A full disk is a small tmpfs (where this process may mount one). A failing
//! one is `failing-disk.c`, compiled here and loaded into the server: it lets
//! writes and syncs of the data folder fail, as often as the test asks.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::command::not_tested;
use nuage_tests::command::report;
use nuage_tests::command::run;
use nuage_tests::command::workspace;
use nuage_tests::data::Chance;
use nuage_tests::data::bytes;
use nuage_tests::data::size_from_env;
use nuage_tests::server::DataFolder;
use nuage_tests::shape::embedded_only;
use nuage_tests::wait::pause;

use crate::storage::ledger::Ledger;
use crate::storage::ledger::Outcome;

/// A file system of a fixed size in memory, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one; `None` (said visibly) where that is not allowed.
    fn mount(path: PathBuf, mebibytes: u64) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&path);
        let mounted = run(&mut mount, "");
        if mounted.code != 0 {
            not_tested(&format!(
                "a small disk cannot be mounted here: {}",
                mounted.stderr.trim()
            ));
            return None;
        }
        Some(Self { path })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.path), "");
    }
}

#[test]
fn a_full_disk_refuses_uploads_keeps_what_is_there_and_recovers() {
    if embedded_only("what was acknowledged is not on this server's disk") {
        return;
    }
    let data = DataFolder::new().env("NUAGE_STORAGE__FREE_MIN", "0B");
    let Some(disk) = SmallDisk::mount(data.scratch("disk"), 96) else {
        return;
    };
    let data = data.at(&disk.path.join("data"));
    let mut server = TestServer::over(data);
    let alice = server.user("alice");
    alice.put("/kept", bytes(1, 1_000_000)).send().expect(201);
    fs::write(disk.path.join("ballast"), vec![0; 8 << 20]).unwrap();

    let mut stored = Vec::new();
    let mut refused = 0;
    for number in 0_u64..200 {
        let answer = alice
            .put(&format!("/f{number}"), bytes(number, 3_000_000))
            .send();
        match answer.status {
            201 => stored.push(number),
            status => {
                assert!([507, 503, 500].contains(&status), "{answer}");
                refused += 1;
                if refused == 5 {
                    break;
                }
            }
        }
    }
    assert!(refused == 5, "the disk never filled");
    // Overwriting fails too, and the old content stays.
    let answer = alice.put("/kept", bytes(1_000, 3_000_000)).send();
    assert!(answer.status >= 500, "{answer}");
    assert!(alice.get("/kept").send().expect(200).body == bytes(1, 1_000_000));
    for number in &stored {
        assert!(
            alice.get(&format!("/f{number}")).send().expect(200).body == bytes(*number, 3_000_000)
        );
    }
    server.assert_alive();

    fs::remove_file(disk.path.join("ballast")).unwrap();
    let mut healed = 0;
    nuage_tests::wait::wait_until("it stores again", Duration::from_secs(30), || {
        healed = alice.put("/healed", bytes(3, 500_000)).send().status;
        (200..300).contains(&healed)
    });
    server.assert_clean();
    server.kill();
    server.start_again();
    for number in &stored {
        assert!(
            alice.get(&format!("/f{number}")).send().expect(200).body == bytes(*number, 3_000_000)
        );
    }
    assert!(alice.get("/healed").send().body == bytes(3, 500_000));
    server.assert_clean();
    drop(server);
    drop(disk);
}

#[test]
fn below_the_wanted_free_space_uploads_stop_and_deletes_go_on() {
    if embedded_only("what was acknowledged is not on this server's disk") {
        return;
    }
    let data = DataFolder::new().env("NUAGE_STORAGE__FREE_MIN", "64MiB");
    let Some(disk) = SmallDisk::mount(data.scratch("disk"), 160) else {
        return;
    };
    let server = TestServer::over(data.at(&disk.path.join("data")));
    let alice = server.user("alice");
    alice.put("/a", bytes(1, 1_000_000)).send().expect(201);

    fs::write(disk.path.join("ballast"), vec![0; 90 << 20]).unwrap();
    // The server may look at the disk once in a while only.
    nuage_tests::wait::wait_until("uploads stop", Duration::from_secs(30), || {
        alice.put("/b", bytes(2, 400_000)).send().status == 507
    });

    assert!(alice.get("/a").send().expect(200).body == bytes(1, 1_000_000));
    alice.mv("/a", "/c").send().expect(201);
    alice.delete("/c").send().expect(204);
    fs::remove_file(disk.path.join("ballast")).unwrap();
    nuage_tests::wait::wait_until("uploads go on", Duration::from_secs(30), || {
        (200..300).contains(&alice.put("/b", bytes(2, 400_000)).send().status)
    });
    server.assert_clean();
    drop(server);
}

/// The switch of the failing disk: how often an operation fails, and how.
struct FailingDisk {
    control: File,
    library: PathBuf,
    control_path: PathBuf,
}

impl FailingDisk {
    /// Compiles the library; `None` (said visibly) without a C compiler.
    fn build(folder: &Path) -> Option<Self> {
        if !nuage_tests::command::has("gcc") {
            return None;
        }
        let library = folder.join("failing-disk.so");
        let mut gcc = Command::new("gcc");
        gcc.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
            .arg(&library)
            .arg(workspace().join("tests/failing-disk.c"))
            .arg("-ldl");
        run(&mut gcc, "").ok();
        let control_path = folder.join("control");
        fs::write(&control_path, [0; 16]).unwrap();
        let control = File::options().write(true).open(&control_path).unwrap();
        Some(Self {
            control,
            library,
            control_path,
        })
    }

    /// Lets one of `one_in` operations fail with `errno`; 0: none.
    fn fail(&self, one_in: u32, errno: i32, seed: u32) {
        let mut words = Vec::new();
        for word in [seed, u32::try_from(errno).unwrap(), 0, one_in] {
            words.extend_from_slice(&word.to_ne_bytes());
        }
        self.control.write_all_at(&words, 0).unwrap();
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn a_disk_that_fails_at_random_loses_nothing_that_was_acknowledged() {
    if embedded_only("what was acknowledged is not on this server's disk") {
        return;
    }
    let rounds = size_from_env("NUAGE_TEST_DISK_FAULTS", 12, 100);
    let mut chance = Chance::new("failing disk");
    let data = DataFolder::new();
    let Some(disk) = FailingDisk::build(&data.scratch("shim")) else {
        return;
    };
    let folder = data.path().display().to_string();
    let data = data
        .env("NUAGE_JOBS__PACK_SECONDS", "1")
        .env("LD_PRELOAD", &disk.library.display().to_string())
        .env(
            "FAILING_DISK_CONTROL",
            &disk.control_path.display().to_string(),
        )
        .env("FAILING_DISK_BELOW", &folder);
    let mut server = TestServer::over(data);
    let alice = server.user("alice");
    let alice = server.token(&alice, &[]);
    let mut ledgers: Vec<Ledger> = (0..4)
        .map(|number| Ledger::new(&alice, number, chance.branch(number)))
        .collect();

    let mut refusals = 0;
    for round in 0..rounds {
        let one_in = u32::try_from(chance.between(2, 60)).unwrap();
        let errno = if round % 2 == 0 { EIO } else { ENOSPC };
        let seed = u32::try_from(chance.between(1, 1 << 30)).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = ledgers
                .iter_mut()
                .map(|ledger| {
                    let is_over = &is_over;
                    scope.spawn(move || {
                        let mut refusals = 0_u64;
                        while !is_over.load(Ordering::Relaxed) {
                            match ledger.step() {
                                Outcome::Done => {}
                                Outcome::Refused(_) => refusals += 1,
                                Outcome::Unanswered | Outcome::Stuck => {
                                    pause(Duration::from_millis(20));
                                }
                            }
                        }
                        refusals
                    })
                })
                .collect();
            pause(Duration::from_millis(150));
            disk.fail(one_in, errno, seed);
            pause(Duration::from_millis(chance.between(100, 500)));
            disk.fail(0, 0, 0);
            pause(Duration::from_millis(100));
            is_over.store(true, Ordering::Relaxed);
            for writer in writers {
                refusals += writer.join().unwrap();
            }
        });
        // A server may end itself when it no longer knows its state; it must come back knowing it.
        if round % 3 == 2 || !server.is_running() {
            server.kill();
            server.start_again();
        }
        for ledger in &mut ledgers {
            ledger.settle();
        }
    }

    for ledger in &ledgers {
        ledger.verify();
    }
    server.kill();
    server.start_again();
    for ledger in &ledgers {
        ledger.verify();
    }
    server.assert_clean();
    let acknowledged: u64 = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
    report(&format!(
        "{rounds} times of a failing disk: {acknowledged} changes acknowledged, {refusals} refused"
    ));
    assert!(refusals > 0, "the disk never failed");
}

#[test]
fn a_sync_that_fails_is_never_taken_for_one_that_worked() {
    if embedded_only("what was acknowledged is not on this server's disk") {
        return;
    }
    let data = DataFolder::new();
    let Some(disk) = FailingDisk::build(&data.scratch("shim")) else {
        return;
    };
    let folder = data.path().display().to_string();
    let data = data
        .env("LD_PRELOAD", &disk.library.display().to_string())
        .env(
            "FAILING_DISK_CONTROL",
            &disk.control_path.display().to_string(),
        )
        .env("FAILING_DISK_BELOW", &folder);
    let mut server = TestServer::over(data);
    let alice = server.user("alice");
    alice.put("/a", "old").send().expect(201);
    alice.put("/large", bytes(1, 2_000_000)).send().expect(201);

    disk.fail(1, EIO, 7);
    for (path, body) in [
        ("/a", b"new".to_vec()),
        ("/large", bytes(2, 2_000_000)),
        ("/b", vec![0; 100_000]),
    ] {
        if let Ok(answer) = alice.put(path, body).try_send() {
            assert!(answer.status >= 500, "nothing can be durable now: {answer}");
        }
    }
    disk.fail(0, 0, 0);

    if !server.is_running() {
        server.kill();
        server.start_again();
    }
    nuage_tests::wait::wait_until("it stores again", Duration::from_secs(30), || {
        alice.put("/c", bytes(3, 300_000)).send().status < 300
    });
    server.kill();
    server.start_again();
    assert!(["old", "new"].contains(&alice.get("/a").send().text().as_str()));
    let large = alice.get("/large").send().expect(200).body;
    assert!(large == bytes(1, 2_000_000) || large == bytes(2, 2_000_000));
    assert!(alice.get("/c").send().expect(200).body == bytes(3, 300_000));
    server.assert_clean();
}
