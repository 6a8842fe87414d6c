//! Connections are listed by what they translate, and forgotten.

use corten_net::{
    conntrack::{Filter, UDP},
    nftables::{Chain, ChainType, Family, Field, Hook, Rule, Table, Transaction, Value, priority},
};

use crate::support::{Node, ip, need_root, receive, udp};

#[test]
fn a_client_that_keeps_sending_reaches_the_new_endpoint_once_the_old_connection_is_forgotten() {
    need_root!();
    let node = Node::new(&["10.1.0.1/24"]);
    let client = node.pod("veth-c", &["10.1.0.2/24"]);
    let old = node.pod("veth-o", &["10.1.0.3/24"]);
    let new = node.pod("veth-n", &["10.1.0.4/24"]);
    let table = Table::new(Family::Ip4, "t");
    let to = |target: &str| {
        Rule::new("pre")
            .matches(Field::Ip4Destination, &Value::Ip4([10, 96, 0, 10].into()))
            .matches(Field::L4Proto, &Value::Protocol(UDP))
            .dnat(ip(target), Some(5353))
    };
    let mut tx = Transaction::new();
    tx.add_table(&table)
        .add_chain(&table, Chain::base("pre", ChainType::Nat, Hook::Prerouting, priority::DSTNAT))
        .add_rule(&table, to("10.1.0.3"));
    node.nft.commit(&tx).unwrap();

    let (at_old, at_new) = (udp(&old.netns, "10.1.0.3:5353"), udp(&new.netns, "10.1.0.4:5353"));
    let socket = udp(&client.netns, "10.1.0.2:4000");
    let send = |text: &str| socket.send_to(text.as_bytes(), "10.96.0.10:53").unwrap();
    send("one");
    assert_eq!(receive(&at_old).unwrap(), ("one".into(), "10.1.0.2:4000".parse().unwrap()));

    let mut tx = Transaction::new();
    node.nft.commit(tx.flush_chain(&table, "pre").add_rule(&table, to("10.1.0.4"))).unwrap();
    send("two");
    assert_eq!(receive(&at_old).unwrap().0, "two", "the tracked connection keeps its translation");

    let by_service = Filter {
        protocol: Some(UDP),
        original_destination: Some(ip("10.96.0.10")),
        original_destination_port: Some(53),
        ..Filter::default()
    };
    let by_endpoint = Filter { reply_source: Some(ip("10.1.0.3")), reply_source_port: Some(5353), ..by_service };
    let entries = node.conntrack.list_where(|e| by_endpoint.matches(e)).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].original.source, "10.1.0.2:4000".parse().unwrap());
    assert_eq!(entries[0].reply.source, "10.1.0.3:5353".parse().unwrap());
    let other_port = Filter { original_destination_port: Some(54), ..by_service };
    assert_eq!(node.conntrack.delete_matching(&other_port).unwrap(), 0);
    assert_eq!(node.conntrack.delete_matching(&by_endpoint).unwrap(), 1);
    assert_eq!(node.conntrack.delete_matching(&by_service).unwrap(), 0);
    assert!(!node.conntrack.delete(&entries[0]).unwrap(), "forgetting again changes nothing");

    send("three");
    assert_eq!(receive(&at_new).unwrap().0, "three");
}
