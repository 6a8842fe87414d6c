//! Helm 4 manages a chart: installed and waited for, upgraded, rolled back, removed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use corten_e2e::{Kubectl, Machine, Output, in_sandbox};

#[test]
fn a_chart_is_installed_upgraded_rolled_back_and_removed() {
    in_sandbox("helm::a_chart_is_installed_upgraded_rolled_back_and_removed", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        let helm = Helm { program: machine.tool_path("helm"), kubeconfig: kubectl.kubeconfig().to_owned() };
        let chart = Path::new("/run/e2e-chart");
        write_chart(chart)?;
        a_release_lives(&helm, &kubectl, &chart.display().to_string())
    });
}

struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Helm {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().env("KUBECONFIG", &self.kubeconfig).env("HOME", "/run");
        let output = command.stdin(Stdio::null()).output().context("run helm")?;
        Ok(Output {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn ok(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments)?;
        ensure!(output.success, "helm {}: {}{}", arguments.join(" "), output.out, output.err);
        Ok(output.out)
    }
}

const TEMPLATE: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data: {color: {{ .Values.color | quote }}, revision: {{ .Release.Revision | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      annotations: {checksum: {{ .Values.color | sha256sum | quote }}}
    spec:
      containers:
      - {name: web, image: "docker.io/jocatalin/kubernetes-bootcamp:{{ .Values.tag }}", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80, targetPort: 8080}]
"#;

fn write_chart(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("templates"))?;
    for (name, text) in [
        ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: '1'\n"),
        ("values.yaml", "color: red\nreplicas: 1\ntag: v1\n"),
        ("templates/all.yaml", TEMPLATE),
        ("templates/NOTES.txt", "Color {{ .Values.color }}.\n"),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn a_release_lives(helm: &Helm, kubectl: &Kubectl, chart: &str) -> anyhow::Result<()> {
    let space = ["--namespace", "shop"];
    let helm_in = |arguments: &[&str]| helm.ok(&[arguments, &space].concat());
    let color = || kubectl.ok(&["get", "configmap", "web-settings", "-n", "shop", "-o", "jsonpath={.data.color}"]);
    let image = || {
        let path = "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}";
        kubectl.ok(&["get", "deployment", "web", "-n", "shop", "-o", path])
    };
    let installed = helm_in(&["install", "web", chart, "--create-namespace", "--wait", "--timeout=90s"])?;
    ensure!(installed.contains("STATUS: deployed") && installed.contains("Color red."), "{installed}");
    ensure!(color() == "red" && image().ends_with(":v1 1"), "{} {}", color(), image());

    let changes = ["--set", "color=blue", "--set", "tag=v2", "--set", "replicas=2"];
    let upgraded = helm_in(&[&["upgrade", "web", chart, "--wait", "--timeout=90s"] as &[&str], &changes].concat())?;
    ensure!(upgraded.contains("REVISION: 2") && upgraded.contains("Color blue."), "{upgraded}");
    ensure!(color() == "blue" && image().ends_with(":v2 2"), "{} {}", color(), image());
    let history = helm_in(&["history", "web"])?;
    ensure!(history.contains("superseded") && history.contains("deployed"), "{history}");

    helm_in(&["rollback", "web", "1", "--wait", "--timeout=90s"])?;
    ensure!(color() == "red" && image().ends_with(":v1 1"), "{} {}", color(), image());
    let list = helm_in(&["list"])?;
    ensure!(list.contains("shop-0.1.0") && list.lines().any(|line| line.contains("deployed")), "{list}");
    let again = helm.run(&["install", "web", chart, "--namespace", "shop"])?;
    ensure!(!again.success && again.err.contains("cannot reuse a name that is still in use"), "{again:?}");

    helm_in(&["uninstall", "web", "--wait", "--timeout=90s"])?;
    let left = kubectl.ok(&["get", "deployments,services,configmaps,secrets", "-n", "shop", "-o", "name"]);
    ensure!(left == "configmap/kube-root-ca.crt\n", "{left}");
    Ok(())
}
