//! From create to delete, and many containers in one process.

use std::time::Duration;

use corten_oci::{Container, DeleteError, ExitStatus, Status};
use serde_json::json;

use crate::{
    Test,
    support::{Bundle, descriptors, has_children, output, read},
};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::lifecycle::a_container_walks_through_its_states", a_container_walks_through_its_states),
    ("privileged::lifecycle::nobody_else_reads_what_a_container_is_given", nobody_else_reads_what_a_container_is_given),
    ("privileged::lifecycle::signals_reach_init_and_all", signals_reach_init_and_all),
    ("privileged::lifecycle::a_paused_container_stands_still", a_paused_container_stands_still),
    ("privileged::lifecycle::force_deletes_what_runs", force_deletes_what_runs),
    ("privileged::lifecycle::a_deletion_that_failed_is_repeated", a_deletion_that_failed_is_repeated),
    (
        "privileged::lifecycle::a_descendant_that_does_not_die_holds_up_the_deletion_and_not_the_caller",
        a_descendant_that_does_not_die_holds_up_the_deletion_and_not_the_caller,
    ),
    ("privileged::lifecycle::a_created_container_is_deleted_unstarted", a_created_container_is_deleted_unstarted),
    ("privileged::lifecycle::another_process_takes_up_a_container", another_process_takes_up_a_container),
    ("privileged::lifecycle::twenty_containers_live_in_one_process", twenty_containers_live_in_one_process),
    ("privileged::lifecycle::control_groups_made_inside_are_removed", control_groups_made_inside_are_removed),
    ("privileged::lifecycle::a_user_namespace_maps_root_away", a_user_namespace_maps_root_away),
    ("privileged::lifecycle::a_network_namespace_is_joined_by_path", a_network_namespace_is_joined_by_path),
    ("privileged::lifecycle::hooks_run_at_their_time", hooks_run_at_their_time),
    (
        "privileged::lifecycle::the_rest_of_an_interrupted_creation_is_swept",
        the_rest_of_an_interrupted_creation_is_swept,
    ),
    ("privileged::lifecycle::not_one_signal_is_ignored", not_one_signal_is_ignored),
    ("privileged::lifecycle::the_hosts_pid_namespace_is_left_clean", the_hosts_pid_namespace_is_left_clean),
    ("privileged::lifecycle::a_pid_namespace_is_shared_by_path", a_pid_namespace_is_shared_by_path),
    ("privileged::lifecycle::a_created_container_survives_its_shim", a_created_container_survives_its_shim),
];

/// `config.json` has the environment of processes, with what came out of Secrets, and any user of the machine could read it.
fn nobody_else_reads_what_a_container_is_given() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let bundle = Bundle::new(&["true"]);
    let container = bundle.create(corten_oci::Stdio::null());
    let (root, own) = (bundle.state_root(), bundle.state_root().join(&bundle.id));
    assert_eq!((mode(&root), mode(&own)), (0o700, 0o700));
    assert_eq!((mode(&own.join("bundle/config.json")), mode(&own.join("record.json"))), (0o600, 0o600));
    container.delete(true).unwrap();
}

fn a_container_walks_through_its_states() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.create(corten_oci::Stdio::null());
    assert_eq!(container.status().unwrap(), Status::Created);
    container.start().unwrap();
    assert_eq!(container.status().unwrap(), Status::Running);
    assert!(matches!(bundle.try_create(corten_oci::Stdio::null()), Err(corten_oci::CreateError::Exists(_))));
    container.kill(libc::SIGKILL, false).unwrap();
    assert_eq!(container.init().unwrap().wait().unwrap(), Some(ExitStatus::Signal(libc::SIGKILL)));
    assert_eq!(container.status().unwrap(), Status::Stopped);
    assert_eq!(container.delete(false).unwrap(), []);
    assert!(!bundle.state_root().join(&bundle.id).exists());
    assert!(bundle.cgroup().directories().iter().all(|directory| !directory.exists()));
}

