//! A client's connection handed on to the URL that a runtime behind a socket gave.
//!
//! Upstream: pkg/kubelet/server `proxyStream` (v1.35).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use corten_base::timeout;
use corten_streaming::negotiate;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    Shared,
    answer::{Answer, switch, text},
    idle::{Activity, Watched},
};

/// How long the runtime's server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Hands the connection on. The runtime's refusal is the answer.
pub(super) async fn to_url(shared: &Shared, url: &str, mut request: Request<Incoming>) -> Response<Answer> {
    let bad = |message: String| text(StatusCode::INTERNAL_SERVER_ERROR, message);
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        Err(error) => return bad(format!("runtime gave a bad URL: {error}")),
    };
    let Some(authority) = uri.authority() else { return bad("runtime gave a URL without a host".to_owned()) };
    let (host, port) = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut onward = Request::new(Empty::<Bytes>::new());
    *onward.method_mut() = request.method().clone();
    *onward.headers_mut() = request.headers().clone();
    match (path.parse(), authority.as_str().parse()) {
        (Ok(path), Ok(host)) => {
            *onward.uri_mut() = path;
            onward.headers_mut().insert(header::HOST, host);
        }
        _ => return bad("runtime gave a bad URL".to_owned()),
    }
    // The credentials are for this server.
    negotiate::remove_credentials(onward.headers_mut());
    let tasks = shared.tasks.clone();
    let dial = async {
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tasks.spawn("runtime-connection", async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(err = %error, "Connection to the runtime ended with an error");
            }
        });
        sender.send_request(onward).await.map_err(|error| error.to_string())
    };
    let mut response = match timeout(&*shared.parts.clock, ANSWER_TIMEOUT, dial).await {
        Ok(Ok(response)) => response,
        Ok(Err(message)) => return bad(message),
        Err(elapsed) => return bad(elapsed.to_string()),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return response.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
    }
    let headers = response.headers().clone();
    let (ours, theirs) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(&mut response));
    let task = shared.clone();
    shared.tasks.spawn("runtime-stream", async move {
        let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
        let activity = Activity::new(Arc::clone(&task.parts.clock));
        let (mut ours, mut theirs) = (Watched::new(TokioIo::new(ours), activity.clone()), TokioIo::new(theirs));
        tokio::select! {
            biased;
            // Either side ends the connection whenever it likes.
            _ended = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
            () = task.shutdown.requested() => {}
            () = activity.over() => tracing::info!("Hung up a stream that nobody used"),
        }
    });
    switch(headers)
}
