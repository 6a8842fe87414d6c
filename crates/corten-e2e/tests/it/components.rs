//! The control plane in pieces: API server, controllers and scheduler as processes of their own.

use anyhow::{Context as _, ensure};
use corten_e2e::{Cluster, Kubectl, Piece, eventually};

#[test]
fn the_pieces_of_a_control_plane_work_together() {
    let outcome = pieces();
    if let Err(error) = outcome {
        panic!("{error:?}");
    }
}

fn pieces() -> anyhow::Result<()> {
    // A cluster that was started once has certificates and a store.
    let mut cluster = Cluster::start()?;
    let kubectl = cluster.kubectl()?;
    let server = kubectl.ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let port: u16 = server.rsplit(':').next().context("the server has a port")?.parse()?;
    cluster.stop()?;
    let root = cluster.root().to_owned();
    let pki = |name: &str| root.join("pki").join(name).display().to_string();
    let kubeconfig = format!("--kubeconfig={}", kubectl.kubeconfig().display());

    let _server = Piece::api_server(&root, port, &[])?;
    eventually("the server is ready", || {
        let ready = kubectl.run(&["get", "--raw", "/readyz"])?;
        let log = std::fs::read_to_string(root.join("kube-apiserver"))?;
        ensure!(ready.out == "ok", "{ready:?}\n{log}");
        Ok(())
    })?;
    nothing_happens_without_controllers(&kubectl)?;
    let _controllers = Piece::start(
        &root,
        "kube-controller-manager",
        &[
            kubeconfig.clone(),
            format!("--root-ca-file={}", pki("ca.crt")),
            format!("--cluster-signing-cert-file={}", pki("ca.crt")),
            format!("--cluster-signing-key-file={}", pki("ca.key")),
            "--controllers=*,-node-lifecycle-controller".to_owned(),
        ],
    )?;
    controllers_make_pods(&kubectl)?;
    let _scheduler = Piece::start(&root, "kube-scheduler", &[kubeconfig])?;
    the_scheduler_places_them(&kubectl)?;
    let leases = kubectl.ok(&["get", "leases", "-n", "kube-system", "-o", "name"]);
    for name in ["kube-controller-manager", "kube-scheduler"] {
        ensure!(leases.contains(&format!("/{name}\n")), "{leases}");
    }
    Ok(())
}

fn nothing_happens_without_controllers(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=2"]);
    let sets = kubectl.ok(&["get", "replicasets", "-o", "name"]);
    ensure!(sets.is_empty(), "{sets}");
    Ok(())
}

fn controllers_make_pods(kubectl: &Kubectl) -> anyhow::Result<()> {
    eventually("two pods are made", || {
        let pods = kubectl.ok(&["get", "pods", "-o", "name"]);
        ensure!(pods.lines().count() == 2, "{pods}");
        Ok(())
    })?;
    let waiting = kubectl.ok(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]);
    ensure!(waiting.is_empty(), "{waiting}");
    Ok(())
}

/// A node of which nobody says anything but what stands here.
const NODE: &str = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"paper"}}"#;
const STATUS: &str = r#"{"status":{"capacity":{"cpu":"4","memory":"8Gi","pods":"10"},
    "allocatable":{"cpu":"4","memory":"8Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True"}]}}"#;

fn the_scheduler_places_them(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(NODE)?;
    kubectl.ok(&["patch", "node", "paper", "--subresource=status", "--type=merge", "-p", STATUS]);
    // Nodes are born with a taint that the node's life cycle takes away, of which nobody takes care here.
    let taint = "node.kubernetes.io/not-ready:NoSchedule-";
    let untainted = kubectl.run(&["taint", "node", "paper", taint])?;
    ensure!(untainted.success || untainted.err.contains("not found"), "{untainted:?}");
    eventually("both pods have a place", || {
        let places = kubectl.ok(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]);
        ensure!(places == "paper paper", "{places}");
        Ok(())
    })?;
    let events = kubectl.ok(&["get", "events", "--field-selector=reason=Scheduled"]);
    ensure!(events.contains("Successfully assigned default/web-"), "{events}");
    Ok(())
}
