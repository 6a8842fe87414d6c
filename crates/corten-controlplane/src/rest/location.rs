//! Where this server sends requests of others, over what, and why it could not.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/{net,proxy}, `ProxyTransport` in pkg/controlplane/apiserver (v1.35).

use std::{fmt, io, sync::Arc};

use corten_client::transport::http::TrustsAnyone;
use rustls::ClientConfig;

/// How a target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Plain HTTP.
    Plain,
    /// TLS without a look at the target's certificate, as upstream: pods and services have none of this cluster.
    Tls,
    /// TLS with this server's certificate for kubelets, to a server that the cluster knows.
    Kubelet,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// An address, or a name where a node has no address.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// How it is spoken to.
    pub(crate) transport: Transport,
    /// Path and query.
    pub(crate) path: String,
}

impl Location {
    /// Host and port, as a `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Why a request could not be sent. The text is what upstream's clients see.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection.
    Dial {
        /// Host and port.
        authority: String,
        /// Why not.
        error: io::Error,
    },
    /// The connection broke, or what came was no HTTP.
    Talk(hyper::Error),
    /// The request cannot be written down.
    Form(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial { authority, error } => {
                write!(f, "dial tcp {authority}: ")?;
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => f.write_str("connect: connection refused"),
                    io::ErrorKind::HostUnreachable => f.write_str("connect: no route to host"),
                    io::ErrorKind::NetworkUnreachable => f.write_str("connect: network is unreachable"),
                    io::ErrorKind::TimedOut => f.write_str("i/o timeout"),
                    _ => write!(f, "{error}"),
                }
            }
            Self::Talk(error) if error.is_incomplete_message() => f.write_str("EOF"),
            Self::Talk(error) => write!(f, "{error}"),
            Self::Form(error) => write!(f, "{error}"),
        }
    }
}

/// TLS to servers whose certificates say nothing to this cluster.
pub(super) fn unverified_config() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(TrustsAnyone::new(provider))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_upstreams() {
        let error = |kind: io::ErrorKind| SendError::Dial { authority: "10.0.0.1:80".to_owned(), error: kind.into() };
        let text = error(io::ErrorKind::ConnectionRefused).to_string();
        assert_eq!(text, "dial tcp 10.0.0.1:80: connect: connection refused");
        assert_eq!(error(io::ErrorKind::TimedOut).to_string(), "dial tcp 10.0.0.1:80: i/o timeout");
    }
}
