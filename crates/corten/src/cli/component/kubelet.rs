//! `corten kubelet`: a node of any cluster, with the built-in container runtime. Flags: kubelet v1.35; flags count more than
//! the file of `--config`.

mod configuration;
mod log_rotation;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use corten_api::core::v1::Taint;
use corten_apimachinery::validation::{is_label_value, is_qualified_name};
use corten_base::{SharedClock, fs};
use corten_component_base::{
    certificates::{Authority, CertificateFiles, KeyPairPem, LeafRequest},
    serving::ServerCertificate,
};
use corten_container_runtime::ContainerRuntime;
use corten_kubelet::{Agent, agent::Parts, config::HEALTHZ};
use corten_net::netns::Netns;

use self::configuration::Configuration;
use super::{
    ClientOptions,
    not_followed::{Known, NotFollowed},
};
use crate::{
    blocking::blocking,
    cli::{
        common::{Root, note, run_until_signal},
        go_bool::go_bool,
        go_duration::go_duration,
    },
    commands::import_images,
    config::{CLUSTER_DOMAIN, node_name, primary_address},
    instance::{Asker, Claim, Instance, Purpose},
    node::settings,
    places::Places,
    preflight,
};

const NAME: &str = "kubelet";

/// Options of `corten kubelet`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: ClientOptions,
    /// Where images and containers are kept; the runtime is built in, in place of `--container-runtime-endpoint`.
    #[command(flatten)]
    root: Root,
    /// A file with a `KubeletConfiguration` of kubelet.config.k8s.io/v1beta1.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's name; the host's if left out.
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// The node's addresses; the machine's primary address if left out.
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    node_ip: Vec<IpAddr>,
    /// Where pods' volumes and files are; below --root if left out.
    #[arg(long, value_name = "DIR")]
    root_dir: Option<PathBuf>,
    /// Labels that the node registers with.
    #[arg(long, value_delimiter = ',', value_parser = label, value_name = "KEY=VALUE")]
    node_labels: Vec<(String, String)>,
    /// Taints that the node registers with.
    #[arg(long, value_delimiter = ',', value_parser = taint, value_name = "KEY=VALUE:EFFECT")]
    register_with_taints: Vec<Taint>,
    /// How many pods the node takes.
    #[arg(long, value_name = "PODS")]
    max_pods: Option<u32>,
    /// The range of pods' addresses, where the cluster hands out none.
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Option<String>,
    /// The cluster's name servers.
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    cluster_dns: Vec<IpAddr>,
    /// The cluster's domain.
    #[arg(long, value_name = "DOMAIN")]
    cluster_domain: Option<String>,
    /// The node's resolver configuration.
    #[arg(long, value_name = "FILE")]
    resolv_conf: Option<PathBuf>,
    /// The address to listen on.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The port to listen on.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The address of the port that tells anybody whether the kubelet lives.
    #[arg(long, value_name = "IP")]
    healthz_bind_address: Option<IpAddr>,
    /// That port; 0 for none.
    #[arg(long, value_name = "PORT")]
    healthz_port: Option<u16>,
    /// The certificate to serve with; one is made in --cert-dir if left out.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// Where certificates are kept that this kubelet makes; `pki` below the directory of --root-dir if left out.
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// The authorities of client certificates; without them only tokens are taken.
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    /// How often the node's status is computed.
    #[arg(long, value_parser = go_duration, value_name = "DURATION")]
    node_status_update_frequency: Option<Duration>,
    /// Enforce limits of CPU time.
    #[arg(long, action = clap::ArgAction::Set, value_parser = go_bool, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL")]
    cpu_cfs_quota: Option<bool>,
    /// Kernel parameters that pods may set besides the safe ones: names, or beginnings with `*` after them.
    #[arg(long, value_delimiter = ',', value_name = "PATTERN")]
    allowed_unsafe_sysctls: Vec<String>,
    /// How long a container's log may become before it is rotated; a negative size for no rotation. [default: 10Mi]
    #[arg(long, allow_hyphen_values = true, value_name = "BYTES")]
    container_log_max_size: Option<String>,
    /// How many files a container's log has at most. [default: 5]
    #[arg(long, value_name = "FILES")]
    container_log_max_files: Option<i32>,
    /// Import the images of this archive before pods start; may be repeated. Not a flag of upstream's.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    #[command(flatten)]
    not_followed: NotFollowed<Upstream>,
}

