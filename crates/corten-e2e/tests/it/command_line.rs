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
        let settings_before = settings()?;

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
            "sh",
            "-c",
            "echo begun; sleep 3600",
        ]);
        kubectl.ready("p");
        kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=b"]);

        images_come_and_go(&machine)?;
        kubectl.ok(&["run", "once", "--image=busybox:1.28", "--restart=Never", "--", "echo", "over"]);
        kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/once", "--timeout=60s"]);
        let pid = machine.pid()?;
        let again = machine.corten(&["up", "--detach"])?;
        ensure!(again.contains(&format!("a cluster already runs here (pid {pid})")), "{again}");
        let other = machine.try_corten(&["up", "--detach", "--cluster-cidr=10.99.0.0/16"])?;
        ensure!(!other.success && other.err.contains("this cluster was made with --cluster-cidr"), "{other:?}");
        ensure!(machine.pid()? == pid, "another process");

        machine.corten(&["down"])?;
        ensure!(machine.pid().is_err(), "it still runs");
        let none = status(&machine)?;
        ensure!(none.out.contains("no cluster runs"), "{none:?}");
        ensure!(Path::new("/var/lib/corten/store").exists());
        ensure!(settings()? == settings_before, "they were {settings_before:?}, and are {:?}", settings()?);
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
        eventually("the earlier container is shown", || {
            let count = kubectl.ok(&["get", "pod", "p", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"]);
            let logs =
                [["logs", "-p", "p"], ["logs", "p", "-c=p"], ["logs", "once", "-c=once"]].map(|it| kubectl.ok(&it));
            ensure!(count == "1" && logs == ["begun\n", "begun\n", "over\n"], "{count} {logs:?}");
            Ok(())
        })?;
        runs(&machine)?;

        machine.kill()?;
        machine.corten(&["up", "--detach"])?;
        let deleted = machine.corten(&["delete"])?;
        ensure!(settings()? == settings_before, "they were {settings_before:?}, and are {:?}", settings()?);
        ensure!(deleted.contains("the cluster at /var/lib/corten is deleted"), "{deleted}");
        contexts_are(&kubectl, "", &["elsewhere"])?;
        let left: Vec<_> = std::fs::read_dir("/var/lib/corten").into_iter().flatten().flatten().collect();
        ensure!(left.is_empty(), "{left:?}");
        machine.corten(&["delete"])?;
        Ok(())
    });
}

/// The machine's settings that a cluster needs otherwise. `route_localnet` without the cluster's rules opens 127.0.0.1 to
/// neighbours.
fn settings() -> anyhow::Result<[String; 2]> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
    Ok([read("ip_forward")?, read("conf/all/route_localnet")?])
}

/// A second `down` once killed the first in the middle of its work, or waited for a later cluster for ever.
#[test]
fn commands_at_once_wait_for_each_other() {
    in_sandbox("command_line::commands_at_once_wait_for_each_other", || {
        let machine = Machine::here()?;
        for round in 0..3 {
            machine.corten(&["up", "--detach"])?;
            let ended: Vec<anyhow::Result<Output>> = std::thread::scope(|scope| {
                let commands = [["down"], ["delete"], ["down"]].map(|it| {
                    let machine = &machine;
                    scope.spawn(move || machine.try_corten(&it))
                });
                commands.into_iter().map(|it| it.join().expect("it runs a command")).collect()
            });
            for output in ended {
                let output = output?;
                ensure!(output.success, "round {round}: {output:?}");
            }
            let left: Vec<_> = std::fs::read_dir("/var/lib/corten").into_iter().flatten().flatten().collect();
            ensure!(left.is_empty(), "round {round}: {left:?}");
        }
        Ok(())
    });
}

/// `delete` once removed `log` and `pki` of any directory that it was given.
#[test]
fn what_is_not_a_clusters_is_left_alone() {
    in_sandbox("command_line::what_is_not_a_clusters_is_left_alone", || {
        let (machine, theirs) = (Machine::here()?, Path::new("/run/theirs"));
        std::fs::create_dir_all(theirs.join("log"))?;
        std::fs::write(theirs.join("log/mine"), "mine")?;
        for command in ["down", "delete"] {
            let said = machine.corten(&[command, "--root", "/run/theirs"])?;
            ensure!(said == "no cluster at /run/theirs\n", "{said}");
        }
        let refused = machine.try_corten(&["up", "--detach", "--root", "/run/theirs"])?;
        ensure!(!refused.success && refused.err.contains("something that is not a cluster's (log)"), "{refused:?}");
        let names: Vec<_> = std::fs::read_dir(theirs)?.map(|it| Ok(it?.file_name())).collect::<anyhow::Result<_>>()?;
        ensure!(names == ["log"] && theirs.join("log/mine").exists(), "{names:?}");
        Ok(())
    });
}

const TOKEN: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: kept, annotations: {kubernetes.io/service-account.name: default}}
type: kubernetes.io/service-account-token
";

/// A restored cluster once had other ranges, another authority and another key for tokens, and did not start.
#[test]
fn a_restored_cluster_is_the_same_one() {
    in_sandbox("command_line::a_restored_cluster_is_the_same_one", || {
        let (machine, old) = (Machine::here()?, Path::new("/run/old.conf"));
        let flags = ["--service-cidr", "10.50.0.0/16", "--cluster-cidr", "10.60.0.0/16", "--node-name", "foo"];
        machine.corten(&[&["up", "--detach"], &flags as &[&str]].concat())?;
        std::fs::copy("/var/lib/corten/admin.conf", old)?;
        let kubectl = Kubectl::new(old, Path::new("/run"))?;
        kubectl.apply(TOKEN)?;
        let token = eventually("the secret has a token", || {
            let token = kubectl.ok(&["get", "secret", "kept", "-o", "go-template={{.data.token | base64decode}}"]);
            ensure!(token.starts_with("ey"), "{token}");
            Ok(token)
        })?;
        machine.corten(&["backup", "/run/corten.backup"])?;
        machine.corten(&["delete"])?;
        machine.corten(&["restore", "/run/corten.backup"])?;
        machine.corten(&["up", "--detach"])?;
        let nodes = kubectl.ok(&["get", "nodes", "-o", "name"]);
        ensure!(nodes == "node/foo\n", "{nodes}");
        let dns = kubectl.ok(&["-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}"]);
        ensure!(dns == "10.50.0.10", "{dns}");
        let review =
            format!("{{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {{token: \"{token}\"}}}}");
        let answer = kubectl
            .run_with(&["create", "--validate=false", "-f", "-", "-o", "jsonpath={.status.authenticated}"], &review)?;
        ensure!(answer.out == "true", "{answer:?}");
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
