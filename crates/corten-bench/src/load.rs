//! A load client: requests over one or more HTTP/2 connections with real TLS, answers counted and not decoded.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use corten_base::TaskSet;
use corten_client::{kubeconfig::Kubeconfig, transport::http::Tls};
use futures::{StreamExt as _, stream};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Connections to one API server as its administrator.
#[derive(Clone)]
pub(crate) struct Load {
    connections: Arc<[SendRequest<Full<Bytes>>]>,
    authority: Arc<str>,
    /// The connections end with their last sender.
    _tasks: Arc<TaskSet>,
}

impl Load {
    /// Opens `connections` connections to the server of a kubeconfig.
    pub(crate) async fn open(kubeconfig: &Path, connections: usize) -> anyhow::Result<Self> {
        let config = Kubeconfig::read(kubeconfig)?.resolve(None)?.config;
        let authority = config.server.strip_prefix("https://").context("the server speaks https")?.to_owned();
        let tls = TlsConnector::from(Arc::new(client_config(&config.tls)?));
        let tasks = TaskSet::new("load");
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            let tcp = TcpStream::connect(&authority).await.with_context(|| format!("connect to {authority}"))?;
            tcp.set_nodelay(true).context("send at once")?;
            let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
            let name = ServerName::try_from(host.to_owned()).context("the server has a name")?;
            let stream = tls.connect(name, tcp).await.context("TLS")?;
            let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(8 << 20)
                .initial_connection_window_size(16 << 20)
                .handshake(TokioIo::new(stream))
                .await
                .context("HTTP/2")?;
            tasks.spawn("connection", async move {
                // A connection that breaks shows in the requests on it.
                let _ = connection.await;
            });
            opened.push(sender);
        }
        Ok(Self { connections: opened.into(), authority: authority.into(), _tasks: Arc::new(tasks) })
    }

    /// Sends a request on connection `number` (modulo their count) and gives its answer as it begins. A patch is a merge patch.
    pub(crate) async fn send(
        &self,
        number: usize,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(Full::new(body.into()))
            .context("form a request")?;
        let mut sender = self.connections[number % self.connections.len()].clone();
        sender.ready().await.context("the connection is open")?;
        sender.send_request(request).await.context("send a request")
    }

    /// As `send`, to the end; gives the number of bytes of the answer's body.
    pub(crate) async fn call(
        &self,
        number: usize,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        want: StatusCode,
    ) -> anyhow::Result<u64> {
        let answer = self.send(number, method, path, body).await?;
        let (status, mut body) = (answer.status(), answer.into_body());
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.context("read an answer")?;
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        ensure!(status == want, "{path}: {status} instead of {want}");
        Ok(bytes)
    }

    /// As `send`, to the end; gives the status and the whole body.
    pub(crate) async fn fetch(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = self.send(0, method, path, body).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.context("read an answer")?.to_bytes()))
    }

    /// Makes `count` calls, `clients` of them at a time.
    pub(crate) async fn many<F, C>(&self, count: usize, clients: usize, call: C) -> anyhow::Result<()>
    where
        C: Fn(Self, usize) -> F,
        F: Future<Output = anyhow::Result<u64>>,
    {
        let mut running = stream::iter(0..count).map(|number| call(self.clone(), number)).buffer_unordered(clients);
        while let Some(result) = running.next().await {
            result?;
        }
        Ok(())
    }
}

fn client_config(tls: &Tls) -> anyhow::Result<ClientConfig> {
    let Tls::Pem { authorities, identity: Some((chain, key)), .. } = tls else {
        anyhow::bail!("the kubeconfig has no client certificate");
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        roots.add(certificate.context("read the authority")?).context("trust the authority")?;
    }
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().context("read the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("read the key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
