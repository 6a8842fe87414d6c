//! An empty struct is a value: updates that set one change the object.
//!
//! It was taken for the absence of one, so immutable fields could be set to it (the anti-affinity of a pod went from matching
//! nothing to matching everything), and `metadata.generation` stayed what it was.
//! Upstream: `apiequality.Semantic`, with which rules and strategies compare (v1.35).

use corten_apimachinery::Value;
use serde_json::{Value as Json, json};

use super::*;

fn pod(spec: Json) -> Json {
    let mut pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = spec.as_object().cloned().unwrap_or_default();
    pod["spec"].as_object_mut().unwrap().extend(spec);
    pod
}

/// One object, what is done to it in turn, and what comes of it.
struct Case {
    path: String,
    object: Json,
    /// The patches: a list is a JSON patch, an object a merge patch. With each, the generation it leads to or a part of the
    /// refusal.
    patches: Vec<(Json, Result<i64, &'static str>)>,
}

impl Case {
    fn new(group: &str, plural: &str, object: Json, patches: &[(Json, Result<i64, &'static str>)]) -> Self {
        let root = if group == "v1" { "/api/v1".to_owned() } else { format!("/apis/{group}") };
        Self { path: format!("{root}/namespaces/default/{plural}"), object, patches: patches.to_vec() }
    }
}

async fn check(cluster: &Cluster, case: Case) {
    let Case { path, object, patches } = case;
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let at = &format!("{path}/{name}");
    cluster.post(admin(), &path, object).await.unwrap_or_else(|status| panic!("{path}: {status:?}"));
    for (patch, want) in patches {
        let kind = if patch.is_array() { PatchKind::Json } else { PatchKind::Merge };
        let answer = cluster.patch(admin(), at, kind, patch.clone()).await;
        match (answer, want) {
            (Ok(object), Ok(generation)) => {
                assert_eq!(object.i64_at(&["metadata", "generation"]).unwrap_or_default(), generation, "{at}: {patch}");
            }
            (Err(status), Err(part)) => {
                assert_eq!(status.code, 422, "{at}: {patch}: {status:?}");
                assert!(status.message.contains(part), "{at}: {patch}: {}", status.message);
            }
            (answer, want) => {
                panic!("{at}: {patch}: {:?}, and not {want:?}", answer.map(|object: Value| object.generation()))
            }
        }
    }
    cluster.delete(admin(), &format!("{at}?gracePeriodSeconds=0&propagationPolicy=Background")).await.unwrap();
}

#[tokio::test]
async fn an_empty_struct_is_a_change_of_what_must_not_change() {
    let cluster = Cluster::start().await;
    cluster.make_pod("first").await;
    let fields = "pod updates may not change fields other than";
    let add = |path: &str| json!([{"op": "add", "path": path, "value": {}}]);
    let term = "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
    let lonely = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]}});
    let forbidden: Result<i64, _> = Err(fields);
    let pods = [
        (add(&format!("{term}/labelSelector")), forbidden),
        (add(&format!("{term}/namespaceSelector")), forbidden),
        (json!({"spec": {"dnsConfig": {}}}), forbidden),
        (json!({"spec": {"securityContext": {"seLinuxOptions": {}}}}), forbidden),
        (add("/spec/containers/0/securityContext"), forbidden),
        // A slice or map that is not set is one without items.
        (json!({"spec": {"imagePullSecrets": [], "nodeSelector": {}, "hostAliases": []}}), Ok(1)),
        (json!({"metadata": {"labels": {}, "annotations": {}}}), Ok(1)),
    ];
    check(&cluster, Case::new("v1", "pods", pod(json!({"affinity": lonely})), &pods)).await;
    check(&cluster, Case::new("v1", "pods", pod(json!({})), &[(json!({"spec": {"affinity": {}}}), forbidden)])).await;
    let gate = json!({"schedulingGates": [{"name": "example.com/gate"}]});
    let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]});
    let node = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
    let gated = [(json!({"spec": {"affinity": {}}}), forbidden), (json!({"spec": {"affinity": node}}), Ok(2))];
    check(&cluster, Case::new("v1", "pods", pod(gate), &gated)).await;

    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let object = json!({"metadata": {"name": "x"}, "spec": claim});
    let immutable = Err("spec is immutable after creation");
    let path = "persistentvolumeclaims";
    check(&cluster, Case::new("v1", path, object, &[(json!({"spec": {"selector": {}}}), immutable)])).await;

    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let selector = json!({"matchLabels": {"a": "b"}});
    let spec = json!({"serviceName": "s", "selector": selector, "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": claim}]});
    let object = json!({"metadata": {"name": "x"}, "spec": spec});
    let fixed = Err("updates to statefulset spec for fields other than");
    let patch = add("/spec/volumeClaimTemplates/0/spec/selector");
    check(&cluster, Case::new("apps/v1", "statefulsets", object, &[(patch, fixed)])).await;

    let job = |suspend: bool, more: Json| {
        let mut pod = json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"});
        pod.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        json!({"metadata": {"name": "x"}, "spec": {"suspend": suspend, "template": {"spec": pod}}})
    };
    let affinity = |value: Json| json!({"spec": {"template": {"spec": {"affinity": value}}}});
    let policy = json!({"spec": {"podFailurePolicy": {"rules": []}, "podReplacementPolicy": "Failed"}});
    let field: Result<i64, _> = Err("field is immutable");
    let rows = [(policy, field), (affinity(json!({})), field)];
    check(&cluster, Case::new("batch/v1", "jobs", job(false, json!({})), &rows)).await;
    // Where the pods of a suspended job run may change, and an affinity without terms says nothing about it.
    let rows = [(affinity(json!({})), Ok(2)), (affinity(Json::Null), Ok(3)), (affinity(node.clone()), Ok(4))];
    check(&cluster, Case::new("batch/v1", "jobs", job(true, json!({})), &rows)).await;
    let rows = [(affinity(Json::Null), field), (affinity(json!({"podAntiAffinity": null})), field)];
    check(&cluster, Case::new("batch/v1", "jobs", job(true, json!({"affinity": lonely})), &rows)).await;

    let object = json!({"metadata": {"name": "x"}, "storageClassName": "c"});
    let rows =
        [(json!({"nodeTopology": {}}), Err("nodeTopology: Invalid value: ")), (json!({"nodeTopology": null}), Ok(0))];
    check(&cluster, Case::new("storage.k8s.io/v1", "csistoragecapacities", object, &rows)).await;
    cluster.stop().await;
}

