//! What any OCI runtime does with a bundle: run it and look at its output and exit code.

use std::process::Command;

use serde_json::json;

use crate::{Test, support::Bundle};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::neutral::exit_codes_are_the_programs_own", exit_codes_are_the_programs_own),
    (
        "privileged::neutral::environment_and_working_directory_are_as_asked",
        environment_and_working_directory_are_as_asked,
    ),
    ("privileged::neutral::user_and_groups_are_as_asked", user_and_groups_are_as_asked),
    ("privileged::neutral::capabilities_are_as_asked", capabilities_are_as_asked),
    ("privileged::neutral::a_read_only_root_cannot_be_written", a_read_only_root_cannot_be_written),
    ("privileged::neutral::masked_paths_are_empty", masked_paths_are_empty),
    ("privileged::neutral::read_only_paths_cannot_be_written", read_only_paths_cannot_be_written),
    ("privileged::neutral::resource_limits_are_as_asked", resource_limits_are_as_asked),
    ("privileged::neutral::the_hostname_is_its_own", the_hostname_is_its_own),
    ("privileged::neutral::no_descriptor_of_the_runtime_is_open", no_descriptor_of_the_runtime_is_open),
    ("privileged::neutral::new_privileges_are_given_up", new_privileges_are_given_up),
    ("privileged::neutral::signals_have_their_default_actions", signals_have_their_default_actions),
    ("privileged::neutral::the_working_directory_is_made", the_working_directory_is_made),
    ("privileged::neutral::the_umask_is_as_asked", the_umask_is_as_asked),
];

/// Runs the bundle with our library, or with the runtime that the environment names.
#[track_caller]
fn check(bundle: &Bundle, code: i32, out: &str) {
    let (got_code, got_out) = match std::env::var_os("CORTEN_OCI_RUNTIME") {
        None => {
            let finished = bundle.run();
            (finished.code, finished.out)
        }
        Some(runtime) => {
            bundle.write();
            let root = bundle.path().join("runtime-root");
            let output = Command::new(runtime)
                .arg("--root")
                .arg(&root)
                .args(["run", "--bundle"])
                .arg(bundle.path())
                .arg(&bundle.id)
                .output()
                .unwrap();
            let text = [output.stdout, output.stderr].concat();
            (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
        }
    };
    assert_eq!((got_code, got_out.as_str()), (code, out));
}

fn exit_codes_are_the_programs_own() {
    check(&Bundle::new(&["true"]), 0, "");
    check(&Bundle::shell("echo out; echo err >&2; exit 42"), 42, "out\nerr\n");
    check(&Bundle::shell("kill -9 $$; echo init ignores its own signals; exit 3"), 3, "init ignores its own signals\n");
}

fn environment_and_working_directory_are_as_asked() {
    let mut bundle = Bundle::new(&["sh", "-c", "pwd; env | grep -v -e SHLVL -e PWD | sort || true"]);
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/sort")).unwrap();
    bundle.process()["cwd"] = json!("/tmp");
    bundle.process()["env"] = json!(["PATH=/bin", "A=b=c", "EMPTY="]);
    check(&bundle, 0, "/tmp\nA=b=c\nEMPTY=\nHOME=/root\nPATH=/bin\n");
}

fn user_and_groups_are_as_asked() {
    let mut bundle = Bundle::shell("id -u; id -g; id -G; echo $HOME; echo x > /proc/self/fd/1");
    bundle.process()["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 77]});
    check(&bundle, 0, "1000\n1000\n1000 5 77\n/home/web\nx\n");
}

fn capabilities_are_as_asked() {
    let show = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status";
    let expect = |inh: &str, held: &str, bnd: &str, amb: &str| {
        format!("CapInh:\t{inh}\nCapPrm:\t{held}\nCapEff:\t{held}\nCapBnd:\t{bnd}\nCapAmb:\t{amb}\n")
    };
    let (none, two) = ("0000000000000000", "0000000000000021");
    let caps = json!(["CAP_CHOWN", "CAP_KILL"]);
    let mut bundle = Bundle::shell(show);
    bundle.process()["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    check(&bundle, 0, &expect(none, two, two, none));

    // Another user holds nothing, whatever is permitted.
    bundle.process()["user"] = json!({"uid": 1000, "gid": 1000});
    check(&bundle, 0, &expect(none, none, two, none));

    // Unless it is ambient.
    bundle.process()["capabilities"] =
        json!({"bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps, "ambient": ["CAP_KILL"]});
    check(&bundle, 0, &expect(two, "0000000000000020", two, "0000000000000020"));

    bundle.process()["user"] = json!({"uid": 0, "gid": 0});
    bundle.process()["capabilities"] = json!({});
    check(&bundle, 0, &expect(none, none, none, none));
}

fn a_read_only_root_cannot_be_written() {
    let mut bundle = Bundle::shell("touch /x 2>&1; touch /dev/shm/x && echo shm");
    bundle.spec["root"]["readonly"] = json!(true);
    check(&bundle, 0, "touch: /x: Read-only file system\nshm\n");
}

fn masked_paths_are_empty() {
    let bundle = Bundle::shell("cat /proc/timer_list | head -c 1; ls /sys/firmware; echo end");
    check(&bundle, 0, "end\n");
}

fn read_only_paths_cannot_be_written() {
    let bundle = Bundle::shell("echo 1 > /proc/sys/kernel/domainname");
    check(&bundle, 1, "sh: can't create /proc/sys/kernel/domainname: Read-only file system\n");
}

fn resource_limits_are_as_asked() {
    let mut bundle = Bundle::shell("ulimit -n; ulimit -Hn; ulimit -c");
    bundle.process()["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}
    ]);
    check(&bundle, 0, "100\n200\n0\n");
}

fn the_hostname_is_its_own() {
    check(&Bundle::shell("hostname"), 0, "box\n");
}

fn no_descriptor_of_the_runtime_is_open() {
    // 3 is the folder that ls reads.
    check(&Bundle::new(&["ls", "/proc/self/fd"]), 0, "0\n1\n2\n3\n");
}

fn new_privileges_are_given_up() {
    let mut bundle = Bundle::shell("grep NoNewPrivs /proc/self/status");
    check(&bundle, 0, "NoNewPrivs:\t0\n");
    bundle.process()["noNewPrivileges"] = json!(true);
    check(&bundle, 0, "NoNewPrivs:\t1\n");
}

fn signals_have_their_default_actions() {
    // A program of Rust ignores SIGPIPE, and a shim blocks SIGCHLD: neither may be handed on.
    // 32 and 33 are the C library's: runc hands them on as it got them.
    let clean = "^Sig(Blk|Ign):.0000000[0-3][08]0000000$";
    check(&Bundle::new(&["grep", "-cE", clean, "/proc/self/status"]), 0, "2\n");
}

fn the_working_directory_is_made() {
    let mut bundle = Bundle::new(&["pwd"]);
    bundle.process()["cwd"] = json!("/made/for/me");
    bundle.spec["root"]["readonly"] = json!(true);
    check(&bundle, 0, "/made/for/me\n");
}

fn the_umask_is_as_asked() {
    let mut bundle = Bundle::shell("umask");
    check(&bundle, 0, "0022\n");
    bundle.process()["user"]["umask"] = json!(0o077);
    check(&bundle, 0, "0077\n");
}
