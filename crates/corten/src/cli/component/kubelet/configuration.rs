//! The file of `--config`: `KubeletConfiguration` of kubelet.config.k8s.io/v1beta1, as far as this kubelet follows it.
//!
//! Fields that upstream knows and this kubelet does not follow are named in the log, so that nobody relies on them.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use corten_api::core::v1::Taint;
use corten_base::fs;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::cli::go_duration::go_duration;

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
const KIND: &str = "KubeletConfiguration";

/// What the file says; absent fields have upstream's defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Configuration {
    pub(super) address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) healthz_bind_address: Option<IpAddr>,
    pub(super) healthz_port: Option<u16>,
    pub(super) tls_cert_file: Option<PathBuf>,
    pub(super) tls_private_key_file: Option<PathBuf>,
    pub(super) authentication: Authentication,
    #[serde(rename = "clusterDNS")]
    pub(super) cluster_dns: Vec<IpAddr>,
    pub(super) cluster_domain: Option<String>,
    #[serde(rename = "podCIDR")]
    pub(super) pod_cidr: Option<String>,
    pub(super) pod_logs_dir: Option<PathBuf>,
    pub(super) max_pods: Option<u32>,
    pub(super) register_with_taints: Vec<Taint>,
    pub(super) resolv_conf: Option<PathBuf>,
    #[serde(rename = "cpuCFSQuota")]
    pub(super) cpu_cfs_quota: Option<bool>,
    pub(super) allowed_unsafe_sysctls: Vec<String>,
    #[serde(deserialize_with = "duration")]
    pub(super) node_status_update_frequency: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(super) node_status_report_frequency: Option<Duration>,
    pub(super) node_lease_duration_seconds: Option<u64>,
    pub(super) container_log_max_size: Option<String>,
    pub(super) container_log_max_files: Option<i32>,
    pub(super) container_log_max_workers: Option<i32>,
    #[serde(deserialize_with = "duration")]
    pub(super) container_log_monitor_interval: Option<Duration>,
    /// The fields of the file that are not followed.
    #[serde(skip)]
    pub(super) ignored: Vec<String>,
}

/// Who is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Authentication {
    pub(super) x509: X509,
}

/// By client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct X509 {
    #[serde(rename = "clientCAFile")]
    pub(super) client_ca_file: Option<PathBuf>,
}

/// The fields that are followed, and the two that every object has.
const FOLLOWED: &[&str] = &[
    "apiVersion",
    "kind",
    "address",
    "port",
    "healthzBindAddress",
    "healthzPort",
    "tlsCertFile",
    "tlsPrivateKeyFile",
    "authentication",
    "clusterDNS",
    "clusterDomain",
    "podCIDR",
    "podLogsDir",
    "maxPods",
    "registerWithTaints",
    "resolvConf",
    "cpuCFSQuota",
    "allowedUnsafeSysctls",
    "nodeStatusUpdateFrequency",
    "nodeStatusReportFrequency",
    "nodeLeaseDurationSeconds",
    "containerLogMaxSize",
    "containerLogMaxFiles",
    "containerLogMaxWorkers",
    "containerLogMonitorInterval",
];

impl Configuration {
    /// Reads the file, YAML or JSON.
    ///
    /// Errors: it cannot be read, is something else, or a field has a value that cannot be; all name the file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        parse(&fs::read_to_string(path)?).with_context(|| format!("use {}", path.display()))
    }
}

fn parse(text: &str) -> anyhow::Result<Configuration> {
    let value: Value = serde_saphyr::from_str(text).context("parse it as YAML")?;
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("apiVersion") != API_VERSION || field("kind") != KIND {
        bail!("it is {:?} of {:?}, not {KIND} of {API_VERSION}", field("kind"), field("apiVersion"));
    }
    let names = value.as_object().into_iter().flat_map(|fields| fields.keys());
    let ignored = names.filter(|name| !FOLLOWED.contains(&name.as_str())).cloned().collect();
    let configuration: Configuration = serde_json::from_value(value).context("understand its fields")?;
    Ok(Configuration { ignored, ..configuration })
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    go_duration(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubeadm writes, shortened.
    const KUBEADM: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\n\
        kind: KubeletConfiguration\n\
        authentication:\n  anonymous: {enabled: false}\n  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}\n\
        cgroupDriver: systemd\n\
        clusterDNS: [10.96.0.10]\n\
        clusterDomain: cluster.local\n\
        containerLogMaxSize: 20Mi\n\
        containerLogMonitorInterval: 30s\n\
        maxPods: 50\n\
        registerWithTaints: [{key: a, value: b, effect: NoSchedule}]\n\
        nodeStatusUpdateFrequency: 0s\n\
        nodeStatusReportFrequency: 1m30s\n\
        staticPodPath: /etc/kubernetes/manifests\n";

    #[test]
    fn the_file_of_kubeadm_is_understood_and_what_is_not_followed_is_named() {
        let read = parse(KUBEADM).unwrap();
        assert_eq!(read.cluster_dns, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(read.authentication.x509.client_ca_file.as_deref(), Some(Path::new("/etc/kubernetes/pki/ca.crt")));
        assert_eq!(read.register_with_taints[0].effect, "NoSchedule");
        assert_eq!((read.max_pods, read.port), (Some(50), None));
        assert_eq!(read.node_status_update_frequency, Some(Duration::ZERO));
        assert_eq!(read.node_status_report_frequency, Some(Duration::from_secs(90)));
        assert_eq!(read.container_log_max_size.as_deref(), Some("20Mi"));
        assert_eq!(read.container_log_monitor_interval, Some(Duration::from_secs(30)));
        assert_eq!(read.ignored, ["cgroupDriver", "staticPodPath"]);
    }

    #[test]
    fn other_objects_and_wrong_values_are_refused() {
        let other = KUBEADM.replace("kubelet.config.k8s.io/v1beta1", "v1");
        let wrong = KUBEADM.replace("maxPods: 50", "maxPods: many");
        for (text, why) in [(other.as_str(), "not KubeletConfiguration"), (&wrong, "fields"), ("a: [", "YAML")] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
