//! Whatever bytes come, no decoder panics, and what it takes can be written and read again.
//!
//! Each target of `targets::TARGETS` gets mutations of a small corpus. The seed is printed; `CORTEN_SEED` repeats a run, and
//! `CORTEN_FUZZ_SECONDS` says how long each target runs instead of its number of inputs (`cargo xtask test --all` sets it).
//! A new decoder is a line in that table, with examples of what it reads.

mod mutate;
mod targets;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use corten_base::{SimRng, SystemClock, SystemRng};
use targets::TARGETS;

/// How many inputs each target gets in a usual run: about a second for all of them.
const INPUTS: u64 = 8_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn no_input_harms_a_decoder() {
    let seed = number("CORTEN_SEED").unwrap_or_else(|| SystemRng::shared().next_u64() >> 32);
    eprintln!("CORTEN_SEED={seed}");
    let clock = SystemClock::shared();
    let time = number("CORTEN_FUZZ_SECONDS").map(Duration::from_secs);
    for target in TARGETS {
        let corpus = (target.corpus)();
        assert!(!corpus.is_empty(), "{} has examples", target.name);
        for example in &corpus {
            (target.run)(example);
        }
        let rng = SimRng::shared(seed);
        let (began, mut inputs) = (clock.monotonic(), 0);
        while time.map_or(inputs < INPUTS, |time| clock.monotonic() - began < time) {
            let input = mutate::mutated(&*rng, &corpus);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
                eprintln!("{}: input {inputs} of seed {seed}: {}", target.name, input.escape_ascii());
                std::panic::resume_unwind(panic);
            }
            inputs += 1;
        }
    }
}

#[test]
fn every_target_has_its_name() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
