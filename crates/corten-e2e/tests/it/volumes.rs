//! What pods find inside: volumes of every kind, identities, limits, probes and hooks.

use std::path::Path;

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, eventually, in_sandbox, side_by_side};

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
metadata: {name: NAME}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: SPACE, name: NAME}
  SOURCE
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME, annotations: {pv.kubernetes.io/bind-completed: 'yes'}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: NAME
  resources: {requests: {storage: 1Gi}}
"#;

const CLAIMING: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: claims}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: disk, persistentVolumeClaim: {claimName: disk}}
  - {name: local, persistentVolumeClaim: {claimName: local}}
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'echo kept > /disk/file; echo here > /local/file; sleep 3600']
    volumeMounts: [{name: disk, mountPath: /disk}, {name: local, mountPath: /local}]
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
        side_by_side(
            &machine.kubectl()?,
            &[
                ("sources", volumes_hold_and_follow_their_sources),
                ("claims", claims_that_are_bound_are_mounted),
                ("identity", processes_are_who_they_shall_be),
                ("memory", too_much_memory_is_fatal),
                ("liveness", a_failed_liveness_probe_restarts),
                ("hooks", hooks_run_after_the_start_and_before_the_end),
                ("missing", a_source_that_is_missing_is_waited_for),
                ("places", mounts_are_where_and_how_they_shall_be),
            ],
        )?;
        machine.corten(&["delete"])?;
        Ok(())
    });
}

