//! Amounts of resources, as far as rules compare and add them.

use corten_api::quantity::Quantity;

/// Nano units: the finest that a quantity can say, so that sums and comparisons are exact.
const NANOS: i128 = 1_000_000_000;

/// An exact amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Amount(i128);

impl Amount {
    /// Reads a quantity; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let split = text
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && matches!(c, '+' | '-'))))
            .map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(split);
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (numerator, denominator) = scale(suffix)?;
        let mut nanos: i128 = 0;
        if !whole.is_empty() {
            nanos = whole.parse::<i128>().ok()?.checked_mul(NANOS)?.checked_mul(numerator)? / denominator;
        }
        if !fraction.is_empty() {
            // More than 18 digits are below a nano unit of every suffix.
            let fraction = &fraction[..fraction.len().min(18)];
            let part = fraction.parse::<i128>().ok()?.checked_mul(NANOS)?.checked_mul(numerator)?;
            nanos = nanos.checked_add(part / denominator / 10_i128.pow(u32::try_from(fraction.len()).ok()?))?;
        }
        Some(Self(if negative { -nanos } else { nanos }))
    }

    /// Reads a quantity of a typed view; what is none counts as nothing, because decoding has refused it.
    pub(crate) fn of(quantity: &Quantity) -> Self {
        Self::parse(&quantity.0).unwrap_or_default()
    }

    /// Whether it is below zero.
    pub(crate) fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether it is above zero.
    pub(crate) fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether it has no fraction.
    pub(crate) fn is_whole(self) -> bool {
        self.0 % NANOS == 0
    }

    /// Whether it is a positive multiple of `unit`.
    pub(crate) fn is_multiple_of(self, unit: Self) -> bool {
        unit.0 > 0 && self.0 % unit.0 == 0
    }

    /// The amount in the plainest way: whole, or in thousandths.
    pub(crate) fn to_text(self) -> String {
        if self.is_whole() { (self.0 / NANOS).to_string() } else { self.to_milli_text() }
    }

    /// The amount rounded up to thousandths, written in them.
    pub(crate) fn to_milli_text(self) -> String {
        let milli = NANOS / 1_000;
        format!("{}m", self.0.div_euclid(milli) + i128::from(self.0.rem_euclid(milli) != 0))
    }
}

impl std::ops::Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// What a suffix multiplies by, as a fraction.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(at) = decimal.iter().position(|known| *known == suffix) {
        let power = i32::try_from(at).ok()? * 3 - 9;
        let factor = 10_i128.pow(power.unsigned_abs());
        return Some(if power < 0 { (1, factor) } else { (factor, 1) });
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = binary.iter().position(|known| *known == suffix) {
        return Some((1_i128 << (10 * (at + 1)), 1));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, factor) } else { (factor, 1) })
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn amounts_compare_across_suffixes() {
        let equal =
            [("1", "1000m"), ("1Ki", "1024"), ("1.5Gi", "1536Mi"), ("1e3", "1k"), ("0.5", "500m"), ("-1", "-1000m")];
        for (a, b) in equal {
            assert_eq!(Amount::parse(a).unwrap(), Amount::parse(b).unwrap(), "{a} {b}");
        }
        assert!(Amount::parse("1G").unwrap() < Amount::parse("1Gi").unwrap());
        assert!(!Amount::parse("1500m").unwrap().is_whole());
        assert_eq!(Amount::parse("100m").unwrap() + Amount::parse("0.9").unwrap(), Amount::parse("1").unwrap());
        for bad in ["", "a", "1x", ".", "1KiB"] {
            assert_eq!(Amount::parse(bad), None, "{bad}");
        }
    }
}
