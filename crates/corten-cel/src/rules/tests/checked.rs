//! Objects against rules: facts of upstream's validation_test.go (v1.35).

use std::{fmt::Write as _, sync::Arc};

use super::{check, errors, object, schema, tree, with_spec};
use crate::rules::RuleSet;

/// Checks `spec` against a schema of spec that says `rest` and has one `rule`.
#[track_caller]
fn spec_errors(rest: &str, rule: &str, spec: &str, old: Option<&str>) -> Vec<String> {
    let of = with_spec(&format!(r#"{{{rest}, "x-kubernetes-validations": [{rule}]}}"#));
    errors(&of, &object(spec), old.map(object).as_deref())
}

const FIELDS: &str = r#""type": "object", "properties": {"min": {"type": "integer"}, "max": {"type": "integer"},
    "name": {"type": "string"}, "none": {"type": "string", "nullable": true},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    "port": {"x-kubernetes-int-or-string": true},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
    "list": {"type": "array", "items": {"type": "integer"}},
    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "integer"}}}}"#;

#[track_caller]
fn holds(rule: &str, spec: &str) {
    assert_eq!(spec_errors(FIELDS, &format!(r#"{{"rule": "{rule}"}}"#), spec, None), [""; 0], "{rule}");
}

#[track_caller]
fn fails(rule: &str, spec: &str, wanted: &str) {
    assert_eq!(spec_errors(FIELDS, rule, spec, None), [wanted], "{rule}");
}

#[test]
fn rules_that_hold_say_nothing() {
    holds("self.min <= self.max", r#"{"min": 1, "max": 2}"#);
    holds("has(self.name) && !has(self.none) && !has(self.labels)", r#"{"name": "a", "none": null}"#);
    holds("self.?none.hasValue() == false", r#"{"none": null}"#);
    holds("self.set == [3, 2, 1] && self.set + [3, 4] == [1, 2, 3, 4]", r#"{"set": [1, 2, 3]}"#);
    holds("self.list != [2, 1]", r#"{"list": [1, 2]}"#);
    holds("self.open == self.open && self.open.a == 1", r#"{"open": {"a": 1, "b": 2}}"#);
    holds("type(self.port) == int ? self.port < 81 : self.port == '80%'", r#"{"port": "80%"}"#);
    holds("self.labels.all(k, k.startsWith('a')) && self.labels['a'] == 'b'", r#"{"labels": {"a": "b"}}"#);
}

#[test]
fn a_rule_that_does_not_hold_is_told_in_its_own_words() {
    let spec = r#"{"min": 2, "max": 1}"#;
    fails(r#"{"rule": " self.min <= self.max "}"#, spec, "spec: Invalid value: failed rule: self.min <= self.max");
    fails(r#"{"rule": "self.min <= self.max", "message": " too many "}"#, spec, "spec: Invalid value: too many");
    fails(
        r#"{"rule": "false", "messageExpression": "'at most ' + string(self.max)", "message": "unused"}"#,
        spec,
        "spec: Invalid value: at most 1",
    );
    for (reason, wanted) in [
        ("FieldValueForbidden", "spec.max: Forbidden: no"),
        ("FieldValueRequired", "spec.max: Required value: no"),
        ("FieldValueDuplicate", "spec.max: Duplicate value"),
        ("FieldValueInvalid", "spec.max: Invalid value: no"),
    ] {
        let rule = format!(r#"{{"rule": "false", "message": "no", "reason": "{reason}", "fieldPath": ".max"}}"#);
        fails(&rule, spec, wanted);
    }
    fails(
        r#"{"rule": "false", "message": "no", "fieldPath": ".labels['a.b']"}"#,
        spec,
        "spec.labels[a.b]: Invalid value: no",
    );
}

/// The type was shown instead of the value, as upstream did up to 1.34.
#[test]
fn a_value_that_does_not_keep_a_rule_is_shown_if_it_is_simple() {
    let reasons = [
        ("", "Invalid value: {}: no", "Invalid value: no"),
        ("FieldValueInvalid", "Invalid value: {}: no", "Invalid value: no"),
        ("FieldValueDuplicate", "Duplicate value: {}", "Duplicate value"),
        ("FieldValueForbidden", "Forbidden: no", "Forbidden: no"),
        ("FieldValueRequired", "Required value: no", "Required value: no"),
    ];
    for (schema, value, shown) in [
        (r#""type": "integer""#, "-5", Some("-5")),
        (r#""type": "number""#, "1.5", Some("1.5")),
        (r#""type": "number""#, "1e21", Some("1e+21")),
        (r#""type": "number""#, "2", Some("2")),
        (r#""type": "boolean""#, "false", Some("false")),
        (r#""type": "string""#, r#""a\"b""#, Some(r#""a\"b""#)),
        (r#""type": "string", "format": "date""#, r#""2001-02-03""#, Some(r#""2001-02-03""#)),
        (r#""x-kubernetes-int-or-string": true"#, "80", Some("80")),
        (r#""x-kubernetes-int-or-string": true"#, r#""80%""#, Some(r#""80%""#)),
        (r#""type": "array", "items": {"type": "string"}"#, r#"["a"]"#, None),
        (r#""type": "object", "properties": {"a": {"type": "string"}}"#, r#"{"a": "b"}"#, None),
        (r#""type": "object", "additionalProperties": {"type": "string"}"#, r#"{"a": "b"}"#, None),
    ] {
        for (reason, simple, other) in reasons {
            let reason = if reason.is_empty() { String::new() } else { format!(r#", "reason": "{reason}""#) };
            for told in [r#""message": "no""#, r#""messageExpression": "'n' + 'o'""#] {
                let rule = format!(r#"{{"rule": "false", {told}{reason}}}"#);
                let of = format!(
                    r#"{{"type": "object", "properties": {{"x": {{{schema}, "x-kubernetes-validations": [{rule}]}}}}}}"#
                );
                let found = errors(&with_spec(&of), &object(&format!(r#"{{"x": {value}}}"#)), None);
                let want = shown.map_or_else(|| other.to_owned(), |shown| simple.replace("{}", shown));
                assert_eq!(found, [format!("spec.x: {want}")], "{schema} {rule}");
            }
        }
    }
}

#[test]
fn a_message_that_cannot_be_shown_is_passed_over() {
    for expression in
        ["' '", "'a\\\\nb'", "self.name", "'x'.replace('x', self.labels.all(k, true) ? '' : '')", "string(1 / 0)"]
    {
        let rule = format!(r#"{{"rule": "false", "message": "usual", "messageExpression": "{expression}"}}"#);
        fails(&rule, "{}", "spec: Invalid value: usual");
    }
    let long = format!(r#"{{"rule": "false", "messageExpression": "'{}'"}}"#, "x".repeat(5_121));
    fails(&long, "{}", "spec: Invalid value: failed rule: false");
}

#[test]
fn what_goes_wrong_is_told() {
    fails(
        r#"{"rule": "self.min / 0 == 1"}"#,
        r#"{"min": 1}"#,
        "spec: Invalid value: \"object\": division by zero evaluating rule: self.min / 0 == 1",
    );
    fails(
        r#"{"rule": "self.min == 1", "message": "one"}"#,
        "{}",
        "spec: Invalid value: \"object\": no such key: min evaluating rule: one",
    );
    fails(
        r#"{"rule": "self.port + 1 == 2"}"#,
        r#"{"port": "a"}"#,
        "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function \
         or macro signature for rule: self.port + 1 == 2",
    );
    // The one after it is evaluated all the same.
    let two = r#"{"rule": "self.min == 1"}, {"rule": "false"}"#;
    assert_eq!(spec_errors(FIELDS, two, "{}", None).len(), 2);
}

#[test]
fn the_root_has_no_path() {
    let of = r#"{"type": "object", "properties": {"spec": {"type": "object"}}, "x-kubernetes-validations": [
        {"rule": "self.metadata.name == 'b'"}, {"rule": "self.kind == 'Other'", "fieldPath": ".spec"}]}"#;
    assert_eq!(
        errors(of, &object("{}"), None),
        [
            "<nil>: Invalid value: failed rule: self.metadata.name == 'b'",
            "spec: Invalid value: failed rule: self.kind == 'Other'",
        ]
    );
}

#[test]
fn rules_of_items_and_entries_are_told_with_their_places() {
    let of = with_spec(
        r#"{"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "string", "nullable": true, "x-kubernetes-validations": [{"rule": "self != 'b'"}]}},
            "map": {"type": "object", "additionalProperties": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0"}]}},
            "1a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0"}]}}}"#,
    );
    assert_eq!(
        errors(&of, &object(r#"{"list": ["a", null, "b"], "map": {"x/y": 0, "z": 1}, "1a": 0}"#), None),
        [
            "spec.1a: Invalid value: 0: failed rule: self > 0",
            "spec.list[2]: Invalid value: \"b\": failed rule: self != 'b'",
            "spec.map[x/y]: Invalid value: 0: failed rule: self > 0",
        ]
    );
}

#[test]
fn a_rule_about_a_change_needs_something_to_compare_with() {
    let rule = r#"{"rule": "self.min >= oldSelf.min"}"#;
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 1}"#, None), [""; 0]);
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 2}"#, Some(r#"{"min": 1}"#)), [""; 0]);
    assert_eq!(
        spec_errors(FIELDS, rule, r#"{"min": 1}"#, Some(r#"{"min": 2}"#)),
        ["spec: Invalid value: failed rule: self.min >= oldSelf.min"]
    );
    // It holds however the object was before: also if nothing has changed.
    let rule = r#"{"rule": "self.min > oldSelf.min"}"#;
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 1}"#, Some(r#"{"min": 1}"#)).len(), 1);
}

#[test]
fn an_optional_old_value_may_be_absent() {
    let rule =
        r#"{"rule": "oldSelf.hasValue() ? self.min > oldSelf.value().min : self.min == 1", "optionalOldSelf": true}"#;
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 1}"#, None), [""; 0]);
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 2}"#, None).len(), 1);
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 2}"#, Some(r#"{"min": 1}"#)), [""; 0]);
    assert_eq!(spec_errors(FIELDS, rule, r#"{"min": 1}"#, Some(r#"{"min": 2}"#)).len(), 1);
}

const KEYED: &str = r#"{"type": "object", "properties": {"list": {
    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
    "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}]}}}}"#;

#[test]
fn items_with_keys_are_known_again() {
    let of = with_spec(KEYED);
    let old = object(r#"{"list": [{"k": "a", "v": 1}, {"k": "b", "v": 5}]}"#);
    let good = object(r#"{"list": [{"k": "c", "v": 0}, {"k": "b", "v": 5}, {"k": "a", "v": 1}]}"#);
    assert_eq!(errors(&of, &good, Some(&old)), [""; 0]);
    let bad = object(r#"{"list": [{"k": "b", "v": 4}, {"k": "a", "v": 1}]}"#);
    assert_eq!(errors(&of, &bad, Some(&old)), ["spec.list[0]: Invalid value: failed rule: self.v >= oldSelf.v"]);
    // Nobody can tell what the items of other lists were.
    let atomic = of.replace(r#""map", "x-kubernetes-list-map-keys": ["k"]"#, r#""atomic""#);
    assert_eq!(errors(&atomic, &bad, Some(&old)), [""; 0]);
}

#[test]
fn what_was_wrong_before_and_has_not_changed_is_a_warning() {
    let of = with_spec(
        r#"{"type": "object", "properties": {
            "name": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'good'"}]},
            "other": {"type": "string"},
            "list": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'good'"}]}}}}"#,
    );
    let told = |spec: &str, old: &str| {
        let checked = check(&of, &object(spec), Some(&object(old)));
        (checked.errors.len(), checked.warnings.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let warning = "spec.name: Invalid value: \"bad\": failed rule: self == 'good'".to_owned();
    assert_eq!(told(r#"{"name": "bad", "other": "x"}"#, r#"{"name": "bad"}"#), (0, vec![warning]));
    assert_eq!(told(r#"{"name": "worse"}"#, r#"{"name": "bad"}"#), (1, vec![]));
    assert_eq!(told(r#"{"name": "bad"}"#, "{}"), (1, vec![]));
    // The items are not known again, but the list is as it was.
    let warning = "spec.list[0]: Invalid value: \"bad\": failed rule: self == 'good'".to_owned();
    assert_eq!(told(r#"{"list": ["bad"], "other": "x"}"#, r#"{"list": ["bad"]}"#), (0, vec![warning]));
    assert_eq!(told(r#"{"list": ["bad", "good"]}"#, r#"{"list": ["bad"]}"#), (1, vec![]));
}

#[test]
fn cost_ends_everything() {
    let of = with_spec(
        r#"{"type": "object", "properties": {
            "a": {"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
                {"rule": "self.all(x, self.all(y, self.all(z, true)))", "message": "dear"}, {"rule": "false"}]},
            "b": {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= 0"}]}}}}"#,
    );
    let mut many = "0".to_owned();
    (1..200).for_each(|number| write!(many, ", {number}").expect("a text takes all"));
    assert_eq!(
        errors(&of, &object(&format!(r#"{{"a": [{many}]}}"#)), None),
        [
            "spec.a: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules \
             will be run due to call cost exceeds limit for rule: dear"
        ]
    );
    let rules = RuleSet::new(Arc::new(schema(&of))).expect("rules");
    let checked = rules.check_within(&tree(&object(r#"{"b": [1, 2, 3]}"#)), None, 5);
    let errors: Vec<String> = checked.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        ["spec.b[2]: Invalid value: \"integer\": validation failed due to running out of cost budget, no further \
             validation rules will be run"]
    );
}

/// Each evaluation alone was bounded, so that rules of a few characters held a thread for as long as an object had items.
#[test]
fn evaluations_share_the_work_that_cost_does_not_count() {
    let of = with_spec(
        r#"{"type": "object", "properties": {"patterns": {"type": "array", "items": {"type": "string",
            "x-kubernetes-validations": [{"rule": "'x'.matches(self)", "message": "dear"}]}}}}"#,
    );
    let patterns = |pattern: &str, count: usize| {
        let items: Vec<String> = (0..count).map(|number| format!(r#""{pattern}|{number}|x""#)).collect();
        errors(&of, &object(&format!(r#"{{"patterns": [{}]}}"#, items.join(","))), None)
    };
    // Honest ones are far from it.
    assert_eq!(patterns("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 500), [""; 0]);
    let found = patterns(".{0,700}", 2_000);
    assert_eq!(found.len(), 1);
    let why = "'operation cancelled: it goes through too much data': no further validation rules will be run due to call cost \
               exceeds limit for rule: dear";
    assert!(found[0].starts_with("spec.patterns[") && found[0].ends_with(why), "{found:?}");
}

#[test]
fn formats_are_read_as_the_schema_takes_them() {
    let fields = r#""type": "object", "properties": {"at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"}, "wait": {"type": "string", "format": "duration"}, "pause": {"type": "string", "format": "duration"},
        "data": {"type": "string", "format": "byte"}, "ratio": {"type": "number"}}"#;
    let spec = r#"{"at": "2001-02-03T04:05:06.5Z", "day": "2001-02-03", "wait": "3 days", "pause": "1 hour 30 minutes", "data": "YWI=", "ratio": 1}"#;
    for rule in [
        "self.at == timestamp('2001-02-03T04:05:06.5Z')",
        "self.day == timestamp('2001-02-03T00:00:00Z')",
        "self.wait == duration('72h')",
        "self.pause == duration('1h30m')",
        "self.data == b'ab'",
        "self.ratio < 1.5",
    ] {
        assert_eq!(spec_errors(fields, &format!(r#"{{"rule": "{rule}"}}"#), spec, None), [""; 0], "{rule}");
    }
}

/// What was stored before its format was given is not what the format wants. Who does not look at it is not told.
#[test]
fn bytes_that_are_none_fail_where_they_are_used() {
    let fields = r#""type": "object", "properties": {"data": {"type": "string", "format": "byte"}}"#;
    let found = |rule: &str| spec_errors(fields, &format!(r#"{{"rule": "{rule}"}}"#), r#"{"data": "YW?="}"#, None);
    assert_eq!(found("has(self.data) && [self.data, self.data].size() == 2"), [""; 0]);
    for rule in ["self.data.size() > 0", "self.data == b'a'", "self.data < b'a'", "string(self.data) == 'a'"] {
        let why = "Invalid byte formatted string YW?=: illegal base64 data at input byte 2";
        let [error] = found(rule).try_into().expect("one error");
        assert!(error.contains(why), "{rule}: {error}");
    }
}

/// A time may have any number of decimals, and was read with all of them at each selection, for the one unit that this costs.
#[test]
fn times_that_take_long_to_read_are_not_read() {
    let fields = r#""type": "object", "properties": {"at": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"}}"#;
    let found = |rule: &str, decimals: usize| {
        let decimals = "0".repeat(decimals);
        let spec = format!(r#"{{"at": "2001-02-03T04:05:06.{decimals}Z", "wait": "1.{decimals}s"}}"#);
        spec_errors(fields, &format!(r#"{{"rule": "{rule}"}}"#), &spec, None)
    };
    for rule in ["self.at == timestamp('2001-02-03T04:05:06Z')", "self.wait == duration('1s')"] {
        assert_eq!(found(rule, 100), [""; 0], "{rule}");
        assert_eq!(found(rule, 10_000).len(), 1, "{rule}");
    }
}

#[test]
fn fields_that_the_schema_does_not_know_count_when_objects_are_compared() {
    let rule = r#"{"rule": "self.open == oldSelf.open"}"#;
    let changed = |spec: &str, old: &str| spec_errors(FIELDS, rule, spec, Some(old)).len();
    let old = r#"{"open": {"a": 1, "b": {"c": [1]}}}"#;
    assert_eq!(changed(r#"{"open": {"b": {"c": [1]}, "a": 1}}"#, old), 0);
    assert_eq!(changed(r#"{"open": {"a": 1, "b": {"c": [2]}}}"#, old), 1);
    assert_eq!(changed(r#"{"open": {"a": 1}}"#, old), 1);
    assert_eq!(changed(r#"{"open": {"a": 2, "b": {"c": [1]}}}"#, old), 1);
}

#[test]
fn objects_inside_of_objects_have_names() {
    let of = with_spec(
        r#"{"type": "object", "properties": {"pod": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-validations": [{"rule": "self.kind == 'Pod' && self.metadata.name == 'b'"}]}}}"#,
    );
    let pod = |name: &str| {
        object(&format!(r#"{{"pod": {{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}"}}}}}}"#))
    };
    assert_eq!(errors(&of, &pod("b"), None), [""; 0]);
    assert_eq!(errors(&of, &pod("a"), None).len(), 1);
}

/// Names that expressions cannot spell made each level of the schema be declared anew, with all below it.
#[test]
fn the_deepest_schema_is_declared_once_and_fits_the_stack() {
    for name in ["a", "1"] {
        let mut of = r#"{"type": "string", "x-kubernetes-validations": [{"rule": "self == 'b'"}]}"#.to_owned();
        let mut value = r#""c""#.to_owned();
        // A level of a schema is two of JSON, which has 512.
        for _ in 0..250 {
            of = format!(
                r#"{{"type": "object", "properties": {{"{name}": {of}}}, "x-kubernetes-validations": [{{"rule": "true"}}]}}"#
            );
            value = format!(r#"{{"{name}": {value}}}"#);
        }
        let found = errors(&with_spec(&of), &object(&value), None);
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].ends_with(": Invalid value: \"c\": failed rule: self == 'b'"), "{found:?}");
    }
}

#[test]
fn nothing_is_made_of_a_schema_without_rules() {
    assert!(RuleSet::new(Arc::new(schema(r#"{"type": "object"}"#))).is_none());
}
