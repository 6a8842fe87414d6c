//! What controllers do by themselves, without any node.

use anyhow::{Context as _, ensure};
use corten_e2e::{Cluster, Kubectl, eventually, side_by_side};
use serde_json::{Value, json};

#[test]
fn controllers_keep_things_as_they_shall_be() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    kubectl.apply(PAPER).unwrap();
    let checks = side_by_side(
        &kubectl,
        &[
            ("accounts", every_namespace_has_an_account_and_the_authority),
            ("aggregation", a_role_is_put_together_from_others),
            ("mirroring", endpoints_by_hand_are_mirrored),
            ("endpoints", endpoints_follow_pods),
            ("adoption", pods_are_adopted_and_released),
            ("controller", a_replication_controller_is_scaled),
            ("recreate", old_pods_end_before_new_ones_begin),
            ("progress", a_deployment_that_makes_no_progress_says_so),
            ("history", old_replica_sets_are_forgotten),
            ("nodes", a_node_gets_its_part_of_the_addresses),
        ],
    );
    if let Err(error) = checks {
        panic!("{error:?}");
    }
}

/// An object, once it is what it shall be.
fn becomes(kubectl: &Kubectl, object: &[&str], what: &str, seen: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    eventually(what, || {
        let output = kubectl.run(&[&["get"], object, &["-o", "json"]].concat())?;
        ensure!(output.success, "{}", output.err);
        let object: Value = serde_json::from_str(&output.out)?;
        ensure!(seen(&object), "{object}");
        Ok(object)
    })
}

fn every_namespace_has_an_account_and_the_authority(kubectl: &Kubectl) -> anyhow::Result<()> {
    let map = ["configmap", "kube-root-ca.crt"];
    let is_whole = |object: &Value| {
        object["data"]["ca.crt"].as_str().is_some_and(|text| text.starts_with("-----BEGIN CERTIFICATE-----"))
    };
    becomes(kubectl, &map, "the authority is published", is_whole)?;
    kubectl.ok(&["patch", "configmap", "kube-root-ca.crt", "-p", r#"{"data":{"ca.crt":"other"}}"#]);
    becomes(kubectl, &map, "the authority is restored", is_whole)?;
    kubectl.ok(&["delete", "configmap", "kube-root-ca.crt"]);
    becomes(kubectl, &map, "the authority is published again", is_whole)?;
    kubectl.ok(&["delete", "serviceaccount", "default"]);
    becomes(kubectl, &["serviceaccount", "default"], "the account is there again", |_| true)?;
    Ok(())
}

fn a_role_is_put_together_from_others(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(
        r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"widgets-viewer",
           "labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}},
           "rules":[{"apiGroups":["example.com"],"resources":["widgets"],"verbs":["get"]}]}"#,
    )?;
    let has = |object: &Value| object["rules"].to_string().contains("widgets");
    becomes(kubectl, &["clusterrole", "view"], "view may see widgets", has)?;
    becomes(kubectl, &["clusterrole", "admin"], "and so may admin", has)?;
    kubectl.ok(&["delete", "clusterrole", "widgets-viewer"]);
    becomes(kubectl, &["clusterrole", "view"], "view may see them no more", |object| !has(object))?;
    Ok(())
}

const BY_HAND: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: far}
spec: {ports: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: far}
subsets: [{addresses: [{ip: 192.0.2.10}], ports: [{name: web, port: 8080}]}]
"#;

fn endpoints_by_hand_are_mirrored(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(BY_HAND)?;
    let slices = becomes(kubectl, &["endpointslices", "-l", "kubernetes.io/service-name=far"], "a mirror", |list| {
        list["items"].as_array().is_some_and(|items| items.len() == 1)
    })?;
    let slice = &slices["items"][0];
    let keeper = &slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"];
    ensure!(
        keeper == "endpointslicemirroring-controller.k8s.io"
            && slice["endpoints"][0]["addresses"] == json!(["192.0.2.10"])
            && slice["ports"][0]["port"] == 8080,
        "{slice}"
    );
    kubectl.ok(&["delete", "endpoints", "far"]);
    becomes(kubectl, &["endpointslices"], "no mirror", |list| list["items"] == json!([]))?;
    Ok(())
}

/// A node that exists, and of which nobody says anything.
const PAPER: &str = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"paper"}}"#;

