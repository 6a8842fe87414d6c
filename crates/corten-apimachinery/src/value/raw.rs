//! JSON text that a tree keeps as it is, because nobody looks into it.
//!
//! The field sets of managed fields are a third of a typical object, with a node for each field. Nearly all writes carry them
//! from the stored form to the next stored form unread.

use std::{fmt, sync::Arc};

use super::Value;
use crate::codec::{FieldValidation, json};

/// The text of a JSON object without spaces. Two are equal if their texts are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Raw(Arc<str>);

impl Raw {
    /// Keeps `text`, which has to be the JSON of an object without spaces.
    #[must_use]
    pub fn new(text: &str) -> Self {
        debug_assert!(text.starts_with('{') && text.ends_with('}'), "{text} is an object");
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The text as a tree.
    #[must_use]
    pub fn tree(&self) -> Value {
        match json::decode(self.0.as_bytes(), None, FieldValidation::Ignore) {
            Ok(decoded) => decoded.value,
            Err(error) => unreachable!("text is kept once it was read: {error}"),
        }
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
