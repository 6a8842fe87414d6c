//! Probes of every kind: what they find out, what follows, and what is said about it.

mod health;

use std::net::Ipv4Addr;

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, in_sandbox, side_by_side};
use health::Health;

/// The sandbox's own address.
const NODE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const HEALTH_PORT: u16 = 7800;

#[test]
fn containers_are_asked_how_they_are() {
    in_sandbox("probes::containers_are_asked_how_they_are", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("liveness-http", an_http_answer_other_than_success_restarts),
                ("liveness-tcp", a_refused_connection_restarts),
                ("refused", an_http_probe_without_a_server_says_so),
                ("readiness", a_pod_is_ready_while_its_page_is_there),
                ("startup", the_other_probes_wait_for_the_start),
                ("startup-failure", a_start_that_takes_too_long_is_tried_again),
                ("timeout", a_command_that_hangs_has_failed),
                ("grpc", a_health_service_is_asked),
            ],
        )
    });
}

fn pod(probes: &str, command: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n\
         \x20 - name: c\n    image: busybox:1.28\n    command: ['sh', '-c', '{command}']\n{probes}"
    )
}

const SERVER: &str = "mkdir /tmp/www; exec httpd -f -p 80 -h /tmp/www";

fn was_restarted(kubectl: &Kubectl) -> anyhow::Result<()> {
    let status = kubectl.container_status("p", "the container was restarted", |status| {
        status["restartCount"].as_i64().is_some_and(|count| count > 0)
    })?;
    ensure!(status["lastState"]["terminated"].is_object(), "{status}");
    Ok(())
}

fn an_http_answer_other_than_success_restarts(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    livenessProbe: {httpGet: {path: /healthz, port: 80}, periodSeconds: 1, failureThreshold: 2}\n";
    kubectl.apply(&pod(probe, SERVER))?;
    was_restarted(kubectl)?;
    kubectl.describes(
        "p",
        &[
            "Unhealthy",
            "Liveness probe failed: HTTP probe failed with statuscode: 404",
            "Container c failed liveness probe, will be restarted",
        ],
    )
}

fn a_refused_connection_restarts(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    livenessProbe: {tcpSocket: {port: 81}, periodSeconds: 1, failureThreshold: 1}\n    \
                 readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}\n";
    kubectl.apply(&pod(probe, SERVER))?;
    was_restarted(kubectl)?;
    let address = kubectl.ok(&["get", "pod", "p", "-o", "jsonpath={.status.podIP}"]);
    kubectl.describes("p", &[&format!("Liveness probe failed: dial tcp {address}:81: connect: connection refused")])
}

fn an_http_probe_without_a_server_says_so(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    readinessProbe: {httpGet: {path: /, port: 82}, periodSeconds: 1}\n";
    kubectl.apply(&pod(probe, SERVER))?;
    kubectl.reaches("p", "Running");
    let address = kubectl.ok(&["get", "pod", "p", "-o", "jsonpath={.status.podIP}"]);
    let why = format!(
        "Readiness probe failed: Get \"http://{address}:82/\": dial tcp {address}:82: connect: connection refused"
    );
    kubectl.describes("p", &[&why])
}

fn a_pod_is_ready_while_its_page_is_there(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    ports: [{name: web, containerPort: 80}]\n    \
                 readinessProbe: {httpGet: {path: /ready, port: web}, periodSeconds: 1, successThreshold: 2}\n";
    kubectl.apply(&pod(probe, SERVER))?;
    kubectl.describes("p", &["Readiness probe failed: HTTP probe failed with statuscode: 404"])?;
    let status = kubectl.container_status("p", "it runs", |status| status["started"] == true)?;
    ensure!(status["ready"] == false && status["restartCount"] == 0, "{status}");
    kubectl.inside("p", "c", "echo yes > /tmp/www/ready");
    kubectl.ready("p");
    kubectl.inside("p", "c", "rm /tmp/www/ready");
    kubectl.ok(&["wait", "--for=condition=Ready=false", "pod/p", "--timeout=60s"]);
    let shown = kubectl.ok(&["get", "pod", "p", "--no-headers"]);
    ensure!(shown.contains("0/1") && shown.contains("Running"), "{shown}");
    Ok(())
}

/// The liveness probe would fail from the first second on.
fn the_other_probes_wait_for_the_start(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 60}\n    \
                 livenessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 1}\n";
    kubectl.apply(&pod(probe, "sleep 3600"))?;
    kubectl.describes("p", &["Startup probe failed:"])?;
    let status = kubectl.container_status("p", "it runs", |status| status["state"]["running"].is_object())?;
    ensure!(status["started"] == false && status["ready"] == false && status["restartCount"] == 0, "{status}");
    kubectl.inside("p", "c", "touch /tmp/up");
    kubectl.ready("p");
    let status = kubectl.container_status("p", "it has started", |status| status["started"] == true)?;
    ensure!(status["restartCount"] == 0, "{status}");
    kubectl.inside("p", "c", "rm /tmp/up");
    was_restarted(kubectl)
}

fn a_start_that_takes_too_long_is_tried_again(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    startupProbe: {exec: {command: [cat, /nothing]}, periodSeconds: 1, failureThreshold: 2}\n";
    kubectl.apply(&pod(probe, "sleep 3600"))?;
    was_restarted(kubectl)?;
    kubectl.describes(
        "p",
        &[
            "Startup probe failed: cat: can't open '/nothing': No such file or directory",
            "Container c failed startup probe, will be restarted",
        ],
    )
}

fn a_command_that_hangs_has_failed(kubectl: &Kubectl) -> anyhow::Result<()> {
    let probe = "    readinessProbe: {exec: {command: [sleep, '30']}, periodSeconds: 1, timeoutSeconds: 1}\n";
    kubectl.apply(&pod(probe, "exec sleep 3600"))?;
    kubectl.describes("p", &["Readiness probe failed: command \"sleep 30\" timed out"])?;
    let left = kubectl.inside("p", "c", "ps -o args | grep -c '[s]leep 30$'; true");
    // The one that runs just now; none is left of those before.
    ensure!(left.trim().parse::<usize>()? <= 1, "{left}");
    Ok(())
}

/// A pod in the node's network has the address at which the test itself serves.
fn a_health_service_is_asked(kubectl: &Kubectl) -> anyhow::Result<()> {
    let health = Health::serve(NODE, HEALTH_PORT)?;
    let probe = format!(
        "    readinessProbe: {{grpc: {{port: {HEALTH_PORT}, service: app}}, periodSeconds: 1, failureThreshold: 1}}\n"
    );
    let manifest = pod(&probe, "exec sleep 3600").replace("spec:\n", "spec:\n  hostNetwork: true\n");
    kubectl.apply(&manifest)?;
    kubectl.describes("p", &["Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")"])?;
    health.set_serving(true);
    kubectl.ready("p");
    health.set_serving(false);
    kubectl.ok(&["wait", "--for=condition=Ready=false", "pod/p", "--timeout=60s"]);
    Ok(())
}
