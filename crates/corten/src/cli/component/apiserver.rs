//! `corten kube-apiserver`. Flags: kube-apiserver v1.35; the store is the embedded one, in place of `--etcd-servers`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use corten_apiserver::filters::Limits;
use corten_base::{Shutdown, SystemClock, SystemRng, TaskSet, fs};
use corten_component_base::{certificates::KeyPairPem, feature_gates::FeatureGates};
use corten_controlplane::{Config, ControlPlane, KubeletClient, RuntimeConfig, ServiceAccounts, ServiceNetwork};
use corten_storage_sqlite::SqliteEngine;

use ipnet::IpNet;

use super::not_followed::{Known, NotFollowed};
use crate::cli::{common::run_until_signal, go_duration::go_duration};

/// Options of `corten kube-apiserver`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the store is. In place of upstream's `--etcd-servers`.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "IP")]
    bind_address: IpAddr,
    /// The port to listen on.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    secure_port: u16,
    /// The address that members of the cluster are told.
    #[arg(long, value_name = "IP")]
    advertise_address: IpAddr,
    /// The certificate to serve with.
    #[arg(long, value_name = "FILE")]
    tls_cert_file: PathBuf,
    /// Its key.
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: PathBuf,
    /// The authorities of client certificates.
    #[arg(long, value_name = "FILE")]
    client_ca_file: PathBuf,
    /// The key that signs tokens of service accounts.
    #[arg(long, value_name = "FILE")]
    service_account_signing_key_file: PathBuf,
    /// Keys that verify tokens of service accounts; may be repeated.
    #[arg(long, value_name = "FILE")]
    service_account_key_file: Vec<PathBuf>,
    /// The issuer of tokens of service accounts.
    #[arg(long, default_value = corten_controlplane::authentication::service_account::DEFAULT_ISSUER)]
    service_account_issuer: String,
    /// For whom tokens are meant; the issuer if left out.
    #[arg(long, value_delimiter = ',', value_name = "AUDIENCE")]
    api_audiences: Vec<String>,
    /// The ranges of services' addresses.
    #[arg(long, value_delimiter = ',', default_value = "10.96.0.0/12", value_parser = service_range, value_name = "CIDR")]
    service_cluster_ip_range: Vec<IpNet>,
    /// The certificate that is shown to kubelets; without it there is no exec, no log and no port-forward.
    #[arg(long, value_name = "FILE", requires = "kubelet_client_key")]
    kubelet_client_certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "kubelet_client_certificate")]
    kubelet_client_key: Option<PathBuf>,
    /// The authorities of kubelets' certificates; without them, kubelets are believed whatever they show.
    #[arg(long, value_name = "FILE")]
    kubelet_certificate_authority: Option<PathBuf>,
    /// How long events are kept.
    #[arg(long, default_value = "1h0m0s", value_parser = go_duration, value_name = "DURATION")]
    event_ttl: Duration,
    /// How often the store's history is forgotten; 0 for never.
    #[arg(long, default_value = "5m0s", value_parser = go_duration, value_name = "DURATION")]
    etcd_compaction_interval: Duration,
    /// Which optional features are on: `Name=true,Other=false`; `AllAlpha` and `AllBeta` for those that are not named.
    #[arg(long, value_name = "GATES")]
    feature_gates: Vec<String>,
    /// Which versions and resources are served: `api/beta=true,group/version=false,group/version/resource=true`.
    #[arg(long, value_name = "SETTINGS")]
    runtime_config: Vec<String>,
    /// How much is logged: 0 to 3 what changes, 4 and 5 steps, 6 and more everything.
    #[arg(long, short, default_value_t = 2, value_name = "LEVEL")]
    v: u8,
    #[command(flatten)]
    not_followed: NotFollowed<Upstream>,
}

/// Flags that are known and not followed: requests are always authorized by node and role, and admission has its plugins.
#[derive(Debug)]
enum Upstream {}

