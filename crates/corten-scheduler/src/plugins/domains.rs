//! Pods counted by the value that their nodes have of a label, which is what the plugins about topology go by.

use std::collections::BTreeMap;

use corten_apimachinery::value::Str;

/// Counts, or sums of weights, by the value of one label.
pub(super) type Domains = BTreeMap<Str, i64>;

/// Adds to the count of a value. The value is copied only when it is new.
pub(super) fn add(domains: &mut Domains, value: &str, amount: i64) {
    match domains.get_mut(value) {
        Some(count) => *count += amount,
        None => drop(domains.insert(value.into(), amount)),
    }
}
