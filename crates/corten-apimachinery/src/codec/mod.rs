//! Between bytes and trees, in every encoding that the API speaks, driven by the type table.

mod canonical;
pub mod cbor;
mod error;
mod go_time;
pub mod json;
pub mod lists;
mod objects;
pub mod protobuf;
mod stored_form;
pub mod yaml;
#[cfg(test)]
mod zero_time_tests;

pub use canonical::{canonicalize, empty, time as canonical_time};
pub use error::DecodeError;
pub use stored_form::settle_empty_lists;

use crate::{
    gvk::GroupVersion,
    meta::ObjectMeta as _,
    type_table::{TypeId, TypeTable},
    value::Value,
};

/// How unknown and duplicate fields are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped in silence.
    Ignore,
    /// They are dropped and reported.
    Warn,
    /// They are reported; the caller refuses the request.
    Strict,
}

/// A decoded tree and what was wrong with its text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// The tree, in canonical form if a type was given.
    pub value: Value,
    /// Unknown and duplicate fields in upstream's words, in the order found.
    complaints: Vec<String>,
}

impl Decoded {
    /// A tree from an encoding that cannot have unknown or duplicate fields.
    #[must_use]
    pub fn of(value: Value) -> Self {
        Self { value, complaints: Vec::new() }
    }

    /// Unknown and duplicate fields in upstream's words: `unknown field "spec.foo"`.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }
}

/// The type that a tree says it has, if the table knows it.
#[must_use]
pub fn type_of(table: &TypeTable, tree: &Value) -> Option<TypeId> {
    let version = GroupVersion::parse(tree.api_version())?;
    table.find_kind(&version.group, &version.version, tree.kind())
}
