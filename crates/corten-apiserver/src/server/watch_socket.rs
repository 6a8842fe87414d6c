//! A watch over a WebSocket: one event in each message, text for JSON and binary for protobuf.
//!
//! Upstream: `WatchServer.HandleWS` in k8s.io/apiserver/pkg/endpoints/handlers/watch.go (v1.35).

use std::sync::Arc;

use bytes::Bytes;
use corten_base::{Shutdown, TaskSet};
use corten_streaming::websocket::send_messages;
use futures::stream;
use http::HeaderMap;
use hyper_util::rt::TokioIo;

use super::{
    Server,
    encode::{self, Include},
};
use crate::{
    endpoints::watch::{Switch, WatchSource},
    negotiation::{Accepted, Encoding},
};

/// The length in front of a frame, which messages need not have.
const FRAME_LENGTH_BYTES: usize = 4;

/// Where connections run that have left HTTP.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) tasks: TaskSet,
    pub(super) shutdown: Shutdown,
}

/// Begins to serve `source` on the connection of `switch`. Returns the headers of the answer.
pub(super) fn begin(
    streams: &Streams,
    server: Arc<Server>,
    source: WatchSource,
    switch: Switch,
    form: (Accepted, Include),
) -> HeaderMap {
    let Switch { upgrade, headers } = switch;
    let shutdown = streams.shutdown.clone();
    streams.tasks.spawn("watch-socket", async move {
        let io = match upgrade.await {
            Ok(io) => io,
            Err(error) => {
                tracing::debug!(err = %error, "Client left before the connection was switched");
                return;
            }
        };
        let is_text = matches!(form.0.encoding, Encoding::Json | Encoding::Yaml);
        let sending = send_messages(Box::new(TokioIo::new(io)), is_text, messages(server, source, form));
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = sending => {}
        }
    });
    headers
}

fn messages(
    server: Arc<Server>,
    source: WatchSource,
    (accepted, include): (Accepted, Include),
) -> impl futures::Stream<Item = Bytes> + Send {
    stream::unfold((server, source, true, false), move |(server, mut source, first, ended)| async move {
        if ended {
            return None;
        }
        let item = source.next().await?;
        let frame = item.and_then(|item| encode::watch_item(&server, &source, &item, accepted, include, first));
        let is_last = frame.is_err();
        let frame = frame.unwrap_or_else(|status| {
            // What cannot be encoded at all ends the watch without a word.
            encode::watch_failure(&server, &status, accepted).unwrap_or_default()
        });
        let message = match accepted.encoding {
            Encoding::Protobuf => frame.slice(FRAME_LENGTH_BYTES.min(frame.len())..),
            _ => frame,
        };
        Some((message, (server, source, false, is_last)))
    })
}
