//! What a service proxy is made of, with real packets between real namespaces.

use std::{collections::BTreeSet, io, time::Duration};

use corten_net::{
    netlink::Route,
    nftables::{
        Chain, ChainType, DataType, Element, Family, Field, Hook, Reject, Rule, Selector, Set, Table, Transaction,
        Value, Verdict, nat_flags, priority,
    },
    sysctl,
};

use crate::support::{Node, cable, call, ip, is_dropped, need_root, net, serve};

const MASQUERADE: u32 = 0x4000;
const TCP: u8 = 6;

/// Node 192.168.0.1 with pods 10.1.0.2 (client), .3 and .4 (endpoints "a" and "b" on port 8080), and a neighbour
/// machine 192.168.0.2.
struct Scene {
    node: Node,
    client: crate::support::Pod,
    a: crate::support::Pod,
    neighbour: corten_net::Netns,
    table: Table,
    services: Set,
    node_ports: Set,
}

fn value4(text: &str) -> Value {
    Value::from(ip(text))
}

fn service_key(address: &str, port: u16) -> Vec<Value> {
    vec![value4(address), Value::Protocol(TCP), Value::Port(port)]
}

impl Scene {
    fn new() -> Self {
        let node = Node::new(&["10.1.0.1/24"]);
        let client = node.pod("veth-c", &["10.1.0.2/24"]);
        let a = node.pod("veth-a", &["10.1.0.3/24"]);
        let b = node.pod("veth-b", &["10.1.0.4/24"]);
        serve(&a.netns, "a", "10.1.0.3:8080");
        serve(&b.netns, "b", "10.1.0.4:8080");
        let neighbour = corten_net::Netns::create().unwrap();
        cable(&node.netns, &neighbour, "wire", ["192.168.0.1/24", "192.168.0.2/24"]);
        node.rtnl.replace_route(&Route::via(net("0.0.0.0/0"), ip("192.168.0.2"))).unwrap();
        let table = Table::new(Family::Ip4, "proxy");
        let services = Set::verdict_map("services", &[DataType::Ip4, DataType::Protocol, DataType::Port]);
        let node_ports = Set::verdict_map("node-ports", &[DataType::Protocol, DataType::Port]);
        let scene = Self { node, client, a, neighbour, table, services, node_ports };
        scene.base();
        scene
    }

    /// The chains that every service shares, in the shape of a service proxy.
    fn base(&self) {
        let t = &self.table;
        let fields = [Field::Ip4Destination, Field::L4Proto, Field::DestinationPort];
        let mut tx = Transaction::new();
        tx.add_table(t).add_set(t, self.services.clone()).add_set(t, self.node_ports.clone());
        tx.add_chain(t, Chain::regular("dispatch"));
        for (name, hook) in [("pre", Hook::Prerouting), ("out", Hook::Output)] {
            tx.add_chain(t, Chain::base(name, ChainType::Nat, hook, priority::DSTNAT));
            tx.add_rule(t, Rule::new(name).jump("dispatch"));
        }
        tx.add_rule(t, Rule::new("dispatch").verdict_map(Selector::Fields(&fields), "services"));
        tx.add_rule(
            t,
            Rule::new("dispatch")
                .matches(Field::FibDestinationType, &Value::LOCAL)
                .verdict_map(Selector::Fields(&fields[1..]), "node-ports"),
        );
        tx.add_chain(t, Chain::base("post", ChainType::Nat, Hook::Postrouting, priority::SRCNAT));
        tx.add_rule(
            t,
            Rule::new("post")
                .any_bit(Field::Mark, MASQUERADE)
                .set_mark(0, MASQUERADE)
                .masquerade(nat_flags::FULLY_RANDOM),
        );
        // CVE-2020-8558: with route_localnet, packets for 127/8 could come from other machines.
        tx.add_chain(t, Chain::base("raw", ChainType::Filter, Hook::Prerouting, priority::RAW));
        tx.add_rule(
            t,
            Rule::new("raw")
                .compares(Field::IifName, corten_net::nftables::CmpOp::Ne, &Value::IfName("lo".into()))
                .in_network(Field::Ip4Destination, net("127.0.0.0/8"), false)
                .counter()
                .verdict(Verdict::Drop),
        );
        self.node.nft.commit(&tx).unwrap();
    }

