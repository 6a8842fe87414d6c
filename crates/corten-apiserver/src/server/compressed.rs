//! Large answers, compressed for clients that take it.
//!
//! Upstream: `negotiateContentEncoding` and `deferredResponseWriter` in
//! k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/writers.go (v1.35).

use std::{
    collections::VecDeque,
    io::{self, Write as _},
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

/// Upstream's choice: nearly the ratio of the others at a fraction of their time.
const LEVEL: Compression = Compression::new(1);

/// Whether a client takes answers in gzip, and the gate is on.
pub(super) fn is_wanted(headers: &HeaderMap, features: &Features) -> bool {
    let Some(accepted) = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|coding| coding.trim() == "gzip") && features.is_enabled("APIResponseCompression")
}

/// The content in gzip if it is large, else as it was; and which of the two.
pub(super) fn compress(content: Content) -> (Content, bool) {
    match content {
        Content::One(Some(bytes)) if bytes.len() > PLAIN_BYTES_MAX => {
            (Content::Compressed { body: Box::new(Compressed::new([bytes.into()].into(), None)), waits: false }, true)
        }
        Content::List { mut list, waits } => {
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
            }
            (Content::Compressed { body: Box::new(Compressed::new(first, Some(list))), waits }, true)
        }
        content => (content, false),
    }
}

/// An answer that is compressed while it is sent.
pub(super) struct Compressed {
    /// What was read already.
    first: VecDeque<Pieces>,
    rest: Option<Box<ListBody>>,
    /// `None` once the end has been given out.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Compressed {
    fn new(first: VecDeque<Pieces>, rest: Option<Box<ListBody>>) -> Self {
        Self { first, rest, encoder: Some(GzEncoder::new(Vec::with_capacity(PIECE_BYTES), LEVEL)) }
    }

    /// The next compressed piece; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<io::Result<Bytes>> {
        let piece = self.piece().transpose()?;
        if piece.is_err() {
            self.encoder = None;
        }
        Some(piece)
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        while encoder.get_ref().len() < PIECE_BYTES {
            let next = self.first.pop_front().map(Ok).or_else(|| self.rest.as_mut()?.next());
            let Some(mut plain) = next.transpose()? else {
                return self.encoder.take().map(|encoder| encoder.finish().map(Bytes::from)).transpose();
            };
            while plain.has_remaining() {
                encoder.write_all(plain.chunk())?;
                plain.advance(plain.chunk().len());
            }
        }
        Ok(Some(std::mem::take(encoder.get_mut()).into()))
    }

    pub(super) fn is_done(&self) -> bool {
        self.encoder.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn only_large_answers_are_compressed() {
        for (size, want) in [(0, false), (PLAIN_BYTES_MAX, false), (PLAIN_BYTES_MAX + 1, true), (9 << 20, true)] {
            // Not all of the same, so that it takes many pieces.
            let plain: Bytes = (0..size).map(|at| (at * at % 251) as u8 ^ (at >> 9) as u8).collect();
            let (content, is_compressed) = compress(plain.clone().into());
            assert_eq!(is_compressed, want, "{size}");
            let Content::Compressed { mut body, .. } = content else { continue };
            let mut sent = Vec::new();
            while let Some(piece) = body.next() {
                let piece = piece.unwrap();
                assert!(!piece.is_empty());
                sent.extend_from_slice(&piece);
            }
            assert!(body.is_done());
            let mut back = Vec::new();
            GzDecoder::new(&sent[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain, "{size}");
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
