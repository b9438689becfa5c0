//! rclone: copy, sync, check, and a mount where FUSE can be used.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use nuage_tests::TestServer;
use nuage_tests::User;
use nuage_tests::command::Ran;
use nuage_tests::command::has;
use nuage_tests::command::not_tested;
use nuage_tests::command::run;
use nuage_tests::data::bytes;
use nuage_tests::shape::Shape;
use nuage_tests::wait::pause;
use nuage_tests::wait::wait_until;

/// rclone, told of the server by its environment as the remote `nuage:`.
fn rclone(server: &TestServer, user: &User, vendor: &str) -> Command {
    let mut obscure = Command::new("rclone");
    let secret = run(obscure.args(["obscure", &user.secret]), "");
    let mut program = Command::new("rclone");
    program
        .env(
            "RCLONE_CONFIG",
            server.data.scratch("rclone").join("rclone.conf"),
        )
        .env("RCLONE_CONFIG_NUAGE_TYPE", "webdav")
        .env("RCLONE_CONFIG_NUAGE_URL", user.url("/"))
        .env("RCLONE_CONFIG_NUAGE_VENDOR", vendor)
        .env("RCLONE_CONFIG_NUAGE_USER", &user.name)
        .env("RCLONE_CONFIG_NUAGE_PASS", secret.ok().trim())
        .env("RCLONE_CACHE_DIR", server.data.scratch("rclone-cache"));
    program
}

/// Files such as people have: empty, small, large, in folders, with names that need care.
fn tree(folder: &Path) {
    for (number, name) in [
        "empty",
        "a",
        "d/b",
        "d/e/ü & ö%20+.txt",
        "d/e/日本",
        "many/x",
    ]
    .iter()
    .enumerate()
    {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes(number as u64, number * 40_000)).unwrap();
    }
    fs::write(folder.join("large"), bytes(99, 12_000_000)).unwrap();
    for number in 0..40 {
        fs::write(folder.join(format!("many/{number}")), bytes(number, 2_000)).unwrap();
    }
}

#[test]
fn copy_check_and_sync_agree_with_the_disk() {
    if !has("rclone") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    let vendors = [
        ("nextcloud", alice.at_remote_php()),
        ("owncloud", alice.at_remote_php()),
        ("other", alice.clone()),
    ];
    // How they differ is a matter of requests, which no store sees.
    let vendors = match Shape::of_this_run() {
        Shape::Embedded => &vendors[..],
        Shape::Scaled => &vendors[..1],
    };
    for (vendor, user) in vendors {
        let local = server.data.scratch(&format!("local-{vendor}"));
        tree(&local);
        let remote = format!("nuage:{vendor}");
        let ask = |words: &[&str]| -> Ran {
            let mut program = rclone(&server, user, vendor);
            run(
                program
                    .args(words)
                    .args(["--retries", "1", "--low-level-retries", "1"]),
                "",
            )
        };
        let local_text = local.display().to_string();

        ask(&["copy", &local_text, &remote]).ok();
        ask(&["check", "--download", &local_text, &remote]).ok();
        ask(&["check", &local_text, &remote]).ok();

        fs::remove_file(local.join("d/b")).unwrap();
        fs::write(local.join("a"), "changed").unwrap();
        fs::rename(local.join("many"), local.join("renamed")).unwrap();
        ask(&["sync", &local_text, &remote]).ok();
        ask(&["check", "--download", &local_text, &remote]).ok();

        let back = server.data.scratch(&format!("back-{vendor}"));
        ask(&["copy", &remote, &back.display().to_string()]).ok();
        let diff = run(Command::new("diff").arg("-r").arg(&local).arg(&back), "");
        assert_eq!(diff.code, 0, "{}", diff.output());
        // Modification times travel where the vendor knows how.
        if *vendor != "other" {
            let nothing = ask(&["copy", "-v", "--stats", "0", &local_text, &remote]);
            nothing.ok();
            assert!(
                !nothing.stderr.contains("Copied"),
                "copied again: {}",
                nothing.stderr
            );
        }
        ask(&[
            "moveto",
            &format!("{remote}/large"),
            &format!("{remote}/d/moved"),
        ])
        .ok();
        ask(&["purge", &remote]).ok();
    }
    assert!(alice.names("/").is_empty());
    server.assert_clean();
}

