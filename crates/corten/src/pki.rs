//! The certificates of the cluster, in kubeadm's layout: made at first start, leaves renewed when due, at every start and
//! while the process runs (`renewal`).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use corten_base::{Clock, Secret, fs};
use corten_component_base::certificates::{Authority, CertificateFiles, KeyPairPem, LeafRequest};
use corten_controlplane::authentication::service_account::{PublicKey, SigningKey, new_key};

use crate::config::Config;

/// The group whose members administer the cluster, by a binding that `addons` makes. Upstream: kubeadm.
pub(crate) const ADMINISTRATORS: &str = "kubeadm:cluster-admins";

/// What the components need.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pki {
    /// The cluster's authority, PEM.
    pub(crate) authority: String,
    /// Its key, PEM: signs certificate requests.
    pub(crate) authority_key: Secret,
    /// The API server's certificate.
    pub(crate) apiserver: KeyPairPem,
    /// What the API server shows to kubelets.
    pub(crate) apiserver_kubelet_client: KeyPairPem,
    /// The kubelet's certificate, for its server.
    pub(crate) kubelet: KeyPairPem,
    /// The administrator's certificate.
    pub(crate) admin: KeyPairPem,
    /// What signs tokens of service accounts, PEM.
    pub(crate) service_account_key: Secret,
    /// What verifies them, PEM: more keys than one where keys have been changed.
    pub(crate) service_account_public_key: String,
}

impl Pki {
    /// Reads the certificates and makes what is missing, due, or made for other names.
    pub(crate) fn ensure(config: &Config, clock: &dyn Clock) -> anyhow::Result<Self> {
        let (directory, now) = (config.places.pki(), clock.now());
        fs::create_dir_all(&directory)?;
        let authority_files = CertificateFiles::new(&directory, "ca");
        expect_whole(&directory, &authority_files)?;
        let authority = Authority::ensure(&authority_files, "kubernetes", now).map_err(|error| {
            let CertificateFiles { certificate, key } = &authority_files;
            anyhow::Error::new(error).context(format!("use {} with {}", certificate.display(), key.display()))
        })?;
        let leaf = |name: &str, request: LeafRequest| -> anyhow::Result<KeyPairPem> {
            let files = CertificateFiles::new(&directory, name);
            let pair = authority
                .ensure_leaf(&files, &request, now)
                .with_context(|| format!("read or make {}", files.certificate.display()))?;
            expect_key(&files.key, &pair.key)?;
            Ok(pair)
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
        // Before the leaves, whose presence therefore shows that keys were there.
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
            authority_key: fs::read_to_string(&authority_files.key)?.into(),
            service_account_key: service_account_key.into(),
            service_account_public_key,
        })
    }
}

/// The files whose presence shows that an authority was there: the leaves that it signed, and what was made with them.
const MADE_WITH_AUTHORITY: &[&str] = &["apiserver.crt", "apiserver-kubelet-client.crt", "kubelet.crt", "admin.crt"];

/// A file that a first start makes once the authority and the keys for tokens are there.
fn made_later(directory: &Path) -> Option<PathBuf> {
    MADE_WITH_AUTHORITY.iter().map(|name| directory.join(name)).find(|path| path.exists())
}

/// Refuses a half of the authority: a new one would be a stranger to every certificate that is out there.
///
/// The key alone is what a first start leaves that was interrupted; the certificate is made then.
fn expect_whole(directory: &Path, authority: &CertificateFiles) -> anyhow::Result<()> {
    let signed = made_later(directory);
    let (missing, present) = match (authority.certificate.exists(), authority.key.exists(), signed) {
        (true, true, _) | (false, _, None) => return Ok(()),
        (true, false, _) => (&authority.key, authority.certificate.clone()),
        (false, _, Some(signed)) => (&authority.certificate, signed),
    };
    bail!(
        "{} is missing, but {} is there: bring it back from a copy, or begin anew after `corten delete`; a new authority \
         would not be known to those who trust the old one",
        missing.display(),
        present.display()
    )
}

