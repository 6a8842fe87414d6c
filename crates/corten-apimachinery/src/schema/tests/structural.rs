use super::{schema, value};
use crate::{
    field::Path,
    schema::{ConvertError, SCHEMA_DEPTH_MAX, Structural, validate_structural},
    value::Value,
};

#[track_caller]
fn check(text: &str, want: &[&str]) {
    let errors: Vec<String> =
        validate_structural(&Path::new("s"), &schema(text)).iter().map(ToString::to_string).collect();
    assert_eq!(errors, want, "{text}");
}

#[test]
fn a_schema_with_types_everywhere_is_structural() {
    check(
        r#"{"type": "object", "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^a"}}},
            "spec": {"type": "object", "required": ["a"], "properties": {
                "a": {"type": "array", "items": {"type": "string"}},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "other": {"x-kubernetes-int-or-string": true,
                    "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}
            }}
        }}"#,
        &[],
    );
}

#[test]
fn types_are_declared() {
    check(
        r#"{"properties": {"a": {}, "b": {"type": "array", "items": {}}, "c": {"type": "array"},
            "d": {"type": "object", "additionalProperties": {}}}}"#,
        &[
            "s.properties[a].type: Required value: must not be empty for specified object fields",
            "s.properties[b].items.type: Required value: must not be empty for specified array items",
            "s.properties[c].items: Required value: must be specified",
            "s.properties[d].additionalProperties.type: Required value: must not be empty for specified object fields",
            "s.type: Required value: must not be empty at the root",
        ],
    );
    check(
        r#"{"type": "array", "items": {"type": "string"}}"#,
        &[r#"s.type: Invalid value: "array": must be object at the root"#],
    );
    check(
        r#"{"type": "object", "additionalProperties": {"type": "string"}}"#,
        &["s.additionalProperties: Forbidden: must not be used at the root"],
    );
}

#[test]
fn junctors_say_what_values_are_like_and_nothing_else() {
    check(
        r#"{"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{
            "type": "object", "title": "t", "description": "d", "default": {}, "nullable": true, "externalDocs": {"url": "u"},
            "additionalProperties": {"type": "string"},
            "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-embedded-resource": true,
            "x-kubernetes-int-or-string": true, "x-kubernetes-list-type": "set", "x-kubernetes-map-type": "atomic",
            "x-kubernetes-list-map-keys": ["a"], "x-kubernetes-validations": [{"rule": "true"}],
            "properties": {"a": {"type": "string"}, "metadata": {"minProperties": 1}}
        }]}"#,
        &[
            "s.anyOf[0].additionalProperties: Forbidden: must be undefined to be structural",
            "s.anyOf[0].default: Forbidden: must be undefined to be structural",
            "s.anyOf[0].description: Forbidden: must be empty to be structural",
            "s.anyOf[0].externalDocs: Forbidden: must be undefined to be structural",
            "s.anyOf[0].nullable: Forbidden: must be false to be structural",
            "s.anyOf[0].properties[a].type: Forbidden: must be empty to be structural",
            "s.anyOf[0].properties[metadata]: Forbidden: must not be specified in a nested context",
            "s.anyOf[0].title: Forbidden: must be empty to be structural",
            "s.anyOf[0].type: Forbidden: must be empty to be structural",
            "s.anyOf[0].x-kubernetes-embedded-resource: Forbidden: must be false to be structural",
            "s.anyOf[0].x-kubernetes-int-or-string: Forbidden: must be false to be structural",
            "s.anyOf[0].x-kubernetes-list-map-keys: Forbidden: must be empty to be structural",
            "s.anyOf[0].x-kubernetes-list-type: Forbidden: must be undefined to be structural",
            "s.anyOf[0].x-kubernetes-map-type: Forbidden: must be undefined to be structural",
            "s.anyOf[0].x-kubernetes-preserve-unknown-fields: Forbidden: must be false to be structural",
            "s.anyOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural",
            "s.properties[metadata]: Required value: because it is defined in s.anyOf[0].properties[metadata]",
        ],
    );
}

#[test]
fn what_junctors_speak_of_is_declared() {
    check(
        r#"{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}},
            "not": {"properties": {"a": {"items": {"properties": {"x": {}}}}}},
            "oneOf": [{"allOf": [{"properties": {"b": {}}}]}]}"#,
        &[
            "s.properties[a].items.properties[x]: Required value: because it is defined in s.not.properties[a].items.properties[x]",
            "s.properties[b]: Required value: because it is defined in s.oneOf[0].allOf[0].properties[b]",
        ],
    );
}

#[test]
fn metadata_is_what_it_is() {
    check(
        r#"{"type": "object", "properties": {"kind": {"type": "object"}, "apiVersion": {"type": "integer"},
            "metadata": {"type": "string", "properties": {"labels": {"type": "object"}}}}}"#,
        &[
            r#"s.properties[apiVersion].type: Invalid value: "integer": must be string"#,
            r#"s.properties[kind].type: Invalid value: "object": must be string"#,
            r#"s.properties[metadata].type: Invalid value: "string": must be object"#,
            "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is \
             implicitly specified",
        ],
    );
}

#[test]
fn extensions_exclude_each_other() {
    check(
        r#"{"type": "object", "properties": {
            "a": {"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true},
            "b": {"type": "object", "x-kubernetes-embedded-resource": true, "additionalProperties": true},
            "c": {"x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            "d": {"type": "string", "pattern": "("}}}"#,
        &[
            "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if \
             x-kubernetes-int-or-string is true",
            "s.properties[b].additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set",
            "s.properties[b].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without \
             x-kubernetes-preserve-unknown-fields",
            "s.properties[c].type: Required value: must be object if x-kubernetes-embedded-resource is true",
            "s.properties[d].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing \
             regexp: missing closing ): `(`",
        ],
    );
}

#[test]
fn what_can_never_be_structural_is_no_tree() {
    for (text, want) in [
        (r#"{"id": "a"}"#, "OpenAPIV3Schema 'id' is not supported"),
        (r#"{"$schema": "a"}"#, "OpenAPIV3Schema 'schema' is not supported"),
        (r##"{"$ref": "#/a"}"##, "OpenAPIV3Schema '$ref' is not supported"),
        (r#"{"patternProperties": {"a": {}}}"#, "OpenAPIV3Schema 'patternProperties' is not supported"),
        (r#"{"dependencies": {"a": {}}}"#, "OpenAPIV3Schema 'dependencies' is not supported"),
        (r#"{"additionalItems": false}"#, "OpenAPIV3Schema 'additionalItems' is not supported"),
        (r#"{"definitions": {"a": {}}}"#, "OpenAPIV3Schema 'definitions' is not supported"),
        (r#"{"items": [{}]}"#, "OpenAPIV3Schema 'items' must be a schema, but is an array"),
        (
            r#"{"not": {"x-kubernetes-preserve-unknown-fields": false}}"#,
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined",
        ),
    ] {
        assert_eq!(Structural::from_props(&value(text)).unwrap_err().to_string(), want);
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |depth: usize| {
        (0..depth).fold(Value::object_of([("type", "string".into())]), |inner, _| {
            Value::object_of([("type", "array".into()), ("items", inner)])
        })
    };
    assert_eq!(Structural::from_props(&deep(SCHEMA_DEPTH_MAX + 1)), Err(ConvertError::TooDeep));
    let allowed = Structural::from_props(&deep(SCHEMA_DEPTH_MAX)).unwrap();
    assert_eq!(validate_structural(&Path::new("s"), &allowed).len(), 1, "it is no object");
}
