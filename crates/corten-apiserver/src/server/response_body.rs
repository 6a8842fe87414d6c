//! The body of an answer: as a whole, in pieces as the connection takes them, or as things happen.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use corten_base::SharedClock;
use corten_component_base::serving::SendDeadline;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::{compressed::Compressed, encode::ListBody, pieces::Pieces};
use crate::response::ByteStream;

/// How long a watch may wait for its client to take what was sent, once nothing more fits in: until then it holds a good
/// megabyte. Upstream ends a watch at once whose buffer of events is full.
pub(super) const WATCH_STALLED_MAX: Duration = Duration::from_secs(30);

/// The body of an answer, with what it holds until it is sent or nobody wants it any more.
pub(super) struct ResponseBody {
    pub(super) content: Content,
    pub(super) _place: Option<OwnedSemaphorePermit>,
    pub(super) deadline: Option<SendDeadline>,
    pub(super) stall: Option<Stall>,
}

/// What a watch whose client does not read is ended by.
pub(super) struct Stall {
    pub(super) clock: SharedClock,
    /// When the watch is over in any case.
    pub(super) until: Duration,
}

impl Stall {
    /// The deadline after `next` was given out: who is asked for more has room for it, and nothing is overdue.
    fn deadline<T>(&self, next: &Poll<Option<T>>) -> Duration {
        match next {
            Poll::Ready(Some(_)) => self.clock.monotonic().saturating_add(WATCH_STALLED_MAX).min(self.until),
            _ => self.until,
        }
    }
}

impl From<Content> for ResponseBody {
    fn from(content: Content) -> Self {
        Self { content, _place: None, deadline: None, stall: None }
    }
}

/// The frames of a watch, as they come.
pub(super) type Frames = Pin<Box<dyn futures::Stream<Item = Pieces> + Send>>;

/// What is sent.
pub(super) enum Content {
    Empty,
    One(Option<Bytes>),
    /// A list, and whether others have their turn before its next piece.
    List {
        list: Box<ListBody>,
        waits: bool,
    },
    /// What is left of a list that was begun, and what ended it.
    Begun {
        pieces: VecDeque<Pieces>,
        error: Option<io::Error>,
    },
    /// What is compressed on its way.
    Compressed(Box<Compressed>),
    Watch(Frames),
    Stream(ByteStream),
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::One(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for ResponseBody {
    type Data = Pieces;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, std::io::Error>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::One(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes.into())))),
            Content::List { list, waits } => {
                *waits = list.is_laborious() && !*waits;
                if *waits {
                    // Back to the end of the queue: whoever sends takes as long as there is something.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(list.next().map(|bytes| bytes.map(Frame::data)))
            }
            Content::Begun { pieces, error } => {
                let next = pieces.pop_front().map(Ok).or_else(|| error.take().map(Err));
                Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
            }
            Content::Compressed(body) => {
                let next = body.poll_next(cx);
                next.map(|next| next.map(|bytes| bytes.map(|bytes| Frame::data(bytes.into()))))
            }
            Content::Watch(frames) => {
                let next = frames.as_mut().poll_next(cx);
                if let (Some(stall), Some(deadline)) = (&self.stall, &self.deadline) {
                    deadline.set(stall.deadline(&next));
                }
                next.map(|next| next.map(|pieces| Ok(Frame::data(pieces))))
            }
            Content::Stream(stream) => {
                let next = stream.as_mut().poll_next(cx);
                next.map(|next| next.map(|bytes| bytes.map(|bytes| Frame::data(bytes.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::One(bytes) => bytes.is_none(),
            Content::List { list, .. } => list.is_done(),
            Content::Begun { pieces, error } => pieces.is_empty() && error.is_none(),
            Content::Compressed(body) => body.is_done(),
            Content::Watch(_) | Content::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::One(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Begun { pieces, error: None } => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.remaining() as u64).sum())
            }
            _ => SizeHint::default(),
        }
    }
}
