//! What commands have in common: where the cluster is, logs, signals, a runtime.

use std::{future::Future, panic::AssertUnwindSafe, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use corten_base::{Shutdown, ShutdownTrigger, panic_message};
use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    descriptors,
    places::{DEFAULT_ROOT, Places},
};

/// How long work on threads may go on when everything else has ended: a disk that hangs must not keep the process.
const THREADS_END_WITHIN: Duration = Duration::from_secs(5);

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Root {
    /// Where everything is kept; data, certificates, run time state and the names of bridge, packet rules and control
    /// groups are derived from it.
    #[arg(long, env = "CORTEN_ROOT", default_value = DEFAULT_ROOT, value_name = "DIR", global = true)]
    pub(crate) root: PathBuf,
}

impl Root {
    /// Its places.
    pub(crate) fn places(&self) -> anyhow::Result<Places> {
        Places::new(&self.root)
    }
}

/// Runs `work`, which serves, in an async runtime. The signal that it gets is requested by SIGINT and SIGTERM, or by its
/// trigger. A panic of `work` is an error.
pub(crate) fn run_until_signal<F, T>(work: impl FnOnce(ShutdownTrigger, Shutdown) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    descriptors::raise()?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let work = AssertUnwindSafe(work(trigger.clone(), shutdown)).catch_unwind().map(|ended| {
            ended.unwrap_or_else(|payload| Err(anyhow::anyhow!("panicked: {}", panic_message(&*payload))))
        });
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
    });
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    outcome
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

/// Writes a line beside the output, such as what is waited for.
pub(crate) fn note(line: String) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes what was asked for: without it the command has failed, unless its reader has seen enough.
pub(crate) fn print(lines: impl IntoIterator<Item = impl AsRef<str>>) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write as _};
    let mut out = std::io::stdout().lock();
    match lines.into_iter().try_for_each(|line| writeln!(out, "{}", line.as_ref())).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}
