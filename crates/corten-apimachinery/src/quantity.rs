//! Quantities: exact decimal numbers with a unit, as resources are counted (`500m`, `1.5Gi`, `2e3`).
//!
//! Upstream: k8s.io/apimachinery/pkg/api/resource Quantity (v1.35): what is accepted, how it is rounded, its canonical text.

use std::{cmp::Ordering, fmt, str::FromStr};

use smallvec::SmallVec;

use crate::value::{Str, Value};

/// The smallest unit; finer parts are rounded up to it (away from zero), so that whoever asks for something gets something.
const NANO: i32 = -9;

/// Up to this many digits upstream keeps a number as an `int64`, whose text it keeps when that looks canonical.
const INT64_DIGITS_MAX: usize = 18;

/// Why a text is not a quantity, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number cannot be read, or has more than 38 digits that count.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// There is no such unit.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// How a quantity is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// With an exponent: `2e3`.
    DecimalExponent,
    /// With powers of 1024: `2Ki`.
    BinarySi,
    /// With powers of 1000: `2k`.
    #[default]
    DecimalSi,
}

/// `mantissa * 10^exponent`, and how it is written. Comparison and equality are those of the numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    /// Without trailing zeros, but for those that `exponent` has no room for; 0 has exponent 0.
    mantissa: i128,
    exponent: i32,
    format: Format,
}

impl Quantity {
    /// A quantity of whole units.
    #[must_use]
    pub fn new(units: i64, format: Format) -> Self {
        Self::of(i128::from(units), 0, format)
    }

    /// A quantity of thousandths.
    #[must_use]
    pub fn from_millis(millis: i64, format: Format) -> Self {
        Self::of(i128::from(millis), -3, format)
    }

    fn of(mut mantissa: i128, mut exponent: i32, format: Format) -> Self {
        if mantissa == 0 {
            return Self { mantissa, exponent: 0, format };
        }
        // What has the largest exponent keeps its zeros: a text can give it, and a sum would go beyond.
        while mantissa % 10 == 0
            && let Some(next) = exponent.checked_add(1)
        {
            mantissa /= 10;
            exponent = next;
        }
        Self { mantissa, exponent, format }
    }

    /// Reads a quantity from a node of an object: its text, or a number as clients may write it. Absent reads as zero.
    ///
    /// Errors: the text is no quantity, or the node is neither text nor number.
    pub fn from_value(value: Option<&Value>) -> Result<Self, QuantityError> {
        match value {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::String(text)) => text.parse(),
            Some(Value::Int(number)) => Ok(Self::new(*number, Format::DecimalSi)),
            Some(Value::Float(number)) => number.to_string().parse(),
            Some(_) => Err(QuantityError::Format),
        }
    }

    /// How it is written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// -1, 0 or 1.
    #[must_use]
    pub fn sign(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// In units of `10^exponent`, rounded away from zero, limited to what fits.
    #[must_use]
    pub fn scaled(&self, exponent: i32) -> i64 {
        let scaled = self.scaled_exactly(exponent).0;
        i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
    }

    /// In whole units, rounded away from zero, limited to what fits.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.scaled(0)
    }

    /// In thousandths, rounded away from zero, limited to what fits.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.scaled(-3)
    }

    /// As a floating point number, with its loss.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10_f64.powi(self.exponent)
    }

    /// Whether it is a whole number of units of `10^exponent`, or far beyond what is counted in them.
    #[must_use]
    pub fn is_whole_at(&self, exponent: i32) -> bool {
        let (scaled, is_exact) = self.scaled_exactly(exponent);
        is_exact || i64::try_from(scaled).is_err()
    }

    /// The mantissa at `exponent`, rounded away from zero, and whether that was exact. Limited to what fits.
    fn scaled_exactly(&self, exponent: i32) -> (i128, bool) {
        let Some(power) = power_of_ten(self.exponent.abs_diff(exponent)) else {
            let extreme = if self.mantissa < 0 { i128::MIN } else { i128::MAX };
            return match (self.mantissa, self.exponent > exponent) {
                (0, _) => (0, true),
                (_, true) => (extreme, false),
                (mantissa, false) => (mantissa.signum(), false),
            };
        };
        if self.exponent >= exponent {
            let product = self.mantissa.checked_mul(power);
            return match product {
                Some(product) => (product, true),
                None => (if self.mantissa < 0 { i128::MIN } else { i128::MAX }, false),
            };
        }
        let (quotient, rest) = (self.mantissa / power, self.mantissa % power);
        (quotient + rest.signum(), rest == 0)
    }

    fn combine(&self, other: &Self, sign: i128) -> Option<Self> {
        let format = if self.is_zero() { other.format } else { self.format };
        if other.is_zero() {
            return Some(Self { format, ..*self });
        }
        if self.is_zero() {
            return Some(Self { mantissa: other.mantissa.checked_mul(sign)?, exponent: other.exponent, format });
        }
        let exponent = self.exponent.min(other.exponent);
        let at = |quantity: &Self| quantity.mantissa.checked_mul(power_of_ten(quantity.exponent.abs_diff(exponent))?);
        let sum = at(self)?.checked_add(at(other)?.checked_mul(sign)?)?;
        Some(Self::of(sum, exponent, format))
    }

    /// The sum, in this quantity's format unless it is zero; `None` if it has more than 38 digits.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        self.combine(other, 1)
    }

    /// The difference, in this quantity's format unless it is zero; `None` if it has more than 38 digits.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.combine(other, -1)
    }
}