/// Says what a kubelet would say.
fn tell(kubectl: &Kubectl, pod: &str, address: &str, ready: bool) {
    let status = if ready { "True" } else { "False" };
    let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": status}]}});
    kubectl.ok(&["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &status.to_string()]);
}

fn endpoints_follow_pods(kubectl: &Kubectl) -> anyhow::Result<()> {
    let placed = r#"{"spec":{"nodeName":"paper"}}"#;
    kubectl.ok(&["run", "a", "--image=web:1", "--labels=app=web", "--overrides", placed]);
    kubectl.ok(&["expose", "pod", "a", "--name=web", "--port=80", "--target-port=8080"]);
    let slices = ["endpointslices", "-l", "kubernetes.io/service-name=web"];
    for (ready, at) in [(true, "subsets"), (false, "notReady")] {
        tell(kubectl, "a", "192.0.2.20", ready);
        becomes(kubectl, &slices, "the slice follows", |list| {
            let endpoint = &list["items"][0]["endpoints"][0];
            endpoint["addresses"] == json!(["192.0.2.20"])
                && endpoint["conditions"]["ready"] == ready
                && endpoint["targetRef"]["name"] == "a"
        })?;
        becomes(kubectl, &["endpoints", "web"], "so do old endpoints", |object| {
            let subset = &object["subsets"][0];
            let place = if at == "notReady" { &subset["notReadyAddresses"] } else { &subset["addresses"] };
            place[0]["ip"] == "192.0.2.20" && subset["ports"][0]["port"] == 8080
        })?;
    }
    kubectl.ok(&["delete", "pod", "a", "--grace-period=0", "--force"]);
    becomes(kubectl, &slices, "nobody is left", |list| {
        list["items"][0]["endpoints"].as_array().is_none_or(Vec::is_empty)
    })?;
    Ok(())
}

fn count(kubectl: &Kubectl, arguments: &[&str], want: usize) -> anyhow::Result<()> {
    becomes(kubectl, arguments, &format!("{want} of {}", arguments.join(" ")), |list| {
        list["items"].as_array().is_some_and(|items| items.len() == want)
    })?;
    Ok(())
}

const SET: &str = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"web"},"spec":{"replicas":2,
    "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
    "spec":{"containers":[{"name":"c","image":"web:1"}]}}}}"#;

fn pods_are_adopted_and_released(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["run", "stray", "--image=web:1", "--labels=app=web"]);
    kubectl.apply(SET)?;
    becomes(kubectl, &["pod", "stray"], "the stray pod is adopted", |pod| {
        pod["metadata"]["ownerReferences"][0]["name"] == "web"
    })?;
    count(kubectl, &["pods", "-l", "app=web"], 2)?;
    kubectl.ok(&["label", "pod", "stray", "app=other", "--overwrite"]);
    becomes(kubectl, &["pod", "stray"], "it is released", |pod| pod["metadata"]["ownerReferences"].is_null())?;
    count(kubectl, &["pods", "-l", "app=web"], 2)?;
    count(kubectl, &["pods"], 3)
}

const CONTROLLER: &str = r#"{"apiVersion":"v1","kind":"ReplicationController","metadata":{"name":"web"},"spec":{"replicas":1,
    "selector":{"app":"web"},"template":{"metadata":{"labels":{"app":"web"}},
    "spec":{"containers":[{"name":"c","image":"web:1"}]}}}}"#;

fn a_replication_controller_is_scaled(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(CONTROLLER)?;
    count(kubectl, &["pods"], 1)?;
    kubectl.ok(&["scale", "rc/web", "--replicas=3", "--current-replicas=1"]);
    count(kubectl, &["pods"], 3)?;
    let refused = kubectl.fails(&["scale", "rc/web", "--replicas=5", "--current-replicas=1"]);
    ensure!(refused.contains("Expected replicas to be 1, was 3"), "{refused}");
    kubectl.ok(&["scale", "rc/web", "--replicas=0"]);
    count(kubectl, &["pods"], 0)?;
    becomes(kubectl, &["rc", "web"], "the status says so", |rc| {
        rc["status"]["replicas"] == 0 && rc["status"]["observedGeneration"] == rc["metadata"]["generation"]
    })?;
    Ok(())
}

