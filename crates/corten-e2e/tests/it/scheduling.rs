//! Why a pod is not placed, in upstream's words; nodes that are cordoned and drained; priorities.

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, eventually, in_sandbox, side_by_side};

#[test]
fn pods_that_find_no_place_say_why() {
    in_sandbox("scheduling::pods_that_find_no_place_say_why", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        let waiting = side_by_side(
            &kubectl,
            &[
                ("reasons", reasons_are_said),
                ("ports", ports_of_the_node_are_given_once),
                ("neighbours", pods_keep_away_from_each_other),
                ("gates", gates_hold_a_pod_back),
            ],
        );
        // These change what all pods see, so that they must be alone.
        classes_give_priorities(&kubectl.in_new_namespace("priorities")?)?;
        a_node_is_tainted(&kubectl.in_new_namespace("taints")?)?;
        a_node_is_cordoned_and_drained(&kubectl.in_new_namespace("drain")?)?;
        waiting
    });
}

fn pod(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n{spec}\
         \x20 containers:\n  - name: c\n    image: busybox:1.28\n    command: [sleep, '3600']\n"
    )
}

/// The pod waits, and says why in its event and in its condition.
fn waits(kubectl: &Kubectl, name: &str, why: &str) -> anyhow::Result<()> {
    kubectl.describes(name, &["FailedScheduling", why])?;
    let pod = kubectl.json(&["get", "pod", name]);
    let conditions = pod["status"]["conditions"].as_array().context("a pod has conditions")?;
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled");
    let scheduled = scheduled.with_context(|| format!("PodScheduled is not among {conditions:?}"))?;
    let message = scheduled["message"].as_str().unwrap_or_default();
    ensure!(
        scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable" && message.contains(why),
        "{scheduled}"
    );
    ensure!(pod["status"]["phase"] == "Pending", "{}", pod["status"]);
    Ok(())
}

fn reasons_are_said(kubectl: &Kubectl) -> anyhow::Result<()> {
    let huge = |resource: &str| format!("    resources: {{requests: {resource}}}\n");
    for (name, manifest, why) in [
        (
            "selector",
            pod("selector", "  nodeSelector: {disk: fast}\n"),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            "affinity",
            pod(
                "affinity",
                "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [\
                 {matchExpressions: [{key: zone, operator: In, values: [a, b]}]}]}}}\n",
            ),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        ("cpu", pod("cpu", "") + &huge("{cpu: '999'}"), "0/1 nodes are available: 1 Insufficient cpu."),
        ("memory", pod("memory", "") + &huge("{memory: 999Ti}"), "0/1 nodes are available: 1 Insufficient memory."),
        (
            "both",
            pod("both", "") + &huge("{cpu: '999', memory: 999Ti}"),
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
        ),
        (
            "device",
            pod("device", "") + "    resources: {limits: {example.com/device: 1}}\n",
            "0/1 nodes are available: 1 Insufficient example.com/device.",
        ),
        (
            "spread",
            pod(
                "spread",
                "  topologySpreadConstraints: [{maxSkew: 1, topologyKey: no-such-label, whenUnsatisfiable: \
                 DoNotSchedule, labelSelector: {matchLabels: {app: spread}}}]\n",
            ),
            "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).",
        ),
    ] {
        kubectl.apply(&manifest)?;
        waits(kubectl, name, why)?;
    }
    // The label arrives, and with it the pod's place.
    let node = kubectl.ok(&["get", "nodes", "-o", "name"]);
    kubectl.ok(&["label", node.trim(), "disk=fast"]);
    kubectl.ready("selector");
    kubectl.describes("selector", &["Successfully assigned reasons/selector to "])
}

/// The port is free as soon as its pod is gone from the API, also for the kubelet, whatever still ends behind it.
fn ports_of_the_node_are_given_once(kubectl: &Kubectl) -> anyhow::Result<()> {
    let port = "    ports: [{containerPort: 80, hostPort: 7777}]\n";
    kubectl.apply(&(pod("first", "") + port))?;
    kubectl.ready("first");
    kubectl.apply(&(pod("second", "") + port))?;
    let why = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    waits(kubectl, "second", why)?;
    kubectl.ok(&["delete", "pod", "first"]);
    kubectl.ready("second");
    Ok(())
}

fn pods_keep_away_from_each_other(kubectl: &Kubectl) -> anyhow::Result<()> {
    let terms = |kind: &str, app: &str| {
        format!(
            "  affinity: {{{kind}: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: \
             kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: {app}}}}}}}]}}}}\n"
        )
    };
    kubectl.apply(&pod("lonely", &terms("podAntiAffinity", "lonely")))?;
    kubectl.ready("lonely");
    kubectl.apply(&pod("away", &terms("podAntiAffinity", "lonely")))?;
    waits(kubectl, "away", "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.")?;
    kubectl.apply(&pod("friend", &terms("podAffinity", "nobody")))?;
    waits(kubectl, "friend", "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.")?;
    kubectl.ok(&["run", "nobody", "--image=busybox:1.28", "--labels=app=nobody", "--", "sleep", "3600"]);
    kubectl.ready("friend");
    Ok(())
}

fn gates_hold_a_pod_back(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&pod("gated", "  schedulingGates: [{name: example.com/gate}]\n"))?;
    eventually("the gate is shown", || {
        let shown = kubectl.ok(&["get", "pod", "gated"]);
        ensure!(shown.contains("SchedulingGated"), "{shown}");
        Ok(())
    })?;
    let pod = kubectl.json(&["get", "pod", "gated"]);
    let condition = &pod["status"]["conditions"][0];
    ensure!(
        condition["reason"] == "SchedulingGated"
            && condition["message"] == "Scheduling is blocked due to non-empty scheduling gates",
        "{condition}"
    );
    kubectl.ok(&["patch", "pod", "gated", "--type=json", "-p", r#"[{"op":"remove","path":"/spec/schedulingGates"}]"#]);
    kubectl.ready("gated");
    Ok(())
}

const CLASSES: &str = r#"
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: urgent}
value: 1000
description: first of all
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: usual}
value: 10
globalDefault: true
preemptionPolicy: Never
"#;

