//! Writes a tree as JSON: fields of typed objects in declared order, other keys sorted, escaped as Go escapes.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    decode::LEVELS_PER_CHECK,
    order::Order,
    outline::{Jump, Jumps, Outlined},
    scan::may_need_escapes,
    scratch::with_scratch,
};
use crate::{
    stack,
    type_table::{FieldType, Shape, Struct, TypeId, TypeTable},
    value::{Map, Value, go_float::go_float},
};

/// A typical pod has about 2.5 KB.
const CAPACITY: usize = 4 * 1024;

/// The exponents that encoding/json writes without one.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -6..21;

/// The key whose value changes with every write.
const RESOURCE_VERSION: &str = "resourceVersion";

/// Writes a tree; with a type, in the type's order.
#[must_use]
pub fn encode(value: &Value, ty: Option<(&TypeTable, TypeId)>) -> Bytes {
    let mut writer = Writer::new(ty);
    writer.value(value, ty.map(|(_, id)| FieldType::Ref(id)).as_ref());
    writer.out.into()
}

/// JSON of an object without `metadata.resourceVersion`, into which any can be put without encoding again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spliceable {
    bytes: Bytes,
    /// Where the field belongs; `None` if there is no metadata.
    offset: Option<usize>,
    /// Whether a field stands before it in the metadata.
    follows: bool,
    /// Where the large fields of the bytes are.
    jumps: Box<[Jump]>,
}

impl Spliceable {
    /// The bytes without resource version: what is stored.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes with their outline, without resource version.
    #[must_use]
    pub fn bare(&self) -> Outlined {
        Outlined::new(self.bytes.clone(), self.jumps.clone())
    }

    /// The bytes with resource version: what is served.
    #[must_use]
    pub fn splice(&self, revision: u64) -> Outlined {
        let Some(offset) = self.offset else { return self.bare() };
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(revision);
        let mut out = BytesMut::with_capacity(self.bytes.len() + 24 + digits.len());
        out.put_slice(&self.bytes[..offset]);
        let leads = !self.follows && self.bytes.get(offset) != Some(&b'}');
        out.put_slice(if self.follows { b",\"resourceVersion\":\"" } else { b"\"resourceVersion\":\"" });
        out.put_slice(digits.as_bytes());
        out.put_slice(if leads { b"\"," } else { b"\"" });
        out.put_slice(&self.bytes[offset..]);
        let inserted = out.len() - self.bytes.len();
        let jumps = self.jumps.iter().map(|jump| jump.after_insertion(offset, inserted)).collect();
        Outlined::new(out.freeze(), jumps)
    }
}

/// Writes an object whose `metadata.resourceVersion` is still to come.
#[must_use]
pub fn encode_spliceable(object: &Value, ty: Option<(&TypeTable, TypeId)>) -> Spliceable {
    debug_assert!(object.at(&["metadata", RESOURCE_VERSION]).is_none(), "the resource version is spliced in later");
    with_scratch(|scratch| {
        let mut writer = Writer { out: std::mem::take(scratch), seeks: object.get("metadata"), ..Writer::bare(ty) };
        writer.value(object, ty.map(|(_, id)| FieldType::Ref(id)).as_ref());
        // The store keeps recent values: not with the room that was left for them.
        let (bytes, jumps) = (Bytes::copy_from_slice(&writer.out), writer.jumps.finish());
        *scratch = writer.out;
        Spliceable { bytes, offset: writer.found, follows: writer.follows, jumps }
    })
}

/// The same served JSON, as `encode` wrote it, at another revision.
#[must_use]
pub fn replace_resource_version(json: &Outlined, old: u64, new: u64) -> Outlined {
    let (old, new) = (format!("\"{old}\""), format!("\"{new}\""));
    // Labels and embedded objects may have fields of these names, also before the metadata.
    let [value] = json.fields(&["metadata"], [RESOURCE_VERSION]);
    let Some(value) = value.filter(|value| *value == old.as_bytes()) else { return json.clone() };
    let at = value.as_ptr().addr() - json.as_ptr().addr();
    json.with([&json[..at], new.as_bytes(), &json[at + old.len()..]].concat())
}

struct Writer<'a> {
    out: Vec<u8>,
    table: Option<&'a TypeTable>,
    /// The metadata whose resource version is still to come.
    seeks: Option<&'a Value>,
    found: Option<usize>,
    follows: bool,
    /// How many objects and arrays are open.
    depth: usize,
    jumps: Jumps,
}

