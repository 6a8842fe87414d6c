//! `corten kube-controller-manager`. Flags: kube-controller-manager v1.35.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use corten_base::fs;
use corten_controllers::{Config, Controllers, Parts, config::SigningAuthority};
use corten_informer::{InformerFactory, InitialList};
use ipnet::IpNet;

use super::{ClientOptions, LeaderOptions};
use crate::{cli::common::run_until_signal, identity::SharedClient};

const NAME: &str = "kube-controller-manager";

/// Options of `corten kube-controller-manager`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    leader: LeaderOptions,
    /// Which controllers run: `*`, names, and names behind a minus.
    #[arg(long, value_delimiter = ',', default_value = "*", allow_hyphen_values = true)]
    controllers: Vec<String>,
    /// The certificate authority that is published to every namespace.
    #[arg(long, value_name = "FILE")]
    root_ca_file: Option<PathBuf>,
    /// The certificate of the authority that signs requests.
    #[arg(long, value_name = "FILE", requires = "cluster_signing_key_file")]
    cluster_signing_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "cluster_signing_cert_file")]
    cluster_signing_key_file: Option<PathBuf>,
    /// The ranges of pods' addresses that nodes get parts of.
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    cluster_cidr: Vec<IpNet>,
    /// The size of a node's part, IPv4.
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    node_cidr_mask_size: u8,
    /// The ranges of services' addresses.
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    service_cluster_ip_range: Vec<IpNet>,
    /// For how many seconds a node may be silent.
    #[arg(long, default_value_t = 50, value_name = "SECONDS")]
    node_monitor_grace_period: u64,
    /// How many ended pods are kept.
    #[arg(long, default_value_t = 12_500, value_name = "PODS")]
    terminated_pod_gc_threshold: usize,
}

impl Options {
    fn config(&self) -> anyhow::Result<Config> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(fs::read_to_string).transpose();
        let signing = read(&self.cluster_signing_cert_file)?.zip(read(&self.cluster_signing_key_file)?);
        Ok(Config {
            controllers: self.controllers.clone(),
            root_ca: read(&self.root_ca_file)?.unwrap_or_default(),
            signing: signing.map(|(certificate, key)| SigningAuthority { certificate, key: key.into() }),
            cluster_cidrs: self.cluster_cidr.clone(),
            node_cidr_mask_ipv4: self.node_cidr_mask_size,
            service_cidrs: self.service_cluster_ip_range.clone(),
            node_monitor_grace: Duration::from_secs(self.node_monitor_grace_period),
            terminated_pods_max: self.terminated_pod_gc_threshold,
            ..Config::default()
        })
    }
}

/// Controls until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    let config = options.config()?;
    // Before the lease: a replica that cannot work must not keep others from it.
    Controllers::check(&config.controllers)?;
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        let work = |signal: corten_base::Shutdown| async {
            let informers = InformerFactory::new(
                base.client.clone(),
                InitialList::WatchList,
                Arc::clone(&base.clock),
                Arc::clone(&base.rng),
            );
            let parts = Parts {
                clients: Arc::new(SharedClient(base.client.clone())),
                manager: base.client.clone(),
                informers,
                clock: Arc::clone(&base.clock),
                rng: Arc::clone(&base.rng),
            };
            Controllers::build(config, parts, &signal).context("build the controllers")?.run(signal).await;
            Ok(())
        };
        options.leader.lead(NAME, &base, work, shutdown).await?;
        let tasks = base.tasks.clone();
        drop(base);
        tasks.join().await.context("close connections")
    })?;
    Ok(ExitCode::SUCCESS)
}
