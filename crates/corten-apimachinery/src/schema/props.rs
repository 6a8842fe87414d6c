//! Walks `JSONSchemaProps` as a tree: every schema in it, wherever a schema can stand.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation SchemaHas (v1.35).

use super::convert::SCHEMA_DEPTH_MAX;
use crate::value::Value;

/// Whether `holds` for `props` or a schema in it. Ends at the first.
pub fn any(props: &Value, holds: &mut dyn FnMut(&Value) -> bool) -> bool {
    any_within(props, holds, 0)
}

/// Calls `visit` for `props` and every schema in it.
pub fn for_each(props: &Value, visit: &mut dyn FnMut(&Value)) {
    any(props, &mut |schema| {
        visit(schema);
        false
    });
}

fn any_within(props: &Value, holds: &mut dyn FnMut(&Value) -> bool, depth: usize) -> bool {
    // What is deeper is refused where schemas are read.
    if !matches!(props, Value::Object(_)) || depth > SCHEMA_DEPTH_MAX {
        return false;
    }
    if holds(props) {
        return true;
    }
    PLACES.iter().any(|(key, is_by_name)| match props.get(key) {
        Some(Value::Array(schemas)) => schemas.iter().any(|schema| any_within(schema, holds, depth + 1)),
        Some(Value::Object(schemas)) if *is_by_name => {
            schemas.iter().any(|(_, schema)| any_within(schema, holds, depth + 1))
        }
        Some(schema) => any_within(schema, holds, depth + 1),
        None => false,
    })
}

/// Where schemas stand within schemas, and whether they stand there by name.
const PLACES: &[(&str, bool)] = &[
    ("items", false),
    ("allOf", false),
    ("anyOf", false),
    ("oneOf", false),
    ("not", false),
    ("properties", true),
    ("additionalProperties", false),
    ("patternProperties", true),
    ("additionalItems", false),
    ("definitions", true),
    ("dependencies", true),
];
