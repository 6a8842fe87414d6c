//! What pods find inside: volumes of every kind, identities, limits, probes and hooks.

use std::path::Path;

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, eventually, in_sandbox};

const SOURCES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: red, nested: inner}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: first}
"#;

const VOLUMES: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: files, labels: {stage: one}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: password, secret: {secretName: password, defaultMode: 0400}}
  - name: about
    downwardAPI:
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: memory, resourceFieldRef: {containerName: c, resource: limits.memory, divisor: 1Mi}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 8Mi}}
  - {name: scratch, emptyDir: {}}
  - {name: machine, hostPath: {path: /run/e2e-host, type: DirectoryOrCreate}}
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    resources: {limits: {memory: 64Mi}}
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /one, subPath: nested}
    - {name: password, mountPath: /password, readOnly: true}
    - {name: about, mountPath: /about}
    - {name: memory, mountPath: /memory}
    - {name: scratch, mountPath: /scratch, subPath: a/b}
    - {name: scratch, mountPath: /whole}
    - {name: machine, mountPath: /machine}
"#;

const CLAIM: &str = r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: default, name: claim}
  hostPath: {path: /run/e2e-disk, type: DirectoryOrCreate}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, annotations: {pv.kubernetes.io/bind-completed: 'yes'}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: disk
  resources: {requests: {storage: 1Gi}}
"#;

const CLAIMING: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: claims}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: claim}}
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'echo kept > /data/file; sleep 3600']
    volumeMounts: [{name: data, mountPath: /data}]
"#;

const IDENTITY: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: nobody}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, runAsNonRoot: true}
  volumes: [{name: shared, emptyDir: {}}]
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: root
    image: busybox:1.28
    command: [sleep, '3600']
    securityContext:
      runAsUser: 0
      runAsNonRoot: false
      capabilities: {drop: [ALL], add: [NET_ADMIN]}
"#;

const HUNGRY: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: busybox:1.28
    command: [dd, if=/dev/zero, of=/dev/null, bs=128M, count=1]
    resources: {limits: {memory: 16Mi}}
"#;

const PROBED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'touch /tmp/healthy; sleep 2; rm /tmp/healthy; sleep 3600']
    livenessProbe:
      exec: {command: [cat, /tmp/healthy]}
      periodSeconds: 1
      failureThreshold: 1
"#;

const HOOKED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 5
  volumes: [{name: machine, hostPath: {path: /run/e2e-hooks, type: DirectoryOrCreate}}]
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 1; done']
    lifecycle:
      postStart: {exec: {command: ['sh', '-c', 'echo begun > /machine/begun']}}
      preStop: {exec: {command: ['sh', '-c', 'echo ending > /machine/ending']}}
    volumeMounts: [{name: machine, mountPath: /machine}]
"#;

