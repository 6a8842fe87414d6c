//! Certificates of a cluster: authorities that are made once, leaves that are renewed in time.
//!
//! Files are laid out as kubeadm lays them out, so that its tools and documentation apply.

mod subject;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use corten_base::{
    Secret,
    fs::{self, FsError},
};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType,
};
use time::OffsetDateTime;
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

pub use subject::{Subject, UnreadableName};

/// How long an authority is valid. kubeadm's figure.
const AUTHORITY_VALID: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// How long a leaf is valid. kubeadm's figure.
pub const LEAF_VALID: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Certificates begin to be valid this much in the past: clocks of nodes differ.
const BACKDATE: Duration = Duration::from_secs(300);

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FsError),
    /// A certificate or key could not be made or read.
    #[error("{operation} certificate {name}")]
    Crypto {
        /// What was tried.
        operation: &'static str,
        /// For whom.
        name: String,
        /// Why it failed.
        #[source]
        source: rcgen::Error,
    },
    /// A key is not that of its certificate.
    #[error("the key is not that of certificate {name}")]
    Mismatch {
        /// Whose certificate it is.
        name: String,
    },
}

/// A certificate authority with its key.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Whom a leaf certificate is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeafRequest {
    /// The user name, for clients.
    pub common_name: String,
    /// The groups, for clients.
    pub organizations: Vec<String>,
    /// The names that a server answers to.
    pub dns_names: Vec<String>,
    /// The addresses that a server answers to.
    pub addresses: Vec<IpAddr>,
    /// Whether it is for a server.
    pub server: bool,
    /// Whether it is for a client.
    pub client: bool,
}

/// A certificate with its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPairPem {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: Secret,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `<name>.crt`.
    pub certificate: PathBuf,
    /// `<name>.key`.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// The files called `name` in `directory`.
    #[must_use]
    pub fn new(directory: &Path, name: &str) -> Self {
        Self { certificate: directory.join(format!("{name}.crt")), key: directory.join(format!("{name}.key")) }
    }

    fn read(&self) -> Result<Option<KeyPairPem>, FsError> {
        let certificate = match fs::read_to_string(&self.certificate) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        match fs::read_to_string(&self.key) {
            Err(error) if error.is_not_found() => Ok(None),
            key => Ok(Some(KeyPairPem { certificate, key: key?.into() })),
        }
    }

    fn write(&self, pair: &KeyPairPem) -> Result<(), FsError> {
        // The key first: a certificate without its key would look complete.
        fs::write_atomic(&self.key, pair.key.as_bytes(), 0o600)?;
        fs::write_atomic(&self.certificate, pair.certificate.as_bytes(), 0o644)
    }
}

impl Authority {
    /// Reads the authority in `files`, or makes one called `common_name`.
    pub fn ensure(files: &CertificateFiles, common_name: &str, now: Timestamp) -> Result<Self, CertificateError> {
        let crypto =
            |operation| move |source| CertificateError::Crypto { operation, name: common_name.to_owned(), source };
        if let Some(pair) = files.read()? {
            return Self::of(pair, common_name);
        }
        let key = KeyPair::generate().map_err(crypto("make key of"))?;
        let mut params = CertificateParams::new(vec![common_name.to_owned()]).map_err(crypto("describe"))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        set_validity(&mut params, now, AUTHORITY_VALID);
        let certificate = params.self_signed(&key).map_err(crypto("sign"))?;
        let pair = KeyPairPem { certificate: certificate.pem(), key: key.serialize_pem().into() };
        files.write(&pair)?;
        Ok(Self { pem: pair.certificate, issuer: Issuer::new(params, key) })
    }

