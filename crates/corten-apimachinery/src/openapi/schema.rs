//! Schemas of types: the `definitions` of OpenAPI v2 and the `components.schemas` of v3.

use std::collections::BTreeMap;

use crate::{
    type_table::{Field, FieldType, ListType, PatchStrategy, Presence, Shape, Struct, Type, TypeId, TypeTable, Union},
    value::{Map, Str, Value, format_str},
};

/// Which OpenAPI a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAPI v2: no defaults, references stand beside descriptions.
    V2,
    /// OpenAPI v3: defaults, `allOf` around references with anything beside them, `oneOf`.
    V3,
}

/// How schemas are made.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Which OpenAPI.
    pub dialect: Dialect,
    /// Whether enums are listed: upstream's feature gate `OpenAPIEnums`.
    pub enums: bool,
    /// The human descriptions.
    pub descriptions: &'a dyn Descriptions,
}

/// Human descriptions of types and fields.
pub trait Descriptions: Sync {
    /// What a type is for.
    fn of_type(&self, name: &str) -> Option<&str>;
    /// What a field of a type is for.
    fn of_field(&self, type_name: &str, field: &str) -> Option<&str>;
}

/// Schemas without descriptions.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDescriptions;

impl Descriptions for NoDescriptions {
    fn of_type(&self, _name: &str) -> Option<&str> {
        None
    }

    fn of_field(&self, _type_name: &str, _field: &str) -> Option<&str> {
        None
    }
}

/// The schemas of the types `roots` and of all that they refer to, by name.
#[must_use]
pub fn definitions(
    table: &TypeTable,
    roots: impl IntoIterator<Item = TypeId>,
    options: Options<'_>,
) -> BTreeMap<Str, Value> {
    let mut found = BTreeMap::new();
    let mut open: Vec<TypeId> = roots.into_iter().collect();
    while let Some(id) = open.pop() {
        let ty = table.get(id);
        // Another name of a list is written out where it is used.
        if found.contains_key(&ty.name) || matches!(ty.shape, Shape::Alias(_)) {
            continue;
        }
        open.extend(references(table, ty));
        found.insert(ty.name.clone(), definition(table, ty, options));
    }
    found
}

/// The types that a type's schema refers to, in the order of its fields, some more than once.
pub fn references<'t>(table: &'t TypeTable, ty: &'t Type) -> impl Iterator<Item = TypeId> + 't {
    let fields = match &ty.shape {
        Shape::Struct(shape) => shape.fields.as_slice(),
        _ => &[],
    };
    fields.iter().filter_map(|field| innermost(table, &field.ty))
}

fn innermost(table: &TypeTable, ty: &FieldType) -> Option<TypeId> {
    match ty {
        FieldType::List(item) | FieldType::Map(item) => innermost(table, item),
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(target) => innermost(table, target),
            _ => Some(*id),
        },
        _ => None,
    }
}

/// The schema of one type.
#[must_use]
pub fn definition(table: &TypeTable, ty: &Type, options: Options<'_>) -> Value {
    let writer = Writer { table, options };
    let mut schema = match &ty.shape {
        Shape::Struct(shape) => writer.object(ty, shape),
        Shape::Alias(target) => writer.schema(target, false),
        Shape::Time | Shape::MicroTime => with_format("string", "date-time"),
        Shape::Duration => with_type("string"),
        Shape::RawExtension | Shape::FieldsV1 => with_type("object"),
        Shape::Quantity => writer.either("string", "number", None),
        Shape::IntOrString => writer.either("integer", "string", Some("int-or-string")),
        Shape::Json | Shape::JsonSchemaOrBool(_) | Shape::JsonSchemaOrArray(_) | Shape::JsonSchemaOrStringArray(_) => {
            Map::new()
        }
    };
    put(&mut schema, "description", options.descriptions.of_type(&ty.name).map(Value::from));
    let kinds = ty.kinds.iter().map(|(group, version, kind)| {
        let parts = [("group", group), ("kind", kind), ("version", version)];
        Value::object_of(parts.map(|(key, text)| (key, text.clone().into())))
    });
    put_list(&mut schema, "x-kubernetes-group-version-kind", kinds.collect());
    schema.into()
}

struct Writer<'a> {
    table: &'a TypeTable,
    options: Options<'a>,
}

