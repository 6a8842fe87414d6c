use super::*;

const HOST: &str = "nameserver 8.8.8.8\nsearch corp.example. lab.example\noptions timeout:1 attempts:3\n";

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

struct Case<'a> {
    policy: DnsPolicy,
    host_network: bool,
    host: Option<&'a str>,
    cluster_dns: &'a [&'a str],
    config: Option<PodDnsConfig>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            policy: DnsPolicy::ClusterFirst,
            host_network: false,
            host: Some(HOST),
            cluster_dns: &["10.96.0.10"],
            config: None,
        }
    }
}

fn form(case: &Case<'_>) -> (String, Vec<DnsEvent>) {
    let file = case.host.map(|text| ResolvConf::parse(text).unwrap());
    let cluster_dns: Vec<IpAddr> = case.cluster_dns.iter().map(|ip| ip.parse().unwrap()).collect();
    let node_ips = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let node = NodeDns {
        cluster_dns: &cluster_dns,
        cluster_domain: "cluster.local",
        node_ips: &node_ips,
        resolv_conf: file.as_ref(),
    };
    let pod = PodDns {
        namespace: "shop",
        display: "web_shop(u-1)",
        policy: case.policy,
        host_network: case.host_network,
        config: case.config.as_ref(),
    };
    let (formed, events) = pod_dns(&node, &pod);
    (text(&formed), events)
}

/// The file as a container runtime writes it: search, nameservers, options.
fn text(file: &ResolvConf) -> String {
    let line = |word: &str, words: &[String]| match words {
        [] => String::new(),
        words => format!("{word} {}\n", words.join(" ")),
    };
    let nameservers: String = file.nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
    line("search", &file.searches) + &nameservers + &line("options", &file.options)
}

#[track_caller]
fn check(case: &Case<'_>, want: &str) {
    let (text, events) = form(case);
    assert_eq!(text, want);
    assert_eq!(events, [], "no warning expected");
}

const CLUSTER: &str = "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example lab.example\nnameserver 10.96.0.10\noptions ndots:5\n";
const DEFAULT: &str = "search corp.example lab.example\nnameserver 8.8.8.8\noptions timeout:1 attempts:3\n";

#[test]
fn cluster_first_asks_the_cluster_and_searches_the_node_s_domains_last() {
    check(&Case::default(), CLUSTER);
}

#[test]
fn cluster_first_on_the_host_network_is_the_node_s_configuration() {
    check(&Case { host_network: true, ..Case::default() }, DEFAULT);
}

#[test]
fn cluster_first_with_host_net_asks_the_cluster_there_too() {
    check(&Case { policy: DnsPolicy::ClusterFirstWithHostNet, host_network: true, ..Case::default() }, CLUSTER);
}

#[test]
fn default_is_the_node_s_configuration() {
    check(&Case { policy: DnsPolicy::Default, ..Case::default() }, DEFAULT);
}

#[test]
fn without_a_file_of_the_node_the_pod_asks_itself() {
    check(
        &Case { policy: DnsPolicy::Default, host: None, ..Case::default() },
        "search .\nnameserver 127.0.0.1\nnameserver ::1\n",
    );
}

#[test]
fn none_takes_nothing_but_the_pod_s_own() {
    let config = PodDnsConfig {
        nameservers: words("1.2.3.4"),
        searches: words("ns1.svc.cluster-domain.example my.dns.search.suffix"),
        options: vec![("ndots".into(), Some("2".into())), ("edns0".into(), None)],
    };
    check(
        &Case { policy: DnsPolicy::None, config: Some(config), ..Case::default() },
        "search ns1.svc.cluster-domain.example my.dns.search.suffix\nnameserver 1.2.3.4\noptions ndots:2 edns0\n",
    );
}

#[test]
fn the_pod_s_own_are_added_without_doubles_and_its_options_win() {
    let config = PodDnsConfig {
        nameservers: words("10.96.0.10 1.1.1.1"),
        searches: words("svc.cluster.local extra.example"),
        options: vec![("ndots".into(), Some("1".into())), ("rotate".into(), Some(String::new()))],
    };
    check(
        &Case { config: Some(config), ..Case::default() },
        "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example lab.example extra.example\n\
         nameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:1 rotate\n",
    );
}

#[test]
fn a_node_without_cluster_dns_falls_back_and_says_so() {
    let (text, events) = form(&Case { cluster_dns: &[], ..Case::default() });
    assert_eq!(text, DEFAULT);
    let message = "kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" policy. Falling back to \"Default\" policy.";
    assert_eq!(
        events,
        [
            DnsEvent::pod("MissingClusterDNS", format!("pod: \"web_shop(u-1)\". {message}")),
            DnsEvent::node("MissingClusterDNS", message.to_owned()),
        ]
    );
}

