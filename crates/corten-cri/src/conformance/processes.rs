//! Containers as processes: what they get, and how they end.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Fixture, pod::IDLE};
use crate::api;

/// `Completed` for 0, `Error` for the rest; a signal counts from 128.
pub async fn exit_codes_and_reasons_are_reported(fixture: &Fixture) {
    let pod = fixture.pod("exits").await;
    for (name, script, code, reason) in [
        ("zero", "exit 0", 0, "Completed"),
        ("three", "exit 3", 3, "Error"),
        ("high", "exit 255", 255, "Error"),
        // Only a child: the first process of a namespace ignores its own signals.
        ("signal", "sh -c 'kill -9 $$'; exit $?", 137, "Error"),
    ] {
        let status = pod.run_with(name, script, |_| ()).await.status;
        assert_eq!((status.exit_code, status.reason.as_str()), (code, reason), "{script}");
        // A command that ends at once may end before the runtime has noted that it started.
        assert!(status.started_at > 0 && status.finished_at >= status.created_at, "{status:?}");
    }
}

/// What cannot be started has failed when start returns, and is not running afterwards.
pub async fn a_command_that_does_not_exist_fails_to_start(fixture: &Fixture) {
    let pod = fixture.pod("missing").await;
    let mut config = pod.container_config("main", "");
    config.command = vec!["/no/such/program".to_owned()];
    let id = pod.try_create(config).await.expect("create");
    fixture.start(&id).await.expect_err("start");
    let status = fixture.exited(&id).await;
    assert_ne!(status.exit_code, 0);
    assert!(!status.reason.is_empty());
}

/// `command`, `args`, `envs` and `working_dir`.
pub async fn the_command_gets_its_arguments_environment_and_directory(fixture: &Fixture) {
    let pod = fixture.pod("command").await;
    let script = "echo \"$0|$1|$2|$#\"; echo \"$COLOR|$EMPTY|${PATH:+path}\"; pwd";
    let output = pod
        .run_with("main", script, |config| {
            config.args = ["zero", "a b", "$COLOR"].map(str::to_owned).into();
            config.envs = [("COLOR", "light green"), ("EMPTY", "")]
                .map(|(key, value)| api::KeyValue { key: key.to_owned(), value: value.to_owned() })
                .into();
            config.working_dir = "/new/directory".to_owned();
        })
        .await;
    assert_eq!(output.stdout, "zero|a b|$COLOR|2\nlight green||path\n/new/directory\n", "{}", output.stderr);
}

/// SIGTERM by default, and the call returns when the container has ended.
pub async fn a_container_ends_by_its_stop_signal(fixture: &Fixture) {
    let pod = fixture.pod("term").await;
    let id = pod.start("main", "trap 'exit 7' TERM; echo ready; while true; do sleep 1000 & wait $!; done").await;
    wait_for_log(fixture, &pod, "ready\n").await;
    let before = fixture.clock.monotonic();
    fixture.stop(&id, 60).await.expect("stop");
    assert!(fixture.clock.monotonic() - before < Duration::from_secs(30), "it did not wait for the timeout");
    let status = fixture.container_status(&id).await.expect("status");
    assert_eq!((status.state(), status.exit_code), (api::ContainerState::ContainerExited, 7));
}

/// SIGKILL follows after `timeout` seconds.
pub async fn a_container_that_ignores_the_signal_is_killed_after_the_timeout(fixture: &Fixture) {
    let pod = fixture.pod("stubborn").await;
    let id = pod.start("main", "trap '' TERM; echo ready; while true; do sleep 1000 & wait $!; done").await;
    wait_for_log(fixture, &pod, "ready\n").await;
    let before = fixture.clock.monotonic();
    fixture.stop(&id, 2).await.expect("stop");
    let took = fixture.clock.monotonic() - before;
    assert!((Duration::from_millis(1_500)..Duration::from_secs(30)).contains(&took), "{took:?}");
    let status = fixture.container_status(&id).await.expect("status");
    assert_eq!((status.state(), status.exit_code), (api::ContainerState::ContainerExited, 137));
}

