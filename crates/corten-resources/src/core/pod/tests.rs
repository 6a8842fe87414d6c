use corten_apimachinery::{
    meta::ObjectMeta,
    resource::{DeleteOptions, Deletion, Strategy as _},
};
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{context, created, defaulted, patched, refuses, refuses_update, row, updated, value};

fn pod(spec: Value) -> Value {
    patched(
        json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "busybox"}]},
        }),
        json!({"spec": spec}),
    )
}

/// A pod whose only container is `container`, which gets a name and an image.
fn with_container(container: Value) -> Value {
    let container = patched(json!({"name": "c", "image": "busybox"}), container);
    pod(json!({"containers": [container]}))
}

#[test]
fn a_minimal_pod_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, pod(json!({})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        object,
        value(json!({
            "metadata": {"name": "web", "namespace": "default", "generation": 1},
            "spec": {
                "containers": [{
                    "name": "c", "image": "busybox", "imagePullPolicy": "Always",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            },
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        }))
    );
}

/// kubernetes/kubernetes#115606: no client need know what a negative one means.
#[test]
fn a_negative_grace_period_is_one_second() {
    let object = defaulted(&RESOURCE, pod(json!({"terminationGracePeriodSeconds": -1, "containers": []})));
    assert_eq!(object.i64_at(&["spec", "terminationGracePeriodSeconds"]), Some(1));
}

#[test]
fn parts_of_a_pod_get_their_defaults() {
    let object = defaulted(
        &RESOURCE,
        pod(json!({
            "hostNetwork": true,
            "serviceAccount": "robot",
            "containers": [{
                "name": "c", "image": "r.example:5000/a/b:1.2",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1", "memory": "100Mi"}, "requests": {"cpu": "100m"}},
                "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
                "readinessProbe": {"grpc": {"port": 80}},
                "lifecycle": {"preStop": {"httpGet": {"port": "http"}}},
            }],
            "volumes": [
                {"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "h", "hostPath": {"path": "/"}},
                {"name": "p", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]}},
            ],
        })),
    );
    let want = json!({
        "hostNetwork": true, "serviceAccount": "robot", "serviceAccountName": "robot", "enableServiceLinks": true,
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
        "securityContext": {}, "terminationGracePeriodSeconds": 30,
        "containers": [{
            "name": "c", "image": "r.example:5000/a/b:1.2", "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            "resources": {"limits": {"cpu": "1", "memory": "100Mi"}, "requests": {"cpu": "100m", "memory": "100Mi"}},
            "livenessProbe": {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "periodSeconds": 5, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3,
            },
            "readinessProbe": {
                "grpc": {"port": 80, "service": ""},
                "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3,
            },
            "lifecycle": {"preStop": {"httpGet": {"port": "http", "path": "/", "scheme": "HTTP"}}},
        }],
        "volumes": [
            {"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "h", "hostPath": {"path": "/", "type": ""}},
            {"name": "p", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]}},
            ]}},
        ],
    });
    assert_eq!(object.get("spec"), Some(&value(want)));
}

#[test]
fn the_pull_policy_follows_the_tag() {
    let cases = [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1", "IfNotPresent"),
        ("r:5000/busybox", "Always"),
        ("r:5000/busybox:1", "IfNotPresent"),
        ("busybox@sha256:00", "IfNotPresent"),
        ("busybox:latest@sha256:00", "Always"),
    ];
    for (image, want) in cases {
        let object = defaulted(&RESOURCE, with_container(json!({"image": image})));
        let policy = object.items_at(&["spec", "containers"])[0].str_at(&["imagePullPolicy"]).map(ToOwned::to_owned);
        assert_eq!(policy.as_deref(), Some(want), "{image}");
    }
}

#[test]
fn resources_make_the_quality_of_service() {
    let cases = [
        (json!({}), "BestEffort"),
        (json!({"requests": {"cpu": "100m"}}), "Burstable"),
        (json!({"limits": {"cpu": "1"}}), "Burstable"),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
        (
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}),
            "Guaranteed",
        ),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable"),
        (json!({"requests": {"ephemeral-storage": "1Gi"}}), "BestEffort"),
    ];
    for (resources, want) in cases {
        let (object, _) = created(&RESOURCE, with_container(json!({"resources": resources.clone()})));
        assert_eq!(object.str_at(&["status", "qosClass"]), Some(want), "{resources}");
    }
}

