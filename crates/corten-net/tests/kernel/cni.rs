//! The built-in plugins and executed ones, by the `Invoker`, with real pods.

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use corten_net::{
    Netns,
    cni::{
        CniError, CniResult, Host, NetworkConfigList, code,
        invoke::{Attachment, InvokeError, Invoker},
    },
    netlink::Rtnl,
    nftables::{Family, Nftables, Table},
    sysctl,
};
use serde_json::{Value, json};

use crate::support::{cable, call, ip, is_dropped, need_root, receive, serve, udp};

/// A machine without a bridge yet, an invoker for it, a neighbour 192.168.0.2, and pods pinned in a directory.
struct Scene {
    dir: tempfile::TempDir,
    host: Arc<Host>,
    neighbour: Netns,
    invoker: Invoker,
    list: NetworkConfigList,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Scene {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.path().join("netns")).unwrap() {
            Netns::remove_pinned(&entry.unwrap().path()).unwrap();
        }
    }
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("netns")).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        let host = Arc::new(Host::new(Netns::create().unwrap()));
        host.netns.bring_up_loopback().unwrap();
        let neighbour = Netns::create().unwrap();
        neighbour.bring_up_loopback().unwrap();
        cable(&host.netns, &neighbour, "wire", ["192.168.0.1/24", "192.168.0.2/24"]);
        let (bin, cache) = (dir.path().join("bin"), dir.path().join("cache"));
        let invoker = Invoker::new(vec![bin], cache, Arc::clone(&host), corten_base::TaskSet::new("test"));
        let list = json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true, "mtu": 1400,
                    "ipam": {
                        "type": "host-local", "dataDir": dir.path().join("ipam"),
                        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
                    },
                },
                {"type": "portmap", "reservedPorts": [6443], "capabilities": {"portMappings": true}},
                {"type": "loopback"},
            ],
        });
        let list = NetworkConfigList::from_value(list).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { dir, host, neighbour, invoker, list, runtime }
    }

    fn sandbox(&self, id: &str) -> (Netns, PathBuf) {
        let path = self.dir.path().join("netns").join(id);
        (Netns::create_pinned(&path).unwrap(), path)
    }

    fn attachment(&self, id: &str, ports: Value) -> Attachment {
        let capabilities = json!({"portMappings": ports}).as_object().unwrap().clone();
        Attachment {
            container_id: id.to_owned(),
            netns: Some(self.dir.path().join("netns").join(id)),
            interface: "eth0".to_owned(),
            args: vec![("K8S_POD_NAME".to_owned(), id.to_owned())],
            capabilities,
        }
    }

    fn add(&self, at: &Attachment) -> Result<CniResult, InvokeError> {
        self.runtime.block_on(self.invoker.add(&self.list, at))
    }

    fn delete(&self, at: &Attachment) {
        self.runtime.block_on(self.invoker.delete(&self.list, at)).unwrap();
    }

    fn check(&self, at: &Attachment) -> Result<(), InvokeError> {
        self.runtime.block_on(self.invoker.check(&self.list, at))
    }

    /// What the node has besides what it had before the first pod: nothing, once all pods are gone, but the bridge and
    /// empty sets.
    fn leftovers(&self) -> Vec<String> {
        let links = Rtnl::open_in(&self.host.netns).unwrap().links().unwrap();
        let mut out: Vec<_> = links.into_iter().map(|l| l.name).filter(|n| n.starts_with("veth")).collect();
        let dump = Nftables::open_in(&self.host.netns).unwrap().dump(&Table::new(Family::Inet, "corten-cni")).unwrap();
        for set in dump.into_iter().flat_map(|d| d.sets) {
            if !set.set.name.starts_with("masq-except") {
                out.extend(set.elements.iter().map(|e| format!("{} {e}", set.set.name)));
            }
        }
        for entry in fs::read_dir(self.dir.path().join("ipam/pods")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            out.extend(name.parse::<std::net::IpAddr>().is_ok().then_some(name));
        }
        out.extend(
            fs::read_dir(self.dir.path().join("cache/results"))
                .unwrap()
                .map(|e| format!("{:?}", e.unwrap().file_name())),
        );
        out
    }
}

