//! Services from everywhere: pods, the node, its neighbours; over kernel rules and through the process.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, Place, at, eventually, http_get, in_sandbox, side_by_side};

#[test]
fn services_work_through_the_kernel() {
    in_sandbox("services::services_work_through_the_kernel", || services("nftables"));
}

#[test]
fn services_work_through_the_process() {
    in_sandbox("services::services_work_through_the_process", || services("userspace"));
}

fn services(mode: &str) -> anyhow::Result<()> {
    let machine = Machine::with_cluster_of(&["--proxy-mode", mode])?;
    let status = machine.corten(&["status"])?;
    ensure!(status.contains(mode), "{status}");
    side_by_side(
        &machine.kubectl()?,
        &[
            ("everywhere", a_service_is_reached_from_everywhere),
            ("hairpin", a_pod_reaches_itself_through_its_service),
            ("affinity", a_client_stays_with_its_pod),
            ("empty", nobody_behind_a_service_is_a_refusal),
            ("datagrams", a_datagram_service_moves_when_its_endpoint_goes),
        ],
    )
}

const NODE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 3);

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: docker.io/jocatalin/kubernetes-bootcamp:v1
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'busybox:1.28', command: [sleep, '3600']}]
"#;

fn service(name: &str, spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

fn field(kubectl: &Kubectl, service: &str, path: &str) -> String {
    kubectl.ok(&["get", "service", service, "-o", &format!("jsonpath={{{path}}}")])
}

fn cluster_ip(kubectl: &Kubectl, service: &str) -> anyhow::Result<Ipv4Addr> {
    field(kubectl, service, ".spec.clusterIP").parse().context("a cluster IP")
}

fn node_port(kubectl: &Kubectl, service: &str) -> anyhow::Result<u16> {
    field(kubectl, service, ".spec.ports[0].nodePort").parse().context("a node port")
}

/// Repeated requests come to be answered by `count` different pods.
fn reaches(what: &str, count: usize, ask: impl Fn() -> anyhow::Result<String>) -> anyhow::Result<()> {
    eventually(what, || {
        let answers = (0..12).map(|_| ask()).collect::<anyhow::Result<BTreeSet<_>>>()?;
        ensure!(answers.len() == count, "{answers:?}");
        ensure!(answers.iter().all(|answer| answer.contains("Running on: ")), "{answers:?}");
        Ok(())
    })
}

/// The same from a pod, twelve requests in one script.
fn reaches_from_pod(kubectl: &Kubectl, url: &str, count: usize) -> anyhow::Result<()> {
    let script = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do wget -q -O - {url} || exit 1; done");
    eventually(url, || {
        let asked = kubectl.run(&["exec", "client", "--", "sh", "-c", &script])?;
        ensure!(asked.success, "{url}: {asked:?}");
        let answers: BTreeSet<&str> = asked.out.lines().collect();
        ensure!(answers.len() == count && asked.out.contains("Running on: "), "{url}: {answers:?}");
        Ok(())
    })
}

fn a_service_is_reached_from_everywhere(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(WEB)?;
    kubectl.apply(&service("web", "type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]"))?;
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.ready("client");
    let (address, port) = (cluster_ip(kubectl, "web")?, node_port(kubectl, "web")?);
    for (what, place) in [
        ("the cluster address on the node", (address, 80)),
        ("the node's address on the node", (NODE, port)),
        ("127.0.0.1 on the node", (Ipv4Addr::LOCALHOST, port)),
    ] {
        reaches(what, 2, || http_get(place.into(), "/"))?;
    }
    at(Place::Neighbour, || reaches("the node's address from a neighbour", 2, || http_get((NODE, port).into(), "/")))?;
    for url in ["http://web:80/".to_owned(), format!("http://{address}/"), format!("http://{NODE}:{port}/")] {
        reaches_from_pod(kubectl, &url, 2)?;
    }
    // One pod less, and nobody asks the one that went.
    kubectl.ok(&["scale", "deployment/web", "--replicas=1"]);
    reaches("the pod that is left", 1, || http_get((address, 80).into(), "/"))?;
    // The service goes, and with it its port.
    kubectl.ok(&["delete", "service", "web"]);
    eventually("the port is closed", || {
        ensure!(http_get((NODE, port).into(), "/").is_err(), "it still answers");
        Ok(())
    })
}

const SELF: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: self}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: 'busybox:1.28', command: ['sh', '-c', 'mkdir /tmp/w; echo "Running on: itself" > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w']}
"#;

fn a_pod_reaches_itself_through_its_service(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SELF)?;
    kubectl.apply(&service("self", "type: NodePort, selector: {app: self}, ports: [{port: 80, targetPort: 8080}]"))?;
    kubectl.ready("client");
    let (address, port) = (cluster_ip(kubectl, "self")?, node_port(kubectl, "self")?);
    for url in [format!("http://{address}/index.html"), format!("http://{NODE}:{port}/index.html")] {
        reaches_from_pod(kubectl, &url, 1)?;
    }
    Ok(())
}

