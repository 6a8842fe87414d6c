//! Service accounts, the published certificate authority, endpoints and endpoint slices on a control plane in memory.

use crate::harness::{Harness, core, key_of, namespace, node, target};
use corten_apimachinery::gvk::GroupVersionResource;
use corten_controllers::Config;
use corten_testkit::Cluster;
use serde_json::{Value, json};

fn slices() -> GroupVersionResource {
    GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices")
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 8080}]}]},
    })
}

fn service(name: &str, more: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {"tier": "front"}},
        "spec": {
            "clusterIP": "None", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    });
    for (key, value) in more.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    service
}

fn running(ip: &str, ready: bool) -> Value {
    let (ready, since) = if ready { ("True", "2026-01-01T00:00:07Z") } else { ("False", "2026-01-01T00:00:05Z") };
    json!({
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}],
    })
}

fn of_service<'a>(slices: &'a [Value], service: &str) -> Vec<&'a Value> {
    slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service).collect()
}

#[tokio::test]
async fn every_namespace_has_a_default_account_and_gets_it_back() {
    let harness = Harness::start(&["serviceaccount"]).await;
    let accounts = core("serviceaccounts");
    harness.wait_object(&accounts, "default/default", |_| true).await;
    harness.cluster.create(&core("namespaces"), namespace("team")).await;
    let first = harness.wait_object(&accounts, "team/default", |_| true).await;
    harness.delete(&accounts, "team/default").await;
    harness.wait_object(&accounts, "team/default", |again| again["metadata"]["uid"] != first["metadata"]["uid"]).await;
    harness.stop().await;
}

#[tokio::test]
async fn the_certificate_authority_is_published_and_repaired() {
    let config = Config { root_ca: "PEM".to_owned(), ..Config::default() };
    let harness = Harness::with(Cluster::start().await, &["root-ca-cert-publisher"], config);
    let maps = core("configmaps");
    let key = "default/kube-root-ca.crt";
    let map = harness.wait_object(&maps, key, |_| true).await;
    assert_eq!(map["data"], json!({"ca.crt": "PEM"}));
    assert!(map["metadata"]["annotations"]["kubernetes.io/description"].as_str().unwrap().starts_with("Contains a CA"));
    harness.patch(&maps, key, json!({"data": {"ca.crt": "forged", "more": "x"}})).await;
    harness.wait_object(&maps, key, |map| map["data"] == json!({"ca.crt": "PEM"})).await;
    harness.delete(&maps, key).await;
    harness.wait_object(&maps, key, |_| true).await;
    harness.stop().await;
}

