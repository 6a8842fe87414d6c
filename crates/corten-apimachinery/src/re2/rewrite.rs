//! Writes an expression of RE2 as crate `regex` reads it.
//!
//! `class` writes what stands in brackets, and escapes; `group` what stands behind `(?`.
//! Upstream: Go's regexp/syntax/parse.go, where also the limits of repetitions are from.

use super::{
    class::{class, escape},
    group::group,
};

/// The largest count of a repetition, and the largest product of the counts of those that stand in each other.
const REPEAT_MAX: u32 = 1000;

/// The expression in the words of crate `regex`. Errors: what has no such words, because it is no expression of RE2.
pub(super) fn rewrite(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut repeats = Repeats::default();
    // What begins with the repetition that was written last, if nothing stands behind that: another one has nothing to
    // repeat. Crate `regex` would take it.
    let mut repeated = "";
    while let Some(first) = rest.chars().next() {
        if let Some(repetition) = Repetition::at(rest) {
            repetition.check_counts()?;
            out.push_str(repetition.text);
            let before = rest;
            rest = &rest[repetition.text.len()..];
            if let Some(tail) = rest.strip_prefix('?') {
                out.push('?');
                rest = tail;
            }
            let written = |from: &str| from[..from.len() - rest.len()].to_owned();
            if !repeated.is_empty() {
                return Err(format!("invalid nested repetition operator: `{}`", written(repeated)));
            }
            if !repeats.repeat(&repetition) {
                return Err(format!("invalid repeat count: `{}`", written(before)));
            }
            repeated = before;
            continue;
        }
        repeated = "";
        let tail = &rest[first.len_utf8()..];
        rest = match first {
            '\\' => {
                repeats.part();
                escape(rest, &mut out)?
            }
            '[' => {
                repeats.part();
                class(rest, &mut out)?
            }
            '(' => {
                repeats.open();
                if tail.starts_with('?') {
                    group(rest, &mut out)?
                } else {
                    out.push('(');
                    tail
                }
            }
            _ => {
                match first {
                    ')' => repeats.close(),
                    _ => repeats.part(),
                }
                if first == '{' {
                    out.push('\\');
                }
                out.push(first);
                tail
            }
        };
    }
    Ok(out)
}

/// How often what is written so far is repeated within itself.
#[derive(Debug, Default)]
struct Repeats {
    group: Group,
    /// The groups around it.
    outer: Vec<Group>,
}

/// The largest product of the counts of repetitions that stand in each other, in a group.
#[derive(Debug, Default)]
struct Group {
    /// In the last part, which a repetition would repeat.
    last: u32,
    /// In those before.
    before: u32,
}

impl Repeats {
    /// Another part begins.
    fn part(&mut self) {
        self.group.before = self.group.before.max(self.group.last);
        self.group.last = 1;
    }

    fn open(&mut self) {
        self.part();
        self.outer.push(std::mem::take(&mut self.group));
    }

    /// A group ends, if one was open.
    fn close(&mut self) {
        if let Some(outer) = self.outer.pop() {
            let inner = std::mem::replace(&mut self.group, outer);
            self.group.last = inner.last.max(inner.before).max(1);
        }
    }

    /// The last part is repeated. Returns whether RE2 allows it that often.
    fn repeat(&mut self, repetition: &Repetition<'_>) -> bool {
        let Some((low, high)) = repetition.counts else { return true };
        // What cannot be there at all may hold anything.
        let most = high.unwrap_or(low.max(1));
        self.group.last = self.group.last.saturating_mul(most);
        low.max(most) < 2 || self.group.last <= REPEAT_MAX
    }
}

/// A repetition.
struct Repetition<'t> {
    text: &'t str,
    /// The least and the largest count, if it is written with counts.
    counts: Option<(u32, Option<u32>)>,
}

impl<'t> Repetition<'t> {
    /// The one at the start of `text`: `*`, `+`, `?`, `{2}`, `{2,}`, `{2,3}`. Anything else in braces is text.
    fn at(text: &'t str) -> Option<Self> {
        match text.as_bytes().first()? {
            b'*' | b'+' | b'?' => return Some(Self { text: &text[..1], counts: None }),
            b'{' => {}
            _ => return None,
        }
        let end = text.find('}')?;
        let counts = match text[1..end].split_once(',') {
            Some((low, "")) => (count(low)?, None),
            Some((low, high)) => (count(low)?, Some(count(high)?)),
            None => {
                let exact = count(&text[1..end])?;
                (exact, Some(exact))
            }
        };
        Some(Self { text: &text[..=end], counts: Some(counts) })
    }

    /// RE2 repeats at most a thousand times.
    fn check_counts(&self) -> Result<(), String> {
        match self.counts {
            Some((low, high)) if low > REPEAT_MAX || high.is_some_and(|high| high > REPEAT_MAX || low > high) => {
                Err(format!("invalid repeat count: `{}`", self.text))
            }
            _ => Ok(()),
        }
    }
}

/// A count: digits, of which the first of several is not 0. One that is too large for anything is `u32::MAX`.
fn count(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().unwrap_or(u32::MAX))
}
