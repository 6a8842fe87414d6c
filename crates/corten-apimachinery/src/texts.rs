//! `Texts`: a few short texts in one piece of memory.
//!
//! Every stored object has some, and most of them are empty or a word: each as a text of its own would take more room than the
//! words do. Copies share the piece.

use std::{fmt, sync::Arc};

use smallvec::SmallVec;

/// Texts by their places. Made once, never changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// For each text, the digits of where it ends in what follows all of them. A digit is a byte below 128, so that all of it
    /// is text, which nobody has to check again.
    all: Arc<str>,
    count: u32,
    /// How many digits an end has.
    digits: u8,
}

/// How many bits a digit has.
const DIGIT_BITS: usize = 7;

impl Texts {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The text at `place`, from 0; `None` behind the last.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&str> {
        if place >= self.len() {
            return None;
        }
        let ends = self.len() * usize::from(self.digits);
        let start = place.checked_sub(1).map_or(0, |before| self.end(before));
        Some(&self.all[ends + start..ends + self.end(place)])
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map_while(|place| self.get(place))
    }

    fn end(&self, place: usize) -> usize {
        let digits = usize::from(self.digits);
        let end = &self.all.as_bytes()[place * digits..][..digits];
        end.iter().fold(0, |end, digit| end << DIGIT_BITS | usize::from(*digit))
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let (mut ends, mut words) = (SmallVec::<[usize; 32]>::new(), SmallVec::<[u8; 256]>::new());
        for text in texts {
            words.extend_from_slice(text.as_ref().as_bytes());
            ends.push(words.len());
        }
        let digits = (usize::BITS - words.len().leading_zeros()).div_ceil(DIGIT_BITS as u32).max(1) as usize;
        let mut all = SmallVec::<[u8; 512]>::with_capacity(ends.len() * digits + words.len());
        for end in &ends {
            all.extend((0..digits).rev().map(|digit| (end >> (digit * DIGIT_BITS)) as u8 & 0x7f));
        }
        all.extend_from_slice(&words);
        let all = str::from_utf8(&all).expect("digits below 128, then texts");
        let count = u32::try_from(ends.len()).expect("texts of one object");
        Self { all: all.into(), count, digits: digits as u8 }
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;

    #[test]
    fn texts_are_found_by_their_places() {
        let (long, longer) = ("\u{e9}".repeat(100), "x".repeat(20_000));
        for texts in
            [&[][..], &[""], &["", "a", "", "caf\u{e9}", "Running"], &["x"; 40], &["a", &long, "", &longer, "b"]]
        {
            let made: Texts = texts.iter().collect();
            assert_eq!(made.iter().collect::<Vec<_>>(), texts);
            assert_eq!((made.len(), made.is_empty()), (texts.len(), texts.is_empty()));
            assert_eq!((made.get(texts.len()), made.get(usize::MAX)), (None, None));
        }
        assert_ne!(["ab", "c"].iter().collect::<Texts>(), ["a", "bc"].iter().collect::<Texts>());
    }

    #[test]
    fn copies_share_their_memory() {
        let made: Texts = ["a", "b"].iter().collect();
        let copy = made.clone();
        assert!(std::ptr::eq(made.get(0).unwrap(), copy.get(0).unwrap()));
    }
}