/// The text that upstream writes after reading `text`: mostly canonical, but a number whose text looks canonical stays.
///
/// Errors: `text` is no quantity.
pub fn canonical_text(text: &str) -> Result<Str, QuantityError> {
    let text = text.trim();
    let parts = Parts::of(text)?;
    let quantity = parts.quantity()?;
    if parts.keeps_text() {
        return Ok(text.into());
    }
    Ok(crate::value::format_str!("{quantity}"))
}

/// A quantity's text, taken apart.
struct Parts<'a> {
    negative: bool,
    /// The digits before the point, without leading zeros; `0` if none are left.
    whole: &'a str,
    /// The digits after the point.
    fraction: &'a str,
    /// The power of `base`.
    exponent: i32,
    format: Format,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits_end = |text: &str| text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let stripped = unsigned.trim_start_matches('0');
        let (whole, rest) = stripped.split_at(digits_end(stripped));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits_end(rest)),
            None => ("", rest),
        };
        let has_digits = stripped.len() < unsigned.len() || !whole.is_empty() || !fraction.is_empty();
        let letters_end = suffix.bytes().position(|byte| !b"eEinumkKMGTP".contains(&byte)).unwrap_or(suffix.len());
        let power = &suffix[letters_end..];
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        if digits_end(power) != power.len() {
            return Err(QuantityError::Format);
        }
        let (exponent, format) = interpret(suffix).ok_or(QuantityError::Suffix)?;
        if !has_digits {
            return Err(QuantityError::Numeric);
        }
        let whole = if whole.is_empty() { "0" } else { whole };
        Ok(Self { negative: text.starts_with('-'), whole, fraction, exponent, format })
    }

    /// The value; parts below a billionth are rounded away from zero.
    fn quantity(&self) -> Result<Quantity, QuantityError> {
        let decimal_exponent = if self.format == Format::BinarySi { 0 } else { self.exponent };
        let mut exponent = decimal_exponent.checked_sub(self.fraction.len() as i32).ok_or(QuantityError::Suffix)?;
        // Zeros at the end need no room in the mantissa.
        let digits: SmallVec<[u8; 32]> = self.whole.bytes().chain(self.fraction.bytes()).collect();
        let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        exponent = exponent.checked_add((digits.len() - significant) as i32).ok_or(QuantityError::Suffix)?;
        let mut digits = &digits[..significant];
        let mut rounds_up = false;
        if self.format != Format::BinarySi && exponent < NANO && !digits.is_empty() {
            let dropped = (exponent.abs_diff(NANO) as usize).min(digits.len());
            rounds_up = true; // The last digit dropped is not 0.
            digits = &digits[..digits.len() - dropped];
            exponent = NANO;
        }
        // Of so few that they fit nearly always.
        let (few, more) = digits.split_at(digits.len().min(INT64_DIGITS_MAX));
        let mut mantissa = i128::from(few.iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0')));
        for digit in more {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|mantissa| mantissa.checked_add(i128::from(digit - b'0')))
                .ok_or(QuantityError::Numeric)?;
        }
        mantissa = mantissa.checked_add(rounds_up.into()).ok_or(QuantityError::Numeric)?;
        let mut format = self.format;
        let mut quantity = Quantity::of(mantissa, exponent, format);
        if format == Format::BinarySi {
            quantity = binary(mantissa, exponent, self.exponent)?;
            if !quantity.is_zero() && quantity < Quantity::new(1, format) {
                format = Format::DecimalSi;
            }
            quantity.format = format;
        }
        if self.negative {
            quantity.mantissa = -quantity.mantissa;
        }
        Ok(quantity)
    }

    /// Whether upstream writes the text as it was read: where a cheap look says that it is canonical.
    fn keeps_text(&self) -> bool {
        let digits = self.whole.len() + self.fraction.len();
        if self.format == Format::BinarySi {
            let room = 15 - self.whole.len() as i32 - (self.exponent as f32 * 3.0 / 10.0) as i32 - 1;
            let value: i64 = self.whole.parse().unwrap_or_default();
            return self.fraction.is_empty() && room >= 0 && value & 7 != 0;
        }
        let scale = self.exponent.saturating_sub(self.fraction.len() as i32);
        let ends_in_zeros = if self.fraction.len() >= 3 {
            self.fraction.ends_with("000")
        } else {
            self.fraction.bytes().all(|digit| digit == b'0') && self.whole.ends_with(&"000"[self.fraction.len()..])
        };
        digits <= INT64_DIGITS_MAX && scale >= NANO && scale % 3 == 0 && !ends_in_zeros && !self.whole.starts_with('0')
    }
}

