//! What custom resources bring: schemas, paths of columns, patterns; and what is applied.

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{FieldValidation, json},
    field::Path,
    json_path::{ColumnPath, JsonPath},
    managed_fields::Typed,
    re2,
    schema::{self, Structural, UnknownFields},
};
use corten_fuzz::{Target, texts};

use super::targets::{POD, read_json, tree};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "structural schema", corpus: schema_corpus, run: use_schema },
    Target { name: "JSON path", corpus: path_corpus, run: find_path },
    Target { name: "regular expression", corpus: pattern_corpus, run: compile_pattern },
    Target { name: "applied configuration", corpus: applied_corpus, run: apply },
];

const OBJECT: &str = r#"{"spec":{"replicas":3,"names":["a","b","a"],"at":"2020-01-01T00:00:00Z","any":{"x":[1,{"y":null}]}},"status":{}}"#;

fn schema_corpus() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"type":"object","properties":{"spec":{"type":"object","required":["replicas"],"properties":{"replicas":{"type":"integer","minimum":1,"default":2},"names":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string","pattern":"^[a-z]+$"}}}}}}"#,
        r#"{"type":"object","properties":{"spec":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"additionalProperties":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}}}}"#,
        r#"{"type":"object","properties":{"spec":{"type":"object","properties":{"at":{"type":"string","format":"date-time"},"any":{"type":"object","x-kubernetes-embedded-resource":true,"nullable":true}}},"status":{"type":"object","not":{"required":["a"]}}}}"#,
    ])
}

fn use_schema(input: &[u8]) {
    let Ok(read) = json::decode_bounded(input, None, FieldValidation::Ignore, 1_000) else { return };
    let Ok(structural) = Structural::from_props(&read.value) else { return };
    let errors = schema::validate_structural(&Path::new("schema"), &structural);
    let _ = schema::rules_not_checked(&errors);
    let mut object = tree(OBJECT);
    schema::apply_defaults(&mut object, &structural);
    schema::prune(&mut object, &structural, true, &mut UnknownFields::tracked());
    let (pruned, mut again) = (object.clone(), object.clone());
    schema::prune(&mut again, &structural, true, &mut UnknownFields::ignored());
    assert_eq!(again, pruned, "a second time changes nothing");
    let _ = schema::validate_value(None, &object, &structural);
    let _ = schema::validate_value_update(None, &object, &tree(OBJECT), &structural);
}

fn path_corpus() -> Vec<Vec<u8>> {
    texts(&[
        ".spec.names[0]",
        "{.spec.containers[*].name}",
        "{range .spec.containers[?(@.name==\"c\")]}{.image}{\"\\n\"}{end}",
        "{..x[-1:0:2]['a','b']}",
    ])
}

fn find_path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let object = tree(POD);
    for allow_missing_keys in [false, true] {
        if let Ok(path) = JsonPath::parse(text, allow_missing_keys) {
            let _ = path.find(&object);
        }
    }
    let _ = ColumnPath::new(text, "string");
}

fn pattern_corpus() -> Vec<Vec<u8>> {
    texts(&["^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "(?i)\\p{Greek}+|\\x{10FFFF}{2,5}?", "[[:alpha:]^-]\\bx*?(?P<n>a|b)\\z"])
}

fn compile_pattern(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(pattern) = re2::compile(text) {
        let _ = pattern.is_match("abcdefghijklmnopqrstuvwxyz-0123456789");
    }
}

fn applied_corpus() -> Vec<Vec<u8>> {
    texts(&[
        POD,
        r#"{"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"name":"c","ports":[{"containerPort":80,"protocol":"UDP"}]},{"name":"d"}],"volumes":[{"name":"v","emptyDir":{}}]}}"#,
    ])
}

fn apply(input: &[u8]) {
    let table = types::table();
    let id = table.find_kind("", "v1", "Pod").expect("a kind of v1.35");
    let Ok(read) = json::decode_bounded(input, Some((table, id)), FieldValidation::Ignore, 1_000) else { return };
    let (typed, live): (_, Value) = (Typed::new(table, id), tree(POD));
    if !typed.complaints(&read.value).is_empty() {
        return;
    }
    let merged = typed.merge(&live, &read.value);
    assert_eq!(typed.merge(&merged, &read.value), merged, "a second time changes nothing");
    let set = typed.field_set(&read.value);
    let _ = typed.compare(&live, &merged);
    read_json(&json::encode(&typed.remove(&merged, &set), None));
}
