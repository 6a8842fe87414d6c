//! Reads JSON as a tree, guided by a type.
//!
//! One pass, no intermediate form. Unknown and duplicate fields are noted with their paths; wrong types are errors in the
//! words of Go's decoder, which clients of upstream know. Depth is bounded as in Go, and each few levels see to their stack.
//! Upstream: sigs.k8s.io/json (strict decoding) and encoding/json.

use std::fmt::Write as _;

use crate::{
    codec::{
        DecodeError, Decoded, FieldValidation, canonical,
        objects::{Objects, Place},
    },
    field::quote,
    quantity::QuantityError,
    stack,
    type_table::{FieldType, Shape, Struct, TypeId, TypeTable},
    value::{Map, Raw, Str, Value},
};

use super::{encode, field_set, scan::end_of_plain};

/// The deepest nesting. Upstream: `maxNestingDepth` in encoding/json and sigs.k8s.io/json.
pub const DEPTH_MAX: usize = 10_000;

/// The deepest nesting of what is kept of an object that has a type: about 30 in the deepest that is no schema, and whatever
/// a schema, a configuration or a set of fields has. Those are held as structs by whoever works with them.
pub const TYPED_DEPTH_MAX: usize = 512;

/// For so many levels at once room on the stack is made sure of.
pub(super) const LEVELS_PER_CHECK: usize = 16;

/// Up to this many keys a new one is compared with all before it; a hostile object has too many for that.
const SCANNED_KEYS_MAX: usize = 64;

/// How many unknown and duplicate fields are reported. Upstream's figure.
const COMPLAINTS_MAX: usize = 100;

/// Reads one JSON document as a tree; with a type, in that type's canonical form.
///
/// Errors: text that is no JSON, is nested too deeply, or does not fit the type.
pub fn decode(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    decode_bounded(bytes, ty, validation, usize::MAX)
}

/// `decode` of a text with at most `objects_max` objects.
///
/// Errors: `TooManyObjects`, without having read on; as `decode`.
pub fn decode_bounded(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
    objects_max: usize,
) -> Result<Decoded, DecodeError> {
    decode_at(bytes, ty, validation, (Place::Root, &mut Objects::at_most(objects_max)))
}

/// `decode_bounded` of a text as Go reads it: bytes that are no UTF-8 are replaced, one by one.
///
/// Errors: as `decode_bounded`.
pub fn decode_lossy(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
    objects_max: usize,
) -> Result<Decoded, DecodeError> {
    let objects = &mut Objects::at_most(objects_max);
    match std::str::from_utf8(bytes) {
        Ok(text) => decode_text(text, bytes, ty, validation, (Place::Root, objects)),
        Err(_) => decode_text(&replaced(bytes), bytes, ty, validation, (Place::Root, objects)),
    }
}

/// The text with a replacement character for each byte that is part of none.
fn replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 64);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len()));
    }
    text
}

/// The byte of `bytes` that is at `at` in what `replaced` makes of them.
fn original(bytes: &[u8], mut at: usize) -> Option<u8> {
    for chunk in bytes.utf8_chunks() {
        let (valid, invalid) = (chunk.valid().as_bytes(), chunk.invalid());
        if let Some(byte) = valid.get(at) {
            return Some(*byte);
        }
        at -= valid.len();
        let width = char::REPLACEMENT_CHARACTER.len_utf8();
        if let Some(byte) = invalid.get(at / width) {
            return Some(*byte);
        }
        at -= invalid.len() * width;
    }
    None
}

/// `decode` of JSON that stands within an object that has a type; it goes on counting objects in `objects`.
///
/// Errors: as `decode_bounded`.
pub(in crate::codec) fn decode_within(bytes: &[u8], objects: &mut Objects) -> Result<Value, DecodeError> {
    let value = decode_at(bytes, None, FieldValidation::Ignore, (Place::Elsewhere, objects))?.value;
    if value.is_deeper_than(TYPED_DEPTH_MAX) {
        return Err(DecodeError::TooDeep("exceeded max depth"));
    }
    Ok(value)
}

