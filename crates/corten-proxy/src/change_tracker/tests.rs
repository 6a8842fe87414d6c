use super::*;

fn facts(json: &str) -> ServiceFacts {
    ServiceFacts::from_json(json.as_bytes()).unwrap()
}

fn slice(name: &str, service: &str, port: u16, ips: &[&str]) -> SliceFacts {
    SliceFacts {
        name: ObjectName::new("default", name),
        service: Some(ObjectName::new("default", service)),
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port }],
        endpoints: ips
            .iter()
            .map(|ip| EndpointFacts {
                ip: ip.parse().unwrap(),
                ready: true,
                serving: true,
                terminating: false,
                node: None,
            })
            .collect(),
    }
}

const WEB: &str = r#"{"metadata":{"namespace":"default","name":"web","uid":"x"},"spec":{"type":"LoadBalancer",
    "clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"],"externalIPs":["172.16.0.1"],
    "loadBalancerSourceRanges":["10.0.0.0/8"," 192.168.0.0/16 "],"externalTrafficPolicy":"Local",
    "internalTrafficPolicy":"Cluster","healthCheckNodePort":31000,"sessionAffinity":"ClientIP",
    "sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}},"selector":{"app":"web"},
    "ports":[{"name":"http","protocol":"TCP","port":80,"targetPort":"http","nodePort":30080},
             {"name":"dns","protocol":"UDP","port":53,"targetPort":5353}]},
    "status":{"loadBalancer":{"ingress":[{"ip":"172.16.0.2","ipMode":"VIP"},{"ip":"172.16.0.3","ipMode":"Proxy"},
             {"ip":"172.16.0.4"},{"hostname":"example.org"}]}}}"#;

