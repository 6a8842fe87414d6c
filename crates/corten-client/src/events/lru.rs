//! A map of bounded size that forgets what was not used for the longest time.

use std::{collections::BTreeMap, sync::Arc};

/// At most `capacity` entries by text.
#[derive(Debug)]
pub(super) struct Lru<V> {
    capacity: usize,
    tick: u64,
    entries: BTreeMap<Arc<str>, (u64, V)>,
    by_tick: BTreeMap<u64, Arc<str>>,
}

impl<V> Lru<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, tick: 0, entries: BTreeMap::new(), by_tick: BTreeMap::new() }
    }

    /// The value of `key`, made by `make` if absent; it is now the last used.
    pub(super) fn entry(&mut self, key: &str, make: impl FnOnce() -> V) -> &mut V {
        self.tick += 1;
        let used_before = self.entries.get_mut(key).map(|(tick, _)| std::mem::replace(tick, self.tick));
        let key = match used_before.and_then(|tick| self.by_tick.remove(&tick)) {
            Some(key) => key,
            None => {
                if self.entries.len() == self.capacity
                    && let Some((_, oldest)) = self.by_tick.pop_first()
                {
                    self.entries.remove(&oldest);
                }
                let key = Arc::<str>::from(key);
                self.entries.insert(Arc::clone(&key), (self.tick, make()));
                key
            }
        };
        self.by_tick.insert(self.tick, Arc::clone(&key));
        &mut self.entries.get_mut(&key).expect("the entry was found or made above").1
    }

    /// Forgets the values for which `keep` says no.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        let by_tick = &mut self.by_tick;
        self.entries.retain(|_, (tick, value)| {
            let stays = keep(value);
            if !stays {
                by_tick.remove(tick);
            }
            stays
        });
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
        assert_eq!((lru.entries.len(), lru.by_tick.len()), (2, 2));
    }
}
