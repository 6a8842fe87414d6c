//! As much of protobuf as it takes to read a watch: the tests do not decode by what they test.
//!
//! Field numbers: staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto, pkg/runtime/generated.proto (v1.35).

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, BytesMut};

/// What an object with metadata begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The value of a field.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// What the tests want to know of an object.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Takes the next whole frame off.
pub(crate) fn watch_frame(unread: &mut BytesMut) -> Option<BytesMut> {
    let length = u32::from_be_bytes(*unread.first_chunk::<4>()?) as usize;
    if unread.len() < 4 + length {
        return None;
    }
    unread.advance(4);
    Some(unread.split_to(length))
}

/// The type of a `WatchEvent` (1), and the bytes of its object: `RawExtension` (2), in it raw (1), which is an `Unknown`
/// whose raw (2) they are.
pub(crate) fn watch_event(frame: &[u8]) -> anyhow::Result<(String, &[u8])> {
    let raw = bytes(bytes(frame, 2)?, 1)?;
    let unknown = raw.strip_prefix(MAGIC).context("an object begins with its magic bytes")?;
    Ok((text(frame, 1)?, bytes(unknown, 2)?))
}

/// The `ObjectMeta` (1) of an object: name (1), resourceVersion (6), annotations (12).
pub(crate) fn metadata(object: &[u8]) -> anyhow::Result<Metadata> {
    let metadata = bytes(object, 1)?;
    let mut annotations = BTreeMap::new();
    for (number, value) in fields(metadata)? {
        if let (12, Value::Bytes(entry)) = (number, value) {
            annotations.insert(text(entry, 1)?, text(entry, 2)?);
        }
    }
    Ok(Metadata { name: text(metadata, 1)?, version: text(metadata, 6)?, annotations })
}

/// The code (6) of a `Status`.
pub(crate) fn code(status: &[u8]) -> u64 {
    let all = fields(status).unwrap_or_default();
    let code = all.iter().find_map(|(number, value)| match value {
        Value::Number(code) if *number == 6 => Some(*code),
        _ => None,
    });
    code.unwrap_or_default()
}

/// A field of bytes; empty if it is not there.
fn bytes(message: &[u8], number: u64) -> anyhow::Result<&[u8]> {
    let found = fields(message)?.into_iter().find_map(|(found, value)| match value {
        Value::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    });
    Ok(found.unwrap_or_default())
}

fn text(message: &[u8], number: u64) -> anyhow::Result<String> {
    Ok(std::str::from_utf8(bytes(message, number)?).context("text is UTF-8")?.to_owned())
}

fn fields(mut message: &[u8]) -> anyhow::Result<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?)?;
                let (value, rest) = message.split_at_checked(length).context("a field ends before its length")?;
                message = rest;
                Value::Bytes(value)
            }
            other => bail!("a field of wire type {other}"),
        };
        found.push((tag >> 3, value));
    }
    Ok(found)
}

fn varint(message: &mut &[u8]) -> anyhow::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().context("a number ends early")?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    bail!("a number without end")
}
