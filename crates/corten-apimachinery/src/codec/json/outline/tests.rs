use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use crate::{
    codec::json::{encode_spliceable, replace_resource_version, view},
    value::{Str, Value},
};

/// A large field.
fn large() -> String {
    "x".repeat(NOTED_MIN)
}

fn noted(text: &str) -> Vec<&str> {
    outline(text.as_bytes()).iter().map(|jump| &text[jump.start()..jump.end()]).collect()
}

#[test]
fn large_fields_of_two_levels_are_noted() {
    let (large, deep) = (format!("\"{}\"", large()), format!(r#"{{"deep":"{}"}}"#, large()));
    let list = format!("[{large}]");
    let metadata = format!(r#"{{ "name" : "a", "list":{list} , "deep":{deep}}}"#);
    let text = format!(r#" {{"kind":"Pod","metadata" : {metadata},"small":{{"a":1}},"text":{large}}} "#);
    assert_eq!(noted(&text), [&metadata, &list, &deep, &large]);
}

#[test]
fn of_what_is_no_object_as_much_is_noted_as_stands_there() {
    let large = format!("\"{}\"", large());
    for (text, want) in [
        (String::new(), 0),
        ("[]".to_owned(), 0),
        (large.clone(), 0),
        (format!(r#"{{"a":{large}"#), 1),
        (format!(r#"{{"a":{large},"b":{{"c":{large},"d":"#), 2),
        (format!(r#"{{"a":{large} "b":{large}}}"#), 2),
        (format!(r#"{{"a" {large}}}"#), 0),
        (format!(r#"{{"a":{large},7:{large}}}"#), 1),
    ] {
        assert_eq!(noted(&text).len(), want, "{text}");
        // Whether it is an object decides who reads it, and the notes change nothing about that.
        let outlined = Outlined::from(text.clone());
        assert_eq!(outlined.view::<IgnoredAny>().is_ok(), view::<IgnoredAny>(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn fields_are_given_as_they_are_written() {
    let text = r#"{"kind":"Pod","metadata":{"name":"a","labels" : {"b": "c"} ,"finalizers":["f"]},"spec":{},"spec":1}"#;
    let object = Outlined::from(text.to_owned());
    let shown = |path: &[&str], names: [&str; 3]| {
        object.fields(path, names).map(|field| field.map_or("-", |bytes| std::str::from_utf8(bytes).unwrap()))
    };
    assert_eq!(shown(&["metadata"], ["finalizers", "ownerReferences", "labels"]), [r#"["f"]"#, "-", r#"{"b": "c"}"#]);
    assert_eq!(shown(&[], ["spec", "kind", "status"]), ["{}", "\"Pod\"", "-"]);
    assert_eq!(shown(&["metadata", "labels"], ["b", "c", ""]), ["\"c\"", "-", "-"]);
    for nowhere in [&["spec", "deeper"][..], &["kind"], &["metadata", "labels", "b"], &["status"]] {
        assert_eq!(shown(nowhere, ["a", "b", "c"]), ["-"; 3]);
    }
    assert_eq!(Outlined::from("{\"a\":1,\"b".to_owned()).fields(&[], ["a", "b"]), [Some(&b"1"[..]), None]);
    assert_eq!(Outlined::from("null".to_owned()).fields(&[], ["a"]), [None]);
}

fn object() -> impl Strategy<Value = Value> {
    let fields = |value: BoxedStrategy<Value>| {
        let fields = prop::collection::btree_map("[a-z\"{:]{0,8}|metadata", value, 0..6);
        fields.prop_map(|map| Value::object_of(map.into_iter().map(|(key, value)| (Str::from(key), value))))
    };
    let text = prop_oneof![".{0,10}", "[a-z\"{}\\[\\]\\\\]{60,80}"];
    let leaf = prop_oneof![any::<i64>().prop_map(Value::Int), text.prop_map(|text| Value::String(text.into()))];
    let value = leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::array), fields(inner)]
    });
    fields(value.boxed())
}

proptest! {
    /// What the writer notes is what a reader would find, whatever revision is put in, and reads as it would without notes.
    #[test]
    fn the_writer_notes_what_a_reader_finds(object in object(), revision in 1_u64.., next in 1_u64..) {
        let encoded = encode_spliceable(&object, None);
        let served = encoded.splice(revision);
        for outlined in [encoded.bare(), replace_resource_version(&served, revision, next), served] {
            let found = outline(&outlined);
            // The revision may make metadata large that were not.
            let is_small = |jump: &Jump| jump.end() - jump.start() < NOTED_MIN + 45;
            if let Some(noted) = outlined.jumps.get() {
                prop_assert!(noted.iter().all(|jump| found.contains(jump)), "{:?}", noted);
                prop_assert!(found.iter().all(|jump| noted.contains(jump) || is_small(jump)), "{:?}", noted);
            }
            let want: serde_json::Value = view(&outlined).unwrap();
            prop_assert_eq!(outlined.view::<serde_json::Value>().unwrap(), want);
            outlined.view::<IgnoredAny>().unwrap();
        }
    }
}
