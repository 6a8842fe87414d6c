//! TLS of the server: clients' certificates are asked for, and checked if given.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::{Config, ServerError};

/// The configuration for HTTP/2 and HTTP/1.1.
pub(super) fn server_config(config: &Config) -> Result<Arc<ServerConfig>, ServerError> {
    let bad = |error: &dyn std::fmt::Display| ServerError::Certificate(error.to_string());
    let chain = CertificateDer::pem_slice_iter(config.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(config.key.as_bytes()).map_err(|error| bad(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(config.client_authorities.as_bytes()) {
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
    let mut tls = builder.with_single_cert(chain, key).map_err(|error| bad(&error))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}
