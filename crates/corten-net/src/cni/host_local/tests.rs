//! Addresses are handed out in turn, once, and survive what a crash leaves behind.

use serde_json::json;

use super::*;
use crate::{
    Netns,
    cni::{Host, Version},
};

struct Scene {
    dir: tempfile::TempDir,
    host: Host,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), host: Host::new(Netns::current().unwrap()) }
    }

    fn run<T>(&self, ipam: Value, container: &str, work: impl FnOnce(&Request<'_>) -> T) -> T {
        let mut config = json!({"ipam": ipam});
        config["ipam"]["dataDir"] = json!(self.dir.path());
        if let Some(runtime) = config["ipam"].as_object_mut().unwrap().remove("runtimeConfig") {
            config["runtimeConfig"] = runtime;
        }
        work(&Request {
            version: Version::V1_0_0,
            network: "pods",
            container_id: container,
            netns: None,
            interface: "eth0",
            config: config.as_object().unwrap(),
            previous: None,
            host: &self.host,
        })
    }

    fn add(&self, ipam: Value, container: &str) -> Result<Vec<String>, String> {
        self.run(ipam, container, |r| HostLocal.add(r))
            .map(|result| result.ips.iter().map(|ip| ip.address.to_string()).collect())
            .map_err(|e| e.msg)
    }

    fn delete(&self, ipam: Value, container: &str) {
        self.run(ipam, container, |r| HostLocal.delete(r)).unwrap();
    }
}

fn small() -> Value {
    json!({"ranges": [[{"subnet": "10.1.0.0/29"}]]})
}

#[test]
fn addresses_go_out_in_turn_and_come_back() {
    let s = Scene::new();
    // 10.1.0.1 is the gateway, 10.1.0.7 the broadcast address.
    for (container, want) in [("a", 2), ("b", 3), ("c", 4), ("d", 5), ("e", 6)] {
        assert_eq!(s.add(small(), container).unwrap(), [format!("10.1.0.{want}/29")]);
    }
    assert_eq!(s.add(small(), "f").unwrap_err(), "no IP addresses available in range set: 10.1.0.1-10.1.0.6");
    s.delete(small(), "b");
    s.delete(small(), "b");
    s.delete(small(), "d");
    assert_eq!(s.add(small(), "f").unwrap(), ["10.1.0.3/29"], "behind the last one, around the end");
    s.delete(small(), "e");
    assert_eq!(s.add(small(), "g").unwrap(), ["10.1.0.5/29"]);
}

#[test]
fn an_addition_that_is_repeated_gives_the_same_address() {
    let s = Scene::new();
    let first = s.add(small(), "a").unwrap();
    assert_eq!(s.add(small(), "a").unwrap(), first);
    s.run(small(), "a", |r| HostLocal.check(r)).unwrap();
    s.delete(small(), "a");
    assert_eq!(s.run(small(), "a", |r| HostLocal.check(r)).unwrap_err().code, code::MISMATCH);
}

#[test]
fn both_families_are_given_or_none() {
    let s = Scene::new();
    let dual = json!({"ranges": [[{"subnet": "10.1.0.0/30"}], [{"subnet": "fd01::/64", "rangeStart": "fd01::100"}]]});
    assert_eq!(s.add(dual.clone(), "a").unwrap(), ["10.1.0.2/30", "fd01::100/64"]);
    s.add(dual.clone(), "b").unwrap_err();
    s.delete(dual.clone(), "a");
    let six_full = json!({"ranges": [[{"subnet": "10.1.0.0/30"}], [{"subnet": "fd02::/126", "rangeStart": "fd02::2", "rangeEnd": "fd02::2"}]]});
    s.add(six_full.clone(), "c").unwrap();
    s.add(six_full, "d").unwrap_err();
    assert_eq!(s.run(dual, "x", |r| holders(r.config, "pods")).unwrap(), [("c".to_owned(), "eth0".to_owned())]);
}

