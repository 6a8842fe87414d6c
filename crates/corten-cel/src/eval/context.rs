//! What an evaluation may still spend.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::re2::{CompileError, compile_sized};
use regex::Regex;

use crate::{
    error::EvalError,
    value::{Bytes, Value, decode},
};

/// Steps that cost does not count, such as comparing elements: ten for each unit of the highest limit that upstream has, which
/// is what comparing lists costs. About a second of work.
const WORK_MAX: u64 = 10_000_000;

/// The steps of all evaluations of a request together: some times what its whole budget comes to if cost counts all, and about
/// three seconds.
const REQUEST_WORK_MAX: u64 = 30_000_000;

/// How much text is gone through or copied in the time of a step.
const TEXT_BYTES_IN_STEP: u64 = 512;

/// How much text is read in the time of a step, which is looking at each of its characters: base64, numbers, times.
const READ_BYTES_IN_STEP: u64 = 128;

/// From this length on base64 of an object is read once in an evaluation, and what it says kept: to find it again takes a
/// fraction of the time, and it is more than what keeps it.
const KEPT_BASE64_BYTES_MIN: usize = 128;

/// How much of a pattern is compiled in the time of a step, in bytes of what it becomes.
const PATTERN_BYTES_IN_STEP: u64 = 8;

/// What one evaluation may make and copy altogether, in bytes. What it holds at a time is no more. Some times the largest body
/// of a request: within upstream's limit of cost, ordinary rules make a hundredth of it. It is little enough for several at a
/// time, also where lists have twice the room that they need.
const MADE_BYTES_MAX: usize = 64 << 20;

/// What a text takes besides its bytes.
const TEXT_OVERHEAD_BYTES: usize = 32;

/// What an entry of a map takes: the key that is looked for, the key as it was written, the value, and the room that trees of
/// entries leave.
const ENTRY_BYTES: usize = 5 * size_of::<Value<'static>>();

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

/// Counts what an evaluation costs and makes, and ends it when that is too much.
pub struct Context<'c> {
    cost: u64,
    limit: Option<u64>,
    work: u64,
    made_bytes: usize,
    /// Of all evaluations that share it, of which this may do `WORK_MAX` at most.
    shared: &'c mut Work,
    regexes: BTreeMap<String, Arc<Regex>>,
    regexes_bytes: usize,
    /// What long base64 of an object says, by where in memory that stands and its length. What variables have stays there as
    /// long as the evaluation.
    decoded: BTreeMap<(usize, usize), Arc<[u8]>>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(limit: Option<u64>, shared: &'c mut Work) -> Self {
        Self {
            cost: 0,
            limit,
            work: 0,
            made_bytes: 0,
            shared,
            regexes: BTreeMap::new(),
            regexes_bytes: 0,
            decoded: BTreeMap::new(),
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
        Ok(())
    }

    /// Counts going through `bytes` of text, which is much faster than steps.
    pub(crate) fn work_on_text(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.work(bytes as u64 / TEXT_BYTES_IN_STEP)
    }

    /// Counts reading `bytes` of text, for what they say.
    pub(crate) fn read_text(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.work(bytes as u64 / READ_BYTES_IN_STEP)
    }

    /// Counts making or copying a list of `count` items, or adding so many to one.
    pub(crate) fn make_items(&mut self, count: usize) -> Result<(), EvalError> {
        self.work(count as u64)?;
        self.make(count.saturating_mul(size_of::<Value<'static>>()))
    }

    /// Counts making or copying a map of `count` entries, or adding so many to one.
    pub(crate) fn make_entries(&mut self, count: usize) -> Result<(), EvalError> {
        self.work(count as u64)?;
        self.make(count.saturating_mul(ENTRY_BYTES))
    }

    /// Counts making a text, or bytes, of this length.
    pub(crate) fn make_text(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.work_on_text(bytes)?;
        self.make(bytes.saturating_add(TEXT_OVERHEAD_BYTES))
    }

    /// Upstream has no limit of its own for memory, so that who meets this one is told what rules are told that cost too much.
    fn make(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.made_bytes = self.made_bytes.saturating_add(bytes);
        if self.made_bytes > MADE_BYTES_MAX { Err(EvalError::cost_limit()) } else { Ok(()) }
    }

    /// What `bytes` are.
    ///
    /// Errors: they are of an object that has no base64 there, or the evaluation may read no more.
    pub(crate) fn bytes(&mut self, bytes: &Bytes<'_>) -> Result<Arc<[u8]>, EvalError> {
        let text = match bytes {
            Bytes::Decoded(bytes) => return Ok(bytes.clone()),
            Bytes::Encoded(text) => *text,
        };
        let is_kept = text.len() >= KEPT_BASE64_BYTES_MIN;
        let place = (text.as_ptr().addr(), text.len());
        if is_kept && let Some(decoded) = self.decoded.get(&place) {
            return Ok(decoded.clone());
        }
        self.read_text(text.len())?;
        // That it is none is said with all of it, which takes no more than what it could say and a half.
        self.make_text(text.len())?;
        let decoded = decode(text)?;
        if is_kept {
            self.make(ENTRY_BYTES)?;
            self.decoded.insert(place, decoded.clone());
        }
        Ok(decoded)
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

#[cfg(test)]
mod tests;
