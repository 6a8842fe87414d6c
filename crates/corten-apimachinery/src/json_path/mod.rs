//! Paths to parts of objects, as printer columns of custom resources and `-o jsonpath` write them: `{.spec.ports[*].name}`.
//!
//! Upstream: k8s.io/client-go/util/jsonpath; for cells k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor
//! (v1.35). Order of map entries, which upstream leaves to chance, is that of their keys.

mod cell;
mod eval;
mod node;
mod parse;

pub use cell::ColumnPath;
pub use eval::EvalError;
pub use parse::ParseError;

use std::borrow::Cow;

use self::node::Node;
use crate::value::Value;

/// A template: text with paths in braces.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    nodes: Vec<Node>,
    allow_missing_keys: bool,
}

impl JsonPath {
    /// Reads a template. A field that is not there is an error when it is used, unless `allow_missing_keys`.
    ///
    /// Errors: why it is none.
    pub fn parse(text: &str, allow_missing_keys: bool) -> Result<Self, ParseError> {
        Ok(Self { nodes: parse::template(text)?, allow_missing_keys })
    }

    /// What each part of the template finds in `object`.
    ///
    /// Errors: a part that does not fit the object, or finds too much.
    pub fn find<'v>(&'v self, object: &'v Value) -> Result<Vec<Vec<Cow<'v, Value>>>, EvalError> {
        eval::find(&self.nodes, object, self.allow_missing_keys)
    }
}

#[cfg(test)]
mod tests;
