//! Cases for every backend.

use std::{io::ErrorKind, time::Duration};

use corten_net::{
    netlink::{Route, Rtnl},
    sysctl,
};

use super::scene::{
    Kind, Scene, Talk, UdpTalk, call, fails, ip, net, over_udp, reached, serve_tcp, service, with_node_port,
};

const BOTH: &[&str] = &["10.1.0.3", "10.1.0.4"];

pub(super) fn a_cluster_address_reaches_all_endpoints_from_pods_and_node(s: &mut Scene) {
    s.apply(service("web", "10.96.0.1"), BOTH);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    assert_eq!(reached(&s.node, "10.96.0.1:80"), "ab");
    if s.kind == Kind::Nftables {
        assert!(call(&s.client, "10.96.0.1:80").unwrap().ends_with(" 10.1.0.2"), "the source stays");
    }
    // From where no route is but through the node.
    Rtnl::open_in(&s.neighbour).unwrap().replace_route(&Route::via(net("10.96.0.0/16"), ip("192.168.0.1"))).unwrap();
    assert_eq!(reached(&s.neighbour, "10.96.0.1:80"), "ab");
}

/// Packet rules once threw dice: of nine connections to three endpoints one got six and another none.
pub(super) fn endpoints_are_taken_in_turn(s: &mut Scene) {
    const ALL: &[&str] = &["10.1.0.1", "10.1.0.3", "10.1.0.4"];
    #[track_caller]
    fn check(s: &Scene, target: &str, calls: usize, want: &str) {
        let mut names: Vec<_> = (0..calls).map(|_| call(&s.client, target).unwrap().remove(0)).collect();
        names.sort_unstable();
        assert_eq!(names.into_iter().collect::<String>(), want);
    }
    serve_tcp(&s.node, "c", "10.1.0.1:8080");
    let web = with_node_port(service("web", "10.96.0.1"), 30080);
    s.apply(web.clone(), ALL);
    check(s, "10.96.0.1:80", 9, "aaabbbccc");
    check(s, "192.168.0.1:30080", 9, "aaabbbccc");
    // In the middle of a round: another service changes nothing, other endpoints begin a round of their own.
    check(s, "10.96.0.1:80", 9, "aaabbbccc");
    s.apply(service("more", "10.96.0.2"), BOTH);
    check(s, "10.96.0.1:80", 9, "aaabbbccc");
    check(s, "10.96.0.2:80", 8, "aaaabbbb");
    s.endpoints(&web, BOTH);
    check(s, "10.96.0.1:80", 8, "aaaabbbb");
    s.endpoints(&web, ALL);
    check(s, "10.96.0.1:80", 9, "aaabbbccc");
}

pub(super) fn a_node_port_answers_on_all_addresses_and_localhost(s: &mut Scene) {
    s.apply(with_node_port(service("web", "10.96.0.1"), 30080), BOTH);
    for (from, target) in [
        (&s.neighbour, "192.168.0.1:30080"),
        (&s.node, "192.168.0.1:30080"),
        (&s.node, "127.0.0.1:30080"),
        (&s.client, "192.168.0.1:30080"),
        (&s.client, "10.1.0.1:30080"),
    ] {
        assert_eq!(reached(from, target), "ab", "{target}");
    }
    s.apply(with_node_port(service("web", "10.96.0.1"), 30081), BOTH);
    assert_eq!(reached(&s.neighbour, "192.168.0.1:30081"), "ab");
    assert!(fails(&s.neighbour, "192.168.0.1:30080"), "the old port is closed");
}

/// CVE-2020-8558: a neighbour that sends packets for 127/8 to the node.
pub(super) fn localhost_is_closed_to_neighbours(s: &mut Scene) {
    s.apply(with_node_port(service("web", "10.96.0.1"), 30080), BOTH);
    serve_tcp(&s.node, "local-only", "127.0.0.1:9000");
    assert!(call(&s.node, "127.0.0.1:9000").is_ok());
    sysctl::write(&s.neighbour, "net/ipv4/conf/all/route_localnet", "1").unwrap();
    let rtnl = Rtnl::open_in(&s.neighbour).unwrap();
    let lo = rtnl.expect_link("lo").unwrap().index;
    for address in rtnl.addresses(Some(lo)).unwrap() {
        rtnl.delete_address(&address).unwrap();
    }
    let link = rtnl.expect_link("wire").unwrap().index;
    rtnl.replace_route(&Route { link: Some(link), ..Route::via(net("127.0.0.0/8"), ip("192.168.0.1")) }).unwrap();
    assert!(fails(&s.neighbour, "127.0.0.1:9000"));
    assert!(fails(&s.neighbour, "127.0.0.1:30080"));
}

