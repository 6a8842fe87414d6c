//! Further processes in a running container.

use corten_oci::{ExecError, ExecOptions, Stdio};
use nix::{
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    Test,
    support::{Bundle, exec, exec_process, has_children, start_exec},
};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::exec::it_runs_beside_init_with_its_own_exit_code", it_runs_beside_init_with_its_own_exit_code),
    ("privileged::exec::it_is_its_own_user_with_its_own_limits", it_is_its_own_user_with_its_own_limits),
    ("privileged::exec::it_is_confined_as_init_is", it_is_confined_as_init_is),
    ("privileged::exec::it_is_in_the_containers_groups", it_is_in_the_containers_groups),
    ("privileged::exec::it_fails_with_the_words_of_start", it_fails_with_the_words_of_start),
    (
        "privileged::exec::an_unreaped_exec_does_not_hold_up_the_deletion",
        an_unreaped_exec_does_not_hold_up_the_deletion,
    ),
    ("privileged::exec::a_stopped_container_takes_none", a_stopped_container_takes_none),
    ("privileged::exec::no_descriptor_of_the_shim_is_open", no_descriptor_of_the_shim_is_open),
    ("privileged::exec::it_finds_init_in_a_group_of_its_own", it_finds_init_in_a_group_of_its_own),
    ("privileged::exec::it_runs_at_the_limit_of_processes", it_runs_at_the_limit_of_processes),
];

fn it_runs_beside_init_with_its_own_exit_code() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.start();
    let finished = exec(
        &mut container,
        &bundle,
        "echo $PPID; readlink /proc/self/exe; hostname; cat /proc/1/comm; exit 7",
        |process| {
            process["cwd"] = json!("/tmp");
        },
    );
    assert_eq!((finished.code, finished.out.as_str()), (7, "0\n/bin/busybox\nbox\nsleep\n"));
    container.delete(true).unwrap();
    assert!(!has_children());
}

fn it_is_its_own_user_with_its_own_limits() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.start();
    let script = "id -u; id -G; pwd; ulimit -n; cat /proc/self/oom_score_adj; echo $HOME; grep CapEff /proc/self/status; echo x > /proc/self/fd/2";
    let finished = exec(&mut container, &bundle, script, |process| {
        process["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [9]});
        process["cwd"] = json!("/tmp");
        process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99}]);
        process["oomScoreAdj"] = json!(555);
    });
    assert_eq!(finished.out, "1000\n1000 9\n/tmp\n99\n555\n/home/web\nCapEff:\t0000000000000000\nx\n");
    container.delete(true).unwrap();
}

fn it_is_confined_as_init_is() {
    let bundle = Bundle::new(&["sleep", "100"]).with_default_seccomp().with_probe();
    let mut container = bundle.start();
    let finished = exec(
        &mut container,
        &bundle,
        "grep Seccomp: /proc/self/status; /probe probe clone3; /probe probe keyctl",
        |_| {},
    );
    assert_eq!(finished.out, "Seccomp:\t2\n-1 ENOSYS: Function not implemented\n-1 EPERM: Operation not permitted\n");
    container.delete(true).unwrap();
}

fn it_is_in_the_containers_groups() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.start();
    let groups = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains(&bundle.id)).map(str::to_owned).collect()
    };
    let of_init = groups(&std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap());
    assert!(!of_init.is_empty());
    let finished = exec(&mut container, &bundle, "cat /proc/self/cgroup", |_| {});
    assert_eq!(groups(&finished.out), of_init);
    container.delete(true).unwrap();
}

fn it_fails_with_the_words_of_start() {
    let bundle = Bundle::new(&["sleep", "100"]);
    std::fs::write(bundle.rootfs().join("bin/plain"), "text").unwrap();
    let mut container = bundle.start();
    let mut check = |args: &[&str], cwd: &str, code: i32, message: &str| {
        let process = exec_process(&bundle, args, |process| process["cwd"] = json!(cwd));
        let Err(ExecError::Failed(failure)) = container.exec(ExecOptions { process, stdio: Stdio::null() }) else {
            panic!("{args:?} runs");
        };
        assert_eq!(failure.exit_code(), code, "{failure}");
        assert_eq!(failure.to_string(), format!("unable to start container process: {message}"));
        assert!(matches!(
            nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)),
            Ok(nix::sys::wait::WaitStatus::StillAlive)
        ));
    };
    check(&["nothing"], "/", 127, "exec: \"nothing\": executable file not found in $PATH");
    check(&["/bin/plain"], "/", 126, "exec: \"/bin/plain\": permission denied");
    check(
        &["true"],
        "/nowhere",
        128,
        "chdir to cwd (\"/nowhere\") set in config.json failed: no such file or directory",
    );
    container.delete(true).unwrap();
}

