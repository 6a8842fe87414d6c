//! Seccomp, and the runtime's own binary.

use serde_json::json;

use crate::{Test, support::Bundle};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::confinement::the_default_profile_blocks_what_it_says", the_default_profile_blocks_what_it_says),
    (
        "privileged::confinement::it_holds_for_every_user_and_with_privileges_given_up",
        it_holds_for_every_user_and_with_privileges_given_up,
    ),
    ("privileged::confinement::a_profile_of_the_node_is_loaded", a_profile_of_the_node_is_loaded),
    ("privileged::confinement::a_killing_profile_kills", a_killing_profile_kills),
    ("privileged::confinement::privileged_means_all_that_there_is", privileged_means_all_that_there_is),
    ("privileged::confinement::the_runtimes_binary_cannot_be_overwritten", the_runtimes_binary_cannot_be_overwritten),
    (
        "privileged::confinement::a_working_directory_cannot_lead_to_the_host",
        a_working_directory_cannot_lead_to_the_host,
    ),
];

fn the_default_profile_blocks_what_it_says() {
    let script = "/probe probe clone3; /probe probe keyctl; unshare -U true 2>&1; grep Seccomp: /proc/self/status; sh -c 'sleep 0 & wait'; echo end";
    let bundle = Bundle::shell(script).with_default_seccomp().with_probe();
    let finished = bundle.run();
    let want = "-1 ENOSYS: Function not implemented\n-1 EPERM: Operation not permitted\nunshare: unshare(0x10000000): Operation not permitted\nSeccomp:\t2\nend\n";
    assert_eq!(finished.out, want);
}

fn it_holds_for_every_user_and_with_privileges_given_up() {
    for uid in [0, 1000] {
        for no_new_privileges in [false, true] {
            let mut bundle = Bundle::shell("grep -E 'Seccomp:|CapPrm|CapEff' /proc/self/status").with_default_seccomp();
            bundle.process()["user"] = json!({"uid": uid, "gid": uid});
            bundle.process()["noNewPrivileges"] = json!(no_new_privileges);
            // CAP_SYS_ADMIN, with which the filter was loaded, is gone.
            let held = if uid == 0 { "00000000a80425fb" } else { "0000000000000000" };
            let want = format!("CapPrm:\t{held}\nCapEff:\t{held}\nSeccomp:\t2\n");
            assert_eq!(bundle.run().out, want, "uid {uid}, no_new_privs {no_new_privileges}");
        }
    }
}

fn a_profile_of_the_node_is_loaded() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]});
    std::fs::write(file.path(), profile.to_string()).unwrap();
    let source = corten_oci::seccomp::ProfileSource::Localhost(file.path());
    let profile = corten_oci::seccomp::profile(&source).unwrap().unwrap();
    let mut bundle = Bundle::shell("mkdir /tmp/x 2>&1; touch /tmp/y && echo touched");
    bundle.linux()["seccomp"] = serde_json::to_value(profile).unwrap();
    assert_eq!(bundle.run().out, "mkdir: can't create directory '/tmp/x': No space left on device\ntouched\n");
}

fn a_killing_profile_kills() {
    let mut bundle = Bundle::new(&["mkdir", "/tmp/x"]);
    bundle.linux()["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"}]});
    assert_eq!(bundle.run().code, 128 + libc::SIGSYS);
}

fn privileged_means_all_that_there_is() {
    let all: Vec<String> = (0..=40).filter_map(capability_name).map(str::to_owned).collect();
    let mut bundle = Bundle::shell("grep CapEff /proc/self/status");
    bundle.process()["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap().to_owned();
    assert_eq!(bundle.run().out, format!("CapEff:\t{own}\n"));
}

fn capability_name(number: u8) -> Option<&'static str> {
    const NAMES: [&str; 41] = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
    ];
    NAMES.get(usize::from(number)).copied()
}

fn the_runtimes_binary_cannot_be_overwritten() {
    // This very process becomes one that runs from a read-only clone; the second time it returns.
    corten_oci::self_clone::ensure_read_only_executable().unwrap();
    let bundle = Bundle::new(&["sleep", "100"]).with_probe();
    let mut container = bundle.start();
    // The attack: `execve("/proc/self/exe")` makes the runtime a program of the container, which keeps a descriptor of it
    // until the runtime has ended (before, writing fails with ETXTBSY anyway). The mount it is on must be read-only.
    let args = ["/proc/self/exe", "probe", "is-read-only", "/proc/self/exe"];
    let process = crate::support::exec_process(&bundle, &args, |_| {});
    let (reader, stdio) = crate::support::output();
    let process = container.exec(corten_oci::ExecOptions { process, stdio }).unwrap();
    assert_eq!(crate::support::read(reader), "true\n");
    assert_eq!(process.handle.wait().unwrap().unwrap().code(), 0);
    container.delete(true).unwrap();

    // The held init too.
    let bundle = Bundle::new(&["true"]);
    let container = bundle.create(corten_oci::Stdio::null());
    let executable = format!("/proc/{}/exe", container.pid());
    let stat = nix::sys::statvfs::statvfs(executable.as_str()).unwrap();
    assert!(stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
    container.delete(true).unwrap();
}

fn a_working_directory_cannot_lead_to_the_host() {
    // CVE-2024-21626: a descriptor of the runtime on a folder of the host, taken as working directory.
    let leak = nix::fcntl::open("/etc", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty()).unwrap();
    for number in 3..12 {
        let mut bundle = Bundle::new(&["cat", "hostname"]);
        bundle.process()["cwd"] = json!(format!("/proc/self/fd/{number}"));
        match bundle.try_create(corten_oci::Stdio::null()) {
            Err(_) => {}
            Ok(mut container) => {
                container.start().unwrap_err();
                container.delete(true).unwrap();
            }
        }
    }
    drop(leak);
}
