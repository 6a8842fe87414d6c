//! Which rules hold for a definition: all for a new one; for a changed one not those that it did not keep before.

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::{
    Value,
    field::Path,
    schema::{MetaType, Structural, has_unpruned_defaults, props, validate_structural},
    value::{Str, semantically_equal},
};

use super::{conversion, map_list, schema::is_type, spec::schemas};

/// What is asked of a definition.
#[derive(Debug, Clone)]
pub(super) struct Requirements {
    /// Names of the resource stay.
    pub(super) immutable_names: bool,
    /// A version of conversion reviews is one that the server speaks.
    pub(super) known_review_version: bool,
    /// Every version has a schema.
    pub(super) openapi_schema: bool,
    /// Types are those of OpenAPI.
    pub(super) valid_types: bool,
    /// Schemas are structural.
    pub(super) structural_schema: bool,
    /// Defaults have no unknown fields.
    pub(super) pruned_defaults: bool,
    /// Items of sets are atomic.
    pub(super) atomic_set_items: bool,
    /// Keys of maps are required or have a default, and items of maps and sets are not nullable.
    pub(super) map_and_set_items: bool,
    /// Certificates of webhooks need not be any.
    pub(super) any_ca_bundle: bool,
    /// The versions whose schema is as it was: their rules may cost what they did.
    pub(super) unchanged_versions: BTreeSet<Str>,
}

impl Requirements {
    pub(super) fn of_new() -> Self {
        Self {
            immutable_names: false,
            known_review_version: true,
            openapi_schema: true,
            valid_types: true,
            structural_schema: true,
            pruned_defaults: true,
            atomic_set_items: true,
            map_and_set_items: true,
            any_ca_bundle: true,
            unchanged_versions: BTreeSet::new(),
        }
    }

    pub(super) fn of_update(definition: &Value, old: &Value) -> Self {
        let empty = Value::object();
        let spec = old.get("spec").unwrap_or(&empty);
        let is_established = old.items_at(&["status", "conditions"]).iter().any(|condition| {
            condition.str_at(&["type"]) == Some("Established") && condition.str_at(&["status"]) == Some("True")
        });
        let has = |wrong: &mut dyn FnMut(&Value) -> bool| schemas(spec).any(|schema| props::any(schema, wrong));
        let review_versions = spec.items_at(&["conversion", "webhook", "conversionReviewVersions"]);
        let has_schema = |version: &Value| version.at(&["schema", "openAPIV3Schema"]).is_some_and(|s| !s.is_null());
        let bundle = spec.str_at(&["conversion", "webhook", "clientConfig", "caBundle"]).unwrap_or_default();
        Self {
            immutable_names: is_established,
            known_review_version: conversion::has_known_review_version(review_versions),
            openapi_schema: spec.items_at(&["versions"]).iter().all(has_schema),
            valid_types: !has(&mut |schema| !schema.str_at(&["type"]).is_none_or(|ty| ty.is_empty() || is_type(ty))),
            structural_schema: schemas(spec).all(is_structural),
            pruned_defaults: !schemas(spec).any(has_unpruned),
            atomic_set_items: !has(&mut map_list::has_loose_set_items),
            map_and_set_items: !has(&mut map_list::has_loose_items),
            any_ca_bundle: !is_established || conversion::ca_bundle(bundle).is_err(),
            unchanged_versions: unchanged_versions(definition, old),
        }
    }

    /// Whether the schema of this version is as it was.
    pub(super) fn is_unchanged(&self, version: &str) -> bool {
        self.unchanged_versions.contains(version)
    }
}

fn is_structural(schema: &Value) -> bool {
    Structural::from_props(schema).is_ok_and(|schema| validate_structural(&Path::root(), &schema).is_empty())
}

fn has_unpruned(schema: &Value) -> bool {
    let mut has_default = |schema: &Value| schema.get("default").is_some_and(|default| !default.is_null());
    let Some(meta) = MetaType::of(corten_api::types::table()) else { return false };
    props::any(schema, &mut has_default)
        && is_structural(schema)
        && Structural::from_props(schema).is_ok_and(|schema| has_unpruned_defaults(&schema, false, meta))
}

fn unchanged_versions(definition: &Value, old: &Value) -> BTreeSet<Str> {
    let mut before: BTreeMap<&str, &Value> = BTreeMap::new();
    for version in old.items_at(&["spec", "versions"]) {
        before.entry(version.str_at(&["name"]).unwrap_or_default()).or_insert(version);
    }
    let mut unchanged = BTreeSet::new();
    for version in definition.items_at(&["spec", "versions"]) {
        let name = version.str_at(&["name"]).unwrap_or_default();
        let is_same = |before: &&Value| semantically_equal(before.get("schema"), version.get("schema"));
        if before.get(name).is_some_and(is_same) {
            unchanged.insert(name.into());
        }
    }
    unchanged
}
