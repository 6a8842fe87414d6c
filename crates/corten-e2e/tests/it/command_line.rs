//! The life of a cluster by its own commands: up, up again, status, down, up, delete.

use std::path::Path;

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, Output, eventually, in_sandbox};

const CONTEXT: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: elsewhere, cluster: {server: 'https://192.0.2.1:6443'}}]
contexts: [{name: elsewhere, context: {cluster: elsewhere, user: somebody}}]
current-context: elsewhere
users: [{name: somebody, user: {token: a-word}}]
";

#[test]
fn a_cluster_comes_goes_and_comes_back() {
    in_sandbox("command_line::a_cluster_comes_goes_and_comes_back", || {
        let machine = Machine::here()?;
        let kubectl = machine.kubectl()?;
        std::fs::write(kubectl.kubeconfig(), CONTEXT)?;
        let none = status(&machine)?;
        ensure!(none.out.contains("no cluster runs at /var/lib/corten"), "{none:?}");

        let image = machine.image("busybox-1.28.docker.tar").display().to_string();
        let up = machine.corten(&["up", "--detach", "--image", &image])?;
        for step in ["store", "API server", "scheduler", "kubelet", "node Ready", "DNS", "kubeconfig"] {
            ensure!(up.contains(step), "no {step}: {up}");
        }
        contexts_are(&kubectl, "corten", &["corten", "elsewhere"])?;
        runs(&machine)?;
        kubectl.ok(&[
            "run",
            "p",
            "--image=busybox:1.28",
            "--overrides",
            r#"{"spec":{"terminationGracePeriodSeconds":0}}"#,
            "--",
            "sleep",
            "3600",
        ]);
        kubectl.ready("p");
        kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=b"]);

        images_come_and_go(&machine)?;
        let pid = machine.pid()?;
        let again = machine.corten(&["up", "--detach"])?;
        ensure!(again.contains(&format!("a cluster already runs here (pid {pid})")), "{again}");
        ensure!(machine.pid()? == pid, "another process");

        machine.corten(&["down"])?;
        ensure!(machine.pid().is_err(), "it still runs");
        let none = status(&machine)?;
        ensure!(none.out.contains("no cluster runs"), "{none:?}");
        ensure!(Path::new("/var/lib/corten/store").exists());
        contexts_are(&kubectl, "", &["elsewhere"])?;
        machine.corten(&["down"])?;

        machine.corten(&["up", "--detach"])?;
        contexts_are(&kubectl, "corten", &["corten", "elsewhere"])?;
        ensure!(kubectl.ok(&["get", "configmap", "kept", "-o", "jsonpath={.data.a}"]) == "b");
        eventually("the pod runs again", || {
            let said = kubectl.run(&["exec", "p", "--", "echo", "here"])?;
            ensure!(said.out == "here\n", "{said:?}");
            Ok(())
        })?;
        runs(&machine)?;

        let deleted = machine.corten(&["delete"])?;
        ensure!(deleted.contains("the cluster at /var/lib/corten is deleted"), "{deleted}");
        contexts_are(&kubectl, "", &["elsewhere"])?;
        let left: Vec<_> = std::fs::read_dir("/var/lib/corten").into_iter().flatten().flatten().collect();
        ensure!(left.is_empty(), "{left:?}");
        machine.corten(&["delete"])?;
        Ok(())
    });
}

/// The image of the running pod stays; others go.
fn images_come_and_go(machine: &Machine) -> anyhow::Result<()> {
    let archive = machine.image("kubernetes-bootcamp-v1.oci.tar").display().to_string();
    let imported = machine.corten(&["image", "import", &archive])?;
    let name = "docker.io/jocatalin/kubernetes-bootcamp:v1";
    ensure!(imported.contains(name), "{imported}");
    let list = machine.corten(&["image", "list"])?;
    ensure!(list.contains("kubernetes-bootcamp") && list.contains("busybox"), "{list}");
    machine.corten(&["image", "rm", name])?;
    let list = machine.corten(&["image", "list"])?;
    ensure!(!list.contains("kubernetes-bootcamp") && list.contains("busybox"), "{list}");
    let from_input = machine.corten_with_input(&["image", "import", "-"], Path::new(&archive))?;
    ensure!(from_input.success && from_input.out.contains(name), "{from_input:?}");
    let refused = machine.corten_with_input(&["image", "import", "-"], Path::new("/proc/version"))?;
    ensure!(!refused.success && refused.err.contains("import standard input: it is no archive"), "{refused:?}");
    machine.corten(&["image", "rm", name])?;
    for (arguments, why) in [
        (&["image", "rm", name] as &[&str], "no image is called"),
        (&["image", "rm", "busybox:1.28"], "container p of pod default/p needs the image \"busybox:1.28\""),
        (&["image", "import", "/no/such/file"], "/no/such/file"),
        (&["image", "import", "/proc/version"], "/proc/version"),
    ] {
        let refused = machine.try_corten(arguments)?;
        ensure!(!refused.success && refused.err.contains(why), "{refused:?}");
    }
    Ok(())
}

fn status(machine: &Machine) -> anyhow::Result<Output> {
    let status = machine.try_corten(&["status"])?;
    ensure!(!status.success, "{status:?}");
    Ok(status)
}

fn runs(machine: &Machine) -> anyhow::Result<()> {
    eventually("everything runs", || {
        let status = machine.try_corten(&["status", "--json"])?;
        ensure!(status.success, "{}{}", status.out, status.err);
        let report: serde_json::Value = serde_json::from_str(&status.out)?;
        ensure!(report["nodeState"] == "Ready", "{report}");
        Ok(())
    })?;
    let shown = machine.corten(&["status"])?;
    ensure!(shown.contains("COMPONENT") && shown.contains(": Ready, v1.35"), "{shown}");
    Ok(())
}

fn contexts_are(kubectl: &Kubectl, current: &str, want: &[&str]) -> anyhow::Result<()> {
    let names = kubectl.ok(&["config", "get-contexts", "-o", "name"]);
    ensure!(names.lines().eq(want.iter().copied()), "{names}");
    let now = kubectl.run(&["config", "current-context"])?;
    ensure!(now.out.trim() == current, "{now:?}");
    Ok(())
}
