//! What tests ask of a pod again and again.

use anyhow::ensure;
use serde_json::Value;

use crate::{kubectl::Kubectl, machine::eventually};

impl Kubectl {
    /// Waits until a pod is ready.
    #[track_caller]
    pub fn ready(&self, pod: &str) {
        self.comes_to(pod, "--for=condition=Ready");
    }

    /// Waits until a pod has come to its end.
    #[track_caller]
    pub fn reaches(&self, pod: &str, phase: &str) {
        self.comes_to(pod, &format!("--for=jsonpath={{.status.phase}}={phase}"));
    }

    /// Waits, and says how the pod is if that was in vain.
    #[track_caller]
    fn comes_to(&self, pod: &str, condition: &str) {
        let waited = self.run(&["wait", condition, &format!("pod/{pod}"), "--timeout=60s"]).expect("kubectl runs");
        if !waited.success {
            let now = self.run(&["describe", "pod", pod]).map(|output| output.out).unwrap_or_default();
            panic!("{}{now}", waited.err);
        }
    }

    /// What a script prints in a pod's container.
    #[track_caller]
    pub fn inside(&self, pod: &str, container: &str, script: &str) -> String {
        self.ok(&["exec", pod, "-c", container, "--", "sh", "-c", script])
    }

    /// Scripts in container `c` of a pod print exactly this, but for the end of the last line.
    pub fn says(&self, pod: &str, cases: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut wrong = Vec::new();
        for (script, want) in cases {
            let out = self.inside(pod, "c", script);
            if out.trim_end() != *want {
                wrong.push(format!("{script}: {out:?} instead of {want:?}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    /// `kubectl describe pod` comes to show all of this.
    pub fn describes(&self, pod: &str, wanted: &[&str]) -> anyhow::Result<()> {
        for want in wanted {
            eventually(want, || {
                let text = self.ok(&["describe", "pod", pod]);
                ensure!(text.contains(want), "{text}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The status of a pod's first container, once `seen` accepts it.
    pub fn container_status(&self, pod: &str, what: &str, seen: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        eventually(what, || {
            let pod = self.json(&["get", "pod", pod]);
            let status = &pod["status"]["containerStatuses"][0];
            ensure!(seen(status), "{}", pod["status"]);
            Ok(status.clone())
        })
    }
}
