use super::*;
use crate::zone::{
    EndpointFacts, EndpointPort, EndpointSliceFacts, ObjectKey, Protocol, ServiceFacts, ServiceKind, ServicePort,
};

#[track_caller]
fn check(input: &Input, line: &str) {
    assert_eq!(serde_json::to_string(input).unwrap(), line);
    assert_eq!(serde_json::from_str::<Input>(line).unwrap(), *input);
}

/// These lines are version 1: a change here is a new version.
#[test]
fn the_lines_of_version_1_stay_as_they_are() {
    check(&Input::Synced, r#""synced""#);
    check(&Input::Namespace("shop".into()), r#"{"namespace":"shop"}"#);
    check(&Input::NamespaceDeleted("shop".into()), r#"{"namespaceDeleted":"shop"}"#);
    check(&Input::ServiceDeleted(ObjectKey::new("a", "b")), r#"{"serviceDeleted":{"namespace":"a","name":"b"}}"#);
    let service = ServiceFacts {
        key: ObjectKey::new("a", "b"),
        kind: ServiceKind::ClusterIps(vec!["10.0.0.1".parse().unwrap()]),
        ports: vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80 }],
        publish_not_ready_addresses: false,
    };
    check(
        &Input::Service(service.clone()),
        r#"{"service":{"namespace":"a","name":"b","kind":{"clusterIps":["10.0.0.1"]},"ports":[{"name":"http","protocol":"TCP","port":80}]}}"#,
    );
    let headless = ServiceFacts { kind: ServiceKind::Headless, ports: Vec::new(), ..service.clone() };
    check(&Input::Service(headless), r#"{"service":{"namespace":"a","name":"b","kind":"headless"}}"#);
    let external = ServiceFacts { kind: ServiceKind::ExternalName("x.example".into()), ports: Vec::new(), ..service };
    check(&Input::Service(external), r#"{"service":{"namespace":"a","name":"b","kind":{"externalName":"x.example"}}}"#);
    let slice = EndpointSliceFacts {
        key: ObjectKey::new("a", "b-1"),
        service: "b".into(),
        ports: vec![EndpointPort { name: "".into(), protocol: Protocol::Udp, port: None }],
        endpoints: vec![EndpointFacts {
            addresses: vec!["fd00::1".parse().unwrap()],
            hostname: Some("h".into()),
            ready: false,
        }],
    };
    check(
        &Input::EndpointSlice(slice),
        r#"{"endpointSlice":{"namespace":"a","name":"b-1","service":"b","ports":[{"name":"","protocol":"UDP","port":null}],"endpoints":[{"addresses":["fd00::1"],"hostname":"h","ready":false}]}}"#,
    );
}