/// Flags that are known and not followed: the runtime is built in, and clients show a certificate or a token.
#[derive(Debug)]
enum Upstream {}

impl Known for Upstream {
    const SWITCHES: &'static [&'static str] =
        &["authentication-token-webhook", "fail-swap-on", "rotate-certificates", "serialize-image-pulls"];
    const VALUES: &'static [&'static str] = &[
        "authorization-mode",
        "bootstrap-kubeconfig",
        "cgroup-driver",
        "container-runtime-endpoint",
        "event-burst",
        "event-qps",
        "feature-gates",
        "image-service-endpoint",
        "kube-api-burst",
        "kube-api-qps",
        "pod-infra-container-image",
        "runtime-request-timeout",
        "volume-plugin-dir",
    ];
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Reads a taint: `key=value:effect` or `key:effect`. Source: `pkg/util/taints` (v1.35).
fn taint(text: &str) -> Result<Taint, String> {
    let invalid = || format!("invalid taint spec: {text}");
    let (start, effect) = text.split_once(':').filter(|(_, effect)| !effect.contains(':')).ok_or_else(invalid)?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!("invalid taint effect: {effect}, unsupported taint effect"));
    }
    let (key, value) = start.split_once('=').unwrap_or((start, ""));
    if value.contains('=') {
        return Err(invalid());
    }
    let errors = [is_label_value(value), is_qualified_name(key)].concat();
    if !errors.is_empty() {
        return Err(format!("{}, {}", invalid(), errors.join("; ")));
    }
    let value = (!value.is_empty()).then(|| value.to_owned());
    Ok(Taint { key: key.to_owned(), value, effect: effect.to_owned(), ..Taint::default() })
}

/// How often a certificate of the kubelet's own is looked at: it has four months left when it becomes due.
const LOOK_EVERY: Duration = Duration::from_secs(12 * 3_600);

/// A kubelet that is decided upon, with what it serves as.
struct Settings {
    kubelet: corten_kubelet::Config,
    serving: KeyPairPem,
    /// Where the certificate is kept if it is the kubelet's own.
    own: Option<PathBuf>,
    client_authorities: String,
}