#[test]
fn containers_are_checked() {
    let cases: [(Value, &[&str]); 14] = [
        (json!({"name": ""}), &["spec.containers[0].name: Required value"]),
        (json!({"image": ""}), &["spec.containers[0].image: Required value"]),
        (
            json!({"image": " a"}),
            &["spec.containers[0].image: Invalid value: \" a\": must not have leading or trailing whitespace"],
        ),
        (
            json!({"imagePullPolicy": "Maybe"}),
            &["spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \
             \"IfNotPresent\", \"Never\""],
        ),
        (
            json!({"ports": [{"containerPort": 0}, {"containerPort": 70000, "protocol": "X"}]}),
            &[
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                "spec.containers[0].ports[1].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        ),
        (
            json!({"ports": [{"containerPort": 1, "name": "a", "hostPort": 5}, {"containerPort": 2, "name": "a", "hostPort": 5}]}),
            &[
                "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
                "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//5\"",
            ],
        ),
        (
            json!({"env": [{"name": "a=b"}]}),
            &[
                "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only \
             of printable ASCII characters other than '='",
            ],
        ),
        (
            json!({"env": [{"name": "a", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            &[
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ],
        ),
        (
            json!({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]}),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nope\": error converting \
             fieldPath: field label not supported: spec.nope",
            ],
        ),
        (
            json!({"volumeMounts": [{"name": "nope", "mountPath": "/a"}]}),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"nope\""],
        ),
        (
            json!({"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}, "successThreshold": 2}}),
            &[
                "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            json!({"readinessProbe": {}}),
            &["spec.containers[0].readinessProbe: Required value: must specify a handler type"],
        ),
        (
            json!({"resources": {"limits": {"cpu": "1", "foo": "1"}, "requests": {"cpu": "2", "memory": "-1"}}}),
            &[
                "spec.containers[0].resources.limits[foo]: Invalid value: \"foo\": must be a standard resource type or fully \
             qualified",
                "spec.containers[0].resources.limits[foo]: Invalid value: \"foo\": must be a standard resource for containers",
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
                "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource type or fully \
             qualified",
                "spec.containers[0].resources.requests[foo]: Invalid value: \"foo\": must be a standard resource for containers",
                "spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
            ],
        ),
        (
            json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}}),
            &["spec.containers[0].securityContext: Invalid value: \
             {\"Capabilities\":null,\"Privileged\":true,\"SELinuxOptions\":null,\"WindowsOptions\":null,\"RunAsUser\":null,\
             \"RunAsGroup\":null,\"RunAsNonRoot\":null,\"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEscalation\":false,\
             \"ProcMount\":null,\"SeccompProfile\":null,\"AppArmorProfile\":null}: cannot set `allowPrivilegeEscalation` to \
             false and `privileged` to true"],
        ),
    ];
    for (container, want) in cases {
        refuses(&RESOURCE, with_container(container), want);
    }
}

fn rule(values: &[i32]) -> Value {
    json!({"action": "Restart", "exitCodes": {"operator": "In", "values": values}})
}

#[test]
fn containers_may_have_restart_policies_and_rules_of_their_own() {
    let most: Vec<Value> = vec![rule(&(0..255).collect::<Vec<_>>()); 20];
    for container in [
        json!({"restartPolicy": "Always"}),
        json!({"restartPolicy": "OnFailure"}),
        json!({"restartPolicy": "Never", "restartPolicyRules": [rule(&[42])]}),
        json!({"restartPolicy": "Never", "restartPolicyRules": most}),
    ] {
        refuses(&RESOURCE, with_container(container.clone()), &[]);
        let init = patched(json!({"name": "i", "image": "a:1"}), container);
        refuses(&RESOURCE, pod(json!({"initContainers": [init]})), &[]);
    }
}

#[test]
fn restart_rules_are_checked() {
    let too_many: Vec<Value> = vec![rule(&[1]); 21];
    let cases: [(Value, &[&str]); 8] = [
        (
            json!({"restartPolicy": "Sometimes"}),
            &[
                "restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ],
        ),
        (
            json!({"restartPolicyRules": [rule(&[1])]}),
            &["restartPolicy: Required value: must specify restartPolicy when restart rules are used"],
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": too_many}),
            &["restartPolicyRules: Too long: may not be more than 20 bytes"],
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [rule(&(0..256).collect::<Vec<_>>())]}),
            &["restartPolicyRules[0].exitCodes.values: Too long: may not be more than 255 bytes"],
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart"}]}),
            &["restartPolicyRules[0].exitCodes: Required value: must be specified"],
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart", "exitCodes": {}}]}),
            &["restartPolicyRules[0].exitCodes.operator: Unsupported value: \"\": supported values: \"In\", \"NotIn\""],
        ),
        (
            // Behind a gate of its own, which is off.
            json!({"restartPolicy": "Never", "restartPolicyRules": [patched(rule(&[1]), json!({"action": "RestartAllContainers"}))]}),
            &[
                "restartPolicyRules[0].action: Unsupported value: \"RestartAllContainers\": supported values: \"Restart\"",
            ],
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [patched(rule(&[1]), json!({"exitCodes": {"operator": "Equals"}}))]}),
            &[
                "restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Equals\": supported values: \"In\", \"NotIn\"",
            ],
        ),
    ];
    for (container, want) in cases {
        let at = |path: &str| want.iter().map(|text| format!("{path}.{text}")).collect::<Vec<_>>();
        let texts = at("spec.containers[0]");
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        refuses(&RESOURCE, with_container(container.clone()), &texts);
        let texts = at("spec.initContainers[0]");
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let init = patched(json!({"name": "i", "image": "a:1"}), container);
        refuses(&RESOURCE, pod(json!({"initContainers": [init]})), &texts);
    }
    refuses_update(
        &RESOURCE,
        &strategy::EphemeralContainers,
        pod(json!({})),
        pod(json!({"ephemeralContainers": [
            {"name": "e", "image": "a:1", "restartPolicy": "Never", "restartPolicyRules": [rule(&[1])]}]})),
        &[
            "spec.ephemeralContainers[0].restartPolicy: Forbidden: cannot be set for an Ephemeral Container",
            "spec.ephemeralContainers[0].restartPolicyRules: Forbidden: cannot be set for an Ephemeral Container",
        ],
    );
}

