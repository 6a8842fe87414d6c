//! The programs, run by an interpreter of the few instructions they consist of, and once by the kernel.

use super::*;

/// Whether a program allows an access.
fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> bool {
    let context = [access << 16 | kind, major, minor];
    let mut registers = [0_i32; 16];
    let mut at = 0_usize;
    loop {
        let Instruction { code, registers: pair, offset, immediate } = program[at];
        let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
        at += 1;
        let jump = usize::try_from(offset).unwrap();
        match code {
            0x61 => registers[to] = context[usize::try_from(offset).unwrap() / 4],
            0x54 => registers[to] &= immediate,
            0x74 => registers[to] = (registers[to].cast_unsigned() >> immediate).cast_signed(),
            0xbc => registers[to] = registers[from],
            0xb4 => registers[to] = immediate,
            0x55 if registers[to] != immediate => at += jump,
            0x45 if registers[to] & immediate != 0 => at += jump,
            0x55 | 0x45 => {}
            0x05 => at += jump,
            0x95 => return registers[0] != 0,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn rules(json: &str) -> Vec<LinuxDeviceCgroup> {
    serde_json::from_str(json).unwrap()
}

#[track_caller]
fn check(json: &str, (kind, access, major, minor): (i32, i32, i32, i32), want: bool) {
    assert_eq!(run(&compile(&rules(json)), kind, access, major, minor), want);
}

#[test]
fn what_no_rule_names_is_refused() {
    check("[]", (TYPE_CHAR, ACCESS_READ, 1, 3), false);
    check(r#"[{"allow":true,"type":"c","major":1,"minor":3,"access":"r"}]"#, (TYPE_CHAR, ACCESS_READ, 1, 5), false);
}

#[test]
fn an_access_must_be_granted_as_a_whole() {
    let json = r#"[{"allow":true,"type":"c","major":1,"minor":3,"access":"r"}]"#;
    check(json, (TYPE_CHAR, ACCESS_READ, 1, 3), true);
    check(json, (TYPE_CHAR, ACCESS_READ | ACCESS_WRITE, 1, 3), false);
    check(json, (TYPE_BLOCK, ACCESS_READ, 1, 3), false);
}

#[test]
fn the_last_rule_that_matches_decides() {
    let json = r#"[{"allow":true},{"allow":false,"type":"b","access":"w"},{"allow":true,"type":"b","major":7}]"#;
    check(json, (TYPE_CHAR, ACCESS_ALL, 9, 9), true);
    check(json, (TYPE_BLOCK, ACCESS_READ, 8, 0), true);
    check(json, (TYPE_BLOCK, ACCESS_READ | ACCESS_WRITE, 8, 0), false);
    check(json, (TYPE_BLOCK, ACCESS_WRITE, 7, 0), true);
}

#[test]
fn every_container_has_the_standard_devices() {
    let mut all = rules(r#"[{"allow":false}]"#);
    all.extend(defaults());
    let program = compile(&all);
    assert!(run(&program, TYPE_CHAR, ACCESS_READ | ACCESS_WRITE, 1, 3));
    assert!(run(&program, TYPE_CHAR, ACCESS_READ, 136, 77));
    assert!(run(&program, TYPE_BLOCK, ACCESS_MKNOD, 8, 0));
    assert!(!run(&program, TYPE_BLOCK, ACCESS_READ, 8, 0));
}

mod privileged {
    use std::{path::PathBuf, process::Command};

    use super::*;

    /// A v2 group of this test, beside v1 hierarchies or alone.
    struct Group(PathBuf);

    impl Group {
        fn make() -> Option<Self> {
            if !nix::unistd::geteuid().is_root() {
                return None;
            }
            let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
            let root =
                mounts.lines().find_map(|line| line.strip_prefix("cgroup2 ")?.split(' ').next().map(PathBuf::from))?;
            let group = root.join(format!("corten-oci-devices-{}", std::process::id()));
            std::fs::create_dir(&group).ok()?;
            Some(Self(group))
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            std::fs::remove_dir(&self.0).unwrap();
        }
    }

    #[test]
    fn the_kernel_refuses_devices_by_the_program() {
        let Some(group) = Group::make() else {
            println!("skipped: needs root and a version 2 hierarchy");
            return;
        };
        let rules = rules(r#"[{"allow":false},{"allow":true,"type":"c","major":10,"minor":229,"access":"r"}]"#);
        attach(&group.0, &rules).unwrap();
        let answer = |command: &str| {
            let script = format!("echo $$ > {}/cgroup.procs && {command}", group.0.display());
            Command::new("sh").args(["-c", &script]).output().unwrap().status.success()
        };
        assert!(answer("head -c 1 /dev/zero > /dev/null"), "every container has these");
        if std::path::Path::new("/dev/kmsg").exists() {
            assert!(!answer("true < /dev/kmsg"), "no rule allows it");
        }
        if std::path::Path::new("/dev/fuse").exists() {
            assert!(answer("true < /dev/fuse"), "allowed to be read");
            assert!(!answer("true <> /dev/fuse"), "but not to be written");
        }
    }
}
