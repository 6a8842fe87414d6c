//! The key of a request, and the proof that who asks has it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P521_SHA256_ASN1, ED25519, RSA_PSS_2048_8192_SHA256,
    RsaParameters, RsaPssSaltLength, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::{prelude::FromDer as _, public_key::PublicKey, x509::SubjectPublicKeyInfo};

const ED25519_ID: &str = "1.3.101.112";
const X25519_ID: &str = "1.3.101.110";
const RSA_ID: &str = "1.2.840.113549.1.1.1";
const EC_ID: &str = "1.2.840.10045.2.1";
const DSA_ID: &str = "1.2.840.10040.4.1";

/// Signers such as Go's choose the longest salt that fits, which is another than that of the digest.
static RSA_LONGEST_SALT: RsaParameters = RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// Why a key or a proof is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is none.
    Unreadable,
    /// It is of a kind that no certificate has.
    Kind,
    /// It is on another curve.
    Curve(&'static str),
    /// It is too short, or of a size that nobody asks for.
    Bits(usize),
    /// The proof is not its own.
    Proof,
}

/// Checks that `der` (PKIX) is a key for certificates, and `proof` its signature of `message`.
pub(super) fn check(der: &[u8], message: &[u8], proof: &[u8]) -> Result<(), Fault> {
    let key = parse(der).ok_or(Fault::Unreadable)?;
    let algorithms: &[&'static dyn VerificationAlgorithm] = match key.algorithm.algorithm.to_id_string().as_str() {
        ED25519_ID => &[&ED25519],
        EC_ID => match curve(&key).ok_or(Fault::Unreadable)? {
            "P-256" => &[&ECDSA_P256_SHA256_ASN1],
            "P-384" => &[&ECDSA_P384_SHA256_ASN1],
            "P-521" => &[&ECDSA_P521_SHA256_ASN1],
            other => return Err(Fault::Curve(other)),
        },
        RSA_ID => match bits(&key).ok_or(Fault::Unreadable)? {
            3_072 | 4_096 => &[&RSA_LONGEST_SALT, &RSA_PSS_2048_8192_SHA256],
            other => return Err(Fault::Bits(other)),
        },
        X25519_ID | DSA_ID => return Err(Fault::Kind),
        _ => return Err(Fault::Unreadable),
    };
    let bytes = &key.subject_public_key.data;
    let is_proven = |algorithm: &&'static dyn VerificationAlgorithm| {
        UnparsedPublicKey::new(*algorithm, bytes).verify(message, proof).is_ok()
    };
    if algorithms.iter().any(is_proven) { Ok(()) } else { Err(Fault::Proof) }
}

/// The key in a PKIX structure and nothing else.
pub(super) fn parse(der: &[u8]) -> Option<SubjectPublicKeyInfo<'_>> {
    let (rest, key) = SubjectPublicKeyInfo::from_der(der).ok()?;
    rest.is_empty().then_some(key)
}

fn curve(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static str> {
    let id = key.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string();
    let known = [
        ("1.3.132.0.33", "P-224"),
        ("1.2.840.10045.3.1.7", "P-256"),
        ("1.3.132.0.34", "P-384"),
        ("1.3.132.0.35", "P-521"),
    ];
    known.into_iter().find(|(known, _)| *known == id).map(|(_, name)| name)
}

/// How long the modulus is, in whole bytes.
fn bits(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    let Ok(PublicKey::RSA(rsa)) = key.parsed() else { return None };
    let leading = rsa.modulus.iter().take_while(|byte| **byte == 0).count();
    Some((rsa.modulus.len() - leading) * 8)
}
