//! Floating point numbers as Go prints them.
//!
//! Upstream: Go's `strconv.FormatFloat` with the fewest digits, as fmt and encoding/json call it.

use std::ops::Range;

/// The exponents that Go's `%g` and `%v` write without one.
pub const G: Range<i32> = -4..6;

/// The fewest digits that read back as the same number. An exponent that is not in `plain` is written, with at least
/// `exponent_digits` digits.
#[must_use]
pub fn go_float(number: f64, plain: Range<i32>, exponent_digits: usize) -> String {
    if !number.is_finite() {
        let text = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return text.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !plain.contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:0exponent_digits$}", exponent.abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_an_exponent_where_go_gives_them_one() {
        for (number, g, json) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.5, "1.5", "1.5"),
            (100_000.0, "100000", "100000"),
            (1_000_000.0, "1e+06", "1000000"),
            (123_456_789.0, "1.23456789e+08", "123456789"),
            (0.0001, "0.0001", "0.0001"),
            (0.000_012, "1.2e-05", "0.000012"),
            (0.000_000_12, "1.2e-07", "1.2e-7"),
            (1e21, "1e+21", "1e+21"),
            (-1e100, "-1e+100", "-1e+100"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!((go_float(number, G, 2), go_float(number, -6..21, 1)), (g.to_owned(), json.to_owned()));
        }
    }
}
