//! Interfaces, addresses, routes, neighbours.

use corten_net::{
    Netns,
    netlink::{
        Address, FdbEntry, LinkChange, LinkKind, MacAddress, MasterChange, Neighbour, NewLink, Route, Rtnl, TABLE_MAIN,
        Veth, Vxlan,
    },
};

use crate::support::{Node, cable, call, ip, need_root, net, new_link, serve};

#[test]
fn pods_on_one_bridge_reach_each_other_by_both_families() {
    need_root!();
    let node = Node::new(&["10.1.0.1/24", "fd01::1/64"]);
    let a = node.pod("veth-a", &["10.1.0.2/24", "fd01::2/64"]);
    let b = node.pod("veth-b", &["10.1.0.3/24", "fd01::3/64"]);
    serve(&b.netns, "b4", "10.1.0.3:80");
    serve(&b.netns, "b6", "[fd01::3]:80");
    assert_eq!(call(&a.netns, "10.1.0.3:80").unwrap(), "b4 10.1.0.2");
    assert_eq!(call(&a.netns, "[fd01::3]:80").unwrap(), "b6 fd01::2");
    assert_eq!(call(&node.netns, "10.1.0.3:80").unwrap(), "b4 10.1.0.1");
}

#[test]
fn an_interface_is_as_it_was_asked_for_and_changes() {
    need_root!();
    let node = Node::new(&["10.1.0.1/24"]);
    let address: MacAddress = "0a:58:0a:01:00:02".parse().unwrap();
    let peer_address: MacAddress = "0a:58:0a:01:00:03".parse().unwrap();
    let veth = Veth { peer_name: "peer", peer_netns: None, peer_address: Some(peer_address) };
    let new = NewLink {
        name: "veth0",
        kind: LinkKind::Veth(veth),
        mtu: Some(1400),
        address: Some(address),
        master: None,
        up: false,
    };
    node.rtnl.create_link(&new).unwrap();
    assert!(node.rtnl.create_link(&new).unwrap_err().is_exists());
    let link = node.rtnl.expect_link("veth0").unwrap();
    assert_eq!((link.kind.as_deref(), link.mtu, link.address, link.up), (Some("veth"), 1400, Some(address), false));
    let peer = node.rtnl.expect_link("peer").unwrap();
    assert_eq!((link.link, peer.mtu, peer.address), (Some(peer.index), 1400, Some(peer_address)));

    let change = LinkChange {
        name: Some("renamed"),
        up: Some(true),
        mtu: Some(1300),
        master: Some(MasterChange::Join(node.bridge)),
        ..LinkChange::default()
    };
    node.rtnl.change_link(link.index, &change).unwrap();
    let changed = node.rtnl.link_by_index(link.index).unwrap().unwrap();
    assert_eq!((changed.name.as_str(), changed.up, changed.mtu), ("renamed", true, 1300));
    assert_eq!((changed.master, changed.hairpin), (Some(node.bridge), Some(false)));
    node.rtnl.set_hairpin(link.index, true).unwrap();
    assert_eq!(node.rtnl.link_by_index(link.index).unwrap().unwrap().hairpin, Some(true));
    let leave = LinkChange { master: Some(MasterChange::Leave), ..LinkChange::default() };
    node.rtnl.change_link(link.index, &leave).unwrap();
    assert_eq!(node.rtnl.link_by_index(link.index).unwrap().unwrap().master, None);

    let other = Netns::create().unwrap();
    node.rtnl.change_link(peer.index, &LinkChange { netns: Some(&other), ..LinkChange::default() }).unwrap();
    assert!(node.rtnl.link_by_name("peer").unwrap().is_none());
    assert!(Rtnl::open_in(&other).unwrap().link_by_name("peer").unwrap().is_some());

    node.rtnl.delete_link(link.index).unwrap();
    assert!(node.rtnl.link_by_index(link.index).unwrap().is_none());
    assert!(node.rtnl.delete_link(link.index).unwrap_err().is_not_found());
    assert!(node.rtnl.create_link(&new_link("a name", LinkKind::Bridge)).is_err());
}

#[test]
fn errors_name_what_was_asked_for() {
    need_root!();
    let node = Node::new(&[]);
    let refused = node.rtnl.add_address(&Address { link: 9999, net: net("10.0.0.1/24") }).unwrap_err();
    assert_eq!(refused.to_string().split(" (").next(), Some("add address 10.0.0.1/24 to interface 9999"));
    assert!(refused.is_not_found());
    assert_eq!(node.rtnl.expect_link("eth7").unwrap_err().to_string(), "interface eth7 does not exist");
}

