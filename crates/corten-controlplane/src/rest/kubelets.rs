//! Connections to kubelets: found by node, over TLS with the API server's client certificate, one per request. Proxies to
//! pods and services go the same way, without TLS.
//!
//! Flow: node -> address and port -> dial -> the client's request goes on -> its answer, or both connections spliced.
//! Invariant: a connection is used for one request: what a kubelet sends after a refusal can reach nobody else. Redirects of
//! kubelets are refused.
//! Upstream: pkg/kubelet/client, k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go (v1.35).

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    field::quote,
    gvk::GroupResource,
    status::{Reason, Status},
    value::Value,
};
use corten_apiserver::{
    Reply, Request, Response,
    authentication::{strip_credentials, strip_impersonation},
    request::RequestBody,
    upgrade::Upgrade,
};
use corten_base::{SharedClock, Shutdown, ShutdownTrigger, TaskSet, timeout};
use corten_client::transport::http::TrustsAnyone;
use corten_component_base::certificates::KeyPairPem;
use corten_streaming::{negotiate, splice, websocket::send_bytes};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyDataStream, BodyExt as _, Empty, Full, Limited};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    forwarding,
    location::{Location, SendError, Transport, unverified_config},
    pages::{self, Pages},
};
use crate::caches::{Caches, tree};

/// How long a kubelet may take to accept a connection and TLS. Upstream: `--kubelet-timeout` has 5 s for the dial.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a kubelet may take to answer an upgrade.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a kubelet's refusal is read. Upstream: `maxReadLength`.
const REFUSAL_BYTES_MAX: usize = 50_000;

/// Where kubelets listen that do not say so.
const KUBELET_PORT: i64 = 10_250;

/// The addresses of a node, best first. Upstream: `--kubelet-preferred-address-types` as kubeadm sets it.
const ADDRESS_TYPES: &[&str] = &["InternalIP", "ExternalIP", "Hostname"];

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Connection = Box<dyn Io>;

/// How the API server shows itself to kubelets.
#[derive(Debug, Clone)]
pub struct KubeletClient {
    /// Its certificate. Upstream: `--kubelet-client-certificate`, `--kubelet-client-key`.
    pub pair: KeyPairPem,
    /// The authorities of kubelets' certificates, PEM; without them any certificate is taken. Upstream:
    /// `--kubelet-certificate-authority`.
    pub authorities: Option<String>,
}

/// The certificate for kubelets, or their authorities, cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use kubelet client certificate: {0}")]
pub struct BadKubeletClient(String);

/// The way to kubelets.
pub(crate) struct Kubelets {
    caches: Arc<Caches>,
    clock: SharedClock,
    /// Shows this server's certificate, and believes kubelets as `KubeletClient` says.
    tls: RwLock<Option<Arc<ClientConfig>>>,
    /// Believes anybody, and shows nothing.
    unverified: Arc<ClientConfig>,
    tasks: TaskSet,
    pages: Pages,
    stop: ShutdownTrigger,
    stopping: Shutdown,
}

impl fmt::Debug for Kubelets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kubelets({} tasks)", self.tasks.len())
    }
}

impl Kubelets {
    pub(crate) fn new(caches: Arc<Caches>, clock: SharedClock) -> Self {
        let (stop, stopping) = Shutdown::new();
        let tasks = TaskSet::new("kubelet-connections");
        Self {
            caches,
            pages: Pages::new(SharedClock::clone(&clock), tasks.clone()),
            clock,
            tls: RwLock::default(),
            unverified: unverified_config(),
            tasks,
            stop,
            stopping,
        }
    }

    /// Gives the certificate to show: before the first request, and again when it is renewed.
    pub(crate) fn identify(&self, client: &KubeletClient) -> Result<(), BadKubeletClient> {
        let config = client_config(client).map_err(|error| BadKubeletClient(error.to_string()))?;
        *self.tls.write() = Some(Arc::new(config));
        Ok(())
    }

    /// Ends all connections.
    pub(crate) async fn stop(&self) {
        self.stop.request();
        if let Err(panic) = self.tasks.join().await {
            tracing::error!(err = %panic, "Kubelet connection task panicked");
        }
    }