#[test]
fn the_result_has_gateway_routes_and_name_service() {
    let s = Scene::new();
    let resolv = s.dir.path().join("resolv.conf");
    fs::write(&resolv, "# comment\nnameserver 10.96.0.10\nsearch a.b c.d\noptions ndots:5\n").unwrap();
    let ipam = json!({"subnet": "10.1.0.0/24", "routes": [{"dst": "0.0.0.0/0"}], "resolvConf": resolv});
    let result = s.run(ipam, "a", |r| HostLocal.add(r)).unwrap();
    assert_eq!(result.ips[0].gateway, Some("10.1.0.1".parse().unwrap()));
    assert_eq!(result.routes[0].dst, "0.0.0.0/0".parse().unwrap());
    assert_eq!((result.dns.nameservers, result.dns.search.len()), (vec!["10.96.0.10".to_owned()], 2));
}

#[test]
fn a_wanted_address_is_given_or_refused() {
    let s = Scene::new();
    let want = |ip: &str| json!({"subnet": "10.1.0.0/24", "runtimeConfig": {"ips": [ip]}});
    assert_eq!(s.add(want("10.1.0.77/24"), "a").unwrap(), ["10.1.0.77/24"]);
    assert_eq!(s.add(want("10.1.0.77"), "b").unwrap_err(), "requested address 10.1.0.77 is taken");
    assert_eq!(s.add(want("10.9.0.1"), "b").unwrap_err(), "requested address 10.9.0.1 is in no range");
    assert_eq!(s.run(small(), "x", |r| holders(r.config, "pods")).unwrap().len(), 1, "a refusal keeps nothing");
}

#[test]
fn what_a_crash_leaves_behind_does_no_harm() {
    let s = Scene::new();
    s.add(small(), "a").unwrap();
    let network = s.dir.path().join("pods");
    // Killed between giving a reservation its name and removing the staged file: both are one file.
    fs::hard_link(network.join("10.1.0.2"), network.join(STAGED)).unwrap();
    assert_eq!(s.add(small(), "b").unwrap(), ["10.1.0.3/29"]);
    assert_eq!(fs::read_to_string(network.join("10.1.0.2")).unwrap(), "a\r\neth0");
    // Killed while writing the hint.
    fs::write(network.join("last_reserved_ip.0"), "10.1.").unwrap();
    assert_eq!(s.add(small(), "c").unwrap(), ["10.1.0.4/29"]);
}

#[test]
fn threads_that_add_at_once_get_different_addresses() {
    let s = Scene::new();
    let ipam = json!({"subnet": "10.1.0.0/24"});
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|t| {
                let (s, ipam) = (&s, &ipam);
                scope.spawn(move || {
                    (0..10).map(|i| s.add(ipam.clone(), &format!("{t}-{i}")).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 80);
}

#[test]
fn wrong_ranges_are_refused() {
    let s = Scene::new();
    for (ipam, want) in [
        (json!({}), "no IP ranges specified"),
        (json!({"subnet": "10.1.0.0/31"}), "Network 10.1.0.0/31 too small to allocate from"),
        (json!({"subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1"}), "RangeStart 10.2.0.1 not in network 10.1.0.0/24"),
        (
            json!({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.2"}),
            "range of 10.1.0.0/24 ends before it starts",
        ),
    ] {
        assert_eq!(s.add(ipam, "a").unwrap_err(), want);
    }
}

#[test]
fn a_set_of_several_ranges_is_used_range_after_range() {
    let s = Scene::new();
    let ipam = json!({"ranges": [[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}]]});
    assert_eq!(s.add(ipam.clone(), "a").unwrap(), ["10.1.0.2/30"]);
    assert_eq!(s.add(ipam.clone(), "b").unwrap(), ["10.2.0.2/30"]);
    s.delete(ipam.clone(), "a");
    assert_eq!(s.add(ipam, "c").unwrap(), ["10.1.0.2/30"]);
}