#[test]
fn a_container_with_a_policy_of_its_own_may_come_back() {
    let with_state = |state: Value| {
        let container = json!({"name": "c", "image": "a:1", "restartPolicy": "Always"});
        patched(
            pod(json!({"restartPolicy": "Never", "containers": [container]})),
            json!({"status": {"qosClass": "BestEffort", "containerStatuses": [{"name": "c", "state": state}]}}),
        )
    };
    let ended = with_state(json!({"terminated": {"exitCode": 0}}));
    let (_, errors) = updated(&RESOURCE, &strategy::Status, ended, with_state(json!({"running": {}})));
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_spec_is_checked() {
    let cases: [(Value, &[&str]); 13] = [
        (json!({"containers": []}), &["spec.containers: Required value"]),
        (
            json!({"restartPolicy": "Sometimes"}),
            &[
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ],
        ),
        (
            json!({"dnsPolicy": "None"}),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            json!({"initContainers": [{"name": "c", "image": "a", "livenessProbe": {"exec": {"command": ["a"]}}}]}),
            &[
                "spec.initContainers[0].name: Duplicate value: \"c\"",
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without \
             restartPolicy=Always",
            ],
        ),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}, {"name": "b", "secret": {}}]}),
            &[
                "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
                "spec.volumes[1].secret.secretName: Required value",
            ],
        ),
        (json!({"volumes": [{"name": "a"}, {"name": "a"}]}), &["spec.volumes[1].name: Duplicate value: \"a\""]),
        (
            json!({"volumes": [{"name": "a", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}]}),
            &["spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'"],
        ),
        (
            json!({"tolerations": [{"operator": "Equal", "key": "", "value": "x"}]}),
            &[
                "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which \
             means \"match all values and all keys\"",
            ],
        ),
        (
            json!({"activeDeadlineSeconds": 0}),
            &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        (
            json!({"nodeSelector": {"a b": "c"}, "hostname": "a.b"}),
            &[
                "spec.nodeSelector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
             regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                "spec.hostname: Invalid value: \"a.b\": must not contain dots",
            ],
        ),
        (
            json!({"schedulingGates": [{"name": "a"}], "nodeName": "n"}),
            &["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
        ),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "x"}]}),
            &[
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"x\": supported values: \
             \"DoNotSchedule\", \"ScheduleAnyway\"",
            ],
        ),
        (
            json!({"ephemeralContainers": [{"name": "d", "image": "a"}]}),
            &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, pod(spec), want);
    }
}

