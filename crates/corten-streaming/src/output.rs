//! The writing end of one stream of a connection: pieces go into the connection's queue.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWrite,
    sync::{Notify, mpsc},
};
use tokio_util::sync::PollSender;

use crate::CHUNK_BYTES_MAX;

/// What a connection is told to send.
#[derive(Debug)]
pub(crate) enum Send {
    /// A piece of a stream.
    Data(u32, Bytes),
    /// The end of a stream in our direction.
    End(u32),
    /// A frame that is no stream's data.
    Control(crate::spdy::frame::Frame),
    /// Everything is sent: the connection ends.
    Finish,
}

/// Streams whose writers went away without an orderly end: a drop cannot wait for a place in the queue.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    ids: Mutex<Vec<u32>>,
    notify: Notify,
}

impl Dropped {
    pub(crate) fn add(&self, id: u32) {
        self.ids.lock().push(id);
        self.notify.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.ids.lock())
    }

    pub(crate) async fn some(&self) {
        self.notify.notified().await;
    }
}

/// Writes one stream of a connection. `shutdown`, or a drop, ends the stream in this direction.
///
/// Errors: `BrokenPipe` once the connection has ended.
#[derive(Debug)]
pub struct Output {
    queue: PollSender<Send>,
    dropped: Arc<Dropped>,
    id: u32,
    ended: bool,
}

impl Output {
    pub(crate) fn new(queue: &mpsc::Sender<Send>, dropped: &Arc<Dropped>, id: u32) -> Self {
        Self { queue: PollSender::new(queue.clone()), dropped: Arc::clone(dropped), id, ended: false }
    }

    /// Sends an empty piece.
    ///
    /// Errors: the connection has ended.
    pub(crate) async fn send_empty(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_send(cx, |id| Send::Data(id, Bytes::new()))).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, item: impl FnOnce(u32) -> Send) -> Poll<io::Result<()>> {
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.queue.poll_reserve(cx)).map_err(broken)?;
        Poll::Ready(self.queue.send_item(item(self.id)).map_err(broken))
    }
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended {
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
        if !self.ended {
            ready!(self.poll_send(cx, Send::End))?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.ended {
            self.dropped.add(self.id);
        }
    }
}

/// What the queue gives next, the ends of dropped writers behind what they had sent; `None` once nobody can send any more.
pub(crate) async fn next(queue: &mut mpsc::Receiver<Send>, dropped: &Dropped, ended: &mut Vec<u32>) -> Option<Send> {
    loop {
        if !ended.is_empty() {
            // Their last pieces are in the queue, if anywhere.
            match queue.try_recv() {
                Ok(item) => return Some(item),
                Err(_) => return ended.pop().map(Send::End),
            }
        }
        tokio::select! {
            biased;
            item = queue.recv() => return item,
            () = dropped.some() => *ended = dropped.take(),
        }
    }
}
