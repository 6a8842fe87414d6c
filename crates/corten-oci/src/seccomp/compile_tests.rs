//! The compiled programs, run by an interpreter of the classic BPF instructions they consist of.

use libcontainer::oci_spec::runtime::LinuxSeccomp;

use super::*;
use crate::seccomp::default_profile;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number.unsigned_abs()
}

/// What a filter says to one call.
fn run(program: &[libc::sock_filter], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0_u8; 64];
    data[..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&arch.to_ne_bytes());
    for (i, arg) in args.iter().enumerate() {
        data[16 + 8 * i..24 + 8 * i].copy_from_slice(&arg.to_ne_bytes());
    }
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let instruction = program[at];
        at += 1;
        let decide = |yes: bool| usize::from(if yes { instruction.jt } else { instruction.jf });
        match instruction.code {
            LOAD => {
                let offset = instruction.k as usize;
                accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            AND => accumulator &= instruction.k,
            JUMP => at += instruction.k as usize,
            JEQ => at += decide(accumulator == instruction.k),
            JGT => at += decide(accumulator > instruction.k),
            JGE => at += decide(accumulator >= instruction.k),
            RETURN => return instruction.k,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn profile(json: &str) -> LinuxSeccomp {
    serde_json::from_str(json).unwrap()
}

#[track_caller]
fn check(json: &str, name: &str, args: &[u64], want: u32) {
    let program = program(&profile(json)).unwrap();
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let number = syscalls::number(name).unwrap();
    assert_eq!(run(&program, AUDIT_ARCH, number, all), want, "{name}{args:?}");
}

#[test]
fn the_default_holds_for_calls_without_a_rule() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13,"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#;
    check(json, "read", &[], ALLOW);
    check(json, "write", &[], errno(13));
    check(json, "open_tree_attr", &[], errno(13));
}

#[test]
fn several_actions_live_in_one_filter() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38},
        {"names":["chroot","no_such_call"],"action":"SCMP_ACT_KILL_PROCESS"},
        {"names":["mkdirat"],"action":"SCMP_ACT_LOG"}]}"#;
    check(json, "clone3", &[], errno(38));
    check(json, "chroot", &[], libc::SECCOMP_RET_KILL_PROCESS);
    check(json, "mkdirat", &[], libc::SECCOMP_RET_LOG);
    check(json, "getpid", &[], ALLOW);
}

#[test]
fn each_operator_compares_64_bits() {
    const BIG: u64 = 0x1_0000_0005;
    let cases: &[(&str, u64, &[u64], &[u64])] = &[
        ("SCMP_CMP_EQ", BIG, &[BIG], &[5, BIG + 1, 0x1_0000_0000]),
        ("SCMP_CMP_NE", BIG, &[5, BIG + 1, 0x2_0000_0005], &[BIG]),
        ("SCMP_CMP_GT", BIG, &[BIG + 1, 0x2_0000_0000, u64::MAX], &[BIG, 6, 0]),
        ("SCMP_CMP_GE", BIG, &[BIG, BIG + 1, 0x2_0000_0000], &[BIG - 1, 9]),
        ("SCMP_CMP_LT", BIG, &[BIG - 1, 9, 0], &[BIG, BIG + 1, 0x2_0000_0000]),
        ("SCMP_CMP_LE", BIG, &[BIG, 9], &[BIG + 1, 0x2_0000_0000]),
    ];
    for (op, value, holds, fails) in cases {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{{"index":2,"value":{value},"op":"{op}"}}]}}]}}"#
        );
        for arg in *holds {
            check(&json, "socket", &[0, 0, *arg], ALLOW);
        }
        for arg in *fails {
            check(&json, "socket", &[0, 0, *arg], errno(1));
        }
    }
}

#[test]
fn masked_comparison_uses_the_second_value() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["clone"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
    check(json, "clone", &[0x11], ALLOW);
    check(json, "clone", &[libc::CLONE_NEWUSER as u64 | 0x11], errno(1));
}

#[test]
fn all_conditions_of_a_rule_must_hold_unless_they_name_one_argument() {
    let both = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":2,"op":"SCMP_CMP_EQ"}]}]}"#;
    check(both, "socket", &[1, 2], ALLOW);
    check(both, "socket", &[1, 3], errno(1));
    let either = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]}"#;
    check(either, "socket", &[2], ALLOW);
    check(either, "socket", &[3], errno(1));
}

#[test]
fn an_unconditional_rule_wins_over_conditions() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["clone"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["clone"],"action":"SCMP_ACT_ALLOW"}]}"#;
    check(json, "clone", &[1], ALLOW);
}

#[test]
fn foreign_architectures_do_not_slip_through() {
    let program = program(&profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#)).unwrap();
    assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(run(&program, AUDIT_ARCH, X32_BIT | 1, [0; 6]), errno(libc::ENOSYS));
}

#[test]
fn the_default_profile_allows_exactly_its_names() {
    let profile = default_profile(&[]);
    let program = program(&profile).unwrap();
    assert!(program.len() < 1_500, "{} instructions", program.len());
    let allowed = &profile.syscalls().as_ref().unwrap()[0];
    for number in 0..500 {
        let named = allowed.names().iter().any(|name| syscalls::number(name) == Some(number));
        let got = run(&program, AUDIT_ARCH, number, [u64::MAX; 6]);
        if named {
            assert_eq!(got, ALLOW, "call {number}");
        } else if number == 435 {
            assert_eq!(got, errno(libc::ENOSYS));
        } else {
            assert_eq!(got, errno(libc::EPERM), "call {number}");
        }
    }
    let socket = syscalls::number("socket").unwrap();
    for (family, want) in [(2, ALLOW), (10, ALLOW), (16, ALLOW), (38, errno(1)), (40, errno(1)), (44, ALLOW)] {
        assert_eq!(run(&program, AUDIT_ARCH, socket, [family, 0, 0, 0, 0, 0]), want, "family {family}");
    }
}

#[test]
fn capabilities_open_their_calls_in_the_default_profile() {
    let number = syscalls::number("mount").unwrap();
    let without = program(&default_profile(&["CAP_CHOWN".to_owned()])).unwrap();
    let with = program(&default_profile(&["CAP_SYS_ADMIN".to_owned()])).unwrap();
    assert_eq!(run(&without, AUDIT_ARCH, number, [0; 6]), errno(1));
    assert_eq!(run(&with, AUDIT_ARCH, number, [0; 6]), ALLOW);
    assert_eq!(run(&with, AUDIT_ARCH, 435, [0; 6]), ALLOW);
}

#[test]
fn notification_is_refused() {
    assert!(program(&profile(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#)).is_err());
}
