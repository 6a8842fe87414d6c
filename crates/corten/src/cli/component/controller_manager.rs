//! `corten kube-controller-manager`. Flags: kube-controller-manager v1.35.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use corten_base::fs;
use corten_controllers::{Config, Controllers, Parts, config::SigningAuthority};
use corten_informer::{InformerFactory, InitialList};
use ipnet::IpNet;
use tracing::warn;

use super::{
    ClientOptions, LeaderOptions,
    not_followed::{Known, NotFollowed},
};
use crate::{
    cli::{common::run_until_signal, go_duration::go_duration},
    identity::SharedClient,
};

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
    /// How long a node may be silent.
    #[arg(long, default_value = "50s", value_parser = go_duration, value_name = "DURATION")]
    node_monitor_grace_period: Duration,
    /// How many ended pods are kept.
    #[arg(long, default_value_t = 12_500, value_name = "PODS")]
    terminated_pod_gc_threshold: usize,
    #[command(flatten)]
    not_followed: NotFollowed<Upstream>,
}

/// Flags that are known and not followed.
#[derive(Debug)]
enum Upstream {}

impl Known for Upstream {
    const SWITCHES: &'static [&'static str] =
        &["allocate-node-cidrs", "contention-profiling", "profiling", "use-service-account-credentials"];
    const VALUES: &'static [&'static str] = &[
        "authentication-kubeconfig",
        "authorization-kubeconfig",
        "bind-address",
        "client-ca-file",
        "cluster-name",
        "feature-gates",
        "kube-api-burst",
        "kube-api-qps",
        "requestheader-client-ca-file",
        "secure-port",
        "service-account-private-key-file",
    ];
}

/// Names of upstream's controllers that are often listed and are not here: kubeadm asks for them by name.
const MISSING: &[&str] =
    &["bootstrap-signer-controller", "bootstrapsigner", "token-cleaner-controller", "tokencleaner"];

impl Options {
    /// The controllers that are wanted and known here, and those of the others that upstream knows.
    fn selection(&self) -> (Vec<String>, Vec<String>) {
        let is_missing = |entry: &String| MISSING.contains(&entry.strip_prefix('-').unwrap_or(entry));
        let (missing, known): (Vec<_>, Vec<_>) = self.controllers.iter().cloned().partition(is_missing);
        (known, missing.into_iter().filter(|entry| !entry.starts_with('-')).collect())
    }

    /// Checks what can be checked without the files.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        Ok(Controllers::check(&self.selection().0)?)
    }

    fn config(&self) -> anyhow::Result<Config> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(fs::read_to_string).transpose();
        let signing = read(&self.cluster_signing_cert_file)?.zip(read(&self.cluster_signing_key_file)?);
        Ok(Config {
            controllers: self.selection().0,
            root_ca: read(&self.root_ca_file)?.unwrap_or_default(),
            signing: signing.map(|(certificate, key)| SigningAuthority { certificate, key: key.into() }),
            cluster_cidrs: self.cluster_cidr.clone(),
            node_cidr_mask_ipv4: self.node_cidr_mask_size,
            service_cidrs: self.service_cluster_ip_range.clone(),
            node_monitor_grace: self.node_monitor_grace_period,
            terminated_pods_max: self.terminated_pod_gc_threshold,
            ..Config::default()
        })
    }
}

/// Controls until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    // Before the lease: a replica that cannot work must not keep others from it.
    options.check()?;
    let config = options.config()?;
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        options.not_followed.tell();
        let (_, missing) = options.selection();
        if !missing.is_empty() {
            warn!(controllers = missing.join(" "), "Controllers of the command line are not there");
        }
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