impl<'a> Writer<'a> {
    fn new(ty: Option<(&'a TypeTable, TypeId)>) -> Self {
        Self { out: Vec::with_capacity(CAPACITY), ..Self::bare(ty) }
    }

    /// Without room for anything.
    fn bare(ty: Option<(&'a TypeTable, TypeId)>) -> Self {
        let table = ty.map(|(table, _)| table);
        Self { out: Vec::new(), table, seeks: None, found: None, follows: false, depth: 0, jumps: Jumps::default() }
    }

    fn value(&mut self, value: &Value, ty: Option<&FieldType>) {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Int(number) => self.out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            Value::Float(number) => self.out.extend_from_slice(go_float(*number, PLAIN_EXPONENTS, 1).as_bytes()),
            Value::Raw(raw) => self.out.extend_from_slice(raw.text().as_bytes()),
            Value::String(text) => put_string(&mut self.out, text),
            Value::Array(_) | Value::Object(_) => {
                self.depth += 1;
                if self.depth.is_multiple_of(LEVELS_PER_CHECK) {
                    stack::with_room(|| self.nested(value, ty));
                } else {
                    self.nested(value, ty);
                }
                self.depth -= 1;
            }
        }
    }

    fn nested(&mut self, value: &Value, ty: Option<&FieldType>) {
        match value {
            Value::Array(items) => {
                let item_type = match self.resolve(ty) {
                    Some(FieldType::List(item)) => Some(item.as_ref()),
                    Some(FieldType::Ref(id)) => match self.table.map(|table| &table.get(*id).shape) {
                        Some(Shape::JsonSchemaOrArray(_)) => ty,
                        _ => None,
                    },
                    _ => None,
                };
                self.out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    self.value(item, item_type);
                }
                self.out.push(b']');
            }
            Value::Object(map) => self.object(value, map, ty),
            _ => unreachable!("scalars have nothing within"),
        }
    }

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

    fn object(&mut self, value: &Value, map: &Map, ty: Option<&FieldType>) {
        let seeking = self.seeks.is_some_and(|wanted| std::ptr::eq(wanted, value));
        let (fields, item): (Option<&'a Struct>, Option<&FieldType>) = match self.resolve(ty) {
            Some(FieldType::Ref(id)) => match self.table.map(|table| (table, &table.get(*id).shape)) {
                Some((_, Shape::Struct(fields))) => (Some(fields), None),
                Some((
                    table,
                    Shape::JsonSchemaOrBool(id) | Shape::JsonSchemaOrArray(id) | Shape::JsonSchemaOrStringArray(id),
                )) => match &table.get(*id).shape {
                    Shape::Struct(fields) => (Some(fields), None),
                    _ => (None, None),
                },
                _ => (None, None),
            },
            Some(FieldType::Map(item)) => (None, Some(item)),
            _ => (None, None),
        };
        self.out.push(b'{');
        let mut first = true;
        match fields {
            Some(fields) => {
                let splice_before = if seeking { fields.index_of(RESOURCE_VERSION) } else { None };
                for (index, entry) in Order::of(map, fields) {
                    if self.found.is_none() && splice_before.is_some_and(|before| index > before) {
                        self.mark(first);
                    }
                    let (key, child) = &map.entries()[entry];
                    self.field(key, child, fields.fields.get(index as usize).map(|field| &field.ty), &mut first);
                }
            }
            None => {
                for (key, child) in map.iter() {
                    if seeking && self.found.is_none() && key > RESOURCE_VERSION {
                        self.mark(first);
                    }
                    self.field(key, child, item, &mut first);
                }
            }
        }
        if seeking && self.found.is_none() {
            self.mark(first);
        }
        self.out.push(b'}');
    }

    fn field(&mut self, key: &str, value: &Value, ty: Option<&FieldType>, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
        put_string(&mut self.out, key);
        self.out.push(b':');
        let begun = self.jumps.begin(self.depth, self.out.len());
        self.value(value, ty);
        self.jumps.end(begun, self.out.len());
    }

    fn mark(&mut self, first: bool) {
        self.found = Some(self.out.len());
        self.follows = !first;
    }
}

/// Which bytes need an escape: control characters, quote, backslash, and what Go escapes for the sake of HTML. `0xe2`
/// begins the two line separators, which are escaped, too.
static ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

/// Adds a tree without a type.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut writer = Writer { out: std::mem::take(out), ..Writer::bare(None) };
    writer.value(value, None);
    *out = writer.out;
}

/// Adds a string with its quotes.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    put_text(out, text);
    out.push(b'"');
}

/// Writes what stands between the quotes of a string.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if may_need_escapes(bytes) {
        escaped(out, bytes);
    } else {
        out.extend_from_slice(bytes);
    }
}

/// As `put_text`, if something has to be escaped.
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !ESCAPE[byte as usize] {
            continue;
        }
        if byte == 0xe2 {
            let Some(&[_, 0x80, last @ (0xa8 | 0xa9)]) = bytes.get(at..at + 3).and_then(|b| b.first_chunk::<3>())
            else {
                continue;
            };
            out.extend_from_slice(&bytes[copied..at]);
            out.extend_from_slice(if last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
            copied = at + 3;
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}
