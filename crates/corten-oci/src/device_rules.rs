//! Device access under cgroup v2: the rules of a bundle as a BPF program on the group. (v1 has files, which libcontainer writes.)
//!
//! The program gets type, access, major and minor of the device that is opened or made; it compares rule after rule, the
//! last of the bundle first, because there the last match decides, and refuses what no rule names.

use std::{
    fs::File,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    path::Path,
};

use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use nix::errno::Errno;

use crate::error::{During as _, SystemError};

/// BPF_PROG_TYPE_CGROUP_DEVICE and BPF_CGROUP_DEVICE. (`linux/bpf.h`)
const PROGRAM_TYPE: u32 = 15;
const ATTACH_TYPE: u32 = 6;
/// Programs of parent groups keep their say.
const ALLOW_MULTI: u32 = 2;
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;

const TYPE_BLOCK: i32 = 1;
const TYPE_CHAR: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const ACCESS_ALL: i32 = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, immediate }
}

// Registers: r1 the context, then a copy of the access; r2 type, r3 access, r4 major, r5 minor; r0 the answer.
const fn load_word(to: u8, offset: i16) -> Instruction {
    instruction(0x61, to, 1, offset, 0)
}
const fn and(register: u8, mask: i32) -> Instruction {
    instruction(0x54, register, 0, 0, mask)
}
const fn shift_right(register: u8, bits: i32) -> Instruction {
    instruction(0x74, register, 0, 0, bits)
}
const fn copy(to: u8, from: u8) -> Instruction {
    instruction(0xbc, to, from, 0, 0)
}
const fn jump_if_not(register: u8, value: i32, offset: i16) -> Instruction {
    instruction(0x55, register, 0, offset, value)
}
const fn answer(value: i32) -> [Instruction; 2] {
    [instruction(0xb4, 0, 0, 0, value), instruction(0x95, 0, 0, 0, 0)]
}

/// Devices that every container has, whatever its bundle says: making nodes, the standard ones, and terminals.
fn defaults() -> Vec<LinuxDeviceCgroup> {
    let rule = |kind, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(true).set_typ(Some(kind)).set_major(major).set_minor(minor).set_access(Some(access.to_owned()));
        rule
    };
    let mut rules = vec![
        rule(LinuxDeviceType::C, None, None, "m"),
        rule(LinuxDeviceType::B, None, None, "m"),
        // /dev/console, /dev/ptmx and all of /dev/pts.
        rule(LinuxDeviceType::C, Some(5), Some(1), "rwm"),
        rule(LinuxDeviceType::C, Some(5), Some(2), "rwm"),
        rule(LinuxDeviceType::C, Some(136), None, "rwm"),
        // /dev/tty.
        rule(LinuxDeviceType::C, Some(5), Some(0), "rwm"),
    ];
    // null, zero, full, random, urandom.
    rules.extend([3, 5, 7, 8, 9].map(|minor| rule(LinuxDeviceType::C, Some(1), Some(minor), "rwm")));
    rules
}

/// Restricts the group at `directory` to the rules of a bundle and the devices that every container has.
pub(crate) fn attach(directory: &Path, rules: &[LinuxDeviceCgroup]) -> Result<(), SystemError> {
    let group = File::open(directory).during(format!("open control group {}", directory.display()))?;
    let all: Vec<LinuxDeviceCgroup> = rules.iter().cloned().chain(defaults()).collect();
    let program = load(&compile(&all)).during("load device program")?;

    #[repr(C)]
    struct Attach {
        target: RawFd,
        program: RawFd,
        attach_type: u32,
        flags: u32,
    }
    let attach = Attach {
        target: group.as_raw_fd(),
        program: program.as_raw_fd(),
        attach_type: ATTACH_TYPE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: BPF_PROG_ATTACH reads a structure of the size given, which outlives the call.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, std::ptr::from_ref(&attach), size_of::<Attach>())
    })
    .map(drop)
    .during(format!("attach device program to {}", directory.display()))
}

fn load(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct Load {
        program_type: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buffer: u64,
        kernel_version: u32,
        flags: u32,
    }
    let load = Load {
        program_type: PROGRAM_TYPE,
        instruction_count: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: BPF_PROG_LOAD reads a structure of the size given and the program and licence it points to; all outlive the call.
    let fd = Errno::result(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, std::ptr::from_ref(&load), size_of::<Load>())
    })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(RawFd::try_from(fd).expect("descriptors are small")) })
}

fn compile(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let mut program =
        vec![load_word(2, 0), and(2, 0xffff), load_word(3, 0), shift_right(3, 16), load_word(4, 4), load_word(5, 8)];
    for rule in rules.iter().rev() {
        let block = compile_rule(rule);
        // A rule for everything: what comes after it is never reached, and the kernel refuses programs with such parts.
        let is_final = block == answer(i32::from(rule.allow()));
        program.extend(block);
        if is_final {
            return program;
        }
    }
    program.extend(answer(0));
    program
}

fn compile_rule(rule: &LinuxDeviceCgroup) -> Vec<Instruction> {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => Some(TYPE_BLOCK),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(TYPE_CHAR),
        Some(LinuxDeviceType::P) => return Vec::new(), // Pipes are no devices to this check.
        Some(LinuxDeviceType::A) | None => None,
    };
    let access = match rule.access().as_deref() {
        None | Some("") => ACCESS_ALL,
        Some(letters) => letters.chars().fold(0, |access, letter| {
            access
                | match letter {
                    'm' => ACCESS_MKNOD,
                    'r' => ACCESS_READ,
                    'w' => ACCESS_WRITE,
                    _ => 0,
                }
        }),
    };
    // Each check is filled in with the distance to the end of the rule afterwards. A negative number means "any".
    let number =
        |number: Option<i64>| number.and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
    let mut block = Vec::new();
    if let Some(kind) = kind {
        block.push(jump_if_not(2, kind, 0));
    }
    if access != ACCESS_ALL {
        if rule.allow() {
            // Allowed if it asks for nothing else: mask what the rule grants away, nothing may remain.
            block.extend([copy(1, 3), and(1, ACCESS_ALL & !access), jump_if_not(1, 0, 0)]);
        } else {
            // Refused if it asks for any of it. `jset` jumps over the escape.
            block.extend([copy(1, 3), instruction(0x45, 1, 0, 1, access), instruction(0x05, 0, 0, 0, 0)]);
        }
    }
    if let Some(major) = number(rule.major()) {
        block.push(jump_if_not(4, major, 0));
    }
    if let Some(minor) = number(rule.minor()) {
        block.push(jump_if_not(5, minor, 0));
    }
    block.extend(answer(i32::from(rule.allow())));
    let length = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        if instruction.code == 0x55 || instruction.code == 0x05 {
            instruction.offset = i16::try_from(length - at - 1).expect("a rule has a dozen instructions");
        }
    }
    block
}

#[cfg(test)]
#[path = "device_rules_tests.rs"]
mod tests;
