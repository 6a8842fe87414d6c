//! TLS of the server: its certificate, renewed without restart, and clients' certificates, asked for, and checked if given.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};

use super::ServerError;

/// The server's certificate; clones share it.
#[derive(Debug, Clone)]
pub struct ServerCertificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl ServerCertificate {
    /// A certificate chain and its key, both PEM.
    pub(super) fn new(certificate: &str, key: &str) -> Result<Self, ServerError> {
        Ok(Self(Arc::new(RwLock::new(load(certificate, key)?))))
    }

    /// Replaces it: new connections get the new one.
    ///
    /// Errors: it is unusable; the old one stays.
    pub fn replace(&self, certificate: &str, key: &str) -> Result<(), ServerError> {
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

fn bad(error: &dyn std::fmt::Display) -> ServerError {
    ServerError::Certificate(error.to_string())
}

fn load(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>, ServerError> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| bad(&error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(|error| bad(&error))
}

/// The configuration for HTTP/2 and HTTP/1.1.
pub(super) fn server_config(
    certificate: ServerCertificate,
    client_authorities: &str,
) -> Result<Arc<ServerConfig>, ServerError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(client_authorities.as_bytes()) {
        roots.add(authority.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    let builder = if roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| bad(&error))?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut tls = builder.with_cert_resolver(Arc::new(certificate));
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}
