//! What a pod may learn about itself through `fieldRef`. Pure.
//!
//! Upstream: pkg/fieldpath (v1.35), `podFieldSelectorRuntimeValue` of pkg/kubelet/kubelet_pods.go.

use std::{collections::BTreeMap, net::IpAddr};

use corten_api::core::v1::Pod;

/// What pods may ask about the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its addresses, the primary one first.
    pub ips: Vec<IpAddr>,
    /// What of it pods may use, in thousandths of a processor: the limit of containers without one.
    pub allocatable_cpu_millis: i64,
    /// Likewise, memory.
    pub allocatable_memory_bytes: u64,
    /// Likewise, local disk.
    pub allocatable_storage_bytes: u64,
}

/// A field for an environment variable. Errors: upstream's text.
pub fn runtime_field(pod: &Pod, path: &str, node: &NodeFacts, pod_ips: &[IpAddr]) -> Result<String, String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let join = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match path {
        "spec.nodeName" => Ok(spec.node_name.unwrap_or_default()),
        "spec.serviceAccountName" => Ok(spec.service_account_name.unwrap_or_default()),
        "status.hostIP" => Ok(join(&node.ips[..node.ips.len().min(1)])),
        "status.hostIPs" => Ok(join(&node.ips)),
        "status.podIP" => Ok(join(&pod_ips[..pod_ips.len().min(1)])),
        "status.podIPs" => Ok(join(pod_ips)),
        other => object_field(pod, other),
    }
}

/// A field of the pod's metadata. Errors: upstream's text.
pub fn object_field(pod: &Pod, path: &str) -> Result<String, String> {
    let metadata = &pod.metadata;
    let text = |value: &Option<String>| Ok(value.clone().unwrap_or_default());
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let values = match map {
            "metadata.annotations" => metadata.annotations.as_ref(),
            "metadata.labels" => metadata.labels.as_ref(),
            _ => return Err(format!("fieldPath {path:?} does not support subscript")),
        };
        return Ok(values.and_then(|values| values.get(key)).cloned().unwrap_or_default());
    }
    match path {
        "metadata.annotations" => Ok(lines(metadata.annotations.as_ref())),
        "metadata.labels" => Ok(lines(metadata.labels.as_ref())),
        "metadata.name" => text(&metadata.name),
        "metadata.namespace" => text(&metadata.namespace),
        "metadata.uid" => text(&metadata.uid),
        other => Err(format!("unsupported fieldPath: {other}")),
    }
}

/// One line per entry, by key: `key="value"`.
fn lines(values: Option<&BTreeMap<String, String>>) -> String {
    let lines = values.into_iter().flatten().map(|(key, value)| format!("{key}={}", quoted(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A text as Go's `%q` writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            control if control < ' ' || control == '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", control as u32)),
            hidden if hidden.is_control() => quoted.push_str(&format!("\\u{:04x}", hidden as u32)),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"b": "2", "a": "x\"y\n"}},
            "spec": {"nodeName": "n", "serviceAccountName": "s", "containers": []},
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(path: &str, want: Result<&str, &str>) {
        let node =
            NodeFacts { ips: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()], ..Default::default() };
        let got = runtime_field(&pod(), path, &node, &["10.1.0.2".parse().unwrap()]);
        assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn fields_are_found_by_their_paths() {
        check("metadata.name", Ok("p"));
        check("metadata.labels", Ok("a=\"x\\\"y\\n\"\nb=\"2\""));
        check("metadata.labels['b']", Ok("2"));
        check("metadata.labels['c']", Ok(""));
        check("metadata.annotations", Ok(""));
        check("spec.nodeName", Ok("n"));
        check("status.hostIP", Ok("10.0.0.1"));
        check("status.hostIPs", Ok("10.0.0.1,fd00::1"));
        check("status.podIP", Ok("10.1.0.2"));
        check("status.phase", Err("unsupported fieldPath: status.phase"));
    }
}
