//! A byte for each of the first keys of an object, so that a look-up compares eight of them at once and then one text.
//!
//! Rules and admission look up some hundred keys of a pod, in objects of about ten: running past the keys themselves takes
//! longer than all else of it.

use super::{Str, Value};

/// So many keys have a tag: nearly all objects have fewer.
pub(super) const TAGGED: usize = 16;

/// The tags of an object's first keys, in their order.
#[derive(Clone, Copy, Default)]
pub(super) struct Tags([u8; TAGGED]);

impl Tags {
    /// Those of `entries`.
    pub(super) fn of(entries: &[(Str, Value)]) -> Self {
        let mut tags = [0; TAGGED];
        for (tag, (key, _)) in tags.iter_mut().zip(entries) {
            *tag = tag_of(key);
        }
        Self(tags)
    }

    /// A key was put in at `index`.
    pub(super) fn insert(&mut self, index: usize, key: &str) {
        if index < TAGGED {
            self.0.copy_within(index..TAGGED - 1, index + 1);
            self.0[index] = tag_of(key);
        }
    }

    /// Where `key` is among the entries that have tags.
    #[inline]
    pub(super) fn find(&self, key: &str, entries: &[(Str, Value)]) -> Option<usize> {
        const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
        const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
        let wanted = u64::from(tag_of(key)) * ONES;
        // Most objects have no more than the first word has tags.
        let words = if entries.len() <= 8 { 1 } else { 2 };
        for (at, word) in self.0.as_chunks::<8>().0.iter().take(words).enumerate() {
            let differs = u64::from_le_bytes(*word) ^ wanted;
            // A top bit for each byte that is equal; one above the first may be wrong, as may be what is behind the last entry.
            let mut equal = differs.wrapping_sub(ONES) & !differs & TOPS;
            while equal != 0 {
                let index = at * 8 + equal.trailing_zeros() as usize / 8;
                if let Some((known, _)) = entries.get(index)
                    && known.as_str() == key
                {
                    return Some(index);
                }
                equal &= equal - 1;
            }
        }
        None
    }
}

/// What tells the names of fields apart most often: their length and both ends.
#[inline]
fn tag_of(key: &str) -> u8 {
    match key.as_bytes() {
        [first, .., last] => first.wrapping_mul(5).wrapping_add(last.wrapping_mul(3)).wrapping_add(key.len() as u8),
        [only] => *only,
        [] => 0,
    }
}
