//! Certificates of version 1, which have no extensions. Plain `openssl x509 -req` makes them, and Go takes them from clients;
//! the library that checks all others refuses to read them.
//!
//! Taken is what an authority itself has signed: nothing in such a certificate says whether it may sign others.
//! Upstream: `Certificate.isValid` in Go's crypto/x509.

use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{
        OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ED25519,
    },
    parse_x509_certificate,
    time::ASN1Time,
};

/// Checks that one of `roots` has signed `leaf`, and that both are valid at `now`, in seconds since 1970.
///
/// Errors: why it is not to be believed, in Go's words where it has some.
pub(super) fn verify<'a>(
    leaf: &X509Certificate<'_>,
    mut roots: impl Iterator<Item = &'a CertificateDer<'a>>,
    now: i64,
) -> Result<(), &'static str> {
    let now = ASN1Time::from_timestamp(now).map_err(|_| "the time is out of range")?;
    if !leaf.validity().is_valid_at(now) {
        return Err("x509: certificate has expired or is not yet valid");
    }
    // Not those of SHA-1, which can be forged.
    let strong = [
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519,
    ];
    if !strong.contains(&leaf.signature_algorithm.algorithm) {
        return Err("x509: cannot verify signature: insecure or unknown algorithm");
    }
    let has_signed = |root: &CertificateDer<'_>| {
        parse_x509_certificate(root).is_ok_and(|(_, root)| {
            root.subject().as_raw() == leaf.issuer().as_raw()
                && root.validity().is_valid_at(now)
                && leaf.verify_signature(Some(root.public_key())).is_ok()
        })
    };
    if roots.any(has_signed) { Ok(()) } else { Err("x509: certificate signed by unknown authority") }
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SigningKey as _};
    use x509_parser::asn1_rs::{Any, FromDer as _};

    use super::*;

    /// An authority of the common name `name`, and its key.
    pub(in crate::authentication) fn authority(name: &str) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.self_signed(&key).unwrap().der().clone(), key)
    }

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut all = vec![tag, 0x82, (length >> 8) as u8, length as u8];
        all.extend_from_slice(content);
        all
    }

    /// A certificate of version 1 for `name` that `issuer` has signed with `key`: one of version 3 without its first part and
    /// its last.
    pub(in crate::authentication) fn leaf(
        name: &str,
        issuer: &CertificateDer<'_>,
        key: &KeyPair,
    ) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let own = KeyPair::generate().unwrap();
        let model = params.self_signed(&own).unwrap();
        let (_, issuer) = parse_x509_certificate(issuer).unwrap();
        let (_, model) = parse_x509_certificate(model.der()).unwrap();
        let (_, whole) = Any::from_der(model.tbs_certificate.as_ref()).unwrap();
        let mut rest = whole.data;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (after, _) = Any::from_der(rest).unwrap();
            parts.push(&rest[..rest.len() - after.len()]);
            rest = after;
        }
        let [_version, serial, algorithm, _issuer, validity, subject, public_key, ..] = parts[..] else { panic!() };
        let parts = [serial, algorithm, issuer.subject().as_raw(), validity, subject, public_key];
        let signed = element(0x30, &parts.concat());
        let signature = element(0x03, &[&[0], &*key.sign(&signed).unwrap()].concat());
        CertificateDer::from(element(0x30, &[&signed, algorithm, &*signature].concat()))
    }

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn what_an_authority_has_signed_is_believed_in_its_time() {
        let (ours, key) = authority("ours");
        let (_, other_key) = authority("ours");
        let check = |certificate: &CertificateDer<'_>, now: i64, want: Result<(), &'static str>| {
            let (_, leaf) = parse_x509_certificate(certificate).unwrap();
            assert_eq!(leaf.version(), x509_parser::x509::X509Version::V1);
            assert_eq!(verify(&leaf, std::iter::once(&ours), now), want);
        };
        let good = leaf("bob", &ours, &key);
        check(&good, NOW, Ok(()));
        check(&good, 0, Err("x509: certificate has expired or is not yet valid"));
        check(&leaf("bob", &ours, &other_key), NOW, Err("x509: certificate signed by unknown authority"));
        let (theirs, their_key) = authority("theirs");
        check(&leaf("bob", &theirs, &their_key), NOW, Err("x509: certificate signed by unknown authority"));
    }
}
