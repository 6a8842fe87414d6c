//! Places in the text of an expression, and messages about them.
//!
//! Upstream: cel-go common/{source,error}.go (v0.26.0).

use std::fmt::Write as _;

use super::{Issue, Issues};

/// The text of an expression.
#[derive(Debug, Clone, Copy)]
pub struct Source<'t> {
    text: &'t str,
}

impl<'t> Source<'t> {
    /// `text`, called `<input>` in messages.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self { text }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// An issue at byte `position`.
    #[must_use]
    pub fn issue(&self, position: u32, message: impl Into<String>) -> Issue {
        let end = self.text.floor_char_boundary((position as usize).min(self.text.len()));
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Issue {
            line: count(before.bytes().filter(|byte| *byte == b'\n').count() + 1),
            column: count(before[line_start..].chars().count()),
            message: message.into(),
        }
    }

    /// An issue of the expression as a whole.
    #[must_use]
    pub fn issue_of_all(message: impl Into<String>) -> Issue {
        Issue { line: 0, column: 0, message: message.into() }
    }

    /// The issues as a text for people: each with its place, its line, and a mark under the line.
    #[must_use]
    pub fn display(&self, issues: &Issues) -> String {
        let mut sorted: Vec<&Issue> = issues.iter().collect();
        sorted.sort_by_key(|issue| (issue.line, issue.column));
        let mut out = String::new();
        for (index, issue) in sorted.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            self.display_one(issue, &mut out);
        }
        if issues.untold() > 0 {
            let _ = write!(out, "\n{} more errors were truncated", issues.untold());
        }
        out
    }

    fn display_one(&self, issue: &Issue, out: &mut String) {
        if issue.line == 0 {
            let _ = write!(out, "ERROR: <input>:-1:0: {}", issue.message);
            return;
        }
        let _ = write!(out, "ERROR: <input>:{}:{}: {}", issue.line, issue.column + 1, issue.message);
        let Some(line) = self.text.split('\n').nth(issue.line as usize - 1) else { return };
        // A tab would shift the mark.
        let line = line.replace('\t', " ");
        let _ = write!(out, "\n | {line}\n | ");
        // The mark is as wide as what it stands under: full-width forms where the text has characters beyond Latin.
        let mut characters = line.chars();
        for _ in 0..issue.column {
            out.push(if characters.next().is_some_and(is_wide) { '\u{ff0e}' } else { '.' });
        }
        out.push(if characters.next().is_some_and(is_wide) { '\u{ff3e}' } else { '^' });
    }
}

fn is_wide(character: char) -> bool {
    character.len_utf8() > 1
}
