use super::*;
use crate::{
    codec::{FieldValidation, json},
    type_table::{Field, Struct, Type},
};

/// A small type: a list that merges by name, a list that merges by value, a list and a map that are replaced.
fn table() -> (TypeTable, TypeId) {
    let mut table = TypeTable::default();
    let list = |item: FieldType| FieldType::List(item.into());
    let merge = |key: Option<&str>| PatchStrategy { merge: true, merge_key: key.map(Str::from), ..Default::default() };
    let field =
        |name: &str, ty: FieldType, patch: PatchStrategy| Field { name: name.into(), ty, patch, ..Default::default() };
    let plain = PatchStrategy::default;
    let item = table.define(Type {
        name: "test.Item".into(),
        shape: Shape::Struct(Struct::new(vec![
            field("name", FieldType::String, plain()),
            field("value", FieldType::Int64, plain()),
            field("other", FieldType::Int64, plain()),
            field("tags", list(FieldType::String), merge(None)),
        ])),
        kinds: Vec::new(),
        served: false,
    });
    let root = table.define(Type {
        name: "test.Root".into(),
        shape: Shape::Struct(Struct::new(vec![
            field("items", list(FieldType::Ref(item)), merge(Some("name"))),
            field("finalizers", list(FieldType::String), merge(None)),
            field("args", list(FieldType::String), plain()),
            field("labels", FieldType::Map(FieldType::String.into()), plain()),
            field("one", FieldType::Ref(item), plain()),
            field(
                "whole",
                FieldType::Map(FieldType::String.into()),
                PatchStrategy { replace: true, ..Default::default() },
            ),
        ])),
        kinds: Vec::new(),
        served: false,
    });
    (table, root)
}

fn read(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
}

#[track_caller]
fn check(object: &str, patch: &str, want: &str) {
    let (table, root) = table();
    assert_eq!(apply(&read(object), &read(patch), &table, root), Ok(read(want)), "{object} + {patch}");
}

#[track_caller]
fn check_fails(object: &str, patch: &str, want: &PatchError) {
    let (table, root) = table();
    assert_eq!(apply(&read(object), &read(patch), &table, root).unwrap_err(), *want);
}

#[test]
fn maps_and_structs_merge() {
    check(r#"{"labels":{"a":"1","b":"2"}}"#, r#"{"labels":{"b":null,"c":"3"}}"#, r#"{"labels":{"a":"1","c":"3"}}"#);
    check(r#"{}"#, r#"{"labels":{"b":null,"c":"3"}}"#, r#"{"labels":{"c":"3"}}"#);
    check(r#"{"whole":{"a":"1"}}"#, r#"{"whole":{"b":"2"}}"#, r#"{"whole":{"b":"2"}}"#);
    check(r#"{"labels":{"a":"1"}}"#, r#"{"labels":{"$patch":"replace","b":"2"}}"#, r#"{"labels":{"b":"2"}}"#);
    check(r#"{"labels":{"a":"1"}}"#, r#"{"labels":{"$patch":"delete"}}"#, r#"{"labels":{}}"#);
    check(r#"{"args":["a","b"]}"#, r#"{"args":["c"]}"#, r#"{"args":["c"]}"#);
}

#[test]
fn lists_with_a_merge_key_merge_by_it() {
    let items = r#"{"items":[{"name":"a","value":1},{"name":"b","value":2}]}"#;
    check(
        items,
        r#"{"items":[{"name":"b","other":3}]}"#,
        r#"{"items":[{"name":"a","value":1},{"name":"b","value":2,"other":3}]}"#,
    );
    check(
        items,
        r#"{"items":[{"name":"c"}]}"#,
        r#"{"items":[{"name":"c"},{"name":"a","value":1},{"name":"b","value":2}]}"#,
    );
    check(items, r#"{"items":[{"$patch":"delete","name":"a"}]}"#, r#"{"items":[{"name":"b","value":2}]}"#);
    check(items, r#"{"items":[{"$patch":"replace"},{"name":"c"}]}"#, r#"{"items":[{"name":"c"}]}"#);
}

#[test]
fn lists_of_texts_merge_as_sets() {
    check(r#"{"finalizers":["a","b"]}"#, r#"{"finalizers":["b","c"]}"#, r#"{"finalizers":["a","b","c"]}"#);
    check(r#"{"finalizers":["a","b"]}"#, r#"{"$deleteFromPrimitiveList/finalizers":["a"]}"#, r#"{"finalizers":["b"]}"#);
    check(r#"{}"#, r#"{"$deleteFromPrimitiveList/finalizers":["a"]}"#, r#"{}"#);
}

#[test]
fn an_element_order_sorts_the_list() {
    check(
        r#"{"items":[{"name":"a"},{"name":"b"},{"name":"s"}]}"#,
        r#"{"$setElementOrder/items":[{"name":"b"},{"name":"a"},{"name":"n"}],"items":[{"name":"a","value":1},{"name":"n"}]}"#,
        r#"{"items":[{"name":"b"},{"name":"a","value":1},{"name":"n"},{"name":"s"}]}"#,
    );
    check(
        r#"{"finalizers":["a","b","c"]}"#,
        r#"{"$setElementOrder/finalizers":["c","a"]}"#,
        r#"{"finalizers":["b","c","a"]}"#,
    );
    check_fails(
        r#"{"finalizers":["a"]}"#,
        r#"{"$setElementOrder/finalizers":["a","b"],"finalizers":["b","a"]}"#,
        &PatchError::Inapplicable(
            "The order in patch list:\n[b a]\n doesn't match $setElementOrder list:\n[a b]\n".to_owned(),
        ),
    );
}

#[test]
fn retained_keys_clear_the_others() {
    check(
        r#"{"one":{"name":"a","value":1}}"#,
        r#"{"one":{"$retainKeys":["name","other"],"other":2}}"#,
        r#"{"one":{"name":"a","other":2}}"#,
    );
    check_fails(
        r#"{"one":{}}"#,
        r#"{"one":{"$retainKeys":["name"],"other":2}}"#,
        &PatchError::Invalid("invalid patch format of retainKeys".to_owned()),
    );
}

#[test]
fn what_does_not_fit_is_refused_in_upstreams_words() {
    check_fails(
        r#"{"items":[{"name":"a"}]}"#,
        r#"{"items":[{"value":1}]}"#,
        &PatchError::Inapplicable("map: map[value:1] does not contain declared merge key: name".to_owned()),
    );
    check_fails(
        r#"{}"#,
        r#"{"$patch":"shred"}"#,
        &PatchError::Inapplicable("unknown patch type: shred in map: map[$patch:shred]".to_owned()),
    );
    check_fails(r#"{}"#, "[]", &PatchError::Invalid("invalid JSON document".to_owned()));
}
