use std::{borrow::Cow, collections::BTreeMap};

use proptest::prelude::*;
use serde::{Deserialize, de::IgnoredAny};

use super::*;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    spec: Option<Spec>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: String,
    priority: Option<i32>,
    restart_policy: Restart,
    share: Share,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
enum Restart {
    Always,
    #[default]
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Share {
    Text(String),
    Number(f64),
}

#[track_caller]
fn check<'a, T: Deserialize<'a> + PartialEq + fmt::Debug>(json: &'a str) {
    let want: Result<T, _> = serde_json::from_str(json);
    let got: Result<T, _> = view(json.as_bytes());
    match (&got, &want) {
        (Ok(got), Ok(want)) => assert_eq!(got, want, "{json}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{json}: {got:?}, {want:?}"),
    }
}

#[test]
fn what_is_asked_for_is_read_and_the_rest_left_out() {
    for json in [
        r#"{}"#,
        r#"{"kind":"Pod","metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:}\"{":{".":{}}}}],"labels":{"a":"b","c":"\u00fc\n"}}}"#,
        "{\n  \"metadata\": {\n    \"x\": [1, 2.5, \"]\"],\n    \"name\": \"a\\\"b\\\\\"\n  },\n  \"spec\": null\n}\n",
        r#"{"spec":{"nodeName":"n","priority":-3,"restartPolicy":"Always","share":"1"},"metadata":{"labels":{}}}"#,
        r#"{"spec":{"priority":null,"restartPolicy":"Never","share":1.5e3}}"#,
        r#"{"spec":{"priority":3000000000,"restartPolicy":"Never","share":1}}"#,
        r#"{"spec":{"restartPolicy":"Never"}}"#,
        r#"{"spec":{"restartPolicy":{"Always":1},"share":1}}"#,
        r#"{"spec":[]}"#,
        r#"{"metadata":{"name":1}}"#,
        r#"{"metadata":{"name":"a"}"#,
        r#"{"metadata":{"name":"a}}"#,
        r#"{"metadata":{"name":"a"} "spec":null}"#,
        r#"{"metadata":{"name" "a"}}"#,
        r#"{"metadata":{"name":"a"}}}"#,
        r#"{"metadata":"#,
        r#"{"other":"#,
        r#"{"other":}"#,
        r#"{"other":{"#,
        r#"{"other":"\"#,
        "",
        "null",
    ] {
        check::<Pod<'_>>(json);
    }
    for json in ["[1,[2,3],[]]", "[1,]", "[1 2]", "[,1]", "[", "[]]", "18446744073709551615", "-1e400", "truth", "nul"]
    {
        check::<serde_json::Value>(json);
    }
}

#[test]
fn no_depth_exhausts_the_stack() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    view::<IgnoredAny>(deep.as_bytes()).unwrap();
    view::<serde_json::Value>(deep.as_bytes()).unwrap_err();
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[ -~\u{fc}\n\"\\\\{}\\[\\]]{0,40}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[a-z\"{}:,]{0,8}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// As a whole, in part, and cut off anywhere, it is what the other parser makes of it.
    #[test]
    fn any_document_is_read_as_another_parser_reads_it(document in document(), is_pretty: bool) {
        let text = if is_pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        prop_assert_eq!(&view::<serde_json::Value>(text.as_bytes()).unwrap(), &document);
        view::<IgnoredAny>(text.as_bytes()).unwrap();
        if document.is_object() || document.is_array() || document.is_string() {
            for end in 0..text.len() {
                prop_assert!(view::<serde_json::Value>(&text.as_bytes()[..end]).is_err());
                prop_assert!(view::<IgnoredAny>(&text.as_bytes()[..end]).is_err());
            }
        }
    }
}