#[test]
fn an_image_may_change_and_little_else() {
    let old = pod(json!({}));
    let (changed, errors) = updated(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        with_container(json!({"image": "busybox:2", "imagePullPolicy": "Always"})),
    );
    assert_eq!(errors, [""; 0]);
    assert_eq!(changed.generation(), 1, "generations are counted from the stored one");
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), pod(json!({"hostname": "other"})));
    let want = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
                `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously \
                negative)\n@@ -";
    let change = "\n  \"ImagePullSecrets\": null,\n- \"Hostname\": \"\",\n+ \"Hostname\": \"other\",\n  \"Subdomain\": \
                  \"\",\n  \"SetHostnameAsFQDN\": null,\n  \"Affinity\": null,\n";
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with(want) && errors[0].contains(change), "{errors:?}");
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old,
        pod(json!({"containers": [{"name": "c", "image": "a"}, {"name": "d", "image": "a"}]})),
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
}

#[test]
fn a_status_keeps_the_spec_and_the_end_of_containers() {
    let with_state = |state: Value| {
        patched(
            pod(json!({"restartPolicy": "Never"})),
            json!({"status": {"qosClass": "BestEffort", "containerStatuses": [{"name": "c", "state": state}]}}),
        )
    };
    let ended = with_state(json!({"terminated": {"exitCode": 1}}));
    refuses_update(
        &RESOURCE,
        &strategy::Status,
        ended.clone(),
        with_state(json!({"running": {}})),
        &["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"],
    );
    let changed =
        patched(ended.clone(), json!({"spec": {"nodeName": "n"}, "status": {"podIP": "10.0.0.1", "qosClass": null}}));
    let (object, errors) = updated(&RESOURCE, &strategy::Status, ended, changed);
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["spec", "nodeName"]), None);
    assert_eq!(object.str_at(&["status", "qosClass"]), Some("BestEffort"));
    assert_eq!(object.items_at(&["status", "podIPs"])[0].str_at(&["ip"]), Some("10.0.0.1"));
}

#[test]
fn a_debug_container_is_added_and_stays() {
    let debug = json!({"ephemeralContainers": [{"name": "d", "image": "a:1", "targetContainerName": "c"}]});
    let (object, errors) = updated(&RESOURCE, &strategy::EphemeralContainers, pod(json!({})), pod(debug.clone()));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.generation(), 1);
    refuses_update(
        &RESOURCE,
        &strategy::EphemeralContainers,
        pod(debug),
        pod(json!({"ephemeralContainers": [{"name": "e", "image": "a:1", "ports": [{"containerPort": 1}]}]})),
        &[
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n",
        ],
    );
}

#[test]
fn a_resize_changes_cpu_and_memory_only() {
    let sized = |cpu: &str, memory: &str| {
        let resources = json!({"requests": {"cpu": cpu}, "limits": {"cpu": "4", "memory": memory}});
        patched(with_container(json!({"resources": resources})), json!({"status": {"qosClass": "Burstable"}}))
    };
    let (object, errors) = updated(&RESOURCE, &strategy::Resize, sized("1", "1Gi"), sized("2", "1Mi"));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.items_at(&["spec", "containers"])[0].str_at(&["resources", "requests", "cpu"]), Some("2"));
    refuses_update(
        &RESOURCE,
        &strategy::Resize,
        sized("1", "1Gi"),
        with_container(json!({"resources": {"limits": {"cpu": "4"}, "requests": {"cpu": "1"}}})),
        &[
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
        ],
    );
}

#[test]
fn a_resize_keeps_containers_in_their_order() {
    let with = |names: [&str; 2]| {
        let containers = names.map(|name| json!({"name": name, "image": "i"}));
        pod(json!({"containers": containers}))
    };
    refuses_update(
        &RESOURCE,
        &strategy::Resize,
        with(["a", "b"]),
        with(["b", "a"]),
        &[
            "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
            "spec.containers[1].name: Forbidden: containers may not be renamed or reordered on resize",
        ],
    );
}

#[test]
fn a_pod_with_limits_asks_for_what_its_containers_do() {
    let asks = |cpu: &str| json!({"name": format!("c{cpu}"), "image": "i", "resources": {"requests": {"cpu": cpu}}});
    let mut sidecar = asks("250m");
    sidecar["restartPolicy"] = json!("Always");
    let spec = json!({
        "resources": {"limits": {"cpu": "4", "memory": "1Gi"}},
        "containers": [asks("500m"), asks("1")], "initContainers": [sidecar, asks("2")],
    });
    let (object, errors) = created(&RESOURCE, pod(spec));
    assert_eq!(errors, [""; 0]);
    let want = json!({"limits": {"cpu": "4", "memory": "1Gi"}, "requests": {"cpu": "2250m", "memory": "1Gi"}});
    assert_eq!(object.at(&["spec", "resources"]), Some(&value(want)));
}

#[test]
fn deletion_waits_for_the_kubelet_of_a_running_pod() {
    let check = |spec: Value, phase: &str, asked: Option<i64>, want: i64| {
        let object = value(json!({"spec": spec, "status": {"phase": phase}}));
        let options = DeleteOptions { grace_period_seconds: asked, ..DeleteOptions::default() };
        let deletion = RESOURCE.strategy.begin_deletion(&context("v1"), &object, &options);
        assert_eq!(deletion, Deletion::Graceful { grace_period_seconds: want });
    };
    let on_node = json!({"nodeName": "n", "terminationGracePeriodSeconds": 30});
    check(on_node.clone(), "Running", None, 30);
    check(on_node.clone(), "Running", Some(5), 5);
    check(on_node.clone(), "Running", Some(0), 0);
    check(on_node.clone(), "Running", Some(-1), 1);
    check(on_node, "Succeeded", None, 0);
    check(json!({"terminationGracePeriodSeconds": 30}), "Pending", None, 0);
}

#[test]
fn label_keys_become_expressions() {
    let term = json!({"labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["v"], "topologyKey": "zone"});
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let object = patched(pod(json!({"affinity": affinity})), json!({"metadata": {"labels": {"v": "1"}}}));
    let (object, errors) = created(&RESOURCE, object);
    assert_eq!(errors, [""; 0]);
    let terms = object.items_at(&["spec", "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    assert_eq!(
        terms[0].at(&["labelSelector", "matchExpressions"]),
        Some(&value(json!([{"key": "v", "operator": "In", "values": ["1"]}])))
    );
}

#[track_caller]
fn shows(patch: Value, want: [&str; 3]) {
    let base = json!({
        "metadata": {"name": "web"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": {"phase": "Running"},
    });
    assert_eq!(row(&RESOURCE, patched(base, patch))[1..4], want);
}

#[test]
fn one_word_sums_up_what_a_pod_does() {
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let waiting = |reason: &str| json!({"name": "b", "restartCount": 3, "state": {"waiting": {"reason": reason}}});
    let ended = |reason: &str, code: i64| json!({"name": "b", "restartCount": 0, "state": {"terminated": {"reason": reason, "exitCode": code}}});
    let containers = |statuses: Value| json!({"status": {"containerStatuses": statuses}});
    shows(json!({"status": {"phase": "Pending"}}), ["0/2", "Pending", "0"]);
    shows(json!({"status": {"phase": "Failed", "reason": "Evicted"}}), ["0/2", "Evicted", "0"]);
    shows(containers(json!([running.clone(), running.clone()])), ["2/2", "Running", "0"]);
    shows(containers(json!([running.clone(), waiting("CrashLoopBackOff")])), ["1/2", "CrashLoopBackOff", "3"]);
    shows(containers(json!([running.clone(), ended("Completed", 0)])), ["1/2", "NotReady", "0"]);
    shows(containers(json!([ended("Completed", 0), ended("Completed", 0)])), ["0/2", "Completed", "0"]);
    shows(containers(json!([ended("Completed", 0), ended("Error", 1)])), ["0/2", "Error", "0"]);
    shows(containers(json!([ended("", 3)])), ["0/2", "ExitCode:3", "0"]);
    shows(
        json!({"metadata": {"deletionTimestamp": "2026-01-01T11:00:00Z"}, "status": {"containerStatuses": [running.clone()]}}),
        ["1/2", "Terminating", "0"],
    );
    shows(
        json!({"status": {"containerStatuses": [{
            "name": "a", "ready": true, "restartCount": 2, "state": {"running": {}},
            "lastState": {"terminated": {"finishedAt": "2026-01-01T11:55:00Z"}},
        }]}}),
        ["1/2", "Running", "2 (5m ago)"],
    );
}

#[test]
fn init_containers_are_counted_while_they_run() {
    let init = |statuses: Value| {
        json!({
            "spec": {"initContainers": [{"name": "i"}, {"name": "j"}]},
            "status": {"phase": "Pending", "initContainerStatuses": statuses},
        })
    };
    let done = json!({"name": "i", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}});
    let now = |state: Value| json!({"name": "j", "restartCount": 1, "state": state});
    shows(init(json!([{"name": "i", "restartCount": 0, "state": {"running": {}}}])), ["0/2", "Init:0/2", "0"]);
    shows(init(json!([done, now(json!({"running": {}}))])), ["0/2", "Init:1/2", "1"]);
    shows(init(json!([done, now(json!({"waiting": {"reason": "PodInitializing"}}))])), ["0/2", "Init:1/2", "1"]);
    shows(
        init(json!([done, now(json!({"waiting": {"reason": "CrashLoopBackOff"}}))])),
        ["0/2", "Init:CrashLoopBackOff", "1"],
    );
    shows(init(json!([done, now(json!({"terminated": {"exitCode": 2}}))])), ["0/2", "Init:ExitCode:2", "1"]);
}

#[test]
fn a_sidecar_counts_as_a_container() {
    shows(
        json!({
            "spec": {"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            "status": {"initContainerStatuses": [
                {"name": "s", "ready": true, "started": true, "restartCount": 1, "state": {"running": {}}},
            ]},
        }),
        ["1/3", "Running", "1"],
    );
}

#[test]
fn wide_columns_show_where_the_pod_is() {
    let object = json!({
        "metadata": {"name": "web", "creationTimestamp": "2026-01-01T11:59:00Z"},
        "spec": {"containers": [{"name": "a"}], "nodeName": "n1", "readinessGates": [{"conditionType": "g"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "g", "status": "True"}]},
    });
    assert_eq!(row(&RESOURCE, object)[4..], ["60s", "10.0.0.1", "n1", "<none>", "1/1"]);
}

#[test]
fn field_selectors_read_spec_and_status() {
    let object = value(json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}));
    let fields: Vec<(&str, String)> =
        RESOURCE.selectable_fields.iter().map(|field| (field.name.as_str(), field.read(&object).to_string())).collect();
    assert!(fields.contains(&("spec.nodeName", "n1".to_owned())));
    assert!(fields.contains(&("spec.hostNetwork", "false".to_owned())));
    assert!(fields.contains(&("status.phase", "Running".to_owned())));
    assert!(fields.contains(&("status.podIP", String::new())));
}

/// Lists without a limit were gone through once for each of their items: minutes of a thread for a body of 3 MB.
#[test]
fn large_lists_are_checked_by_looking_items_up() {
    const ITEMS: usize = 100_000;
    let names = |prefix: &str| -> Vec<String> { (0..ITEMS).map(|number| format!("{prefix}{number}")).collect() };

    let tolerations = |seconds: i64| -> Value {
        let toleration =
            |key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        pod(json!({"tolerations": names("t").into_iter().map(toleration).collect::<Vec<_>>()}))
    };
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, tolerations(1), tolerations(2));
    assert_eq!(errors, [""; 0]);

    let expressions: Vec<Value> = names("m").into_iter().map(|key| json!({"key": key, "operator": "Exists"})).collect();
    let term = json!({
        "labelSelector": {"matchExpressions": expressions}, "matchLabelKeys": names("k"),
        "mismatchLabelKeys": names("n"), "topologyKey": "zone",
    });
    let preferred =
        json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]});
    assert_eq!(created(&RESOURCE, pod(json!({"affinity": {"podAffinity": preferred}}))).1, [""; 0]);

    let spread = |key| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule"});
    let constraints: Vec<Value> = names("s").into_iter().map(spread).collect();
    assert_eq!(created(&RESOURCE, pod(json!({"topologySpreadConstraints": constraints}))).1, [""; 0]);

    let vars: Vec<Value> = names("E").into_iter().map(|name| json!({"name": name, "value": "x"})).collect();
    let (object, errors) = created(&RESOURCE, with_container(json!({"env": vars})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(RESOURCE.strategy.warnings_on_create(&context("v1"), &object), [""; 0]);
}

#[test]
fn the_names_of_very_many_claims_are_cut_short() {
    let claims: Vec<Value> = (0..2_000).map(|number| json!({"name": format!("c{number}")})).collect();
    let wrong: Vec<Value> = (0..2_000).map(|number| json!({"name": format!("w{number}")})).collect();
    let spec = json!({
        "resourceClaims": claims, "containers": [{"name": "c", "image": "i", "resources": {"claims": wrong}}],
    });
    let (_, errors) = created(&RESOURCE, pod(spec));
    let (count, bytes) = (errors.len(), errors.iter().map(String::len).sum::<usize>());
    assert!(count >= 2_000 && bytes < count * 6_000, "{count} {bytes}");
}

/// How many bytes of errors are kept, not counting the one that goes beyond.
const ROOM: usize = 8 << 20;

/// Each `CAP_SYS_ADMIN` had an error of its own with a copy of all capabilities: 47 GB for a body of 3 MB.
#[test]
fn errors_that_show_all_capabilities_end_with_the_room_for_them() {
    let all = json!({"allowPrivilegeEscalation": false, "capabilities": {"add": vec!["CAP_SYS_ADMIN"; 190_000]}});
    let object = defaulted(&RESOURCE, with_container(json!({"securityContext": all})));
    let errors = RESOURCE.strategy.validate(&context("v1"), &object);
    // As many as have room, and one that goes beyond.
    let sizes: Vec<usize> = errors.iter().map(|error| error.to_string().len()).collect();
    let (last, before) = sizes.split_last().unwrap();
    let before: usize = before.iter().sum();
    assert!(*last > 1_000_000, "{sizes:?}");
    assert!((before..=before + last).contains(&ROOM), "{sizes:?}");
    let two = json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["CAP_SYS_ADMIN", "CAP_SYS_ADMIN"]}});
    let error = "spec.containers[0].securityContext: Invalid value: {\"Capabilities\":{\"Add\":\
                 [\"CAP_SYS_ADMIN\",\"CAP_SYS_ADMIN\"],\"Drop\":null},\"Privileged\":null,\"SELinuxOptions\":null,\
                 \"WindowsOptions\":null,\"RunAsUser\":null,\"RunAsGroup\":null,\"RunAsNonRoot\":null,\
                 \"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEscalation\":false,\"ProcMount\":null,\
                 \"SeccompProfile\":null,\"AppArmorProfile\":null}: cannot set \
                 `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
    refuses(&RESOURCE, with_container(json!({"securityContext": two})), &[error, error]);
}

