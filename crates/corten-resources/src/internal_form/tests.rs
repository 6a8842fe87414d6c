use serde_json::json;

use super::{core, core_difference, core_list};
use crate::testing::value;

#[test]
fn what_is_absent_is_null_or_zero() {
    let taint = value(json!({"key": "a", "effect": "NoSchedule"}));
    assert_eq!(core("Taint", &taint), r#"{"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}"#);
    let term = value(json!({"matchExpressions": [{"key": "a<", "operator": "Exists"}]}));
    assert_eq!(
        core("NodeSelectorTerm", &term),
        r#"{"MatchExpressions":[{"Key":"a\u003c","Operator":"Exists","Values":null}],"MatchFields":null}"#
    );
    assert_eq!(core_list("PodIP", &[value(json!({"ip": "1.1.1.1"}))]), r#"[{"IP":"1.1.1.1"}]"#);
}

#[test]
fn types_of_metadata_are_as_sent() {
    let bundle = value(json!({"signerName": "a/b", "labelSelector": {"matchLabels": {"a": "b"}}, "path": "p"}));
    assert_eq!(
        core("ClusterTrustBundleProjection", &bundle),
        r#"{"Name":null,"SignerName":"a/b","LabelSelector":{"matchLabels":{"a":"b"}},"Optional":null,"Path":"p"}"#
    );
    let template = value(json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}));
    let text = core("PodTemplateSpec", &template);
    assert!(
        text.starts_with(r#"{"labels":{"a":"b"},"Spec":{"Volumes":null,"InitContainers":null,"Containers":[],"#),
        "{text}"
    );
}

#[test]
fn a_schema_is_of_gos_fields() {
    const PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    // What each field is if the schema does not speak of it, in upstream's order.
    let fields = |said: &[(&str, &str)]| {
        let zero = [
            ("ID", "\"\""),
            ("Schema", "\"\""),
            ("Ref", "null"),
            ("Description", "\"\""),
            ("Type", "\"\""),
            ("Nullable", "false"),
            ("Format", "\"\""),
            ("Title", "\"\""),
            ("Default", "null"),
            ("Maximum", "null"),
            ("ExclusiveMaximum", "false"),
            ("Minimum", "null"),
            ("ExclusiveMinimum", "false"),
            ("MaxLength", "null"),
            ("MinLength", "null"),
            ("Pattern", "\"\""),
            ("MaxItems", "null"),
            ("MinItems", "null"),
            ("UniqueItems", "false"),
            ("MultipleOf", "null"),
            ("Enum", "null"),
            ("MaxProperties", "null"),
            ("MinProperties", "null"),
            ("Required", "null"),
            ("Items", "null"),
            ("AllOf", "null"),
            ("OneOf", "null"),
            ("AnyOf", "null"),
            ("Not", "null"),
            ("Properties", "null"),
            ("AdditionalProperties", "null"),
            ("PatternProperties", "null"),
            ("Dependencies", "null"),
            ("AdditionalItems", "null"),
            ("Definitions", "null"),
            ("ExternalDocs", "null"),
            ("Example", "null"),
            ("XPreserveUnknownFields", "null"),
            ("XEmbeddedResource", "false"),
            ("XIntOrString", "false"),
            ("XListMapKeys", "null"),
            ("XListType", "null"),
            ("XMapType", "null"),
            ("XValidations", "null"),
        ];
        let said = |name: &str, zero: &str| {
            said.iter().find(|(field, _)| *field == name).map_or(zero.to_owned(), |(_, value)| (*value).to_owned())
        };
        let fields: Vec<String> = zero.iter().map(|(name, zero)| format!("\"{name}\":{}", said(name, zero))).collect();
        format!("{{{}}}", fields.join(","))
    };
    let text = fields(&[("Type", "\"string\"")]);
    let schema = value(json!({
        "type": "object", "nullable": true, "maximum": 1.5, "enum": [{"a": 1}, "b"], "default": {"c": null},
        "properties": {"f": {"type": "string"}}, "additionalProperties": false,
        "additionalItems": {"type": "string"}, "items": {"type": "string"},
        "dependencies": {"g": ["h"]}, "x-kubernetes-preserve-unknown-fields": true,
    }));
    let want = fields(&[
        ("Type", "\"object\""),
        ("Nullable", "true"),
        ("Maximum", "1.5"),
        ("Enum", r#"[{"a":1},"b"]"#),
        ("Default", r#"{"c":null}"#),
        ("Properties", &format!("{{\"f\":{text}}}")),
        ("AdditionalProperties", r#"{"Allows":false,"Schema":null}"#),
        ("AdditionalItems", &format!("{{\"Allows\":true,\"Schema\":{text}}}")),
        ("Items", &format!("{{\"Schema\":{text},\"JSONSchemas\":null}}")),
        ("Dependencies", r#"{"g":{"Schema":null,"Property":["h"]}}"#),
        ("XPreserveUnknownFields", "true"),
    ]);
    assert_eq!(super::of_type(PROPS, &schema), want);
    let several = value(json!({"items": [{"type": "string"}]}));
    let want = fields(&[("Items", &format!("{{\"Schema\":null,\"JSONSchemas\":[{text}]}}"))]);
    assert_eq!(super::of_type(PROPS, &several), want);
}

#[test]
fn the_host_is_in_the_security_context() {
    let text = core("PodSpec", &value(json!({"hostNetwork": true, "serviceAccount": "x", "containers": []})));
    let context = r#""NodeName":"","SecurityContext":{"HostNetwork":true,"HostPID":false,"HostIPC":false,"ShareProcessNamespace":null,"HostUsers":null,"SELinuxOptions":null,"#;
    assert!(text.contains(context), "{text}");
    assert!(!text.contains("ServiceAccount\":"), "{text}");
}

#[test]
fn a_difference_is_told_line_by_line() {
    let spec = |node: &str, name: &str| {
        value(json!({"nodeName": node, "containers": [{"name": name, "image": "i", "resources": {}}]}))
    };
    let got = core_difference("PodSpec", Some(&spec("", "a")), Some(&spec("", "b")));
    let want = "@@ -3,7 +3,7 @@\n  \"InitContainers\": null,\n  \"Containers\": [\n   {\n-   \"Name\": \"a\",\n+   \"Name\": \"b\",\n    \
                \"Image\": \"i\",\n    \"Command\": null,\n    \"Args\": null,\n";
    assert_eq!(got, want);
}
