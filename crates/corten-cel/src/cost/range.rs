//! Ranges of sizes and costs, which do not overflow.
//!
//! Upstream: cel-go checker/cost.go (v0.26.0).

/// From a smallest to a largest size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

/// From a smallest to a largest cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostRange {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

/// What a call costs, and how large its result is, if that is a list, map, text or bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallEstimate {
    pub(crate) cost: CostRange,
    pub(crate) size: Option<SizeRange>,
}

impl CallEstimate {
    pub(crate) fn of(cost: CostRange) -> Self {
        Self { cost, size: None }
    }
}

/// `number * factor`, rounded up.
fn scale(number: u64, factor: f64) -> u64 {
    // Beyond the range a conversion gives the largest number.
    (number as f64 * factor).ceil() as u64
}

macro_rules! range {
    ($name:ident) => {
        impl $name {
            /// Exactly `number`.
            #[must_use]
            pub const fn fixed(number: u64) -> Self {
                Self { min: number, max: number }
            }

            /// Anything.
            pub const UNKNOWN: Self = Self { min: 0, max: u64::MAX };

            /// The sum.
            #[must_use]
            pub fn plus(self, other: Self) -> Self {
                Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
            }

            /// The product.
            #[must_use]
            pub fn times(self, other: Self) -> Self {
                Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
            }

            /// From the smaller to the larger of both.
            #[must_use]
            pub fn union(self, other: Self) -> Self {
                Self { min: self.min.min(other.min), max: self.max.max(other.max) }
            }

            /// The cost of this many, at `factor` each.
            #[must_use]
            pub fn cost(self, factor: f64) -> CostRange {
                CostRange { min: scale(self.min, factor), max: scale(self.max, factor) }
            }
        }
    };
}

range!(SizeRange);
range!(CostRange);

impl SizeRange {
    /// The cost of this many things that cost `each`.
    pub(crate) fn times_cost(self, each: CostRange) -> CostRange {
        CostRange { min: self.min, max: self.max }.times(each)
    }
}
