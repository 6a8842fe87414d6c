use corten_apimachinery::{
    field::{ErrorList, Path},
    schema::Structural,
};
use corten_cel::rules::Findings;
use serde_json::{Value as Json, json};

use super::{RESOURCE, definition};
use crate::{
    apiextensions::custom_resource_definition::validation::rules::{self, Budget},
    testing::{created, patched, refuses, value},
};

const AT: &str = "spec.validation.openAPIV3Schema";

/// A definition with this schema breaks exactly these rules, whose paths begin at the schema.
#[track_caller]
fn check(schema: Json, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("{AT}{error}")).collect();
    let (_, errors) = created(&RESOURCE, definition(schema));
    assert_eq!(errors, want);
}

#[track_caller]
fn check_property(schema: Json, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!(".properties[f]{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    check(json!({"type": "object", "properties": {"f": schema}}), &want);
}

#[test]
fn what_all_versions_have_alike_is_reported_once() {
    let version = |name: &str, storage: bool, ty: &str| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": ty}}});
    let of = |first: &str, second: &str| {
        let mut object = definition(json!({}));
        object["spec"]["versions"] = json!([version("v1", true, first), version("v2", false, second)]);
        object
    };
    let wrong = "type: Invalid value: \"string\": must be object at the root";
    refuses(&RESOURCE, of("string", "string"), &[&format!("{AT}.{wrong}")]);
    refuses(&RESOURCE, of("string", "object"), &[&format!("spec.versions[0].schema.openAPIV3Schema.{wrong}")]);
}

#[test]
fn fields_without_a_meaning_are_refused() {
    check_property(
        json!({"type": "foo", "id": "i", "$ref": "r", "patternProperties": {"a": {"type": "string"}}, "uniqueItems": true,
            "definitions": {"d": {}}, "dependencies": {"e": ["x"]}, "additionalItems": true}),
        &[
            r#".type: Unsupported value: "foo": supported values: "array", "boolean", "integer", "number", "object", "string""#,
            ".id: Forbidden: id is not supported",
            ".additionalItems: Forbidden: additionalItems is not supported",
            ".patternProperties: Forbidden: patternProperties is not supported",
            ".definitions: Forbidden: definitions is not supported",
            ".dependencies: Forbidden: dependencies is not supported",
            ".$ref: Forbidden: $ref is not supported",
            ".uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ],
    );
    check_property(
        json!({"type": "array", "items": [{"type": "string"}]}),
        &[".items: Forbidden: items must be a schema object and not an array"],
    );
    check_property(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
        &[".additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    check(json!({"type": "object", "nullable": true}), &[".nullable: Forbidden: nullable cannot be true at the root"]);
}

#[test]
fn rules_of_structural_schemas_come_first() {
    check(
        json!({"type": "object", "properties": {"a": {}, "b": {"type": "string", "uniqueItems": true}}}),
        &[
            ".properties[a].type: Required value: must not be empty for specified object fields",
            ".properties[b].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ],
    );
}

#[test]
fn defaults_fit_and_stand_where_they_may() {
    check(
        json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "default": "a"}}},
            "n": {"type": "integer", "default": "x"},
        }}),
        &[
            r#".properties[n].default: Invalid value: "string":  in body must be of type integer: "string""#,
            ".properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata",
        ],
    );
    check_property(
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"metadata": {"type": "object",
            "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string", "default": "x"}}}}}}),
        &[".properties[metadata].properties[labels].additionalProperties.default: Forbidden: must not be set inside \
             additionalProperties applying to object metadata"],
    );
}

#[test]
fn a_schema_with_a_status_says_little_at_its_root() {
    let of = |schema: Json| {
        let mut object = definition(schema);
        object["spec"]["versions"][0]["subresources"] = json!({"status": {}});
        created(&RESOURCE, object).1
    };
    assert_eq!(of(json!({"type": "object", "description": "d", "required": ["spec"]})), [""; 0]);
    let errors = of(json!({"type": "object", "anyOf": [{"required": ["a"]}]}));
    assert_eq!(errors.len(), 1, "{errors:?}");
    // Upstream's own struct, which writes all of its fields.
    let start = format!(
        "{AT}: Invalid value: {{\"ID\":\"\",\"Schema\":\"\",\"Ref\":null,\"Description\":\"\",\"Type\":\"object\",\
         \"Nullable\":false,"
    );
    assert!(errors[0].starts_with(&start), "{errors:?}");
    assert!(
        errors[0].ends_with(
            ": only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength \
             Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
             XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is \
             enabled"
        ),
        "{errors:?}"
    );
}

#[test]
fn lists_and_maps_with_a_type_have_what_it_needs() {
    check_property(
        json!({"type": "string", "x-kubernetes-map-type": "set", "x-kubernetes-list-type": "bag"}),
        &[
            r#".type: Invalid value: "string": must be object if x-kubernetes-map-type is specified"#,
            r#".x-kubernetes-map-type: Unsupported value: "set": supported values: "atomic", "granular""#,
            r#".type: Invalid value: "string": must be array if x-kubernetes-list-type is specified"#,
            r#".x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map""#,
        ],
    );
    check_property(
        json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object", "nullable": true}}),
        &[
            ".items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
            ".items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set",
        ],
    );
    check_property(
        json!({"type": "array", "x-kubernetes-list-map-keys": ["a"], "items": {"type": "object"}}),
        &[".x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty"],
    );
    check_property(
        json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "string"}}),
        &[
            ".x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
            r#".items.type: Invalid value: "string": must be object if parent array's x-kubernetes-list-type is map"#,
        ],
    );
    check_property(
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "a", "n", "l", "x"],
        "items": {"type": "object", "required": ["l"], "properties": {
            "a": {"type": "string"}, "n": {"type": "string", "nullable": true, "default": "d"}, "l": {"type": "array", "items": {"type": "string"}},
        }}}),
        &[
            r#".x-kubernetes-list-map-keys: Invalid value: ["a","a","n","l","x"]: must not contain duplicate entries"#,
            r#".items.properties[l].type: Invalid value: "object": must be a scalar type if parent array's x-kubernetes-list-type is map"#,
            r#".x-kubernetes-list-map-keys: Invalid value: ["a","a","n","l","x"]: entries must all be names of item properties"#,
            ".items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a \
             default or be a required property",
            ".items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a \
             default or be a required property",
            ".items.properties[n].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
        ],
    );
}