#[test]
fn addresses_and_routes_read_back_and_repeat() {
    need_root!();
    let node = Node::new(&[]);
    for text in ["10.1.0.1/24", "fd01::1/64"] {
        let address = Address { link: node.bridge, net: net(text) };
        assert!(node.rtnl.add_address(&address).unwrap());
        assert!(!node.rtnl.add_address(&address).unwrap(), "adding again changes nothing");
        assert!(node.rtnl.addresses(Some(node.bridge)).unwrap().contains(&address));
        assert!(node.rtnl.delete_address(&address).unwrap());
        assert!(!node.rtnl.delete_address(&address).unwrap(), "deleting again changes nothing");
        assert!(node.rtnl.add_address(&address).unwrap());
    }
    let mut route = Route { protocol: 77, ..Route::via(net("10.2.0.0/24"), ip("10.1.0.9")) };
    let mut route6 = Route { protocol: 77, mtu: Some(1400), ..Route::via(net("fd02::/64"), ip("fd01::9")) };
    for r in [&route, &route6] {
        node.rtnl.replace_route(r).unwrap();
    }
    let changed = Route { gateway: Some(ip("10.1.0.8")), ..route };
    node.rtnl.replace_route(&changed).unwrap();
    let mine: Vec<_> = node.rtnl.routes(TABLE_MAIN).unwrap().into_iter().filter(|r| r.protocol == 77).collect();
    route = Route { link: Some(node.bridge), ..changed };
    route6 = Route { link: Some(node.bridge), metric: mine[1].metric, ..route6 };
    assert_eq!(mine, [route, route6]);
    for r in [&route, &route6] {
        assert!(node.rtnl.delete_route(r).unwrap());
        assert!(!node.rtnl.delete_route(r).unwrap());
    }
    let direct = Route::on(net("10.3.0.0/24"), node.bridge);
    node.rtnl.replace_route(&direct).unwrap();
    assert!(node.rtnl.routes(TABLE_MAIN).unwrap().iter().any(|r| r.destination == direct.destination));
}

#[test]
fn pods_of_two_nodes_reach_each_other_by_plain_routes() {
    need_root!();
    let (left, right) = (Node::new(&["10.1.0.1/24"]), Node::new(&["10.2.0.1/24"]));
    cable(&left.netns, &right.netns, "wire", ["192.168.0.1/24", "192.168.0.2/24"]);
    left.rtnl.replace_route(&Route::via(net("10.2.0.0/24"), ip("192.168.0.2"))).unwrap();
    right.rtnl.replace_route(&Route::via(net("10.1.0.0/24"), ip("192.168.0.1"))).unwrap();
    let (a, b) = (left.pod("veth-a", &["10.1.0.2/24"]), right.pod("veth-b", &["10.2.0.2/24"]));
    serve(&b.netns, "b", "10.2.0.2:80");
    assert_eq!(call(&a.netns, "10.2.0.2:80").unwrap(), "b 10.1.0.2");
}

#[test]
fn pods_of_two_nodes_reach_each_other_by_vxlan() {
    need_root!();
    let (left, right) = (Node::new(&["10.1.0.1/24"]), Node::new(&["10.2.0.1/24"]));
    cable(&left.netns, &right.netns, "wire", ["192.168.0.1/24", "192.168.0.2/24"]);
    let mac = |n: u8| MacAddress([0x0a, 0x58, 0, 0, 0, n]);
    for (node, own, other, own_net, other_net) in
        [(&left, 1, 2, "10.1.0.0/32", "10.2.0.0/24"), (&right, 2, 1, "10.2.0.0/32", "10.1.0.0/24")]
    {
        let vxlan = Vxlan { id: 1, underlay: None, local: Some(ip(&format!("192.168.0.{own}"))), port: 8472 };
        let new = NewLink { address: Some(mac(own)), ..new_link("vxlan0", LinkKind::Vxlan(vxlan)) };
        node.rtnl.create_link(&new).unwrap();
        let link = node.rtnl.expect_link("vxlan0").unwrap().index;
        node.rtnl.add_address(&Address { link, net: net(own_net) }).unwrap();
        let next_hop = net(other_net).network();
        let entry = Neighbour { link, ip: next_hop, address: mac(other) };
        node.rtnl.replace_neighbour(&entry).unwrap();
        assert_eq!(node.rtnl.neighbours(link).unwrap(), [entry]);
        let entry = FdbEntry { link, address: mac(other), remote: ip(&format!("192.168.0.{other}")) };
        node.rtnl.replace_fdb(&entry).unwrap();
        assert_eq!(node.rtnl.fdb(link).unwrap(), [entry]);
        let route = Route { link: Some(link), on_link: true, ..Route::via(net(other_net), next_hop) };
        node.rtnl.replace_route(&route).unwrap();
    }
    let (a, b) = (left.pod("veth-a", &["10.1.0.2/24"]), right.pod("veth-b", &["10.2.0.2/24"]));
    serve(&b.netns, "b", "10.2.0.2:80");
    assert_eq!(call(&a.netns, "10.2.0.2:80").unwrap(), "b 10.1.0.2");
    let link = left.rtnl.expect_link("vxlan0").unwrap().index;
    let entry = left.rtnl.fdb(link).unwrap()[0];
    assert!(left.rtnl.delete_fdb(&entry).unwrap());
    assert!(!left.rtnl.delete_fdb(&entry).unwrap());
    assert!(left.rtnl.delete_neighbour(link, ip("10.2.0.0")).unwrap());
    assert!(!left.rtnl.delete_neighbour(link, ip("10.2.0.0")).unwrap());
}
