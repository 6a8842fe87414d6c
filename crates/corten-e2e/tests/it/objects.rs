//! What people do with objects: explain, dry runs, differences, selectors, wide tables, roll-outs, versions.

mod wire;

use anyhow::{Context as _, ensure};
use corten_e2e::{Cluster, Kubectl, eventually, side_by_side};
use serde_json::{Value, json};

#[test]
fn people_work_with_objects() {
    let cluster = Cluster::start().unwrap();
    let checks = side_by_side(
        &cluster.kubectl().unwrap(),
        &[
            ("explain", fields_are_explained),
            ("dry-run", a_dry_run_changes_nothing),
            ("selectors", objects_are_selected),
            ("rollouts", a_rollout_is_paused_resumed_and_undone),
            ("versions", old_writers_lose),
            ("services", services_get_addresses_and_keep_them),
            ("events", events_are_told),
            ("eviction", a_pod_is_evicted),
            ("web-socket", wire::a_watch_comes_over_a_web_socket),
            ("deletions", wire::a_deletion_answers_with_the_object),
            ("new-events", wire::new_events_are_selected_by_their_own_names),
            ("scale", wire::a_scale_is_patched_while_others_write),
            ("strict", wire::a_strict_patch_says_all_that_is_wrong),
            ("forms", wire::what_has_no_such_form_is_refused),
            ("runtime-class", wire::a_runtime_class_is_part_of_its_pods),
            ("components", wire::components_tell_their_health),
        ],
    );
    if let Err(error) = checks {
        panic!("{error:?}");
    }
}

fn fields_are_explained(kubectl: &Kubectl) -> anyhow::Result<()> {
    for (path, wanted) in [
        (
            "pods",
            &["KIND:       Pod", "VERSION:    v1", "Specification of the desired behavior of the pod."] as &[&str],
        ),
        ("deployment.spec.strategy.rollingUpdate.maxSurge", &["GROUP:      apps", "FIELD: maxSurge <IntOrString>"]),
        ("pod.spec.containers.livenessProbe.httpGet.port", &["FIELD: port <IntOrString>"]),
        ("pod.spec.containers", &["FIELD: containers <[]Container>", "  name\t<string> -required-"]),
        ("rolebinding.roleRef", &["GROUP:      rbac.authorization.k8s.io", "FIELD: roleRef <RoleRef>"]),
    ] {
        let said = kubectl.ok(&["explain", path]);
        for want in wanted {
            ensure!(said.contains(want), "no {want:?}: {said}");
        }
    }
    let said = kubectl.fails(&["explain", "pods.spec.colour"]);
    ensure!(said.contains("field \"colour\" does not exist"), "{said}");
    let all = kubectl.ok(&["explain", "pods", "--recursive"]);
    ensure!(all.contains("terminationGracePeriodSeconds\t<integer>"), "{all}");
    Ok(())
}

const MAP: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"map"},"data":{"a":"1"}}"#;

