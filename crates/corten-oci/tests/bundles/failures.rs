//! Programs that cannot start, bundles that cannot be built, and what they leave: nothing.

use corten_oci::{StartError, Stdio};
use serde_json::json;

use crate::{
    Test,
    support::{Bundle, descriptors, has_children},
};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::failures::programs_that_cannot_start_say_why", programs_that_cannot_start_say_why),
    ("privileged::failures::a_failed_creation_leaves_nothing", a_failed_creation_leaves_nothing),
    ("privileged::failures::names_are_checked", names_are_checked),
    ("privileged::failures::a_bad_profile_stops_the_creation", a_bad_profile_stops_the_creation),
];

#[track_caller]
fn check(args: &[&str], cwd: &str, uid: u32, code: i32, message: &str) {
    let mut bundle = Bundle::new(args).with_default_seccomp();
    let bin = bundle.rootfs().join("bin");
    std::fs::write(bin.join("plain"), "text").unwrap();
    std::fs::write(bin.join("garbage"), [0x7f, 1, 2, 3]).unwrap();
    std::fs::copy(bin.join("busybox"), bin.join("secret")).unwrap();
    for (name, mode) in [("garbage", 0o755), ("secret", 0o700)] {
        std::fs::set_permissions(bin.join(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    bundle.process()["cwd"] = json!(cwd);
    bundle.process()["user"] = json!({"uid": uid, "gid": uid});
    let mut container = bundle.create(Stdio::null());
    let Err(StartError::Failed(failure)) = container.start() else { panic!("{args:?} runs") };
    assert_eq!(failure.exit_code(), code, "{failure}");
    assert_eq!(failure.to_string(), format!("unable to start container process: {message}"));
    assert_eq!(container.init().unwrap().wait().unwrap().unwrap().code(), code);
    container.delete(false).unwrap();
}

fn programs_that_cannot_start_say_why() {
    check(&["nothing"], "/", 0, 127, "exec: \"nothing\": executable file not found in $PATH");
    check(&["/bin/nothing"], "/", 0, 127, "exec: \"/bin/nothing\": stat /bin/nothing: no such file or directory");
    check(&["plain"], "/", 0, 126, "exec: \"plain\": permission denied");
    check(&["/bin/garbage"], "/", 0, 126, "exec /bin/garbage: exec format error");
    check(&["/tmp"], "/", 0, 126, "exec: \"/tmp\": permission denied");
    // Root's own program: a user that kept privileges through the user change could run it.
    check(&["/bin/secret", "true"], "/", 1000, 126, "exec: \"/bin/secret\": permission denied");
    check(&["true"], "/bin/plain", 0, 128, "chdir to cwd (\"/bin/plain\") set in config.json failed: not a directory");
}

fn a_failed_creation_leaves_nothing() {
    // One round first: the C library opens what it keeps open.
    Bundle::new(&["true"]).run();
    let before = descriptors();
    for round in 0..10 {
        let mut bundle = Bundle::new(&["true"]);
        match round % 3 {
            // In the intermediate process, in init before it has a session, and in init late.
            0 => bundle.linux()["resources"] = json!({"cpu": {"cpus": "4000-5000"}}),
            1 => bundle.spec["mounts"]
                .as_array_mut()
                .unwrap()
                .push(json!({"destination": "/x", "type": "nosuchfs", "source": "x"})),
            _ => bundle.linux()["sysctl"] = json!({"net.no.such.thing": "1"}),
        }
        let error = bundle.try_create(Stdio::null()).unwrap_err();
        assert!(error.to_string().starts_with("OCI runtime create failed: "), "{error}");
        assert!(!has_children(), "round {round}");
        assert!(bundle.cgroup().directories().iter().all(|directory| !directory.exists()), "round {round}");
        assert!(!bundle.state_root().join(&bundle.id).exists(), "round {round}");
        assert_eq!(descriptors(), before, "round {round}");
    }
}

fn names_are_checked() {
    for id in ["", ".", "..", "a/b", "a b"] {
        let mut bundle = Bundle::new(&["true"]);
        bundle.id = id.to_owned();
        let result = bundle.try_create(Stdio::null());
        assert!(matches!(result, Err(corten_oci::CreateError::InvalidId(_))), "{id:?}");
    }
}

fn a_bad_profile_stops_the_creation() {
    // An unconfined container in place of a confined one would be the worst outcome.
    let mut bundle = Bundle::new(&["true"]);
    bundle.linux()["seccomp"] = json!({"defaultAction": "SCMP_ACT_NOTIFY"});
    assert!(matches!(bundle.try_create(Stdio::null()), Err(corten_oci::CreateError::Seccomp(_))));
}
