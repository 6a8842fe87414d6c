//! Tests of structural schemas; facts are those of upstream's tests of the same parts.

mod coercion;
mod defaults;
mod properties;
mod pruning;
mod published;
mod structural;

use super::{MetaType, Structural};
use crate::{
    codec::{FieldValidation, json},
    type_table::{Field, FieldType, Presence, Shape, Struct, Type, TypeTable},
    value::Value,
};

/// A tree of JSON.
#[track_caller]
pub(super) fn value(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Strict).unwrap_or_else(|error| panic!("{error}: {text}")).value
}

/// A schema of JSON.
#[track_caller]
pub(super) fn schema(text: &str) -> Structural {
    Structural::from_props(&value(text)).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A table whose metadata has some of the fields.
pub(super) fn table() -> TypeTable {
    let mut table = TypeTable::default();
    let time = FieldType::Ref(table.define(Type {
        name: "io.k8s.apimachinery.pkg.apis.meta.v1.Time".into(),
        shape: Shape::Time,
        kinds: Vec::new(),
        served: true,
    }));
    let field =
        |name: &str, ty: FieldType, presence: Presence| Field { name: name.into(), ty, presence, ..Field::default() };
    let text = || FieldType::String;
    let texts = || FieldType::Map(std::sync::Arc::new(FieldType::String));
    let fields = vec![
        field("name", text(), Presence::OmitEmpty),
        field("generateName", text(), Presence::OmitEmpty),
        field("namespace", text(), Presence::OmitEmpty),
        field("generation", FieldType::Int64, Presence::OmitEmpty),
        field("creationTimestamp", time, Presence::Always),
        field("labels", texts(), Presence::OmitEmpty),
        field("annotations", texts(), Presence::OmitEmpty),
        field("finalizers", FieldType::List(std::sync::Arc::new(FieldType::String)), Presence::OmitEmpty),
    ];
    let shape = Shape::Struct(Struct::new(fields));
    table.define(Type { name: MetaType::NAME.into(), shape, kinds: Vec::new(), served: true });
    table
}
