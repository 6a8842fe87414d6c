//! Points and spans of time.
//!
//! Upstream: cel-go common/types/{timestamp,duration}.go (v0.26.0).

use std::{fmt, str::FromStr};

use corten_apimachinery::duration::GoDuration;
use jiff::{SignedDuration, civil};

const NANOS_IN_SECOND: i64 = 1_000_000_000;

/// 0001-01-01T00:00:00Z
const SECONDS_MIN: i64 = -62_135_596_800;

/// 9999-12-31T23:59:59Z
const SECONDS_MAX: i64 = 253_402_300_799;

/// What seconds are counted from.
const EPOCH: civil::Date = civil::Date::constant(1970, 1, 1);

/// A point in time, from year 1 to 9999, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    seconds: i64,
    nanos: i32,
}

impl Timestamp {
    /// `seconds` since 1970 and `nanos` more; `None` beyond the years 1 to 9999.
    #[must_use]
    pub fn new(seconds: i64, nanos: i64) -> Option<Self> {
        let seconds = seconds.checked_add(nanos.div_euclid(NANOS_IN_SECOND))?;
        let nanos = i32::try_from(nanos.rem_euclid(NANOS_IN_SECOND)).ok()?;
        (SECONDS_MIN..=SECONDS_MAX).contains(&seconds).then_some(Self { seconds, nanos })
    }

    /// From RFC 3339 text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits.iter().all(u8::is_ascii_digit).then(|| text[from..to].parse().ok())?
        };
        let symbols = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if bytes.len() < 20 || symbols.iter().any(|(at, symbol)| bytes[*at] != *symbol) {
            return None;
        }
        let date = civil::Date::new(
            i16::try_from(number(0, 4)?).ok()?,
            i8::try_from(number(5, 7)?).ok()?,
            i8::try_from(number(8, 10)?).ok()?,
        )
        .ok()?;
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut at = 19;
        let mut nanos = 0;
        if bytes[at] == b'.' {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            // More than nine are cut off.
            nanos = format!("{:0<9.9}", &text[at + 1..at + 1 + digits]).parse().ok()?;
            at += 1 + digits;
        }
        let offset = match bytes.get(at)? {
            b'Z' if at + 1 == bytes.len() => 0,
            sign @ (b'+' | b'-') if at + 6 == bytes.len() && bytes[at + 3] == b':' => {
                let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
                if hours > 24 || minutes > 60 {
                    return None;
                }
                let offset = hours * 3_600 + minutes * 60;
                if *sign == b'-' { -offset } else { offset }
            }
            _ => return None,
        };
        let midnight = date.duration_since(EPOCH).as_secs();
        Self::new(midnight + hour * 3_600 + minute * 60 + second - offset, nanos)
    }

    /// Seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since that second.
    #[must_use]
    pub fn nanos(self) -> i32 {
        self.nanos
    }

    /// This point moved by `duration`; `None` beyond the years 1 to 9999.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let (seconds, nanos) = (duration.0 / NANOS_IN_SECOND, duration.0 % NANOS_IN_SECOND);
        Self::new(self.seconds.checked_add(seconds)?, i64::from(self.nanos) + nanos)
    }

    /// The span from `other` to this; `None` if it is too long.
    #[must_use]
    pub fn checked_since(self, other: Self) -> Option<Duration> {
        let nanos = i128::from(self.seconds - other.seconds) * i128::from(NANOS_IN_SECOND)
            + i128::from(self.nanos - other.nanos);
        i64::try_from(nanos).ok().map(Duration)
    }

    /// Date and time of day in a time zone; `None` if the zone is not known.
    ///
    /// Known are `UTC`, the empty text, and fixed offsets such as `-08:00`: names of places need a data base that is not part
    /// of this crate.
    #[must_use]
    pub fn in_zone(self, zone: &str) -> Option<civil::DateTime> {
        let offset = if matches!(zone, "" | "UTC") { 0 } else { fixed_offset(zone)? };
        let since = SignedDuration::new(self.seconds + i64::from(offset), self.nanos);
        EPOCH.to_datetime(civil::Time::midnight()).checked_add(since).ok()
    }
}

/// Seconds of `[+-]hh:mm`, as upstream reads it.
fn fixed_offset(zone: &str) -> Option<i32> {
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes) = (i32::from_str(hours).ok()?, i32::from_str(minutes).ok()?);
    let hours = hours.checked_mul(60)?;
    let minutes = if zone.starts_with('-') { hours.checked_sub(minutes)? } else { hours.checked_add(minutes)? };
    minutes.checked_mul(60)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.in_zone("UTC").ok_or(fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        if self.nanos != 0 {
            write!(f, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A span of time, in nanoseconds: 292 years at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(i64);

impl Duration {
    /// Of `nanos`.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From text such as `-1h5m0.5s`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<GoDuration>().ok().map(|duration| Self(duration.0))
    }

    /// From text as the format `duration` of a schema has it: `3 days` as well.
    ///
    /// Upstream: `ParseDuration` in k8s.io/kube-openapi/pkg/validation/strfmt/duration.go (v1.35).
    #[must_use]
    pub fn parse_format(text: &str) -> Option<Self> {
        if let Some(duration) = Self::parse(text) {
            return Some(duration);
        }
        let mut sum = None;
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let number = &rest[start..];
            let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            let (number, after) = number.split_at(digits);
            let unit = after.trim_start();
            let letters = unit.find(|c: char| !(c.is_ascii_alphabetic() || c == '\u{b5}')).unwrap_or(unit.len());
            rest = &unit[letters..];
            if letters == 0 {
                continue;
            }
            let factor: i64 = number.parse().ok()?;
            for nanos in units(&unit[..letters].to_lowercase()) {
                sum = Some(factor.wrapping_mul(nanos).wrapping_add(sum.unwrap_or(0)));
            }
        }
        sum.map(Self)
    }

    /// Its nanoseconds.
    #[must_use]
    pub fn nanos(self) -> i64 {
        self.0
    }
}

/// The nanoseconds of each unit that `name` is: one of its names, or a word that begins with the last of them.
fn units(name: &str) -> impl Iterator<Item = i64> {
    const UNITS: &[(&[&str], &str, i64)] = &[
        (&["ns"], "nano", 1),
        (&["us", "\u{b5}s"], "micro", 1_000),
        (&["ms"], "milli", 1_000_000),
        (&["s"], "sec", NANOS_IN_SECOND),
        (&["m"], "min", 60 * NANOS_IN_SECOND),
        (&["h", "hr"], "hour", 3_600 * NANOS_IN_SECOND),
        (&["d"], "day", 24 * 3_600 * NANOS_IN_SECOND),
        (&["w", "wk"], "week", 7 * 24 * 3_600 * NANOS_IN_SECOND),
    ];
    let is = move |(names, word, _): &&(&[&str], &str, i64)| names.contains(&name) || name.starts_with(word);
    UNITS.iter().filter(is).map(|(_, _, nanos)| *nanos)
}

/// In seconds, with as many decimals as it takes.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.unsigned_abs() / 1_000_000_000, self.0.unsigned_abs() % 1_000_000_000);
        write!(f, "{}{seconds}", if self.0 < 0 { "-" } else { "" })?;
        if nanos != 0 {
            write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0'))?;
        }
        f.write_str("s")
    }
}
