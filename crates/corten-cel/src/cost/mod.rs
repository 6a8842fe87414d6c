//! What an expression costs: estimated before, and counted while it is evaluated.
//!
//! Both count the same units, and upstream's numbers: a rule that one server accepts the other has to accept.
//!
//! Upstream: cel-go checker/cost.go, interpreter/runtimecost.go, common/cost.go (v0.26.0).

mod actual;
mod copies;
mod estimate;
mod range;
mod standard;

pub(crate) use actual::{actual, scaled};
pub(crate) use estimate::{Counts, estimate};
pub(crate) use range::CallEstimate;
pub use range::{CostRange, SizeRange};

use crate::types::Type;

/// Going through text or bytes: a unit for ten.
pub(crate) const TEXT_FACTOR: f64 = 0.1;

/// Matching a pattern: four of its characters are taken for one state.
pub(crate) const PATTERN_FACTOR: f64 = 0.25;

/// Knows how large values can be that the expression does not make.
pub trait SizeEstimator {
    /// The size of the value at `path`: a variable, then names of fields, `@items`, `@keys`, `@values`, `@indices`. Without a
    /// path the type alone is known.
    fn size(&self, path: Option<&[String]>, of: &Type) -> Option<SizeRange>;
}

/// Knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownSizes;

impl SizeEstimator for UnknownSizes {
    fn size(&self, _: Option<&[String]>, _: &Type) -> Option<SizeRange> {
        None
    }
}

#[cfg(test)]
mod tests;
