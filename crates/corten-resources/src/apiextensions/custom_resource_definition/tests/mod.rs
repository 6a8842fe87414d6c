mod rules;
mod schemas;
mod updates;

use serde_json::{Value as Json, json};

use super::RESOURCE;
use crate::testing::{context, created, patched, refuses, row, value};

/// A definition that keeps all rules, with `schema` for its only version.
pub(super) fn definition(schema: Json) -> Json {
    json!({
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

/// The same, with an object for its schema.
pub(super) fn plain() -> Json {
    definition(json!({"type": "object"}))
}

/// A definition that is `plain` but for `patch` breaks exactly these rules.
#[track_caller]
fn check(patch: Json, want: &[&str]) {
    refuses(&RESOURCE, patched(plain(), patch), want);
}

/// The versions of `plain` with `patch` for the first one.
fn version(patch: Json) -> Json {
    let version = plain()["spec"]["versions"][0].clone();
    json!({"spec": {"versions": [patched(version, patch)]}})
}

const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn a_new_definition_gets_names_and_a_status() {
    let (object, errors) = created(&RESOURCE, plain());
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["spec", "names", "singular"]), Some("thing"));
    assert_eq!(object.str_at(&["spec", "names", "listKind"]), Some("ThingList"));
    assert_eq!(object.str_at(&["spec", "conversion", "strategy"]), Some("None"));
    assert_eq!(object.i64_at(&["metadata", "generation"]), Some(1));
    assert_eq!(object.at(&["status", "storedVersions"]), Some(&value(json!(["v1"]))));
}

#[test]
fn a_definition_is_called_as_its_resource() {
    check(
        json!({"metadata": {"name": "other.example.com"}}),
        &[r#"metadata.name: Invalid value: "other.example.com": must be spec.names.plural+"."+spec.group"#],
    );
}

#[test]
fn group_scope_and_names_are_well_formed() {
    check(
        json!({"metadata": {"name": "Things.example"}, "spec": {"group": "example", "scope": "Everywhere", "names": {
            "plural": "Things", "singular": "t_", "kind": "T.", "listKind": "T.", "shortNames": ["S"], "categories": ["C."],
        }}}),
        &[
            r#"spec.group: Invalid value: "example": should be a domain with at least one dot"#,
            r#"spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", "Namespaced""#,
            &format!(r#"spec.names.plural: Invalid value: "Things": {LABEL}"#),
            &format!(r#"spec.names.singular: Invalid value: "t_": {LABEL}"#),
            &format!(
                r#"spec.names.kind: Invalid value: "T.": may have mixed case, but should otherwise match: {LABEL}"#
            ),
            &format!(
                r#"spec.names.listKind: Invalid value: "T.": may have mixed case, but should otherwise match: {LABEL}"#
            ),
            &format!(r#"spec.names.shortNames[0]: Invalid value: "S": {LABEL}"#),
            r#"spec.names.listKind: Invalid value: "T.": kind and listKind may not be the same"#,
            &format!(r#"spec.names.categories[0]: Invalid value: "C.": {LABEL}"#),
        ],
    );
    check(
        json!({"metadata": {"name": "."}, "spec": {"group": "", "scope": "", "names": {"plural": "", "kind": ""}}}),
        &[
            "spec.group: Required value",
            "spec.scope: Required value",
            "spec.names.plural: Required value",
            "spec.names.singular: Required value",
            "spec.names.kind: Required value",
            "spec.names.listKind: Required value",
        ],
    );
}

#[test]
fn versions_are_unique_and_one_is_stored() {
    let schema = |description: &str| json!({"openAPIV3Schema": {"type": "object", "description": description}});
    let (_, errors) = created(
        &RESOURCE,
        patched(
            plain(),
            json!({"spec": {"versions": [
                {"name": "v1", "served": true, "storage": true, "schema": schema("a")},
                {"name": "v1", "served": true, "storage": true, "schema": schema("b")},
                {"name": "V2", "served": true, "storage": false},
            ]}}),
        ),
    );
    assert_eq!(errors[0], "spec.versions[2].schema.openAPIV3Schema: Required value: schemas are required");
    assert_eq!(errors[1], format!(r#"spec.versions[2].name: Invalid value: "V2": {LABEL}"#));
    assert!(errors[2].starts_with("spec.versions: Invalid value: ["), "{errors:?}");
    assert!(errors[2].ends_with(": must contain unique version names"), "{errors:?}");
    assert!(errors[3].ends_with(": must have exactly one version marked as storage version"), "{errors:?}");
    assert_eq!(errors.len(), 4, "{errors:?}");
}

/// They were shown as clients write them.
#[test]
fn versions_are_shown_without_what_they_have_in_common() {
    let columns = json!([{"name": "A", "type": "string", "jsonPath": ".a"}]);
    let version = |name: &str| {
        json!({"name": name, "served": true, "storage": false, "additionalPrinterColumns": columns,
            "schema": {"openAPIV3Schema": {"type": "object"}}})
    };
    let shown = |name: &str, columns: &str| {
        format!(
            r#"{{"Name":"{name}","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":{columns},"SelectableFields":null}}"#
        )
    };
    let check = |versions: serde_json::Value, want: [String; 2]| {
        let (_, errors) = created(&RESOURCE, patched(plain(), json!({"spec": {"versions": versions}})));
        let want = format!(
            "spec.versions: Invalid value: [{}]: must have exactly one version marked as storage version",
            want.join(",")
        );
        assert_eq!(errors.iter().find(|error| error.contains("exactly one")), Some(&want));
    };
    check(json!([version("v1"), version("v2")]), [shown("v1", "null"), shown("v2", "null")]);
    let mut other = version("v2");
    other["additionalPrinterColumns"] = json!(null);
    let column = r#"[{"Name":"A","Type":"string","Format":"","Description":"","Priority":0,"JSONPath":".a"}]"#;
    check(json!([version("v1"), other]), [shown("v1", column), shown("v2", "null")]);
}

#[test]
fn the_name_of_the_first_version_is_reported_as_upstream_does() {
    check(
        version(json!({"name": "V1"})),
        &[
            &format!(r#"spec.versions[0].name: Invalid value: "V1": {LABEL}"#),
            &format!(r#"spec.version: Invalid value: "V1": {LABEL}"#),
        ],
    );
}

#[test]
fn warnings_of_deprecated_versions_are_printable() {
    for (patch, want) in [
        (json!({"deprecationWarning": "a"}), "can only be set for deprecated versions"),
        (json!({"deprecated": true, "deprecationWarning": ""}), "must not be an empty string"),
        (
            json!({"deprecated": true, "deprecationWarning": "a\nb"}),
            "must only contain printable UTF-8 characters; non-printable character found at index 1",
        ),
        (json!({"deprecated": true, "deprecationWarning": "a".repeat(257)}), "must be <= 256 characters long"),
    ] {
        let (_, errors) = created(&RESOURCE, patched(plain(), version(patch)));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with("spec.versions[0].deprecationWarning: Invalid value: "), "{errors:?}");
        assert!(errors[0].ends_with(want), "{errors:?}");
    }
}

#[test]
fn columns_have_a_name_a_type_and_a_path() {
    check(
        version(json!({"additionalPrinterColumns": [
            {"name": "", "type": "", "jsonPath": ""},
            {"name": "a", "type": "float", "format": "x", "jsonPath": "spec"},
            {"name": "a", "type": "date", "format": "date-time", "jsonPath": ".spec.since"},
        ]})),
        &[
            "spec.additionalPrinterColumns[0].name: Required value",
            "spec.additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].JSONPath: Required value",
            r#"spec.additionalPrinterColumns[1].type: Invalid value: "float": must be one of boolean,date,integer,number,string"#,
            "spec.additionalPrinterColumns[1].format: Invalid value: \"x\": must be one of \
             byte,date,date-time,double,float,int32,int64,password",
            r#"spec.additionalPrinterColumns[1].JSONPath: Invalid value: "spec": must be a simple json path starting with ."#,
        ],
    );
}

#[test]
fn scale_paths_stand_below_spec_and_status() {
    check(
        version(
            json!({"subresources": {"scale": {"specReplicasPath": "", "statusReplicasPath": ".spec.n", "labelSelectorPath": "x"}}}),
        ),
        &[
            "spec.subresources.scale.specReplicasPath: Required value",
            r#"spec.subresources.scale.statusReplicasPath: Invalid value: ".spec.n": should be a json path under .status"#,
            r#"spec.subresources.scale.labelSelectorPath: Invalid value: "x": must be a simple json path starting with ."#,
        ],
    );
}

#[test]
fn selectable_fields_are_simple_fields_of_the_schema() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "color": {"type": "string"}, "size": {"type": "number"}, "on": {"type": "boolean"},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
        }},
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
    }});
    let fields = |paths: &[&str]| {
        let fields: Vec<Json> = paths.iter().map(|path| json!({"jsonPath": path})).collect();
        let mut object = definition(schema.clone());
        object["spec"]["versions"][0]["selectableFields"] = json!(fields);
        object
    };
    refuses(&RESOURCE, fields(&[".spec.color", ".spec.on"]), &[]);
    let kind = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are \
                allowed.";
    refuses(
        &RESOURCE,
        fields(&[
            "",
            "spec.color",
            ".spec.nothing",
            ".spec.size",
            ".spec['color']",
            ".metadata.name",
            ".spec.color",
            ".spec.color",
        ]),
        &[
            "spec.selectableFields[0].jsonPath: Required value",
            r#"spec.selectableFields[1].jsonPath: Invalid value: "spec.color": is an invalid path: expected [ or . but got: spec"#,
            r#"spec.selectableFields[2].jsonPath: Invalid value: ".spec.nothing": is an invalid path: does not refer to a valid field"#,
            &format!(r#"spec.selectableFields[3].jsonPath: Invalid value: ".spec.size": {kind}"#),
            r#"spec.selectableFields[4].jsonPath: Invalid value: ".spec['color']": is an invalid path: array notation is not allowed"#,
            r#"spec.selectableFields[5].jsonPath: Invalid value: ".metadata.name": must not point to fields in metadata"#,
            r#"spec.selectableFields[7].jsonPath: Duplicate value: ".spec.color""#,
        ],
    );
    let many: Vec<String> = (0..9).map(|n| format!(".spec.m.k{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refuses(&RESOURCE, fields(&many), &["spec.selectableFields: Too many: 9: must have at most 8 items"]);
}

#[test]
fn webhooks_that_convert_are_reachable() {
    let webhook = |webhook: Json| json!({"spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}}});
    check(
        json!({"spec": {"conversion": {"strategy": "Webhook"}}}),
        &[
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
            "spec.conversion.conversionReviewVersions: Required value",
        ],
    );
    check(
        webhook(json!({"clientConfig": {"url": "http://u@h/?q#f"}, "conversionReviewVersions": ["v3", "v3"]})),
        &[
            r#"spec.conversion.webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]"#,
            r#"spec.conversion.webhookClientConfig.url: Invalid value: "u": user information is not permitted in the URL"#,
            r#"spec.conversion.webhookClientConfig.url: Invalid value: "f": fragments are not permitted in the URL"#,
            r#"spec.conversion.webhookClientConfig.url: Invalid value: "q": query parameters are not permitted in the URL"#,
            r#"spec.conversion.conversionReviewVersions[1]: Invalid value: "v3": duplicate version"#,
            r#"spec.conversion.conversionReviewVersions: Invalid value: ["v3","v3"]: must include at least one of v1, v1beta1"#,
        ],
    );
    let service = json!({"namespace": "n", "name": "s", "path": "/a//B"});
    let (object, errors) = created(
        &RESOURCE,
        patched(plain(), webhook(json!({"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}))),
    );
    let port = ["spec", "conversion", "webhook", "clientConfig", "service", "port"];
    assert_eq!(object.i64_at(&port), Some(443));
    assert_eq!(
        errors[0],
        r#"spec.conversion.webhookClientConfig.service.path: Invalid value: "/a//B": segment[1] may not be empty"#
    );
    assert!(errors[1].contains("segment[2]: a lowercase RFC 1123 subdomain"), "{errors:?}");
    check(
        json!({"spec": {"conversion": {"strategy": "None", "webhook": {"clientConfig": {"url": "https://a"}, "conversionReviewVersions": ["v1"]}}}}),
        &[
            "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
            "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
        ],
    );
}

#[test]
fn groups_of_the_community_are_approved() {
    let of = |annotation: Option<&str>| {
        let mut object =
            patched(plain(), json!({"metadata": {"name": "things.x.k8s.io"}, "spec": {"group": "x.k8s.io"}}));
        if let Some(text) = annotation {
            object["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": text});
        }
        created(&RESOURCE, object).1
    };
    let wanted = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    assert_eq!(
        of(None),
        [format!("metadata.annotations[api-approved.kubernetes.io]: Required value: {wanted}, {see}")]
    );
    assert_eq!(
        of(Some("maybe")),
        [format!(
            "metadata.annotations[api-approved.kubernetes.io]: Invalid value: \"maybe\": {wanted} with either a URL or a \
             reason starting with \"unapproved\", {see}"
        )]
    );
    assert_eq!(of(Some("https://github.com/kubernetes/kubernetes/pull/1")), [""; 0]);
    assert_eq!(of(Some("unapproved, experimental")), [""; 0]);
}

#[test]
fn unknown_fields_are_not_kept_everywhere() {
    let detail =
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
    check(
        json!({"spec": {"preserveUnknownFields": true}}),
        &[&format!("spec.preserveUnknownFields: Invalid value: true: {detail}")],
    );
}

#[test]
fn formats_that_nobody_checks_are_told() {
    let object = value(definition(json!({"type": "object", "properties": {
        "a": {"type": "integer", "format": "int64"}, "b": {"type": "string", "format": "int32"},
        "c": {"type": "string", "format": "date-time"}, "d": {"type": "string", "format": "mine"},
    }})));
    let cx = context("v1");
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&cx, &object),
        [r#"unrecognized format "int32""#, r#"unrecognized format "mine""#]
    );
    assert_eq!(RESOURCE.strategy.warnings_on_update(&cx, &object, &object), [""; 0]);
}

#[test]
fn a_row_shows_when_it_was_made() {
    let mut object = plain();
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(row(&RESOURCE, object), ["things.example.com", "2026-01-01T00:00:00Z"]);
}
