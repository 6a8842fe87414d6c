//! HTTP as probes and hooks speak it: one request per connection, certificates are not verified.
//!
//! Upstream: pkg/probe/http (v1.35). HTTP/1.1 only.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use corten_api::core::v1::{Container, HTTPGetAction};
use corten_client::transport::http::TrustsAnyone;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::ServerName},
};

use super::target::{join_host_port, port_of};

/// What is read of a body. Upstream: `maxRespBodyLength`.
const BODY_BYTES_MAX: usize = 10 << 10;
/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;

/// A GET request with where to send it.
#[derive(Debug, Clone)]
pub struct Get {
    url: Uri,
    headers: HeaderMap,
    host: Option<HeaderValue>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub code: u16,
    /// The beginning of the body.
    pub body: String,
}

impl Get {
    /// Forms the request.
    ///
    /// Errors: no such port, or the pieces make no request; the text is for people.
    pub fn of(
        action: &HTTPGetAction,
        container: &Container,
        pod_ip: Option<IpAddr>,
        user_agent: &'static str,
    ) -> Result<Self, String> {
        let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_ascii_lowercase();
        let host = match action.host.as_deref().filter(|host| !host.is_empty()) {
            Some(host) => host.to_owned(),
            None => pod_ip.map(|ip| ip.to_string()).ok_or("the pod has no address")?,
        };
        let port = port_of(&action.port, container)?;
        let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let text = format!("{scheme}://{}{slash}{}", join_host_port(&host, port), escape(path));
        let url = text.parse().map_err(|error| format!("parse {text:?}: {error}"))?;
        let (mut headers, mut own_host) = (HeaderMap::new(), None);
        for given in action.http_headers.iter().flatten() {
            let name: HeaderName =
                given.name.parse().map_err(|_| format!("invalid header field name {:?}", given.name))?;
            let value = given.value.as_str();
            let value =
                HeaderValue::from_str(value).map_err(|_| format!("invalid header field value for {:?}", given.name))?;
            if name == header::HOST {
                own_host = Some(value);
            } else {
                headers.append(name, value);
            }
        }
        for (name, value) in [(header::USER_AGENT, user_agent), (header::ACCEPT, "*/*")] {
            // An empty value asks for no such header.
            match headers.get(&name) {
                None => drop(headers.insert(name, HeaderValue::from_static(value))),
                Some(given) if given.is_empty() => drop(headers.remove(name)),
                Some(_) => {}
            }
        }
        Ok(Self { url, headers, host: own_host })
    }

    /// The same over HTTP. What proves who asks is left out: others could read it.
    #[must_use]
    pub fn without_tls(&self) -> Self {
        let mut parts = self.url.clone().into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        let mut headers = self.headers.clone();
        headers.remove(header::AUTHORIZATION);
        // The other parts were a URL before.
        let url = Uri::from_parts(parts).unwrap_or_else(|_| self.url.clone());
        Self { url, headers, host: self.host.clone() }
    }

    /// The URL, as messages show it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// `host:port`, as messages show it.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.url.authority().map(http::uri::Authority::as_str).unwrap_or_default()
    }

    /// Whether it goes over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    /// Sends it and follows redirects on the same host. A redirect elsewhere is given back as it is.
    ///
    /// Errors: what went wrong, in Go's words (`Get "http://...": dial tcp ...`). Cancellation: the connection ends.
    pub async fn send(&self) -> Result<Page, String> {
        let (mut url, mut redirects) = (self.url.clone(), 0);
        loop {
            let told = |error: String| format!("Get \"{url}\": {error}");
            let (page, location) = exchange(&url, self).await.map_err(told)?;
            let next = match location {
                Some(location) if matches!(page.code, 301 | 302 | 303 | 307 | 308) => {
                    resolve(&url, &location).map_err(told)?
                }
                _ => return Ok(page),
            };
            if next.host() != self.url.host() {
                return Ok(page);
            }
            redirects += 1;
            if redirects >= REDIRECTS_MAX {
                return Err(format!("Get \"{next}\": stopped after {REDIRECTS_MAX} redirects"));
            }
            url = next;
        }
    }
}

/// Characters that may not stand in a URL, as bytes in hexadecimal.
fn escape(path: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
    path.bytes().map(|byte| if allowed(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The URL that a redirect means.
fn resolve(base: &Uri, location: &str) -> Result<Uri, String> {
    let authority = base.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let scheme = base.scheme_str().unwrap_or("http");
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

async fn exchange(url: &Uri, get: &Get) -> Result<(Page, Option<String>), String> {
    let is_tls = url.scheme_str() == Some("https");
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = super::tcp::dial(host, port).await?;
    if is_tls {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let stream = TLS.connect(name, stream).await.map_err(|error| match error.to_string() {
            // A server that speaks HTTP: Go's words, which the hook's fallback looks for as well.
            text if text.contains("InvalidContentType") => "http: server gave HTTP response to HTTPS client".to_owned(),
            text => format!("remote error: tls: {text}"),
        })?;
        request(url, get, stream).await
    } else {
        request::<TcpStream>(url, get, stream).await
    }
}

async fn request<S>(url: &Uri, get: &Get, stream: S) -> Result<(Page, Option<String>), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::get(url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str));
    if let Some(headers) = request.headers_mut() {
        headers.extend(get.headers.clone());
        let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host = get.host.clone().map_or_else(|| HeaderValue::from_str(authority), Ok);
        headers.insert(header::HOST, host.map_err(|error| error.to_string())?);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| describe(&error))?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| describe(&error))?;
        let location =
            response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (code, mut incoming) = (response.status().as_u16(), response.into_body());
        let mut body: Vec<u8> = Vec::new();
        while let Some(frame) = incoming.frame().await {
            // A body that breaks off: what came is the answer, as upstream has it for what it does not read.
            let Ok(frame) = frame else { break };
            if let Ok(data) = frame.into_data() {
                body.extend_from_slice(&data[..data.len().min(BODY_BYTES_MAX - body.len())]);
            }
            if body.len() >= BODY_BYTES_MAX {
                break;
            }
        }
        Ok((Page { code, body: String::from_utf8_lossy(&body).into_owned() }, location))
    };
    super::drive(exchange, connection).await
}

fn describe(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    if error.is_parse() {
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned();
    }
    corten_base::ErrorChain(error).to_string()
}

/// Made once: it reads no file and is the same for all probes.
static TLS: LazyLock<TlsConnector> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = TrustsAnyone::new(Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
});
