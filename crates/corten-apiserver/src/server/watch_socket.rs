//! A watch over a WebSocket: one event in each message, text for JSON and binary for protobuf.
//!
//! Upstream: `WatchServer.HandleWS` in k8s.io/apiserver/pkg/endpoints/handlers/watch.go (v1.35).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use corten_base::{Clock, SharedClock, Shutdown, TaskSet};
use corten_streaming::websocket::send_messages;
use futures::{
    Stream,
    stream::{self, StreamExt as _},
};
use http::HeaderMap;
use tokio::sync::watch;

use super::{
    Server,
    encode::{self, Include},
    response_body::WATCH_STALLED_MAX,
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
        let (messages, overdue) = timed(&clock, until, messages(server, source, form));
        let sending = send_messages(Box::new(io), is_text, messages);
        within(&*clock, overdue, &shutdown, sending).await;
    });
    headers
}

/// The messages, and when the client has to have taken the last one: at the end of its time while none is on its way.
fn timed(
    clock: &SharedClock,
    until: Duration,
    messages: impl Stream<Item = Bytes> + Send,
) -> (impl Stream<Item = Bytes> + Send, watch::Receiver<Duration>) {
    let (overdue, receiver) = watch::channel(until);
    let clock = Arc::clone(clock);
    let messages =
        stream::unfold((Box::pin(messages), overdue, clock), move |(mut messages, overdue, clock)| async move {
            // Who asks for more has sent what was before.
            overdue.send_replace(until);
            let message = messages.next().await?;
            overdue.send_replace(clock.monotonic().saturating_add(WATCH_STALLED_MAX).min(until));
            Some((message, (messages, overdue, clock)))
        });
    (messages, receiver)
}

/// Sends until all is sent, something is overdue or the server stops: a client that does not read would hold it for ever.
async fn within(
    clock: &dyn Clock,
    mut overdue: watch::Receiver<Duration>,
    shutdown: &Shutdown,
    sending: impl Future<Output = ()>,
) {
    let late = async {
        loop {
            let at = *overdue.borrow_and_update();
            tokio::select! {
                biased;
                Ok(()) = overdue.changed() => {}
                () = clock.sleep_until(at) => return,
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.requested() => {}
        () = sending => {}
        () = late => tracing::debug!("A watch whose client did not read was cut off"),
    }
}

fn messages(
    server: Arc<Server>,
    source: WatchSource,
    (accepted, include): (Accepted, Include),
) -> impl Stream<Item = Bytes> + Send {
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
        let shared: SharedClock = clock.clone();
        for (time, want) in [
            (Duration::from_secs(10), Duration::from_secs(10)),
            // It was left at the end of its time only, which may be an hour.
            (Duration::from_secs(3_600), WATCH_STALLED_MAX),
        ] {
            let (_client, server) = tokio::io::duplex(64);
            let until = clock.monotonic() + time;
            let (messages, overdue) = timed(&shared, until, stream::repeat(Bytes::from_static(b"{}\n")));
            let sending = send_messages(Box::new(server), true, messages);
            let mut socket = Box::pin(within(&*clock, overdue, &shutdown, sending));
            assert!((&mut socket).now_or_never().is_none());
            clock.advance(want - Duration::from_millis(1));
            assert!((&mut socket).now_or_never().is_none());
            clock.advance(Duration::from_millis(1));
            assert!((&mut socket).now_or_never().is_some());
        }
    }

    #[tokio::test]
    async fn a_client_that_has_nothing_to_read_is_left_at_the_end_of_its_time() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let shared: SharedClock = clock.clone();
        let (_stop, shutdown) = Shutdown::new();
        let (_client, server) = tokio::io::duplex(1_024);
        let messages = stream::once(async { Bytes::from_static(b"{}\n") }).chain(stream::pending());
        let (messages, overdue) = timed(&shared, clock.monotonic() + 3 * WATCH_STALLED_MAX, messages);
        let mut socket = Box::pin(within(&*clock, overdue, &shutdown, send_messages(Box::new(server), true, messages)));
        assert!((&mut socket).now_or_never().is_none());
        clock.advance(2 * WATCH_STALLED_MAX);
        assert!((&mut socket).now_or_never().is_none());
        clock.advance(WATCH_STALLED_MAX);
        assert!((&mut socket).now_or_never().is_some());
    }
}
