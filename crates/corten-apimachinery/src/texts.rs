//! `Texts`: a few short texts in one piece of memory.
//!
//! Every stored object has some, and most of them are empty or a word: each as a text of its own would take more room than the
//! words do.

use std::fmt;

use smallvec::SmallVec;

/// Texts by their places. Made once, never changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// For each text, the four bytes of where it ends in what follows all of them (little-endian).
    bytes: Box<[u8]>,
    count: u32,
}

/// How many bytes say where a text ends.
const END_BYTES: usize = size_of::<u32>();

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
        let start = place.checked_sub(1).map_or(0, |before| self.end(before));
        let text = &self.bytes[self.len() * END_BYTES..][start..self.end(place)];
        Some(str::from_utf8(text).expect("it was made of texts"))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map_while(|place| self.get(place))
    }

    fn end(&self, place: usize) -> usize {
        let bytes = self.bytes[place * END_BYTES..].first_chunk().expect("there is an end for each text");
        u32::from_le_bytes(*bytes) as usize
    }
}

/// Panics where they are longer than 4 GiB together, which no object is.
impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let (mut ends, mut all) = (SmallVec::<[u8; 16 * END_BYTES]>::new(), SmallVec::<[u8; 128]>::new());
        for text in texts {
            all.extend_from_slice(text.as_ref().as_bytes());
            ends.extend_from_slice(&u32::try_from(all.len()).expect("texts of one object").to_le_bytes());
        }
        let count = (ends.len() / END_BYTES) as u32;
        Self { bytes: [&ends[..], &all[..]].concat().into(), count }
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
        for texts in [&[][..], &[""], &["", "a", "", "caf\u{e9}", "Running"], &["x"; 40]] {
            let made: Texts = texts.iter().collect();
            assert_eq!(made.iter().collect::<Vec<_>>(), texts);
            assert_eq!((made.len(), made.is_empty()), (texts.len(), texts.is_empty()));
            assert_eq!((made.get(texts.len()), made.get(usize::MAX)), (None, None));
        }
        assert_ne!(["ab", "c"].iter().collect::<Texts>(), ["a", "bc"].iter().collect::<Texts>());
    }
}
