//! davfs2: a mount by the kernel, where it can be made.

use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::has;
use nuage_tests::command::not_tested;
use nuage_tests::command::run;
use nuage_tests::data::Chance;
use nuage_tests::data::bytes;
use nuage_tests::wait::wait_until;

/// Mounts a user's files; `None` (said visibly) where that cannot be done.
fn mount(server: &TestServer, user: &User, folder: &Path) -> Option<()> {
    let config = server.data.scratch("davfs");
    let cache = server.data.scratch("davfs-cache");
    // It gives up root and then makes its cache as the user davfs2.
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(cache.parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    fs::write(
        config.join("davfs2.conf"),
        format!(
            "ask_auth 0\ndelay_upload 0\ndir_refresh 1\nfile_refresh 1\nuse_locks 1\ncache_dir {}\nsecrets {}\n",
            cache.display(),
            config.join("secrets").display()
        ),
    )
    .unwrap();
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "davfs", "-o"])
        .arg(format!(
            "conf={},uid=0,gid=0",
            config.join("davfs2.conf").display()
        ))
        .arg(user.url("/"))
        .arg(folder);
    fs::write(
        config.join("secrets"),
        format!("{} {} \"{}\"\n", folder.display(), user.name, user.secret),
    )
    .unwrap();
    fs::set_permissions(config.join("secrets"), Permissions::from_mode(0o600)).unwrap();
    let mounted = run(&mut mount, "");
    if mounted.code == 0 {
        return Some(());
    }
    let is_ours = [
        "fuse",
        "permitted",
        "permission",
        "not permitted",
        "no such device",
        "no free coda",
    ];
    let said = mounted.output().to_lowercase();
    assert!(
        is_ours.iter().any(|word| said.contains(word)),
        "mount.davfs failed, and not for want of FUSE: {}",
        mounted.output()
    );
    not_tested(&format!(
        "davfs2 cannot mount here: {}",
        mounted.output().trim()
    ));
    None
}

#[test]
fn a_mounted_home_stands_random_reads_writes_and_truncations() {
    if !has("mount.davfs") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    let token = server.token(&alice, &[]);
    let folder = server.data.scratch("mounted");
    if mount(&server, &token, &folder).is_none() {
        return;
    }

    let outcome = std::panic::catch_unwind(|| {
        fs::create_dir(folder.join("d")).unwrap();
        let path = folder.join("d/file");
        let mut chance = Chance::new("davfs");
        let mut model: Vec<u8> = Vec::new();
        for _ in 0..40 {
            let file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .unwrap();
            if chance.between(0, 2) == 0 {
                let length = usize::try_from(chance.between(0, 200_000)).unwrap();
                file.set_len(length as u64).unwrap();
                model.resize(length, 0);
            } else {
                let at = usize::try_from(chance.between(0, model.len() as u64)).unwrap();
                let length = usize::try_from(chance.between(1, 50_000)).unwrap();
                let piece = bytes(chance.number(), length);
                file.write_all_at(&piece, at as u64).unwrap();
                model.resize(model.len().max(at + length), 0);
                model[at..at + length].copy_from_slice(&piece);
            }
            drop(file);
            assert!(
                fs::read(&path).unwrap() == model,
                "the mount shows what was written"
            );
        }
        wait_until("the server has it", Duration::from_mins(1), || {
            let answer = alice.get("/d/file").send();
            answer.status == 200 && answer.body == model
        });
        // As office programs save: write beside it, then rename over it.
        fs::write(folder.join("d/new"), "saved").unwrap();
        fs::rename(folder.join("d/new"), &path).unwrap();
        wait_until(
            "the saved file replaced the old",
            Duration::from_mins(1),
            || alice.get("/d/file").send().text() == "saved",
        );
        fs::remove_file(&path).unwrap();
        fs::remove_dir(folder.join("d")).unwrap();
    });
    run(Command::new("umount").arg(&folder), "");
    if let Err(failure) = outcome {
        run(Command::new("umount").arg("-l").arg(&folder), "");
        std::panic::resume_unwind(failure);
    }
    assert!(
        alice.names("/").iter().all(|name| name == "lost+found"),
        "{:?}",
        alice.names("/")
    );
    server.assert_clean();
}
