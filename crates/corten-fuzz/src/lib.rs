//! Random input for decoders, for tests alone: whatever bytes come, no decoder panics, and what it takes can be read again.
//!
//! A crate with decoders has a table of [`Target`]s in its tests and one test, `no_input_harms_a_decoder`, that calls
//! [`smoke`] with it. Each target gets its examples and then mutations of them. The seed is printed; `CORTEN_SEED` repeats a
//! run, and `CORTEN_FUZZ_SECONDS` says how long each target runs (`cargo xtask fuzz`, and `cargo xtask test --all`).
//! [`Footprint`] measures what one hostile input costs in memory and time.
#![forbid(unsafe_code)]

mod mutate;

mod footprint;

pub use footprint::Footprint;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use corten_base::{SimRng, SystemClock, SystemRng};

/// How many inputs a target gets in a usual run: about a second for a dozen of decoders.
const INPUTS_MAX: u64 = 8_000;

/// How long a target runs in a usual run, however many inputs that are.
const TIME_MAX: Duration = Duration::from_secs(1);

/// A decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Told when it fails; no two of a table have the same.
    pub name: &'static str,
    /// Examples of what it takes.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Reads an input, and panics if that is a bug.
    pub run: fn(&[u8]),
}

/// Examples that are text.
#[must_use]
pub fn texts(examples: &[&str]) -> Vec<Vec<u8>> {
    examples.iter().map(|example| example.as_bytes().to_vec()).collect()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Runs each target on its examples and on mutations of them.
///
/// # Panics
/// With what a target panicked, after the input was printed; and if two targets have one name or one has no examples.
#[expect(clippy::print_stderr, reason = "test runners show it with the failure")]
pub fn smoke(targets: &[Target]) {
    let seed = number("CORTEN_SEED").unwrap_or_else(|| SystemRng::shared().next_u64() >> 32);
    eprintln!("CORTEN_SEED={seed}");
    let clock = SystemClock::shared();
    let asked = number("CORTEN_FUZZ_SECONDS").map(Duration::from_secs);
    let (inputs_max, time) = asked.map_or((INPUTS_MAX, TIME_MAX), |time| (u64::MAX, time));
    for (n, target) in targets.iter().enumerate() {
        let is_new = targets[..n].iter().all(|other| other.name != target.name);
        assert!(is_new, "two targets are called {}", target.name);
        let corpus = (target.corpus)();
        assert!(!corpus.is_empty(), "{} has examples", target.name);
        for example in &corpus {
            (target.run)(example);
        }
        let rng = SimRng::shared(seed);
        let (began, mut inputs) = (clock.monotonic(), 0);
        while inputs < inputs_max && clock.monotonic() - began < time {
            let input = mutate::mutated(&*rng, &corpus);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
                eprintln!("{}: input {inputs} of seed {seed}: {}", target.name, input.escape_ascii());
                std::panic::resume_unwind(panic);
            }
            inputs += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Vec<Vec<u8>> {
        texts(&["a{}b", "longer than the first"])
    }

    #[test]
    fn a_decoder_that_panics_is_found() {
        let fragile = |input: &[u8]| assert!(!input.windows(2).any(|pair| pair == b"{{"), "two of them");
        let found = catch_unwind(|| smoke(&[Target { name: "fragile", corpus, run: fragile }]));
        let message = *found.unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(message, "two of them");
        smoke(&[Target { name: "robust", corpus, run: |input| assert!(input.len() <= mutate::LEN_MAX) }]);
    }
}
