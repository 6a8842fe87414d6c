//! The decoders, with examples of what they read.

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{FieldValidation, cbor, json, protobuf, yaml},
    duration::GoDuration,
    managed_fields::FieldSet,
    meta, patch, quantity,
    selector::{field, label},
    type_table::{TypeId, TypeTable},
};
use corten_fuzz::{Target, texts};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "json", corpus: json_corpus, run: read_json },
    Target { name: "json of a type", corpus: json_corpus, run: read_typed_json },
    Target { name: "yaml", corpus: yaml_corpus, run: read_yaml },
    Target { name: "protobuf", corpus: protobuf_corpus, run: read_protobuf },
    Target { name: "cbor", corpus: cbor_corpus, run: read_cbor },
    Target { name: "json patch", corpus: json_patch_corpus, run: apply_json_patch },
    Target { name: "merge patch", corpus: merge_patch_corpus, run: apply_merge_patch },
    Target { name: "strategic patch", corpus: strategic_patch_corpus, run: apply_strategic_patch },
    Target { name: "label selector", corpus: label_corpus, run: read_label_selector },
    Target { name: "field selector", corpus: field_corpus, run: read_field_selector },
    Target { name: "fields of managers", corpus: fields_corpus, run: read_fields },
    Target { name: "scalars", corpus: scalar_corpus, run: read_scalars },
];

pub(crate) const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":{"x":"y"},"creationTimestamp":"2020-01-01T00:00:00Z"},
"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1500m","memory":"1Gi"}},"ports":[{"containerPort":80}],
"livenessProbe":{"httpGet":{"port":"web"},"periodSeconds":3}}],"terminationGracePeriodSeconds":0,"hostNetwork":false}}"#;

const SECRET: &str =
    r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"YWJj","e":""},"type":"Opaque"}"#;

const SCHEMA: &str = r#"{"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v1","metadata":{"name":"a.b"},
"spec":{"group":"b","versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"object","default":{"a":[1,2.5,null]},
"properties":{"p":{"items":{"not":{"type":"string"}},"additionalProperties":false}}}}}]}}"#;

const OBJECTS: &[&str] = &[POD, SECRET, SCHEMA];

fn table() -> &'static TypeTable {
    types::table()
}

/// The type that an input is read as: by its first byte, so that each example meets each of them.
fn type_of(input: &[u8]) -> TypeId {
    let kinds = [
        ("", "v1", "Pod"),
        ("", "v1", "Secret"),
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        ("apps", "v1", "Deployment"),
    ];
    let (group, version, kind) = kinds[input.iter().map(|byte| usize::from(*byte)).sum::<usize>() % kinds.len()];
    table().find_kind(group, version, kind).expect("a kind of v1.35")
}

fn own_type(tree: &Value) -> TypeId {
    corten_apimachinery::codec::type_of(table(), tree).expect("an example says its kind")
}

pub(crate) fn tree(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).expect("an example is JSON").value
}

fn json_corpus() -> Vec<Vec<u8>> {
    let more = texts(&["[1, -2.5e3, \"\\u00e9\\ud83d\\ude00\\n\", null, {}]", "\"a\"", "{\"a\":{\"b\":[[]]}}"]);
    [texts(OBJECTS), more].concat()
}

pub(crate) fn read_json(input: &[u8]) {
    let Ok(decoded) = json::decode_bounded(input, None, FieldValidation::Strict, 1_000) else { return };
    for written in [json::encode(&decoded.value, None), json::encode_pretty(&decoded.value, None)] {
        let again = json::decode(&written, None, FieldValidation::Strict).expect("what was written is JSON");
        // Not as trees: a fraction that is none is written as a whole number.
        assert_eq!(json::encode(&again.value, None), json::encode(&decoded.value, None));
    }
}

fn read_typed_json(input: &[u8]) {
    let typed = Some((table(), type_of(input)));
    let Ok(decoded) = json::decode_bounded(input, typed, FieldValidation::Warn, 1_000) else { return };
    read_back(&decoded.value, type_of(input));
}