/// `mantissa * 10^exponent * 2^power`, rounded up to billionths, at most what an `int64` holds: upstream's limit.
fn binary(mantissa: i128, exponent: i32, power: i32) -> Result<Quantity, QuantityError> {
    let most = Quantity::new(i64::MAX, Format::BinarySi);
    let number = Quantity::of(mantissa, exponent, Format::BinarySi);
    if number >= most {
        return Ok(most);
    }
    let product = mantissa.checked_mul(1 << power).ok_or(QuantityError::Numeric)?;
    let product = Quantity::of(product, exponent, Format::BinarySi);
    let (nanos, _) = product.scaled_exactly(NANO);
    let rounded = if product.exponent < NANO { Quantity::of(nanos, NANO, Format::BinarySi) } else { product };
    Ok(if rounded > most { most } else { rounded })
}

/// A suffix's power (of 2 for `BinarySi`, else of 10) and format.
fn interpret(suffix: &str) -> Option<(i32, Format)> {
    let si = |exponent| Some((exponent, Format::DecimalSi));
    let binary = |exponent| Some((exponent, Format::BinarySi));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((exponent.parse().ok()?, Format::DecimalExponent))
        }
    }
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Parts::of(text)?.quantity()
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        // Mantissas have no zeros at their end that could go, so equal numbers have equal parts.
        (self.mantissa, self.exponent) == (other.mantissa, other.exponent)
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if sign != Ordering::Equal || self.is_zero() {
            return sign;
        }
        if self.exponent == other.exponent {
            return self.mantissa.cmp(&other.mantissa);
        }
        let exponent = self.exponent.min(other.exponent);
        let at = |quantity: &Self| quantity.mantissa.checked_mul(power_of_ten(quantity.exponent.abs_diff(exponent))?);
        match (at(self), at(other)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // One side leaves the range, so it is by far the larger number.
            (a, b) => {
                let magnitudes = a.is_none().cmp(&b.is_none());
                if self.mantissa < 0 { magnitudes.reverse() } else { magnitudes }
            }
        }
    }
}