#[test]
fn pods_find_what_their_specs_promise() {
    in_sandbox("volumes::pods_find_what_their_specs_promise", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        volumes_hold_and_follow_their_sources(&kubectl)?;
        a_claim_that_is_bound_is_mounted(&kubectl)?;
        processes_are_who_they_shall_be(&kubectl)?;
        too_much_memory_is_fatal(&kubectl)?;
        a_failed_liveness_probe_restarts(&kubectl)?;
        hooks_run_after_the_start_and_before_the_end(&kubectl)?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}

fn ready(kubectl: &Kubectl, pod: &str) {
    kubectl.ok(&["wait", "--for=condition=Ready", &format!("pod/{pod}"), "--timeout=60s"]);
}

/// What a script prints in a pod's container.
fn inside(kubectl: &Kubectl, pod: &str, container: &str, script: &str) -> String {
    kubectl.ok(&["exec", pod, "-c", container, "--", "sh", "-c", script])
}

fn says(kubectl: &Kubectl, pod: &str, script: &str, want: &str) -> anyhow::Result<()> {
    let out = inside(kubectl, pod, "c", script);
    ensure!(out.trim_end() == want, "{script}: {out:?} instead of {want:?}");
    Ok(())
}

fn volumes_hold_and_follow_their_sources(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SOURCES)?;
    kubectl.apply(VOLUMES)?;
    ready(kubectl, "files");
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    for (script, want) in [
        ("cat /settings/color", "red"),
        ("cat /one", "inner"),
        ("cat /password/word; stat -Lc ' %a' /password/word", "first 400"),
        ("cat /about/labels /about/memory", "stage=\"one\"64"),
        ("grep -c ' /memory tmpfs ' /proc/mounts", "1"),
        ("df -m /memory | tail -1 | awk '{print $2}'", "8"),
        ("echo b > /scratch/file; cat /whole/a/b/file", "b"),
        ("echo from the pod > /machine/note", ""),
        ("touch /password/x 2>&1", "touch: /password/x: Read-only file system"),
    ] {
        // The last one fails on purpose; what it prints is what counts.
        says(kubectl, "files", &format!("{script}; true"), want)?;
    }
    ensure!(std::fs::read_to_string("/run/e2e-host/note")? == "from the pod\n");
    let identity = inside(kubectl, "files", "c", &format!("cat {account}/namespace; echo; head -1 {account}/ca.crt"));
    ensure!(identity == "default\n-----BEGIN CERTIFICATE-----\n", "{identity}");
    let token = inside(kubectl, "files", "c", &format!("cat {account}/token"));
    // With nothing but what the pod has: a client certificate would go before the token.
    let authority = "/run/e2e-ca.crt";
    std::fs::write(authority, inside(kubectl, "files", "c", &format!("cat {account}/ca.crt")))?;
    let server = kubectl.ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let who = kubectl.ok(&[
        "--kubeconfig=/dev/null",
        &format!("--server={server}"),
        &format!("--certificate-authority={authority}"),
        &format!("--token={}", token.trim()),
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username}",
    ]);
    ensure!(who == "system:serviceaccount:default:default", "{who}");

    kubectl.ok(&["patch", "configmap", "settings", "-p", r#"{"data":{"color":"blue","nested":"other"}}"#]);
    kubectl.ok(&["patch", "secret", "password", "-p", r#"{"stringData":{"word":"second"}}"#]);
    kubectl.ok(&["label", "pod", "files", "stage=two", "--overwrite"]);
    eventually("volumes follow", || {
        let seen = inside(kubectl, "files", "c", "cat /settings/color /password/word /about/labels");
        ensure!(seen == "bluesecondstage=\"two\"", "{seen}");
        Ok(())
    })?;
    // A file that was mounted by itself stays what it was.
    says(kubectl, "files", "cat /one", "inner")?;
    kubectl.ok(&["delete", "pod", "files"]);
    ensure!(Path::new("/run/e2e-host/note").exists());
    Ok(())
}

fn a_claim_that_is_bound_is_mounted(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(CLAIM)?;
    // What the volume controller would do: claim and volume name each other, by UID.
    let uid = kubectl.ok(&["get", "pvc", "claim", "-o", "jsonpath={.metadata.uid}"]);
    kubectl.ok(&[
        "patch",
        "pv",
        "disk",
        "--type=merge",
        "-p",
        &format!(r#"{{"spec":{{"claimRef":{{"uid":"{uid}"}}}}}}"#),
    ]);
    for object in ["pv/disk", "pvc/claim"] {
        kubectl.ok(&["patch", object, "--subresource=status", "--type=merge", "-p", r#"{"status":{"phase":"Bound"}}"#]);
    }
    kubectl.apply(CLAIMING)?;
    ready(kubectl, "claims");
    eventually("the file is on the machine", || {
        let file = std::fs::read_to_string("/run/e2e-disk/file")?;
        ensure!(file == "kept\n", "{file}");
        Ok(())
    })?;
    kubectl.ok(&["delete", "pod", "claims"]);
    ensure!(Path::new("/run/e2e-disk/file").exists());
    Ok(())
}

fn processes_are_who_they_shall_be(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(IDENTITY)?;
    ready(kubectl, "nobody");
    for (script, want) in [
        ("id -u; id -g; id -G", "1000\n3000\n3000 2000"),
        ("touch /x 2>&1; true", "touch: /x: Read-only file system"),
        ("touch /shared/x; stat -c %g /shared/x", "2000"),
        ("grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | awk '{print $2}' | sort -u", "0000000000000000"),
        ("grep NoNewPrivs /proc/self/status | awk '{print $2}'", "1"),
    ] {
        says(kubectl, "nobody", script, want)?;
    }
    // NET_ADMIN is capability 12.
    let held = inside(kubectl, "nobody", "root", "grep CapEff /proc/self/status | awk '{print $2}'");
    ensure!(held == "0000000000001000\n", "{held}");
    kubectl.ok(&["delete", "pod", "nobody"]);
    Ok(())
}

fn too_much_memory_is_fatal(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(HUNGRY)?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Failed", "pod/hungry", "--timeout=60s"]);
    let pod = kubectl.json(&["get", "pod", "hungry"]);
    let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    ensure!(state["reason"] == "OOMKilled" && state["exitCode"] == 137, "{state}");
    kubectl.ok(&["delete", "pod", "hungry"]);
    Ok(())
}

fn a_failed_liveness_probe_restarts(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(PROBED)?;
    kubectl.ok(&[
        "wait",
        "--for=jsonpath={.status.containerStatuses[0].restartCount}=1",
        "pod/probed",
        "--timeout=60s",
    ]);
    let shown = kubectl.ok(&["describe", "pod", "probed"]);
    for want in [
        "Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory",
        "Container c failed liveness probe, will be restarted",
    ] {
        ensure!(shown.contains(want), "{shown}");
    }
    kubectl.ok(&["delete", "pod", "probed"]);
    Ok(())
}

fn hooks_run_after_the_start_and_before_the_end(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(HOOKED)?;
    ready(kubectl, "hooked");
    ensure!(std::fs::read_to_string("/run/e2e-hooks/begun")? == "begun\n");
    ensure!(!Path::new("/run/e2e-hooks/ending").exists());
    kubectl.ok(&["delete", "pod", "hooked"]);
    ensure!(std::fs::read_to_string("/run/e2e-hooks/ending")? == "ending\n");
    Ok(())
}
