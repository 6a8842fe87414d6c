//! Selectors: which objects a request is about, by labels or by fields.

pub mod field;
pub mod label;
