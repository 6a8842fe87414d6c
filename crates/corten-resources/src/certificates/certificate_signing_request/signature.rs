//! Whether a certificate request was signed with the key that it is for: proof that who asks has the key.
//!
//! What cannot be checked is refused. Go knows one curve more, P-224.
//! Upstream: `CertificateRequest.CheckSignature` in Go's crypto/x509, which pkg/apis/certificates/validation (v1.35) calls.

use aws_lc_rs::signature::{self as verify, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::{
    asn1_rs::Oid,
    certification_request::X509CertificationRequest,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_MD5WITHRSAENC,
        OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519,
    },
    x509::SubjectPublicKeyInfo,
};

const UNIMPLEMENTED: &str = "x509: cannot verify signature: algorithm unimplemented";

/// A kind of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    Rsa,
    Ecdsa,
    Ed25519,
}

impl Keys {
    /// Those that a signature of this algorithm is made with.
    fn of_signature(algorithm: &Oid<'_>) -> Option<Self> {
        let is_of = |known: &[Oid<'_>]| known.contains(algorithm);
        if is_of(&[
            OID_PKCS1_SHA1WITHRSA,
            OID_PKCS1_SHA256WITHRSA,
            OID_PKCS1_SHA384WITHRSA,
            OID_PKCS1_SHA512WITHRSA,
            OID_PKCS1_RSASSAPSS,
        ]) {
            Some(Self::Rsa)
        } else if is_of(&[OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512]) {
            Some(Self::Ecdsa)
        } else if is_of(&[OID_SIG_ED25519]) {
            Some(Self::Ed25519)
        } else {
            None
        }
    }

    /// Those that a public key is one of.
    fn of_key(key: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let algorithm = &key.algorithm.algorithm;
        let all = [
            (OID_PKCS1_RSAENCRYPTION, Self::Rsa),
            (OID_KEY_TYPE_EC_PUBLIC_KEY, Self::Ecdsa),
            (OID_SIG_ED25519, Self::Ed25519),
        ];
        all.into_iter().find(|(known, _)| known == algorithm).map(|(_, keys)| keys)
    }

    /// Go's word for them, its type of such a key, and what it says of a wrong signature.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Rsa => ("RSA", "*rsa.PublicKey", "crypto/rsa: verification error"),
            Self::Ecdsa => ("ECDSA", "*ecdsa.PublicKey", "x509: ECDSA verification failure"),
            Self::Ed25519 => ("Ed25519", "ed25519.PublicKey", "x509: Ed25519 verification failure"),
        }
    }
}

/// Checks the signature of `request`.
///
/// Errors: it is not one of the request's own key, or of a kind that is not known; in Go's words.
pub(super) fn check(request: &X509CertificationRequest<'_>) -> Result<(), String> {
    let key = &request.certification_request_info.subject_pki;
    let algorithm = &request.signature_algorithm.algorithm;
    if *algorithm == OID_PKCS1_MD5WITHRSAENC {
        return Err("x509: cannot verify signature: insecure algorithm MD5-RSA".to_owned());
    }
    let (of_algorithm, of_key) = (Keys::of_signature(algorithm), Keys::of_key(key));
    let (Some(wanted), Some(found)) = (of_algorithm, of_key) else { return Err(UNIMPLEMENTED.to_owned()) };
    if wanted != found {
        let ((wanted, ..), (_, found, _)) = (wanted.words(), found.words());
        return Err(format!(
            "x509: signature algorithm specifies an {wanted} public key, but have public key of type {found}"
        ));
    }
    let is_good = if *algorithm == OID_PKCS1_RSASSAPSS {
        // Its parameters say with which hash.
        request.verify_signature().is_ok()
    } else {
        let verifier = verifier(algorithm, key)?;
        let key = UnparsedPublicKey::new(verifier, &key.subject_public_key.data);
        key.verify(request.certification_request_info.raw, &request.signature_value.data).is_ok()
    };
    if is_good { Ok(()) } else { Err(wanted.words().2.to_owned()) }
}

/// What checks signatures of `algorithm` by `key`, whose kinds are the same. Keys of RSA have at least 1,024 bits, as in Go.
fn verifier(algorithm: &Oid<'_>, key: &SubjectPublicKeyInfo<'_>) -> Result<&'static dyn VerificationAlgorithm, String> {
    let of_rsa: [(_, &'static dyn VerificationAlgorithm); 4] = [
        (OID_PKCS1_SHA1WITHRSA, &verify::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
        (OID_PKCS1_SHA256WITHRSA, &verify::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        (OID_PKCS1_SHA384WITHRSA, &verify::RSA_PKCS1_2048_8192_SHA384),
        (OID_PKCS1_SHA512WITHRSA, &verify::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
    ];
    if let Some((_, verifier)) = of_rsa.into_iter().find(|(known, _)| known == algorithm) {
        return Ok(verifier);
    }
    if *algorithm == OID_SIG_ED25519 {
        return Ok(&verify::ED25519);
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let by_hash: [&'static dyn VerificationAlgorithm; 3] = match curve {
        Some(curve) if curve == OID_EC_P256 => {
            [&verify::ECDSA_P256_SHA256_ASN1, &verify::ECDSA_P256_SHA384_ASN1, &verify::ECDSA_P256_SHA512_ASN1]
        }
        Some(curve) if curve == OID_NIST_EC_P384 => {
            [&verify::ECDSA_P384_SHA256_ASN1, &verify::ECDSA_P384_SHA384_ASN1, &verify::ECDSA_P384_SHA512_ASN1]
        }
        Some(curve) if curve == OID_NIST_EC_P521 => {
            [&verify::ECDSA_P521_SHA256_ASN1, &verify::ECDSA_P521_SHA384_ASN1, &verify::ECDSA_P521_SHA512_ASN1]
        }
        _ => return Err("x509: unsupported elliptic curve".to_owned()),
    };
    let hashes = [OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512];
    let at = hashes.iter().position(|known| known == algorithm);
    at.map(|at| by_hash[at]).ok_or_else(|| UNIMPLEMENTED.to_owned())
}
