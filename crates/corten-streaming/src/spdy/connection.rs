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
use corten_base::SharedClock;
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
    BoxIo, Driver, Input, Output, SEND_QUEUE, SILENCE_WHEN_FULL,
    input::{self, Feed, Inflow},
    output::{Dropped, Life, Send, next},
};

/// How many streams may be open, ours and the peer's, until both sides have ended them: a client that forwards ports needs
/// two for each of its connections. Further ones are refused.
pub const STREAMS_MAX: usize = 1_024;

/// New streams that wait to be taken: as many as a peer may open before anybody looks. Past that they are refused, so that
/// the reader never waits for whoever takes them.
const ACCEPT_QUEUE: usize = STREAMS_MAX;

/// Streams of ours that wait for the reader to know them; whoever opens them waits.
const OPENINGS: usize = 16;

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
    opened: mpsc::Sender<(u32, Open)>,
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

/// A stream as the connection's reader knows it.
struct Open {
    /// `None`: the peer has ended its half, or nobody reads it any more.
    feed: Option<Feed>,
    ours: Arc<Life>,
}

#[derive(Debug, Clone)]
struct Shared {
    queue: mpsc::Sender<Send>,
    dropped: Arc<Dropped>,
    inflow: Arc<Inflow>,
    closed: CancellationToken,
    clock: SharedClock,
}

/// Speaks SPDY on `io`. `clock` is asked only while the connection is not read because of what it holds. The driver has to be polled for anything to happen; it completes once the connection has ended: after
/// a `close`, once the peer has closed, too, for which the caller sets a deadline.
#[must_use]
pub fn connect(io: BoxIo, role: Role, clock: SharedClock) -> (Connection, Driver) {
    let (queue, sends) = mpsc::channel(SEND_QUEUE);
    let (accept, accepted) = mpsc::channel(ACCEPT_QUEUE);
    let (opened, openings) = mpsc::channel(OPENINGS);
    let closed = CancellationToken::new();
    let shared = Shared { queue, dropped: Arc::default(), inflow: Arc::default(), closed, clock };
    let next_id = AtomicU32::new(if role == Role::Client { 1 } else { 2 });
    let reader = Reader {
        streams: BTreeMap::new(),
        last_id: 0,
        ping: next_id.load(Ordering::Relaxed),
        received: 0,
        accept,
        openings,
        shared: shared.clone(),
    };
    let driver = drive(io, sends, reader);
    (Connection { accepted, shared, next_id, opened }, Box::pin(driver))
}

impl Connection {
    /// The next stream that the peer opens; `None` once the connection has ended. Cancel-safe.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.accepted.recv().await
    }

    /// Refuses all streams that the peer opens from now on, and those that nobody has taken.
    pub fn refuse_more(&mut self) {
        self.accepted.close();
        while let Ok(stream) = self.accepted.try_recv() {
            stream.refuse();
        }
    }

    /// Opens a stream.
    ///
    /// Errors: the connection has ended.
    pub async fn open(&self, headers: Headers) -> io::Result<Stream> {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let id = self.next_id.fetch_add(2, Ordering::Relaxed);
        let (stream, open) = self.shared.stream(id, headers.clone());
        self.opened.send((id, open)).await.map_err(|_| broken())?;
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
    fn stream(&self, id: u32, headers: Headers) -> (Stream, Open) {
        let (input, feed) = input::stream(id, &self.inflow);
        let ours = Arc::<Life>::default();
        let output = Output::new(&self.queue, &self.dropped, &ours, id);
        (Stream { id, headers, input, output }, Open { feed: Some(feed), ours })
    }
}

impl Stream {
    /// Ends it in both directions, as one that is not wanted.
    pub fn refuse(self) {
        self.output.reset(REFUSED_STREAM);
    }
}

impl Open {
    fn is_over(&self) -> bool {
        self.feed.is_none() && self.ours.is_ended()
    }
}

