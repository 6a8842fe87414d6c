use proptest::prelude::*;

use super::*;
use crate::{
    codec::FieldValidation,
    value::{Str, Value},
};

fn read(text: &str) -> Result<Value, String> {
    decode(text.as_bytes(), None, FieldValidation::Strict)
        .map(|decoded| decoded.value)
        .map_err(|error| error.to_string())
}

fn write(value: &Value) -> String {
    String::from_utf8(encode(value, None).to_vec()).unwrap()
}

/// The first field of that name behind the first `metadata` was changed: a label, or the field of an embedded object. The
/// event of an object that left a watch then said a revision that the client had seen, and it came back for events from there.
#[test]
fn the_revision_of_the_object_itself_is_replaced() {
    #[track_caller]
    fn check(before: &str, after: &str) {
        let replaced = replace_resource_version(&Outlined::from(before), 7, 12);
        assert_eq!(std::str::from_utf8(&replaced).unwrap(), after);
    }
    let embedded = r#"{"aTemplate":{"metadata":{"resourceVersion":"7"}},"#;
    let labels = r#""metadata":{"labels":{"a":"\\\"}","resourceVersion":"7"},"name":"a","resourceVersion":"#;
    check(
        &format!(r#"{embedded}"b":[1,{{"c":null}},"]"],{labels}"7","uid":"u"}}}}"#),
        &format!(r#"{embedded}"b":[1,{{"c":null}},"]"],{labels}"12","uid":"u"}}}}"#),
    );
    check(r#"{"metadata":{"resourceVersion":"7"}}"#, r#"{"metadata":{"resourceVersion":"12"}}"#);
    // What is not there, or cut off, is not made.
    for other in
        [r#"{"metadata":{"labels":{"resourceVersion":"7"}}}"#, r#"{"metadata":"x"}"#, r#"{"metadata":{"na"#, ""]
    {
        check(other, other);
    }
}

#[test]
fn what_is_no_json_is_refused_in_gos_words() {
    for (text, want) in [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ("\"a", "unexpected end of JSON input"),
        ("{\"a\"", "unexpected end of JSON input"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("nul", "unexpected end of JSON input"),
        ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
        ("1 2", "invalid character '2' after top-level value"),
        ("01", "invalid character '1' after top-level value"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        ("\"\\u12x4\"", "invalid character 'x' in \\u hexadecimal character escape"),
        ("\"\n\"", "invalid character '\\n' in string literal"),
    ] {
        assert_eq!(read(text).unwrap_err(), want, "{text:?}");
    }
}

#[test]
fn deep_nesting_is_refused_where_go_refuses_it() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for depth in [600, 9_999, 10_000] {
            let tree = read(&nested(depth)).unwrap();
            assert!(tree.is_deeper_than(depth - 1) && !tree.is_deeper_than(depth));
        }
        let bracket = &open[..1];
        for depth in [10_001, 1_000_000] {
            let want = format!("invalid character '{bracket}' exceeded max depth");
            assert_eq!(read(&nested(depth)).unwrap_err(), want);
        }
    }
}

#[test]
fn bytes_are_shown_as_go_shows_them() {
    let read = |bytes: &[u8]| {
        decode_lossy(bytes, None, FieldValidation::Ignore, usize::MAX).map_err(|error| error.to_string())
    };
    for (bytes, want) in [
        // The first byte of a character, as the character that has its number.
        (&b"{\"a\": \xc3\xa9}"[..], "invalid character '\u{c3}' looking for beginning of value"),
        (b"\xe2\x82\xac", "invalid character '\u{e2}' looking for beginning of value"),
        // Bytes that are no text, alone and behind others of them.
        (b"[1 \xe9]", "invalid character '\u{e9}' after array element"),
        (b"[\"\xff\xfe\", 1 \xfd]", "invalid character '\u{fd}' after array element"),
        (b"{\"a\xff\": nul\x80}", "invalid character '\\u0080' in literal null (expecting 'l')"),
        (b"[1 \"", "invalid character '\"' after array element"),
    ] {
        assert_eq!(read(bytes).unwrap_err(), want, "{bytes:?}");
    }
    assert_eq!(read(b"{\"a\": \"caf\xe9\"}").unwrap().value.str_at(&["a"]), Some("caf\u{fffd}"));
}

/// Both could be made a gigabyte of an object of a megabyte.
#[test]
fn blanks_in_front_of_lines_are_bounded() {
    let mut deep = Value::array((0..300_000).map(Value::Int));
    for _ in 0..200 {
        deep = Value::object_of([("a", deep)]);
    }
    let compact = encode(&deep, None);
    let pretty = encode_pretty(&deep, None);
    let yaml = crate::codec::yaml::encode(&deep);
    for text in [&pretty, &yaml] {
        assert!(text.len() < compact.len() + (32 << 20), "{}", text.len());
    }
    assert_eq!(decode(&pretty, None, FieldValidation::Ignore).unwrap().value, deep);
    let start = "a:\n  a:\n    a:\n      a:\n        a:\n          a:\n            a:\n              a:\n                a: {\"a\":";
    assert!(yaml.starts_with(start.as_bytes()), "{}", String::from_utf8_lossy(&yaml[..200]));
    assert!(yaml.ends_with(b"]}}}\n") || yaml.ends_with(b"}\n"));
}

#[test]
fn texts_are_escaped_as_go_escapes_them() {
    let text = "a\"\\/<>&\u{1}\u{8}\u{c}\n\r\t\u{7f}\u{2028}\u{2029}\u{e9}\u{1f600}";
    let want = "\"a\\\"\\\\/\\u003c\\u003e\\u0026\\u0001\\b\\f\\n\\r\\t\u{7f}\\u2028\\u2029\u{e9}\u{1f600}\"";
    assert_eq!(write(&text.into()), want);
    assert_eq!(read(want), Ok(text.into()));
    assert_eq!(read(r#""\ud83d\ude00 \ud800x \u00e9""#), Ok("\u{1f600} \u{fffd}x \u{e9}".into()));
}

#[test]
fn numbers_are_written_as_go_writes_them() {
    for (text, want) in [
        ("0", "0"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("1.5", "1.5"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.25e-10", "1.25e-10"),
        ("18446744073709551615", "18446744073709552000"),
    ] {
        assert_eq!(write(&read(text).unwrap()), want);
    }
}

#[test]
fn duplicates_are_reported_and_the_last_counts() {
    let decoded = decode(br#"{"a":1,"b":{"c":1,"c":2},"a":3}"#, None, FieldValidation::Strict).unwrap();
    assert_eq!(write(&decoded.value), r#"{"a":3,"b":{"c":2}}"#);
    assert_eq!(decoded.complaints(), [r#"duplicate field "b.c""#, r#"duplicate field "a""#]);
}

#[test]
fn duplicates_in_a_large_object_are_found_in_good_time() {
    let mut text = String::from("{");
    for key in (0..100_000).rev() {
        text.push_str(&format!("\"k{key}\":1,"));
    }
    text.push_str("\"k7\":2,\"k7\":3}");
    let decoded = decode(text.as_bytes(), None, FieldValidation::Strict).unwrap();
    assert_eq!(decoded.value.as_object().unwrap().len(), 100_000);
    assert_eq!(decoded.value.i64_at(&["k7"]), Some(3));
    assert_eq!(decoded.complaints(), [r#"duplicate field "k7""#], "it is told once");
}

#[test]
fn a_revision_is_spliced_into_any_metadata() {
    for (object, want) in [
        (r#"{"metadata":{}}"#, r#"{"metadata":{"resourceVersion":"7"}}"#),
        (r#"{"metadata":{"a":1}}"#, r#"{"metadata":{"a":1,"resourceVersion":"7"}}"#),
        (r#"{"metadata":{"uid":"x"}}"#, r#"{"metadata":{"resourceVersion":"7","uid":"x"}}"#),
        (r#"{"metadata":{"a":1,"uid":"x"}}"#, r#"{"metadata":{"a":1,"resourceVersion":"7","uid":"x"}}"#),
        (r#"{"spec":{"metadata":{"uid":"x"}}}"#, r#"{"spec":{"metadata":{"uid":"x"}}}"#),
    ] {
        assert_eq!(encode_spliceable(&read(object).unwrap(), None).splice(7).text(), want);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("JSON has no infinities", |number| number.is_finite() && number.fract() != 0.0)
            .prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::String(text.into())),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::array),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::object_of(map.into_iter().map(|(key, value)| (Str::from(key), value)))),
        ]
    })
}

/// Whether both trees are the same, floats up to the last digit, which serde_json does not read exactly.
fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Theirs;
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Bool(ours), Theirs::Bool(theirs)) => ours == theirs,
        (Value::Int(ours), Theirs::Number(theirs)) => theirs.as_i64() == Some(*ours),
        (Value::Float(ours), Theirs::Number(theirs)) => {
            theirs.as_f64().is_some_and(|theirs| (ours - theirs).abs() <= ours.abs() * 1e-14)
        }
        (Value::String(ours), Theirs::String(theirs)) => ours == theirs,
        (Value::Array(ours), Theirs::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Theirs::Object(theirs)) => {
            let has = |(key, value): (&str, &Value)| theirs.get(key).is_some_and(|theirs| same(value, theirs));
            ours.len() == theirs.len() && ours.iter().all(has)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_here_and_by_serde_json(value in any_value()) {
        let text = write(&value);
        prop_assert_eq!(read(&text), Ok(value.clone()));
        let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert!(same(&value, &theirs), "{:?} {:?}", value, theirs);
    }

    #[test]
    fn any_text_is_json_here_and_for_serde_json_or_for_neither(text in r#"[\[\]{}:,"\\ a0-9.eE+\-ntrufls]{0,24}"#) {
        let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
        // Lone surrogates and numbers out of range are the two cases in which Go differs from serde_json.
        if !text.contains("\\u") && !text.contains(['e', 'E']) {
            prop_assert_eq!(read(&text).is_ok(), theirs.is_ok(), "{}", text);
        }
    }
}