fn a_client_stays_with_its_pod(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(&WEB.replace("replicas: 2", "replicas: 3"))?;
    let spec = "type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}], sessionAffinity: ClientIP, \
                sessionAffinityConfig: {clientIP: {timeoutSeconds: 100}}";
    kubectl.apply(&service("web", spec))?;
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl.ready("client");
    let (address, port) = (cluster_ip(kubectl, "web")?, node_port(kubectl, "web")?);
    let ask = || http_get((address, 80).into(), "/");
    let first = eventually("the service answers", ask)?;
    for _ in 0..20 {
        let next = ask()?;
        ensure!(next == first, "{next} after {first}");
    }
    at(Place::Neighbour, || reaches("a neighbour's pod", 1, || http_get((NODE, port).into(), "/")))?;
    reaches_from_pod(kubectl, &format!("http://{address}/"), 1)?;
    // Its pod goes: another one takes over, for good.
    let pod = first.split(' ').find(|word| word.starts_with("web-")).context("the answer names a pod")?;
    kubectl.ok(&["delete", "pod", pod, "--grace-period=1"]);
    let second = eventually("another pod answers", || {
        let answer = ask()?;
        ensure!(answer != first, "{answer}");
        Ok(answer)
    })?;
    for _ in 0..10 {
        ensure!(ask()? == second);
    }
    Ok(())
}

fn nobody_behind_a_service_is_a_refusal(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(WEB)?;
    kubectl.apply(&service("none", "type: NodePort, selector: {app: none}, ports: [{port: 80}]"))?;
    kubectl.ready("client");
    let (address, port) = (cluster_ip(kubectl, "none")?, node_port(kubectl, "none")?);
    for place in [(address, 80), (NODE, port), (Ipv4Addr::LOCALHOST, port)] {
        let place = SocketAddr::from(place);
        eventually("the connection is refused", || {
            let error = http_get(place, "/").err().context("somebody answers")?;
            let cause = error.root_cause().to_string();
            ensure!(cause.contains("Connection refused"), "{place}: {error:?}");
            Ok(())
        })?;
    }
    let refused = kubectl.run(&["exec", "client", "--", "wget", "-q", "-O", "-", &format!("http://{address}/")])?;
    ensure!(!refused.success && refused.err.contains("Connection refused"), "{refused:?}");
    Ok(())
}

/// Answers every datagram with its own port, until the process ends.
fn echo(port: u16) -> anyhow::Result<()> {
    let socket = at(Place::Neighbour, || UdpSocket::bind((NEIGHBOUR, port)).context("bind at the neighbour"))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, client)) = socket.recv_from(&mut buffer) {
            // A client that does not wait for its answer has none.
            drop(socket.send_to(port.to_string().as_bytes(), client));
        }
    });
    Ok(())
}

fn slice(port: u16) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: echo-{port}, labels: \
         {{kubernetes.io/service-name: echo}}}}\naddressType: IPv4\nendpoints: [{{addresses: ['{NEIGHBOUR}'], conditions: \
         {{ready: true}}}}]\nports: [{{name: echo, port: {port}, protocol: UDP}}]\n---\n"
    )
}

/// One socket all the time: the kernel remembers where its datagrams go, and has to forget it.
fn a_datagram_service_moves_when_its_endpoint_goes(kubectl: &Kubectl) -> anyhow::Result<()> {
    let ports = [7001, 7002];
    for port in ports {
        echo(port)?;
    }
    kubectl.apply(&(slice(ports[0]) + &slice(ports[1])))?;
    kubectl.apply(&service("echo", "type: NodePort, ports: [{name: echo, port: 77, protocol: UDP}]"))?;
    let (address, port) = (cluster_ip(kubectl, "echo")?, node_port(kubectl, "echo")?);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    let ask = |to: SocketAddr| {
        let mut buffer = [0; 64];
        // What came too late for the question before.
        socket.set_nonblocking(true)?;
        while socket.recv(&mut buffer).is_ok() {}
        socket.set_nonblocking(false)?;
        match socket.send_to(b"who", to) {
            // The answer to the datagram before.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            sent => drop(sent?),
        }
        let (length, from) = socket.recv_from(&mut buffer).context("no answer")?;
        ensure!(from == to, "asked {to}, answered by {from}");
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    eventually("the node port answers", || ask((NODE, port).into()))?;
    eventually("127.0.0.1 answers", || ask((Ipv4Addr::LOCALHOST, port).into()))?;
    let service = SocketAddr::from((address, 77));
    let first = eventually("the service answers", || ask(service))?;
    kubectl.ok(&["delete", "endpointslice", &format!("echo-{first}")]);
    eventually("the other endpoint answers", || {
        let answer = ask(service)?;
        ensure!(answer != first && ports.iter().any(|port| port.to_string() == answer), "{answer}");
        Ok(())
    })
}
