//! The host name of a pod. Pure.
//!
//! Upstream: `GeneratePodHostNameAndDomain` of pkg/kubelet/kubelet_pods.go, pkg/kubelet/util/util.go (v1.35).

use corten_api::core::v1::Pod;

/// What the kernel takes as a host name, in bytes.
const KERNEL_BYTES_MAX: usize = 64;
/// What the kubelet takes of a pod's name, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// The short name and the domain; the latter is empty without a subdomain. Errors: upstream's text.
pub(super) fn name_and_domain(pod: &Pod, cluster_domain: &str) -> Result<(String, String), String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let pod_name = pod.metadata.name.clone().unwrap_or_default();
    if let Some(name) = spec.hostname_override {
        return Ok((cut(&pod_name, name)?, String::new()));
    }
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    let name = cut(&pod_name, set(spec.hostname).unwrap_or_else(|| pod_name.clone()))?;
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let domain = set(spec.subdomain).map(|subdomain| format!("{subdomain}.{namespace}.svc.{cluster_domain}"));
    Ok((name, domain.unwrap_or_default()))
}

fn cut(pod_name: &str, name: String) -> Result<String, String> {
    if name.len() <= LABEL_BYTES_MAX {
        return Ok(name);
    }
    let end = (0..=LABEL_BYTES_MAX).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    let short = name[..end].trim_end_matches(['-', '.']);
    if short.is_empty() {
        return Err(format!("hostname for pod {pod_name:?} was invalid: {name:?}"));
    }
    Ok(short.to_owned())
}

/// What the kernel is told: the short name, or the full one if the pod wants that. Errors: upstream's text.
pub(super) fn for_kernel(pod: &Pod, name: &str, domain: &str) -> Result<String, String> {
    let wants_full = pod.spec.as_ref().and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
    if !wants_full || domain.is_empty() {
        return Ok(name.to_owned());
    }
    let full = format!("{name}.{domain}");
    if full.len() > KERNEL_BYTES_MAX {
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long \
             ({KERNEL_BYTES_MAX} characters is the max, {} characters requested)",
            full.len()
        ));
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(name: &str, spec: Value, want: &str, kernel: &str) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec})).unwrap();
        let (short, domain) = name_and_domain(&pod, "cluster.local").unwrap();
        assert_eq!(format!("{short}|{domain}"), want);
        assert_eq!(for_kernel(&pod, &short, &domain).unwrap_or_else(|error| error), kernel);
    }

    #[test]
    fn a_pod_is_called_as_it_asks() {
        check("p", json!({}), "p|", "p");
        check("p", json!({"hostname": "h", "subdomain": "s"}), "h|s.ns.svc.cluster.local", "h");
        let full = json!({"hostname": "h", "subdomain": "s", "setHostnameAsFQDN": true});
        check("p", full, "h|s.ns.svc.cluster.local", "h.s.ns.svc.cluster.local");
        let long = format!("{}-{}", "a".repeat(62), "b".repeat(10));
        check(&long, json!({}), &format!("{}|", "a".repeat(62)), &"a".repeat(62));
        check("p", json!({"hostnameOverride": "o.x", "subdomain": "s"}), "o.x|", "o.x");
    }
}
