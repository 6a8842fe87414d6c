//! Protobuf: the binary form of built-in types, between wire bytes and trees, driven by the type table.
//!
//! An object travels in an envelope: four magic bytes, then a message with its type and its own bytes. Fields go out in
//! the order of their numbers; values that are no pointers are written even when zero, as upstream's generated code does.
//! Upstream: k8s.io/apimachinery/pkg/runtime/serializer/protobuf and the generated marshallers (v1.35).

mod decode;
mod encode;
mod wire;

pub use decode::{decode, decode_bounded, is_whole_envelope};
pub use encode::{around, encode, encode_item, watch_frame};
pub(crate) use wire::{put_bytes, put_double, put_length, put_number, put_text};

use crate::type_table::{FieldType, Shape, TypeTable};

/// What an envelope begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

/// Whether `bytes` begin as an enveloped object does.
#[must_use]
pub fn is_envelope(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Follows aliases of simple types and maps.
fn resolve<'t>(table: &'t TypeTable, mut ty: &'t FieldType) -> &'t FieldType {
    while let FieldType::Ref(id) = ty
        && let Shape::Alias(target) = &table.get(*id).shape
    {
        ty = target;
    }
    ty
}

/// Whether values of the type are messages on the wire: everything with a name but simple types and maps.
fn is_message(table: &TypeTable, ty: &FieldType) -> bool {
    match ty {
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(FieldType::List(_)) => true,
            Shape::Alias(target) => is_message(table, target),
            _ => true,
        },
        _ => false,
    }
}

/// The message type behind aliases of messages.
fn message_type<'t>(table: &'t TypeTable, mut ty: &'t FieldType) -> &'t FieldType {
    while let FieldType::Ref(id) = ty
        && let Shape::Alias(target @ FieldType::Ref(_)) = &table.get(*id).shape
    {
        ty = target;
    }
    ty
}

#[cfg(test)]
mod tests;