/// Each item whose path was there before was an error with a copy of the source's name: 15 GB.
#[test]
fn errors_of_paths_that_are_there_twice_end_with_the_room_for_names() {
    let items = vec![json!({"key": "a", "path": "b"}); 60_000];
    let source = json!({"secret": {"name": "x".repeat(1_500_000), "items": items}});
    let volumes = json!([{"name": "v", "projected": {"sources": [source]}}]);
    let object = defaulted(&RESOURCE, pod(json!({"volumes": volumes})));
    let errors = RESOURCE.strategy.validate(&context("v1"), &object);
    assert!((2..10).contains(&errors.len()), "{}", errors.len());
}

/// All containers were gone through for each annotation: 2,500,000,000 paths were made.
#[test]
fn containers_that_annotations_name_are_looked_up() {
    const MANY: usize = 50_000;
    let containers: Vec<Value> = (0..MANY).map(|n| json!({"name": format!("c{n}"), "image": "i"})).collect();
    let annotations: serde_json::Map<String, Value> = (0..MANY)
        .map(|n| (format!("container.apparmor.security.beta.kubernetes.io/c{n}"), "unconfined".into()))
        .collect();
    let mut object = pod(json!({"containers": containers}));
    object["metadata"]["annotations"] = annotations.into();
    let object = defaulted(&RESOURCE, object);
    let errors = RESOURCE.strategy.validate(&context("v1"), &object);
    assert!(!errors.iter().any(|error| error.detail == "container not found"));
}