    /// Where the kubelet of `node` is asked for `path`.
    ///
    /// Errors: there is no such node, or it has told no address.
    pub(crate) async fn locate(&self, node: &str, path: String) -> Result<Location, Status> {
        let stored = self.caches.core("nodes", "", node).await?;
        let stored = stored.ok_or_else(|| Status::not_found(&GroupResource::new("", "nodes"), node))?;
        let node = tree(&stored)?;
        let addresses = node.items_at(&["status", "addresses"]);
        let host = ADDRESS_TYPES
            .iter()
            .find_map(|wanted| addresses.iter().find(|address| address.str_at(&["type"]) == Some(*wanted)))
            .and_then(|address| address.str_at(&["address"]))
            .ok_or_else(|| {
                let known: Vec<String> = addresses.iter().map(shown).collect();
                Status::internal(format!("no preferred addresses found; known addresses: [{}]", known.join(" ")))
            })?
            .to_owned();
        let port = node.i64_at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).filter(|port| *port > 0);
        let port = u16::try_from(port.unwrap_or(KUBELET_PORT)).map_err(Status::internal)?;
        Ok(Location { host, port, transport: Transport::Kubelet, path })
    }

    /// A connection to where a request goes.
    async fn dial(&self, location: &Location) -> Result<Connection, SendError> {
        let fail = |error: io::Error| SendError::Dial { authority: location.authority(), error };
        let tls = match location.transport {
            Transport::Plain => None,
            Transport::Tls => Some(Arc::clone(&self.unverified)),
            Transport::Kubelet => {
                let none = || fail(io::Error::other("this server has no certificate for kubelets"));
                Some(self.tls.read().clone().ok_or_else(none)?)
            }
        };
        let dialed = async {
            let stream = TcpStream::connect((location.host.as_str(), location.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = tls else { return Ok(Box::new(stream) as Connection) };
            let name = ServerName::try_from(location.host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(tls).connect(name, stream).await?;
            Ok(Box::new(stream) as Connection)
        };
        match timeout(&*self.clock, DIAL_TIMEOUT, dialed).await {
            Ok(dialed) => dialed.map_err(fail),
            Err(_) => Err(fail(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Sends one request over a connection of its own.
    async fn send(
        &self,
        location: &Location,
        method: Method,
        mut headers: HeaderMap,
        body: RequestBody,
    ) -> Result<http::Response<Incoming>, SendError> {
        let stream = self.dial(location).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(SendError::Talk)?;
        let stopping = self.stopping.clone();
        self.tasks.spawn("connection", async move {
            tokio::select! {
                biased;
                () = stopping.requested() => {}
                result = connection.with_upgrades() => if let Err(error) = result {
                    tracing::debug!(err = %error, "Connection to a kubelet ended with an error");
                },
            }
        });
        if !headers.contains_key(header::HOST) {
            let authority =
                HeaderValue::try_from(location.authority()).map_err(|error| SendError::Form(Box::new(error)))?;
            headers.insert(header::HOST, authority);
        }
        let mut request = http::Request::new(match body {
            RequestBody::Stream(incoming) => incoming.boxed_unsync(),
            RequestBody::Bytes(bytes) => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
            // Proxies are asked over connections only: no component of this process sends trees through them.
            RequestBody::Empty | RequestBody::Tree(_) => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        });
        *request.method_mut() = method;
        *request.uri_mut() = location.path.parse().map_err(|error| SendError::Form(Box::new(error)))?;
        *request.headers_mut() = headers;
        sender.send_request(request).await.map_err(SendError::Talk)
    }

    /// The answer to a request that is answered at once.
    async fn answer(
        &self,
        location: &Location,
        method: Method,
        headers: HeaderMap,
    ) -> Result<http::Response<Incoming>, Status> {
        let failed = |error: SendError| Status::internal(format!("error dialing backend: {error}"));
        let late =
            |_| failed(SendError::Dial { authority: location.authority(), error: io::ErrorKind::TimedOut.into() });
        timeout(&*self.clock, ANSWER_TIMEOUT, self.send(location, method, headers, RequestBody::Empty))
            .await
            .map_err(late)?
            .map_err(failed)
    }

    /// Hands the client's connection on to a kubelet. A refusal is passed on as it is.
    ///
    /// Errors: the request asks for no upgrade; the kubelet cannot be reached, or redirects.
    pub(crate) async fn upgrade(&self, location: &Location, request: &mut Request) -> Result<Reply, Status> {
        let client = Upgrade::take(&mut request.upgrade)?;
        let mut headers = onward(&request.headers);
        forwarding::come_from(&mut headers, request)?;
        let mut response = self.answer(location, request.method.clone(), headers).await?;
        let status = response.status();
        if status.is_redirection() {
            let message = "the backend attempted to redirect this request, which is not permitted";
            return Err(Status { code: 502, ..Status::new(Reason::InternalError, message) });
        }
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(refusal(response).await);
        }
        let headers = response.headers().clone();
        let is_websocket =
            headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let backend = hyper::upgrade::on(&mut response);
        let stopping = self.stopping.clone();
        self.tasks.spawn("stream", async move {
            let (client, backend) = match tokio::try_join!(client.switched(), backend) {
                Ok(both) => both,
                Err(error) => {
                    tracing::debug!(err = %error, "Client or kubelet left before the connection was switched");
                    return;
                }
            };
            tokio::select! {
                biased;
                () = stopping.requested() => {}
                // Each side ends its own direction; when both have, or one breaks, the connections are dropped.
                _ended = splice(client, TokioIo::new(backend), is_websocket) => {}
            }
        });
        Ok(Reply::new(Response::Upgrade { headers }))
    }

    /// Reads what a kubelet answers, as it comes.
    ///
    /// Errors: the kubelet cannot be reached, or redirects; its refusal as a `Status` about `resource`.
    pub(crate) async fn read(&self, location: &Location, resource: &str, name: &str) -> Result<Reply, Status> {
        let response = self.answer(location, Method::GET, HeaderMap::new()).await?;
        let code = response.status();
        let (parts, body) = response.into_parts();
        if code.is_success() {
            let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = media_type.unwrap_or("text/plain").to_owned();
            let body = BodyDataStream::new(body).map_err(std::io::Error::other).boxed();
            return Ok(Reply::new(Response::Stream { content_type, code: StatusCode::OK, body }));
        }
        // Where a redirect leads to is followed by nobody, and told to nobody.
        if code.is_redirection() && parts.headers.get(header::LOCATION).is_some_and(|to| !to.is_empty()) {
            let url = quote(&format!("https://{}{}", location.authority(), location.path));
            return Err(Status::new(Reason::Unknown, format!("Get {url}: redirects forbidden")));
        }
        let text = read_text(body).await;
        Err(match code {
            // It answers a request for another protocol, which nobody asked for: passed on, it would switch the client's.
            StatusCode::SWITCHING_PROTOCOLS => Status { code: 500, ..generic(code, resource, name, &text) },
            StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
            StatusCode::BAD_REQUEST => Status::bad_request(text),
            _ => generic(code, resource, name, &text),
        })
    }

    /// Sends a stream over the WebSocket that a request asks for, in place of an answer with it as body.
    ///
    /// Errors: the request asks for no WebSocket, or one that there is not.
    pub(crate) fn send_over_websocket(&self, request: &mut Request, stream: Reply) -> Result<Reply, Status> {
        let Response::Stream { body, .. } = stream.response else { return Ok(stream) };
        let agreed = match negotiate::negotiate(&request.headers, negotiate::READER) {
            Ok(agreed) => agreed,
            Err(refusal) => return Ok(Reply::text(refusal.code, refusal.message)),
        };
        let client = Upgrade::take(&mut request.upgrade)?;
        let stopping = self.stopping.clone();
        let is_base64 = agreed.protocol.starts_with("base64.");
        self.tasks.spawn("stream", async move {
            let client = match client.switched().await {
                Ok(client) => client,
                Err(error) => {
                    tracing::debug!(err = %error, "Client left before the connection was switched");
                    return;
                }
            };
            tokio::select! {
                biased;
                () = stopping.requested() => {}
                () = send_bytes(Box::new(client), is_base64, body) => {}
            }
        });
        Ok(Reply::new(Response::Upgrade { headers: agreed.headers }))
    }

    /// Hands a request on and its answer back, whatever it is, both as they come.
    ///
    /// Errors: `ServiceUnavailable` if nobody answers; a protocol that nobody asked for.
    pub(crate) async fn forward(&self, location: &Location, request: Request) -> Result<Reply, Status> {
        let mut headers = onward(&request.headers);
        forwarding::ask(&mut headers, &request)?;
        let unreachable =
            |error: SendError| Status::service_unavailable(format!("error trying to reach service: {error}"));
        let response = self.send(location, request.method, headers, request.body).await.map_err(unreachable)?;
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // Upstream: `handleUpgradeResponse` in Go's net/http/httputil.
            let to = parts.headers.get(header::UPGRADE).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let message = format!("backend tried to switch protocol {} when \"\" was requested", quote(to));
            return Err(Status::new(Reason::Unknown, message));
        }
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        forwarding::answer(&mut parts.headers, &request.path, location, host);
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = BodyDataStream::new(body).map_err(std::io::Error::other).boxed();
        // A redirect is followed, not read.
        let body = if pages::is_page(&content_type) && !parts.headers.contains_key(header::LOCATION) {
            let (path, location, host) = (request.path, location.clone(), host.to_owned());
            let rewrite = move |link: &str| forwarding::rewrite(link, &path, &location, &host);
            self.pages.rewritten(&mut parts.headers, body, rewrite).await
        } else {
            body
        };
        let mut reply = Reply::new(Response::Stream { content_type, code: parts.status, body });
        reply.headers = parts.headers;
        Ok(reply)
    }
}

/// Upstream: `NewGenericServerResponse`.
fn generic(code: StatusCode, resource: &str, name: &str, text: &str) -> Status {
    let (reason, message) = match code.as_u16() {
        401 => (Reason::Unauthorized, "the server has asked for the client to provide credentials".to_owned()),
        403 => (Reason::Forbidden, text.to_owned()),
        404 => (Reason::NotFound, "the server could not find the requested resource".to_owned()),
        405 => (Reason::MethodNotAllowed, "the server does not allow this method on the requested resource".to_owned()),
        422 => (Reason::Invalid, "the server rejected our request due to an error in our request".to_owned()),
        429 => (
            Reason::TooManyRequests,
            "the server has received too many requests and has asked us to try again later".to_owned(),
        ),
        503 => (Reason::ServiceUnavailable, text.to_owned()),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned(),
        ),
        other => (
            Reason::Unknown,
            format!("the server responded with the status code {other} but did not return more information"),
        ),
    };
    let message = if matches!(code.as_u16(), 403 | 503) { message } else { format!("{message} ({resource} {name})") };
    let details = corten_apimachinery::status::Details {
        name: name.into(),
        kind: resource.into(),
        causes: vec![corten_apimachinery::status::Cause {
            reason: "UnexpectedServerResponse".into(),
            message: text.to_owned(),
            field: String::new(),
        }],
        ..Default::default()
    };
    Status { code: code.as_u16(), details: Some(Box::new(details)), ..Status::new(reason, message) }
}

fn shown(address: &Value) -> String {
    let text = |key: &str| address.str_at(&[key]).unwrap_or_default().to_owned();
    format!("{{{} {}}}", text("type"), text("address"))
}

/// The headers that go on: without what the client proves its identity with to this server.
fn onward(headers: &HeaderMap) -> HeaderMap {
    let mut onward = headers.clone();
    strip_credentials(&mut onward);
    strip_impersonation(&mut onward);
    onward
}

async fn read_text(body: Incoming) -> String {
    match Limited::new(body, REFUSAL_BYTES_MAX).collect().await {
        Ok(collected) => String::from_utf8_lossy(&collected.to_bytes()).into_owned(),
        Err(error) => error.to_string(),
    }
}

/// What came of a body before it ended or broke, up to a limit: nothing else is said in its place.
async fn what_came<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Bytes {
    let mut came = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().unwrap_or_default();
        let left = REFUSAL_BYTES_MAX - came.len();
        came.extend_from_slice(&data[..data.len().min(left)]);
        if data.len() >= left {
            break;
        }
    }
    came.freeze()
}

async fn refusal(response: http::Response<Incoming>) -> Reply {
    let code = response.status();
    let mut headers = response.headers().clone();
    let body = what_came(response.into_body()).await;
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::TRANSFER_ENCODING, header::CONNECTION] {
        headers.remove(name);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut reply = Reply::text(code, body);
    reply.headers = headers;
    reply
}

fn client_config(client: &KubeletClient) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_slice_iter(client.pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(client.pair.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &client.authorities {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
                roots.add(authority?)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.dangerous().with_custom_certificate_verifier(TrustsAnyone::new(provider)),
    };
    let mut config = builder.with_client_auth_cert(chain, key)?;
    // Upgrades exist in HTTP/1.1 only.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// The client of a backend that left early was told of this server's troubles with it, as if the backend had said so.
    #[tokio::test]
    async fn of_a_body_that_breaks_there_is_what_came() {
        let frame = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        let broken = [frame("sh"), frame("ort"), Err(io::Error::other("it broke"))];
        assert_eq!(what_came(StreamBody::new(futures::stream::iter(broken))).await, "short");
        let long = std::iter::repeat_with(|| frame("0123456789")).take(REFUSAL_BYTES_MAX);
        let came = what_came(StreamBody::new(futures::stream::iter(long))).await;
        assert_eq!(came.len(), REFUSAL_BYTES_MAX);
    }

    #[test]
    fn credentials_for_this_server_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("impersonate-user", "eve"),
            ("impersonate-extra-a", "b"),
            ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.eA, v5.channel.k8s.io"),
            ("upgrade", "websocket"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let onward = onward(&headers);
        assert_eq!(onward.len(), 2, "{onward:?}");
        assert_eq!(onward[header::SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
    }
}
