//! Durations as Go writes them: `1h15m30s`, `300ms`, `-1.5h`.
//!
//! Upstream: Go's time.ParseDuration and Duration.String, used by k8s.io/apimachinery metav1.Duration (v1.35).

use std::{fmt, str::FromStr};

use crate::field::quote;

/// A span of time in nanoseconds, which may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub i64);

/// Why a text is no duration, in Go's words. Those are put together when somebody wants them: most ask for nothing but whether
/// it is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is no number where one should be, or it is too large.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A number has a unit that is none.
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
        let negative = text.starts_with('-');
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        // One more than the largest positive value is allowed, for the smallest negative one.
        let limit = 1_u64 << 63;
        let mut total = 0_u64;
        while !rest.is_empty() {
            let digits = |text: &str| text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            let (whole, after) = rest.split_at(digits(rest));
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => after.split_at(digits(after)),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let unit_end = after.bytes().position(|byte| byte == b'.' || byte.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            if unit.is_empty() {
                return Err(DurationError::MissingUnit(text.to_owned()));
            }
            let scale = match unit {
                "ns" => 1,
                "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
                "ms" => MILLISECOND,
                "s" => SECOND,
                "m" => MINUTE,
                "h" => HOUR,
                _ => {
                    return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
                }
            };
            let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
            // 18 digits are finer than a nanosecond of an hour.
            let kept = &fraction[..fraction.len().min(18)];
            let part = if kept.is_empty() {
                0
            } else {
                let number: u128 = kept.parse().map_err(|_| invalid())?;
                (number * u128::from(scale) / 10_u128.pow(kept.len() as u32)) as u64
            };
            total = whole
                .checked_mul(scale)
                .and_then(|nanos| nanos.checked_add(part))
                .and_then(|nanos| nanos.checked_add(total))
                .filter(|nanos| *nanos <= limit)
                .ok_or_else(invalid)?;
            rest = after;
        }
        match (negative, i64::try_from(total)) {
            (false, Ok(nanos)) => Ok(Self(nanos)),
            (true, Ok(nanos)) => Ok(Self(-nanos)),
            (true, Err(_)) => Ok(Self(i64::MIN)),
            (false, Err(_)) => Err(invalid()),
        }
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let decimal = |f: &mut fmt::Formatter<'_>, prefix: fmt::Arguments<'_>, unit_nanos: u64, nanos: u64, unit| {
            let (whole, part) = (nanos / unit_nanos, nanos % unit_nanos);
            if part == 0 {
                return write!(f, "{prefix}{whole}{unit}");
            }
            let digits = format!("{part:0width$}", width = unit_nanos.ilog10() as usize);
            write!(f, "{prefix}{whole}.{}{unit}", digits.trim_end_matches('0'))
        };
        match nanos {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{sign}{nanos}ns"),
            MICROSECOND..MILLISECOND => decimal(f, format_args!("{sign}"), MICROSECOND, nanos, "\u{b5}s"),
            MILLISECOND..SECOND => decimal(f, format_args!("{sign}"), MILLISECOND, nanos, "ms"),
            _ => {
                let (hours, minutes) = (nanos / HOUR, nanos / MINUTE % 60);
                match (hours, minutes) {
                    (0, 0) => decimal(f, format_args!("{sign}"), SECOND, nanos % MINUTE, "s"),
                    (0, _) => decimal(f, format_args!("{sign}{minutes}m"), SECOND, nanos % MINUTE, "s"),
                    _ => decimal(f, format_args!("{sign}{hours}h{minutes}m"), SECOND, nanos % MINUTE, "s"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_in_go() {
        for (text, nanos, want) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("5m", 300_000_000_000, "5m0s"),
            ("1h15m30.918s", 4_530_918_000_000, "1h15m30.918s"),
            ("1h", 3_600_000_000_000, "1h0m0s"),
            ("300ms", 300_000_000, "300ms"),
            ("1500us", 1_500_000, "1.5ms"),
            ("1.5us", 1_500, "1.5\u{b5}s"),
            ("17ns", 17, "17ns"),
            ("-1.5h", -5_400_000_000_000, "-1h30m0s"),
            (".5s", 500_000_000, "500ms"),
            ("1m1ns", 60_000_000_001, "1m0.000000001s"),
            ("-9223372036854775808ns", i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!((duration.0, duration.to_string().as_str()), (nanos, want), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_in_gos_words() {
        for (text, want) in [
            ("", r#"time: invalid duration """#),
            ("3", r#"time: missing unit in duration "3""#),
            ("3x", r#"time: unknown unit "x" in duration "3x""#),
            ("s", r#"time: invalid duration "s""#),
            (".", r#"time: invalid duration ".""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
        ] {
            assert_eq!(text.parse::<GoDuration>().unwrap_err().to_string(), want);
        }
    }
}