impl fmt::Display for Quantity {
    /// The canonical text: no fraction, the largest unit that keeps it exact, no other digits than needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi && self.scaled(0).unsigned_abs() >= 1024 {
            let (mut units, exact) = self.scaled_exactly(0);
            if exact {
                let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter();
                let mut suffix = suffixes.next().copied().unwrap_or_default();
                while units % 1024 == 0
                    && let Some(larger) = suffixes.next()
                {
                    units /= 1024;
                    suffix = larger;
                }
                return write!(f, "{units}{suffix}");
            }
        }
        let zeros = self.exponent.rem_euclid(3);
        let exponent = self.exponent - zeros;
        write!(f, "{}{}", self.mantissa, &"00"[..zeros as usize])?;
        let suffix = match exponent {
            0 => Some(""),
            _ if self.format == Format::DecimalExponent => None,
            -9 => Some("n"),
            -6 => Some("u"),
            -3 => Some("m"),
            3 => Some("k"),
            6 => Some("M"),
            9 => Some("G"),
            12 => Some("T"),
            15 => Some("P"),
            18 => Some("E"),
            _ => None,
        };
        match suffix {
            Some(suffix) => f.write_str(suffix),
            None => write!(f, "e{exponent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parts_of_units_are_seen() {
        let whole = |text: &str, exponent: i32| quantity(text).is_whole_at(exponent);
        assert!(whole("2", 0) && whole("1Gi", 0) && whole("-3", 0) && whole("0", 0) && whole("1e40", 0));
        assert!(!whole("1500m", 0) && !whole("0.5", 0) && !whole("1n", 0));
        assert!(whole("1500m", -3) && !whole("100u", -3));
    }

    #[test]
    fn texts_become_canonical_as_upstream_writes_them() {
        for (text, want) in [
            ("0", "0"),
            ("0Ki", "0"),
            ("-0", "0"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.5", "1500m"),
            ("100m", "100m"),
            ("0.1m", "100u"),
            ("1000", "1k"),
            ("5000000", "5M"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("1000e3", "1e6"),
            ("123Mi", "123Mi"),
            ("1024Ki", "1Mi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("8Ki", "8Ki"),
            ("0.5Mi", "512Ki"),
            ("1.1Ki", "1126400m"),
            ("0.0000000001", "1n"),
            ("1.0000000001", "1000000001n"),
            ("-0.0000000001", "-1n"),
            ("0.00000000001Ki", "11n"),
            ("16Ei", "9223372036854775807"),
            ("100E", "100E"),
            ("1000E", "1e21"),
            ("1.234", "1.234"),
            ("1e50", "100e48"),
            ("  2 ", "2"),
        ] {
            assert_eq!(canonical_text(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_in_upstreams_words() {
        for (text, want) in [
            ("", QuantityError::Format),
            ("1.1.1", QuantityError::Format),
            ("1 Ki", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1KiB", QuantityError::Format),
            ("1ki", QuantityError::Suffix),
            ("1K", QuantityError::Suffix),
            ("1mm", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
            (".", QuantityError::Numeric),
            ("-", QuantityError::Numeric),
            // The largest mantissa, rounded up: an overflow once.
            ("170141183460469231731687303715.8841057271", QuantityError::Numeric),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap_err(), want, "{text:?}");
        }
    }

    #[test]
    fn numbers_compare_whatever_their_unit() {
        for (a, order, b) in [
            ("1", Ordering::Equal, "1000m"),
            ("1Ki", Ordering::Greater, "1k"),
            ("-1", Ordering::Less, "1n"),
            ("1e90", Ordering::Greater, "1n"),
            ("-1e90", Ordering::Less, "-1n"),
            ("0", Ordering::Equal, "0Mi"),
        ] {
            assert_eq!(quantity(a).cmp(&quantity(b)), order, "{a} {b}");
        }
    }

    #[test]
    fn sums_keep_the_format_of_what_was_not_zero() {
        let sum = |a: &str, b: &str| quantity(a).checked_add(&quantity(b)).unwrap().to_string();
        assert_eq!(sum("500m", "1500m"), "2");
        assert_eq!(sum("0", "1Gi"), "1Gi");
        assert_eq!(sum("1Gi", "1G"), "2073741824");
        assert_eq!(sum("1k", "24"), "1024");
        assert_eq!(quantity("1").checked_sub(&quantity("250m")).unwrap().to_string(), "750m");
    }

    /// The exponent went round: the sum of two absurd requests was next to nothing.
    #[test]
    fn a_sum_at_the_largest_exponent_stays_the_larger_number() {
        let half = quantity("5e2147483647");
        let sum = half.checked_add(&half).unwrap();
        assert!(sum > half);
        assert_eq!(sum.units(), i64::MAX);
        assert_eq!(sum.checked_sub(&half), Some(half));
        assert_eq!(sum.checked_sub(&sum), Some(quantity("0")));
        assert!("50e2147483647".parse::<Quantity>().is_err());
    }

    #[test]
    fn whole_numbers_are_rounded_away_from_zero() {
        assert_eq!((quantity("1001m").units(), quantity("-1001m").units()), (2, -2));
        assert_eq!((quantity("1500m").millis(), quantity("1Ki").units()), (1_500, 1_024));
        assert_eq!(quantity("1e30").units(), i64::MAX);
    }
}
