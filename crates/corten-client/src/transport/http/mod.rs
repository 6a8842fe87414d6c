//! HTTP over TCP and TLS: calls to an API server in another process, as upstream's clients make them.
//!
//! Flow: `Call` -> `path` -> hyper (HTTP/2 where TLS negotiates it, else HTTP/1.1) -> `decode`/`frames` -> `Answer`.
//! Every object's JSON is parsed once, for its facts; the text itself is kept as it came.

mod config;
mod connector;
mod credentials;
mod decode;
mod frames;
mod path;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use corten_apimachinery::{
    codec::json,
    status::{Reason, Status},
};
use corten_base::{ErrorChain, SharedClock, TaskSet, timeout};
use futures::{FutureExt as _, future::BoxFuture, stream};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client as HyperClient, rt::TokioTimer};

pub(crate) use config::default_user_agent;
pub use config::{HttpConfig, Tls};
pub use connector::{ConfigError, TrustsAnyone};
pub use credentials::Credentials;

use self::{connector::Connector, credentials::TokenSource, frames::Frames};
use super::Transport;
use crate::call::{Answer, Body, Call, PatchKind, Verb, WatchStream};

/// The time to the first byte of an answer, and from one piece of it to the next. The server's own limit for a request is
/// 60 s; this is for a server that no longer answers at all.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(90);

/// How often a connection with open requests is tried, and how long it may stay silent: a watch on a dead connection
/// would otherwise wait for ever. Upstream: `HTTP2_READ_IDLE_TIMEOUT_SECONDS`, `HTTP2_PING_TIMEOUT_SECONDS`.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest answer that is one object. Objects are below 3 MiB where they are written.
const OBJECT_BYTES_MAX: usize = 16 << 20;

/// The largest list: 150,000 pods with room to spare. A larger one has to be read in pages.
const LIST_BYTES_MAX: usize = 1 << 30;

/// Calls an API server over HTTP. Connections are shared and kept.
pub struct HttpTransport {
    shared: Arc<Shared>,
}

struct Shared {
    base: String,
    http: HyperClient<Connector, Full<Bytes>>,
    token: TokenSource,
    user_agent: HeaderValue,
    clock: SharedClock,
}

/// Runs hyper's connection tasks in a set that is awaited at shutdown.
#[derive(Clone)]
struct Tasks(TaskSet);

impl hyper::rt::Executor<Pin<Box<dyn Future<Output = ()> + Send>>> for Tasks {
    fn execute(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn("connection", future);
    }
}

impl HttpTransport {
    /// A transport to the server of `config`; its connections are tasks of `tasks`. Connects at the first call.
    ///
    /// Errors: an address, certificate or key that cannot be used.
    pub fn new(config: HttpConfig, clock: SharedClock, tasks: &TaskSet) -> Result<Self, ConfigError> {
        let uri: Uri = config.server.parse().map_err(|_| ConfigError::Server(config.server.clone()))?;
        if uri.authority().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(ConfigError::Server(config.server));
        }
        let user_agent =
            HeaderValue::from_str(&config.user_agent).map_err(|_| ConfigError::UserAgent(config.user_agent.clone()))?;
        let connector = Connector::new(&uri, &config.tls, Arc::clone(&clock))?;
        let http = HyperClient::builder(Tasks(tasks.clone()))
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(connector);
        let shared = Shared {
            base: config.server.trim_end_matches('/').to_owned(),
            http,
            token: TokenSource::new(config.credentials, Arc::clone(&clock), tasks.clone()),
            user_agent,
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Transport for HttpTransport {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Answer, Status>> {
        let shared = Arc::clone(&self.shared);
        async move { shared.call(call).await }.boxed()
    }
}

impl Shared {
    async fn call(&self, call: Call) -> Result<Answer, Status> {
        let verb = call.verb;
        let is_resource = !call.resource.resource.is_empty();
        let response = self.send(call).await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let body = self.collect(body, OBJECT_BYTES_MAX).await.unwrap_or_default();
            return Err(decode::failure(parts.status, &parts.headers, &body));
        }
        match verb {
            _ if !is_resource => decode::tree(&self.collect(body, OBJECT_BYTES_MAX).await?),
            Verb::Watch => Ok(Answer::Watch(watch_stream(body))),
            Verb::List => decode::list(&self.collect(body, LIST_BYTES_MAX).await?).map(Answer::List),
            Verb::Delete | Verb::DeleteCollection => decode::tree(&self.collect(body, LIST_BYTES_MAX).await?),
            Verb::Get | Verb::Create | Verb::Update | Verb::Patch(_) => {
                decode::answer(self.collect(body, OBJECT_BYTES_MAX).await?)
            }
        }
    }

    async fn send(&self, call: Call) -> Result<http::Response<Incoming>, Status> {
        let uri = format!("{}{}", self.base, path::path_and_query(&call));
        let mut request = Request::builder()
            .method(path::method(call.verb))
            .uri(uri)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, self.user_agent.clone());
        if let Some(token) = self.token.header().await? {
            request = request.header(header::AUTHORIZATION, token);
        }
        let body = match call.body {
            Body::Empty => Bytes::new(),
            Body::Tree(tree) => json::encode(&tree, None),
            Body::Json(bytes) => bytes,
        };
        if !body.is_empty() {
            let kind =
                if let Verb::Patch(kind) = call.verb { PatchKind::content_type(kind) } else { "application/json" };
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(body)).map_err(Status::internal)?;
        match timeout(&*self.clock, RESPONSE_TIMEOUT, self.http.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(&error)),
            Err(elapsed) => Err(Status::timeout(elapsed.to_string(), 0)),
        }
    }

    /// Reads a body to its end.
    async fn collect(&self, mut body: Incoming, bytes_max: usize) -> Result<Bytes, Status> {
        let mut all = BytesMut::new();
        loop {
            let frame = match timeout(&*self.clock, RESPONSE_TIMEOUT, body.frame()).await {
                Ok(None) => return Ok(all.freeze()),
                Ok(Some(frame)) => frame.map_err(|error| unreachable(&error))?,
                Err(elapsed) => return Err(Status::timeout(elapsed.to_string(), 0)),
            };
            let Ok(data) = frame.into_data() else { continue };
            if all.len() + data.len() > bytes_max {
                return Err(Status::new(Reason::Unknown, format!("the answer is larger than {bytes_max} bytes")));
            }
            all.extend_from_slice(&data);
        }
    }
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> Status {
    Status::service_unavailable(format!("could not reach the server: {}", ErrorChain(error)))
}

/// The events of a watch's body. Ends after an error.
fn watch_stream(body: Incoming) -> WatchStream {
    let state = Some((body, Frames::new(OBJECT_BYTES_MAX)));
    Box::pin(stream::unfold(state, |state| async move {
        let (mut body, mut frames) = state?;
        loop {
            match frames.next() {
                Err(status) => return Some((Err(status), None)),
                Ok(Some(frame)) => {
                    let event = decode::event(&frame);
                    let rest = event.is_ok().then_some((body, frames));
                    return Some((event, rest));
                }
                Ok(None) => {}
            }
            match body.frame().await {
                None if frames.is_empty() => return None,
                None => return Some((Err(Status::service_unavailable("the watch ended within an event")), None)),
                Some(Err(error)) => return Some((Err(unreachable(&error)), None)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        frames.push(&data);
                    }
                }
            }
        }
    }))
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpTransport({})", self.shared.base)
    }
}

#[cfg(test)]
mod tests;
