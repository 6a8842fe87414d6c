//! The type table: one description of every message, from which decoding, encoding, patching, applying and OpenAPI follow.
//!
//! Built-in types come from a generated file (`corten-api`); a custom resource's structural schema becomes types of the
//! same kind at run time, so both go through the same code.

mod field_index;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

pub use field_index::FieldIndex;

use crate::value::{Str, Value};

/// A type's place in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// A set of types that refer to each other.
#[derive(Debug, Clone, Default)]
pub struct TypeTable {
    types: Vec<Type>,
    /// What each struct is before anything in it is set, and how many objects that has, once somebody has asked.
    zeros: Vec<OnceLock<(Value, usize)>>,
    by_name: HashMap<Str, TypeId>,
    /// By kind, then a short list by group and version.
    by_kind: HashMap<Str, Vec<(Str, Str, TypeId)>>,
}

/// One type.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// The name in OpenAPI: `io.k8s.api.core.v1.PodSpec`.
    pub name: Str,
    /// What its values look like.
    pub shape: Shape,
    /// The kinds that it is, sorted: (group, version, kind). Also those of versions that nobody serves any more.
    pub kinds: Vec<(Str, Str, Str)>,
    /// Whether a server with all versions on exposes it, so that OpenAPI has it.
    pub served: bool,
}

/// What values of a type look like on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// An object with declared fields.
    Struct(Struct),
    /// Another name of a list. In protobuf, unlike a plain list, a message with the list as field 1 (`ExtraValue`).
    /// Other names for simple types (`type PodPhase string`) are resolved where they are used and not in the table.
    Alias(FieldType),
    /// A quantity: JSON string (or number when read), protobuf message with one string.
    Quantity,
    /// A number or a text: JSON int or string, protobuf message (type, intVal, strVal).
    IntOrString,
    /// RFC 3339 with seconds; protobuf message (seconds, nanos). The zero time is JSON null.
    Time,
    /// RFC 3339 with microseconds; protobuf as `Time`.
    MicroTime,
    /// A Go duration string in JSON, int64 nanoseconds in protobuf.
    Duration,
    /// Any object, verbatim; protobuf message with the raw JSON bytes.
    RawExtension,
    /// The set of fields of a managed-fields entry: any object; protobuf message with raw JSON bytes.
    FieldsV1,
    /// Any JSON value (apiextensions JSON); protobuf message with raw bytes.
    Json,
    /// JSON schema or boolean (apiextensions `JSONSchemaPropsOrBool`): `bool` or the struct.
    JsonSchemaOrBool(TypeId),
    /// JSON schema or list of schemas (apiextensions `JSONSchemaPropsOrArray`).
    JsonSchemaOrArray(TypeId),
    /// JSON schema or list of strings (apiextensions `JSONSchemaPropsOrStringArray`).
    JsonSchemaOrStringArray(TypeId),
}

/// An object with declared fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Struct {
    /// The fields in declared order: the order of JSON output.
    pub fields: Vec<Field>,
    /// Indexes into `fields` by JSON name, for look-up.
    pub by_name: FieldIndex,
    /// `+structType`: whether the struct is owned and replaced as a whole by server-side apply.
    pub atomic: bool,
    /// Unknown fields stay (custom resources: `x-kubernetes-preserve-unknown-fields`).
    pub preserve_unknown: bool,
    /// Unions: a discriminator field and its members.
    pub unions: Vec<Union>,
}

/// One field of a struct.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Field {
    /// The JSON name.
    pub name: Str,
    /// The type.
    pub ty: FieldType,
    /// The protobuf field numbers: usually one; a field of an inlined struct that is a message of its own in protobuf has
    /// the path of numbers from the outer message (`PersistentVolumeSpec.persistentVolumeSource.nfs`). Empty: not in protobuf.
    pub numbers: smallvec::SmallVec<[u32; 2]>,
    /// When the field is written.
    pub presence: Presence,
    /// Whether OpenAPI lists it under `required`.
    pub required: bool,
    /// How a list merges; `None` (not declared) behaves as atomic.
    pub list: Option<ListType>,
    /// Whether a map or struct in this field is owned and replaced as a whole; `None`: as its type says.
    pub atomic: Option<bool>,
    /// How strategic merge patch treats it.
    pub patch: PatchStrategy,
    /// The declarative default (`+default`).
    pub default: Option<Value>,
    /// The values allowed (`+enum`), of the items for a list, sorted; empty for no enum.
    pub enum_values: Vec<Str>,
    /// The feature gates of the field (`+featureGate`).
    pub feature_gates: Vec<Str>,
    /// Null is a value of its own (custom resources: `nullable`).
    pub nullable: bool,
    /// Rules tell a list without items from none, though it is not written: it stays until the object is stored.
    pub tells_empty: bool,
}

