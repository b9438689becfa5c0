//! What a worker may still do, decided by itself before it looks at anybody's bytes.
//!
//! Limits of the process (memory, seconds, output) hold on any Linux. System calls are filtered
//! by seccomp, files by Landlock; a kernel without one of them leaves the others.
//!
//! # Always true
//!
//! * It never gives anything back: a confined process, and what it becomes, stays confined.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetStatus;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::setrlimit;
use seccompiler::SeccompAction;
use seccompiler::SeccompFilter;
use seccompiler::TargetArch;

/// Address space of a worker, in bytes: a large picture twice, and what allocators reserve.
const MEMORY_BYTES: u64 = 3 << 30;
/// Seconds of a core that a worker may use; then it is told by a signal that says so.
const CORE_SECONDS: u64 = 20;
/// Seconds of a core after which one that does not hear is killed.
const CORE_SECONDS_MAX: u64 = 25;
/// Folders that foreign programs read: themselves, their libraries, fonts.
const SYSTEM_FOLDERS: [&str; 9] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/alternatives",
    "/var/cache/fontconfig",
    "/proc/self",
];

/// A limit that could not be set.
#[derive(Debug, thiserror::Error)]
#[error("a worker could not be confined: {0}")]
pub(super) struct Unconfined(String);

fn unconfined(error: impl std::fmt::Display) -> Unconfined {
    Unconfined(error.to_string())
}

/// Limits memory, seconds, and files that may be written.
pub(super) fn limit() -> Result<(), Unconfined> {
    let limits = [
        (Resource::As, MEMORY_BYTES),
        (Resource::Cpu, CORE_SECONDS),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, 64),
    ];
    for (resource, most) in limits {
        let maximum = if resource == Resource::Cpu {
            CORE_SECONDS_MAX
        } else {
            most
        };
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(maximum),
        };
        setrlimit(resource, limit).map_err(unconfined)?;
    }
    Ok(())
}

fn arch() -> Result<TargetArch, Unconfined> {
    std::env::consts::ARCH.try_into().map_err(unconfined)
}

/// Leaves what a computation needs: memory, what is open already, and the end.
pub(super) fn only_compute() -> Result<(), Unconfined> {
    let allowed = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    filter(
        &allowed,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
    )
}

/// Takes away what a program that reads one file and writes to a pipe never needs.
pub(super) fn no_network() -> Result<(), Unconfined> {
    let refused = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_keyctl,
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_perf_event_open,
    ];
    filter(
        &refused,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
    )
}

fn filter(
    calls: &[libc::c_long],
    others: SeccompAction,
    these: SeccompAction,
) -> Result<(), Unconfined> {
    let rules: BTreeMap<i64, Vec<_>> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, others, these, arch()?).map_err(unconfined)?;
    let program: seccompiler::BpfProgram = filter.try_into().map_err(unconfined)?;
    seccompiler::apply_filter(&program).map_err(unconfined)
}

/// Leaves one file and the system's programs to be read; returns whether the kernel knows how.
pub(super) fn only_files(file: Option<&Path>) -> Result<bool, Unconfined> {
    let abi = ABI::V3;
    let read = AccessFs::from_read(abi);
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .map_err(unconfined)?;
    if let Some(file) = file {
        let opened = PathFd::new(file).map_err(unconfined)?;
        rules = rules
            .add_rule(PathBeneath::new(opened, AccessFs::ReadFile))
            .map_err(unconfined)?;
        for folder in SYSTEM_FOLDERS {
            // What is not there need not be read.
            if let Ok(opened) = PathFd::new(folder) {
                rules = rules
                    .add_rule(PathBeneath::new(opened, read))
                    .map_err(unconfined)?;
            }
        }
    }
    let status = rules.restrict_self().map_err(unconfined)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    // Filters and rules are those of the thread that asks for them, so each test confines one of its own.

    #[test]
    fn a_foreign_program_reads_its_file_and_reaches_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (given, other) = (folder.path().join("given"), folder.path().join("other"));
        for file in [&given, &other] {
            std::fs::write(file, "x").unwrap();
        }
        let confined = thread::spawn(move || {
            let has_landlock = only_files(Some(&given)).unwrap();
            println!("Landlock: {has_landlock}");
            no_network().unwrap();
            assert!(TcpListener::bind("127.0.0.1:0").is_err());
            assert!(File::open(&given).is_ok());
            assert!(File::open("/usr/bin/env").is_ok());
            // A kernel without Landlock leaves these to the account that the server runs as.
            assert_eq!(File::open(&other).is_err(), has_landlock);
            assert_eq!(File::create(&given).is_err(), has_landlock);
        });
        confined.join().unwrap();
    }

    #[test]
    fn a_worker_can_only_compute() {
        let confined = thread::spawn(|| {
            only_compute().unwrap();
            let numbers: Vec<u64> = (0..100_000).collect();
            let opened = File::open("/etc/hostname").map_err(|error| error.kind());
            let bound = TcpListener::bind("127.0.0.1:0").map(drop);
            (numbers.iter().sum::<u64>(), opened.is_err(), bound.is_err())
        });
        assert_eq!(confined.join().unwrap(), (4_999_950_000, true, true));
    }
}
