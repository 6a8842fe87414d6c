//! What is deleted takes along what it owns, as it was told to; a namespace takes everything.

use anyhow::ensure;
use corten_e2e::{Cluster, Kubectl, eventually, side_by_side};

/// No node is needed: pods that were never placed go at once.
#[test]
fn what_is_deleted_takes_along_what_it_shall() {
    let cluster = Cluster::start().unwrap();
    let checks = side_by_side(
        &cluster.kubectl().unwrap(),
        &[
            ("background", dependents_follow_their_owner),
            ("orphans", orphans_stay_and_are_adopted),
            ("foreground", an_owner_waits_for_its_dependents),
            ("finalizers", a_finalizer_holds_an_object),
            ("mistaken", an_owner_that_never_was_is_no_owner),
            ("namespaces", a_namespace_takes_everything_along),
        ],
    );
    if let Err(error) = checks {
        panic!("{error:?}");
    }
}

fn deployed(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=2"]);
    eventually("two pods are made", || {
        let pods = kubectl.ok(&["get", "pods", "-o", "name"]);
        ensure!(pods.lines().count() == 2, "{pods}");
        Ok(())
    })
}

fn are_left(kubectl: &Kubectl, kinds: &str, count: usize) -> anyhow::Result<()> {
    eventually(&format!("{count} of {kinds} are left"), || {
        let left = kubectl.ok(&["get", kinds, "-o", "name"]);
        ensure!(left.lines().count() == count, "{left}");
        Ok(())
    })
}

fn dependents_follow_their_owner(kubectl: &Kubectl) -> anyhow::Result<()> {
    deployed(kubectl)?;
    kubectl.ok(&["delete", "deployment", "web", "--cascade=background"]);
    are_left(kubectl, "deployments,replicasets,pods", 0)
}

fn orphans_stay_and_are_adopted(kubectl: &Kubectl) -> anyhow::Result<()> {
    deployed(kubectl)?;
    let set = kubectl.ok(&["get", "replicasets", "-o", "jsonpath={.items[0].metadata.name}"]);
    kubectl.ok(&["delete", "deployment", "web", "--cascade=orphan"]);
    eventually("the set has no owner", || {
        let object = kubectl.json(&["get", "replicaset", &set]);
        ensure!(object["metadata"]["ownerReferences"].is_null(), "{}", object["metadata"]);
        Ok(())
    })?;
    are_left(kubectl, "pods", 2)?;
    // The same deployment again takes the set over in place of a new one.
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=2"]);
    eventually("the set is adopted", || {
        let object = kubectl.json(&["get", "replicaset", &set]);
        let owner = &object["metadata"]["ownerReferences"][0];
        ensure!(owner["kind"] == "Deployment" && owner["controller"] == true, "{}", object["metadata"]);
        Ok(())
    })?;
    are_left(kubectl, "replicasets", 1)
}

const HOLD: &str = r#"[{"op":"add","path":"/metadata/finalizers","value":["example.com/hold"]}]"#;
const RELEASE: &str = r#"[{"op":"remove","path":"/metadata/finalizers"}]"#;

fn an_owner_waits_for_its_dependents(kubectl: &Kubectl) -> anyhow::Result<()> {
    deployed(kubectl)?;
    let pod = kubectl.ok(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    kubectl.ok(&["patch", "pod", &pod, "--type=json", "-p", HOLD]);
    kubectl.ok(&["delete", "deployment", "web", "--cascade=foreground", "--wait=false"]);
    are_left(kubectl, "pods", 1)?;
    for kind in ["deployments", "replicasets"] {
        let objects = kubectl.json(&["get", kind]);
        let metadata = &objects["items"][0]["metadata"];
        ensure!(
            metadata["finalizers"] == serde_json::json!(["foregroundDeletion"])
                && metadata["deletionTimestamp"].is_string(),
            "{metadata}"
        );
    }
    kubectl.ok(&["patch", "pod", &pod, "--type=json", "-p", RELEASE]);
    are_left(kubectl, "deployments,replicasets,pods", 0)
}

fn a_finalizer_holds_an_object(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "configmap", "held"]);
    kubectl.ok(&["patch", "configmap", "held", "--type=json", "-p", HOLD]);
    kubectl.ok(&["delete", "configmap", "held", "--wait=false"]);
    let held = kubectl.json(&["get", "configmap", "held"]);
    ensure!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    // Nothing may be added to what is going.
    let more = r#"[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/more"}]"#;
    let refused = kubectl.fails(&["patch", "configmap", "held", "--type=json", "-p", more]);
    let why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
               finalizers []string{\"example.com/more\"}";
    ensure!(refused.contains(why), "{refused}");
    kubectl.ok(&["patch", "configmap", "held", "--type=json", "-p", RELEASE]);
    ensure!(kubectl.fails(&["get", "configmap", "held"]).contains("not found"));
    Ok(())
}

fn an_owner_that_never_was_is_no_owner(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"child","ownerReferences":[{"apiVersion":"v1",
           "kind":"ConfigMap","name":"nobody","uid":"00000000-0000-4000-8000-000000000000"}]}}"#,
    )?;
    eventually("the child is collected", || {
        let left = kubectl.run(&["get", "configmap", "child"])?;
        ensure!(left.err.contains("not found"), "{left:?}");
        Ok(())
    })
}

fn a_namespace_takes_everything_along(kubectl: &Kubectl) -> anyhow::Result<()> {
    deployed(kubectl)?;
    kubectl.ok(&["expose", "deployment", "web", "--port=80"]);
    kubectl.ok(&["create", "secret", "generic", "word", "--from-literal=a=b"]);
    kubectl.ok(&["create", "configmap", "held"]);
    kubectl.ok(&["patch", "configmap", "held", "--type=json", "-p", HOLD]);
    let space = kubectl.namespace();
    kubectl.ok(&["delete", "namespace", space, "--wait=false"]);
    are_left(kubectl, "deployments,replicasets,pods,services,secrets,serviceaccounts", 0)?;
    eventually("the namespace says what it waits for", || {
        let object = kubectl.json(&["get", "namespace", space]);
        ensure!(object["status"]["phase"] == "Terminating", "{}", object["status"]);
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let remaining = conditions.iter().find(|condition| condition["type"] == "NamespaceFinalizersRemaining");
        ensure!(
            remaining.is_some_and(|condition| condition["status"] == "True"
                && condition["message"]
                    == "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"),
            "{conditions:?}"
        );
        Ok(())
    })?;
    let refused = kubectl.fails(&["create", "configmap", "late"]);
    let why = format!(
        "configmaps \"late\" is forbidden: unable to create new content in namespace {space} because it is being terminated"
    );
    ensure!(refused.contains(&why), "{refused}");
    kubectl.ok(&["patch", "configmap", "held", "--type=json", "-p", RELEASE]);
    kubectl.ok(&["wait", "--for=delete", &format!("namespace/{space}"), "--timeout=60s"]);
    Ok(())
}