/// No signal but SIGKILL.
pub async fn a_timeout_of_zero_kills_at_once(fixture: &Fixture) {
    let pod = fixture.pod("kill").await;
    let id = pod.start("main", "trap 'exit 7' TERM; echo ready; while true; do sleep 1000 & wait $!; done").await;
    wait_for_log(fixture, &pod, "ready\n").await;
    fixture.stop(&id, 0).await.expect("stop");
    assert_eq!(fixture.container_status(&id).await.expect("status").exit_code, 137);
}

/// `stop_signal` takes the place of the image's signal, and the status tells it.
pub async fn the_stop_signal_of_the_config_is_sent(fixture: &Fixture) {
    let pod = fixture.pod("usr1").await;
    let script = "trap 'exit 9' USR1; trap 'exit 7' TERM; echo ready; while true; do sleep 1000 & wait $!; done";
    let id = pod.start_with("main", script, |config| config.set_stop_signal(api::Signal::Sigusr1)).await;
    wait_for_log(fixture, &pod, "ready\n").await;
    assert_eq!(fixture.container_status(&id).await.expect("status").stop_signal(), api::Signal::Sigusr1);
    fixture.stop(&id, 20).await.expect("stop");
    assert_eq!(fixture.container_status(&id).await.expect("status").exit_code, 9);
}

/// All three streams are one terminal, and the log is all stdout.
pub async fn a_terminal_is_a_terminal(fixture: &Fixture) {
    let pod = fixture.pod("terminal").await;
    let script =
        "for fd in 0 1 2; do test -t $fd && echo yes; done; echo error >&2; test -c /dev/console && echo console";
    let output = pod
        .run_with("main", script, |config| {
            config.tty = true;
            config.stdin = true;
        })
        .await;
    let stdout = output.stdout.replace('\r', "");
    assert_eq!((stdout.as_str(), output.stderr.as_str()), ("yes\nyes\nyes\nerror\nconsole\n", ""));
}

/// A read-only mount cannot be written, a writable one shows on the node.
pub async fn mounts_appear_writable_or_read_only(fixture: &Fixture) {
    let pod = fixture.pod("mounts").await;
    let host = |name: &str| {
        let path = fixture.dir.join(name);
        std::fs::create_dir_all(&path).expect("make a directory to mount");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("open it to everybody");
        std::fs::write(path.join("seen"), name).expect("fill it");
        path.display().to_string()
    };
    let (open, closed) = (host("open"), host("closed"));
    let mount = |host_path: &str, container_path: &str, readonly| api::Mount {
        host_path: host_path.to_owned(),
        container_path: container_path.to_owned(),
        readonly,
        ..api::Mount::default()
    };
    let script = "cat /open/seen /deep/er/closed/seen; echo new > /open/new && echo written; \
                  echo new 2>/dev/null > /deep/er/closed/new || echo refused";
    let output = pod
        .run_with("main", script, |config| {
            config.mounts = vec![mount(&open, "/open", false), mount(&closed, "/deep/er/closed", true)];
        })
        .await;
    assert_eq!(output.stdout, "openclosedwritten\nrefused\n", "{}", output.stderr);
    assert_eq!(std::fs::read_to_string(fixture.dir.join("open/new")).expect("what the container wrote"), "new\n");
    let mounts = output.status.mounts;
    let told = |path: &str| mounts.iter().find(|mount| mount.container_path == path).map(|mount| mount.readonly);
    assert_eq!((told("/open"), told("/deep/er/closed")), (Some(false), Some(true)), "{mounts:?}");
}