/// Whether an init container is a sidecar was found by going through all of them.
#[test]
fn very_many_init_containers_are_summed_up_by_looking_sidecars_up() {
    const MANY: usize = 200_000;
    let name = |n: usize| format!("s{n}");
    let init: Vec<Value> = (0..MANY).map(|n| json!({"name": name(n), "restartPolicy": "Always"})).collect();
    let statuses: Vec<Value> =
        (0..MANY).map(|n| json!({"name": name(n), "ready": true, "started": true, "state": {"running": {}}})).collect();
    shows(
        json!({"spec": {"initContainers": init}, "status": {"initContainerStatuses": statuses}}),
        ["200000/200002", "Running", "0"],
    );
}

/// Each limit without a request was set by itself, which moved all requests behind it; and what containers ask for was summed
/// up for each container, whatever it was: minutes each, for a body of 3 MB.
#[test]
fn requests_are_filled_in_without_going_through_all_for_each() {
    const MANY: usize = 300_000;
    let amounts = |prefix: &str, many: usize| -> Value {
        (0..many).map(|n| (format!("{prefix}{n:06}"), "1".into())).collect::<serde_json::Map<_, _>>().into()
    };
    let resources = json!({"limits": amounts("a", MANY), "requests": amounts("z", MANY)});
    let object = defaulted(&RESOURCE, with_container(json!({"resources": resources})));
    let container = &object.items_at(&["spec", "containers"])[0];
    assert_eq!(container.at(&["resources", "requests"]).unwrap().as_object().unwrap().len(), 2 * MANY);

    let sidecar = |resources: Value| json!({"restartPolicy": "Always", "resources": resources});
    let mut init = vec![sidecar(json!({"requests": amounts("z", 50_000)})), sidecar(json!({"requests": {"cpu": "2"}}))];
    init.resize(30_000, json!({}));
    let limits = json!({"limits": {"cpu": "100"}});
    let object = defaulted(&RESOURCE, pod(json!({"initContainers": init, "resources": limits})));
    assert_eq!(object.str_at(&["spec", "resources", "requests", "cpu"]), Some("2"));
}

