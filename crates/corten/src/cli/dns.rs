//! `corten dns`: the DNS server as a process of its own; see `node::dns_process` for who starts it.

use std::{
    io::{BufRead as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use corten_base::{SystemClock, SystemRng};
use corten_component_base::logs;
use corten_dns::{Config, Dns, Upstreams, metrics::Metrics};

use super::common::run_until_signal;
use crate::node::dns_process::{BEGIN, READY};

/// Replies kept; about half a kilobyte each. Upstream: the cache of `CoreDNS` keeps 9984.
const CACHE_ENTRIES: usize = 10_000;

/// Options of `corten dns`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen, UDP and TCP; may be repeated.
    #[arg(long, required = true, value_name = "IP:PORT")]
    listen: Vec<SocketAddr>,
    /// The cluster's domain.
    #[arg(long, default_value = crate::config::CLUSTER_DOMAIN)]
    cluster_domain: String,
    /// The socket on which to be told of services.
    #[arg(long, value_name = "FILE")]
    feed_socket: Option<PathBuf>,
    /// Wait for a line on standard input, and end if none comes: whoever starts this first writes down that it did.
    #[arg(long, hide = true)]
    begin_on_word: bool,
    /// Who knows the names outside of the cluster.
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    resolv_conf: PathBuf,
    /// Which log lines are written: a level, or module=level pairs.
    #[arg(long, env = "CORTEN_LOG", default_value = "info")]
    log: String,
}

/// Serves until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    logs::init(&options.log, logs::Format::Text)?;
    if options.begin_on_word && !told_to_begin()? {
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config {
        cluster_domain: options.cluster_domain,
        listen: options.listen,
        upstreams: Upstreams::ResolvConf(options.resolv_conf),
        cache_entries: CACHE_ENTRIES,
        feed_socket: options.feed_socket,
    };
    run_until_signal(|_, shutdown| async move {
        let dns = Dns::build(config, SystemClock::shared(), SystemRng::shared(), Metrics::default()).await?;
        // Queries wait in the sockets from here on. Nobody has to listen for the word.
        let mut output = std::io::stdout().lock();
        let _ = writeln!(output, "{READY}").and_then(|()| output.flush());
        drop(output);
        Ok(dns.run(shutdown).await?)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the parent process has said so; it is gone if not.
fn told_to_begin() -> anyhow::Result<bool> {
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word).context("wait for the word to begin")?;
    Ok(word == BEGIN)
}
