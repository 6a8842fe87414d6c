use super::{
    frontends::{Claims, Role, frontends},
    *,
};
use crate::change_tracker::{EndpointFacts, ServiceFacts, ServicePort, ServiceView, SliceFacts, SlicePort};

/// Words: `internal-local`, `external-local`, `node-port`; the service has a cluster address and one port.
fn service(words: &str) -> ServiceFacts {
    let has = |word| words.split(' ').any(|w| w == word);
    ServiceFacts {
        name: ObjectName::new("default", "web"),
        cluster_ips: vec!["10.96.0.1".parse().unwrap()],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: None,
        internal_local: has("internal-local"),
        external_local: has("external-local"),
        affinity: None,
        health_check_node_port: has("health").then_some(31000),
        ports: vec![ServicePort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 80,
            node_port: has("node-port").then_some(30080),
        }],
    }
}

/// Endpoints `N:state[@here]` at 10.1.0.N; states: `ready`, `unready`, `serving` (while terminating), `ending`.
fn view(service: ServiceFacts, endpoints: &str) -> ServiceView {
    let endpoints = endpoints.split_whitespace().map(|word| {
        let (word, node) = word.split_once('@').map_or((word, "other"), |(w, _)| (w, "n1"));
        let (last, state) = word.split_once(':').unwrap();
        let (ready, serving, terminating) = match state {
            "ready" => (true, true, false),
            "unready" => (false, false, false),
            "serving" => (false, true, true),
            "ending" => (false, false, true),
            other => panic!("{other}"),
        };
        EndpointFacts {
            ip: format!("10.1.0.{last}").parse().unwrap(),
            ready,
            serving,
            terminating,
            node: Some(node.to_owned()),
        }
    });
    let slice = SliceFacts {
        name: service.name.clone(),
        service: Some(service.name.clone()),
        ports: vec![SlicePort { name: String::new(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: endpoints.collect(),
    };
    ServiceView { service: Arc::new(service), slices: vec![Arc::new(slice)] }
}

fn rules(words: &str, endpoints: &str) -> ServiceRules {
    build(&view(service(words), endpoints), "n1").unwrap()
}

#[track_caller]
fn check(words: &str, endpoints: &str, internal: Route, external: Route, cluster: &[u8], local: &[u8]) {
    let rules = rules(words, endpoints);
    let [port] = &rules.ports.values().collect::<Vec<_>>()[..] else { panic!("one port") };
    let lasts = |set: &BTreeSet<SocketAddr>| -> Vec<u8> {
        set.iter().map(|a| if let IpAddr::V4(ip) = a.ip() { ip.octets()[3] } else { 0 }).collect()
    };
    assert_eq!((port.internal, port.external), (internal, external));
    assert_eq!((lasts(&port.cluster_endpoints), lasts(&port.local_endpoints)), (cluster.to_vec(), local.to_vec()));
}

#[test]
fn ready_endpoints_count_and_others_do_not() {
    use Route::{Cluster, Reject};
    check("", "3:ready 4:unready 5:serving 6:ready@here", Cluster, Cluster, &[3, 6], &[]);
    check("", "", Reject, Reject, &[], &[]);
    check("", "3:unready 4:ending", Reject, Reject, &[], &[]);
}

#[test]
fn endpoints_that_serve_while_terminating_count_if_none_is_ready() {
    use Route::{Cluster, Local};
    check("", "3:serving 4:ending 5:unready", Cluster, Cluster, &[3], &[]);
    check("internal-local", "3:serving@here 4:ready", Local, Cluster, &[], &[3]);
    check("internal-local", "3:serving@here 4:ready@here", Local, Cluster, &[], &[4]);
}

#[test]
fn the_policy_local_takes_endpoints_of_this_node() {
    use Route::{Cluster, Local};
    check("internal-local", "3:ready@here 4:ready", Local, Cluster, &[], &[3]);
    check("internal-local", "4:ready", Local, Cluster, &[], &[]);
    // Without outside addresses, the external policy needs nothing.
    check("external-local", "3:ready@here 4:ready", Cluster, Local, &[3, 4], &[]);
    check("external-local node-port", "3:ready@here 4:ready", Cluster, Local, &[3, 4], &[3]);
    check("internal-local node-port", "3:ready@here 4:ready", Local, Cluster, &[3, 4], &[3]);
}

#[test]
fn the_health_check_counts_ready_endpoints_of_this_node() {
    let health = |words, endpoints| rules(words, endpoints).health_check;
    let expected = |n| Some(HealthCheck { node_port: 31000, local_endpoints: n });
    assert_eq!(
        health("health external-local node-port", "3:ready@here 4:ready@here 5:ready 6:serving@here"),
        expected(2)
    );
    assert_eq!(health("health external-local node-port", ""), expected(0));
    assert_eq!(health("health node-port", "3:ready@here"), None);
}

#[test]
fn only_endpoints_of_this_node_are_hairpins() {
    let rules = rules("", "3:ready@here 4:ready 5:unready@here");
    let port = rules.ports.values().next().unwrap();
    assert_eq!(port.hairpins.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.1.0.3"]);
}

#[test]
fn a_service_without_cluster_address_has_no_rules() {
    let headless = ServiceFacts { cluster_ips: Vec::new(), ..service("") };
    assert_eq!(build(&view(headless, "3:ready"), "n1"), None);
}

#[test]
fn source_ranges_of_the_other_family_still_close_this_one() {
    let mut balanced = service("");
    balanced.source_ranges = Some(vec!["fd00::/8".parse().unwrap()]);
    let rules = build(&view(balanced, "3:ready"), "n1").unwrap();
    assert_eq!(rules.ports.values().next().unwrap().source_ranges, Some(BTreeSet::new()));
}

#[test]
fn the_difference_is_what_changed_and_nothing_else() {
    let name = ObjectName::new("default", "web");
    let mut ruleset = Ruleset::default();
    let added = ruleset.set_service(&name, Some(rules("", "3:ready")));
    assert!(matches!(&added[..], [Change { old: None, new: Some(_), .. }]));
    let before = ruleset.clone();
    assert_eq!(ruleset.set_service(&name, Some(rules("", "3:ready 4:unready"))), []);
    assert_eq!(diff(&before, &ruleset), []);
    let changed = ruleset.set_service(&name, Some(rules("", "3:ready 4:ready")));
    assert!(matches!(&changed[..], [Change { old: Some(_), new: Some(_), .. }]));
    assert_eq!(diff(&before, &ruleset), changed);
    let removed = ruleset.set_service(&name, None);
    assert!(matches!(&removed[..], [Change { old: Some(_), new: None, .. }]));
    assert!(ruleset.is_empty());
    assert_eq!(diff(&before, &ruleset).len(), 1);
    for change in added.iter().chain(&changed).chain(&removed) {
        ruleset.set_port(&change.key, change.new.clone());
    }
    assert_eq!(ruleset, Ruleset::default());
}

#[test]
fn an_address_goes_to_the_cluster_address_first_then_by_name() {
    let rules = rules("", "3:ready");
    let (key, web) = rules.ports.iter().next().unwrap();
    let mut greedy_key = key.clone();
    greedy_key.service.name = "a-greedy".into();
    let mut greedy = PortRules::clone(web);
    greedy.cluster_ip = "10.96.0.2".parse().unwrap();
    greedy.external_ips.insert(web.cluster_ip);
    let claims_of = |key: &PortKey, rules: &PortRules, who| -> BTreeMap<_, _> {
        frontends(key, rules).into_iter().map(|(f, role)| (f, (role, who))).collect()
    };
    let mut claims = Claims::default();
    claims.set(&greedy_key, &BTreeMap::new(), &claims_of(&greedy_key, &greedy, "greedy"));
    assert_eq!(claims.take_changes().len(), 2);
    claims.set(key, &BTreeMap::new(), &claims_of(key, web, "web"));
    let changes = claims.take_changes();
    assert!(matches!(changes[..], [(_, Some("greedy"), Some("web"))]), "{changes:?}");
    claims.set(&greedy_key, &frontends(&greedy_key, &greedy), &BTreeMap::new());
    assert_eq!(claims.take_changes().len(), 1, "only its own address changes");
    assert_eq!(frontends(key, web).into_values().collect::<Vec<_>>(), [Role::ClusterIp]);
}
