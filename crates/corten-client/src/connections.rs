//! HTTP/2 connections of one's own, as many as the caller says, with answers as they come: for load, and for tests of a server.
//! Components use a [`Client`](crate::Client), which shares connections and understands answers.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use corten_base::TaskSet;
use http::{Method, Request, header, uri::Authority};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    kubeconfig::{Kubeconfig, KubeconfigError},
    transport::http::ConfigError,
};

/// How much of all answers of a connection the server may send ahead.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection cannot be opened, or a request cannot be sent on it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The kubeconfig says nothing that could be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// What it says of addresses and TLS cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answers there, or not with a certificate that is trusted.
    #[error("connect to {authority}")]
    Connect {
        /// Host and port.
        authority: Authority,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The other end does not speak HTTP/2, or has gone.
    #[error("HTTP/2")]
    Http2(#[from] hyper::Error),
    /// Path and headers make no request.
    #[error("form a request")]
    Request(#[from] http::Error),
}

/// Open connections to one API server, as who the kubeconfig says.
#[derive(Clone)]
pub struct Connections {
    senders: Arc<[SendRequest<Full<Bytes>>]>,
    authority: Authority,
    /// The connections end with their last sender.
    _tasks: Arc<TaskSet>,
}

impl Connections {
    /// Opens `count` connections to the server of a kubeconfig, with so many bytes of each answer that it may send ahead.
    ///
    /// Errors: the kubeconfig cannot be used, or one of the connections does not open. Cancellation closes those that are open.
    pub async fn open(kubeconfig: &Path, count: usize, window: u32) -> Result<Self, ConnectionError> {
        let endpoint = Endpoint::of(kubeconfig, &[b"h2"])?;
        let tasks = TaskSet::new("connections");
        let mut senders = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = TokioIo::new(endpoint.connect().await?);
            let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(window)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(stream)
                .await?;
            tasks.spawn("connection", async move {
                // A connection that breaks shows in the requests on it.
                let _ = connection.await;
            });
            senders.push(sender);
        }
        Ok(Self { senders: senders.into(), authority: endpoint.authority, _tasks: Arc::new(tasks) })
    }

    /// Sends a request on connection `number` (modulo their count) and gives its answer as it begins. `media_types` are those of
    /// the body and of the answer that is wanted.
    ///
    /// Errors: path and headers make no request, or the connection has gone. Cancellation resets the stream.
    pub async fn send(
        &self,
        number: usize,
        method: Method,
        path: &str,
        media_types: (&str, &str),
        body: impl Into<Bytes>,
    ) -> Result<http::Response<Incoming>, ConnectionError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header(header::CONTENT_TYPE, media_types.0)
            .header(header::ACCEPT, media_types.1)
            .body(Full::new(body.into()))?;
        let mut sender = self.senders[number % self.senders.len()].clone();
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }
}

/// Where a kubeconfig leads, and what is said there.
pub struct Endpoint {
    tls: TlsConnector,
    name: ServerName<'static>,
    authority: Authority,
}

impl Endpoint {
    /// The server of a kubeconfig, to be spoken to in one of these protocols (ALPN).
    ///
    /// Errors: the kubeconfig cannot be read, or its server does not speak TLS.
    pub fn of(kubeconfig: &Path, protocols: &[&[u8]]) -> Result<Self, ConnectionError> {
        let config = Kubeconfig::read(kubeconfig)?.resolve(None)?.config;
        let no_address = || ConfigError::Server(config.server.clone());
        let authority = config.server.strip_prefix("https://").ok_or_else(no_address)?;
        let authority: Authority = authority.parse().map_err(|_| no_address())?;
        let mut tls = rustls::ClientConfig::clone(&*config.tls.client_config()?);
        tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = config.tls.server_name(authority.host())?;
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), name, authority })
    }

    /// A connection over which nothing was said yet.
    ///
    /// Errors: nobody answers, or with a certificate that is not trusted.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let opened = async {
            let tcp = TcpStream::connect(self.authority.as_str()).await?;
            tcp.set_nodelay(true)?;
            self.tls.connect(self.name.clone(), tcp).await
        };
        opened.await.map_err(|source| ConnectionError::Connect { authority: self.authority.clone(), source })
    }
}
