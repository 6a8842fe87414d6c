use corten_apimachinery::{meta::ObjectMeta as _, resource::Context};
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, created, features, patched, refuses, refuses_update, row, updated, value};

fn policy(spec: Value) -> Value {
    patched(json!({"metadata": {"name": "p"}, "spec": {"podSelector": {}}}), json!({"spec": spec}))
}

fn from(peer: Value) -> Value {
    policy(json!({"ingress": [{"from": [peer]}]}))
}

#[test]
fn directions_and_protocols_have_defaults() {
    let (object, errors) = created(&RESOURCE, policy(json!({"ingress": [{"ports": [{"port": 80}]}]})));
    assert_eq!(errors, [""; 0]);
    let want = json!({"ingress": [{"ports": [{"port": 80, "protocol": "TCP"}]}], "policyTypes": ["Ingress"]});
    assert_eq!(object, value(patched(policy(want), json!({"metadata": {"generation": 1}}))));
    let types = |spec: Value| created(&RESOURCE, policy(spec)).0.at(&["spec", "policyTypes"]).cloned();
    assert_eq!(types(json!({})), Some(value(json!(["Ingress"]))));
    assert_eq!(types(json!({"egress": [{}]})), Some(value(json!(["Ingress", "Egress"]))));
    assert_eq!(types(json!({"egress": [{}], "policyTypes": ["Egress"]})), Some(value(json!(["Egress"]))));
}

#[test]
fn ports_are_checked() {
    let cases: [(Value, &[&str]); 7] = [
        (json!({"protocol": "SCTP", "port": "dns"}), &[]),
        (json!({"port": 32000, "endPort": 32768}), &[]),
        (
            json!({"protocol": "ICMP"}),
            &[
                "spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
            ],
        ),
        (
            json!({"port": 0, "endPort": 65536}),
            &[
                "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ingress[0].ports[0].endPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"port": 80, "endPort": 79}),
            &["spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`"],
        ),
        (
            json!({"port": "dns", "endPort": 80}),
            &["spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric"],
        ),
        (
            json!({"endPort": 80}),
            &["spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified"],
        ),
    ];
    for (port, want) in cases {
        refuses(&RESOURCE, policy(json!({"ingress": [{"ports": [port]}]})), want);
    }
}

#[test]
fn peers_are_checked() {
    const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let no_network = format!("spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"ten\": {CIDR}");
    let no_except = format!("spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"ten\": {CIDR}");
    let cases: [(Value, &[&str]); 8] = [
        (json!({"podSelector": {}, "namespaceSelector": {}}), &[]),
        (json!({"ipBlock": {"cidr": "fd00::/64", "except": ["fd00::/96"]}}), &[]),
        (json!({}), &["spec.ingress[0].from[0]: Required value: must specify a peer"]),
        (
            json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
            &["spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"],
        ),
        (json!({"ipBlock": {}}), &["spec.ingress[0].from[0].ipBlock.cidr: Required value"]),
        (json!({"ipBlock": {"cidr": "ten", "except": ["x"]}}), &[&no_network]),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["ten", "10.0.0.0/8", "11.0.0.0/16"]}}),
            &[
                &no_except,
                "spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
                "spec.ingress[0].from[0].ipBlock.except[2]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            ],
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}),
            &["spec.ingress[0].from[0].podSelector.matchExpressions[0].operator: Invalid value: \"Odd\": not a valid \
                 selector operator"],
        ),
    ];
    for (peer, want) in cases {
        refuses(&RESOURCE, from(peer), want);
    }
    let to = policy(json!({"egress": [{"to": [{}]}]}));
    refuses(&RESOURCE, to, &["spec.egress[0].to[0]: Required value: must specify a peer"]);
}

#[test]
fn there_are_two_directions() {
    refuses(
        &RESOURCE,
        policy(json!({"policyTypes": ["Ingress", "Sideways"]})),
        &["spec.policyTypes[1]: Unsupported value: \"Sideways\": supported values: \"Ingress\", \"Egress\""],
    );
    refuses(
        &RESOURCE,
        policy(json!({"policyTypes": ["Ingress", "Egress", "Ingress"]})),
        &[
            "spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"Ingress\"]: may not specify more than two policyTypes",
        ],
    );
}

#[test]
fn what_was_wrong_before_may_stay() {
    let block = |cidr: &str| from(json!({"ipBlock": {"cidr": cidr}}));
    let gates = features("StrictIPCIDRValidation=true");
    let cx = Context { features: &gates, ..context("networking.k8s.io/v1") };
    let errors = |new: Value, old: Value| RESOURCE.strategy.validate_update(&cx, &value(new), &value(old)).len();
    assert_eq!(errors(block("10.0.0.1/8"), block("10.0.0.1/8")), 0);
    assert_eq!(errors(block("10.0.0.1/8"), block("10.0.0.0/8")), 1);
    refuses_update(&RESOURCE, RESOURCE.strategy, block("10.0.0.0/8"), block("10.0.0.1/8"), &[]);
    let selecting = |value: &str| {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": [value]}]});
        policy(json!({"podSelector": selector, "ingress": [{"from": [{"podSelector": selector}]}]}))
    };
    refuses_update(&RESOURCE, RESOURCE.strategy, selecting("-x"), selecting("-y"), &[]);
    assert_eq!(updated(&RESOURCE, RESOURCE.strategy, selecting("x"), selecting("-y")).1.len(), 2);
}

#[test]
fn odd_networks_are_announced() {
    let cx = context("networking.k8s.io/v1");
    let object = from(json!({"ipBlock": {"cidr": "10.0.0.1/8", "except": ["10.0.0.0/016"]}}));
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&cx, &value(object)),
        [
            "spec.ingress[0].from[0].ipBlock.cidr: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \
             \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
            "spec.ingress[0].from[0].ipBlock.except[0]: non-standard CIDR value \"10.0.0.0/016\" will be considered invalid in \
             a future Kubernetes release: use \"10.0.0.0/16\"",
        ]
    );
}

#[test]
fn a_change_makes_a_generation() {
    let old = patched(policy(json!({})), json!({"metadata": {"generation": 2}}));
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), policy(json!({})));
    let (other, _) = updated(&RESOURCE, RESOURCE.strategy, old, policy(json!({"egress": [{}]})));
    assert_eq!((same.generation(), other.generation()), (2, 3));
}

#[test]
fn a_row_shows_the_selector() {
    let object = policy(json!({"podSelector": {"matchLabels": {"app": "web"}}}));
    assert_eq!(row(&RESOURCE, object), ["p", "app=web", "<unknown>"]);
    assert_eq!(row(&RESOURCE, policy(json!({})))[1], "<none>");
}
