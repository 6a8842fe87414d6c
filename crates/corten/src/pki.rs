//! The certificates of the cluster, in kubeadm's layout: made at first start, leaves renewed at every start when due.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use corten_base::{Clock, fs};
use corten_component_base::certificates::{Authority, CertificateFiles, KeyPairPem, LeafRequest};
use corten_controlplane::authentication::service_account::new_key;

use crate::config::Config;

/// The group whose members administer the cluster, by a binding that `addons` makes. Upstream: kubeadm.
pub(crate) const ADMINISTRATORS: &str = "kubeadm:cluster-admins";

/// What the components need.
#[derive(Debug)]
pub(crate) struct Pki {
    /// The cluster's authority, PEM.
    pub(crate) authority: String,
    /// Its key, PEM: signs certificate requests.
    pub(crate) authority_key: String,
    /// The API server's certificate.
    pub(crate) apiserver: KeyPairPem,
    /// What the API server shows to kubelets.
    pub(crate) apiserver_kubelet_client: KeyPairPem,
    /// The kubelet's certificate, for its server.
    pub(crate) kubelet: KeyPairPem,
    /// The administrator's certificate.
    pub(crate) admin: KeyPairPem,
    /// What signs tokens of service accounts, PEM.
    pub(crate) service_account_key: String,
    /// What verifies them, PEM: more keys than one where keys have been changed.
    pub(crate) service_account_public_key: String,
}

impl Pki {
    /// Reads the certificates and makes what is missing, due, or made for other names.
    pub(crate) fn ensure(config: &Config, clock: &dyn Clock) -> anyhow::Result<Self> {
        let (directory, now) = (config.places.pki(), clock.now());
        fs::create_dir_all(&directory)?;
        let authority_files = CertificateFiles::new(&directory, "ca");
        let authority = Authority::ensure(&authority_files, "kubernetes", now)?;
        let leaf = |name: &str, request: LeafRequest| {
            authority.ensure_leaf(&CertificateFiles::new(&directory, name), &request, now)
        };
        let client = |common_name: &str, organization: &str| LeafRequest {
            common_name: common_name.to_owned(),
            organizations: vec![organization.to_owned()],
            client: true,
            ..LeafRequest::default()
        };
        let kubelet = LeafRequest {
            common_name: format!("system:node:{}", config.node_name),
            organizations: vec!["system:nodes".to_owned()],
            dns_names: vec![config.node_name.clone()],
            addresses: vec![config.advertise, Ipv4Addr::LOCALHOST.into()],
            server: true,
            ..LeafRequest::default()
        };
        let (service_account_key, service_account_public_key) = service_account_keys(&directory)?;
        Ok(Self {
            apiserver: leaf("apiserver", apiserver(config))?,
            apiserver_kubelet_client: leaf(
                "apiserver-kubelet-client",
                client("kube-apiserver-kubelet-client", ADMINISTRATORS),
            )?,
            kubelet: leaf("kubelet", kubelet)?,
            admin: leaf("admin", client("kubernetes-admin", "system:masters"))?,
            authority: authority.pem().to_owned(),
            authority_key: fs::read_to_string(&authority_files.key)?,
            service_account_key,
            service_account_public_key,
        })
    }
}

/// Whom the API server's certificate is for: every name and address by which somebody may reach it.
fn apiserver(config: &Config) -> LeafRequest {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        &config.hostname,
    ];
    let mut dns_names: Vec<String> = names.map(str::to_owned).to_vec();
    dns_names.dedup();
    let mut addresses: Vec<IpAddr> = vec![
        Ipv4Addr::LOCALHOST.into(),
        Ipv6Addr::LOCALHOST.into(),
        config.api_service_address().into(),
        config.advertise,
    ];
    if !config.listen.ip().is_unspecified() {
        addresses.push(config.listen.ip());
    }
    addresses.sort_unstable();
    addresses.dedup();
    LeafRequest {
        common_name: "kube-apiserver".to_owned(),
        dns_names,
        addresses,
        server: true,
        ..LeafRequest::default()
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
