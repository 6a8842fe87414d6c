//! The rules that make a schema structural: fields are declared outside of logical junctors, with a type, and nothing else
//! than what values must be like stands inside of them.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/{validation,complete}.go (v1.35).

use super::{AdditionalProperties, Extensions, Generic, NestedValueValidation, Structural, ValueValidation};
use crate::{
    field::{Error, ErrorList, Path},
    re2,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Every rule of structural schemas that `schema` breaks, sorted by text. `path` is the place of the schema.
#[must_use]
pub fn validate_structural(path: &Path, schema: &Structural) -> ErrorList {
    let mut errors = ErrorList::new();
    invariants(schema, Level::Root, path, &mut errors);
    completeness(schema.validation.as_deref(), schema, path, path, &mut errors);
    let mut sorted: Vec<(String, Error)> = errors.into_iter().map(|error| (error.to_string(), error)).collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    sorted.into_iter().map(|(_, error)| error).collect()
}

fn invariants(schema: &Structural, level: Level, path: &Path, errors: &mut ErrorList) {
    let ty = schema.generic.ty.as_str();
    if ty == "array" && schema.items.is_none() {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if let Some(items) = &schema.items {
        invariants(items, Level::Item, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, field) in &schema.properties {
        invariants(field, Level::Field, &properties.key(name), errors);
    }
    if let Some(additional) = &schema.additional_properties {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.push(Error::forbidden(&path, "must not be used at the root"));
        }
        if let AdditionalProperties::Schema(schema) = additional {
            invariants(schema, Level::Field, &path, errors);
        }
    }
    exclusive_extensions(&schema.extensions, path, errors);
    if let Some(validation) = schema.validation.as_deref() {
        let skip_any_of = is_int_or_string(&validation.any_of);
        let skip_first_all_of =
            validation.all_of.first().is_some_and(|first| is_int_or_string(&first.validation.any_of));
        value_validation(validation, skip_any_of, skip_first_all_of, path, errors);
    }
    types(schema, level, path, errors);
    metadata(schema, level, path, errors);
    if schema.extensions.embedded_resource && !schema.extensions.preserve_unknown_fields && schema.properties.is_empty()
    {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(&properties, detail));
    }
}

/// The two patterns in which a type may stand inside of a junctor: either an integer or a string.
fn is_int_or_string(clauses: &[NestedValueValidation]) -> bool {
    let is = |clause: &NestedValueValidation, ty: &str| {
        *clause
            == NestedValueValidation {
                forbidden_generics: Generic { ty: ty.into(), ..Generic::default() },
                ..NestedValueValidation::default()
            }
    };
    matches!(clauses, [first, second] if is(first, "integer") && is(second, "string"))
}

fn exclusive_extensions(extensions: &Extensions, path: &Path, errors: &mut ErrorList) {
    let detail = "must be false if x-kubernetes-int-or-string is true";
    if extensions.int_or_string && extensions.preserve_unknown_fields {
        errors.push(Error::invalid(&path.child("x-kubernetes-preserve-unknown-fields"), true, detail));
    }
    if extensions.int_or_string && extensions.embedded_resource {
        errors.push(Error::invalid(&path.child("x-kubernetes-embedded-resource"), true, detail));
    }
}

fn types(schema: &Structural, level: Level, path: &Path, errors: &mut ErrorList) {
    let (ty, extensions) = (schema.generic.ty.as_str(), &schema.extensions);
    let at = path.child("type");
    if extensions.embedded_resource && ty != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if ty.is_empty() { Error::required(&at, detail) } else { Error::invalid(&at, ty, detail) });
    } else if ty.is_empty() && !extensions.int_or_string && !extensions.preserve_unknown_fields {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, detail));
    }
    if extensions.embedded_resource && schema.additional_properties.is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        errors.push(Error::invalid(&at, ty, "must be object at the root"));
    }
}

/// What is said of `apiVersion`, `kind` and `metadata` must not contradict what they are.
fn metadata(schema: &Structural, level: Level, path: &Path, errors: &mut ErrorList) {
    let is_resource = level == Level::Root || schema.extensions.embedded_resource;
    for name in ["kind", "apiVersion"] {
        if let Some(field) = schema.properties.get(name)
            && is_resource
            && field.generic.ty != "string"
        {
            let at = path.child("properties").key(name).child("type");
            errors.push(Error::invalid(&at, field.generic.ty.clone(), "must be string"));
        }
    }
    let Some(metadata) = schema.properties.get("metadata") else { return };
    let at = path.child("properties").key("metadata");
    if is_resource && metadata.generic.ty != "object" {
        errors.push(Error::invalid(&at.child("type"), metadata.generic.ty.clone(), "must be object"));
    }
    if level == Level::Root && !restricts_names_alone(metadata) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(Error::forbidden(&at, detail));
    }
}

