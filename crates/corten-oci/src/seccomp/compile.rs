//! Compiles an OCI seccomp profile to a classic BPF program.
//!
//! Shape: check the architecture; load the call's number; a balanced tree of comparisons finds the range the number lies
//! in (nine comparisons for a profile of 300 names, where a list would need 300; the kernel's bitmap of always-allowed
//! calls understands both); a leaf returns an action, or checks arguments first. Every leaf ends in `ret`, so blocks
//! can be put side by side without fix-ups.
//!
//! Meaning of the rules, as libseccomp under runc has it: an unconditional rule for a call wins over its conditional ones;
//! of those the first that matches wins; the conditions of a rule must all hold, except that a rule which names an
//! argument twice means "any of its conditions".

use std::collections::BTreeMap;

use libcontainer::oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
};

use super::{SeccompError, syscalls};

/// The kernel refuses longer programs (BPF_MAXINSNS).
const MAX_INSTRUCTIONS: usize = 4_096;

/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;

/// What `seccomp_data.arch` says for our own calls.
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Set in the numbers of the x32 calls, which come with the architecture of the 64-bit ones.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JEQ: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JGT: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JGE: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

type Block = Vec<libc::sock_filter>;

fn statement(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Conditions that must all hold, and the value to return then.
type Rule = (Vec<LinuxSeccompArg>, u32);

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    /// Tried in order.
    conditional: Vec<Rule>,
    /// Returned when no condition held.
    otherwise: u32,
}

/// The flags of seccomp(2) that a profile asks for.
pub(super) fn flags(profile: &LinuxSeccomp) -> libc::c_ulong {
    profile.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
                LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                // A container's process has one thread when the filter is loaded: nothing to synchronise with, nobody to wait for.
                _ => 0,
            }
    })
}

/// Compiles the profile.
pub(super) fn program(profile: &LinuxSeccomp) -> Result<Block, SeccompError> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let verdicts = verdicts(profile, default)?;

    let mut program = vec![
        statement(LOAD, OFFSET_ARCH),
        branch(JEQ, AUDIT_ARCH, 1, 0),
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(LOAD, OFFSET_NUMBER),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([
        branch(JGE, X32_BIT, 0, 1),
        // Without this a profile that allows by default would let x32 calls pass its rules.
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]);
    program.extend(tree(&ranges(&verdicts, default)));
    if program.len() > MAX_INSTRUCTIONS {
        return Err(SeccompError::Unsupported(format!(
            "{} instructions, the kernel takes {MAX_INSTRUCTIONS}",
            program.len()
        )));
    }
    Ok(program)
}

/// Collects what the profile says about each call of this architecture.
fn verdicts(profile: &LinuxSeccomp, default: u32) -> Result<BTreeMap<u32, Verdict>, SeccompError> {
    let mut verdicts: BTreeMap<u32, (Vec<Rule>, Option<u32>)> = BTreeMap::new();
    for rule in profile.syscalls().iter().flatten() {
        let value = action(rule.action(), rule.errno_ret())?;
        let args = rule.args().as_deref().unwrap_or_default();
        if let Some(arg) = args.iter().find(|arg| arg.index() > 5) {
            return Err(SeccompError::Unsupported(format!("argument {} of {:?}", arg.index(), rule.names())));
        }
        let names_twice = args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| b.index() == a.index()));
        for number in rule.names().iter().filter_map(|name| syscalls::number(name)) {
            let (conditional, unconditional) = verdicts.entry(number).or_default();
            if args.is_empty() {
                unconditional.get_or_insert(value);
            } else if names_twice {
                conditional.extend(args.iter().map(|arg| (vec![*arg], value)));
            } else {
                conditional.push((args.to_vec(), value));
            }
        }
    }
    Ok(verdicts
        .into_iter()
        .map(|(number, (conditional, unconditional))| {
            let verdict = match unconditional {
                Some(value) => Verdict { conditional: Vec::new(), otherwise: value },
                None => Verdict { conditional, otherwise: default },
            };
            (number, verdict)
        })
        .collect())
}

/// The return value of a filter for an action.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, SeccompError> {
    // Only 16 bits belong to the data; runc takes EPERM when the profile names no error.
    let data = errno.unwrap_or(libc::EPERM.unsigned_abs()) & libc::SECCOMP_RET_DATA;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => libc::SECCOMP_RET_KILL_THREAD,
        LinuxSeccompAction::ScmpActKillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => libc::SECCOMP_RET_TRAP,
        LinuxSeccompAction::ScmpActErrno => libc::SECCOMP_RET_ERRNO | data,
        LinuxSeccompAction::ScmpActTrace => libc::SECCOMP_RET_TRACE | data,
        LinuxSeccompAction::ScmpActLog => libc::SECCOMP_RET_LOG,
        LinuxSeccompAction::ScmpActAllow => libc::SECCOMP_RET_ALLOW,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(SeccompError::Unsupported("SCMP_ACT_NOTIFY is not supported".to_owned()));
        }
    })
}

