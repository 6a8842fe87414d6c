//! What an evaluation may still spend.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;

use crate::{error::EvalError, library::compile_regex};

/// Steps that cost does not count, such as comparing elements: ten for each unit of the highest limit that upstream has, which
/// is what comparing lists costs. About a second of work.
const WORK_MAX: u64 = 10_000_000;

/// How much text is gone through or copied in the time of a step.
const TEXT_BYTES_IN_STEP: u64 = 512;

/// How often the caller is asked whether to go on: in steps.
const INTERRUPT_EVERY: u64 = 256;

/// Patterns that are not constant and were compiled before.
const REGEXES_MAX: usize = 16;

/// Counts what an evaluation costs, and ends it when that is too much.
pub struct Context<'c> {
    cost: u64,
    limit: Option<u64>,
    work: u64,
    next_check: u64,
    interrupt: Option<&'c dyn Fn() -> bool>,
    regexes: BTreeMap<String, Arc<Regex>>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(limit: Option<u64>, interrupt: Option<&'c dyn Fn() -> bool>) -> Self {
        Self { cost: 0, limit, work: 0, next_check: INTERRUPT_EVERY, interrupt, regexes: BTreeMap::new() }
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
        if self.work > WORK_MAX {
            return Err(EvalError::too_large("operation cancelled: it goes through too much data"));
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
        self.work(pattern.len() as u64 * 16)?;
        let regex = Arc::new(compile_regex(pattern).map_err(EvalError::failed)?);
        if self.regexes.len() >= REGEXES_MAX {
            self.regexes.clear();
        }
        self.regexes.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}
