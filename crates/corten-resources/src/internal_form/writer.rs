//! Writes a tree as Go's `encoding/json` writes upstream's own struct of it.

use std::sync::Arc;

use corten_api::types::table;
use corten_apimachinery::{
    Map, Value, codec,
    type_table::{FieldType, Presence, Shape, Struct, TypeId},
};

use super::{MAX_BYTES, layout};

/// Types that upstream has in one form only.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Writes on one line, or with a line for each field and item.
pub(super) struct Writer {
    text: String,
    is_pretty: bool,
    depth: usize,
    /// Whether the struct or list that is open has anything yet.
    has_items: bool,
}

impl Writer {
    pub(super) fn compact() -> Self {
        Self { text: String::new(), is_pretty: false, depth: 0, has_items: false }
    }

    /// With one space for each level, as `MarshalIndent` is asked for.
    pub(super) fn pretty() -> Self {
        Self { is_pretty: true, ..Self::compact() }
    }

    /// Whether all is written.
    pub(super) fn is_whole(&self) -> bool {
        self.text.len() < MAX_BYTES
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// A value of a type; an absent one is null if it is a pointer to it, and the zero value if not.
    pub(super) fn value(&mut self, ty: &FieldType, value: Option<&Value>, is_pointer: bool) {
        let value = value.filter(|value| !value.is_null());
        if !self.is_whole() {
            return;
        }
        match (ty, value) {
            (FieldType::Ref(id), _) => self.reference(*id, value, is_pointer),
            (FieldType::List(item), Some(Value::Array(items))) => {
                self.list(items.iter().map(|one| (None, one)), item, ['[', ']']);
            }
            (FieldType::Map(item), Some(Value::Object(map))) => {
                self.list(map.iter().map(|(key, one)| (Some(key), one)), item, ['{', '}']);
            }
            (_, Some(value)) => self.leaf(value),
            (FieldType::List(_) | FieldType::Map(_) | FieldType::Bytes | FieldType::Any, None) => self.push("null"),
            (_, None) if is_pointer => self.push("null"),
            (FieldType::Bool, None) => self.push("false"),
            (FieldType::Int32 | FieldType::Int64 | FieldType::Double, None) => self.push("0"),
            (FieldType::String, None) => self.push("\"\""),
        }
    }

    fn reference(&mut self, id: TypeId, value: Option<&Value>, is_pointer: bool) {
        let ty = table().get(id);
        let kind = ty.name.rsplit('.').next().unwrap_or_default();
        match (&ty.shape, value) {
            (Shape::Alias(target), _) => self.value(target, value, is_pointer),
            (_, None) if is_pointer => self.push("null"),
            (Shape::Struct(fields), _) if ty.name.starts_with(META) => self.as_sent(fields, value),
            (Shape::Struct(fields), _) => self.own(kind, fields, value),
            (Shape::JsonSchemaOrBool(schema), Some(value)) => {
                let allows = Value::from(value.as_bool().unwrap_or(true));
                self.either(*schema, value, ("Allows", allows), true);
            }
            (Shape::JsonSchemaOrStringArray(schema), Some(value)) => {
                let property = if value.as_array().is_some() { value.clone() } else { Value::Null };
                self.either(*schema, value, ("Property", property), false);
            }
            (Shape::JsonSchemaOrArray(schema), Some(value)) => self.schemas(*schema, value),
            (_, Some(value)) => self.leaf(value),
            (Shape::Quantity, None) => self.push("\"0\""),
            (Shape::IntOrString, None) => self.push("0"),
            (Shape::Duration, None) => self.push("\"0s\""),
            (_, None) => self.push("null"),
        }
    }

    /// A schema, or what may stand in its place; both are fields of one struct.
    fn either(&mut self, schema: TypeId, value: &Value, (name, other): (&str, Value), is_other_first: bool) {
        let outer = self.open('{');
        if is_other_first {
            self.key(name);
            self.leaf(&other);
        }
        self.key("Schema");
        self.value(&FieldType::Ref(schema), Some(value).filter(|value| value.as_object().is_some()), true);
        if !is_other_first {
            self.key(name);
            self.leaf(&other);
        }
        self.close('}', outer);
    }

    /// A schema or several, in one struct.
    fn schemas(&mut self, schema: TypeId, value: &Value) {
        let ty = FieldType::Ref(schema);
        let outer = self.open('{');
        self.key("Schema");
        self.value(&ty, Some(value).filter(|value| value.as_object().is_some()), true);
        self.key("JSONSchemas");
        self.value(&FieldType::List(Arc::new(ty)), Some(value).filter(|value| value.as_array().is_some()), false);
        self.close('}', outer);
    }

    /// A struct of upstream's own.
    pub(super) fn own(&mut self, kind: &str, of: &Struct, value: Option<&Value>) {
        let moved = (kind == "PodSpec").then(|| with_host(value));
        let value = moved.as_ref().or(value);
        let outer = self.open('{');
        for field in layout::fields(kind, of) {
            let value = value.and_then(|value| value.get(field.name));
            // Embedded upstream: its fields are the struct's.
            if field.name == "metadata" {
                if let FieldType::Ref(id) = field.ty
                    && let Shape::Struct(metadata) = &table().get(*id).shape
                {
                    self.sent_fields(metadata, value);
                }
                continue;
            }
            self.key(&layout::go_name(kind, field.name));
            self.value(field.ty, value, field.is_pointer);
        }
        self.close('}', outer);
    }

    /// A struct that is inside as clients send it.
    fn as_sent(&mut self, of: &Struct, value: Option<&Value>) {
        let outer = self.open('{');
        self.sent_fields(of, value);
        self.close('}', outer);
    }

    fn sent_fields(&mut self, of: &Struct, value: Option<&Value>) {
        for field in &of.fields {
            let value = value.and_then(|value| value.get(&field.name));
            let is_pointer = field.presence == Presence::PointerAlways;
            if value.is_some() || is_pointer || field.presence == Presence::Always {
                self.key(&field.name);
                self.value(&field.ty, value, is_pointer);
            }
        }
    }

    fn list<'v>(
        &mut self,
        items: impl Iterator<Item = (Option<&'v str>, &'v Value)>,
        ty: &FieldType,
        [start, end]: [char; 2],
    ) {
        let outer = self.open(start);
        for (key, item) in items {
            match key {
                Some(key) => self.key(key),
                None => self.next(),
            }
            self.value(ty, Some(item), false);
            if !self.is_whole() {
                break;
            }
        }
        self.close(end, outer);
    }