/// Reads the field set of a managed-fields entry from an encoding that has it as bytes. Upstream looks at them no sooner than they
/// are needed: what follows the set does not count, and what is none is text, which nobody takes for a set.
///
/// Errors: it is nested too deeply.
pub(in crate::codec) fn decode_field_set(bytes: &[u8]) -> Result<Value, DecodeError> {
    let objects = &mut Objects::at_most(usize::MAX);
    let value = match decode_at(bytes, None, FieldValidation::Ignore, (Place::FieldSet, objects)) {
        Ok(decoded) => decoded.value,
        Err(DecodeError::Malformed(_)) => Value::from(&*String::from_utf8_lossy(bytes)),
        Err(error) => return Err(error),
    };
    if value.is_deeper_than(TYPED_DEPTH_MAX) {
        return Err(DecodeError::TooDeep("exceeded max depth"));
    }
    Ok(value)
}

fn decode_at(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
    counted: (Place, &mut Objects),
) -> Result<Decoded, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::new("invalid UTF-8 in JSON document"))?;
    decode_text(text, bytes, ty, validation, counted)
}

/// `sent` is what `text` was made of.
fn decode_text(
    text: &str,
    sent: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
    (place, objects): (Place, &mut Objects),
) -> Result<Decoded, DecodeError> {
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        sent,
        at: 0,
        path: Vec::new(),
        complaints: Vec::new(),
        reports: validation != FieldValidation::Ignore,
        table: ty.map(|(table, _)| table),
        root: ty.map(|(_, id)| FieldType::Ref(id)),
        depth: 0,
        deepest: 0,
        objects: *objects,
        place,
    };
    let root = parser.root.clone();
    parser.skip_space();
    if parser.at == text.len() {
        return Err(DecodeError::new("unexpected end of JSON input"));
    }
    let value = parser.value(root.as_ref())?;
    *objects = parser.objects;
    parser.skip_space();
    if parser.at < text.len() && place != Place::FieldSet {
        return Err(parser.unexpected("after top-level value"));
    }
    // Unknown fields were run through, and are gone.
    if parser.table.is_some() && parser.deepest > TYPED_DEPTH_MAX && value.is_deeper_than(TYPED_DEPTH_MAX) {
        return Err(DecodeError::TooDeep("exceeded max depth"));
    }
    Ok(Decoded { value, complaints: parser.complaints })
}

/// A step from the root to where the parser is.
enum Step {
    /// A field of a struct, or of an object without a type.
    Field(Str),
    /// A key of a map.
    Key(Str),
    Index(usize),
}

