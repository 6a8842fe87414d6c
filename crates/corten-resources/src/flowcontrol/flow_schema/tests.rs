use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn schema(spec: Value) -> Value {
    patched(
        json!({"metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "l"}}}),
        json!({"spec": spec}),
    )
}

#[track_caller]
fn check(spec: Value, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("spec.{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses(&RESOURCE, schema(spec), &want);
}

#[test]
fn a_schema_has_a_place_among_others() {
    let (object, errors) = created(&RESOURCE, schema(json!({})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "s", "generation": 1},
        "spec": {"priorityLevelConfiguration": {"name": "l"}, "matchingPrecedence": 1000},
        "status": {},
    });
    assert_eq!(object, value(want));
    check(json!({"matchingPrecedence": -1}), &["matchingPrecedence: Invalid value: -1: must be a positive value"]);
    check(
        json!({"matchingPrecedence": 10001}),
        &["matchingPrecedence: Invalid value: 10001: must not be greater than 10000"],
    );
    check(
        json!({"matchingPrecedence": 1}),
        &["matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"],
    );
    check(
        json!({"priorityLevelConfiguration": null, "distinguisherMethod": {"type": "Odd"}}),
        &[
            "distinguisherMethod.type: Unsupported value: {\"Type\":\"Odd\"}: supported values: \"ByNamespace\", \"ByUser\"",
            "priorityLevelConfiguration.name: Required value: must reference a priority level",
        ],
    );
}

#[test]
fn rules_say_who_asks_for_what() {
    check(
        json!({"rules": [{}]}),
        &[
            "rules[0].subjects: Required value: subjects must contain at least one value",
            "rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
        ],
    );
    let with = |rule: Value| {
        let all = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
        let subject = json!({"kind": "User", "user": {"name": "u"}});
        json!({"rules": [patched(json!({"subjects": [subject], "nonResourceRules": [all]}), rule)]})
    };
    check(with(json!({})), &[]);
    check(
        with(json!({"subjects": [
            {"kind": "Odd"}, {"kind": "User"}, {"kind": "Group", "group": {"name": ""}, "user": {"name": "u"}},
            {"kind": "ServiceAccount", "serviceAccount": {"name": "A", "namespace": ""}, "group": {"name": "g"}},
        ]})),
        &[
            "rules[0].subjects[0].kind: Unsupported value: \"Odd\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
            "rules[0].subjects[1].user: Required value: user is required when subject kind is 'User'",
            "rules[0].subjects[2].group.name: Required value",
            "rules[0].subjects[2].user: Forbidden: user is forbidden when subject kind is not 'User'",
            "rules[0].subjects[3].serviceAccount.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of \
             lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "rules[0].subjects[3].serviceAccount.namespace: Required value: must specify namespace for service account",
            "rules[0].subjects[3].group: Forbidden: group is forbidden when subject kind is not 'Group'",
        ],
    );
    check(
        with(
            json!({"resourceRules": [{}, {"verbs": ["get", "*"], "apiGroups": ["*", "a"], "resources": ["b", "*"], "namespaces": ["*", "c"]}]}),
        ),
        &[
            "rules[0].resourceRules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource",
            "rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at \
             least one namespace",
            "rules[0].resourceRules[1].verbs: Invalid value: [\"get\",\"*\"]: if '*' is present, must not specify other verbs",
            "rules[0].resourceRules[1].apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other api \
             groups",
            "rules[0].resourceRules[1].resources: Invalid value: [\"b\",\"*\"]: if '*' is present, must not specify other \
             resources",
            "rules[0].resourceRules[1].namespaces: Invalid value: [\"*\",\"c\"]: if '*' is present, must not specify other \
             namespaces",
        ],
    );
    check(
        with(
            json!({"nonResourceRules": [{"verbs": ["odd"], "nonResourceURLs": ["", "a", "/a b", "/a//b", "/*/a", "/a/*", "/"]}]}),
        ),
        &[
            "rules[0].nonResourceRules[0].verbs: Unsupported value: [\"odd\"]: supported values: \"create\", \"delete\", \
             \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
            "rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"\": must not be empty",
            "rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"a\": must start with slash",
            "rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: \"/a b\": must not contain white-space",
            "rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: \"/a//b\": must not contain double slash",
            "rules[0].nonResourceRules[0].nonResourceURLs[4]: Invalid value: \"/*/a\": wildcard can only do suffix matching",
        ],
    );
}

#[test]
fn the_first_and_the_last_schema_are_fixed() {
    let named = |name: &str| patched(schema(json!({"matchingPrecedence": 7})), json!({"metadata": {"name": name}}));
    refuses(
        &RESOURCE,
        named("catch-all"),
        &["spec: Invalid value: {\"PriorityLevelConfiguration\":{\"Name\":\"l\"},\"MatchingPrecedence\":7,\
           \"DistinguisherMethod\":null,\"Rules\":null}: spec of 'catch-all' must equal the fixed value"],
    );
}

#[test]
fn each_endpoint_changes_its_part() {
    let old = patched(schema(json!({})), json!({"metadata": {"generation": 2}}));
    let condition = json!({"type": "Dangling", "status": "True"});
    let new = patched(
        schema(json!({"matchingPrecedence": 5})),
        json!({"metadata": {"generation": 2, "labels": {"a": "b"}, "managedFields": [{"manager": "m"}]}, "status": {"conditions": [condition]}}),
    );
    let (main, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), new.clone());
    assert_eq!((main.generation(), main.items_at(&["status", "conditions"]).len()), (3, 0));
    let (status, _) = updated(&RESOURCE, &strategy::Status, old.clone(), new);
    assert_eq!((status.generation(), status.items_at(&["status", "conditions"]).len()), (2, 1));
    assert_eq!((status.at(&["metadata", "labels"]), status.items_at(&["metadata", "managedFields"]).len()), (None, 1));
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        old.clone(),
        patched(old, json!({"status": {"conditions": [{"type": "A"}, {"type": "A"}, {"type": ""}]}})),
        &[
            "status.conditions[1].type: Duplicate value: \"A\"",
            "status.conditions[2].type: Required value: must not be empty",
        ],
    );
}

#[test]
fn a_row_shows_level_and_precedence() {
    let object = schema(json!({"matchingPrecedence": 7}));
    assert_eq!(row(&RESOURCE, object), ["s", "l", "7", "<none>", "<unknown>", "?"]);
    let object = patched(
        schema(json!({"matchingPrecedence": 7, "distinguisherMethod": {"type": "ByUser"}})),
        json!({"status": {"conditions": [{"type": "Dangling", "status": "False"}]}}),
    );
    assert_eq!(row(&RESOURCE, object), ["s", "l", "7", "ByUser", "<unknown>", "False"]);
}
