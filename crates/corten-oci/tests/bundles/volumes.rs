//! Volumes: access, propagation, mapping, mount points.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use corten_oci::{Access, Propagation, Stdio, VolumeMount};
use nix::mount::{MsFlags, mount};

use crate::{
    Test,
    support::{Bundle, exec},
};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::volumes::directories_and_files_appear", directories_and_files_appear),
    ("privileged::volumes::read_only_covers_what_it_says", read_only_covers_what_it_says),
    ("privileged::volumes::later_mounts_travel_as_asked", later_mounts_travel_as_asked),
    ("privileged::volumes::a_mapped_volume_shows_its_owners_inside", a_mapped_volume_shows_its_owners_inside),
    ("privileged::volumes::links_of_the_image_stay_inside", links_of_the_image_stay_inside),
    ("privileged::volumes::failures_name_the_volume_and_leave_nothing", failures_name_the_volume_and_leave_nothing),
    ("privileged::volumes::mount_options_hold", mount_options_hold),
];

fn volume(source: &Path, target: &str) -> VolumeMount {
    VolumeMount { source: source.to_owned(), target: target.into(), ..VolumeMount::default() }
}

fn directories_and_files_appear() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("file"), "content\n").unwrap();
    let mut bundle = Bundle::shell("cat /made/deep/file /etc/one-file /data/nested/file; touch /made/deep/new; pwd");
    bundle.spec["root"]["readonly"] = true.into();
    bundle.process()["cwd"] = "/made/deep/work".into();
    bundle.volumes = vec![
        volume(data.path(), "/made/deep"),
        volume(&data.path().join("file"), "/etc/one-file"),
        volume(data.path(), "/data"),
        volume(data.path(), "/data/nested"),
    ];
    let finished = bundle.run();
    assert_eq!((finished.code, finished.out.as_str()), (0, "content\ncontent\ncontent\n/made/deep/work\n"));
    assert!(data.path().join("new").exists() && data.path().join("nested").is_dir());
}

fn read_only_covers_what_it_says() {
    // In a mount namespace of our own: a mount below the volume's source.
    let host = private_mounts();
    let below = host.path().join("below");
    std::fs::create_dir(&below).unwrap();
    mount_tmpfs(&below);
    let script = "touch /v/x 2>/dev/null && echo top; touch /v/below/x 2>/dev/null && echo below; echo end";
    for (access, want) in [
        (Access::ReadWrite, "top\nbelow\nend\n"),
        (Access::ReadOnly, "below\nend\n"),
        (Access::RecursiveReadOnly, "end\n"),
    ] {
        let mut bundle = Bundle::shell(script);
        bundle.volumes = vec![VolumeMount { access, ..volume(host.path(), "/v") }];
        assert_eq!(bundle.run().out, want, "{access:?}");
    }
}

fn later_mounts_travel_as_asked() {
    let host = private_mounts();
    mount(None::<&str>, host.path(), None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    for (propagation, into, out) in [
        (Propagation::Private, false, false),
        (Propagation::HostToContainer, true, false),
        (Propagation::Bidirectional, true, true),
    ] {
        for name in ["from-host", "from-container"] {
            std::fs::create_dir_all(host.path().join(name)).unwrap();
        }
        let mut bundle = Bundle::new(&["sleep", "100"]);
        let capabilities = serde_json::json!(["CAP_SYS_ADMIN"]);
        bundle.process()["capabilities"] =
            serde_json::json!({"bounding": capabilities, "effective": capabilities, "permitted": capabilities});
        bundle.volumes = vec![VolumeMount { propagation, ..volume(host.path(), "/v") }];
        let mut container = bundle.start();
        mount_tmpfs(&host.path().join("from-host"));
        std::fs::write(host.path().join("from-host/x"), "").unwrap();
        let script = "mount -t tmpfs t /v/from-container && touch /v/from-container/x; ls /v/from-host";
        let finished = exec(&mut container, &bundle, script, |_| {});
        assert_eq!(finished.out == "x\n", into, "{propagation:?}: {finished:?}");
        assert_eq!(host.path().join("from-container/x").exists(), out, "{propagation:?}");
        container.delete(true).unwrap();
        nix::mount::umount2(&host.path().join("from-host"), nix::mount::MntFlags::MNT_DETACH).unwrap();
        if out {
            nix::mount::umount2(&host.path().join("from-container"), nix::mount::MntFlags::MNT_DETACH).unwrap();
        }
    }
}

fn a_mapped_volume_shows_its_owners_inside() {
    let host = private_mounts();
    std::fs::write(host.path().join("of-root"), "").unwrap();
    let mut bundle = Bundle::shell("stat -c %u /mapped/of-root /plain/of-root; touch /mapped/new && echo made")
        .with_user_namespace();
    bundle.volumes =
        vec![VolumeMount { id_mapped: true, ..volume(host.path(), "/mapped") }, volume(host.path(), "/plain")];
    if let Err(error) = bundle.try_create(Stdio::null()).map(|container| container.delete(true).unwrap()) {
        // tmpfs can be mapped from Linux 6.3 on.
        assert!(error.to_string().contains("map owners"), "{error}");
        println!("skipped: this kernel maps no tmpfs");
        return;
    }
    assert_eq!(bundle.run().out, "0\n65534\nmade\n");
    assert_eq!(std::fs::metadata(host.path().join("new")).unwrap().uid(), 0);
}

fn links_of_the_image_stay_inside() {
    let data = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let mut bundle = Bundle::shell("ls /link; ls /proc/self/root/tmp/target");
    std::fs::write(data.path().join("seen"), "").unwrap();
    // Followed on the host it would lead out; inside it is a path of the container.
    std::os::unix::fs::symlink("/../../tmp/target", bundle.rootfs().join("link")).unwrap();
    bundle.volumes = vec![volume(data.path(), "/link")];
    assert_eq!(bundle.run().out, "seen\nseen\n");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!Path::new("/tmp/target").exists());
}

fn failures_name_the_volume_and_leave_nothing() {
    let data = tempfile::tempdir().unwrap();
    let check = |volume: VolumeMount, message: &str| {
        let mut bundle = Bundle::new(&["true"]);
        bundle.volumes = vec![volume];
        let error = bundle.try_create(Stdio::null()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(!crate::support::has_children());
        assert!(bundle.cgroup().directories().iter().all(|directory| !directory.exists()));
        assert!(!bundle.state_root().join(&bundle.id).exists());
    };
    check(volume(Path::new("/no/such/source"), "/v"), "/no/such/source on /v: clone mount of source");
    check(volume(data.path(), "/proc/sys"), "refuse to mount into /proc");
    check(volume(data.path(), "/dev/null"), "attach");
}

fn mount_options_hold() {
    let data = tempfile::tempdir().unwrap();
    let mut bundle = Bundle::shell(
        "cp /bin/busybox /v/program 2>/dev/null || cat /bin/busybox > /v/program; chmod 755 /v/program; /v/program true",
    );
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/chmod")).unwrap();
    bundle.volumes = vec![VolumeMount { no_exec: true, no_suid: true, no_dev: true, ..volume(data.path(), "/v") }];
    let finished = bundle.run();
    assert_eq!(finished.code, 126, "{finished:?}");
}

/// A folder with mounts of its own, in a mount namespace of this process; nothing of it reaches the machine.
fn private_mounts() -> tempfile::TempDir {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>).unwrap();
    let folder = tempfile::tempdir().unwrap();
    mount_tmpfs(folder.path());
    folder
}

fn mount_tmpfs(target: &Path) {
    mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
}