#[test]
fn a_service_is_read_with_everything_the_proxy_needs() {
    let web = facts(WEB);
    let port = |name: &str, protocol, port, node_port| ServicePort { name: name.into(), protocol, port, node_port };
    assert_eq!(
        web,
        ServiceFacts {
            name: ObjectName::new("default", "web"),
            cluster_ips: vec!["10.96.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            external_ips: vec!["172.16.0.1".parse().unwrap()],
            load_balancer_ips: vec!["172.16.0.2".parse().unwrap(), "172.16.0.4".parse().unwrap()],
            source_ranges: Some(vec!["10.0.0.0/8".parse().unwrap(), "192.168.0.0/16".parse().unwrap()]),
            internal_local: false,
            external_local: true,
            affinity: Some(std::time::Duration::from_secs(60)),
            health_check_node_port: Some(31000),
            ports: vec![port("http", Protocol::Tcp, 80, Some(30080)), port("dns", Protocol::Udp, 53, None)],
        }
    );
}

/// A list of ranges that only the API server could read was an empty one, which let everybody in.
#[test]
fn source_ranges_are_read_as_the_api_server_reads_them_and_shut_out_if_nobody_can() {
    for (ranges, want) in [
        ("[]", None),
        (r#"["10.0.0.0/008"]"#, Some(vec!["10.0.0.0/8"])),
        (r#"["0010.1.2.3/8","nonsense"]"#, Some(vec!["10.0.0.0/8"])),
        (r#"["nonsense"]"#, Some(vec![])),
    ] {
        let json = format!(
            r#"{{"metadata":{{"namespace":"a","name":"b"}},"spec":{{"type":"LoadBalancer","clusterIP":"010.96.0.1",
                "loadBalancerSourceRanges":{ranges}}}}}"#
        );
        let read = facts(&json);
        let want = want.map(|ranges| ranges.into_iter().map(|range| range.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(read.source_ranges, want, "{ranges}");
        assert_eq!(read.cluster_ips, ["10.96.0.1".parse::<std::net::IpAddr>().unwrap()]);
    }
}

#[test]
fn services_that_are_not_for_this_proxy_have_no_cluster_address() {
    for (labels, spec) in [
        ("{}", r#"{"clusterIP":"None","clusterIPs":["None"]}"#),
        ("{}", r#"{"type":"ExternalName","externalName":"example.org"}"#),
        (r#"{"service.kubernetes.io/service-proxy-name":"other"}"#, r#"{"clusterIP":"10.96.0.1"}"#),
        (r#"{"service.kubernetes.io/headless":""}"#, r#"{"clusterIP":"10.96.0.1"}"#),
        ("{}", "{}"),
    ] {
        let json = format!(r#"{{"metadata":{{"namespace":"a","name":"b","labels":{labels}}},"spec":{spec}}}"#);
        assert_eq!(facts(&json).cluster_ips, [] as [std::net::IpAddr; 0], "{json}");
    }
}

#[test]
fn a_slice_without_conditions_is_ready() {
    let slice = SliceFacts::from_json(
        br#"{"metadata":{"namespace":"default","name":"web-1","labels":{"kubernetes.io/service-name":"web"}},
            "addressType":"IPv4","ports":[{"name":"http","port":8080},{"name":"all"}],
            "endpoints":[{"addresses":["10.1.0.3"],"conditions":{},"nodeName":"n1"},
                         {"addresses":["10.1.0.4"],"conditions":{"ready":false,"serving":true,"terminating":true}}]}"#,
    )
    .unwrap();
    assert_eq!(slice.service, Some(ObjectName::new("default", "web")));
    assert_eq!(slice.ports, [SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }]);
    let [first, second] = &slice.endpoints[..] else { panic!("two endpoints") };
    assert_eq!((first.ready, first.serving, first.terminating, first.node.as_deref()), (true, true, false, Some("n1")));
    assert_eq!((second.ready, second.serving, second.terminating), (false, true, true));
}

#[test]
fn what_is_not_an_object_is_an_error() {
    assert_eq!(ServiceFacts::from_json(b"[]").unwrap_err().to_string(), "read Service");
    assert_eq!(SliceFacts::from_json(b"{}").unwrap_err().to_string(), "read EndpointSlice");
}

fn changed(tracker: &mut ChangeTracker) -> Vec<String> {
    tracker
        .take()
        .into_iter()
        .map(|(name, view)| format!("{name}{}", if view.is_some() { "" } else { " gone" }))
        .collect()
}

#[test]
fn changes_between_two_syncs_are_one() {
    let mut t = ChangeTracker::new();
    t.set_slice(slice("web-1", "web", 80, &["10.1.0.3"]));
    t.set_service(facts(WEB));
    t.set_slice(slice("web-1", "web", 80, &["10.1.0.4"]));
    assert!(t.has_changes());
    assert_eq!(changed(&mut t), ["default/web"]);
    assert_eq!(changed(&mut t), [] as [&str; 0]);
}

#[test]
fn what_says_the_same_again_is_no_change() {
    let mut t = ChangeTracker::new();
    t.set_service(facts(WEB));
    t.set_slice(slice("web-1", "web", 80, &["10.1.0.3"]));
    t.take();
    t.set_service(facts(WEB));
    t.set_slice(slice("web-1", "web", 80, &["10.1.0.3"]));
    assert!(!t.has_changes());
}

#[test]
fn a_slice_that_is_relabelled_leaves_its_old_service() {
    let mut t = ChangeTracker::new();
    t.set_service(facts(WEB));
    t.set_slice(slice("web-1", "web", 80, &["10.1.0.3"]));
    t.take();
    t.set_slice(slice("web-1", "other", 80, &["10.1.0.3"]));
    assert_eq!(changed(&mut t), ["default/other gone", "default/web"]);
    t.set_slice(SliceFacts { service: None, ..slice("web-1", "", 80, &[]) });
    assert_eq!(changed(&mut t), ["default/other gone"]);
    t.delete_slice(&ObjectName::new("default", "web-1"));
    assert!(!t.has_changes());
    t.delete_service(&ObjectName::new("default", "web"));
    assert_eq!(changed(&mut t), ["default/web gone"]);
}

#[test]
fn an_endpoint_in_two_slices_counts_once_and_is_ready_if_one_says_so() {
    let mut t = ChangeTracker::new();
    t.set_service(facts(WEB));
    let mut old = slice("web-1", "web", 80, &["10.1.0.3", "10.1.0.4", "fd00::3"]);
    old.endpoints[0].ready = false;
    t.set_slice(old);
    t.set_slice(slice("web-2", "web", 80, &["10.1.0.3"]));
    let (_, view) = t.take().remove(0);
    let endpoints = view.unwrap().endpoints("http", Protocol::Tcp, IpFamily::V4, "n1");
    let seen: Vec<_> = endpoints.iter().map(|e| (e.address.to_string(), e.ready)).collect();
    assert_eq!(seen, [("10.1.0.3:80".to_owned(), true), ("10.1.0.4:80".to_owned(), true)]);
}