fn deployment(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: \
         {name}}}}}\n{spec}  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: web, \
         image: 'web:1'}}]}}\n"
    )
}

/// Pods of a node without a kubelet end when somebody says so.
fn old_pods_end_before_new_ones_begin(kubectl: &Kubectl) -> anyhow::Result<()> {
    let placed = deployment("web", "  strategy: {type: Recreate}\n")
        .replace("spec: {containers", "spec: {nodeName: paper, containers");
    kubectl.apply(&placed)?;
    count(kubectl, &["pods"], 1)?;
    let old = kubectl.ok(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    kubectl.ok(&["set", "image", "deployment/web", "web=web:2"]);
    becomes(kubectl, &["pod", &old], "the old pod is ending", |pod| pod["metadata"]["deletionTimestamp"].is_string())?;
    becomes(kubectl, &["deployment", "web"], "the controller has seen it", |object| {
        object["status"]["observedGeneration"] == object["metadata"]["generation"]
            && object["status"]["updatedReplicas"].is_null()
    })?;
    count(kubectl, &["pods"], 1)?;
    kubectl.ok(&["delete", "pod", &old, "--grace-period=0", "--force"]);
    becomes(kubectl, &["pods"], "the new pod is made", |list| {
        list["items"].as_array().is_some_and(|items| items.len() == 1)
            && list["items"][0]["spec"]["containers"][0]["image"] == "web:2"
    })?;
    Ok(())
}

fn a_deployment_that_makes_no_progress_says_so(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&deployment("web", "  progressDeadlineSeconds: 2\n  minReadySeconds: 1\n"))?;
    let set = eventually("the set is made", || {
        let name = kubectl.ok(&["get", "replicasets", "-o", "jsonpath={.items[*].metadata.name}"]);
        ensure!(!name.is_empty());
        Ok(name)
    })?;
    let object = becomes(kubectl, &["deployment", "web"], "the deadline has passed", |object| {
        object["status"]["conditions"].to_string().contains("ProgressDeadlineExceeded")
    })?;
    let conditions = object["status"]["conditions"].as_array().context("conditions are a list")?;
    let progress =
        conditions.iter().find(|condition| condition["type"] == "Progressing").context("one is Progressing")?;
    let want = format!("ReplicaSet \"{set}\" has timed out progressing.");
    ensure!(progress["status"] == "False" && progress["message"] == want.as_str(), "{progress}");
    let said = kubectl.fails(&["rollout", "status", "deployment/web"]);
    ensure!(said.contains("deployment \"web\" exceeded its progress deadline"), "{said}");
    Ok(())
}

fn old_replica_sets_are_forgotten(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&deployment("web", "  replicas: 0\n  revisionHistoryLimit: 1\n"))?;
    count(kubectl, &["replicasets"], 1)?;
    for version in 2..5 {
        kubectl.ok(&["set", "image", "deployment/web", &format!("web=web:{version}")]);
        becomes(kubectl, &["deployment", "web"], "the change is seen", |object| {
            object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == version.to_string().as_str()
        })?;
    }
    count(kubectl, &["replicasets"], 2)
}

fn a_node_gets_its_part_of_the_addresses(kubectl: &Kubectl) -> anyhow::Result<()> {
    for name in ["one", "two"] {
        kubectl.apply(&format!(r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"{name}"}}}}"#))?;
        becomes(kubectl, &["node", name], "the node has addresses for pods", |node| {
            node["spec"]["podCIDR"].as_str().is_some_and(|part| part.starts_with("10.244.") && part.ends_with("/24"))
                && node["spec"]["podCIDRs"][0] == node["spec"]["podCIDR"]
        })?;
    }
    let parts = kubectl.ok(&["get", "nodes", "one", "two", "-o", "jsonpath={.items[*].spec.podCIDR}"]);
    let parts: Vec<&str> = parts.split(' ').collect();
    ensure!(parts.len() == 2 && parts[0] != parts[1], "{parts:?}");
    // A new one is not ready for pods; the controller of nodes takes that away by what the node says of itself.
    let three = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"three"}}"#;
    let made = kubectl.run_with(&["create", "-f", "-", "-o", "jsonpath={.spec.taints[*].key}"], three)?;
    ensure!(made.success && made.out == "node.kubernetes.io/not-ready", "{made:?}");
    Ok(())
}
