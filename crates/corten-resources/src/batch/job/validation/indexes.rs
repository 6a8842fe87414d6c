//! The text form of a set of indexes: `1,3-5,7`.

use corten_apimachinery::field::quote;

/// How many indexes a text names, all of them below `completions`.
///
/// Errors: why it is no such text.
pub(super) fn count(text: &str, completions: i32) -> Result<i64, String> {
    let mut total = 0;
    let mut last = None;
    for interval in intervals(text) {
        let (first, end) = parse(interval, completions)?;
        if let Some(last) = last.filter(|&last| last >= first) {
            return Err(non_increasing(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn intervals(text: &str) -> impl Iterator<Item = &str> {
    // No text is the empty set, but an empty interval is none.
    text.split(',').filter(move |_| !text.is_empty())
}

fn non_increasing(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

/// The first and the last index of an interval.
fn parse(interval: &str, completions: i32) -> Result<(i64, i64), String> {
    let index = |text: &str| {
        let number: i64 =
            text.parse().map_err(|_| format!("cannot convert string to integer for index: {}", quote(text)))?;
        if number >= i64::from(completions) {
            return Err(format!("too large index: {}", quote(text)));
        }
        Ok(number)
    };
    let Some((first, last)) = interval.split_once('-') else {
        let only = index(interval)?;
        return Ok((only, only));
    };
    if last.contains('-') {
        return Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            quote(interval)
        ));
    }
    let (first, last) = (index(first)?, index(last)?);
    if first >= last { Err(non_increasing(first, last)) } else { Ok((first, last)) }
}

/// The first index that is in both texts. Intervals that are none are passed over: they are reported elsewhere.
pub(super) fn overlap(completed: &str, failed: &str, completions: i32) -> Option<i64> {
    let parsed = |text| intervals(text).filter_map(|interval| parse(interval, completions).ok());
    let (mut completed, mut failed) = (parsed(completed).peekable(), parsed(failed).peekable());
    while let (Some(&(first, last)), Some(&(failed_first, failed_last))) = (completed.peek(), failed.peek()) {
        if first <= failed_last && failed_first <= last {
            return Some(first.max(failed_first));
        }
        if first <= failed_first {
            completed.next();
        } else {
            failed.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{count, overlap};

    #[test]
    fn sets_of_indexes_are_read() {
        let cases: [(&str, Result<i64, &str>); 11] = [
            ("", Ok(0)),
            ("0", Ok(1)),
            ("1,3-5,7", Ok(5)),
            ("9", Ok(1)),
            ("10", Err("too large index: \"10\"")),
            ("1-10", Err("too large index: \"10\"")),
            (
                "1-3-5",
                Err(
                    "the fragment \"1-3-5\" violates the requirement that an index interval can have at most two parts separated by '-'",
                ),
            ),
            ("x", Err("cannot convert string to integer for index: \"x\"")),
            ("1,", Err("cannot convert string to integer for index: \"\"")),
            ("5-3", Err("non-increasing order, previous: 5, current: 3")),
            ("1-3,3", Err("non-increasing order, previous: 3, current: 3")),
        ];
        for (text, want) in cases {
            assert_eq!(count(text, 10), want.map_err(ToOwned::to_owned), "{text}");
        }
    }

    #[test]
    fn what_is_in_both_sets_is_found() {
        for (completed, failed, want) in [
            ("", "1", None),
            ("0-2,5", "3-4", None),
            ("0-2,5", "3-7", Some(5)),
            ("4", "1,x,4", Some(4)),
            ("0,2,4", "1,3,4-5", Some(4)),
        ] {
            assert_eq!(overlap(completed, failed, 10), want, "{completed} {failed}");
        }
    }
}
