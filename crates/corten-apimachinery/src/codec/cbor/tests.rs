use super::*;
use crate::{
    codec::{FieldValidation, json},
    type_table::{Field, FieldType, Shape, Struct, Type, TypeTable},
    value::Value,
};

#[track_caller]
fn check(json: &str, want: &[u8]) {
    let value = json::decode(json.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
    let bytes = encode(&value);
    assert_eq!(&bytes[3..], want, "{json}");
    assert_eq!(decode(&bytes, None, FieldValidation::Ignore).unwrap().value, value);
}

#[test]
fn values_take_their_shortest_form() {
    check("0", &[0x00]);
    check("23", &[0x17]);
    check("24", &[0x18, 24]);
    check("256", &[0x19, 1, 0]);
    check("-1", &[0x20]);
    check("-9223372036854775808", &[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    check("1.5", &[0xf9, 0x3e, 0x00]);
    check("100000.5", &[0xfa, 0x47, 0xc3, 0x50, 0x40]);
    check("1.1", &[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]);
    check("5.960464477539063e-8", &[0xf9, 0x00, 0x01]);
    check(r#"{"bb":null,"c":[true,"x"]}"#, b"\xa2\x41c\x82\xf5\x41x\x42bb\xf6");
}

#[test]
fn what_is_no_object_is_refused() {
    for bytes in [
        &b"\xff"[..],
        b"",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa2\x41a\x00\x41a\x00",
        b"\xa1\x00\x00",
        b"\xf9\x7c\x00",
        b"\x61\xff",
        b"\x00\x00",
        &[0x81; 100_000],
    ] {
        assert!(decode(bytes, None, FieldValidation::Ignore).is_err(), "{bytes:x?}");
    }
}

#[test]
fn tags_are_read_as_upstream_reads_them() {
    #[track_caller]
    fn check(bytes: &[u8], want: Option<&str>) {
        let got = decode(bytes, None, FieldValidation::Ignore).ok().map(|decoded| decoded.value);
        assert_eq!(got, want.map(Value::from), "{bytes:x?}");
    }
    check(b"\xd6\x43abc", Some("YWJj"));
    check(b"\xd5\x42\xff\xff", Some("__8"));
    check(b"\xd7\x42\xff\x01", Some("ff01"));
    check(b"\xd6\x63abc", None);
    check(b"\xc0\x742020-01-01T00:00:00Z", Some("2020-01-01T00:00:00Z"));
    check(b"\xc0\x61x", None);
    check(b"\xc1\x00", Some("1970-01-01T00:00:00Z"));
    check(b"\xc1\xf9\x3e\x00", Some("1970-01-01T00:00:01.5Z"));
    check(b"\xc1\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", None);
    check(b"\xc2\x41\x01", None);
    check(b"\xd9\xd9\xf7\xd9\xd9\xf7\x61a", Some("a"));
    check(b"\xd8\x63\x61a", Some("a"));
}

/// Programs that write while they read do not know lengths beforehand; all that was refused.
#[test]
fn lengths_that_are_not_known_end_with_a_break() {
    #[track_caller]
    fn check(bytes: &[u8], want: &str) {
        let got = decode(bytes, None, FieldValidation::Ignore).unwrap().value;
        assert_eq!(json::encode(&got, None), want.as_bytes(), "{bytes:x?}");
    }
    check(b"\x5f\x41a\x42bc\xff", r#""abc""#);
    check(b"\x7f\x61a\xff", r#""a""#);
    check(b"\x9f\xff", "[]");
    check(b"\xbf\x61a\x9f\x00\x01\xff\x61b\xf6\xff", r#"{"a":[0,1],"b":null}"#);
    for wrong in
        [&b"\x5f\x61a\xff"[..], b"\x5f\x5f\xff\xff", b"\x9f\x00", b"\xbf\x61a\xff", b"\x1f", b"\xdf\x00", b"\x81\xff"]
    {
        assert!(decode(wrong, None, FieldValidation::Ignore).is_err(), "{wrong:x?}");
    }
}

#[test]
fn bytes_of_a_type_are_bytes() {
    let mut table = TypeTable::default();
    let field = |name: &str, ty: FieldType| Field { name: name.into(), ty, ..Field::default() };
    let map = FieldType::Map(FieldType::Bytes.into());
    let fields = vec![field("data", map), field("text", FieldType::String)];
    let shape = Shape::Struct(Struct::new(fields));
    let root = table.define(Type { name: "Root".into(), shape, kinds: Vec::new(), served: true });
    let typed = Some((&table, root));
    let value = json::decode(br#"{"data":{"k":"YWJj"},"text":"YWJj"}"#, typed, FieldValidation::Strict).unwrap().value;
    let bytes = encode_typed(&value, typed);
    assert_eq!(bytes, &b"\xd9\xd9\xf7\xa2\x44data\xa1\x41k\xd6\x43abc\x44text\x44YWJj"[..]);
    assert_eq!(decode(&bytes, typed, FieldValidation::Strict).unwrap().value, value);
    // Also bytes that are base64 themselves: those of programs that know no types.
    assert_eq!(decode(&encode(&value), typed, FieldValidation::Strict).unwrap().value, value);
}

#[test]
fn events_of_a_watch_follow_each_other() {
    let object = encode(&Value::from("x"));
    let want = b"\xd9\xd9\xf7\xa2\x44type\x45ADDED\x46object\xd9\xd9\xf7\x41x";
    assert_eq!(watch_frame("ADDED", &object), &want[..]);
}
