//! CBOR: the compact form of any object, deterministic, with the tag that says what it is.
//!
//! Texts are written as byte strings and read from either kind, as upstream does: Go strings may hold any bytes.
//! Upstream: k8s.io/apimachinery/pkg/runtime/serializer/cbor (v1.35), RFC 8949 section 4.2.

mod decode;
mod encode;

pub use decode::{decode, decode_bounded};
pub use encode::{around, encode, encode_item, encode_typed, watch_frame};

/// Tag 55799, which stands for nothing but "this is CBOR".
const SELF_DESCRIBED: &[u8; 3] = &[0xd9, 0xd9, 0xf7];

/// Bytes that are base64 wherever they are text.
const BASE64_TAG: u64 = 22;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

#[cfg(test)]
mod tests;
