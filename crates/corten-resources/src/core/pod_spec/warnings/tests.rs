//! Tests of advice about pods and templates.

use corten_api::core::v1::PodSpec;
use corten_apimachinery::{Value, field::Path, value::from_value};
use serde_json::json;

use super::{is_plain, of_pod, of_template, workload};
use crate::testing::value;

#[track_caller]
fn check(spec: serde_json::Value, want: &[&str]) {
    let pod = value(json!({"metadata": {"name": "p"}, "spec": spec}));
    assert_eq!(of_pod(&pod), want);
    if let Ok(view) = from_value::<PodSpec>(&pod.at(&["spec"]).cloned().unwrap_or_default()) {
        assert!(want.is_empty() || !is_plain(&pod, &view), "what there is advice about is not plain");
    }
}

#[test]
fn a_pod_of_the_usual_kind_is_plain() {
    let pod = |change: &dyn Fn(&mut Value)| {
        let mut pod = value(json!({
            "metadata": {"name": "p", "annotations": {"example.com/owner": "me"}},
            "spec": {
                "nodeSelector": {"kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": 30,
                "initContainers": [{"name": "i", "env": [{"name": "A"}, {"name": "B"}]}],
                "containers": [{
                    "name": "c", "env": [{"name": "A"}, {"name": "B"}],
                    "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 81}],
                    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                }],
                "volumes": [{"name": "v", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {"configMap": {"name": "c", "items": [{"key": "k", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace"}]}},
                ]}}],
            },
        }));
        change(&mut pod);
        let spec = from_value::<PodSpec>(pod.get("spec").unwrap()).unwrap();
        is_plain(&pod, &spec)
    };
    assert!(pod(&|_| {}));
    for (path, other) in [
        (&["metadata", "name"][..], json!("a.b")),
        (&["metadata", "annotations"], json!({"seccomp.security.alpha.kubernetes.io/pod": "unconfined"})),
        (&["metadata", "annotations"], json!({"container.apparmor.security.beta.kubernetes.io/c": "unconfined"})),
        (&["spec", "nodeSelector"], json!({"beta.kubernetes.io/os": "linux"})),
        (&["spec", "terminationGracePeriodSeconds"], json!(-1)),
        (&["spec", "containers"], json!([{"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 80}]}])),
        (&["spec", "containers"], json!([{"name": "c", "env": [{"name": "A"}, {"name": "A"}]}])),
        (&["spec", "containers"], json!([{"name": "c", "resources": {"limits": {"memory": "1500m"}}}])),
        (&["spec", "volumes"], json!([{"name": "v", "gitRepo": {"repository": "r"}}])),
        (&["spec", "volumes"], json!([{"name": "v", "projected": {"sources": [{}]}}])),
    ] {
        assert!(!pod(&|pod| pod.set(path, value(other.clone()))), "{path:?} {other}");
    }
}

#[test]
fn surprises_are_announced() {
    check(
        json!({
            "nodeSelector": {"beta.kubernetes.io/os": "linux"}, "terminationGracePeriodSeconds": -1,
            "overhead": {"memory": "1500m"},
            "containers": [
                {
                    "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}], "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"memory": "100m"}},
                },
                {"ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}]},
            ],
        }),
        &[
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.overhead[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[1].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ],
    );
}

#[test]
fn labels_of_nodes_that_are_old_and_selectors_of_nothing_are_announced() {
    let term = json!({"matchExpressions": [{"key": "beta.kubernetes.io/arch", "operator": "In", "values": ["-"]}]});
    check(
        json!({
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}],
                },
                "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {}}]},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}, {"labelSelector": {}}]},
            },
            "topologySpreadConstraints": [{"topologyKey": "failure-domain.beta.kubernetes.io/zone"}],
        }),
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]\
             .key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key: \
             beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]\
             .values[0]: - is invalid, a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
             for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; \
             use \"topology.kubernetes.io/zone\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null \
             labelSelector results in matching no pod",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null \
             labelSelector results in matching no pod",
        ],
    );
}

