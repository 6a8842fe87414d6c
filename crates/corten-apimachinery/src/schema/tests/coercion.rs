use super::{schema, table, value};
use crate::{
    field::Path,
    schema::{
        MetaType, UnknownFields, coerce_object_meta, resolve_field_path, rules_not_checked, validate_embedded,
        validate_lists, validate_object, validate_object_update,
    },
};

const EMBEDDED: &str = r#"{"type": "object", "properties": {"pod": {"type": "object", "x-kubernetes-embedded-resource": true,
    "x-kubernetes-preserve-unknown-fields": true}}}"#;

#[track_caller]
fn check(before: &str, drop_invalid: bool, want: Result<(&str, &[&str]), &str>) {
    let (table, mut object) = (table(), value(before));
    let mut unknown = UnknownFields::tracked();
    let meta = MetaType::of(&table).unwrap();
    let done =
        coerce_object_meta(&Path::root(), &mut object, &schema(EMBEDDED), true, meta, drop_invalid, &mut unknown);
    match want {
        Ok((after, paths)) => {
            assert_eq!(done, Ok(()));
            assert_eq!(object, value(after));
            assert_eq!(unknown.into_paths(), paths);
        }
        Err(error) => assert_eq!(done.unwrap_err().to_string(), error),
    }
}

#[test]
fn unknown_metadata_goes_and_is_told() {
    check(
        r#"{"metadata": {"name": "a", "unknown": 1, "creationTimestamp": null}, "pod": {"metadata": {"labels": {"a": "b"}, "x": 1}}}"#,
        false,
        Ok((
            r#"{"metadata": {"name": "a"}, "pod": {"metadata": {"labels": {"a": "b"}}}}"#,
            &["metadata.unknown", "pod.metadata.x"],
        )),
    );
}

