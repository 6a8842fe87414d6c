//! TLS of the server: its certificate, renewed without restart, and clients' certificates, asked for but not required.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

/// A certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use server certificate: {0}")]
pub struct BadCertificate(String);

/// The server's certificate; clones share it.
#[derive(Debug, Clone)]
pub struct ServerCertificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl ServerCertificate {
    /// A certificate chain and its key, both PEM.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, BadCertificate> {
        Ok(Self(Arc::new(RwLock::new(load(certificate, key)?))))
    }

    /// Replaces it: new connections get the new one.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), BadCertificate> {
        *self.0.write() = load(certificate, key)?;
        Ok(())
    }
}

fn load(certificate: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, BadCertificate> {
    let bad = |error: &dyn std::fmt::Display| BadCertificate(error.to_string());
    let chain =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad(&error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(|error| bad(&error))
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

/// The configuration for HTTP/2 and HTTP/1.1 over TLS 1.2 and 1.3.
pub fn server_config(certificate: ServerCertificate) -> Result<Arc<ServerConfig>, BadCertificate> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| BadCertificate(error.to_string()))?
        .with_client_cert_verifier(Arc::new(AskForCertificate(provider)))
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes any certificate whose key the peer has. Who signed it is the authenticator's question, so that a stranger's
/// certificate is answered with `Unauthorized` and not with a broken handshake.
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
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