impl Options {
    fn settings(&self, places: &Places, now: jiff::Timestamp) -> anyhow::Result<Settings> {
        let file = self.config.as_deref().map(Configuration::read).transpose()?.unwrap_or_default();
        if !file.ignored.is_empty() {
            tracing::warn!(fields = file.ignored.join(" "), "Fields of the configuration are not followed");
        }
        let name = match &self.hostname_override {
            Some(name) => node_name("--hostname-override", name)?,
            None => node_name("the host's name", &rustix::system::uname().nodename().to_string_lossy())?,
        };
        let node_ips = if self.node_ip.is_empty() { vec![primary_address()?] } else { self.node_ip.clone() };
        let root = self.root_dir.clone().unwrap_or_else(|| places.kubelet());
        let or_file = |flag: &Vec<IpAddr>, file: Vec<IpAddr>| if flag.is_empty() { file } else { flag.clone() };
        // Upstream takes zero for its default.
        let positive = |duration: Option<Duration>| duration.filter(|duration| !duration.is_zero());
        let update = positive(self.node_status_update_frequency).or(positive(file.node_status_update_frequency));
        let log_rotation = log_rotation::rotation(&log_rotation::Wanted {
            max_size: self.container_log_max_size.as_deref().or(file.container_log_max_size.as_deref()),
            max_files: self.container_log_max_files.or(file.container_log_max_files),
            max_workers: file.container_log_max_workers,
            interval: file.container_log_monitor_interval,
        })?;
        let kubelet = corten_kubelet::Config {
            // Upstream: the label and the address of this name follow --hostname-override.
            hostname: name.clone(),
            node_name: name,
            node_ips,
            root: root.clone(),
            pod_logs: file.pod_logs_dir.unwrap_or_else(|| places.pod_logs()),
            static_pods: None,
            cluster_dns: or_file(&self.cluster_dns, file.cluster_dns),
            cluster_domain: self
                .cluster_domain
                .clone()
                .or(file.cluster_domain)
                .unwrap_or_else(|| CLUSTER_DOMAIN.to_owned()),
            resolv_conf: self
                .resolv_conf
                .clone()
                .or(file.resolv_conf)
                .unwrap_or_else(|| PathBuf::from("/etc/resolv.conf")),
            cgroup_root: places.name.clone(),
            node_labels: self.node_labels.clone(),
            register_with_taints: if self.register_with_taints.is_empty() {
                file.register_with_taints
            } else {
                self.register_with_taints.clone()
            },
            pod_cidr: self.pod_cidr.clone().or(file.pod_cidr).filter(|cidr| !cidr.is_empty()),
            max_pods: self.max_pods.or(file.max_pods).unwrap_or(110),
            server_address: self.address.or(file.address).unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            server_port: self.port.or(file.port).unwrap_or(10_250),
            healthz: Some(SocketAddr::new(
                self.healthz_bind_address.or(file.healthz_bind_address).unwrap_or(HEALTHZ.ip()),
                self.healthz_port.or(file.healthz_port).unwrap_or(HEALTHZ.port()),
            ))
            .filter(|address| address.port() != 0),
            node_status_update: update.unwrap_or(Duration::from_secs(10)),
            node_status_report: positive(file.node_status_report_frequency).unwrap_or(Duration::from_secs(300)),
            lease_duration: Duration::from_secs(
                file.node_lease_duration_seconds.filter(|seconds| *seconds > 0).unwrap_or(40),
            ),
            cpu_cfs_quota: self.cpu_cfs_quota.or(file.cpu_cfs_quota).unwrap_or(true),
            allowed_unsafe_sysctls: if self.allowed_unsafe_sysctls.is_empty() {
                file.allowed_unsafe_sysctls
            } else {
                self.allowed_unsafe_sysctls.clone()
            },
            log_rotation,
        };
        let certificate = self.tls_cert_file.clone().or(file.tls_cert_file);
        let key = self.tls_private_key_file.clone().or(file.tls_private_key_file);
        let (serving, own) = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let key = fs::read_to_string(&key)?.into();
                (KeyPairPem { certificate: fs::read_to_string(&certificate)?, key }, None)
            }
            (None, None) => {
                let directory = self.cert_dir.clone().unwrap_or_else(|| root.join("pki"));
                (own_certificate(&directory, &kubelet, now)?, Some(directory))
            }
            _ => bail!("a certificate needs its key: tlsCertFile and tlsPrivateKeyFile go together"),
        };
        let client_ca = self.client_ca_file.clone().or(file.authentication.x509.client_ca_file);
        let client_authorities = client_ca.as_deref().map(fs::read_to_string).transpose()?.unwrap_or_default();
        Ok(Settings { kubelet, serving, own, client_authorities })
    }
}

/// The certificate that the kubelet makes itself, of an authority that nobody else knows. Upstream: `kubelet.crt` in
/// `--cert-dir`, self-signed.
fn own_certificate(
    directory: &std::path::Path,
    config: &corten_kubelet::Config,
    now: jiff::Timestamp,
) -> anyhow::Result<KeyPairPem> {
    fs::create_dir_all(directory)?;
    let authority = CertificateFiles::new(directory, "kubelet-ca");
    let name = format!("{}-ca", config.node_name);
    let authority = Authority::ensure(&authority, &name, now)
        .with_context(|| format!("use {}", authority.certificate.display()))?;
    let request = LeafRequest {
        common_name: config.node_name.clone(),
        dns_names: vec![config.node_name.clone()],
        addresses: config.node_ips.clone(),
        server: true,
        ..LeafRequest::default()
    };
    Ok(authority.ensure_leaf(&CertificateFiles::new(directory, "kubelet"), &request, now)?)
}