fn classes_give_priorities(kubectl: &Kubectl) -> anyhow::Result<()> {
    let classes = kubectl.ok(&["get", "priorityclasses"]);
    for (name, value) in [("system-cluster-critical", "2000000000"), ("system-node-critical", "2000001000")] {
        ensure!(classes.lines().any(|line| line.starts_with(name) && line.contains(value)), "{classes}");
    }
    kubectl.apply(CLASSES)?;
    for (name, spec, priority, policy) in
        [("urgent", "  priorityClassName: urgent\n", 1000, "PreemptLowerPriority"), ("usual", "", 10, "Never")]
    {
        kubectl.apply(&pod(name, spec))?;
        let pod = kubectl.json(&["get", "pod", name]);
        ensure!(
            pod["spec"]["priority"] == priority
                && pod["spec"]["preemptionPolicy"] == policy
                && pod["spec"]["priorityClassName"] == name,
            "{}",
            pod["spec"]
        );
    }
    let refused = kubectl.run_with(&["apply", "-f", "-"], &pod("none", "  priorityClassName: nope\n"))?;
    let why = "pods \"none\" is forbidden: no PriorityClass with name nope was found";
    ensure!(!refused.success && refused.err.contains(why), "{}", refused.err);
    kubectl.ok(&["delete", "priorityclass", "urgent", "usual"]);
    Ok(())
}

fn a_node_is_tainted(kubectl: &Kubectl) -> anyhow::Result<()> {
    let nodes = kubectl.ok(&["get", "nodes", "-o", "name"]);
    let node = nodes.trim();
    kubectl.apply(&pod("stays", "  tolerations: [{key: evict, operator: Exists}]\n"))?;
    kubectl.apply(&pod("leaves", ""))?;
    kubectl.ready("stays");
    kubectl.ready("leaves");
    kubectl.ok(&["taint", "nodes", node.trim_start_matches("node/"), "dedicated=x:NoSchedule"]);
    kubectl.apply(&pod("refused", ""))?;
    waits(kubectl, "refused", "0/1 nodes are available: 1 node(s) had untolerated taint(s).")?;
    kubectl.apply(&pod("tolerates", "  tolerations: [{key: dedicated, value: x, effect: NoSchedule}]\n"))?;
    kubectl.ready("tolerates");
    kubectl.ok(&["taint", "nodes", node.trim_start_matches("node/"), "dedicated-"]);
    kubectl.ready("refused");

    kubectl.ok(&["taint", "nodes", node.trim_start_matches("node/"), "evict=now:NoExecute"]);
    kubectl.ok(&["wait", "--for=delete", "pod/leaves", "pod/refused", "pod/tolerates", "--timeout=60s"]);
    kubectl.ok(&["taint", "nodes", node.trim_start_matches("node/"), "evict-"]);
    kubectl.ready("stays");
    Ok(())
}

fn a_node_is_cordoned_and_drained(kubectl: &Kubectl) -> anyhow::Result<()> {
    let nodes = kubectl.ok(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    let node = nodes.as_str();
    kubectl.ok(&["create", "deployment", "web", "--image=docker.io/jocatalin/kubernetes-bootcamp:v1", "--replicas=2"]);
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    ensure!(kubectl.ok(&["cordon", node]) == format!("node/{node} cordoned\n"));
    let shown = kubectl.ok(&["get", "nodes"]);
    ensure!(shown.contains("Ready,SchedulingDisabled"), "{shown}");
    kubectl.apply(&pod("late", ""))?;
    waits(kubectl, "late", "0/1 nodes are available: 1 node(s) were unschedulable.")?;
    let before = kubectl.ok(&["get", "pods", "-l", "app=web", "-o", "name"]);
    // Pods of this namespace only: those of other checks have nobody to bring them back.
    let drained = kubectl.ok(&["drain", node, "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=60s"]);
    ensure!(
        drained.contains("evicting pod drain/web-") && drained.ends_with(&format!("node/{node} drained\n")),
        "{drained}"
    );
    for name in before.lines() {
        ensure!(kubectl.fails(&["get", name]).contains("not found"), "{name} is still there");
    }
    ensure!(kubectl.ok(&["uncordon", node]) == format!("node/{node} uncordoned\n"));
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.ready("late");
    Ok(())
}
