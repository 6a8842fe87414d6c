//! What goes wrong with a pod is said in upstream's words, and the cluster lives.

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, in_sandbox, side_by_side};

#[test]
fn pods_that_cannot_run_say_why() {
    in_sandbox("node_errors::pods_that_cannot_run_say_why", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        side_by_side(
            &kubectl,
            &[
                ("image", unknown_image),
                ("config-map", missing_config_map),
                ("command", command_not_found),
                ("permission", no_permission),
            ],
        )?;
        let nodes = kubectl.ok(&["get", "nodes"]);
        ensure!(nodes.contains(" Ready "), "{nodes}");
        machine.corten(&["delete"])?;
        Ok(())
    });
}

/// Nothing listens on the registry's port.
fn unknown_image(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["run", "unknown", "--image=127.0.0.1:5999/nothing/here:v1"]);
    let failed = "Failed to pull image \"127.0.0.1:5999/nothing/here:v1\"";
    let back_off = "Back-off pulling image \"127.0.0.1:5999/nothing/here:v1\"";
    kubectl.describes("unknown", &[failed, "Error: ErrImagePull", back_off, "ImagePullBackOff"])?;
    kubectl.ok(&["delete", "pod", "unknown", "--timeout=60s"]);
    Ok(())
}

fn missing_config_map(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"missing"},"spec":{"containers":[{"name":"c","image":"busybox:1.28",
           "command":["sleep","3600"],"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"absent","key":"a"}}}]}]}}"#,
    )?;
    kubectl.describes("missing", &["CreateContainerConfigError", "Error: configmap \"absent\" not found"])?;
    kubectl.ok(&["create", "configmap", "absent", "--from-literal=a=b"]);
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/missing", "--timeout=60s"]);
    kubectl.ok(&["delete", "pod", "missing", "--grace-period=1"]);
    Ok(())
}

fn command_not_found(kubectl: &Kubectl) -> anyhow::Result<()> {
    let process = "unable to start container process: error during container init";
    for (pod, command, cause) in [
        (
            "notfound",
            "/no/such/command",
            "exec: \"/no/such/command\": stat /no/such/command: no such file or directory",
        ),
        ("nosuch", "nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
    ] {
        kubectl.ok(&["run", pod, "--image=busybox:1.28", "--restart=Never", "--", command]);
        let message = format!("{process}: {cause}");
        kubectl.describes(pod, &["StartError", "Error: failed to create containerd task: ", &message])?;
        let shown = kubectl.json(&["get", "pod", pod]);
        let state = &shown["status"]["containerStatuses"][0]["state"]["terminated"];
        let is_told = state["message"].as_str().is_some_and(|text| text.ends_with(&message));
        ensure!(
            state["exitCode"] == 128
                && state["reason"] == "StartError"
                && is_told
                && shown["status"]["phase"] == "Failed",
            "{}",
            shown["status"]
        );
        ensure!(state["startedAt"] == "1970-01-01T00:00:00Z", "{state}");
        let events =
            kubectl.ok(&["get", "events", "--field-selector", &format!("involvedObject.name={pod},reason=Failed")]);
        ensure!(events.contains("Warning") && events.contains(cause), "{events}");
        kubectl.ok(&["delete", "pod", pod]);
    }
    kubectl.ok(&["run", "again", "--image=busybox:1.28", "--", "/no/such/command"]);
    kubectl.describes("again", &["RunContainerError", "CrashLoopBackOff"])?;
    kubectl.ok(&["delete", "pod", "again", "--grace-period=1"]);
    Ok(())
}

fn no_permission(kubectl: &Kubectl) -> anyhow::Result<()> {
    let refused = kubectl.run(&["get", "pods", "--as=jane"])?;
    let want = format!(
        "Error from server (Forbidden): pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" \
         in the namespace \"{}\"",
        kubectl.namespace()
    );
    ensure!(!refused.success && refused.err.contains(&want), "{}", refused.err);
    Ok(())
}
