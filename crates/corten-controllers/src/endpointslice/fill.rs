//! Spreads endpoints over slices so that few slices change.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::discovery::v1::Endpoint;

use super::desired::{EndpointKey, endpoint_key};

/// What becomes of the slices. Places are those in `held`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Filled {
    /// Slices with other endpoints, or labels.
    pub(crate) changed: BTreeMap<usize, Vec<Endpoint>>,
    /// Slices that nothing is left in.
    pub(crate) emptied: Vec<usize>,
    /// The contents of slices that have to be made.
    pub(crate) new: Vec<Vec<Endpoint>>,
}

/// Puts `wanted` into slices that hold `held` now, at most `max` into each. `has_labels` says whether the slice at a place needs no other change.
pub(crate) fn fill(
    mut wanted: BTreeMap<EndpointKey, Endpoint>,
    held: &[&[Endpoint]],
    max: usize,
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
        top_up(filled.changed.get_mut(&place).expect("its key is in the map"), &mut rest, max);
    }
    while !rest.is_empty() {
        // One slice that takes all that is left, and is then as full as possible; or a new one.
        let fits = |place: &&usize| held[**place].len() + rest.len() <= max && !held[**place].is_empty();
        let fullest = unchanged.iter().filter(fits).max_by_key(|place| held[**place].len()).copied();
        match fullest {
            Some(place) => {
                unchanged.remove(&place);
                let mut endpoints = held[place].to_vec();
                top_up(&mut endpoints, &mut rest, max);
                filled.changed.insert(place, endpoints);
            }
            None => {
                let mut endpoints = Vec::new();
                top_up(&mut endpoints, &mut rest, max);
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

fn top_up(endpoints: &mut Vec<Endpoint>, rest: &mut Vec<Endpoint>, max: usize) {
    while endpoints.len() < max
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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str, ready: bool) -> Endpoint {
        serde_json::from_value(serde_json::json!({"addresses": [name], "conditions": {"ready": ready}})).unwrap()
    }

    /// Slices are written as the letters of their endpoints, unready ones in capitals.
    fn slice(text: &str) -> Vec<Endpoint> {
        text.chars().map(|name| endpoint(&name.to_lowercase().to_string(), name.is_lowercase())).collect()
    }

    fn text(endpoints: &[Endpoint]) -> String {
        let letter = |endpoint: &Endpoint| {
            let is_ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true);
            if is_ready { endpoint.addresses[0].clone() } else { endpoint.addresses[0].to_uppercase() }
        };
        endpoints.iter().map(letter).collect()
    }

    #[track_caller]
    fn check(wanted: &str, held: &[&str], changed: &[(usize, &str)], emptied: &[usize], new: &[&str]) {
        let wanted = slice(wanted).into_iter().map(|endpoint| (endpoint_key(&endpoint), endpoint)).collect();
        let held: Vec<Vec<Endpoint>> = held.iter().map(|text| slice(text)).collect();
        let views: Vec<&[Endpoint]> = held.iter().map(Vec::as_slice).collect();
        let filled = fill(wanted, &views, 3, |_| true);
        let got: Vec<(usize, String)> = filled.changed.iter().map(|(at, endpoints)| (*at, text(endpoints))).collect();
        let want: Vec<(usize, String)> = changed.iter().map(|(at, text)| (*at, text.to_string())).collect();
        assert_eq!(got, want, "changed");
        assert_eq!(filled.emptied, emptied, "emptied");
        assert_eq!(filled.new.iter().map(|endpoints| text(endpoints)).collect::<Vec<_>>(), new, "new");
    }

    #[test]
    fn few_slices_change() {
        check("abc", &[], &[], &[], &["abc"]);
        check("abcde", &[], &[], &[], &["abc", "de"]);
        check("abc", &["abc"], &[], &[], &[]);
        check("aBc", &["abc"], &[(0, "aBc")], &[], &[]);
        check("abde", &["abc", "d"], &[(0, "abe")], &[], &[]);
        check("abcde", &["abc", "d"], &[(1, "de")], &[], &[]);
        check("abc", &["abc", "d"], &[], &[1], &[]);
        check("abcdefg", &["ab", "c"], &[(0, "abg")], &[], &["def"]);
        check("", &["a"], &[], &[0], &[]);
        check("a", &[""], &[], &[0], &["a"]);
    }
}