fn refusal(error: InvokeError) -> CniError {
    match error {
        InvokeError::Plugin { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn pods_get_addresses_reach_each_other_and_the_world_and_leave_nothing_behind() {
    need_root!();
    let s = Scene::new();
    let (a_ns, _) = s.sandbox("pod-a");
    let (b_ns, _) = s.sandbox("pod-b");
    let (a, b) = (s.attachment("pod-a", json!([])), s.attachment("pod-b", json!([])));
    let result = s.add(&a).unwrap();
    let ips: Vec<_> = result.ips_of("eth0").map(|ip| (ip.address.to_string(), ip.gateway.unwrap())).collect();
    assert_eq!(ips, [("10.1.0.2/24".into(), ip("10.1.0.1")), ("fd01::2/64".into(), ip("fd01::1"))]);
    assert_eq!(result.mac_of("eth0").unwrap().to_string(), "0a:58:0a:01:00:02");
    assert_eq!(result.routes.len(), 2);
    assert_eq!(s.add(&a).unwrap(), result, "adding again gives the same");
    s.check(&a).unwrap();
    s.add(&b).unwrap();

    serve(&b_ns, "b4", "10.1.0.3:80");
    serve(&b_ns, "b6", "[fd01::3]:80");
    serve(&s.neighbour, "outside", "192.168.0.2:80");
    assert_eq!(call(&a_ns, "10.1.0.3:80").unwrap(), "b4 10.1.0.2");
    assert_eq!(call(&a_ns, "[fd01::3]:80").unwrap(), "b6 fd01::2");
    assert_eq!(call(&s.host.netns, "10.1.0.3:80").unwrap(), "b4 10.1.0.1");
    assert_eq!(call(&a_ns, "192.168.0.2:80").unwrap(), "outside 192.168.0.1", "masqueraded");
    assert_eq!(Rtnl::open_in(&a_ns).unwrap().expect_link("eth0").unwrap().mtu, 1400);

    // The sandbox of a is gone before the deletion, as after a restart of the machine.
    drop(a_ns);
    Netns::remove_pinned(a.netns.as_ref().unwrap()).unwrap();
    for at in [&a, &a, &b, &b] {
        s.delete(at);
    }
    assert_eq!(s.leftovers(), Vec::<String>::new());
    assert!(s.invoker.recall(&s.list, &b).unwrap().is_none());
}

#[test]
fn a_check_notices_what_is_missing() {
    need_root!();
    let s = Scene::new();
    let (netns, _) = s.sandbox("pod-a");
    let at = s.attachment("pod-a", json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    s.add(&at).unwrap();
    s.check(&at).unwrap();
    let inside = Rtnl::open_in(&netns).unwrap();
    inside.delete_link(inside.expect_link("eth0").unwrap().index).unwrap();
    assert_eq!(refusal(s.check(&at).unwrap_err()).code, code::MISMATCH);
    let again = s.add(&at).unwrap();
    assert_eq!(again.ips[0].address.to_string(), "10.1.0.2/24", "an addition mends it");
    s.check(&at).unwrap();
}

#[test]
fn a_host_port_is_reached_from_neighbours_the_node_127_0_0_1_other_pods_and_the_pod_itself() {
    need_root!();
    let s = Scene::new();
    let (web_ns, _) = s.sandbox("web");
    let (client_ns, _) = s.sandbox("client");
    let web = s.attachment(
        "web",
        json!([
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""},
            {"hostPort": 8081, "containerPort": 80, "protocol": "TCP", "hostIP": "127.0.0.1"},
            {"hostPort": 0, "containerPort": 81, "protocol": "tcp"},
        ]),
    );
    s.add(&web).unwrap();
    s.add(&s.attachment("client", json!([]))).unwrap();
    serve(&web_ns, "web", "0.0.0.0:80");
    serve(&web_ns, "web6", "[fd01::2]:80");
    for from in [&s.host.netns, &client_ns, &web_ns] {
        assert_eq!(call(from, "[fd01::1]:8080").unwrap(), "web6 fd01::1");
    }
    for (from, target, seen) in [
        (&s.neighbour, "192.168.0.1:8080", "192.168.0.2"),
        (&s.host.netns, "192.168.0.1:8080", "192.168.0.1"),
        (&s.host.netns, "10.1.0.1:8080", "10.1.0.1"),
        (&s.host.netns, "127.0.0.1:8080", "10.1.0.1"),
        (&s.host.netns, "127.0.0.1:8081", "10.1.0.1"),
        (&client_ns, "192.168.0.1:8080", "10.1.0.1"),
        (&web_ns, "192.168.0.1:8080", "10.1.0.1"),
    ] {
        let answer = call(from, target).unwrap_or_else(|e| panic!("{target}: {e}"));
        assert_eq!(answer, format!("web {seen}"), "{target}");
    }
    assert!(call(&s.neighbour, "192.168.0.1:8081").is_err(), "a port of 127.0.0.1 is for the node");

    // CVE-2020-8558, from the pod: the interface to the pods accepts such packets.
    serve(&s.host.netns, "local-only", "127.0.0.1:9000");
    sysctl::write(&client_ns, "net/ipv4/conf/all/route_localnet", "1").unwrap();
    let inside = Rtnl::open_in(&client_ns).unwrap();
    let lo = inside.expect_link("lo").unwrap().index;
    for address in inside.addresses(Some(lo)).unwrap() {
        inside.delete_address(&address).unwrap();
    }
    assert!(is_dropped(&client_ns, "127.0.0.1:9000"));

    // A pod that was deleted by force may take long to end; its successor need not wait for the port.
    let (next_ns, _) = s.sandbox("next");
    let next = s.attachment("next", json!([{"hostPort": 8080, "containerPort": 90, "protocol": "tcp"}]));
    s.add(&next).unwrap();
    serve(&next_ns, "next", "0.0.0.0:90");
    assert_eq!(call(&s.neighbour, "192.168.0.1:8080").unwrap(), "next 192.168.0.2");
    s.delete(&web);
    assert_eq!(
        call(&s.neighbour, "192.168.0.1:8080").unwrap(),
        "next 192.168.0.2",
        "the end of the other takes nothing"
    );
    s.delete(&next);
    assert!(call(&s.neighbour, "192.168.0.1:8080").is_err());
    s.delete(&s.attachment("client", json!([])));
    assert_eq!(s.leftovers(), Vec::<String>::new());
}

/// Packet rules come before listeners: a pod with the API server's port had all that was for it, after each start anew.
#[test]
fn a_port_of_the_nodes_own_servers_is_given_to_nobody() {
    need_root!();
    let s = Scene::new();
    let _sandbox = s.sandbox("pod");
    let ports = |protocol: &str| json!([{"hostPort": 6443, "containerPort": 80, "protocol": protocol}]);
    let error = refusal(s.add(&s.attachment("pod", ports("tcp"))).unwrap_err());
    assert_eq!(error.msg, "host port 6443 is in use by a server of this node");
    s.delete(&s.attachment("pod", ports("tcp")));
    let at = s.attachment("pod", ports("udp"));
    s.add(&at).unwrap();
    s.delete(&at);
    assert_eq!(s.leftovers(), Vec::<String>::new());
}

#[test]
fn a_udp_client_follows_its_host_port_to_the_next_pod() {
    need_root!();
    let s = Scene::new();
    let ports = json!([{"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]);
    let client = udp(&s.neighbour, "192.168.0.2:4000");
    for (id, address) in [("one", "10.1.0.2:53"), ("two", "10.1.0.3:53")] {
        let (netns, _) = s.sandbox(id);
        let at = s.attachment(id, ports.clone());
        s.add(&at).unwrap();
        let server = udp(&netns, address);
        client.send_to(id.as_bytes(), "192.168.0.1:5353").unwrap();
        assert_eq!(receive(&server).unwrap(), (id.to_owned(), "192.168.0.2:4000".parse().unwrap()));
        s.delete(&at);
    }
}

#[test]
fn an_executable_gets_variables_and_configuration_and_its_answer_is_used() {
    need_root!();
    let s = Scene::new();
    let log = s.dir.path().join("log");
    let script = format!(
        "#!/bin/sh\n{{ echo \"$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS\"; cat; echo; }} >> {}\n\
         case \"$CNI_CONTAINERID\" in\n\
         bad) echo '{{\"cniVersion\":\"0.4.0\",\"code\":11,\"msg\":\"busy\",\"details\":\"later\"}}'; exit 1;;\n\
         mute) echo 'cannot do that' >&2; exit 3;;\n\
         esac\n\
         [ \"$CNI_COMMAND\" = ADD ] && echo '{{\"cniVersion\":\"0.4.0\",\"ips\":[{{\"version\":\"4\",\"address\":\"10.9.0.2/24\"}}]}}'\nexit 0\n",
        log.display()
    );
    let path = s.dir.path().join("bin/script");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let list = json!({
        "cniVersion": "0.4.0", "name": "n",
        "plugins": [{"type": "script", "capabilities": {"portMappings": true}}, {"type": "script", "second": true}],
    });
    let list = NetworkConfigList::from_value(list).unwrap();
    let at = Attachment { netns: Some("/proc/self/ns/net".into()), ..s.attachment("pod", json!([{"hostPort": 1}])) };
    let run = |at: &Attachment| s.runtime.block_on(s.invoker.add(&list, at));
    s.runtime.block_on(s.invoker.status(&list)).unwrap();
    assert_eq!(run(&at).unwrap().ips[0].address.to_string(), "10.9.0.2/24");
    s.runtime.block_on(s.invoker.check(&list, &at)).unwrap();
    s.runtime.block_on(s.invoker.delete(&list, &at)).unwrap();

    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (calls, inputs): (Vec<_>, Vec<_>) =
        lines.chunks(2).map(|c| (c[0], serde_json::from_str::<Value>(c[1]).unwrap())).unzip();
    let called = |verb: &str| format!("{verb} pod /proc/self/ns/net eth0 K8S_POD_NAME=pod");
    assert_eq!(calls, ["ADD", "ADD", "CHECK", "CHECK", "DEL", "DEL"].map(called));
    assert_eq!(inputs[0]["runtimeConfig"], json!({"portMappings": [{"hostPort": 1}]}));
    assert_eq!((&inputs[0]["name"], &inputs[0]["cniVersion"]), (&json!("n"), &json!("0.4.0")));
    assert!(inputs[0].get("prevResult").is_none() && inputs[0].get("capabilities").is_none());
    assert_eq!(inputs[1]["prevResult"]["ips"][0], json!({"address": "10.9.0.2/24", "version": "4"}));
    assert!(inputs[1].get("runtimeConfig").is_none(), "only plugins that declare a capability get it");
    assert!(inputs[4]["second"] == json!(true) && inputs[5].get("second").is_none(), "deleted in reverse");
    assert!(inputs[4].get("prevResult").is_some(), "the cached result");

    let bad = Attachment { container_id: "bad".into(), ..at.clone() };
    let error = refusal(run(&bad).unwrap_err());
    assert_eq!((error.code, error.to_string().as_str()), (11, "busy: later (code 11)"));
    let mute = Attachment { container_id: "mute".into(), ..at.clone() };
    assert_eq!(refusal(run(&mute).unwrap_err()).msg, "netplugin failed: cannot do that");
    let evil = Attachment { container_id: "../x".into(), ..at };
    assert!(matches!(run(&evil).unwrap_err(), InvokeError::Invalid { .. }));
    let unknown = NetworkConfigList::parse(br#"{"cniVersion":"1.0.0","name":"n","type":"calico"}"#).unwrap();
    let error = s.runtime.block_on(s.invoker.status(&unknown)).unwrap_err();
    assert!(matches!(error, InvokeError::NotFound { .. }), "{error}");
}

#[test]
fn a_bridge_with_a_foreign_address_is_refused_unless_forced() {
    need_root!();
    let s = Scene::new();
    let (_ns, _) = s.sandbox("pod-a");
    let at = s.attachment("pod-a", json!([]));
    s.add(&at).unwrap();
    s.delete(&at);
    let config = |force: bool| {
        let list = json!({
            "cniVersion": "1.0.0", "name": "other",
            "plugins": [{
                "type": "bridge", "bridge": "cni0", "isGateway": true, "forceAddress": force,
                "ipam": {"type": "host-local", "dataDir": s.dir.path().join("ipam"), "subnet": "10.1.0.0/16"},
            }],
        });
        NetworkConfigList::from_value(list).unwrap()
    };
    let error = refusal(s.runtime.block_on(s.invoker.add(&config(false), &at)).unwrap_err());
    assert_eq!(error.msg, "cni0 already has the address 10.1.0.1/24 instead of 10.1.0.1/16");
    s.runtime.block_on(s.invoker.delete(&config(false), &at)).unwrap();
    s.runtime.block_on(s.invoker.add(&config(true), &at)).unwrap();
    s.runtime.block_on(s.invoker.delete(&config(true), &at)).unwrap();
}

#[test]
fn what_a_crash_left_behind_is_collected() {
    need_root!();
    let s = Scene::new();
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let mut sandboxes = Vec::new();
    for id in ["kept", "lost", "half"] {
        sandboxes.push(s.sandbox(id));
        s.add(&s.attachment(id, if id == "lost" { ports.clone() } else { json!([]) })).unwrap();
    }
    // Killed in the middle of an addition: an address and a cable, but no cached result.
    fs::remove_file(s.dir.path().join("cache/results/pods-half-eth0")).unwrap();
    let keep = HashSet::from(["kept".to_owned()]);
    let collect = || s.runtime.block_on(s.invoker.collect_garbage(&s.list, &keep)).unwrap();
    let mut collected: Vec<_> = collect().into_iter().map(|at| at.container_id).collect();
    collected.sort();
    assert_eq!(collected, ["half", "lost"]);
    assert!(collect().is_empty());
    let kept = s.attachment("kept", json!([]));
    s.check(&kept).unwrap();
    s.delete(&kept);
    assert_eq!(s.leftovers(), Vec::<String>::new());
}

#[test]
fn a_pod_comes_and_goes() {
    need_root!();
    let s = Scene::new();
    let (_first, _) = s.sandbox("first");
    s.add(&s.attachment("first", json!([]))).unwrap();
    let (_netns, _) = s.sandbox("pod");
    let at = s.attachment("pod", json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let clock = corten_base::SystemClock::shared();
    let start = clock.monotonic();
    s.add(&at).unwrap();
    let added = clock.monotonic();
    s.delete(&at);
    let deleted = clock.monotonic();
    // Printed, not asserted: the machine's load is in it.
    println!("one pod with a host port: add {:?}, delete {:?}", added - start, deleted - added);
}

#[test]
fn pods_that_come_and_go_at_once_do_not_disturb_each_other() {
    need_root!();
    let s = Scene::new();
    let pods: Vec<_> = (0..10)
        .map(|i| {
            let id = format!("pod-{i}");
            let at = s.attachment(&id, json!([{"hostPort": 9000 + i, "containerPort": 80, "protocol": "tcp"}]));
            (s.sandbox(&id).0, at)
        })
        .collect();
    let at_once = |work: &(dyn Fn(&Invoker, &Attachment) + Sync)| {
        std::thread::scope(|scope| {
            for (_, at) in &pods {
                let invoker = &s.invoker;
                scope.spawn(move || work(invoker, at));
            }
        });
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    at_once(&|invoker, at| drop(runtime().block_on(invoker.add(&s.list, at)).unwrap()));
    for (i, (netns, at)) in pods.iter().enumerate() {
        let result = s.invoker.recall(&s.list, at).unwrap().unwrap();
        let address = result.ips_of("eth0").next().unwrap().address.addr();
        serve(netns, "web", &format!("{address}:80"));
        assert_eq!(call(&s.neighbour, &format!("192.168.0.1:{}", 9000 + i)).unwrap(), "web 192.168.0.2");
    }
    at_once(&|invoker, at| runtime().block_on(invoker.delete(&s.list, at)).unwrap());
    assert_eq!(s.leftovers(), Vec::<String>::new());
}