/// Exchanges a certificate of the kubelet's own when it is due; never returns.
async fn keep_renewed(
    shown: &ServerCertificate,
    own: Option<PathBuf>,
    config: &corten_kubelet::Config,
    clock: &SharedClock,
) {
    let Some(directory) = own else { return std::future::pending().await };
    loop {
        clock.sleep(LOOK_EVERY).await;
        let (directory, config, now) = (directory.clone(), config.clone(), clock.now());
        let pair = blocking(move || own_certificate(&directory, &config, now)).await;
        let renewed = pair.and_then(|pair| Ok(shown.replace(&pair.certificate, &pair.key)?));
        if let Err(error) = renewed {
            tracing::error!(err = format!("{error:#}"), "Could not renew the kubelet's certificate");
        }
    }
}

/// Keeps the node until it is told to stop; containers run on.
pub(crate) fn run(options: Options) -> anyhow::Result<ExitCode> {
    preflight::require_root("kubelet", "it makes network interfaces, packet rules, mounts and control groups")?;
    let places = options.root.places()?;
    let _instance = match Instance::claim(&places, Purpose::Serve, Asker::new(&note))? {
        Claim::Ours(instance) => instance,
        Claim::Running(running) => bail!(crate::cli::up::already_running(running.pid(), &places)),
    };
    run_until_signal(|_, shutdown| async move {
        let base = options.client.base(NAME)?;
        options.not_followed.tell();
        let settings = options.settings(&places, base.clock.now())?;
        let executable = std::env::current_exe().context("find this program's file")?;
        let host = Netns::current().context("open the network namespace")?;
        let (clock, rng) = (Arc::clone(&base.clock), Arc::clone(&base.rng));
        settings::remember(&places, &host).context("look at the machine's settings")?;
        // The runtime goes last: the kubelet still uses it while it ends.
        let (end_runtime, runtime_shutdown) = corten_base::Shutdown::new();
        let runtime = ContainerRuntime::open(
            corten_container_runtime::Config {
                reserved_ports: vec![settings.kubelet.server_port],
                ..places.container_runtime(executable)
            },
            host,
            Arc::clone(&clock),
            Arc::clone(&rng),
            runtime_shutdown,
        )
        .await
        .context("open the container runtime")?;
        let served = async {
            import_images(&runtime, options.image).await.map_err(anyhow::Error::msg)?;
            let config = settings.kubelet.clone();
            let parts = Parts {
                config: settings.kubelet,
                cri: runtime.cri(),
                client: base.client.clone(),
                certificate: settings.serving.certificate,
                key: settings.serving.key,
                client_authorities: settings.client_authorities,
                clock: Arc::clone(&clock),
                rng,
            };
            let agent = Agent::build(parts, &shutdown).await.context("start the kubelet")?;
            let shown = agent.certificate();
            tokio::select! {
                biased;
                () = agent.run(shutdown.clone()) => {}
                () = keep_renewed(&shown, settings.own, &config, &clock) => {}
            }
            anyhow::Ok(())
        };
        let served = served.await;
        end_runtime.request();
        runtime.join().await.context("close the container runtime")?;
        let tasks = base.tasks.clone();
        drop(base);
        tasks.join().await.context("close connections")?;
        served
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<(&str, Option<&str>, &str), &str>) {
        let got = taint(text);
        let got = got.as_ref().map(|it| (it.key.as_str(), it.value.as_deref(), it.effect.as_str()));
        assert_eq!(got.map_err(String::as_str), want);
    }

    #[test]
    fn taints_are_read_as_upstream_reads_them() {
        check("dedicated=db:NoSchedule", Ok(("dedicated", Some("db"), "NoSchedule")));
        check("example.com/gpu:NoExecute", Ok(("example.com/gpu", None, "NoExecute")));
        check("a=:PreferNoSchedule", Ok(("a", None, "PreferNoSchedule")));
        check("a=b", Err("invalid taint spec: a=b"));
        check("a=b=c:NoSchedule", Err("invalid taint spec: a=b=c:NoSchedule"));
        check("a=b:NoSchedule:x", Err("invalid taint spec: a=b:NoSchedule:x"));
        check("a=b:Never", Err("invalid taint effect: Never, unsupported taint effect"));
    }
}