pub(super) fn a_client_stays_with_its_endpoint_while_that_lives(s: &mut Scene) {
    let mut web = service("web", "10.96.0.1");
    web.affinity = Some(Duration::from_secs(60));
    s.apply(web.clone(), BOTH);
    let first = call(&s.client, "10.96.0.1:80").unwrap();
    for _ in 0..20 {
        assert_eq!(call(&s.client, "10.96.0.1:80").unwrap()[..1], first[..1]);
    }
    // More endpoints change nothing for the client.
    s.endpoints(&web, &["10.1.0.3", "10.1.0.4", "10.1.0.5@other"]);
    for _ in 0..20 {
        assert_eq!(call(&s.client, "10.96.0.1:80").unwrap()[..1], first[..1]);
    }
    let (other, name) = if first.starts_with('a') { ("10.1.0.4", "b") } else { ("10.1.0.3", "a") };
    s.endpoints(&web, &[other]);
    for _ in 0..5 {
        assert_eq!(call(&s.client, "10.96.0.1:80").unwrap()[..1], *name, "its endpoint is gone");
    }
    s.endpoints(&web, BOTH);
    for _ in 0..20 {
        assert_eq!(call(&s.client, "10.96.0.1:80").unwrap()[..1], *name, "it stays with the new one");
    }
    web.affinity = None;
    s.apply(web.clone(), BOTH);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    web.affinity = Some(Duration::from_secs(1));
    s.apply(web, BOTH);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        seen.insert(call(&s.client, "10.96.0.1:80").unwrap().remove(0));
        // Past the time of the affinity.
        thread_pause(Duration::from_millis(1_300));
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen.len(), 2, "the affinity ends");
}

/// The kernel's clock cannot be advanced.
fn thread_pause(duration: Duration) {
    let (_sender, nothing) = std::sync::mpsc::channel::<()>();
    nothing.recv_timeout(duration).unwrap_err();
}

pub(super) fn without_endpoints_connections_are_refused_at_once(s: &mut Scene) {
    let web = with_node_port(service("web", "10.96.0.1"), 30080);
    s.apply(web.clone(), &[]);
    let check = |s: &Scene| {
        for (from, target) in [
            (&s.client, "10.96.0.1:80"),
            (&s.node, "10.96.0.1:80"),
            (&s.neighbour, "192.168.0.1:30080"),
            (&s.node, "127.0.0.1:30080"),
            // A port that the service does not have.
            (&s.client, "10.96.0.1:81"),
        ] {
            let error = call(from, target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{target}: {error}");
        }
    };
    check(s);
    s.endpoints(&web, BOTH);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    s.endpoints(&web, &[]);
    check(s);
}

pub(super) fn a_pod_reaches_itself_through_its_service(s: &mut Scene) {
    s.apply(service("web", "10.96.0.1"), &["10.1.0.3"]);
    for _ in 0..5 {
        assert!(call(&s.a, "10.96.0.1:80").unwrap().starts_with("a "));
    }
}

pub(super) fn a_removed_endpoint_gets_no_new_connections_but_keeps_its_old_ones(s: &mut Scene) {
    let web = service("web", "10.96.0.1");
    s.apply(web.clone(), &["10.1.0.3"]);
    let mut old = Talk::open(&s.client, "10.96.0.1:80").unwrap();
    assert!(old.greeting.starts_with("a "));
    s.endpoints(&web, &["10.1.0.4"]);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "b");
    assert_eq!(old.echo("still there").unwrap(), "still there");
    s.endpoints(&web, &[]);
    assert_eq!(call(&s.client, "10.96.0.1:80").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(old.echo("and now").unwrap(), "and now");
}

pub(super) fn udp_clients_move_on_when_their_endpoint_goes(s: &mut Scene) {
    let dns = with_node_port(over_udp(service("dns", "10.96.0.10")), 30053);
    s.apply(dns.clone(), &["10.1.0.3"]);
    let talks = [
        UdpTalk::new(&s.client, "10.96.0.10:80"),
        UdpTalk::new(&s.node, "10.96.0.10:80"),
        UdpTalk::new(&s.neighbour, "192.168.0.1:30053"),
        UdpTalk::new(&s.client, "10.1.0.1:30053"),
    ];
    for talk in &talks {
        assert!(talk.ask().unwrap().starts_with("a "));
    }
    s.endpoints(&dns, &["10.1.0.4"]);
    for talk in &talks {
        assert!(talk.ask().unwrap().starts_with("b "), "same socket, new endpoint");
    }
    // A client that asked while there was none is not held to that.
    s.endpoints(&dns, &[]);
    for talk in &talks {
        assert!(talk.ask().is_err());
    }
    s.endpoints(&dns, &["10.1.0.3"]);
    for talk in &talks {
        let answer = (0..3).find_map(|_| talk.ask().ok()).unwrap();
        assert!(answer.starts_with("a "));
    }
}

pub(super) fn a_deleted_service_answers_no_more(s: &mut Scene) {
    let web = with_node_port(service("web", "10.96.0.1"), 30080);
    s.apply(web.clone(), BOTH);
    s.apply(service("other", "10.96.0.2"), BOTH);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    s.delete(&web);
    assert!(fails(&s.client, "10.96.0.1:80"));
    assert!(fails(&s.neighbour, "192.168.0.1:30080"));
    assert_eq!(reached(&s.client, "10.96.0.2:80"), "ab");
    s.apply(web, BOTH);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    assert_eq!(reached(&s.neighbour, "192.168.0.1:30080"), "ab");
}

/// Two services with the same external address: refused by the kernel, it would hold up all other changes.
pub(super) fn an_address_passes_to_the_next_claimant(s: &mut Scene) {
    let [mut first, mut second] = [service("first", "10.96.0.1"), service("second", "10.96.0.2")];
    first.external_ips = vec![ip("172.16.0.1")];
    second.external_ips = vec![ip("172.16.0.1"), ip("10.96.0.1")];
    s.apply(second, &["10.1.0.4"]);
    s.apply(first.clone(), &["10.1.0.3"]);
    assert_eq!(reached(&s.client, "172.16.0.1:80"), "a", "the first by name has it");
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "a", "nobody takes over a cluster address");
    s.delete(&first);
    assert_eq!(reached(&s.client, "172.16.0.1:80"), "b");
}

