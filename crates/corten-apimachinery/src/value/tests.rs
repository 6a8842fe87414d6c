use super::{Map, Str, Value, from_value, semantically_equal};

fn object() -> Value {
    Value::object_of([
        ("metadata", Value::object_of([("name", "web".into()), ("generation", 3_i64.into())])),
        ("items", Value::array([1_i64.into(), 2_i64.into()])),
    ])
}

#[test]
fn a_node_is_three_words() {
    assert_eq!(size_of::<Value>(), 24);
}

#[test]
fn a_path_reaches_a_node_or_nothing() {
    let object = object();
    assert_eq!(object.str_at(&["metadata", "name"]), Some("web"));
    assert_eq!(object.i64_at(&["metadata", "generation"]), Some(3));
    assert_eq!(object.at(&["metadata", "name", "deeper"]), None);
    assert_eq!(object.items_at(&["items"]).len(), 2);
}

#[test]
fn changing_a_clone_leaves_the_original() {
    let original = object();
    let mut copy = original.clone();
    copy.set(&["metadata", "labels", "app"], "web");
    copy.unset(&["items"]);
    assert_eq!(original, object());
    assert_eq!(copy.str_at(&["metadata", "labels", "app"]), Some("web"));
    assert_eq!(copy.get("items"), None);
}

#[test]
fn keys_are_sorted_and_unique() {
    let entries = vec![("b".into(), Value::Null), ("a".into(), Value::Null)];
    let map = Map::from_entries(entries).unwrap();
    assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b"]);
    let twice = vec![("b".into(), Value::Null), ("a".into(), Value::Null), ("b".into(), Value::Null)];
    assert_eq!(Map::from_entries(twice).unwrap_err().0, "b");
}

#[test]
fn a_large_map_finds_what_a_small_one_finds() {
    let mut map = Map::new();
    for number in (0..100).rev() {
        map.insert(format!("key-{number:03}"), i64::from(number));
    }
    assert!((0..100).all(|number| map.get(&format!("key-{number:03}")) == Some(&Value::Int(number))));
    assert_eq!(map.get("key-100"), None);
    assert_eq!(map.remove("key-050"), Some(Value::Int(50)));
    assert_eq!(map.len(), 99);
}

#[test]
fn a_tree_reads_as_a_struct() {
    #[derive(serde::Deserialize, PartialEq, Debug)]
    struct Meta {
        name: String,
        generation: Option<i64>,
        missing: Option<bool>,
    }
    let object = object();
    let meta: Meta = from_value(object.get("metadata").unwrap()).unwrap();
    assert_eq!(meta, Meta { name: "web".into(), generation: Some(3), missing: None });
    assert!(from_value::<Meta>(object.get("items").unwrap()).is_err());
}

#[test]
fn of_entries_with_one_key_the_last_stays() {
    let entries = |pairs: &[(&str, i64)]| pairs.iter().map(|&(key, value)| (key.into(), Value::Int(value))).collect();
    let check = |pairs: &[(&str, i64)], want: &[(&str, i64)]| {
        assert_eq!(Map::of_last(entries(pairs)), Map::from_entries(entries(want)).unwrap(), "{pairs:?}");
    };
    check(&[], &[]);
    check(&[("b", 1), ("a", 2), ("b", 3), ("a", 4), ("c", 5)], &[("a", 4), ("b", 3), ("c", 5)]);
    check(&[("a", 1), ("a", 2)], &[("a", 2)]);
}

#[test]
fn an_object_is_edited_in_one_pass() {
    let object = |keys: &[&'static str]| -> Map { keys.iter().map(|key| ((*key).into(), Value::from(*key))).collect() };
    #[track_caller]
    fn check(before: &Map, changes: &[(&str, Option<&str>)], want: &[(&str, &str)]) {
        let changes = changes.iter().map(|(key, value)| ((*key).into(), value.map(Value::from)));
        let edited = before.clone().edit(changes, |key, old, new| {
            assert_eq!(old.as_ref(), before.get(key));
            Ok::<_, String>(new)
        });
        let edited = edited.unwrap();
        let entries: Vec<_> = edited.iter().map(|(key, value)| (key, value.as_str().unwrap())).collect();
        assert_eq!(entries, want);
    }
    let bd = object(&["b", "d"]);
    check(&bd, &[], &[("b", "b"), ("d", "d")]);
    check(&bd, &[("a", Some("1")), ("c", Some("2")), ("e", None)], &[("a", "1"), ("b", "b"), ("c", "2"), ("d", "d")]);
    check(&bd, &[("b", None), ("d", Some("3")), ("e", Some("4"))], &[("d", "3"), ("e", "4")]);
    check(&object(&[]), &[("a", Some("1"))], &[("a", "1")]);
    let refused = bd.edit([(Str::from("b"), ())].into_iter(), |key, _, ()| Err(key.to_string()));
    assert_eq!(refused.unwrap_err(), "b");
}

/// An empty object was the same as none, at every depth, so that a pointer to an empty struct could be set where nothing
/// may change.
#[test]
fn an_empty_object_is_a_struct_that_is_set() {
    use crate::codec::{FieldValidation, json};
    let tree = |text: &str| json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
    #[track_caller]
    fn check(a: Option<&Value>, b: Option<&Value>, want: bool) {
        assert_eq!((semantically_equal(a, b), semantically_equal(b, a)), (want, want), "{a:?} {b:?}");
    }
    for (text, is_nothing) in [("null", true), ("[]", true), ("{}", false), (r#"{"a":null}"#, false), ("[null]", false)]
    {
        check(None, Some(&tree(text)), is_nothing);
        check(Some(&Value::Null), Some(&tree(text)), is_nothing);
        check(Some(&tree("{}")), Some(&tree(&format!(r#"{{"a":{text}}}"#))), is_nothing);
        check(Some(&tree(r#"[{"b":1}]"#)), Some(&tree(&format!(r#"[{{"a":{text},"b":1}}]"#))), is_nothing);
    }
    for text in ["0", "\"\"", "false"] {
        check(None, Some(&tree(text)), false);
    }
    check(Some(&tree(r#"{"a":1}"#)), Some(&tree(r#"{"a":1,"b":[]}"#)), true);
    check(Some(&tree(r#"{"a":1}"#)), Some(&tree(r#"{"a":2}"#)), false);
}
