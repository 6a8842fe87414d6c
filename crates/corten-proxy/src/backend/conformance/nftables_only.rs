//! What packet rules can do and listeners cannot, and what they cost.

use std::sync::atomic::{AtomicBool, Ordering};

use corten_base::SystemClock;
use corten_net::{
    nftables::{Chain, ChainType, DataType, Family, Hook, Nftables, Rule, Set, Table, Transaction, priority},
    sysctl,
};

use super::scene::{Kind, Scene, call, fails, ip, over_udp, reached, service, with_node_port};
use crate::backend::nftables::{NftablesBackend, NftablesConfig};

const BOTH: &[&str] = &["10.1.0.3", "10.1.0.4"];

fn scene() -> Option<Scene> {
    if nix::unistd::Uid::effective().is_root() {
        return Some(Scene::new(Kind::Nftables));
    }
    println!("skipped: needs root to make network namespaces");
    None
}

fn table(prefix: &str) -> Table {
    Table::new(Family::Ip4, format!("{prefix}-proxy"))
}

#[test]
fn the_external_policy_local_keeps_the_source_and_stays_on_the_node() {
    let Some(mut s) = scene() else { return };
    let mut web = with_node_port(service("web", "10.96.0.1"), 30080);
    s.apply(web.clone(), BOTH);
    assert!(call(&s.neighbour, "192.168.0.1:30080").unwrap().ends_with(" 10.1.0.1"), "seen as the node");
    web.external_local = true;
    s.apply(web.clone(), &["10.1.0.3", "10.1.0.4@other"]);
    corten_net::netlink::Rtnl::open_in(&s.neighbour)
        .unwrap()
        .replace_route(&corten_net::netlink::Route::via(super::scene::net("10.1.0.0/16"), ip("192.168.0.1")))
        .unwrap();
    for _ in 0..10 {
        assert_eq!(call(&s.neighbour, "192.168.0.1:30080").unwrap(), "a 192.168.0.2");
    }
    assert_eq!(reached(&s.node, "127.0.0.1:30080"), "ab", "the node itself reaches all");
    assert_eq!(reached(&s.client, "192.168.0.1:30080"), "ab", "so do pods");
    s.endpoints(&web, &["10.1.0.4@other"]);
    assert!(fails(&s.neighbour, "192.168.0.1:30080"), "there is none here");
    assert_eq!(reached(&s.client, "192.168.0.1:30080"), "b");
}

#[test]
fn a_pod_that_reaches_itself_is_seen_as_the_node() {
    let Some(mut s) = scene() else { return };
    s.apply(service("web", "10.96.0.1"), BOTH);
    for _ in 0..20 {
        let answer = call(&s.a, "10.96.0.1:80").unwrap();
        assert!(["a 10.1.0.1", "b 10.1.0.3"].contains(&&*answer), "{answer}");
    }
}

#[test]
fn rules_that_somebody_took_away_come_back_with_a_full_sync() {
    let Some(mut s) = scene() else { return };
    s.apply(service("web", "10.96.0.1"), BOTH);
    assert!(s.with_backend(|b, _| b.is_intact()).unwrap());
    let nft = Nftables::open_in(&s.node).unwrap();
    let other = Table::new(Family::Ip4, "somebody-else");
    nft.commit(Transaction::new().add_table(&other)).unwrap();
    assert!(s.with_backend(|b, _| b.is_intact()).unwrap(), "what others have is no concern");
    nft.commit(Transaction::new().delete_table(&table("test"))).unwrap();
    assert!(!s.with_backend(|b, _| b.is_intact()).unwrap());
    s.set(service("more", "10.96.0.2"), BOTH);
    let changes = s.changes();
    assert!(s.with_backend(|b, _| b.apply(&changes)).is_err(), "a change does not fit");
    s.replace();
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    assert_eq!(reached(&s.client, "10.96.0.2:80"), "ab");
    s.with_backend(|b, _| b.clean_up()).unwrap();
    assert_eq!(nft.tables().unwrap(), [other]);
}

