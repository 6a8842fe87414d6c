//! Client certificates: the last common name is the user, organizations are groups.
//!
//! Upstream: k8s.io/apiserver/pkg/authentication/request/x509 (v1.35).

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{resource::UserInfo, value::Str};
use corten_base::SharedClock;
use corten_component_base::certificates::Subject;
use parking_lot::Mutex;
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
/// to an authority is found out by the first request, and again by the first after one of the certificates has begun or
/// ended.
#[derive(Debug, Default)]
pub struct ClientCertificates {
    chain: Vec<CertificateDer<'static>>,
    known: Mutex<Option<Known>>,
}

impl ClientCertificates {
    /// What the peer presented, its own certificate first.
    #[must_use]
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Self {
        Self { chain, known: Mutex::new(None) }
    }
}

/// Whose certificates they are, and for how long that is so.
#[derive(Debug)]
struct Known {
    user: Result<UserInfo, InvalidCredentials>,
    /// In seconds since 1970: within, each certificate is either valid all the time or never.
    during: Range<i64>,
}

/// Knows users by certificates that an authority has signed.
#[derive(Debug)]
pub struct X509 {
    /// Of all authorities.
    verifier: Arc<dyn ClientCertVerifier>,
    roots: Vec<Root>,
    clock: SharedClock,
}

/// An authority.
#[derive(Debug)]
struct Root {
    certificate: CertificateDer<'static>,
    /// When it is valid.
    valid: Range<i64>,
}

/// The authorities' certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use client certificate authority: {0}")]
pub struct BadAuthority(String);

impl X509 {
    /// Trusts the authorities in `pem`, each in its time.
    ///
    /// Errors: something in it is no certificate, or none is in it.
    pub fn new(pem: &[u8], clock: SharedClock) -> Result<Self, BadAuthority> {
        let roots = CertificateDer::pem_slice_iter(pem).map(|certificate| {
            let certificate = certificate.map_err(|error| BadAuthority(error.to_string()))?;
            let valid = validity(&certificate).ok_or_else(|| BadAuthority("no certificate in it".to_owned()))?;
            Ok(Root { certificate, valid })
        });
        let roots = roots.collect::<Result<Vec<_>, BadAuthority>>()?;
        Ok(Self { verifier: verifier(&roots.iter().collect::<Vec<_>>())?, roots, clock })
    }

    /// What is known of these certificates now.
    fn known(&self, certificates: &ClientCertificates) -> Result<UserInfo, InvalidCredentials> {
        let now = self.clock.now().as_second();
        if let Some(known) = certificates.known.lock().as_ref().filter(|known| known.during.contains(&now)) {
            return known.user.clone();
        }
        let user = self.verify(&certificates.chain, now);
        let presented = certificates.chain.iter().filter_map(validity);
        let during = unchanged(now, presented.chain(self.roots.iter().map(|root| root.valid.clone())));
        *certificates.known.lock() = Some(Known { user: user.clone(), during });
        user
    }

