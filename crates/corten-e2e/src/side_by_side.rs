//! Checks that have nothing to do with each other share a cluster and their waiting.

use std::{io::Write as _, thread};

use anyhow::{Context as _, bail};
use corten_base::SystemClock;

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
                let run = move || timed(name, || check(&kubectl.in_new_namespace(name).context("make its namespace")?));
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

/// Says how long a check took, for whoever wonders where the time of a test goes.
fn timed(name: &str, check: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let started = clock.monotonic();
    let outcome = check();
    let took = clock.monotonic() - started;
    writeln!(std::io::stdout(), "{:5.1} s {name}", took.as_secs_f64()).context("say how long it took")?;
    outcome
}
