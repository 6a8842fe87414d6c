//! `corten kube-proxy`. Flags: kube-proxy v1.35.

use std::{
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;
use corten_base::{SystemClock, TaskSet};
use corten_informer::{InformerFactory, InitialList};
use ipnet::IpNet;

use super::{
    ClientOptions,
    not_followed::{Known, NotFollowed},
};
use crate::{
    assembly,
    cli::{
        common::{run_until_signal, runtime},
        go_bool::go_bool,
        up::Mode,
    },
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
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, value_parser = go_bool, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    masquerade_all: bool,
    /// The address to tell the proxy's health at; nowhere if empty.
    #[arg(long, default_value = "0.0.0.0:10256", value_parser = listen(10_256), value_name = "IP:PORT")]
    healthz_bind_address: Listen,
    /// The address to tell figures and the mode at; nowhere if empty.
    #[arg(long, default_value = "127.0.0.1:10249", value_parser = listen(10_249), value_name = "IP:PORT")]
    metrics_bind_address: Listen,
    /// Take out of the kernel what an earlier proxy left there, and end.
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, value_parser = go_bool, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    cleanup: bool,
    #[command(flatten)]
    not_followed: NotFollowed<Upstream>,
}

/// Flags that are known and not followed.
#[derive(Debug)]
enum Upstream {}

impl Known for Upstream {
    const SWITCHES: &'static [&'static str] = &["profiling"];
    const VALUES: &'static [&'static str] = &[
        "config-sync-period",
        "conntrack-max-per-core",
        "conntrack-min",
        "conntrack-tcp-timeout-close-wait",
        "conntrack-tcp-timeout-established",
        "detect-local-mode",
        "feature-gates",
        "iptables-min-sync-period",
        "iptables-sync-period",
        "kube-api-burst",
        "kube-api-qps",
        "oom-score-adj",
    ];
}

/// Where to listen, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listen(Option<SocketAddr>);

/// Reads an address with or without its port, or nothing. Source: `options.ipPortVar` (v1.35).
fn listen(default_port: u16) -> impl Fn(&str) -> Result<Listen, String> + Clone {
    move |text| {
        if text.is_empty() {
            return Ok(Listen(None));
        }
        let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, default_port)));
        address.map(Some).map(Listen).map_err(|_| format!("{text:?} is no address, with or without a port"))
    }
}

/// Proxies until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    if options.cleanup {
        let runtime = runtime()?;
        // Opening a backend asks for one.
        let _entered = runtime.enter();
        corten_proxy::clean_up(&corten_proxy::Config::new(""), SystemClock::shared()).context("clean up")?;
        return Ok(ExitCode::SUCCESS);
    }
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        options.not_followed.tell();
        let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let config = corten_proxy::Config {
            mode: options.proxy_mode.into(),
            cluster_cidrs: options.cluster_cidr,
            node_port_addresses: options.nodeport_addresses,
            masquerade_all: options.masquerade_all,
            healthz: options.healthz_bind_address.0,
            metrics: options.metrics_bind_address.0,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_lack_their_port() {
        let parse = listen(10_256);
        assert_eq!(parse(""), Ok(Listen(None)));
        assert_eq!(parse("127.0.0.1"), Ok(Listen(Some("127.0.0.1:10256".parse().unwrap()))));
        assert_eq!(parse("[::1]:7"), Ok(Listen(Some("[::1]:7".parse().unwrap()))));
        assert!(parse("localhost").is_err());
    }
}