#[test]
fn volumes_that_are_going_away_are_announced() {
    check(
        json!({"volumes": [
            {"name": "a", "gitRepo": {}}, {"name": "b", "storageos": {}}, {"name": "c", "rbd": {}},
            {"name": "d", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1m"}}}}}},
        ]}),
        &[
            "spec.volumes[0].gitRepo: deprecated in v1.11",
            "spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+",
            "spec.volumes[2].rbd: deprecated in v1.28, non-functional in v1.31+",
            "spec.volumes[3].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value \"1m\" is \
             invalid, must be an integer",
        ],
    );
}

#[test]
fn what_is_said_twice_is_announced() {
    check(
        json!({
            "hostAliases": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}],
            "imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}],
            "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 1}]}],
            "containers": [{"ports": [{"name": "web", "containerPort": 2}]}],
        }),
        &[
            "spec.hostAliases[1].ip: duplicate ip \"10.0.0.1\"",
            "spec.imagePullSecrets[1].name: duplicate name \"a\"",
            "spec.imagePullSecrets[2].name: invalid empty name \"\"",
            "spec.containers[0].ports[0].name: duplicate port name \"web\" with spec.initContainers[0].ports[0].name, services \
             and probes that select ports by name will use spec.initContainers[0].ports[0].name",
        ],
    );
}

#[test]
fn annotations_that_mean_nothing_are_announced() {
    let template = value(json!({
        "metadata": {"annotations": {
            "scheduler.alpha.kubernetes.io/critical-pod": "", "seccomp.security.alpha.kubernetes.io/pod": "x",
            "container.seccomp.security.alpha.kubernetes.io/c": "x",
            "container.apparmor.security.beta.kubernetes.io/c": "unconfined",
        }},
        "spec": {"containers": [{"name": "c"}]},
    }));
    let at = |prefix: &str, with_apparmor: bool| {
        let mut want = vec![
            format!(
                "{prefix}metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \
                 \"priorityClassName\" field instead"
            ),
            format!(
                "{prefix}metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \
                 \"seccompProfile\" field instead"
            ),
            format!(
                "{prefix}metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+; use \
                 the \"seccompProfile\" field instead"
            ),
        ];
        if with_apparmor {
            want.push(format!(
                "{prefix}metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use \
                 the \"appArmorProfile\" field instead"
            ));
        }
        want
    };
    assert_eq!(of_template(&template, &Path::new("spec").child("template")), at("spec.template.", true));
    assert_eq!(of_pod(&template), at("", false));
}

#[test]
fn ports_are_compared_with_those_of_the_host() {
    let port = |host_port: i64, host_ip: &str| json!({"containerPort": 80, "protocol": "TCP", "hostPort": host_port, "hostIP": host_ip});
    check(
        json!({"containers": [
            {"ports": [port(0, ""), port(8080, "")], "env": [{"name": "X", "value": "a"}, {"name": "X", "value": "$(X):b"}]},
            {"ports": [port(8080, "10.0.0.1"), {"containerPort": 81, "protocol": "TCP", "hostIP": "10.0.0.1"}]},
        ]}),
        &[
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: overlapping port definition with spec.containers[0].ports[0]",
            "spec.containers[1].ports[0]: dangerously ambiguous port definition with spec.containers[0].ports[1]",
            "spec.containers[1].ports[1]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:81 Protocol:TCP \
             HostIP:10.0.0.1}",
        ],
    );
}

/// A valid pod of 20,000 equal ports got a warning for each pair of them: 24 GB.
#[test]
fn many_ports_get_a_few_warnings() {
    let equal: Vec<_> = (0..20_000).map(|_| json!({"containerPort": 1, "protocol": "TCP"})).collect();
    let on_host: Vec<_> = (0..20_000)
        .map(|n| json!({"containerPort": 1, "protocol": "TCP", "hostPort": 1, "hostIP": format!("10.0.{}.{}", n / 250, n % 250)}))
        .collect();
    let warnings = of_pod(&value(json!({"spec": {"containers": [{"ports": equal}]}})));
    assert_eq!(warnings.len(), 100);
    assert_eq!(
        warnings[..3],
        [
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[1]",
        ]
    );
    check(json!({"containers": [{"ports": on_host}]}), &[]);
}

#[test]
fn a_workload_with_a_name_that_is_no_host_name_is_announced() {
    assert_eq!(workload(&value(json!({"metadata": {"name": "web"}}))), [""; 0]);
    assert_eq!(
        workload(&value(json!({"metadata": {"name": "web.v1"}}))),
        [
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label \
              is recommended: [must not contain dots]"
        ]
    );
}