/// Whether nothing is said of metadata but what its names must be like.
fn restricts_names_alone(metadata: &Structural) -> bool {
    let Structural { generic, extensions, items, properties, additional_properties, validation } = metadata;
    let generic = Generic { ty: "".into(), default: None, ..generic.clone() };
    generic == Generic::default()
        && *extensions == Extensions::default()
        && items.is_none()
        && properties.keys().all(|name| name == "name" || name == "generateName")
        && additional_properties.is_none()
        && validation.is_none()
}

fn value_validation(
    validation: &ValueValidation,
    skip_any_of: bool,
    skip_first_all_of: bool,
    path: &Path,
    errors: &mut ErrorList,
) {
    if !skip_any_of {
        for (index, clause) in validation.any_of.iter().enumerate() {
            nested(clause, false, &path.child("anyOf").index(index), errors);
        }
    }
    for (index, clause) in validation.all_of.iter().enumerate() {
        nested(clause, skip_first_all_of && index == 0, &path.child("allOf").index(index), errors);
    }
    for (index, clause) in validation.one_of.iter().enumerate() {
        nested(clause, false, &path.child("oneOf").index(index), errors);
    }
    if let Some(clause) = &validation.not {
        nested(clause, false, &path.child("not"), errors);
    }
    if let Some(pattern) = &validation.pattern
        && let Err(error) = re2::compile(pattern.text())
    {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(Error::invalid(&path.child("pattern"), pattern.text(), detail));
    }
}

fn nested(clause: &NestedValueValidation, skip_any_of: bool, path: &Path, errors: &mut ErrorList) {
    value_validation(&clause.validation, skip_any_of, false, path, errors);
    if let Some(items) = &clause.items {
        nested(items, false, &path.child("items"), errors);
    }
    for (name, field) in &clause.properties {
        nested(field, false, &path.child("properties").key(name), errors);
    }
    let mut forbid = |is_set: bool, field: &str, detail: &str| {
        if is_set {
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    };
    let generic = &clause.forbidden_generics;
    const EMPTY: &str = "must be empty to be structural";
    const UNDEFINED: &str = "must be undefined to be structural";
    const FALSE: &str = "must be false to be structural";
    forbid(!generic.ty.is_empty(), "type", EMPTY);
    forbid(clause.additional_properties.is_some(), "additionalProperties", UNDEFINED);
    forbid(generic.default.is_some(), "default", UNDEFINED);
    forbid(!generic.title.is_empty(), "title", EMPTY);
    forbid(!generic.description.is_empty(), "description", EMPTY);
    forbid(generic.nullable, "nullable", FALSE);
    forbid(generic.external_docs.is_some(), "externalDocs", UNDEFINED);
    let extensions = &clause.forbidden_extensions;
    forbid(extensions.preserve_unknown_fields, "x-kubernetes-preserve-unknown-fields", FALSE);
    forbid(extensions.embedded_resource, "x-kubernetes-embedded-resource", FALSE);
    forbid(extensions.int_or_string, "x-kubernetes-int-or-string", FALSE);
    forbid(!extensions.list_map_keys.is_empty(), "x-kubernetes-list-map-keys", EMPTY);
    forbid(extensions.list_type.is_some(), "x-kubernetes-list-type", UNDEFINED);
    forbid(extensions.map_type.is_some(), "x-kubernetes-map-type", UNDEFINED);
    forbid(!extensions.validations.is_empty(), "x-kubernetes-validations", EMPTY);
    if clause.properties.contains_key("metadata") {
        let at = path.child("properties").key("metadata");
        errors.push(Error::forbidden(&at, "must not be specified in a nested context"));
    }
}

/// Every field and item that `validation` speaks of is declared in `schema`.
fn completeness(
    validation: Option<&ValueValidation>,
    schema: &Structural,
    schema_path: &Path,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(validation) = validation else { return };
    if let Some(clause) = &validation.not {
        nested_completeness(clause, schema, schema_path, &path.child("not"), errors);
    }
    for (name, clauses) in [("allOf", &validation.all_of), ("anyOf", &validation.any_of), ("oneOf", &validation.one_of)]
    {
        for (index, clause) in clauses.iter().enumerate() {
            nested_completeness(clause, schema, schema_path, &path.child(name).index(index), errors);
        }
    }
}

fn nested_completeness(
    clause: &NestedValueValidation,
    schema: &Structural,
    schema_path: &Path,
    path: &Path,
    errors: &mut ErrorList,
) {
    completeness(Some(&clause.validation), schema, schema_path, path, errors);
    let because = |path: &Path| format!("because it is defined in {path}");
    if let Some(items) = &clause.items {
        let (schema_path, path) = (schema_path.child("items"), path.child("items"));
        match &schema.items {
            Some(schema) => nested_completeness(items, schema, &schema_path, &path, errors),
            None => errors.push(Error::required(&schema_path, because(&path))),
        }
    }
    for (name, field) in &clause.properties {
        let (schema_path, path) = (schema_path.child("properties").key(name), path.child("properties").key(name));
        match schema.properties.get(name) {
            Some(schema) => nested_completeness(field, schema, &schema_path, &path, errors),
            None => errors.push(Error::required(&schema_path, because(&path))),
        }
    }
}