/// Cuts the numbers into ranges of equal verdict: (first number, verdict), ascending, beginning at 0.
fn ranges(verdicts: &BTreeMap<u32, Verdict>, default: u32) -> Vec<(u32, Verdict)> {
    let nothing = Verdict { conditional: Vec::new(), otherwise: default };
    let mut ranges: Vec<(u32, Verdict)> = vec![(0, nothing.clone())];
    let mut push = |start: u32, verdict: Verdict| match ranges.last_mut() {
        Some(last) if last.1 == verdict => {}
        Some(last) if last.0 == start => last.1 = verdict,
        _ => ranges.push((start, verdict)),
    };
    for (number, verdict) in verdicts {
        push(*number, verdict.clone());
        if !verdicts.contains_key(&(number + 1)) {
            push(number + 1, nothing.clone());
        }
    }
    ranges
}

/// A search tree over the ranges; the accumulator holds the number.
fn tree(ranges: &[(u32, Verdict)]) -> Block {
    let [(_, verdict)] = ranges else {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let (below, above) = (tree(low), tree(high));
        let mut block = match u8::try_from(below.len()) {
            Ok(skip) => vec![branch(JGE, high[0].0, skip, 0)],
            // Conditional jumps reach 255 instructions, the other kind all of them.
            Err(_) => {
                let skip = u32::try_from(below.len()).expect("a program has few instructions");
                vec![branch(JGE, high[0].0, 0, 1), statement(JUMP, skip)]
            }
        };
        block.extend(below);
        block.extend(above);
        return block;
    };
    leaf(verdict)
}

/// Checks the arguments and returns. Changes the accumulator, which nobody needs afterwards.
fn leaf(verdict: &Verdict) -> Block {
    let mut block = Vec::new();
    for (conditions, value) in &verdict.conditional {
        block.extend(rule(conditions, *value));
    }
    block.push(statement(RETURN, verdict.otherwise));
    block
}

/// Where a comparison goes.
#[derive(Clone, Copy)]
enum Target {
    /// The next instruction.
    Next,
    /// Over the given number of instructions: to the end of this condition, which then holds.
    Holds(u8),
    /// The end of the rule.
    Fails,
}

/// One rule: `conditions` and `ret value`; falls out at its end when a condition does not hold.
fn rule(conditions: &[LinuxSeccompArg], value: u32) -> Block {
    use Target::{Fails, Holds, Next};
    let mut steps: Vec<(u16, u32, Target, Target)> = Vec::new();
    for condition in conditions {
        let offset = OFFSET_ARGS + 8 * u32::try_from(condition.index()).expect("verdicts() keeps to 0..=5");
        let (high_word, low_word) =
            if cfg!(target_endian = "little") { (offset + 4, offset) } else { (offset, offset + 4) };
        let (high, low) = halves(condition.value());
        let load = |offset| (LOAD, offset, Next, Next);
        match condition.op() {
            LinuxSeccompOperator::ScmpCmpEq => {
                steps.extend([load(high_word), (JEQ, high, Next, Fails), load(low_word), (JEQ, low, Next, Fails)])
            }
            LinuxSeccompOperator::ScmpCmpNe => {
                steps.extend([load(high_word), (JEQ, high, Next, Holds(2)), load(low_word), (JEQ, low, Fails, Next)])
            }
            LinuxSeccompOperator::ScmpCmpGt | LinuxSeccompOperator::ScmpCmpGe => {
                let last = if condition.op() == LinuxSeccompOperator::ScmpCmpGt { JGT } else { JGE };
                steps.extend([
                    load(high_word),
                    (JGT, high, Holds(3), Next),
                    (JEQ, high, Next, Fails),
                    load(low_word),
                    (last, low, Next, Fails),
                ]);
            }
            LinuxSeccompOperator::ScmpCmpLt | LinuxSeccompOperator::ScmpCmpLe => {
                let last = if condition.op() == LinuxSeccompOperator::ScmpCmpLt { JGE } else { JGT };
                steps.extend([
                    load(high_word),
                    (JGT, high, Fails, Next),
                    (JEQ, high, Next, Holds(2)),
                    load(low_word),
                    (last, low, Fails, Next),
                ]);
            }
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                // `value` is the mask, `valueTwo` what must remain.
                let (wanted_high, wanted_low) = halves(condition.value_two().unwrap_or(0));
                steps.extend([
                    load(high_word),
                    (AND, high, Next, Next),
                    (JEQ, wanted_high, Next, Fails),
                    load(low_word),
                    (AND, low, Next, Next),
                    (JEQ, wanted_low, Next, Fails),
                ]);
            }
        }
    }
    // After the steps comes one `ret`; failing jumps over it.
    let end = steps.len() + 1;
    let distance = |at: usize, target: Target| match target {
        Target::Next => 0,
        Target::Holds(over) => over,
        Target::Fails => u8::try_from(end - at - 1).expect("six conditions of six instructions stay below 255"),
    };
    let mut block: Block = steps
        .iter()
        .enumerate()
        .map(|(at, (code, k, yes, no))| branch(*code, *k, distance(at, *yes), distance(at, *no)))
        .collect();
    block.push(statement(RETURN, value));
    block
}

fn halves(value: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    let low = value as u32;
    (u32::try_from(value >> 32).expect("32 bits remain"), low)
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
