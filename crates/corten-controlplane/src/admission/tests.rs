use corten_apimachinery::value::Value;
use corten_client::PatchKind;
use serde_json::json;

use super::{
    default_storage_class::{default_of, has_class},
    default_toleration_seconds::add_tolerations,
    priority::resolve,
    service_account,
    taint_nodes_by_condition::taint,
};
use crate::testing::{Cluster, admin, tree};

#[test]
fn a_pod_tolerates_a_lost_node_for_five_minutes() {
    let lost = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let (not_ready, unreachable) = (lost("node.kubernetes.io/not-ready"), lost("node.kubernetes.io/unreachable"));
    let own = json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"});
    for (given, want) in [
        (json!([]), json!([not_ready, unreachable])),
        (json!([own]), json!([own, unreachable])),
        (json!([{"operator": "Exists"}]), json!([{"operator": "Exists"}])),
        (
            json!([{"operator": "Exists", "effect": "NoSchedule"}]),
            json!([{"operator": "Exists", "effect": "NoSchedule"}, not_ready, unreachable]),
        ),
    ] {
        let mut pod = tree(json!({"spec": {"tolerations": given}}));
        add_tolerations(&mut pod);
        assert_eq!(pod.at(&["spec", "tolerations"]), Some(&tree(want)), "{given}");
    }
}

#[test]
fn a_new_node_takes_no_pods_until_it_is_ready() {
    let own = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    let other = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"});
    for (given, want) in
        [(json!([]), json!([own])), (json!([own]), json!([own])), (json!([other]), json!([other, own]))]
    {
        let mut node = tree(json!({"spec": {"taints": given}}));
        taint(&mut node);
        assert_eq!(node.at(&["spec", "taints"]), Some(&tree(want)), "{given}");
    }
}

#[test]
fn the_newest_default_class_is_the_default() {
    let class = |name: &str, day: u8, is_default: &str| {
        let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default});
        let created = format!("2026-01-0{day}T00:00:00Z");
        tree(json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}}))
    };
    let classes = [class("c", 1, "true"), class("b", 2, "true"), class("a", 2, "true"), class("n", 3, "false")];
    assert_eq!(default_of(&classes), Some("a"));
    assert_eq!(default_of(&classes[3..]), None);
    assert!(!has_class(&tree(json!({"spec": {}}))));
    assert!(has_class(&tree(json!({"spec": {"storageClassName": ""}}))), "no class at all");
    let annotations = json!({"volume.beta.kubernetes.io/storage-class": "x"});
    assert!(has_class(&tree(json!({"metadata": {"annotations": annotations}}))));
}

