//! Opens connections: TCP, and TLS with the protocol negotiated where the address asks for it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use corten_base::{KeepAlive, SharedClock, timeout};
use futures::{FutureExt as _, future::BoxFuture};
use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::config::Tls;

/// How long a connection may take to open. Upstream: the dialer of client-go.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Upstream: the same dialer asks each 30 s; the kernel's usual nine questions.
const KEEP_ALIVE: KeepAlive = KeepAlive { idle: Duration::from_secs(30), interval: Duration::from_secs(30), probes: 9 };

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The address has no host, or neither `http` nor `https`.
    #[error("server address {0:?} is not an http or https address")]
    Server(String),
    /// The user agent is no header text.
    #[error("user agent {0:?} cannot be sent")]
    UserAgent(String),
    /// A PEM text cannot be read.
    #[error("read PEM of {what}")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// There is no authority to trust.
    #[error("no certificate authority is given")]
    NoAuthority,
    /// Certificates, keys and names do not go together.
    #[error("configure TLS")]
    Tls(#[source] rustls::Error),
    /// The server's name is neither a DNS name nor an address.
    #[error("server name {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
}

/// Opens connections to one server.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<(TlsConnector, ServerName<'static>)>,
    clock: SharedClock,
}

impl Connector {
    pub(super) fn new(uri: &Uri, tls: &Tls, clock: SharedClock) -> Result<Self, ConfigError> {
        if uri.scheme_str() != Some("https") {
            return Ok(Self { tls: None, clock });
        }
        let server_name = tls.server_name(uri.host().unwrap_or_default())?;
        Ok(Self { tls: Some((TlsConnector::from(tls.client_config()?), server_name)), clock })
    }
}

impl Tls {
    /// What rustls is told, with HTTP/2 before HTTP/1.1.
    ///
    /// Errors: texts that are no PEM, no authority, or certificates and keys that do not go together.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, ConfigError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(ConfigError::Tls)?;
        let (builder, identity) = match self {
            Tls::Custom(config) => return Ok(Arc::clone(config)),
            Tls::Pem { authorities, identity, .. } => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(authorities, "certificate authority")? {
                    roots.add(certificate).map_err(ConfigError::Tls)?;
                }
                if roots.is_empty() {
                    return Err(ConfigError::NoAuthority);
                }
                (builder.with_root_certificates(roots), identity)
            }
            Tls::Insecure { identity } => {
                let verifier = TrustsAnyone::new(provider);
                (builder.dangerous().with_custom_certificate_verifier(verifier), identity)
            }
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|source| ConfigError::Pem { what: "client key", source })?;
                let chain = certificates(chain, "client certificate")?;
                builder.with_client_auth_cert(chain, key).map_err(ConfigError::Tls)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Whose certificate is wanted of the server at `host`, an address in brackets or without.
    ///
    /// Errors: that is neither a DNS name nor an IP address.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, ConfigError> {
        let name = match self {
            Self::Pem { server_name: Some(name), .. } => name.as_str(),
            _ => host.trim_start_matches('[').trim_end_matches(']'),
        };
        ServerName::try_from(name.to_owned()).map_err(|_| ConfigError::ServerName(name.to_owned()))
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|source| ConfigError::Pem { what, source })
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        async move {
            let opened = timeout(&*this.clock, CONNECT_TIMEOUT, open(&uri, this.tls)).await;
            opened.map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))?
        }
        .boxed()
    }
}

async fn open(uri: &Uri, tls: Option<(TlsConnector, ServerName<'static>)>) -> io::Result<TokioIo<Stream>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    // A watch waits for as long as it takes: without this one over HTTP/1.1 would not find out that the other end vanished.
    KEEP_ALIVE.set(&tcp)?;
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some((connector, name)) => Stream::Tls(Box::new(connector.connect(name, tcp).await?)),
    };
    Ok(TokioIo::new(stream))
}

/// An open connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => Connected::new().negotiated_h2(),
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Accepts every certificate, for `insecure-skip-tls-verify` and for probes, which ask whether something answers and not
/// who; signatures are still checked.
#[derive(Debug)]
pub struct TrustsAnyone(Arc<CryptoProvider>);

impl TrustsAnyone {
    /// A verifier that checks signatures with `provider`.
    #[must_use]
    pub fn new(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self(provider))
    }
}

impl ServerCertVerifier for TrustsAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
