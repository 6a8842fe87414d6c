//! What rules cost as estimated, with and without a bound in the schema: facts of upstream's compilation_test.go (v1.35).

use std::sync::Arc;

use super::{findings, object, schema, tree};
use crate::rules::RuleSet;

/// Estimates `rule` at `schema`, where `%` stands for the bounds that are `max`.
#[track_caller]
fn check(schema: &str, rule: &str, without: u64, max: u64, with: u64) {
    let cost = |bounded: bool| {
        let mut schema = schema.to_owned();
        for bound in ["maxItems", "maxProperties", "maxLength"] {
            let text = if bounded { format!(r#", "{bound}": {max}"#) } else { String::new() };
            schema = schema.replace(&format!("%{bound}"), &text);
        }
        let rule = rule.replace('"', "\\\"");
        let found = findings(&format!(r#"{{{schema}, "x-kubernetes-validations": [{{"rule": "{rule}"}}]}}"#)).remove(0);
        assert_eq!(found.error, None, "{rule}");
        found.cost
    };
    assert_eq!((cost(false), cost(true)), (without, with), "{rule} at {schema}");
}

/// A schema of values of this name.
fn of(ty: &str) -> String {
    match ty {
        "int-or-string" => r#"{"x-kubernetes-int-or-string": true}"#.to_owned(),
        "duration" | "date" | "date-time" => format!(r#"{{"type": "string", "format": "{ty}"}}"#),
        "required" => {
            r#"{"type": "object", "required": ["required"], "properties": {"required": {"type": "string"}}}"#.to_owned()
        }
        "map" => r#"{"type": "object", "additionalProperties": {"type": "number"}}"#.to_owned(),
        "array" => r#"{"type": "array", "items": {"type": "number"}}"#.to_owned(),
        ty => format!(r#"{{"type": "{ty}"}}"#),
    }
}

#[track_caller]
fn list(items: &str, rule: &str, without: u64, max: u64, with: u64) {
    check(&format!(r#""type": "array", "items": {}%maxItems"#, of(items)), rule, without, max, with);
}

#[track_caller]
fn map(values: &str, rule: &str, without: u64, max: u64, with: u64) {
    check(
        &format!(r#""type": "object", "additionalProperties": {}%maxProperties"#, of(values)),
        rule,
        without,
        max,
        with,
    );
}

#[track_caller]
fn text(rule: &str, without: u64, max: u64, with: u64) {
    check(r#""type": "string"%maxLength"#, rule, without, max, with);
}

#[test]
fn lists() {
    list("number", "self[1] == 0.0", 2, 5_000, 2);
    list("number", "self[3] == 0.0", 2, 0, 2);
    list("string", "self[1] == self[1]", 314_577, 8, 314_577);
    list("number", "self.all(x, x == 0.0)", 6_291_454, 3 * 1_024 * 2_048, 25_165_826);
    list("int-or-string", "self.all(x, true)", 4_718_591, 10, 32);
    list("int-or-string", "self[0] == 5", 3, 10, 3);
    list("boolean", "self[0] == false", 2, 25, 2);
    list("array", "self[0][0] == -1.0", 3, 51, 3);
    list("map", "self.all(x, x.y == 25.2)", 6_291_452, 12, 74);
    list("map", "self[0].x > 2.0", 4, 3_000, 4);
    list("duration", "self.all(x, true)", 2_359_295, 5, 17);
    list("duration", "self[0].getHours() == 2", 4, 525, 4);
    list("date", "self.all(x, true)", 725_936, 15, 47);
    list("date", "self[2].getDayOfMonth() == 13", 4, 42, 4);
    list("date-time", "self.all(x, true)", 428_963, 25, 77);
    list("date-time", "self[2].getMinutes() == 45", 4, 99, 4);
}

#[test]
fn loops_in_loops() {
    let bounded = |rule: &str| {
        let of = format!(
            r#"{{"type": "array", "items": {{"type": "number"}}, "maxItems": 10, "x-kubernetes-validations": [{{"rule": "{rule}"}}]}}"#
        );
        findings(&of)[0].cost
    };
    assert_eq!(bounded("self.all(x, self.all(y, true))"), 352);
    assert_eq!(bounded("self.all(x, self.all(y, self.all(z, true)))"), 3_552);
}

#[test]
fn maps() {
    map("number", "self.all(x, true)", 1_348_169, 10, 32);
    map("number", "self[\"x\"] == 0.0", 2, 0, 2);
    map("string", "self.all(x, true)", 1_179_647, 3, 11);
    map("boolean", "self.all(x, true)", 943_718, 100, 302);
    map("int-or-string", "self.all(x, true)", 1_348_169, 15, 47);
    map("map", "self.all(x, true)", 1_179_647, 10, 32);
    map("array", "self.all(x, true)", 1_179_647, 25, 77);
    map("duration", "self.all(x, true)", 1_048_577, 5, 17);
    map("date", "self.all(x, true)", 524_288, 10, 32);
    map("date-time", "self.all(x, true)", 349_526, 25, 77);
    map("integer", "oldSelf.size() == self.size()", 5, 10, 5);
    map("date-time", "self[\"a\"] == self[\"b\"]", 8, 7, 8);
    map("duration", "self[\"c\"] == self[\"d\"]", 8, 42, 8);
    let texts = r#""type": "object", "additionalProperties": {"type": "string"%maxLength}%maxProperties"#;
    check(texts, "self.all(x, x.contains(self[x]))", 2_752_507, 10, 72);
}

#[test]
fn texts() {
    text("self.contains('test')", 314_574, 10, 5);
    text("self.startsWith('test')", 2, 15, 2);
    text("self.endsWith('test')", 2, 30, 2);
    text("size(self + \"hello\") > size(\"hello\")", 314_578, 4, 7);
    text("self.matches(\"x\")", 314_574, 50, 22);
    text("\"\".matches(\"(((((((((())))))))))[0-9]\")", 7, 10, 7);
    text("self.matches(\"\")", 1, 100, 1);
    text("self == \"x\"", 2, 0, 1);
    text("self.find('[0-9]+') == ''", 629_147, 10, 11);
    text("self.lowerAscii() == 'lower!'", 314_575, 10, 6);
    check(r#""type": "string", "format": "byte"%maxLength"#, "self == b\"x\"", 2, 0, 1);
    let one_of = r#""type": "string", "enum": ["A", "B", "C", "LongValue"]%maxLength"#;
    check(one_of, "self.contains('A')", 2, 1_000, 401);
}

#[test]
fn functions_of_libraries() {
    let texts = r#""type": "array", "items": {"type": "string"%maxLength}%maxItems"#;
    check(texts, "self.join(' ') == 'aa bb'", 329_853_068_905, 10, 43);
    check(texts, "self.isSorted() == true", 329_854_432_052, 10, 52);
    let replace = r#""type": "object", "properties": {"str": {"type": "string"%maxLength},
        "before": {"type": "string", "maxLength": 2}, "after": {"type": "string", "maxLength": 4}}"#;
    check(replace, "self.str.replace(self.before, self.after) == 'does not matter'", 629_154, 4, 12);
    let split = r#""type": "object", "properties": {"str": {"type": "string"%maxLength}, "separator": {"type": "string"%maxLength}}"#;
    check(split, "self.str.split(self.separator) == []", 629_160, 10, 22);
}

#[test]
fn required_fields_make_objects_larger() {
    list("required", "self.all(x, x.required == \"z\")", 1_110_254, 10, 62);
}

/// Upstream counts the length of a pattern, which tells little of what it takes to compile it.
#[test]
fn rules_that_compile_patterns_are_costly() {
    let is_costly = |rule: &str| {
        let bounded = r#"{"type": "string", "maxLength": 20}"#;
        let of = format!(
            r#"{{"type": "object", "properties": {{"spec": {{"type": "object", "properties": {{"a": {bounded}, "b": {bounded}}},
                "x-kubernetes-validations": [{{"rule": "{rule}"}}]}}}}}}"#
        );
        let rules = RuleSet::new(Arc::new(schema(&of))).expect("rules");
        assert!(rules.is_costly(), "nothing is compiled yet");
        assert!(rules.check(&tree(&object("{}")), None).errors.is_empty(), "{rule}");
        rules.is_costly()
    };
    assert!(!is_costly("!has(self.a) || self.a.matches('^[a-z]+$')"));
    assert!(!is_costly("!has(self.a) || self.a == self.b"));
    assert!(is_costly("!has(self.a) || self.a.matches(self.b)"));
    assert!(is_costly("!has(self.a) || self.a.find('x' + self.b) == ''"));
}

/// A rule that costs little and copies much was taken for one that takes milliseconds, and was evaluated on the thread of the
/// request.
#[test]
fn rules_that_copy_much_are_costly() {
    let is_costly = |rule: &str| {
        let list =
            |kind: &str| format!(r#"{{"type": "array", "maxItems": 1000, "items": {{"type": "integer"}}{kind}}}"#);
        let set = list(r#", "x-kubernetes-list-type": "set""#);
        let of = format!(
            r#"{{"type": "object", "properties": {{"spec": {{"type": "object", "properties": {{
                "a": {{"type": "object", "properties": {{"set": {set}}},
                    "x-kubernetes-validations": [{{"rule": "{}"}}]}},
                "b": {{"type": "object", "properties": {{"list": {}, "text": {{"type": "string", "maxLength": 10000}},
                    "data": {{"type": "string", "format": "byte"}}}},
                    "x-kubernetes-validations": [{{"rule": "{}"}}]}}}}}}}}}}"#,
            if rule.contains("self.set") { rule } else { "true" },
            list(""),
            if rule.contains("self.set") { "true" } else { rule },
        );
        let rules = RuleSet::new(Arc::new(schema(&of))).expect("rules");
        assert!(rules.check(&tree(&object("{}")), None).errors.is_empty(), "{rule}");
        rules.is_costly()
    };
    // Each element of a set is compared with each, those of other lists stay where they are.
    assert!(is_costly("(self.set + self.set).size() > 0"));
    assert!(is_costly("self.set == self.set"));
    assert!(!is_costly("(self.set + [1]).size() > 0"));
    assert!(is_costly("self.set.map(x, self.set + []).size() > 0"));
    assert!(!is_costly("(self.list + self.list).size() > 0"));
    assert!(!is_costly("self.list == self.list"));
    assert!(is_costly("self.list.map(x, self.list + [1]).size() > 0"));
    assert!(!is_costly("self.text.replace('a', 'b') == '' || '%s'.format([self.text]) == ''"));
    assert!(is_costly("self.text.replace('a', self.text).size() > 0"));
    assert!(!is_costly("self.list.all(x, '%d'.format([x]) != '')"));
    assert!(is_costly("self.list.all(x, '%s'.format([self.list]) != '')"));
    assert!(!is_costly("self.data.size() > 0"));
    assert!(is_costly("self.list.all(x, self.data.size() > 0)"));
    assert!(is_costly("self.list.all(x, size(self.data) > 0)"));
}