    /// What leads to one of the authorities that are valid at `seconds`. The library that checks chains does not ask when
    /// those are; Go does.
    fn verify(&self, chain: &[CertificateDer<'static>], seconds: i64) -> Result<UserInfo, InvalidCredentials> {
        let invalid = |why: &dyn std::fmt::Display| InvalidCredentials(format!("verifying certificate failed: {why}"));
        let (leaf, intermediates) = chain.split_first().ok_or_else(|| invalid(&"no certificate"))?;
        let (_, certificate) = parse_x509_certificate(leaf).map_err(|error| invalid(&error))?;
        let roots: Vec<_> = self.roots.iter().filter(|root| root.valid.contains(&seconds)).collect();
        if roots.is_empty() {
            return Err(invalid(&"x509: certificate signed by unknown authority"));
        }
        if certificate.version() == X509Version::V1 {
            let roots = roots.iter().map(|root| &root.certificate);
            version_1::verify(&certificate, roots, seconds).map_err(|error| invalid(&error))?;
        } else {
            let all = roots.len() == self.roots.len();
            let verifier = if all { Ok(Arc::clone(&self.verifier)) } else { verifier(&roots) };
            let verifier = verifier.map_err(|error| invalid(&error))?;
            let seconds = u64::try_from(seconds).unwrap_or_default();
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
            verifier.verify_client_cert(leaf, intermediates, now).map_err(|error| invalid(&error))?;
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

fn verifier(roots: &[&Root]) -> Result<Arc<dyn ClientCertVerifier>, BadAuthority> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.certificate.clone()).map_err(|error| BadAuthority(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
    builder.build().map_err(|error| BadAuthority(error.to_string()))
}

/// When a certificate is valid, in seconds since 1970; `None` for what is none.
fn validity(certificate: &CertificateDer<'_>) -> Option<Range<i64>> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    // Its last second counts.
    Some(validity.not_before.timestamp()..validity.not_after.timestamp().saturating_add(1))
}

/// The time around `now` in which none of `ranges` begins or ends.
fn unchanged(now: i64, ranges: impl Iterator<Item = Range<i64>>) -> Range<i64> {
    ranges.flat_map(|range| [range.start, range.end]).fold(i64::MIN..i64::MAX, |during, at| {
        if at <= now { during.start.max(at)..during.end } else { during.start..during.end.min(at) }
    })
}

/// By which certificate a user is known: its fingerprint, so that what was done with it can be found.
fn credential_id(certificate: &[u8]) -> Str {
    format!("X509SHA256={:x}", Sha256::digest(certificate)).into()
}

#[async_trait]
impl Authenticator for X509 {
    async fn authenticate(&self, request: &Request) -> Result<Option<UserInfo>, InvalidCredentials> {
        match &request.origin {
            Origin::Connection { certificates, .. } if !certificates.chain.is_empty() => {
                self.known(certificates).map(Some)
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_base::{Clock as _, SimClock};
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
        let user = X509::new(pem.as_bytes(), clock).unwrap().known(&ClientCertificates::new(vec![leaf])).unwrap();
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
            let got = verifier.known(&ClientCertificates::new(vec![leaf.der().clone()]));
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

    /// A client kept the rights of a certificate that had ended for as long as it kept its connection.
    #[test]
    fn a_certificate_is_believed_in_its_time_and_in_its_authoritys_on_one_connection() {
        let check = |authority: [(i32, u8, u8); 2], leaf: [(i32, u8, u8); 2], good: &[&str], bad: &[&str]| {
            let date = |(year, month, day)| rcgen::date_time_ymd(year, month, day);
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            [params.not_before, params.not_after] = authority.map(date);
            let root = params.self_signed(&key).unwrap();
            let mut of_bob = CertificateParams::default();
            of_bob.distinguished_name.push(DnType::CommonName, "bob");
            of_bob.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            [of_bob.not_before, of_bob.not_after] = leaf.map(date);
            let of_bob = of_bob.signed_by(&KeyPair::generate().unwrap(), &Issuer::new(params, key)).unwrap();
            // Another authority, which is always valid, changes nothing.
            let other = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
            let clock = SimClock::new("2000-01-01T00:00:00Z".parse().unwrap());
            let pem = format!("{}{}", root.pem(), other.pem());
            let verifier = X509::new(pem.as_bytes(), Arc::clone(&clock) as _).unwrap();
            let connection = ClientCertificates::new(vec![of_bob.der().clone()]);
            let mut times: Vec<_> =
                good.iter().map(|at| (*at, true)).chain(bad.iter().map(|at| (*at, false))).collect();
            times.sort_unstable();
            for (at, is_good) in times {
                let to_go: jiff::Timestamp = at.parse().unwrap();
                let wait = to_go.as_second() - clock.now().as_second();
                clock.advance(std::time::Duration::from_secs(wait.try_into().unwrap()));
                assert_eq!(verifier.known(&connection).is_ok(), is_good, "{at}");
            }
        };
        let (first, last) = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
        let (before, after) = ("2026-01-31T23:59:59Z", "2026-03-01T00:00:01Z");
        let month = [(2026, 2, 1), (2026, 3, 1)];
        let long = [(2020, 1, 1), (2030, 1, 1)];
        check(long, month, &[first, "2026-02-10T00:00:00Z", last], &["2026-01-01T00:00:00Z", before, after]);
        check(month, long, &[first, "2026-02-10T00:00:00Z", last], &["2026-01-01T00:00:00Z", before, after]);
    }
}