/// What was taken as a type is the same in every encoding, but for what protobuf cannot tell from nothing.
fn read_back(value: &Value, id: TypeId) {
    let typed = Some((table(), id));
    let written = json::encode(value, typed);
    let again = json::decode(&written, typed, FieldValidation::Strict).expect("it was read before");
    assert_eq!(json::encode(&again.value, typed), written);
    let Ok(bytes) = protobuf::encode(value, table(), id) else { return };
    let back = protobuf::decode(&bytes, table(), id).expect("what was written is a message");
    assert_eq!(protobuf::encode(&back, table(), id).expect("it was read before"), bytes);
}

fn yaml_corpus() -> Vec<Vec<u8>> {
    let blocks = OBJECTS.iter().map(|text| yaml::encode(&tree(text)).to_vec());
    let more = texts(&[
        "a: &x [1, 0x1f, 1_000, ~, yes, .5]\nb: *x\nc: {<<: {d: e}}\n",
        "- |2\n  x\n- >-\n  y\n  z\n- 'it''s'\n- \"\\x41\"\n",
    ]);
    blocks.chain(more).collect()
}

fn read_yaml(input: &[u8]) {
    let Ok(decoded) = yaml::decode_bounded(input, None, FieldValidation::Warn, 1_000) else { return };
    let written = yaml::encode(&decoded.value);
    let again = yaml::decode(&written, None, FieldValidation::Strict).expect("what was written is YAML");
    assert_eq!(yaml::encode(&again.value), written);
}

fn protobuf_corpus() -> Vec<Vec<u8>> {
    let encoded = |text: &&str| {
        let tree = tree(text);
        let id = own_type(&tree);
        let typed =
            json::decode(text.as_bytes(), Some((table(), id)), FieldValidation::Strict).expect("an example fits");
        protobuf::encode(&typed.value, table(), id).expect("an example fits").to_vec()
    };
    OBJECTS.iter().map(encoded).collect()
}

fn read_protobuf(input: &[u8]) {
    let id = type_of(input);
    let Ok(value) = protobuf::decode_bounded(input, table(), id, 1_000) else { return };
    let bytes = protobuf::encode(&value, table(), id).expect("what was read can be written");
    let back = protobuf::decode(&bytes, table(), id).expect("what was written is a message");
    assert_eq!(protobuf::encode(&back, table(), id).expect("it was read before"), bytes);
}

fn cbor_corpus() -> Vec<Vec<u8>> {
    let more =
        [&b"\x9f\x01\xbf\x61a\xf9\x3e\x00\xff\xff"[..], b"\xd6\x43abc", b"\xc1\xfb\x41\xd4\x52\xd9\xeb\x20\x00\x00"];
    let encoded = OBJECTS.iter().map(|text| cbor::encode(&tree(text)).to_vec());
    encoded.chain(more.map(<[u8]>::to_vec)).collect()
}

fn read_cbor(input: &[u8]) {
    let Ok(decoded) = cbor::decode_bounded(input, None, FieldValidation::Strict, 1_000) else { return };
    let again =
        cbor::decode(&cbor::encode(&decoded.value), None, FieldValidation::Strict).expect("it was written here");
    assert_eq!(again.value, decoded.value);
    let typed = Some((table(), type_of(input)));
    if let Ok(decoded) = cbor::decode_bounded(input, typed, FieldValidation::Warn, 1_000) {
        let again = cbor::decode(&cbor::encode_typed(&decoded.value, typed), typed, FieldValidation::Strict);
        assert_eq!(again.expect("it was written here").value, decoded.value);
    }
}

fn json_patch_corpus() -> Vec<Vec<u8>> {
    texts(&[
        r#"[{"op":"add","path":"/spec/containers/-","value":{"name":"d"}},{"op":"remove","path":"/metadata/labels/x"}]"#,
        r#"[{"op":"copy","from":"/spec","path":"/spec/x~1y~0z"},{"op":"move","from":"/spec/containers/0","path":"/a"}]"#,
        r#"[{"op":"test","path":"/kind","value":"Pod"},{"op":"replace","path":"","value":{}}]"#,
    ])
}

fn apply_json_patch(input: &[u8]) {
    let Ok(read) = json::decode_bounded(input, None, FieldValidation::Ignore, 1_000) else { return };
    if let Ok(patched) = patch::json::apply(&tree(POD), &read.value) {
        read_json(&json::encode(&patched, None));
    }
}

