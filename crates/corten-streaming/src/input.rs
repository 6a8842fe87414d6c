//! The reading end of one stream of a connection: what has come and was not read yet.
//!
//! Invariant: whoever reads the connection never waits for one stream, so that the others and the connection's end are
//! heard. It waits only while all streams together hold `CONNECTION_BUFFER_BYTES`: clients that know no windows (kubectl's
//! SPDY, WebSocket channels) are slowed down by the connection alone. Meanwhile the connection's end is not heard, and the
//! peer is sent a ping from time to time (`SILENCE_WHEN_FULL`): writing to one that has gone fails.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::Notify,
};

use crate::CONNECTION_BUFFER_BYTES;

/// What the streams of a connection hold together.
#[derive(Debug, Default)]
pub(crate) struct Inflow {
    state: Mutex<InflowState>,
    /// For the connection's reader: something was read, or a reading end has gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct InflowState {
    bytes: usize,
    /// What was read since the peer was told last, by stream.
    taken: BTreeMap<u32, u32>,
    /// Streams whose reading ends are gone.
    gone: Vec<u32>,
}

#[derive(Debug, Default)]
struct Inbox {
    bytes: VecDeque<u8>,
    is_ended: bool,
    /// The peer has given the stream up.
    is_reset: bool,
    is_gone: bool,
    waker: Option<Waker>,
}

/// The connection's end of a stream. Its drop ends the stream behind what it holds.
#[derive(Debug)]
pub(crate) struct Feed {
    inbox: Arc<Mutex<Inbox>>,
    inflow: Arc<Inflow>,
}

/// The reading end of a stream: it ends when the peer ends the stream or the connection. Dropping it discards what it holds
/// and what still comes.
///
/// Errors: `ConnectionReset` once the peer has given the stream up; what it held is discarded.
#[derive(Debug)]
pub struct Input {
    inbox: Arc<Mutex<Inbox>>,
    inflow: Arc<Inflow>,
    id: u32,
}

/// Makes the two ends of a stream.
pub(crate) fn stream(id: u32, inflow: &Arc<Inflow>) -> (Input, Feed) {
    let inbox = Arc::<Mutex<Inbox>>::default();
    let feed = Feed { inbox: Arc::clone(&inbox), inflow: Arc::clone(inflow) };
    (Input { inbox, inflow: Arc::clone(inflow), id }, feed)
}

impl Inflow {
    /// Whether the connection's reader has to wait for readers of streams.
    pub(crate) fn is_full(&self) -> bool {
        self.state.lock().bytes >= CONNECTION_BUFFER_BYTES
    }

    /// Completes when something was read since the last time, or a reading end has gone. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The streams of which at least `step` bytes were read, with how many.
    pub(crate) fn take_read(&self, step: u32) -> Vec<(u32, u32)> {
        let mut state = self.state.lock();
        let read: Vec<(u32, u32)> =
            state.taken.iter().filter(|(_, bytes)| **bytes >= step).map(|(id, bytes)| (*id, *bytes)).collect();
        for (id, _) in &read {
            state.taken.remove(id);
        }
        read
    }

    /// The streams whose reading ends have gone since the last time.
    pub(crate) fn take_gone(&self) -> Vec<u32> {
        std::mem::take(&mut self.state.lock().gone)
    }

    fn read(&self, id: u32, length: usize) {
        let mut state = self.state.lock();
        state.bytes -= length;
        let taken = state.taken.entry(id).or_default();
        *taken = taken.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        drop(state);
        self.changed.notify_one();
    }
}

impl Feed {
    /// Adds what has come. `false`: nobody reads it any more.
    pub(crate) fn push(&self, bytes: &[u8]) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.is_gone {
            return false;
        }
        inbox.bytes.extend(bytes);
        self.inflow.state.lock().bytes += bytes.len();
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The peer has given the stream up: what nobody has read yet is of no use any more.
    pub(crate) fn reset(self) {
        let mut inbox = self.inbox.lock();
        inbox.is_reset = true;
        let discarded = std::mem::take(&mut inbox.bytes).len();
        self.inflow.state.lock().bytes -= discarded;
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut inbox = self.inbox.lock();
        inbox.is_ended = true;
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl AsyncRead for Input {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inbox = self.inbox.lock();
        let length = inbox.bytes.len().min(buf.remaining());
        if length == 0 {
            if inbox.is_reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if inbox.is_ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            inbox.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, back) = inbox.bytes.as_slices();
        let from_front = length.min(front.len());
        buf.put_slice(&front[..from_front]);
        buf.put_slice(&back[..length - from_front]);
        inbox.bytes.drain(..length);
        if inbox.bytes.is_empty() {
            // A stream that was full once does not hold on to its room.
            inbox.bytes = VecDeque::new();
        }
        drop(inbox);
        self.inflow.read(self.id, length);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let discarded = {
            let mut inbox = self.inbox.lock();
            inbox.is_gone = true;
            std::mem::take(&mut inbox.bytes).len()
        };
        let mut state = self.inflow.state.lock();
        state.bytes -= discarded;
        state.taken.remove(&self.id);
        state.gone.push(self.id);
        drop(state);
        self.inflow.changed.notify_one();
    }
}
