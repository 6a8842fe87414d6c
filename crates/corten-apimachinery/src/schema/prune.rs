//! Takes fields away that the schema does not know.
//!
//! `apiVersion`, `kind` and `metadata` of an object are none of the schema's business: `object_meta` sees to them.
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning (v1.35).

use std::fmt::Write as _;

use super::{AdditionalProperties, Structural};
use crate::value::Value;

/// How many unknown fields are told. Upstream's figure.
const UNKNOWN_MAX: usize = 100;

/// The fields that every object has.
pub(super) fn is_meta_field(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

/// The fields that a schema does not know, by path.
#[derive(Debug, Default)]
pub struct UnknownFields {
    is_tracking: bool,
    parent: String,
    paths: Vec<String>,
}

impl UnknownFields {
    /// Collects paths.
    #[must_use]
    pub fn tracked() -> Self {
        Self { is_tracking: true, ..Self::default() }
    }

    /// Collects nothing.
    #[must_use]
    pub fn ignored() -> Self {
        Self::default()
    }

    /// The paths found, sorted, a hundred at most.
    #[must_use]
    pub fn into_paths(mut self) -> Vec<String> {
        self.paths.sort();
        self.paths
    }

    /// Whether paths are asked for, and there is room for more.
    pub(super) fn is_tracking(&self) -> bool {
        self.is_tracking && self.paths.len() < UNKNOWN_MAX
    }

    /// Notes a path that is known in full.
    pub(super) fn note(&mut self, path: String) {
        if self.is_tracking() {
            self.paths.push(path);
        }
    }

    fn record(&mut self, name: &str) {
        if self.is_tracking() {
            let length = self.push_key(name);
            self.paths.push(self.parent.clone());
            self.parent.truncate(length);
        }
    }

    /// Goes down to a field; what it returns is for `pop`.
    pub(super) fn push_key(&mut self, name: &str) -> usize {
        let length = self.parent.len();
        if self.is_tracking {
            if length > 0 {
                self.parent.push('.');
            }
            self.parent.push_str(name);
        }
        length
    }

    /// Goes down to an item; what it returns is for `pop`.
    pub(super) fn push_index(&mut self, index: usize) -> usize {
        let length = self.parent.len();
        if self.is_tracking {
            let _ = write!(self.parent, "[{index}]");
        }
        length
    }

    /// Goes back up.
    pub(super) fn pop(&mut self, length: usize) {
        self.parent.truncate(length);
    }
}

/// Takes away the fields of `value` that `schema` does not know, and notes them. `is_resource_root`: `value` is a whole
/// object, whose metadata stays in any case.
pub fn prune(value: &mut Value, schema: &Structural, is_resource_root: bool, unknown: &mut UnknownFields) {
    let is_resource = is_resource_root || schema.extensions.embedded_resource;
    if schema.extensions.preserve_unknown_fields {
        descend_preserving(value, schema, is_resource, unknown);
    } else {
        descend(value, schema, is_resource, unknown);
    }
}

fn descend(value: &mut Value, schema: &Structural, is_resource: bool, unknown: &mut UnknownFields) {
    match value {
        Value::Object(map) => map.retain(|name, child| {
            if is_resource && is_meta_field(name) {
                return true;
            }
            match child_schema(schema, name) {
                Child::Schema(schema) => within_key(child, schema, name, unknown),
                Child::Any => {
                    let length = unknown.push_key(name);
                    empty(child, unknown);
                    unknown.pop(length);
                }
                Child::Unknown => {
                    if !is_meta_field(name) || !unknown.parent.is_empty() {
                        unknown.record(name);
                    }
                    return false;
                }
            }
            true
        }),
        Value::Array(_) => {
            for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                let length = unknown.push_index(index);
                match &schema.items {
                    Some(items) => prune(item, items, false, unknown),
                    None => empty(item, unknown),
                }
                unknown.pop(length);
            }
        }
        _ => {}
    }
}

/// Unknown fields stay here, and those that are known are pruned as they say.
fn descend_preserving(value: &mut Value, schema: &Structural, is_resource: bool, unknown: &mut UnknownFields) {
    match value {
        Value::Object(map) => {
            if schema.properties.is_empty() && schema.additional_properties.is_none() {
                return;
            }
            for (name, child) in map.iter_mut() {
                if is_resource && is_meta_field(name) {
                    continue;
                }
                match child_schema(schema, name) {
                    Child::Schema(schema) => within_key(child, schema, name, unknown),
                    Child::Any => {
                        let length = unknown.push_key(name);
                        empty(child, unknown);
                        unknown.pop(length);
                    }
                    Child::Unknown => {}
                }
            }
        }
        Value::Array(_) => {
            let Some(items) = &schema.items else { return };
            for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                let length = unknown.push_index(index);
                descend_preserving(item, items, items.extensions.embedded_resource, unknown);
                unknown.pop(length);
            }
        }
        _ => {}
    }
}

fn within_key(child: &mut Value, schema: &Structural, name: &str, unknown: &mut UnknownFields) {
    let length = unknown.push_key(name);
    prune(child, schema, false, unknown);
    unknown.pop(length);
}

/// What a schema says of a field.
enum Child<'s> {
    Schema(&'s Structural),
    /// It may be there, and nothing in it has a schema.
    Any,
    Unknown,
}

fn child_schema<'s>(schema: &'s Structural, name: &str) -> Child<'s> {
    match (schema.properties.get(name), &schema.additional_properties) {
        (Some(schema), _) => Child::Schema(schema),
        (None, Some(AdditionalProperties::Schema(schema))) => Child::Schema(schema),
        (None, Some(AdditionalProperties::Allowed(_))) => Child::Any,
        (None, None) => Child::Unknown,
    }
}

/// Takes all fields away from a value that has no schema, also from objects in lists.
fn empty(value: &mut Value, unknown: &mut UnknownFields) {
    match value {
        Value::Object(map) => map.retain(|name, _| {
            unknown.record(name);
            false
        }),
        Value::Array(_) => {
            for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                let length = unknown.push_index(index);
                empty(item, unknown);
                unknown.pop(length);
            }
        }
        _ => {}
    }
}
