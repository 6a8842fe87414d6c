//! What pods are: containers that share, restart, are replaced, and leave services when they are not ready.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, eventually, http_get, in_sandbox, side_by_side};

const PAIR: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  volumes:
  - {name: pages, emptyDir: {}}
  containers:
  - name: writer
    image: busybox:1.28
    command: ['sh', '-c', 'echo written by the writer > /pages/index.html; until wget -q -O /tmp/got http://localhost:80/index.html 2>/dev/null; do sleep 1; done; cat /tmp/got; sleep 3600']
    volumeMounts: [{name: pages, mountPath: /pages}]
  - name: server
    image: busybox:1.28
    command: ['httpd', '-f', '-p', '80', '-h', '/var/www']
    volumeMounts: [{name: pages, mountPath: /var/www}]
"#;

const CONTROLLER: &str = r#"
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: docker.io/jocatalin/kubernetes-bootcamp:v1
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
"#;

const SWITCHED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: switched, labels: {app: switched}}
spec:
  containers:
  - name: switched
    image: busybox:1.28
    command: ['sh', '-c', 'touch /tmp/ready; echo here > /var/www/index.html; exec httpd -f -p 80 -h /var/www']
    readinessProbe:
      exec: {command: ['test', '-e', '/tmp/ready']}
      periodSeconds: 1
      failureThreshold: 1
---
apiVersion: v1
kind: Service
metadata: {name: switched}
spec:
  type: NodePort
  selector: {app: switched}
  ports: [{port: 80, nodePort: 30081}]
"#;

#[test]
fn pods_share_restart_and_are_replaced() {
    in_sandbox("pods::pods_share_restart_and_are_replaced", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("pair", containers_of_a_pod_share_files_and_localhost),
                ("controller", a_replication_controller_replaces_pods),
                ("back-off", a_killed_process_is_restarted_with_back_off),
                ("readiness", an_unready_pod_leaves_its_service_at_once),
            ],
        )?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}

fn containers_of_a_pod_share_files_and_localhost(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(PAIR)?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/pair", "--timeout=60s"]);
    eventually("the writer has fetched its page from the server", || {
        let log = kubectl.ok(&["logs", "pair", "-c", "writer"]);
        ensure!(log == "written by the writer\n", "{log}");
        Ok(())
    })?;
    kubectl.ok(&["delete", "pod", "pair", "--grace-period=1"]);
    Ok(())
}

fn a_replication_controller_replaces_pods(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(CONTROLLER)?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.readyReplicas}=2", "rc/web", "--timeout=60s"]);
    let names = kubectl.ok(&["get", "pods", "-l", "app=web", "-o", "name"]);
    let victim = names.lines().next().context("there are two pods")?.to_owned();
    kubectl.ok(&["delete", &victim]);
    kubectl.ok(&["wait", "--for=jsonpath={.status.readyReplicas}=2", "rc/web", "--timeout=60s"]);
    let names = kubectl.ok(&["get", "pods", "-l", "app=web", "-o", "name"]);
    ensure!(!names.contains(&victim) && names.lines().count() == 2, "{names}");
    let answer = eventually("the service answers", || http_get(SocketAddr::from(([127, 0, 0, 1], 30080)), "/"))?;
    ensure!(answer.contains("Running on: web-"), "{answer}");
    Ok(())
}

fn a_killed_process_is_restarted_with_back_off(kubectl: &Kubectl) -> anyhow::Result<()> {
    let script = "sleep 1; exit 3";
    kubectl.ok(&["run", "failing", "--image=busybox:1.28", "--", "sh", "-c", script]);
    let restarts = |least: i64| {
        eventually("the container was restarted", || {
            let pod = kubectl.json(&["get", "pod", "failing"]);
            let count = pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or_default();
            ensure!(count >= least, "{}", pod["status"]["containerStatuses"]);
            Ok(pod)
        })
    };
    let pod = restarts(1)?;
    let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    ensure!(last["exitCode"] == 3 && last["reason"] == "Error", "{last}");
    eventually("the next restart waits", || {
        let pods = kubectl.ok(&["get", "pod", "failing"]);
        ensure!(pods.contains("CrashLoopBackOff"), "{pods}");
        Ok(())
    })?;
    restarts(2)?;
    let events = kubectl.ok(&["describe", "pod", "failing"]);
    let pod = format!("failing_{}(", kubectl.namespace());
    ensure!(events.contains(&format!("Back-off restarting failed container failing in pod {pod}")), "{events}");
    kubectl.ok(&["delete", "pod", "failing", "--grace-period=0", "--force"]);
    Ok(())
}

fn an_unready_pod_leaves_its_service_at_once(kubectl: &Kubectl) -> anyhow::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], 30081));
    kubectl.apply(SWITCHED)?;
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/switched", "--timeout=60s"]);
    eventually("the service answers", || http_get(address, "/index.html"))?;
    kubectl.ok(&["exec", "switched", "--", "rm", "/tmp/ready"]);
    kubectl.ok(&["wait", "--for=condition=Ready=false", "pod/switched", "--timeout=60s"]);
    eventually("the service has nobody to answer", || {
        ensure!(http_get(address, "/index.html").is_err(), "it still answers");
        Ok(())
    })?;
    kubectl.ok(&["exec", "switched", "--", "touch", "/tmp/ready"]);
    kubectl.ok(&["wait", "--for=condition=Ready", "pod/switched", "--timeout=60s"]);
    eventually("the service answers again", || http_get(address, "/index.html"))?;
    Ok(())
}
