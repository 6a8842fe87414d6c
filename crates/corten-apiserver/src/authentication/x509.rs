//! Client certificates: the last common name is the user, organizations are groups.
//!
//! Upstream: k8s.io/apiserver/pkg/authentication/request/x509 (v1.35).

use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use corten_apimachinery::{resource::UserInfo, value::Str};
use corten_base::SharedClock;
use corten_component_base::certificates::Subject;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use sha2::{Digest as _, Sha256};
use x509_parser::{parse_x509_certificate, x509::X509Version};

use super::{Authenticator, InvalidCredentials, version_1};
use crate::request::{Origin, Request};

/// The certificates that a connection presented. The handshake proved that the peer has the key; whether the chain leads
/// to an authority is found out once, by the first request.
#[derive(Debug, Default)]
pub struct ClientCertificates {
    chain: Vec<CertificateDer<'static>>,
    user: OnceLock<Result<UserInfo, InvalidCredentials>>,
}

impl ClientCertificates {
    /// What the peer presented, its own certificate first.
    #[must_use]
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Self {
        Self { chain, user: OnceLock::new() }
    }
}

/// Knows users by certificates that an authority has signed.
#[derive(Debug)]
pub struct X509 {
    verifier: Arc<dyn ClientCertVerifier>,
    roots: Vec<CertificateDer<'static>>,
    clock: SharedClock,
}

/// The authorities' certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use client certificate authority: {0}")]
pub struct BadAuthority(String);

impl X509 {
    /// Trusts the authorities in `pem`.
    pub fn new(pem: &[u8], clock: SharedClock) -> Result<Self, BadAuthority> {
        let roots = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let roots = roots.map_err(|error| BadAuthority(error.to_string()))?;
        let mut store = RootCertStore::empty();
        for certificate in &roots {
            store.add(certificate.clone()).map_err(|error| BadAuthority(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| BadAuthority(error.to_string()))?;
        Ok(Self { verifier, roots, clock })
    }

    fn verify(&self, chain: &[CertificateDer<'static>]) -> Result<UserInfo, InvalidCredentials> {
        let invalid = |why: &dyn std::fmt::Display| InvalidCredentials(format!("verifying certificate failed: {why}"));
        let (leaf, intermediates) = chain.split_first().ok_or_else(|| invalid(&"no certificate"))?;
        let (_, certificate) = parse_x509_certificate(leaf).map_err(|error| invalid(&error))?;
        let seconds = self.clock.now().as_second();
        if certificate.version() == X509Version::V1 {
            version_1::verify(&certificate, &self.roots, seconds).map_err(|error| invalid(&error))?;
        } else {
            let seconds = u64::try_from(seconds).unwrap_or_default();
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
            self.verifier.verify_client_cert(leaf, intermediates, now).map_err(|error| invalid(&error))?;
        }
        let subject = Subject::read(certificate.subject()).map_err(|error| invalid(&error))?;
        let name = Str::from(subject.common_name());
        if name.is_empty() {
            return Err(invalid(&"the subject has no common name"));
        }
        let groups = subject.organizations.into_iter().map(Str::from).collect();
        let extra = vec![("authentication.kubernetes.io/credential-id".into(), vec![credential_id(leaf)])];
        Ok(UserInfo { name, groups, extra, ..UserInfo::default() })
    }
}

/// By which certificate a user is known: its fingerprint, so that what was done with it can be found.
fn credential_id(certificate: &[u8]) -> Str {
    let mut id = String::from("X509SHA256=");
    for byte in Sha256::digest(certificate) {
        let _ = write!(id, "{byte:02x}");
    }
    id.into()
}

#[async_trait]
impl Authenticator for X509 {
    async fn authenticate(&self, request: &Request) -> Result<Option<UserInfo>, InvalidCredentials> {
        match &request.origin {
            Origin::Connection { certificates, .. } if !certificates.chain.is_empty() => {
                certificates.user.get_or_init(|| self.verify(&certificates.chain)).clone().map(Some)
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
        KeyPair,
    };

    use super::*;

    #[test]
    fn a_certificate_is_named_by_its_fingerprint() {
        let want = "X509SHA256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(credential_id(b"abc"), want);
    }

    /// Whoever had made a certificate with plain `openssl x509 -req` was refused in the handshake, without a word why.
    #[test]
    fn a_certificate_of_version_1_is_one_as_well() {
        let (authority, key) = version_1::tests::authority("ours");
        let leaf = version_1::tests::leaf("bob", &authority, &key);
        let pem = pem(&authority);
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let user = X509::new(pem.as_bytes(), clock).unwrap().verify(&[leaf]).unwrap();
        assert_eq!(&*user.name, "bob");
    }

    fn pem(certificate: &CertificateDer<'_>) -> String {
        let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// The bug was that the first common name was the user, where whoever approves a certificate is shown the last.
    #[test]
    fn the_last_common_name_is_the_user() {
        let common_name = || DnType::CustomDnType(vec![2, 5, 4, 3]);
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let check = |subject: &[(DnType, DnValue)], want: Result<(&str, &[&str]), &str>| {
            let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let authority = params.self_signed(&key).unwrap();
            let verifier = X509::new(authority.pem().as_bytes(), Arc::clone(&clock) as _).unwrap();
            let mut leaf = CertificateParams::default();
            leaf.distinguished_name = DistinguishedName::new();
            for (kind, value) in subject {
                leaf.distinguished_name.push(kind.clone(), value.clone());
            }
            leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let issuer = Issuer::new(params, key);
            let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
            let got = verifier.verify(&[leaf.der().clone()]);
            let got = got.map(|user| (user.name, user.groups)).map_err(|error| error.to_string());
            let want = want.map(|(name, groups)| (name.into(), groups.iter().map(|group| (*group).into()).collect()));
            assert_eq!(got, want.map_err(str::to_owned));
        };
        let nodes = (DnType::OrganizationName, utf8("system:nodes"));
        check(
            &[nodes.clone(), (DnType::CommonName, utf8("system:admin")), (common_name(), utf8("system:node:me"))],
            Ok(("system:node:me", &["system:nodes"])),
        );
        check(&[(DnType::CommonName, utf8("bob"))], Ok(("bob", &[])));
        check(&[nodes], Err("verifying certificate failed: the subject has no common name"));
    }
}
