//! Rules in CEL of a definition as the compiler finds them: facts of upstream's validation_test.go (v1.35).

use serde_json::{Value as Json, json};

use super::{RESOURCE, definition};
use crate::testing::created;

const AT: &str = "spec.validation.openAPIV3Schema";
const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
                      strings are declared)";

/// A definition whose objects have a `spec` with this schema breaks exactly these rules, whose paths begin there.
#[track_caller]
fn check(spec: Json, want: &[&str]) {
    let (_, errors) = created(&RESOURCE, definition(json!({"type": "object", "properties": {"spec": spec}})));
    let want: Vec<String> = want.iter().map(|error| format!("{AT}.properties[spec]{error}")).collect();
    assert_eq!(errors, want);
}

fn with_rule(mut schema: Json, rule: Json) -> Json {
    schema["x-kubernetes-validations"] = json!([rule]);
    schema
}

fn object() -> Json {
    json!({"type": "object", "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}}})
}

#[test]
fn rules_compile() {
    check(
        with_rule(object(), json!({"rule": "self.min <= self.max", "messageExpression": "'not more than ' + 'that'"})),
        &[],
    );
    check(
        with_rule(object(), json!({"rule": "self.mix <= self.max", "message": "no"})),
        &[concat!(
            r#".x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self.mix \u003c= self.max","Message":"no","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: "#,
            "compilation failed: ERROR: <input>:1:5: undefined field 'mix'\n | self.mix <= self.max\n | ....^"
        )],
    );
    check(
        with_rule(object(), json!({"rule": "self.min"})),
        &[concat!(
            r#".x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self.min","Message":"","MessageExpression":"","#,
            r#""Reason":null,"FieldPath":"","OptionalOldSelf":null}: cel expression must evaluate to a bool"#,
        )],
    );
    check(
        with_rule(object(), json!({"rule": "true", "messageExpression": "self.min"})),
        &[concat!(
            r#".x-kubernetes-validations[0].messageExpression: Invalid value: "#,
            r#"{"Rule":"true","Message":"","MessageExpression":"self.min","Reason":null,"FieldPath":"","OptionalOldSelf":null}: "#,
            "messageExpression must evaluate to a string"
        )],
    );
    check(
        with_rule(json!({"x-kubernetes-preserve-unknown-fields": true}), json!({"rule": "true"})),
        &[".x-kubernetes-validations: Internal error: internal error: failed to construct type information for \
             x-kubernetes-validations rules: unable to convert structural schema to CEL declarations"],
    );
}

#[test]
fn rules_see_whole_objects_at_the_root() {
    let schema = |rule: &str| json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
    let (_, errors) = created(&RESOURCE, definition(schema("self.metadata.name.startsWith('a') && self.kind != ''")));
    assert_eq!(errors, [""; 0]);
    let (_, errors) = created(&RESOURCE, definition(schema("self.metadata.labels == self.spec")));
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("undefined field 'labels'") && errors[0].contains("undefined field 'spec'"),
        "{errors:?}"
    );
}

/// Nothing of them is evaluated: upstream's walk through `allOf` is for libraries, no definition has rules there.
#[test]
fn rules_stand_outside_of_junctors() {
    let clause = || json!({"x-kubernetes-validations": [{"rule": "true"}]});
    let field = || json!({"properties": {"min": {"x-kubernetes-validations": [{"rule": "true"}]}}});
    for (junctor, clauses, at) in [
        ("allOf", json!([clause()]), ".allOf[0]"),
        ("anyOf", json!([clause()]), ".anyOf[0]"),
        ("oneOf", json!([clause()]), ".oneOf[0]"),
        ("not", clause(), ".not"),
        ("allOf", json!([{}, field()]), ".allOf[1].properties[min]"),
        ("allOf", json!([{"allOf": [clause()]}]), ".allOf[0].allOf[0]"),
    ] {
        let mut schema = object();
        schema[junctor] = clauses;
        check(schema, &[&format!("{at}.x-kubernetes-validations: Forbidden: must be empty to be structural")]);
    }
}

#[test]
fn rules_cost_at_most_what_they_may() {
    let list = |rule: &str| with_rule(json!({"type": "array", "items": {"type": "string"}}), json!({"rule": rule}));
    let schema = list("self.all(x, self.all(y, x == y))");
    let (_, errors) = created(&RESOURCE, definition(json!({"type": "object", "properties": {"spec": schema}})));
    let rule = format!("{AT}.properties[spec].x-kubernetes-validations[0].rule");
    assert_eq!(
        errors,
        [
            format!("{rule}: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {ADVICE}"),
            format!(
                "{rule}: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            ),
            format!(
                "{AT}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by \
                 factor of more than 100x {ADVICE}"
            ),
        ]
    );
    let mut bounded = list("self.all(x, self.all(y, x == y))");
    bounded["maxItems"] = json!(10);
    bounded["items"]["maxLength"] = json!(20);
    check(bounded, &[]);
}

#[test]
fn rules_about_changes_stand_where_something_is_known_again() {
    let items = with_rule(json!({"type": "string", "maxLength": 5}), json!({"rule": "self == oldSelf"}));
    check(
        json!({"type": "array", "items": items, "maxItems": 5}),
        &[&format!(
            ".items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the \
             uncorrelatable portion of the schema within {AT}.properties[spec]"
        )],
    );
    check(
        with_rule(object(), json!({"rule": "self.min == 1", "optionalOldSelf": true})),
        &[
            ".x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
        ],
    );
    check(
        with_rule(
            object(),
            json!({"rule": "!oldSelf.hasValue() || self.min >= oldSelf.value().min", "optionalOldSelf": true}),
        ),
        &[],
    );
}

#[test]
fn defaults_keep_the_rules() {
    let field = |default: Json, rule: &str| {
        let field = with_rule(json!({"type": "integer", "default": default}), json!({"rule": rule, "message": "no"}));
        json!({"type": "object", "properties": {"a": field}})
    };
    check(field(json!(2), "self > 1"), &[]);
    check(field(json!(1), "self > 1"), &[".properties[a].default: Invalid value: 1: no"]);
    check(field(json!(1), "self > oldSelf"), &[".properties[a].default: Invalid value: 1: no"]);
}

#[test]
fn a_thousand_rules_are_compiled_in_time() {
    let fields: serde_json::Map<String, Json> = (0..1_000)
        .map(|n| {
            let field = json!({"type": "string", "maxLength": 10});
            (format!("f{n}"), with_rule(field, json!({"rule": "self.size() > 1 && self.startsWith('a')"})))
        })
        .collect();
    check(json!({"type": "object", "properties": fields}), &[]);
}
