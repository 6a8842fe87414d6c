//! `Labels`: an object's labels in one piece of memory, as selectors ask for them.

use std::{cmp::Ordering, fmt, sync::LazyLock};

use smallvec::SmallVec;

use crate::texts::Texts;

/// Labels by key, in the order of keys. Made once, never changed; copies share their memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(
    /// Keys and values in turn.
    Texts,
);

impl Labels {
    /// Those of an object without any.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Labels> = LazyLock::new(Labels::default);
        &NONE
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.0.get(2 * middle)?.cmp(key) {
                Ordering::Equal => return self.0.get(2 * middle + 1),
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).map_while(|at| Some((self.0.get(2 * at)?, self.0.get(2 * at + 1)?)))
    }
}

/// Of pairs in any order, each key once.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let mut labels: SmallVec<[(K, V); 8]> = labels.into_iter().collect();
        labels.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        Self(labels.iter().flat_map(|(key, value)| [key.as_ref(), value.as_ref()]).collect())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Labels;

    #[test]
    fn labels_are_found_by_their_keys() {
        for count in 0..20 {
            let pairs: Vec<_> = (0..count).rev().map(|n| (format!("key-{n:02}"), format!("value-{n}"))).collect();
            let labels: Labels = pairs.iter().map(|(key, value)| (key, value)).collect();
            assert_eq!((labels.len(), labels.is_empty()), (count, count == 0));
            for (key, value) in &pairs {
                assert_eq!(labels.get(key), Some(value.as_str()));
                assert_eq!(labels.get(&format!("{key}x")), None);
            }
            assert_eq!((labels.get(""), labels.get("z")), (None, None));
            assert!(labels.iter().is_sorted() && labels.iter().count() == count);
        }
    }
}
