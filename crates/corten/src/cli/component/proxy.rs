//! `corten kube-proxy`. Flags: kube-proxy v1.35.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use corten_base::TaskSet;
use corten_informer::{InformerFactory, InitialList};
use ipnet::IpNet;

use super::ClientOptions;
use crate::{
    assembly,
    cli::{common::run_until_signal, up::Mode},
};

const NAME: &str = "kube-proxy";

/// Options of `corten kube-proxy`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: ClientOptions,
    /// The node's name; the host's if left out.
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// How services are carried out.
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    proxy_mode: Mode,
    /// The ranges of pods' addresses.
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    cluster_cidr: Vec<IpNet>,
    /// Local addresses that serve node ports; all if left out.
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    nodeport_addresses: Vec<IpNet>,
    /// Masquerade all clients of cluster addresses.
    #[arg(long)]
    masquerade_all: bool,
}

/// Proxies until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let config = corten_proxy::Config {
            mode: options.proxy_mode.into(),
            cluster_cidrs: options.cluster_cidr,
            node_port_addresses: options.nodeport_addresses,
            masquerade_all: options.masquerade_all,
            ..corten_proxy::Config::new(options.hostname_override.unwrap_or_else(host))
        };
        let times = (Arc::clone(&base.clock), Arc::clone(&base.rng));
        let informers = InformerFactory::new(base.client, InitialList::WatchList, times.0, times.1);
        let tasks = TaskSet::new("proxy");
        assembly::run_proxy(&config, informers, (&base.clock, &base.rng), &tasks, &shutdown)?;
        tasks.guard(shutdown.requested()).await;
        tasks.join().await.context("end the proxy")?;
        base.tasks.join().await.context("close connections")
    })?;
    Ok(ExitCode::SUCCESS)
}
