use corten_apimachinery::resource::Strategy;
use serde_json::json;

use super::{RESOURCE, strategy};
use crate::testing::{context, created, features, refuses, refuses_update, row, value};

#[test]
fn what_a_node_has_can_be_used() {
    let node =
        json!({"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": {"cpu": "2"}}});
    let (object, errors) = created(&RESOURCE, node);
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        object,
        value(json!({
            "metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"]},
            "status": {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}},
        }))
    );
}

#[test]
fn taints_ranges_and_amounts_are_checked() {
    refuses(
        &RESOURCE,
        json!({
            "spec": {
                "taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "Odd"}],
                "podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"],
            },
            "status": {"capacity": {"pods": "1500m"}, "allocatable": {}},
        }),
        &[
            "metadata.taints[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints \
             must be unique by key and effect pair",
            "metadata.taints[2].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\"",
            "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
            "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one CIDR for each \
             IP family",
        ],
    );
}

/// What it reported of its configuration was stored, so that it had rules to be broken; upstream drops it.
#[test]
fn nobody_configures_kubelets_through_the_api() {
    let source = || json!({"configMap": {"namespace": "a", "name": "b", "kubeletConfigKey": "c"}});
    let node = |spec: serde_json::Value, status: serde_json::Value| json!({"metadata": {"name": "n"}, "spec": spec, "status": status});
    let configured =
        || node(json!({"configSource": source()}), json!({"config": {"assigned": source(), "error": "e"}}));
    let (made, errors) = created(&RESOURCE, configured());
    assert_eq!(errors, [""; 0]);
    let plain = value(node(json!({}), json!({})));
    assert_eq!((made.get("spec"), made.get("status")), (plain.get("spec"), plain.get("status")));
    let strategies: [&dyn Strategy; 2] = [RESOURCE.strategy, &strategy::STATUS];
    for strategy in strategies {
        let cx = context("v1");
        let mut changed = value(configured());
        strategy.prepare_for_update(&cx, &mut changed, &plain);
        assert_eq!(changed, plain, "{strategy:?}");
        // What is there from another time stays.
        let (old, mut kept) = (value(configured()), value(configured()));
        strategy.prepare_for_update(&cx, &mut kept, &old);
        assert_eq!(kept, old, "{strategy:?}");
    }
}

/// Nothing was said.
#[test]
fn fields_that_nobody_reads_are_told() {
    let cx = context("v1");
    let of = |spec: serde_json::Value| {
        let node = value(json!({"metadata": {"name": "n"}, "spec": spec}));
        let made = RESOURCE.strategy.warnings_on_create(&cx, &node);
        assert_eq!(made, RESOURCE.strategy.warnings_on_update(&cx, &node, &node));
        assert_eq!(strategy::STATUS.warnings_on_update(&cx, &node, &node), [""; 0]);
        made
    };
    assert_eq!(of(json!({"podCIDRs": ["10.0.0.0/24", "fd00::/64"]})), [""; 0]);
    assert_eq!(
        of(json!({"externalID": "x", "configSource": {}, "podCIDRs": ["10.0.0.0/24", "FD00::/64"]})),
        [
            "spec.configSource: the feature is removed",
            "spec.externalID: this field is deprecated, and is unused by Kubernetes",
            "spec.podCIDRs[1]: IPv6 CIDR value \"FD00::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")",
        ]
    );
}

