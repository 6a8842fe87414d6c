//! The certificates of the cluster, in kubeadm's layout: made at first start, leaves renewed at every start when due.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use corten_base::{Clock, fs};
use corten_component_base::certificates::{Authority, CertificateFiles, KeyPairPem, LeafRequest};
use corten_controlplane::authentication::service_account::new_key;

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
    /// What signs tokens of service accounts, PEM.
    pub(crate) service_account_key: String,
    /// What verifies them, PEM: more keys than one where keys have been changed.
    pub(crate) service_account_public_key: String,
}

impl Pki {
    /// Reads the certificates and makes what is missing or due.
    pub(crate) fn ensure(config: &Config, clock: &dyn Clock) -> anyhow::Result<Self> {
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
        let (service_account_key, service_account_public_key) = service_account_keys(&directory)?;
        Ok(Self {
            apiserver: authority.ensure_leaf(&CertificateFiles::new(&directory, "apiserver"), &apiserver, now)?,
            admin: authority.ensure_leaf(&CertificateFiles::new(&directory, "admin"), &admin, now)?,
            authority: authority.pem().to_owned(),
            service_account_key,
            service_account_public_key,
        })
    }
}

/// Reads the key pair for tokens of service accounts (private, public), or makes it at first start.
fn service_account_keys(directory: &Path) -> anyhow::Result<(String, String)> {
    let (private_path, public_path) = (directory.join("sa.key"), directory.join("sa.pub"));
    match fs::read_to_string(&private_path) {
        Ok(private) => Ok((private, fs::read_to_string(&public_path)?)),
        Err(error) if error.is_not_found() => {
            let (private, public) = new_key()?;
            // The private key last: with it alone the pair counts as made.
            fs::write_atomic(&public_path, public.as_bytes(), 0o644)?;
            fs::write_atomic(&private_path, private.as_bytes(), 0o600)?;
            Ok((private, public))
        }
        Err(error) => Err(error.into()),
    }
}
