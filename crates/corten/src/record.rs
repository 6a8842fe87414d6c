//! What a cluster was made with: written when its store has been made, read by every later start.
//!
//! Services keep their addresses, nodes their names and ranges; a start that forgets a flag must not contradict them. The
//! file also says that there was a store, so that one which has vanished is noticed. Format, version 1: one JSON object;
//! fields that a reader does not know are left out when it writes.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, bail};
use corten_base::fs;
use corten_proxy::ProxyMode;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::config::{CLUSTER_DOMAIN, check_ranges, node_name};

/// The version that this program writes, and the only one it reads.
const VERSION: u32 = 1;

/// The decisions of the first start that later ones keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    version: u32,
    /// The range of pods' addresses. Never changes.
    pub(crate) cluster_cidr: Ipv4Net,
    /// The range of services' addresses. Never changes.
    pub(crate) service_cidr: Ipv4Net,
    /// The cluster's domain. Never changes.
    pub(crate) cluster_domain: String,
    /// The node's name; nothing if the control plane has only run alone. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node_name: Option<String>,
    /// Where the API was served last: a start without flags serves it there again.
    pub(crate) listen: SocketAddr,
    /// The port of the kubelet's server, likewise.
    pub(crate) kubelet_port: u16,
    /// How services were carried out last, likewise. Earlier versions did not write it.
    #[serde(default)]
    pub(crate) proxy_mode: ProxyMode,
    /// Which optional features were on last, likewise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) feature_gates: String,
    /// Which versions and resources were served last, likewise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) runtime_config: String,
}

impl Record {
    /// A record in the present format.
    pub(crate) fn new(
        (cluster_cidr, service_cidr): (Ipv4Net, Ipv4Net),
        cluster_domain: &str,
        node_name: Option<String>,
        (listen, kubelet_port, proxy_mode): (SocketAddr, u16, ProxyMode),
    ) -> Self {
        let (version, cluster_domain) = (VERSION, cluster_domain.to_owned());
        Self {
            version,
            cluster_cidr,
            service_cidr,
            cluster_domain,
            node_name,
            listen,
            kubelet_port,
            proxy_mode,
            feature_gates: String::new(),
            runtime_config: String::new(),
        }
    }

    /// Reads the record; nothing if there is none.
    ///
    /// Errors: the file cannot be read, makes no sense, or is of another version; all name it.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::parse(&text).map(Some).with_context(|| format!("understand {}", path.display()))
    }

    /// Understands a record.
    ///
    /// Errors: what would be refused as a flag, too.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut record: Self = serde_json::from_str(text).context("understand the record of a cluster")?;
        if record.version != VERSION {
            bail!("the record of the cluster has version {}, this program knows {VERSION}", record.version);
        }
        record.cluster_cidr = record.cluster_cidr.trunc();
        record.service_cidr = record.service_cidr.trunc();
        check_ranges(record.cluster_cidr, record.service_cidr)?;
        if let Some(name) = &mut record.node_name {
            *name = node_name("nodeName", name)?;
        }
        if record.cluster_domain != CLUSTER_DOMAIN {
            bail!("the cluster's domain is {:?}, this program knows {CLUSTER_DOMAIN:?}", record.cluster_domain);
        }
        Ok(record)
    }

    /// Writes the record, durably.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write_atomic(path, self.to_text()?.as_bytes(), 0o644)?)
    }

    /// The record as its file has it.
    pub(crate) fn to_text(&self) -> anyhow::Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("write the record of the cluster")?;
        text.push('\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let ranges = ("10.244.0.0/16".parse().unwrap(), "10.96.0.0/12".parse().unwrap());
        let served = ("0.0.0.0:6443".parse().unwrap(), 10_250, ProxyMode::Userspace);
        Record::new(ranges, "cluster.local", Some("n1".to_owned()), served)
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.json");
        assert_eq!(Record::read(&path).unwrap(), None);
        record().write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), Some(record()));
        let alone = Record { node_name: None, ..record() };
        alone.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), Some(alone));
    }

    #[test]
    fn a_record_of_an_earlier_version_has_the_mode_that_it_had() {
        let text = record().to_text().unwrap();
        let earlier = text.replace(",\n  \"proxyMode\": \"userspace\"", "");
        assert_ne!(text, earlier);
        assert_eq!(Record::parse(&earlier).unwrap(), Record { proxy_mode: ProxyMode::Auto, ..record() });
    }

    #[test]
    fn a_record_that_makes_no_sense_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cluster.json");
        let newer = serde_json::to_string(&Record { version: 2, ..record() }).unwrap();
        // `restore` took it, and the next `up` failed after two minutes.
        let elsewhere = serde_json::to_string(&Record { node_name: Some("../../x".to_owned()), ..record() }).unwrap();
        let overlapping = Record { service_cidr: "10.244.0.0/20".parse().unwrap(), ..record() };
        let overlapping = serde_json::to_string(&overlapping).unwrap();
        for text in ["", "garbage", "{}", &newer, &elsewhere, &overlapping] {
            fs::write(&path, text.as_bytes()).unwrap();
            let error = format!("{:#}", Record::read(&path).unwrap_err());
            assert!(error.contains("cluster.json"), "{text}: {error}");
        }
    }
}
