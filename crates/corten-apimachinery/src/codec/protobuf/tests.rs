use super::*;
use crate::{
    codec::json,
    type_table::{Field, Struct, Type, TypeId},
};

/// A message with a text, a list of numbers, one of fractions, and a message.
fn typed() -> (TypeTable, TypeId) {
    let mut table = TypeTable::default();
    let field = |name: &str, number: u32, ty: FieldType| Field {
        name: name.into(),
        ty,
        numbers: [number].into_iter().collect(),
        ..Field::default()
    };
    let list = |item: FieldType| FieldType::List(item.into());
    let mut define =
        |name: &str, shape: Shape| table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true });
    let inner = define("Inner", Shape::Struct(Struct::new(vec![field("name", 1, FieldType::String)])));
    let fields = vec![
        field("text", 1, FieldType::String),
        field("numbers", 2, list(FieldType::Int32)),
        field("fractions", 3, list(FieldType::Double)),
        field("items", 4, list(FieldType::Ref(inner))),
        field("last", 5, FieldType::Int64),
    ];
    let root = define("Root", Shape::Struct(Struct::new(fields)));
    (table, root)
}

#[track_caller]
fn check(message: &[u8], want: Result<&str, &str>) {
    let (table, root) = typed();
    let mut bytes = MAGIC.to_vec();
    put_bytes(&mut bytes, 2, message);
    let got = decode(&bytes, &table, root).map_err(|error| error.to_string());
    let got = got.map(|value| String::from_utf8(json::encode(&value, Some((&table, root))).into()).unwrap());
    assert_eq!(got.as_deref().map_err(String::as_str), want, "{message:x?}");
}

#[test]
fn what_is_unknown_is_passed_over() {
    check(b"\x0a\x01a", Ok(r#"{"text":"a"}"#));
    // A field of each kind that no type has; groups, one in another.
    check(b"\x78\x05\x79AAAAAAAA\x7a\x02zz\x7dAAAA\x0a\x01a", Ok(r#"{"text":"a"}"#));
    check(b"\x7b\x7b\x0a\x01x\x7c\x78\x01\x79AAAAAAAA\x7dAAAA\x7c\x0a\x01a", Ok(r#"{"text":"a"}"#));
    check(b"\x7b\x7c", Ok("{}"));
    check(b"\x7b", Err("unexpected EOF"));
    check(&[0x7b; 100_000], Err("unexpected EOF"));
    check(b"\x7c", Err("proto: wiretype end group for non-group"));
    check(b"\x7e", Err("proto: illegal wireType 6"));
    check(b"\x00\x00", Err("proto: illegal tag 0 (wire type 0)"));
}

#[test]
fn numbers_come_one_by_one_or_packed() {
    check(b"\x10\x01\x10\x02", Ok(r#"{"numbers":[1,2]}"#));
    check(b"\x12\x02\x01\x02\x10\x03", Ok(r#"{"numbers":[1,2,3]}"#));
    check(b"\x12\x00", Ok("{}"));
    check(b"\x1a\x08\x00\x00\x00\x00\x00\x00\xf8\x3f", Ok(r#"{"fractions":[1.5]}"#));
    check(b"\x12\x01\x80", Err("unexpected EOF"));
    check(b"\x1a\x07AAAAAAA", Err("unexpected EOF"));
}

/// Go takes any bytes as a string; what is no text was refused.
#[test]
fn what_is_no_text_is_replaced() {
    check(b"\x0a\x02a\xff", Ok("{\"text\":\"a\u{fffd}\"}"));
}

#[test]
fn lengths_that_lie_are_refused() {
    check(b"\x0a\x05a", Err("unexpected EOF"));
    check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", Err("unexpected EOF"));
    check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", Err("proto: integer overflow"));
}

#[test]
fn what_is_nothing_at_all_is_refused_in_upstreams_words() {
    let (table, root) = typed();
    for (bytes, want) in [
        (&b""[..], "empty data"),
        (b"k8s\0", "empty body"),
        (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
    ] {
        assert_eq!(decode(bytes, &table, root).unwrap_err().to_string(), want);
    }
}

/// Trailing data made a write fail, and so would have bytes of any other form.
#[test]
fn the_bytes_of_a_field_set_are_a_set_or_text_that_is_none() {
    let mut table = TypeTable::default();
    let set = table.define(Type { name: "Set".into(), shape: Shape::FieldsV1, kinds: Vec::new(), served: true });
    let field =
        Field { name: "set".into(), ty: FieldType::Ref(set), numbers: [1].into_iter().collect(), ..Field::default() };
    let shape = Shape::Struct(Struct::new(vec![field]));
    let root = table.define(Type { name: "Root".into(), shape, kinds: Vec::new(), served: true });
    let deep = format!("{}1{}", r#"{"f:a":"#.repeat(20_000), "}".repeat(20_000));
    for (bytes, want) in [
        (r#"{"f:a":{}}"#, Ok(r#"{"set":{"f:a":{}}}"#)),
        (r#"{"f:a":{}} {"f:b":{}}"#, Ok(r#"{"set":{"f:a":{}}}"#)),
        (r#"{"f:a":{}}x"#, Ok(r#"{"set":{"f:a":{}}}"#)),
        (r#"{"f:a""#, Ok(r#"{"set":"{\"f:a\""}"#)),
        (&deep, Err("invalid character '{' exceeded max depth")),
    ] {
        let (mut raw, mut message, mut whole) = (Vec::new(), Vec::new(), MAGIC.to_vec());
        put_bytes(&mut raw, 1, bytes.as_bytes());
        put_bytes(&mut message, 1, &raw);
        put_bytes(&mut whole, 2, &message);
        let got = crate::stack::deep_if(true, || decode(&whole, &table, root)).map_err(|error| error.to_string());
        let got = got.map(|value| String::from_utf8(json::encode(&value, Some((&table, root))).into()).unwrap());
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{}", bytes.len());
    }
}
