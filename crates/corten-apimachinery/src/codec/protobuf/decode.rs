//! From message to tree.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{DEPTH_MAX, Message};
use crate::{
    codec::{DecodeError, FieldValidation, canonical, json},
    duration::GoDuration,
    meta,
    type_table::{FieldType, Shape, TypeId, TypeTable},
    value::{Map, Str, Value, format_str},
};

pub(super) fn envelope(bytes: &[u8], table: &TypeTable, type_id: TypeId) -> Result<Value, DecodeError> {
    let (mut api_version, mut kind) = (Str::default(), Str::default());
    let mut raw: &[u8] = &[];
    let mut wire = Wire(bytes);
    while let Some((number, content)) = wire.next_field()? {
        match (number, content) {
            (1, Content::Bytes(bytes)) => {
                let mut wire = Wire(bytes);
                while let Some((number, content)) = wire.next_field()? {
                    match (number, content) {
                        (1, Content::Bytes(text)) => api_version = text_of(text),
                        (2, Content::Bytes(text)) => kind = text_of(text),
                        _ => {}
                    }
                }
            }
            (2, Content::Bytes(bytes)) => raw = bytes,
            (3, Content::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(DecodeError::new("only unencoded protobuf messages can be read"));
            }
            _ => {}
        }
    }
    let reader = Reader { table };
    let mut value = reader.message(raw, &FieldType::Ref(type_id), 0)?;
    if let Value::Object(map) = &mut value {
        for (key, text) in [("apiVersion", api_version), ("kind", kind)] {
            if !text.is_empty() {
                map.insert(key, text);
            }
        }
    }
    Ok(value)
}

fn text_of(bytes: &[u8]) -> Str {
    // Go keeps any bytes and replaces what is no UTF-8 when it writes JSON.
    Str::from_utf8_lossy(bytes)
}

fn cut_short() -> DecodeError {
    DecodeError::new("unexpected EOF")
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl Content<'_> {
    fn wire_type(self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Fixed32 => 5,
        }
    }
}

/// The fields of a message, one after the other.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for (index, &byte) in self.0.iter().enumerate() {
            if index == 10 {
                return Err(DecodeError::new("proto: integer overflow"));
            }
            number |= u64::from(byte & 0x7f) << (7 * index).min(63);
            if byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(if self.0.len() >= 10 { DecodeError::new("proto: integer overflow") } else { cut_short() })
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let len =
            usize::try_from(len).map_err(|_| DecodeError::new("proto: negative length found during unmarshaling"))?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads one field; groups, which nobody writes, are errors.
    fn next_field(&mut self) -> Result<Option<(u32, Content<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or_default();
        if number == 0 {
            return Err(DecodeError::new(format!("proto: illegal tag {} (wire type {})", tag >> 3, tag & 7)));
        }
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| cut_short())?)),
            2 => {
                let len = self.varint()?;
                Content::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Content::Fixed32
            }
            other => return Err(DecodeError::new(format!("proto: illegal wireType {other}"))),
        };
        Ok(Some((number, content)))
    }
}

struct Reader<'a> {
    table: &'a TypeTable,
}

