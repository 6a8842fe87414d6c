//! What filled fields cannot show: objects that say nothing, or zero, or null, in every message of the table and every encoding.
//!
//! When Go writes a field follows from its declaration: `go-fields.tsv` in the folder that `CORTEN_UPSTREAM_DATA` names.

use std::{fs, path::Path};

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation, cbor, json, protobuf, yaml},
    type_table::{FieldType, Presence, Shape, Struct, TypeId},
};

/// Every message with fields: what stands in its place in JSON is an object.
fn structs() -> impl Iterator<Item = (TypeId, &'static str, &'static Struct)> {
    types::table().iter().filter_map(|(id, ty)| match &ty.shape {
        Shape::Struct(fields) => Some((id, ty.name.as_str(), fields)),
        _ => None,
    })
}

fn read(object: &Value, type_id: TypeId) -> Value {
    let typed = Some((types::table(), type_id));
    let decoded = json::decode(&json::encode(object, None), typed, FieldValidation::Strict).unwrap();
    assert_eq!(decoded.complaints(), [""; 0]);
    decoded.value
}

/// The value that says zero.
fn zero(ty: &FieldType) -> Value {
    match ty {
        FieldType::Bool => Value::Bool(false),
        FieldType::Int32 | FieldType::Int64 | FieldType::Double => Value::Int(0),
        FieldType::String | FieldType::Bytes => "".into(),
        FieldType::List(_) => Value::array([]),
        FieldType::Map(_) => Value::object(),
        FieldType::Any => Value::Null,
        FieldType::Ref(id) => match &types::table().get(*id).shape {
            Shape::Alias(target) => zero(target),
            Shape::Struct(_) | Shape::RawExtension | Shape::FieldsV1 | Shape::Json => Value::object(),
            Shape::Quantity => "0".into(),
            Shape::IntOrString => Value::Int(0),
            Shape::Time | Shape::MicroTime => Value::Null,
            Shape::Duration => "0s".into(),
            Shape::JsonSchemaOrBool(_) => Value::Bool(false),
            Shape::JsonSchemaOrArray(_) | Shape::JsonSchemaOrStringArray(_) => Value::array([]),
        },
    }
}

fn object_of(fields: &Struct, value: impl Fn(&FieldType) -> Value) -> Value {
    Value::object_of(fields.fields.iter().map(|field| (field.name.clone(), value(&field.ty))))
}

/// The objects that a message is tried with: nothing, nulls, zeros, and lists and maps with a null in them.
fn samples(fields: &Struct) -> [Value; 4] {
    let with_null = |ty: &FieldType| match ty {
        FieldType::List(_) => Value::array([Value::Null]),
        // Protobuf has no bytes that are null, see below.
        FieldType::Map(item) if **item == FieldType::Bytes => Value::object_of([("k", "".into())]),
        FieldType::Map(_) => Value::object_of([("k", Value::Null)]),
        ty => zero(ty),
    };
    [Value::object(), object_of(fields, |_| Value::Null), object_of(fields, zero), object_of(fields, with_null)]
}

#[test]
fn an_object_of_nulls_is_an_object_of_nothing() {
    for (id, name, fields) in structs() {
        let [nothing, nulls, ..] = samples(fields);
        assert_eq!(read(&nulls, id), read(&nothing, id), "{name}");
    }
}

#[test]
fn what_was_read_stays_as_it_is() {
    for (id, name, fields) in structs() {
        for sample in samples(fields) {
            let value = read(&sample, id);
            assert_eq!(read(&value, id), value, "{name}");
            let mut again = value.clone();
            codec::canonicalize(&mut again, types::table(), id);
            assert_eq!(again, value, "{name}");
            // Trees of this process come to the same form.
            let mut tree = sample.clone();
            codec::canonicalize(&mut tree, types::table(), id);
            assert_eq!(tree, value, "{name}: {}", String::from_utf8_lossy(&json::encode(&sample, None)));
        }
    }
}

#[test]
fn every_text_encoding_keeps_it() {
    for (id, name, fields) in structs() {
        let typed = Some((types::table(), id));
        for sample in samples(fields) {
            let value = read(&sample, id);
            let back = yaml::decode(&yaml::encode(&value), typed, FieldValidation::Strict).unwrap();
            assert_eq!(back.value, value, "{name}");
            for bytes in [cbor::encode(&value), cbor::encode_typed(&value, typed)] {
                assert_eq!(cbor::decode(&bytes, typed, FieldValidation::Strict).unwrap().value, value, "{name}");
            }
        }
    }
}

