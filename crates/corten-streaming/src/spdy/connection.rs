//! One connection: its streams and what drives them.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::{
    Headers, SpdyError,
    frame::{self, Frame},
    headers::{Compressor, Decompressor},
};
use crate::{
    BoxIo, Driver, Input, Output, SEND_QUEUE,
    input::{self, Feed, Inflow},
    output::{Dropped, Send, next},
};

/// How many streams a peer may have open: what a client that forwards ports needs for many connections at once.
const STREAMS_MAX: usize = 512;

/// New streams that wait to be taken.
const ACCEPT_QUEUE: usize = 16;

/// How much of the connection is read at once.
const READ_BYTES: usize = 16 << 10;

/// The peer is told of room in a stream after this many bytes.
const WINDOW_STEP_BYTES: u32 = 16 << 10;

const REFUSED_STREAM: u32 = 3;
const PROTOCOL_ERROR: u32 = 1;

/// Which side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opens streams with odd numbers.
    Client,
    /// Opens streams with even numbers.
    Server,
}

/// A connection. Dropping it changes nothing: `close` ends it.
#[derive(Debug)]
pub struct Connection {
    accepted: mpsc::Receiver<Stream>,
    shared: Shared,
    next_id: AtomicU32,
    opened: mpsc::Sender<(u32, Feed)>,
}

/// One stream. Reading ends when the peer has ended it; `shutdown` ends it in our direction.
#[derive(Debug)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// What it was opened with.
    pub headers: Headers,
    /// What the peer sends.
    pub input: Input,
    /// What the peer gets.
    pub output: Output,
}

#[derive(Debug, Clone)]
struct Shared {
    queue: mpsc::Sender<Send>,
    dropped: Arc<Dropped>,
    inflow: Arc<Inflow>,
    closed: CancellationToken,
}

/// Speaks SPDY on `io`. The driver has to be polled for anything to happen; it completes once the connection has ended: after
/// a `close`, once the peer has closed, too, for which the caller sets a deadline.
#[must_use]
pub fn connect(io: BoxIo, role: Role) -> (Connection, Driver) {
    let (queue, sends) = mpsc::channel(SEND_QUEUE);
    let (accept, accepted) = mpsc::channel(ACCEPT_QUEUE);
    let (opened, openings) = mpsc::channel(ACCEPT_QUEUE);
    let shared = Shared { queue, dropped: Arc::default(), inflow: Arc::default(), closed: CancellationToken::new() };
    let next_id = AtomicU32::new(if role == Role::Client { 1 } else { 2 });
    let driver = drive(io, sends, accept, openings, shared.clone());
    (Connection { accepted, shared, next_id, opened }, Box::pin(driver))
}

impl Connection {
    /// The next stream that the peer opens; `None` once the connection has ended. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.accepted.recv().await
    }

    /// Opens a stream.
    ///
    /// Errors: the connection has ended.
    pub async fn open(&self, headers: Headers) -> io::Result<Stream> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let id = self.next_id.fetch_add(2, Ordering::Relaxed);
        let (stream, feed) = self.shared.stream(id, headers.clone());
        self.opened.send((id, feed)).await.map_err(|_| broken())?;
        let frame = Frame::SynStream { id, fin: false, headers };
        self.shared.queue.send(Send::Control(frame)).await.map_err(|_| broken())?;
        Ok(stream)
    }

    /// Completes once the connection has ended.
    #[must_use]
    pub fn closed(&self) -> CancellationToken {
        self.shared.closed.clone()
    }

    /// Ends the connection once everything that was written before is sent.
    pub async fn close(&self) {
        // A connection that has ended is what was wanted.
        let _ended = self.shared.queue.send(Send::Finish).await;
    }
}

impl Shared {
    fn stream(&self, id: u32, headers: Headers) -> (Stream, Feed) {
        let (input, feed) = input::stream(id, &self.inflow);
        (Stream { id, headers, input, output: Output::new(&self.queue, &self.dropped, id) }, feed)
    }
}

async fn drive(
    io: BoxIo,
    sends: mpsc::Receiver<Send>,
    accept: mpsc::Sender<Stream>,
    openings: mpsc::Receiver<(u32, Feed)>,
    shared: Shared,
) {
    let _closed = shared.closed.clone().drop_guard();
    let (mut read, write) = tokio::io::split(io);
    let dropped = Arc::clone(&shared.dropped);
    let reader = Reader { streams: BTreeMap::new(), last_id: 0, received: 0, accept, openings, shared };
    // A connection that broke on either side is over; there is nobody left to tell.
    let is_finished = tokio::select! {
        biased;
        result = write_frames(write, sends, dropped) => result.is_ok(),
        _result = reader.run(&mut read) => false,
    };
    if is_finished {
        // To close with unread bytes would take from the peer what is still on its way there.
        let _broken = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
    }
}