fn signals_reach_init_and_all() {
    let bundle = Bundle::shell("trap 'echo term; exit 9' TERM; echo ready; while true; do sleep 0.05; done");
    let (reader, stdio) = output();
    let mut container = bundle.create(stdio);
    container.start().unwrap();
    let mut first = [0_u8; 6];
    nix::unistd::read(&reader, &mut first).unwrap();
    assert_eq!(&first, b"ready\n");
    container.kill(libc::SIGTERM, true).unwrap();
    let out = read(reader);
    assert_eq!(out.matches("term\n").count(), 1, "init hears it once: {out}");
    assert_eq!(container.init().unwrap().wait().unwrap(), Some(ExitStatus::Code(9)));
    container.kill(libc::SIGTERM, true).unwrap();
    container.delete(false).unwrap();
}

fn a_paused_container_stands_still() {
    let bundle = Bundle::shell("while true; do echo x; sleep 0.01; done");
    let (reader, stdio) = output();
    let mut container = bundle.create(stdio);
    container.start().unwrap();
    container.pause().unwrap();
    assert_eq!(container.status().unwrap(), Status::Paused);
    let timeout = nix::poll::PollTimeout::try_from(Duration::from_millis(150)).unwrap();
    let mut buffer = [0_u8; 65_536];
    let silent = |buffer: &mut [u8]| {
        let mut fds = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&reader), nix::poll::PollFlags::POLLIN)];
        let waited = nix::poll::poll(&mut fds, timeout).unwrap();
        if waited > 0 {
            nix::unistd::read(&reader, buffer).unwrap();
        }
        waited == 0
    };
    // What it had written before.
    silent(&mut buffer);
    assert!(silent(&mut buffer));
    container.resume().unwrap();
    assert!(!silent(&mut buffer));
    container.pause().unwrap();
    // Also one that cannot hear its signals ends.
    container.delete(true).unwrap();
}

fn force_deletes_what_runs() {
    let bundle = Bundle::shell("sleep 100 & sleep 100 & sleep 100");
    let container = bundle.start();
    assert!(matches!(container.delete(false), Err(DeleteError::Running(Status::Running))));
    let container = Container::load(&bundle.state_root(), &bundle.id).unwrap();
    let pid = container.pid();
    assert_eq!(container.delete(true).unwrap(), [(pid, ExitStatus::Signal(libc::SIGKILL))]);
    assert!(!has_children());
}

