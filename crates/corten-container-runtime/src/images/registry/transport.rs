//! GET over HTTP/1.1 and TLS: one connection per request, redirects followed, silence bounded.

use std::{
    fmt,
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use corten_base::{ErrorChain, SharedClock, TaskSet, timeout};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::blocking;

/// How many redirects are followed: registries send blobs to their storage.
const REDIRECTS_MAX: usize = 10;
/// How the runtime names itself.
const USER_AGENT: &str = concat!("corten/", env!("CARGO_PKG_VERSION"));

/// Sends requests.
pub(super) struct Transport {
    authorities: Vec<PathBuf>,
    patience: Duration,
    clock: SharedClock,
    tasks: TaskSet,
    tls: OnceLock<TlsConnector>,
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// A body, with the connection that brings it.
pub(super) struct Body {
    incoming: Incoming,
    connection: Option<Connection>,
    patience: Duration,
    clock: SharedClock,
}

type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Body {
    /// The next piece; `None` at the end. Errors: the transfer broke off, or the peer says nothing any more.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            let (incoming, connection) = (&mut self.incoming, &mut self.connection);
            let frame = std::future::poll_fn(|context| {
                if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
                    *connection = None;
                }
                Pin::new(&mut *incoming).poll_frame(context)
            });
            match timeout(&*self.clock, self.patience, frame).await {
                Err(elapsed) => return Some(Err(elapsed.to_string())),
                Ok(None) => return None,
                Ok(Some(Err(error))) => return Some(Err(describe(&error))),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
            }
        }
    }

    /// All of it. Errors: as `next`, or it is longer than `limit` bytes.
    pub(super) async fn read(mut self, limit: usize) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > limit {
                return Err(format!("the answer has more than {limit} bytes"));
            }
        }
        Ok(all)
    }
}

impl Transport {
    pub(super) fn new(authorities: Vec<PathBuf>, patience: Duration, clock: SharedClock, tasks: TaskSet) -> Self {
        Self { authorities, patience, clock, tasks, tls: OnceLock::new() }
    }

    /// Reads a URL. `proof` is the value of `Authorization`; it goes to the first host only.
    ///
    /// Errors: in Go's words, with the URL.
    pub(super) async fn get(&self, url: &str, accept: Option<&str>, proof: Option<&str>) -> Result<Answer, String> {
        let first: Uri = url.parse().map_err(|error| format!("parse \"{url}\": {error}"))?;
        let mut current = first.clone();
        for _ in 0..=REDIRECTS_MAX {
            let proof = proof.filter(|_| current.authority() == first.authority());
            let sent = timeout(&*self.clock, self.patience, self.send(&current, accept, proof)).await;
            let answer = sent.unwrap_or_else(|elapsed| Err(format!("{elapsed} while awaiting headers")));
            let answer = answer.map_err(|error| format!("Get \"{current}\": {error}"))?;
            if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| format!("Get \"{current}\": a redirect without location"))?;
            let next = join(&current, location).map_err(|error| format!("Get \"{current}\": {error}"))?;
            if current.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(format!("Get \"{current}\": a redirect from HTTPS to {next}"));
            }
            current = next;
        }
        Err(format!("Get \"{current}\": stopped after {REDIRECTS_MAX} redirects"))
    }

    async fn send(&self, url: &Uri, accept: Option<&str>, proof: Option<&str>) -> Result<Answer, String> {
        let is_tls = url.scheme_str() == Some("https");
        let host = url.host().ok_or("no host in request URL")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = dial(&host, port).await?;
        if is_tls {
            let tls = self.tls().await?;
            let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
            let stream = tls.connect(name, stream).await.map_err(|error| tls_words(&error))?;
            self.request(url, accept, proof, stream).await
        } else {
            self.request::<TcpStream>(url, accept, proof, stream).await
        }
    }

    async fn request<S>(
        &self,
        url: &Uri,
        accept: Option<&str>,
        proof: Option<&str>,
        stream: S,
    ) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let text = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::get(path).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, text(url.authority().map(http::uri::Authority::as_str).unwrap_or_default())?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::ACCEPT, text(accept.unwrap_or("*/*"))?);
        if let Some(proof) = proof {
            headers.insert(header::AUTHORIZATION, text(proof)?);
        }
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| describe(&error))?;
        // How it ends shows in the body.
        let mut connection: Option<Connection> = Some(Box::pin(async move { drop(connection.await) }));
        let mut response = Box::pin(sender.send_request(request));
        let response = std::future::poll_fn(|context| {
            if let Poll::Ready(response) = response.as_mut().poll(context) {
                return Poll::Ready(response);
            }
            if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
                connection = None;
            }
            response.as_mut().poll(context)
        });
        let (head, incoming) = response.await.map_err(|error| describe(&error))?.into_parts();
        let body = Body { incoming, connection, patience: self.patience, clock: self.clock.clone() };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// TLS that trusts the configured authorities, read at the first use.
    async fn tls(&self) -> Result<TlsConnector, String> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let files = self.authorities.clone();
        let roots = blocking::run(&self.tasks, "authorities", move || roots(&files)).await;
        let roots = roots.map_err(|panicked| panicked.to_string())?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config))).clone())
    }
}

/// The authorities in these files. What is not there or no certificate is passed over: a bundle has odd ones, too. One that
/// cannot be read is told of: what follows is "unknown authority".
fn roots(files: &[PathBuf]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for file in files.iter().filter(|file| file.is_file()) {
        match CertificateDer::pem_file_iter(file) {
            Ok(certificates) => {
                let (added, ignored) = roots.add_parsable_certificates(certificates.filter_map(Result::ok));
                tracing::debug!(file = %file.display(), added, ignored, "Read certificate authorities");
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), err = %error, "Could not read certificate authorities");
            }
        }
    }
    roots
}

/// Connects, with errors in Go's words.
async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let unknown = || format!("dial tcp: lookup {host}: no such host");
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|_| unknown())?;
    let mut last = unknown();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
                let words = errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_ascii_lowercase());
                last = format!("dial tcp {shown}:{port}: connect: {words}");
            }
        }
    }
    Err(last)
}

fn tls_words(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("UnknownIssuer") {
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
    }
    if text.contains("InvalidContentType") {
        return "http: server gave HTTP response to HTTPS client".to_owned();
    }
    format!("tls: {text}")
}

fn describe(error: &hyper::Error) -> String {
    if error.is_incomplete_message() { "EOF".to_owned() } else { ErrorChain(error).to_string() }
}

/// The URL that a redirect means.
fn join(base: &Uri, location: &str) -> Result<Uri, String> {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let text = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{location}")
    };
    text.parse().map_err(|error| format!("failed to parse Location header \"{location}\": {error}"))
}

/// A value of a query.
pub(super) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("patience", &self.patience).finish_non_exhaustive()
    }
}
