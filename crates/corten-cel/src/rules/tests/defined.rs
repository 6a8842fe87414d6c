//! What is said of rules when they are defined: facts of upstream's compilation_test.go (v1.35).

use super::{findings, schema};
use crate::rules::RuleTypes;

/// The findings of `rule` at a schema that says `rest`.
#[track_caller]
fn rule(rest: &str, rule: &str) -> super::Findings {
    let rules = format!(r#"{{{rest}, "x-kubernetes-validations": [{rule}]}}"#);
    findings(&rules).remove(0)
}

#[track_caller]
fn compiles(rest: &str, text: &str) {
    let found = rule(rest, &format!(r#"{{"rule": "{text}"}}"#));
    assert_eq!((found.error, found.message_error), (None, None), "{text}");
}

#[track_caller]
fn fails(rest: &str, text: &str, wanted: &str) {
    let found = rule(rest, &format!(r#"{{"rule": "{text}"}}"#));
    let error = found.error.unwrap_or_default();
    assert!(error.starts_with(wanted), "{text}: {error}");
}

const OBJECT: &str = r#""type": "object", "properties": {
    "minReplicas": {"type": "integer"}, "maxReplicas": {"type": "integer"},
    "port": {"x-kubernetes-int-or-string": true}, "ratio": {"type": "number"},
    "at": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
    "wait": {"type": "string", "format": "duration"}, "data": {"type": "string", "format": "byte"},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "list": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
    "namespace": {"type": "string"}, "a-b": {"type": "string"}, "1a": {"type": "string"},
    "any": {"x-kubernetes-preserve-unknown-fields": true},
    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "string"}}},
    "whole": {"type": "object", "x-kubernetes-embedded-resource": true}}"#;

#[test]
fn a_schema_gives_types_to_what_rules_name() {
    for text in [
        "self.minReplicas < self.maxReplicas",
        "type(self.port) == string ? self.port == '80%' : self.port < 10",
        "self.ratio < 1.5",
        "self.at > timestamp('2001-01-01T00:00:00Z') && self.day.getFullYear() == 2001",
        "self.wait < duration('1h') && self.data.size() < 3",
        "self.labels.all(k, self.labels[k].startsWith('a')) && self.labels.a == 'b'",
        "self.list.exists(i, i.name == 'a') && self.list[0].name == ''",
        "self.__namespace__ == self.namespace && self.a__dash__b == ''",
        "self.open.known == '' && self.whole.metadata.name == '' && self.whole.kind == 'A'",
        "has(self.minReplicas) && self.?maxReplicas.orValue(1) == 1",
        "isQuantity('1') && ip('::1').family() == 6 && 'a'.find('b') == ''",
        "self == oldSelf && self.list == oldSelf.list",
    ] {
        compiles(OBJECT, text);
    }
}

#[test]
fn what_does_not_compile_is_told_with_its_place() {
    let failed = "compilation failed: ERROR: <input>:1:";
    fails(OBJECT, "self.missing == 1", &format!("{failed}5: undefined field 'missing'"));
    fails(OBJECT, "self.any == 1", &format!("{failed}5: undefined field 'any'"));
    fails(OBJECT, "self.open.other == 1", &format!("{failed}10: undefined field 'other'"));
    fails(OBJECT, "self.metadata.name == ''", &format!("{failed}5: undefined field 'metadata'"));
    fails(
        OBJECT,
        "self.minReplicas == 'a'",
        &format!("{failed}18: found no matching overload for '_==_' applied to '(int, string)'"),
    );
    fails(OBJECT, "self.", &format!("{failed}6: Syntax error"));
    fails(OBJECT, "other == 1", &format!("{failed}1: undeclared reference to 'other' (in container '')"));
    fails(OBJECT, "self.minReplicas", "cel expression must evaluate to a bool");
    fails(OBJECT, "selfType{minReplicas: 1} == self", &format!("{failed}9: undeclared reference to 'selfType'"));
}

#[test]
fn whole_objects_have_their_kind_and_names() {
    let of = schema(
        r#"{"type": "object", "x-kubernetes-validations": [
            {"rule": "self.kind == self.apiVersion && self.metadata.name == self.metadata.generateName"},
            {"rule": "self.metadata.labels == {}"}]}"#,
    );
    let found = RuleTypes::of(&of, true).expect("a type").examine(&of);
    assert_eq!(found[0].error, None);
    assert!(found[1].error.as_ref().is_some_and(|error| error.contains("undefined field 'labels'")), "{found:?}");
}

#[test]
fn messages_are_texts() {
    let message = |text: &str| {
        let rule = rule(OBJECT, &format!(r#"{{"rule": "true", "messageExpression": "{text}"}}"#));
        (rule.message_error, rule.message_cost)
    };
    assert_eq!(message("'at most ' + string(self.maxReplicas)").0, None);
    assert_eq!(message("42").0.as_deref(), Some("messageExpression must evaluate to a string"));
    let (error, cost) = message("self.missing");
    let error = error.unwrap_or_default();
    assert!(
        error.starts_with("messageExpression compilation failed: ERROR: <input>:1:5: undefined field 'missing'"),
        "{error}"
    );
    assert_eq!(cost, None);
}

#[test]
fn rules_about_changes_are_known() {
    let of = |text: &str| rule(OBJECT, text);
    assert!(of(r#"{"rule": "self == oldSelf"}"#).uses_old_self);
    assert!(!of(r#"{"rule": "self.minReplicas == 1"}"#).uses_old_self);
    let optional = of(
        r#"{"rule": "oldSelf.hasValue() && self.minReplicas == oldSelf.value().minReplicas", "optionalOldSelf": true}"#,
    );
    assert_eq!((optional.error, optional.uses_old_self), (None, true));
    let plain = of(r#"{"rule": "oldSelf.hasValue()"}"#);
    assert!(plain.error.is_some_and(|error| error.contains("hasValue")));
}

#[test]
fn a_schema_says_how_often_a_value_can_be_in_a_request() {
    let list = r#""type": "array", "items": {"type": "integer"}"#;
    assert_eq!(rule(list, r#"{"rule": "true"}"#).max_cardinality, 1_048_576);
    let object = r#""type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}"#;
    assert_eq!(rule(object, r#"{"rule": "true"}"#).max_cardinality, 3 * 1_024 * 1_024 / 10);
    let defaulted = object.replace(r#""string""#, r#""string", "default": "x""#);
    assert_eq!(rule(&defaulted, r#"{"rule": "true"}"#).max_cardinality, 1_048_576);
}

#[test]
fn names_of_types_in_deep_schemas_stay_short() {
    let mut of = r#"{"type": "string"}"#.to_owned();
    for _ in 0..200 {
        of = format!(r#"{{"type": "object", "properties": {{"somewhat-longer-name": {of}}}}}"#);
    }
    let path = "somewhat__dash__longer__dash__name.".repeat(30);
    let path = path.trim_end_matches('.');
    let rule = format!(r#", "x-kubernetes-validations": [{{"rule": "self.{path} == self"}}]}}"#);
    of.pop();
    let found = findings(&(of + &rule)).remove(0);
    let error = found.error.unwrap_or_default();
    assert!(error.contains("selfType.@"), "{error}");
    assert!(error.lines().next().is_some_and(|line| line.len() < 400), "{error}");
}
