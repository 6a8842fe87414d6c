//! A structural schema as a type: what expressions can name, how values are read, and how large they can be.
//!
//! What the schema does not bound is bounded by the size of a request.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/common/schemas.go, pkg/cel/limits.go, and `WithTypeAndObjectMeta` in
//! k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model/schemas.go (v1.35).

use std::{borrow::Cow, cell::Cell, collections::BTreeMap, sync::Arc};

use corten_apimachinery::{
    schema::{AdditionalProperties, Generic, Structural, ValueValidation},
    value::{Str, Value},
};

use super::escape;
use crate::{
    declared::Declared,
    types::Type,
    value::{Field, ListEquality, Shape},
};

/// The largest request.
pub(super) const REQUEST_BYTES_MAX: u64 = 3 * 1_024 * 1_024;
/// The longest text: without its quotation marks.
const TEXT_MAX: u64 = REQUEST_BYTES_MAX - 2;
/// The longest point in time, and the longest span, in JSON.
const TIME_BYTES_MAX: u64 = 32;
/// A date in JSON.
const DATE_BYTES: u64 = 12;

/// A schema as a type.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    pub(super) ty: Arc<Declared>,
    pub(super) shape: Shape,
}

impl Declaration {
    fn scalar(ty: Type, shape: Shape, max_size: u64, min_bytes: u64) -> Self {
        Self { ty: Declared::scalar(ty, max_size, min_bytes), shape }
    }
}

/// The name of the type that all others are in.
const ROOT_NAME: &str = "selfType";
/// Names of types that are longer are replaced by numbers: a deep schema has many parts, and each would repeat its path.
const NAME_MAX_BYTES: usize = 200;

/// `schema` as a type; `None` if expressions can do nothing with it.
pub(super) fn declare(schema: &Structural, is_resource: bool) -> Option<Declaration> {
    Declarer { shortened: Cell::new(0) }.declare(schema, is_resource, ROOT_NAME)
}

struct Declarer {
    /// How many names were replaced.
    shortened: Cell<usize>,
}

impl Declarer {
    fn below(&self, name: &str, step: &str) -> String {
        if name.len() + step.len() < NAME_MAX_BYTES {
            return format!("{name}.{step}");
        }
        self.shortened.set(self.shortened.get() + 1);
        format!("{ROOT_NAME}.@{}", self.shortened.get())
    }

    fn declare(&self, schema: &Structural, is_resource: bool, name: &str) -> Option<Declaration> {
        let no_validation = ValueValidation::default();
        let validation = schema.validation.as_deref().unwrap_or(&no_validation);
        if schema.extensions.int_or_string {
            let max = validation.max_length.map_or(TEXT_MAX, bytes_of);
            return Some(Declaration::scalar(Type::Dyn, Shape::Dynamic, max, 1));
        }
        match &*schema.generic.ty {
            "array" => self.list(schema, validation, name),
            "object" => {
                let schema = if is_resource { with_meta(schema) } else { Cow::Borrowed(schema) };
                match schema.additional_properties.as_ref().and_then(AdditionalProperties::schema) {
                    Some(values) => self.map(&schema, values, validation, name),
                    None => Some(self.object(&schema, validation, name)),
                }
            }
            "string" => Some(text(validation)),
            "boolean" => Some(Declaration::scalar(Type::Bool, Shape::Dynamic, 0, 4)),
            "number" => Some(Declaration::scalar(Type::Double, Shape::Double, 0, 1)),
            "integer" => Some(Declaration::scalar(Type::Int, Shape::Dynamic, 0, 1)),
            _ => None,
        }
    }

    fn list(&self, schema: &Structural, validation: &ValueValidation, name: &str) -> Option<Declaration> {
        let item_schema = schema.items.as_deref()?;
        let items = self.declare(item_schema, item_schema.extensions.embedded_resource, &self.below(name, "@idx"))?;
        let max = validation.max_items.map_or((REQUEST_BYTES_MAX - 2) / (items.ty.min_bytes() + 1), not_negative);
        let equality = match schema.extensions.list_type.as_deref() {
            Some("set") => ListEquality::Set,
            Some("map") => ListEquality::Map(schema.extensions.list_map_keys.clone()),
            _ => ListEquality::Atomic,
        };
        let shape = Shape::List(Arc::new(items.shape), equality);
        Some(Declaration { ty: Declared::list(items.ty, max), shape })
    }

