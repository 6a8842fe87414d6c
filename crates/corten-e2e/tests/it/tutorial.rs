//! The tutorial of the README, command by command, on real containers behind the real service proxy.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, eventually, http_get, in_sandbox};

const V1: &str = "docker.io/jocatalin/kubernetes-bootcamp:v1";
const V2: &str = "docker.io/jocatalin/kubernetes-bootcamp:v2";
const DEPLOYMENT: &str = "deployment/kubernetes-bootcamp";

#[test]
fn the_tutorial_works_from_the_first_command_to_the_last() {
    in_sandbox("tutorial::the_tutorial_works_from_the_first_command_to_the_last", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        looks_at_the_cluster(&kubectl)?;
        deploys(&kubectl)?;
        let port = exposes(&kubectl)?;
        scales(&kubectl, port)?;
        updates_without_a_failed_request(&kubectl, port)?;
        looks_inside(&kubectl)?;
        cleans_up(&machine, &kubectl)
    });
}

fn looks_at_the_cluster(kubectl: &Kubectl) -> anyhow::Result<()> {
    let nodes = kubectl.ok(&["get", "nodes"]);
    ensure!(nodes.contains(" Ready ") && nodes.contains("v1.35"), "{nodes}");
    let info = kubectl.ok(&["cluster-info"]);
    ensure!(info.contains("Kubernetes control plane") && info.contains("https://"), "{info}");
    ensure!(info.contains("/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy"), "{info}");
    Ok(())
}

fn deploys(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "deployment", "kubernetes-bootcamp", &format!("--image={V1}"), "--port=8080"]);
    kubectl.ok(&["run", "alone", &format!("--image={V1}")]);
    kubectl.ok(&["rollout", "status", DEPLOYMENT, "--timeout=60s"]);
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/alone", "--timeout=60s"]);
    let pods = kubectl.ok(&["get", "pods", "-o", "wide"]);
    let running = pods.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count();
    ensure!(running == 2, "{pods}");
    ensure!(pods.contains("NOMINATED NODE") && pods.contains("10.244."), "{pods}");
    kubectl.ok(&["delete", "pod", "alone", "--wait", "--timeout=60s"]);
    Ok(())
}

fn exposes(kubectl: &Kubectl) -> anyhow::Result<u16> {
    kubectl.ok(&["expose", DEPLOYMENT, "--type=NodePort", "--port", "8080"]);
    let services = kubectl.ok(&["get", "services"]);
    ensure!(services.contains("NodePort") && services.contains("8080:3"), "{services}");
    let port = kubectl.ok(&["get", "service", "kubernetes-bootcamp", "-o", "jsonpath={.spec.ports[0].nodePort}"]);
    let port: u16 = port.parse().context("a node port is a number")?;
    let path = r#"jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}"#;
    let node = kubectl.ok(&["get", "nodes", "-o", path]);
    for host in [node.as_str(), "127.0.0.1"] {
        let address: SocketAddr = format!("{host}:{port}").parse().context("an address")?;
        let answer = eventually("the service answers", || http_get(address, "/"))?;
        ensure!(answer.starts_with("Hello Kubernetes bootcamp! | Running on: kubernetes-bootcamp-"), "{answer}");
        ensure!(answer.trim_end().ends_with("| v=1"), "{answer}");
    }
    Ok(port)
}

fn scales(kubectl: &Kubectl, port: u16) -> anyhow::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    kubectl.ok(&["scale", DEPLOYMENT, "--replicas=3"]);
    kubectl.ok(&["rollout", "status", DEPLOYMENT, "--timeout=60s"]);
    eventually("ten requests reach all three pods", || {
        let hosts = (0..10).map(|_| http_get(address, "/")).collect::<Result<BTreeSet<_>, _>>()?;
        ensure!(hosts.len() == 3, "{hosts:?}");
        Ok(())
    })?;
    kubectl.ok(&["scale", DEPLOYMENT, "--replicas=2"]);
    eventually("two pods are left", || {
        let pods = kubectl.ok(&["get", "pods", "-o", "name"]);
        ensure!(pods.lines().count() == 2, "{pods}");
        Ok(())
    })
}

