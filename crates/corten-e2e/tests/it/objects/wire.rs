//! What programs ask of the API besides what kubectl does: forms, selectors, answers and watches on the wire.

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Message, Proxy, eventually};
use serde_json::{Value, json};

const MERGE: &str = "Content-Type: application/merge-patch+json";

fn parsed(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).with_context(|| format!("read {text:?} as JSON"))
}

pub(super) fn a_watch_comes_over_a_web_socket(kubectl: &Kubectl) -> anyhow::Result<()> {
    let proxy = Proxy::start(kubectl)?;
    let path = format!("/api/v1/namespaces/{}/configmaps", kubectl.namespace());
    let mut watch = proxy.web_socket(&format!("{path}?watch=1&fieldSelector=metadata.name=seen"), "")?;
    kubectl.ok(&["create", "configmap", "seen"]);
    kubectl.ok(&["label", "configmap", "seen", "a=b"]);
    kubectl.ok(&["delete", "configmap", "seen"]);
    for want in ["ADDED", "MODIFIED", "DELETED"] {
        let Some(Message::Text(event)) = watch.receive()? else { anyhow::bail!("{want} is no text") };
        let event = parsed(&event)?;
        ensure!(event["type"] == want && event["object"]["metadata"]["name"] == "seen", "{want}: {event}");
    }
    Ok(())
}

/// Typed clients read the answer as the object that upstream sends.
pub(super) fn a_deletion_answers_with_the_object(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "configmap", "a"]);
    kubectl.ok(&["create", "service", "clusterip", "a", "--tcp=80"]);
    kubectl.ok(&["create", "serviceaccount", "a"]);
    kubectl.ok(&["run", "a", "--image=web:1"]);
    for (plural, kind) in
        [("configmaps", "Status"), ("services", "Service"), ("serviceaccounts", "ServiceAccount"), ("pods", "Pod")]
    {
        let path = format!("/api/v1/namespaces/{}/{plural}/a?gracePeriodSeconds=0", kubectl.namespace());
        let answer = parsed(&kubectl.ok(&["delete", "--raw", &path]))?;
        ensure!(answer["kind"] == kind, "{plural}: {answer}");
    }
    Ok(())
}

pub(super) fn new_events_are_selected_by_their_own_names(kubectl: &Kubectl) -> anyhow::Result<()> {
    let space = kubectl.namespace();
    let event = |name: &str, controller: &str| {
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name, "namespace": space},
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": controller, "reportingInstance": "i",
            "action": "Do", "reason": "R", "type": "Normal",
            "regarding": {"kind": "Pod", "namespace": space, "name": name},
        })
    };
    for event in [event("a", "mine"), event("b", "other")] {
        let made = kubectl.run_with(&["create", "-f", "-"], &event.to_string())?;
        ensure!(made.success, "{}", made.err);
    }
    let list = |group: &str, selector: &str| {
        kubectl.ok(&["get", "--raw", &format!("{group}/namespaces/{space}/events?fieldSelector={selector}")])
    };
    for selector in ["reportingController=mine", "regarding.name=a", "regarding.kind=Pod,regarding.name=a"] {
        let found = parsed(&list("/apis/events.k8s.io/v1", selector))?;
        ensure!(found["kind"] == "EventList" && found["apiVersion"] == "events.k8s.io/v1", "{found}");
        let items = found["items"].as_array().context("items")?;
        ensure!(items.len() == 1 && items[0]["metadata"]["name"] == "a", "{selector}: {found}");
        ensure!(items[0].get("kind").is_none(), "the list says the kind for all: {found}");
    }
    let found = parsed(&list("/api/v1", "involvedObject.name=b"))?;
    ensure!(found["items"][0]["reportingComponent"] == "other", "{found}");
    Ok(())
}

/// A patch of the scale was refused whenever a controller had written the status in between.
pub(super) fn a_scale_is_patched_while_others_write(kubectl: &Kubectl) -> anyhow::Result<()> {
    const ROUNDS: usize = 40;
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=1"]);
    let proxy = Proxy::start(kubectl)?;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/web", kubectl.namespace());
    let patch = |path: &str, body: Value| {
        let (code, answer) = proxy.ask("PATCH", path, &[MERGE], &body.to_string())?;
        ensure!(code == 200, "{path}: {answer}");
        Ok(())
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..ROUNDS)
                .try_for_each(|round| patch(&path, json!({"metadata": {"annotations": {"round": round.to_string()}}})))
        });
        let scale = format!("{path}/scale");
        let scaled = (0..ROUNDS).try_for_each(|round| patch(&scale, json!({"spec": {"replicas": round % 3}})));
        let written = writer.join().map_err(|_| anyhow::anyhow!("panicked, see above"))?;
        scaled.and(written)
    })?;
    kubectl.ok(&["delete", "deployment", "web"]);
    Ok(())
}

