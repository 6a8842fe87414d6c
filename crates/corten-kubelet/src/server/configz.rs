//! `/configz`: the configuration that this kubelet runs with, in the words of `KubeletConfiguration`.

use std::time::Duration;

use corten_apimachinery::quantity::{Format, Quantity};
use serde_json::{Value, json};

use crate::config::Config;

/// The configuration. Settings that this kubelet does not have are absent.
pub(super) fn of(config: &Config) -> Value {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let addresses: Vec<String> = config.cluster_dns.iter().map(ToString::to_string).collect();
    let rotation = config.log_rotation;
    let size = rotation.max_size_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let max_size = Quantity::new(size, Format::BinarySi).to_string();
    let mut it = json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": config.server_address.to_string(),
        "port": config.server_port,
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}},
        "authorization": {"mode": "Webhook"},
        "clusterDomain": config.cluster_domain,
        "clusterDNS": addresses,
        "nodeStatusUpdateFrequency": seconds(config.node_status_update),
        "nodeStatusReportFrequency": seconds(config.node_status_report),
        "nodeLeaseDurationSeconds": config.lease_duration.as_secs(),
        "cgroupRoot": config.cgroup_root,
        "maxPods": config.max_pods,
        "resolvConf": config.resolv_conf.display().to_string(),
        "cpuCFSQuota": config.cpu_cfs_quota,
        "containerLogMaxSize": max_size,
        "containerLogMaxFiles": rotation.max_files,
        "containerLogMaxWorkers": rotation.max_workers,
        "containerLogMonitorInterval": seconds(rotation.interval),
        "podLogsDir": config.pod_logs.display().to_string(),
    });
    // Zero stands for a server that is not there.
    it["healthzPort"] = config.healthz.map_or(0, |address| address.port()).into();
    if let Some(address) = config.healthz {
        it["healthzBindAddress"] = address.ip().to_string().into();
    }
    if let Some(path) = &config.static_pods {
        it["staticPodPath"] = path.display().to_string().into();
    }
    if let Some(range) = &config.pod_cidr {
        it["podCIDR"] = range.as_str().into();
    }
    json!({"kubeletconfig": it})
}