fn a_dry_run_changes_nothing(kubectl: &Kubectl) -> anyhow::Result<()> {
    let run = |arguments: &[&str], input: &str| kubectl.run_with(arguments, input);
    let diff = |input: &str| -> anyhow::Result<std::process::Output> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("map.json");
        std::fs::write(&file, input)?;
        let mut command = kubectl.command(&["diff", "-f", &file.display().to_string()]);
        // It calls the system's own `diff`.
        Ok(command.env("PATH", "/usr/bin:/bin").output()?)
    };
    let made = run(&["create", "--dry-run=server", "-f", "-", "-o", "json"], MAP)?;
    let object: Value = serde_json::from_str(&made.out)?;
    ensure!(object["metadata"]["uid"].is_string() && object["metadata"]["namespace"] == "dry-run", "{object}");
    ensure!(kubectl.fails(&["get", "configmap", "map"]).contains("not found"));
    kubectl.apply(MAP)?;
    let changed = MAP.replace(r#""a":"1""#, r#""a":"2""#);
    let differs = diff(&changed)?;
    let text = String::from_utf8(differs.stdout)?;
    ensure!(differs.status.code() == Some(1) && text.contains("-  a: \"1\"\n+  a: \"2\"\n"), "{text}");
    let same = diff(MAP)?;
    ensure!(same.status.success() && same.stdout.is_empty(), "{same:?}");
    kubectl.ok(&["delete", "configmap", "map", "--dry-run=server"]);
    kubectl.ok(&["patch", "configmap", "map", "--dry-run=server", "-p", r#"{"data":{"a":"3"}}"#]);
    ensure!(kubectl.ok(&["get", "configmap", "map", "-o", "jsonpath={.data.a}"]) == "1");
    Ok(())
}

fn objects_are_selected(kubectl: &Kubectl) -> anyhow::Result<()> {
    for (name, labels) in [("a", "tier=front,size=s"), ("b", "tier=back,size=m"), ("c", "size=l"), ("d", "tier=front")]
    {
        kubectl.ok(&["run", name, "--image=web:1", &format!("--labels={labels}")]);
    }
    for (flag, want) in [
        ("--selector=tier=front", "a d"),
        ("--selector=tier!=front", "b c"),
        ("--selector=tier in (front,back),size", "a b"),
        ("--selector=!tier", "c"),
        ("--selector=size notin (s,m),tier", "d"),
        ("--field-selector=metadata.name=b", "b"),
        ("--field-selector=metadata.name!=b,status.phase=Pending", "a c d"),
        ("--field-selector=spec.nodeName=", "a b c d"),
        ("--sort-by=.metadata.labels.size", "d c b a"),
    ] {
        let found = kubectl.ok(&["get", "pods", flag, "-o", "jsonpath={.items[*].metadata.name}"]);
        ensure!(found == want, "{flag}: {found}");
    }
    let wide = kubectl.ok(&["get", "pods", "-o", "wide", "--show-labels"]);
    let head: Vec<&str> = wide.lines().next().unwrap_or_default().split_whitespace().collect();
    let want = "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES LABELS";
    ensure!(head.join(" ") == want && wide.contains("size=s,tier=front"), "{wide}");
    let columns = kubectl.ok(&["get", "pods", "-L", "tier", "--no-headers", "-l", "size=m"]);
    ensure!(columns.trim_end().ends_with("back"), "{columns}");
    kubectl.ok(&["delete", "pods", "-l", "tier"]);
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"]) == "pod/c\n");
    kubectl.ok(&["delete", "pods", "--all"]);
    ensure!(kubectl.ok(&["get", "pods", "-o", "name"]).is_empty());
    Ok(())
}

fn a_rollout_is_paused_resumed_and_undone(kubectl: &Kubectl) -> anyhow::Result<()> {
    let deployment = "deployment/web";
    let sets = |count: usize| {
        eventually("the sets are made", || {
            let sets = kubectl.ok(&["get", "replicasets", "-o", "name"]);
            ensure!(sets.lines().count() == count, "{sets}");
            Ok(())
        })
    };
    kubectl.ok(&["create", "deployment", "web", "--image=web:1"]);
    sets(1)?;
    kubectl.ok(&["rollout", "pause", deployment]);
    kubectl.ok(&["set", "image", deployment, "web=web:2"]);
    kubectl.ok(&["set", "env", deployment, "COLOR=red"]);
    eventually("the controller has seen it", || {
        let object = kubectl.json(&["get", "deployment", "web"]);
        ensure!(object["status"]["observedGeneration"] == object["metadata"]["generation"], "{}", object["status"]);
        Ok(())
    })?;
    sets(1)?;
    kubectl.ok(&["rollout", "resume", deployment]);
    sets(2)?;
    kubectl.ok(&["annotate", deployment, "kubernetes.io/change-cause=a new color"]);
    eventually("the history knows the cause", || {
        let history = kubectl.ok(&["rollout", "history", deployment]);
        ensure!(history.contains("2         a new color") && history.contains("1         <none>"), "{history}");
        Ok(())
    })?;
    let second = kubectl.ok(&["rollout", "history", deployment, "--revision=2"]);
    ensure!(second.contains("web:2") && second.contains("COLOR:\tred"), "{second}");
    ensure!(kubectl.ok(&["rollout", "undo", deployment, "--to-revision=1"]).contains("rolled back"));
    let image = kubectl.ok(&["get", deployment, "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    ensure!(image == "web:1", "{image}");
    kubectl.ok(&["rollout", "restart", deployment]);
    sets(3)?;
    eventually("the status is said", || {
        let status = kubectl.ok(&["rollout", "status", deployment, "--watch=false"]);
        ensure!(status.contains("Waiting for deployment \"web\" rollout to finish"), "{status}");
        Ok(())
    })?;
    kubectl.ok(&["delete", deployment]);
    Ok(())
}

fn old_writers_lose(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(MAP)?;
    let mut old = kubectl.json(&["get", "configmap", "map"]);
    kubectl.ok(&["label", "configmap", "map", "seen=yes"]);
    old["data"]["a"] = json!("9");
    let refused = kubectl.run_with(&["replace", "-f", "-"], &old.to_string())?;
    let why = "Error from server (Conflict): error when replacing \"STDIN\": Operation cannot be fulfilled on configmaps \
               \"map\": the object has been modified; please apply your changes to the latest version and try again";
    ensure!(!refused.success && refused.err.contains(why), "{}", refused.err);
    let refused = kubectl.fails(&["get", "--raw", "/api/v1/namespaces/versions/configmaps?limit=1&continue=nonsense"]);
    ensure!(refused.contains("continue key is not valid"), "{refused}");
    let bookmarks = "/api/v1/namespaces/versions/configmaps?watch=1&timeoutSeconds=1&sendInitialEvents=true\
                     &allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let seen = kubectl.ok(&["get", "--raw", bookmarks]);
    let events: Vec<Value> = seen.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(
        events.iter().any(|event| event["type"] == "ADDED" && event["object"]["metadata"]["name"] == "map"),
        "{seen}"
    );
    let bookmark = events.iter().find(|event| event["type"] == "BOOKMARK");
    ensure!(
        bookmark.is_some_and(|event| event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"),
        "{seen}"
    );
    Ok(())
}

fn service(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

fn services_get_addresses_and_keep_them(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&service("one", "type: NodePort, ports: [{port: 80, nodePort: 31234}]"))?;
    let one = kubectl.json(&["get", "service", "one"])["spec"].clone();
    let address: std::net::Ipv4Addr = one["clusterIP"].as_str().context("an address")?.parse()?;
    // The default range is 10.96.0.0/12.
    ensure!(address.to_bits() >> 20 == 0x0a6, "{address}");
    for (what, spec, why) in [
        ("a port twice", "type: NodePort, ports: [{port: 80, nodePort: 31234}]", "provided port is already allocated"),
        (
            "a low port",
            "type: NodePort, ports: [{port: 80, nodePort: 80}]",
            "provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            "a strange address",
            "clusterIP: 192.0.2.1, ports: [{port: 80}]",
            "failed to allocate IP 192.0.2.1: the provided network does not match the current range",
        ),
        (
            "an address twice",
            &format!("clusterIP: {}, ports: [{{port: 80}}]", one["clusterIP"]),
            "provided IP is already allocated",
        ),
    ] {
        let refused = kubectl.run_with(&["create", "-f", "-"], &service("two", spec))?;
        ensure!(!refused.success && refused.err.contains(why), "{what}: {}", refused.err);
    }
    let moved = kubectl.fails(&["patch", "service", "one", "-p", r#"{"spec":{"clusterIP":"10.96.3.3"}}"#]);
    ensure!(moved.contains("may not change once set"), "{moved}");
    kubectl.ok(&["delete", "service", "one"]);
    kubectl.apply(&service("two", "type: NodePort, ports: [{port: 80, nodePort: 31234}]"))?;
    Ok(())
}

fn events_are_told(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=1"]);
    for (object, reason, message) in [
        ("deployment/web", "ScalingReplicaSet", "Scaled up replica set web-"),
        ("replicaset", "SuccessfulCreate", "Created pod: web-"),
    ] {
        eventually(reason, || {
            let kind = object.split('/').next().unwrap_or_default();
            let events = kubectl.ok(&["events", "--types=Normal"]);
            let line = events.lines().find(|line| line.contains(reason) && line.to_lowercase().contains(kind));
            ensure!(line.is_some_and(|line| line.contains(message)), "{events}");
            Ok(())
        })?;
    }
    eventually("the scheduler tells that there is no node", || {
        let events = kubectl.ok(&["get", "events", "--field-selector=reason=FailedScheduling"]);
        ensure!(events.contains("no nodes available to schedule pods"), "{events}");
        Ok(())
    })
}

fn a_pod_is_evicted(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["run", "p", "--image=web:1"]);
    let path = format!("/api/v1/namespaces/{}/pods/p/eviction", kubectl.namespace());
    // Clients of old send the version before.
    for (version, is_dry) in [("policy/v1beta1", true), ("policy/v1", false)] {
        let options = if is_dry { json!({"dryRun": ["All"]}) } else { json!({}) };
        let eviction =
            json!({"apiVersion": version, "kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": options});
        let evicted = kubectl.run_with(&["create", "--raw", &path, "-f", "-"], &eviction.to_string())?;
        ensure!(evicted.success && evicted.out.contains("\"Success\""), "{evicted:?}");
    }
    ensure!(kubectl.fails(&["get", "pod", "p"]).contains("not found"));
    Ok(())
}
