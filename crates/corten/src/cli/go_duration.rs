//! Durations in the form that upstream's flags and files have.

use std::time::Duration;

/// Reads a duration as Go writes it: `1h2m3.5s`, `300ms`, `0`. Zero stays zero, negative ones are refused.
///
/// Source: Go, `time.ParseDuration`.
pub(crate) fn go_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || format!("time: invalid duration {text:?}");
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|one: char| !one.is_ascii_digit() && one != '.').ok_or_else(invalid)?;
        let (number, behind) = rest.split_at(digits);
        let unit_end = behind.find(|one: char| one.is_ascii_digit() || one == '.').unwrap_or(behind.len());
        let (unit, after) = behind.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(invalid()),
        };
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| invalid())?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = after;
    }
    if text.is_empty() { Err(invalid()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, want) in [("10s", 10_000), ("1h2m3.5s", 3_723_500), ("300ms", 300), ("0", 0), ("0s", 0)] {
            assert_eq!(go_duration(text), Ok(Duration::from_millis(want)), "{text}");
        }
        for text in ["", "10", "s", "1x", "-1s", "1.2.3s"] {
            assert!(go_duration(text).is_err(), "{text}");
        }
    }
}
