//! Input that is wrong gets upstream's answer, and the server lives.

use corten_e2e::{Cluster, Kubectl};

#[track_caller]
fn refused(kubectl: &Kubectl, manifest: &str, want: &str) {
    let output = kubectl.run_with(&["create", "--validate=false", "-f", "-"], manifest).unwrap();
    assert!(!output.success, "was accepted: {manifest}");
    assert!(output.err.contains(want), "{}\ndoes not say\n{want}", output.err);
}

/// Posts `body` as it is, past everything that kubectl would check.
#[track_caller]
fn post(kubectl: &Kubectl, path: &str, body: &str, want: &str) {
    let output = kubectl.run_with(&["create", "--raw", path, "-f", "-"], body).unwrap();
    assert!(!output.success, "was accepted");
    assert!(output.err.contains(want), "{}\ndoes not say\n{want}", output.err);
}

#[test]
fn wrong_objects_are_refused_in_upstreams_words() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    refused(
        &kubectl,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Bad_Name"}}"#,
        r#"The ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of"#,
    );
    refused(
        &kubectl,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":1}}"#,
        r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string"#,
    );
    refused(
        &kubectl,
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"x","image":"x"}]}}}}"#,
        r#"spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`"#,
    );
    let configmaps = "/api/v1/namespaces/default/configmaps";
    post(&kubectl, configmaps, "{", "unexpected end of JSON input");
    post(&kubectl, configmaps, "", "unexpected end of JSON input");
    post(
        &kubectl,
        &format!("{configmaps}?fieldValidation=Strict"),
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","nmae":"b"},"dta":{},"dta":{},"data":{"x":"1","x":"2"}}"#,
        r#"strict decoding error: unknown field "metadata.nmae", unknown field "dta", duplicate field "data.x""#,
    );
    assert!(
        kubectl
            .fails(&["get", "pods", "--field-selector=spec.colour=red"])
            .contains("field label not supported: spec.colour")
    );
    assert!(kubectl.fails(&["get", "widgets"]).contains("the server doesn't have a resource type \"widgets\""));
    assert_eq!(kubectl.ok(&["get", "--raw", "/readyz"]), "ok");
}

#[test]
fn hostile_bodies_are_refused_and_the_server_lives() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    let configmaps = "/api/v1/namespaces/default/configmaps";
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    post(&kubectl, configmaps, &deep, "json parse error: json: cannot unmarshal array into Go value of type struct");
    let deep = format!(r#"{{"data":{}1{}}}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    post(&kubectl, configmaps, &deep, "json parse error: invalid character '{' exceeded max depth");
    let large = format!(r#"{{"data":{{"x":"{}"}}}}"#, "x".repeat(4 * 1024 * 1024));
    post(&kubectl, configmaps, &large, "Request entity too large: limit is 3145728");
    assert_eq!(kubectl.ok(&["get", "--raw", "/readyz"]), "ok");
}