    fn map(
        &self,
        schema: &Structural,
        values: &Structural,
        validation: &ValueValidation,
        name: &str,
    ) -> Option<Declaration> {
        let declared = self.declare(values, values.extensions.embedded_resource, &self.below(name, "@elem"))?;
        // A key, its quotation marks, a colon and a comma come with each value.
        let max =
            validation.max_properties.map_or((REQUEST_BYTES_MAX - 2) / (declared.ty.min_bytes() + 6), not_negative);
        let shape = if schema.properties.is_empty() {
            Shape::Map(Arc::new(declared.shape))
        } else {
            self.object(schema, validation, name).shape
        };
        // Upstream bounds nothing for keys, which makes them free to look at.
        let ty = Declared::map(Declared::scalar(Type::String, 0, 2), declared.ty, max);
        Some(Declaration { ty, shape })
    }

    fn object(&self, schema: &Structural, validation: &ValueValidation, name: &str) -> Declaration {
        let mut types = Vec::new();
        let mut shapes = BTreeMap::new();
        let mut min_bytes: u64 = 2;
        for (json, property) in &schema.properties {
            let escaped = escape(json);
            let type_name = self.below(name, escaped.as_deref().unwrap_or(json));
            let declared = self.declare(property, property.extensions.embedded_resource, &type_name);
            // What expressions cannot spell keeps its name, so that it is there for its own rules and nobody else. What has no
            // type is not there, but counts when objects are compared.
            let key = escaped.as_deref().map_or_else(|| json.clone(), Str::from);
            let shape = declared.as_ref().map_or(Shape::Dynamic, |declared| declared.shape.clone());
            shapes.insert(key.clone(), Field { json: json.clone(), shape });
            let Some(declared) = declared else { continue };
            let is_required = validation.required.contains(json);
            if is_required && property.generic.default.as_ref().is_none_or(Value::is_null) {
                min_bytes = min_bytes.saturating_add(json.len() as u64 + declared.ty.min_bytes() + 4);
            }
            types.push((key, declared.ty));
        }
        Declaration {
            ty: Declared::object(name, types, min_bytes),
            shape: Shape::Object(name.into(), Arc::new(shapes)),
        }
    }
}

/// A whole object always has its kind and its name, whatever its schema says of them.
pub(super) fn with_meta(schema: &Structural) -> Cow<'_, Structural> {
    let is = |schema: Option<&Structural>, ty: &str| schema.is_some_and(|schema| *schema.generic.ty == *ty);
    let field = |name: &str| schema.properties.get(name);
    let meta = |name: &str| field("metadata").and_then(|metadata| metadata.properties.get(name));
    if is(field("kind"), "string")
        && is(field("apiVersion"), "string")
        && is(field("metadata"), "object")
        && is(meta("name"), "string")
        && is(meta("generateName"), "string")
    {
        return Cow::Borrowed(schema);
    }
    let of_type =
        |ty: &str| Structural { generic: Generic { ty: ty.into(), ..Generic::default() }, ..Structural::default() };
    let mut metadata = of_type("object");
    metadata.properties = ["name", "generateName"].map(|name| (name.into(), of_type("string"))).into();
    let mut schema = schema.clone();
    schema.additional_properties = None;
    schema.properties.extend([
        ("kind".into(), of_type("string")),
        ("apiVersion".into(), of_type("string")),
        ("metadata".into(), metadata),
    ]);
    Cow::Owned(schema)
}

fn text(validation: &ValueValidation) -> Declaration {
    match &*validation.format {
        "byte" => {
            let max = validation.max_length.map_or(TEXT_MAX, not_negative);
            Declaration::scalar(Type::Bytes, Shape::Bytes, max, 2)
        }
        "duration" => Declaration::scalar(Type::Duration, Shape::Duration, TIME_BYTES_MAX, 3),
        "date" => Declaration::scalar(Type::Timestamp, Shape::Timestamp, DATE_BYTES, DATE_BYTES),
        "date-time" => Declaration::scalar(Type::Timestamp, Shape::Timestamp, TIME_BYTES_MAX, 21),
        _ => {
            let longest = validation.enum_values.iter().filter_map(Value::as_str).map(str::len).max();
            let max = match validation.max_length {
                Some(max) => bytes_of(max),
                None if validation.enum_values.is_empty() => TEXT_MAX,
                None => longest.unwrap_or(0) as u64,
            };
            Declaration::scalar(Type::String, Shape::Dynamic, max, 2)
        }
    }
}

fn not_negative(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The most bytes of a text of `characters`.
fn bytes_of(characters: i64) -> u64 {
    not_negative(characters).saturating_mul(4)
}