#[test]
fn rules_say_what_they_mean() {
    check_property(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [
            {"rule": " "},
            {"rule": "true", "message": " "},
            {"rule": "true", "message": "a\nb"},
            {"rule": "true\n&& true"},
            {"rule": "true", "messageExpression": " ", "reason": "Why"},
            {"rule": "true", "fieldPath": ".b"},
            {"rule": "true", "fieldPath": ".a", "message": "m", "reason": "FieldValueForbidden"},
        ]}),
        &[
            ".x-kubernetes-validations[0].rule: Required value: rule is not specified",
            r#".x-kubernetes-validations[1].message: Invalid value: " ": message must be non-empty if specified"#,
            r#".x-kubernetes-validations[2].message: Invalid value: "a\nb": message must not contain line breaks"#,
            ".x-kubernetes-validations[3].message: Required value: message must be specified if rule contains line breaks",
            ".x-kubernetes-validations[4].messageExpression: Required value: messageExpression must be non-empty if specified",
            ".x-kubernetes-validations[4].reason: Unsupported value: \"Why\": supported values: \"FieldValueDuplicate\", \
             \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
            r#".x-kubernetes-validations[5].fieldPath: Invalid value: ".b": fieldPath must be a valid path"#,
        ],
    );
}

#[track_caller]
fn check_found(found: Findings, cardinality: Option<u64>, place: Option<&Path>, rule: Json, want: &[&str]) {
    let schema = value(json!({"type": "object", "x-kubernetes-validations": [rule]}));
    let structural = Structural::from_props(&schema).unwrap();
    let (mut errors, mut budget, path) = (ErrorList::new(), Budget::new(false), Path::new("s"));
    let context = rules::RuleContext { structural: &structural, cardinality, uncorrelatable: place };
    rules::check_findings(vec![found], &context, &mut budget, &path, &mut errors);
    budget.check_total(&path, &mut errors);
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
}

#[test]
fn rules_that_do_not_compile_or_cost_too_much_are_refused() {
    let advice = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings \
                  are declared)";
    let rule = json!({"rule": "x"});
    check_found(Findings::default(), Some(1), None, rule.clone(), &[]);
    let wrong = Findings { error: Some("no".to_owned()), ..Findings::default() };
    check_found(
        wrong,
        Some(1),
        None,
        rule.clone(),
        &[concat!(
            r#"s.x-kubernetes-validations[0].rule: Invalid value: {"Rule":"x","Message":"","MessageExpression":"","#,
            r#""Reason":null,"FieldPath":"","OptionalOldSelf":null}: no"#
        )],
    );
    let costly = Findings { cost: 12_000_000, max_cardinality: 1, ..Findings::default() };
    check_found(
        costly.clone(),
        None,
        None,
        rule.clone(),
        &[&format!(
            "s.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of 1.200000x {advice}"
        )],
    );
    check_found(
        costly,
        Some(1_000),
        None,
        rule.clone(),
        &[
            &format!(
                "s.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x \
                 {advice}"
            ),
            "s.x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for \
             entire OpenAPIv3 schema",
            &format!(
                "s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by \
                 factor of more than 100x {advice}"
            ),
        ],
    );
    let old = Findings { uses_old_self: true, ..Findings::default() };
    check_found(
        old,
        Some(1),
        Some(&Path::new("s.items")),
        rule,
        &[
            r#"s.x-kubernetes-validations[0].rule: Invalid value: "x": oldSelf cannot be used on the uncorrelatable portion of the schema within s.items"#,
        ],
    );
    check_found(
        Findings::default(),
        Some(1),
        None,
        json!({"rule": "x", "optionalOldSelf": true}),
        &[
            "s.x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
        ],
    );
}

#[test]
fn deep_and_wide_schemas_are_checked_in_time() {
    let deep =
        (0..120).fold(json!({"type": "string"}), |inner, _| json!({"type": "object", "properties": {"a": inner}}));
    refuses(&RESOURCE, definition(deep), &[]);
    let wide: serde_json::Map<String, Json> =
        (0..3_000).map(|n| (format!("f{n}"), json!({"type": "string", "default": "d"}))).collect();
    refuses(
        &RESOURCE,
        definition(json!({"type": "object", "properties": {"spec": {"type": "object", "properties": wide}}})),
        &[],
    );
    let wrong: serde_json::Map<String, Json> = (0..3_000).map(|n| (format!("f{n}"), json!({}))).collect();
    let (_, errors) = created(&RESOURCE, patched(definition(json!({"type": "object"})), json!({})));
    assert_eq!(errors, [""; 0]);
    let (_, errors) = created(&RESOURCE, definition(json!({"type": "object", "properties": wrong})));
    assert_eq!(errors.len(), 3_000);
}
