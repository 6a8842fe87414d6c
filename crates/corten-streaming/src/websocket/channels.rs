//! Streams as numbered channels: the first byte of a message says which one.

use std::{io, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use corten_base::SharedClock;
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::sync::mpsc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use super::switched;
use crate::{
    BoxIo, Driver, Input, Output, SEND_QUEUE, SILENCE_WHEN_FULL,
    input::{self, Feed, Inflow},
    output::{Dropped, Life, Send, next},
    spdy::frame::Frame,
};

/// The channel of version 5 on which the client tells the end of another.
const CLOSE_CHANNEL: u8 = 255;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Binary messages, the first byte the channel's number.
    Binary,
    /// Text messages, the first character the channel's digit, the rest base64.
    Base64,
}

/// The channels of a connection.
#[derive(Debug)]
pub struct Channels {
    queue: mpsc::Sender<Send>,
    dropped: Arc<Dropped>,
    closed: CancellationToken,
}

/// What is known about the channels of a connection before it begins.
struct Rules {
    encoding: Encoding,
    /// Whether the client can tell the end of a single channel: from version 5 on.
    closes: bool,
}

/// What comes, and where to.
struct Inputs {
    inflow: Arc<Inflow>,
    feeds: Vec<(u8, Option<Feed>)>,
    /// Does not keep the connection.
    queue: mpsc::WeakSender<Send>,
    clock: SharedClock,
}

/// Serves `io`, which was switched to WebSocket already. `inputs` are the channels that are read, and each gets a reader;
/// what comes on others is dropped. `clock` is asked only while the connection is not read because of what it holds.
///
/// The driver has to be polled for anything to happen; it completes once the connection has ended: after a `close`, once
/// the peer has closed, too, for which the caller sets a deadline.
#[must_use]
pub fn connect(
    io: BoxIo,
    encoding: Encoding,
    closes: bool,
    inputs: &[u8],
    clock: SharedClock,
) -> (Channels, Vec<Input>, Driver) {
    let (queue, sends) = mpsc::channel(SEND_QUEUE);
    let inflow = Arc::<Inflow>::default();
    let (mut ours, mut feeds) = (Vec::new(), Vec::new());
    for &channel in inputs {
        let (reader, feed) = input::stream(u32::from(channel), &inflow);
        ours.push(reader);
        feeds.push((channel, Some(feed)));
    }
    let channels = Channels { queue, dropped: Arc::default(), closed: CancellationToken::new() };
    let inputs = Inputs { inflow, feeds, queue: channels.queue.downgrade(), clock };
    let (dropped, closed) = (Arc::clone(&channels.dropped), channels.closed.clone());
    let driver = drive(io, Rules { encoding, closes }, inputs, sends, dropped, closed);
    (channels, ours, Box::pin(driver))
}

impl Channels {
    /// The writing end of a channel.
    #[must_use]
    pub fn output(&self, channel: u8) -> Output {
        // A channel is not given up by itself.
        Output::new(&self.queue, &self.dropped, &Arc::<Life>::default(), u32::from(channel))
    }

    /// Completes once the connection has ended.
    #[must_use]
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Ends the connection once everything that was written before is sent.
    pub async fn close(&self) {
        // A connection that has ended is what was wanted.
        let _ended = self.queue.send(Send::Finish).await;
    }
}

async fn drive(
    io: BoxIo,
    rules: Rules,
    inputs: Inputs,
    sends: mpsc::Receiver<Send>,
    dropped: Arc<Dropped>,
    closed: CancellationToken,
) {
    let _closed = closed.drop_guard();
    let (sink, mut stream) = switched(io, Role::Server).await.split();
    // A connection that broke on either side is over; there is nobody left to tell.
    let is_finished = tokio::select! {
        biased;
        result = write_messages(sink, &rules, sends, &dropped) => result.is_ok(),
        _result = read_messages(&mut stream, &rules, inputs) => false,
    };
    if is_finished {
        // The peer answers the close; what it sent before that is of no use any more.
        while let Some(Ok(_)) = stream.next().await {}
    }
}

async fn write_messages(
    mut sink: SplitSink<WebSocketStream<BoxIo>, Message>,
    rules: &Rules,
    mut sends: mpsc::Receiver<Send>,
    dropped: &Dropped,
) -> Result<(), Error> {
    let mut ended = Vec::new();
    while let Some(send) = next(&mut sends, dropped, &mut ended).await {
        let message = match send {
            Send::Data(channel, bytes) => rules.message(channel as u8, &bytes),
            // A server tells the end of its channels by the end of the connection, in version 5, too: clients complain
            // about a close that they did not expect ("Unknown stream id 255").
            Send::Control(Frame::Ping(_)) => Message::Ping(Bytes::new()),
            Send::End(_) | Send::Control(_) => continue,
            Send::Finish => {
                let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                return sink.send(Message::Close(Some(close))).await;
            }
        };
        sink.send(message).await?;
    }
    Ok(())
}

async fn read_messages(
    stream: &mut SplitStream<WebSocketStream<BoxIo>>,
    rules: &Rules,
    Inputs { inflow, mut feeds, queue, clock }: Inputs,
) -> io::Result<()> {
    loop {
        // The protocol has no windows: only the connection as a whole can be slowed down.
        while inflow.is_full() {
            tokio::select! {
                biased;
                () = inflow.changed() => {}
                // Its end is not seen meanwhile; a write to a peer that has gone fails. A queue that is full has something
                // to write already.
                () = clock.sleep(SILENCE_WHEN_FULL) => {
                    let _full = queue.upgrade().map(|queue| queue.try_send(Send::Control(Frame::Ping(0))));
                }
            }
        }
        let Some(message) = stream.next().await else { return Ok(()) };
        let Some((channel, bytes)) = rules.parse(message.map_err(io::Error::other)?)? else { continue };
        if channel == CLOSE_CHANNEL && rules.closes {
            for (_, feed) in feeds.iter_mut().filter(|(channel, _)| Some(channel) == bytes.first()) {
                *feed = None;
            }
        } else if let Some((_, feed)) = feeds.iter_mut().find(|(known, _)| *known == channel)
            && feed.as_ref().is_some_and(|open| !open.push(&bytes))
        {
            // Nobody reads it any more: what still comes goes nowhere.
            *feed = None;
        }
    }
}

impl Rules {
    fn message(&self, channel: u8, bytes: &[u8]) -> Message {
        match self.encoding {
            Encoding::Binary => {
                let mut message = BytesMut::with_capacity(bytes.len() + 1);
                message.put_u8(channel);
                message.put_slice(bytes);
                Message::Binary(message.freeze())
            }
            Encoding::Base64 => {
                let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
                text.push(char::from(b'0' + channel));
                STANDARD.encode_string(bytes, &mut text);
                Message::text(text)
            }
        }
    }

    /// The channel and what was sent on it; `None` for messages that carry nothing.
    fn parse(&self, message: Message) -> io::Result<Option<(u8, Bytes)>> {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            _ => return Ok(None),
        };
        let Some(&first) = bytes.first() else { return Ok(None) };
        Ok(Some(match self.encoding {
            Encoding::Binary => (first, bytes.slice(1..)),
            Encoding::Base64 => {
                let decoded = STANDARD.decode(&bytes[1..]).map_err(io::Error::other)?;
                (first.wrapping_sub(b'0'), Bytes::from(decoded))
            }
        }))
    }
}
