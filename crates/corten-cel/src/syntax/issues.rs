//! What is wrong with an expression, as far as anybody reads it.
//!
//! Upstream: cel-go common/errors.go (v0.26.0).

use std::ops::Deref;

use super::Source;

/// The most issues of one expression that are told, as upstream. Others are counted: an expression can have one for each of
/// its characters, and to find the place of each goes through all that stands before it.
const ISSUES_MAX: usize = 100;

/// One thing that is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// From 1; 0 where no place can be named.
    pub line: u32,
    /// In characters, from 0.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

/// The first issues of an expression, and how many others there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues {
    told: Vec<Issue>,
    untold: usize,
}

impl Issues {
    /// Adds an issue at byte `position` of `source`.
    pub(crate) fn add(&mut self, source: Source<'_>, position: u32, message: impl Into<String>) {
        self.push_with(|| source.issue(position, message));
    }

    /// Adds an issue of the expression as a whole.
    pub(crate) fn add_of_all(&mut self, message: impl Into<String>) {
        self.push_with(|| Source::issue_of_all(message));
    }

    fn push_with(&mut self, issue: impl FnOnce() -> Issue) {
        if self.told.len() < ISSUES_MAX {
            self.told.push(issue());
        } else {
            self.untold += 1;
        }
    }

    /// How many there are that are not told.
    #[must_use]
    pub fn untold(&self) -> usize {
        self.untold
    }
}

impl Deref for Issues {
    type Target = [Issue];

    fn deref(&self) -> &[Issue] {
        &self.told
    }
}

impl From<Issue> for Issues {
    fn from(issue: Issue) -> Self {
        Self { told: vec![issue], untold: 0 }
    }
}
