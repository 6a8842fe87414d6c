//! JSON for people: two spaces of indentation.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::encode;
use crate::{
    codec::lists::Around,
    type_table::{TypeId, TypeTable},
    value::Value,
};

/// How many blanks a document may have before its lines: those of a large array that stands deep are a thousand times what it
/// says. Behind them lines stand no deeper than `SPENT_DEPTH`, which means the same.
const INDENT_BYTES_MAX: usize = 16 << 20;
const SPENT_DEPTH: usize = 8;

/// How deep the items of a list stand.
const ITEM_DEPTH: usize = 2;

/// Writes a tree with two spaces of indentation and a newline at the end.
#[must_use]
pub fn encode_pretty(value: &Value, ty: Option<(&TypeTable, TypeId)>) -> Bytes {
    let compact = encode(value, ty);
    let mut out = BytesMut::with_capacity(compact.len() * 2);
    indent(&mut out, &compact, 0);
    out.put_u8(b'\n');
    out.freeze()
}

/// Writes an item of a list, on lines of its own.
#[must_use]
pub fn encode_pretty_item(value: &Value, ty: Option<(&TypeTable, TypeId)>) -> Bytes {
    let compact = encode(value, ty);
    let mut out = BytesMut::with_capacity(compact.len() * 2);
    line(&mut out, ITEM_DEPTH, &mut 0);
    indent(&mut out, &compact, ITEM_DEPTH);
    out.freeze()
}

/// What stands around the items of the list in `field` of `whole`, which has none of them and one at least to come.
#[must_use]
pub fn around_pretty(whole: &Value, ty: Option<(&TypeTable, TypeId)>, field: &str) -> Option<Around> {
    let empty = encode_pretty(whole, ty);
    let (gap, open) = (format!("\"{field}\": []"), format!("\"{field}\": ["));
    let cut = Around::cut(&empty, gap.as_bytes(), (open.as_bytes(), b"\n  ]"))?;
    Some(Around { between: Bytes::from_static(b","), ..cut })
}

/// What stands around the items of the list in `field` of `whole`, which has none of them.
#[must_use]
pub fn around(whole: &Value, ty: Option<(&TypeTable, TypeId)>, field: &str) -> Option<Around> {
    let empty = encode(whole, ty);
    let (gap, open) = (format!("\"{field}\":[]"), format!("\"{field}\":["));
    let cut = Around::cut(&empty, gap.as_bytes(), (open.as_bytes(), b"]"))?;
    Some(Around { between: Bytes::from_static(b","), ..cut })
}

fn line(out: &mut BytesMut, depth: usize, spent: &mut usize) {
    out.put_u8(b'\n');
    let depth = if *spent > INDENT_BYTES_MAX { depth.min(SPENT_DEPTH) } else { depth };
    *spent += depth * 2;
    out.put_bytes(b' ', depth * 2);
}

/// Writes `compact` as it stands at `depth`.
fn indent(out: &mut BytesMut, compact: &[u8], mut depth: usize) {
    let (mut in_string, mut escaped, mut spent) = (false, false, 0);
    for (at, &byte) in compact.iter().enumerate() {
        if in_string {
            out.put_u8(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                out.put_u8(byte);
            }
            b'{' | b'[' => {
                out.put_u8(byte);
                if !matches!(compact.get(at + 1), Some(b'}' | b']')) {
                    depth += 1;
                    line(out, depth, &mut spent);
                }
            }
            b'}' | b']' => {
                if !matches!(compact.get(at.wrapping_sub(1)), Some(b'{' | b'[')) {
                    depth -= 1;
                    line(out, depth, &mut spent);
                }
                out.put_u8(byte);
            }
            b',' => {
                out.put_u8(byte);
                line(out, depth, &mut spent);
            }
            b':' => out.put_slice(b": "),
            _ => out.put_u8(byte),
        }
    }
}
