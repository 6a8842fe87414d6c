//! Spreads endpoints over slices so that few slices change.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::discovery::v1::Endpoint;

use super::desired::{EndpointKey, endpoint_key};

/// How many endpoints a slice takes. Upstream: `--max-endpoints-per-slice`.
pub(super) const PER_SLICE_MAX: usize = 100;

/// What becomes of the slices. Places are those in `held`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filled {
    /// Slices with other endpoints, or labels.
    pub(super) changed: BTreeMap<usize, Vec<Endpoint>>,
    /// Slices that nothing is left in.
    pub(super) emptied: Vec<usize>,
    /// The contents of slices that have to be made.
    pub(super) new: Vec<Vec<Endpoint>>,
}

/// Puts `wanted` into slices that hold `held` now. `has_labels` says whether the slice at a place needs no other change.
pub(super) fn fill(
    mut wanted: BTreeMap<EndpointKey, Endpoint>,
    held: &[&[Endpoint]],
    has_labels: impl Fn(usize) -> bool,
) -> Filled {
    let (mut filled, mut unchanged) = (Filled::default(), BTreeSet::new());
    for (place, endpoints) in held.iter().enumerate() {
        let kept: Vec<(Endpoint, bool)> = endpoints
            .iter()
            .filter_map(|old| wanted.remove(&endpoint_key(old)).map(|new| (same(old, &new), new)))
            .map(|(same, new)| (new, same))
            .collect();
        if kept.is_empty() && !endpoints.is_empty() {
            filled.emptied.push(place);
        } else if kept.len() != endpoints.len() || kept.iter().any(|(_, same)| !same) || !has_labels(place) {
            filled.changed.insert(place, kept.into_iter().map(|(endpoint, _)| endpoint).collect());
        } else {
            unchanged.insert(place);
        }
    }
    let mut rest: Vec<Endpoint> = wanted.into_values().rev().collect();
    // Slices that are written anyway come first, the fullest before the others.
    let mut order: Vec<usize> = filled.changed.keys().copied().collect();
    order.sort_by_key(|place| std::cmp::Reverse(filled.changed[place].len()));
    for place in order {
        top_up(filled.changed.get_mut(&place).expect("its key is in the map"), &mut rest);
    }
    while !rest.is_empty() {
        // One slice that takes all that is left, and is then as full as possible; or a new one.
        let fits = |place: &&usize| held[**place].len() + rest.len() <= PER_SLICE_MAX && !held[**place].is_empty();
        let fullest = unchanged.iter().filter(fits).max_by_key(|place| held[**place].len()).copied();
        match fullest {
            Some(place) => {
                unchanged.remove(&place);
                let mut endpoints = held[place].to_vec();
                top_up(&mut endpoints, &mut rest);
                filled.changed.insert(place, endpoints);
            }
            None => {
                let mut endpoints = Vec::new();
                top_up(&mut endpoints, &mut rest);
                filled.new.push(endpoints);
            }
        }
    }
    // An empty slice is kept only as a placeholder, which is decided about elsewhere.
    let is_empty = |place: &usize| held[*place].is_empty();
    filled.emptied.extend(unchanged.into_iter().filter(is_empty));
    filled.emptied.sort_unstable();
    filled
}

fn top_up(endpoints: &mut Vec<Endpoint>, rest: &mut Vec<Endpoint>) {
    while endpoints.len() < PER_SLICE_MAX
        && let Some(endpoint) = rest.pop()
    {
        endpoints.push(endpoint);
    }
}

/// Whether a write is not worth it: the version of the pod in the reference does not count.
fn same(old: &Endpoint, new: &Endpoint) -> bool {
    let mut old = old.clone();
    if let Some(target) = &mut old.target_ref {
        target.resource_version = None;
    }
    old.addresses.sort();
    let mut new = new.clone();
    new.addresses.sort();
    old == new
}
