//! The content of a pod's `/etc/hosts`. Pure.
//!
//! Upstream: `ensureHostsFile` and its kin in pkg/kubelet/kubelet_pods.go (v1.35).

use std::net::IpAddr;

use corten_api::core::v1::HostAlias;

const OWN: &str = "# Kubernetes-managed hosts file.\n\
    127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    fe00::0\tip6-mcastprefix\n\
    fe00::1\tip6-allnodes\n\
    fe00::2\tip6-allrouters\n";

/// For a pod with a network of its own.
pub(super) fn own(ips: &[IpAddr], name: &str, domain: &str, aliases: &[HostAlias]) -> String {
    let mut text = OWN.to_owned();
    for ip in ips {
        if domain.is_empty() {
            text.push_str(&format!("{ip}\t{name}\n"));
        } else {
            text.push_str(&format!("{ip}\t{name}.{domain}\t{name}\n"));
        }
    }
    text + &entries(aliases)
}

/// For a pod on the node's network, whose file has this text.
pub(super) fn of_node(text: &str, aliases: &[HostAlias]) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{text}{}", entries(aliases))
}

fn entries(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = "\n# Entries added by HostAliases.\n".to_owned();
    for alias in aliases {
        text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join("\t")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_itself_and_its_aliases() {
        let ips = ["10.1.0.2".parse().unwrap()];
        let alias = HostAlias { ip: "1.2.3.4".to_owned(), hostnames: Some(vec!["a".to_owned(), "b".to_owned()]) };
        let text = own(&ips, "h", "s.ns.svc.x", &[alias]);
        assert!(text.starts_with(OWN));
        let rest = "10.1.0.2\th.s.ns.svc.x\th\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n";
        assert_eq!(&text[OWN.len()..], rest);
        assert!(own(&ips, "h", "", &[]).ends_with("10.1.0.2\th\n"));
        assert_eq!(of_node("x\n", &[]), "# Kubernetes-managed hosts file (host network).\nx\n");
    }
}