#[test]
fn a_pods_priority_is_its_classs() {
    let class = tree(json!({"metadata": {"name": "high"}, "value": 10, "preemptionPolicy": "Never"}));
    let check = |pod: serde_json::Value, class: Option<&Value>, want: Result<serde_json::Value, &str>| {
        let mut pod = tree(json!({"spec": pod}));
        let got = resolve(&mut pod, class).map(|()| pod.get("spec").cloned().unwrap());
        assert_eq!(got, want.map(tree).map_err(str::to_owned));
    };
    check(json!({}), None, Ok(json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"})));
    check(
        json!({"priorityClassName": "high"}),
        Some(&class),
        Ok(json!({"priority": 10, "preemptionPolicy": "Never", "priorityClassName": "high"})),
    );
    check(
        json!({"priority": 5}),
        Some(&class),
        Err(
            "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed \
             10 from the given PriorityClass name",
        ),
    );
}

#[test]
fn every_container_gets_the_token_once() {
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut pod = tree(json!({"spec": {
        "initContainers": [{"name": "i"}],
        "containers": [{"name": "a", "volumeMounts": [{"name": "own", "mountPath": path}]}, {"name": "b"}],
    }}));
    service_account::mount_token(&mut pod, "kube-api-access-x");
    let mount = json!({"name": "kube-api-access-x", "readOnly": true, "mountPath": path});
    assert_eq!(
        pod,
        tree(json!({"spec": {
            "initContainers": [{"name": "i", "volumeMounts": [mount]}],
            "containers": [
                {"name": "a", "volumeMounts": [{"name": "own", "mountPath": path}]},
                {"name": "b", "volumeMounts": [mount]},
            ],
            "volumes": [{"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ]}}],
        }}))
    );
}

#[test]
fn the_pod_decides_about_its_token_before_its_account() {
    for (pod, account, want) in [
        (json!({}), json!({}), true),
        (json!({}), json!({"automountServiceAccountToken": false}), false),
        (json!({"automountServiceAccountToken": true}), json!({"automountServiceAccountToken": false}), true),
        (json!({"automountServiceAccountToken": false}), json!({}), false),
    ] {
        let pod = tree(json!({"spec": pod}));
        assert_eq!(service_account::automounts(&pod, &tree(account)), want, "{pod:?}");
    }
}

#[test]
fn an_account_can_keep_its_pods_from_other_secrets() {
    let account = tree(json!({"metadata": {"name": "robot"}, "secrets": [{"name": "s"}]}));
    let check = |spec: serde_json::Value, want: Option<&str>| {
        let got = service_account::check_secrets(&tree(json!({"spec": spec})), &account);
        assert_eq!(got.err().as_deref(), want, "{spec}");
    };
    check(json!({"volumes": [{"secret": {"secretName": "s"}}]}), None);
    check(
        json!({"volumes": [{"secret": {"secretName": "t"}}]}),
        Some(
            "volume with secret.secretName=\"t\" is not allowed because service account robot does not reference that \
              secret",
        ),
    );
    check(
        json!({"containers": [{"name": "c", "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "t"}}}]}]}),
        Some(
            "container c with envVar E referencing secret.secretName=\"t\" is not allowed because service account \
              robot does not reference that secret",
        ),
    );
    check(
        json!({"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "s"}}, {"secretRef": {"name": "t"}}]}]}),
        Some(
            "init container i with envFrom referencing secret.secretName=\"t\" is not allowed because service account \
              robot does not reference that secret",
        ),
    );
    check(
        json!({"imagePullSecrets": [{"name": "t"}]}),
        Some(
            "imagePullSecrets[0].name=\"t\" is not allowed because service account robot does not reference that \
              imagePullSecret",
        ),
    );
}

/// Only new pods were looked at: a container that is added to one later had any secret.
#[tokio::test]
async fn an_account_keeps_containers_that_are_added_from_other_secrets_too() {
    let cluster = Cluster::start().await;
    let post = |path: &str, object: serde_json::Value| cluster.post(admin(), path.to_owned(), object);
    let annotations = json!({"kubernetes.io/enforce-mountable-secrets": "true"});
    let account = json!({"metadata": {"name": "robot", "annotations": annotations}, "secrets": [{"name": "s"}]});
    post("/api/v1/namespaces/default/serviceaccounts", account).await.unwrap();
    let containers = json!([{"name": "c", "image": "i"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "robot", "containers": containers}});
    post("/api/v1/namespaces/default/pods", pod).await.unwrap();
    let added = |secret: &str| {
        let added = json!([{"name": "e", "image": "i", "envFrom": [{"secretRef": {"name": secret}}]}]);
        let patch = json!({"spec": {"ephemeralContainers": added}});
        let path = "/api/v1/namespaces/default/pods/p/ephemeralcontainers";
        cluster.patch(admin(), path, PatchKind::Strategic, patch)
    };
    assert_eq!(
        added("t").await.unwrap_err().message,
        "pods \"p\" is forbidden: ephemeral container e with envFrom referencing secret.secretName=\"t\" is not allowed \
         because service account robot does not reference that secret"
    );
    added("s").await.unwrap();
}

#[tokio::test]
async fn classes_of_the_system_stay() {
    let cluster = Cluster::start().await;
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical";
    assert_eq!(
        cluster.delete(admin(), path).await.unwrap_err().message,
        "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority class and \
         cannot be deleted"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_is_missing_or_going_away() {
    let cluster = Cluster::start().await;
    let config_map = || json!({"metadata": {"name": "c"}});
    let make =
        |namespace: &str| cluster.post(admin(), format!("/api/v1/namespaces/{namespace}/configmaps"), config_map());
    assert_eq!(make("none").await.unwrap_err().message, "namespaces \"none\" not found");
    cluster.post(admin(), "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.unwrap();
    make("n").await.unwrap();
    cluster.delete(admin(), "/api/v1/namespaces/n").await.unwrap();
    let refused =
        cluster.post(admin(), "/api/v1/namespaces/n/configmaps", json!({"metadata": {"name": "d"}})).await.unwrap_err();
    assert_eq!(
        refused.message,
        "configmaps \"d\" is forbidden: unable to create new content in namespace n because it is being terminated"
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!(
        (cause.reason.as_str(), cause.message.as_str(), cause.field.as_str()),
        ("NamespaceTerminating", "namespace n is being terminated", "metadata.namespace")
    );
    let refused = cluster.delete(admin(), "/api/v1/namespaces/kube-system").await.unwrap_err();
    assert_eq!(refused.message, "namespaces \"kube-system\" is forbidden: this namespace may not be deleted");
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_without_an_account_of_its_own_runs_as_the_default_one() {
    let cluster = Cluster::start().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]});
    cluster.post(admin(), accounts, account).await.unwrap();
    let pod = |spec: serde_json::Value| {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        cluster.post(admin(), "/api/v1/namespaces/default/pods", pod)
    };
    let refused = pod(json!({"serviceAccountName": "other"})).await.unwrap_err();
    assert_eq!(
        refused.message,
        "pods \"p\" is forbidden: error looking up service account default/other: serviceaccount \"other\" not found"
    );
    let refused = pod(json!({"priorityClassName": "none"})).await.unwrap_err();
    assert_eq!(refused.message, "pods \"p\" is forbidden: no PriorityClass with name none was found");
    let made = pod(json!({"priorityClassName": "system-node-critical"})).await.unwrap();
    assert_eq!(made.str_at(&["spec", "serviceAccountName"]), Some("default"));
    assert_eq!(made.str_at(&["spec", "serviceAccount"]), Some("default"));
    assert_eq!(made.i64_at(&["spec", "priority"]), Some(2_000_001_000));
    assert_eq!(made.items_at(&["spec", "imagePullSecrets"]), [tree(json!({"name": "pull"}))]);
    assert!(made.items_at(&["spec", "volumes"])[0].str_at(&["name"]).unwrap().starts_with("kube-api-access-"));
    cluster.stop().await;
}