fn volumes_hold_and_follow_their_sources(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SOURCES)?;
    kubectl.apply(VOLUMES)?;
    kubectl.ready("files");
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
        kubectl.says("files", &[(&format!("{script}; true"), want)])?;
    }
    ensure!(std::fs::read_to_string("/run/e2e-host/note")? == "from the pod\n");
    let identity = kubectl.inside("files", "c", &format!("cat {account}/namespace; echo; head -1 {account}/ca.crt"));
    let space = kubectl.namespace();
    ensure!(identity == format!("{space}\n-----BEGIN CERTIFICATE-----\n"), "{identity}");
    let token = kubectl.inside("files", "c", &format!("cat {account}/token"));
    // With nothing but what the pod has: a client certificate would go before the token.
    let authority = "/run/e2e-ca.crt";
    std::fs::write(authority, kubectl.inside("files", "c", &format!("cat {account}/ca.crt")))?;
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
    ensure!(who == format!("system:serviceaccount:{space}:default"), "{who}");

    kubectl.ok(&["patch", "configmap", "settings", "-p", r#"{"data":{"color":"blue","nested":"other"}}"#]);
    kubectl.ok(&["patch", "secret", "password", "-p", r#"{"stringData":{"word":"second"}}"#]);
    kubectl.ok(&["label", "pod", "files", "stage=two", "--overwrite"]);
    eventually("volumes follow", || {
        let seen = kubectl.inside("files", "c", "cat /settings/color /password/word /about/labels");
        ensure!(seen == "bluesecondstage=\"two\"", "{seen}");
        Ok(())
    })?;
    // A file that was mounted by itself stays what it was.
    kubectl.says("files", &[("cat /one", "inner")])?;
    kubectl.ok(&["delete", "pod", "files"]);
    ensure!(Path::new("/run/e2e-host/note").exists());
    Ok(())
}

/// What the volume controller would do: claim and volume name each other, by UID.
fn bind(kubectl: &Kubectl, name: &str, source: &str) -> anyhow::Result<()> {
    let claim = CLAIM.replace("NAME", name).replace("SPACE", kubectl.namespace()).replace("SOURCE", source);
    kubectl.apply(&claim)?;
    let uid = kubectl.ok(&["get", "pvc", name, "-o", "jsonpath={.metadata.uid}"]);
    let claim_ref = format!(r#"{{"spec":{{"claimRef":{{"uid":"{uid}"}}}}}}"#);
    kubectl.ok(&["patch", "pv", name, "--type=merge", "-p", &claim_ref]);
    let bound = r#"{"status":{"phase":"Bound"}}"#;
    for kind in ["pv", "pvc"] {
        kubectl.ok(&["patch", kind, name, "--subresource=status", "--type=merge", "-p", bound]);
    }
    Ok(())
}

fn claims_that_are_bound_are_mounted(kubectl: &Kubectl) -> anyhow::Result<()> {
    bind(kubectl, "disk", "hostPath: {path: /run/e2e-disk, type: DirectoryOrCreate}")?;
    std::fs::create_dir_all("/run/e2e-local")?;
    let node = kubectl.ok(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    let local = format!(
        "local: {{path: /run/e2e-local}}\n  nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: \
         kubernetes.io/hostname, operator: In, values: ['{node}']}}]}}]}}}}"
    );
    bind(kubectl, "local", &local)?;
    kubectl.apply(CLAIMING)?;
    kubectl.ready("claims");
    for (file, want) in [("/run/e2e-disk/file", "kept\n"), ("/run/e2e-local/file", "here\n")] {
        eventually("the file is on the machine", || {
            let found = std::fs::read_to_string(file)?;
            ensure!(found == want, "{found}");
            Ok(())
        })?;
    }
    kubectl.ok(&["delete", "pod", "claims"]);
    ensure!(Path::new("/run/e2e-disk/file").exists() && Path::new("/run/e2e-local/file").exists());
    Ok(())
}

fn processes_are_who_they_shall_be(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(IDENTITY)?;
    kubectl.ready("nobody");
    let cases = [
        ("id -u; id -g; id -G", "1000\n3000\n3000 2000"),
        ("touch /x 2>&1; true", "touch: /x: Read-only file system"),
        ("touch /shared/x; stat -c %g /shared/x", "2000"),
        ("grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | awk '{print $2}' | sort -u", "0000000000000000"),
        ("grep NoNewPrivs /proc/self/status | awk '{print $2}'", "1"),
    ];
    kubectl.says("nobody", &cases)?;
    // NET_ADMIN is capability 12.
    let held = kubectl.inside("nobody", "root", "grep CapEff /proc/self/status | awk '{print $2}'");
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
    kubectl.ready("hooked");
    ensure!(std::fs::read_to_string("/run/e2e-hooks/begun")? == "begun\n");
    ensure!(!Path::new("/run/e2e-hooks/ending").exists());
    kubectl.ok(&["delete", "pod", "hooked"]);
    ensure!(std::fs::read_to_string("/run/e2e-hooks/ending")? == "ending\n");
    Ok(())
}

const WAITING: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: late, configMap: {name: late}}
  - {name: maybe, secret: {secretName: absent, optional: true}}
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    volumeMounts: [{name: late, mountPath: /late}, {name: maybe, mountPath: /maybe}]
"#;

fn a_source_that_is_missing_is_waited_for(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(WAITING)?;
    kubectl.describes(
        "p",
        &["FailedMount", "MountVolume.SetUp failed for volume \"late\" : configmap \"late\" not found"],
    )?;
    let shown = kubectl.ok(&["get", "pod", "p", "--no-headers"]);
    ensure!(shown.contains("ContainerCreating"), "{shown}");
    kubectl.ok(&["create", "configmap", "late", "--from-literal=a=b"]);
    kubectl.ready("p");
    kubectl.says("p", &[("cat /late/a", "b"), ("ls /maybe | wc -l", "0")])
}

const PLACES: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: shared, emptyDir: {}}
  - name: about
    downwardAPI:
      defaultMode: 0444
      items:
      - {path: deep/name, fieldRef: {fieldPath: metadata.name}, mode: 0400}
      - {path: cpu, resourceFieldRef: {containerName: c, resource: requests.cpu, divisor: 1m}}
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {requests: {cpu: 20m}}
    volumeMounts:
    - {name: memory, mountPath: /memory}
    - {name: shared, mountPath: /whole}
    - {name: shared, mountPath: /own, subPathExpr: 'logs/$(POD)'}
    - {name: shared, mountPath: /read, readOnly: true}
    - {name: about, mountPath: /about}
  - name: other
    image: busybox:1.28
    command: [sleep, '3600']
    volumeMounts: [{name: shared, mountPath: /whole}]
"#;

fn mounts_are_where_and_how_they_shall_be(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(PLACES)?;
    kubectl.ready("p");
    kubectl.inside("p", "other", "echo from the other > /whole/file");
    kubectl.says(
        "p",
        &[
            ("cat /whole/file /read/file", "from the other\nfrom the other"),
            ("echo a line > /own/log; cat /whole/logs/p/log", "a line"),
            ("touch /read/x 2>&1; true", "touch: /read/x: Read-only file system"),
            ("dd if=/dev/zero of=/memory/big bs=64k count=32 2>&1 | grep -c 'No space left'", "1"),
            ("stat -Lc %a /about/deep/name; stat -Lc %a /about/cpu", "400\n444"),
            ("cat /about/deep/name /about/cpu", "p20"),
        ],
    )
}
