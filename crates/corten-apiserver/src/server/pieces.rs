//! What of an answer goes out at once: bytes of several owners, one behind the other, none of them copied.

use std::{io::IoSlice, iter, vec};

use bytes::{Buf, Bytes};

/// Bytes one behind the other. Whoever sends them gathers them where they lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    /// Not empty while anything is left.
    first: Bytes,
    rest: vec::IntoIter<Bytes>,
    left: usize,
}

impl From<Bytes> for Pieces {
    fn from(only: Bytes) -> Self {
        Self { left: only.len(), first: only, rest: vec::IntoIter::default() }
    }
}

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        let left = pieces.iter().map(Bytes::len).sum();
        let mut all = Self { first: Bytes::new(), rest: pieces.into_iter(), left };
        all.settle();
        all
    }
}

impl Pieces {
    /// Goes on to the next piece that is not empty.
    fn settle(&mut self) {
        while self.first.is_empty()
            && let Some(next) = self.rest.next()
        {
            self.first = next;
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        &self.first
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let pieces = iter::once(&self.first).chain(self.rest.as_slice()).filter(|piece| !piece.is_empty());
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.left, "{count} of {} bytes", self.left);
        self.left -= count;
        while count > 0 {
            let step = count.min(self.first.len());
            self.first.advance(step);
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
        let pieces = Pieces::from(texts.map(|text| Bytes::from_static(text.as_bytes())).to_vec());
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
