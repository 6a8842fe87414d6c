//! The real kubectl applies server-side: merges, conflicts, takes over, removes, and moves over from client-side apply.

use corten_e2e::{Cluster, Kubectl};
use serde_json::Value;

const DEPLOYMENT: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"app":"web"}},
"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
"spec":{"containers":[{"name":"nginx","image":"nginx:1","ports":[{"containerPort":80}],"env":[{"name":"A","value":"1"}]}]}}}}"#;

fn applied(kubectl: &Kubectl, config: &str, more: &[&str]) -> corten_e2e::Output {
    let mut arguments = vec!["apply", "--server-side", "-f", "-"];
    arguments.extend(more);
    kubectl.run_with(&arguments, config).unwrap()
}

fn deployment(kubectl: &Kubectl) -> Value {
    kubectl.json(&["get", "deployment", "web", "--show-managed-fields"])
}

#[test]
fn a_configuration_is_applied_conflicts_and_is_taken_over() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    assert_eq!(applied(&kubectl, DEPLOYMENT, &[]).out, "deployment.apps/web serverside-applied\n");
    let first = deployment(&kubectl);
    assert_eq!(first["metadata"]["managedFields"][0]["operation"], "Apply");
    assert!(applied(&kubectl, DEPLOYMENT, &[]).success);
    assert_eq!(deployment(&kubectl), first, "applying the same again is no write");

    kubectl.ok(&["scale", "deployment", "web", "--replicas=5"]);
    let refused = applied(&kubectl, DEPLOYMENT, &[]);
    let why = "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using apps/v1: .spec.replicas";
    assert!(!refused.success && refused.err.contains(why), "{}", refused.err);
    assert!(applied(&kubectl, DEPLOYMENT, &["--force-conflicts"]).success);
    assert_eq!(deployment(&kubectl)["spec"]["replicas"], 2);

    let without_env = DEPLOYMENT.replace(r#","env":[{"name":"A","value":"1"}]"#, "");
    assert!(applied(&kubectl, &without_env, &[]).success);
    let container = &deployment(&kubectl)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((&container["env"], &container["image"]), (&Value::Null, &"nginx:1".into()));
}

#[test]
fn an_object_moves_over_from_client_side_apply() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    assert!(kubectl.run_with(&["apply", "-f", "-"], DEPLOYMENT).unwrap().success);
    let output = applied(&kubectl, &DEPLOYMENT.replace("nginx:1", "nginx:2"), &[]);
    assert_eq!((output.success, output.err.as_str()), (true, ""));
    let mut managers: Vec<_> = deployment(&kubectl)["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap().to_owned())
        // The controller of deployments writes the status and its revision meanwhile.
        .filter(|manager| manager != "kube-controller-manager")
        .collect();
    // By time, and within a second by name.
    managers.sort_unstable();
    assert_eq!(managers, ["kubectl", "kubectl-last-applied"]);
}
