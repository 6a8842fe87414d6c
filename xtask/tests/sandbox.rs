//! Sandboxes as their users see them: what is inside, and what is left behind. They need root and say so.

#![expect(clippy::print_stdout, reason = "a test that cannot run says why")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// The sandbox command, or `None` with a message where it cannot work.
fn sandbox(arguments: &[&str]) -> Option<Command> {
    if !geteuid().is_root() {
        println!("skipped: a sandbox needs root");
        return None;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("sandbox").args(arguments).stdin(Stdio::null());
    Some(command)
}

fn run(script: &str) -> Option<Output> {
    Some(sandbox(&["--", "sh", "-c", script])?.output().unwrap())
}

#[track_caller]
fn check(script: &str, want: &str) {
    let Some(output) = run(script) else { return };
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.trim_end(), want, "stderr: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

/// Cgroups of the sandbox whose supervisor has this process id, in any hierarchy.
fn cgroups_of(supervisor: u32) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let paths = points.map(|point| format!("{point}/corten-sandbox-{supervisor}"));
    paths.filter(|path| Path::new(path).exists()).collect()
}

mod privileged {
    use super::*;

    #[test]
    fn the_commands_exit_code_comes_back() {
        let Some(output) = run("exit 7") else { return };
        assert_eq!(output.status.code(), Some(7));
        let output = run("kill -9 $$").unwrap();
        assert_eq!(output.status.code(), Some(137));
        let output = sandbox(&["--", "no-such-command"]).unwrap().output().unwrap();
        assert_eq!(output.status.code(), Some(127));
    }

    #[test]
    fn it_sees_its_own_processes_only() {
        check("set -- /proc/[0-9]*; echo $#; readlink /proc/1/exe | grep -o xtask", "2\nxtask");
    }

    #[test]
    fn its_data_folders_are_empty_and_its_own() {
        check(
            "ls -A /var/lib/corten /var/log/pods | grep -v ':$'; touch /var/lib/corten/x; ls /run",
            "\ncorten-sandbox\nhome\nnetns",
        );
        assert!(!Path::new("/var/lib/corten/x").exists());
    }

    /// Scripts wrote the configuration in the home of whoever ran them, and could have replaced the machine's /dev/null.
    #[test]
    fn what_it_does_to_devices_and_in_its_home_stays_inside() {
        use std::os::unix::fs::MetadataExt as _;
        let own = tempfile::tempdir().unwrap();
        let of = |path: &str| {
            let found = std::fs::metadata(path).unwrap();
            (found.ino(), found.mode(), found.rdev())
        };
        let before = of("/dev/null");
        // Without a /dev of its own the script must not go on.
        let machines = std::fs::metadata("/dev").unwrap().dev();
        let guard = format!("test $(stat -c %d /dev) != {machines} || exit 3; ");
        let script = "set -e; rm /dev/null; echo no >/dev/null; chmod 600 /dev/zero; rm /dev/full; \
            head -c 3 /dev/urandom | wc -c; echo yes >/dev/stdout; : >/dev/shm/x; test -c /dev/pts/ptmx; \
            python3 -c 'import os; print(os.ttyname(os.openpty()[1]))'; ls /dev | grep -c -e '^sd' -e '^vd' -e '^nvme' || :; \
            mkdir -p $HOME/.kube; touch $HOME/.kube/config; echo $HOME $KUBECONFIG";
        let Some(mut command) = sandbox(&["--", "sh", "-c", &(guard + script)]) else { return };
        let output = command.env("HOME", own.path()).env("KUBECONFIG", own.path().join("config")).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(printed, "3\nyes\n/dev/pts/0\n0\n/run/home /run/corten-sandbox/kubeconfig\n", "{complaints}");
        assert_eq!(of("/dev/null"), before);
        assert_eq!(std::fs::read_dir(own.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_has_one_interface_and_reaches_gateway_and_neighbour() {
        check("ls /sys/class/net; cat /etc/resolv.conf | head -1", "eth0\nlo\nnameserver 10.99.0.1");
        check(
            "for net in outside neighbour; do nsenter --net=/run/netns/$net ls /proc/self/ns/net >/dev/null && echo $net; done",
            "outside\nneighbour",
        );
    }

    #[test]
    fn a_neighbour_reaches_a_server_inside_and_the_other_way() {
        // Bash connects without a client program.
        let serve = "import socket,sys; s=socket.create_server((sys.argv[1],80)); print('up',flush=True); c,_=s.accept(); c.sendall(b'hello\\n')";
        for (server, client, address) in [
            ("", "nsenter --net=/run/netns/neighbour", "10.99.0.2"),
            ("nsenter --net=/run/netns/neighbour", "", "10.99.0.3"),
            ("nsenter --net=/run/netns/outside", "", "192.0.2.1"),
        ] {
            let script = format!(
                "mkfifo /run/ready; {server} python3 -c \"{serve}\" {address} >/run/ready & read up </run/ready; \
                 {client} bash -c 'cat </dev/tcp/{address}/80'"
            );
            check(&script, "hello");
        }
    }

    #[test]
    fn its_cgroups_are_its_own_in_every_hierarchy() {
        check("cut -d: -f3 /proc/self/cgroup | grep -vx -e / -e /init; echo end", "end");
        check(
            "set -e; for h in cpu memory pids; do d=/sys/fs/cgroup/$h; test -d $d || continue; mkdir -p $d/corten/pod; echo $$ >$d/corten/pod/cgroup.procs; done; echo made",
            "made",
        );
    }

    #[test]
    fn nothing_is_left_when_the_command_ends() {
        // A daemon that moved to a cgroup of its own says so over a fifo and then blocks for ever.
        let script = "set -e; own=/sys/fs/cgroup/pids; test -d $own || own=/sys/fs/cgroup; mkdir -p $own/a/b; \
            mkfifo /run/ready /run/never; \
            setsid sh -c \"echo \\$\\$ >$own/a/b/cgroup.procs; echo up >/run/ready; exec cat /run/never\" & \
            read up </run/ready; cat $own/a/b/cgroup.procs | grep -c .";
        let Some(mut command) = sandbox(&["--", "sh", "-c", script]) else { return };
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        let supervisor = child.id();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
        assert!(output.status.success());
        assert_eq!(cgroups_of(supervisor), Vec::<String>::new());
    }

    #[test]
    fn a_signal_ends_the_command_and_all_is_swept() {
        // A shell that has looked for signals misses one that comes before it waits; who holds them back and fetches them does
        // not.
        let script = "import signal, sys\n\
                      signals = {signal.SIGTERM, signal.SIGINT}\n\
                      signal.pthread_sigmask(signal.SIG_BLOCK, signals)\n\
                      print('up', flush=True)\n\
                      signal.sigwait(signals)\n\
                      sys.exit(9)";
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let Some(mut command) = sandbox(&["--", "python3", "-c", script]) else { return };
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "up\n");
            assert!(!cgroups_of(child.id()).is_empty());
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(9), "{signal}");
            assert_eq!(cgroups_of(child.id()), Vec::<String>::new());
        }
    }

    #[test]
    fn a_killed_supervisor_takes_the_sandbox_along_and_the_next_one_sweeps() {
        let script = "mkfifo /run/never; exec 3<>/run/never; echo up; read x <&3";
        let Some(mut command) = sandbox(&["--", "sh", "-c", script]) else { return };
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // The pipe ends when the last process of the sandbox has.
        assert_eq!(output.read_line(&mut line).unwrap(), 0);
        // A process leaves its cgroup a moment after it has closed its files: a run in between cannot sweep yet.
        for _ in 0..50 {
            assert!(run("true").unwrap().status.success());
            if cgroups_of(child.id()).is_empty() {
                return;
            }
        }
        assert_eq!(cgroups_of(child.id()), Vec::<String>::new());
    }

    #[test]
    fn data_below_root_is_there_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        let Some(mut first) = sandbox(&["--root", root, "--", "sh", "-c", "echo kept >/var/lib/corten/x"]) else {
            return;
        };
        assert!(first.status().unwrap().success());
        let second = sandbox(&["--root", root, "--", "cat", "/var/lib/corten/x"]).unwrap().output().unwrap();
        assert_eq!(String::from_utf8_lossy(&second.stdout), "kept\n");
    }
}
