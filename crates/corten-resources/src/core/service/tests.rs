use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, features, patched, refuses, refuses_update, row, updated, value};

fn service(spec: Value) -> Value {
    patched(json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}), json!({"spec": spec}))
}

/// A service as it is stored, with its address.
fn stored(spec: Value) -> Value {
    patched(service(json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]})), json!({"spec": spec}))
}

#[test]
fn a_minimal_service_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, service(json!({})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        object,
        value(json!({
            "metadata": {"name": "web"},
            "spec": {
                "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            },
            "status": {"loadBalancer": {}},
        }))
    );
}

#[test]
fn each_type_gets_its_defaults() {
    let (object, errors) = created(&RESOURCE, service(json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP"})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.bool_at(&["spec", "allocateLoadBalancerNodePorts"]), Some(true));
    assert_eq!(object.str_at(&["spec", "externalTrafficPolicy"]), Some("Cluster"));
    assert_eq!(object.i64_at(&["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"]), Some(10_800));
    let (object, _) = created(&RESOURCE, service(json!({"clusterIP": "None"})));
    assert_eq!(object.at(&["spec", "clusterIPs"]), Some(&value(json!(["None"]))));
}

/// Ingresses named services that nobody could make.
#[test]
fn a_name_may_begin_with_a_digit_where_the_gate_says_so() {
    let wrong = |gates: &str, name: &str| RESOURCE.strategy.validate_name_by(&features(gates), name, false).len();
    for (gates, name, want) in [
        ("", "a1", 0),
        ("", "1a", 1),
        ("RelaxedServiceNameValidation=true", "1a", 0),
        ("RelaxedServiceNameValidation=true", "a.b", 1),
    ] {
        assert_eq!(wrong(gates, name), want, "{gates} {name}");
    }
}

#[test]
fn services_are_checked() {
    let cases: [(Value, &[&str]); 10] = [
        (json!({"ports": []}), &["spec.ports: Required value"]),
        (
            json!({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 1, "targetPort": 2}]}),
            &["spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":1,\
                 \"TargetPort\":0,\"NodePort\":0}"],
        ),
        (
            json!({"ports": [{"port": 0}, {"port": 80, "name": "B"}]}),
            &[
                "spec.ports[0].name: Required value",
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[1].name: Invalid value: \"B\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
             characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
             regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            ],
        ),
        (
            json!({"type": "Odd"}),
            &[
                "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \
             \"NodePort\"",
            ],
        ),
        (json!({"type": "ExternalName"}), &["spec.externalName: Required value"]),
        (
            json!({"type": "NodePort", "clusterIP": "None"}),
            &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (
            json!({"clusterIP": "nope"}),
            &[
                "spec.clusterIPs[0]: Invalid value: \"nope\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        ),
        (
            json!({"externalIPs": ["127.0.0.1"]}),
            &[
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ],
        ),
        (
            json!({"loadBalancerClass": "a", "trafficDistribution": "Far"}),
            &[
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.trafficDistribution: Unsupported value: \"Far\": supported values: \"PreferClose\", \
             \"PreferSameNode\", \"PreferSameZone\"",
            ],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, service(spec), want);
    }
}

#[test]
fn an_update_need_not_repeat_what_was_allocated() {
    let old = stored(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
    let (object, errors) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), service(json!({"type": "NodePort"})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["spec", "clusterIP"]), Some("10.96.0.9"));
    assert_eq!(object.items_at(&["spec", "ports"])[0].i64_at(&["nodePort"]), Some(30080));
    let (object, errors) = updated(
        &RESOURCE,
        RESOURCE.strategy,
        old,
        stored(json!({"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30080}]})),
    );
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.items_at(&["spec", "ports"])[0].get("nodePort"), None);
}

#[test]
fn an_address_stays_until_the_type_has_none() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        stored(json!({})),
        stored(json!({"clusterIP": "10.96.0.10"})),
        &["spec.clusterIPs[0]: Invalid value: [\"10.96.0.10\"]: may not change once set"],
    );
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        stored(json!({})),
        service(json!({"clusterIP": "10.96.0.10"})),
        &[
            "spec.clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset",
            "spec.clusterIPs: Required value",
        ],
    );
    let external = stored(json!({"type": "ExternalName", "externalName": "example.com"}));
    let (object, errors) = updated(&RESOURCE, RESOURCE.strategy, stored(json!({})), external);
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.at(&["spec", "clusterIP"]), None);
}

#[test]
fn only_load_balancers_report_addresses() {
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        service(json!({})),
        patched(service(json!({})), status.clone()),
        &["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"],
    );
    let balancer = service(json!({"type": "LoadBalancer"}));
    let (object, errors) = updated(&RESOURCE, &strategy::STATUS, balancer.clone(), patched(balancer, status));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.items_at(&["status", "loadBalancer", "ingress"])[0].str_at(&["ipMode"]), Some("VIP"));
}

#[test]
fn a_row_shows_addresses_and_ports() {
    let object = stored(json!({
        "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
        "selector": {"app": "web"},
    }));
    assert_eq!(
        row(&RESOURCE, object),
        ["web", "NodePort", "10.96.0.9", "<none>", "80:30080/TCP,53/UDP", "<unknown>", "app=web"]
    );
    assert_eq!(row(&RESOURCE, stored(json!({"type": "LoadBalancer"})))[3], "<pending>");
}

/// Each port was looked for among all old ones, and its node port among all used.
#[test]
fn very_many_ports_keep_their_node_ports() {
    const PORTS: usize = 50_000;
    let service = |with_node_ports: bool| {
        let port = |number: usize| {
            let mut port = json!({"name": format!("p{number}"), "port": number + 1});
            if with_node_ports {
                port["nodePort"] = json!(100_000 + number);
            }
            port
        };
        stored(json!({"type": "NodePort", "ports": (0..PORTS).map(port).collect::<Vec<_>>()}))
    };
    let (object, _) = updated(&RESOURCE, RESOURCE.strategy, service(true), service(false));
    let node_ports = object.items_at(&["spec", "ports"]).iter().map(|port| port.i64_at(&["nodePort"]));
    let want = (0..PORTS).map(|number| Some(100_000 + i64::try_from(number).unwrap()));
    assert!(node_ports.eq(want));
}
