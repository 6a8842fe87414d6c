//! What becomes of wishes.

use std::path::Path;

use super::*;

fn wishes() -> Wishes {
    Wishes { advertise: Some("10.0.0.7".parse().unwrap()), ..Wishes::default() }
}

fn complete(wishes: Wishes) -> anyhow::Result<Config> {
    Config::complete(Scope::Cluster, Places::new(Path::new("/tmp/x")).unwrap(), wishes, None)
}

#[test]
fn services_addresses_follow_from_the_range() {
    let config = complete(wishes()).unwrap();
    assert_eq!(config.api_service_address(), Ipv4Addr::new(10, 96, 0, 1));
    assert_eq!(config.dns_service_address(), Ipv4Addr::new(10, 96, 0, 10));
    assert_eq!(config.local_server(6443), "127.0.0.1:6443".parse().unwrap());
    assert_eq!(config.advertise, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));
}

#[test]
fn a_listen_address_is_advertised_when_it_is_one() {
    let wishes = Wishes { listen: Some("10.0.0.9".parse().unwrap()), api_port: Some(1), ..Wishes::default() };
    let config = complete(wishes).unwrap();
    assert_eq!(config.advertise, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
    assert_eq!(config.local_server(1), "10.0.0.9:1".parse().unwrap());
}

#[test]
fn addresses_that_lead_nowhere_are_not_advertised() {
    for address in ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        let wishes = || Wishes { advertise: Some(address.parse().unwrap()), ..Wishes::default() };
        let error = complete(wishes()).unwrap_err().to_string();
        assert!(error.contains("--advertise-address") && error.contains(address), "{error}");
        // A control plane alone may be for this machine only.
        let places = Places::new(Path::new("/tmp/x")).unwrap();
        Config::complete(Scope::ControlPlane, places, wishes(), None).unwrap();
    }
}

fn ranges(pods: &str, services: &str) -> anyhow::Result<Config> {
    let range = |text: &str| Some(text.parse().unwrap());
    complete(Wishes { cluster_cidr: range(pods), service_cidr: range(services), ..wishes() })
}

#[test]
fn ranges_that_are_too_small_or_overlap_are_refused() {
    for (pods, services, why) in [
        ("10.244.0.0/16", "10.96.0.0/29", "service range 10.96.0.0/29 is too small"),
        ("10.244.0.0/29", "10.96.0.0/12", "pod range 10.244.0.0/29 is too small"),
        ("10.96.0.0/16", "10.96.0.0/12", "overlap"),
        ("10.0.0.0/8", "10.96.0.0/12", "overlap"),
        ("10.244.0.0/16", "127.0.0.0/8", "127.0.0.0/8 is the machine itself"),
        ("126.0.0.0/7", "10.96.0.0/12", "127.0.0.0/8 is the machine itself"),
        ("10.244.0.0/16", "169.254.4.0/24", "is for addresses of one link"),
        ("224.0.0.0/16", "10.96.0.0/12", "is for groups"),
    ] {
        let error = ranges(pods, services).unwrap_err().to_string();
        assert!(error.contains(why), "{pods} {services}: {error}");
    }
}

#[test]
fn a_node_gets_256_addresses_or_all_there_are() {
    for (pods, want) in [("10.0.0.0/16", 24), ("10.0.0.0/24", 24), ("10.0.0.0/26", 26), ("8.0.0.0/6", 22)] {
        let config = ranges(pods, "192.168.0.0/20").unwrap();
        assert_eq!(config.node_prefix(), want, "{pods}");
        let first = config.first_pod_cidr();
        assert_eq!((first.addr(), first.prefix_len()), (config.cluster_cidr.network(), want));
    }
}

/// `up --node-name Bad_Name` once registered a node that no API server takes, and waited for it for ever.
#[test]
fn node_names_are_lowered_and_bad_ones_refused() {
    let named = |name: &str| complete(Wishes { node_name: Some(name.to_owned()), ..wishes() });
    assert_eq!(named(" UPPER.Example ").unwrap().node_name, "upper.example");
    for name in ["Bad_Name", "", "-a", "a..b", &"a".repeat(254)] {
        let error = named(name).unwrap_err().to_string();
        assert!(error.starts_with("--node-name ") && error.contains("is no name for a node: "), "{name}: {error}");
    }
}

#[test]
fn a_control_plane_alone_leaves_no_address_to_a_later_node() {
    let places = Places::new(Path::new("/tmp/x")).unwrap();
    let wishes = Wishes { listen: Some(Ipv4Addr::LOCALHOST.into()), api_port: Some(0), ..Wishes::default() };
    let alone = Config::complete(Scope::ControlPlane, places, wishes, None).unwrap().record(None);
    assert_eq!((alone.listen.to_string().as_str(), alone.node_name), ("0.0.0.0:6443", None));
}