/// `route_localnet` once stayed on without the rules that kept neighbours away from 127.0.0.1 (CVE-2020-8558).
#[test]
fn what_the_rules_guard_is_off_when_they_are_gone() {
    let Some(mut s) = scene() else { return };
    let setting = |s: &Scene| sysctl::read(&s.node, "net/ipv4/conf/all/route_localnet").unwrap();
    s.apply(with_node_port(service("web", "10.96.0.1"), 30080), BOTH);
    assert_eq!(setting(&s), "1");
    let retire = |s: &Scene| {
        let open = || {
            let config = NftablesConfig { prefix: "test".to_owned(), ..NftablesConfig::default() };
            NftablesBackend::open(config).unwrap().retire().unwrap();
        };
        s.node.run(open).unwrap();
    };
    retire(&s);
    assert_eq!((setting(&s).as_str(), Nftables::open_in(&s.node).unwrap().tables().unwrap().len()), ("0", 0));
    // Without our rules it is somebody else's.
    sysctl::write(&s.node, "net/ipv4/conf/all/route_localnet", "1").unwrap();
    retire(&s);
    assert_eq!(setting(&s), "1");
}

#[test]
fn two_clusters_share_a_machine() {
    let Some(mut s) = scene() else { return };
    s.apply(service("web", "10.96.0.1"), BOTH);
    let one = s.backend.replace(s.open("second"));
    let of_one = std::mem::take(&mut s.ruleset);
    s.replace();
    s.apply(service("web", "10.97.0.1"), &["10.1.0.4"]);
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    assert_eq!(reached(&s.client, "10.97.0.1:80"), "b");
    s.with_backend(|b, _| b.clean_up()).unwrap();
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
    (s.backend, s.ruleset) = (one, of_one);
    s.replace();
    assert_eq!(reached(&s.client, "10.96.0.1:80"), "ab");
}

#[test]
fn a_full_sync_drops_no_traffic() {
    let Some(mut s) = scene() else { return };
    s.apply(service("web", "10.96.0.1"), BOTH);
    while_calling(&mut s, "10.96.0.1:80", |s| {
        for _ in 0..50 {
            s.replace();
        }
        // A process that starts anew finds the tables of the one before.
        s.backend = Some(s.open("test"));
        s.replace();
    });
}

/// The kernel shows new elements to a packet that is still at the rules of before: an endpoint that went took the number
/// with it that the rule of before picks, and a policy that came led to a chain without rules.
#[test]
fn changes_of_a_service_drop_no_traffic() {
    let Some(mut s) = scene() else { return };
    let mut web = with_node_port(service("web", "10.96.0.1"), 30080);
    s.apply(web.clone(), BOTH);
    while_calling(&mut s, "10.96.0.1:80", |s| {
        for _ in 0..50 {
            s.endpoints(&web, &["10.1.0.4"]);
            s.endpoints(&web, BOTH);
            web.internal_local = !web.internal_local;
            s.apply(web.clone(), BOTH);
        }
    });
}

/// All rules lead to what this backend has made, whatever was in the table.
#[test]
fn a_full_sync_takes_out_what_is_not_wanted() {
    let Some(mut s) = scene() else { return };
    let nft = Nftables::open_in(&s.node).unwrap();
    let mut web = with_node_port(service("web", "10.96.0.1"), 30080);
    web.affinity = Some(std::time::Duration::from_secs(60));
    s.apply(web.clone(), BOTH);
    s.replace();
    let names = |nft: &Nftables| {
        let dump = nft.dump(&table("test")).unwrap().unwrap();
        let chains = dump.chains.into_iter().map(|c| c.name);
        let mut names: Vec<_> = chains.chain(dump.sets.into_iter().map(|s| s.set.name)).collect();
        names.sort_unstable();
        (names, dump.rules.len())
    };
    let before = names(&nft);
    let own = table("test");
    let mut tx = Transaction::new();
    tx.add_chain(&own, Chain::regular("theirs")).add_rule(&own, Rule::new("theirs").jump("c-2"));
    tx.add_set(&own, Set::new("theirs", &[DataType::Port])).add_rule(&own, Rule::new("dispatch").jump("theirs"));
    nft.commit(&tx).unwrap();
    s.replace();
    let after = names(&nft);
    assert_eq!(after.1, before.1, "as many rules as before");
    let shape = |(names, _): &(Vec<String>, usize)| -> Vec<String> {
        names.iter().map(|n| n.replace(|c: char| c.is_ascii_digit(), "")).collect()
    };
    assert_eq!(shape(&after), shape(&before));
    // A chain of ours at another hook: the table is made anew.
    let mut tx = Transaction::new();
    tx.purge_table(&own).add_table(&own);
    tx.add_chain(&own, Chain::base("output", ChainType::Filter, Hook::Output, priority::FILTER));
    nft.commit(&tx).unwrap();
    s.replace();
    assert_eq!(shape(&names(&nft)), shape(&before));
    assert_eq!(reached(&s.client, "10.96.0.1:80").len(), 1, "affinity");
}