async fn write_frames(
    mut write: WriteHalf<BoxIo>,
    mut sends: mpsc::Receiver<Send>,
    dropped: Arc<Dropped>,
) -> io::Result<()> {
    let broken = |error: SpdyError| io::Error::other(error);
    let mut compressor = Compressor::new().map_err(broken)?;
    let (mut buffer, mut ended) = (BytesMut::new(), Vec::new());
    while let Some(send) = next(&mut sends, &dropped, &mut ended).await {
        let frame = match send {
            Send::Data(id, bytes) => Frame::Data { id, fin: false, bytes },
            Send::End(id) => Frame::Data { id, fin: true, bytes: bytes::Bytes::new() },
            Send::Control(frame) => frame,
            Send::Finish => {
                // Writers that were dropped just before: their ends go out, too.
                ended.extend(dropped.take());
                for id in ended {
                    let end = Frame::Data { id, fin: true, bytes: bytes::Bytes::new() };
                    frame::encode(&end, &mut buffer, &mut compressor).map_err(broken)?;
                }
                frame::encode(&Frame::GoAway { last: 0, code: 0 }, &mut buffer, &mut compressor).map_err(broken)?;
                write.write_all_buf(&mut buffer).await?;
                return write.shutdown().await;
            }
        };
        frame::encode(&frame, &mut buffer, &mut compressor).map_err(broken)?;
        write.write_all_buf(&mut buffer).await?;
        if sends.is_empty() {
            write.flush().await?;
        }
    }
    Ok(())
}

struct Reader {
    streams: BTreeMap<u32, Feed>,
    last_id: u32,
    /// Bytes of all streams that the peer was not told of. The connection's own window only follows what comes: what one
    /// stream does not read must not stop the others.
    received: u32,
    accept: mpsc::Sender<Stream>,
    openings: mpsc::Receiver<(u32, Feed)>,
    shared: Shared,
}

impl Reader {
    async fn run(mut self, read: &mut ReadHalf<BoxIo>) -> io::Result<()> {
        let (mut buffer, mut decompressor) = (BytesMut::with_capacity(READ_BYTES), Decompressor::new());
        let inflow = Arc::clone(&self.shared.inflow);
        loop {
            while let Some(frame) = frame::decode(&mut buffer, &mut decompressor).map_err(io::Error::other)? {
                while let Ok((id, feed)) = self.openings.try_recv() {
                    self.streams.insert(id, feed);
                }
                self.forget_gone();
                if let Some(answer) = self.take(frame).await {
                    self.send(answer).await?;
                }
            }
            buffer.reserve(READ_BYTES);
            loop {
                self.forget_gone();
                for (id, delta) in inflow.take_read(WINDOW_STEP_BYTES) {
                    // A stream that the peer has ended needs no more room.
                    if self.streams.contains_key(&id) {
                        self.send(Frame::WindowUpdate { id, delta }).await?;
                    }
                }
                tokio::select! {
                    biased;
                    () = inflow.changed() => {}
                    length = read.read_buf(&mut buffer), if !inflow.is_full() => {
                        if length? == 0 {
                            return Ok(());
                        }
                        break;
                    }
                }
            }
        }
    }

    fn forget_gone(&mut self) {
        for id in self.shared.inflow.take_gone() {
            self.streams.remove(&id);
        }
    }

    async fn send(&self, frame: Frame) -> io::Result<()> {
        let sent = self.shared.queue.send(Send::Control(frame)).await;
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Does what a frame says, and returns its answer.
    async fn take(&mut self, frame: Frame) -> Option<Frame> {
        match frame {
            Frame::SynStream { id, fin, headers } => return self.opened(id, fin, headers).await,
            Frame::Data { id, fin, bytes } => {
                self.received += bytes.len() as u32;
                // A stream that nobody reads any more: its bytes go nowhere.
                if let Some(stream) = self.streams.get(&id)
                    && (!stream.push(&bytes) || fin)
                {
                    self.streams.remove(&id);
                }
                if self.received >= WINDOW_STEP_BYTES {
                    return Some(Frame::WindowUpdate { id: 0, delta: std::mem::take(&mut self.received) });
                }
            }
            Frame::RstStream { id, .. } => {
                self.streams.remove(&id);
            }
            Frame::SynReply { id, fin: true, .. } | Frame::Headers { id, fin: true, .. } => {
                self.streams.remove(&id);
            }
            Frame::Ping(id) => return Some(Frame::Ping(id)),
            // Streams that are open may go on after a GOAWAY; the end of the connection follows.
            Frame::SynReply { .. }
            | Frame::Headers { .. }
            | Frame::Settings
            | Frame::GoAway { .. }
            | Frame::WindowUpdate { .. }
            | Frame::Other => {}
        }
        None
    }

    async fn opened(&mut self, id: u32, fin: bool, headers: Headers) -> Option<Frame> {
        if id == 0 || id <= self.last_id {
            return Some(Frame::RstStream { id, code: PROTOCOL_ERROR });
        }
        self.last_id = id;
        if self.streams.len() >= STREAMS_MAX {
            return Some(Frame::RstStream { id, code: REFUSED_STREAM });
        }
        let (stream, feed) = self.shared.stream(id, headers);
        if !fin {
            self.streams.insert(id, feed);
        }
        self.send(Frame::SynReply { id, fin: false, headers: Headers::default() }).await.ok()?;
        // Nobody accepts any more: the stream ends with its drop.
        let _refused = self.accept.send(stream).await;
        None
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_shutdown(cx)
    }
}
