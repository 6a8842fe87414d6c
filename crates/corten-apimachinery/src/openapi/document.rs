//! Whole documents: paths with the schemas that they refer to.

use std::collections::BTreeMap;

use super::{Dialect, Options, definitions};
use crate::{
    type_table::{TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// The document of `paths`, with the schemas of all types that they refer to.
///
/// `version` is that of the server, such as `v1.35.0`. Paths and schemas must be of the same dialect.
#[must_use]
pub fn document(table: &TypeTable, paths: BTreeMap<Str, Value>, version: &str, options: Options<'_>) -> Value {
    let mut roots = Vec::new();
    for item in paths.values() {
        collect_references(table, item, &mut roots);
    }
    let schemas = Value::object_of(definitions(table, roots, options));
    let info = Value::object_of([("title", "Kubernetes".into()), ("version", version.into())]);
    let token = ["description", "in", "name", "type"]
        .into_iter()
        .zip(["Bearer Token authentication", "header", "authorization", "apiKey"].map(Value::from));
    let security = Value::object_of([("BearerToken", Value::object_of(token))]);

    let mut out = Map::new();
    out.insert("info", info);
    out.insert("paths", Value::object_of(paths));
    match options.dialect {
        Dialect::V2 => {
            out.insert("swagger", "2.0");
            out.insert("definitions", schemas);
            out.insert("securityDefinitions", security);
            let needed = Value::object_of([("BearerToken", Value::array([]))]);
            out.insert("security", Value::array([needed]));
        }
        Dialect::V3 => {
            out.insert("openapi", "3.0.0");
            out.insert("components", Value::object_of([("schemas", schemas), ("securitySchemes", security)]));
        }
    }
    out.into()
}

/// Finds `$ref`s. Only called with path items of our own, whose depth is fixed.
fn collect_references(table: &TypeTable, value: &Value, into: &mut Vec<TypeId>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(table, item, into)),
        Value::Object(map) => {
            let target = map.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
            into.extend(target.and_then(|name| table.find(name)));
            map.iter().for_each(|(_, value)| collect_references(table, value, into));
        }
        _ => {}
    }
}