/// The type of a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum FieldType {
    /// A truth value.
    Bool,
    /// A number in the range of an `i32`.
    Int32,
    /// A number in the range of an `i64`.
    Int64,
    /// A number with a fraction.
    Double,
    /// Text.
    String,
    /// Bytes: base64 in JSON.
    Bytes,
    /// Another type of the table.
    Ref(TypeId),
    /// A list.
    List(Arc<FieldType>),
    /// An object with free keys.
    Map(Arc<FieldType>),
    /// Anything (custom resources without a schema).
    #[default]
    Any,
}

/// When a field is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presence {
    /// Always, also when zero: a value without `omitempty` (`containers: null`), and a struct with it (`resources: {}`),
    /// which Go never leaves out.
    Always,
    /// Unless zero or empty: a value other than a struct with `omitempty`.
    #[default]
    OmitEmpty,
    /// Unless absent; an explicit zero stays: a pointer with `omitempty`.
    Pointer,
    /// Always; null when absent: a pointer without `omitempty`.
    PointerAlways,
    /// Unless the zero value of the struct: `omitzero`.
    OmitZero,
}

/// How a list merges in server-side apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType {
    /// Owned and replaced as a whole.
    Atomic,
    /// Items are their own keys.
    Set,
    /// Items are objects that these fields identify.
    Map(Vec<Str>),
}

/// How strategic merge patch treats a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// `merge`: lists merge by `merge_key` (or as sets, without one).
    pub merge: bool,
    /// `replace`: maps and structs are replaced as a whole.
    pub replace: bool,
    /// `retainKeys`: keys absent from the patch go.
    pub retain_keys: bool,
    /// The key that identifies list items.
    pub merge_key: Option<Str>,
}

/// A union of fields of which one is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Union {
    /// The field that says which.
    pub discriminator: Option<Str>,
    /// The members: (field, value of the discriminator).
    pub members: Vec<(Str, Str)>,
}

impl Struct {
    /// A struct of `fields` in this order.
    #[must_use]
    pub fn new(mut fields: Vec<Field>) -> Self {
        fields.shrink_to_fit();
        let by_name = FieldIndex::new(&fields);
        Self { fields, by_name, ..Self::default() }
    }

    /// The field with this JSON name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.index_of(name).map(|index| &self.fields[index as usize])
    }

    /// The place among `fields` of the one with this JSON name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<u32> {
        self.by_name.find(name, &self.fields)
    }
}

impl TypeTable {
    /// Reserves a place for a type that others may refer to before it is defined; returns the same place for the same name.
    pub fn declare(&mut self, name: &str) -> TypeId {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let id = TypeId(u32::try_from(self.types.len()).expect("a table has fewer than 2^32 types"));
        self.types.push(Type {
            name: name.into(),
            shape: Shape::Struct(Struct::default()),
            kinds: Vec::new(),
            served: false,
        });
        self.zeros.push(OnceLock::new());
        self.by_name.insert(name.into(), id);
        id
    }

    /// Defines the type of this name and returns its place.
    pub fn define(&mut self, ty: Type) -> TypeId {
        let id = self.declare(&ty.name);
        for (group, version, kind) in &ty.kinds {
            self.by_kind.entry(kind.clone()).or_default().push((group.clone(), version.clone(), id));
        }
        self.types[id.0 as usize] = ty;
        id
    }

    /// The type at a place of this table.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// The value of a struct's type before anything in it is set, and how many objects that has; made by `make` when it is
    /// first asked for, which is after all types are defined.
    pub(crate) fn zero(&self, id: TypeId, make: impl FnOnce() -> (Value, usize)) -> &(Value, usize) {
        self.zeros[id.0 as usize].get_or_init(make)
    }

    /// The place of the type with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// The place of the type that is this kind.
    #[must_use]
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        let versions = self.by_kind.get(kind)?;
        versions.iter().find(|(in_group, in_version, _)| in_group == group && in_version == version).map(|&(.., id)| id)
    }

    /// All types with their places, in the order they were declared.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(index, ty)| (TypeId(index as u32), ty))
    }

    /// The struct behind a field type, through aliases; `None` for anything else.
    #[must_use]
    pub fn as_struct(&self, ty: &FieldType) -> Option<&Struct> {
        match ty {
            FieldType::Ref(id) => match &self.get(*id).shape {
                Shape::Struct(fields) => Some(fields),
                Shape::Alias(target) => self.as_struct(target),
                _ => None,
            },
            _ => None,
        }
    }
}
