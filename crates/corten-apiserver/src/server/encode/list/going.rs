//! What of a list goes out at once: objects where they lie, and copies of what is short.

use bytes::{Bytes, BytesMut};

use crate::server::pieces::{Piece, Pieces};

/// What goes out at once.
pub(super) struct Going {
    parts: Vec<Piece>,
    /// What is copied, behind the parts.
    copied: BytesMut,
    /// How long all of it is.
    len: usize,
}

impl Going {
    /// Nothing, with room for it.
    pub(super) fn new(parts: Vec<Piece>, copied: BytesMut) -> Self {
        debug_assert!(parts.is_empty() && copied.is_empty(), "it begins with nothing");
        Self { parts, copied, len: 0 }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a copy of what is short.
    pub(super) fn copy(&mut self, short: &[u8]) {
        self.copied.extend_from_slice(short);
        self.len += short.len();
    }

    /// Adds what is long, where it lies.
    pub(super) fn share(&mut self, long: Piece) {
        if !self.copied.is_empty() {
            self.parts.push(Piece::Bytes(self.copied.split().freeze()));
        }
        self.len += long.len();
        self.parts.push(long);
    }

    /// All of it; and if it is one copy, that, whose memory can be used again once it is sent.
    pub(super) fn finish(self) -> (Pieces, Option<Bytes>) {
        let Self { mut parts, copied, .. } = self;
        let copied = copied.freeze();
        if parts.is_empty() {
            return (copied.clone().into(), Some(copied));
        }
        parts.push(Piece::Bytes(copied));
        (parts.into(), None)
    }
}
