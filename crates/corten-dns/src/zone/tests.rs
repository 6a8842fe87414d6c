use super::{
    lookup::{PortLabels, RECORDS_MAX, ServicePlace, endpoint_targets},
    *,
};
use crate::message::{Name, Query, Response, code, upstream::Question};
use std::net::IpAddr;

/// A cluster: what each line stands for is in `cluster`.
fn service(name: &str, kind: ServiceKind, ports: &[(&str, Protocol, u16)]) -> ServiceFacts {
    ServiceFacts {
        key: ObjectKey::new("shop", name),
        kind,
        ports: ports
            .iter()
            .map(|(name, protocol, port)| ServicePort { name: (*name).into(), protocol: *protocol, port: *port })
            .collect(),
        publish_not_ready_addresses: false,
    }
}

fn cluster_ips(ips: &[&str]) -> ServiceKind {
    ServiceKind::ClusterIps(ips.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn endpoint(ip: &str, hostname: Option<&str>, ready: bool) -> EndpointFacts {
    EndpointFacts { addresses: vec![ip.parse().unwrap()], hostname: hostname.map(Into::into), ready }
}

fn slice(service: &str, name: &str, port: u16, endpoints: Vec<EndpointFacts>) -> EndpointSliceFacts {
    EndpointSliceFacts {
        key: ObjectKey::new("shop", name),
        service: service.into(),
        ports: vec![EndpointPort { name: "http".into(), protocol: Protocol::Tcp, port: Some(port) }],
        endpoints,
    }
}

fn cluster() -> Zone {
    let mut zone = Zone::new(Name::from_text("cluster.local").unwrap());
    fill(&mut zone);
    zone.synced();
    zone.settle(7);
    zone
}

fn fill(zone: &mut Zone) {
    let tcp = Protocol::Tcp;
    zone.upsert_namespace("shop");
    zone.upsert_namespace("empty");
    zone.upsert_service(service("web", cluster_ips(&["10.96.0.7"]), &[("http", tcp, 80), ("dns", Protocol::Udp, 53)]));
    zone.upsert_service(service("dual", cluster_ips(&["10.96.0.8", "fd00::8"]), &[("", tcp, 443)]));
    zone.upsert_service(service("bare", cluster_ips(&["10.96.0.9"]), &[]));
    zone.upsert_service(service("db", ServiceKind::Headless, &[("http", tcp, 5432)]));
    zone.upsert_service(service("nobody", ServiceKind::Headless, &[("http", tcp, 1)]));
    zone.upsert_service(service("ext", ServiceKind::ExternalName("www.example.com".into()), &[]));
    zone.upsert_service(service("alias", ServiceKind::ExternalName("WEB.shop.svc.cluster.local.".into()), &[]));
    zone.upsert_service(service("self", ServiceKind::ExternalName("self.shop.svc.cluster.local".into()), &[]));
    zone.upsert_service(service("loop1", ServiceKind::ExternalName("loop2.shop.svc.cluster.local".into()), &[]));
    zone.upsert_service(service("loop2", ServiceKind::ExternalName("loop1.shop.svc.cluster.local".into()), &[]));
    zone.upsert_service(service("dangling", ServiceKind::ExternalName("gone.shop.svc.cluster.local".into()), &[]));
    zone.upsert_service(service("literal", ServiceKind::ExternalName("192.0.2.1".into()), &[]));
    let mut eager = service("eager", ServiceKind::Headless, &[("http", tcp, 1)]);
    eager.publish_not_ready_addresses = true;
    zone.upsert_service(eager);
    zone.upsert_endpoint_slice(slice("web", "web-1", 8080, vec![endpoint("10.1.0.2", None, true)]));
    let db = vec![
        endpoint("10.1.0.4", Some("db-1"), true),
        endpoint("10.1.0.3", Some("db-0"), true),
        endpoint("10.1.0.5", Some("db-2"), false),
        endpoint("10.1.0.6", None, true),
    ];
    zone.upsert_endpoint_slice(slice("db", "db-a", 5432, db));
    zone.upsert_endpoint_slice(slice("db", "db-b", 5432, vec![endpoint("fd00::3", Some("db-0"), true)]));
    zone.upsert_endpoint_slice(slice("eager", "eager-a", 1, vec![endpoint("10.1.0.9", None, false)]));
}

const TYPES: [(&str, u16); 10] = [
    ("A", code::A),
    ("AAAA", code::AAAA),
    ("SRV", code::SRV),
    ("PTR", code::PTR),
    ("TXT", code::TXT),
    ("CNAME", code::CNAME),
    ("SOA", code::SOA),
    ("NS", code::NS),
    ("MX", 15),
    ("AXFR", code::AXFR),
];

/// Asks `name TYPE` and shows code and sections as a general library reads them; addresses sorted, as their order turns.
fn ask(zone: &mut Zone, question: &str) -> String {
    zone.settle(7);
    let (name, record_type) = question.split_once(' ').unwrap();
    let record_type = TYPES.iter().find(|(text, _)| *text == record_type).unwrap().1;
    let question = Question {
        name: Name::from_text(name).unwrap(),
        record_type,
        class: code::IN,
        dnssec_ok: false,
        checking_disabled: false,
    };
    let message = question.message(9);
    let query = Query::read(&message).unwrap();
    let mut response = Response::begin(Vec::new(), &query, 4_096);
    match zone.answer(&query, &mut response) {
        Outcome::Forward => "forward".to_owned(),
        Outcome::Chase(target) => {
            format!("{}chase {target}", show(&response.finish(code::NO_ERROR, true)))
        }
        Outcome::Answered(response_code) => show(&response.finish(response_code, true)),
    }
}

pub(crate) fn show(message: &[u8]) -> String {
    let message = hickory_proto::op::Message::from_vec(message).unwrap();
    let mut out = format!("{:?}\n", message.metadata.response_code);
    let sections =
        [("", &message.answers), ("authority: ", &message.authorities), ("additional: ", &message.additionals)];
    for (title, records) in sections {
        let mut lines: Vec<String> = records.iter().map(|record| format!("{title}{record}\n")).collect();
        lines.sort();
        out.extend(lines);
    }
    out
}

#[track_caller]
fn check(question: &str, want: &str) {
    assert_eq!(ask(&mut cluster(), question).trim_end(), want.trim_end(), "{question}");
}

const SOA: &str =
    "authority: cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5";

#[track_caller]
fn check_nothing(question: &str) {
    check(question, &format!("NoError\n{SOA}"));
}

#[track_caller]
fn check_no_name(question: &str) {
    check(question, &format!("NXDomain\n{SOA}"));
}

#[test]
fn a_service_has_its_cluster_ip() {
    check("web.shop.svc.cluster.local A", "NoError\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.7");
    check("bare.shop.svc.cluster.local A", "NoError\nbare.shop.svc.cluster.local. 5 IN A 10.96.0.9");
    check("WEB.Shop.svc.CLUSTER.local A", "NoError\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.7");
    check("dual.shop.svc.cluster.local AAAA", "NoError\ndual.shop.svc.cluster.local. 5 IN AAAA fd00::8");
}

#[test]
fn a_name_without_such_a_record_exists_all_the_same() {
    for question in [
        "web.shop.svc.cluster.local AAAA",
        "web.shop.svc.cluster.local MX",
        "web.shop.svc.cluster.local TXT",
        "web.shop.svc.cluster.local CNAME",
        "web.shop.svc.cluster.local PTR",
        "shop.svc.cluster.local A",
        "empty.pod.cluster.local A",
        "svc.cluster.local A",
        "pod.cluster.local A",
        "cluster.local A",
        "cluster.local TXT",
        "bare.shop.svc.cluster.local SRV",
    ] {
        check_nothing(question);
    }
}

#[test]
fn what_does_not_exist_is_a_name_error() {
    for question in [
        "none.shop.svc.cluster.local A",
        "web.none.svc.cluster.local A",
        "none.svc.cluster.local A",
        "foo.cluster.local A",
        "*.shop.svc.cluster.local A",
        "web.*.svc.cluster.local A",
        "any.web.shop.svc.cluster.local A",
        "_http._udp.web.shop.svc.cluster.local SRV",
        "_https._tcp.web.shop.svc.cluster.local SRV",
        "a.b.c.web.shop.svc.cluster.local A",
        "nobody.shop.svc.cluster.local A",
        "db-2.db.shop.svc.cluster.local A",
        "literal.shop.svc.cluster.local A",
        "x.ext.shop.svc.cluster.local A",
        "1-2-3-4.none.pod.cluster.local A",
        "1-2-3.shop.pod.cluster.local A",
        "1-2-3-400.shop.pod.cluster.local A",
    ] {
        check_no_name(question);
    }
}

#[test]
fn a_headless_service_has_the_addresses_of_its_ready_endpoints() {
    check(
        "db.shop.svc.cluster.local A",
        "NoError\ndb.shop.svc.cluster.local. 5 IN A 10.1.0.3\ndb.shop.svc.cluster.local. 5 IN A 10.1.0.4\ndb.shop.svc.cluster.local. 5 IN A 10.1.0.6",
    );
    check("db.shop.svc.cluster.local AAAA", "NoError\ndb.shop.svc.cluster.local. 5 IN AAAA fd00::3");
    check("eager.shop.svc.cluster.local A", "NoError\neager.shop.svc.cluster.local. 5 IN A 10.1.0.9");
}

#[test]
fn endpoints_of_a_headless_service_take_turns() {
    let zone = cluster();
    let first = |_| {
        let question = Question {
            name: Name::from_text("db.shop.svc.cluster.local").unwrap(),
            record_type: code::A,
            class: code::IN,
            dnssec_ok: false,
            checking_disabled: false,
        };
        let message = question.message(1);
        let query = Query::read(&message).unwrap();
        let mut response = Response::begin(Vec::new(), &query, 512);
        zone.answer(&query, &mut response);
        let message = hickory_proto::op::Message::from_vec(&response.finish(0, true)).unwrap();
        message.answers[0].data.to_string()
    };
    assert_eq!([0, 1, 2, 3].map(first), ["10.1.0.3", "10.1.0.4", "10.1.0.6", "10.1.0.3"]);
}

#[test]
fn an_endpoint_has_a_name_of_its_own() {
    check("db-0.db.shop.svc.cluster.local A", "NoError\ndb-0.db.shop.svc.cluster.local. 5 IN A 10.1.0.3");
    check("db-0.db.shop.svc.cluster.local AAAA", "NoError\ndb-0.db.shop.svc.cluster.local. 5 IN AAAA fd00::3");
    check("10-1-0-6.db.shop.svc.cluster.local A", "NoError\n10-1-0-6.db.shop.svc.cluster.local. 5 IN A 10.1.0.6");
    check("10-1-0-2.web.shop.svc.cluster.local A", "NoError\n10-1-0-2.web.shop.svc.cluster.local. 5 IN A 10.1.0.2");
    check_no_name("10-1-0-3.db.shop.svc.cluster.local A");
}

#[test]
fn a_named_port_of_a_service_is_located() {
    check(
        "_http._tcp.web.shop.svc.cluster.local SRV",
        "NoError\n_http._tcp.web.shop.svc.cluster.local. 5 IN SRV 0 100 80 web.shop.svc.cluster.local.\n\
         additional: web.shop.svc.cluster.local. 5 IN A 10.96.0.7",
    );
    check(
        "_http._tcp.web.shop.svc.cluster.local A",
        "NoError\n_http._tcp.web.shop.svc.cluster.local. 5 IN A 10.96.0.7",
    );
}

#[test]
fn both_families_of_a_port_are_one_location_with_two_addresses() {
    check(
        "dual.shop.svc.cluster.local SRV",
        "NoError\ndual.shop.svc.cluster.local. 5 IN SRV 0 50 443 dual.shop.svc.cluster.local.\n\
         additional: dual.shop.svc.cluster.local. 5 IN A 10.96.0.8\n\
         additional: dual.shop.svc.cluster.local. 5 IN AAAA fd00::8",
    );
}

#[test]
fn a_named_port_of_a_headless_service_is_located_at_each_endpoint() {
    let owner = "_http._tcp.db.shop.svc.cluster.local. 5 IN SRV 0 25 5432";
    check(
        "_http._tcp.db.shop.svc.cluster.local SRV",
        &format!(
            "NoError\n{owner} 10-1-0-6.db.shop.svc.cluster.local.\n{owner} db-0.db.shop.svc.cluster.local.\n\
             {owner} db-1.db.shop.svc.cluster.local.\n\
             additional: 10-1-0-6.db.shop.svc.cluster.local. 5 IN A 10.1.0.6\n\
             additional: db-0.db.shop.svc.cluster.local. 5 IN A 10.1.0.3\n\
             additional: db-0.db.shop.svc.cluster.local. 5 IN AAAA fd00::3\n\
             additional: db-1.db.shop.svc.cluster.local. 5 IN A 10.1.0.4"
        ),
    );
}

#[test]
fn an_external_name_is_an_alias_that_is_followed() {
    let alias = "NoError\next.shop.svc.cluster.local. 5 IN CNAME www.example.com.";
    check("ext.shop.svc.cluster.local A", &format!("{alias}\nchase www.example.com."));
    check("ext.shop.svc.cluster.local CNAME", alias);
    check(
        "alias.shop.svc.cluster.local A",
        "NoError\nalias.shop.svc.cluster.local. 5 IN CNAME web.shop.svc.cluster.local.\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.7",
    );
    for nothing in ["ext SRV", "ext TXT", "self A", "loop1 A", "dangling A", "alias AAAA"] {
        let (name, record_type) = nothing.split_once(' ').unwrap();
        check_nothing(&format!("{name}.shop.svc.cluster.local {record_type}"));
    }
}

#[test]
fn a_pod_has_the_address_that_its_name_spells() {
    check("10-1-0-77.shop.pod.cluster.local A", "NoError\n10-1-0-77.shop.pod.cluster.local. 5 IN A 10.1.0.77");
    check("fd00--77.shop.pod.cluster.local AAAA", "NoError\nfd00--77.shop.pod.cluster.local. 5 IN AAAA fd00::77");
    check_nothing("10-1-0-77.shop.pod.cluster.local AAAA");
}

#[test]
fn addresses_of_services_and_endpoints_have_names() {
    let name = "NoError\n7.0.96.10.in-addr.arpa. 5 IN PTR web.shop.svc.cluster.local.";
    check("7.0.96.10.in-addr.arpa PTR", name);
    check("3.0.1.10.in-addr.arpa PTR", "NoError\n3.0.1.10.in-addr.arpa. 5 IN PTR db-0.db.shop.svc.cluster.local.");
    check("6.0.1.10.in-addr.arpa PTR", "NoError\n6.0.1.10.in-addr.arpa. 5 IN PTR 10-1-0-6.db.shop.svc.cluster.local.");
    let v6 = "8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
    check(&format!("{v6} PTR"), &format!("NoError\n{v6}. 5 IN PTR dual.shop.svc.cluster.local."));
}

#[test]
fn everything_else_is_asked_upstream() {
    for question in [
        "5.0.1.10.in-addr.arpa PTR",
        "1.2.3.4.in-addr.arpa PTR",
        "7.0.96.10.in-addr.arpa A",
        "07.0.96.10.in-addr.arpa PTR",
        "example.com A",
        "xcluster.local A",
        "local A",
        ". NS",
    ] {
        check(question, "forward");
    }
}

#[test]
fn the_zone_says_its_version_its_authority_and_its_server() {
    check("dns-version.cluster.local TXT", "NoError\ndns-version.cluster.local. 28800 IN TXT 1.1.0");
    check("cluster.local SOA", &format!("NoError\n{}", SOA.trim_start_matches("authority: ")));
    check_nothing("cluster.local NS");
    let mut zone = cluster();
    let mut dns = service("kube-dns", cluster_ips(&["10.96.0.10"]), &[]);
    dns.key.namespace = "kube-system".into();
    zone.upsert_service(dns);
    assert_eq!(
        ask(&mut zone, "cluster.local NS"),
        "NoError\ncluster.local. 5 IN NS kube-dns.kube-system.svc.cluster.local.\n\
         additional: kube-dns.kube-system.svc.cluster.local. 5 IN A 10.96.0.10\n"
    );
    assert_eq!(ask(&mut zone, "ns.dns.cluster.local A"), "NoError\nns.dns.cluster.local. 5 IN A 10.96.0.10\n");
}

#[test]
fn zone_transfers_are_refused() {
    check("cluster.local AXFR", "Refused");
}

#[test]
fn before_the_first_sync_nothing_is_said_not_to_exist() {
    let mut zone = Zone::new(Name::from_text("cluster.local").unwrap());
    assert_eq!(ask(&mut zone, "web.shop.svc.cluster.local A"), "ServFail\n");
    fill(&mut zone);
    assert_eq!(
        ask(&mut zone, "web.shop.svc.cluster.local A"),
        "NoError\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.7\n"
    );
    assert_eq!(ask(&mut zone, "none.shop.svc.cluster.local A"), "ServFail\n");
}

#[test]
fn a_replay_keeps_the_old_zone_until_its_end_and_then_drops_what_it_did_not_name() {
    let mut zone = cluster();
    zone.begin_replay();
    let before = ask(&mut zone, "db.shop.svc.cluster.local AAAA");
    zone.upsert_service(service("web", cluster_ips(&["10.96.0.77"]), &[]));
    assert_eq!(ask(&mut zone, "db.shop.svc.cluster.local AAAA"), before);
    zone.synced();
    assert!(ask(&mut zone, "db.shop.svc.cluster.local AAAA").starts_with("NXDomain"));
    assert!(ask(&mut zone, "a.empty.svc.cluster.local A").starts_with("NXDomain"));
    assert!(ask(&mut zone, "web.shop.svc.cluster.local A").contains("10.96.0.77"));
    assert_eq!(ask(&mut zone, "7.0.96.10.in-addr.arpa PTR"), "forward");
    assert_eq!(ask(&mut zone, "3.0.1.10.in-addr.arpa PTR"), "forward");
}

#[test]
fn deleting_everything_leaves_an_empty_zone() {
    let mut zone = cluster();
    for name in ["db-a", "db-b", "web-1", "eager-a"] {
        zone.delete_endpoint_slice(&ObjectKey::new("shop", name));
        zone.delete_endpoint_slice(&ObjectKey::new("shop", name));
    }
    assert!(ask(&mut zone, "db.shop.svc.cluster.local A").starts_with("NXDomain"));
    let all: Vec<String> =
        zone.namespaces[&b"shop"[..]].services.keys().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
    for name in all {
        zone.delete_service(&ObjectKey::new("shop", &name));
    }
    zone.delete_namespace("shop");
    zone.delete_namespace("empty");
    assert!(zone.namespaces.is_empty() && zone.service_ips.is_empty() && zone.endpoint_ips.is_empty());
}

#[test]
fn a_slice_can_come_before_its_service_and_change_its_endpoints() {
    let mut zone = cluster();
    zone.upsert_endpoint_slice(slice("late", "late-a", 1, vec![endpoint("10.1.1.1", None, true)]));
    zone.upsert_service(service("late", ServiceKind::Headless, &[]));
    assert!(ask(&mut zone, "late.shop.svc.cluster.local A").contains("10.1.1.1"));
    zone.upsert_endpoint_slice(slice("late", "late-a", 1, vec![endpoint("10.1.1.2", None, true)]));
    assert!(ask(&mut zone, "late.shop.svc.cluster.local A").contains("10.1.1.2"));
    assert_eq!(ask(&mut zone, "1.1.1.10.in-addr.arpa PTR"), "forward");
}

/// A headless service of 20,000 pods with 5,000 ports: a hundred million pairs of them.
#[test]
fn what_no_message_holds_is_not_gathered() {
    let mut zone = cluster();
    let ports: Vec<_> = (1..=5_000_u16).map(|port| (format!("p{port}"), port)).collect();
    let ports: Vec<_> = ports.iter().map(|(name, port)| (&**name, Protocol::Tcp, *port)).collect();
    zone.upsert_service(service("wide", ServiceKind::Headless, &ports));
    let pod = |n: u32| EndpointFacts {
        addresses: vec![IpAddr::from((0x0a02_0000 + n).to_be_bytes())],
        hostname: None,
        ready: true,
    };
    let mut wide = slice("wide", "wide-a", 1, (0..20_000).map(pod).collect());
    wide.ports = ports.iter().map(|p| EndpointPort { name: p.0.into(), protocol: p.1, port: Some(p.2) }).collect();
    zone.upsert_endpoint_slice(wide);
    zone.settle(7);
    let service = zone.namespaces[&b"shop"[..]].services.get(&b"wide"[..]).unwrap();
    let place = ServicePlace::of("shop", "wide");
    assert_eq!(endpoint_targets(service, &place).len(), RECORDS_MAX);
    let one_port = ServicePlace { port: Some(PortLabels { name: b"p5000", protocol: b"tcp" }), ..place };
    assert_eq!(endpoint_targets(service, &one_port).len(), RECORDS_MAX);
    let all = ask(&mut zone, "wide.shop.svc.cluster.local SRV");
    assert!(all.starts_with("NoError") && all.lines().count() > 20, "{all}");
    assert!(
        ask(&mut zone, "_p5000._tcp.wide.shop.svc.cluster.local SRV")
            .contains(" 5000 10-2-0-0.wide.shop.svc.cluster.local.")
    );
    assert!(ask(&mut zone, "_none._tcp.wide.shop.svc.cluster.local SRV").starts_with("NXDomain"));
}

/// Each slice of a service comes by itself; its addresses are sorted once per batch.
#[test]
fn addresses_are_gathered_when_a_batch_ends() {
    let mut zone = cluster();
    zone.upsert_service(service("many", ServiceKind::Headless, &[]));
    for n in 0..100 {
        zone.upsert_endpoint_slice(slice(
            "many",
            &format!("many-{n}"),
            1,
            vec![endpoint(&format!("10.3.0.{n}"), None, true)],
        ));
    }
    let gathered = |zone: &Zone| zone.namespaces[&b"shop"[..]].services[&b"many"[..]].v4.len();
    assert_eq!(gathered(&zone), 0);
    zone.settle(8);
    assert_eq!(gathered(&zone), 100);
    zone.delete_endpoint_slice(&ObjectKey::new("shop", "many-7"));
    zone.settle(9);
    assert_eq!(gathered(&zone), 99);
}

#[test]
fn objects_are_projected_from_their_json() {
    let facts = ServiceFacts::from_json(
        br#"{"metadata":{"namespace":"shop","name":"web","labels":{"a":"b"}},"spec":{"type":"NodePort","clusterIP":"10.0.0.1",
            "clusterIPs":["10.0.0.1","fd00::1"],"ports":[{"name":"http","port":80,"targetPort":"x"},{"protocol":"UDP","port":53}]}}"#,
    );
    let want =
        service("web", cluster_ips(&["10.0.0.1", "fd00::1"]), &[("http", Protocol::Tcp, 80), ("", Protocol::Udp, 53)]);
    assert_eq!(facts.unwrap(), want);
    let headless = br#"{"metadata":{"namespace":"shop","name":"db"},"spec":{"clusterIP":"None","clusterIPs":["None"],"publishNotReadyAddresses":true}}"#;
    let facts = ServiceFacts::from_json(headless).unwrap();
    assert!(facts.kind == ServiceKind::Headless && facts.publish_not_ready_addresses);
    let slice = br#"{"metadata":{"namespace":"shop","name":"db-1","labels":{"kubernetes.io/service-name":"db"}},"addressType":"IPv4",
        "ports":[{"name":"","port":5432,"protocol":"TCP"}],
        "endpoints":[{"addresses":["10.1.0.1"],"hostname":"db-0","conditions":{"ready":true}},{"addresses":["10.1.0.2"],"conditions":{"ready":false}},
        {"addresses":["10.1.0.3"]}]}"#;
    let facts = EndpointSliceFacts::from_json(slice).unwrap().unwrap();
    assert_eq!(
        facts.endpoints,
        [endpoint("10.1.0.1", Some("db-0"), true), endpoint("10.1.0.2", None, false), endpoint("10.1.0.3", None, true)]
    );
    let orphan = br#"{"metadata":{"namespace":"shop","name":"x"},"endpoints":null}"#;
    assert_eq!(EndpointSliceFacts::from_json(orphan).unwrap(), None);
    assert!(ServiceFacts::from_json(b"{}").is_err());
}
