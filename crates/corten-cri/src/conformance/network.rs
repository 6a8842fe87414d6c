//! The network of pods. Cases run beside the runtime, in the node's network namespace.

use std::net::IpAddr;

use tokio::io::AsyncReadExt as _;

use super::{
    Fixture, Pod,
    pod::{IDLE, pod_namespaces},
};
use crate::api;

async fn address(fixture: &Fixture, pod: &Pod<'_>) -> IpAddr {
    let status = fixture.sandbox_status(&pod.id).await.expect("status");
    let ip = status.network.expect("a network status").ip;
    ip.parse().unwrap_or_else(|error| panic!("address {ip:?}: {error}"))
}

/// Makes a container that answers every connection to port 8000 with a word.
async fn server(pod: &Pod<'_>, fixture: &Fixture, word: &str) {
    let id = pod.start("server", &format!("while true; do echo {word} | nc -l -p 8000; done")).await;
    fixture
        .eventually("the server listens", || async {
            let answer = fixture.exec(&id, "netstat -ltn | grep :8000").await.expect("exec");
            (answer.exit_code == 0).then_some(())
        })
        .await;
}

/// The address of the status is on an interface of every container, and loopback is up.
pub async fn a_pod_has_its_address_and_loopback(fixture: &Fixture) {
    let pod = fixture.pod("address").await;
    let address = address(fixture, &pod).await;
    for name in ["first", "second"] {
        let output = pod.run_with(name, "ip addr; ip addr show lo | grep -q 'LOOPBACK,UP' && echo up", |_| ()).await;
        assert!(output.stdout.contains(&format!(" {address}/")), "{address}: {}", output.stdout);
        assert!(output.stdout.ends_with("up\n"), "{}", output.stdout);
    }
}

/// Every pod reaches every other by its address; containers of a pod meet on loopback.
pub async fn pods_reach_each_other(fixture: &Fixture) {
    let (one, two) = (fixture.pod("server").await, fixture.pod("client").await);
    server(&one, fixture, "hello").await;
    let (first, second) = (address(fixture, &one).await, address(fixture, &two).await);
    assert_ne!(first, second);
    let from_other = two.run_with("main", &format!("nc {first} 8000 < /dev/null"), |_| ()).await;
    assert_eq!(from_other.stdout, "hello\n", "{}", from_other.stderr);
    let inside =
        one.run_with("main", "for i in 1 2 3 4 5; do nc 127.0.0.1 8000 < /dev/null && break; sleep 1; done", |_| ());
    assert_eq!(inside.await.stdout, "hello\n");
}

/// The status of a stopped sandbox names no address.
pub async fn a_stopped_sandbox_has_given_its_address_back(fixture: &Fixture) {
    let pod = fixture.pod("gives-back").await;
    let before = address(fixture, &pod).await;
    let request = api::StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() };
    fixture.runtime.stop_pod_sandbox(request).await.expect("stop");
    let status = fixture.sandbox_status(&pod.id).await.expect("status");
    let after = status.network.map(|network| network.ip).unwrap_or_default();
    assert!(after.is_empty(), "{after}, before {before}");
}

/// Servers, search domains and options are in `/etc/resolv.conf`, as given and in order.
pub async fn name_resolution_is_the_pods(fixture: &Fixture) {
    let pod = fixture
        .pod_with("dns", |config| {
            config.dns_config = Some(api::DnsConfig {
                servers: ["10.96.0.10", "1.1.1.1"].map(str::to_owned).into(),
                searches: ["ns.svc.cluster.local", "cluster.local"].map(str::to_owned).into(),
                options: ["ndots:5", "timeout:3"].map(str::to_owned).into(),
            });
        })
        .await;
    let output = pod.run_with("main", "cat /etc/resolv.conf", |_| ()).await;
    let mut lines: Vec<_> = output.stdout.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let want = [
        "nameserver 1.1.1.1",
        "nameserver 10.96.0.10",
        "options ndots:5 timeout:3",
        "search ns.svc.cluster.local cluster.local",
    ];
    assert_eq!(lines, want);
    let first = output.stdout.lines().find(|line| line.starts_with("nameserver"));
    assert_eq!(first, Some("nameserver 10.96.0.10"), "the order of servers is kept");
}

/// `NODE`: the node's namespace, and no address in the status.
pub async fn a_pod_on_the_nodes_network_has_no_address_of_its_own(fixture: &Fixture) {
    let change = |config: &mut api::PodSandboxConfig| {
        pod_namespaces(config).network = api::NamespaceMode::Node as i32;
        config.hostname = String::new();
    };
    let pod = fixture.pod_with("node-network", change).await;
    let status = fixture.sandbox_status(&pod.id).await.expect("status");
    assert_eq!(status.network.map(|network| network.ip).unwrap_or_default(), "");
    let output = pod.run_with("main", "readlink /proc/self/ns/net; hostname", |_| ()).await;
    let node = std::fs::read_link("/proc/self/ns/net").expect("this process's namespace");
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the node's name");
    assert_eq!(output.stdout, format!("{}\n{name}", node.display()));
}

/// A connection to the port on the node ends at the container.
pub async fn a_host_port_leads_to_the_container(fixture: &Fixture) {
    let mapping = api::PortMapping {
        protocol: api::Protocol::Tcp as i32,
        container_port: 8000,
        host_port: 18_000,
        host_ip: String::new(),
    };
    let pod = fixture.pod_with("host-port", |config| config.port_mappings = vec![mapping]).await;
    server(&pod, fixture, "mapped").await;
    let keeper = pod.start("main", IDLE).await;
    // From another pod, by the address of the node on the pod network: its default route.
    let client = fixture.pod("client").await;
    let script = "nc $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p') 18000 < /dev/null";
    let output = client.run_with("main", script, |_| ()).await;
    assert_eq!(output.stdout, "mapped\n", "{}", output.stderr);
    // And from the node itself.
    let read = async {
        let mut connection = tokio::net::TcpStream::connect("127.0.0.1:18000").await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    assert_eq!(read.await.as_deref(), Some("mapped\n"));
    fixture.stop(&keeper, 20).await.expect("stop");
}