#[test]
fn metadata_that_does_not_fit_is_refused_or_dropped() {
    let wrong = r#"{"metadata": {"name": 1, "labels": {"a": "b"}, "generation": 2}}"#;
    check(wrong, true, Ok((r#"{"metadata": {"labels": {"a": "b"}, "generation": 2}}"#, &[])));
    check(r#"{"kind": 5, "pod": {"apiVersion": {}}}"#, true, Ok((r#"{"pod": {}}"#, &[])));
    check(r#"{"kind": 5}"#, false, Err("kind: Invalid value: 5: must be a string"));
    check(r#"{"pod": {"apiVersion": 5}}"#, false, Err("pod.apiVersion: Invalid value: 5: must be a string"));
}

#[test]
fn embedded_objects_are_objects() {
    let (table, object) = (
        table(),
        value(
            r#"{"kind": "K", "apiVersion": "a/b/c", "pod": {"kind": "a_b", "metadata": {"name": "a/b", "labels": {"?": ""}}}}"#,
        ),
    );
    let errors = validate_embedded(&Path::root(), &object, &schema(EMBEDDED), true, MetaType::of(&table).unwrap());
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors[0], r#"apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c"#);
    assert_eq!(errors[1], "pod.apiVersion: Required value");
    assert!(
        errors[2].starts_with(r#"pod.kind: Invalid value: "a_b": may have mixed case, but should otherwise match: "#)
    );
    assert_eq!(errors[3], r#"pod.metadata.name: Invalid value: "a/b": may not contain '/'"#);
    assert!(
        errors[4].starts_with("pod.metadata.labels: Invalid value: \"?\": name part must consist of"),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 5);
}

#[track_caller]
fn check_lists(of: &str, object: &str, want: &[&str]) {
    let errors = validate_lists(&Path::root(), &schema(of), &value(object));
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
}

#[test]
fn sets_and_maps_are_unique() {
    let set = r#"{"properties": {"l": {"type": "array", "x-kubernetes-list-type": "set"}}}"#;
    check_lists(set, r#"{"l": [1, 2, "1", {"a": 1}, {"a": 2}, [1]]}"#, &[]);
    check_lists(
        set,
        r#"{"l": [1, 1, 1, null, null, {"a": [1]}, {"a": [1]}]}"#,
        &["l[1]: Duplicate value: 1", "l[4]: Duplicate value: null", "l[6]: Duplicate value: {\"a\":[1]}"],
    );
    let map = r#"{"properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
        "items": {"properties": {"s": {"x-kubernetes-list-type": "set"}}}}}}"#;
    check_lists(map, r#"{"l": [{"a": 1}, {"a": 1, "b": 1}, {}, {"b": 1}]}"#, &[]);
    check_lists(
        map,
        r#"{"l": [{"a": 1, "b": 2, "c": 3}, {"b": 2, "a": 1}, {"c": 1}, {"s": [2, 2]}]}"#,
        &["l[1]: Duplicate value: {\"a\":1,\"b\":2}", "l[3]: Duplicate value: {}", "l[3].s[1]: Duplicate value: 2"],
    );
    check_lists(map, r#"{"l": [{}, 1]}"#, &["l[1]: Invalid value: 1: must be an object for an array of list-type map"]);
}

#[test]
fn paths_lead_to_fields() {
    let of = schema(
        r#"{"properties": {"spec": {"properties": {"a.b": {"type": "string"}, "m": {"additionalProperties": {"type": "integer"}}}},
            "l": {"type": "array", "items": {}}}}"#,
    );
    let find =
        |path: &str| resolve_field_path(path, &of, true).map(|(path, found)| format!("{path} {}", found.generic.ty));
    assert_eq!(find(".spec['a.b']"), Ok("spec.a.b string".to_owned()));
    assert_eq!(find(".spec.m.k"), Ok("spec.m[k] integer".to_owned()));
    assert_eq!(find(r".spec.m['it\'s']"), Ok("spec.m[it's] integer".to_owned()));
    for (path, error) in [
        ("spec", "expected [ or . but got: spec"),
        (".", "unexpected end of JSON path"),
        (".spec.x", "does not refer to a valid field"),
        (".l[0]", "expected single quoted string but got 0"),
        (".l['0']", "does not refer to a valid field"),
        (".spec['m'", "unexpected end of JSON path"),
        (r".spec['\q']", "invalid string literal: invalid escape char \\q"),
    ] {
        assert_eq!(find(path), Err(error.to_owned()), "{path}");
    }
    assert_eq!(resolve_field_path(".spec['m']", &of, false).unwrap_err(), "array notation is not allowed");
}

#[test]
fn an_object_is_checked_in_order_and_forgiven_what_it_was() {
    let of = schema(
        r#"{"type": "object", "properties": {
            "n": {"type": "integer", "maximum": 1}, "t": {"type": "string"},
            "l": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}
        }}"#,
    );
    let table = table();
    let meta = MetaType::of(&table).unwrap();
    let wrong = value(r#"{"n": 2, "l": [1, 1], "pod": {"kind": "Pod"}}"#);
    let texts = |errors: crate::field::ErrorList| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (number, pod) =
        ("n: Invalid value: 2: n in body should be less than or equal to 1", "pod.apiVersion: Required value");
    assert_eq!(texts(validate_object(&wrong, &of, meta)), [number, pod, "l[1]: Duplicate value: 1"]);
    assert_eq!(texts(validate_object_update(&wrong, &wrong, &of, meta)), [pod]);
    let right = value("{}");
    assert_eq!(texts(validate_object_update(&wrong, &right, &of, meta)).len(), 3);

    let shape = validate_object(&value(r#"{"t": 1}"#), &of, meta);
    assert_eq!(
        rules_not_checked(&shape).unwrap().to_string(),
        "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the \
         existing errors to complete validation"
    );
    assert_eq!(rules_not_checked(&validate_object(&value(r#"{"n": 2}"#), &of, meta)), None);
}
