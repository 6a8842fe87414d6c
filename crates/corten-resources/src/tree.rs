//! Reading trees by path: what a field that is absent, null or empty means to rules.

use corten_apimachinery::{Value, field::Path};

/// The node at a path, if it is there and not null: what a pointer of upstream's points to.
pub(crate) fn present<'v>(object: &'v Value, path: &[&str]) -> Option<&'v Value> {
    object.at(path).filter(|node| !node.is_null())
}

/// The text at a path, empty if there is none.
pub(crate) fn text_at<'v>(object: &'v Value, path: &[&str]) -> &'v str {
    object.str_at(path).unwrap_or_default()
}

/// The texts of the list at a path.
pub(crate) fn texts_at<'v>(object: &'v Value, path: &[&str]) -> Vec<&'v str> {
    object.items_at(path).iter().map(|item| item.as_str().unwrap_or_default()).collect()
}

/// The items of the list under a field, each with its path.
pub(crate) fn each_at<'v>(object: &'v Value, field: &str, path: &Path) -> impl Iterator<Item = (Path, &'v Value)> {
    let items = object.items_at(&[field]);
    let at = if items.is_empty() { Path::root() } else { path.child(field) };
    items.iter().enumerate().map(move |(index, item)| (at.index(index), item))
}