#[tokio::test]
async fn slices_follow_pods_through_their_lives() {
    let harness = Harness::start(&["endpointslice-controller"]).await;
    let (pods, cluster) = (core("pods"), &harness.cluster);
    cluster.create(&core("services"), service("web", json!({}))).await;
    // Before there are pods, an empty slice says that the service was looked at.
    let placeholder = harness.wait(&slices(), |all| of_service(all, "web").first().cloned().cloned()).await;
    assert!(placeholder["endpoints"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(placeholder["metadata"]["ownerReferences"][0]["name"], "web");
    let labels = &placeholder["metadata"]["labels"];
    assert_eq!(
        *labels,
        json!({
            "tier": "front", "kubernetes.io/service-name": "web", "service.kubernetes.io/headless": "",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        })
    );

    let mut zoned = node("n1");
    zoned["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": "z1"});
    cluster.create(&core("nodes"), zoned).await;
    cluster.create(&pods, pod("a", "n1")).await;
    harness.patch_status(&pods, "default/a", running("10.0.0.1", false)).await;
    let conditions = |all: &[Value]| {
        let slices = of_service(all, "web");
        Some(slices.first()?["endpoints"][0]["conditions"].clone())
    };
    let wanted = |ready: bool, serving: bool, terminating: bool| {
        move |found: &Value| *found == json!({"ready": ready, "serving": serving, "terminating": terminating})
    };
    harness.wait(&slices(), |all| conditions(all).filter(wanted(false, false, false))).await;
    harness.patch_status(&pods, "default/a", running("10.0.0.1", true)).await;
    harness.wait(&slices(), |all| conditions(all).filter(wanted(true, true, false))).await;
    let all = harness.wait(&slices(), |all| Some(all.to_vec())).await;
    let slice = of_service(&all, "web")[0];
    assert_eq!(slice["metadata"]["name"], placeholder["metadata"]["name"], "the placeholder is written over");
    assert_eq!(
        slice["metadata"]["annotations"]["endpoints.kubernetes.io/last-change-trigger-time"],
        "2026-01-01T00:00:07Z"
    );
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    let endpoint = &slice["endpoints"][0];
    assert_eq!(endpoint["addresses"], json!(["10.0.0.1"]));
    assert_eq!((&endpoint["nodeName"], &endpoint["zone"]), (&json!("n1"), &json!("z1")));
    assert_eq!(endpoint["targetRef"]["name"], "a");

    cluster.admin().delete(target(&pods, "default/a"), corten_testkit::tree(&json!({}))).await.unwrap();
    harness.wait(&slices(), |all| conditions(all).filter(wanted(false, true, true))).await;
    harness.delete(&pods, "default/a").await;
    harness.wait(&slices(), |all| conditions(all).filter(Value::is_null)).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_pod_is_published_when_its_node_is_known() {
    let harness = Harness::start(&["endpointslice-controller"]).await;
    let pods = core("pods");
    harness.cluster.create(&core("services"), service("web", json!({}))).await;
    harness.cluster.create(&pods, pod("a", "late")).await;
    harness.patch_status(&pods, "default/a", running("10.0.0.1", true)).await;
    harness.wait(&slices(), |all| (!of_service(all, "web").is_empty()).then_some(())).await;
    harness.cluster.create(&core("nodes"), node("late")).await;
    harness.wait(&slices(), |all| of_service(all, "web")[0]["endpoints"][0]["addresses"][0].as_str().map(drop)).await;
    harness.stop().await;
}

#[tokio::test]
async fn many_pods_fill_slices_of_a_hundred() {
    let harness = Harness::start(&["endpointslice-controller", "endpoints-controller"]).await;
    let pods = core("pods");
    harness.cluster.create(&core("nodes"), node("n1")).await;
    for number in 0..150 {
        let name = format!("p{number}");
        harness.cluster.create(&pods, pod(&name, "n1")).await;
        harness.patch_status(&pods, &format!("default/{name}"), running(&format!("10.0.1.{number}"), true)).await;
    }
    harness.cluster.create(&core("services"), service("web", json!({}))).await;
    let count = |slice: &Value| slice["endpoints"].as_array().map_or(0, Vec::len);
    let sizes = |all: &[Value]| {
        let mut sizes: Vec<usize> = of_service(all, "web").into_iter().map(count).collect();
        sizes.sort_unstable();
        sizes
    };
    harness.wait(&slices(), |all| (sizes(all) == [50, 100]).then_some(())).await;
    // One pod less changes one slice; the other is not written.
    let before = harness.wait(&slices(), |all| Some(all.to_vec())).await;
    harness.delete(&pods, "default/p0").await;
    let after = harness.wait(&slices(), |all| (sizes(all).iter().sum::<usize>() == 149).then(|| all.to_vec())).await;
    let version = |all: &[Value], key: &str| {
        all.iter().find(|slice| key_of(slice) == key).map(|slice| slice["metadata"]["resourceVersion"].clone())
    };
    let unchanged = before.iter().map(key_of).filter(|key| version(&before, key) == version(&after, key)).count();
    assert_eq!((before.len(), unchanged), (2, 1), "one slice is written and one is not");
    let addresses = |endpoints: &Value| endpoints["subsets"][0]["addresses"].as_array().map_or(0, Vec::len);
    harness.wait_object(&core("endpoints"), "default/web", |endpoints| addresses(endpoints) == 149).await;
    harness.stop().await;
}

#[tokio::test]
async fn endpoints_are_kept_and_go_with_their_service() {
    let harness = Harness::start(&["endpoints-controller"]).await;
    let (pods, endpoints) = (core("pods"), core("endpoints"));
    harness.cluster.create(&core("services"), service("web", json!({}))).await;
    let empty = harness.wait_object(&endpoints, "default/web", |_| true).await;
    assert_eq!(
        empty["metadata"]["labels"],
        json!({
            "tier": "front", "service.kubernetes.io/headless": "", "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        })
    );
    harness.cluster.create(&pods, pod("a", "n1")).await;
    harness.patch_status(&pods, "default/a", running("10.0.0.1", false)).await;
    harness
        .wait_object(&endpoints, "default/web", |endpoints| {
            endpoints["subsets"][0]["notReadyAddresses"][0]["ip"] == "10.0.0.1"
        })
        .await;
    harness.patch_status(&pods, "default/a", running("10.0.0.1", true)).await;
    let ready = harness
        .wait_object(&endpoints, "default/web", |endpoints| endpoints["subsets"][0]["addresses"][0]["ip"] == "10.0.0.1")
        .await;
    assert_eq!(ready["subsets"][0]["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(ready["subsets"][0]["addresses"][0]["targetRef"]["name"], "a");
    harness.delete(&endpoints, "default/web").await;
    harness.wait_object(&endpoints, "default/web", |again| again["metadata"]["uid"] != ready["metadata"]["uid"]).await;
    harness.delete(&core("services"), "default/web").await;
    harness.wait(&endpoints, |all| all.iter().all(|endpoints| key_of(endpoints) != "default/web").then_some(())).await;
    harness.stop().await;
}

#[tokio::test]
async fn cluster_roles_are_summed_up() {
    let harness = Harness::start(&["clusterrole-aggregation"]).await;
    let roles = GroupVersionResource::new("rbac.authorization.k8s.io", "v1", "clusterroles");
    // The roles that every cluster has come to their rules this way.
    harness.wait_object(&roles, "view", |role| role["rules"].as_array().is_some_and(|rules| rules.len() > 3)).await;
    let rule = json!({"verbs": ["get"], "apiGroups": ["acme.example"], "resources": ["rockets"]});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [rule],
        "metadata": {"name": "rockets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
    });
    harness.cluster.create(&roles, role).await;
    let has_rule = |role: &Value| role["rules"].as_array().is_some_and(|rules| rules.contains(&rule));
    harness.wait_object(&roles, "view", has_rule).await;
    // `edit` and `admin` sum up `view`.
    harness.wait_object(&roles, "admin", has_rule).await;
    harness.delete(&roles, "rockets").await;
    harness.wait_object(&roles, "admin", |role| !has_rule(role)).await;
    harness.stop().await;
}

#[tokio::test]
async fn endpoints_kept_by_hand_are_mirrored_into_slices() {
    let harness = Harness::start(&["endpointslice-mirroring-controller"]).await;
    let endpoints = core("endpoints");
    let mut by_hand = service("db", json!({}));
    by_hand["spec"]["selector"] = Value::Null;
    harness.cluster.create(&core("services"), by_hand).await;
    let object = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 5432}]}],
    });
    harness.cluster.create(&endpoints, object).await;
    let address = |all: &[Value]| of_service(all, "db").first().map(|slice| slice["endpoints"][0]["addresses"].clone());
    harness.wait(&slices(), |all| address(all).filter(|address| *address == json!(["192.0.2.7"]))).await;
    let changed = json!({"subsets": [{"addresses": [{"ip": "192.0.2.8"}], "ports": [{"port": 5432}]}]});
    harness.patch(&endpoints, "default/db", changed).await;
    harness.wait(&slices(), |all| address(all).filter(|address| *address == json!(["192.0.2.8"]))).await;
    harness.delete(&endpoints, "default/db").await;
    harness.wait(&slices(), |all| of_service(all, "db").is_empty().then_some(())).await;
    harness.stop().await;
}

