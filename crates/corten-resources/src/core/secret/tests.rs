use serde_json::json;

use super::RESOURCE;
use crate::testing::{created, defaulted, refuses, refuses_update, row, value};

#[test]
fn text_data_is_stored_encoded_and_wins() {
    let (object, errors) = created(&RESOURCE, json!({"data": {"a": "eA==", "b": "eA=="}, "stringData": {"a": "hi"}}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(json!({"type": "Opaque", "data": {"a": "aGk=", "b": "eA=="}})));
}

/// They stayed null, and clients that decode every entry failed on them.
#[test]
fn bytes_that_are_null_are_none() {
    let (object, errors) = created(&RESOURCE, json!({"data": {"a": null, "b": "eA=="}, "stringData": {"c": "hi"}}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(json!({"type": "Opaque", "data": {"a": "", "b": "eA==", "c": "aGk="}})));
}

/// Each key was set by itself, which moved all that stood behind it: minutes for a body of 3 MB.
#[test]
fn very_many_text_keys_are_merged_at_once() {
    const KEYS: usize = 300_000;
    let keys = |prefix: &str, value: &str| -> serde_json::Value {
        (0..KEYS).map(|number| (format!("{prefix}{number:06}"), value.into())).collect::<serde_json::Map<_, _>>().into()
    };
    let object = defaulted(&RESOURCE, json!({"data": keys("z", "eA=="), "stringData": keys("a", "x")}));
    let data = object.at(&["data"]).unwrap().as_object().unwrap();
    assert_eq!(data.len(), 2 * KEYS);
    assert!(data.iter().all(|(_, value)| value.as_str() == Some("eA==")));
}

#[test]
fn each_type_needs_its_keys() {
    let cases: [(serde_json::Value, &[&str]); 8] = [
        (
            json!({"type": "kubernetes.io/service-account-token"}),
            &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
        (json!({"type": "kubernetes.io/dockercfg"}), &["data[.dockercfg]: Required value"]),
        (json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}), &[]),
        (
            json!({"type": "kubernetes.io/basic-auth"}),
            &["data[username]: Required value", "data[password]: Required value"],
        ),
        (json!({"type": "kubernetes.io/basic-auth", "data": {"password": ""}}), &[]),
        (
            json!({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}}),
            &["data[ssh-privatekey]: Required value"],
        ),
        (json!({"type": "kubernetes.io/tls", "data": {"tls.key": ""}}), &["data[tls.crt]: Required value"]),
        (json!({"type": "example.com/mine"}), &[]),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
}

/// They were this program's words, not Go's.
#[test]
fn what_is_no_docker_config_is_refused_in_gos_words() {
    let wrong = |what: &str| format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
    for (text, why) in [
        ("x", "invalid character 'x' looking for beginning of value".to_owned()),
        ("", "unexpected end of JSON input".to_owned()),
        ("{", "unexpected end of JSON input".to_owned()),
        ("{} x", "invalid character 'x' after top-level value".to_owned()),
        ("[]", wrong("array")),
        ("1", wrong("number")),
        ("\"x\"", wrong("string")),
        ("true", wrong("bool")),
        ("null", String::new()),
        ("{\"a\":1,\"a\":{}}", String::new()),
    ] {
        for (ty, key) in [("dockercfg", ".dockercfg"), ("dockerconfigjson", ".dockerconfigjson")] {
            let (_, errors) =
                created(&RESOURCE, json!({"type": format!("kubernetes.io/{ty}"), "stringData": {key: text}}));
            let want = format!("data[{key}]: Invalid value: \"<secret contents redacted>\": {why}");
            let want = if why.is_empty() { vec![] } else { vec![want] };
            assert_eq!(errors, want, "{text}");
        }
    }
}

#[test]
fn what_is_not_json_is_no_docker_config_and_is_not_shown() {
    let (_, errors) = created(
        &RESOURCE,
        json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "secret"}}),
    );
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": "));
    assert!(!errors[0].contains("secret\""), "{errors:?}");
}

#[test]
fn the_type_stays_and_an_immutable_secret_too() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        json!({"immutable": true, "data": {"a": "eA=="}}),
        json!({"immutable": true, "type": "example.com/mine"}),
        &[
            "type: Invalid value: \"example.com/mine\": field is immutable",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
}

#[test]
fn a_row_shows_type_and_number_of_keys() {
    let object = json!({"metadata": {"name": "a"}, "type": "Opaque", "data": {"a": "eA=="}});
    assert_eq!(row(&RESOURCE, object), ["a", "Opaque", "1", "<unknown>"]);
}