    /// Adds a chain that sends to both endpoints by chance, with a map of its own.
    fn add_balanced(&self, tx: &mut Transaction, chain: &str) {
        let t = &self.table;
        let endpoints = Set::map(format!("{chain}-endpoints"), &[DataType::Integer], &[DataType::Ip4, DataType::Port]);
        tx.add_set(t, endpoints.clone()).add_chain(t, Chain::regular(chain));
        for (i, address) in ["10.1.0.3", "10.1.0.4"].into_iter().enumerate() {
            let element = Element::new([Value::Integer(i as u32)]).to_values([value4(address), Value::Port(8080)]);
            tx.add_elements(t, &endpoints, [element]);
        }
        // A pod that reaches itself, or a client from outside, must come back through the node.
        tx.add_rule(
            t,
            Rule::new(chain).in_network(Field::Ip4Source, net("10.1.0.0/24"), true).set_mark(MASQUERADE, MASQUERADE),
        );
        for address in ["10.1.0.3", "10.1.0.4"] {
            tx.add_rule(
                t,
                Rule::new(chain).matches(Field::Ip4Source, &value4(address)).set_mark(MASQUERADE, MASQUERADE),
            );
        }
        tx.add_rule(
            t,
            Rule::new(chain).matches(Field::L4Proto, &Value::Protocol(TCP)).dnat_map(
                Selector::Random { modulus: 2 },
                &endpoints.name,
                false,
            ),
        );
    }
}

fn names(answers: &[String]) -> BTreeSet<&str> {
    answers.iter().filter_map(|a| a.split(' ').next()).collect()
}

#[test]
fn a_cluster_address_reaches_both_endpoints_from_pods_and_node() {
    need_root!();
    let s = Scene::new();
    let mut tx = Transaction::new();
    s.add_balanced(&mut tx, "web");
    tx.add_elements(
        &s.table,
        &s.services,
        [Element::new(service_key("10.96.0.1", 80)).to_verdict(Verdict::Goto("web".into()))],
    );
    s.node.nft.commit(&tx).unwrap();
    // 40 calls miss one of two endpoints with a probability of 2^-39.
    let from_pod: Vec<_> = (0..40).map(|_| call(&s.client.netns, "10.96.0.1:80").unwrap()).collect();
    assert_eq!(names(&from_pod), BTreeSet::from(["a", "b"]));
    assert!(from_pod.iter().all(|a| a.ends_with(" 10.1.0.2")), "the source stays: {from_pod:?}");
    let from_node: Vec<_> = (0..40).map(|_| call(&s.node.netns, "10.96.0.1:80").unwrap()).collect();
    assert_eq!(names(&from_node), BTreeSet::from(["a", "b"]));
}

#[test]
fn a_pod_reaches_itself_through_its_service_when_its_port_is_a_hairpin() {
    need_root!();
    let s = Scene::new();
    let mut tx = Transaction::new();
    s.add_balanced(&mut tx, "web");
    tx.add_elements(
        &s.table,
        &s.services,
        [Element::new(service_key("10.96.0.1", 80)).to_verdict(Verdict::Goto("web".into()))],
    );
    s.node.nft.commit(&tx).unwrap();
    s.node.rtnl.set_hairpin(s.a.port, true).unwrap();
    let answers: Vec<_> = (0..40).map(|_| call(&s.a.netns, "10.96.0.1:80").unwrap()).collect();
    assert_eq!(names(&answers), BTreeSet::from(["a", "b"]));
    // To itself it comes from the bridge, or the answer would never pass the node.
    assert!(answers.iter().all(|a| a.ends_with(" 10.1.0.1")), "{answers:?}");
}

