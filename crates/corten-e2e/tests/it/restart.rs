//! The cluster's process is killed while pods run and objects are written: nothing that counts notices.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, eventually, http_get, in_sandbox};
use parking_lot::Mutex;

const ROUNDS: usize = 20;

/// What must not change while the pods are taken over: each container's id and restart count.
fn containers(kubectl: &Kubectl) -> anyhow::Result<BTreeMap<String, String>> {
    let pods = kubectl.json(&["get", "pods"]);
    let pods = pods["items"].as_array().context("a list has items")?;
    Ok(pods
        .iter()
        .map(|pod| {
            let status = &pod["status"]["containerStatuses"][0];
            (pod["metadata"]["name"].to_string(), format!("{} {}", status["containerID"], status["restartCount"]))
        })
        .collect())
}

#[test]
fn twenty_kills_lose_nothing_and_restart_no_container() {
    in_sandbox("restart::twenty_kills_lose_nothing_and_restart_no_container", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        let image = "--image=docker.io/jocatalin/kubernetes-bootcamp:v1";
        kubectl.ok(&["create", "deployment", "web", image, "--replicas=2", "--port=8080"]);
        kubectl.ok(&["expose", "deployment/web", "--type=NodePort", "--port=8080"]);
        kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        let port = kubectl.ok(&["get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}"]);
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>()?));
        eventually("the service answers", || http_get(address, "/"))?;
        kubectl.ok(&["run", "shell", "--image=busybox:1.28", "--", "sleep", "3600"]);
        kubectl.ok(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]);
        let before = containers(&kubectl)?;

        let mut acknowledged: Vec<String> = Vec::new();
        for round in 0..ROUNDS {
            acknowledged.extend(writes_until_killed(&machine, &kubectl, round)?);
            // Nobody manages the node now; what runs goes on, and the kernel still balances.
            http_get(address, "/").with_context(|| format!("round {round}: the service while nobody manages it"))?;
            machine.corten(&["up", "--detach"]).with_context(|| format!("round {round}"))?;
        }
        let after = eventually("all pods are shown as running", || {
            let after = containers(&kubectl)?;
            ensure!(after == before, "{before:#?} became {after:#?}");
            Ok(after)
        })?;
        ensure!(after.len() == 3, "{after:#?}");
        let names = kubectl.ok(&["get", "configmaps", "-o", "name"]);
        let lost: Vec<_> = acknowledged.iter().filter(|name| !names.contains(&format!("configmap/{name}\n"))).collect();
        ensure!(lost.is_empty(), "of {} acknowledged objects, lost: {lost:?}", acknowledged.len());
        machine.corten(&["delete"])?;
        Ok(())
    });
}

fn writes_until_killed(machine: &Machine, kubectl: &Kubectl, round: usize) -> anyhow::Result<Vec<String>> {
    let (written, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        for writer in 0..2 {
            let (written, stop) = (&written, &stop);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("round-{round}-{writer}-{number}");
                    if kubectl.run(&["create", "configmap", &name]).is_ok_and(|output| output.success) {
                        written.lock().push(name);
                    }
                }
            });
        }
        let wrote = eventually("both writers have been answered", || {
            ensure!(written.lock().len() > 2, "no answer yet");
            Ok(())
        });
        let killed = wrote.and_then(|()| machine.kill());
        stop.store(true, Ordering::Relaxed);
        killed
    })?;
    Ok(written.into_inner())
}

#[test]
fn a_backup_taken_while_writing_brings_everything_back() {
    in_sandbox("restart::a_backup_taken_while_writing_brings_everything_back", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        kubectl.ok(&["create", "deployment", "web", "--image=docker.io/jocatalin/kubernetes-bootcamp:v1"]);
        kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        for number in 0..20 {
            kubectl.ok(&["create", "configmap", &format!("before-{number}")]);
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    kubectl.ok(&["create", "configmap", &format!("during-{number}")]);
                }
            });
            let taken = machine.corten(&["backup", "/run/corten.backup"]);
            stop.store(true, Ordering::Relaxed);
            taken
        })?;
        machine.corten(&["delete"])?;
        machine.corten(&["restore", "/run/corten.backup"])?;
        machine.corten(&["up", "--detach"])?;
        let images = machine.image("kubernetes-bootcamp-v1.docker.tar");
        machine.corten(&["image", "import", &images.display().to_string()])?;
        let kubectl = machine.kubectl()?;
        let names = kubectl.ok(&["get", "configmaps", "-o", "name"]);
        for number in 0..20 {
            ensure!(names.contains(&format!("configmap/before-{number}\n")), "before-{number} is lost:\n{names}");
        }
        kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
        machine.corten(&["delete"])?;
        Ok(())
    });
}
