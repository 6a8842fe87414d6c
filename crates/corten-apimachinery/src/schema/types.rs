//! A structural schema as types of a type table, so that applying, managed fields and patches treat a custom resource as
//! they treat built-in kinds.
//!
//! The types say how fields merge and who owns them. They are not for decoding: zero values and nulls of custom resources
//! mean what the schema says, not what a type's presence says.
//! Upstream: k8s.io/kube-openapi/pkg/schemaconv over the published schema (v1.35).

use std::sync::Arc;

use super::{AdditionalProperties, MetaType, Structural, prune::is_meta_field};
use crate::{
    type_table::{Field, FieldType, ListType, Presence, Shape, Struct, Type, TypeId, TypeTable},
    value::{Str, format_str},
};

/// The names that a custom resource's kind goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomKind<'n> {
    /// The group.
    pub group: &'n str,
    /// The version.
    pub version: &'n str,
    /// The kind.
    pub kind: &'n str,
    /// The kind of lists.
    pub list_kind: &'n str,
    /// The plural name of the resource.
    pub plural: &'n str,
}

impl CustomKind<'_> {
    /// The name of the kind's schema in OpenAPI: `com.example.v1.Thing`.
    #[must_use]
    pub fn schema_name(&self) -> Str {
        format_str!("{}.{}", self.reversed_prefix(), self.kind)
    }

    /// The name of the schema of lists.
    #[must_use]
    pub fn list_schema_name(&self) -> Str {
        format_str!("{}.{}", self.reversed_prefix(), self.list_kind)
    }

    fn reversed_prefix(&self) -> String {
        let labels: Vec<&str> = self.group.rsplit('.').collect();
        format!("{}.{}", labels.join("."), self.version)
    }
}

/// The type of list metadata.
pub(crate) const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// A table with the types of a custom kind and all that they refer to, and the place of the kind's type. Without a schema
/// every field is untyped. The types of metadata are those of `builtin`; `None` if it has none.
#[must_use]
pub fn to_types(schema: Option<&Structural>, kind: CustomKind<'_>, builtin: &TypeTable) -> Option<(TypeTable, TypeId)> {
    let mut maker = Maker { table: TypeTable::default() };
    let object_meta = maker.copy(builtin, builtin.find(MetaType::NAME)?);
    let kinds = |kind_name: &str| vec![(kind.group.into(), kind.version.into(), kind_name.into())];
    let name = kind.schema_name();
    let mut fields = type_meta();
    fields.push(field("metadata", FieldType::Ref(object_meta)));
    let mut shape = match schema {
        Some(schema) => maker.object(schema, &name, fields),
        None => Struct { preserve_unknown: true, ..Struct::new(fields) },
    };
    // A whole object is never one field.
    shape.atomic = false;
    let root = maker.table.define(Type { name, shape: Shape::Struct(shape), kinds: kinds(kind.kind), served: true });
    if let Some(list_meta) = builtin.find(LIST_META) {
        let list_meta = maker.copy(builtin, list_meta);
        let mut fields = type_meta();
        fields.push(field("metadata", FieldType::Ref(list_meta)));
        fields.push(field("items", FieldType::List(Arc::new(FieldType::Ref(root)))));
        let shape = Shape::Struct(Struct::new(fields));
        let list = Type { name: kind.list_schema_name(), shape, kinds: kinds(kind.list_kind), served: true };
        maker.table.define(list);
    }
    Some((maker.table, root))
}

fn field(name: &str, ty: FieldType) -> Field {
    // What is there is written, also if it is zero.
    Field { name: name.into(), ty, presence: Presence::Pointer, ..Field::default() }
}

/// The name of the type of a property: what parts names within it is escaped in the property's own name, so that the property
/// `a.b` and `b` of `a` have two types.
fn property_type_name(of: &str, property: &str) -> String {
    let mut name = format!("{of}.");
    for character in property.chars() {
        match character {
            '~' => name.push_str("~0"),
            '.' => name.push_str("~1"),
            '[' => name.push_str("~2"),
            '{' => name.push_str("~3"),
            other => name.push(other),
        }
    }
    name
}

fn type_meta() -> Vec<Field> {
    vec![field("apiVersion", FieldType::String), field("kind", FieldType::String)]
}

struct Maker {
    table: TypeTable,
}

