//! A node of a schema, wherever it stands: what validation of values asks of it.

use crate::schema::{
    AdditionalProperties, NestedAdditionalProperties, NestedValueValidation, Structural, ValueValidation,
};

/// A node of the schema itself, or of a logical junctor in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'s> {
    Structural(&'s Structural),
    Nested(&'s NestedValueValidation),
}

/// What fields may be that have no schema of their own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Additional<'s> {
    Any,
    None,
    Schema(Node<'s>),
}

impl<'s> Node<'s> {
    /// The types allowed; none for any.
    pub(super) fn types(self) -> &'s [&'s str] {
        const INT_OR_STRING: &[&str] = &["integer", "string"];
        let (ty, is_int_or_string) = match self {
            Self::Structural(node) => (&node.generic.ty, node.extensions.int_or_string),
            Self::Nested(node) => (&node.forbidden_generics.ty, node.forbidden_extensions.int_or_string),
        };
        if is_int_or_string {
            return INT_OR_STRING;
        }
        match ty.as_str() {
            "string" => &["string"],
            "integer" => &["integer"],
            "number" => &["number"],
            "boolean" => &["boolean"],
            "object" => &["object"],
            "array" => &["array"],
            // Definitions with another type are refused.
            _ => &[],
        }
    }

    pub(super) fn is_nullable(self) -> bool {
        match self {
            Self::Structural(node) => node.generic.nullable,
            Self::Nested(node) => node.forbidden_generics.nullable,
        }
    }

    pub(super) fn validation(self) -> Option<&'s ValueValidation> {
        match self {
            Self::Structural(node) => node.validation.as_deref(),
            Self::Nested(node) => Some(&node.validation),
        }
    }

    pub(super) fn items(self) -> Option<Self> {
        match self {
            Self::Structural(node) => node.items.as_deref().map(Self::Structural),
            Self::Nested(node) => node.items.as_deref().map(Self::Nested),
        }
    }

    pub(super) fn property(self, name: &str) -> Option<Self> {
        match self {
            Self::Structural(node) => node.properties.get(name).map(Self::Structural),
            Self::Nested(node) => node.properties.get(name).map(Self::Nested),
        }
    }

    pub(super) fn additional(self) -> Additional<'s> {
        match self {
            Self::Structural(node) => match &node.additional_properties {
                None | Some(AdditionalProperties::Allowed(true)) => Additional::Any,
                Some(AdditionalProperties::Allowed(false)) => Additional::None,
                Some(AdditionalProperties::Schema(schema)) => Additional::Schema(Self::Structural(schema)),
            },
            Self::Nested(node) => match &node.additional_properties {
                None | Some(NestedAdditionalProperties::Allowed(true)) => Additional::Any,
                Some(NestedAdditionalProperties::Allowed(false)) => Additional::None,
                Some(NestedAdditionalProperties::Schema(schema)) => Additional::Schema(Self::Nested(schema)),
            },
        }
    }
}