#[test]
fn a_client_stays_with_its_endpoint_until_its_affinity_ends() {
    need_root!();
    let s = Scene::new();
    let t = &s.table;
    let mut tx = Transaction::new();
    let sets = ["a", "b"]
        .map(|n| Set::new(format!("affinity-{n}"), &[DataType::Ip4]).updated_by_rules(Duration::from_secs(60)));
    let chains = Set::verdict_map("choose", &[DataType::Integer]);
    tx.add_set(t, chains.clone()).add_chain(t, Chain::regular("sticky"));
    for ((i, name), address) in ["a", "b"].into_iter().enumerate().zip(["10.1.0.3", "10.1.0.4"]) {
        let chain = format!("endpoint-{name}");
        tx.add_set(t, sets[i].clone()).add_chain(t, Chain::regular(&chain));
        tx.add_rule(
            t,
            Rule::new(&chain)
                .update_set(&[Field::Ip4Source], &sets[i].name, None)
                .matches(Field::L4Proto, &Value::Protocol(TCP))
                .dnat(ip(address), Some(8080)),
        );
        tx.add_elements(
            t,
            &chains,
            [Element::new([Value::Integer(i as u32)]).to_verdict(Verdict::Goto(chain.clone()))],
        );
        tx.add_rule(t, Rule::new("sticky").in_set(&[Field::Ip4Source], &sets[i].name).goto(chain));
    }
    tx.add_rule(t, Rule::new("sticky").verdict_map(Selector::Random { modulus: 2 }, "choose"));
    tx.add_elements(
        t,
        &s.services,
        [Element::new(service_key("10.96.0.2", 80)).to_verdict(Verdict::Goto("sticky".into()))],
    );
    s.node.nft.commit(&tx).unwrap();

    let first = call(&s.client.netns, "10.96.0.2:80").unwrap();
    for _ in 0..20 {
        assert_eq!(call(&s.client.netns, "10.96.0.2:80").unwrap(), first);
    }
    let holder = sets.iter().find(|set| set.name.ends_with(&first[..1])).unwrap();
    let held = s.node.nft.elements(t, holder).unwrap();
    assert_eq!(held.iter().map(|e| &e.key[..]).collect::<Vec<_>>(), [&[value4("10.1.0.2")][..]]);
    assert!(held[0].expires_in.unwrap() <= Duration::from_secs(60));

    // Its affinity is taken away and given to the other endpoint, with a time of its own.
    let other = sets.iter().find(|set| set.name != holder.name).unwrap();
    let mut tx = Transaction::new();
    tx.delete_elements(t, holder, [Element::new([value4("10.1.0.2")])]);
    tx.add_elements(t, other, [Element::new([value4("10.1.0.2")]).timeout(Duration::from_secs(30))]);
    s.node.nft.commit(&tx).unwrap();
    let moved = call(&s.client.netns, "10.96.0.2:80").unwrap();
    assert_ne!(moved[..1], first[..1]);
}

