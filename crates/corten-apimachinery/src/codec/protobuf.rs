//! Protobuf: the binary form of built-in kinds, in an envelope that names the kind.
//!
//! Messages follow the type table's numbers. Written as upstream's generated code writes: fields by number, values that
//! are no pointers also when zero, map entries by key. Input is untrusted: lengths are checked, nesting is bounded.
//! Upstream: k8s.io/apimachinery/pkg/runtime/serializer/protobuf and the generated.pb.go files (v1.35).

mod decode;
mod encode;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::DecodeError;
use crate::{
    meta::ObjectMeta as _,
    type_table::{Field, Struct, TypeId, TypeTable},
    value::Value,
};

/// What every message begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

/// The deepest nesting of messages: three times what types other than recursive schemas have. Each level takes up to 2 KB
/// of stack in an unoptimised build.
const DEPTH_MAX: usize = 128;

/// Whether the bytes are a message in its envelope.
#[must_use]
pub fn is_envelope(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a message in its envelope as a tree of this type, in canonical form.
///
/// Errors: no envelope, lengths that lie, wire types that do not fit, nesting that is too deep.
pub fn decode(bytes: &[u8], table: &TypeTable, type_id: TypeId) -> Result<Value, DecodeError> {
    let Some(envelope) = bytes.strip_prefix(MAGIC) else {
        return Err(DecodeError::new(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        ));
    };
    decode::envelope(envelope, table, type_id)
}

/// Writes a tree of this type as a message in its envelope.
///
/// Errors: a node that does not have its type's shape; a type that has no binary form.
pub fn encode(value: &Value, table: &TypeTable, type_id: TypeId) -> Result<Bytes, DecodeError> {
    encode::envelope(value, table, type_id, value.api_version(), value.kind())
}

/// One event of a watch: its type and the object in its envelope, with its length in front.
#[must_use]
pub fn watch_frame(event: &str, object: &Bytes) -> Bytes {
    let raw = field_len(object.len());
    let body = field_len(event.len()) + field_len(raw);
    let mut frame = BytesMut::with_capacity(4 + body);
    frame.put_u32(u32::try_from(body).expect("objects are smaller than 4 GB"));
    put_field(&mut frame, 0x0a, event.as_bytes());
    frame.put_u8(0x12);
    put_varint(&mut frame, raw as u64);
    put_field(&mut frame, 0x0a, object);
    frame.freeze()
}

fn field_len(len: usize) -> usize {
    let varint_len = (64 - (len as u64 | 1).leading_zeros()).div_ceil(7) as usize;
    1 + varint_len + len
}

fn put_field(out: &mut BytesMut, tag: u8, bytes: &[u8]) {
    out.put_u8(tag);
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// A message of a struct: the struct's own, or one that stands for fields inlined in JSON.
#[derive(Clone, Copy)]
struct Message<'a> {
    fields: &'a Struct,
    /// The numbers that lead to it from the struct's own message.
    prefix: &'a [u32],
}

impl<'a> Message<'a> {
    /// Whether a field is in this message or deeper.
    fn has(&self, field: &Field) -> bool {
        field.numbers.len() > self.prefix.len() && field.numbers.starts_with(self.prefix)
    }
}
