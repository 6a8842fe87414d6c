//! The real kubectl explains kinds, its own and custom ones, from both versions of OpenAPI, and shows what discovery tells.

use corten_e2e::{Cluster, Kubectl};

const DEFINITION: &str = r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
"metadata": {"name": "crontabs.stable.example.com"}, "spec": {"group": "stable.example.com", "scope": "Namespaced",
"names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"]}, "versions": [{"name": "v1", "served": true,
"storage": true, "additionalPrinterColumns": [{"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
"schema": {"openAPIV3Schema": {"type": "object", "description": "A CronTab runs on time.", "properties": {"spec":
{"type": "object", "description": "What runs, and when.", "required": ["cronSpec"], "properties":
{"cronSpec": {"type": "string", "description": "When it runs."}, "image": {"type": "string", "enum": ["a", "b"]},
"ports": {"type": "array", "items": {"x-kubernetes-int-or-string": true}}}}}}}}]}}"#;

fn with_definition(cluster: &Cluster) -> Kubectl {
    let kubectl = cluster.kubectl().unwrap();
    kubectl.apply(DEFINITION).unwrap();
    kubectl.ok(&["wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=30s"]);
    kubectl
}

#[track_caller]
fn check(kubectl: &Kubectl, arguments: &[&str], wants: &[&str]) {
    for output in ["plaintext", "plaintext-openapiv2"] {
        let mut all = vec!["explain", "--output", output];
        all.extend(arguments);
        let text = kubectl.ok(&all);
        for want in wants {
            assert!(text.contains(want), "{want:?} is not in what {all:?} says:\n{text}");
        }
    }
}

#[test]
fn explains_built_in_kinds_and_custom_ones() {
    let cluster = Cluster::start().unwrap();
    let kubectl = with_definition(&cluster);
    check(&kubectl, &["pods", "--recursive"], &["KIND:", "Pod", "containers\t<[]", "imagePullPolicy\t<string>"]);
    check(
        &kubectl,
        &["deployments.spec.strategy", "--recursive"],
        &["DeploymentStrategy", "rollingUpdate\t<", "maxSurge\t<"],
    );
    check(&kubectl, &["nodes.status.capacity"], &["capacity <map[string]"]);
    check(
        &kubectl,
        &["crontabs", "--recursive"],
        &["stable.example.com", "CronTab", "A CronTab runs on time.", "cronSpec\t<string>", "metadata\t<"],
    );
    check(&kubectl, &["crontabs.spec.cronSpec"], &["cronSpec <string>", "When it runs."]);
    let missing = kubectl.run(&["explain", "crontabs.spec.none"]).unwrap();
    assert_eq!((missing.success, &*missing.err), (false, "error: field \"none\" does not exist\n"));
}

#[test]
fn checks_manifests_of_custom_kinds_and_prints_their_columns() {
    let cluster = Cluster::start().unwrap();
    let kubectl = with_definition(&cluster);
    let tab = |spec: &str| {
        format!(
            r#"{{"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {{"name": "a"}}, "spec": {spec}}}"#
        )
    };
    let refused = kubectl.run_with(&["create", "-f", "-"], &tab(r#"{"cronSpec": "*", "odd": 1}"#)).unwrap();
    assert!(!refused.success && refused.err.contains("unknown field \"spec.odd\""), "{}", refused.err);
    kubectl.apply(&tab(r#"{"cronSpec": "* * 5"}"#)).unwrap();
    let table = kubectl.ok(&["get", "ct"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((&lines[0][..], &lines[1][..5]), (&["NAME", "SPEC", "AGE"][..], &["a", "*", "*", "5", lines[1][4]][..]));
    let table = kubectl.ok(&["get", "crd"]);
    assert!(table.starts_with("NAME ") && table.lines().next().unwrap().ends_with("CREATED AT"), "{table}");
    kubectl.ok(&["wait", "--for=create", "apiservice/v1.stable.example.com", "--timeout=30s"]);
    let row = kubectl.ok(&["get", "apiservice", "v1.stable.example.com", "--no-headers"]);
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[..3], ["v1.stable.example.com", "Local", "True"]);
}
