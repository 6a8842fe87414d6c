//! What the heads of requests hold while they are not complete, counted where their bytes come in.
//!
//! A head may be large, and nobody is authenticated before it is complete. hyper bounds each head, but not all together.
//! HTTP/1: what comes while no request is open belongs to a head. hyper keeps the buffer that a head has needed, so that the
//! largest counts until the connection ends. HTTP/2: blocks of headers that go on in further frames; a complete one is
//! handed on at once.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    activity::Activity,
    own_answers::{Answers, Withheld},
    peers::{HeadBytes, Peer},
};

/// So much is not counted: about what every connection costs. Nearly all heads of HTTP/1 have less, and those of HTTP/2 are
/// complete in their first frame.
const UNCOUNTED_BYTES: usize = 16 * 1024;

/// What headers of HTTP/2 hold at most for each of their bytes: one of them can stand for a whole header, whose place in
/// hyper's map of them has some seventy, or twice that when the map has just grown. Not more than `UNPACKED_BYTES_MAX`: the
/// bound of a head counts 32 bytes for each header.
const UNPACKED_BYTES_OF_ONE: usize = 150;
const UNPACKED_BYTES_MAX: usize = 4 << 20;

/// What an HTTP/2 client sends before its first frame: `PRI * HTTP/2.0` and so on.
const PREFACE_BYTES: usize = 24;

/// What a frame begins with: length, type, flags, stream.
const FRAME_HEADER_BYTES: usize = 9;

/// The types of frames that carry headers, and the flag of the last of them.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Told to an HTTP/1 client whose head found no room.
const TOO_MANY_HTTP1: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Retry-After: 1\r\nConnection: close\r\n\r\nToo many unfinished requests, please try again later.\n";

/// Told to an HTTP/2 client: GOAWAY, ENHANCE_YOUR_CALM. Which of its streams were looked at is left open.
const TOO_MANY_HTTP2: &[u8] =
    b"\x00\x00\x1b\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x0btoo many open heads";

/// A connection whose heads are counted.
#[derive(Debug)]
pub(super) struct Counting<S> {
    stream: S,
    meter: Meter,
    held: HeadBytes,
    refused: Refused,
    /// Of HTTP/1 alone.
    answers: Option<Answers>,
}

/// Whether a head of the connection found no room; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<AtomicBool>);

/// How much of an unfinished head there is.
#[derive(Debug)]
enum Meter {
    Http1 { activity: Activity, requests: usize, head: usize, largest: usize },
    Http2(Frames),
}

/// Where one is in the frames of a client.
#[derive(Debug)]
struct Frames {
    /// What is left of the preface, or of a frame's payload.
    rest: usize,
    header: [u8; FRAME_HEADER_BYTES],
    /// How much of `header` has come.
    come: usize,
    /// The size of the block of headers that is not complete.
    block: usize,
}

impl<S> Counting<S> {
    /// Counts the heads in `stream` as those of `peer`. `activity` tells of the requests of an HTTP/1 connection.
    pub(super) fn new(
        stream: S,
        speaks_http2: bool,
        activity: Activity,
        peer: Arc<Peer>,
        (refused, withheld): (Refused, Withheld),
    ) -> Self {
        let answers = (!speaks_http2).then(|| Answers::new(activity.clone(), withheld));
        let meter = if speaks_http2 {
            Meter::Http2(Frames { rest: PREFACE_BYTES, header: [0; FRAME_HEADER_BYTES], come: 0, block: 0 })
        } else {
            Meter::Http1 { activity, requests: 0, head: 0, largest: 0 }
        };
        Self { stream, meter, held: HeadBytes::new(peer), refused, answers }
    }

    fn withholds(&mut self) -> bool {
        self.answers.as_mut().is_some_and(Answers::withholds)
    }
}

impl Refused {
    /// What is to be told to the client, if there is something that it can understand: an HTTP/1 client could take it for a
    /// part of an answer to an earlier request.
    pub(super) fn answer(&self, speaks_http2: bool, activity: &Activity) -> Option<&'static [u8]> {
        if !self.0.load(Ordering::Relaxed) {
            None
        } else if speaks_http2 {
            Some(TOO_MANY_HTTP2)
        } else {
            (activity.requests() == 0).then_some(TOO_MANY_HTTP1)
        }
    }
}

impl Meter {
    /// What is to be counted once `bytes` have come.
    fn read(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Http1 { activity, requests, head, largest } => {
                let begun = activity.requests();
                if begun != *requests {
                    (*requests, *head) = (begun, 0);
                }
                if !activity.is_busy() {
                    *head += bytes.len();
                    *largest = (*largest).max(*head);
                }
                largest.saturating_sub(UNCOUNTED_BYTES)
            }
            Self::Http2(frames) => {
                let unpacked = frames.read(bytes).saturating_mul(UNPACKED_BYTES_OF_ONE).min(UNPACKED_BYTES_MAX);
                unpacked.saturating_sub(UNCOUNTED_BYTES)
            }
        }
    }
}

impl Frames {
    /// The size of the block of headers that is not complete after `bytes`.
    fn read(&mut self, mut bytes: &[u8]) -> usize {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(bytes.len());
                self.rest -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let (part, others) = bytes.split_at((FRAME_HEADER_BYTES - self.come).min(bytes.len()));
            self.header[self.come..self.come + part.len()].copy_from_slice(part);
            self.come += part.len();
            bytes = others;
            if self.come == FRAME_HEADER_BYTES {
                self.come = 0;
                self.begin();
            }
        }
        self.block
    }

    /// A frame begins with `header`.
    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.rest = u32::from_be_bytes([0, high, middle, low]) as usize;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.block = if flags & END_HEADERS == 0 { self.block + self.rest } else { 0 };
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let bytes = this.meter.read(&buf.filled()[before..]);
        if this.held.set(bytes) {
            return Poll::Ready(Ok(()));
        }
        this.refused.0.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::other("too many unfinished heads of requests")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.withholds() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.withholds() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.answers.iter_mut().for_each(Answers::flushed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.answers.as_ref().is_some_and(Answers::has_withheld) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_headers_grows_until_its_last_frame() {
        let frame = |kind: u8, flags: u8, length: usize| {
            let [.., high, middle, low] = length.to_be_bytes();
            let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
            frame.resize(frame.len() + length, 4);
            frame
        };
        for step in [1, 7, 100_000] {
            let mut frames = Frames { rest: PREFACE_BYTES, header: [0; FRAME_HEADER_BYTES], come: 0, block: 0 };
            let mut after = |bytes: &[u8]| bytes.chunks(step).map(|part| frames.read(part)).last().unwrap();
            assert_eq!(after(&[HEADERS; PREFACE_BYTES]), 0);
            // Settings, a request in one frame, and its body.
            assert_eq!(after(&[frame(4, 0, 6), frame(HEADERS, END_HEADERS, 300), frame(0, 0, 16_384)].concat()), 0);
            assert_eq!(after(&frame(HEADERS, 0, 16_384)), 16_384);
            assert_eq!(after(&frame(CONTINUATION, 0, 9_000)), 25_384);
            assert_eq!(after(&frame(CONTINUATION, END_HEADERS, 0)), 0);
            assert_eq!(after(&frame(CONTINUATION, 0, 5)), 5);
        }
    }

    #[test]
    fn the_refusal_is_a_frame() {
        assert_eq!(TOO_MANY_HTTP2.len(), FRAME_HEADER_BYTES + usize::from(TOO_MANY_HTTP2[2]));
    }
}
