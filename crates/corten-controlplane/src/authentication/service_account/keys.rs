//! The keys that sign and verify tokens: ECDSA on P-256 (ours) or RSA (clusters made by others).
//!
//! Upstream: pkg/serviceaccount/jwt.go for algorithms and key ids (v1.35).

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
    },
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::{prelude::FromDer as _, public_key::PublicKey as Parsed, x509::SubjectPublicKeyInfo};

/// A key cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[error("use service account key: {0}")]
pub struct KeyError(String);

impl KeyError {
    fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Es256,
    Rs256,
}

impl Algorithm {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A new key pair, PEM: private key, public key.
pub fn new_key() -> Result<(String, String), KeyError> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(KeyError::new)?;
    let private = key.to_pkcs8v1().map_err(KeyError::new)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(KeyError::new)?;
    Ok((pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref())))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// The key that signs tokens.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Reads a private key in PEM: PKCS #8, SEC 1 or PKCS #1.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let ecdsa = |der: &[u8]| EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        let pair = match PrivateKeyDer::from_pem_slice(pem).map_err(KeyError::new)? {
            PrivateKeyDer::Pkcs1(der) => {
                Pair::Rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(KeyError::new)?)
            }
            PrivateKeyDer::Sec1(der) => Pair::Ecdsa(ecdsa(der.secret_sec1_der()).map_err(KeyError::new)?),
            PrivateKeyDer::Pkcs8(der) => match ecdsa(der.secret_pkcs8_der()) {
                Ok(pair) => Pair::Ecdsa(pair),
                Err(_) => Pair::Rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(KeyError::new)?),
            },
            _ => return Err(KeyError::new("unknown form of private key")),
        };
        let public: PublicKeyX509Der<'_> = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        }
        .map_err(KeyError::new)?;
        let public = PublicKey::from_der(public.as_ref())?;
        Ok(Self { pair, public })
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `message`, as JSON Web Signatures have it.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(KeyError::new)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(KeyError::new)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id).finish_non_exhaustive()
    }
}

/// A key that verifies tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The hash of the key, which tokens name.
    pub id: String,
    pub(super) algorithm: Algorithm,
    /// The point, or the PKCS #1 form.
    raw: Vec<u8>,
    /// The public numbers: x and y, or n and e.
    numbers: (Vec<u8>, Vec<u8>),
}

impl PublicKey {
    /// Reads public keys in PEM.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, KeyError> {
        SubjectPublicKeyInfoDer::pem_slice_iter(pem).map(|der| Self::from_der(&der.map_err(KeyError::new)?)).collect()
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let (_, info) = SubjectPublicKeyInfo::from_der(der).map_err(KeyError::new)?;
        let raw = info.subject_public_key.data.to_vec();
        let (algorithm, numbers) = match info.parsed().map_err(KeyError::new)? {
            // An uncompressed point: one byte of form, then both coordinates.
            Parsed::EC(_) if raw.len() == 65 => (Algorithm::Es256, (raw[1..33].to_vec(), raw[33..].to_vec())),
            Parsed::RSA(key) => {
                let plain = |number: &[u8]| {
                    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
                    number[zeros..].to_vec()
                };
                (Algorithm::Rs256, (plain(key.modulus), plain(key.exponent)))
            }
            _ => return Err(KeyError::new("neither RSA nor ECDSA on P-256")),
        };
        Ok(Self { id: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(der)), algorithm, raw, numbers })
    }

    /// Whether `signature` is this key's under `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.raw).verify(message, signature),
            Algorithm::Rs256 => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.raw).verify(message, signature)
            }
        }
        .is_ok()
    }

    /// The key as a JSON Web Key.
    pub(super) fn to_jwk(&self) -> serde_json::Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (first, second) = (text(&self.numbers.0), text(&self.numbers.1));
        match self.algorithm {
            Algorithm::Es256 => serde_json::json!({
                "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256", "x": first, "y": second,
            }),
            Algorithm::Rs256 => serde_json::json!({
                "use": "sig", "kty": "RSA", "kid": self.id, "alg": "RS256", "n": first, "e": second,
            }),
        }
    }
}
