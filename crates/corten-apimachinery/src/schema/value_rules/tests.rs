use super::{unrecognized_formats, validate_value, validate_value_update};
use crate::{
    field::Path,
    schema::tests::{schema, value},
    value::Value,
};

#[track_caller]
fn check(of: &str, object: &str, want: &[&str]) {
    let errors = validate_value(None, &value(object), &schema(of));
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{of} {object}");
}

/// A schema of an object with one field `f`.
fn field(of: &str) -> String {
    format!(r#"{{"type": "object", "properties": {{"f": {of}}}}}"#)
}

#[test]
fn types_are_told_apart() {
    check(
        &field(r#"{"type": "integer"}"#),
        r#"{"f": "x"}"#,
        &[r#"f: Invalid value: "string": f in body must be of type integer: "string""#],
    );
    check(&field(r#"{"type": "integer"}"#), r#"{"f": 1.0}"#, &[]);
    check(
        &field(r#"{"type": "integer"}"#),
        r#"{"f": 1.5}"#,
        &[r#"f: Invalid value: "number": f in body must be of type integer: "number""#],
    );
    check(&field(r#"{"type": "number"}"#), r#"{"f": 1}"#, &[]);
    check(
        &field(r#"{"type": "string"}"#),
        r#"{"f": null}"#,
        &[r#"f: Invalid value: "null": f in body must be of type string: "null""#],
    );
    check(&field(r#"{"type": "string", "nullable": true}"#), r#"{"f": null}"#, &[]);
    check(
        &field(r#"{"x-kubernetes-int-or-string": true}"#),
        r#"{"f": true}"#,
        &[r#"f: Invalid value: "boolean": f in body must be of type integer,string: "boolean""#],
    );
    check(
        &field(r#"{"type": "array", "items": {"type": "object", "properties": {"x": {"type": "boolean"}}}}"#),
        r#"{"f": [{"x": 1}]}"#,
        &[r#"f[0].x: Invalid value: "integer": f[0].x in body must be of type boolean: "integer""#],
    );
    check(
        r#"{"type": "object"}"#,
        "[]",
        &[r#"<nil>: Invalid value: "array":  in body must be of type object: "array""#],
    );
}

#[test]
fn limits_hold() {
    for (of, object, want) in [
        (r#"{"type": "string", "maxLength": 2}"#, r#""abc""#, "f: Too long: may not be more than 2 bytes"),
        (
            r#"{"type": "string", "minLength": 1}"#,
            r#""""#,
            r#"f: Invalid value: "": f in body should be at least 1 chars long"#,
        ),
        (r#"{"type": "string", "pattern": "^a$"}"#, r#""b""#, r#"f: Invalid value: "b": f in body should match '^a$'"#),
        (
            r#"{"type": "integer", "maximum": 5}"#,
            "6",
            "f: Invalid value: 6: f in body should be less than or equal to 5",
        ),
        (
            r#"{"type": "integer", "maximum": 5, "exclusiveMaximum": true}"#,
            "5",
            "f: Invalid value: 5: f in body should be less than 5",
        ),
        (
            r#"{"type": "number", "minimum": 0.5}"#,
            "0.25",
            "f: Invalid value: 0.25: f in body should be greater than or equal to 0.5",
        ),
        (
            r#"{"type": "integer", "minimum": 1, "exclusiveMinimum": true}"#,
            "1",
            "f: Invalid value: 1: f in body should be greater than 1",
        ),
        (r#"{"type": "integer", "multipleOf": 3}"#, "4", "f: Invalid value: 4: f in body should be a multiple of 3"),
        (
            r#"{"type": "number", "multipleOf": 0.1}"#,
            "0.25",
            "f: Invalid value: 0.25: f in body should be a multiple of 0.1",
        ),
        (r#"{"type": "array", "maxItems": 1}"#, "[1, 2]", "f: Too many: 2: must have at most 1 item"),
        (r#"{"type": "array", "minItems": 1}"#, "[]", "f: Invalid value: 0: f in body should have at least 1 items"),
        (
            r#"{"type": "object", "maxProperties": 1}"#,
            r#"{"a": 1, "b": 2}"#,
            "f: Too many: 2: must have at most 1 item",
        ),
        (
            r#"{"type": "object", "minProperties": 1}"#,
            "{}",
            "f: Invalid value: 0: f in body should have at least 1 properties",
        ),
        (r#"{"type": "object", "required": ["a"]}"#, "{}", "f.a: Required value"),
        (
            r#"{"type": "object", "additionalProperties": false}"#,
            r#"{"a": 1}"#,
            r#"f: Invalid value: "a": f.a in body is a forbidden property"#,
        ),
        (
            r#"{"type": "string", "enum": ["a", "b"]}"#,
            r#""c""#,
            r#"f: Unsupported value: "c": supported values: "a", "b""#,
        ),
        (r#"{"type": "integer", "enum": [1, 2]}"#, "3", r#"f: Unsupported value: 3: supported values: "1", "2""#),
        (
            r#"{"type": "string", "format": "date"}"#,
            r#""x""#,
            r#"f: Invalid value: "x": f in body must be of type date: "x""#,
        ),
        (
            r#"{"type": "string", "format": "date"}"#,
            "1",
            r#"f: Invalid value: "integer": f in body must be of type string: "integer""#,
        ),
    ] {
        let want = if of.contains("date") && object == "1" {
            r#"f: Invalid value: "int64": f in body must be of type date: "int64""#
        } else {
            want
        };
        check(&field(of), &format!(r#"{{"f": {object}}}"#), &[want]);
    }
    check(&field(r#"{"type": "string", "maxLength": 2}"#), "{\"f\": \"\u{e4}\u{f6}\"}", &[]);
    check(&field(r#"{"type": "number", "multipleOf": 0.01}"#), r#"{"f": 0.07}"#, &[]);
}

#[test]
fn junctors_show_the_branch_that_fits_best() {
    let of = r#"{"type": "object", "properties": {"f": {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}}}"#;
    check(of, r#"{"f": {"a": 1}}"#, &[]);
    check(
        of,
        r#"{"f": {}}"#,
        &[
            r#"<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found none valid"#,
            "f.a: Required value",
        ],
    );
    check(
        of,
        r#"{"f": {"a": 1, "b": 1}}"#,
        &[r#"<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found 2 valid alternatives"#],
    );
    let any = r#"{"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}"#;
    check(&field(any), r#"{"f": "x"}"#, &[]);
    check(
        &field(any),
        r#"{"f": true}"#,
        &[
            r#"f: Invalid value: "boolean": f in body must be of type integer,string: "boolean""#,
            r#"<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)"#,
            r#"f: Invalid value: "boolean": f in body must be of type integer: "boolean""#,
        ],
    );
    check(
        &field(r#"{"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}], "not": {"enum": [2]}}"#),
        r#"{"f": 0}"#,
        &[
            "f: Invalid value: 0: f in body should be greater than or equal to 1",
            r#"<nil>: Invalid value: "": "f" must validate all the schemas (allOf)"#,
        ],
    );
    check(
        &field(r#"{"type": "integer", "not": {"enum": [2]}}"#),
        r#"{"f": 2}"#,
        &[r#"<nil>: Invalid value: "": "f" must not validate the schema (not)"#],
    );
    check(
        &field(r#"{"type": "integer", "allOf": [{"minimum": 1}]}"#),
        r#"{"f": 0}"#,
        &[
            "f: Invalid value: 0: f in body should be greater than or equal to 1",
            r#"<nil>: Invalid value: "": "f" must validate all the schemas (allOf). None validated"#,
        ],
    );
}

#[track_caller]
fn check_update(of: &str, old: &str, new: &str, want: &[&str]) {
    let errors = validate_value_update(None, &value(new), &value(old), &schema(of));
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{of} {old} {new}");
}

#[test]
fn what_has_not_changed_is_forgiven() {
    let of = r#"{"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "m": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}},
        "list": {"type": "array", "items": {"type": "string", "maxLength": 1}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
        "needy": {"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}, "y": {"type": "string"}}}
    }}"#;
    let long = "Too long: may not be more than 1 byte";
    check_update(of, r#"{"a": "long"}"#, r#"{"a": "long", "list": []}"#, &[]);
    check_update(of, r#"{"a": "long"}"#, r#"{"a": "other"}"#, &[&format!("a: {long}")]);
    check_update(of, r#"{"m": {"k": "long"}}"#, r#"{"m": {"k": "long", "l": "long"}}"#, &[&format!("m.l: {long}")]);
    check_update(of, r#"{"list": ["long"]}"#, r#"{"list": ["long"], "a": "x"}"#, &[]);
    // A list without a type is a whole: what is in it is not compared.
    check_update(of, r#"{"list": ["long"]}"#, r#"{"list": ["long", "x"]}"#, &[&format!("list[0]: {long}")]);
    check_update(
        of,
        r#"{"keyed": [{"k": "1", "v": "long"}, {"k": "2", "v": "x"}]}"#,
        r#"{"keyed": [{"k": "2", "v": "long"}, {"k": "1", "v": "long"}]}"#,
        &[&format!("keyed[0].v: {long}")],
    );
    check_update(of, r#"{"needy": {"y": "a"}}"#, r#"{"needy": {"y": "a"}, "a": "b"}"#, &[]);
    check_update(of, r#"{"needy": {"y": "a"}}"#, r#"{"needy": {"y": "b"}}"#, &["needy.x: Required value"]);
}

#[test]
fn formats_are_checked() {
    for (format, yes, no) in [
        ("date", &["2024-02-29"][..], &["2023-02-29", "2024-2-9", ""][..]),
        (
            "date-time",
            &["2024-01-01T10:00:00Z", "2024-01-01t10:00:00.5+01:00"],
            &["2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01T10:00:00"],
        ),
        ("duration", &["1h30m", "22 ns", "3 days", "0s"], &["1", "x", "1 parsec"]),
        ("email", &["a@example.com", "Ann <a@b>", "\"a b\"@example.com"], &["a", "@b", "a@", "a b@c"]),
        ("hostname", &["example.com", "a", "1-2.example", "a-b.c-d"], &["-a", "a..b", "a_b", "a.b", ""]),
        ("ipv4", &["10.0.0.1", "::ffff:1.2.3.4"], &["10.0.0", "010.0.0.1", "::1"]),
        ("ipv6", &["::1", "fe80::1"], &["1.2.3.4", ":::"]),
        ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0/33", "10.0.0.0", "10.0.0.0/"]),
        (
            "mac",
            &["01:23:45:67:89:ab", "0123.4567.89ab", "01-23-45-67-89-AB-CD-EF"],
            &["01:23:45:67:89", "01:23-45:67:89:ab"],
        ),
        (
            "uuid",
            &["a8098c1a-f86e-11da-bd1a-00112444be1e", "A8098C1AF86E11DABD1A00112444BE1E"],
            &["a8098c1a", "a8098c1a-f86e-11da-bd1a-00112444be1g"],
        ),
        (
            "uuid4",
            &["025b0d74-00a2-4048-bf57-227c5111bb34"],
            &["025b0d74-00a2-3048-bf57-227c5111bb34", "025b0d74-00a2-4048-cf57-227c5111bb34"],
        ),
        ("uuid3", &["bcd02e22-68f0-3046-a512-327cca9def8f"], &["bcd02e22-68f0-4046-a512-327cca9def8f"]),
        (
            "uri",
            &["http://example.com/a?b", "/a", "mailto:a@b", "http://[::1]:80/"],
            &["a", "", "http://a b", "http://a:x/", "/%zz"],
        ),
        ("byte", &["YQ==", "YWI=", "YWJj"], &["", "Y", "YQ=", "Y?=="]),
        ("isbn", &["0321751043", "978-0321751041"], &["0321751044", "978-0321751042"]),
        ("creditcard", &["4111-1111-1111-1111"], &["4111-1111-1111-1112", "9111-1111-1111-1111"]),
        ("ssn", &["111-11-1111", "111 11 1111"], &["999 111 999", "1"]),
        ("hexcolor", &["#FFFFFF", "fff"], &["#fffffg", "#ff"]),
        ("rgbcolor", &["rgb(100,100,0)", "rgb( 1 , 2 , 3 )"], &["rgb(300,0,0)", "rgb(1,2)"]),
        ("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f1f77bcf86cd79943901z"]),
        ("quantity", &["10Gi", "1"], &["10Xi", ""]),
        ("password", &["", "anything"], &[]),
        ("k8s-short-name", &["a-b"], &["a.b", "A"]),
        ("k8s-long-name", &["a.b"], &["a..b"]),
        ("no-such-format", &["", "anything"], &[]),
    ] {
        let of = schema(&format!(r#"{{"type": "string", "format": "{format}"}}"#));
        for (texts, holds) in [(yes, true), (no, false)] {
            for text in texts {
                assert_eq!(validate_value(None, &Value::from(*text), &of).is_empty(), holds, "{format} {text:?}");
            }
        }
    }
}

#[test]
fn formats_that_are_not_checked_are_found() {
    let props = value(
        r#"{"properties": {"a": {"type": "integer", "format": "int64"}, "b": {"items": {"type": "string", "format": "foo"}},
            "c": {"type": "string", "format": "date-time"}, "d": {"format": "bar"}}}"#,
    );
    assert_eq!(unrecognized_formats(&props), ["foo"]);
}

#[test]
fn wide_objects_and_many_errors_are_bounded() {
    let of = schema(r#"{"type": "array", "items": {"type": "string"}}"#);
    let wide = Value::array((0..100_000).map(Value::Int));
    let errors = validate_value(Some(&Path::new("x")), &wide, &of);
    assert_eq!(errors.len(), crate::field::ERRORS_MAX);
    let large_enum = schema(&format!(
        r#"{{"type": "array", "items": {{"type": "integer", "enum": [{}]}}}}"#,
        (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    ));
    let errors = validate_value(None, &Value::array((0..10_000).map(Value::Int)), &large_enum);
    assert!(errors.iter().any(|error| error.detail.contains("takes too long")), "{:?}", errors.first());
}

/// The definition that upstream's documentation begins with.
#[test]
fn a_cron_tab_is_checked_as_documented() {
    let of = r#"{"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "cronSpec": {"type": "string", "pattern": "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$"},
        "image": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 10}
    }}}}"#;
    check(of, r#"{"spec": {"cronSpec": "* * * * */5", "image": "my-awesome-cron-image", "replicas": 5}}"#, &[]);
    check(
        of,
        r#"{"spec": {"cronSpec": "* * * *", "image": "my-awesome-cron-image", "replicas": 15}}"#,
        &[
            r#"spec.cronSpec: Invalid value: "* * * *": spec.cronSpec in body should match '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'"#,
            "spec.replicas: Invalid value: 15: spec.replicas in body should be less than or equal to 10",
        ],
    );
}