    fn open(&mut self, start: char) -> bool {
        self.text.push(start);
        self.depth += 1;
        std::mem::replace(&mut self.has_items, false)
    }

    fn close(&mut self, end: char, outer: bool) {
        self.depth -= 1;
        if self.has_items {
            self.line();
        }
        self.text.push(end);
        self.has_items = outer;
    }

    /// Before the next field or item.
    fn next(&mut self) {
        if self.has_items {
            self.text.push(',');
        }
        self.has_items = true;
        self.line();
    }

    fn line(&mut self) {
        if self.is_pretty {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', self.depth));
        }
    }

    fn key(&mut self, name: &str) {
        self.next();
        self.leaf(&name.into());
        self.text.push_str(if self.is_pretty { ": " } else { ":" });
    }

    fn leaf(&mut self, value: &Value) {
        let json = codec::json::encode(value, None);
        self.text.push_str(&String::from_utf8_lossy(&json));
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

/// The spec with what it says of the host in its security context, which upstream's always has.
fn with_host(spec: Option<&Value>) -> Value {
    let mut spec = spec.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let mut context = spec.get("securityContext").cloned().filter(|one| !one.is_null()).unwrap_or_else(Value::object);
    for (name, _) in layout::OF_HOST {
        if let Some(value) = spec.get(name) {
            let value = value.clone();
            context.set(&[name], value);
        }
    }
    spec.set(&["securityContext"], context);
    spec
}
