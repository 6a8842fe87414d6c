//! What a kubelet needs to know.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use corten_api::core::v1::Taint;

use crate::log_rotation::LogRotation;

/// The configuration of one kubelet. Names and defaults are those of `KubeletConfiguration` v1beta1.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name. Upstream: `--hostname-override`, else the host's name in lower case.
    pub node_name: String,
    /// The host's name.
    pub hostname: String,
    /// The node's addresses, the primary one first. Upstream: `--node-ip`.
    pub node_ips: Vec<IpAddr>,
    /// Where pods' volumes and files are. Upstream: `--root-dir`, `/var/lib/kubelet`.
    pub root: PathBuf,
    /// Where containers' logs are. Upstream: `podLogsDir`, `/var/log/pods`.
    pub pod_logs: PathBuf,
    /// Manifests of static pods; none if absent. Upstream: `staticPodPath`.
    pub static_pods: Option<PathBuf>,
    /// The cluster's name servers. Upstream: `clusterDNS`.
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's domain. Upstream: `clusterDomain`.
    pub cluster_domain: String,
    /// The node's resolver configuration. Upstream: `resolvConf`.
    pub resolv_conf: PathBuf,
    /// The control group that all pods are under, below the root of each hierarchy: `corten`; pods are in
    /// `<root>/kubepods/<qos>/pod<uid>`. Upstream: `cgroupRoot`.
    pub cgroup_root: String,
    /// Labels that the node registers with. Upstream: `--node-labels`.
    pub node_labels: Vec<(String, String)>,
    /// Taints that the node registers with. Upstream: `--register-with-taints`, `registerWithTaints`.
    pub register_with_taints: Vec<Taint>,
    /// The range of pod addresses if no API server hands one out. Upstream: `podCIDR`.
    pub pod_cidr: Option<String>,
    /// How many pods the node takes. Upstream: `maxPods`.
    pub max_pods: u32,
    /// The address and port of the kubelet's server.
    pub server_address: IpAddr,
    /// Its port; 0 lets the system choose. Upstream: `port`, 10250.
    pub server_port: u16,
    /// Where anybody may ask whether the kubelet lives; nowhere if absent. Upstream: `healthzBindAddress` and
    /// `healthzPort`, 127.0.0.1:10248.
    pub healthz: Option<SocketAddr>,
    /// How often the node's status is computed. Upstream: `nodeStatusUpdateFrequency`.
    pub node_status_update: Duration,
    /// How often an unchanged status is reported. Upstream: `nodeStatusReportFrequency`.
    pub node_status_report: Duration,
    /// How long a lease lasts; it is renewed every quarter of it. Upstream: `nodeLeaseDurationSeconds`.
    pub lease_duration: Duration,
    /// Where containers' resource limits are enforced: `cpu.cfs_quota`. Upstream: `cpuCFSQuota`.
    pub cpu_cfs_quota: bool,
    /// Kernel parameters that pods may set besides the safe ones: names, or beginnings with `*` after them.
    /// Upstream: `allowedUnsafeSysctls`.
    pub allowed_unsafe_sysctls: Vec<String>,
    /// When containers' logs are rotated. Upstream: `containerLogMaxSize` and its kin.
    pub log_rotation: LogRotation,
}

/// Where upstream's kubelets answer that they live.
pub const HEALTHZ: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_248);

impl Config {
    /// Where the links to containers' logs are that collectors read: beside the pods' logs. Upstream: `/var/log/containers`.
    #[must_use]
    pub fn container_logs(&self) -> PathBuf {
        self.pod_logs.with_file_name("containers")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration with nothing of this machine in it.
    pub(crate) fn config() -> Config {
        Config {
            node_name: "n1".to_owned(),
            hostname: "host1".to_owned(),
            node_ips: vec![IpAddr::from([192, 0, 2, 7])],
            root: "/nowhere/kubelet".into(),
            pod_logs: "/nowhere/pods".into(),
            static_pods: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: "/etc/resolv.conf".into(),
            cgroup_root: "corten".to_owned(),
            node_labels: vec![("zone".to_owned(), "a".to_owned())],
            register_with_taints: Vec::new(),
            pod_cidr: None,
            max_pods: 110,
            server_address: IpAddr::from([0, 0, 0, 0]),
            server_port: 10_250,
            healthz: None,
            node_status_update: Duration::from_secs(10),
            node_status_report: Duration::from_secs(300),
            lease_duration: Duration::from_secs(40),
            cpu_cfs_quota: true,
            allowed_unsafe_sysctls: Vec::new(),
            log_rotation: LogRotation::default(),
        }
    }
}
