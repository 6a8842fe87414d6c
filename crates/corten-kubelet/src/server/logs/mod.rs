//! Logs of containers.
//!
//! Upstream: `getContainerLogs` in pkg/kubelet/server/server.go (v1.35).

mod changes;
mod end;
mod format;
mod options;
mod reader;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{
    Shared,
    answer::{Answer, of, text},
    query::Query,
};
use crate::interfaces::containers_of;
use options::{BadOptions, LogOptions};

/// Pieces of a log that wait for the client: the reader waits when it is slower.
const PIECES: usize = 4;

/// Sends the log of a container.
pub(super) async fn handle(
    shared: &Shared,
    namespace: &str,
    pod: &str,
    container: &str,
    request: &Request<Incoming>,
) -> Response<Answer> {
    let options = match LogOptions::parse(&Query::of(request), shared.parts.clock.now()) {
        Ok(options) => options,
        Err(BadOptions::Undecodable) => {
            return text(StatusCode::BAD_REQUEST, r#"{"message": "Unable to decode query."}"#);
        }
        Err(BadOptions::Invalid) => {
            return text(StatusCode::UNPROCESSABLE_ENTITY, r#"{"message": "Invalid request."}"#);
        }
    };
    let Some(found) = shared.parts.pods.get(namespace, pod) else {
        return text(StatusCode::NOT_FOUND, format!("pod {pod:?} does not exist\n"));
    };
    if !containers_of(&found).iter().any(|known| known.spec.name == container) {
        return text(StatusCode::NOT_FOUND, format!("container {container:?} not found in pod {pod:?}\n"));
    }
    let log = match shared.parts.pods.log_path(namespace, pod, container, options.previous).await {
        Ok(log) => log,
        // Whatever is in the way, upstream calls it a bad request.
        Err(failure) => return text(StatusCode::BAD_REQUEST, failure.message),
    };
    if let Err(error) = tokio::fs::metadata(&log.path).await {
        let message = format!("failed to try resolving symlinks in path {:?}: {error}", log.path);
        return text(StatusCode::BAD_REQUEST, message);
    }
    let (sink, pieces) = mpsc::channel(PIECES);
    let task = shared.clone();
    shared.tasks.spawn("log", async move {
        let result = tokio::select! {
            biased;
            result = reader::send(&task.parts, &log, &options, &sink) => result,
            () = task.shutdown.requested() => Ok(()),
        };
        if let Err(error) = result {
            tracing::warn!(container_id = %log.container_id, err = %error, "Could not read a container's log");
            // The client may have gone.
            let _gone = sink.send(Err(error)).await;
        }
    });
    let body = StreamBody::new(ReceiverStream::new(pieces).map(|piece| piece.map(Frame::data)));
    of(StatusCode::OK, "text/plain", body.boxed_unsync())
}