#[test]
fn the_fourth_nameserver_is_left_out_and_named_in_an_event() {
    let config = PodDnsConfig { nameservers: words("1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4"), ..PodDnsConfig::default() };
    let (text, events) = form(&Case { policy: DnsPolicy::None, config: Some(config), ..Case::default() });
    assert_eq!(text, "nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n");
    let want = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 1.1.1.1 2.2.2.2 3.3.3.3";
    assert_eq!(events, [DnsEvent::pod("DNSConfigForming", want.to_owned())]);
}

#[track_caller]
fn check_searches(searches: Vec<String>, want: &[String]) {
    let config = PodDnsConfig { nameservers: words("1.1.1.1"), searches, options: Vec::new() };
    let (text, events) = form(&Case { policy: DnsPolicy::None, config: Some(config), ..Case::default() });
    let line = want.join(" ");
    assert_eq!(text, format!("search {line}\nnameserver 1.1.1.1\n"));
    let want = format!(
        "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {line}"
    );
    assert_eq!(events, [DnsEvent::pod("DNSConfigForming", want)]);
}

#[test]
fn the_thirty_third_search_domain_is_left_out() {
    let all: Vec<String> = (0..33).map(|n| format!("d{n}.example")).collect();
    check_searches(all.clone(), &all[..32]);
}

#[test]
fn a_search_domain_no_resolver_can_hold_is_left_out() {
    check_searches(vec!["a".into(), "b".repeat(254), "c".into()], &words("a c"));
}

#[test]
fn a_search_line_over_2048_bytes_loses_its_last_domains() {
    let all: Vec<String> = (0..10).map(|n| format!("{n}{}", "x".repeat(239))).collect();
    check_searches(all.clone(), &all[..8]);
}

#[test]
fn a_comment_is_passed_over_the_last_search_line_wins_and_options_accumulate() {
    let file = "# nameserver 9.9.9.9\nsearch a.example\noptions ndots:1\n  nameserver  1.1.1.1 # ours\nsearch b.example. .\noptions ndots:3 rotate\n";
    let want =
        ResolvConf { nameservers: words("1.1.1.1"), searches: words("b.example"), options: words("ndots:3 rotate") };
    assert_eq!(ResolvConf::parse(file), Ok(want));
}

#[test]
fn a_nameserver_without_address_is_an_error() {
    assert_eq!(ResolvConf::parse("nameserver\n"), Err(ParseError::EmptyNameserver));
}

#[test]
fn an_unknown_policy_is_named() {
    assert_eq!(DnsPolicy::parse("Sometimes").unwrap_err(), "invalid DNSPolicy=Sometimes");
    for policy in [DnsPolicy::ClusterFirst, DnsPolicy::ClusterFirstWithHostNet, DnsPolicy::Default, DnsPolicy::None] {
        assert_eq!(DnsPolicy::parse(policy.name()), Ok(policy));
    }
}

#[track_caller]
fn check_node(searches: Vec<String>, want: Option<&str>) {
    let file = ResolvConf { searches, ..ResolvConf::default() };
    let event = check_node_limits(&file, "/etc/resolv.conf", "cluster.local");
    assert_eq!(event, want.map(|text| DnsEvent::node("CheckLimitsForResolvConf", text.to_owned())));
}

#[test]
fn a_node_whose_file_fits_beside_the_cluster_s_domains_is_fine() {
    check_node((0..29).map(|n| format!("d{n}")).collect(), None);
}

#[test]
fn a_node_with_too_many_or_too_long_searches_is_warned_of() {
    check_node(
        (0..30).map(|n| format!("d{n}")).collect(),
        Some("Resolv.conf file '/etc/resolv.conf' contains search line consisting of more than 29 domains!"),
    );
    check_node(
        vec!["x".repeat(254)],
        Some(
            "Resolv.conf file \"/etc/resolv.conf\" contains a search path which length is more than allowed 253 chars!",
        ),
    );
    check_node(
        (0..10).map(|n| format!("{n}{}", "x".repeat(239))).collect(),
        Some("Resolv.conf file '/etc/resolv.conf' contains search line which length is more than allowed 2048 chars!"),
    );
}

/// Each was compared with all before it, on a thread of the runtime, at each start of a container.
#[test]
fn many_options_are_not_compared_with_each_other() {
    let named = |number: usize| (format!("option{}", number % 500_000), Some(number.to_string()));
    let config = PodDnsConfig { options: (0..500_001).map(named).collect(), ..PodDnsConfig::default() };
    let mut formed = ResolvConf { options: vec!["ndots:5".to_owned()], ..ResolvConf::default() };
    merge(&mut formed, &config);
    assert_eq!(formed.options.len(), 500_001);
    assert_eq!(formed.options[..3], ["ndots:5", "option0:500000", "option1:1"]);
}