impl Known for Upstream {
    const SWITCHES: &'static [&'static str] =
        &["allow-privileged", "contention-profiling", "enable-bootstrap-token-auth", "profiling"];
    const VALUES: &'static [&'static str] = &[
        "authorization-mode",
        "disable-admission-plugins",
        "enable-admission-plugins",
        "etcd-cafile",
        "etcd-certfile",
        "etcd-keyfile",
        "etcd-servers",
        "kubelet-preferred-address-types",
        "max-mutating-requests-inflight",
        "max-requests-inflight",
        "proxy-client-cert-file",
        "proxy-client-key-file",
        "request-timeout",
        "requestheader-allowed-names",
        "requestheader-client-ca-file",
        "requestheader-extra-headers-prefix",
        "requestheader-group-headers",
        "requestheader-username-headers",
    ];
}

impl Options {
    fn kubelet_client(&self) -> anyhow::Result<Option<KubeletClient>> {
        let (Some(certificate), Some(key)) = (&self.kubelet_client_certificate, &self.kubelet_client_key) else {
            return Ok(None);
        };
        Ok(Some(KubeletClient {
            pair: KeyPairPem { certificate: fs::read_to_string(certificate)?, key: fs::read_to_string(key)?.into() },
            authorities: self.kubelet_certificate_authority.as_deref().map(fs::read_to_string).transpose()?,
        }))
    }

    fn config(&self) -> anyhow::Result<Config> {
        let keys = self.service_account_key_file.iter().map(|path| fs::read_to_string(path));
        Ok(Config {
            address: SocketAddr::new(self.bind_address, self.secure_port),
            advertise_address: SocketAddr::new(self.advertise_address, self.secure_port),
            serving: KeyPairPem {
                certificate: fs::read_to_string(&self.tls_cert_file)?,
                key: fs::read_to_string(&self.tls_private_key_file)?.into(),
            },
            client_authorities: fs::read_to_string(&self.client_ca_file)?,
            service_accounts: ServiceAccounts {
                issuer: self.service_account_issuer.clone(),
                signing_key: fs::read_to_string(&self.service_account_signing_key_file)?.into(),
                further_keys: keys.collect::<Result<_, _>>()?,
                audiences: self.api_audiences.clone(),
            },
            services: ServiceNetwork {
                cluster_ip_ranges: self.service_cluster_ip_range.clone(),
                ..ServiceNetwork::default()
            },
            event_ttl: self.event_ttl,
            compaction_interval: self.etcd_compaction_interval,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            kubelet_client: self.kubelet_client()?,
            limits: Limits::default(),
            feature_gates: FeatureGates::parse(&self.feature_gates.join(",")).context("--feature-gates")?,
            runtime_config: RuntimeConfig::parse(&self.runtime_config.join(",")).context("--runtime-config")?,
        })
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    super::init_logs(options.v)?;
    options.not_followed.tell();
    let config = options.config()?;
    run_until_signal(|_, shutdown| async move {
        let (clock, rng, tasks) = (SystemClock::shared(), SystemRng::shared(), TaskSet::new("storage"));
        // The store goes last: requests at hand still write.
        let (stop_store, store_shutdown) = Shutdown::new();
        let storage = corten_storage_sqlite::Config::new(options.data_dir);
        let engine =
            SqliteEngine::open(storage, clock.clone(), &tasks, &store_shutdown).await.context("open the store")?;
        let built = ControlPlane::build(config, Arc::new(engine), clock, rng).await.context("start the API server");
        if let Ok(control_plane) = built {
            tasks.guard(control_plane.run(shutdown)).await;
            stop_store.request();
            return tasks.join().await.context("close the store");
        }
        stop_store.request();
        tasks.join().await.context("close the store")?;
        built.map(drop)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A range that services can be given addresses of.
fn service_range(text: &str) -> Result<IpNet, String> {
    let range = text.parse::<IpNet>().map_err(|why| why.to_string())?;
    if range.addr().is_ipv6() && range.prefix_len() < 64 {
        return Err("the range is too large; for 128-bit addresses, the mask must be >= 64".to_owned());
    }
    Ok(range)
}
