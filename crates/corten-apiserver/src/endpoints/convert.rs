//! What is wrong with an object that a strategic merge patch has made: upstream does not write it out and read it again, but
//! converts it as it is, which has words of its own.
//!
//! Upstream: `fromUnstructured` in k8s.io/apimachinery/pkg/runtime/converter.go (v1.35).

use corten_apimachinery::{
    type_table::{FieldType, Shape, TypeId, TypeTable},
    value::Value,
};

/// The first value in `object` that its field cannot be made of, in upstream's words; `None` if there is none, or if the
/// field reads it as JSON.
pub(super) fn mismatch(object: &Value, table: &TypeTable, type_id: TypeId) -> Option<String> {
    of(object, table, &FieldType::Ref(type_id))
}

fn of(value: &Value, table: &TypeTable, ty: &FieldType) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let found = kind(value);
    match ty {
        FieldType::Any => None,
        FieldType::Bool => simple(value, "bool"),
        FieldType::Int32 => simple(value, "int32"),
        FieldType::Int64 => simple(value, "int64"),
        FieldType::Double => simple(value, "float64"),
        FieldType::String => simple(value, "string"),
        FieldType::Bytes if value.as_str().is_some() => None,
        FieldType::Bytes => Some(format!("cannot restore slice from {found}")),
        FieldType::List(item) => match value.as_array() {
            Some(items) => items.iter().find_map(|one| of(one, table, item)),
            None => Some(format!("cannot restore slice from {found}")),
        },
        FieldType::Map(item) => match value.as_object() {
            Some(entries) => entries.iter().find_map(|(_, one)| of(one, table, item)),
            None => Some(format!("cannot restore map from {found}")),
        },
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(target) => of(value, table, target),
            Shape::Struct(fields) => match value.as_object() {
                Some(entries) => fields.fields.iter().find_map(|field| of(entries.get(&field.name)?, table, &field.ty)),
                None => Some(format!("cannot restore struct from: {found}")),
            },
            _ => None,
        },
    }
}

/// A value for a field of the simple type `want`: Go converts between some of them, and knows the others not at all.
fn simple(value: &Value, want: &str) -> Option<String> {
    let found = kind(value);
    let (is_whole, wants_number) = (|number: f64| number.fract() == 0.0, want != "string" && want != "bool");
    match value {
        Value::Bool(_) if want == "bool" => None,
        Value::String(_) if want == "string" => None,
        Value::Int(_) if wants_number => None,
        Value::Float(number) if wants_number && (want == "float64" || is_whole(*number)) => None,
        Value::Int(_) if want == "string" => Some(format!("cannot convert {found} to {want}")),
        Value::Float(_) if wants_number => Some(format!("cannot convert {found} to {want}")),
        _ => Some(format!("unrecognized type: {want}")),
    }
}

/// What Go says that a value is.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) | Value::Raw(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_apimachinery::{
        codec::{FieldValidation, json},
        type_table::{Field, Struct, Type},
    };

    use super::*;

    /// A table, and the type of the objects in it.
    fn table() -> (TypeTable, TypeId) {
        let field = |name: &str, ty: FieldType| Field { name: name.into(), ty, ..Field::default() };
        let mut table = TypeTable::default();
        let mut define = |name: &str, fields: Vec<Field>| {
            let shape = Shape::Struct(Struct::new(fields));
            table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true })
        };
        let numbers = vec![field("int", FieldType::Int32), field("double", FieldType::Double)];
        let inner = define("Inner", numbers);
        let fields = vec![
            field("data", FieldType::Map(Arc::new(FieldType::String))),
            field("binaryData", FieldType::Map(Arc::new(FieldType::Bytes))),
            field("immutable", FieldType::Bool),
            field("inner", FieldType::Ref(inner)),
            field("list", FieldType::List(Arc::new(FieldType::Ref(inner)))),
        ];
        let outer = define("Outer", fields);
        (table, outer)
    }

    /// A patch of a configmap with `{"data": 3}` was refused in the words of Go's JSON decoder, which upstream does not ask.
    #[test]
    fn what_does_not_fit_is_told_as_upstreams_converter_does() {
        let (table, outer) = table();
        let check = |object: &str, want: Option<&str>| {
            let object = json::decode(object.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
            assert_eq!(mismatch(&object, &table, outer).as_deref(), want, "{object:?}");
        };
        check(r#"{"data": {"a": "b"}, "immutable": null, "list": [{"int": 1, "double": 1}], "unknown": 3}"#, None);
        check(r#"{"data": 3}"#, Some("cannot restore map from int64"));
        check(r#"{"data": "a"}"#, Some("cannot restore map from string"));
        check(r#"{"data": {"a": 3}}"#, Some("cannot convert int64 to string"));
        check(r#"{"data": {"a": true}}"#, Some("unrecognized type: string"));
        check(r#"{"binaryData": {"a": 3}}"#, Some("cannot restore slice from int64"));
        check(r#"{"immutable": "yes"}"#, Some("unrecognized type: bool"));
        check(r#"{"inner": []}"#, Some("cannot restore struct from: slice"));
        check(r#"{"list": {}}"#, Some("cannot restore slice from map"));
        check(r#"{"list": [{"int": "1"}]}"#, Some("unrecognized type: int32"));
        check(r#"{"list": [{"int": 1.5}]}"#, Some("cannot convert float64 to int32"));
        check(r#"{"list": [{"int": 2.0, "double": 1.5}]}"#, None);
        check(r#"{"inner": 1, "immutable": 1}"#, Some("unrecognized type: bool"));
    }
}
