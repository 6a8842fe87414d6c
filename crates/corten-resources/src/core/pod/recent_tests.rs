//! Rules of what v1.34 and v1.35 have added to pods.

use corten_apimachinery::resource::{Context, Strategy};
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{context, defaulted, features, patched};

fn pod(spec: Value) -> Value {
    patched(
        json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "a:1"}]},
        }),
        json!({"spec": spec}),
    )
}

/// What a new pod with this spec is told, with these gates.
fn told(gates: &str, spec: Value) -> Vec<String> {
    let features = features(gates);
    let cx = Context { features: &features, ..context("v1") };
    let mut object = defaulted(&RESOURCE, pod(spec));
    RESOURCE.strategy.prepare_for_create(&cx, &mut object);
    RESOURCE.strategy.validate(&cx, &object).iter().map(ToString::to_string).collect()
}

/// What a change of a pod is told, with these gates.
fn told_of_change(gates: &str, strategy: &dyn Strategy, old: Value, new: Value) -> Vec<String> {
    let features = features(gates);
    let cx = Context { features: &features, ..context("v1") };
    let (old, mut new) = (defaulted(&RESOURCE, old), defaulted(&RESOURCE, new));
    strategy.prepare_for_update(&cx, &mut new, &old);
    strategy.validate_update(&cx, &new, &old).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(gates: &str, spec: Value, want: &[&str]) {
    assert_eq!(told(gates, spec), want);
}

#[test]
fn a_name_of_ones_own_is_no_other_name() {
    let label = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                 start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    check("", json!({"hostnameOverride": "a.example.com"}), &[]);
    check(
        "",
        json!({"hostnameOverride": format!("{}.A", "a".repeat(63)), "hostNetwork": true, "setHostnameAsFQDN": true,
               "serviceAccountName": "no name"}),
        &[
            "spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
            "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
            "spec.hostnameOverride: Too long: may not be more than 64 bytes",
            &format!("spec.hostnameOverride: Invalid value: \"{}.A\": {label}", "a".repeat(63)),
            &format!("spec.serviceAccountName: Invalid value: \"no name\": {label}"),
        ],
    );
}

#[test]
fn variables_come_from_files_on_volumes_that_start_empty() {
    let with = |files: Value| {
        let env: Vec<Value> = files
            .as_array()
            .unwrap()
            .iter()
            .map(|file| json!({"name": "A", "valueFrom": {"fileKeyRef": file}}))
            .collect();
        json!({
            "volumes": [{"name": "e", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s"}}],
            "containers": [{"name": "c", "image": "a:1", "env": env}],
        })
    };
    let file = |volume: &str, path: &str, key: &str| json!({"volumeName": volume, "path": path, "key": key});
    check("", with(json!([file("e", "..x/y", "K")])), &[]);
    let at = |index: usize| format!("spec.containers[0].env[{index}].valueFrom.fileKeyRef");
    check(
        "",
        with(json!([file("s", "../x", "K"), file("none", "x", ""), file("", "", "a=b")])),
        &[
            &format!("{}.path: Invalid value: \"../x\": must not contain '..'", at(0)),
            &format!("{}.key: Required value", at(1)),
            &format!(
                "{}.key: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters \
                 other than '='",
                at(2)
            ),
            &format!("{}.volumeName: Required value", at(2)),
            &format!("{}.path: Required value", at(2)),
            &format!("{}.volumeName: Invalid value: \"s\": referenced volume must be of type emptyDir", at(0)),
            &format!("{}.volumeName: Not found: \"none\"", at(1)),
            &format!("{}.volumeName: Not found: \"\"", at(2)),
        ],
    );
    let none = json!({"containers": [{"name": "c", "image": "a:1", "env": [{"name": "A", "valueFrom": {}}]}]});
    let why =
        "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`";
    check("", none.clone(), &[&format!("{why}, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")]);
    check("EnvFiles=false", none, &[&format!("{why}, `configMapKeyRef` or `secretKeyRef`")]);
}

#[test]
fn a_certificate_for_a_pod_says_where_it_goes() {
    let check = |certificates: Value, want: &[&str]| {
        let sources: Vec<Value> =
            certificates.as_array().unwrap().iter().map(|one| json!({"podCertificate": one})).collect();
        let spec = json!({"volumes": [{"name": "v", "projected": {"sources": sources}}]});
        check("PodCertificateRequest=true", spec, want);
    };
    let base = json!({"signerName": "example.com/a", "keyType": "ED25519", "credentialBundlePath": "all.pem"});
    let with = |patch: Value| patched(base.clone(), patch);
    check(json!([base]), &[]);
    check(json!([with(json!({"maxExpirationSeconds": 86_401, "userAnnotations": {"example.com/A": "b"}}))]), &[]);
    let at = "spec.volumes[0].projected.sources[0].podCertificate";
    check(
        json!([with(json!({"maxExpirationSeconds": 60, "userAnnotations": {"A": "b"}, "keyType": "RSA1024"}))]),
        &[
            &format!(
                "{at}.userAnnotations: Invalid value: \"a\": must be a domain-prefixed key (such as \"acme.io/foo\")"
            ),
            &format!(
                "{at}.keyType: Unsupported value: \"RSA1024\": supported values: \"RSA3072\", \"RSA4096\", \"ECDSAP256\", \
                 \"ECDSAP384\", \"ECDSAP521\", \"ED25519\""
            ),
            &format!("{at}.maxExpirationSeconds: Invalid value: 60: if provided, maxExpirationSeconds must be >= 3600"),
        ],
    );
    check(
        json!([with(
            json!({"maxExpirationSeconds": 86_401, "signerName": "kubernetes.io/a", "credentialBundlePath": null})
        )]),
        &[
            &format!(
                "{at}.maxExpirationSeconds: Invalid value: 86401: if provided, maxExpirationSeconds must be <= 86400"
            ),
            &format!(
                "{at}: Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
            ),
        ],
    );
    check(
        json!([base, with(json!({"keyPath": "all.pem"}))]),
        &[
            "spec.volumes[0].projected: Invalid value: \"all.pem\": conflicting duplicate paths",
            "spec.volumes[0].projected: Invalid value: \"all.pem\": conflicting duplicate paths",
        ],
    );
}

#[test]
fn a_rule_may_restart_the_whole_pod_where_its_gate_is_on() {
    let rule = |action: &str| json!({"action": action, "exitCodes": {"operator": "In", "values": [1]}});
    let spec = |action: &str| {
        json!({
            "initContainers": [{"name": "s", "image": "a:1", "restartPolicy": "Always", "restartPolicyRules": [rule(action)]}],
            "containers": [{"name": "c", "image": "a:1", "restartPolicy": "Never", "restartPolicyRules": [rule(action)]}],
        })
    };
    let of_sidecar = "spec.initContainers[0].restartPolicyRules: Forbidden: restartPolicyRules are not allowed for init \
                      containers with restart policy Always";
    let unknown = |at: &str, action: &str| {
        format!("{at}.restartPolicyRules[0].action: Unsupported value: \"{action}\": supported values: \"Restart\"")
    };
    check("", spec("Restart"), &[of_sidecar]);
    check("", spec("RestartAllContainers"), &[&unknown("spec.containers[0]", "RestartAllContainers"), of_sidecar]);
    let gate = "RestartAllContainersOnContainerExits=true,NodeDeclaredFeatures=true";
    check(gate, spec("RestartAllContainers"), &[]);
    check(gate, spec("Stop"), &[&unknown("spec.containers[0]", "Stop"), &unknown("spec.initContainers[0]", "Stop")]);
    // What is stored keeps its meaning.
    let old = pod(spec("RestartAllContainers"));
    let new = patched(old.clone(), json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(told_of_change("", &strategy::Main, old, new), [""; 0]);
}

#[test]
fn a_signal_is_one_of_the_pods_system() {
    let gate = "ContainerStopSignals=true";
    let spec = |os: Option<&str>, signal: &str| {
        let container = json!({"name": "c", "image": "a:1", "lifecycle": {"stopSignal": signal}});
        let spec = json!({"containers": [container]});
        os.map_or(spec.clone(), |os| patched(spec, json!({"os": {"name": os}})))
    };
    let at = "spec.containers[0].lifecycle.stopSignal";
    check(gate, spec(Some("linux"), "SIGRTMIN+15"), &[]);
    check(
        gate,
        spec(None, "SIGTERM"),
        &[&format!("{at}: Forbidden: may not be set for containers with empty `spec.os.name`")],
    );
    check(
        gate,
        spec(Some("windows"), "SIGHUP"),
        &[&format!("{at}: Unsupported value: \"SIGHUP\": supported values: \"SIGKILL\", \"SIGTERM\"")],
    );
    let [error] = &told(gate, spec(Some("linux"), "SIGRTMIN+16"))[..] else { panic!("one error") };
    let start =
        format!("{at}: Unsupported value: \"SIGRTMIN+16\": supported values: \"SIGABRT\", \"SIGALRM\", \"SIGBUS\", ");
    assert!(error.starts_with(&start), "{error}");
    assert!(error.contains("\"SIGRTMAX\", \"SIGRTMAX-1\", \"SIGRTMAX-10\", "), "{error}");
    assert_eq!(error.matches('"').count(), 2 * 66, "65 signals, and the unknown one: {error}");
}

#[test]
fn tolerations_compare_where_their_gate_is_on() {
    let spec =
        |operator: &str, value: &str| json!({"tolerations": [{"key": "k", "operator": operator, "value": value}]});
    let at = "spec.tolerations[0]";
    check(
        "",
        spec("Lt", "1"),
        &[&format!(
            "{at}.operator: Unsupported value: \"Lt\": supported values: \"Equal\", \"Exists\", \"Lt\", \"Gt\""
        )],
    );
    check(
        "",
        spec("Is", "1"),
        &[&format!("{at}.operator: Unsupported value: \"Is\": supported values: \"Equal\", \"Exists\"")],
    );
    let gate = "TaintTolerationComparisonOperators=true";
    check(gate, spec("Lt", "-1"), &[]);
    let canonical = "must be a valid decimal integer in canonical form";
    let cases: [(&str, Vec<String>); 4] = [
        ("", vec!["must be non-empty".to_owned(), "strconv.ParseInt: parsing \"\": invalid syntax".to_owned()]),
        ("07", vec![canonical.to_owned()]),
        ("x", vec![canonical.to_owned(), "strconv.ParseInt: parsing \"x\": invalid syntax".to_owned()]),
        (
            "9223372036854775808",
            vec!["strconv.ParseInt: parsing \"9223372036854775808\": value out of range".to_owned()],
        ),
    ];
    for (value, want) in cases {
        let want: Vec<String> =
            want.iter().map(|why| format!("{at}.value: Invalid value: \"{value}\": {why}")).collect();
        assert_eq!(told(gate, spec("Gt", value)), want);
    }
}

#[test]
fn a_pod_names_its_group() {
    let gate = "GenericWorkload=true";
    check(gate, json!({"workloadRef": {"name": "w.x", "podGroup": "g", "podGroupReplicaKey": "0"}}), &[]);
    let errors = told(gate, json!({"workloadRef": {"name": "W", "podGroup": "a.b", "podGroupReplicaKey": "C"}}));
    let starts = [
        "spec.workloadRef.name: Invalid value: \"W\": a lowercase RFC 1123 subdomain must",
        "spec.workloadRef.podGroup: Invalid value: \"a.b\": must not contain dots",
        "spec.workloadRef.podGroupReplicaKey: Invalid value: \"C\": a lowercase RFC 1123 label must",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_pods_resources_hold_those_of_its_containers() {
    let spec = |resources: Value, container: Value| json!({"resources": resources, "containers": [{"name": "c", "image": "a:1", "resources": container}]});
    check("", spec(json!({"requests": {"cpu": "1"}}), json!({"requests": {"memory": "1Gi"}})), &[]);
    check(
        "",
        spec(json!({"requests": {"cpu": "1"}, "claims": [{"name": "x"}]}), json!({"requests": {"cpu": "2"}})),
        &[
            "spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level",
            "spec.resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which is empty",
            "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests \
             of 2",
        ],
    );
    let pages = |count: &str| json!({"hugepages-2Mi": count, "cpu": "1"});
    check(
        "",
        spec(
            json!({"requests": pages("2Mi"), "limits": pages("2Mi")}),
            json!({"requests": pages("4Mi"), "limits": pages("4Mi")}),
        ),
        &[
            "spec.resources.requests[hugepages-2Mi]: Invalid value: \"2Mi\": must be greater than or equal to aggregate \
             container requests of 4Mi",
            "spec.resources.limits[hugepages-2Mi]: Invalid value: \"2Mi\": must be greater than or equal to aggregate \
             container limits of 4Mi",
            "spec.resources.containers[0][hugepages-2Mi].limits: Invalid value: \"4Mi\": must be less than or equal to pod \
             limits of 2Mi",
        ],
    );
    let windows =
        patched(spec(json!({"requests": {"cpu": "1"}, "claims": []}), json!({})), json!({"os": {"name": "windows"}}));
    check("", windows, &["spec.resources: Forbidden: may not be set for a windows pod"]);
}

#[test]
fn a_user_namespace_is_the_pods_alone() {
    let spec = json!({
        "hostUsers": false, "hostNetwork": true, "hostPID": true,
        "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}],
        "initContainers": [{"name": "i", "image": "a:1"}],
        "containers": [{"name": "c", "image": "a:1", "volumeDevices": [{"name": "d", "devicePath": "/d"}]}],
    });
    let devices = "spec.containers[0].volumeDevices: Forbidden: when `hostUsers` is false";
    let pid = "spec.HostPID: Forbidden: when `hostUsers` is false";
    check("", spec.clone(), &["spec.hostNetwork: Forbidden: when `hostUsers` is false", pid, devices]);
    check("UserNamespacesHostNetworkSupport=true", spec.clone(), &[pid, devices]);
    let old = pod(patched(spec, json!({"hostPID": false})));
    let new = patched(old.clone(), json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(told_of_change("", &strategy::Main, old, new), [""; 0], "what is stored stays");
}

#[test]
fn keys_of_labels_in_constraints_are_those_of_affinity() {
    let spec = |constraint: Value| {
        let base = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
        json!({"topologySpreadConstraints": [patched(base, constraint)]})
    };
    let at = "spec.topologySpreadConstraints[0]";
    check(
        "",
        spec(json!({"matchLabelKeys": ["no key"]})),
        &[&format!("{at}.matchLabelKeys: Forbidden: must not be specified when labelSelector is not set")],
    );
    // Of the new pod's own labels none is this one, so that the selector has got no expression for it.
    let both = spec(json!({"matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"}}}));
    check("", both.clone(), &[]);
    let twice = spec(json!({
        "matchLabelKeys": ["a"],
        "labelSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
    }));
    check("", twice, &[&format!("{at}[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector")]);
    check(
        "MatchLabelKeysInPodTopologySpreadSelectorMerge=false",
        both,
        &[&format!("{at}.matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector")],
    );
}

#[test]
fn a_static_pod_claims_nothing() {
    let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
    let pod =
        patched(pod(json!({"nodeName": "n", "resourceClaims": [{"name": "a", "resourceClaimName": "x"}]})), mirror);
    let object = defaulted(&RESOURCE, pod);
    let errors = RESOURCE.strategy.validate(&context("v1"), &object);
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["[]: Forbidden: static pods do not support resource claims"]);
}

#[test]
fn a_container_comes_back_as_its_rules_say() {
    let ended = |container: Value, policy: &str, code: i32, state: Value| {
        let container = patched(json!({"name": "c", "image": "a:1"}), container);
        patched(
            pod(json!({"restartPolicy": policy, "containers": [container]})),
            json!({"status": {"qosClass": "BestEffort", "containerStatuses": [
                {"name": "c", "state": if state.is_null() { json!({"terminated": {"exitCode": code}}) } else { state }},
            ]}}),
        )
    };
    let stays = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
    let rule = |operator: &str| {
        json!({"restartPolicy": "Never", "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": operator, "values": [3]}},
        ]})
    };
    let never = json!({"restartPolicy": "Never"});
    let cases: [(Value, &str, i32, bool); 8] = [
        (json!({}), "Always", 0, true),
        (json!({}), "OnFailure", 1, true),
        (json!({}), "OnFailure", 0, false),
        (json!({}), "Never", 1, false),
        (never, "Always", 1, false),
        (rule("In"), "Always", 3, true),
        (rule("In"), "Always", 4, false),
        (rule("NotIn"), "Never", 4, true),
    ];
    for (container, policy, code, may) in cases {
        let old = ended(container.clone(), policy, code, Value::Null);
        let new = ended(container.clone(), policy, code, json!({"running": {}}));
        let errors = told_of_change("", &strategy::Status, old, new);
        let want: &[&str] = if may { &[] } else { &[stays] };
        assert_eq!(errors, want, "{container} {policy} {code}");
    }
}

#[test]
fn a_status_is_told_where_it_is_wrong() {
    let status = |status: Value| patched(pod(json!({"nodeName": "n"})), json!({"status": status}));
    let check = |new: Value, want: &[&str]| {
        assert_eq!(told_of_change("", &strategy::Status, status(json!({})), status(new)), want);
    };
    check(
        json!({"observedGeneration": -1, "conditions": [
            {"type": "Ready", "status": "True", "observedGeneration": -2}, {"type": "a b", "status": "True"},
        ], "nominatedNodeName": "m"}),
        &[
            "status.conditions[0].observedGeneration: Invalid value: -2: must be a non-negative integer",
            "status.conditions[1].Type: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
             used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node",
            "status.observedGeneration: Invalid value: -1: must be a non-negative integer",
        ],
    );
    check(
        json!({"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]}),
        &[
            "status.podIPs: Invalid value: [{\"IP\":\"1.1.1.1\"},{\"IP\":\"1.1.1.1\"}]: may specify no more than one IP for \
             each IP family",
        ],
    );
}

#[test]
fn a_pods_own_resources_change_where_their_gate_is_on() {
    let with = |resources: Value| pod(json!({"resources": resources}));
    let old = || with(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}));
    let check = |gates: &str, new: Value, want: &[&str]| {
        assert_eq!(told_of_change(gates, &strategy::Resize, old(), new), want);
    };
    let off = "[]: Forbidden: resize of pods with pod-level resources is forbidden when \
               InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled";
    let wider = with(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3", "memory": "1Gi"}}));
    check("", wider.clone(), &[off]);
    let gate = "InPlacePodLevelResourcesVerticalScaling=true,NodeDeclaredFeatures=true";
    check(gate, wider, &[]);
    check(
        gate,
        with(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}})),
        // Requests that are not given are the limits: with the limit of memory its request goes.
        &[
            "spec.resources.requests: Forbidden: pod-level resource requests cannot be removed",
            "spec.resources.limits: Forbidden: pod-level resource limits cannot be removed",
        ],
    );
    let pages = json!({"requests": {"cpu": "1", "hugepages-2Mi": "2Mi"}, "limits": {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "2Mi"}});
    check(gate, with(pages), &["spec: Forbidden: only cpu and memory resources are mutable at pod-level"]);
}
