//! Makes structural schemas of `JSONSchemaProps`, the tree of `openAPIV3Schema`.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/convert.go (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    AdditionalProperties, Extensions, Generic, NestedAdditionalProperties, NestedValueValidation, Pattern, Structural,
    ValidationRule, ValueValidation,
};
use crate::value::{Str, Value};

/// The deepest schema: as deep as JSON may be nested, of which each level of a schema takes at least one.
pub const SCHEMA_DEPTH_MAX: usize = 512;

/// Why a JSON schema cannot be the tree of a structural one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field is set that has no place there.
    #[error("OpenAPIV3Schema '{0}' is not supported")]
    Unsupported(&'static str),
    /// `items` is a list of schemas.
    #[error("OpenAPIV3Schema 'items' must be a schema, but is an array")]
    ItemsArray,
    /// `x-kubernetes-preserve-unknown-fields` is false.
    #[error("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined")]
    NotPreserving,
    /// It is deeper than `SCHEMA_DEPTH_MAX`.
    #[error("OpenAPIV3Schema is nested too deeply")]
    TooDeep,
}

impl Structural {
    /// Makes the tree of `props`, an `openAPIV3Schema`. Whether it keeps the rules of structural schemas is another question:
    /// `validate_structural`.
    ///
    /// Errors: fields that can never be part of one.
    pub fn from_props(props: &Value) -> Result<Self, ConvertError> {
        structural(props, 0)
    }
}

fn structural(props: &Value, depth: usize) -> Result<Structural, ConvertError> {
    if depth > SCHEMA_DEPTH_MAX {
        return Err(ConvertError::TooDeep);
    }
    refuse_unsupported(props)?;
    let validation = value_validation(props, depth)?;
    let additional_properties = match field(props, "additionalProperties") {
        None => None,
        Some(Value::Bool(allowed)) => Some(AdditionalProperties::Allowed(*allowed)),
        Some(schema) => Some(AdditionalProperties::Schema(Arc::new(structural(schema, depth + 1)?))),
    };
    let mut properties = BTreeMap::new();
    for (name, schema) in fields(props, "properties") {
        properties.insert(Str::from(name), structural(schema, depth + 1)?);
    }
    Ok(Structural {
        generic: generic(props),
        extensions: extensions(props)?,
        items: items(props)?.map(|schema| structural(schema, depth + 1)).transpose()?.map(Arc::new),
        properties,
        additional_properties,
        validation: (validation != ValueValidation::default()).then(|| Box::new(validation)),
    })
}

fn nested(props: &Value, depth: usize) -> Result<NestedValueValidation, ConvertError> {
    if depth > SCHEMA_DEPTH_MAX {
        return Err(ConvertError::TooDeep);
    }
    refuse_unsupported(props)?;
    let additional_properties = match field(props, "additionalProperties") {
        None => None,
        Some(Value::Bool(allowed)) => Some(NestedAdditionalProperties::Allowed(*allowed)),
        Some(schema) => Some(NestedAdditionalProperties::Schema(Box::new(nested(schema, depth + 1)?))),
    };
    let mut properties = BTreeMap::new();
    for (name, schema) in fields(props, "properties") {
        properties.insert(Str::from(name), nested(schema, depth + 1)?);
    }
    Ok(NestedValueValidation {
        validation: value_validation(props, depth)?,
        items: items(props)?.map(|schema| nested(schema, depth + 1)).transpose()?.map(Box::new),
        properties,
        additional_properties,
        forbidden_generics: generic(props),
        forbidden_extensions: extensions(props)?,
    })
}

fn refuse_unsupported(props: &Value) -> Result<(), ConvertError> {
    let has_text = |key: &str| !text(props, key).is_empty();
    let has_entries = |key: &str| fields(props, key).next().is_some();
    let unsupported = match () {
        () if has_text("id") => "id",
        () if has_text("$schema") => "schema",
        () if has_text("$ref") => "$ref",
        () if has_entries("patternProperties") => "patternProperties",
        () if has_entries("dependencies") => "dependencies",
        () if field(props, "additionalItems").is_some() => "additionalItems",
        () if has_entries("definitions") => "definitions",
        () => return Ok(()),
    };
    Err(ConvertError::Unsupported(unsupported))
}

fn items(props: &Value) -> Result<Option<&Value>, ConvertError> {
    match field(props, "items") {
        Some(Value::Array(schemas)) if schemas.is_empty() => Ok(None),
        Some(Value::Array(_)) => Err(ConvertError::ItemsArray),
        items => Ok(items),
    }
}

