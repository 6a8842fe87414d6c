//! The names that pods know: services, pods, other names, the world outside; and which servers they ask.

use std::net::UdpSocket;

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, Place, at, eventually, in_sandbox, side_by_side};

#[test]
fn pods_know_the_names_of_the_cluster_and_of_the_world() {
    in_sandbox("names::pods_know_the_names_of_the_cluster_and_of_the_world", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("services", services_have_names),
                ("headless", pods_behind_headless_services_have_names),
                ("external", other_names_lead_on),
                ("policies", pods_ask_whom_their_policy_says),
                ("world", the_world_is_asked_for_other_names),
            ],
        )
    });
}

const CLIENT: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: client}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
                      containers: [{name: c, image: 'busybox:1.28', command: [sleep, '3600']}]\n---\n";

/// The addresses of a name, sorted, once they are what they shall be.
fn resolves(kubectl: &Kubectl, name: &str, want: &[&str]) -> anyhow::Result<()> {
    eventually(name, || {
        let looked = kubectl.run(&["exec", "client", "--", "nslookup", name])?;
        ensure!(looked.success, "{name}: {looked:?}");
        let answers = looked.out.lines().skip_while(|line| !line.starts_with("Name:"));
        let mut found: Vec<&str> =
            answers.filter_map(|line| line.strip_prefix("Address ")?.split(' ').nth(1)).collect();
        found.sort_unstable();
        ensure!(found == want, "{name}: {found:?} instead of {want:?}");
        Ok(())
    })
}

fn is_unknown(kubectl: &Kubectl, name: &str) -> anyhow::Result<()> {
    let looked = kubectl.run(&["exec", "client", "--", "nslookup", name])?;
    ensure!(!looked.success && looked.err.contains(&format!("can't resolve '{name}'")), "{name}: {looked:?}");
    Ok(())
}

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.88.8
  ports: [{port: 80}]
"#;

fn services_have_names(kubectl: &Kubectl) -> anyhow::Result<()> {
    is_before_its_service(kubectl)?;
    let address = "10.96.88.8";
    for name in
        ["web", "web.services", "web.services.svc", "web.services.svc.cluster.local", "web.services.svc.cluster.local."]
    {
        resolves(kubectl, name, &[address])?;
    }
    for name in ["kubernetes.default", "kubernetes.default.svc.cluster.local"] {
        resolves(kubectl, name, &["10.96.0.1"])?;
    }
    for name in ["web.default", "web.services.svc.cluster.org", "no-such-service"] {
        is_unknown(kubectl, name)?;
    }
    let back = kubectl.ok(&["exec", "client", "--", "nslookup", address]);
    ensure!(back.contains("Address 1: 10.96.88.8 web.services.svc.cluster.local"), "{back}");
    kubectl.ok(&["delete", "service", "web"]);
    eventually("the name is gone", || is_unknown(kubectl, "web"))
}

fn is_before_its_service(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(CLIENT)?;
    kubectl.ready("client");
    is_unknown(kubectl, "web")?;
    kubectl.apply(SERVICE)?;
    Ok(())
}

const FAMILY: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: family}
spec:
  clusterIP: None
  selector: {app: family}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: all}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app: family}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: family}}
spec:
  hostname: one
  subdomain: family
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'busybox:1.28', command: [sleep, '3600']}]
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: family}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1}
"#;

fn pods_behind_headless_services_have_names(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(CLIENT)?;
    kubectl.apply(FAMILY)?;
    kubectl.ready("client");
    kubectl.ready("one");
    let address = |pod: &str| {
        eventually("the pod has an address", || {
            let address = kubectl.ok(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]);
            ensure!(!address.is_empty(), "{pod} has none");
            Ok(address)
        })
    };
    let (one, two) = (address("one")?, address("two")?);
    let mut both = [one.as_str(), two.as_str()];
    both.sort_unstable();
    resolves(kubectl, "family", &[&one])?;
    resolves(kubectl, "all", &both)?;
    resolves(kubectl, "one.family", &[&one])?;
    resolves(kubectl, &format!("one.family.{}.svc.cluster.local", kubectl.namespace()), &[&one])?;
    kubectl.inside("two", "c", "touch /tmp/ready");
    resolves(kubectl, "family", &both)?;
    let dashed = format!("{}.{}.pod.cluster.local", two.replace('.', "-"), kubectl.namespace());
    resolves(kubectl, &dashed, &[&two])?;
    kubectl.ok(&["delete", "pod", "two"]);
    resolves(kubectl, "family", &[&one])
}