/// A container whose process outlived SIGKILL for a while could only be dropped, though it ran on.
fn a_deletion_that_failed_is_repeated() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.create(corten_oci::Stdio::null());
    container.start().unwrap();
    let pid = container.pid();
    let ends = loop {
        // Without patience, as good as any process outlives it.
        match container.delete_within(true, Duration::ZERO) {
            Ok(ended) => break ended,
            Err(DeleteError::Unkillable(stuck)) => {
                assert_eq!(stuck, pid);
                assert!(container.process(stuck).is_some() && container.cgroup().stats().is_ok());
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(ends, [(pid, ExitStatus::Signal(libc::SIGKILL))]);
    assert!(!bundle.state_root().join(&bundle.id).exists());
}

/// A process that init had left behind, and that outlived SIGKILL, held up its killer for ten seconds and was then forgotten:
/// the container was said to have ended while it ran on.
fn a_descendant_that_does_not_die_holds_up_the_deletion_and_not_the_caller() {
    let mut bundle = Bundle::shell("sleep 100 & exec sleep 200");
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    // Nobody's end ends the others.
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let mut container = bundle.start();
    let init = container.pid();
    let descendant = loop {
        let processes = container.cgroup().processes().unwrap();
        if let Some(pid) = processes.into_iter().find(|pid| *pid != init) {
            break pid;
        }
        std::thread::yield_now();
    };
    let groups = container.cgroup().directories();
    let Some(group) = groups.iter().find(|group| group.join("freezer.state").exists()) else {
        container.delete(true).unwrap();
        eprintln!("skipped: SIGKILL wakes what is frozen where control groups have version 2");
        return;
    };
    // One that is frozen does not die before it wakes. Its own group: that of the container is woken.
    let group = group.join("stuck");
    std::fs::create_dir(&group).unwrap();
    std::fs::write(group.join("cgroup.procs"), descendant.to_string()).unwrap();
    std::fs::write(group.join("freezer.state"), "FROZEN").unwrap();
    let stuck = loop {
        match container.delete_within(true, Duration::ZERO) {
            Err(DeleteError::Unkillable(stuck)) if stuck == init => std::thread::yield_now(),
            Err(DeleteError::Unkillable(stuck)) => break stuck,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(stuck, descendant);
    let process = container.process(stuck).expect("somebody waits for it");
    assert!(!process.has_ended().unwrap() && container.cgroup().stats().is_ok());
    std::fs::write(group.join("freezer.state"), "THAWED").unwrap();
    while !process.has_ended().unwrap() {
        std::thread::yield_now();
    }
    assert_eq!(container.delete(true).unwrap(), [(init, ExitStatus::Signal(libc::SIGKILL))]);
}

fn a_created_container_is_deleted_unstarted() {
    let bundle = Bundle::new(&["true"]);
    let container = bundle.create(corten_oci::Stdio::null());
    container.delete(false).unwrap();
    assert!(!has_children());
}

fn another_process_takes_up_a_container() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let original = bundle.start();
    let mut second = Container::load(&bundle.state_root(), &bundle.id).unwrap();
    assert_eq!(second.state().unwrap(), original.state().unwrap());
    assert!(matches!(second.start(), Err(corten_oci::StartError::NotHeld(_))));
    let finished = crate::support::exec(&mut second, &bundle, "echo $PPID", |_| {});
    assert_eq!(finished.out, "0\n");
    original.init().unwrap().signal(libc::SIGKILL).unwrap();
    original.init().unwrap().wait().unwrap();
    assert_eq!(second.status().unwrap(), Status::Stopped);
    let third = Container::load(&bundle.state_root(), &bundle.id).unwrap();
    assert!(third.init().is_none());
    third.delete(false).unwrap();
}

fn twenty_containers_live_in_one_process() {
    // One round first: the C library opens what it keeps open.
    Bundle::new(&["true"]).run();
    let before = descriptors();
    let bundles: Vec<Bundle> = (0..20).map(|_| Bundle::new(&["sleep", "100"])).collect();
    let mut containers: Vec<Container> = bundles.iter().map(Bundle::start).collect();
    for (container, bundle) in containers.iter_mut().zip(&bundles) {
        assert_eq!(container.status().unwrap(), Status::Running);
        let finished = crate::support::exec(container, bundle, "ls /proc/self/fd | wc -l; exit 5", |_| {});
        assert_eq!(finished.code, 5, "{finished:?}");
    }
    // A container keeps one handle on its init; the exec's went with it or is one more.
    assert!(descriptors() <= before + 40, "{} descriptors", descriptors() - before);
    for container in containers {
        container.delete(true).unwrap();
    }
    assert_eq!(descriptors(), before);
    assert!(!has_children());
}

fn control_groups_made_inside_are_removed() {
    // With a writable hierarchy inside, as privileged pods have it.
    let bundle = Bundle::new(&["sleep", "100"]);
    let container = bundle.start();
    for directory in container.cgroup().directories() {
        if directory.exists() {
            std::fs::create_dir_all(directory.join("a/b")).unwrap();
        }
    }
    container.delete(true).unwrap();
    assert!(bundle.cgroup().directories().iter().all(|directory| !directory.exists()));
}

fn a_user_namespace_maps_root_away() {
    let mut bundle =
        Bundle::shell("id -u; echo inside > /made; echo x > /proc/self/fd/1; cat /proc/self/uid_map; sleep 100")
            .with_user_namespace()
            .with_default_seccomp();
    bundle.process()["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 500, "hard": 500}]);
    let (reader, stdio) = output();
    let mut container = bundle.create(stdio);
    container.start().unwrap();
    let mut text = [0_u8; 256];
    let mut out = String::new();
    while !out.contains("65536") {
        let length = nix::unistd::read(&reader, &mut text).unwrap();
        assert!(length > 0, "{out}");
        out.push_str(&String::from_utf8_lossy(&text[..length]));
    }
    assert!(out.starts_with("0\nx\n"), "{out}");
    let owner =
        |name: &str| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(bundle.rootfs().join(name)).unwrap());
    assert_eq!(owner("made"), 100_000);
    // An exec that stayed outside the user namespace would write as root of the host.
    let finished = crate::support::exec(
        &mut container,
        &bundle,
        "id -u; echo x > /by-exec; echo x > /proc/self/fd/1; ulimit -n; grep Seccomp: /proc/self/status",
        |_| {},
    );
    assert_eq!((finished.code, finished.out.as_str()), (0, "0\nx\n500\nSeccomp:\t2\n"));
    assert_eq!(owner("by-exec"), 100_000);
    container.delete(true).unwrap();
}

fn a_network_namespace_is_joined_by_path() {
    let first = Bundle::new(&["sleep", "100"]);
    let holder = first.start();
    let path = format!("/proc/{}/ns/net", holder.pid());
    let mut second = Bundle::new(&["readlink", "/proc/self/ns/net"]);
    for namespace in second.linux()["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "network" {
            namespace["path"] = json!(path);
        }
    }
    let joined = second.run();
    assert_eq!(joined.out.trim(), std::fs::read_link(&path).unwrap().to_str().unwrap());
    assert_ne!(joined.out.trim(), std::fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap());
    holder.delete(true).unwrap();
}

fn without_namespace(bundle: &mut Bundle, kind: &str) {
    bundle.linux()["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != kind);
}

fn the_hosts_pid_namespace_is_left_clean() {
    // Nothing ends with init there: every process of the groups has to be killed by itself.
    let mut bundle = Bundle::shell("sleep 111 & sleep 112 & echo started; sleep 113");
    without_namespace(&mut bundle, "pid");
    let (reader, stdio) = output();
    let mut container = bundle.create(stdio);
    container.start().unwrap();
    nix::unistd::read(&reader, &mut [0; 16]).unwrap();
    let pids = container.cgroup().processes().unwrap();
    assert!(pids.len() >= 3 && pids.contains(&container.pid()), "{pids:?}");
    container.delete(true).unwrap();
    // The reader ends when the last of them is gone.
    assert_eq!(read(reader), "");
    assert!(bundle.cgroup().directories().iter().all(|directory| !directory.exists()));
}

fn a_pid_namespace_is_shared_by_path() {
    let first = Bundle::new(&["sleep", "100"]);
    let holder = first.start();
    let mut second = Bundle::new(&["cat", "/proc/1/comm", "/proc/self/comm"]);
    without_namespace(&mut second, "pid");
    let path = format!("/proc/{}/ns/pid", holder.pid());
    second.linux()["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid", "path": path}));
    assert_eq!(second.run().out, "sleep\ncat\n");
    assert_eq!(holder.status().unwrap(), Status::Running);
    holder.delete(true).unwrap();
}

fn a_created_container_survives_its_shim() {
    let bundle = Bundle::new(&["true"]);
    // What a shim that dies leaves behind: the held init, without its other end of the channel.
    drop(bundle.create(corten_oci::Stdio::null()));
    let container = Container::load(&bundle.state_root(), &bundle.id).unwrap();
    assert_eq!(container.status().unwrap(), Status::Created);
    container.delete(true).unwrap();
    assert!(!has_children());
}

fn not_one_signal_is_ignored() {
    let bundle = Bundle::new(&["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]);
    assert_eq!(bundle.run().out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

fn the_rest_of_an_interrupted_creation_is_swept() {
    let bundle = Bundle::new(&["true"]);
    let container = bundle.create(corten_oci::Stdio::null());
    std::fs::remove_file(bundle.state_root().join(&bundle.id).join("record.json")).unwrap();
    assert!(Container::load(&bundle.state_root(), &bundle.id).is_err());
    let path = bundle.spec["linux"]["cgroupsPath"].as_str().unwrap();
    for _ in 0..2 {
        corten_oci::container::sweep(&bundle.state_root(), &bundle.id, path.as_ref()).unwrap();
    }
    assert_eq!(container.init().unwrap().wait().unwrap(), Some(ExitStatus::Signal(libc::SIGKILL)));
    drop(container);
    bundle.create(corten_oci::Stdio::null()).delete(true).unwrap();
}

fn hooks_run_at_their_time() {
    let mut bundle = Bundle::new(&["true"]);
    let log = bundle.path().join("hooks");
    let hook = |name: &str| {
        let script = format!("grep -c '\"id\"' >/dev/null; echo {name} >> {}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    };
    bundle.spec["hooks"] =
        json!({"createRuntime": hook("createRuntime"), "poststart": hook("poststart"), "poststop": hook("poststop")});
    assert_eq!(bundle.run().code, 0);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "createRuntime\npoststart\npoststop\n");
}