/// What is known of the keys of an object so far.
struct Keys {
    /// The place of the field that comes next if they have the order of the struct.
    expected: usize,
    sorted: bool,
    /// Whether each value is one that upstream writes.
    all_written: bool,
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// What the text was made of.
    sent: &'a [u8],
    at: usize,
    path: Vec<Step>,
    complaints: Vec<String>,
    reports: bool,
    table: Option<&'a TypeTable>,
    root: Option<FieldType>,
    depth: usize,
    deepest: usize,
    objects: Objects,
    place: Place,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn unexpected(&self, place: &str) -> DecodeError {
        // Go looks at bytes, and shows each as the character of its number.
        match original(self.sent, self.at) {
            Some(b'\'') => DecodeError::new(format!("invalid character '\\'' {place}")),
            Some(b'"') => DecodeError::new(format!("invalid character '\"' {place}")),
            Some(byte) => {
                let quoted = quote(&char::from(byte).to_string());
                DecodeError::new(format!("invalid character '{}' {place}", &quoted[1..quoted.len() - 1]))
            }
            None => DecodeError::new("unexpected end of JSON input"),
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), DecodeError> {
        for (index, byte) in word.bytes().enumerate() {
            if self.bytes.get(self.at) != Some(&byte) {
                return Err(
                    self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(word.as_bytes()[index])))
                );
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Reads one value; the next byte is not a space.
    fn value(&mut self, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        let ty = self.resolve(ty);
        match self.bytes.get(self.at) {
            Some(b'{') if self.place == Place::FieldSet || self.shape(ty) == Some(&Shape::FieldsV1) => {
                self.field_set(ty)
            }
            Some(b'{' | b'[') if self.depth % LEVELS_PER_CHECK == LEVELS_PER_CHECK - 1 => {
                stack::with_room(|| self.nested(ty))
            }
            Some(b'{' | b'[') => self.nested(ty),
            Some(b'"') => {
                let text = self.string()?;
                self.typed_string(text, ty)
            }
            Some(b't') => {
                self.expect("true")?;
                self.typed_bool(true, ty)
            }
            Some(b'f') => {
                self.expect("false")?;
                self.typed_bool(false, ty)
            }
            Some(b'n') => {
                self.expect("null")?;
                Ok(Value::Null)
            }
            Some(b'-' | b'0'..=b'9') => self.number(ty),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// Follows aliases, which say nothing about the form.
    fn resolve<'t>(&self, ty: Option<&'t FieldType>) -> Option<&'t FieldType>
    where
        'a: 't,
    {
        let mut ty = ty?;
        while let FieldType::Ref(id) = ty
            && let Shape::Alias(target) = &self.table?.get(*id).shape
        {
            ty = target;
        }
        Some(ty)
    }

    fn shape(&self, ty: Option<&FieldType>) -> Option<&'a Shape> {
        match ty? {
            FieldType::Ref(id) => Some(&self.table?.get(*id).shape),
            _ => None,
        }
    }

    /// Reads the object or array that begins here.
    fn nested(&mut self, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        if self.bytes[self.at] == b'{' { self.object(ty) } else { self.array(ty) }
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > DEPTH_MAX {
            let is_object = self.bytes[self.at] == b'{';
            return Err(DecodeError::TooDeep(if is_object {
                "invalid character '{' exceeded max depth"
            } else {
                "invalid character '[' exceeded max depth"
            }));
        }
        Ok(())
    }

    /// Reads the field set of a managed-fields entry, which stays text.
    fn field_set(&mut self, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        let extent = field_set::extent(&self.bytes[self.at..]);
        if let Some(extent) = extent.filter(|extent| extent.depth > 1 && self.depth + extent.depth <= DEPTH_MAX) {
            self.objects.count_all(extent.objects, self.place)?;
            let text = &self.text[self.at..self.at + extent.bytes];
            self.at += extent.bytes;
            return Ok(Value::Raw(Raw::new(text)));
        }
        let tree = self.object(ty)?;
        if tree.as_object().is_some_and(Map::is_empty) {
            return Ok(tree);
        }
        let text = encode(&tree, None);
        Ok(Value::Raw(Raw::new(std::str::from_utf8(&text).expect("JSON is written as UTF-8"))))
    }

    fn object(&mut self, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        let (fields, item) = match (self.shape(ty), ty) {
            (Some(Shape::Struct(fields)), _) => (Some(fields), None),
            (
                Some(Shape::JsonSchemaOrBool(id) | Shape::JsonSchemaOrArray(id) | Shape::JsonSchemaOrStringArray(id)),
                _,
            ) => match self.table.map(|table| &table.get(*id).shape) {
                Some(Shape::Struct(fields)) => (Some(fields), None),
                _ => (None, None),
            },
            (Some(Shape::RawExtension | Shape::FieldsV1 | Shape::Json), _) | (None, None | Some(FieldType::Any)) => {
                (None, None)
            }
            (None, Some(FieldType::Map(item))) => (None, Some(&**item)),
            _ => return Err(self.mismatch("object", ty)),
        };
        self.enter()?;
        self.objects.count(self.place)?;
        self.at += 1;
        let mut entries: Vec<(Str, Value)> = Vec::new();
        let mut keys = Keys { expected: 0, sorted: true, all_written: true };
        self.skip_space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                if self.bytes.get(self.at) != Some(&b'"') {
                    return Err(self.unexpected("looking for beginning of object key string"));
                }
                let key = self.string()?;
                self.skip_space();
                if self.bytes.get(self.at) != Some(&b':') {
                    return Err(self.unexpected("after object key"));
                }
                self.at += 1;
                self.skip_space();
                self.entry(key, fields, item, &mut keys, &mut entries)?;
                self.skip_space();
                match self.bytes.get(self.at) {
                    Some(b',') => self.at += 1,
                    Some(b'}') => {
                        self.at += 1;
                        break;
                    }
                    _ => return Err(self.unexpected("after object key:value pair")),
                }
            }
        }
        self.depth -= 1;
        if !keys.sorted && entries.len() > SCANNED_KEYS_MAX {
            self.drop_duplicates(&mut entries);
        }
        if let (Some(fields), Some(table)) = (fields, self.table) {
            let mut made = 0;
            if !keys.all_written {
                canonical::drop_unwritten(&mut entries, fields);
            }
            let object = canonical::with_always(entries, table, fields, &mut made);
            self.objects.count_all(made, self.place)?;
            return Ok(Value::Object(object));
        }
        Ok(Value::Object(Map::from_entries(entries).expect("duplicates were replaced when they were found")))
    }

