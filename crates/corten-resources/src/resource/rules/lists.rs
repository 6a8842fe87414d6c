//! Walks over lists and maps with the bounds that keep a check cheap.
//!
//! Upstream: `validateSlice`, `validateSet`, `validateMap` in pkg/apis/resource/validation/validation.go (v1.35).

use std::collections::BTreeSet;

use corten_apimachinery::{
    Map, Value,
    field::{Error, ErrorList, ErrorType, Path},
};

/// Keys are shown whole up to this length, however short those that are allowed.
const KEY_SHOWN_MIN_BYTES: usize = 16;
/// What stands for the middle of a key that is not shown whole.
const ELLIPSIS: &str = "...";

/// The node at `key`, unless it is null.
pub(crate) fn present<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    value.get(key).filter(|node| !node.is_null())
}

/// The text at `key`, empty if there is none.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.str_at(&[key]).unwrap_or_default()
}

/// Whether `key` is set to true.
pub(crate) fn is_true(value: &Value, key: &str) -> bool {
    value.bool_at(&[key]).unwrap_or_default()
}

/// Checks each of at most `max` items; says whether they were not too many.
pub(crate) fn each_item(
    items: &[Value],
    max: usize,
    path: &Path,
    errors: &mut ErrorList,
    mut check: impl FnMut(&Value, &Path, &mut ErrorList),
) -> bool {
    if items.len() > max {
        errors.push(Error::too_many(path, items.len(), max));
        return false;
    }
    for (index, item) in items.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        check(item, &path.index(index), errors);
    }
    true
}

/// What tells the items of a list apart.
pub(crate) trait Key: Ord {
    /// Says that this is the key of two items.
    fn duplicate(&self, path: &Path) -> Error;
}

impl Key for &str {
    fn duplicate(&self, path: &Path) -> Error {
        Error::duplicate(path, *self)
    }
}

/// Checks each of at most `max` items, which all have keys of their own.
pub(crate) fn each_unique<'v, K: Key>(
    items: &'v [Value],
    max: usize,
    path: &Path,
    errors: &mut ErrorList,
    check: impl FnMut(&Value, &Path, &mut ErrorList),
    key: impl Fn(&'v Value) -> K,
) {
    if !each_item(items, max, path, errors, check) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, key) in items.iter().map(key).enumerate() {
        if seen.contains(&key) {
            errors.push_with(|| key.duplicate(&path.index(index)));
        } else {
            seen.insert(key);
        }
    }
}

/// The text of an item that is one.
pub(crate) fn itself(item: &Value) -> &str {
    item.as_str().unwrap_or_default()
}

/// An error whose value is shown in upstream's form, which no object of a served version has.
pub(crate) fn shown_as(kind: ErrorType, path: &Path, shown: &str, detail: &str) -> Error {
    let separator = if detail.is_empty() { "" } else { ": " };
    Error { kind, field: path.to_string(), bad_value: None, detail: format!("{shown}{separator}{detail}") }
}

/// Checks each entry of a map of at most `max`. Keys longer than `shown_max_bytes` lose their middle in paths.
pub(crate) fn each_entry(
    map: Option<&Map>,
    max: usize,
    shown_max_bytes: usize,
    path: &Path,
    errors: &mut ErrorList,
    mut check: impl FnMut(&str, &Value, &Path, &mut ErrorList),
) {
    let Some(map) = map else { return };
    if map.len() > max {
        errors.push(Error::too_many(path, map.len(), max));
        return;
    }
    for (key, item) in map.iter() {
        if errors.is_full() {
            break;
        }
        check(key, item, &path.key(shown_key(key, shown_max_bytes)), errors);
    }
}

fn shown_key(key: &str, max_bytes: usize) -> String {
    let max_bytes = max_bytes.max(KEY_SHOWN_MIN_BYTES);
    if key.len() <= max_bytes {
        return key.to_owned();
    }
    let left_bytes = max_bytes - ELLIPSIS.len();
    // A character is not cut in two: its bytes would be no text.
    let head = key.floor_char_boundary(left_bytes.div_ceil(2));
    let tail = key.ceil_char_boundary(key.len() - left_bytes / 2);
    format!("{}{ELLIPSIS}{}", &key[..head], &key[tail..])
}

#[cfg(test)]
mod tests {
    use super::shown_key;

    #[test]
    fn a_long_key_loses_its_middle() {
        assert_eq!(shown_key("0123456789abcdef", 4), "0123456789abcdef");
        assert_eq!(shown_key("0123456789abcdefg", 4), "0123456...bcdefg");
        assert_eq!(shown_key(&"\u{e9}".repeat(20), 16).chars().filter(|c| *c == '\u{e9}').count(), 6);
    }
}