/// Each condition was looked for among those of before, and each container that has ended among all containers.
#[test]
fn very_many_conditions_and_statuses_are_looked_up() {
    const MANY: usize = 150_000;
    let each = |of: &dyn Fn(String) -> Value| (0..MANY).map(|n| of(format!("c{n}"))).collect::<Vec<_>>();
    let init = each(&|name| json!({"name": name, "restartPolicy": "Always"}));
    let with_status = |state: Value, generation: u64| {
        let statuses = each(&|name| json!({"name": name, "state": state}));
        let conditions = each(&|ty| json!({"type": ty, "status": "True", "observedGeneration": generation}));
        let spec = json!({"restartPolicy": "Never", "initContainers": init});
        patched(pod(spec), json!({"status": {"initContainerStatuses": statuses, "conditions": conditions}}))
    };
    let ended = with_status(json!({"terminated": {"exitCode": 0}}), 7);
    let (old, new) = (value(ended), value(with_status(json!({"running": {}}), 0)));
    let mut updated = new;
    strategy::Status.prepare_for_update(&context("v1"), &mut updated, &old);
    assert_eq!(strategy::Status.validate_update(&context("v1"), &updated, &old).len(), 0);
    let conditions = updated.items_at(&["status", "conditions"]);
    assert!(conditions.iter().all(|condition| condition.i64_at(&["observedGeneration"]) == Some(7)));
}

