//! When a cron job is due: five fields (minute, hour, day of the month, month, day of the week), or a word such as `@daily`.
//!
//! Errors are in the words of upstream's parser, which clients see.
//! Upstream: github.com/robfig/cron/v3 `ParseStandard`, pkg/util/parsers (v1.35).

use std::str::FromStr;

use corten_apimachinery::{duration::GoDuration, field::quote};

use super::time_zone;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The time zone that the text itself names; `None` for the one that is in force otherwise.
    pub time_zone: Option<String>,
    /// The times.
    pub times: Times,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// At all times that are in every set.
    Calendar {
        /// 0-59.
        minutes: Set,
        /// 0-23.
        hours: Set,
        /// 1-31.
        days_of_month: Set,
        /// 1-12.
        months: Set,
        /// 0-6, from Sunday.
        days_of_week: Set,
    },
    /// Again and again after this many seconds, at least one.
    Every {
        /// The distance in whole seconds.
        seconds: i64,
    },
}

/// A set of the numbers of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Bit `n` stands for the number `n`.
    pub bits: u64,
    /// Whether it is written as a star: days of the month and of the week are alternatives, unless one of them is any day.
    pub is_any: bool,
}

/// The numbers and names of a field.
struct Bounds {
    min: u64,
    max: u64,
    names: &'static [&'static str],
    /// The number of the first name.
    first_name: u64,
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[], first_name: 0 };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[], first_name: 0 };
const DAYS_OF_MONTH: Bounds = Bounds { min: 1, max: 31, names: &[], first_name: 0 };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    first_name: 1,
};
const DAYS_OF_WEEK: Bounds =
    Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"], first_name: 0 };

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let mut rest = text;
        let mut zone = None;
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let (_, after) = text.split_once('=').unwrap_or_default();
            // Upstream's parser breaks on this, and says so.
            let Some((name, after)) = after.split_once(' ') else {
                return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned());
            };
            if let Err(why) = time_zone::load(name) {
                return Err(format!("provided bad location {name}: {why}"));
            }
            zone = Some(name.to_owned());
            rest = after.trim();
        }
        let times = if rest.starts_with('@') { word(rest)? } else { fields(rest)? };
        Ok(Self { time_zone: zone, times })
    }
}

fn word(text: &str) -> Result<Times, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let Some(duration) = text.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let duration: GoDuration =
                duration.parse().map_err(|why| format!("failed to parse duration {text}: {why}"))?;
            return Ok(Times::Every { seconds: (duration.0 / 1_000_000_000).max(1) });
        }
    };
    self::fields(fields)
}

fn fields(text: &str) -> Result<Times, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days_of_month, months, days_of_week] = fields[..] else {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    };
    Ok(Times::Calendar {
        minutes: set(minutes, &MINUTES)?,
        hours: set(hours, &HOURS)?,
        days_of_month: set(days_of_month, &DAYS_OF_MONTH)?,
        months: set(months, &MONTHS)?,
        days_of_week: set(days_of_week, &DAYS_OF_WEEK)?,
    })
}

fn set(text: &str, bounds: &Bounds) -> Result<Set, String> {
    let mut set = Set { bits: 0, is_any: false };
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let of_range = self::range(range, bounds)?;
        set.bits |= of_range.bits;
        set.is_any |= of_range.is_any;
    }
    Ok(set)
}

fn range(text: &str, bounds: &Bounds) -> Result<Set, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let is_star = ends[0] == "*" || ends[0] == "?";
    let (start, mut end) = if is_star {
        (bounds.min, bounds.max)
    } else {
        let start = number_or_name(ends[0], bounds)?;
        match ends[..] {
            [_] => (start, start),
            [_, end] => (start, number_or_name(end, bounds)?),
            _ => return Err(format!("too many hyphens: {text}")),
        }
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            // From a number on: `5/15` is `5-59/15`.
            if ends.len() == 1 {
                end = bounds.max;
            }
            number(step)?
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    let (min, max) = (bounds.min, bounds.max);
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {text}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {text}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let mut bits = 0;
    let mut at = start;
    while at <= end {
        bits |= 1 << at;
        at = at.saturating_add(step);
    }
    Ok(Set { bits, is_any: is_star && step == 1 })
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u64, String> {
    match bounds.names.iter().zip(bounds.first_name..).find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some((_, number)) => Ok(number),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed: Result<i64, _> = text.parse();
    let number = parsed.map_err(|_| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        format!("failed to parse int from {text}: strconv.Atoi: parsing {}: {why}", quote(text))
    })?;
    u64::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}
