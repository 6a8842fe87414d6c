//! Variables of containers from every source, and how they are expanded.

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, in_sandbox, side_by_side};

#[test]
fn variables_come_from_every_source() {
    in_sandbox("environment::variables_come_from_every_source", || {
        let machine = Machine::with_cluster()?;
        side_by_side(
            &machine.kubectl()?,
            &[
                ("sources", fields_resources_and_keys),
                ("defaults", resources_without_limits_are_the_nodes),
                ("services", services_are_announced),
                ("wrong", what_is_missing_is_said),
            ],
        )
    });
}

const SOURCES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: map}
data: {COLOR: red, lower.case: dotted, SHAPE: round}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {WORD: hidden}
---
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels: {app: web}
  annotations: {note: a note}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1.28
    command: ['sh', '-c', 'echo "$0" "$@"; sleep 3600']
    args: ['$(NAME)', '$(GREETING)', '$$(NAME)', '$(UNKNOWN)', '$(M_COLOR)']
    resources: {limits: {cpu: 1500m, memory: 64Mi}, requests: {cpu: 10m, memory: 32Mi}}
    envFrom:
    - {prefix: M_, configMapRef: {name: map}}
    - {secretRef: {name: secret}}
    - {configMapRef: {name: absent, optional: true}}
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: SPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: ID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: ADDRESSES, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}
    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MILLIS, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
    - {name: REQUEST, valueFrom: {resourceFieldRef: {resource: requests.memory}}}
    - {name: MEBIS, valueFrom: {resourceFieldRef: {containerName: c, resource: limits.memory, divisor: 1Mi}}}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: map, key: COLOR}}}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: secret, key: WORD}}}
    - {name: ABSENT, valueFrom: {secretKeyRef: {name: secret, key: NONE, optional: true}}}
    - {name: GREETING, value: 'hello $(NAME) of $(COLOR)$(LATER)'}
    - {name: LATER, value: $$(NAME)}
    - {name: M_SHAPE, value: square}
"#;

fn fields_resources_and_keys(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SOURCES)?;
    kubectl.ready("p");
    let field = |path: &str| kubectl.ok(&["get", "pod", "p", "-o", &format!("jsonpath={{{path}}}")]);
    let (uid, node, address) = (field(".metadata.uid"), field(".spec.nodeName"), field(".status.podIP"));
    // Not through a shell, which drops names that it could not write itself.
    let values = kubectl.ok(&["exec", "p", "--", "env"]);
    for (name, want) in [
        ("NAME", "p"),
        ("SPACE", kubectl.namespace()),
        ("ID", &uid),
        ("LABEL", "web"),
        ("NOTE", "a note"),
        ("ACCOUNT", "default"),
        ("NODE", &node),
        ("ADDRESS", &address),
        ("ADDRESSES", &address),
        ("HOST", "10.99.0.2"),
        // Rounded up to a whole number.
        ("CPU", "2"),
        ("MILLIS", "1500"),
        ("REQUEST", "33554432"),
        ("MEBIS", "64"),
        ("COLOR", "red"),
        ("SECRET", "hidden"),
        ("WORD", "hidden"),
        ("M_COLOR", "red"),
        ("M_lower.case", "dotted"),
        // What is named goes before what comes in bulk.
        ("M_SHAPE", "square"),
        ("GREETING", "hello p of red$(LATER)"),
        ("LATER", "$(NAME)"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ("HOSTNAME", "p"),
    ] {
        ensure!(values.lines().any(|line| line == format!("{name}={want}")), "{name} is not {want:?}:\n{values}");
    }
    ensure!(!values.contains("ABSENT="), "{values}");
    let log = kubectl.ok(&["logs", "p"]);
    ensure!(log == "p hello p of red$(LATER) $(NAME) $(UNKNOWN) red\n", "{log}");
    Ok(())
}

const UNLIMITED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1.28
    command: [sleep, '3600']
    env:
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Ki}}}
"#;

fn resources_without_limits_are_the_nodes(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(UNLIMITED)?;
    kubectl.ready("p");
    let allocatable = kubectl.json(&["get", "nodes"])["items"][0]["status"]["allocatable"].clone();
    let memory = allocatable["memory"].as_str().unwrap_or_default().trim_end_matches("Ki").to_owned();
    let cpu = allocatable["cpu"].as_str().unwrap_or_default();
    kubectl.says("p", &[("echo $CPU $MEMORY", &format!("{cpu} {memory}"))])
}

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: my-web}
spec:
  clusterIP: 10.96.77.7
  ports: [{name: http, port: 80}, {name: admin, port: 8080}]
"#;

const READERS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'busybox:1.28', command: [sleep, '3600']}]
---
apiVersion: v1
kind: Pod
metadata: {name: deaf}
spec:
  terminationGracePeriodSeconds: 0
  enableServiceLinks: false
  containers: [{name: c, image: 'busybox:1.28', command: [sleep, '3600']}]
"#;

fn services_are_announced(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(SERVICE)?;
    kubectl.apply(READERS)?;
    kubectl.ready("p");
    kubectl.says(
        "p",
        &[
            ("echo $MY_WEB_SERVICE_HOST $MY_WEB_SERVICE_PORT $MY_WEB_SERVICE_PORT_ADMIN", "10.96.77.7 80 8080"),
            ("echo $MY_WEB_PORT $MY_WEB_PORT_8080_TCP", "tcp://10.96.77.7:80 tcp://10.96.77.7:8080"),
            ("echo $MY_WEB_PORT_80_TCP_PROTO $MY_WEB_PORT_80_TCP_PORT $MY_WEB_PORT_80_TCP_ADDR", "tcp 80 10.96.77.7"),
        ],
    )?;
    kubectl.ready("deaf");
    kubectl.says("deaf", &[("env | grep -c MY_WEB; true", "0"), ("echo $KUBERNETES_SERVICE_HOST", "10.96.0.1")])
}

const MISSING: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: secret}
spec:
  containers:
  - {name: c, image: 'busybox:1.28', envFrom: [{secretRef: {name: absent}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: key}
spec:
  containers:
  - {name: c, image: 'busybox:1.28', env: [{name: A, valueFrom: {configMapKeyRef: {name: kube-root-ca.crt, key: nokey}}}]}
"#;

fn what_is_missing_is_said(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.apply(MISSING)?;
    kubectl.describes("secret", &["CreateContainerConfigError", "Error: secret \"absent\" not found"])?;
    let space = kubectl.namespace();
    kubectl.describes("key", &[&format!("Error: couldn't find key nokey in ConfigMap {space}/kube-root-ca.crt")])
}