#[test]
fn a_service_without_endpoints_refuses_at_once() {
    need_root!();
    let s = Scene::new();
    let t = &s.table;
    let none = Set::verdict_map("no-endpoints", &[DataType::Ip4, DataType::Protocol, DataType::Port]);
    let fields = [Field::Ip4Destination, Field::L4Proto, Field::DestinationPort];
    let mut tx = Transaction::new();
    tx.add_set(t, none.clone()).add_chain(t, Chain::regular("refuse"));
    tx.add_rule(t, Rule::new("refuse").reject(Reject::Icmp(3)));
    for (name, hook) in [("filter-in", Hook::Input), ("filter-fwd", Hook::Forward), ("filter-out", Hook::Output)] {
        tx.add_chain(t, Chain::base(name, ChainType::Filter, hook, priority::FILTER));
        tx.add_rule(t, Rule::new(name).verdict_map(Selector::Fields(&fields), "no-endpoints"));
    }
    tx.add_elements(t, &none, [Element::new(service_key("10.96.0.3", 80)).to_verdict(Verdict::Goto("refuse".into()))]);
    s.node.nft.commit(&tx).unwrap();
    for from in [&s.client.netns, &s.node.netns] {
        assert_eq!(call(from, "10.96.0.3:80").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_node_port_answers_neighbours_and_127_0_0_1_but_neighbours_do_not_reach_127_0_0_1() {
    need_root!();
    let s = Scene::new();
    let t = &s.table;
    sysctl::write(&s.node.netns, "net/ipv4/conf/all/route_localnet", "1").unwrap();
    let mut tx = Transaction::new();
    s.add_balanced(&mut tx, "web");
    tx.add_elements(
        t,
        &s.node_ports,
        [Element::new([Value::Protocol(TCP), Value::Port(30080)]).to_verdict(Verdict::Goto("web".into()))],
    );
    s.node.nft.commit(&tx).unwrap();
    serve(&s.node.netns, "local-only", "127.0.0.1:9000");
    for (from, target) in [
        (&s.neighbour, "192.168.0.1:30080"),
        (&s.node.netns, "192.168.0.1:30080"),
        (&s.node.netns, "127.0.0.1:30080"),
        (&s.client.netns, "192.168.0.1:30080"),
    ] {
        let answer = call(from, target).unwrap();
        assert!(answer.starts_with(['a', 'b']), "{target}: {answer}");
    }
    // CVE-2020-8558: a neighbour that routes 127/8 to the node.
    let wire = corten_net::netlink::Rtnl::open_in(&s.neighbour).unwrap();
    sysctl::write(&s.neighbour, "net/ipv4/conf/all/route_localnet", "1").unwrap();
    let lo = wire.expect_link("lo").unwrap().index;
    for address in wire.addresses(Some(lo)).unwrap() {
        wire.delete_address(&address).unwrap();
    }
    let link = wire.expect_link("wire").unwrap().index;
    let route = Route { link: Some(link), ..Route::via(net("127.0.0.0/8"), ip("192.168.0.1")) };
    wire.replace_route(&route).unwrap();
    assert!(is_dropped(&s.neighbour, "127.0.0.1:9000"));
    let dump = s.node.nft.dump(t).unwrap().unwrap();
    let dropped = dump.rules_of("raw").flat_map(|r| &r.rule.exprs).find_map(|e| match e {
        corten_net::nftables::Expr::Counter { packets, .. } => Some(*packets),
        _ => None,
    });
    assert!(dropped.unwrap() > 0, "the packets came and were dropped by the rule");
}

#[test]
fn packets_that_leave_the_cluster_get_the_address_of_the_node() {
    need_root!();
    let s = Scene::new();
    let t = &s.table;
    serve(&s.neighbour, "outside", "192.168.0.2:80");
    assert!(is_dropped(&s.client.netns, "192.168.0.2:80"), "the neighbour knows no way back to the pod");
    let mut tx = Transaction::new();
    tx.add_rule(
        t,
        Rule::new("post")
            .in_network(Field::Ip4Source, net("10.1.0.0/24"), false)
            .in_network(Field::Ip4Destination, net("10.1.0.0/24"), true)
            .masquerade(nat_flags::FULLY_RANDOM),
    );
    s.node.nft.commit(&tx).unwrap();
    assert_eq!(call(&s.client.netns, "192.168.0.2:80").unwrap(), "outside 192.168.0.1");
    // The dropped attempt is still tracked, untranslated, beside the one that came through.
    let target = "192.168.0.2:80".parse().unwrap();
    let tracked = s.node.conntrack.list_where(|e| e.original.destination == target).unwrap();
    assert!(tracked.iter().any(|e| e.reply.destination.ip() == ip("192.168.0.1")), "{tracked:?}");
}

#[test]
fn two_thousand_services_load_and_one_changes() {
    need_root!();
    let s = Scene::new();
    let t = &s.table;
    let clock = corten_base::SystemClock::shared();
    let element = |i: u32| {
        let address = Value::Ip4(std::net::Ipv4Addr::from(0x0a60_1000 + i));
        Element::new([address, Value::Protocol(TCP), Value::Port(80)]).to_verdict(Verdict::Goto(format!("svc-{i}")))
    };
    let mut tx = Transaction::new();
    let mut elements = Vec::new();
    for i in 0..2000 {
        let chain = format!("svc-{i}");
        let endpoints = Set::map(format!("svc-{i}-endpoints"), &[DataType::Integer], &[DataType::Ip4, DataType::Port]);
        tx.add_chain(t, Chain::regular(&chain)).add_set(t, endpoints.clone());
        let backend = |n: u32, last: u8| {
            Element::new([Value::Integer(n)]).to_values([Value::Ip4([10, 1, 0, last].into()), Value::Port(8080)])
        };
        tx.add_elements(t, &endpoints, [backend(0, 3), backend(1, 4)]);
        tx.add_rule(
            t,
            Rule::new(&chain)
                .comment(format!("default/service-{i}"))
                .matches(Field::L4Proto, &Value::Protocol(TCP))
                .dnat_map(Selector::Random { modulus: 2 }, &endpoints.name, false),
        );
        elements.push(element(i));
    }
    tx.add_elements(t, &s.services, elements);
    let start = clock.monotonic();
    s.node.nft.commit(&tx).unwrap();
    let loaded = clock.monotonic();
    assert!(call(&s.client.netns, "10.96.16.77:80").is_ok());
    let mut tx = Transaction::new();
    tx.delete_elements(t, &s.services, [element(77)]);
    let before = clock.monotonic();
    s.node.nft.commit(&tx).unwrap();
    let after = clock.monotonic();
    let mut tx = Transaction::new();
    tx.add_elements(t, &s.services, [element(77)]);
    let before_add = clock.monotonic();
    s.node.nft.commit(&tx).unwrap();
    let after_add = clock.monotonic();
    let dump_start = clock.monotonic();
    let dump = s.node.nft.dump(t).unwrap().unwrap();
    let dump_end = clock.monotonic();
    assert_eq!(dump.set("services").unwrap().elements.len(), 2000);
    println!(
        "2,000 services: load {:?}; delete one element {:?}, add one element {:?}; read all back {:?}",
        loaded - start,
        after - before,
        after_add - before_add,
        dump_end - dump_start
    );
}
