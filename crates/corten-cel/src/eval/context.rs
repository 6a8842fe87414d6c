//! What an evaluation may still spend.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::re2::{CompileError, compile_sized};
use regex::Regex;

use crate::error::EvalError;

/// Steps that cost does not count, such as comparing elements: ten for each unit of the highest limit that upstream has, which
/// is what comparing lists costs. About a second of work.
const WORK_MAX: u64 = 10_000_000;

/// The steps of all evaluations of a request together: some times what its whole budget comes to if cost counts all, and about
/// three seconds.
const REQUEST_WORK_MAX: u64 = 30_000_000;

/// How much text is gone through or copied in the time of a step.
const TEXT_BYTES_IN_STEP: u64 = 512;

/// How much of a pattern is compiled in the time of a step, in bytes of what it becomes.
const PATTERN_BYTES_IN_STEP: u64 = 8;

/// How often the caller is asked whether to go on: in steps.
const INTERRUPT_EVERY: u64 = 256;

/// How much is kept of patterns that are not constant and were compiled before.
const REGEXES_BYTES_MAX: usize = 1 << 20;

const TOO_MUCH: &str = "operation cancelled: it goes through too much data";

/// What evaluations may do together, in steps that are not cost.
#[derive(Debug)]
pub struct Work {
    left: u64,
}

impl Work {
    /// What one evaluation may do, if there are no others.
    #[must_use]
    pub fn of_evaluation() -> Self {
        Self { left: WORK_MAX }
    }

    /// What all evaluations of a request may do.
    #[must_use]
    pub fn of_request() -> Self {
        Self { left: REQUEST_WORK_MAX }
    }
}

/// Counts what an evaluation costs, and ends it when that is too much.
pub struct Context<'c> {
    cost: u64,
    limit: Option<u64>,
    work: u64,
    next_check: u64,
    /// Of all evaluations that share it, of which this may do `WORK_MAX` at most.
    shared: &'c mut Work,
    interrupt: Option<&'c dyn Fn() -> bool>,
    regexes: BTreeMap<String, Arc<Regex>>,
    regexes_bytes: usize,
}

impl<'c> Context<'c> {
    pub(crate) fn new(limit: Option<u64>, shared: &'c mut Work, interrupt: Option<&'c dyn Fn() -> bool>) -> Self {
        Self {
            cost: 0,
            limit,
            work: 0,
            next_check: INTERRUPT_EVERY,
            shared,
            interrupt,
            regexes: BTreeMap::new(),
            regexes_bytes: 0,
        }
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Counts `cost` units, as upstream counts them.
    pub(crate) fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.limit.is_some_and(|limit| self.cost > limit) {
            return Err(EvalError::cost_limit());
        }
        self.work(1)
    }

    /// Takes back what a presence test was charged as a selection.
    pub(crate) fn refund(&mut self, cost: u64) {
        self.cost = self.cost.saturating_sub(cost);
    }

    /// Counts `steps` that upstream's cost does not see.
    pub(crate) fn work(&mut self, steps: u64) -> Result<(), EvalError> {
        self.work = self.work.saturating_add(steps);
        let left = self.shared.left.checked_sub(steps);
        self.shared.left = left.unwrap_or_default();
        if self.work > WORK_MAX || left.is_none() {
            return Err(EvalError::too_large(TOO_MUCH));
        }
        if self.work >= self.next_check {
            self.next_check = self.work + INTERRUPT_EVERY;
            if self.interrupt.is_some_and(|interrupt| interrupt()) {
                return Err(EvalError::interrupted());
            }
        }
        Ok(())
    }

    /// Counts going through `bytes` of text, which is much faster than steps.
    pub(crate) fn work_on_text(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.work(bytes as u64 / TEXT_BYTES_IN_STEP)
    }

    /// The compiled `pattern`.
    pub(crate) fn regex(&mut self, pattern: &str) -> Result<Arc<Regex>, EvalError> {
        if let Some(regex) = self.regexes.get(pattern) {
            return Ok(regex.clone());
        }
        self.work_on_text(pattern.len())?;
        let mut end = None;
        let compiled = compile_sized(pattern, &mut |bytes| {
            end = self.work(bytes as u64 / PATTERN_BYTES_IN_STEP).err();
            end.is_none()
        });
        let sized = match (compiled, end) {
            (Ok(sized), _) => sized,
            (Err(_), Some(end)) => return Err(end),
            (Err(CompileError::Wrong(reason)), None) => return Err(EvalError::failed(reason)),
            (Err(CompileError::Unaffordable), None) => return Err(EvalError::too_large(TOO_MUCH)),
        };
        let regex = Arc::new(sized.regex);
        if self.regexes_bytes + sized.bytes > REGEXES_BYTES_MAX {
            self.regexes.clear();
            self.regexes_bytes = 0;
        }
        self.regexes_bytes += sized.bytes;
        self.regexes.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}