#[tokio::test]
async fn an_empty_struct_is_a_new_generation() {
    let cluster = Cluster::start().await;
    let add = |path: &str| json!([{"op": "add", "path": path, "value": {}}]);
    let object = json!({"metadata": {"name": "x"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}});
    let rows = [
        (add("/spec/ingress/0/from/0/namespaceSelector"), Ok(2)),
        (json!({"spec": {"egress": []}}), Ok(2)),
        (json!({"spec": {"podSelector": {"matchLabels": {}}}}), Ok(2)),
    ];
    check(&cluster, Case::new("networking.k8s.io/v1", "networkpolicies", object, &rows)).await;

    let object = json!({"metadata": {"name": "x"}, "spec": {"minAvailable": 1}});
    let rows = [(json!({"spec": {"selector": {}}}), Ok(2)), (json!({"metadata": {"labels": {"a": "b"}}}), Ok(2))];
    check(&cluster, Case::new("policy/v1", "poddisruptionbudgets", object, &rows)).await;

    let spread = json!([{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]);
    let spec = json!({"containers": [{"name": "c", "image": "i"}], "topologySpreadConstraints": spread});
    let object = json!({"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}});
    let template = "/spec/template/spec";
    let rows = [
        (add(&format!("{template}/topologySpreadConstraints/0/labelSelector")), Ok(2)),
        (add(&format!("{template}/affinity")), Ok(3)),
        (add(&format!("{template}/affinity")), Ok(3)),
        (add(&format!("{template}/nodeSelector")), Ok(3)),
    ];
    check(&cluster, Case::new("apps/v1", "deployments", object, &rows)).await;
    cluster.stop().await;
}

/// Taking the last entry out of a list of resources leaves one that is as good as none.
#[tokio::test]
async fn a_container_without_requests_gets_some_by_a_resize() {
    let cluster = Cluster::start().await;
    cluster.make_pod("first").await;
    let container = |name: &str, resources: Json| json!({"name": name, "image": "i", "resources": resources});
    let containers = json!([container("a", json!({"requests": {"cpu": "1"}})), container("b", json!({}))]);
    let pods = "/api/v1/namespaces/default/pods";
    cluster.post(admin(), pods, pod(json!({"containers": containers}))).await.unwrap();
    let patch = json!({"spec": {"containers": [container("b", json!({"requests": {"cpu": "2"}}))]}});
    let changed = cluster.patch(admin(), &format!("{pods}/x/resize"), PatchKind::Strategic, patch).await.unwrap();
    let requests = changed.items_at(&["spec", "containers"])[1].at(&["resources", "requests", "cpu"]).cloned();
    assert_eq!(requests, Some("2".into()));
    cluster.stop().await;
}