#[test]
fn protobuf_keeps_all_but_empty_lists() {
    let table = types::table();
    let mut messages = 0;
    for (id, name, fields) in structs().filter(|(_, _, fields)| has_numbers(fields)) {
        messages += 1;
        for sample in samples(fields) {
            let mut value = read(&sample, id);
            // The envelope says these, and of a message within another one nobody does.
            if fields.field("kind").is_some_and(|field| field.numbers.is_empty()) {
                value.unset(&["kind"]);
                value.unset(&["apiVersion"]);
            }
            let bytes = protobuf::encode(&value, table, id).unwrap();
            let back = protobuf::decode(&bytes, table, id).unwrap();
            // There a list or map without items is none, and what is always written is null then.
            assert_eq!(without_empty(&back), without_empty(&value), "{name}");
            assert_eq!(protobuf::encode(&back, table, id).unwrap(), bytes, "{name}");
            assert_eq!(read(&back, id), back, "{name}");
        }
    }
    assert!(messages > 1_000, "only {messages} messages");
}

/// A secret with a null in its data could not be written at all.
#[test]
fn bytes_that_are_null_are_none_in_protobuf() {
    let id = types::find_kind("", "v1", "Secret").unwrap().0;
    let secret =
        json::decode(br#"{"data":{"a":null,"b":"","c":"eA=="}}"#, None, FieldValidation::Strict).unwrap().value;
    let secret = read(&secret, id);
    assert!(secret.at(&["data", "a"]).is_some_and(Value::is_null));
    let bytes = protobuf::encode(&secret, types::table(), id).unwrap();
    let back = protobuf::decode(&bytes, types::table(), id).unwrap();
    assert_eq!(json::encode(&back, None), r#"{"data":{"a":"","b":"","c":"eA=="},"metadata":{}}"#.as_bytes());
}

/// Whether the message can be said in protobuf.
fn has_numbers(fields: &Struct) -> bool {
    fields.fields.iter().any(|field| !field.numbers.is_empty())
}

/// Without what protobuf cannot tell from nothing. What only JSON knows (fields without a number) is looked at as JSON.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::array(items.iter().map(without_empty)),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (key, without_empty(value)));
            Value::object_of(
                entries.filter(|(_, value)| !value.is_null() && !matches!(value, Value::Object(map) if map.is_empty())),
            )
        }
        other => other.clone(),
    }
}

/// The presence that a declaration leads to; `None` where that depends on what the type's name stands for.
fn presence(go_type: &str, flags: &str) -> Option<Presence> {
    let has = |flag: &str| flags.split(',').any(|found| found == flag);
    let is_simple = go_type.starts_with("[]")
        || go_type.starts_with("map[")
        || matches!(go_type, "string" | "bool" | "int" | "int32" | "int64" | "float64" | "uint64");
    match (go_type.starts_with('*'), has("omitempty")) {
        _ if has("omitzero") => Some(Presence::OmitZero),
        (true, true) => Some(Presence::Pointer),
        (true, false) => Some(Presence::PointerAlways),
        (false, false) => Some(Presence::Always),
        (false, true) if is_simple => Some(Presence::OmitEmpty),
        (false, true) => None,
    }
}

/// Whether Go never leaves a value of the type out: it is a struct there.
fn is_go_struct(ty: &FieldType) -> bool {
    matches!(ty, FieldType::Ref(id) if !matches!(types::table().get(*id).shape, Shape::Alias(_)))
}

#[test]
fn fields_are_written_when_go_writes_them() {
    let Some(root) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let rows = fs::read_to_string(Path::new(&root).join("go-fields.tsv")).unwrap();
    let table = types::table();
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in rows.lines().skip(1) {
        let [package, owner, _, name, go_type, proto, flags, ..] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("a row without its columns: {row}")
        };
        let type_name = format!("io.{}.{owner}", package.replacen("k8s.io", "k8s", 1).replace('/', "."));
        let Some(id) = table.find(&type_name).filter(|_| !matches!(name, "" | "-")) else { continue };
        let Shape::Struct(fields) = &table.get(id).shape else { continue };
        let Some(field) = fields.field(name) else {
            wrong.push(format!("{type_name}.{name}: not in the table"));
            continue;
        };
        compared += 1;
        let want = presence(go_type, flags).unwrap_or(match is_go_struct(&field.ty) {
            true => Presence::Always,
            false => Presence::OmitEmpty,
        });
        let number = proto.split(':').next().and_then(|number| number.parse().ok());
        // What no program here speaks protobuf about has no numbers.
        if has_numbers(fields) && field.numbers.first().copied() != number {
            wrong.push(format!("{type_name}.{name}: number {:?}, not {number:?}", field.numbers));
        }
        if field.presence != want {
            wrong.push(format!("{type_name}.{name} {go_type} {flags}: {:?}, not {want:?}", field.presence));
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 4_000, "only {compared} fields were found");
}