#[test]
fn a_mount_reads_and_writes_like_a_folder() {
    if !has("rclone") || !has("fusermount3") {
        return;
    }
    if fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .is_err()
    {
        not_tested("/dev/fuse cannot be opened here");
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    let folder = server.data.scratch("mounted");
    let mut program = rclone(&server, &alice, "other");
    let mut mount = program
        .args(["mount", "nuage:"])
        .arg(&folder)
        .args([
            "--vfs-cache-mode",
            "writes",
            "--vfs-write-back",
            "0s",
            "--dir-cache-time",
            "0s",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_mounted = || {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        mounts.contains(&folder.display().to_string())
    };
    let mut ended = false;
    wait_until(
        "the mount is there, or rclone gives up",
        Duration::from_secs(30),
        || {
            ended = mount.try_wait().unwrap().is_some();
            ended || is_mounted()
        },
    );
    if ended {
        not_tested("rclone mount ended: FUSE cannot be used here");
        return;
    }

    let outcome = std::panic::catch_unwind(|| {
        fs::create_dir(folder.join("d")).unwrap();
        fs::write(folder.join("d/a"), bytes(1, 3_000_000)).unwrap();
        // Renamed while it is being uploaded, it would keep its old name: rclone 1.60 does that.
        wait_until("it has been uploaded", Duration::from_secs(20), || {
            alice.get("/d/a").send().status == 200
        });
        fs::rename(folder.join("d/a"), folder.join("d/b")).unwrap();
        wait_until("it has been renamed", Duration::from_secs(20), || {
            alice.get("/d/b").send().status == 200
        });
        assert!(alice.get("/d/b").send().body == bytes(1, 3_000_000));
        assert!(fs::read(folder.join("d/b")).unwrap() == bytes(1, 3_000_000));
        alice.put("/from-elsewhere", "x").send().expect(201);
        wait_until("it is seen", Duration::from_secs(20), || {
            fs::read(folder.join("from-elsewhere")).is_ok_and(|read| read == b"x")
        });
        fs::remove_dir_all(folder.join("d")).unwrap();
        wait_until("it is gone", Duration::from_secs(20), || {
            alice.get("/d/b").send().status == 404
        });
    });
    run(
        Command::new("fusermount3").args(["-u", "-z"]).arg(&folder),
        "",
    );
    pause(Duration::from_millis(200));
    drop(mount.kill());
    mount.wait().unwrap();
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure);
    }
    server.assert_clean();
}

#[test]
fn a_link_is_a_place_to_copy_from_and_to() {
    if !has("rclone") || !has("curl") {
        return;
    }
    let server = TestServer::start();
    let alice = server.user("alice");
    alice.mkcol("/given").send().expect(201);
    let form = "path=/given&shareType=3&permissions=15&password=secret";
    let made = alice
        .raw(
            "POST",
            "/ocs/v2.php/apps/files_sharing/api/v1/shares?format=json",
        )
        .header("OCS-APIRequest", "true")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .expect(200);
    let made: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
    let token = made["ocs"]["data"]["token"].as_str().unwrap();
    let guest = alice.with_secret("secret");
    let place = format!("http://{}/public.php/dav/files/{token}/", alice.address());
    let folder = server.data.scratch("tree");
    tree(&folder);
    for words in [
        vec!["copy", folder.to_str().unwrap(), "nuage:all"],
        vec!["check", "--download", folder.to_str().unwrap(), "nuage:all"],
        vec!["move", "nuage:all/many", "nuage:moved"],
    ] {
        let mut program = rclone(&server, &guest, "other");
        program.env("RCLONE_CONFIG_NUAGE_URL", &place);
        run(program.args(words), "").ok();
    }
    assert_eq!(alice.get("/given/moved/7").send().body, bytes(7, 2_000));
    let mut curl = Command::new("curl");
    let old = format!("http://{}/public.php/webdav/all/large", alice.address());
    let sign_in = format!("{token}:secret");
    let back = server.data.scratch("curl").join("large");
    curl.args(["-sf", "-u", &sign_in, &old, "-o"]).arg(&back);
    run(&mut curl, "").ok();
    assert!(fs::read(&back).unwrap() == bytes(99, 12_000_000));
    server.assert_clean();
}
