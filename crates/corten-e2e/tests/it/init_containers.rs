//! Init containers that wait for services by name: the example of the Kubernetes documentation.

use anyhow::ensure;
use corten_e2e::{Kubectl, Machine, eventually, in_sandbox};

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: myapp-pod
  labels:
    app.kubernetes.io/name: MyApp
spec:
  containers:
    - name: myapp-container
      image: busybox:1.28
      command: ['sh', '-c', 'echo The app is running! && sleep 3600']
  initContainers:
    - name: init-myservice
      image: busybox:1.28
      command: ['sh', '-c', "until nslookup myservice.$(cat /var/run/secrets/kubernetes.io/serviceaccount/namespace).svc.cluster.local; do echo waiting for myservice; sleep 2; done"]
    - name: init-mydb
      image: busybox:1.28
      command: ['sh', '-c', "until nslookup mydb.$(cat /var/run/secrets/kubernetes.io/serviceaccount/namespace).svc.cluster.local; do echo waiting for mydb; sleep 2; done"]
"#;

fn service(name: &str, target: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports:\n  - {{protocol: TCP, port: 80, targetPort: {target}}}\n"
    )
}

fn shows(kubectl: &Kubectl, state: &str) -> anyhow::Result<()> {
    eventually(state, || {
        let pod = kubectl.ok(&["get", "pod", "myapp-pod"]);
        ensure!(pod.contains(state), "{pod}");
        Ok(())
    })
}

#[test]
fn a_pod_waits_for_its_services_one_after_the_other() {
    in_sandbox("init_containers::a_pod_waits_for_its_services_one_after_the_other", || {
        let machine = Machine::with_cluster()?;
        let kubectl = machine.kubectl()?;
        kubectl.apply(POD)?;
        shows(&kubectl, "Init:0/2")?;
        eventually("the first container waits", || {
            let log = kubectl.run(&["logs", "myapp-pod", "-c", "init-myservice"])?;
            ensure!(log.success && log.out.contains("waiting for myservice"), "{log:?}");
            Ok(())
        })?;
        kubectl.apply(&service("myservice", 9376))?;
        shows(&kubectl, "Init:1/2")?;
        kubectl.apply(&service("mydb", 9377))?;
        kubectl.ok(&["wait", "--for=condition=Ready", "pod/myapp-pod", "--timeout=60s"]);
        shows(&kubectl, "Running")?;
        let log = kubectl.ok(&["logs", "myapp-pod"]);
        ensure!(log == "The app is running!\n", "{log}");
        kubectl.ok(&["delete", "pod", "myapp-pod", "--grace-period=1"]);
        machine.corten(&["delete"])?;
        Ok(())
    });
}
