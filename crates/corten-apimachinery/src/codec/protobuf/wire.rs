//! Fields as they are on the wire: a number, a kind, and a value.

use crate::{codec::DecodeError, value::Str};

const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;

/// One value on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Reads the fields of a message.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(truncated)?;
            self.0 = rest;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::new("proto: integer overflow"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| truncated())?))
    }

    /// The next field, or `None` at the end.
    pub(super) fn key(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut key = self.varint()?;
        // Groups are of the time before messages were in messages: no field is one, and unknown ones are passed over.
        while key & 7 == START_GROUP {
            self.skip_group()?;
            if self.0.is_empty() {
                return Ok(None);
            }
            key = self.varint()?;
        }
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0);
        let number = number
            .ok_or_else(|| DecodeError::new(format!("proto: illegal tag {} (wire type {})", key >> 3, key & 7)))?;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.fixed64()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| truncated())?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| truncated())?)),
            END_GROUP => return Err(DecodeError::new("proto: wiretype end group for non-group")),
            other => return Err(DecodeError::new(format!("proto: illegal wireType {other}"))),
        };
        Ok(Some((number, wire)))
    }

    /// Passes over a group whose beginning was read, and those within it.
    fn skip_group(&mut self) -> Result<(), DecodeError> {
        let mut open = 1_usize;
        while open > 0 {
            match self.varint()? & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| truncated())?;
                    self.take(length)?;
                }
                START_GROUP => open += 1,
                END_GROUP => open -= 1,
                5 => drop(self.take(4)?),
                other => return Err(DecodeError::new(format!("proto: illegal wireType {other}"))),
            }
        }
        Ok(())
    }
}

fn truncated() -> DecodeError {
    DecodeError::new("unexpected EOF")
}

/// The failure for a value of another kind than its field.
pub(super) fn wrong_wire(field: &str) -> DecodeError {
    DecodeError::new(format!("proto: wrong wireType for field {field}"))
}

/// The text that the bytes are. Go reads any bytes as a string, and replaces what is no text when it is shown.
pub(super) fn text_of(bytes: &[u8]) -> Str {
    Str::from_utf8_lossy(bytes)
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: i64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value as u64);
}

pub(crate) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Begins a field of `length` bytes, which the caller writes.
pub(crate) fn put_length(out: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, length as u64);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_length(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    put_bytes(out, number, text.as_bytes());
}