fn updates_without_a_failed_request(kubectl: &Kubectl, port: u16) -> anyhow::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (stop, requests) = (AtomicBool::new(false), AtomicU64::new(0));
    let failures = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                requests.fetch_add(1, Ordering::Relaxed);
                if let Err(failure) = http_get(address, "/") {
                    failures.push(format!("{failure:#}"));
                }
            }
            failures
        });
        kubectl.ok(&["set", "image", DEPLOYMENT, &format!("kubernetes-bootcamp={V2}")]);
        kubectl.ok(&["rollout", "status", DEPLOYMENT, "--timeout=120s"]);
        let all_new = eventually("only the new version answers", || {
            let answers = (0..6).map(|_| http_get(address, "/")).collect::<Result<Vec<_>, _>>()?;
            ensure!(answers.iter().all(|answer| answer.trim_end().ends_with("v=2")), "{answers:?}");
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        let failures = client.join().expect("the client does not panic");
        all_new.map(|()| failures)
    })?;
    let requests = requests.into_inner();
    ensure!(failures.is_empty(), "{} of {requests} requests failed during the update: {failures:?}", failures.len());

    let history = kubectl.ok(&["rollout", "history", DEPLOYMENT]);
    ensure!(history.lines().filter(|line| line.starts_with(['1', '2'])).count() == 2, "{history}");
    kubectl.ok(&["rollout", "undo", DEPLOYMENT]);
    kubectl.ok(&["rollout", "status", DEPLOYMENT, "--timeout=120s"]);
    eventually("the old version answers again", || {
        let answers = (0..6).map(|_| http_get(address, "/")).collect::<Result<Vec<_>, _>>()?;
        ensure!(answers.iter().all(|answer| answer.trim_end().ends_with("v=1")), "{answers:?}");
        Ok(())
    })
}

fn looks_inside(kubectl: &Kubectl) -> anyhow::Result<()> {
    let deployments = kubectl.ok(&["get", "deployments"]);
    ensure!(deployments.contains("2/2"), "{deployments}");
    let description = kubectl.ok(&["describe", DEPLOYMENT]);
    ensure!(
        description.contains("ScalingReplicaSet") && description.contains("NewReplicaSetAvailable"),
        "{description}"
    );
    let description = kubectl.ok(&["describe", "pods"]);
    for reason in ["Scheduled", "Pulled", "Created", "Started"] {
        ensure!(description.contains(reason), "no event {reason}:\n{description}");
    }
    let logs = kubectl.ok(&["logs", DEPLOYMENT]);
    ensure!(logs.contains("Kubernetes Bootcamp App Started"), "{logs}");
    kubectl.ok(&["run", "shell", "--image=docker.io/library/busybox:1.28", "--restart=Never", "--", "sleep", "3600"]);
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]);
    let name = kubectl.ok(&["exec", "shell", "--", "hostname"]);
    ensure!(name == "shell\n", "{name}");
    let failed = kubectl.run(&["exec", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 7"])?;
    ensure!(!failed.success && failed.out == "out\n" && failed.err.contains("exit code 7"), "{failed:?}");
    Ok(())
}

fn cleans_up(machine: &Machine, kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["delete", "service,deployment", "kubernetes-bootcamp"]);
    kubectl.ok(&["delete", "pod", "shell", "--grace-period=1"]);
    eventually("no pod is left", || {
        let pods = kubectl.ok(&["get", "pods", "-o", "name"]);
        ensure!(pods.is_empty(), "{pods}");
        Ok(())
    })?;
    machine.corten(&["down"])?;
    leaves_nothing(machine)
}

/// What a cluster must not leave on the machine.
fn leaves_nothing(machine: &Machine) -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    let left: Vec<&str> = mounts
        .lines()
        .filter(|line| line.contains("/corten/") || line.contains("/kubelet/") || line.contains("kubepods"))
        .collect();
    ensure!(left.is_empty(), "mounts left: {left:#?}");
    let rules = machine.tool("nft", &["list", "ruleset"])?;
    ensure!(rules.success && rules.out.trim().is_empty(), "rules left: {}{}", rules.out, rules.err);
    let links: Vec<_> =
        std::fs::read_dir("/sys/class/net")?.map(|entry| Ok(entry?.file_name())).collect::<anyhow::Result<_>>()?;
    ensure!(links.iter().all(|link| link == "lo" || link == "eth0"), "links left: {links:?}");
    let cgroups = groups_below("/sys/fs/cgroup".as_ref(), 3);
    let left: Vec<_> = cgroups.iter().filter(|path| path.contains("corten") || path.contains("kubepods")).collect();
    ensure!(left.is_empty(), "control groups left: {left:#?}");
    let processes = std::fs::read_dir("/proc")?.filter_map(Result::ok);
    let left: Vec<String> = processes
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
        .map(|line| line.replace('\0', " "))
        .filter(|line| line.contains("corten shim") || line.contains("corten dns") || line.contains("corten up"))
        .collect();
    ensure!(left.is_empty(), "processes left: {left:#?}");
    Ok(())
}

fn groups_below(folder: &std::path::Path, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path().display().to_string());
            if depth > 0 {
                found.extend(groups_below(&entry.path(), depth - 1));
            }
        }
    }
    found
}