#[tokio::test]
async fn secrets_for_tokens_are_filled_in_and_go_with_their_account() {
    let config = Config { root_ca: "pem".to_owned(), ..Config::default() };
    let harness = Harness::start_with(&["serviceaccount-token-controller"], config).await;
    let (accounts, secrets) = (core("serviceaccounts"), core("secrets"));
    let secret = |name: &str, account: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": name, "namespace": "default", "annotations": {"kubernetes.io/service-account.name": account},
            },
        })
    };
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}});
    let robot = harness.cluster.create(&accounts, account).await;
    harness.cluster.create(&secrets, secret("token", "robot")).await;
    let filled = harness.wait_object(&secrets, "default/token", |secret| !secret["data"]["token"].is_null()).await;
    // "pem" and "default".
    assert_eq!((&filled["data"]["ca.crt"], &filled["data"]["namespace"]), (&json!("cGVt"), &json!("ZGVmYXVsdA==")));
    let uid = &filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"];
    assert_eq!(uid, robot.uid.as_str());
    // A token is three parts of base64, and base64 again in the secret: its header begins with "{\"alg".
    assert!(filled["data"]["token"].as_str().unwrap().starts_with("ZXlKaGJHY2lP"), "{filled}");

    // Nobody is "nobody"; and the robot goes.
    harness.cluster.create(&secrets, secret("stray", "nobody")).await;
    harness.delete(&accounts, "default/robot").await;
    harness
        .wait(&secrets, |all| {
            let is_ours = |secret: &&Value| ["default/token", "default/stray"].contains(&&*key_of(secret));
            all.iter().find(is_ours).is_none().then_some(())
        })
        .await;
    harness.stop().await;
}

// A slice that a finalizer held was waited for as long as it lived: the service's endpoints stood still.
#[tokio::test]
async fn slices_follow_pods_while_an_old_slice_cannot_go() {
    let harness = Harness::start(&["endpointslice-controller"]).await;
    let (pods, cluster) = (core("pods"), &harness.cluster);
    cluster.create(&core("nodes"), node("n1")).await;
    cluster.create(&core("services"), service("web", json!({}))).await;
    cluster.create(&pods, pod("a", "n1")).await;
    harness.patch_status(&pods, "default/a", running("10.0.0.1", true)).await;
    // No owner: the controller takes it for a leftover.
    let held = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
        "metadata": {
            "name": "web-held", "namespace": "default", "finalizers": ["example.com/hold"],
            "labels": {
                "kubernetes.io/service-name": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
    });
    cluster.create(&slices(), held).await;
    let is_deleting = |slice: &Value| !slice["metadata"]["deletionTimestamp"].is_null();
    harness.wait_object(&slices(), "default/web-held", is_deleting).await;

    harness.patch_status(&pods, "default/a", running("10.0.0.1", false)).await;
    let is_unready = |slice: &&Value| slice["endpoints"][0]["conditions"]["ready"] == false;
    harness.wait(&slices(), |all| of_service(all, "web").into_iter().find(is_unready).map(drop)).await;
    harness.stop().await;
}
