//! TLS of a server: its certificate, renewed without restart, and what clients' certificates have to be.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime, pem::PemObject as _},
    server::{
        ClientHello, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use x509_parser::{
    parse_x509_certificate,
    x509::{SubjectPublicKeyInfo, X509Version},
};

/// A certificate, key or authority cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use server certificate: {0}")]
pub struct BadCertificate(String);

impl BadCertificate {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The server's certificate; clones share it.
#[derive(Debug, Clone)]
pub struct ServerCertificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl ServerCertificate {
    /// A certificate chain and its key, both PEM.
    pub fn new(certificate: &str, key: &str) -> Result<Self, BadCertificate> {
        Ok(Self(Arc::new(RwLock::new(load(certificate, key)?))))
    }

    /// Replaces it: new connections get the new one.
    ///
    /// Errors: it is unusable; the old one stays.
    pub fn replace(&self, certificate: &str, key: &str) -> Result<(), BadCertificate> {
        let loaded = load(certificate, key)?;
        *self.0.write() = loaded;
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

fn load(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>, BadCertificate> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(BadCertificate::new)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(BadCertificate::new)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(BadCertificate::new)
}

/// What the handshake asks of a client. None has to have a certificate.
#[derive(Debug, Clone, Copy)]
pub enum ClientCertificate<'a> {
    /// Any certificate will do whose key the client has: who signed it is the authenticator's question, so that a
    /// stranger's certificate is answered with `Unauthorized` and not with a broken handshake.
    Any,
    /// One that these authorities, PEM, have signed; with none of them, clients are not asked.
    SignedBy(&'a str),
}

/// The configuration for HTTP/2 and HTTP/1.1 over TLS 1.2 and 1.3.
pub fn server_config(
    certificate: ServerCertificate,
    clients: ClientCertificate<'_>,
) -> Result<Arc<ServerConfig>, BadCertificate> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(BadCertificate::new)?;
    let builder = match clients {
        ClientCertificate::Any => builder.with_client_cert_verifier(Arc::new(AskForCertificate(provider))),
        ClientCertificate::SignedBy(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
                roots.add(authority.map_err(BadCertificate::new)?).map_err(BadCertificate::new)?;
            }
            if roots.is_empty() {
                builder.with_no_client_auth()
            } else {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(BadCertificate::new)?;
                builder.with_client_cert_verifier(verifier)
            }
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Asks `verify` about the key of a certificate of version 1, which the library refuses to read: plain `openssl x509 -req` makes
/// such ones, and Go takes them. `verified` is what the library said.
fn or_by_key_of_version_1(
    verified: Result<HandshakeSignatureValid, rustls::Error>,
    certificate: &CertificateDer<'_>,
    verify: impl FnOnce(&SubjectPublicKeyInfo<'_>) -> Result<HandshakeSignatureValid, rustls::Error>,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let Err(rustls::Error::InvalidCertificate(_)) = &verified else { return verified };
    match parse_x509_certificate(certificate) {
        Ok((_, certificate)) if certificate.version() == X509Version::V1 => verify(certificate.public_key()),
        _ => verified,
    }
}

/// Whose the certificate is, and who says so, is found out with the first request.
#[derive(Debug)]
struct AskForCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AskForCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        let verified = verify_tls12_signature(message, certificate, signature, algorithms);
        or_by_key_of_version_1(verified, certificate, |key| {
            let candidates = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
            let bits = &*key.subject_public_key.data;
            let is_right = candidates
                .flat_map(|(_, candidates)| *candidates)
                .any(|candidate| candidate.verify_signature(bits, message, signature.signature()).is_ok());
            if is_right {
                Ok(HandshakeSignatureValid::assertion())
            } else {
                Err(rustls::CertificateError::BadSignature.into())
            }
        })
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        let verified = verify_tls13_signature(message, certificate, signature, algorithms);
        or_by_key_of_version_1(verified, certificate, |key| {
            let key = SubjectPublicKeyInfoDer::from(key.raw);
            verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