/// Refuses a file that holds no private key, which would otherwise fail where nobody knows its name.
fn expect_key(path: &Path, pem: &str) -> anyhow::Result<()> {
    if pem.contains("PRIVATE KEY-----") {
        return Ok(());
    }
    bail!(
        "{} holds no private key in PEM: remove it together with its certificate, and both are made anew",
        path.display()
    )
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
    let cure = "bring it back from a copy: the tokens of pods are signed with it";
    match fs::read_to_string(&private_path) {
        Ok(private) => {
            let public = fs::read_to_string(&public_path)?;
            if !private.contains("PRIVATE KEY-----") {
                bail!("{} holds no private key in PEM: {cure}", private_path.display());
            }
            if !public.contains("PUBLIC KEY-----") {
                bail!("{} holds no public key in PEM: {cure}", public_path.display());
            }
            expect_verifies(&private, &public)
                .with_context(|| format!("use {} with {}: {cure}", private_path.display(), public_path.display()))?;
            Ok((private, public))
        }
        Err(error) if error.is_not_found() => {
            if let Some(later) = made_later(directory) {
                bail!("{} is missing, but {} is there: {cure}", private_path.display(), later.display());
            }
            let (private, public) = new_key()?;
            // The private key last: with it alone the pair counts as made.
            fs::write_atomic(&public_path, public.as_bytes(), 0o644)?;
            fs::write_atomic(&private_path, private.as_bytes(), 0o600)?;
            Ok((private, public))
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses a key for tokens that none of the public keys verifies.
fn expect_verifies(private: &str, public: &str) -> anyhow::Result<()> {
    let key = SigningKey::from_pem(private.as_bytes())?;
    if PublicKey::all_from_pem(public.as_bytes())?.contains(key.public()) {
        return Ok(());
    }
    bail!("the public key is that of another private key")
}

/// Refuses keys that do not belong together: those of the authority, and those for tokens, each certificate or public key and
/// its private one.
pub(crate) fn expect_pairs(authority: KeyPairPem, tokens: (&str, &str)) -> anyhow::Result<()> {
    Authority::of(authority, "kubernetes").context("use ca.crt with ca.key")?;
    expect_verifies(tokens.1, tokens.0).context("use sa.pub with sa.key")
}

#[cfg(test)]
mod tests {
    use corten_base::{SimClock, SystemClock};

    use super::*;
    use crate::{
        config::{Scope, Wishes},
        places::Places,
    };

    fn config(root: &Path) -> Config {
        let wishes = Wishes {
            advertise: Some("10.0.0.7".parse().unwrap()),
            node_name: Some("n1".to_owned()),
            ..Wishes::default()
        };
        Config::complete(Scope::Cluster, Places::new(root).unwrap(), wishes, None).unwrap()
    }

    /// A lost `ca.key` once made a new authority without a word, and every kubeconfig of old useless.
    #[test]
    fn lost_and_damaged_files_are_named_and_nothing_is_made_in_their_place() {
        let directory = tempfile::tempdir().unwrap();
        let (config, clock) = (config(directory.path()), SystemClock::shared());
        let whole = Pki::ensure(&config, &*clock).unwrap();
        let pki = config.places.pki();
        for (name, content) in [
            ("ca.key", None),
            ("ca.crt", None),
            ("ca.key", Some("garbage")),
            ("ca.crt", Some("garbage")),
            ("sa.key", None),
            ("sa.key", Some("garbage")),
            ("sa.pub", None),
            ("sa.pub", Some("garbage")),
            ("apiserver.key", Some("garbage")),
        ] {
            let path = pki.join(name);
            let before = fs::read(&path).unwrap();
            match content {
                Some(text) => fs::write(&path, text.as_bytes()).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let error = format!("{:#}", Pki::ensure(&config, &*clock).unwrap_err());
            assert!(error.contains(&*path.to_string_lossy()), "{name} {content:?}: {error}");
            fs::write(&path, &before).unwrap();
        }
        assert_eq!(Pki::ensure(&config, &*clock).unwrap().authority, whole.authority);
    }

    /// A process that was up for a year once served certificates that had expired.
    #[test]
    fn leaves_are_renewed_when_they_are_due_and_authorities_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let (config, clock) = (config(directory.path()), SimClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        let first = Pki::ensure(&config, &*clock).unwrap();
        clock.advance(std::time::Duration::from_secs(200 * 24 * 3_600));
        assert_eq!(Pki::ensure(&config, &*clock).unwrap(), first);
        clock.advance(std::time::Duration::from_secs(60 * 24 * 3_600));
        let later = Pki::ensure(&config, &*clock).unwrap();
        assert_eq!((&later.authority, &later.service_account_key), (&first.authority, &first.service_account_key));
        for (new, old) in [
            (&later.apiserver, &first.apiserver),
            (&later.apiserver_kubelet_client, &first.apiserver_kubelet_client),
            (&later.kubelet, &first.kubelet),
            (&later.admin, &first.admin),
        ] {
            assert_ne!(new, old);
        }
    }

    /// A cluster with another authority's key was "ready", and nobody could connect.
    #[test]
    fn keys_of_others_are_refused() {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = directories.each_ref().map(|directory| config(directory.path()));
        let clock = SystemClock::shared();
        for config in [&one, &other] {
            Pki::ensure(config, &*clock).unwrap();
        }
        for name in ["ca.key", "sa.key", "sa.pub"] {
            let path = one.places.pki().join(name);
            let before = fs::read(&path).unwrap();
            std::fs::copy(other.places.pki().join(name), &path).unwrap();
            let error = format!("{:#}", Pki::ensure(&one, &*clock).unwrap_err());
            assert!(error.contains(&*path.to_string_lossy()), "{name}: {error}");
            fs::write(&path, &before).unwrap();
        }
        Pki::ensure(&one, &*clock).unwrap();
    }

    #[test]
    fn an_interrupted_first_start_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        fs::create_dir_all(&config.places.pki()).unwrap();
        fs::write(&config.places.pki().join("ca.key"), b"half").unwrap();
        Pki::ensure(&config, &*SystemClock::shared()).unwrap();
    }
}