impl Maker {
    /// The struct of an object with `fields` and those of its schema.
    fn object(&mut self, schema: &Structural, name: &str, mut fields: Vec<Field>) -> Struct {
        let given = fields.len();
        let required = |name: &str| {
            schema.validation.as_ref().is_some_and(|validation| validation.required.iter().any(|other| other == name))
        };
        for (property_name, property) in &schema.properties {
            if fields[..given].iter().any(|field| field.name == *property_name) {
                continue;
            }
            let ty = self.ty(property, &property_type_name(name, property_name));
            fields.push(Field {
                required: required(property_name),
                list: list_type(property),
                atomic: match property.extensions.map_type.as_deref() {
                    Some("atomic") => Some(true),
                    _ => None,
                },
                default: property.generic.default.clone(),
                nullable: property.generic.nullable,
                ..field(property_name, ty)
            });
        }
        Struct {
            atomic: schema.extensions.map_type.as_deref() == Some("atomic"),
            preserve_unknown: schema.extensions.preserve_unknown_fields,
            ..Struct::new(fields)
        }
    }

    fn ty(&mut self, schema: &Structural, name: &str) -> FieldType {
        if schema.extensions.int_or_string {
            return FieldType::Any;
        }
        match schema.generic.ty.as_str() {
            "boolean" => FieldType::Bool,
            "integer" => FieldType::Int64,
            "number" => FieldType::Double,
            "string" => FieldType::String,
            "array" => {
                let item = schema.items.as_ref().map_or(FieldType::Any, |items| self.ty(items, &format!("{name}[]")));
                FieldType::List(Arc::new(item))
            }
            "object" => self.object_type(schema, name),
            _ => FieldType::Any,
        }
    }

    fn object_type(&mut self, schema: &Structural, name: &str) -> FieldType {
        if schema.properties.is_empty() && !schema.extensions.embedded_resource {
            match &schema.additional_properties {
                Some(AdditionalProperties::Schema(values)) => {
                    return FieldType::Map(Arc::new(self.ty(values, &format!("{name}{{}}"))));
                }
                Some(AdditionalProperties::Allowed(true)) => return FieldType::Map(Arc::new(FieldType::Any)),
                _ => {}
            }
        }
        let mut fields = Vec::new();
        if schema.extensions.embedded_resource {
            fields = type_meta();
            let meta = self.table.find(MetaType::NAME).map_or(FieldType::Any, FieldType::Ref);
            fields.push(field("metadata", meta));
            debug_assert!(fields.iter().all(|field| is_meta_field(&field.name)));
        }
        let shape = Shape::Struct(self.object(schema, name, fields));
        let id = self.table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: false });
        FieldType::Ref(id)
    }

    /// Takes a type over from another table, with all that it refers to.
    fn copy(&mut self, from: &TypeTable, id: TypeId) -> TypeId {
        let ty = from.get(id);
        if let Some(known) = self.table.find(&ty.name) {
            return known;
        }
        // Types refer to each other, so it is known before what it refers to is copied.
        let own = self.table.declare(&ty.name);
        let shape = match &ty.shape {
            Shape::Struct(shape) => {
                let mut shape = shape.clone();
                for field in &mut shape.fields {
                    field.ty = self.copy_field_type(from, &field.ty);
                }
                Shape::Struct(shape)
            }
            Shape::Alias(target) => Shape::Alias(self.copy_field_type(from, target)),
            Shape::JsonSchemaOrBool(id) => Shape::JsonSchemaOrBool(self.copy(from, *id)),
            Shape::JsonSchemaOrArray(id) => Shape::JsonSchemaOrArray(self.copy(from, *id)),
            Shape::JsonSchemaOrStringArray(id) => Shape::JsonSchemaOrStringArray(self.copy(from, *id)),
            other => other.clone(),
        };
        self.table.define(Type { shape, ..ty.clone() });
        own
    }

    fn copy_field_type(&mut self, from: &TypeTable, ty: &FieldType) -> FieldType {
        match ty {
            FieldType::Ref(id) => FieldType::Ref(self.copy(from, *id)),
            FieldType::List(item) => FieldType::List(Arc::new(self.copy_field_type(from, item))),
            FieldType::Map(value) => FieldType::Map(Arc::new(self.copy_field_type(from, value))),
            other => other.clone(),
        }
    }
}

fn list_type(schema: &Structural) -> Option<ListType> {
    match schema.extensions.list_type.as_deref()? {
        "set" => Some(ListType::Set),
        "map" => Some(ListType::Map(schema.extensions.list_map_keys.clone())),
        _ => Some(ListType::Atomic),
    }
}
