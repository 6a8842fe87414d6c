//! A watch over a WebSocket: one event in each message, text for JSON and binary for protobuf.
//!
//! Upstream: `WatchServer.HandleWS` in k8s.io/apiserver/pkg/endpoints/handlers/watch.go (v1.35).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use corten_base::{Clock, Shutdown, TaskSet};
use corten_streaming::websocket::send_messages;
use futures::stream;
use http::HeaderMap;

use super::{
    Server,
    encode::{self, Include},
};
use crate::{
    endpoints::watch::{Switch, WatchSource},
    filters::chain::SEND_GRACE,
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
        let io = match upgrade.switched().await {
            Ok(io) => io,
            Err(error) => {
                tracing::debug!(err = %error, "Client left before the connection was switched");
                return;
            }
        };
        let is_text = matches!(form.0.encoding, Encoding::Json | Encoding::Yaml);
        let clock = Arc::clone(server.clock());
        let until = source.deadline().saturating_add(SEND_GRACE);
        let sending = send_messages(Box::new(io), is_text, messages(server, source, form));
        within(&*clock, until, &shutdown, sending).await;
    });
    headers
}

/// Sends until all is sent, the time is up or the server stops: a client that does not read would hold it for ever.
async fn within(clock: &dyn Clock, until: Duration, shutdown: &Shutdown, sending: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = shutdown.requested() => {}
        () = sending => {}
        () = clock.sleep_until(until) => tracing::debug!("A watch whose client did not read was cut off"),
    }
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

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use futures::FutureExt as _;

    use super::*;

    /// The watch's end was looked at only between two messages: one that nobody took held the socket for ever.
    #[tokio::test]
    async fn a_client_that_does_not_read_is_left_when_the_time_is_up() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (_stop, shutdown) = Shutdown::new();
        let (_client, server) = tokio::io::duplex(64);
        let sending = send_messages(Box::new(server), true, stream::repeat(Bytes::from_static(b"{}\n")));
        let mut socket = Box::pin(within(&*clock, Duration::from_secs(30), &shutdown, sending));
        assert!((&mut socket).now_or_never().is_none());
        clock.advance(Duration::from_secs(29));
        assert!((&mut socket).now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!((&mut socket).now_or_never().is_some());
    }
}
