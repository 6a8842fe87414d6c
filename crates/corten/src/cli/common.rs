//! What commands have in common: where the cluster is, logs, signals, a runtime.

use std::{future::Future, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use corten_base::{Shutdown, ShutdownTrigger};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{DEFAULT_ROOT, Places};

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Root {
    /// Where everything is kept; data, certificates, run time state and the names of bridge, packet rules and control
    /// groups are derived from it.
    #[arg(long, env = "CORTEN_ROOT", default_value = DEFAULT_ROOT, value_name = "DIR")]
    pub(crate) root: PathBuf,
}

impl Root {
    /// Its places.
    pub(crate) fn places(&self) -> anyhow::Result<Places> {
        Places::new(&self.root)
    }
}

/// Runs `work` in an async runtime. The signal that it gets is requested by SIGINT and SIGTERM, or by its trigger.
pub(crate) fn run_until_signal<F, T>(work: impl FnOnce(ShutdownTrigger, Shutdown) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    runtime()?.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let work = work(trigger.clone(), shutdown);
        tokio::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => return result,
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "Shutdown requested"),
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "Shutdown requested"),
        }
        trigger.request();
        // A second Ctrl-C is for whoever does not want to wait; everything acknowledged is on disk.
        tokio::select! {
            biased;
            result = &mut work => result,
            _ = interrupt.recv() => anyhow::bail!("interrupted before everything had ended"),
        }
    })
}

/// An async runtime.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")
}

/// Writes a line for the user; a reader that has gone away misses it.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes lines for the user and ends well.
pub(crate) fn say_all(lines: &[String]) -> anyhow::Result<ExitCode> {
    lines.iter().for_each(|line| say(line));
    Ok(ExitCode::SUCCESS)
}