fn an_unreaped_exec_does_not_hold_up_the_deletion() {
    // A zombie in the PID namespace keeps its init from ending: a shim that waits for init alone hangs.
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.start();
    let ended = start_exec(&mut container, &bundle, "exit 3", Stdio::null(), |_| {});
    let running = start_exec(&mut container, &bundle, "sleep 100", Stdio::null(), |_| {});
    // It has ended, and stays unreaped: the deletion would kill it otherwise.
    let ended_pid = Id::Pid(Pid::from_raw(ended.handle.pid()));
    waitid(ended_pid, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    let ends = container.delete(true).unwrap();
    let code = |pid: i32| ends.iter().find(|(known, _)| *known == pid).map(|(_, exit)| exit.code());
    assert_eq!(code(running.handle.pid()), Some(137));
    // The first may have been forgotten as ended; then it is left to the caller, as ever.
    let first = code(ended.handle.pid()).or_else(|| ended.handle.wait().unwrap().map(|exit| exit.code()));
    assert_eq!(first, Some(3));
    assert!(!has_children());
}

fn a_stopped_container_takes_none() {
    let bundle = Bundle::new(&["true"]);
    let mut container = bundle.start();
    container.init().unwrap().wait().unwrap();
    let process = exec_process(&bundle, &["true"], |_| {});
    let result = container.exec(ExecOptions { process, stdio: Stdio::null() });
    assert!(matches!(result, Err(ExecError::NotRunning(corten_oci::Status::Stopped))), "{result:?}");
    container.delete(false).unwrap();
}

fn no_descriptor_of_the_shim_is_open() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.start();
    // One that the shim forgot to mark.
    let leak = nix::fcntl::open("/", nix::fcntl::OFlag::O_PATH, nix::sys::stat::Mode::empty()).unwrap();
    let finished = exec(&mut container, &bundle, "exec ls /proc/self/fd", |_| {});
    drop(leak);
    assert_eq!(finished.out, "0\n1\n2\n3\n");
    container.delete(true).unwrap();
}

fn it_finds_init_in_a_group_of_its_own() {
    // A container that manages groups, as systemd does: under version 2 only leaves take processes.
    let bundle = Bundle::new(&["sleep", "100"]).with_default_seccomp();
    let mut container = bundle.start();
    if container.cgroup().layout() == corten_oci::cgroup::Layout::Unified {
        let group = container.cgroup().directories().remove(0);
        std::fs::create_dir(group.join("init")).unwrap();
        std::fs::write(group.join("init/cgroup.procs"), container.pid().to_string()).unwrap();
        std::fs::write(group.join("cgroup.subtree_control"), "+pids").unwrap();
        let finished = exec(&mut container, &bundle, "cat /proc/self/cgroup", |_| {});
        assert!(finished.out.trim().ends_with("/init"), "{finished:?}");
    }
    // And the profile is known to a later shim, without the bundle.
    std::fs::remove_file(bundle.path().join("config.json")).unwrap();
    let mut later = corten_oci::Container::load(&bundle.state_root(), &bundle.id).unwrap();
    let finished = exec(&mut later, &bundle, "grep Seccomp: /proc/self/status", |_| {});
    assert_eq!(finished.out, "Seccomp:\t2\n");
    drop(later);
    container.delete(true).unwrap();
}

fn it_runs_at_the_limit_of_processes() {
    let mut bundle = Bundle::shell("sleep 100 & sleep 100 & wait");
    bundle.linux()["resources"] = json!({"pids": {"limit": 3}});
    let mut container = bundle.start();
    while container.stats().unwrap().pids.current < 3 {}
    let finished = exec(&mut container, &bundle, "exec echo here", |_| {});
    assert_eq!((finished.code, finished.out.as_str()), (0, "here\n"));
    container.delete(true).unwrap();
}
