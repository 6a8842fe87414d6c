//! Where an API server is and how to trust it, as values.

use std::{fmt, sync::Arc};

use super::credentials::Credentials;

/// How to reach one API server under one identity.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address: `https://10.0.0.1:6443`, with a path if the server sits below one.
    pub server: String,
    /// Trust and client certificate; unused for `http` addresses.
    pub tls: Tls,
    /// What is sent with every request.
    pub credentials: Credentials,
    /// What the client calls itself.
    pub user_agent: String,
}

/// Trust and client certificate.
#[derive(Clone)]
pub enum Tls {
    /// From PEM texts.
    Pem {
        /// The authorities that may have signed the server's certificate.
        authorities: Vec<u8>,
        /// The client's certificate chain and key; `None` for none.
        identity: Option<(Vec<u8>, Vec<u8>)>,
        /// The name that the server's certificate is checked against, in place of the address.
        server_name: Option<String>,
    },
    /// The server is not checked at all: `insecure-skip-tls-verify`.
    Insecure {
        /// The client's certificate chain and key; `None` for none.
        identity: Option<(Vec<u8>, Vec<u8>)>,
    },
    /// A configuration made elsewhere, such as one whose certificates rotate.
    Custom(Arc<rustls::ClientConfig>),
}

impl HttpConfig {
    /// A server that is reached with PEM authorities and a client certificate.
    pub fn with_certificate(server: impl Into<String>, authorities: Vec<u8>, chain: Vec<u8>, key: Vec<u8>) -> Self {
        let tls = Tls::Pem { authorities, identity: Some((chain, key)), server_name: None };
        Self { server: server.into(), tls, credentials: Credentials::None, user_agent: default_user_agent() }
    }

    /// A server that is reached with PEM authorities and credentials.
    pub fn with_credentials(server: impl Into<String>, authorities: Vec<u8>, credentials: Credentials) -> Self {
        let tls = Tls::Pem { authorities, identity: None, server_name: None };
        Self { server: server.into(), tls, credentials, user_agent: default_user_agent() }
    }
}

pub(crate) fn default_user_agent() -> String {
    format!("corten/{}", env!("CARGO_PKG_VERSION"))
}

impl fmt::Debug for Tls {
    /// Without keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem { identity: Some(_), .. } => "Pem(with client certificate)",
            Self::Pem { .. } => "Pem",
            Self::Insecure { .. } => "Insecure",
            Self::Custom(_) => "Custom",
        })
    }
}