    /// Sorts the entries of a large object and keeps the last of those with the same key.
    fn drop_duplicates(&mut self, entries: &mut Vec<(Str, Value)>) {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut twice = Vec::new();
        // Equal keys are in the order found, so the later value moves into the entry that stays.
        entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
                twice.push(kept.0.clone());
            }
            same
        });
        for key in twice {
            self.complain("duplicate field", &key);
        }
    }

    /// Reads the value of `key` into `entries`; a later duplicate wins, as in Go.
    fn entry(
        &mut self,
        key: Str,
        fields: Option<&'a Struct>,
        item: Option<&FieldType>,
        keys: &mut Keys,
        entries: &mut Vec<(Str, Value)>,
    ) -> Result<(), DecodeError> {
        let here = self.place;
        self.place = here.field(&key);
        let field = match fields {
            Some(fields) => {
                // Objects that servers and kubectl write have their fields in an order that differs little from ours.
                let hinted = fields.fields.get(keys.expected).filter(|field| field.name == key);
                let index = match hinted {
                    Some(_) => Some(keys.expected),
                    None => fields.index_of(&key).map(|index| index as usize),
                };
                match index {
                    Some(index) => {
                        keys.expected = index + 1;
                        Some(&fields.fields[index])
                    }
                    None if fields.preserve_unknown => None,
                    None => {
                        self.complain("unknown field", &key);
                        self.path.push(Step::Field(key));
                        self.value(None)?;
                        self.path.pop();
                        self.place = here;
                        return Ok(());
                    }
                }
            }
            None => None,
        };
        self.path.push(if item.is_some() { Step::Key(key) } else { Step::Field(key) });
        let mut value = self.value(field.map_or(item, |field| Some(&field.ty)))?;
        let Some(Step::Field(key) | Step::Key(key)) = self.path.pop() else {
            unreachable!("what was pushed last is a key")
        };
        if value.is_null()
            && let Some(item) = item
        {
            value = self.zero(item)?;
        }
        if self.place == Place::ManagedFields && field.is_some() && value.as_array().is_some_and(<[_]>::is_empty) {
            // To Go it is another thing than no list, though it is not written. This says the same: nobody is a manager.
            self.objects.count(Place::Entry)?;
            value = Value::array([Value::object()]);
        }
        self.place = here;
        keys.all_written &= field.is_none_or(|field| canonical::is_written(field, &value));
        // Keys mostly come sorted: then a new one is greater than the last, and there is nothing to search.
        let fresh = keys.sorted && entries.last().is_none_or(|(last, _)| *last < key);
        if !fresh {
            keys.sorted = false;
            let known = if entries.len() <= SCANNED_KEYS_MAX {
                entries.iter_mut().find(|(known, _)| *known == key)
            } else {
                None
            };
            if let Some((_, known)) = known {
                *known = value;
                self.complain("duplicate field", &key);
                return Ok(());
            }
        }
        entries.push((key, value));
        Ok(())
    }

    fn array(&mut self, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        let item = match (self.shape(ty), ty) {
            (Some(Shape::JsonSchemaOrArray(id)), _) => Some(FieldType::Ref(*id)),
            (Some(Shape::JsonSchemaOrStringArray(_)), _) => Some(FieldType::String),
            (Some(Shape::RawExtension | Shape::FieldsV1 | Shape::Json), _) | (None, None | Some(FieldType::Any)) => {
                None
            }
            (None, Some(FieldType::List(item))) => Some((**item).clone()),
            _ => return Err(self.mismatch("array", ty)),
        };
        self.enter()?;
        self.at += 1;
        let here = self.place;
        self.place = here.item();
        let mut items = Vec::new();
        self.skip_space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                self.path.push(Step::Index(items.len()));
                let mut value = self.value(item.as_ref())?;
                self.path.pop();
                if value.is_null()
                    && let Some(item) = &item
                {
                    value = self.zero(item)?;
                }
                items.push(value);
                self.skip_space();
                match self.bytes.get(self.at) {
                    Some(b',') => self.at += 1,
                    Some(b']') => {
                        self.at += 1;
                        break;
                    }
                    _ => return Err(self.unexpected("after array element")),
                }
            }
        }
        self.place = here;
        self.depth -= 1;
        Ok(items.into())
    }

    /// What a null is in a list or map of `item`.
    fn zero(&mut self, item: &FieldType) -> Result<Value, DecodeError> {
        let Some(table) = self.table else { return Ok(Value::Null) };
        let mut made = 0;
        let zero = canonical::zero(table, item, &mut made);
        self.objects.count_all(made, self.place)?;
        Ok(zero)
    }

    /// Reads a string; the next byte is its quote.
    fn string(&mut self) -> Result<Str, DecodeError> {
        self.at += 1;
        let start = self.at;
        let Some(len) = end_of_plain(&self.bytes[start..]) else {
            return Err(DecodeError::new("unexpected end of JSON input"));
        };
        self.at += len;
        match self.bytes[self.at] {
            b'"' => {
                let text = &self.text[start..self.at];
                self.at += 1;
                Ok(Str::from(text))
            }
            b'\\' => self.escaped_string(start),
            _ => Err(self.unexpected("in string literal")),
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<Str, DecodeError> {
        let mut out = String::with_capacity(self.at - start + 32);
        let mut copied = start;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    out.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => {
                    out.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    let escape = self.bytes.get(self.at).copied();
                    self.at += 1;
                    match escape {
                        Some(b'"') => out.push('"'),
                        Some(b'\\') => out.push('\\'),
                        Some(b'/') => out.push('/'),
                        Some(b'b') => out.push('\u{8}'),
                        Some(b'f') => out.push('\u{c}'),
                        Some(b'n') => out.push('\n'),
                        Some(b'r') => out.push('\r'),
                        Some(b't') => out.push('\t'),
                        Some(b'u') => out.push(self.unicode_escape()?),
                        _ => {
                            self.at -= 1;
                            return Err(self.unexpected("in string escape code"));
                        }
                    }
                    copied = self.at;
                }
                Some(0..=0x1f) => return Err(self.unexpected("in string literal")),
                Some(_) => self.at += 1,
                None => return Err(DecodeError::new("unexpected end of JSON input")),
            }
        }
    }

    fn unicode_escape(&mut self) -> Result<char, DecodeError> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).expect("a surrogate pair encodes a scalar value"));
            }
            self.at = before;
        }
        // A lone surrogate is no character: Go replaces it, too.
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|&byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.unexpected("in \\u hexadecimal character escape"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        let start = self.at;
        let mut is_integer = true;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            is_integer = false;
            self.at += 1;
            self.require_digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            is_integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.require_digits("in exponent of numeric literal")?;
        }
        let text = &self.text[start..self.at];
        self.typed_number(text, is_integer, ty)
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn require_digits(&mut self, place: &str) -> Result<(), DecodeError> {
        if !matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            return Err(self.unexpected(place));
        }
        self.digits();
        Ok(())
    }

    fn typed_number(&self, text: &str, is_integer: bool, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        let integer = || if is_integer { text.parse::<i64>().ok() } else { None };
        let float = || {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| {
                DecodeError::new(format!("json: cannot unmarshal number {text} into Go value of type float64"))
            })
        };
        let wrong = || Err(self.mismatch(&format!("number {text}"), ty));
        match (self.shape(ty), ty) {
            (Some(Shape::Quantity), _) => canonical::quantity(text).map(Value::String).map_err(DecodeError::new),
            (Some(Shape::IntOrString), _) => match integer().filter(|number| i32::try_from(*number).is_ok()) {
                Some(number) => Ok(Value::Int(number)),
                None => wrong(),
            },
            (Some(Shape::RawExtension | Shape::FieldsV1 | Shape::Json), _) | (None, None | Some(FieldType::Any)) => {
                integer().map_or_else(|| float().map(Value::Float), |number| Ok(Value::Int(number)))
            }
            (None, Some(FieldType::Int32)) => match integer().filter(|number| i32::try_from(*number).is_ok()) {
                Some(number) => Ok(Value::Int(number)),
                None => wrong(),
            },
            (None, Some(FieldType::Int64)) => integer().map_or_else(wrong, |number| Ok(Value::Int(number))),
            (None, Some(FieldType::Double)) => {
                integer().map_or_else(|| float().map(Value::Float), |number| Ok(Value::Int(number)))
            }
            _ => Err(self.mismatch("number", ty)),
        }
    }

    fn typed_bool(&self, truth: bool, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        match (self.shape(ty), ty) {
            (Some(Shape::RawExtension | Shape::Json | Shape::JsonSchemaOrBool(_) | Shape::FieldsV1), _)
            | (None, None | Some(FieldType::Any | FieldType::Bool)) => Ok(Value::Bool(truth)),
            _ => Err(self.mismatch("bool", ty)),
        }
    }

    fn typed_string(&self, text: Str, ty: Option<&FieldType>) -> Result<Value, DecodeError> {
        match (self.shape(ty), ty) {
            (Some(Shape::IntOrString | Shape::RawExtension | Shape::FieldsV1 | Shape::Json), _)
            | (None, None | Some(FieldType::Any | FieldType::String)) => Ok(Value::String(text)),
            (Some(Shape::Quantity), _) => canonical::quantity(&text).map(Value::String).map_err(DecodeError::new),
            (Some(Shape::Time), _) => canonical::time(&text).map(canonical::time_or_null).map_err(DecodeError::new),
            (Some(Shape::MicroTime), _) => {
                canonical::micro_time(&text).map(canonical::time_or_null).map_err(DecodeError::new)
            }
            (Some(Shape::Duration), _) => canonical::duration(&text).map(Value::String).map_err(DecodeError::new),
            (None, Some(FieldType::Bytes)) => {
                canonical::base64(&text).map(|()| Value::String(text.clone())).map_err(DecodeError::new)
            }
            _ => Err(self.mismatch("string", ty)),
        }
    }

    fn complain(&mut self, what: &str, key: &str) {
        if !self.reports || self.complaints.len() == COMPLAINTS_MAX {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(key) | Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Field(key) | Step::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Index(index) => {
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        let dot = if path.is_empty() { "" } else { "." };
        let complaint = format!("{what} {}", quote(&format!("{path}{dot}{key}")));
        // Each is told once; there are few.
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// Go's words for a value of another type than its field. Types that read themselves have words of their own: those of
    /// what they look for.
    fn mismatch(&self, found: &str, ty: Option<&FieldType>) -> DecodeError {
        let wanted = match self.shape(ty) {
            // Whatever stands there is read as the text of a number.
            Some(Shape::Quantity) => return DecodeError::new(QuantityError::Format.to_string()),
            Some(Shape::JsonSchemaOrBool(_)) => return DecodeError::new("boolean or JSON schema expected"),
            Some(Shape::IntOrString) => "int32".to_owned(),
            Some(Shape::Time | Shape::MicroTime | Shape::Duration) => "string".to_owned(),
            _ => self.go_type(ty),
        };
        let fields: Vec<&str> = self
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Field(key) => Some(key.as_str()),
                // Go's message names fields only.
                Step::Key(_) | Step::Index(_) => None,
            })
            .collect();
        if fields.is_empty() {
            return DecodeError::new(format!("json: cannot unmarshal {found} into Go value of type {wanted}"));
        }
        let owner = self.owner();
        let field = fields.join(".");
        DecodeError::new(format!(
            "json: cannot unmarshal {found} into Go struct field {owner}.{field} of type {wanted}"
        ))
    }

    /// The name of the innermost struct around the current position.
    fn owner(&self) -> String {
        let Some(table) = self.table else { return String::new() };
        let mut name = String::new();
        let mut ty = self.root.as_ref();
        for step in &self.path {
            let shape = match ty {
                Some(FieldType::Ref(id)) => Some((&table.get(*id).name, &table.get(*id).shape)),
                _ => None,
            };
            ty = match (step, shape, ty) {
                (Step::Field(key), Some((type_name, Shape::Struct(fields))), _) => {
                    name = short_name(type_name).to_owned();
                    fields.field(key).map(|field| &field.ty)
                }
                (Step::Key(_), _, Some(FieldType::Map(item))) | (Step::Index(_), _, Some(FieldType::List(item))) => {
                    Some(item)
                }
                _ => None,
            };
        }
        name
    }

    fn go_type(&self, ty: Option<&FieldType>) -> String {
        match ty {
            None | Some(FieldType::Any) => "interface {}".to_owned(),
            Some(FieldType::Bool) => "bool".to_owned(),
            Some(FieldType::Int32) => "int32".to_owned(),
            Some(FieldType::Int64) => "int64".to_owned(),
            Some(FieldType::Double) => "float64".to_owned(),
            Some(FieldType::String) => "string".to_owned(),
            Some(FieldType::Bytes) => "[]uint8".to_owned(),
            Some(FieldType::List(item)) => format!("[]{}", self.go_type(Some(item))),
            Some(FieldType::Map(item)) => format!("map[string]{}", self.go_type(Some(item))),
            Some(FieldType::Ref(id)) => match self.table.map(|table| table.get(*id)) {
                Some(ty) => {
                    let mut parts = ty.name.rsplit('.');
                    let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                    format!("{package}.{name}")
                }
                None => String::new(),
            },
        }
    }
}

fn short_name(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or(type_name)
}
