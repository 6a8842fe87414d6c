//! A map of bounded size that forgets what was not used for the longest time.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use hashlink::LruCache;

/// At most `capacity` entries by text. Of a text 128 bits are kept, by keys that nobody else knows: texts name objects and quote
/// messages, and would be most of what is kept.
pub(super) struct Lru<V> {
    hashers: [RandomState; 2],
    entries: LruCache<[u64; 2], V>,
}

impl<V> Lru<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { hashers: [RandomState::new(), RandomState::new()], entries: LruCache::new(capacity) }
    }

    /// The value of `key`, made by `make` if absent; it is now the last used.
    pub(super) fn entry(&mut self, key: &str, make: impl FnOnce() -> V) -> &mut V {
        let key = self.hashers.each_ref().map(|hasher| hasher.hash_one(key));
        if self.entries.get_mut(&key).is_none() {
            self.entries.insert(key, make());
        }
        self.entries.peek_mut(&key).expect("it was found or put there above")
    }

    /// Forgets the values for which `keep` says no.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        self.entries.retain(|_, value| keep(value));
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<V> fmt::Debug for Lru<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lru").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Lru;

    #[test]
    fn the_entry_unused_for_longest_goes_first() {
        let mut lru = Lru::new(2);
        lru.entry("a", || 1);
        lru.entry("b", || 2);
        lru.entry("a", || 0);
        lru.entry("c", || 3);
        assert_eq!((*lru.entry("a", || 0), *lru.entry("b", || 9)), (1, 9));
        assert_eq!(lru.entries.len(), 2);
        lru.retain(|value| *value == 9);
        assert_eq!((lru.entries.len(), *lru.entry("b", || 0)), (1, 9));
    }
}
