//! Go's zero time is null, whoever sends it.

use super::{FieldValidation, json, protobuf};
use crate::{
    type_table::{Field, FieldType, Presence, Shape, Struct, Type, TypeId, TypeTable},
    value::Value,
};

fn table() -> (TypeTable, TypeId) {
    let mut table = TypeTable::default();
    let mut define =
        |name: &str, shape| table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true });
    let (time, micro_time) = (define("Time", Shape::Time), define("MicroTime", Shape::MicroTime));
    let field = |name: &str, number: u32, presence, ty| Field {
        name: name.into(),
        ty: FieldType::Ref(ty),
        numbers: [number].into_iter().collect(),
        presence,
        ..Field::default()
    };
    let fields = vec![
        field("at", 1, Presence::Always, time),
        field("exactly", 2, Presence::PointerAlways, micro_time),
        field("since", 3, Presence::Pointer, time),
    ];
    let root = define("Root", Shape::Struct(Struct::new(fields)));
    (table, root)
}

/// It stayed as it was, a time long ago, for which controllers acted: upstream's see that no time is set.
#[test]
fn the_first_second_of_the_year_1_is_no_time() {
    let (table, root) = table();
    let read = |text: &str| {
        let decoded = json::decode(text.as_bytes(), Some((&table, root)), FieldValidation::Strict);
        decoded.map(|decoded| decoded.value).map_err(|error| error.to_string())
    };
    let null = Value::object_of([("at", Value::Null), ("exactly", Value::Null)]);
    for text in [
        r#"{"at":"0001-01-01T00:00:00Z","exactly":"0001-01-01T00:00:00.000000Z","since":"0001-01-01T00:00:00Z"}"#,
        r#"{"at":"0001-01-01T02:00:00+02:00","exactly":"0000-12-31T23:00:00.000000-01:00"}"#,
        r#"{"at":null,"exactly":null,"since":null}"#,
        "{}",
    ] {
        assert_eq!(read(text), Ok(null.clone()), "{text}");
    }
    let text = r#"{"at":"0001-01-01T00:00:01Z","exactly":"0001-01-01T00:00:00.000001Z"}"#;
    let kept = Value::object_of([
        ("at", Value::from("0001-01-01T00:00:01Z")),
        ("exactly", "0001-01-01T00:00:00.000001Z".into()),
    ]);
    assert_eq!(read(text), Ok(kept));
}

#[test]
fn it_is_none_in_protobuf_either() {
    let (table, root) = table();
    let seconds: i64 = -62_135_596_800;
    let mut time = vec![8];
    let mut rest = seconds.cast_unsigned();
    while rest >= 0x80 {
        time.push(u8::try_from(rest & 0x7F).unwrap() | 0x80);
        rest >>= 7;
    }
    time.push(u8::try_from(rest).unwrap());
    let mut message = vec![10, u8::try_from(time.len()).unwrap()];
    message.extend(time);
    let mut envelope = b"k8s\0".to_vec();
    envelope.extend([18, u8::try_from(message.len()).unwrap()]);
    envelope.extend(message);
    let read = protobuf::decode(&envelope, &table, root).unwrap();
    assert_eq!(read.get("at"), Some(&Value::Null));
}