pub(super) fn a_strict_patch_says_all_that_is_wrong(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=0"]);
    let proxy = Proxy::start(kubectl)?;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/web", kubectl.namespace());
    let strategic = "Content-Type: application/strategic-merge-patch+json";
    let doubled = r#"{"spec":{"paused":true,"paused":false,"colour":"red"}}"#;
    let why = "strict decoding error: duplicate field \"spec.paused\", unknown field \"spec.colour\"";
    for kind in [MERGE, strategic] {
        let (code, answer) = proxy.ask("PATCH", &format!("{path}?fieldValidation=Strict"), &[kind], doubled)?;
        let answer = parsed(&answer)?;
        let message = answer["message"].as_str().unwrap_or_default();
        let begin = " \"\" is invalid: patch: Invalid value: ";
        ensure!(code == 422 && message.starts_with(begin) && message.ends_with(why), "{kind}: {answer}");
    }
    let (code, answer) = proxy.ask("PATCH", &path, &[MERGE], doubled)?;
    ensure!(code == 200, "without asking for it: {answer}");
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new", "uid": "123"}});
    let path = format!("/api/v1/namespaces/{}/configmaps/new?fieldManager=m", kubectl.namespace());
    let apply = "Content-Type: application/apply-patch+yaml";
    let (code, answer) = proxy.ask("PATCH", &path, &[apply], &config.to_string())?;
    let why = "uid mismatch: the provided object specified uid 123, and no existing object was found";
    ensure!(code == 409 && answer.contains(why), "{answer}");
    Ok(())
}

pub(super) fn what_has_no_such_form_is_refused(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "configmap", "a"]);
    let proxy = Proxy::start(kubectl)?;
    let maps = format!("/api/v1/namespaces/{}/configmaps", kubectl.namespace());
    let form = |path: &str, form: &str| {
        proxy.ask("GET", path, &[&format!("Accept: application/json;as={form};v=v1;g=meta.k8s.io")], "")
    };
    for (path, wanted, code, text) in [
        (
            format!("{maps}/a"),
            "PartialObjectMetadataList",
            406,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
        ),
        (
            maps.clone(),
            "PartialObjectMetadata",
            406,
            "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
        ),
        (format!("{maps}/a"), "PartialObjectMetadata", 200, "\"kind\":\"PartialObjectMetadata\""),
        (maps.clone(), "PartialObjectMetadataList", 200, "\"kind\":\"PartialObjectMetadataList\""),
    ] {
        let (got, answer) = form(&path, wanted)?;
        ensure!(got == code && answer.contains(text), "{path} as {wanted}: {got} {answer}");
    }
    let watch = format!(
        "{maps}?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true\
         &resourceVersionMatch=NotOlderThan"
    );
    // Who begins with all there is has no use for rows.
    let (code, answer) = form(&watch, "Table")?;
    let why = "only the following media types are accepted: ";
    ensure!(code == 406 && answer.contains(why), "{code} {answer}");
    let (_, events) = form(&watch, "PartialObjectMetadata")?;
    let events: Vec<Value> = events.lines().map(parsed).collect::<Result<_, _>>()?;
    let bookmark = events.iter().find(|event| event["type"] == "BOOKMARK").context("a bookmark")?;
    let marked = &bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
    ensure!(marked == "true", "{bookmark}");
    Ok(())
}

pub(super) fn a_runtime_class_is_part_of_its_pods(kubectl: &Kubectl) -> anyhow::Result<()> {
    let name = format!("class-of-{}", kubectl.namespace());
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  runtimeClassName: {name}\n  containers: [{{name: c, \
         image: 'web:1'}}]\n"
    );
    let refused = kubectl.run_with(&["create", "-f", "-"], &pod)?;
    let why = format!("pods \"p\" is forbidden: pod rejected: RuntimeClass \"{name}\" not found");
    ensure!(!refused.success && refused.err.contains(&why), "{}", refused.err);
    kubectl.apply(&format!(
        "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {{name: {name}}}\nhandler: vm\noverhead: {{podFixed: \
         {{cpu: 250m}}}}\nscheduling: {{nodeSelector: {{vm: 'yes'}}}}\n"
    ))?;
    kubectl.apply(&pod)?;
    let spec = kubectl.json(&["get", "pod", "p"])["spec"].clone();
    ensure!(spec["overhead"] == json!({"cpu": "250m"}) && spec["nodeSelector"] == json!({"vm": "yes"}), "{spec}");
    let table = kubectl.ok(&["get", "runtimeclasses", &name]);
    let words: Vec<&str> = table.split_whitespace().take(5).collect();
    ensure!(words == ["NAME", "HANDLER", "AGE", &name, "vm"], "{table}");
    kubectl.ok(&["delete", "runtimeclass", &name]);
    Ok(())
}

pub(super) fn components_tell_their_health(kubectl: &Kubectl) -> anyhow::Result<()> {
    eventually("all components run", || {
        let output = kubectl.run(&["get", "componentstatuses"])?;
        ensure!(output.err.contains("Warning: v1 ComponentStatus is deprecated in v1.19+"), "{output:?}");
        let rows: Vec<Vec<&str>> = output.out.lines().map(|line| line.split_whitespace().collect()).collect();
        let well = |name| vec![name, "Healthy", "ok"];
        let head = vec!["NAME", "STATUS", "MESSAGE", "ERROR"];
        ensure!(rows == [head, well("controller-manager"), well("etcd-0"), well("scheduler")], "{output:?}");
        Ok(())
    })?;
    let one = kubectl.json(&["get", "componentstatus", "etcd-0"]);
    ensure!(one["conditions"][0]["type"] == "Healthy" && one["kind"] == "ComponentStatus", "{one}");
    Ok(())
}
