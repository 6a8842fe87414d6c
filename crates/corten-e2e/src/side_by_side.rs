//! Checks that have nothing to do with each other share a cluster and their waiting.

use std::thread;

use anyhow::{Context as _, bail};

use crate::kubectl::Kubectl;

/// One check, and the kubectl of its own namespace.
pub type Check = fn(&Kubectl) -> anyhow::Result<()>;

/// Runs all checks at the same time, each in a namespace of its own with the check's name.
///
/// Errors: what failed, all of it; a check that panics has said why by then.
pub fn side_by_side(kubectl: &Kubectl, checks: &[(&str, Check)]) -> anyhow::Result<()> {
    let failures: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = checks
            .iter()
            .map(|&(name, check)| {
                let run = move || check(&kubectl.in_new_namespace(name).context("make the check's namespace")?);
                (name, thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, run))
            })
            .collect();
        running
            .into_iter()
            .filter_map(|(name, thread)| match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(format!("{name}: {error:?}")),
                Ok(Err(_)) => Some(format!("{name}: panicked, see above")),
                Err(error) => Some(format!("{name}: no thread: {error}")),
            })
            .collect()
    });
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} of {} checks failed\n{}", failures.len(), checks.len(), failures.join("\n"))
}
