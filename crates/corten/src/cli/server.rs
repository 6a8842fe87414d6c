//! `corten server`: the control plane in the foreground.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use corten_base::Shutdown;
use corten_component_base::logs;
use tokio::signal::unix::{SignalKind, signal};

use crate::{assembly, config::Config};

/// Options of `corten server`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where everything is kept; data, certificates and run time state are derived from it.
    #[arg(long, env = "CORTEN_ROOT", default_value = "/var/lib/corten")]
    root: PathBuf,
    /// The address to serve the API on.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// Which log lines are written: a level, or module=level pairs.
    #[arg(long, env = "CORTEN_LOG", default_value = "info")]
    log: String,
}

/// Runs the control plane until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    logs::init(&options.log, logs::Format::Text)?;
    let config = Config::new(options.root, options.listen);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")?;
    runtime.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let assembly = assembly::run(config, shutdown);
        tokio::pin!(assembly);
        tokio::select! {
            biased;
            result = &mut assembly => return result,
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "Shutdown requested"),
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "Shutdown requested"),
        }
        trigger.request();
        assembly.await
    })
}
