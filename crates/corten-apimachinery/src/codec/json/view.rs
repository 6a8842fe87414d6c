//! Reads the few fields of an object's JSON that somebody asks for, and runs past everything else.
//!
//! Informers read every version of every object for each of their projections. What those leave out is most of it, managed
//! fields a third alone; a parser that looks at each token of that spends more on it than on what is asked for.
//! Meant for what a server has encoded: of what is skipped, only strings and the balance of brackets are looked at.

use std::{borrow::Cow, fmt};

use serde::{
    de::{self, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{TYPED_DEPTH_MAX, decode};
use crate::{codec::FieldValidation, value::Value};

/// The JSON is none, or not that of the struct asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ViewError(String);

impl de::Error for ViewError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Reads `json` as a `T`, whose enums have no fields.
///
/// Errors: what `T` asks for is not there or of another type; the text ends early, or does not end with the object.
pub fn view<'de, T: de::Deserialize<'de>>(json: &'de [u8]) -> Result<T, ViewError> {
    let mut reader = Reader { json, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    match reader.next() {
        None => Ok(value),
        Some(_) => Err(reader.bad("nothing more")),
    }
}

struct Reader<'de> {
    json: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    /// The next byte that is no space, which is not taken.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.json.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    fn bad(&self, wanted: &str) -> ViewError {
        ViewError(format!("expected {wanted} at byte {}", self.at))
    }

    fn take(&mut self, byte: u8, wanted: &str) -> Result<(), ViewError> {
        if self.next() != Some(byte) {
            return Err(self.bad(wanted));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), ViewError> {
        if !self.json[self.at..].starts_with(word.as_bytes()) {
            return Err(self.bad(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// Runs past the string that begins here. Says whether it has escapes.
    fn skip_string(&mut self) -> Result<bool, ViewError> {
        let mut has_escapes = false;
        self.at += 1;
        loop {
            let Some(found) = self.json.get(self.at..).and_then(end_or_escape) else {
                return Err(self.bad("the end of a string"));
            };
            self.at += found + 1;
            if self.json[self.at - 1] == b'"' {
                return Ok(has_escapes);
            }
            has_escapes = true;
            self.at += 1;
        }
    }

    /// Takes the string that begins here.
    fn string(&mut self) -> Result<Cow<'de, str>, ViewError> {
        let start = self.at;
        if self.skip_string()? {
            return match decode(&self.json[start..self.at], None, FieldValidation::Ignore) {
                Ok(decoded) => match decoded.value {
                    Value::String(text) => Ok(Cow::Owned(text.into())),
                    _ => Err(self.bad("a string")),
                },
                Err(error) => Err(ViewError(error.to_string())),
            };
        }
        match std::str::from_utf8(&self.json[start + 1..self.at - 1]) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => Err(self.bad("UTF-8")),
        }
    }

    /// Where the number, or the word, that begins here ends.
    fn scalar_end(&self) -> usize {
        let rest = &self.json[self.at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        self.at + rest.iter().position(is_end).unwrap_or(rest.len())
    }

    /// Runs past the value that begins here.
    fn skip(&mut self) -> Result<(), ViewError> {
        match self.next() {
            Some(b'"') => self.skip_string().map(drop),
            Some(b'{' | b'[') => self.skip_nested(),
            None | Some(b',' | b'}' | b']' | b':') => Err(self.bad("a value")),
            Some(_) => {
                self.at = self.scalar_end();
                Ok(())
            }
        }
    }

    /// Runs past the object or array that begins here.
    fn skip_nested(&mut self) -> Result<(), ViewError> {
        let mut open = 0_usize;
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' if open == 1 => {
                    self.at += 1;
                    return Ok(());
                }
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Err(self.bad("the end of a value"))
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, ViewError> {
        let end = self.scalar_end();
        let text = std::str::from_utf8(&self.json[self.at..end]).unwrap_or_default();
        if let Ok(number) = text.parse::<i64>() {
            self.at = end;
            return visitor.visit_i64(number);
        }
        if let Ok(number) = text.parse::<u64>() {
            self.at = end;
            return visitor.visit_u64(number);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.at = end;
                visitor.visit_f64(number)
            }
            _ => Err(self.bad("a number")),
        }
    }

    /// Reads what stands between two brackets, of which the first is next.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, ViewError>) -> Result<T, ViewError> {
        self.depth += 1;
        if self.depth > TYPED_DEPTH_MAX {
            return Err(self.bad("less depth"));
        }
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

/// Where the first quote or backslash is. Eight bytes at a time, in place: most texts are so short that a call to search them
/// costs more than the search.
#[inline]
fn end_or_escape(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The lowest top bit that is set is that of the first byte that is zero; those above it may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ u64::from_ne_bytes([b'"'; 8])) | zeros(word ^ u64::from_ne_bytes([b'\\'; 8]));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + at)
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = ViewError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        match self.next() {
            Some(b'"') => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Some(b'{') => self.nested(|reader| {
                let mut part = Part { reader, begun: false, ended: false };
                let value = visitor.visit_map(&mut part)?;
                part.expect_end(b'}', "the end of an object")?;
                Ok(value)
            }),
            Some(b'[') => self.nested(|reader| {
                let mut part = Part { reader, begun: false, ended: false };
                let value = visitor.visit_seq(&mut part)?;
                part.expect_end(b']', "the end of an array")?;
                Ok(value)
            }),
            Some(b't') => {
                self.word("true")?;
                visitor.visit_bool(true)
            }
            Some(b'f') => {
                self.word("false")?;
                visitor.visit_bool(false)
            }
            Some(b'n') => {
                self.word("null")?;
                visitor.visit_unit()
            }
            Some(b'-' | b'0'..=b'9') => self.number(visitor),
            _ => Err(self.bad("a value")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        if self.next() == Some(b'n') {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ViewError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ViewError> {
        if self.next() != Some(b'"') {
            return Err(self.bad("a string"));
        }
        let name = self.string()?;
        visitor.visit_enum((&*name).into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// What stands between two brackets.
struct Part<'a, 'de> {
    reader: &'a mut Reader<'de>,
    begun: bool,
    ended: bool,
}

impl Part<'_, '_> {
    /// Whether another member comes, whose first byte is next then; its bracket ends the whole.
    fn has_more(&mut self, end: u8) -> Result<bool, ViewError> {
        if self.reader.next() == Some(end) {
            self.reader.at += 1;
            self.ended = true;
            return Ok(false);
        }
        if std::mem::replace(&mut self.begun, true) {
            self.reader.take(b',', "a comma")?;
        }
        Ok(true)
    }

    /// Whoever reads may stop before the end.
    fn expect_end(self, end: u8, wanted: &str) -> Result<(), ViewError> {
        if self.ended { Ok(()) } else { self.reader.take(end, wanted) }
    }
}

impl<'de> MapAccess<'de> for &mut Part<'_, 'de> {
    type Error = ViewError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ViewError> {
        if self.ended || !self.has_more(b'}')? {
            return Ok(None);
        }
        if self.reader.next() != Some(b'"') {
            return Err(self.reader.bad("a key"));
        }
        match self.reader.string()? {
            Cow::Borrowed(key) => seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some),
            Cow::Owned(key) => seed.deserialize(key.into_deserializer()).map(Some),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ViewError> {
        self.reader.take(b':', "a colon")?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for &mut Part<'_, 'de> {
    type Error = ViewError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ViewError> {
        if self.ended || !self.has_more(b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests;