pub(super) fn ipv6_services_work_like_ipv4(s: &mut Scene) {
    let web = with_node_port(service("web", "fd00:96::1"), 30080);
    s.apply(web.clone(), &["fd00:1::3", "fd00:1::4"]);
    assert_eq!(reached(&s.client, "[fd00:96::1]:80"), "ab");
    assert_eq!(reached(&s.client, "[fd00:1::1]:30080"), "ab");
    let dns = over_udp(service("dns", "fd00:96::10"));
    s.apply(dns.clone(), &["fd00:1::3"]);
    let talk = UdpTalk::new(&s.client, "[fd00:96::10]:80");
    // Userspace: the first datagram to an IPv6 address that has just come to `lo` can get lost.
    let answer = talk.ask().or_else(|_| talk.ask()).unwrap();
    assert!(answer.starts_with("a "));
    s.endpoints(&dns, &["fd00:1::4"]);
    assert!(talk.ask().unwrap().starts_with("b "));
    s.endpoints(&web, &[]);
    assert_eq!(call(&s.client, "[fd00:96::1]:80").unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

pub(super) fn a_load_balancer_lets_only_its_source_ranges_in(s: &mut Scene) {
    let mut web = service("web", "10.96.0.1");
    web.load_balancer_ips = vec![ip("172.16.0.1")];
    web.source_ranges = Some(vec![net("192.168.0.0/24"), net("192.168.0.2/32")]);
    Rtnl::open_in(&s.neighbour).unwrap().replace_route(&Route::via(net("172.16.0.0/16"), ip("192.168.0.1"))).unwrap();
    s.apply(web.clone(), BOTH);
    assert_eq!(reached(&s.neighbour, "172.16.0.1:80"), "ab");
    assert!(fails(&s.client, "172.16.0.1:80"), "a pod is not in the ranges");
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab", "the cluster address is for everybody");
    web.source_ranges = Some(vec![net("10.1.0.0/24")]);
    s.apply(web.clone(), BOTH);
    assert!(fails(&s.neighbour, "172.16.0.1:80"));
    assert_eq!(reached(&s.client, "172.16.0.1:80"), "ab");
    web.source_ranges = None;
    s.apply(web.clone(), BOTH);
    assert_eq!(reached(&s.neighbour, "172.16.0.1:80"), "ab");
    web.load_balancer_ips.clear();
    s.apply(web, BOTH);
    assert!(fails(&s.neighbour, "172.16.0.1:80"));
}

pub(super) fn the_internal_policy_local_uses_endpoints_of_this_node(s: &mut Scene) {
    let mut web = service("web", "10.96.0.1");
    web.internal_local = true;
    s.apply(web.clone(), &["10.1.0.3", "10.1.0.4@other"]);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "a");
    s.endpoints(&web, &["10.1.0.4@other"]);
    assert!(fails(&s.client, "10.96.0.1:80"), "there is none here");
    web.internal_local = false;
    s.apply(web, &["10.1.0.4@other"]);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "b");
}