impl Writer<'_> {
    fn object(&self, ty: &Type, shape: &Struct) -> Map {
        let mut schema = with_type("object");
        let properties: Vec<(Str, Value)> =
            shape.fields.iter().map(|field| (field.name.clone(), self.property(ty, field))).collect();
        if !properties.is_empty() {
            schema.insert("properties", Value::object_of(properties));
        }
        let required = shape.fields.iter().filter(|field| field.required).map(|field| field.name.clone().into());
        put_list(&mut schema, "required", required.collect());
        put(&mut schema, "x-kubernetes-map-type", shape.atomic.then(|| "atomic".into()));
        put(&mut schema, "x-kubernetes-preserve-unknown-fields", shape.preserve_unknown.then(|| true.into()));
        put_list(&mut schema, "x-kubernetes-unions", shape.unions.iter().map(union).collect());
        schema
    }

    fn property(&self, owner: &Type, field: &Field) -> Value {
        let mut schema = self.schema(&field.ty, false);
        if self.options.enums && !field.enum_values.is_empty() {
            let values = Value::array(field.enum_values.iter().cloned().map(Value::from));
            match schema.get_mut("items").and_then(Value::as_object_mut) {
                Some(items) => items.insert("enum", values),
                None => schema.insert("enum", values),
            };
        }
        put(&mut schema, "description", self.options.descriptions.of_field(&owner.name, &field.name).map(Value::from));
        match &field.list {
            None => {}
            Some(ListType::Atomic) => put(&mut schema, "x-kubernetes-list-type", Some("atomic".into())),
            Some(ListType::Set) => put(&mut schema, "x-kubernetes-list-type", Some("set".into())),
            Some(ListType::Map(keys)) => {
                put(&mut schema, "x-kubernetes-list-type", Some("map".into()));
                put_list(&mut schema, "x-kubernetes-list-map-keys", keys.iter().cloned().map(Value::from).collect());
            }
        }
        let map_type = field.atomic.map(|atomic| if atomic { "atomic" } else { "granular" });
        put(&mut schema, "x-kubernetes-map-type", map_type.map(Value::from));
        put(&mut schema, "x-kubernetes-patch-strategy", patch_strategy(&field.patch));
        put(&mut schema, "x-kubernetes-patch-merge-key", field.patch.merge_key.clone().map(Value::from));
        if self.options.dialect == Dialect::V3 {
            put(&mut schema, "default", self.default(field));
        }
        put(&mut schema, "nullable", field.nullable.then(|| true.into()));
        self.wrap_reference(schema).into()
    }

    /// The declared default, or the zero of a value that is always written.
    fn default(&self, field: &Field) -> Option<Value> {
        if field.default.is_some() {
            return field.default.clone();
        }
        if matches!(field.presence, Presence::Always | Presence::OmitZero) { self.zero(&field.ty) } else { None }
    }

    fn zero(&self, ty: &FieldType) -> Option<Value> {
        match ty {
            FieldType::Bool => Some(false.into()),
            FieldType::Int32 | FieldType::Int64 | FieldType::Double => Some(0.into()),
            FieldType::String => Some("".into()),
            FieldType::Ref(id) => match &self.table.get(*id).shape {
                Shape::Struct(_) => Some(Value::object()),
                _ => None,
            },
            FieldType::Bytes | FieldType::List(_) | FieldType::Map(_) | FieldType::Any => None,
        }
    }

    /// The schema of a type expression. `is_element`: of a list or map, so that in v3 it has its zero as default.
    fn schema(&self, ty: &FieldType, is_element: bool) -> Map {
        let mut schema = match ty {
            FieldType::Bool => with_type("boolean"),
            FieldType::Int32 => with_format("integer", "int32"),
            FieldType::Int64 => with_format("integer", "int64"),
            FieldType::Double => with_format("number", "double"),
            FieldType::String => with_type("string"),
            FieldType::Bytes => with_format("string", "byte"),
            FieldType::Any => Map::new(),
            FieldType::List(item) => {
                let mut schema = with_type("array");
                schema.insert("items", self.schema(item, true));
                schema
            }
            FieldType::Map(value) => {
                let mut schema = with_type("object");
                schema.insert("additionalProperties", self.schema(value, true));
                schema
            }
            FieldType::Ref(id) => {
                let target = self.table.get(*id);
                if let Shape::Alias(target) = &target.shape {
                    return self.schema(target, is_element);
                }
                let folder = match self.options.dialect {
                    Dialect::V2 => "#/definitions/",
                    Dialect::V3 => "#/components/schemas/",
                };
                let mut schema = Map::new();
                schema.insert("$ref", format_str!("{folder}{}", target.name));
                schema
            }
        };
        if is_element && self.options.dialect == Dialect::V3 {
            put(&mut schema, "default", self.zero(ty));
            schema = self.wrap_reference(schema);
        }
        schema
    }

    /// In v3 nothing may stand beside a reference: it goes into `allOf` then.
    fn wrap_reference(&self, mut schema: Map) -> Map {
        if self.options.dialect == Dialect::V3
            && schema.len() > 1
            && let Some(reference) = schema.remove("$ref")
        {
            schema.insert("allOf", Value::array([Value::object_of([("$ref", reference)])]));
        }
        schema
    }

    /// Either of two types: v2 has no such thing and says text.
    fn either(&self, first: &str, second: &str, format: Option<&str>) -> Map {
        let mut schema = match self.options.dialect {
            Dialect::V2 => with_type("string"),
            Dialect::V3 => {
                let mut schema = Map::new();
                schema.insert("oneOf", Value::array([first, second].map(|ty| with_type(ty).into())));
                schema
            }
        };
        put(&mut schema, "format", format.map(Value::from));
        schema
    }
}

fn union(union: &Union) -> Value {
    let members = union.members.iter().map(|(field, value)| (field.clone(), value.clone().into()));
    let mut schema = Map::new();
    put(&mut schema, "discriminator", union.discriminator.clone().map(Value::from));
    schema.insert("fields-to-discriminateBy", Value::object_of(members));
    schema.into()
}

fn patch_strategy(patch: &PatchStrategy) -> Option<Value> {
    let words = [(patch.merge, "merge"), (patch.replace, "replace"), (patch.retain_keys, "retainKeys")];
    let words: Vec<&str> = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
    (!words.is_empty()).then(|| words.join(",").into())
}

fn with_type(ty: &str) -> Map {
    let mut schema = Map::new();
    schema.insert("type", ty);
    schema
}

fn with_format(ty: &str, format: &str) -> Map {
    let mut schema = with_type(ty);
    schema.insert("format", format);
    schema
}

fn put(schema: &mut Map, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        schema.insert(key, value);
    }
}

fn put_list(schema: &mut Map, key: &str, items: Vec<Value>) {
    if !items.is_empty() {
        schema.insert(key, items);
    }
}