#[track_caller]
fn check_again(wishes: Wishes, want: Result<(&str, &str, u16), &str>) {
    let places = Places::new(Path::new("/tmp/x")).unwrap();
    let first = Wishes {
        service_cidr: Some("10.50.0.0/24".parse().unwrap()),
        node_name: Some("n1".to_owned()),
        api_port: Some(7443),
        ..self::wishes()
    };
    let record = Config::complete(Scope::Cluster, places.clone(), first, None).unwrap().record(None);
    let again = Wishes { advertise: Some("10.0.0.7".parse().unwrap()), ..wishes };
    match (Config::complete(Scope::Cluster, places, again, Some(&record)), want) {
        (Ok(config), Ok((services, node, port))) => {
            assert_eq!(config.service_cidr.to_string(), services);
            assert_eq!((&*config.node_name, config.listen.port()), (node, port));
            assert_eq!(config.record(Some(&record)).node_name.as_deref(), Some(node));
        }
        (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
        (got, want) => panic!("{got:?}, not {want:?}"),
    }
}

/// A cluster in userspace mode was one with nftables after the next `up`.
#[test]
fn a_later_start_keeps_the_mode_of_the_proxy() {
    let complete = |proxy_mode, record: Option<&Record>| {
        let places = Places::new(Path::new("/tmp/x")).unwrap();
        let config = Config::complete(Scope::Cluster, places, Wishes { proxy_mode, ..wishes() }, record).unwrap();
        (config.proxy_mode, config.record(record))
    };
    let (mode, first) = complete(Some(ProxyMode::Userspace), None);
    assert_eq!(mode, ProxyMode::Userspace);
    let (mode, second) = complete(None, Some(&first));
    assert_eq!((mode, &second), (ProxyMode::Userspace, &first));
    assert_eq!(complete(Some(ProxyMode::Auto), Some(&second)).0, ProxyMode::Auto);
    assert_eq!(complete(None, None).0, ProxyMode::Auto);
}

/// A second `up` without the flags of the first once took the default ranges, and failed half way.
#[test]
fn a_later_start_keeps_what_the_cluster_was_made_with() {
    check_again(Wishes::default(), Ok(("10.50.0.0/24", "n1", 7443)));
    check_again(Wishes { api_port: Some(8443), ..Wishes::default() }, Ok(("10.50.0.0/24", "n1", 8443)));
    check_again(Wishes { node_name: Some("N1".to_owned()), ..Wishes::default() }, Ok(("10.50.0.0/24", "n1", 7443)));
    let other = Wishes { service_cidr: Some("10.96.0.0/12".parse().unwrap()), ..Wishes::default() };
    check_again(other, Err("made with --service-cidr 10.50.0.0/24"));
    let other = Wishes { cluster_cidr: Some("10.9.0.0/16".parse().unwrap()), ..Wishes::default() };
    check_again(other, Err("made with --cluster-cidr 10.244.0.0/16"));
    check_again(Wishes { node_name: Some("n2".to_owned()), ..Wishes::default() }, Err("made with --node-name n1"));
}

/// A flag that another start could take was passed over without a word while the cluster ran.
#[test]
fn a_cluster_that_runs_is_told_from_another_that_is_wished_for() {
    let record = complete(Wishes { kubelet_port: Some(10_251), ..wishes() }).unwrap().record(None);
    let check = |wishes: Wishes, want: &str| {
        let said = wishes.expect_running(&record).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.starts_with(want) && said.is_empty() == want.is_empty(), "{said}");
    };
    let none = Wishes::default();
    check(none.clone(), "");
    check(
        Wishes { api_port: Some(6443), kubelet_port: Some(10_251), proxy_mode: Some(ProxyMode::Auto), ..wishes() },
        "",
    );
    check(
        Wishes { api_port: Some(7777), ..none.clone() },
        "the cluster that runs here has --api-port 6443: stop it with `corten down`, then `corten up --api-port 7777`",
    );
    check(Wishes { kubelet_port: Some(1), ..none.clone() }, "the cluster that runs here has --kubelet-port 10251: ");
    let mode = Some(ProxyMode::Userspace);
    check(Wishes { proxy_mode: mode, ..none.clone() }, "the cluster that runs here has --proxy-mode auto: ");
    let listen = Some("127.0.0.1".parse().unwrap());
    check(Wishes { listen, ..none.clone() }, "the cluster that runs here has --listen 0.0.0.0: ");
    let cluster_cidr = Some("10.9.0.0/16".parse().unwrap());
    check(Wishes { cluster_cidr, ..none }, "this cluster was made with --cluster-cidr 10.244.0.0/16");
}
