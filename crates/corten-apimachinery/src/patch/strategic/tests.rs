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

/// A client that computed its patch from an object that had more sends directives about what has gone since.
#[test]
fn directives_about_what_is_not_there_leave_nothing() {
    for patch in [
        r#"{"labels":{"$patch":"replace","b":"2"}}"#,
        r#"{"labels":{"$patch":"delete"}}"#,
        r#"{"labels":{"$patch":"nonsense"}}"#,
    ] {
        check("{}", patch, "{}");
    }
    check("{}", r#"{"items":[{"$patch":"delete","name":"a"}]}"#, r#"{"items":[]}"#);
    check("{}", r#"{"items":[{"$patch":"replace"},{"name":"b","value":null}]}"#, r#"{"items":[{"name":"b"}]}"#);
    check(
        "{}",
        r#"{"$setElementOrder/items":[{"name":"b"}],"items":[{"$patch":"delete","name":"a"},{"name":"b"}]}"#,
        r#"{"items":[{"name":"b"}]}"#,
    );
    // What is of another type is as good as not there.
    check(r#"{"labels":"x"}"#, r#"{"labels":{"$patch":"delete"}}"#, "{}");
    check(r#"{"labels":"x"}"#, r#"{"labels":{"a":"1","b":null}}"#, r#"{"labels":{"a":"1"}}"#);
}

#[test]
fn items_are_taken_out_of_lists_that_do_not_merge_too() {
    check(r#"{"args":["x","y","z"]}"#, r#"{"$deleteFromPrimitiveList/args":["x"]}"#, r#"{"args":["y","z"]}"#);
    check(r#"{"args":"x"}"#, r#"{"$deleteFromPrimitiveList/args":["x"]}"#, r#"{"args":"x"}"#);
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

/// Lists were merged by comparing each item with each: minutes of a thread for a body of 3 MB, again for every conflict.
#[test]
fn large_lists_are_merged_by_looking_items_up() {
    const ITEMS: usize = 100_000;
    let (table, root) = table();
    let check = |object: &Value, patch: &Value, want: &Value| {
        // Not `assert_eq`: nobody wants to read these.
        assert!(apply(object, patch, &table, root).as_ref() == Ok(want));
    };
    let name = |number: usize| format!("n{number:06}");
    let of = |field: &'static str, items: Vec<Value>| Value::object_of([(field, items.into())]);
    let names = |numbers: std::ops::Range<usize>| -> Vec<Value> { numbers.map(|number| name(number).into()).collect() };
    let items = |numbers: std::ops::Range<usize>, fields: &[(&'static str, i64)]| -> Vec<Value> {
        let item = |number| {
            let fields = fields.iter().map(|(field, value)| (*field, Value::Int(*value)));
            Value::object_of([("name", name(number).into())].into_iter().chain(fields))
        };
        numbers.map(item).collect()
    };
    let deletes = |numbers: std::ops::Range<usize>| -> Vec<Value> {
        let item = |number| Value::object_of([("$patch", "delete".into()), ("name", name(number).into())]);
        numbers.map(item).collect()
    };

    let finalizers = of("finalizers", names(0..ITEMS));
    check(&finalizers, &of("finalizers", names(ITEMS / 2..2 * ITEMS)), &of("finalizers", names(0..2 * ITEMS)));
    check(&finalizers, &of("$deleteFromPrimitiveList/finalizers", names(1..ITEMS)), &of("finalizers", names(0..1)));
    let backwards: Vec<Value> = names(0..ITEMS).into_iter().rev().collect();
    let order = of("$setElementOrder/finalizers", backwards.clone());
    check(&finalizers, &order, &of("finalizers", backwards));

    let object = of("items", items(0..ITEMS, &[("value", 1)]));
    let patch = of("items", items(0..ITEMS, &[("other", 2)]));
    check(&object, &patch, &of("items", items(0..ITEMS, &[("other", 2), ("value", 1)])));
    check(&object, &of("items", deletes(1..ITEMS)), &of("items", items(0..1, &[("value", 1)])));
}

#[test]
fn many_keys_come_and_go_in_one_pass() {
    const KEYS: usize = 100_000;
    let (table, root) = table();
    let labels = |prefix: &str, keys: std::ops::Range<usize>, value: &Value| {
        let labels = keys.map(|number| (format!("{prefix}{number:06}"), value.clone()));
        Value::object_of([("labels", Value::object_of(labels))])
    };
    let one = Value::from("1");
    let two = labels("", 0..2 * KEYS, &one);
    let merged = apply(&labels("", KEYS..2 * KEYS, &one), &labels("", 0..KEYS, &one), &table, root);
    assert!(merged.as_ref() == Ok(&two));
    let gone = apply(&two, &labels("", 0..KEYS, &Value::Null), &table, root);
    assert!(gone == Ok(labels("", KEYS..2 * KEYS, &one)));
    // Directives about lists that are not there, and keys to keep.
    let (other, orders) = (labels("x", 0..KEYS, &one), labels("$setElementOrder/", 0..KEYS, &Value::array([])));
    assert!(apply(&other, &orders, &table, root).as_ref() == Ok(&other));
    let mut kept = labels("", 0..0, &one);
    kept.set(&["labels", RETAIN_KEYS], (0..KEYS).map(|number| format!("{number:06}").into()).collect::<Vec<_>>());
    assert!(apply(&two, &kept, &table, root) == Ok(labels("", 0..KEYS, &one)));
}

/// Items with the same key are merged one after another into the same item, however large that has become.
#[test]
fn merging_into_a_large_item_again_and_again_is_refused() {
    let (table, root) = table();
    let item = |tags: Vec<Value>| Value::object_of([("name", Value::from("a")), ("tags", tags.into())]);
    let items = |items: Vec<Value>| Value::object_of([("items", items.into())]);
    let large = items(vec![item((0..100_000).map(|number| format!("t{number}").into()).collect())]);
    let patch = |times: usize| items(vec![item(vec!["x".into()]); times]);
    assert!(apply(&large, &patch(2), &table, root).is_ok());
    let refused = apply(&large, &patch(10_000), &table, root).unwrap_err();
    assert_eq!(refused, PatchError::TooLarge(TOO_MUCH_WORK.to_owned()));
}

#[test]
fn of_items_with_one_key_the_first_is_merged_with() {
    check(
        r#"{"items":[{"name":"a","value":1},{"name":"a","value":2}]}"#,
        r#"{"items":[{"name":"a","other":3}]}"#,
        r#"{"items":[{"name":"a","other":3,"value":1},{"name":"a","value":2}]}"#,
    );
    check(
        r#"{"items":[{"name":"a","value":1}]}"#,
        r#"{"items":[{"name":"b","value":1},{"name":"b","other":2},{"name":"a","other":3}]}"#,
        r#"{"items":[{"name":"b","other":2,"value":1},{"name":"a","other":3,"value":1}]}"#,
    );
    // A key that is null goes, and the item cannot be placed.
    check_fails(
        r#"{"items":[{"name":null,"value":1}]}"#,
        r#"{"items":[{"name":null,"other":1}]}"#,
        &PatchError::Inapplicable("map: map[other:1 value:1] does not contain declared merge key: name".to_owned()),
    );
    check_fails(
        r#"{"items":[{"name":"a"}]}"#,
        r#"{"$setElementOrder/items":["b",{"name":"a"}]}"#,
        &PatchError::Inapplicable("value for key 0 is not a map.".to_owned()),
    );
    check(
        r#"{"items":[{"name":"a"}]}"#,
        r#"{"$setElementOrder/items":[{"name":"a"},"b"]}"#,
        r#"{"items":[{"name":"a"}]}"#,
    );
}