/// Calls all the time while `work` goes on; no call fails.
fn while_calling(s: &mut Scene, target: &str, work: impl FnOnce(&mut Scene)) {
    let done = AtomicBool::new(false);
    let client = corten_net::Netns::open(std::path::Path::new(&format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&s.client)
    )))
    .unwrap();
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                call(&client, target).unwrap();
                count += 1;
            }
            count
        });
        work(s);
        done.store(true, Ordering::Relaxed);
        let count: u32 = calls.join().unwrap();
        println!("{count} calls meanwhile");
    });
}

#[test]
fn what_two_thousand_services_cost() {
    let Some(mut s) = scene() else { return };
    let clock = SystemClock::shared();
    let address = |i: u32| std::net::Ipv4Addr::from(0x0a60_1000 + i).to_string();
    for i in 0..2_000 {
        let service = service(&format!("s{i}"), &address(i));
        s.set(if i % 10 == 0 { over_udp(service) } else { service }, BOTH);
    }
    let start = clock.monotonic();
    s.changes();
    let built = clock.monotonic();
    s.replace();
    let replaced = clock.monotonic();
    assert_eq!(reached(&s.client, &format!("{}:80", address(77))), "ab");
    s.set(service("s77", &address(77)), &["10.1.0.3"]);
    let one_start = clock.monotonic();
    let changes = s.changes();
    s.with_backend(|b, _| b.apply(&changes)).unwrap();
    let one_end = clock.monotonic();
    assert_eq!(reached(&s.client, &format!("{}:80", address(77))), "a");
    s.set(over_udp(service("s80", &address(80))), &["10.1.0.3"]);
    let udp_start = clock.monotonic();
    let changes = s.changes();
    s.with_backend(|b, _| b.apply(&changes)).unwrap();
    let udp_end = clock.monotonic();
    println!(
        "2,000 services: rules made in {:?}, full sync {:?}; one endpoint less: TCP {:?}, UDP {:?}",
        built - start,
        replaced - built,
        one_end - one_start,
        udp_end - udp_start
    );
}

/// nft 1.0.6, that of Debian 12, aborted on rules with affinity: a lookup whose key comes out of a map is too much for it.
#[test]
fn nft_lists_what_the_proxy_has_made() {
    let Some(mut s) = scene() else { return };
    let list = || std::process::Command::new("nft").args(["list", "ruleset"]).output();
    if s.node.run(list).unwrap().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        println!("skipped: there is no nft");
        return;
    }
    s.apply(over_udp(service("dns", "10.96.0.2")), BOTH);
    let mut web = with_node_port(service("web", "10.96.0.1"), 30080);
    web.affinity = Some(std::time::Duration::from_secs(60));
    web.external_local = true;
    s.apply(web.clone(), BOTH);
    s.endpoints(&web, &["10.1.0.4"]);
    let listed = s.node.run(list).unwrap().unwrap();
    assert!(listed.status.success(), "{}: {}", listed.status, String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).unwrap();
    for part in ["10.96.0.1 . tcp . 80", "10.96.0.2 . udp . 80", "update @c-", "dnat"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}
