//! The order of everything that happens to a request.
//!
//! Upstream: `DefaultBuildHandlerChain` in k8s.io/apiserver/pkg/server/config.go (v1.35).

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use corten_apimachinery::status::Status;
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue};

use super::{authentication, authorization, deadline, impersonation};
use crate::{
    endpoints,
    large::{Large, Turn, Who},
    request::Request,
    response::Reply,
    server::Server,
};

/// How much longer an answer may take that was made at the last moment, or a watch that has a last word to say.
pub(crate) const SEND_GRACE: Duration = Duration::from_secs(5);

/// Takes a request through the chain.
pub async fn handle(server: &Arc<Server>, request: Box<Request>) -> Reply {
    let audit_id = audit_id(server, &request);
    let (verb, path) = (request.info.verb.clone(), request.path.clone());
    let clock = Arc::clone(server.clock());
    let began = clock.monotonic();
    let limit = (!request.is_long_running()).then(|| deadline::of(&request));
    let answered_by = limit.as_ref().and_then(|limit| limit.as_ref().ok()).map(|limit| began.saturating_add(*limit));
    // A bug in one request must not take the others down.
    let mut reply = match AssertUnwindSafe(in_time(server, request, limit)).catch_unwind().await {
        Ok(result) => Reply::from(result),
        Err(payload) => {
            let panic = corten_base::panic_message(&*payload);
            tracing::error!(%audit_id, %verb, %path, panic, "Request panicked");
            Reply::failure(&Status::internal("the request panicked; the server's log has the cause"))
        }
    };
    // What may last but came to nothing has as long as any other answer.
    let answered_by = answered_by.unwrap_or_else(|| clock.monotonic().saturating_add(deadline::REQUEST_TIMEOUT));
    reply.sending.until = Some(answered_by.saturating_add(SEND_GRACE));
    if let Ok(mut value) = HeaderValue::from_str(&audit_id) {
        // Never the same twice: HTTP/2 must not put it into its table, where it would push out what comes again.
        value.set_sensitive(true);
        reply.headers.insert(HeaderName::from_static("audit-id"), value);
    }
    reply
}

/// Bounds how long a request may take until its answer is made, reading its body included; watches and streams may last, and
/// have no `limit`. What is made has until then to be sent, see `Sending`.
async fn in_time(
    server: &Arc<Server>,
    request: Box<Request>,
    limit: Option<Result<Duration, Status>>,
) -> Result<Reply, Status> {
    let Some(limit) = limit.transpose()? else { return admitted(server, request).await };
    let clock = Arc::clone(server.clock());
    match corten_base::timeout(&*clock, limit, admitted(server, request)).await {
        Ok(result) => result,
        Err(_) => Err(Status::timeout("request did not complete within the allotted timeout", 0)),
    }
}

async fn admitted(server: &Arc<Server>, mut request: Box<Request>) -> Result<Reply, Status> {
    authentication::authenticate(server, &mut request).await?;
    impersonation::impersonate(server, &mut request).await?;
    // Before anything is read of somebody who may do nothing.
    authorization::authorize(server, &request).await?;
    let held = server.bodies().receive(&mut request).await?;
    // Boxed, as what follows it: requests that are not large do without the room for it.
    let turn = match Large::size_of(server, &request) {
        Some(size) => Some(Box::pin(server.large().turn(&Who::of(&request), size)).await),
        None => None,
    };
    let place = server.in_flight().enter(&request)?;
    drop(held);
    let mut reply = match turn {
        None => endpoints::dispatch(server, request).await?,
        Some(turn) => Box::pin(aside(Arc::clone(server), request, turn)).await,
    };
    // Until it is sent: an answer that nobody reads is as much work as one that is being made.
    reply.sending.place = place;
    Ok(reply)
}

/// Answers a large request, all of it where its work holds up nobody. The answer has the turn until it is encoded.
async fn aside(server: Arc<Server>, request: Box<Request>, turn: Turn) -> Reply {
    let dispatched = async move { Reply::from(endpoints::dispatch(&server, request).await) };
    match turn.drive(dispatched).await {
        Ok((mut reply, turn)) => {
            reply.sending.turn = Some(turn);
            reply
        }
        // It ends this request as if it had happened here.
        Err(panic) => std::panic::resume_unwind(Box::new(panic.message)),
    }
}

/// The id under which logs on both sides can be joined: the client's, or a new one.
fn audit_id(server: &Server, request: &Request) -> String {
    let given = request.header(HeaderName::from_static("audit-id"));
    if given.is_empty() || given.len() > 64 { server.rng().uuid() } else { given.to_owned() }
}
