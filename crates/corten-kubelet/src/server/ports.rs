//! Port forwarding into pods.
//!
//! Upstream: k8s.io/kubelet/pkg/cri/streaming/portforward (v1.35).

use std::sync::Arc;

use corten_cri::{Streaming, StreamingAccess, api};
use corten_streaming::{
    Transport, negotiate,
    port_forward::{self, Forward, Forwards},
    spdy::STREAMS_MAX,
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Shared,
    answer::{Answer, refuse, switch, text},
    commands::{drive, refused, switched},
    proxy,
    query::Query,
};

/// How many connections of one client are forwarded at once, each over two streams; further ones wait, and are refused once
/// too many do.
const FORWARDS_MAX: usize = STREAMS_MAX / 2;

/// Forwards the client's connections to the pod's ports.
pub(super) async fn forward(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    mut request: Request<Incoming>,
) -> Response<Answer> {
    let parts = &shared.parts;
    let Some(found) = parts.pods.get(namespace, pod) else {
        return text(StatusCode::NOT_FOUND, "pod does not exist");
    };
    let sandbox = match parts.pods.sandbox(namespace, pod).await {
        Ok(sandbox) => sandbox,
        Err(failure) => return refused(&failure),
    };
    let query = Query::of(&request);
    let negotiated = match negotiate::negotiate(request.headers(), negotiate::PORT_FORWARD) {
        Ok(negotiated) => negotiated,
        Err(refusal) => return refuse(refusal),
    };
    let ports = match negotiated.transport {
        Transport::WebSocket => match port_forward::parse_ports(query.all("port")) {
            Ok(ports) => ports,
            Err(message) => return text(StatusCode::BAD_REQUEST, message),
        },
        Transport::Spdy | Transport::Tunnel => Vec::new(),
    };
    let streaming = match &parts.cri.streaming {
        StreamingAccess::Direct(streaming) => Arc::clone(streaming),
        StreamingAccess::Url => {
            let ports = ports.iter().map(|&port| i32::from(port)).collect();
            let answer =
                parts.cri.runtime.port_forward(api::PortForwardRequest { pod_sandbox_id: sandbox, port: ports }).await;
            return match answer {
                Ok(answer) => proxy::to_url(shared, &answer.url, request).await,
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            };
        }
    };
    let target = Target {
        pod: format!("{pod}_{namespace}"),
        uid: found.metadata.uid.clone().unwrap_or_default(),
        sandbox,
        streaming,
    };
    let headers = negotiated.headers.clone();
    let upgrade = hyper::upgrade::on(&mut request);
    let task = shared.clone();
    shared.tasks.spawn("port-forward", async move {
        let Some((io, activity)) = switched(upgrade, &task).await else { return };
        match port_forward::start(Box::new(io), &negotiated, &ports, Arc::clone(&task.parts.clock)).await {
            Ok((forwards, driver)) => drive(&task, &activity, driver, serve(forwards, target)).await,
            Err(error) => tracing::debug!(err = %error, "Could not begin port forwarding"),
        }
    });
    switch(headers)
}

/// Where connections go.
struct Target {
    pod: String,
    uid: String,
    sandbox: String,
    streaming: Arc<dyn Streaming>,
}

async fn serve(mut forwards: Forwards, target: Target) {
    let closed = forwards.closed();
    let mut running = FuturesUnordered::new();
    let mut more = true;
    while more || !running.is_empty() {
        tokio::select! {
            biased;
            () = closed.cancelled() => return,
            Some(()) = running.next(), if !running.is_empty() => {}
            next = forwards.next(), if more && running.len() < FORWARDS_MAX => match next {
                Some(forward) => running.push(one(&target, forward)),
                None => more = false,
            },
        }
    }
    forwards.close().await;
}

async fn one(target: &Target, forward: Forward) {
    let Forward { port, connection, error, given_up } = forward;
    let result = tokio::select! {
        biased;
        // Dropping the call hangs up, also on a pod that neither reads nor writes.
        () = given_up.cancelled() => return,
        result = target.streaming.stream_port_forward(&target.sandbox, port, Box::new(connection)) => result,
    };
    if let Err(failure) = result {
        let (pod, uid) = (&target.pod, &target.uid);
        let message = format!("error forwarding port {port} to pod {pod}, uid {uid}: {failure}");
        error.fail(&message).await;
    }
}