async fn drive(io: BoxIo, sends: mpsc::Receiver<Send>, reader: Reader) {
    let _closed = reader.shared.closed.clone().drop_guard();
    let (mut read, write) = tokio::io::split(io);
    let dropped = Arc::clone(&reader.shared.dropped);
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
                for (id, reset) in ended {
                    let end = match reset {
                        None => Frame::Data { id, fin: true, bytes: bytes::Bytes::new() },
                        Some(code) => Frame::RstStream { id, code },
                    };
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
    /// Those that one side has not ended; some that both have, too, until their places are needed.
    streams: BTreeMap<u32, Open>,
    last_id: u32,
    /// The number of our pings: odd or even, as those of our streams.
    ping: u32,
    /// Bytes of all streams that the peer was not told of. The connection's own window only follows what comes: what one
    /// stream does not read must not stop the others.
    received: u32,
    accept: mpsc::Sender<Stream>,
    openings: mpsc::Receiver<(u32, Open)>,
    shared: Shared,
}

impl Reader {
    async fn run(mut self, read: &mut ReadHalf<BoxIo>) -> io::Result<()> {
        let (mut buffer, mut decompressor) = (BytesMut::with_capacity(READ_BYTES), Decompressor::new());
        let inflow = Arc::clone(&self.shared.inflow);
        loop {
            while let Some(frame) = frame::decode(&mut buffer, &mut decompressor).map_err(io::Error::other)? {
                while let Ok((id, open)) = self.openings.try_recv() {
                    self.streams.insert(id, open);
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
                    if self.streams.get(&id).is_some_and(|open| open.feed.is_some()) {
                        self.send(Frame::WindowUpdate { id, delta }).await?;
                    }
                }
                let is_full = inflow.is_full();
                let silence = async { self.shared.clock.sleep(SILENCE_WHEN_FULL).await };
                tokio::select! {
                    biased;
                    () = inflow.changed() => {}
                    () = silence, if is_full => self.ask_for_life(),
                    length = read.read_buf(&mut buffer), if !is_full => {
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
            self.end(id);
        }
    }

    /// Nothing more comes on a stream.
    fn end(&mut self, id: u32) {
        if let Some(open) = self.streams.get_mut(&id) {
            open.feed = None;
            if open.is_over() {
                self.streams.remove(&id);
            }
        }
    }

    /// While the connection is not read, its end is not seen either: a write to a peer that has gone fails.
    fn ask_for_life(&self) {
        // A queue that is full has something to write already.
        let _full = self.shared.queue.try_send(Send::Control(Frame::Ping(self.ping)));
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
                if let Some(feed) = self.streams.get(&id).and_then(|open| open.feed.as_ref())
                    && (!feed.push(&bytes) || fin)
                {
                    self.end(id);
                }
                if self.received >= WINDOW_STEP_BYTES {
                    return Some(Frame::WindowUpdate { id: 0, delta: std::mem::take(&mut self.received) });
                }
            }
            Frame::RstStream { id, .. } => {
                if let Some(Open { feed, ours }) = self.streams.remove(&id) {
                    ours.reset.cancel();
                    if let Some(feed) = feed {
                        feed.reset();
                    }
                }
            }
            Frame::SynReply { id, fin: true, .. } | Frame::Headers { id, fin: true, .. } => self.end(id),
            // The answer to one of ours.
            Frame::Ping(id) if id % 2 == self.ping % 2 => {}
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
            self.streams.retain(|_, open| !open.is_over());
        }
        // Nobody else fills the queue: a place that is there stays.
        if self.streams.len() >= STREAMS_MAX || self.accept.is_closed() || self.accept.capacity() == 0 {
            return Some(Frame::RstStream { id, code: REFUSED_STREAM });
        }
        let (stream, mut open) = self.shared.stream(id, headers);
        if fin {
            open.feed = None;
        }
        self.streams.insert(id, open);
        self.send(Frame::SynReply { id, fin: false, headers: Headers::default() }).await.ok()?;
        // Whoever took streams has gone meanwhile: the stream ends with its drop.
        let _gone = self.accept.try_send(stream);
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