#[test]
fn a_range_is_given_once() {
    let with = |range: &str| json!({"metadata": {"name": "n"}, "spec": {"podCIDR": range}});
    refuses_update(&RESOURCE, RESOURCE.strategy, json!({"metadata": {"name": "n"}}), with("10.0.0.0/24"), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        with("10.0.0.0/24"),
        with("10.0.1.0/24"),
        &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"],
    );
    let addresses =
        json!({"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "Hostname", "address": "n"}]}});
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        json!({}),
        addresses,
        &["status.addresses[1]: Duplicate value: {\"Type\":\"Hostname\",\"Address\":\"n\"}"],
    );
}

#[test]
fn what_kubelets_declare_is_checked_and_twice_in_an_update() {
    let names = json!(["Swap/limited", "lower", "Swap/limited", "Swap/limited", "A/9"]);
    let why = "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or \
               MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
    let wrong = |at: usize, name: &str| {
        format!("status.declaredFeatures[{at}]: Invalid value: \"{name}\": invalid feature name \"{name}\": {why}")
    };
    let sorted = |at: usize, name: &str| {
        format!("status.declaredFeatures[{at}]: Invalid value: \"{name}\": list must be sorted alphabetically")
    };
    let (lower, digit) = (wrong(1, "lower"), wrong(4, "A/9"));
    let (second, last) = (sorted(2, "Swap/limited"), sorted(4, "A/9"));
    let again = "status.declaredFeatures[3]: Duplicate value: \"Swap/limited\"";
    let declared = json!({"metadata": {"name": "n"}, "status": {"declaredFeatures": names}});
    let want = [lower.as_str(), &second, again, &last, &digit];
    let errors = |node: &serde_json::Value| {
        let found = super::validation::create(&features(""), &value(node.clone()));
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(errors(&declared), want);
    let swap = json!({"status": {"nodeInfo": {
        "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
        "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "", "architecture": "", "swap": {"capacity": 0},
    }}});
    assert_eq!(errors(&swap), ["metadata.nodeSwapStatus.capacity: Invalid value: 0: must be greater than zero"]);
    let taint = |effect: &str| json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a", "effect": effect}]}});
    let odd = "metadata.taints[0].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \
               \"PreferNoSchedule\", \"NoExecute\"";
    refuses_update(&RESOURCE, RESOURCE.strategy, taint("NoSchedule"), taint("Odd"), &[odd, odd]);
    refuses_update(&RESOURCE, &strategy::STATUS, taint("Odd"), taint("Odd"), &[odd]);
}

#[test]
fn a_row_shows_readiness_roles_and_addresses() {
    let node = json!({
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "Debian"},
        },
    });
    assert_eq!(
        row(&RESOURCE, node),
        [
            "n",
            "Ready,SchedulingDisabled",
            "control-plane,edge",
            "<unknown>",
            "v1.35.0",
            "10.0.0.1",
            "<none>",
            "Debian",
            "<unknown>",
            "<unknown>"
        ]
    );
    assert_eq!(row(&RESOURCE, json!({"metadata": {"name": "n"}}))[1..3], ["Unknown", "<none>"]);
}

/// Upstream's end-to-end tests wait for nodes with `spec.unschedulable=false`, and there was none.
#[test]
fn a_node_that_does_not_say_so_is_not_unschedulable() {
    let [field] = RESOURCE.selectable_fields else { panic!("one field") };
    for (spec, want) in [
        (serde_json::json!({}), "false"),
        (serde_json::json!({"unschedulable": false}), "false"),
        (serde_json::json!({"unschedulable": true}), "true"),
    ] {
        assert_eq!(field.read(&crate::testing::value(serde_json::json!({"spec": spec}))), want);
    }
}

/// They were not looked at.
#[test]
fn annotations_of_old_are_still_checked() {
    const TAINTS: &str = "scheduler.alpha.kubernetes.io/taints";
    const AVOID: &str = "scheduler.alpha.kubernetes.io/preferAvoidPods";
    let invalid =
        |at: &str, name: &str, why: &str| format!("metadata.annotations{at}: Invalid value: \"{name}\": {why}");
    let no_json = "invalid character 'x' looking for beginning of value";
    let no_list = "json: cannot unmarshal object into Go value of type []core.Taint";
    let no_text = "json: cannot unmarshal number into Go struct field Taint.Key of type string";
    for (name, said, want) in [
        (TAINTS, "x", invalid("", TAINTS, no_json)),
        (TAINTS, "{}", invalid("", TAINTS, no_list)),
        (TAINTS, "[{\"key\":1}]", invalid("", TAINTS, no_text)),
        (TAINTS, "", String::new()),
        (TAINTS, "null", String::new()),
        (TAINTS, "[{\"Key\":\"a\",\"effect\":\"NoSchedule\"}]", String::new()),
        (
            TAINTS,
            "[{\"key\":\"a\",\"effect\":\"Odd\"}]",
            format!(
                "metadata.annotations.{TAINTS}[0].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \
                 \"PreferNoSchedule\", \"NoExecute\""
            ),
        ),
        (AVOID, "x", invalid(".AvoidPods", AVOID, no_json)),
        (AVOID, "{}", String::new()),
        (AVOID, "{\"preferAvoidPods\":[{}]}", format!("metadata.annotations.{AVOID}[0].PodSignature: Required value")),
        (
            AVOID,
            "{\"preferAvoidPods\":[{\"podSignature\":{\"podController\":{\"controller\":false}}}]}",
            format!(
                "metadata.annotations.{AVOID}[0].PodSignature.PodController.Controller: Invalid value: false: must point to \
                 a controller"
            ),
        ),
        (AVOID, "{\"preferAvoidPods\":[{\"podSignature\":{\"podController\":{\"controller\":true}}}]}", String::new()),
    ] {
        let want: Vec<&str> = [&*want].into_iter().filter(|want| !want.is_empty()).collect();
        let annotations = json!({(name): said});
        refuses(&RESOURCE, json!({"metadata": {"name": "n", "annotations": annotations}}), &want);
    }
}