/// They were not looked at.
#[test]
fn tolerations_in_an_annotation_are_still_checked() {
    const NAME: &str = "scheduler.alpha.kubernetes.io/tolerations";
    let invalid = |why: &str| format!("metadata.annotations: Invalid value: \"{NAME}\": {why}");
    for (said, want) in [
        ("x", vec![invalid("invalid character 'x' looking for beginning of value")]),
        ("{}", vec![invalid("json: cannot unmarshal object into Go value of type []core.Toleration")]),
        ("[1]", vec![invalid("json: cannot unmarshal number into Go value of type core.Toleration")]),
        (
            "[{\"operator\":1}]",
            vec![invalid(
                "json: cannot unmarshal number into Go struct field Toleration.Operator of type core.TolerationOperator",
            )],
        ),
        ("", vec![]),
        ("[]", vec![]),
        ("[{\"Key\":\"a\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":1}]", vec![]),
        (
            "[{\"operator\":\"Foo\"}]",
            vec![
                format!(
                    "metadata.annotations.{NAME}[0].operator: Invalid value: \"Foo\": operator must be Exists when `key` is \
                     empty, which means \"match all values and all keys\""
                ),
                format!(
                    "metadata.annotations.{NAME}[0].operator: Unsupported value: \"Foo\": supported values: \"Equal\", \
                     \"Exists\""
                ),
            ],
        ),
    ] {
        let object = patched(pod(json!({})), json!({"metadata": {"annotations": {(NAME): said}}}));
        let want: Vec<&str> = want.iter().map(String::as_str).collect();
        refuses(&RESOURCE, object, &want);
    }
}
