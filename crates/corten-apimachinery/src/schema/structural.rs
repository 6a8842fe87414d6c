//! The tree of a structural schema: what has a place in objects (items, properties), what is said of each place, and what
//! its values must be like.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/structural.go (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use super::Pattern;
use crate::value::{Str, Value};

/// A schema whose fields all stand outside of logical junctors, so that it says by itself which fields there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Structural {
    /// What is said of the place itself.
    pub generic: Generic,
    /// The `x-kubernetes-*` fields.
    pub extensions: Extensions,
    /// The schema of a list's items.
    pub items: Option<Arc<Structural>>,
    /// The schemas of fields.
    pub properties: BTreeMap<Str, Structural>,
    /// What fields without a schema of their own may be.
    pub additional_properties: Option<AdditionalProperties>,
    /// What values must be like; `None` if nothing is asked.
    pub validation: Option<Box<ValueValidation>>,
}

/// What fields without a schema of their own may be.
#[derive(Debug, Clone, PartialEq)]
pub enum AdditionalProperties {
    /// Anything, or absent.
    Allowed(bool),
    /// Each like this.
    Schema(Arc<Structural>),
}

impl AdditionalProperties {
    /// The schema, if it is one.
    #[must_use]
    pub fn schema(&self) -> Option<&Structural> {
        match self {
            Self::Allowed(_) => None,
            Self::Schema(schema) => Some(schema),
        }
    }
}

/// What is said of a place in objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generic {
    /// For people.
    pub description: Str,
    /// The type of values; may be empty.
    pub ty: Str,
    /// For people, shorter.
    pub title: Str,
    /// What is filled in where nothing is.
    pub default: Option<Value>,
    /// Whether null is a value here.
    pub nullable: bool,
    /// Where more is to be read: an object with `description` and `url`.
    pub external_docs: Option<Value>,
}

/// The `x-kubernetes-*` fields of a schema.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extensions {
    /// Fields without a schema stay.
    pub preserve_unknown_fields: bool,
    /// The value is an object with `apiVersion`, `kind` and `metadata`.
    pub embedded_resource: bool,
    /// The value is a number or a text.
    pub int_or_string: bool,
    /// The fields that identify the items of a list of type `map`.
    pub list_map_keys: Vec<Str>,
    /// `atomic`, `set` or `map`.
    pub list_type: Option<Str>,
    /// `atomic` or `granular`.
    pub map_type: Option<Str>,
    /// Rules in CEL.
    pub validations: Vec<ValidationRule>,
}

/// A rule in CEL.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValidationRule {
    /// The expression that must be true.
    pub rule: Str,
    /// What is said if it is not.
    pub message: Str,
    /// An expression that makes the message.
    pub message_expression: Str,
    /// The kind of the error; `None` for `FieldValueInvalid`.
    pub reason: Option<Str>,
    /// The field that the error is about, relative to the place of the rule.
    pub field_path: Str,
    /// Whether the rule also runs where there is no old value.
    pub optional_old_self: Option<bool>,
}

/// What a value must be like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueValidation {
    /// A format: `date-time`.
    pub format: Str,
    /// The largest number.
    pub maximum: Option<f64>,
    /// `maximum` itself is too large.
    pub exclusive_maximum: bool,
    /// The smallest number.
    pub minimum: Option<f64>,
    /// `minimum` itself is too small.
    pub exclusive_minimum: bool,
    /// The most characters of a text.
    pub max_length: Option<i64>,
    /// The fewest characters of a text.
    pub min_length: Option<i64>,
    /// A regular expression that matches somewhere in the text.
    pub pattern: Option<Pattern>,
    /// The most items of a list.
    pub max_items: Option<i64>,
    /// The fewest items of a list.
    pub min_items: Option<i64>,
    /// No item twice.
    pub unique_items: bool,
    /// What a number is a multiple of.
    pub multiple_of: Option<f64>,
    /// The values allowed; empty for all.
    pub enum_values: Vec<Value>,
    /// The most fields of an object.
    pub max_properties: Option<i64>,
    /// The fewest fields of an object.
    pub min_properties: Option<i64>,
    /// Fields that must be there.
    pub required: Vec<Str>,
    /// All of these hold.
    pub all_of: Vec<NestedValueValidation>,
    /// One of these holds, and no other.
    pub one_of: Vec<NestedValueValidation>,
    /// One of these holds at least.
    pub any_of: Vec<NestedValueValidation>,
    /// This does not hold.
    pub not: Option<Box<NestedValueValidation>>,
}

/// What a value must be like, within a logical junctor: it can go down to fields, but not say what there is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NestedValueValidation {
    /// What the value must be like.
    pub validation: ValueValidation,
    /// What items must be like.
    pub items: Option<Box<NestedValueValidation>>,
    /// What fields must be like.
    pub properties: BTreeMap<Str, NestedValueValidation>,
    /// What other fields must be like: never allowed here.
    pub additional_properties: Option<NestedAdditionalProperties>,
    /// What may not be said here, but for the type in the pattern of an int or string.
    pub forbidden_generics: Generic,
    /// What may not be said here.
    pub forbidden_extensions: Extensions,
}

/// `additionalProperties` within a logical junctor.
#[derive(Debug, Clone, PartialEq)]
pub enum NestedAdditionalProperties {
    /// Anything, or absent.
    Allowed(bool),
    /// Each like this.
    Schema(Box<NestedValueValidation>),
}

impl Structural {
    /// The schema of the field `name`: its own, or that of additional ones.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Structural> {
        self.properties.get(name).or_else(|| self.additional_properties.as_ref()?.schema())
    }

    /// Whether a rule in CEL stands here or further down.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        !self.extensions.validations.is_empty()
            || self.items.as_ref().is_some_and(|items| items.has_rules())
            || self.properties.values().any(Structural::has_rules)
            || self
                .additional_properties
                .as_ref()
                .and_then(AdditionalProperties::schema)
                .is_some_and(Structural::has_rules)
    }
}