    /// The authority with this certificate and its key; `name` is for errors.
    pub fn of(pair: KeyPairPem, name: &str) -> Result<Self, CertificateError> {
        let crypto = |operation| move |source| CertificateError::Crypto { operation, name: name.to_owned(), source };
        let key = KeyPair::from_pem(&pair.key).map_err(crypto("read key of"))?;
        let info = key.subject_public_key_info();
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).map_err(crypto("read"))?;
        let (_, pem) = parse_x509_pem(pair.certificate.as_bytes()).map_err(|_| unreadable(name))?;
        let (_, certificate) = parse_x509_certificate(&pem.contents).map_err(|_| unreadable(name))?;
        if certificate.public_key().raw != info {
            return Err(CertificateError::Mismatch { name: name.to_owned() });
        }
        Ok(Self { pem: pair.certificate, issuer })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authority as a signer.
    #[must_use]
    pub fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Makes a certificate that is valid for `valid` from `now`.
    pub fn issue(
        &self,
        request: &LeafRequest,
        now: Timestamp,
        valid: Duration,
    ) -> Result<KeyPairPem, CertificateError> {
        let crypto =
            |operation| move |source| CertificateError::Crypto { operation, name: request.common_name.clone(), source };
        let key = KeyPair::generate().map_err(crypto("make key of"))?;
        let mut params = CertificateParams::new(request.dns_names.clone()).map_err(crypto("describe"))?;
        params.subject_alt_names.extend(request.addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = rcgen::DistinguishedName::new();
        for organization in &request.organizations {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, request.common_name.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        if request.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if request.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, valid);
        let certificate = params.signed_by(&key, &self.issuer).map_err(crypto("sign"))?;
        Ok(KeyPairPem { certificate: certificate.pem(), key: key.serialize_pem().into() })
    }

    /// Reads the certificate in `files`, or makes one if it is missing, for somebody or something else, not ours, without its
    /// key, or past two thirds of its life.
    pub fn ensure_leaf(
        &self,
        files: &CertificateFiles,
        request: &LeafRequest,
        now: Timestamp,
    ) -> Result<KeyPairPem, CertificateError> {
        if let Some(pair) = files.read()?
            && self.is_usable(&pair, request, now)
        {
            return Ok(pair);
        }
        let pair = self.issue(request, now, LEAF_VALID)?;
        files.write(&pair)?;
        Ok(pair)
    }

    fn is_usable(&self, pair: &KeyPairPem, request: &LeafRequest, now: Timestamp) -> bool {
        let pems = (parse_x509_pem(pair.certificate.as_bytes()), parse_x509_pem(self.pem.as_bytes()));
        let (Ok((_, leaf)), Ok((_, authority))) = pems else { return false };
        let (Ok((_, leaf)), Ok((_, authority))) =
            (parse_x509_certificate(&leaf.contents), parse_x509_certificate(&authority.contents))
        else {
            return false;
        };
        let life = leaf.validity.not_after.timestamp() - leaf.validity.not_before.timestamp();
        let renew_at = leaf.validity.not_before.timestamp() + life / 3 * 2;
        let names = subject_names(&leaf);
        let mut wanted: Vec<String> = request.dns_names.clone();
        wanted.extend(request.addresses.iter().map(ToString::to_string));
        let Ok(subject) = Subject::read(leaf.subject()) else { return false };
        now.as_second() < renew_at
            && leaf.verify_signature(Some(authority.public_key())).is_ok()
            && subject.common_name() == request.common_name
            && wanted.iter().all(|name| names.contains(name))
            && subject.organizations == request.organizations
            && has_usages(&leaf, request)
            && is_key_of(&leaf, &pair.key)
    }
}

fn unreadable(name: &str) -> CertificateError {
    let source = rcgen::Error::CouldNotParseCertificate;
    CertificateError::Crypto { operation: "read", name: name.to_owned(), source }
}

/// Whether it serves for what is asked; more does no harm.
fn has_usages(certificate: &x509_parser::certificate::X509Certificate<'_>, request: &LeafRequest) -> bool {
    let Ok(Some(usages)) = certificate.extended_key_usage() else { return !request.server && !request.client };
    (usages.value.server_auth || !request.server) && (usages.value.client_auth || !request.client)
}

/// A key that cannot be read is not replaced: whoever put it there learns of it where it is used.
fn is_key_of(certificate: &x509_parser::certificate::X509Certificate<'_>, key: &str) -> bool {
    let Ok(key) = KeyPair::from_pem(key) else { return true };
    key.subject_public_key_info() == certificate.public_key().raw
}

fn subject_names(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            },
            _ => None,
        })
        .collect()
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, valid: Duration) {
    let at = |time: Timestamp| {
        OffsetDateTime::from_unix_timestamp(time.as_second()).expect("the year of a certificate has four digits")
    };
    params.not_before = at(now - BACKDATE);
    params.not_after = at(now + valid);
}

#[cfg(test)]
mod tests;
