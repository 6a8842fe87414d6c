use bytes::BytesMut;

use super::*;
use crate::{
    codec::{cbor, json, protobuf, yaml},
    type_table::{Field, FieldType, Presence, Shape, Struct, Type, TypeId, TypeTable},
    value::Value,
};

/// A list with a field before its items and one behind them.
fn typed() -> (TypeTable, TypeId, TypeId) {
    let mut table = TypeTable::default();
    let field = |name: &str, number: u32, ty: FieldType| Field {
        name: name.into(),
        ty,
        numbers: [number].into_iter().filter(|number| *number > 0).collect(),
        presence: Presence::Always,
        ..Field::default()
    };
    let mut define =
        |name: &str, shape: Shape| table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true });
    let fields = vec![field("name", 1, FieldType::String), field("data", 2, FieldType::Bytes)];
    let item = define("Item", Shape::Struct(Struct::new(fields)));
    let fields = vec![
        field("kind", 0, FieldType::String),
        field("apiVersion", 0, FieldType::String),
        field("metadata", 1, FieldType::Map(FieldType::String.into())),
        field("items", 2, FieldType::List(FieldType::Ref(item).into())),
        field("more", 3, FieldType::String),
    ];
    let list = define("List", Shape::Struct(Struct::new(fields)));
    (table, list, item)
}

fn list_of(items: Vec<Value>) -> Value {
    Value::object_of([
        ("kind", Value::from("List")),
        ("apiVersion", "v1".into()),
        // What looks like the place of the items, and is not.
        ("metadata", Value::object_of([("a", Value::from("\nitems: []\n\"items\":[]\"items\": []"))])),
        ("items", items.into()),
        ("more", "x".into()),
    ])
}

fn item(number: usize) -> Value {
    let data = ["", "YWJj", "AA=="][number % 3];
    Value::object_of([("name", Value::from(format!("n{number}"))), ("data", data.into())])
}

#[track_caller]
fn check(whole: &Bytes, around: &Around, items: &[Bytes]) {
    let mut written = BytesMut::from(&around.before[..]);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            written.extend_from_slice(&around.between);
        }
        written.extend_from_slice(item);
    }
    written.extend_from_slice(&around.after);
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(whole));
}

#[test]
fn pieces_make_the_same_bytes_as_the_whole() {
    let (table, list_id, item_id) = typed();
    let (list_ty, item_ty) = (Some((&table, list_id)), Some((&table, item_id)));
    let empty = list_of(Vec::new());
    for count in [0, 1, 2, 30, 300] {
        let items: Vec<Value> = (0..count).map(item).collect();
        let whole = list_of(items.clone());
        let encoded = |encode: &dyn Fn(&Value) -> Bytes| items.iter().map(encode).collect::<Vec<_>>();
        let compact = encoded(&|item| json::encode(item, item_ty));
        check(&json::encode(&whole, list_ty), &json::around(&empty, list_ty, "items").unwrap(), &compact);
        let binary = encoded(&|item| cbor::encode_item(item, item_ty));
        check(&cbor::encode_typed(&whole, list_ty), &cbor::around(&empty, list_ty, "items", count), &binary);
        let messages = encoded(&|item| protobuf::encode_item(item, &table, item_id, 2).unwrap());
        let len = messages.iter().map(Bytes::len).sum();
        let around = protobuf::around(&empty, &table, list_id, 2, len).unwrap();
        check(&protobuf::encode(&whole, &table, list_id).unwrap(), &around, &messages);
        if count > 0 {
            let lines = encoded(&|item| json::encode_pretty_item(item, item_ty));
            let around = json::around_pretty(&empty, list_ty, "items").unwrap();
            check(&json::encode_pretty(&whole, list_ty), &around, &lines);
            let blocks = encoded(&yaml::encode_item);
            check(&yaml::encode(&whole), &yaml::around(&empty, "items").unwrap(), &blocks);
        }
    }
}
