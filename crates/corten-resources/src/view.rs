//! Reading typed views: absent and empty are the same to most rules, as they are to upstream's Go types.

use std::{borrow::Cow, collections::BTreeSet};

use corten_api::intstr::IntOrString;
use corten_apimachinery::{Str, Value, field::Path};

/// An optional struct, its default if absent; nothing is copied.
pub(crate) fn or_default<T: Clone + Default>(value: &Option<T>) -> Cow<'_, T> {
    value.as_ref().map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)
}

/// The items of an optional list.
pub(crate) fn list<T>(items: &Option<Vec<T>>) -> &[T] {
    items.as_deref().unwrap_or_default()
}

/// An optional text, empty if absent.
pub(crate) fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// The items of an optional list, each with its path.
pub(crate) fn each<'i, T>(items: &'i Option<Vec<T>>, path: &Path) -> impl Iterator<Item = (Path, &'i T)> {
    each_of(list(items), path)
}

/// The items of a list, each with its path.
pub(crate) fn each_of<'i, T>(items: &'i [T], path: &Path) -> impl Iterator<Item = (Path, &'i T)> {
    items.iter().enumerate().map(move |(index, item)| (path.index(index), item))
}

/// A number or text as a node, for showing it.
pub(crate) fn int_or_string(value: &IntOrString) -> Value {
    match value {
        IntOrString::Int(number) => (*number).into(),
        IntOrString::String(text) => text.as_str().into(),
    }
}

/// A list of texts as a node, for showing it.
pub(crate) fn texts<S: AsRef<str>>(items: &[S]) -> Value {
    Value::array(items.iter().map(|item| item.as_ref().into()))
}

/// Remembers what it has seen, for rules about duplicates.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The first `FEW`: most lists have no more, and comparing with each costs less than a tree does.
    few: Vec<Str>,
    more: BTreeSet<Str>,
}

const FEW: usize = 8;

impl Seen {
    /// Says whether `item` is new, and remembers it.
    pub(crate) fn is_new(&mut self, item: impl AsRef<str>) -> bool {
        let item = item.as_ref();
        if self.few.iter().any(|known| known == item) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(item.into());
            return true;
        }
        self.more.insert(item.into())
    }

    /// Whether `item` has been seen.
    pub(crate) fn contains(&self, item: &str) -> bool {
        self.few.iter().any(|known| known == item) || self.more.contains(item)
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn what_was_seen_is_not_new() {
        let mut seen = Seen::default();
        for n in 0..20 {
            let item = format!("item{n}");
            assert!(!seen.contains(&item));
            assert!(seen.is_new(&item));
            assert!((0..=n).all(|n| seen.contains(&format!("item{n}")) && !seen.is_new(format!("item{n}"))));
        }
    }
}
