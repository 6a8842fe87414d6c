//! Reads times as Go does, in the two layouts that the API has, with Go's words for what is wrong with one.
//!
//! Upstream: `UnmarshalJSON` of `Time` and `MicroTime` in k8s.io/apimachinery/pkg/apis/meta/v1 (v1.35), which call `Parse` of
//! Go's time.

use std::fmt::Write as _;

use jiff::{SignedDuration, civil, tz::Offset};

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Seconds, and a fraction if there is one.
    Seconds,
    /// Exactly six digits of a fraction.
    Micros,
}

/// The fraction of a second as `Layout::Micros` names it.
const MICROS: &str = ".000000";

/// A complaint before it is put into a sentence.
enum Wrong<'a> {
    /// Something stands where the layout has something else.
    Place { found: &'a [u8], wanted: &'static str },
    /// A number is too small or too large.
    Range(&'static str),
    /// More follows than the layout has.
    Extra(&'a [u8]),
}

impl Layout {
    fn text(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }

    /// Reads `text`: the time in UTC, up to the end of the year 9999, whose last day `Timestamp` does not have.
    ///
    /// Errors: in the words of Go's parser.
    pub(super) fn parse(self, text: &str) -> Result<civil::DateTime, String> {
        self.read(text.as_bytes()).map_err(|wrong| {
            let (value, layout) = (quote(text.as_bytes()), quote(self.text().as_bytes()));
            match wrong {
                Wrong::Place { found, wanted } => {
                    let (found, wanted) = (quote(found), quote(wanted.as_bytes()));
                    format!("parsing time {value} as {layout}: cannot parse {found} as {wanted}")
                }
                Wrong::Range(what) => format!("parsing time {value}: {what} out of range"),
                Wrong::Extra(rest) => format!("parsing time {value}: extra text: {}", quote(rest)),
            }
        })
    }

    fn read(self, text: &[u8]) -> Result<civil::DateTime, Wrong<'_>> {
        let mut rest = text;
        let year = year(&mut rest)?;
        let month = in_range(number(&mut rest, "-", "01")?, 1..=12, "month")?;
        let day = number(&mut rest, "-", "02")?;
        let hour = in_range(number(&mut rest, "T", "15")?, 0..=23, "hour")?;
        let minute = in_range(number(&mut rest, ":", "04")?, 0..=59, "minute")?;
        let second = in_range(number(&mut rest, ":", "05")?, 0..=59, "second")?;
        let nanos = match self {
            Self::Seconds => any_fraction(&mut rest),
            Self::Micros => micros(&mut rest)?,
        };
        let offset = zone(&mut rest)?;
        if !rest.is_empty() {
            return Err(Wrong::Extra(rest));
        }
        let date = civil::Date::new(year, month, day).map_err(|_| Wrong::Range("day"))?;
        let ahead = SignedDuration::from_secs(offset.seconds().into());
        let time = date.at(hour, minute, second, nanos).checked_sub(ahead).map_err(|_| Wrong::Range("year"))?;
        if (0..=9999).contains(&time.year()) { Ok(time) } else { Err(Wrong::Range("year")) }
    }
}

fn in_range(number: i8, range: std::ops::RangeInclusive<i8>, what: &'static str) -> Result<i8, Wrong<'static>> {
    if range.contains(&number) { Ok(number) } else { Err(Wrong::Range(what)) }
}

fn digit(text: &[u8], at: usize) -> Option<i8> {
    text.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| (byte - b'0') as i8)
}

fn year<'a>(rest: &mut &'a [u8]) -> Result<i16, Wrong<'a>> {
    let read = |text: &[u8]| (0..4).try_fold(0, |year, at| Some(year * 10 + i16::from(digit(text, at)?)));
    let year = read(rest).ok_or(Wrong::Place { found: rest, wanted: "2006" })?;
    *rest = &rest[4..];
    Ok(year)
}

/// A number of two digits behind `sign`. Of all, Go lets the hour have only one.
fn number<'a>(rest: &mut &'a [u8], sign: &'static str, wanted: &'static str) -> Result<i8, Wrong<'a>> {
    let after = rest.strip_prefix(sign.as_bytes()).ok_or(Wrong::Place { found: rest, wanted: sign })?;
    let (number, width) = match (digit(after, 0), digit(after, 1)) {
        (Some(tens), Some(ones)) => (tens * 10 + ones, 2),
        (Some(ones), None) if wanted == "15" => (ones, 1),
        _ => return Err(Wrong::Place { found: after, wanted }),
    };
    *rest = &after[width..];
    Ok(number)
}

fn is_point(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'.' | b','))
}

/// A fraction that no layout asks for, in nanoseconds: digits behind the ninth do not count.
fn any_fraction(rest: &mut &[u8]) -> i32 {
    let digits = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    if !is_point(rest.first()) || digits == 0 {
        return 0;
    }
    let nanos = (1..10).fold(0, |nanos, at| {
        let digit = if at <= digits { digit(rest, at) } else { None };
        nanos * 10 + i32::from(digit.unwrap_or(0))
    });
    *rest = &rest[1 + digits..];
    nanos
}