fn merge_patch_corpus() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"metadata":{"labels":{"x":null,"z":"1"}},"spec":{"containers":null}}"#,
        r#"{"spec":{"a":{"b":{"c":null}}}}"#,
    ])
}

fn apply_merge_patch(input: &[u8]) {
    let Ok(read) = json::decode_bounded(input, None, FieldValidation::Ignore, 1_000) else { return };
    let patched = patch::merge::apply(&tree(POD), &read.value);
    assert_eq!(patch::merge::apply(&patched, &read.value), patched, "a second time changes nothing");
}

fn strategic_patch_corpus() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"spec":{"containers":[{"name":"c","image":"j"},{"name":"d"}],"$setElementOrder/containers":[{"name":"d"},{"name":"c"}]}}"#,
        r#"{"spec":{"containers":[{"name":"c","$patch":"delete"}],"volumes":[{"name":"v","$retainKeys":["name"]}]}}"#,
        r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"labels":{"$patch":"replace","a":"b"}}}"#,
    ])
}

fn apply_strategic_patch(input: &[u8]) {
    let Ok(read) = json::decode_bounded(input, None, FieldValidation::Ignore, 1_000) else { return };
    let object = tree(POD);
    if let Ok(patched) = patch::strategic::apply(&object, &read.value, table(), own_type(&object)) {
        read_json(&json::encode(&patched, None));
    }
}

fn label_corpus() -> Vec<Vec<u8>> {
    texts(&["a=b,c!=d,e in (f,g),h notin (i),!j,k", "example.com/a == b, x>5, y<6", "  a  in ( b , c ) "])
}

fn read_label_selector(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(selector) = label::Selector::parse(text) {
        let _ = selector.matches(&[("a", "b")].into_iter().collect());
        // What is written is not always a selector: one of no text (`a in (,)`) is written as one of no values.
        let written = selector.to_string();
        if let Ok(again) = label::Selector::parse(&written) {
            assert_eq!(again.to_string(), written);
        }
    }
}

fn field_corpus() -> Vec<Vec<u8>> {
    texts(&["metadata.name=a,spec.nodeName!=b", "a==b\\,c,d=\\\\,e=\\=", "status.phase=Running"])
}

fn read_field_selector(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(selector) = field::Selector::parse(text) {
        let _ = selector.matches(|_| "a");
        let _ = selector.required_value("metadata.name");
    }
}

fn fields_corpus() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"f:metadata":{"f:labels":{".":{},"f:x":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}}}}"#,
        r#"{"f:a":{"v:\"x\"":{},"v:1":{},"i:0":{}},"k:{\"a\":1,\"b\":null}":{}}"#,
    ])
}

fn read_fields(input: &[u8]) {
    let Ok(read) = json::decode_bounded(input, None, FieldValidation::Ignore, 1_000) else { return };
    if let Ok(set) = FieldSet::from_value(&read.value) {
        let again = FieldSet::from_value(&set.to_value()).expect("what was written is a set");
        assert_eq!(again.to_value(), set.to_value());
        assert_eq!(set.union(&again).to_value(), set.to_value());
    }
}

fn scalar_corpus() -> Vec<Vec<u8>> {
    texts(&[
        "100m",
        "1.5Gi",
        "-3e6",
        "12E",
        "1h2m3.5s",
        "-1ns",
        "2020-01-01T00:00:00Z",
        "2020-06-30T12:00:00.123456+02:00",
    ])
}

fn read_scalars(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(canonical) = quantity::canonical_text(text) {
        assert_eq!(quantity::canonical_text(&canonical).as_ref(), Ok(&canonical), "{text}");
    }
    if let Ok(duration) = text.parse::<GoDuration>() {
        assert_eq!(duration.to_string().parse::<GoDuration>().ok(), Some(duration), "{text}");
    }
    if let Some(time) = meta::parse_time(text) {
        let written = meta::format_time(time);
        let again = meta::parse_time(&written).unwrap_or_else(|| panic!("{written}"));
        assert_eq!(meta::format_time(again), written);
    }
}
