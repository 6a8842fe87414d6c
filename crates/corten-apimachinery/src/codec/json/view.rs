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

use super::{TYPED_DEPTH_MAX, reader::Reader};

/// The JSON is none, or not that of the struct asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ViewError(pub(super) String);

impl de::Error for ViewError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Reads `json` as a `T`, whose enums have no fields and whose fields' names are derived: they are looked up as bytes.
///
/// Errors: what `T` asks for is not there or of another type; the text ends early, or does not end with the object.
pub fn view<'de, T: de::Deserialize<'de>>(json: &'de [u8]) -> Result<T, ViewError> {
    view_of(Reader::new(json, &[]))
}

/// As `view`, from where `reader` is.
pub(super) fn view_of<'de, T: de::Deserialize<'de>>(mut reader: Reader<'de>) -> Result<T, ViewError> {
    let value = T::deserialize(&mut reader)?;
    match reader.next() {
        None => Ok(value),
        Some(_) => Err(reader.bad("nothing more")),
    }
}

impl<'de> Reader<'de> {
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

/// A key without escapes.
struct Key<'de>(&'de [u8]);

impl<'de> Key<'de> {
    fn text<E: de::Error>(self) -> Result<de::value::BorrowedStrDeserializer<'de, E>, E> {
        let text = std::str::from_utf8(self.0).map_err(|_| E::custom("expected UTF-8 in a key"))?;
        Ok(de::value::BorrowedStrDeserializer::new(text))
    }
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = ViewError;

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ViewError> {
        self.text()?.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ViewError> {
        self.text()?.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct ignored_any
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
        let start = self.reader.at;
        if !self.reader.skip_string()? {
            return seed.deserialize(Key(&self.reader.json[start + 1..self.reader.at - 1])).map(Some);
        }
        self.reader.at = start;
        seed.deserialize(self.reader.string()?.into_deserializer()).map(Some)
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
