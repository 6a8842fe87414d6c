//! The writing end of one stream of a connection: pieces go into the connection's queue.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWrite,
    sync::{Notify, mpsc},
};
use tokio_util::sync::{CancellationToken, PollSender};

use crate::{CHUNK_BYTES_MAX, spdy::frame::Frame};

/// What a connection is told to send.
#[derive(Debug)]
pub(crate) enum Send {
    /// A piece of a stream.
    Data(u32, Bytes),
    /// The end of a stream in our direction.
    End(u32),
    /// A frame that is no stream's data; of these, WebSockets know pings alone.
    Control(Frame),
    /// Everything is sent: the connection ends.
    Finish,
}

/// A stream that ends without waiting for a place in the queue: its number and, if it is reset, the code.
pub(crate) type Ended = (u32, Option<u32>);

/// Streams whose writers went away without an orderly end: a drop cannot wait for a place in the queue.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    ids: Mutex<Vec<Ended>>,
    notify: Notify,
}

/// What the writer of a stream and the connection's reader know of each other.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The peer has given the stream up.
    pub(crate) reset: CancellationToken,
    /// Our half has ended.
    ended: AtomicBool,
}

impl Life {
    /// Whether our half has ended.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Dropped {
    fn add(&self, ended: Ended) {
        self.ids.lock().push(ended);
        self.notify.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<Ended> {
        std::mem::take(&mut self.ids.lock())
    }

    pub(crate) async fn some(&self) {
        self.notify.notified().await;
    }
}

/// Writes one stream of a connection. `shutdown`, or a drop, ends the stream in this direction.
///
/// Errors: `BrokenPipe` once the connection has ended, or the peer has given the stream up.
#[derive(Debug)]
pub struct Output {
    queue: PollSender<Send>,
    dropped: Arc<Dropped>,
    life: Arc<Life>,
    id: u32,
}

impl Output {
    pub(crate) fn new(queue: &mpsc::Sender<Send>, dropped: &Arc<Dropped>, life: &Arc<Life>, id: u32) -> Self {
        let (dropped, life) = (Arc::clone(dropped), Arc::clone(life));
        Self { queue: PollSender::new(queue.clone()), dropped, life, id }
    }

    /// Completes once the peer has given the stream up: what is written from then on reaches nobody.
    #[must_use]
    pub fn given_up(&self) -> CancellationToken {
        self.life.reset.clone()
    }

    /// Gives the stream up, in both directions.
    pub(crate) fn reset(self, code: u32) {
        if !self.life.reset.is_cancelled() {
            self.life.ended.store(true, Ordering::Relaxed);
            self.dropped.add((self.id, Some(code)));
        }
    }

    /// Sends an empty piece.
    ///
    /// Errors: the connection has ended.
    pub(crate) async fn send_empty(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_send(cx, |id| Send::Data(id, Bytes::new()))).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, item: impl FnOnce(u32) -> Send) -> Poll<io::Result<()>> {
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        if self.life.reset.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.queue.poll_reserve(cx)).map_err(broken)?;
        Poll::Ready(self.queue.send_item(item(self.id)).map_err(broken))
    }
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.life.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let chunk = &buf[..buf.len().min(CHUNK_BYTES_MAX)];
        ready!(self.poll_send(cx, |id| Send::Data(id, Bytes::copy_from_slice(chunk))))?;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection flushes whenever its queue is empty.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.life.is_ended() {
            ready!(self.poll_send(cx, Send::End))?;
            self.life.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let had_ended = self.life.ended.swap(true, Ordering::Relaxed);
        if !had_ended && !self.life.reset.is_cancelled() {
            self.dropped.add((self.id, None));
        }
    }
}

/// What the queue gives next, the ends of dropped writers behind what they had sent; `None` once nobody can send any more.
pub(crate) async fn next(queue: &mut mpsc::Receiver<Send>, dropped: &Dropped, ended: &mut Vec<Ended>) -> Option<Send> {
    loop {
        if !ended.is_empty() {
            // Their last pieces are in the queue, if anywhere.
            match queue.try_recv() {
                Ok(item) => return Some(item),
                Err(_) => {
                    return ended.pop().map(|(id, reset)| match reset {
                        None => Send::End(id),
                        Some(code) => Send::Control(Frame::RstStream { id, code }),
                    });
                }
            }
        }
        tokio::select! {
            biased;
            item = queue.recv() => return item,
            () = dropped.some() => *ended = dropped.take(),
        }
    }
}