/// Termination messages and hosts files are single files.
pub async fn a_mounted_file_is_a_file(fixture: &Fixture) {
    let pod = fixture.pod("file").await;
    let path = fixture.dir.join("message");
    std::fs::write(&path, "").expect("make the file");
    let mount = api::Mount {
        host_path: path.display().to_string(),
        container_path: "/dev/termination-log".to_owned(),
        ..api::Mount::default()
    };
    let script = "echo the end > /dev/termination-log";
    let output = pod.run_with("main", script, |config| config.mounts = vec![mount]).await;
    assert_eq!(output.status.exit_code, 0, "{}", output.stderr);
    assert_eq!(std::fs::read_to_string(path).expect("read the file"), "the end\n");
}

/// A source that is neither there nor can be made is an error of create or start.
pub async fn a_mount_without_a_source_fails(fixture: &Fixture) {
    let pod = fixture.pod("no-source").await;
    let file = fixture.dir.join("plain-file");
    std::fs::write(&file, "").expect("make a file");
    let mount = api::Mount {
        host_path: file.join("below").display().to_string(),
        container_path: "/data".to_owned(),
        ..api::Mount::default()
    };
    assert!(pod.try_run("main", IDLE, |config| config.mounts = vec![mount]).await.is_err());
}

/// `HOST_TO_CONTAINER` sees what is mounted on the node after the start, `PRIVATE` does not.
pub async fn what_the_node_mounts_later_is_seen_where_asked_for(fixture: &Fixture) {
    let outer = Mounted::new(fixture.dir.join("outer"));
    std::fs::create_dir(outer.0.join("inner")).expect("make the later mount's directory");
    let pod = fixture.pod("propagation").await;
    let mut ids = Vec::new();
    for (name, propagation) in [
        ("private", api::MountPropagation::PropagationPrivate),
        ("follows", api::MountPropagation::PropagationHostToContainer),
    ] {
        let mount = api::Mount {
            host_path: outer.0.display().to_string(),
            container_path: "/data".to_owned(),
            propagation: propagation as i32,
            ..api::Mount::default()
        };
        ids.push(pod.start_with(name, IDLE, |config| config.mounts = vec![mount]).await);
    }
    let inner = Mounted::new(outer.0.join("inner"));
    std::fs::write(inner.0.join("seen"), "seen").expect("fill it");
    let look = "cat /data/inner/seen 2>/dev/null || echo -n nothing";
    assert_eq!(fixture.ask(&ids[0], look).await, "nothing");
    assert_eq!(fixture.ask(&ids[1], look).await, "seen");
}

/// A file system in memory whose mounts propagate; unmounted at the end.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).expect("make a mount point");
        run("mount", &["-t", "tmpfs", "tmpfs"], &path);
        let mounted = Self(path);
        run("mount", &["--make-shared"], &mounted.0);
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status().expect("start a program of the node");
    assert!(status.success(), "{program} {arguments:?} {}: {status}", path.display());
}

/// A device of the node under another name, with the permissions given.
pub async fn devices_appear_in_the_container(fixture: &Fixture) {
    let pod = fixture.pod("device").await;
    let device = api::Device {
        host_path: "/dev/zero".to_owned(),
        container_path: "/dev/own-zero".to_owned(),
        permissions: "r".to_owned(),
    };
    let script = "test -c /dev/own-zero && head -c 3 /dev/own-zero | wc -c";
    let output = pod.run_with("main", script, |config| config.devices = vec![device]).await;
    assert_eq!(output.stdout.trim(), "3", "{}", output.stderr);
}

/// What one container writes, another one of the same image does not see.
pub async fn the_root_file_system_is_the_containers_own(fixture: &Fixture) {
    let pod = fixture.pod("root").await;
    let first = pod.run_with("first", "echo mine > /mine && cat /mine", |_| ()).await;
    assert_eq!(first.stdout, "mine\n", "{}", first.stderr);
    let second = pod.run_with("second", "test -e /mine || echo absent", |_| ()).await;
    assert_eq!(second.stdout, "absent\n");
}

pub(super) async fn wait_for_log(fixture: &Fixture, pod: &super::Pod<'_>, text: &str) {
    fixture
        .eventually("the container says that it is ready", || async {
            (pod.logged("main", crate::log_format::LogStream::Stdout) == text).then_some(())
        })
        .await;
}
