//! What rules ask of quantities.

use corten_api::quantity::Quantity as ViewQuantity;
use corten_apimachinery::quantity::Quantity;

/// An amount of a resource, as rules compare and add it.
pub(crate) trait Amount: Sized {
    /// Reads a quantity; `None` if it is none.
    fn parse(text: &str) -> Option<Self>;
    /// Reads a quantity of a typed view; what is none counts as nothing, because decoding has refused it.
    fn of(quantity: &ViewQuantity) -> Self;
    /// Whether it is below zero.
    fn is_negative(&self) -> bool;
    /// Whether it is above zero.
    fn is_positive(&self) -> bool;
    /// The sum; far beyond any real amount it stays where it is.
    fn plus(self, other: &Self) -> Self;
}

impl Amount for Quantity {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn of(quantity: &ViewQuantity) -> Self {
        Amount::parse(&quantity.0).unwrap_or_default()
    }

    fn is_negative(&self) -> bool {
        self.sign() < 0
    }

    fn is_positive(&self) -> bool {
        self.sign() > 0
    }

    fn plus(self, other: &Self) -> Self {
        self.checked_add(other).unwrap_or(self)
    }
}
