use super::{schema, table, value};
use crate::{
    field::{ErrorList, Path},
    schema::{
        MetaType, apply_defaults, has_unpruned_defaults, prune_defaults, prune_nulls_without_defaults,
        validate_defaults,
    },
};

#[track_caller]
fn check(of: &str, before: &str, after: &str) {
    let mut object = value(before);
    prune_nulls_without_defaults(&mut object, &schema(of));
    apply_defaults(&mut object, &schema(of));
    assert_eq!(object, value(after), "{of} {before}");
    prune_nulls_without_defaults(&mut object, &schema(of));
    apply_defaults(&mut object, &schema(of));
    assert_eq!(object, value(after), "once more changes nothing");
}

#[test]
fn absent_fields_are_filled_in_from_the_top() {
    let of = r#"{"properties": {
        "a": {"default": "A"},
        "o": {"default": {}, "properties": {"x": {"default": 1}, "y": {"properties": {"z": {"default": 2}}}}},
        "l": {"items": {"properties": {"q": {"default": true}}}},
        "m": {"additionalProperties": {"properties": {"r": {"default": [1]}}}}
    }}"#;
    check(of, "{}", r#"{"a": "A", "o": {"x": 1}}"#);
    check(
        of,
        r#"{"a": "b", "o": {"x": 0, "y": {}}, "l": [{}, {"q": false}, 3], "m": {"k": {}}}"#,
        r#"{"a": "b", "o": {"x": 0, "y": {"z": 2}}, "l": [{"q": true}, {"q": false}, 3], "m": {"k": {"r": [1]}}}"#,
    );
}

#[test]
fn nulls_go_unless_they_are_values_or_have_a_default() {
    let of = r#"{"properties": {
        "nullable": {"nullable": true}, "withDefault": {"default": 1}, "plain": {}, "both": {"nullable": true, "default": 2},
        "map": {"additionalProperties": {"type": "string"}},
        "list": {"items": {"type": "string"}},
        "defaulted": {"items": {"type": "string", "default": "x"}}
    }}"#;
    check(
        of,
        r#"{"nullable": null, "withDefault": null, "plain": null, "both": null, "unknown": null, "map": {"k": null},
            "list": [null], "defaulted": [null]}"#,
        r#"{"nullable": null, "withDefault": 1, "both": null, "unknown": null, "map": {}, "list": [null], "defaulted": ["x"]}"#,
    );
}

#[track_caller]
fn check_validity(of: &str, want: &[&str]) {
    let table = table();
    let meta = MetaType::of(&table).unwrap();
    let errors = validate_defaults(&Path::new("s"), &schema(of), true, true, meta, &mut |_, _, _, _| ErrorList::new());
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{of}");
}

#[test]
fn defaults_fit_their_schema() {
    check_validity(
        r#"{"type": "object", "properties": {"a": {"type": "string", "default": "x", "maxLength": 1}}}"#,
        &[],
    );
    check_validity(
        r#"{"type": "object", "properties": {"a": {"type": "string", "default": 1},
            "b": {"type": "object", "default": {"x": 1, "u": 2}, "properties": {"x": {"type": "string"}}},
            "c": {"type": "array", "items": {"type": "string", "enum": ["p", "q"], "default": "r"}}}}"#,
        &[
            r#"s.properties[a].default: Invalid value: "integer": s.properties[a].default in body must be of type string: "integer""#,
            r#"s.properties[b].default: Invalid value: {"u":2,"x":1}: must not have unknown fields"#,
            r#"s.properties[b].default.x: Invalid value: "integer": x in body must be of type string: "integer""#,
            r#"s.properties[c].items.default: Unsupported value: "r": supported values: "p", "q""#,
        ]
        .map(|text| text.replace("s.properties[a].default in body", " in body"))
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>(),
    );
}

#[test]
fn defaults_of_metadata_result_in_metadata() {
    let embedded = |metadata: &str| {
        format!(
            r#"{{"type": "object", "properties": {{"e": {{"type": "object", "x-kubernetes-embedded-resource": true,
                "properties": {{"metadata": {{"type": "object", "properties": {metadata}}}}}}}}}}}"#
        )
    };
    check_validity(&embedded(r#"{"name": {"type": "string", "default": "good"}}"#), &[]);
    check_validity(
        &embedded(r#"{"name": {"type": "string", "default": "a/b"}}"#),
        &[
            "s.properties[e].properties[metadata].properties[name].default: Invalid value: \"a/b\": must result in valid \
             metadata: metadata.name: Invalid value: \"a/b\": may not contain '/'",
        ],
    );
}

#[test]
fn unpruned_defaults_are_found_and_pruned() {
    let table = table();
    let meta = MetaType::of(&table).unwrap();
    let of = r#"{"type": "object", "properties": {"b": {"type": "object", "default": {"x": "1", "u": 2},
        "properties": {"x": {"type": "string"}}}}}"#;
    let mut unpruned = schema(of);
    assert!(has_unpruned_defaults(&unpruned, true, meta));
    prune_defaults(&mut unpruned, true, meta);
    assert!(!has_unpruned_defaults(&unpruned, true, meta));
    assert_eq!(unpruned, schema(&of.replace(r#", "u": 2"#, "")));
}