const ELSEWHERE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec: {type: ExternalName, externalName: kubernetes.default.svc.cluster.local}
"#;

fn other_names_lead_on(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(CLIENT)?;
    kubectl.apply(ELSEWHERE)?;
    kubectl.ready("client");
    resolves(kubectl, "elsewhere", &["10.96.0.1"])?;
    let shown = kubectl.ok(&["get", "service", "elsewhere", "--no-headers"]);
    ensure!(shown.contains("ExternalName") && shown.contains("kubernetes.default.svc.cluster.local"), "{shown}");
    Ok(())
}

fn pods_ask_whom_their_policy_says(kubectl: &Kubectl) -> anyhow::Result<()> {
    let space = kubectl.namespace();
    let cluster = format!(
        "search {space}.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5"
    );
    let node = "nameserver 10.99.0.1\noptions timeout:1 attempts:1";
    let own = "search a.example b.example\nnameserver 192.0.2.53\noptions ndots:2 rotate";
    let config = "dnsConfig: {nameservers: [192.0.2.53], searches: [a.example, b.example], options: [{name: ndots, value: \
                  '2'}, {name: rotate}]}";
    for (name, spec, want) in [
        ("first", String::new(), cluster.as_str()),
        ("default", "dnsPolicy: Default".to_owned(), node),
        ("none", format!("dnsPolicy: None\n  {config}"), own),
        ("host", "hostNetwork: true".to_owned(), node),
        ("host-first", "hostNetwork: true\n  dnsPolicy: ClusterFirstWithHostNet".to_owned(), &cluster),
    ] {
        let manifest = CLIENT
            .replace("{name: client}", &format!("{{name: {name}}}"))
            .replace("spec:\n", &format!("spec:\n  {spec}\n"));
        kubectl.apply(&manifest)?;
        kubectl.ready(name);
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
            lines.sort_unstable();
            lines
        };
        let seen = kubectl.inside(name, "c", "cat /etc/resolv.conf");
        ensure!(sorted(&seen) == sorted(want), "{name}: {seen}");
    }
    Ok(())
}

/// A server at the address that the machine's own resolv.conf names.
fn the_world_is_asked_for_other_names(kubectl: &Kubectl) -> anyhow::Result<()> {
    let socket = at(Place::Outside, || UdpSocket::bind("10.99.0.1:53").context("bind outside"))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            // A client that does not wait for its answer has none.
            drop(socket.send_to(&answer(&buffer[..length]), client));
        }
    });
    kubectl.apply(CLIENT)?;
    kubectl.ready("client");
    resolves(kubectl, "www.far.example", &["192.0.2.7"])?;
    is_unknown(kubectl, "nothing.near.example")
}

/// Every IPv4 name of `far.example` has one address; no other name exists.
fn answer(question: &[u8]) -> Vec<u8> {
    const HEAD_BYTES: usize = 12;
    let name_end =
        question[HEAD_BYTES..].iter().position(|&byte| byte == 0).map_or(question.len(), |at| HEAD_BYTES + at);
    let end = (name_end + 5).min(question.len());
    let name = String::from_utf8_lossy(&question[HEAD_BYTES..name_end]).to_ascii_lowercase();
    let is_known = name.ends_with("\u{3}far\u{7}example");
    let is_v4 = question.get(name_end + 1..name_end + 3) == Some(&[0, 1]);
    let count = u8::from(is_known && is_v4);
    let mut answer = question[..2].to_vec();
    // An answer with recursion; code 3 is "no such name". One question, the answer if there is one, nothing else.
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&question[HEAD_BYTES..end]);
    if count > 0 {
        // The name of the question, class IN, type A, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    answer
}
