//! A regular expression of a schema: compiled when a value is first held against it, and then kept.
//!
//! A large definition has some thousand patterns, and most are never used: each would cost tens of kilobytes.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use regex::Regex;

use crate::{re2, value::Str};

/// A regular expression in RE2's syntax.
#[derive(Clone)]
pub struct Pattern {
    text: Str,
    compiled: Arc<OnceLock<Result<Regex, String>>>,
}

impl Pattern {
    /// The expression `text`, which need not be valid.
    #[must_use]
    pub fn new(text: impl Into<Str>) -> Self {
        Self { text: text.into(), compiled: Arc::default() }
    }

    /// The text of the expression.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches somewhere in `text`. Errors: why the expression is none.
    pub fn is_match(&self, text: &str) -> Result<bool, &str> {
        match self.compiled.get_or_init(|| re2::compile(&self.text)) {
            Ok(regex) => Ok(regex.is_match(text)),
            Err(error) => Err(error),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
