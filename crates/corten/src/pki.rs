//! The certificates of the cluster, in kubeadm's layout: made at first start, leaves renewed at every start when due.

use std::net::{IpAddr, Ipv4Addr};

use corten_base::{Clock, fs};
use corten_component_base::certificates::{Authority, CertificateError, CertificateFiles, KeyPairPem, LeafRequest};

use crate::config::Config;

/// What the components need.
#[derive(Debug)]
pub(crate) struct Pki {
    /// The cluster's authority, PEM.
    pub(crate) authority: String,
    /// The API server's certificate.
    pub(crate) apiserver: KeyPairPem,
    /// The administrator's certificate.
    pub(crate) admin: KeyPairPem,
}

impl Pki {
    /// Reads the certificates and makes what is missing or due.
    pub(crate) fn ensure(config: &Config, clock: &dyn Clock) -> Result<Self, CertificateError> {
        let (directory, now) = (config.pki(), clock.now());
        fs::create_dir_all(&directory)?;
        let authority = Authority::ensure(&CertificateFiles::new(&directory, "ca"), "kubernetes", now)?;
        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), config.service_address];
        if !config.listen.ip().is_unspecified() && !config.listen.ip().is_loopback() {
            addresses.push(config.listen.ip());
        }
        let apiserver = LeafRequest {
            common_name: "kube-apiserver".to_owned(),
            dns_names: names.map(str::to_owned).to_vec(),
            addresses,
            server: true,
            ..LeafRequest::default()
        };
        let admin = LeafRequest {
            common_name: "kubernetes-admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
            client: true,
            ..LeafRequest::default()
        };
        Ok(Self {
            apiserver: authority.ensure_leaf(&CertificateFiles::new(&directory, "apiserver"), &apiserver, now)?,
            admin: authority.ensure_leaf(&CertificateFiles::new(&directory, "admin"), &admin, now)?,
            authority: authority.pem().to_owned(),
        })
    }
}
