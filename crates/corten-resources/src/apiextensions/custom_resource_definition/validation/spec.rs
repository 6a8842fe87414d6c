//! Rules of a definition's `spec`.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    schema::props,
    validation::{is_dns1035_label, is_dns1123_subdomain},
};

use super::{conversion, hoist::Hoisted, names, ratchet::Requirements, version};
use crate::report::Report;

/// The schemas of all versions.
pub(super) fn schemas(spec: &Value) -> impl Iterator<Item = &Value> {
    let versions = spec.items_at(&["versions"]).iter();
    versions.filter_map(|version| version.at(&["schema", "openAPIV3Schema"])).filter(|schema| !schema.is_null())
}

pub(super) fn check(spec: &Value, requirements: &Requirements, path: &Path, errors: &mut ErrorList) {
    let versions = spec.items_at(&["versions"]);
    let preserves = spec.bool_at(&["preserveUnknownFields"]) == Some(true);
    group(spec.str_at(&["group"]).unwrap_or_default(), &path.child("group"), errors);
    let scope = spec.str_at(&["scope"]).unwrap_or_default();
    errors.require_one_of(&path.child("scope"), scope, &["Cluster", "Namespaced"]);
    required_schemas(versions, requirements, preserves, path, errors);
    let has_defaults = schemas(spec).any(|schema| props::any(schema, &mut has_default));
    if has_defaults && preserves {
        let detail = "must be false in order to use defaults in the schema";
        errors.invalid(&path.child("preserveUnknownFields"), true, detail);
    }
    // What keeps no unknown fields, fills in defaults or says more of fields than their type needs to know them all.
    let mut requirements = requirements.clone();
    requirements.structural_schema |=
        !preserves || has_defaults || schemas(spec).any(|schema| props::any(schema, &mut has_extension));

    let hoisted = Hoisted::of(spec);
    let at = path.child("versions");
    for (index, version) in versions.iter().enumerate() {
        names::label(version.str_at(&["name"]).unwrap_or_default(), &at.index(index).child("name"), errors);
        version::check(version, hoisted, &requirements, &at.index(index), errors);
    }
    let names_of: BTreeSet<&str> = versions.iter().filter_map(|version| version.str_at(&["name"])).collect();
    if names_of.len() < versions.len() {
        errors.invalid_shown(&at, || hoisted.shown(), "must contain unique version names");
    }
    if versions.iter().filter(|version| version.bool_at(&["storage"]) == Some(true)).count() != 1 {
        errors.invalid_shown(&at, || hoisted.shown(), "must have exactly one version marked as storage version");
    }
    // Upstream's own form has the first version's name once more.
    let first = versions.first().and_then(|version| version.str_at(&["name"])).unwrap_or_default();
    if !first.is_empty() && !is_dns1035_label(first).is_empty() {
        names::label(first, &path.child("version"), errors);
    }
    let (empty, at) = (Value::object(), path.child("names"));
    let resource_names = spec.get("names").unwrap_or(&empty);
    names::check_required(resource_names, &at, errors);
    names::check(resource_names, &at, errors);
    version::check_common(versions, hoisted, &requirements, path, errors);
    conversion::check(spec, preserves, &requirements, &path.child("conversion"), errors);
}

fn group(group: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, group) {
        return;
    }
    let reasons = is_dns1123_subdomain(group);
    if !reasons.is_empty() {
        errors.invalid(path, group, reasons.join(","));
    } else if !group.contains('.') {
        errors.invalid(path, group, "should be a domain with at least one dot");
    }
}

fn required_schemas(
    versions: &[Value],
    requirements: &Requirements,
    preserves: bool,
    path: &Path,
    errors: &mut ErrorList,
) {
    let lacks_schema = |version: &Value| version.at(&["schema", "openAPIV3Schema"]).is_none_or(Value::is_null);
    for (index, version) in versions.iter().enumerate().filter(|(_, version)| lacks_schema(version)) {
        let at = path.child("versions").index(index).child("schema").child("openAPIV3Schema");
        if requirements.openapi_schema {
            errors.required(&at, "schemas are required");
        } else if !preserves && version.bool_at(&["served"]) == Some(true) {
            errors.required(&at, "because otherwise all fields are pruned");
        }
    }
}

fn has_default(schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| !default.is_null())
}

/// Whether a schema uses what only structural schemas may.
fn has_extension(schema: &Value) -> bool {
    let is_set = |key: &str| schema.get(key).is_some_and(|value| !value.is_null());
    let is_on = |key: &str| schema.bool_at(&[key]) == Some(true);
    let has_items = |key: &str| !schema.items_at(&[key]).is_empty();
    is_on("x-kubernetes-embedded-resource")
        || is_set("x-kubernetes-preserve-unknown-fields")
        || is_on("x-kubernetes-int-or-string")
        || has_items("x-kubernetes-list-map-keys")
        || is_set("x-kubernetes-list-type")
        || has_items("x-kubernetes-validations")
}
