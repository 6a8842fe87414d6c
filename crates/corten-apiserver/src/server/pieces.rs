//! What of an answer goes out at once: bytes of several owners, one behind the other, none of them copied.

use std::{io::IoSlice, iter, sync::Arc, vec};

use bytes::{Buf, Bytes};
use corten_apimachinery::stored::Stored;

/// Bytes of one owner.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// Their own.
    Bytes(Bytes),
    /// The end of an object's JSON, from this byte on. The object and not its bytes: to hold those, a count would be changed
    /// that lies elsewhere in memory, once for each object of a list.
    Object(Arc<Stored>, usize),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Object(object, from) => &object.json[*from..],
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }
}

/// Bytes one behind the other. Whoever sends them gathers them where they lie.
#[derive(Debug, Clone)]
pub(crate) struct Pieces {
    first: Piece,
    /// How much of the first is taken: less than all, while anything is left.
    taken: usize,
    rest: vec::IntoIter<Piece>,
    left: usize,
}

impl From<Bytes> for Pieces {
    fn from(only: Bytes) -> Self {
        Self { left: only.len(), first: Piece::Bytes(only), taken: 0, rest: vec::IntoIter::default() }
    }
}

impl From<Vec<Piece>> for Pieces {
    fn from(pieces: Vec<Piece>) -> Self {
        let left = pieces.iter().map(Piece::len).sum();
        let mut all = Self { first: Piece::Bytes(Bytes::new()), taken: 0, rest: pieces.into_iter(), left };
        all.settle();
        all
    }
}

impl Pieces {
    /// Goes on to the next piece that is not taken.
    fn settle(&mut self) {
        while self.taken == self.first.len()
            && let Some(next) = self.rest.next()
        {
            self.first = next;
            self.taken = 0;
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        &self.first.bytes()[self.taken..]
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let pieces = iter::once(self.chunk()).chain(self.rest.as_slice().iter().map(Piece::bytes));
        for (slice, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.left, "{count} of {} bytes", self.left);
        self.left -= count;
        while count > 0 {
            let step = count.min(self.first.len() - self.taken);
            self.taken += step;
            count -= step;
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_one_text() {
        let texts = ["", "one", "", "", "two", "three", ""];
        let whole = texts.concat();
        let pieces = Pieces::from(texts.map(|text| Piece::Bytes(Bytes::from_static(text.as_bytes()))).to_vec());
        assert_eq!(pieces.remaining(), whole.len());
        for step in 1..=whole.len() {
            let mut pieces = pieces.clone();
            let mut read = Vec::new();
            while pieces.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let filled = pieces.chunks_vectored(&mut slices);
                assert_eq!(&*slices[0], pieces.chunk());
                let rest = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>();
                assert_eq!(rest, &whole.as_bytes()[read.len()..]);
                let step = step.min(pieces.remaining());
                read.extend_from_slice(&rest[..step]);
                pieces.advance(step);
            }
            assert_eq!(read, whole.as_bytes());
            assert!(pieces.chunk().is_empty());
        }
    }
}
