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
