//! Large answers, compressed for clients that take it.
//!
//! Upstream: `negotiateContentEncoding` and `deferredResponseWriter` in
//! k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/writers.go (v1.35).

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use corten_apimachinery::Features;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header};

use super::{encode::ListBody, pieces::Pieces, response_body::Content};

/// Answers up to this size go out as they are.
const PLAIN_BYTES_MAX: usize = 128 * 1024;

/// Compressed bytes are sent once there are so many.
const PIECE_BYTES: usize = 32 * 1024;

/// So much is compressed in one go, under a millisecond: what compresses well is large before it fills a piece.
const PLAIN_AT_ONCE_BYTES: usize = 64 * 1024;

/// Upstream's choice: nearly the ratio of the others at a fraction of their time.
const LEVEL: Compression = Compression::new(1);

/// Whether a client takes answers in gzip, and the gate is on.
pub(super) fn is_wanted(headers: &HeaderMap, features: &Features) -> bool {
    let Some(accepted) = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|coding| coding.trim() == "gzip") && features.is_enabled("APIResponseCompression")
}

/// The content in gzip if it is large, else as it was; and which of the two. Cancel-safe.
pub(super) async fn compress(content: Content) -> (Content, bool) {
    match content {
        Content::One(Some(bytes)) if bytes.len() > PLAIN_BYTES_MAX => {
            (Content::Compressed(Box::new(Compressed::new([bytes.into()].into(), None))), true)
        }
        Content::List { mut list, .. } => {
            let (mut first, mut size) = (VecDeque::new(), 0);
            while size <= PLAIN_BYTES_MAX {
                match list.next() {
                    Some(Ok(piece)) => {
                        size += piece.remaining();
                        first.push_back(piece);
                    }
                    // Who sends what is not compressed comes upon the error, too.
                    Some(Err(error)) => return (Content::Begun { pieces: first, error: Some(error) }, false),
                    None => return (Content::Begun { pieces: first, error: None }, false),
                }
                if list.is_laborious() {
                    tokio::task::yield_now().await;
                }
            }
            (Content::Compressed(Box::new(Compressed::new(first, Some(list)))), true)
        }
        content => (content, false),
    }
}

/// An answer that is compressed while it is sent.
pub(super) struct Compressed {
    /// What was read already.
    plain: VecDeque<Pieces>,
    rest: Option<Box<ListBody>>,
    /// `None` once the end has been given out.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// How many plain bytes may be compressed before others have their turn.
    room: usize,
}

impl Compressed {
    fn new(plain: VecDeque<Pieces>, rest: Option<Box<ListBody>>) -> Self {
        let encoder = Some(GzEncoder::new(Vec::with_capacity(PIECE_BYTES), LEVEL));
        // It was work to make what there is.
        Self { plain, rest, encoder, room: 0 }
    }

    /// The next compressed piece; `None` after the last one. Whoever sends takes as long as there is something: to let others
    /// have their turn, it goes back to the end of the queue.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.room == 0 {
            self.room = PLAIN_AT_ONCE_BYTES;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.piece() {
            Ok(Progress::Worked) => {
                cx.waker().wake_by_ref();
                self.room = PLAIN_AT_ONCE_BYTES;
                Poll::Pending
            }
            Ok(Progress::Piece(piece)) => Poll::Ready(Some(Ok(piece))),
            Ok(Progress::Done) => Poll::Ready(None),
            Err(error) => {
                self.encoder = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// Compresses until there is a piece, or no more room.
    fn piece(&mut self) -> io::Result<Progress> {
        let Some(encoder) = &mut self.encoder else { return Ok(Progress::Done) };
        while encoder.get_ref().len() < PIECE_BYTES {
            if self.room == 0 {
                return Ok(Progress::Worked);
            }
            let Some(plain) = self.plain.front_mut() else {
                let Some(next) = self.rest.as_mut().and_then(|rest| rest.next()).transpose()? else {
                    let last = self.encoder.take().map(GzEncoder::finish).transpose()?;
                    return Ok(last.map_or(Progress::Done, |last| Progress::Piece(last.into())));
                };
                if self.rest.as_ref().is_some_and(|rest| rest.is_laborious()) {
                    // To make it was work, too: there is no second one in this go.
                    self.room = self.room.min(next.remaining());
                }
                self.plain.push_back(next);
                continue;
            };
            let chunk = plain.chunk();
            let chunk = &chunk[..chunk.len().min(self.room)];
            encoder.write_all(chunk)?;
            let len = chunk.len();
            plain.advance(len);
            self.room -= len;
            if !plain.has_remaining() {
                self.plain.pop_front();
            }
        }
        Ok(Progress::Piece(std::mem::take(encoder.get_mut()).into()))
    }

    pub(super) fn is_done(&self) -> bool {
        self.encoder.is_none()
    }
}

/// What came of some work.
enum Progress {
    Piece(Bytes),
    /// There is no piece yet, and others have their turn.
    Worked,
    Done,
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, task::Waker};

    use flate2::read::GzDecoder;
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn only_large_answers_are_compressed() {
        for (size, want) in [(0, false), (PLAIN_BYTES_MAX, false), (PLAIN_BYTES_MAX + 1, true), (9 << 20, true)] {
            // Not all of the same, so that it takes many pieces.
            let plain: Bytes = (0..size).map(|at| (at * at % 251) as u8 ^ (at >> 9) as u8).collect();
            let (content, is_compressed) = compress(plain.clone().into()).now_or_never().unwrap();
            assert_eq!(is_compressed, want, "{size}");
            let Content::Compressed(mut body) = content else { continue };
            let (sent, _) = sent(&mut body);
            assert!(body.is_done());
            let mut back = Vec::new();
            GzDecoder::new(&sent[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain, "{size}");
        }
    }

    /// What was sent, and in how many goes it was made.
    fn sent(body: &mut Compressed) -> (Vec<u8>, usize) {
        let (mut sent, mut goes) = (Vec::new(), 0);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match body.poll_next(&mut cx) {
                Poll::Ready(None) => return (sent, goes),
                Poll::Ready(Some(piece)) => {
                    let piece = piece.unwrap();
                    assert!(!piece.is_empty());
                    sent.extend_from_slice(&piece);
                }
                Poll::Pending => goes += 1,
            }
        }
    }

    /// A piece was done when 32 KiB of compressed bytes were there: megabytes in one go, of what compresses well.
    #[test]
    fn others_have_their_turn_however_well_it_compresses() {
        for byte in [None, Some(b'0')] {
            let size = 100 * PLAIN_AT_ONCE_BYTES + 1;
            let plain: Bytes = (0..size).map(|at| byte.unwrap_or((at * at % 251) as u8)).collect();
            let mut body = Compressed::new([plain.into()].into(), None);
            let (sent, goes) = sent(&mut body);
            assert!((100..=102).contains(&goes), "{goes} goes for {} bytes", sent.len());
        }
    }

    #[test]
    fn clients_say_whether_they_take_it() {
        let on = Features::new([("APIResponseCompression", true)]);
        let off = Features::new([("APIResponseCompression", false)]);
        let check = |header: &str, features: &Features| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, header.parse().unwrap())]);
            is_wanted(&headers, features)
        };
        for (header, want) in [
            ("gzip", true),
            ("deflate, gzip ,br", true),
            ("", false),
            ("br", false),
            ("identity", false),
            // Neither upstream reads weights.
            ("gzip;q=1", false),
        ] {
            assert_eq!(check(header, &on), want, "{header}");
            assert!(!check(header, &off), "{header}");
        }
        assert!(!is_wanted(&HeaderMap::new(), &on));
    }
}
