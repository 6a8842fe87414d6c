//! Owners before and after a definition changed what is owned as a whole. The cases of upstream's `schema_change_test.go`,
//! and what its tests leave out.

use crate::type_table::{ListType, TypeId, TypeTable};

use super::tests::{Cluster, table_with};

fn granular() -> (TypeTable, TypeId) {
    table_with(false, ListType::Set, false)
}

fn atomic() -> (TypeTable, TypeId) {
    table_with(true, ListType::Atomic, false)
}

const A: &str = r#"{"spec":{"selector":{"matchLabels":{"a":"1"}}}}"#;
const A2: &str = r#"{"spec":{"selector":{"matchLabels":{"a":"2"}}}}"#;
const B: &str = r#"{"spec":{"selector":{"matchLabels":{"b":"1"}}}}"#;
const BOTH: &str = r#"{"spec":{"selector":{"matchLabels":{"a":"1","b":"2"}}}}"#;

/// Nobody was asked: who owned a part lost it to whoever applied the whole.
#[test]
fn owners_of_parts_own_the_whole_once_it_is_atomic() {
    let mut cluster = Cluster::new();
    cluster.retype(granular()).apply("one", A).retype(atomic());
    cluster.conflicts("two", B, "Apply failed with 1 conflict: conflict with \"one\": .spec.selector");
    cluster.try_apply("two", B, true).unwrap();
    cluster.owned(&[r#"two Apply - 3 {"f:spec":{"f:selector"}}"#]);
    cluster.spec(r#"{"selector":{"matchLabels":{"b":"1"}},"containers":null}"#);
}

#[test]
fn who_has_lost_all_parts_does_not_own_the_whole() {
    let mut cluster = Cluster::new();
    cluster.retype(granular()).apply("one", A).try_apply("two", A2, true).unwrap();
    cluster.retype(atomic());
    cluster.conflicts("three", B, "Apply failed with 1 conflict: conflict with \"two\": .spec.selector");
    cluster.try_apply("two", B, true).unwrap();
    cluster.owned(&[r#"two Apply - 4 {"f:spec":{"f:selector"}}"#]);
}

/// It was so in earlier releases of upstream's library, where nothing told such an owner from one who has lost all parts.
#[test]
fn owners_of_the_whole_own_none_of_its_parts_once_it_is_granular() {
    let mut cluster = Cluster::new();
    cluster.retype(atomic()).apply("one", BOTH);
    cluster.conflicts("two", B, "Apply failed with 1 conflict: conflict with \"one\": .spec.selector");
    cluster.retype(granular()).apply("two", B).owned(&[
        r#"one Apply - 1 {"f:spec":{"f:selector"}}"#,
        r#"two Apply - 3 {"f:spec":{"f:selector":{"f:matchLabels":{"f:b"}}}}"#,
    ]);
    cluster.spec(r#"{"selector":{"matchLabels":{"a":"1","b":"1"}},"containers":null}"#);
}

const ARGS: &str = r#"{"spec":{"containers":[{"name":"a","args":["x","y"]}]}}"#;
const MORE_ARGS: &str = r#"{"spec":{"containers":[{"name":"a","args":["z"]}]}}"#;

#[test]
fn lists_are_as_maps_also_for_who_updates() {
    let mut cluster = Cluster::new();
    cluster.retype(atomic()).put("one", ARGS).retype(granular()).apply("two", MORE_ARGS).owned(&[
        r#"two Apply - 2 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:args":{"v:\"z\""},"f:name"}}}}"#,
        r#"one Update - 1 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:args","f:name"}}}}"#,
    ]);
    cluster.retype(atomic()).change("three", |object| object.set(&["spec", "replicas"], 2_i64)).owned(&[
        r#"two Apply - 2 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:args","f:name"}}}}"#,
        r#"one Update - 1 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:args","f:name"}}}}"#,
        r#"three Update - 3 {"f:spec":{"f:replicas"}}"#,
    ]);
}

/// The record is settled by the next write of all, and that write is one for it.
#[test]
fn a_write_that_changes_nothing_else_settles_owners() {
    let mut cluster = Cluster::new();
    cluster.retype(granular()).put("one", A).retype(atomic()).change("two", |_| {});
    cluster.owned(&[r#"one Update - 1 {"f:spec":{"f:selector"}}"#]);
    let before = cluster.live.clone();
    cluster.change("two", |_| {});
    assert_eq!(cluster.live, before);
}

/// Whoever had lost all that was in a map got it back at the next write by anybody, and was in conflict with whoever had it.
#[test]
fn owners_of_emptied_maps_gain_nothing_of_what_others_put_there() {
    let labelled = |value: &str| format!(r#"{{"metadata":{{"labels":{{"app":"{value}"}}}}}}"#);
    let mut cluster = Cluster::new();
    cluster.put("one", &labelled("a")).try_apply("two", &labelled("b"), true).unwrap();
    cluster.change("three", |object| object.set(&["spec", "replicas"], 1_i64)).owned(&[
        r#"two Apply - 2 {"f:metadata":{"f:labels":{"f:app"}}}"#,
        r#"one Update - 1 {"f:metadata":{"f:labels"}}"#,
        r#"three Update - 3 {"f:spec":{"f:replicas"}}"#,
    ]);
    // What is one's own needs no force, and goes when it is not applied any more.
    cluster.apply("two", &labelled("c")).apply("two", "{}");
    assert_eq!(cluster.live.as_ref().unwrap().at(&["metadata", "labels", "app"]), None);
}

/// An apply by anybody was an error, and any other write took the whole record away: nobody was the owner of anything.
#[test]
fn fields_that_the_type_no_longer_declares_stay_in_the_record() {
    let more = || table_with(true, ListType::Atomic, true);
    let mut cluster = Cluster::new();
    cluster.retype(more()).apply("one", r#"{"spec":{"replicas":1,"more":{"a":"b"}}}"#);
    // What is stored has lost the field, as custom resources are pruned when they are read.
    cluster.retype(atomic()).live.as_mut().unwrap().unset(&["spec", "more"]);
    cluster.apply("two", A).change("three", |object| object.set(&["metadata", "labels", "l"], "x")).owned(&[
        r#"one Apply - 1 {"f:spec":{"f:more":{"f:a"},"f:replicas"}}"#,
        r#"two Apply - 2 {"f:spec":{"f:selector"}}"#,
        r#"three Update - 3 {"f:metadata":{"f:labels":{".","f:l"}}}"#,
    ]);
    cluster.apply("one", r#"{"spec":{}}"#);
    assert_eq!(cluster.live.as_ref().unwrap().at(&["spec", "replicas"]), None);
}

#[test]
fn an_endpoint_for_few_fields_owns_those_alone() {
    let mut cluster = Cluster::new();
    cluster.put("one", r#"{"spec":{"replicas":1,"containers":[{"name":"a","image":"i"},{"name":"b"}]}}"#);
    cluster.endpoint("image", &[], &[&["spec", "containers", "*", "image"], &["spec", "extra"]]);
    let write = r#"{"metadata":{"labels":{"l":"x"}},"spec":{"replicas":2,"containers":[{"name":"a","image":"j"}],"extra":{"e":1}}}"#;
    cluster.try_apply("two", write, true).unwrap();
    cluster.owned(&[
        r#"two Apply image 2 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:image"}},"f:extra":{"f:e"}}}"#,
        r#"one Update - 1 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:name"},"k:{\"name\":\"b\"}":{".","f:name"}},"f:replicas"}}"#,
    ]);
    cluster.change("three", |object| {
        object.set(&["spec", "replicas"], 7_i64);
        object.set(&["spec", "extra", "e"], 2_i64);
    });
    let entries = cluster.entries();
    assert_eq!(entries.last().map(String::as_str), Some(r#"three Update image 3 {"f:spec":{"f:extra":{"f:e"}}}"#));
}