fn micros<'a>(rest: &mut &'a [u8]) -> Result<i32, Wrong<'a>> {
    let read =
        |text: &[u8]| (1..MICROS.len()).try_fold(0, |micros, at| Some(micros * 10 + i32::from(digit(text, at)?)));
    let micros = read(rest).filter(|_| is_point(rest.first())).ok_or(Wrong::Place { found: rest, wanted: MICROS })?;
    *rest = &rest[MICROS.len()..];
    Ok(micros * 1_000)
}

fn zone<'a>(rest: &mut &'a [u8]) -> Result<Offset, Wrong<'a>> {
    let wrong = Wrong::Place { found: rest, wanted: "Z07:00" };
    if let Some(after) = rest.strip_prefix(b"Z") {
        *rest = after;
        return Ok(Offset::UTC);
    }
    let two = |at| Some(digit(rest, at)? * 10 + digit(rest, at + 1)?);
    let Some((zone, b':')) = rest.split_at_checked(6).map(|(zone, _)| (zone, zone[3])) else { return Err(wrong) };
    let (hours, minutes) = (two(1), two(4));
    // Go looks at the numbers before it looks at the sign.
    in_range(hours.unwrap_or(0), 0..=24, "time zone offset hour")?;
    in_range(minutes.filter(|_| hours.is_some()).unwrap_or(0), 0..=60, "time zone offset minute")?;
    let (Some(hours), Some(minutes), b'+' | b'-') = (hours, minutes, zone[0]) else { return Err(wrong) };
    let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
    *rest = &rest[6..];
    let signed = if zone[0] == b'-' { -seconds } else { seconds };
    Offset::from_seconds(signed).map_err(|_| Wrong::Range("time zone offset hour"))
}

/// Quotes text as Go's time does, which is not as `%q` does.
fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..0x80 => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(layout: Layout, text: &str, want: &str) {
        let got = layout.parse(text).map_or_else(|error| error, |time| format!("{time}Z"));
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn times_are_read_as_go_reads_them() {
        let check = |text: &str, want: &str| check(Layout::Seconds, text, want);
        check("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z");
        check("2026-01-02T03:04:05.123456789123Z", "2026-01-02T03:04:05.123456789Z");
        check("2026-01-02T03:04:05,5+02:00", "2026-01-02T01:04:05.5Z");
        check("2026-01-02T3:04:05-24:60", "2026-01-03T04:04:05Z");
        check("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z");
        check("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z");
        let unread = |text: &str, found: &str, wanted: &str| {
            let as_layout = "as \"2006-01-02T15:04:05Z07:00\"";
            check(text, &format!("parsing time \"{text}\" {as_layout}: cannot parse \"{found}\" as \"{wanted}\""));
        };
        unread("", "", "2006");
        unread("yesterday", "yesterday", "2006");
        unread("20a6-01-02", "20a6-01-02", "2006");
        unread("2026/01/02", "/01/02", "-");
        unread("2026-1-02T03:04:05Z", "1-02T03:04:05Z", "01");
        unread("2026-01-02", "", "T");
        unread("2026-01-02 03:04:05Z", " 03:04:05Z", "T");
        unread("2026-01-02T03:04Z", "Z", ":");
        unread("2026-01-02T03:04:05", "", "Z07:00");
        unread("2026-01-02T03:04:05z", "z", "Z07:00");
        unread("2026-01-02T03:04:05+0200", "+0200", "Z07:00");
        unread("2026-01-02T03:04:05*02:00", "*02:00", "Z07:00");
        let refused = |text: &str, why: &str| check(text, &format!("parsing time \"{text}\": {why}"));
        refused("2026-13-02T03:04:05Z", "month out of range");
        refused("2026-02-30T03:04:05Z", "day out of range");
        refused("2026-02-00T03:04:05Z", "day out of range");
        refused("2026-01-02T24:04:05Z", "hour out of range");
        refused("2026-01-02T03:60:05Z", "minute out of range");
        refused("2026-01-02T03:04:60Z", "second out of range");
        refused("2026-01-02T03:04:05+25:00", "time zone offset hour out of range");
        refused("2026-01-02T03:04:05+01:61", "time zone offset minute out of range");
        refused("2026-01-02T03:04:05Z+", "extra text: \"+\"");
        refused("9999-12-31T23:59:59-01:00", "year out of range");
        refused("0000-01-01T00:00:00+01:00", "year out of range");
        check(
            "\u{fc}\"",
            "parsing time \"\\xc3\\xbc\\\"\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\\xc3\\xbc\\\"\" as \"2006\"",
        );
    }

    /// Times without their six digits were taken, and came back as others.
    #[test]
    fn a_time_with_microseconds_has_six_digits_of_them() {
        let check = |text: &str, want: &str| check(Layout::Micros, text, want);
        check("2026-01-02T03:04:05.000600Z", "2026-01-02T03:04:05.0006Z");
        let unread = |text: &str, found: &str, wanted: &str| {
            let as_layout = "as \"2006-01-02T15:04:05.000000Z07:00\"";
            check(text, &format!("parsing time \"{text}\" {as_layout}: cannot parse \"{found}\" as \"{wanted}\""));
        };
        unread("2026-01-02T03:04:05Z", "Z", ".000000");
        unread("2026-01-02T03:04:05.123Z", ".123Z", ".000000");
        unread("2026-01-02T03:04:05.123456789Z", "789Z", "Z07:00");
    }
}
