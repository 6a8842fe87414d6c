use super::{schema, value};
use crate::schema::{UnknownFields, prune};

#[track_caller]
fn check(of: &str, before: &str, is_root: bool, after: &str, unknown: &[&str]) {
    let mut object = value(before);
    let mut fields = UnknownFields::tracked();
    prune(&mut object, &schema(of), is_root, &mut fields);
    assert_eq!(object, value(after), "{of} {before}");
    assert_eq!(fields.into_paths(), unknown, "{of} {before}");
    prune(&mut object, &schema(of), is_root, &mut UnknownFields::ignored());
    assert_eq!(object, value(after), "pruning again changes nothing");
}

#[test]
fn unknown_fields_go_at_every_depth() {
    let of = r#"{"type": "object", "properties": {"a": {"type": "object"}, "l": {"type": "array", "items": {"type": "object",
        "properties": {"x": {}}}}, "m": {"additionalProperties": {"properties": {"y": {}}}}, "open": {"additionalProperties": true}}}"#;
    check(
        of,
        r#"{"a": {"b": 1}, "u": 1, "l": [{"x": 1, "u": {}}, 5], "m": {"k": {"y": 1, "z": 2}}, "open": {"k": {"q": 1}}}"#,
        false,
        r#"{"a": {}, "l": [{"x": 1}, 5], "m": {"k": {"y": 1}}, "open": {"k": {}}}"#,
        &["a.b", "l[0].u", "m.k.z", "open.k.q", "u"],
    );
}

#[test]
fn metadata_stays_at_the_root_and_in_embedded_objects() {
    let of =
        r#"{"properties": {"pod": {"x-kubernetes-embedded-resource": true, "properties": {"spec": {}}}, "plain": {}}}"#;
    check(
        of,
        r#"{"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "pod": {"kind": "P", "metadata": {"y": 1}, "spec": 1, "u": 1},
            "plain": {"kind": "Q"}}"#,
        true,
        r#"{"apiVersion": "v1", "kind": "K", "metadata": {"x": 1}, "pod": {"kind": "P", "metadata": {"y": 1}, "spec": 1}, "plain": {}}"#,
        &["plain.kind", "pod.u"],
    );
}

#[test]
fn what_preserves_unknown_fields_prunes_the_known_ones() {
    let of = r#"{"properties": {"p": {"x-kubernetes-preserve-unknown-fields": true,
        "properties": {"known": {"properties": {"a": {}}}}}}}"#;
    check(
        of,
        r#"{"p": {"u": {"v": 1}, "known": {"a": 1, "b": 2}}, "q": 1}"#,
        false,
        r#"{"p": {"u": {"v": 1}, "known": {"a": 1}}}"#,
        &["p.known.b", "q"],
    );
    check(
        r#"{"x-kubernetes-preserve-unknown-fields": true, "items": {"properties": {"a": {"type": "object"}}}}"#,
        r#"[{"a": {"b": 1}, "c": 2}]"#,
        false,
        r#"[{"a": {}, "c": 2}]"#,
        &["[0].a.b"],
    );
}

#[test]
fn a_hundred_unknown_fields_are_told() {
    let many: Vec<String> = (0..1_000).map(|n| format!("\"u{n}\": 1")).collect();
    let mut object = value(&format!("{{{}}}", many.join(",")));
    let mut fields = UnknownFields::tracked();
    prune(&mut object, &schema("{}"), true, &mut fields);
    assert_eq!((object, fields.into_paths().len()), (value("{}"), 100));
}
