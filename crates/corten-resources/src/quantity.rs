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
    /// Whether it is a whole number of units of `10^exponent`.
    fn is_whole_at(&self, exponent: i32) -> bool;
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

    fn is_whole_at(&self, exponent: i32) -> bool {
        let scaled = self.scaled(exponent);
        // Rounding moves away from zero, so an inexact amount is below its rounded one.
        scaled == i64::MAX || scaled == i64::MIN || format!("{scaled}e{exponent}").parse() == Ok(*self)
    }

    fn plus(self, other: &Self) -> Self {
        self.checked_add(other).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, Quantity};

    #[test]
    fn parts_of_units_are_seen() {
        let whole =
            |text: &str, exponent: i32| Quantity::parse(text).is_some_and(|amount| amount.is_whole_at(exponent));
        assert!(whole("2", 0) && whole("1Gi", 0) && whole("-3", 0) && whole("0", 0));
        assert!(!whole("1500m", 0) && !whole("0.5", 0));
        assert!(whole("1500m", -3) && !whole("100u", -3));
    }
}
