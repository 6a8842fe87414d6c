//! Whole documents: paths with the schemas that they refer to.

use std::collections::BTreeMap;

use super::{Dialect, Options, definitions};
use crate::{
    schema::{LIST_META, MetaType},
    type_table::{TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// What a document is about, which is what it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About<'v> {
    /// A server of this version, such as `v1.35.0`, or a part of it.
    Server(&'v str),
    /// Custom resources and nothing else.
    CustomResources,
}

/// The document of `paths` with `custom`, the schemas of custom resources, and the schemas of all types that they refer to.
///
/// Paths and schemas must be of the same dialect.
#[must_use]
pub fn document(
    table: &TypeTable,
    paths: BTreeMap<Str, Value>,
    custom: BTreeMap<Str, Value>,
    about: About<'_>,
    options: Options<'_>,
) -> Value {
    let mut schemas = referred(table, &paths, !custom.is_empty(), options);
    schemas.extend(custom);
    let mut out = head(about, options.dialect);
    out.insert("paths", Value::object_of(paths));
    match options.dialect {
        Dialect::V2 => drop(out.insert("definitions", Value::object_of(schemas))),
        Dialect::V3 if schemas.is_empty() => {}
        Dialect::V3 => {
            let mut components = out.get("components").and_then(Value::as_object).cloned().unwrap_or_default();
            components.insert("schemas", Value::object_of(schemas));
            out.insert("components", components);
        }
    }
    out.into()
}

/// The schemas of all types that `paths` refer to, and where there are custom resources, of those that theirs refer to.
#[must_use]
pub fn referred(
    table: &TypeTable,
    paths: &BTreeMap<Str, Value>,
    has_custom: bool,
    options: Options<'_>,
) -> BTreeMap<Str, Value> {
    let mut roots = Vec::new();
    for item in paths.values() {
        collect_references(table, item, &mut roots);
    }
    if has_custom {
        roots.extend([MetaType::NAME, LIST_META].iter().filter_map(|name| table.find(name)));
    }
    definitions(table, roots, options)
}

/// What a document says besides paths and schemas, which are empty.
#[must_use]
pub fn head(about: About<'_>, dialect: Dialect) -> Map {
    let (title, version) = match about {
        About::Server(version) => ("Kubernetes", version),
        About::CustomResources => ("Kubernetes CRD Swagger", "v0.1.0"),
    };
    let info = Value::object_of([("title", title.into()), ("version", version.into())]);
    let token = ["description", "in", "name", "type"]
        .into_iter()
        .zip(["Bearer Token authentication", "header", "authorization", "apiKey"].map(Value::from));
    let security = Value::object_of([("BearerToken", Value::object_of(token))]);

    let mut out = Map::new();
    out.insert("info", info);
    out.insert("paths", Map::new());
    match dialect {
        Dialect::V2 => {
            out.insert("swagger", "2.0");
            out.insert("definitions", Map::new());
            out.insert("parameters", Map::new());
            out.insert("securityDefinitions", security);
            let needed = Value::object_of([("BearerToken", Value::array([]))]);
            out.insert("security", Value::array([needed]));
        }
        Dialect::V3 => {
            out.insert("openapi", "3.0.0");
            let mut components = Map::new();
            if about != About::CustomResources {
                components.insert("securitySchemes", security);
            }
            out.insert("components", components);
        }
    }
    out
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