fn generic(props: &Value) -> Generic {
    Generic {
        description: text(props, "description"),
        ty: text(props, "type"),
        title: text(props, "title"),
        default: field(props, "default").cloned(),
        nullable: flag(props, "nullable"),
        external_docs: field(props, "externalDocs").cloned(),
    }
}

fn extensions(props: &Value) -> Result<Extensions, ConvertError> {
    const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
    if field(props, PRESERVE) == Some(&Value::Bool(false)) {
        return Err(ConvertError::NotPreserving);
    }
    let optional = |key: &str| field(props, key).and_then(Value::as_str).map(Str::from);
    let rules = props.items_at(&["x-kubernetes-validations"]);
    Ok(Extensions {
        preserve_unknown_fields: flag(props, PRESERVE),
        embedded_resource: flag(props, "x-kubernetes-embedded-resource"),
        int_or_string: flag(props, "x-kubernetes-int-or-string"),
        list_map_keys: texts(props, "x-kubernetes-list-map-keys"),
        list_type: optional("x-kubernetes-list-type"),
        map_type: optional("x-kubernetes-map-type"),
        validations: rules.iter().map(ValidationRule::from_props).collect(),
    })
}

impl ValidationRule {
    /// Reads an entry of `x-kubernetes-validations`.
    #[must_use]
    pub fn from_props(rule: &Value) -> Self {
        Self {
            rule: text(rule, "rule"),
            message: text(rule, "message"),
            message_expression: text(rule, "messageExpression"),
            reason: field(rule, "reason").and_then(Value::as_str).map(Str::from),
            field_path: text(rule, "fieldPath"),
            optional_old_self: field(rule, "optionalOldSelf").and_then(Value::as_bool),
        }
    }
}

fn value_validation(props: &Value, depth: usize) -> Result<ValueValidation, ConvertError> {
    let clauses = |key: &str| -> Result<Vec<NestedValueValidation>, ConvertError> {
        props.items_at(&[key]).iter().map(|clause| nested(clause, depth + 1)).collect()
    };
    let int = |key: &str| field(props, key).and_then(Value::as_i64);
    let pattern = text(props, "pattern");
    Ok(ValueValidation {
        format: text(props, "format"),
        maximum: number(props, "maximum"),
        exclusive_maximum: flag(props, "exclusiveMaximum"),
        minimum: number(props, "minimum"),
        exclusive_minimum: flag(props, "exclusiveMinimum"),
        max_length: int("maxLength"),
        min_length: int("minLength"),
        pattern: (!pattern.is_empty()).then(|| Pattern::new(pattern)),
        max_items: int("maxItems"),
        min_items: int("minItems"),
        unique_items: flag(props, "uniqueItems"),
        multiple_of: number(props, "multipleOf"),
        enum_values: props.items_at(&["enum"]).to_vec(),
        max_properties: int("maxProperties"),
        min_properties: int("minProperties"),
        required: texts(props, "required"),
        all_of: clauses("allOf")?,
        one_of: clauses("oneOf")?,
        any_of: clauses("anyOf")?,
        not: field(props, "not").map(|clause| nested(clause, depth + 1)).transpose()?.map(Box::new),
    })
}

/// The field `key`, if it is there and not null.
pub(super) fn field<'p>(props: &'p Value, key: &str) -> Option<&'p Value> {
    props.get(key).filter(|value| !value.is_null())
}

fn fields<'p>(props: &'p Value, key: &str) -> impl Iterator<Item = (&'p str, &'p Value)> {
    field(props, key).and_then(Value::as_object).into_iter().flat_map(|map| map.iter())
}

fn text(props: &Value, key: &str) -> Str {
    field(props, key).and_then(Value::as_str).map(Str::from).unwrap_or_default()
}

fn texts(props: &Value, key: &str) -> Vec<Str> {
    props.items_at(&[key]).iter().filter_map(Value::as_str).map(Str::from).collect()
}

fn flag(props: &Value, key: &str) -> bool {
    field(props, key).and_then(Value::as_bool).unwrap_or_default()
}

fn number(props: &Value, key: &str) -> Option<f64> {
    match field(props, key) {
        Some(Value::Float(number)) => Some(*number),
        #[expect(clippy::cast_precision_loss, reason = "upstream keeps these as floating point numbers, too")]
        Some(Value::Int(number)) => Some(*number as f64),
        _ => None,
    }
}