impl<'a> Reader<'a> {
    /// The value of a message of type `ty`.
    fn message(&self, bytes: &[u8], ty: &FieldType, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::new("exceeded max depth"));
        }
        let FieldType::Ref(id) = ty else { return Err(DecodeError::new("proto: not a message")) };
        match &self.table.get(*id).shape {
            Shape::Struct(fields) => {
                let mut entries = Vec::new();
                self.structure(bytes, Message { fields, prefix: &[] }, &mut entries, depth)?;
                Ok(Value::Object(canonical::finish_struct(entries, self.table, fields)))
            }
            Shape::Alias(FieldType::List(item)) => {
                let mut items = Vec::new();
                let mut wire = Wire(bytes);
                while let Some((number, content)) = wire.next_field()? {
                    if number == 1 {
                        items.push(self.one(content, item, "items", depth)?);
                    }
                }
                Ok(items.into())
            }
            shape => self.special(bytes, shape, depth),
        }
    }

    /// The value of a message of a type with a form of its own.
    fn special(&self, bytes: &[u8], shape: &Shape, depth: usize) -> Result<Value, DecodeError> {
        let mut numbers = [0_i64; 4];
        let mut texts: [&[u8]; 4] = [&[]; 4];
        let mut repeated = Vec::new();
        let mut has_text = false;
        let mut wire = Wire(bytes);
        while let Some((number, content)) = wire.next_field()? {
            match content {
                Content::Varint(value) if number < 4 => numbers[number as usize] = value as i64,
                Content::Bytes(text) if number < 4 => {
                    texts[number as usize] = text;
                    has_text = true;
                    if number == 2 {
                        repeated.push(text);
                    }
                }
                _ => {}
            }
        }
        let schema = |bytes: &[u8], id: TypeId| self.message(bytes, &FieldType::Ref(id), depth + 1);
        Ok(match shape {
            Shape::Quantity => {
                let text = text_of(texts[1]);
                if text.is_empty() {
                    Value::String(Str::const_new("0"))
                } else {
                    Value::String(canonical::quantity(&text).map_err(DecodeError::new)?)
                }
            }
            Shape::IntOrString if numbers[1] == 0 => Value::Int(i64::from(numbers[2] as i32)),
            Shape::IntOrString => Value::String(text_of(texts[3])),
            Shape::Time | Shape::MicroTime if bytes.is_empty() => Value::Null,
            Shape::Time | Shape::MicroTime => {
                let nanos = if *shape == Shape::Time { 0 } else { numbers[2] as i32 };
                let time = jiff::Timestamp::new(numbers[1], nanos)
                    .map_err(|_| DecodeError::new("proto: time out of range"))?;
                let text = if *shape == Shape::Time { meta::format_time(time) } else { meta::format_micro_time(time) };
                Value::String(text)
            }
            Shape::Duration => Value::String(format_str!("{}", GoDuration(numbers[1]))),
            Shape::RawExtension | Shape::FieldsV1 | Shape::Json if texts[1].is_empty() => Value::Null,
            Shape::RawExtension | Shape::FieldsV1 | Shape::Json => {
                json::decode(texts[1], None, FieldValidation::Ignore)?.value
            }
            Shape::JsonSchemaOrBool(id) if has_text => schema(texts[2], *id)?,
            Shape::JsonSchemaOrBool(_) => Value::Bool(numbers[1] != 0),
            Shape::JsonSchemaOrArray(id) if !repeated.is_empty() => {
                repeated.into_iter().map(|bytes| schema(bytes, *id)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Shape::JsonSchemaOrStringArray(_) if !repeated.is_empty() => {
                Value::array(repeated.into_iter().map(|text| Value::String(text_of(text))))
            }
            Shape::JsonSchemaOrArray(id) | Shape::JsonSchemaOrStringArray(id) if has_text => schema(texts[1], *id)?,
            _ => Value::Null,
        })
    }

    /// Adds the fields of one message to `entries`.
    fn structure(
        &self,
        bytes: &[u8],
        message: Message<'_>,
        entries: &mut Vec<(Str, Value)>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let level = message.prefix.len();
        let fields = &message.fields.fields;
        let mut expected = 0;
        let mut wire = Wire(bytes);
        while let Some((number, content)) = wire.next_field()? {
            let is_it = |index: &usize| message.has(&fields[*index]) && fields[*index].numbers[level] == number;
            // Fields come in order of their numbers, which mostly is the order of their declaration.
            let Some(index) = (expected..fields.len()).find(is_it).or_else(|| (0..expected).find(is_it)) else {
                continue;
            };
            expected = index;
            let field = &fields[index];
            if field.numbers.len() > level + 1 {
                let Content::Bytes(bytes) = content else { return Err(wrong_wire_type(content, &field.name)) };
                if depth > DEPTH_MAX {
                    return Err(DecodeError::new("exceeded max depth"));
                }
                let prefix = &field.numbers[..=level];
                self.structure(bytes, Message { prefix, ..message }, entries, depth + 1)?;
                continue;
            }
            let at = match entries.iter().rposition(|(name, _)| *name == field.name) {
                Some(at) => at,
                None => {
                    let empty = match &field.ty {
                        FieldType::List(_) => Vec::new().into(),
                        FieldType::Map(_) => Value::object(),
                        _ => Value::Null,
                    };
                    entries.push((field.name.clone(), empty));
                    entries.len() - 1
                }
            };
            let slot = &mut entries[at].1;
            match (&field.ty, slot) {
                (FieldType::List(item), Value::Array(items)) => {
                    let items = std::sync::Arc::get_mut(items).expect("a list that is being read is not shared");
                    self.items(content, item, &field.name, items, depth)?;
                }
                (FieldType::Map(item), Value::Object(map)) => self.map_entry(content, item, &field.name, map, depth)?,
                (ty, slot) => *slot = self.one(content, ty, &field.name, depth)?,
            }
        }
        Ok(())
    }

    /// Adds to a list: one item, or several numbers in the packed form.
    fn items(
        &self,
        content: Content<'_>,
        item: &FieldType,
        name: &str,
        items: &mut Vec<Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        if let (Content::Bytes(packed), FieldType::Bool | FieldType::Int32 | FieldType::Int64) = (content, item) {
            let mut wire = Wire(packed);
            while !wire.0.is_empty() {
                let number = Content::Varint(wire.varint()?);
                items.push(self.one(number, item, name, depth)?);
            }
            return Ok(());
        }
        items.push(self.one(content, item, name, depth)?);
        Ok(())
    }

    fn map_entry(
        &self,
        content: Content<'_>,
        item: &FieldType,
        name: &str,
        map: &mut Map,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let Content::Bytes(bytes) = content else { return Err(wrong_wire_type(content, name)) };
        let (mut key, mut value) = (Str::default(), None);
        let mut wire = Wire(bytes);
        while let Some((number, content)) = wire.next_field()? {
            match (number, content) {
                (1, Content::Bytes(text)) => key = text_of(text),
                (2, content) => value = Some(self.one(content, item, name, depth)?),
                _ => {}
            }
        }
        map.insert(key, value.unwrap_or_else(|| canonical::zero(self.table, item)));
        Ok(())
    }

    fn one(&self, content: Content<'_>, ty: &FieldType, name: &str, depth: usize) -> Result<Value, DecodeError> {
        Ok(match (ty, content) {
            (FieldType::Bool, Content::Varint(number)) => Value::Bool(number != 0),
            (FieldType::Int32, Content::Varint(number)) => Value::Int(i64::from(number as i32)),
            (FieldType::Int64, Content::Varint(number)) => Value::Int(number as i64),
            (FieldType::Double, Content::Fixed64(bits)) => {
                let float = f64::from_bits(bits);
                if !float.is_finite() {
                    return Err(DecodeError::new(format!("json: unsupported value: {float}")));
                }
                // Whole numbers are written without fraction in JSON, and read so.
                if float.fract() == 0.0 && float.abs() < 9e15 { Value::Int(float as i64) } else { Value::Float(float) }
            }
            (FieldType::String, Content::Bytes(text)) => Value::String(text_of(text)),
            (FieldType::Bytes, Content::Bytes(bytes)) => Value::String(BASE64_STANDARD.encode(bytes).into()),
            (FieldType::Ref(_), Content::Bytes(bytes)) => self.message(bytes, ty, depth + 1)?,
            _ => return Err(wrong_wire_type(content, name)),
        })
    }
}

fn wrong_wire_type(content: Content<'_>, name: &str) -> DecodeError {
    // Upstream names the Go field, which is the JSON name with a capital.
    let mut chars = name.chars();
    let name: String = chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect();
    DecodeError::new(format!("proto: wrong wireType = {} for field {name}", content.wire_type()))
}
